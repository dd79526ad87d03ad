/*
 * slice_inside.c - in a calm the broker agrees with itself about its topology, whatever anybody was
 * told: the tables that channels route by, the registry's index, the rows of the store.
 *
 * Invariants, by the names under which they fail:
 * 1. "topology agrees": each cell is in the tables under its name and is up; a binding's ends are
 *    both there; the registry has as many of each, and nothing under way.
 * 2. "rows agree": what lasts is there after the next start as it was before, and nothing else.
 */
#include <stdlib.h>
#include <string.h>

#include "broker/runtime/table.h"
#include "queues/invariant.h"
#include "queues/registry_hash.h"
#include "queues/route.h"
#include "queues/routes.h"
#include "tests/sim/rt_ledger.h"
#include "tests/sim/sim.h"
#include "tests/sim/slice.h"

struct view {
    struct vhost_tables tables;
    const struct cell *source;
    uint32_t n_cells, n_bindings, cap_seen;
    uint64_t *seen;  /* hashes of the bindings, as an exchange may show one twice */
    uint64_t n_last; /* of what outlives the program */
    uint64_t sum;    /* of all that does, in no order */
};

static struct {
    uint64_t n, sum;
} before;

static void on_lasting(struct view *v, uint64_t hash)
{
    v->n_last++;
    v->sum += hash;
}

static uint64_t name_hash(const struct cell *c)
{
    return registry_hash(c->kind, cell_name(c), c->name_len);
}

static void on_binding(void *ctx, const struct binding *b)
{
    struct view *v = ctx;
    uint64_t hash =
        registry_binding_hash(name_hash(v->source), name_hash(b->dest), b->key, b->args);
    const struct cell *named =
        b->dest->kind == CELL_QUEUE
            ? vhost_find_queue(&v->tables, cell_name(b->dest), b->dest->name_len)
            : vhost_find_exchange(&v->tables, cell_name(b->dest), b->dest->name_len);

    if (named != b->dest)
        sim_fail("topology agrees", "%s is bound to %s, which is not there any more",
                 cell_name(b->dest), cell_name(v->source));
    for (uint32_t i = 0; i < v->n_bindings; i++)
        if (v->seen[i] == hash)
            return;
    GROW(v->seen, v->n_bindings, v->cap_seen);
    v->seen[v->n_bindings++] = hash;
    if (v->source->flags & b->dest->flags & CELL_DURABLE)
        on_lasting(v, hash);
}

static int on_cell(void *ctx, const void *key, size_t len, void *value)
{
    struct view *v = ctx;
    const struct cell *c = value;

    if (len != c->name_len || memcmp(key, cell_name(c), len) != 0 || cell_at(c)->state != CELL_UP)
        sim_fail("topology agrees", "%s is in state %d", cell_name(c), cell_at(c)->state);
    v->n_cells++;
    if (c->flags & CELL_DURABLE)
        on_lasting(v, name_hash(c) + c->flags);
    v->source = c;
    if (c->kind == CELL_EXCHANGE)
        routes_each(c, on_binding, v);
    return 0;
}

static struct view look(void)
{
    struct view v = {0};

    vhost_tables_open("/", &v.tables);
    (void)table_each(v.tables.exchanges, on_cell, &v);
    (void)table_each(v.tables.queues, on_cell, &v);
    free(v.seen);
    return v;
}

void slice_look_inside(void)
{
    struct registry_counts known = registry_counts;
    struct view v = look();

    if (known.cells != v.n_cells || known.bindings != v.n_bindings || known.jobs > 0)
        sim_fail("topology agrees",
                 "%u cells and %u bindings are seen, and the registry has %u and %u, and %u jobs",
                 v.n_cells, v.n_bindings, known.cells, known.bindings, known.jobs);
    before.n = v.n_last;
    before.sum = v.sum;
}

void slice_compare_inside(void)
{
    struct view v = look();

    if (v.n_last != before.n || v.sum != before.sum)
        sim_fail("rows agree", "%llu names and bindings came back, and %llu were to",
                 (unsigned long long)v.n_last, (unsigned long long)before.n);
}
