/*
 * Why a queue does not move: api/queues/V/Q/why. A verdict in one sentence, and what keeps messages
 * from going out, the weightiest first, as codes for programs and words for people.
 */
#include <stdio.h>

#include "broker/core/alarms.h"
#include "broker/runtime/region.h"
#include "mgmt/ask.h"
#include "mgmt/json.h"
#include "mgmt/sampled.h"
#include "mgmt/views.h"
#include "queues/queue.h"

enum { PATIENCE_US = 3 * 1000 * 1000 };

#define MUCH_MORE 1.1 /* times what goes out: less is told from chance by nobody */

struct why {
    json_t *reasons; /* lent by the answer that is made */
    bool is_busy;    /* with something else: nothing goes out meanwhile */
    bool is_stuck;   /* nothing can go out right now */
};

/* Messages in a second, by the two newest samples. */
struct flow {
    double in, out;
};

__attribute__((format(printf, 4, 5))) static void add(struct why *w, const char *code,
                                                      const char *advice, const char *fmt, ...)
{
    json_t *one = json_object();
    char words[256];
    va_list args;

    va_start(args, fmt);
    vsnprintf(words, sizeof(words), fmt, args);
    va_end(args);
    json_add_text(one, "code", code);
    json_add_text(one, "words", words);
    json_add_text(one, "advice", advice);
    (void)json_array_append_new(w->reasons, one); /* fails only without memory: not shown */
}

/* What is so whatever the queue's process says. */
static void add_alarms(struct why *w)
{
    unsigned alarms = alarms_now();

    if (alarms & ALARM_MEMORY)
        add(w, "memory_alarm", "Consume or purge messages, or raise the limit.",
            "The node is low on memory: whoever publishes waits.");
    if (alarms & ALARM_DISK)
        add(w, "disk_alarm", "Free space on the disk of the data directory.",
            "The node is low on disk space: whoever publishes waits.");
}

static void add_state(struct why *w, const struct msg_queue_standing *s)
{
    if (s->doing == QUEUE_IS_OPENING)
        add(w, "opening", NULL, "It has been started and waits for its store.");
    if (s->doing == QUEUE_IS_ATTACHING)
        add(w, "attaching", NULL,
            "It was restarted, and its consumers' channels are coming back to it.");
    if (s->doing == QUEUE_IS_DELETING)
        add(w, "deleting", NULL, "It is being deleted.");
    if (s->is_purging)
        add(w, "purging", NULL, "A purge is under way.");
    if (s->is_returning)
        add(w, "returning", NULL, "What a channel that went held is put back in its place.");
    w->is_busy = json_array_size(w->reasons) > 0;
    if (s->is_store_missing && s->doing != QUEUE_IS_OPENING)
        add(w, "store_missing", NULL,
            "Its store is being restarted: nothing is confirmed until then.");
}

/* So many of the consumers are `how`. */
static void add_full(struct why *w, const struct msg_queue_standing *s, uint32_t n,
                     const char *code, const char *advice, const char *how)
{
    if (n && s->n_consumers == 1)
        add(w, code, advice, "Its only consumer is full, %s", how);
    else if (n)
        add(w, code, advice, "%u of %u consumers are full, %s", n, s->n_consumers, how);
}

static void add_consumers(struct why *w, const struct msg_queue_standing *s)
{
    if (!s->n_consumers)
        add(w, "no_consumer", "Start a consumer, or look why it has gone.",
            "Nobody consumes from it.");
    add_full(w, s, s->n_prefetch_full, "prefetch_full",
             "What is held has to be acked, or the prefetch be larger.",
             "with as many unacked messages as the prefetch allows.");
    add_full(w, s, s->n_share_full, "shared_prefetch_full",
             "What the channel holds has to be acked.",
             "waiting for the prefetch that the channel shares.");
    add_full(w, s, s->n_output_full, "output_full",
             "The client reads more slowly than messages come.",
             "not having read yet what was sent.");
    if (s->is_reading && s->n_able)
        add(w, "reading", NULL, "The next messages are being read from the disk.");
    w->is_stuck = !s->n_able;
}

static void add_transactions(struct why *w, const struct msg_queue_standing *s)
{
    if (s->n_held_by_tx)
        add(w, "transaction", NULL, "%llu of its messages wait for the end of transactions.",
            (unsigned long long)s->n_held_by_tx);
}

/* Consumers that are full now and again are as it should be while messages flow. */
static bool is_moving(const struct why *w, const struct msg_queue_standing *s,
                      const struct flow *flow)
{
    return !w->is_busy && (flow->out > 0 || (s->ready && !w->is_stuck));
}

static const char *verdict_of(const struct why *w, const struct msg_queue_standing *s,
                              const struct flow *flow)
{
    if (w->is_busy)
        return s->ready ? "Messages wait, and none goes out." : "It is busy with itself.";
    if (!s->ready && flow->out > 0)
        return "It keeps up: what comes in goes out.";
    if (!s->ready && s->unacked)
        return "All its messages are with consumers, which have not acked them yet.";
    if (!s->ready)
        return "It is empty: there is nothing to deliver.";
    if (!is_moving(w, s, flow))
        return "Messages wait, and none goes out.";
    if (flow->in > MUCH_MORE * flow->out)
        return "Messages go out, but more come in.";
    return w->is_stuck ? "Messages go out as fast as they are acked." : "Messages go out.";
}

static void finish(struct request *r, struct why *w, const char *verdict, bool moves,
                   json_t *oldest)
{
    json_t *ret = json_object();

    json_add_bool(ret, "is_moving", moves);
    json_add_text(ret, "verdict", verdict);
    json_add(ret, "reasons", w->reasons);
    json_add(ret, "oldest", oldest);
    text_add_json(&r->foreign->out, ret);
}

static json_t *oldest_json(const struct msg_queue_standing *s)
{
    json_t *ret;

    if (s->oldest_us == UINT64_MAX)
        return json_null();
    ret = json_object();
    json_add_count(ret, "age_ms", s->oldest_us / 1000);
    json_add_bool(ret, "at_least", s->is_older);
    return ret;
}

static struct flow flow_of(const struct cell *c)
{
    const struct series *s = sampled_series(&c->history);
    uint64_t out = 1ull << OF_QUEUE_DELIVER | 1ull << OF_QUEUE_DELIVER_NO_ACK |
                   1ull << OF_QUEUE_GET | 1ull << OF_QUEUE_GET_NO_ACK;

    return (struct flow){.in = series_rate(s, 1ull << OF_QUEUE_PUBLISH),
                         .out = series_rate(s, out)};
}

static void write_standing(struct request *r, const struct cell *c,
                           const struct msg_queue_standing *s)
{
    RUNTIME_REGION();
    struct why w = {.reasons = json_array()};
    struct flow flow = flow_of(c);

    add_state(&w, s);
    if (s->ready)
        add_consumers(&w, s);
    add_transactions(&w, s);
    add_alarms(&w);
    finish(r, &w, verdict_of(&w, s, &flow), is_moving(&w, s, &flow), oldest_json(s));
}

/* Of a queue that does not run. */
static void write_down(struct request *r, const struct cell *c)
{
    RUNTIME_REGION();
    const struct cell_at *at = cell_at(c);
    struct why w = {.reasons = json_array(), .is_busy = true};

    if (at->state == CELL_PARKED)
        add(&w, "parked", "See its crash report; it is tried again by itself, ever more seldom.",
            "It failed too often and rests: %s", at->reason);
    else
        add(&w, "restarting", NULL, "It is being started.");
    add_alarms(&w);
    finish(r, &w, "It does not run.", false, json_null());
}

static void start_why(struct request *r)
{
    const struct cell *c = ask_queue(r, 3);
    const struct cell_at *at = cell_at(c);

    if (at->state != CELL_UP) {
        write_down(r, c);
        request_finish(r);
    }
    r->asked = proc_call(at->pid, &queue_ask_new(QUEUE_WHY, at->epoch)->hdr, PATIENCE_US);
}

static void handle_why(struct request *r, struct msg *m)
{
    CHECK(m->ref == r->asked);
    if (m->type == MSG_TIMEOUT)
        request_fail(r, 503, "the queue does not answer in time");
    m = ask_queue_reply(r, m, QUEUE_STANDING);
    write_standing(r, ask_queue(r, 3), MSG_OF(const struct msg_queue_standing, m));
    request_finish(r);
}

const struct view views_why[] = {
    {"api/queues/x/x/why", HTTP_GET, VIEW_MANAGEMENT, VIEW_VHOST, start_why, handle_why},
    {0},
};
