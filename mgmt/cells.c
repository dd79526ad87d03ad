/*
 * The cells of queues and exchanges, and sums of their counters.
 */
#include "mgmt/cells.h"

#include "broker/runtime/alloc.h"
#include "broker/runtime/region.h"
#include "broker/runtime/table.h"
#include "mgmt/json.h"
#include "queues/route.h"

void cells_fini(struct cells *c)
{
    for (size_t i = 0; i < c->n; i++)
        cell_unref(c->cell[i]);
    rt_free(c->cell);
    *c = (struct cells){0};
}

void cells_add(struct cells *c, struct cell *cell)
{
    if (c->n == c->size) {
        c->size = c->size ? 2 * c->size : 64;
        c->cell = rt_realloc(c->cell, c->size * sizeof(struct cell *));
    }
    c->cell[c->n++] = cell;
}

static int add_cell(void *ctx, const void *key, size_t len, void *value)
{
    (void)key;
    (void)len;
    if (cell_at(value)->state != CELL_DELETED)
        cells_add(ctx, cell_ref(value));
    return 0;
}

void cells_add_queues(struct cells *c, const char *vhost)
{
    struct vhost_tables tables;

    vhost_tables_open(vhost, &tables);
    (void)table_each(tables.queues, add_cell, c); /* add_cell never stops it */
}

void cells_add_exchanges(struct cells *c, const char *vhost)
{
    struct vhost_tables tables;

    vhost_tables_open(vhost, &tables);
    (void)table_each(tables.exchanges, add_cell, c); /* as above */
}
