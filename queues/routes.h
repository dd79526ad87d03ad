/*
 * routes.h - the routes of an exchange as its writer sees them: a shared table of route sets.
 *
 * What the keys are depends on the type: binding keys for direct exchanges, one empty key for
 * fanout, see topic.h and headers.h for the others. A table has one writer at a time: the registry
 * until the exchange's process has been started, that process while it lives, the registry once it
 * has been stopped for good.
 */
#ifndef QUEUES_ROUTES_H
#define QUEUES_ROUTES_H

#include <stdbool.h>
#include <stdint.h>

#include "queues/cell.h"
#include "queues/route_set.h"

/*
 * New routes for an exchange. `number`: never used before in this program's life (epoch_next), so
 * that those of a vhost that was deleted are never taken for those of a new one.
 */
struct table *routes_open(const char *vhost, uint64_t number);

/* Writer only. Adds (references taken) or removes; false: it was there, or was not there. */
bool routes_change(const struct cell *x, const struct binding *b, bool remove);

/* Calls fn for each binding, in no order; one may come more than once. Nobody changes meanwhile. */
void routes_each(const struct cell *x, void (*fn)(void *ctx, const struct binding *b), void *ctx);

/* Writer only. Removes everything. */
void routes_clear(const struct cell *x);

#endif
