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
#include "mgmt/ask.h"
#include "mgmt/request.h"
#include "queues/queue.h"
#include "queues/route.h"
#include "queues/strip.h"

struct publish_part {
    uint64_t queue_id, epoch;
    proc_ref monitor; /* 0: confirmed */
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
static const struct cell *find_exchange(struct request *r, const struct vhost_tables *t,
                                        struct amqp_bytes name)
{
    const struct cell *x;
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

/* No queue is given a message while one of them cannot take it. */
static void check_running(struct request *r, const struct cell *queue)
{
    const struct cell_at *at = cell_at(queue);
    char text[512];

    if (at->state == CELL_UP || at->state == CELL_DELETED)
        return;
    snprintf(text, sizeof(text), "queue '%s' in vhost '%s' %s%s", cell_name(queue), r->vhost,
             at->state == CELL_PARKED ? "is down: " : "is being restarted", at->reason);
    request_fail(r, 503, text);
}

static void send_to(struct publish *p, const struct cell *queue, struct record *record)
{
    const struct cell_at *at = cell_at(queue);
    struct publish_part *part = &p->part[p->n];
    struct msg_queue_publish *m;

    if (at->state != CELL_UP)
        return; /* deleted: it counts as one that has taken it */
    m = queue_publish_new(at->epoch, 1);
    m->item[0] = (struct publish_item){.record = record_ref(record), .tag = 1};
    m->n = 1;
    *part = (struct publish_part){queue->id, at->epoch, proc_monitor(at->pid)};
    proc_send(at->pid, &m->hdr);
    p->n++;
    p->waits++;
}

static void send_all(struct request *r, struct publish *p, const struct routed *to,
                     struct record *record)
{
    p->n = p->waits = 0;
    p->part = proc_realloc(p->part, (to->queues.n + 1) * sizeof(*p->part));
    for (uint32_t i = 0; i < to->queues.n; i++)
        check_running(r, routed_queue(to, i));
    for (uint32_t i = 0; i < to->queues.n; i++)
        send_to(p, routed_queue(to, i), record);
}

void publish_route(struct request *r, struct publish *p, struct record *record)
{
    struct amqp_bytes exchange = record_exchange(record);
    struct route_query q = {.key = record_key(record), .headers = record_headers(record)};
    struct vhost_tables tables;
    struct record *stripped = NULL;
    struct routed to;
    bool has_bcc = false;

    vhost_tables_open(r->vhost, &tables);
    ask_right(r, ACCESS_EXCHANGE, exchange, ACCESS_WRITE);
    q.exchange = find_exchange(r, &tables, exchange);
    check_props(r, record);
    if (route_more_keys(q.headers, q.more_keys, &has_bcc))
        request_fail(r, 400, "the headers CC and BCC are arrays");
    ask_topic_right(r, exchange, q.key, ACCESS_WRITE);
    check_more_keys(r, exchange, &q);
    route(&tables, &q, &to, proc_realloc, proc_free);
    if (has_bcc)
        stripped = record_strip(record, "BCC");
    send_all(r, p, &to, stripped ? stripped : record);
    record_unref(stripped);
    routed_fini(&to);
}

void publish_to(struct request *r, struct publish *p, struct cell *queue, struct record *record)
{
    check_running(r, queue);
    p->n = p->waits = 0;
    p->part = proc_realloc(p->part, sizeof(*p->part));
    send_to(p, queue, record);
}

static void take_confirm(struct request *r, struct publish *p, const struct msg_queue_confirm *m)
{
    for (uint32_t i = 0; i < p->n; i++) {
        struct publish_part *part = &p->part[i];

        if (part->queue_id != m->queue_id || part->epoch != m->epoch || !part->monitor)
            continue;
        if (m->nack)
            request_fail(r, 503, "a queue refused the message");
        proc_cancel(part->monitor);
        part->monitor = 0;
        p->waits--;
    }
}

bool publish_handle(struct request *r, struct publish *p, struct msg *m)
{
    if (m->type == QUEUE_CREDIT)
        return true;
    if (m->type == QUEUE_CONFIRM) {
        take_confirm(r, p, MSG_OF(struct msg_queue_confirm, m));
        return true;
    }
    for (uint32_t i = 0; m->type == MSG_DOWN && i < p->n; i++) {
        if (m->ref && p->part[i].monitor == m->ref)
            request_fail(r, 503, "a queue ended before it confirmed the message");
    }
    return false;
}
