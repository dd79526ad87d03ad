/*
 * What must be true of a queue between two messages; checked after each when the simulation asks.
 */
#include <string.h>

#include "queues/queue_impl.h"

/* Each unacked message is in the hands of one taker; prefetch and windows hold. */
static void check_holders(const struct queue *q)
{
    uint64_t held = 0;
    uint32_t n = 0;

    for (const struct peer *p = q->first_peer; p; p = p->next) {
        for (const struct taker *t = p->takers; t; t = t->next) {
            const struct consumer *c = &t->consumer;

            CHECK(c->owner == p);
            CHECK(c->is_gone || c->sent_messages <= c->window_messages);
            CHECK(!c->no_ack || c->holder.n == 0);
            CHECK(c->is_gone || c->prefetch == 0 || c->holder.n <= c->prefetch);
            held += c->holder.n;
            n += !c->is_gone;
        }
    }
    for (const struct taker *t = q->returning; t; t = t->next)
        held += t->consumer.holder.n;
    CHECK(held + tx_held(q) == q->backlog.n_unacked);
    CHECK(n == q->consumers.n);
}

/* Rules 2 to 4 of queue_impl.h, and what counts as resident. */
static void check_entries(struct queue *q)
{
    uint64_t pending = 0, resident = 0, ahead = 0, fleeting = 0;

    for (struct entry *e = backlog_from(&q->backlog, 0); e; e = backlog_after(e)) {
        bool waits = e->flags & ENTRY_STORED && !(e->flags & (ENTRY_DURABLE | ENTRY_FLEETING));

        CHECK(e->record || e->flags & ENTRY_DURABLE);
        CHECK(!(e->flags & ENTRY_DURABLE) || e->flags & ENTRY_STORED);
        CHECK(!(e->flags & ENTRY_DURABLE) || !(e->flags & ENTRY_FLEETING));
        CHECK(entry_seq(e) < q->next_seq || !q->was_opened);
        CHECK(!waits || pending_at(&q->pending, e->pending)->seq == entry_seq(e));
        pending += waits;
        fleeting += e->flags & ENTRY_FLEETING ? e->size : 0;
        ahead += (e->flags & ENTRY_AHEAD) != 0;
        resident += e->record && e->flags & ENTRY_DURABLE ? e->size : 0;
    }
    CHECK(pending == q->pending.n);
    CHECK(resident == q->resident_bytes);
    CHECK(fleeting == q->fleeting_bytes);
    CHECK(ahead == q->ahead_messages);
}

static void check_pending(const struct queue *q)
{
    const struct pending_item *item;
    uint64_t at = 0, of_living = 0, counted = 0;

    while ((item = pending_next(&q->pending, &at))) {
        const struct peer *p = item->owner;

        CHECK(p->magic == PEER_MAGIC && p->n_pending > 0);
        of_living += !p->is_gone;
    }
    for (const struct peer *p = q->first_peer; p; p = p->next)
        counted += p->n_pending;
    CHECK(counted == of_living);
    for (const struct peer *p = q->first_peer; p; p = p->next)
        CHECK(!p->is_gone && p->credit.taken_messages <= p->credit.granted_messages);
}

void queue_invariant(struct queue *q)
{
    CHECK(backlog_is_sound(&q->backlog)); /* nothing is both ready and unacked; sums are right */
    check_holders(q);
    check_entries(q);
    check_pending(q);
    CHECK(q->phase != PHASE_SERVING || q->was_opened || !q->is_durable);
}
