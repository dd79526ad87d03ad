/*
 * cell.h - what a name stands for: the shared fact of a queue or exchange.
 *
 * A cell is made by the registry, lives in the vhost's tables under its name, and is shared by
 * reference (cell_ref). What never changes after the declare is in it plainly; where its process is
 * now is one immutable struct, swapped whole, so that a reader always sees a pid with its epoch.
 * The queue process itself says UP (when it has recovered); the registry says the rest.
 *
 * The counters are single-writer slots: only the cell's process writes, everybody may read. Those
 * of an exchange are added to by the channels that publish there, each for many publishes at once.
 */
#ifndef QUEUES_CELL_H
#define QUEUES_CELL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "broker/core/stats.h"
#include "broker/runtime/proc.h"

struct blob;
struct table;

enum cell_kind { CELL_QUEUE, CELL_EXCHANGE };
enum cell_state { CELL_RESTARTING, CELL_UP, CELL_PARKED, CELL_DELETED };
enum cell_flags {
    CELL_DURABLE = 1 << 0,
    CELL_EXCLUSIVE = 1 << 1,
    CELL_AUTO_DELETE = 1 << 2,
    CELL_INTERNAL = 1 << 3,
    CELL_PREDECLARED = 1 << 4, /* amq.* and the default exchange */
};
enum exchange_type { EXCHANGE_DIRECT, EXCHANGE_FANOUT, EXCHANGE_TOPIC, EXCHANGE_HEADERS };

struct cell_at {    /* immutable; valid until the handler returns */
    proc_id pid;    /* 0 unless UP */
    uint64_t epoch; /* of this incarnation; never used twice in a program's life */
    enum cell_state state;
    char reason[104]; /* PARKED: why */
};

struct cell_tag { /* of a consumer; immutable; valid until the handler returns */
    uint32_t len;
    char text[];
};

struct cell_stats {
    _Atomic uint64_t ready, unacked, consumers;
    _Atomic uint64_t ready_bytes, unacked_bytes;           /* of bodies */
    _Atomic uint64_t lasting, lasting_bytes;               /* of ready and unacked: persistent */
    _Atomic uint64_t ready_here, unacked_here, here_bytes; /* those whose bodies are in memory */
    _Atomic uint64_t memory, capacity /* see capacity.h */, head_timestamp /* 0: none */;
    _Atomic bool has_pages;    /* a run of a queue that is not durable has opened the store */
    _Atomic uint64_t seen_seq; /* the highest next_seq that a store has told of */
    _Atomic uint64_t published, delivered, delivered_no_ack, got, acked, redelivered, confirmed;
    _Atomic uint64_t got_no_ack, got_nothing;   /* got counts those that must be acked */
    _Atomic(const struct cell_tag *) exclusive; /* who has it for himself; NULL: nobody */
};

struct exchange_stats {
    _Atomic uint64_t publish_in, publish_out; /* by clients there; to queues of these */
};

struct cell_policy { /* immutable; valid until the handler returns; see policies.h */
    char name[256], operator_name[256]; /* empty: none of this kind */
    uint32_t len;
    uint8_t table[]; /* what stands, as a field table with the keys of policies */
};

struct cell {
    _Atomic uint32_t refs;
    enum cell_kind kind;
    uint64_t id;    /* never used again, in this vhost */
    uint32_t flags; /* enum cell_flags */
    enum exchange_type type;
    proc_id owner;          /* exclusive: the connection */
    struct blob *args;      /* field table bytes; NULL: empty */
    struct table *routes;   /* exchanges: see routes.h */
    _Atomic bool was_bound; /* exchanges: something was bound to it once */
    _Atomic(const struct cell_at *) at;
    _Atomic(const struct cell_policy *) policy; /* NULL: none. The registry's to change */
    union {
        struct cell_stats stats;              /* queues */
        struct exchange_stats exchange_stats; /* exchanges */
    };
    struct stat_history history;
    uint8_t vhost_len, name_len;
    char text[]; /* vhost, then name; each followed by NUL */
};

struct cell_spec {
    enum cell_kind kind;
    uint64_t id;
    uint32_t flags;
    enum exchange_type type;
    proc_id owner;
    struct blob *args; /* referenced, not moved */
    const char *vhost, *name;
    uint8_t vhost_len, name_len;
};

/* One reference, the caller's; RESTARTING, epoch 0. */
struct cell *cell_new(const struct cell_spec *spec);
struct cell *cell_ref(struct cell *c);
void cell_unref(struct cell *c);

static inline const char *cell_vhost(const struct cell *c)
{
    return c->text;
}
static inline const char *cell_name(const struct cell *c)
{
    return c->text + c->vhost_len + 1;
}
/* What type a queue was declared with. */
enum queue_type cell_queue_type(const struct cell *c);
/* Where it is now; valid until the handler returns. */
static inline const struct cell_at *cell_at(const struct cell *c)
{
    return atomic_load_explicit(&c->at, memory_order_acquire);
}
/* Publishes a new place; reason may be NULL. From the cell's process (UP) or the registry. */
void cell_set(struct cell *c, proc_id pid, uint64_t epoch, enum cell_state state,
              const char *reason);
/* Which consumer has the queue for himself; len 0: nobody. From the cell's process. */
void cell_set_exclusive(struct cell *c, const void *tag, size_t len);
/*
 * From the registry, when it learns that the run `dead` has ended: publishes `state` unless the
 * cell names another run by now. Whether it did.
 */
bool cell_fell(struct cell *c, proc_id dead, enum cell_state state, const char *reason);
/* A new epoch, above all before. */
uint64_t epoch_next(void);

#endif
