/*
 * registry.h - all changes of a vhost's topology, one at a time in memory, many to a commit group.
 *
 * Registered as "registry:<vhost>". Channels call it; it writes rows where they must last, tells
 * exchange and queue processes, and answers when the change is durable and visible to every later
 * publish. After a crash it learns the durable part from the store and the rest from the tables, so
 * a caller that got DOWN awaits the name and asks again: every request is idempotent.
 */
#ifndef QUEUES_REGISTRY_H
#define QUEUES_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/runtime/proc.h"
#include "queues/cell.h"

struct blob;

enum {
    REGISTRY_QUEUE_DECLARE = 0x140, /* calls; the reply is REGISTRY_REPLY */
    REGISTRY_QUEUE_DELETE,
    REGISTRY_EXCHANGE_DECLARE,
    REGISTRY_EXCHANGE_DELETE,
    REGISTRY_BIND,
    REGISTRY_UNBIND,
    REGISTRY_REPLY,
    REGISTRY_WATCH,         /* call, a channel: answered (code 0) once the cell is parked, deleted,
                               or up as another run than the dead one */
    REGISTRY_CELL_UP,       /* cast, a queue or exchange that has just set its cell to UP */
    REGISTRY_RELEASE_OWNER, /* call, a closing connection: its exclusive queues are deleted */
    REGISTRY_QUEUE_UNUSED,  /* cast, queue to registry: the last consumer of an auto-delete queue
                               has gone; deleted if that is still so */
    REGISTRY_POLICIES,      /* call, node: the vhost's policies are others: answered when each queue
                               and exchange has those that apply to it now */
    EXCHANGE_HELLO = 0x160, /* cast, exchange to registry: up, wants its bindings */
    EXCHANGE_SET,           /* call, registry to exchange: binds and unbinds, in order */
    EXCHANGE_DONE,          /* reply: every later publish sees it */
};

/*
 * How declares, deletes, binds and unbinds begin. A caller that asks again before it was answered,
 * and ends at its first refusal, says in_order: its requests are then decided in the order in which
 * they came, and none behind a refused one is carried out.
 */
struct msg_registry_any {
    struct msg hdr;
    bool in_order;
};

struct msg_registry_declare { /* queues and exchanges */
    struct msg hdr;
    bool in_order; /* struct msg_registry_any */
    bool passive;
    uint32_t flags;    /* enum cell_flags */
    proc_id owner;     /* the connection, always: it decides about exclusive ones */
    struct blob *name; /* empty or NULL: server-named */
    bool is_made;      /* the registry's: it has made the name */
    struct blob *type; /* exchanges: "direct"... */
    struct blob *args; /* field table bytes; NULL: empty */
};

struct msg_registry_delete {
    struct msg hdr;
    bool in_order; /* struct msg_registry_any */
    bool if_unused, if_empty;
    proc_id owner;
    struct blob *name;
};

struct msg_registry_bind { /* BIND and UNBIND */
    struct msg hdr;
    bool in_order; /* struct msg_registry_any */
    bool to_exchange;
    proc_id owner;
    struct blob *source, *dest, *key, *args;
};

struct msg_registry_watch { /* WATCH; drop unrefs the cell. The caller looks at the cell again */
    struct msg hdr;
    struct cell *cell;
    proc_id dead; /* the run that the caller saw end; 0: none */
};

struct msg_registry_cell_up { /* CELL_UP */
    struct msg hdr;
    uint64_t id; /* the cell's */
};

struct msg_registry_owner { /* RELEASE_OWNER */
    struct msg hdr;
    proc_id owner;
};

struct msg_queue_unused { /* REGISTRY_QUEUE_UNUSED */
    struct msg hdr;
    uint64_t queue_id;
};

struct msg_registry_reply { /* drop unrefs the cell */
    struct msg hdr;
    uint16_t code;     /* 0, or a reply code */
    struct cell *cell; /* DECLARE: a reference */
    uint64_t messages; /* DELETE: how many were ready */
    char text[256];    /* for the client: "no queue 'q' in vhost '/'" */
};

struct msg_exchange_hello { /* HELLO */
    struct msg hdr;
    uint64_t exchange_id;
};

void registry_reply_drop(struct msg *reply);

struct exchange_change {
    bool remove;
    bool durable;
    struct cell *dest; /* a reference */
    struct blob *key, *args;
};

struct msg_exchange_set { /* drop gives the references back */
    struct msg hdr;
    bool reset; /* this is all there should be: what else is there goes */
    uint32_t n, cap;
    struct exchange_change change[];
};

struct exchange_arg { /* the arg blob of exchange_ops */
    struct cell *cell;
};

struct registry_arg { /* the arg blob of registry_ops */
    char vhost[256];
};

extern const struct proc_ops registry_ops;
extern const struct proc_ops exchange_ops;

struct binding;

/* An empty list of changes with room for `cap`. */
struct msg_exchange_set *exchange_set_new(uint32_t cap);
/* Adds a change (references taken); *m may move. */
void exchange_set_add(struct msg_exchange_set **m, const struct binding *b, bool remove);

/* Constructors: names and arguments are copied into blobs; drop unrefs them. */
struct msg_registry_declare *registry_declare_new(uint32_t type, const void *name, size_t len);
struct msg_registry_delete *registry_delete_new(uint32_t type, const void *name, size_t len);
struct msg_registry_bind *registry_bind_new(uint32_t type);
struct msg_registry_watch *registry_watch_new(struct cell *cell, proc_id dead);
/* Sets the cell of the running process to UP with this epoch, and tells the registry. */
void registry_cell_up(struct cell *cell, uint64_t epoch);

#endif
