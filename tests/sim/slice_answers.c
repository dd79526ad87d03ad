/*
 * slice_answers.c - what clients ask about names and bindings, and what they are told.
 *
 * Invariants, by the names under which they fail:
 * 1. "conditions": nothing is deleted that is in use, when only the unused was to be.
 */
#include "tests/sim/sim.h"
#include "tests/sim/slice_topology.h"

static bool is_of_queue(uint32_t op)
{
    return op == AMQP_QUEUE_DECLARE || op == AMQP_QUEUE_DELETE;
}

static bool is_of_exchange(uint32_t op)
{
    return op == AMQP_EXCHANGE_DECLARE || op == AMQP_EXCHANGE_DELETE;
}

static bool is_bind(uint32_t op)
{
    return op == AMQP_QUEUE_BIND || op == AMQP_EXCHANGE_BIND;
}

static bool is_unbind(uint32_t op)
{
    return op == AMQP_QUEUE_UNBIND || op == AMQP_EXCHANGE_UNBIND;
}

/* What the operation is about, and what it makes of it; NULL: nothing that lasts. */
static struct fact *subject(const struct chan_end *ch, enum existence *ret_to)
{
    *ret_to = ch->op == AMQP_QUEUE_DELETE || ch->op == AMQP_EXCHANGE_DELETE || is_unbind(ch->op)
                  ? GONE
                  : EXISTS;
    if (is_of_queue(ch->op))
        return ch->op_passive ? NULL : &slice.queue[ch->op_queue].fact;
    if (is_of_exchange(ch->op))
        return ch->op_passive ? NULL : &slice.exchange[ch->op_exchange].fact;
    return is_bind(ch->op) || is_unbind(ch->op)
               ? &slice.binding[ch->op_exchange][ch->op_key][ch->op_dest]
               : NULL;
}

static uint32_t epoch_of(const struct chan_end *ch)
{
    return slice.exchange[ch->op_exchange].epoch +
           (ch->op_dest < N_QUEUES ? slice.queue[ch->op_dest].epoch
                                   : slice.exchange[ch->op_dest - N_QUEUES].epoch);
}

/* Which exchanges may have lost their last binding once it is done. */
static uint32_t removed_by(const struct chan_end *ch)
{
    if (ch->op == AMQP_QUEUE_DELETE)
        return topology_removing_of(ch->op_queue);
    if (ch->op == AMQP_EXCHANGE_DELETE)
        return topology_removing_of(N_QUEUES + ch->op_exchange);
    return is_unbind(ch->op) && slice_exchanges[ch->op_exchange].auto_delete
               ? 1u << ch->op_exchange | topology_removing_of(N_QUEUES + ch->op_exchange)
               : 0;
}

static void note_holder(struct queue_fact *q, uint32_t client)
{
    for (uint32_t i = 0; i < q->n_holders; i++)
        if (q->holder[i].client == client)
            return;
    if (q->n_holders == MAX_HOLDERS)
        return;
    q->holder[q->n_holders].client = client;
    q->holder[q->n_holders++].ended_at = 0;
}

void model_asked(const struct client *c, struct chan_end *ch)
{
    struct queue_fact *q = ch->op_queue >= 0 ? &slice.queue[ch->op_queue] : NULL;
    enum existence to;
    struct fact *f = subject(ch, &to);

    sim_note("asked", ch->op, (uint64_t)(ch->op_queue + 1), ch->uid);
    if (is_bind(ch->op) || is_unbind(ch->op) || is_of_exchange(ch->op))
        sim_note("about", ch->op_exchange, ch->op_key, (uint64_t)ch->op_dest);
    ch->op_removing = removed_by(ch);
    for (int x = 1; x < N_EXCHANGES; x++)
        slice.exchange[x].n_removing += (ch->op_removing >> x) & 1;
    if (is_bind(ch->op) || is_unbind(ch->op))
        ch->op_epoch = epoch_of(ch);
    if (is_bind(ch->op) && slice.exchange[ch->op_exchange].was_bound == GONE)
        slice.exchange[ch->op_exchange].was_bound = UNKNOWN;
    if (f)
        fact_ask(f, to);
    if (ch->op == AMQP_QUEUE_DECLARE && f && (q->may_vanish || f->state != EXISTS))
        q->is_unused = false;
    if (ch->op == AMQP_EXCHANGE_DELETE)
        slice.exchange[ch->op_exchange].deleted_at = ++slice.stamp;
    if (ch->op == AMQP_QUEUE_DELETE)
        q->deleted_at = ++slice.stamp;
    if (ch->op == AMQP_QUEUE_DELETE || ch->op == AMQP_QUEUE_PURGE)
        topology_empty_queue(ch->op_queue);
    if (is_of_queue(ch->op) || ch->op == AMQP_QUEUE_PURGE)
        q->changed_at = ++slice.stamp;
    if (ch->op == AMQP_QUEUE_DECLARE && !ch->op_passive && ch->op_queue >= EXCLUSIVE_QUEUE)
        note_holder(q, c->uid);
    if (ch->op == AMQP_BASIC_CONSUME || ch->op == AMQP_BASIC_GET)
        q->is_new = false;
    if (f)
        topology_changed();
}

/* It is there, at this moment, and was made if it was not. */
static void queue_is_declared(const struct client *c, const struct chan_end *ch)
{
    struct queue_fact *q = &slice.queue[ch->op_queue];
    bool is_owned = ch->op_queue >= EXCLUSIVE_QUEUE;

    if (is_owned && q->owner != c->uid && q->owner) {
        /* What another had of this name is no more. */
        q->epoch++;
        topology_unbind(ch->op_queue, 0, q->fact.n_asked > 1 || q->fact.is_lost ? UNKNOWN : GONE);
        q->may_vanish = false;
        topology_went_with(ch->op_queue, ch->op_at, false);
    } else if (q->fact.state != EXISTS || q->may_vanish) {
        /* What was bound to it and is not known to have gone with it may still be. */
        topology_unbind(ch->op_queue, 0, UNKNOWN);
        q->is_unused = false;
    }
    if (is_owned) {
        q->owner = c->uid;
        q->may_vanish = c->phase == CLIENT_CLOSING;
    }
}

static void exchange_is_declared(const struct chan_end *ch)
{
    struct exchange_fact *x = &slice.exchange[ch->op_exchange];

    if (x->fact.state == EXISTS && !x->may_vanish)
        return;
    if (x->fact.state != GONE || x->may_vanish || x->fact.asked != 1u << EXISTS)
        x->was_bound = x->was_bound == GONE ? GONE : UNKNOWN;
    if (x->fact.state != GONE)
        topology_unbind(N_QUEUES + ch->op_exchange, ch->op_exchange, UNKNOWN);
}

/* Both ends were there. */
static void is_bound(struct chan_end *ch, struct fact *f)
{
    struct exchange_fact *x = &slice.exchange[ch->op_exchange];
    bool is_same = ch->op_epoch == epoch_of(ch);

    fact_answer(f, EXISTS);
    if (!is_same)
        f->state = fact_is_possible(&x->fact) && is_dest_possible(ch->op_dest) ? UNKNOWN : GONE;
    x->was_bound = is_same ? EXISTS : x->was_bound;
    if (is_same && topology_is_bound(ch->op_exchange, -1, true) && x->n_removing == 0) {
        x->may_vanish = false;
        if (!x->fact.asked)
            x->fact.state = EXISTS;
    }
    if (slice_exchanges[ch->op_exchange].auto_delete)
        topology_check_unused(1u << ch->op_exchange, 0); /* what is bound may go by itself */
}

/* One from before was asked for, and nobody has touched it or its end since. */
static bool was_in_use(const struct chan_end *ch)
{
    const struct fact *x = &slice.exchange[ch->op_exchange].fact;

    if (x->n_asked > 1 || x->is_lost)
        return false; /* another deletion may have been first */
    for (int p = 0; p < N_PATTERNS; p++)
        for (int d = 0; d < N_DESTS; d++) {
            const struct fact *f = &slice.binding[ch->op_exchange][p][d];
            const struct fact *end =
                d < N_QUEUES ? &slice.queue[d].fact : &slice.exchange[d - N_QUEUES].fact;

            if (fact_is_sure(f) && is_dest_sure(d) && f->asked_at < ch->op_at &&
                end->asked_at < ch->op_at && d != N_QUEUES + ch->op_exchange)
                return true;
        }
    return false;
}

static void change_is_over(const struct client *c, struct chan_end *ch, struct fact *f,
                           enum existence to)
{
    if (ch->op == AMQP_EXCHANGE_DELETE && ch->op_conditions && was_in_use(ch))
        sim_fail("conditions", "exchange %s is deleted, and is in use",
                 slice_exchanges[ch->op_exchange].name);
    if (is_bind(ch->op)) {
        is_bound(ch, f);
        return;
    }
    if (ch->op == AMQP_QUEUE_DECLARE)
        queue_is_declared(c, ch);
    else if (ch->op == AMQP_EXCHANGE_DECLARE)
        exchange_is_declared(ch);
    fact_answer(f, to);
    if (ch->op == AMQP_QUEUE_DELETE)
        topology_queue_is_gone(ch->op_queue, ch->op_at);
    if (ch->op == AMQP_EXCHANGE_DELETE && f->state == GONE) {
        topology_exchange_is_gone(ch->op_exchange, ch->op_at);
    } else if (ch->op == AMQP_EXCHANGE_DELETE) {
        slice.exchange[ch->op_exchange].epoch++;
        topology_unbind(N_QUEUES + ch->op_exchange, ch->op_exchange, UNKNOWN);
    }
}

static void removal_is_over(struct chan_end *ch, bool has_happened)
{
    for (int x = 1; x < N_EXCHANGES; x++)
        slice.exchange[x].n_removing -= (ch->op_removing >> x) & 1;
    if (has_happened)
        topology_check_unused(ch->op_removing, ch->op_at);
    ch->op_removing = 0;
}

void model_answered(const struct client *c, struct chan_end *ch)
{
    struct queue_fact *q = ch->op_queue >= 0 ? &slice.queue[ch->op_queue] : NULL;
    enum existence to;
    struct fact *f = subject(ch, &to);

    sim_note("answered", ch->op, (uint64_t)(ch->op_queue + 1), ch->uid);
    if (f)
        change_is_over(c, ch, f, to);
    removal_is_over(ch, true);
    if (ch->op == AMQP_QUEUE_PURGE)
        topology_empty_queue(ch->op_queue); /* also of what came since it was asked for */
    /* Nobody can have had any of it in hand, and no queue died over it. */
    if (ch->op == AMQP_QUEUE_PURGE && q->is_new && ch->op_failures == slice.failures &&
        !q->fact.asked)
        topology_went_with(ch->op_queue, ch->op_at, true);
    if (f)
        topology_changed();
}

void model_refused(struct chan_end *ch)
{
    enum existence to;
    struct fact *f = subject(ch, &to);

    sim_note("refused", ch->op, (uint64_t)(ch->op_queue + 1), ch->uid);
    if (f)
        fact_refuse(f);
    removal_is_over(ch, false);
    if (f)
        topology_changed();
}

/* It may have happened, and may yet happen, until all is calm. */
void model_op_lost(struct chan_end *ch)
{
    enum existence to;
    struct fact *f = subject(ch, &to);

    sim_note("lost", ch->op, (uint64_t)(ch->op_queue + 1), ch->uid);
    if (f)
        fact_lose(f, to);
    if (ch->op == AMQP_QUEUE_DELETE) {
        slice.queue[ch->op_queue].epoch++;
        topology_unbind(ch->op_queue, 0, UNKNOWN);
    } else if (ch->op == AMQP_EXCHANGE_DELETE) {
        slice.exchange[ch->op_exchange].epoch++;
        topology_unbind(N_QUEUES + ch->op_exchange, ch->op_exchange, UNKNOWN);
    }
    if (ch->op == AMQP_QUEUE_DECLARE && !ch->op_passive && slice.queue[ch->op_queue].may_vanish)
        topology_unbind(ch->op_queue, 0, UNKNOWN); /* it may be another by now */
    if (ch->op == AMQP_QUEUE_DECLARE)
        slice.queue[ch->op_queue].is_unused = false;
    if (ch->op == AMQP_QUEUE_PURGE)
        slice.queue[ch->op_queue].may_be_purged = true;
    removal_is_over(ch, true);
    if (is_bind(ch->op) && slice_exchanges[ch->op_exchange].auto_delete)
        topology_check_unused(1u << ch->op_exchange, 0);
    if ((ch->op == AMQP_BASIC_GET || ch->op == AMQP_BASIC_CONSUME) && ch->op_no_ack) {
        model_queue_leaks(ch->op_queue);
        for (uint32_t i = 1; i <= slice.n_messages; i++)
            slice.message[i].copy[ch->op_queue].is_loose = true;
    }
    if (f)
        topology_changed();
}
