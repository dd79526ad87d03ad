/*
 * Requests that meet a process which is being restarted.
 */
#include "mgmt/again.h"

#include <stdio.h>
#include <string.h>

#include "mgmt/request.h"
#include "queues/cell.h"
#include "queues/registry.h"

/* One that is there again and ends again, each time: then something else is wrong. */
enum { TRIES_MAX = 50 };

static void name_registry(const char *vhost, char out[300])
{
    snprintf(out, 300, "registry:%s", vhost);
}

/* Whether it may wait once more. */
static bool has_time(struct request *r)
{
    struct http_again *a = &r->m->again;

    if (r->is_answering)
        return false;
    if (!a->until_us)
        a->until_us = proc_now_us() + AGAIN_US;
    return a->tries++ < TRIES_MAX && proc_now_us() < a->until_us;
}

static __attribute__((noreturn)) void begin_anew(struct request *r)
{
    struct msg_http_request *m = r->m;

    r->m = NULL;
    m->hdr.type = HTTP_AGAIN;
    PROC_SEND(proc_parent(), m);
    proc_exit(EXIT_NORMAL, 0, "begins anew");
}

void again_by_name(struct request *r, const char *name)
{
    if (!has_time(r))
        return;
    snprintf(r->m->again.name, sizeof(r->m->again.name), "%s", name);
    begin_anew(r);
}

void again_by_registry(struct request *r)
{
    char name[300];

    name_registry(r->vhost, name);
    again_by_name(r, name);
}

void again_by_queue(struct request *r, struct cell *queue, proc_id dead)
{
    if (!has_time(r))
        return;
    r->m->again.queue = cell_ref(queue);
    r->m->again.dead = dead;
    begin_anew(r);
}

void again_note(struct request *r, const struct msg *m)
{
    const struct msg_exit *down = (const struct msg_exit *)(const void *)m;

    if (m->type == MSG_DOWN && down->why.kind != EXIT_NOPROC)
        r->m->again.may_have_acted = true;
}

bool again_may_have_deleted(const struct request *r)
{
    return r->m && r->m->again.may_have_acted && r->m->method == HTTP_DELETE;
}

static void watch(struct await_queue *w)
{
    char name[300];

    name_registry(cell_vhost(w->queue), name);
    w->ref =
        proc_call(proc_whereis(name), &registry_watch_new(w->queue, w->dead)->hdr, PROC_NO_TIMEOUT);
}

void await_queue_begin(struct await_queue *w, struct cell *queue, proc_id dead)
{
    w->queue = queue;
    w->dead = dead;
    w->tries = 0;
    watch(w);
}

bool await_queue_handle(struct await_queue *w, const struct msg *m, bool *ret_over)
{
    char name[300];

    *ret_over = false;
    if (!w->queue || m->ref != w->ref)
        return false;
    if (m->type == MSG_NAMED) {
        watch(w);
    } else if (m->type == MSG_DOWN && w->tries++ < TRIES_MAX) { /* the registry restarts, too */
        name_registry(cell_vhost(w->queue), name);
        w->ref = proc_await(name);
    } else {
        w->ref = 0;
        *ret_over = true;
    }
    return true;
}

void await_queue_end(struct await_queue *w)
{
    if (w->ref)
        proc_cancel(w->ref);
    *w = (struct await_queue){0};
}

bool again_waits(struct request *r)
{
    struct http_again *a = &r->m->again;
    uint64_t now = proc_now_us();

    if (!a->queue && !*a->name)
        return false;
    r->again_timer = proc_timer(a->until_us > now ? a->until_us - now : 0);
    if (*a->name)
        r->again_named = proc_await(a->name);
    else
        await_queue_begin(&r->again_queue, a->queue, a->dead);
    return true;
}

/* What was awaited is forgotten: the views look at everything anew. */
static void end_wait(struct request *r)
{
    struct http_again *a = &r->m->again;

    if (r->again_named)
        proc_cancel(r->again_named);
    proc_cancel(r->again_timer);
    await_queue_end(&r->again_queue);
    r->again_named = r->again_timer = 0;
    *a->name = '\0';
    cell_unref(a->queue);
    a->queue = NULL;
}

bool again_handle(struct request *r, struct msg *m, bool *ret_over)
{
    if (!r->again_timer)
        return false;
    *ret_over = m->ref == r->again_timer || m->ref == r->again_named;
    if (!*ret_over && !await_queue_handle(&r->again_queue, m, ret_over))
        return false;
    if (*ret_over)
        end_wait(r);
    return true;
}
