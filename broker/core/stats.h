/*
 * stats.h - what is counted, and the single-writer slots that it is counted in.
 *
 * A counter has one writer, and whoever likes reads it in place: nobody is asked, and counting is a
 * plain addition. What is counted for the node lies apart for each scheduler and is added up by who
 * reads it, so that these sums never go down, whoever ends.
 *
 * A slot belongs to a process (a connection, a channel) or to a part of it (a consumer). It is
 * shared by reference, stands in a list that everybody may read from when its process shows it, and
 * leaves the list when that process ends, however it ends.
 */
#ifndef BROKER_CORE_STATS_H
#define BROKER_CORE_STATS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/runtime/proc.h"

/* Only from the counter's one writer. */
static inline void stat_set(_Atomic uint64_t *to, uint64_t n)
{
    atomic_store_explicit(to, n, memory_order_relaxed);
}
static inline void stat_add(_Atomic uint64_t *to, uint64_t n)
{
    stat_set(to, atomic_load_explicit(to, memory_order_relaxed) + n);
}
static inline uint64_t stat_get(const _Atomic uint64_t *of)
{
    return atomic_load_explicit(of, memory_order_relaxed);
}

/* What happens to messages in a channel. */
enum message_stat {
    MESSAGES_RECEIVED,         /* published by clients */
    MESSAGES_RECEIVED_CONFIRM, /* of these, in confirm mode */
    MESSAGES_CONFIRMED,
    MESSAGES_ROUTED, /* to at least one queue */
    MESSAGES_RETURNED,
    MESSAGES_DROPPED, /* reached no queue and were not mandatory */
    MESSAGE_STATS
};

/* What queues give and take back, apart for each type of queue. */
enum delivery_stat {
    DELIVERED_AUTO_ACK,
    DELIVERED_MANUAL_ACK,
    GOT_AUTO_ACK,
    GOT_MANUAL_ACK,
    GOT_NOTHING,
    REDELIVERED,
    ACKNOWLEDGED,
    DELIVERY_STATS
};

enum queue_type { QUEUE_CLASSIC, QUEUE_QUORUM, QUEUE_TYPES };

enum churn_stat {
    CONNECTIONS_OPENED,
    CONNECTIONS_CLOSED,
    CHANNELS_OPENED,
    CHANNELS_CLOSED,
    PUBLISHERS_OPENED, /* channels that have published */
    PUBLISHERS_CLOSED,
    QUEUES_DECLARED, /* by declares, whether they were there or not */
    QUEUES_CREATED,
    QUEUES_DELETED,
    BYTES_RECEIVED, /* from clients of AMQP */
    BYTES_SENT,
    PACKETS_RECEIVED, /* reads and writes of sockets */
    PACKETS_SENT,
    CHURN_STATS
};

enum { MESSAGE_SIZES = 9 }; /* the last one is for what is above all bounds */

/* The largest size that belongs to each of the others. */
extern const uint64_t message_size_bounds[MESSAGE_SIZES - 1];

struct message_counts {
    _Atomic uint64_t n[MESSAGE_STATS];
    _Atomic uint64_t deliveries[QUEUE_TYPES][DELIVERY_STATS];
};

struct node_stats {
    struct message_counts messages;
    _Atomic uint64_t churn[CHURN_STATS];
    _Atomic uint64_t sizes[MESSAGE_SIZES], size_sum;
} __attribute__((aligned(64)));

/*
 * What the scheduler of the running process counts in; only its processes write there. It is the
 * same for all of a process's life. Not from a blocking process.
 */
struct node_stats *node_stats(void);

struct message_sums {
    uint64_t n[MESSAGE_STATS];
    uint64_t deliveries[QUEUE_TYPES][DELIVERY_STATS];
};

struct node_sums {
    struct message_sums messages;
    uint64_t churn[CHURN_STATS];
    uint64_t sizes[MESSAGE_SIZES], size_sum;
};

/* Those of all schedulers. Any process. */
void node_stats_sum(struct node_sums *ret);
void message_counts_add(struct message_sums *to, const struct message_counts *from);

/*
 * What the clients of a vhost have counted: apart for each scheduler, as the node's. It is shared
 * by reference, so that who is about to end may count when the vhost is gone.
 */
struct vhost_counts {
    struct message_counts messages;
    _Atomic uint64_t received, sent; /* bytes */
    char apart[64];                  /* from what another scheduler writes */
};

struct vhost_sums {
    struct message_sums messages;
    uint64_t received, sent;
};

struct vhost_stats;
/* The caller's reference. */
struct vhost_stats *vhost_stats_new(void);
struct vhost_stats *vhost_stats_ref(struct vhost_stats *v);
void vhost_stats_unref(struct vhost_stats *v); /* NULL is fine */
/* What the running process counts in, as with node_stats; valid as long as a reference. */
struct vhost_counts *vhost_stats_counts(struct vhost_stats *v);
void vhost_stats_sum(const struct vhost_stats *v, struct vhost_sums *ret);

/* A published message of that size. */
void node_stats_size(struct node_stats *s, uint64_t size_bytes);

enum { COMMIT_TIMES = 11 }; /* the last one is for what takes longer than all bounds */

/* The longest time, in microseconds, that belongs to each of the others. */
extern const uint64_t commit_time_bounds[COMMIT_TIMES - 1];

struct store_sums { /* of all stores */
    uint64_t groups, operations, bytes, syncs;
    uint64_t times[COMMIT_TIMES], time_sum_us;
    uint64_t reads, read_bytes, read_us; /* messages that were read back */
};

/*
 * A commit group was written: its operations, what went to the disk for it, and how long it took.
 * Any thread.
 */
void store_stats_group(uint64_t operations, uint64_t bytes, uint64_t syncs, uint64_t took_us);
/* So many messages were read back from a disk. Any thread. */
void store_stats_read(uint64_t messages, uint64_t bytes, uint64_t took_us);
void store_stats_sum(struct store_sums *ret);

/* What stores do between their commits, in steps. */
enum store_step {
    STORE_STEP_LOG, /* the log made longer ahead */
    STORE_STEP_CHECKPOINT,
    STORE_STEP_VACUUM,
    STORE_STEP_COMPACTION,
    STORE_STEP_TRIM,
    STORE_STEP_BACKUP,
    STORE_STEPS
};

struct store_step_sums {                       /* of one kind, of all stores */
    uint64_t times[COMMIT_TIMES], time_sum_us; /* by commit_time_bounds */
};

/* A step took so long. Any thread. */
void store_stats_step(enum store_step kind, uint64_t took_us);
void store_stats_steps(struct store_step_sums ret[STORE_STEPS]);
const char *store_step_name(enum store_step kind);

enum { CRASH_KINDS = 64, CRASH_REASONS = 16, CRASH_KIND_SIZE = 32 };

/* A process of this kind ended in this way (enum exit_kind), and not in good order. Any thread. */
void crash_stats_add(const char *kind, unsigned reason);
/* Calls fn for each kind and reason that there was. */
void crash_stats_each(void (*fn)(void *ctx, const char *kind, unsigned reason, uint64_t n),
                      void *ctx);

enum stat_kind { STAT_CONNECTION, STAT_CHANNEL, STAT_CONSUMER, STAT_KINDS };

struct series;

struct stat_history {                /* what the sampler knows of one object; freed with that */
    _Atomic(struct series *) series; /* NULL: nothing has changed for a while */
    _Atomic uint64_t mark;           /* of the values that were sampled last; 0: of all zero */
    _Atomic uint64_t changed_ms;     /* wall clock: when they last changed; 0: not yet sampled */
};

/* Nobody refers to the object any more. */
void stat_history_fini(struct stat_history *h);

struct stat_slot { /* the first member of what the slot holds */
    _Atomic uint32_t refs;
    enum stat_kind kind;
    proc_id owner;
    uint64_t number;         /* tells apart what belongs to one process */
    struct node_stats *node; /* of the owner's scheduler */
    struct stat_history history;
    void (*closed)(struct stat_slot *s); /* it left the list; region RUNTIME. NULL: nothing to do */
    void (*free)(struct stat_slot *s);   /* nobody refers to it any more */
    struct stat_slot *next, **at;        /* in the list, under its lock; at NULL: not there */
};

/* Of the running process; the caller's reference. The rest of `size` bytes is zero. */
void *stat_slot_new(size_t size, enum stat_kind kind, uint64_t number,
                    void (*free_fn)(struct stat_slot *));
struct stat_slot *stat_slot_ref(struct stat_slot *s);
/* NULL is fine. Any process. */
void stat_slot_unref(struct stat_slot *s);

/*
 * From its owner, once: lists it until stat_slot_hide or the owner's end, which also give back the
 * caller's reference. What readers may read plainly must be there by now.
 */
void stat_slot_show(struct stat_slot *s);
/* From its owner, which may not touch it any more. NULL is fine. */
void stat_slot_hide(struct stat_slot *s);

struct stat_slots { /* all zero: none. Each is a reference */
    struct stat_slot **slot;
    size_t n, size;
    unsigned line; /* the next one to be gathered */
};

/*
 * Adds a part of all that are listed of a kind; false once all have been. Each that is listed all
 * the time is there exactly once.
 */
bool stat_slots_gather(struct stat_slots *to, enum stat_kind kind);
/* Takes a reference of its own. */
void stat_slots_add(struct stat_slots *to, struct stat_slot *s);
void stat_slots_fini(struct stat_slots *s);
/* A reference; NULL: not there. */
struct stat_slot *stat_slot_find(enum stat_kind kind, proc_id owner, uint64_t number);
/* How many are listed. */
uint64_t stat_slots_count(enum stat_kind kind);

#endif
