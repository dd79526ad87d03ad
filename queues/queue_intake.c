/*
 * Taking in what channels publish: to a consumer in the same turn where one can take it, to the
 * store where it must last, and the confirm as soon as the rule allows it.
 *
 * The rule: a tag is confirmed when its message is durable, settled, or need not last (a transient
 * message, or a queue that is not durable).
 */
#include "broker/core/alarms.h"
#include "broker/runtime/proc.h"
#include "queues/queue_impl.h"

/* An entry for what is not delivered and settled on the spot. */
static struct entry *keep(struct queue *q, struct peer *p, struct record *record, uint64_t tag)
{
    bool must_last = q->is_durable && record_is_persistent(record);
    struct entry *e =
        backlog_add(&q->backlog, q->next_seq++, record, (uint32_t)record_stored_size(record));

    backlog_weigh(&q->backlog, e, record_body_len(record), must_last);
    if (must_last)
        store_publish(q, e, tag, p);
    else
        page_fleeting(q, e);
    if (!must_last || queue_plant == PLANT_CONFIRM_EARLY)
        peer_confirm(q, p, tag);
    return e;
}

static void take_in(struct queue *q, struct peer *p, struct publish_item *item)
{
    struct record *record = item->record;
    bool is_free =
        q->phase == PHASE_SERVING && q->backlog.n_ready == 0 && !q->purge.is_on && !q->returning;
    struct consumer *c = is_free ? consumers_pick(&q->consumers) : NULL;

    item->record = NULL;
    if (!c) {
        (void)keep(q, p, record, item->tag); /* ready, in its place */
    } else if (c->no_ack) {
        /* Delivered is settled: neither the store nor the backlog hears of it. */
        deliver_record(q, c, record, q->next_seq++);
        peer_confirm(q, p, item->tag);
    } else {
        deliver_entry(q, c, keep(q, p, record, item->tag));
    }
}

/* What comes to a queue that is being deleted is settled with it. */
static void refuse_quietly(struct queue *q, struct peer *p, const struct msg_queue_publish *m)
{
    for (uint32_t i = 0; i < m->n; i++)
        peer_confirm(q, p, m->item[i].tag);
}

void on_publish(struct queue *q, struct msg *m)
{
    struct msg_queue_publish *in = MSG_OF(struct msg_queue_publish, m);
    struct peer *p;
    uint64_t bytes = 0;

    if (in->epoch != q->epoch)
        return;
    p = peer_get(q, m->from);
    if (!p->publishes) {
        p->publishes = true;
        q->pool.n_channels++;
    }
    peer_touch(q, p);
    for (uint32_t i = 0; i < in->n; i++)
        bytes += record_stored_size(in->item[i].record);
    credit_take(&p->credit, in->n, bytes);
    if (q->phase == PHASE_DELETING) {
        refuse_quietly(q, p, in);
        return;
    }
    why_note(q);
    q->published += in->n;
    /* At once, because a later incarnation takes its first seq from it (attach_begin). */
    atomic_store_explicit(&q->cell->stats.published, q->published, memory_order_relaxed);
    if (in->wants_taken && in->n > 0) {
        ARRAY_ROOM(q->takens, q->n_takens, q->cap_takens);
        q->takens[q->n_takens++] = (struct wants_taken){m->from, in->item[in->n - 1].tag};
    }
    for (uint32_t i = 0; i < in->n; i++)
        take_in(q, p, &in->item[i]);
}

void intake_tell_taken(struct queue *q)
{
    proc_flush(); /* what is asked of the store because of this comes behind what went to it */
    for (uint32_t i = 0; i < q->n_takens; i++) {
        struct msg_queue_taken *m = MSG_NEW(QUEUE_TAKEN, struct msg_queue_taken);

        m->queue_id = q->cell->id;
        m->epoch = q->epoch;
        m->tag = q->takens[i].tag;
        proc_send(q->takens[i].pid, &m->hdr);
    }
    q->n_takens = 0;
}

void intake_raise_credit(struct queue *q, struct peer *p)
{
    struct msg_queue_credit *m;

    store_backlog(q, &q->pool.backlog_messages, &q->pool.backlog_bytes);
    q->pool.is_memory_tight = alarms_is_memory_tight();
    if (!credit_raise(&p->credit, &q->pool))
        return;
    m = MSG_NEW(QUEUE_CREDIT, struct msg_queue_credit);
    m->queue_id = q->cell->id;
    m->epoch = q->epoch;
    m->messages = p->credit.granted_messages;
    m->bytes = p->credit.granted_bytes;
    proc_send_high(p->pid, &m->hdr);
}

void intake_raise_all(struct queue *q)
{
    for (struct peer *p = q->first_peer; p; p = p->next) {
        if (p->publishes)
            peer_touch(q, p);
    }
}
