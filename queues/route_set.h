/*
 * route_set.h - what an exchange process makes and route() reads: immutable sets of bindings.
 *
 * An exchange's routes are a shared table from binding key to route_set; a fanout's bindings all
 * stand under the empty key. Bindings of one cell lie side by side.
 */
#ifndef QUEUES_ROUTE_SET_H
#define QUEUES_ROUTE_SET_H

#include "queues/route.h"

/* A new set with b added (referenced), or NULL when it is there already. `old` may be NULL. */
struct route_set *route_set_with(const struct route_set *old, const struct binding *b);

/* Whether b was there; then *ret is the new set, NULL when it is empty. */
bool route_set_without(const struct route_set *old, const struct binding *b,
                       struct route_set **ret);

/* Gives all references back; for table_open. */
void route_set_free(void *set);

/* The routes of an exchange, made when missing. */
struct table *routes_open(const char *vhost, uint64_t exchange_id);

#endif
