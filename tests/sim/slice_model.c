/*
 * slice_model.c - what clients did and were told, message by message.
 *
 * Invariants, by the names under which they fail:
 * 1. "routing": a message comes only from queues that it may have been routed to; one that went
 *    nowhere and had to go somewhere is returned before it is confirmed, and no other is.
 * 2. "redelivered flag": a copy is given out once at most without its flag, and never so to whom
 *    it could only be given after somebody had seen it.
 * 3. "order": to one consumer, what one channel published comes in its order, as far as it comes
 *    for the first time.
 * 4. "acked stays acked", "deleted stays deleted", "purged stays purged".
 * 5. "nack has a cause": no publish is refused while no queue has failed.
 */
#include "tests/sim/slice.h"

#include "tests/sim/rt_ledger.h"
#include "tests/sim/sim.h"

struct message *model_publish(const struct chan_end *ch, const struct message *like)
{
    struct message *m;

    if (slice.n_messages + 1 >= MAX_MESSAGES)
        return NULL;
    m = &slice.message[++slice.n_messages];
    *m = *like;
    m->uid = slice.n_messages;
    m->channel = ch->uid;
    m->number = ch->published + 1;
    m->confirming = ch->confirming;
    m->sent_at = ++slice.stamp;
    for (int t = EX_DIRECT; t <= EX_HEADERS; t++)
        for (int p = 0; p < N_PATTERNS; p++)
            m->match[t] |= slice_matches((enum slice_type)t, p, m) ? (uint8_t)(1u << p) : 0;
    topology_route(m, true);
    if (m->is_risky)
        topology_check_users();
    return m;
}

/* Whether the queue may have been deleted while the message was on its way. */
static bool has_changed(const struct message *m, int queue)
{
    const struct queue_fact *q = &slice.queue[queue];

    return q->deleted_at > m->sent_at || q->vanished_at > m->sent_at || q->fact.asked ||
           q->may_vanish;
}

static bool is_surely_unrouted(const struct message *m)
{
    for (int q = 0; q < N_QUEUES; q++)
        if (m->copy[q].is_possible)
            return false;
    return !m->is_out_of_reach;
}

/* Whether a queue that it goes to may be being deleted: with a process, or a little later. */
static bool may_be_gone(const struct message *m)
{
    for (int q = 0; q < N_QUEUES; q++)
        if (m->copy[q].is_possible && has_changed(m, q))
            return true;
    return false;
}

void model_returned(const struct chan_end *ch, uint32_t uid)
{
    struct message *m = &slice.message[uid];

    if (m->channel != ch->uid || !m->mandatory || m->was_returned || m->is_over)
        sim_fail("routing", "message %u is returned and must not be", uid);
    for (int q = 0; q < N_QUEUES; q++)
        if (m->copy[q].is_sure)
            sim_fail("routing", "message %u is returned, and queue %s takes it", uid,
                     slice_queue(q));
    m->was_returned = true;
}

void model_confirmed(const struct chan_end *ch, uint32_t uid, bool nack)
{
    struct message *m = &slice.message[uid];

    m->is_over = true;
    m->over_at = ++slice.stamp;
    slice.did.confirms++;
    sim_note(nack ? "nacked" : "confirmed", uid, ch->uid, 0);
    if (nack && slice.failures == ch->failures && !may_be_gone(m))
        sim_fail("nack has a cause", "message %u", uid);
    if (nack)
        return;
    if (m->mandatory && !m->was_returned && is_surely_unrouted(m))
        sim_fail("routing", "message %u went nowhere and is not returned", uid);
    for (int q = 0; q < N_QUEUES; q++) {
        struct copy *c = &m->copy[q];

        if (!c->is_sure || c->is_settled || m->was_returned || c->gone_at ||
            slice.queue[q].is_leaking)
            continue;
        c->duty = m->persistent && slice_is_durable(q) ? DUTY_HARD
                  : slice.failures == ch->failures     ? DUTY_SOFT
                                                       : DUTY_NONE;
    }
}

static void check_order(struct consumer_end *c, const struct message *m)
{
    for (uint32_t i = 0; i < c->n_order; i++) {
        struct order *o = &c->order[i];

        if (o->channel != m->channel)
            continue;
        if (o->number >= m->number)
            sim_fail("order", "consumer %u of %s is given number %u of channel %u after %u", c->uid,
                     slice_queue(c->queue), m->number, m->channel, o->number);
        o->number = m->number;
        return;
    }
    GROW(c->order, c->n_order, c->cap_order);
    c->order[c->n_order++] = (struct order){m->channel, m->number};
}

static void check_flag(const struct chan_end *ch, const struct consumer_end *c,
                       const struct message *m, struct copy *copy)
{
    if (copy->n_unflagged++ > 0)
        sim_fail("redelivered flag", "message %u comes twice from %s without it", m->uid,
                 slice_queue(c->queue));
    if (copy->seen_at && (copy->seen_at < c->since || copy->seen_by == ch->uid))
        sim_fail("redelivered flag", "message %u was seen before and comes from %s without it",
                 m->uid, slice_queue(c->queue));
}

void model_delivered(struct chan_end *ch, struct consumer_end *c, uint32_t uid, bool redelivered)
{
    struct message *m = &slice.message[uid];
    struct copy *copy = &m->copy[c->queue];

    sim_note(redelivered ? "redelivered" : "delivered", uid, c->uid, ch->uid);
    slice.did.deliveries++;
    slice.did.redeliveries += redelivered;
    if (!copy->is_possible)
        sim_fail("routing", "message %u comes from %s, where it cannot be", uid,
                 slice_queue(c->queue));
    if (copy->gone_at && copy->gone_at < c->since)
        sim_fail(copy->gone, "message %u comes from %s", uid, slice_queue(c->queue));
    if (!redelivered) {
        check_flag(ch, c, m, copy);
        check_order(c, m);
    }
    if (!copy->seen_at)
        copy->seen_at = ++slice.stamp;
    copy->seen_by = ch->uid;
    copy->n_seen++;
    if (c->no_ack)
        model_settled(uid, c->queue);
}

void model_settled(uint32_t uid, int queue)
{
    struct copy *c = &slice.message[uid].copy[queue];

    c->is_settled = true;
    c->duty = DUTY_NONE;
}

/*
 * A queue's process that dies takes no ack with it: the channel tells the next one. Only if the
 * store dies as well may both have lost it.
 */
bool ack_is_safe(const struct unacked *u)
{
    bool queue_died = u->done_failures != slice.failures;

    return u->failures == u->done_failures && u->done_front == slice.front_failures &&
           !(queue_died && u->done_store != slice.store_failures);
}

void model_settled_for_good(uint32_t uid, int queue)
{
    struct copy *c = &slice.message[uid].copy[queue];

    if (c->gone_at)
        return;
    c->gone_at = ++slice.stamp;
    c->gone = "acked stays acked";
}
