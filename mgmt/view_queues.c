/*
 * Views of queues: all, those of a vhost, one.
 */
#include <string.h>

#include "broker/core/access.h"
#include "mgmt/request.h"
#include "queues/route.h"

/* Writes what the turn has time for. */
static void go_on(struct request *r)
{
    struct foreign *f = r->foreign;

    for (; r->at < f->cells.n; r->at++) {
        if (!request_may_go_on(r->at)) {
            proc_continue();
            return;
        }
        text_add_comma(&f->out);
        text_add_json(&f->out, queue_json(f->cells.cell[r->at], r->node));
    }
    text_add_str(&f->out, "]");
    request_finish(r);
}

static void begin(struct request *r)
{
    text_add_str(&r->foreign->out, "[");
    go_on(r);
}

static void on_continue(struct request *r, struct msg *m)
{
    CHECK(m->type == MSG_CONTINUE);
    go_on(r);
}

static void add_vhost(void *ctx, const char *vhost)
{
    cells_add_queues(ctx, vhost);
}

static void start_all(struct request *r)
{
    cells_each_vhost(add_vhost, &r->foreign->cells);
    begin(r);
}

/* The vhost that the path names; a name with NUL in it is nobody's. */
static const char *vhost_of(const struct request *r)
{
    const struct path_segment *s = &r->path.segment[2];

    if (memchr(s->p, '\0', s->len) || !access_has_vhost(s->p, s->len))
        request_fail_not_found();
    return s->p;
}

static void start_vhost(struct request *r)
{
    cells_add_queues(&r->foreign->cells, vhost_of(r));
    begin(r);
}

static void start_one(struct request *r)
{
    const struct path_segment *name = &r->path.segment[3];
    struct vhost_tables tables;
    const struct cell *c;

    vhost_tables_open(vhost_of(r), &tables);
    c = vhost_find_queue(&tables, name->p, name->len);
    if (!c || cell_at(c)->state == CELL_DELETED)
        request_fail_not_found();
    text_add_json(&r->foreign->out, queue_json(c, r->node));
    request_finish(r);
}

const struct view view_queues = {
    .pattern = "api/queues",
    .method = HTTP_GET,
    .start = start_all,
    .handle = on_continue,
};

const struct view view_vhost_queues = {
    .pattern = "api/queues/x",
    .method = HTTP_GET,
    .start = start_vhost,
    .handle = on_continue,
};

const struct view view_queue = {
    .pattern = "api/queues/x/x",
    .method = HTTP_GET,
    .start = start_one,
};
