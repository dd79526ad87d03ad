/*
 * The prefetch that all consumers of a channel share, seen from one of its queues: permits are
 * drawn when there is something to hand out, and given back as soon as they are of no use here,
 * because another queue of the channel may need them.
 */
#include "queues/queue_impl.h"

static void send_to(struct queue *q, struct peer *p, uint32_t type, uint32_t n)
{
    struct msg_queue_share *m = MSG_NEW(type, struct msg_queue_share);

    m->queue_id = q->cell->id;
    m->epoch = q->epoch;
    m->is_limited = p->draw.is_limited;
    m->n = n;
    PROC_SEND(p->pid, m);
}

void share_set(struct queue *q, struct peer *p, bool is_limited)
{
    p->draw.is_limited = is_limited;
    if (!is_limited || p->is_listed)
        return;
    p->is_listed = true;
    p->next_limited = q->limited;
    q->limited = p;
}

void share_leave(struct queue *q, struct peer *p)
{
    struct peer **at = &q->limited;

    if (!p->is_listed)
        return;
    while (*at != p)
        at = &(*at)->next_limited;
    *at = p->next_limited;
    p->is_listed = false;
}

/* Those behind the one that used the last permit come first: one permit at a time serves all. */
static void settle_takers(struct queue *q, struct peer *p)
{
    const struct consumer *last = p->draw.last;
    struct taker *from = p->takers, *t;

    while (last && from && &from->consumer != last)
        from = from->next;
    for (t = last && from ? from->next : NULL; t; t = t->next)
        consumers_settled(&q->consumers, &t->consumer);
    for (t = p->takers; t; t = t->next)
        consumers_settled(&q->consumers, &t->consumer);
}

void on_share(struct queue *q, struct msg *m)
{
    const struct msg_queue_share *in = MSG_OF(struct msg_queue_share, m);
    struct peer *p = in->epoch == q->epoch ? peer_find(q, m->from) : NULL;

    if (!p)
        return; /* it only looked, or publishes what has not come yet */
    share_set(q, p, in->is_limited);
    p->draw.permits += in->n;
    settle_takers(q, p);
}

static bool is_hungry(const struct peer *p)
{
    const struct taker *t = p->takers;

    while (t && !consumer_lacks_permit(&t->consumer))
        t = t->next;
    return t != NULL;
}

static void give_back(struct queue *q, struct peer *p)
{
    if (p->draw.permits > 0 || p->wants)
        send_to(q, p, QUEUE_SHARE_BACK, p->draw.permits);
    p->draw.permits = 0;
    p->wants = false;
}

/* Permits that are here while a body is read back from the store stay: they are soon used. */
void share_flush(struct queue *q)
{
    struct peer **at = &q->limited, *p;
    bool may = deliver_may(q);

    while ((p = *at)) {
        if (!may || !is_hungry(p)) {
            give_back(q, p);
        } else if (p->draw.permits == 0 && !p->wants) {
            p->wants = true;
            send_to(q, p, QUEUE_WANT, 0);
        }
        if (p->draw.is_limited) {
            at = &p->next_limited;
        } else {
            *at = p->next_limited;
            p->is_listed = false;
        }
    }
}
