/*
 * log_tail.c - the process that keeps the end of the log.
 *
 * Duties: subscribes to "log_events"; keeps the last lines and the last crash reports by reference;
 * answers those who ask, at once or with the next line.
 * In:  MSG_NAMED, MSG_DOWN (the event manager), MSG_EVENT, LOG_TAIL_ASK (whoever looks).
 * Out: LOG_TAIL_LINES; subscriptions and acknowledgements to the event manager.
 * Monitors the event manager, links to nobody.
 * Invariants:
 *   1. What is kept has at most LINES lines and BYTES bytes, and the crash reports.
 *   2. Ids rise by one from line to line, and begin above those of any earlier run.
 */
#include "broker/core/log_tail.h"

#include "broker/runtime/alloc.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/event_manager.h"

enum {
    LINES = 2000,
    BYTES = 1024 * 1024,
    BEHIND_MAX = 1000,
    WAITING_MAX = 64,  /* who is more gets an empty answer at once, and asks again */
    IDS_PER_MS = 1000, /* no log is faster for long */
};

/* A ring of references, which outlive the process's heap until free_rings. */
struct ring {
    uint32_t first, n, size;
    uint64_t bytes;
    struct log_tail_line line[];
};

struct tail {
    proc_id manager;
    uint64_t last_id;
    struct ring *lines, *crashes;
    uint32_t n_waiting;
    struct reply_to waiting[WAITING_MAX];
};

static struct ring *ring_new(uint32_t size)
{
    struct ring *r = rt_zalloc(sizeof(*r) + size * sizeof(r->line[0]));

    r->size = size;
    return r;
}

static struct log_tail_line *ring_at(struct ring *r, uint32_t i)
{
    return &r->line[(r->first + i) % r->size];
}

static void ring_drop_first(struct ring *r)
{
    struct log_tail_line *l = ring_at(r, 0);

    r->bytes -= blob_size(l->body);
    blob_unref(l->body);
    r->first = (r->first + 1) % r->size;
    r->n--;
}

static void ring_free(void *arg)
{
    struct ring *r = arg;

    while (r->n)
        ring_drop_first(r);
    rt_free(r);
}

static void ring_add(struct ring *r, uint64_t id, struct blob *body)
{
    while (r->n == r->size || (r->n && r->bytes + blob_size(body) > BYTES))
        ring_drop_first(r);
    *ring_at(r, r->n++) = (struct log_tail_line){id, blob_ref(body)};
    r->bytes += blob_size(body);
}

const struct log_event *log_tail_event(const struct log_tail_line *line)
{
    return (const struct log_event *)(const void *)blob_bytes(line->body);
}

static void drop_lines(struct msg *m)
{
    struct msg_log_tail_lines *l = MSG_OF(struct msg_log_tail_lines, m);

    for (uint32_t i = 0; i < l->n; i++)
        blob_unref(l->line[i].body);
    msg_free(m);
}

/* What is in r from the i-th one on, as an answer. */
static struct msg *lines_new(struct ring *r, uint32_t i)
{
    uint32_t n = r->n - i < LOG_TAIL_AT_ONCE ? r->n - i : LOG_TAIL_AT_ONCE;
    struct msg_log_tail_lines *l;

    l = msg_new(LOG_TAIL_LINES, sizeof(*l) + n * sizeof(l->line[0]), drop_lines);
    for (l->n = 0; l->n < n; l->n++) {
        struct log_tail_line *from = ring_at(r, i + l->n);

        l->line[l->n] = (struct log_tail_line){from->id, blob_ref(from->body)};
    }
    return &l->hdr;
}

/* The place of the first one behind `after`; r->n: there is none. */
static uint32_t find_after(struct ring *r, uint64_t after)
{
    uint64_t first = r->n ? ring_at(r, 0)->id : 0;

    if (!r->n || after < first)
        return 0;
    return after - first + 1 < r->n ? (uint32_t)(after - first + 1) : r->n;
}

static void on_ask(struct tail *t, struct msg *m)
{
    const struct msg_log_tail_ask *ask = MSG_OF(struct msg_log_tail_ask, m);
    struct ring *from = ask->only_crashes ? t->crashes : t->lines;
    uint32_t i = find_after(from, ask->only_crashes ? 0 : ask->after);

    if (ask->last > 0 && from->n - i > ask->last)
        i = from->n - ask->last;
    if (i < from->n || ask->only_crashes || ask->last > 0 || t->n_waiting == WAITING_MAX)
        proc_reply(m, lines_new(from, i));
    else
        t->waiting[t->n_waiting++] = proc_defer(m);
}

static void on_event(struct tail *t, const struct msg_event *m)
{
    const struct log_event *e = (const struct log_event *)(const void *)blob_bytes(m->body);

    ring_add(t->lines, ++t->last_id, m->body);
    if (e->crash_name_len > 0)
        ring_add(t->crashes, t->last_id, m->body);
    while (t->n_waiting)
        proc_reply_to(t->waiting[--t->n_waiting], lines_new(t->lines, t->lines->n - 1));
    event_ack(t->manager);
}

static void tail_init(void *state, const void *arg)
{
    struct tail *t = state;

    (void)arg;
    t->last_id = (uint64_t)proc_wall_ms() * IDS_PER_MS;
    t->lines = ring_new(LINES);
    proc_at_exit(ring_free, t->lines);
    t->crashes = ring_new(LOG_TAIL_CRASHES);
    proc_at_exit(ring_free, t->crashes);
    CHECK(proc_register("log_tail") == 0);
    (void)proc_await("log_events"); /* it may be a new one, later */
}

static void tail_handle(void *state, struct msg *m)
{
    struct tail *t = state;

    switch (m->type) {
    case MSG_NAMED:
        t->manager = m->from;
        proc_monitor(m->from);
        event_subscribe(m->from, BEHIND_MAX);
        return;
    case MSG_DOWN:
        (void)proc_await("log_events");
        return;
    case MSG_EVENT:
        on_event(t, MSG_OF(struct msg_event, m));
        return;
    case LOG_TAIL_ASK:
        on_ask(t, m);
        return;
    default:
        proc_exit(EXIT_CRASH, 0, "unknown message 0x%x", m->type);
    }
}

const struct proc_ops log_tail_ops = {
    .kind = "log_tail",
    .state_size = sizeof(struct tail),
    .init = tail_init,
    .handle = tail_handle,
};
