/*
 * Jobs: taking lanes, waiting for answers, stalling while a partner is away, replying.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "broker/runtime/blob.h"
#include "queues/registry_hash.h"
#include "queues/registry_impl.h"

#define LANE_OF_NAME (1ull << 63) /* callers' lanes are smaller: they are taken first */

enum { BEGIN_AT_ONCE = 256 };

uint64_t lane_of(enum cell_kind kind, const struct blob *name)
{
    return registry_hash(kind, name ? (const void *)blob_bytes(name) : "",
                         name ? blob_size(name) : 0);
}

static void job_fini(void *m)
{
    struct job *j = m;

    cell_unref(j->cell);
    cell_unref(j->dest);
}

struct job *job_new(struct registry *r, struct msg *request, job_act begin)
{
    struct job *j = proc_alloc_owned(sizeof(*j), job_fini);

    if (request)
        proc_keep(request);
    j->request = request;
    j->begin = begin;
    TAILQ_INSERT_TAIL(&r->jobs, j, link);
    return j;
}

struct job *job_asked(struct registry *r, struct msg *request, job_act begin)
{
    struct job *j = job_new(r, request, begin);

    if (MSG_OF(struct msg_registry_any, request)->in_order)
        caller_join(r, j);
    return j;
}

void job_claim(struct job *j, uint64_t name, bool shared)
{
    lane_add(&j->claim, name | LANE_OF_NAME, shared);
}

static void begin(struct registry *r, struct job *j)
{
    if (j->caller && j->caller->is_refused)
        job_refuse(r, j, 541, "a request before this one was refused");
    else
        j->begin(r, j);
}

void job_start(struct registry *r, struct job *j)
{
    if (j->caller)
        lane_add(&j->claim, registry_hash(0, &j->caller->pid, sizeof(proc_id)) >> 1 | 1, false);
    if (lanes_take(&r->lanes, &j->claim))
        begin(r, j);
}

void job_begin_granted(struct registry *r)
{
    struct lane_claim *claim;

    for (int i = 0; i < BEGIN_AT_ONCE; i++) {
        claim = lane_line_take(&r->granted);
        if (!claim)
            return;
        begin(r, (struct job *)(void *)((char *)claim - offsetof(struct job, claim)));
    }
    if (r->granted.first)
        proc_continue();
}

void job_decided(struct registry *r, struct job *j)
{
    if (!j->caller || j->is_decided)
        return;
    j->is_decided = true;
    lanes_give_first(&r->lanes, &j->claim, &r->granted);
}

static void reply(struct job *j)
{
    struct msg_registry_reply *m;

    m = msg_new(REGISTRY_REPLY, sizeof(*m), registry_reply_drop);
    m->code = j->refusal.code;
    memcpy(m->text, j->refusal.text, sizeof(m->text));
    m->messages = j->messages;
    m->cell = j->refusal.code || !j->cell ? NULL : cell_ref(j->cell);
    proc_reply(j->request, &m->hdr);
    msg_drop(j->request);
}

void job_finish(struct registry *r, struct job *j)
{
    struct job *waiter = j->waiter;

    if (j->caller)
        caller_leave(r, j);
    if (j->request)
        reply(j);
    TAILQ_REMOVE(&r->jobs, j, link);
    lanes_give(&r->lanes, &j->claim, &r->granted);
    proc_free_owned(j);
    if (waiter && --waiter->n_waiting == 0)
        waiter->then(r, waiter, NULL);
}

void job_refuse(struct registry *r, struct job *j, uint16_t code, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(j->refusal.text, sizeof(j->refusal.text), fmt, args);
    va_end(args);
    j->refusal.code = code;
    job_finish(r, j);
}

void job_expect(struct registry *r, struct job *j, proc_ref ref)
{
    u64map_put(&r->by_ref, ref, (uintptr_t)j);
    j->n_waiting++;
}

/* 0: away. Only for partners that have a name. */
static proc_id partner_pid(const struct registry *r, enum partner with)
{
    return with == WITH_STORE ? r->store : with == WITH_QUEUES ? r->queues : r->exchanges;
}

static bool is_there(const struct registry *r, enum partner with)
{
    bool has_name = with == WITH_STORE || with == WITH_QUEUES || with == WITH_EXCHANGES;

    if (with == WITH_IDS)
        return r->ids_left > 0;
    return !has_name || partner_pid(r, with) != 0;
}

void job_act_with(struct registry *r, struct job *j, enum partner with, job_act act, job_then then)
{
    j->with = with;
    j->act = act;
    j->then = then;
    j->stalled = !is_there(r, with);
    if (!j->stalled)
        act(r, j);
}

/* The partner died over it. */
static void on_down(struct registry *r, struct job *j, const struct msg *m)
{
    struct cell *x;

    switch (j->with) {
    case WITH_STORE:
    case WITH_QUEUES:
    case WITH_EXCHANGES:
        /* The next one may be here already: then its name will not be heard of again. */
        j->stalled = partner_pid(r, j->with) == 0 || partner_pid(r, j->with) == m->from;
        if (!j->stalled)
            j->act(r, j);
        return;
    case WITH_EXCHANGE:
        x = subject_find(r, j->exchange_id) ? subject_find(r, j->exchange_id)->cell : NULL;
        if (x && cell_at(x)->state != CELL_PARKED) {
            /* Its next run says HELLO, unless it has done so before we heard of the end. */
            j->stalled = cell_at(x)->state != CELL_UP || cell_at(x)->pid == m->from;
            if (!j->stalled)
                j->act(r, j);
            return;
        }
        break;
    case WITH_QUEUE:
    case WITH_IDS:
    case WITH_NOBODY:
        break;
    }
    if (j->n_waiting == 0)
        j->then(r, j, NULL);
}

bool job_on_answer(struct registry *r, struct msg *m)
{
    uint64_t at;
    struct job *j;

    if (!m->ref || !u64map_del(&r->by_ref, m->ref, &at))
        return false;
    j = (struct job *)(uintptr_t)at;
    CHECK(j->n_waiting > 0);
    j->n_waiting--;
    if (m->type == MSG_DOWN)
        on_down(r, j, m);
    else if (j->n_waiting == 0)
        j->then(r, j, m);
    return true;
}

static struct job *first_stalled(struct registry *r, enum partner with, uint64_t exchange_id)
{
    struct job *j;

    TAILQ_FOREACH(j, &r->jobs, link) {
        if (j->stalled && j->with == with &&
            (with != WITH_EXCHANGE || j->exchange_id == exchange_id))
            return j;
    }
    return NULL;
}

void job_resume(struct registry *r, enum partner with, uint64_t exchange_id)
{
    struct job *j;

    /*
     * From the start each time: what acts may end, and let others begin and end. The ids that came
     * may be fewer than those who wait for one.
     */
    while (is_there(r, with) && (j = first_stalled(r, with, exchange_id)) != NULL) {
        j->stalled = false;
        j->act(r, j);
    }
}

void job_later(struct registry *r, struct job *j, job_then then)
{
    j->then = then;
    j->with = WITH_NOBODY;
    job_expect(r, j, proc_timer(0));
}

void job_with_ids(struct registry *r, struct job *j, job_act act)
{
    job_act_with(r, j, WITH_IDS, act, NULL);
}

/* Whether who waits for this cell, having seen `dead` end, may go on. */
static bool is_settled(const struct cell *c, proc_id dead)
{
    const struct cell_at *at = cell_at(c);

    return at->state == CELL_PARKED || at->state == CELL_DELETED ||
           (at->state == CELL_UP && at->pid != dead);
}

static void watch(struct registry *r, struct cell *c, const struct watcher *spec)
{
    struct watcher *w = proc_alloc(sizeof(*w));

    *w = *spec;
    w->cell_id = c->id;
    TAILQ_INSERT_TAIL(&r->watchers, w, link);
}

static void answer_watch(struct msg *request)
{
    proc_reply(request,
               msg_new(REGISTRY_REPLY, sizeof(struct msg_registry_reply), registry_reply_drop));
}

void on_watch(struct registry *r, struct msg *m)
{
    struct msg_registry_watch *w = MSG_OF(struct msg_registry_watch, m);

    if (is_settled(w->cell, w->dead)) {
        answer_watch(m);
        return;
    }
    proc_keep(m);
    watch(r, w->cell, &(struct watcher){.dead = w->dead, .request = m});
}

void job_watch(struct registry *r, struct job *j, job_then then)
{
    j->then = then;
    if (is_settled(j->cell, 0)) {
        then(r, j, NULL);
        return;
    }
    watch(r, j->cell, &(struct watcher){.job = j});
}

void job_on_cell(struct registry *r, struct cell *c)
{
    struct watcher *w, *next;

    for (w = TAILQ_FIRST(&r->watchers); w; w = next) {
        struct job *j = w->job;

        next = TAILQ_NEXT(w, link);
        if (w->cell_id != c->id || !is_settled(c, w->dead))
            continue;
        TAILQ_REMOVE(&r->watchers, w, link);
        if (w->request) {
            answer_watch(w->request);
            msg_drop(w->request);
        }
        proc_free(w);
        if (j) {
            j->then(r, j, NULL);
            next = TAILQ_FIRST(&r->watchers); /* a job may have changed the list */
        }
    }
}
