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

const char *const slice_queues[N_QUEUES] = {"d0", "d1", "d2", "d3", "t0", "t1"};
const char *const slice_exchanges[N_EXCHANGES] = {"", "amq.direct", "xd", "xt"};
const char *const slice_keys[N_KEYS] = {"k0", "k1", "k2", "k3"};

/* Whether a message with this key comes to the queue, as far as anybody knows. */
static enum existence route_of(int exchange, int key, int queue)
{
    enum existence q = slice.queue[queue].state, x = slice.exchange[exchange].state, b;

    b = exchange == 0 ? (key == queue ? EXISTS : GONE) : slice.binding[exchange][key][queue];
    if (q == GONE || x == GONE || b == GONE)
        return GONE;
    return q == EXISTS && x == EXISTS && b == EXISTS ? EXISTS : UNKNOWN;
}

struct message *model_publish(const struct chan_end *ch, int exchange, int key)
{
    struct message *m;

    if (slice.n_messages + 1 >= MAX_MESSAGES)
        return NULL;
    m = &slice.message[++slice.n_messages];
    *m = (struct message){.uid = slice.n_messages,
                          .channel = ch->uid,
                          .number = ch->published + 1,
                          .confirming = ch->confirming,
                          .exchange = (uint8_t)exchange,
                          .key = (uint8_t)key,
                          .sent_at = ++slice.stamp};
    for (int q = 0; q < N_QUEUES; q++) {
        enum existence r = route_of(exchange, key, q);
        bool is_busy = slice.queue[q].is_busy || slice.exchange[exchange].is_busy;

        /* What is being changed while it is on its way is not sure. */
        m->copy[q].is_possible = r != GONE || (is_busy && (exchange > 0 || key == q));
        m->copy[q].is_sure = r == EXISTS && !is_busy;
    }
    return m;
}

/* Whether topology that this message depends on may have changed since it was sent. */
static bool has_changed(const struct message *m, int queue)
{
    return slice.queue[queue].changed_at > m->sent_at || slice.queue[queue].is_busy ||
           slice.exchange[m->exchange].changed_at > m->sent_at ||
           slice.exchange[m->exchange].is_busy;
}

static bool is_surely_unrouted(const struct message *m)
{
    for (int q = 0; q < N_QUEUES; q++)
        if (m->copy[q].is_possible || has_changed(m, q))
            return false;
    return true;
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
        if (m->copy[q].is_sure && !has_changed(m, q))
            sim_fail("routing", "message %u is returned, and queue %s takes it", uid,
                     slice_queues[q]);
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

        if (!c->is_sure || c->is_settled || has_changed(m, q) || m->was_returned || c->gone_at ||
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
                     slice_queues[c->queue], m->number, m->channel, o->number);
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
                 slice_queues[c->queue]);
    if (copy->seen_at && (copy->seen_at < c->since || copy->seen_by == ch->uid))
        sim_fail("redelivered flag", "message %u was seen before and comes from %s without it",
                 m->uid, slice_queues[c->queue]);
}

void model_delivered(struct chan_end *ch, struct consumer_end *c, uint32_t uid, bool redelivered)
{
    struct message *m = &slice.message[uid];
    struct copy *copy = &m->copy[c->queue];

    sim_note(redelivered ? "redelivered" : "delivered", uid, c->uid, ch->uid);
    slice.did.deliveries++;
    slice.did.redeliveries += redelivered;
    if (!copy->is_possible && !has_changed(m, c->queue))
        sim_fail("routing", "message %u comes from %s, where it cannot be", uid,
                 slice_queues[c->queue]);
    copy->is_possible = true;
    if (copy->gone_at && copy->gone_at < c->since)
        sim_fail(copy->gone, "message %u comes from %s", uid, slice_queues[c->queue]);
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

void model_settled_for_good(uint32_t uid, int queue)
{
    struct copy *c = &slice.message[uid].copy[queue];

    if (c->gone_at)
        return;
    c->gone_at = ++slice.stamp;
    c->gone = "acked stays acked";
}

static void queue_is_emptied(int queue)
{
    for (uint32_t i = 1; i <= slice.n_messages; i++) {
        slice.message[i].copy[queue].duty = DUTY_NONE;
        slice.message[i].copy[queue].is_sure = false;
    }
}

void model_queue_leaks(int queue)
{
    queue_is_emptied(queue);
    slice.queue[queue].is_leaking = true;
}

bool model_is_there(int queue)
{
    return slice.queue[queue].state == EXISTS && !slice.queue[queue].is_busy;
}

/* What a queue took in before its deletion or purge was carried out has gone with it. */
static void went_with(int queue, uint64_t asked_at, bool is_purge)
{
    slice.stamp++;
    for (uint32_t i = 1; i <= slice.n_messages; i++) {
        struct message *m = &slice.message[i];
        struct copy *c = &m->copy[queue];

        if (!c->is_possible || c->gone_at || !m->is_over || m->sent_at > asked_at ||
            (is_purge && (m->over_at == 0 || m->over_at > asked_at)))
            continue;
        c->gone_at = slice.stamp;
        c->gone_softly = is_purge; /* purge-ok does not wait for the disk */
        c->gone = is_purge ? "purged stays purged" : "deleted stays deleted";
    }
}

static void unbind_all(int exchange, int queue, enum existence to)
{
    for (int x = 1; x < N_EXCHANGES; x++)
        for (int k = 0; k < N_KEYS; k++)
            for (int q = 0; q < N_QUEUES; q++)
                if ((x == exchange || q == queue) && slice.binding[x][k][q] != GONE)
                    slice.binding[x][k][q] = to;
}

void model_asked(const struct chan_end *ch)
{
    struct queue_fact *q = ch->op_queue >= 0 ? &slice.queue[ch->op_queue] : NULL;
    struct exchange_fact *x = &slice.exchange[ch->op_exchange];

    sim_note("asked", ch->op, (uint64_t)(ch->op_queue + 1), ch->op_exchange * 10u + ch->op_key);
    switch (ch->op) {
    case AMQP_QUEUE_DELETE:
    case AMQP_QUEUE_PURGE:
        queue_is_emptied(ch->op_queue);
        if (ch->op == AMQP_QUEUE_DELETE)
            q->deleted_at = slice.stamp;
        /* fallthrough */
    case AMQP_QUEUE_DECLARE:
    case AMQP_QUEUE_BIND:
    case AMQP_QUEUE_UNBIND:
        q->is_busy = true;
        q->changed_at = ++slice.stamp;
        break;
    case AMQP_EXCHANGE_DECLARE:
    case AMQP_EXCHANGE_DELETE:
        x->is_busy = true;
        x->changed_at = ++slice.stamp;
        break;
    case AMQP_BASIC_CONSUME:
    case AMQP_BASIC_GET:
        q->is_new = false;
        break;
    default:
        break;
    }
}

static void on_declared(struct queue_fact *q, int queue)
{
    if (q->state == EXISTS)
        return;
    /* What was bound to it and is not known to have gone with it may still be. */
    unbind_all(0, queue, UNKNOWN);
    q->state = EXISTS;
}

void model_answered(const struct chan_end *ch)
{
    struct queue_fact *q = ch->op_queue >= 0 ? &slice.queue[ch->op_queue] : NULL;
    struct exchange_fact *x = &slice.exchange[ch->op_exchange];
    enum existence *b = q ? &slice.binding[ch->op_exchange][ch->op_key][ch->op_queue] : NULL;

    sim_note("answered", ch->op, (uint64_t)(ch->op_queue + 1), ch->uid);
    switch (ch->op) {
    case AMQP_QUEUE_DECLARE:
        on_declared(q, ch->op_queue);
        break;
    case AMQP_QUEUE_DELETE:
        q->state = GONE;
        unbind_all(0, ch->op_queue, GONE);
        went_with(ch->op_queue, ch->op_at, false);
        break;
    case AMQP_QUEUE_PURGE:
        /* Nobody can have had any of it in hand, and no queue died over it. */
        if (q->is_new && ch->op_failures == slice.failures)
            went_with(ch->op_queue, ch->op_at, true);
        break;
    case AMQP_QUEUE_BIND:
    case AMQP_QUEUE_UNBIND:
        *b = ch->op == AMQP_QUEUE_BIND ? EXISTS : GONE;
        break;
    case AMQP_EXCHANGE_DECLARE:
        x->state = EXISTS;
        break;
    case AMQP_EXCHANGE_DELETE:
        x->state = GONE;
        unbind_all(ch->op_exchange, NO_QUEUE, GONE);
        break;
    default:
        return;
    }
    if (ch->op == AMQP_EXCHANGE_DECLARE || ch->op == AMQP_EXCHANGE_DELETE)
        x->is_busy = false;
    else
        q->is_busy = false;
}

/* It may have happened, and may yet happen; the name stays busy until all is calm. */
void model_op_lost(const struct chan_end *ch)
{
    struct queue_fact *q = ch->op_queue >= 0 ? &slice.queue[ch->op_queue] : NULL;

    sim_note("lost", ch->op, (uint64_t)(ch->op_queue + 1), ch->uid);
    switch (ch->op) {
    case AMQP_QUEUE_DECLARE:
    case AMQP_QUEUE_DELETE:
        if ((q->state == EXISTS) == (ch->op == AMQP_QUEUE_DELETE))
            q->state = UNKNOWN;
        if (ch->op == AMQP_QUEUE_DELETE)
            unbind_all(0, ch->op_queue, UNKNOWN);
        break;
    case AMQP_QUEUE_BIND:
    case AMQP_QUEUE_UNBIND:
        slice.binding[ch->op_exchange][ch->op_key][ch->op_queue] = UNKNOWN;
        break;
    case AMQP_EXCHANGE_DECLARE:
    case AMQP_EXCHANGE_DELETE:
        slice.exchange[ch->op_exchange].state = UNKNOWN;
        unbind_all(ch->op_exchange, NO_QUEUE, UNKNOWN);
        break;
    case AMQP_BASIC_GET:
    case AMQP_BASIC_CONSUME:
        if (ch->op_no_ack)
            model_queue_leaks(ch->op_queue);
        for (uint32_t i = 1; ch->op_no_ack && i <= slice.n_messages; i++)
            slice.message[i].copy[ch->op_queue].is_loose = true;
        break;
    default:
        break;
    }
}
