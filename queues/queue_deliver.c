/*
 * Handing out: consumers, their permits, and the pump that gives them what is ready, in order.
 */
#include <stdio.h>

#include "queues/queue_impl.h"

void deliver_record(struct queue *q, struct consumer *c, struct record *record, uint64_t seq)
{
    struct delivery d = {.record = record, .seq = seq, .cid = c->cid};
    uint32_t size = (uint32_t)record_stored_size(record);

    q->delivered_no_ack++;
    peer_deliver(q, c->owner, &d);
    consumers_sent(&q->consumers, c, size);
}

/* Measures now and then how long an ack takes; the store waits with its commits accordingly. */
static void sample(struct queue *q, uint64_t seq)
{
    if (q->sample_seq != 0 || !q->is_durable)
        return;
    q->sample_seq = seq;
    q->sample_us = proc_now_us();
}

void deliver_entry(struct queue *q, struct consumer *c, struct entry *e)
{
    struct delivery d = {.seq = entry_seq(e), .cid = c->cid};
    uint32_t size = e->size;

    d.redelivered = e->flags & ENTRY_REDELIVERED;
    q->redelivered += d.redelivered;
    hand_out(q, e);
    if (c->no_ack) {
        d.record = settle_take_record(q, e);
        settle_done(q, e);
        q->delivered_no_ack++;
    } else {
        backlog_take(&q->backlog, e, &c->holder);
        if (queue_plant == PLANT_DOUBLE_READY)
            e->state = ENTRY_READY;
        /* A body that the store has need not stay for the case that it is given back. */
        d.record = e->flags & ENTRY_DURABLE && q->resident_bytes > queue_limits.resident_bytes / 2
                       ? settle_take_record(q, e)
                       : record_ref(e->record);
        q->delivered++;
        sample(q, d.seq);
    }
    d.drew = consumer_draws(c);
    peer_deliver(q, c->owner, &d);
    consumers_sent(&q->consumers, c, size);
}

bool deliver_may(const struct queue *q)
{
    return q->phase == PHASE_SERVING && q->backlog.n_ready > 0 && !q->purge.is_on &&
           !q->returning && q->n_gets == 0;
}

void deliver_pump(struct queue *q)
{
    struct consumer *c;
    uint32_t n = 0;

    if (!deliver_may(q))
        return;
    while ((c = consumers_pick(&q->consumers))) {
        struct entry *e = backlog_head(&q->backlog);

        if (q->backlog.cold_n > 0)
            cold_read_ahead(q);
        if (!e)
            return;
        if (!e->record) {
            read_ahead(q);
            return;
        }
        deliver_entry(q, c, e);
        if (++n % 64 == 0 && proc_is_over_budget()) {
            proc_continue();
            return;
        }
    }
}

void on_permit(struct queue *q, struct msg *m)
{
    const struct msg_queue_permit *in = MSG_OF(struct msg_queue_permit, m);
    struct peer *p = in->epoch == q->epoch ? peer_find(q, m->from) : NULL;
    struct taker *t = p ? taker_find(p, in->cid) : NULL;

    if (!t)
        return; /* cancelled meanwhile */
    consumers_permit(&q->consumers, &t->consumer, in->messages, in->bytes);
}

void on_consume(struct queue *q, struct msg *m)
{
    const struct msg_queue_consume *in = MSG_OF(struct msg_queue_consume, m);
    struct msg_queue_reply *reply;
    struct peer *p;
    char title[600];

    if (in->epoch != q->epoch)
        return;
    if (!consumers_admit(&q->consumers, in->consumer.exclusive)) {
        reply = queue_reply_new(q, 403);
        snprintf(reply->text, sizeof(reply->text), "%s in exclusive use", queue_title(q, title));
        proc_reply(m, &reply->hdr);
        return;
    }
    p = peer_get(q, m->from);
    CHECK(!taker_find(p, in->consumer.cid)); /* the channel numbers its consumers */
    (void)taker_new(q, p, &in->consumer);
    q->had_consumer = true;
    proc_reply(m, &queue_reply_new(q, 0)->hdr);
}

void on_cancel(struct queue *q, struct msg *m)
{
    const struct msg_queue_cancel *in = MSG_OF(struct msg_queue_cancel, m);
    struct peer *p = in->epoch == q->epoch ? peer_find(q, m->from) : NULL;
    struct taker *t = p ? taker_find(p, in->cid) : NULL;

    if (in->epoch != q->epoch)
        return;
    if (t) {
        taker_cancel(q, t);
        peer_send_deliveries(p); /* none may come behind the reply */
    }
    proc_reply(m, &queue_reply_new(q, 0)->hdr);
    if (t)
        admin_check_unused(q);
}
