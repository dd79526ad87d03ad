/*
 * Routing: looking names and keys up in the vhost's tables, in place, by any process.
 */
#include "queues/route.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/runtime/alloc.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/region.h"
#include "broker/runtime/table.h"
#include "queues/route_set.h"

static void free_cell(void *cell)
{
    cell_unref(cell);
}

void vhost_tables_open(const char *vhost, struct vhost_tables *ret)
{
    char name[300];

    snprintf(name, sizeof(name), "vhost/%s/queues", vhost);
    ret->queues = table_open(name, free_cell);
    snprintf(name, sizeof(name), "vhost/%s/exchanges", vhost);
    ret->exchanges = table_open(name, free_cell);
}

struct cell *vhost_find_queue(const struct vhost_tables *t, const void *name, size_t len)
{
    return table_get(t->queues, name, len);
}

struct cell *vhost_find_exchange(const struct vhost_tables *t, const void *name, size_t len)
{
    return table_get(t->exchanges, name, len);
}

/* One queue may be bound by several keys or arguments; a set keeps its cells together. */
static size_t put_distinct(const struct route_set *set, struct cell **ret, size_t cap)
{
    const struct cell *before = NULL;
    size_t n = 0;

    for (uint32_t i = 0; i < set->n; i++) {
        struct cell *dest = set->binding[i].dest;

        if (dest == before)
            continue;
        before = dest;
        if (n < cap)
            ret[n] = dest;
        n++;
    }
    return n;
}

size_t route(const struct vhost_tables *t, const struct cell *x, const void *key, size_t key_len,
             struct cell **ret, size_t cap)
{
    const struct route_set *set;

    if (!x) { /* every queue is bound to the default exchange by its name (0-9-1 3.1.3.1) */
        struct cell *q = vhost_find_queue(t, key, key_len);

        if (q && cap > 0)
            ret[0] = q;
        return q != NULL;
    }
    if (x->type == EXCHANGE_FANOUT)
        key_len = 0; /* all bindings of a fanout exchange stand under one key */
    set = table_get(x->routes, key, key_len);
    return set ? put_distinct(set, ret, cap) : 0;
}

/*
 * Route sets: made new for each change, in the order of their cells.
 */

static void binding_take(struct binding *to, const struct binding *from)
{
    to->dest = cell_ref(from->dest);
    to->args = blob_ref(from->args);
    to->key = blob_ref(from->key);
    to->durable = from->durable;
}

void route_set_free(void *p)
{
    struct route_set *set = p;

    for (uint32_t i = 0; i < set->n; i++) {
        cell_unref(set->binding[i].dest);
        blob_unref(set->binding[i].args);
        blob_unref(set->binding[i].key);
    }
    rt_free(set);
}

static bool blobs_equal(const struct blob *a, const struct blob *b)
{
    size_t na = a ? blob_size(a) : 0, nb = b ? blob_size(b) : 0;

    return na == nb && (na == 0 || memcmp(blob_bytes(a), blob_bytes(b), na) == 0);
}

static bool is_same(const struct binding *a, const struct binding *b)
{
    return a->dest == b->dest && blobs_equal(a->key, b->key) && blobs_equal(a->args, b->args);
}

struct route_set *route_set_with(const struct route_set *old, const struct binding *b)
{
    RUNTIME_REGION();
    uint32_t n = old ? old->n : 0, at = 0;
    struct route_set *set;

    for (uint32_t i = 0; i < n; i++) {
        if (is_same(&old->binding[i], b))
            return NULL;
    }
    while (at < n && old->binding[at].dest->id <= b->dest->id)
        at++;
    set = rt_alloc(sizeof(*set) + (n + 1) * sizeof(struct binding));
    set->n = n + 1;
    for (uint32_t i = 0; i < at; i++)
        binding_take(&set->binding[i], &old->binding[i]);
    binding_take(&set->binding[at], b);
    for (uint32_t i = at; i < n; i++)
        binding_take(&set->binding[i + 1], &old->binding[i]);
    return set;
}

bool route_set_without(const struct route_set *old, const struct binding *b,
                       struct route_set **ret)
{
    RUNTIME_REGION();
    uint32_t n = old ? old->n : 0, at = 0;
    struct route_set *set;

    while (at < n && !is_same(&old->binding[at], b))
        at++;
    if (at == n)
        return false;
    *ret = NULL;
    if (n == 1)
        return true;
    set = rt_alloc(sizeof(*set) + (n - 1) * sizeof(struct binding));
    set->n = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (i != at)
            binding_take(&set->binding[set->n++], &old->binding[i]);
    }
    *ret = set;
    return true;
}

struct table *routes_open(const char *vhost, uint64_t exchange_id)
{
    char name[320];

    snprintf(name, sizeof(name), "vhost/%s/routes/%llu", vhost, (unsigned long long)exchange_id);
    return table_open(name, route_set_free);
}
