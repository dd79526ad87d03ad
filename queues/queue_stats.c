/*
 * What a queue shows of itself in its cell, where whoever likes reads it.
 */
#include "amqp/codec/props.h"
#include "broker/runtime/blob.h"
#include "queues/capacity.h"
#include "queues/queue_impl.h"

#define NOBODY UINT64_MAX /* no message's seq */

/* Counters go on where the last incarnation stopped; what it held is expected back. */
void stats_read(struct queue *q)
{
    const struct cell_stats *s = &q->cell->stats;

    q->published = atomic_load_explicit(&s->published, memory_order_relaxed);
    q->delivered = atomic_load_explicit(&s->delivered, memory_order_relaxed);
    q->delivered_no_ack = atomic_load_explicit(&s->delivered_no_ack, memory_order_relaxed);
    q->got = atomic_load_explicit(&s->got, memory_order_relaxed);
    q->acked = atomic_load_explicit(&s->acked, memory_order_relaxed);
    q->redelivered = atomic_load_explicit(&s->redelivered, memory_order_relaxed);
    q->confirmed = atomic_load_explicit(&s->confirmed, memory_order_relaxed);
    q->got_no_ack = atomic_load_explicit(&s->got_no_ack, memory_order_relaxed);
    q->got_nothing = atomic_load_explicit(&s->got_nothing, memory_order_relaxed);
    q->seen_head = NOBODY;
    stat_set(&q->cell->stats.head_timestamp, 0);
    q->shows_exclusive = atomic_load_explicit(&s->exclusive, memory_order_relaxed) != NULL;
    q->expect_consumers = atomic_load_explicit(&s->consumers, memory_order_relaxed);
    q->expect_unacked = atomic_load_explicit(&s->unacked, memory_order_relaxed);
}

static void write_masses(const struct backlog *b, struct cell_stats *s)
{
    const struct backlog_mass *ready = &b->ready_mass, *unacked = &b->unacked_mass;

    stat_set(&s->ready_bytes, ready->body);
    stat_set(&s->unacked_bytes, unacked->body);
    stat_set(&s->lasting, ready->lasting + unacked->lasting);
    stat_set(&s->lasting_bytes, ready->lasting_body + unacked->lasting_body);
    stat_set(&s->ready_here, ready->here);
    stat_set(&s->unacked_here, unacked->here);
    stat_set(&s->here_bytes, ready->here_body + unacked->here_body);
}

/* The property of the message that is next, looked at once for each that comes to stand there. */
static void write_head(struct queue *q, struct cell_stats *s)
{
    const struct entry *e = q->backlog.n_ready > 0 ? backlog_head(&q->backlog) : NULL;
    uint64_t seq = e && e->record ? entry_seq(e) : NOBODY, at = 0;

    if (seq == q->seen_head)
        return;
    q->seen_head = seq;
    if (seq == NOBODY || !props_timestamp(record_props(e->record), &at))
        at = 0;
    stat_set(&s->head_timestamp, at);
}

static const struct consumer *exclusive_one(const struct queue *q)
{
    for (const struct peer *p = q->first_peer; p; p = p->next) {
        for (const struct taker *t = p->takers; t; t = t->next) {
            if (t->consumer.exclusive && !t->consumer.is_gone)
                return &t->consumer;
        }
    }
    return NULL;
}

static void write_consumers(struct queue *q, struct cell_stats *s)
{
    bool is_able = q->consumers.first != NULL && q->phase == PHASE_SERVING;
    const struct consumer *c;
    const struct blob *tag;

    if (q->capacity.is_able != is_able)
        stat_set(&s->capacity, capacity_set(&q->capacity, is_able, proc_now_us()));
    if (q->consumers.exclusive == q->shows_exclusive)
        return;
    q->shows_exclusive = q->consumers.exclusive;
    c = q->shows_exclusive ? exclusive_one(q) : NULL;
    tag = c ? c->tag : NULL;
    cell_set_exclusive(q->cell, tag ? blob_bytes(tag) : NULL, tag ? blob_size(tag) : 0);
}

/*
 * Until those of the last incarnation had their chance to come back they count as still there, so
 * that one more crash does not make the next incarnation forget to wait for them.
 */
void stats_write(struct queue *q)
{
    struct cell_stats *s = &q->cell->stats;
    uint64_t unacked = q->backlog.n_unacked - tx_held(q), consumers = q->consumers.n;

    if (q->phase == PHASE_OPENING)
        return;
    if (q->phase == PHASE_ATTACHING) {
        unacked = unacked > q->expect_unacked ? unacked : q->expect_unacked;
        consumers = consumers > q->expect_consumers ? consumers : q->expect_consumers;
    }
    atomic_store_explicit(&s->ready, q->backlog.n_ready, memory_order_relaxed);
    atomic_store_explicit(&s->unacked, unacked, memory_order_relaxed);
    atomic_store_explicit(&s->consumers, consumers, memory_order_relaxed);
    atomic_store_explicit(&s->delivered, q->delivered, memory_order_relaxed);
    atomic_store_explicit(&s->delivered_no_ack, q->delivered_no_ack, memory_order_relaxed);
    atomic_store_explicit(&s->got, q->got, memory_order_relaxed);
    atomic_store_explicit(&s->acked, q->acked, memory_order_relaxed);
    atomic_store_explicit(&s->redelivered, q->redelivered, memory_order_relaxed);
    atomic_store_explicit(&s->confirmed, q->confirmed, memory_order_relaxed);
    atomic_store_explicit(&s->got_no_ack, q->got_no_ack, memory_order_relaxed);
    atomic_store_explicit(&s->got_nothing, q->got_nothing, memory_order_relaxed);
    write_masses(&q->backlog, s);
    write_head(q, s);
    write_consumers(q, s);
    stat_set(&s->memory, proc_heap_bytes());
}
