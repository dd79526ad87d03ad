/*
 * What there is: subjects by id, bindings by hash and under both their ends.
 */
#include <string.h>

#include "broker/runtime/blob.h"
#include "queues/registry_hash.h"
#include "queues/registry_impl.h"

struct subject *subject_find(struct registry *r, uint64_t id)
{
    uint64_t *at = u64map_get(&r->by_id, id);

    return at ? (struct subject *)(uintptr_t)*at : NULL;
}

static void subject_fini(void *m)
{
    cell_unref(((struct subject *)m)->cell);
}

struct subject *subject_add(struct registry *r, struct cell *c)
{
    struct subject *s = subject_find(r, c->id);

    if (s)
        return s;
    s = proc_alloc_owned(sizeof(*s), subject_fini);
    s->cell = cell_ref(c);
    LIST_INIT(&s->as_source);
    LIST_INIT(&s->as_dest);
    u64map_put(&r->by_id, c->id, (uintptr_t)s);
    r->n_queues += c->kind == CELL_QUEUE;
    return s;
}

void subject_remove(struct registry *r, struct cell *c)
{
    struct subject *s = subject_find(r, c->id);

    if (!s)
        return;
    while (!LIST_EMPTY(&s->as_source))
        bound_remove(r, LIST_FIRST(&s->as_source));
    while (!LIST_EMPTY(&s->as_dest))
        bound_remove(r, LIST_FIRST(&s->as_dest));
    if (s->is_owned)
        LIST_REMOVE(s, by_owner);
    u64map_del(&r->by_id, c->id, NULL);
    r->n_queues -= c->kind == CELL_QUEUE;
    proc_free_owned(s);
}

static uint64_t hash_of(const struct cell *source, const struct binding *b)
{
    return registry_binding_hash(source->id, b->dest->id, b->key, b->args);
}

struct bound *bound_find(struct registry *r, const struct cell *source, const struct binding *b)
{
    uint64_t *at = u64map_get(&r->by_hash, hash_of(source, b));

    return at ? (struct bound *)(uintptr_t)*at : NULL;
}

static void bound_fini(void *m)
{
    struct bound *b = m;

    cell_unref(b->source);
    cell_unref(b->binding.dest);
    blob_unref(b->binding.key);
    blob_unref(b->binding.args);
}

void bound_add(struct registry *r, struct cell *source, const struct binding *b)
{
    struct subject *s = subject_find(r, source->id), *d = subject_find(r, b->dest->id);
    struct bound *n;

    if (!s || !d || bound_find(r, source, b))
        return;
    n = proc_alloc_owned(sizeof(*n), bound_fini);
    n->hash = hash_of(source, b);
    n->source = cell_ref(source);
    n->binding = (struct binding){.dest = cell_ref(b->dest),
                                  .key = blob_ref(b->key),
                                  .args = blob_ref(b->args),
                                  .durable = b->durable};
    atomic_store_explicit(&source->was_bound, true, memory_order_relaxed);
    LIST_INSERT_HEAD(&s->as_source, n, by_source);
    LIST_INSERT_HEAD(&d->as_dest, n, by_dest);
    u64map_put(&r->by_hash, n->hash, (uintptr_t)n);
}

void bound_remove(struct registry *r, struct bound *b)
{
    LIST_REMOVE(b, by_source);
    LIST_REMOVE(b, by_dest);
    u64map_del(&r->by_hash, b->hash, NULL);
    proc_free_owned(b);
}

void exchange_reset(struct registry *r, struct subject *x, proc_id pid)
{
    struct msg_exchange_set *m = exchange_set_new(16);
    struct bound *b;

    (void)r;
    m->reset = true;
    LIST_FOREACH(b, &x->as_source, by_source)
        exchange_set_add(&m, &b->binding, false);
    /* Whoever waits sends a set of its own behind. */
    (void)proc_call(pid, &m->hdr, PROC_NO_TIMEOUT);
}
