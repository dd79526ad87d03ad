/*
 * What becomes of deliveries: done with, or back to their place.
 */
#include "queues/queue_impl.h"

struct record *settle_take_record(struct queue *q, struct entry *e)
{
    struct record *record = e->record;

    if (record && e->flags & ENTRY_DURABLE)
        q->resident_bytes -= e->size;
    if (record && e->flags & ENTRY_FLEETING)
        q->fleeting_bytes -= e->size;
    backlog_set_record(&q->backlog, e, NULL);
    return record;
}

/* If it was settled before it was written, that it must last is over. */
static void settle_pending(struct queue *q, const struct entry *e)
{
    struct pending_item *item;
    struct peer *p;

    if (!(e->flags & ENTRY_STORED) || e->flags & (ENTRY_DURABLE | ENTRY_FLEETING))
        return;
    item = pending_settle(&q->pending, e->pending);
    p = item->owner;
    if (queue_plant != PLANT_CONFIRM_EARLY)
        peer_confirm(q, p, item->tag);
    peer_unpend(q, p);
}

void settle_known(struct queue *q, struct entry *e)
{
    record_unref(settle_take_record(q, e));
    settle_pending(q, e);
    e->flags &= (uint8_t) ~(ENTRY_STORED | ENTRY_DURABLE);
    settle_done(q, e);
}

void settle_done(struct queue *q, struct entry *e)
{
    struct consumer *c = e->state == ENTRY_UNACKED ? consumer_of(e->holder) : NULL;
    uint64_t seq = entry_seq(e);

    cold_taken(q, e);
    record_unref(settle_take_record(q, e));
    settle_pending(q, e);
    if (e->flags & ENTRY_STORED)
        store_ack(q, seq);
    backlog_remove(&q->backlog, e);
    if (!c)
        return;
    consumers_settled(&q->consumers, c);
    taker_free_if_done(q, taker_of(c));
}

void settle_return(struct queue *q, struct entry *e)
{
    struct consumer *c = consumer_of(e->holder);

    if (queue_plant != PLANT_REQUEUE_UNFLAGGED)
        e->flags |= ENTRY_REDELIVERED;
    backlog_return(&q->backlog, e);
    consumers_settled(&q->consumers, c);
    taker_free_if_done(q, taker_of(c));
}

void settle_step_returning(struct queue *q)
{
    for (uint32_t n = 0; q->returning; n++) {
        struct taker *t = q->returning;

        if (n == STEP)
            return;
        /* The last one frees the taker and takes it off the list. */
        if (queue_plant == PLANT_LOSE_ON_DOWN)
            settle_done(q, t->consumer.holder.first);
        else
            settle_return(q, t->consumer.holder.first);
    }
}

/* Takes a measured time to ack into the mean. */
static void sampled(struct queue *q)
{
    uint64_t us = proc_now_us() - q->sample_us;

    q->sample_seq = 0;
    q->ack_time_us = q->ack_time_us ? (7 * q->ack_time_us + us) / 8 : us;
}

void on_settle(struct queue *q, struct msg *m)
{
    const struct msg_queue_settle *in = MSG_OF(struct msg_queue_settle, m);
    struct peer *p = in->epoch == q->epoch ? peer_find(q, m->from) : NULL;

    if (!p)
        return;
    p->n_settled += in->n;
    if (p->n_settled - p->n_settled_told >= SETTLED_EVERY)
        peer_touch(q, p);
    for (uint32_t i = 0; i < in->n; i++) {
        struct entry *e = backlog_find(&q->backlog, in->seq[i]);

        /* Void: of a message that did not last, or that somebody else has by now. */
        if (!e || e->state != ENTRY_UNACKED || consumer_of(e->holder)->owner != p)
            continue;
        if (in->seq[i] == q->sample_seq)
            sampled(q);
        if (in->how == SETTLE_REQUEUE) {
            settle_return(q, e);
            continue;
        }
        q->acked += in->how == SETTLE_ACK;
        settle_done(q, e);
    }
}
