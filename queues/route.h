/*
 * route.h - from an exchange and a routing key to the cells of queues; what a channel does for each
 * publish, in place, against the tables.
 */
#ifndef QUEUES_ROUTE_H
#define QUEUES_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "queues/cell.h"

struct binding { /* immutable, in a route_set */
    struct cell *dest;       /* referenced */
    struct blob *key, *args; /* referenced; NULL: empty */
    bool durable;
};

struct route_set { /* the value of an exchange's routes under one key; immutable */
    uint32_t n;
    struct binding binding[];
};

struct vhost_tables { /* found once by a channel or registry, kept as long as it lives */
    struct table *queues, *exchanges; /* name to struct cell */
};

/* Opens (or makes) a vhost's tables by its name. */
void vhost_tables_open(const char *vhost, struct vhost_tables *ret);
/* NULL: no such name. Lent until the handler returns; cell_ref to keep. */
struct cell *vhost_find_queue(const struct vhost_tables *t, const void *name, size_t len);
struct cell *vhost_find_exchange(const struct vhost_tables *t, const void *name, size_t len);

/*
 * Writes the cells of all queues that a message with this key reaches, each once, at most `cap`,
 * and returns how many there are (more than cap: call again with room). `x` NULL is the default
 * exchange. `headers` are the field table bytes of the headers property (may be empty).
 */
size_t route(const struct vhost_tables *t, const struct cell *x, const void *key, size_t key_len,
             struct cell **ret, size_t cap);

#endif
