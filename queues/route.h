/*
 * route.h - from an exchange and a routing key to the cells of queues; what a channel does for each
 * publish, in place, against the tables.
 */
#ifndef QUEUES_ROUTE_H
#define QUEUES_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "amqp/codec/bytes.h"
#include "queues/cell.h"
#include "queues/ptrset.h"

struct vhost_tables { /* found once by a channel or registry, kept as long as it lives */
    struct table *queues, *exchanges; /* name to struct cell */
    struct table *default_exchange;   /* the empty key to its struct default_exchange */
};

/* Opens (or makes) a vhost's tables by its name. */
void vhost_tables_open(const char *vhost, struct vhost_tables *ret);
/* NULL: no such name. Lent until the handler returns; cell_ref to keep. */
struct cell *vhost_find_queue(const struct vhost_tables *t, const void *name, size_t len);
struct cell *vhost_find_exchange(const struct vhost_tables *t, const void *name, size_t len);
struct default_exchange { /* what is counted of it, which has no cell */
    struct exchange_stats stats;
    struct stat_history history;
    struct vhost_stats *vhost;         /* what is counted of the whole vhost; a reference */
    struct stat_history vhost_history; /* of that, and of the lengths of its queues */
    _Atomic uint64_t ready, unacked;   /* of its queues, as of the last sample */
};

/* Of a vhost, the caller's reference; NULL: it never served. */
struct vhost_stats *vhost_stats_of(const char *vhost);
/* NULL: its vhost never served. Valid until the handler returns. */
struct default_exchange *vhost_default_exchange(const struct vhost_tables *t);
/* Makes that when missing. The registry only. */
void vhost_make_default_exchange(const struct vhost_tables *t);

struct route_query {             /* all of it lent */
    const struct cell *exchange; /* NULL: the default exchange */
    struct amqp_bytes key;
    struct amqp_bytes headers;      /* the headers property's table; may be empty */
    struct amqp_bytes more_keys[2]; /* contents of arrays (CC, BCC): strings are keys too */
};

struct routed { /* where a message goes, and what routing needs meanwhile; on the caller's stack */
    struct ptrset queues;    /* struct cell, each once; lent until the handler returns */
    struct ptrset exchanges; /* those that it went through */
};

/*
 * Routes a message: through exchanges bound to exchanges, each once, and to the alternate exchange
 * of one that finds nothing. `ret` is ready for routed_fini; memory for more than a few queues
 * comes from the two functions (proc_realloc and proc_free in a process).
 */
void route(const struct vhost_tables *t, const struct route_query *q, struct routed *ret,
           void *(*realloc_fn)(void *, size_t), void (*free_fn)(void *));
void routed_fini(struct routed *r);

static inline struct cell *routed_queue(const struct routed *r, uint32_t i)
{
    return (struct cell *)(uintptr_t)r->queues.item[i];
}

/*
 * The keys that a message's headers add to its own, for route_query: 0, or the name of the header
 * ("CC", "BCC") that is no array. *ret_has_bcc: what is delivered must not show it.
 */
const char *route_more_keys(struct amqp_bytes headers, struct amqp_bytes ret[2], bool *ret_has_bcc);

#endif
