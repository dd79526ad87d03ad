/*
 * Walks: slots first, then each vhost's queues and exchanges, a part of them at a time.
 */
#include "mgmt/walk.h"

#include <string.h>

#include "broker/core/access.h"
#include "broker/runtime/region.h"
#include "broker/runtime/table.h"
#include "mgmt/list.h"
#include "mgmt/request.h"
#include "queues/cell.h"

enum { VHOST_NEXT, VHOST_QUEUES, VHOST_EXCHANGES };

static void add_vhost(struct walk *w, const char *vhost)
{
    if (w->n_vhosts == w->cap_vhosts) {
        w->cap_vhosts = w->cap_vhosts ? 2 * w->cap_vhosts : 4;
        w->vhost = proc_realloc(w->vhost, w->cap_vhosts * sizeof(w->vhost[0]));
    }
    strcpy(w->vhost[w->n_vhosts++], vhost); /* a vhost's name is shorter than its place */
}

static void add_if_seen(void *ctx, const char *vhost)
{
    struct walk *w = ctx;

    if (request_may_see(w->request, vhost))
        add_vhost(w, vhost);
}

void walk_init(struct walk *w, struct request *r, void *ctx)
{
    *w = (struct walk){.request = r, .ctx = ctx};
}

void walk_add_kind(struct walk *w, enum stat_kind kind)
{
    w->kinds |= 1u << kind;
}

void walk_only(struct walk *w, const char *vhost)
{
    w->has_vhosts = true;
    if (*vhost)
        add_vhost(w, vhost);
}

void walk_again(struct walk *w)
{
    w->has_vhosts = false;
    w->n_vhosts = w->vhost_at = 0;
}

static enum stat_kind first_kind(const struct walk *w)
{
    enum stat_kind kind = 0;

    while (!(w->kinds >> kind & 1))
        kind++;
    return kind;
}

static void step_slots(struct walk *w)
{
    enum stat_kind kind = first_kind(w);
    struct stat_slots *part = &w->request->foreign->slots;

    part->line = w->at;
    if (!stat_slots_gather(part, kind))
        w->kinds &= ~(1u << kind);
    w->at = w->kinds >> kind & 1 ? part->line : 0;
    for (size_t i = 0; i < part->n; i++)
        w->on_slot(w, part->slot[i]);
    {
        RUNTIME_REGION();

        stat_slots_fini(part);
    }
}

static int call_queue(void *ctx, const void *key, size_t len, void *value)
{
    struct walk *w = ctx;

    (void)key, (void)len;
    if (cell_at(value)->state != CELL_DELETED)
        w->on_queue(w, value);
    return 0;
}

static int call_exchange(void *ctx, const void *key, size_t len, void *value)
{
    struct walk *w = ctx;

    (void)key, (void)len;
    if (cell_at(value)->state != CELL_DELETED)
        w->on_exchange(w, value);
    return 0;
}

static void next_phase(struct walk *w, uint8_t phase)
{
    w->phase = phase;
    w->at = 0;
}

static void step_vhost(struct walk *w)
{
    switch (w->phase) {
    case VHOST_NEXT:
        vhost_tables_open(w->vhost[w->vhost_at], &w->tables);
        if (w->on_vhost)
            w->on_vhost(w, w->vhost[w->vhost_at]);
        w->vhost_at++;
        next_phase(w, VHOST_QUEUES);
        break;
    case VHOST_QUEUES:
        if (!w->on_queue || !table_each_part(w->tables.queues, &w->at, call_queue, w))
            next_phase(w, VHOST_EXCHANGES);
        break;
    default:
        if (!w->on_exchange || !table_each_part(w->tables.exchanges, &w->at, call_exchange, w))
            next_phase(w, VHOST_NEXT);
        break;
    }
}

/* One small step; false: there is none left. */
static bool step(struct walk *w)
{
    if (w->kinds) {
        step_slots(w);
        return true;
    }
    if (!w->has_vhosts) {
        w->has_vhosts = true;
        access_each_vhost(add_if_seen, w);
    }
    if (w->phase == VHOST_NEXT && w->vhost_at == w->n_vhosts)
        return false;
    step_vhost(w);
    return true;
}

bool walk_go_on(struct walk *w)
{
    while (step(w)) {
        if (proc_is_over_us(REQUEST_TURN_US)) {
            proc_continue();
            return false;
        }
    }
    return true;
}

struct walk *walk_list_begin(struct request *r, const struct list_ops *ops)
{
    struct walk *w = proc_alloc(sizeof(*w));

    list_begin(r, ops);
    walk_init(w, r, NULL);
    if (r->vhost)
        walk_only(w, r->vhost);
    r->state = w;
    return w;
}

void walk_list_add(struct walk *w, struct cell *c)
{
    list_add(w->request, cell_ref(c));
}

void walk_list_go_on(struct request *r)
{
    if (walk_go_on(r->state))
        list_run(r);
}

void walk_list_continue(struct request *r, struct msg *m)
{
    CHECK(m->type == MSG_CONTINUE);
    walk_list_go_on(r);
}
