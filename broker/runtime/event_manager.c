/*
 * event_manager.c - the process that hands events to whoever subscribed.
 *
 * Duties: keeps the subscribers in the order in which they came; sends each event to all of them;
 * skips a subscriber that is too far behind, and tells it how many it missed.
 * Messages in: EVENT_NOTIFY, EVENT_SUBSCRIBE, EVENT_UNSUBSCRIBE, EVENT_ACK, MSG_DOWN of
 * subscribers. Messages out: MSG_EVENT to subscribers. Links: none of its own. Monitors: every
 * subscriber.
 *
 * Invariants:
 *   1. Every subscriber is in the list and, under its pid, in the map; it has one monitor.
 *   2. behind <= max_behind: events sent to it and not yet acknowledged.
 *   3. What a subscriber got and what it was told it missed add up to all events since it came.
 */
#include "broker/runtime/event_manager.h"

#include <stdio.h>
#include <sys/queue.h>

#include "broker/runtime/blob.h"
#include "broker/runtime/u64map.h"

enum {
    EVENT_NOTIFY = MSG_EVENT + 16,
    EVENT_SUBSCRIBE,
    EVENT_UNSUBSCRIBE,
    EVENT_ACK,
};

struct msg_event_notify {
    struct msg hdr;
    uint32_t kind;
    struct blob *body; /* NULL: none */
};

struct msg_event_subscribe {
    struct msg hdr;
    uint32_t max_behind;
};

struct subscriber {
    TAILQ_ENTRY(subscriber) link;
    proc_id pid;
    proc_ref monitor;
    uint64_t skipped; /* events missed since the last one it was sent */
    uint32_t behind, max_behind;
};

struct event_manager {
    TAILQ_HEAD(, subscriber) subscribers; /* in the order in which they came */
    struct u64map by_pid;                 /* to struct subscriber */
    uint64_t n_events, n_skipped;         /* in all, for inspect */
};

static void init(void *state, const void *arg)
{
    struct event_manager *em = state;

    (void)arg; /* it has no settings */
    TAILQ_INIT(&em->subscribers);
    u64map_init(&em->by_pid, proc_realloc, proc_free);
}

static struct subscriber *find(struct event_manager *em, proc_id pid)
{
    uint64_t *at = u64map_get(&em->by_pid, pid);

    return at ? (struct subscriber *)(uintptr_t)*at : NULL;
}

static void event_drop(struct msg *m)
{
    blob_unref(MSG_OF(struct msg_event, m)->body);
    msg_free(m);
}

static void notify_drop(struct msg *m)
{
    blob_unref(MSG_OF(struct msg_event_notify, m)->body);
    msg_free(m);
}

static void on_notify(struct event_manager *em, struct msg_event_notify *m)
{
    struct subscriber *sub;

    em->n_events++;
    TAILQ_FOREACH(sub, &em->subscribers, link) {
        struct msg_event *event;

        if (sub->behind == sub->max_behind) {
            sub->skipped++;
            em->n_skipped++;
            continue;
        }
        event = msg_new(MSG_EVENT, sizeof(*event), event_drop);
        event->kind = m->kind;
        event->skipped = sub->skipped;
        event->body = blob_ref(m->body);
        sub->skipped = 0;
        sub->behind++;
        PROC_SEND(sub->pid, event);
    }
}

static void on_subscribe(struct event_manager *em, struct msg_event_subscribe *m)
{
    struct subscriber *sub = find(em, m->hdr.from);

    if (sub) {
        sub->max_behind = m->max_behind > sub->behind ? m->max_behind : sub->behind;
        return;
    }
    sub = proc_zalloc(sizeof(*sub));
    sub->pid = m->hdr.from;
    sub->max_behind = m->max_behind;
    sub->monitor = proc_monitor(sub->pid);
    TAILQ_INSERT_TAIL(&em->subscribers, sub, link);
    u64map_put(&em->by_pid, sub->pid, (uintptr_t)sub);
}

/* Of a subscriber that died, or that unsubscribed: the one may follow upon the other. */
static void forget(struct event_manager *em, proc_id pid)
{
    struct subscriber *sub = find(em, pid);

    if (!sub)
        return;
    proc_cancel(sub->monitor);
    TAILQ_REMOVE(&em->subscribers, sub, link);
    (void)u64map_del(&em->by_pid, pid, NULL); /* found above */
    proc_free(sub);
}

static void on_ack(struct event_manager *em, proc_id from)
{
    struct subscriber *sub = find(em, from);

    if (!sub)
        return; /* it unsubscribed and then acknowledged what was under way */
    if (sub->behind > 0)
        sub->behind--;
}

static void handle(void *state, struct msg *m)
{
    struct event_manager *em = state;

    switch (m->type) {
    case EVENT_NOTIFY:
        on_notify(em, MSG_OF(struct msg_event_notify, m));
        break;
    case EVENT_SUBSCRIBE:
        on_subscribe(em, MSG_OF(struct msg_event_subscribe, m));
        break;
    case EVENT_UNSUBSCRIBE:
    case MSG_DOWN:
        forget(em, m->from);
        break;
    case EVENT_ACK:
        on_ack(em, m->from);
        break;
    default:
        proc_exit(EXIT_CRASH, (int)m->type, "an event manager knows no message %u", m->type);
    }
}

static size_t inspect(const void *state, char *out, size_t size)
{
    const struct event_manager *em = state;
    int n =
        snprintf(out, size, "{\"subscribers\":%u,\"events\":%llu,\"skipped\":%llu}", em->by_pid.n,
                 (unsigned long long)em->n_events, (unsigned long long)em->n_skipped);

    return (size_t)n < size ? (size_t)n : 0;
}

const struct proc_ops event_manager_ops = {
    .kind = "event_manager",
    .state_size = sizeof(struct event_manager),
    .init = init,
    .handle = handle,
    .inspect = inspect,
};

void event_notify(proc_id manager, uint32_t kind, struct blob *body)
{
    struct msg_event_notify *m = msg_new(EVENT_NOTIFY, sizeof(*m), notify_drop);

    m->kind = kind;
    m->body = body;
    PROC_SEND(manager, m);
}

void event_subscribe(proc_id manager, uint32_t max_behind)
{
    struct msg_event_subscribe *m = MSG_NEW(EVENT_SUBSCRIBE, struct msg_event_subscribe);

    m->max_behind = max_behind;
    PROC_SEND(manager, m);
}

void event_unsubscribe(proc_id manager)
{
    proc_send(manager, MSG_NEW(EVENT_UNSUBSCRIBE, struct msg));
}

void event_ack(proc_id manager)
{
    proc_send(manager, MSG_NEW(EVENT_ACK, struct msg));
}
