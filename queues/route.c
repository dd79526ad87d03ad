/*
 * Routing: looking names and keys up in the vhost's tables, in place, by any process.
 *
 * Exchanges are gone through in the order in which they are reached, each once, so that cycles end.
 * What one set of bindings holds is in the order of its cells: doubles stand side by side there,
 * and only a second set needs to be compared with what was found before.
 *
 * What a topic exchange finds for a key takes a look-up for each node of its trie, and is
 * remembered for the version of its table. Only what depends on that table alone is: neither what
 * goes on through other exchanges, nor that nothing was found, where there may be an alternate or
 * a policy may bring one.
 */
#include "queues/route.h"

#include <stdio.h>
#include <string.h>

#include "amqp/codec/table.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/memo.h"
#include "broker/runtime/table.h"
#include "queues/headers.h"
#include "queues/policies.h"
#include "queues/route_set.h"
#include "queues/topic.h"

static void free_cell(void *cell)
{
    cell_unref(cell);
}

static void free_default(void *exchange)
{
    struct default_exchange *d = exchange;

    stat_history_fini(&d->history);
    stat_history_fini(&d->vhost_history);
    vhost_stats_unref(d->vhost);
    rt_free(d);
}

void vhost_tables_open(const char *vhost, struct vhost_tables *ret)
{
    char name[300];

    snprintf(name, sizeof(name), "vhost/%s/queues", vhost);
    ret->queues = table_open(name, free_cell);
    snprintf(name, sizeof(name), "vhost/%s/exchanges", vhost);
    ret->exchanges = table_open(name, free_cell);
    snprintf(name, sizeof(name), "vhost/%s/default_exchange", vhost);
    ret->default_exchange = table_open(name, free_default);
}

struct cell *vhost_find_queue(const struct vhost_tables *t, const void *name, size_t len)
{
    return table_get(t->queues, name, len);
}

struct cell *vhost_find_exchange(const struct vhost_tables *t, const void *name, size_t len)
{
    return table_get(t->exchanges, name, len);
}

struct default_exchange *vhost_default_exchange(const struct vhost_tables *t)
{
    return table_get(t->default_exchange, "", 0);
}

void vhost_make_default_exchange(const struct vhost_tables *t)
{
    struct default_exchange *d;

    if (vhost_default_exchange(t))
        return;
    d = rt_zalloc(sizeof(*d));
    d->vhost = vhost_stats_new();
    table_put(t->default_exchange, "", 0, d);
}

struct vhost_stats *vhost_stats_of(const char *vhost)
{
    struct default_exchange *d;
    struct vhost_tables tables;

    vhost_tables_open(vhost, &tables);
    d = vhost_default_exchange(&tables);
    return d ? vhost_stats_ref(d->vhost) : NULL;
}

struct router {
    const struct vhost_tables *tables;
    const struct route_query *q;
    struct routed *out;
    bool has_hit; /* of the exchange that it is in now */
};

/* is_new: the destination is known not to be among the queues yet. */
static void take(struct router *r, const struct cell *dest, bool is_new)
{
    r->has_hit = true;
    if (dest->kind == CELL_EXCHANGE)
        (void)ptrset_add(&r->out->exchanges, dest);
    else if (is_new)
        ptrset_push(&r->out->queues, dest);
    else
        (void)ptrset_add(&r->out->queues, dest);
}

static void on_set(void *ctx, const struct route_set *set)
{
    struct router *r = ctx;
    bool is_new = r->out->queues.n == 0;
    const struct cell *before = NULL;

    for (uint32_t c = 0; c < set->n_chunks; c++) {
        const struct route_chunk *chunk = set->chunk[c];

        for (uint32_t i = 0; i < chunk->n; i++) {
            if (chunk->binding[i].dest != before)
                take(r, chunk->binding[i].dest, is_new);
            before = chunk->binding[i].dest;
        }
    }
}

static void on_binding(void *ctx, const struct binding *b)
{
    take(ctx, b->dest, false);
}

static void route_topic(struct router *r, const struct cell *x, struct amqp_bytes key)
{
    struct topic_query q = {.table = x->routes,
                            .key = (const char *)key.p,
                            .len = key.len,
                            .realloc = r->out->queues.realloc,
                            .free = r->out->queues.free,
                            .hit = on_set,
                            .ctx = r};

    (void)topic_match(&q);
}

static void route_headers(struct router *r, const struct cell *x)
{
    struct headers_query q = {.table = x->routes,
                              .headers = r->q->headers,
                              .realloc = r->out->queues.realloc,
                              .free = r->out->queues.free,
                              .hit = on_binding,
                              .ctx = r};

    headers_match(&q);
}

/* In an exchange to which the key matters; NULL: every queue is bound to the default exchange by
 * its name (0-9-1 3.1.3.1). */
static void route_key(struct router *r, const struct cell *x, struct amqp_bytes key)
{
    const struct route_set *set;
    const struct cell *q;

    if (!x) {
        q = vhost_find_queue(r->tables, key.p, key.len);
        if (q)
            take(r, q, false);
    } else if (x->type == EXCHANGE_TOPIC) {
        route_topic(r, x, key);
    } else {
        set = table_get(x->routes, key.p, key.len);
        if (set)
            on_set(r, set);
    }
}

static void route_keys(struct router *r, const struct cell *x)
{
    route_key(r, x, r->q->key);
    for (int i = 0; i < 2; i++) {
        struct ftable_iter it = ftable_begin(r->q->more_keys[i]);
        struct ftable_value v;

        while (r->q->more_keys[i].len > 0 && ftable_next_element(&it, &v) == 1) {
            if (v.type == 'S')
                route_key(r, x, v.bytes);
        }
    }
}

/* The alternate exchange of one that has found nothing. */
static void route_alternate(struct router *r, const struct cell *x)
{
    const struct cell *alternate = NULL;
    struct amqp_bytes name;

    if (!cell_setting_text(x, "alternate-exchange", &name))
        return;
    if (name.len > 0) {
        alternate = vhost_find_exchange(r->tables, name.p, name.len);
        if (!alternate)
            return;
    }
    (void)ptrset_add(&r->out->exchanges, alternate);
}

static bool may_have_alternate(const struct cell *x)
{
    return x->args || cell_policy(x);
}

static void route_in(struct router *r, const struct cell *x)
{
    const struct route_set *set;

    r->has_hit = false;
    if (x && x->type == EXCHANGE_FANOUT) {
        set = table_get(x->routes, "", 0);
        if (set)
            on_set(r, set);
    } else if (x && x->type == EXCHANGE_HEADERS) {
        route_headers(r, x);
    } else {
        route_keys(r, x);
    }
    if (!r->has_hit && x && may_have_alternate(x))
        route_alternate(r, x);
}

static void route_anew(struct router *r)
{
    struct ptrset *exchanges = &r->out->exchanges;

    for (uint32_t i = 0; i < exchanges->n; i++)
        route_in(r, exchanges->item[i]);
}

static bool may_remember(const struct route_query *q)
{
    return q->exchange && q->exchange->type == EXCHANGE_TOPIC && q->more_keys[0].len == 0 &&
           q->more_keys[1].len == 0;
}

static void route_remembered(struct router *r, struct memo *memo)
{
    const struct cell *x = r->q->exchange;
    const struct amqp_bytes *key = &r->q->key;
    uint64_t version = table_version(x->routes); /* asked for before anything is looked up */
    const struct memo_entry *e = memo_get(memo, version, key->p, key->len);
    struct ptrset *queues = &r->out->queues;

    if (e) {
        for (unsigned i = 0; i < e->n; i++)
            ptrset_push(queues, e->item[i]);
        return;
    }
    route_anew(r);
    if (r->out->exchanges.n == 1 && queues->n > 0)
        memo_put(memo, version, key->p, key->len, queues->item, queues->n);
}

void route(const struct vhost_tables *t, const struct route_query *q, struct routed *ret,
           void *(*realloc_fn)(void *, size_t), void (*free_fn)(void *))
{
    struct router r = {.tables = t, .q = q, .out = ret};
    struct memo *memo = may_remember(q) ? memo_here() : NULL;

    ptrset_init(&ret->queues, realloc_fn, free_fn);
    ptrset_init(&ret->exchanges, realloc_fn, free_fn);
    ptrset_push(&ret->exchanges, q->exchange);
    if (memo)
        route_remembered(&r, memo);
    else
        route_anew(&r);
}

void routed_fini(struct routed *r)
{
    ptrset_fini(&r->queues);
    ptrset_fini(&r->exchanges);
}

const char *route_more_keys(struct amqp_bytes headers, struct amqp_bytes ret[2], bool *ret_has_bcc)
{
    static const char *const names[] = {"CC", "BCC"};
    struct ftable_value v;

    *ret_has_bcc = false;
    for (int i = 0; i < 2; i++) {
        ret[i] = amqp_bytes(NULL, 0);
        if (ftable_lookup(headers, names[i], &v) != 1)
            continue;
        if (v.type != 'A')
            return names[i];
        ret[i] = v.bytes;
        *ret_has_bcc = i == 1;
    }
    return NULL;
}
