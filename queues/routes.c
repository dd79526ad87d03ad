/*
 * Routes of an exchange: the writer's side, for all types.
 */
#include "queues/routes.h"

#include <stdio.h>

#include "broker/runtime/blob.h"
#include "broker/runtime/table.h"
#include "queues/headers.h"
#include "queues/topic.h"

struct table *routes_open(const char *vhost, uint64_t number)
{
    char name[320];

    snprintf(name, sizeof(name), "vhost/%s/routes/%llu", vhost, (unsigned long long)number);
    return table_open(name, route_set_free);
}

static bool change_at(struct table *t, const struct blob *at, const struct binding *b, bool remove)
{
    size_t len;
    const void *key = binding_bytes(at, &len);
    struct route_set *old = table_get(t, key, len);
    struct route_set *set = remove ? route_set_without(old, b) : route_set_with(old, b);

    if (!set)
        return false;
    if (set->n > 0) {
        table_put(t, key, len, set);
        return true;
    }
    route_set_free(set);
    (void)table_del(t, key, len); /* it was there */
    return true;
}

bool routes_change(const struct cell *x, const struct binding *b, bool remove)
{
    switch (x->type) {
    case EXCHANGE_TOPIC:
        return topic_change(x->routes, b, remove);
    case EXCHANGE_HEADERS:
        return headers_change(x->routes, b, remove);
    case EXCHANGE_FANOUT:
        return change_at(x->routes, NULL, b, remove);
    default:
        return change_at(x->routes, b->key, b, remove);
    }
}

struct each {
    void (*fn)(void *ctx, const struct binding *b);
    void *ctx;
};

static int each_set(void *ctx, const void *key, size_t len, void *value)
{
    const struct each *e = ctx;
    const struct route_set *set = value;

    (void)key, (void)len;
    for (uint32_t c = 0; c < set->n_chunks; c++) {
        for (uint32_t i = 0; i < set->chunk[c]->n; i++)
            e->fn(e->ctx, &set->chunk[c]->binding[i]);
    }
    return 0;
}

void routes_each(const struct cell *x, void (*fn)(void *ctx, const struct binding *b), void *ctx)
{
    struct each e = {.fn = fn, .ctx = ctx};

    (void)table_each(x->routes, each_set, &e); /* each_set never stops it */
}

static int clear_one(void *ctx, const void *key, size_t len, void *value)
{
    (void)value;
    (void)table_del(ctx, key, len); /* the walk goes on in the version that it began with */
    return 0;
}

void routes_clear(const struct cell *x)
{
    (void)table_each(x->routes, clear_one, x->routes); /* clear_one never stops it */
}
