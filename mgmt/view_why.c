/*
 * Why a queue does not move: api/queues/V/Q/why. A verdict in one sentence, and what keeps messages
 * from going out, the weightiest first, as codes for programs and words for people.
 */
#include <stdio.h>

#include "broker/core/alarms.h"
#include "broker/runtime/region.h"
#include "mgmt/ask.h"
#include "mgmt/json.h"
#include "mgmt/views.h"
#include "queues/queue.h"

enum { PATIENCE_US = 3 * 1000 * 1000 };

struct why {
    json_t *reasons; /* lent by the answer that is made */
    bool is_stuck;
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
    w->is_stuck = json_array_size(w->reasons) > 0;
    if (s->is_store_missing && s->doing != QUEUE_IS_OPENING)
        add(w, "store_missing", NULL,
            "Its store is being restarted: nothing is confirmed until then.");
}

static void add_consumers(struct why *w, const struct msg_queue_standing *s)
{
    if (!s->n_consumers)
        add(w, "no_consumer", "Start a consumer, or look why it has gone.",
            "Nobody consumes from it.");
    if (s->n_prefetch_full)
        add(w, "prefetch_full", "They have to ack what they hold, or get a larger prefetch.",
            "%u of %u consumers hold as many unacked messages as their prefetch allows.",
            s->n_prefetch_full, s->n_consumers);
    if (s->n_share_full)
        add(w, "shared_prefetch_full", "They have to ack what their channel holds.",
            "%u of %u consumers wait for the prefetch that their channel shares.", s->n_share_full,
            s->n_consumers);
    if (s->n_output_full)
        add(w, "output_full", "The client reads more slowly than messages come.",
            "%u of %u consumers have not read yet what was sent to them.", s->n_output_full,
            s->n_consumers);
    if (s->is_reading && s->n_able)
        add(w, "reading", NULL, "The next messages are being read from the disk.");
    w->is_stuck = w->is_stuck || !s->n_able;
}

static const char *verdict_of(const struct why *w, const struct msg_queue_standing *s)
{
    if (!s->ready && w->is_stuck)
        return "It is busy with itself.";
    if (!s->ready && s->unacked)
        return "All its messages are with consumers, which have not acked them yet.";
    if (!s->ready)
        return "It is empty: there is nothing to deliver.";
    return w->is_stuck ? "Messages wait, and none goes out." : "Messages go out.";
}

static void finish(struct request *r, struct why *w, const char *verdict, bool is_moving,
                   json_t *oldest)
{
    json_t *ret = json_object();

    json_add_bool(ret, "is_moving", is_moving);
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

static void write_standing(struct request *r, const struct msg_queue_standing *s)
{
    RUNTIME_REGION();
    struct why w = {.reasons = json_array()};

    add_state(&w, s);
    if (s->ready)
        add_consumers(&w, s);
    add_alarms(&w);
    finish(r, &w, verdict_of(&w, s), s->ready && !w.is_stuck, oldest_json(s));
}

/* Of a queue that does not run. */
static void write_down(struct request *r, const struct cell *c)
{
    RUNTIME_REGION();
    const struct cell_at *at = cell_at(c);
    struct why w = {.reasons = json_array(), .is_stuck = true};

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
    write_standing(r,
                   MSG_OF(const struct msg_queue_standing, ask_queue_reply(r, m, QUEUE_STANDING)));
    request_finish(r);
}

const struct view views_why[] = {
    {"api/queues/x/x/why", HTTP_GET, VIEW_MANAGEMENT, VIEW_VHOST, start_why, handle_why},
    {0},
};
