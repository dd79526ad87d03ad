/*
 * Views of queues: all, those of a vhost, one.
 */
#include "mgmt/list.h"
#include "mgmt/views.h"
#include "queues/route.h"

static void add_vhost(void *ctx, const char *vhost)
{
    struct request *r = ctx;

    if (request_may_see(r, vhost))
        cells_add_queues(&r->foreign->cells, vhost);
}

/* The cells' references become the list's. */
static void run(struct request *r)
{
    struct cells *c = &r->foreign->cells;

    list_begin(r, &list_of_queues);
    while (c->n)
        list_add(r, c->cell[--c->n]);
    list_run(r);
}

static void start_all(struct request *r)
{
    access_each_vhost(add_vhost, r);
    run(r);
}

static void start_vhost(struct request *r)
{
    add_vhost(r, r->vhost);
    run(r);
}

static void start_one(struct request *r)
{
    const struct path_segment *name = &r->path.segment[3];
    struct vhost_tables tables;
    const struct cell *c;

    vhost_tables_open(r->vhost, &tables);
    c = vhost_find_queue(&tables, name->p, name->len);
    if (!c || cell_at(c)->state == CELL_DELETED)
        request_fail_not_found(r);
    request_finish_json(r, queue_json(c, r->node));
}

const struct view views_queues[] = {
    {"api/queues", HTTP_GET, VIEW_MANAGEMENT, 0, start_all, NULL},
    {"api/queues/x", HTTP_GET, VIEW_MANAGEMENT, VIEW_VHOST, start_vhost, NULL},
    {"api/queues/x/x", HTTP_GET, VIEW_MANAGEMENT, VIEW_VHOST, start_one, NULL},
    {0},
};
