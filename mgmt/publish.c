/*
 * Publishing for a view. Each queue gets at most one message at a time, so that no credit is needed
 * beyond what every publisher has from the beginning (queue.h: CREDIT_INITIAL_MESSAGES).
 */
#include "mgmt/publish.h"

#include <stdio.h>
#include <string.h>

#include "amqp/codec/props.h"
#include "amqp/codec/record.h"
#include "amqp/codec/table.h"
#include "mgmt/again.h"
#include "mgmt/ask.h"
#include "mgmt/request.h"
#include "persistence/store.h"
#include "queues/queue.h"
#include "queues/route.h"
#include "queues/strip.h"

enum part_state {
    PART_WAITS, /* for the queue's next run, to be sent to that */
    PART_SENT,
    PART_SYNCS, /* its run has ended, but the store had it before: when that has written it */
    PART_DONE,
};

struct publish_part {
    struct cell *queue; /* a reference */
    enum part_state state;
    bool is_taken; /* QUEUE_TAKEN has come */
    uint64_t epoch;
    proc_id run;
    proc_ref ref; /* SENT: of the monitor; SYNCS: of the call */
    struct await_queue wait;
};

struct publish_parts { /* goes with the process */
    uint32_t n;
    struct publish_part part[];
};

static void check_props(struct request *r, const struct record *record)
{
    struct amqp_bytes props = record_props(record), user;
    uint8_t mode;
    uint64_t ms;

    if (props_find(props, PROP_USER_ID, &user) && !amqp_bytes_is(user, r->user) &&
        !request_has_tag(r, ACCESS_IMPERSONATOR))
        request_fail(r, 400, "the user_id property is not the user's name");
    if (props_delivery_mode(props, &mode) && mode != PROPS_TRANSIENT && mode != PROPS_PERSISTENT)
        request_fail(r, 400, "the delivery_mode property is neither 1 nor 2");
    if (record_has_expiration(record) && props_parse_expiration(record_expiration(record), &ms) < 0)
        request_fail(r, 400, "the expiration property is not a number of milliseconds");
}

/* NULL: the default exchange. */
static struct cell *find_exchange(struct request *r, const struct vhost_tables *t,
                                  struct amqp_bytes name)
{
    struct cell *x;
    char text[640];

    if (name.len == 0)
        return NULL;
    x = vhost_find_exchange(t, name.p, name.len);
    if (!x) {
        snprintf(text, sizeof(text), "404 NOT_FOUND - no exchange '%.*s' in vhost '%s'",
                 (int)name.len, (const char *)name.p, r->vhost);
        request_fail(r, 400, text); /* RabbitMQ's status and words */
    }
    if (x->flags & CELL_INTERNAL)
        request_fail_right(r, "the exchange is internal: nobody publishes to it");
    return x;
}

static void check_more_keys(struct request *r, struct amqp_bytes exchange,
                            const struct route_query *q)
{
    for (size_t i = 0; i < sizeof(q->more_keys) / sizeof(q->more_keys[0]); i++) {
        struct ftable_iter it = ftable_begin(q->more_keys[i]);
        struct ftable_value v;

        while (ftable_next_element(&it, &v) == 1) {
            if (v.type == 'S')
                ask_topic_right(r, exchange, v.bytes, ACCESS_WRITE);
        }
    }
}

/* No queue is given a message while one of them is down. */
static void check_not_down(struct request *r, const struct cell *queue)
{
    const struct cell_at *at = cell_at(queue);
    char text[512];

    if (at->state != CELL_PARKED)
        return;
    snprintf(text, sizeof(text), "queue '%s' in vhost '%s' is down: %s", cell_name(queue), r->vhost,
             at->reason);
    request_fail(r, 503, text);
}

static void end_part(struct publish *p, struct publish_part *part)
{
    part->state = PART_DONE;
    part->ref = 0;
    if (--p->waits == 0 && p->timer) {
        proc_cancel(p->timer);
        p->timer = 0;
    }
}

/* Not for longer than requests wait at all. */
static void limit_wait(struct publish *p)
{
    if (!p->timer)
        p->timer = proc_timer(AGAIN_US);
}

/* To the run that is there, or to the next one. */
static void send_part(struct request *r, struct publish *p, struct publish_part *part)
{
    const struct cell_at *at = cell_at(part->queue);
    struct msg_queue_publish *m;

    check_not_down(r, part->queue);
    if (at->state == CELL_DELETED) { /* it counts as one that has taken it */
        end_part(p, part);
        return;
    }
    if (at->state != CELL_UP || at->pid == part->run) {
        part->state = PART_WAITS;
        limit_wait(p);
        await_queue_begin(&part->wait, part->queue, part->run);
        return;
    }
    m = queue_publish_new(at->epoch, 1);
    m->wants_taken = true;
    m->item[0] = (struct publish_item){.record = record_ref(r->foreign->record), .tag = p->tag};
    m->n = 1;
    part->state = PART_SENT;
    part->epoch = at->epoch;
    part->run = at->pid;
    part->ref = proc_monitor(at->pid);
    PROC_SEND(at->pid, m);
}

static void free_parts(void *arg)
{
    const struct publish_parts *parts = arg;

    for (uint32_t i = 0; i < parts->n; i++)
        cell_unref(parts->part[i].queue);
}

/* Of so many queues, which are added by add_part. */
static void make_parts(struct publish *p, uint32_t n)
{
    if (p->parts)
        proc_free_owned(p->parts);
    p->parts = proc_alloc_owned(sizeof(*p->parts) + n * sizeof(p->parts->part[0]), free_parts);
    p->n = p->waits = 0;
    p->tag++;
}

static void add_part(struct publish *p, struct cell *queue)
{
    p->parts->part[p->parts->n] = (struct publish_part){.queue = cell_ref(queue)};
    p->parts->n++;
    p->n++;
    p->waits++;
}

static void send_all(struct request *r, struct publish *p)
{
    p->store = ask_store(r);
    for (uint32_t i = 0; i < p->n; i++)
        check_not_down(r, p->parts->part[i].queue);
    for (uint32_t i = 0; i < p->n; i++)
        send_part(r, p, &p->parts->part[i]);
}

static void count(_Atomic uint64_t *to, uint64_t n)
{
    atomic_fetch_add_explicit(to, n, memory_order_relaxed);
}

/* As a channel in confirm mode counts what is published with it, mandatory. */
static void count_publish(const struct vhost_tables *t, struct cell *exchange,
                          const struct record *record, uint32_t n_queues)
{
    struct default_exchange *none = exchange ? NULL : vhost_default_exchange(t);
    struct exchange_stats *to = exchange ? &exchange->exchange_stats : none ? &none->stats : NULL;
    struct node_stats *node = node_stats();

    if (to) {
        count(&to->publish_in, 1);
        count(&to->publish_out, n_queues);
    }
    stat_add(&node->messages.n[MESSAGES_RECEIVED], 1);
    stat_add(&node->messages.n[MESSAGES_RECEIVED_CONFIRM], 1);
    stat_add(&node->messages.n[MESSAGES_CONFIRMED], 1);
    stat_add(&node->messages.n[n_queues > 0 ? MESSAGES_ROUTED : MESSAGES_RETURNED], 1);
    node_stats_size(node, record_body_len(record));
}

void publish_route(struct request *r, struct publish *p)
{
    struct record *record = r->foreign->record;
    struct amqp_bytes exchange = record_exchange(record);
    struct route_query q = {.key = record_key(record), .headers = record_headers(record)};
    struct vhost_tables tables;
    struct cell *x;
    struct routed to;
    bool has_bcc = false;

    vhost_tables_open(r->vhost, &tables);
    ask_right(r, ACCESS_EXCHANGE, exchange, ACCESS_WRITE);
    q.exchange = x = find_exchange(r, &tables, exchange);
    check_props(r, record);
    if (route_more_keys(q.headers, q.more_keys, &has_bcc))
        request_fail(r, 400, "the headers CC and BCC are arrays");
    ask_topic_right(r, exchange, q.key, ACCESS_WRITE);
    check_more_keys(r, exchange, &q);
    route(&tables, &q, &to, proc_realloc, proc_free);
    make_parts(p, to.queues.n);
    for (uint32_t i = 0; i < to.queues.n; i++)
        add_part(p, routed_queue(&to, i));
    routed_fini(&to);
    count_publish(&tables, x, record, p->n);
    if (has_bcc) {
        r->foreign->record = record_strip(record, "BCC");
        record_unref(record);
    }
    send_all(r, p);
}

void publish_to(struct request *r, struct publish *p, struct cell *queue)
{
    make_parts(p, 1);
    add_part(p, queue);
    send_all(r, p);
}

static struct publish_part *find_part(const struct publish *p, uint64_t queue_id, uint64_t epoch)
{
    for (uint32_t i = 0; i < p->n; i++) {
        struct publish_part *part = &p->parts->part[i];

        if (part->state == PART_SENT && part->queue->id == queue_id && part->epoch == epoch)
            return part;
    }
    return NULL;
}

/* One that is of an earlier message of this request has another tag. */
static void take_confirm(struct request *r, struct publish *p, const struct msg_queue_confirm *m)
{
    struct publish_part *part = find_part(p, m->queue_id, m->epoch);

    if (!part || m->range[0].first != p->tag)
        return;
    if (m->nack)
        request_fail(r, 503, "a queue refused the message");
    proc_cancel(part->ref);
    end_part(p, part);
}

static void note_taken(const struct publish *p, const struct msg_queue_taken *m)
{
    struct publish_part *part = find_part(p, m->queue_id, m->epoch);

    if (part && m->tag == p->tag)
        part->is_taken = true;
}

/*
 * The queue's run has ended without a confirm. What it had taken in is with the store, as long as
 * that is the same one; what it had not, nobody has: the next run gets it.
 */
static void on_run_ended(struct request *r, struct publish *p, struct publish_part *part)
{
    limit_wait(p);
    if (!part->is_taken) {
        send_part(r, p, part);
        return;
    }
    part->state = PART_SYNCS;
    part->ref = proc_call(p->store, MSG_NEW(STORE_SYNC, struct msg), PROC_NO_TIMEOUT);
}

/* Whether it is this part's. */
static bool handle_part(struct request *r, struct publish *p, struct publish_part *part,
                        struct msg *m)
{
    bool is_over;

    if (part->state == PART_WAITS) {
        if (!await_queue_handle(&part->wait, m, &is_over))
            return false;
        if (is_over)
            send_part(r, p, part);
        return true;
    }
    if (part->state == PART_DONE || m->ref != part->ref)
        return false;
    if (part->state == PART_SENT)
        on_run_ended(r, p, part);
    else if (m->type == STORE_SYNCED)
        end_part(p, part);
    else
        request_fail(r, 503, "a queue and its store ended before they confirmed the message");
    return true;
}

bool publish_handle(struct request *r, struct publish *p, struct msg *m)
{
    if (m->type == QUEUE_CREDIT)
        return true;
    if (m->type == QUEUE_CONFIRM) {
        take_confirm(r, p, MSG_OF(struct msg_queue_confirm, m));
        return true;
    }
    if (m->type == QUEUE_TAKEN) {
        note_taken(p, MSG_OF(struct msg_queue_taken, m));
        return true;
    }
    if (p->timer && m->ref == p->timer)
        request_fail(r, 503, "a queue was away for too long: it may have the message or not");
    for (uint32_t i = 0; m->ref && i < p->n; i++) {
        if (handle_part(r, p, &p->parts->part[i], m))
            return true;
    }
    return false;
}
