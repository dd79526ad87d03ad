/*
 * What a queue waits for, for who wonders why it does not move, and how old its oldest message is.
 */
#include "queues/queue_impl.h"

/* The lowest seq of a message that is here, ready or unacked; next_seq: there is none. */
static uint64_t oldest_seq(struct queue *q)
{
    const struct entry *e = backlog_from(&q->backlog, 0);
    uint64_t seq = e ? entry_seq(e) : q->next_seq;

    return q->backlog.cold_n > 0 && q->backlog.cold_first < seq ? q->backlog.cold_first : seq;
}

void why_note(struct queue *q)
{
    uint64_t now_us = proc_now_us();

    if (ages_is_due(&q->ages, now_us))
        ages_mark(&q->ages, q->next_seq, oldest_seq(q), now_us, proc_realloc);
}

/* The first thing that keeps it from getting a message is the one that counts. */
static void count_consumer(const struct consumer *c, struct msg_queue_standing *to)
{
    if (!c->no_ack && c->prefetch > 0 && c->holder.n >= c->prefetch)
        to->n_prefetch_full++;
    else if (c->sent_messages >= c->window_messages || c->sent_bytes >= c->window_bytes)
        to->n_output_full++;
    else if (consumer_shares(c) && c->draw->permits == 0)
        to->n_share_full++;
    else
        to->n_able++;
}

static void count_consumers(const struct queue *q, struct msg_queue_standing *to)
{
    for (const struct peer *p = q->first_peer; p; p = p->next) {
        for (const struct taker *t = p->takers; t; t = t->next) {
            if (!t->consumer.is_gone && t != p->got)
                count_consumer(&t->consumer, to);
        }
    }
}

static void find_age(struct queue *q, struct msg_queue_standing *to)
{
    uint64_t seq = oldest_seq(q), at_us;

    to->oldest_us = UINT64_MAX;
    if (seq >= q->next_seq)
        return;
    to->is_older = !ages_find(&q->ages, seq, &at_us);
    if (to->is_older)
        at_us = q->began_us;
    to->oldest_us = proc_now_us() - at_us;
}

static enum queue_doing doing_of(const struct queue *q)
{
    switch (q->phase) {
    case PHASE_OPENING:
        return QUEUE_IS_OPENING;
    case PHASE_ATTACHING:
        return QUEUE_IS_ATTACHING;
    case PHASE_SERVING:
        return QUEUE_IS_SERVING;
    case PHASE_DELETING:
        return QUEUE_IS_DELETING;
    }
    return QUEUE_IS_SERVING;
}

void on_why(struct queue *q, struct msg *m)
{
    struct msg_queue_standing *reply = MSG_NEW(QUEUE_STANDING, struct msg_queue_standing);
    const struct entry *head = backlog_head(&q->backlog);

    reply->doing = doing_of(q);
    reply->ready = q->backlog.n_ready;
    reply->unacked = q->backlog.n_unacked;
    reply->n_consumers = q->consumers.n;
    count_consumers(q, reply);
    reply->is_purging = q->purge.is_on;
    reply->is_returning = q->returning != NULL;
    reply->is_reading = q->backlog.n_ready > 0 && (!head || !head->record);
    reply->is_store_missing = q->is_durable && !q->store_ready;
    reply->n_held_by_tx = tx_held(q);
    find_age(q, reply);
    proc_reply(m, &reply->hdr);
}
