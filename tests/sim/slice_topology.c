/*
 * slice_topology.c - what follows for all names and bindings from a change of one of them.
 */
#include "tests/sim/slice_topology.h"

/*
 * What follows from a change
 */

void topology_unbind(int dest, int source, enum existence to)
{
    for (int x = 1; x < N_EXCHANGES; x++)
        for (int p = 0; p < N_PATTERNS; p++)
            for (int d = 0; d < N_DESTS; d++)
                if ((d == dest || x == source) && slice.binding[x][p][d].state != GONE)
                    slice.binding[x][p][d].state = to;
}

bool topology_is_bound(int exchange, int dest, bool sure)
{
    for (int p = 0; p < N_PATTERNS; p++)
        for (int d = 0; d < N_DESTS; d++)
            if ((dest < 0 || d == dest) &&
                (sure ? fact_is_sure(&slice.binding[exchange][p][d]) && is_dest_sure(d)
                      : fact_is_possible(&slice.binding[exchange][p][d])))
                return true;
    return false;
}

uint32_t topology_removing_of(int dest)
{
    uint32_t found = 0, before;

    do {
        before = found;
        for (int x = 1; x < N_EXCHANGES; x++)
            for (int d = 0; slice_exchanges[x].auto_delete && d < N_DESTS; d++)
                if ((d == dest || (d > N_QUEUES && found & 1u << (d - N_QUEUES))) &&
                    topology_is_bound(x, d, false))
                    found |= 1u << x;
    } while (before != found);
    return found;
}

void topology_exchange_is_gone(int exchange, uint64_t since)
{
    struct exchange_fact *x = &slice.exchange[exchange];
    uint32_t others = topology_removing_of(N_QUEUES + exchange) & ~(1u << exchange);

    x->fact.state = GONE;
    x->may_vanish = false;
    x->was_bound = GONE;
    x->epoch++;
    x->deleted_at = ++slice.stamp;
    topology_unbind(N_QUEUES + exchange, exchange, GONE);
    topology_check_unused(others, since);
}

void topology_check_unused(uint32_t exchanges, uint64_t since)
{
    for (int i = 1; i < N_EXCHANGES; i++) {
        struct exchange_fact *x = &slice.exchange[i];

        if (exchanges & 1u << i && x->fact.n_asked > 0)
            x->fact.asked |= 1u << GONE; /* a declare that is under way may have been first */
        if (!(exchanges & 1u << i) || x->fact.state == GONE || x->was_bound == GONE ||
            topology_is_bound(i, -1, true))
            continue;
        if (x->was_bound == EXISTS && x->fact.asked_at < since && fact_is_sure(&x->fact) &&
            !x->may_vanish && x->n_removing == 0 && !topology_is_bound(i, -1, false)) {
            topology_exchange_is_gone(i, since);
            continue;
        }
        if (x->may_vanish)
            continue;
        x->may_vanish = true;
        x->deleted_at = ++slice.stamp;
        x->epoch++;
        topology_unbind(N_QUEUES + i, i, UNKNOWN);
        topology_check_unused(topology_removing_of(N_QUEUES + i) & ~(1u << i), 0);
    }
}

void topology_empty_queue(int queue)
{
    for (uint32_t i = 1; i <= slice.n_messages; i++) {
        slice.message[i].copy[queue].duty = DUTY_NONE;
        slice.message[i].copy[queue].is_sure = false;
    }
}

void topology_queue_vanishes(int queue)
{
    struct queue_fact *q = &slice.queue[queue];
    uint32_t removing = topology_removing_of(queue);

    if (q->fact.state == GONE && !q->fact.asked)
        return;
    q->vanished_at = ++slice.stamp;
    if (q->may_vanish)
        return;
    q->may_vanish = true;
    q->epoch++;
    topology_empty_queue(queue);
    topology_unbind(queue, 0, UNKNOWN);
    topology_check_unused(removing, 0);
    topology_changed();
}

void model_queue_leaks(int queue)
{
    topology_empty_queue(queue);
    slice.queue[queue].is_leaking = true;
}

void topology_went_with(int queue, uint64_t asked_at, bool is_purge)
{
    const struct fact *f = &slice.queue[queue].fact;
    /* Where the queue may be there again, what was under way may have come to the new one. */
    bool only_before = is_purge || f->state != GONE || f->n_asked > 0;

    slice.stamp++;
    for (uint32_t i = 1; i <= slice.n_messages; i++) {
        struct message *m = &slice.message[i];
        struct copy *c = &m->copy[queue];

        if (!c->is_possible || c->gone_at || !m->is_over || m->sent_at > asked_at ||
            (only_before && (m->over_at == 0 || m->over_at > asked_at)))
            continue;
        c->gone_at = slice.stamp;
        c->gone_softly = is_purge; /* purge-ok does not wait for the disk */
        c->gone = is_purge ? "purged stays purged" : "deleted stays deleted";
    }
}

void topology_queue_is_gone(int queue, uint64_t asked_at)
{
    struct queue_fact *q = &slice.queue[queue];
    uint32_t removing = topology_removing_of(queue);

    q->epoch++;
    if (q->fact.state == GONE)
        q->may_vanish = q->is_unused = false;
    topology_unbind(queue, 0, q->fact.state == GONE ? GONE : UNKNOWN);
    topology_went_with(queue, asked_at, false);
    topology_check_unused(removing, asked_at);
}

void topology_owner_closed(const struct client *c, bool is_peaceful)
{
    for (int i = EXCLUSIVE_QUEUE; i < N_QUEUES; i++) {
        struct queue_fact *q = &slice.queue[i];

        for (uint32_t k = 0; k < q->n_holders; k++)
            if (q->holder[k].client == c->uid)
                q->holder[k].ended_at = ++slice.stamp;
        if (!is_peaceful || q->owner != c->uid || q->fact.asked || q->fact.state != EXISTS)
            continue;
        q->fact.state = GONE; /* exclusive queues go before close-ok */
        topology_queue_is_gone(i, c->closed_at);
    }
    topology_changed();
}

void topology_owner_leaves(const struct client *c)
{
    for (int i = EXCLUSIVE_QUEUE; i < N_QUEUES; i++)
        if (slice.queue[i].owner == c->uid)
            topology_queue_vanishes(i);
}

/*
 * What others may be told of it
 */

bool model_names_are_there(const struct chan_end *ch)
{
    const struct queue_fact *q = ch->op_queue >= 0 ? &slice.queue[ch->op_queue] : NULL;
    const struct exchange_fact *x = &slice.exchange[ch->op_exchange], *to = x;

    if (ch->op == AMQP_EXCHANGE_BIND || ch->op == AMQP_EXCHANGE_UNBIND)
        to = &slice.exchange[ch->op_dest - N_QUEUES];
    if (q &&
        (!model_is_there(ch->op_queue) || q->deleted_at > ch->op_at || q->vanished_at > ch->op_at))
        return false;
    return model_is_exchange_there(ch->op_exchange) &&
           model_is_exchange_there((int)(to - slice.exchange)) && x->deleted_at <= ch->op_at &&
           to->deleted_at <= ch->op_at;
}

bool model_may_be_locked(const struct client *c, const struct chan_end *ch)
{
    const struct queue_fact *q = &slice.queue[ch->op_queue < 0 ? 0 : ch->op_queue];

    if (ch->op_queue < EXCLUSIVE_QUEUE)
        return false;
    /* A declare waits for a dead owner's queue to go; all others see it while it is there. */
    for (uint32_t i = 0; i < q->n_holders; i++)
        if (q->holder[i].client != c->uid &&
            (ch->op != AMQP_QUEUE_DECLARE || q->holder[i].ended_at == 0 ||
             q->holder[i].ended_at > ch->op_at))
            return true;
    return q->n_holders == MAX_HOLDERS;
}

static bool is_connected(uint32_t client)
{
    for (int i = 0; i < N_CLIENTS; i++)
        if (slice.client[i].phase != CLIENT_NONE && slice.client[i].uid == client)
            return true;
    return false;
}

bool topology_queue_is_renamed(int queue)
{
    struct queue_fact *q = &slice.queue[queue];
    uint32_t removing = topology_removing_of(queue);

    if (slice.n_server_names + 1 == N_SERVER_NAMES || q->fact.n_asked > 0 || is_connected(q->owner))
        return false;
    slice.n_server_names++;
    q->fact = (struct fact){.state = GONE};
    q->may_vanish = false;
    q->owner = 0;
    q->epoch++;
    topology_unbind(queue, 0, GONE);
    for (int x = 1; x < N_EXCHANGES; x++)
        if (removing & 1u << x) {
            slice.exchange[x].may_vanish = true;
            slice.exchange[x].was_bound = UNKNOWN;
        }
    topology_went_with(queue, slice.stamp, false);
    for (uint32_t i = slice.first_open; i <= slice.n_messages; i++) {
        struct copy *copy = &slice.message[i].copy[queue];

        if (slice.message[i].is_over)
            continue;
        slice.message[i].is_out_of_reach |= copy->is_possible;
        copy->is_possible = false; /* of the one that is to come */
    }
    topology_changed();
    return true;
}

void topology_queue_is_used(int queue)
{
    struct queue_fact *q = &slice.queue[queue];

    q->is_unused = true; /* once it is consumed from no more */
    q->may_vanish = false;
    if (!q->fact.asked)
        q->fact.state = EXISTS;
    else
        topology_unbind(queue, 0, UNKNOWN);
    topology_changed();
}

static bool may_fail(const struct client *c, const struct chan_end *ch)
{
    if (ch->op && ch->op_queue >= EXCLUSIVE_QUEUE && slice.queue[ch->op_queue].owner != c->uid)
        return true;
    if (ch->op && (!ch->op_sure || ch->op_conditions || !model_names_are_there(ch)))
        return true;
    for (uint32_t i = slice.first_open; i <= slice.n_messages; i++)
        if (slice.message[i].channel == ch->uid && slice.message[i].is_risky)
            return true;
    return false;
}

void topology_check_users(void)
{
    bool may_go = false;

    if (slice.queue[AUTO_QUEUE].may_vanish)
        return;
    for (int i = 0; i < N_CLIENTS; i++)
        for (int k = 0; k < N_CHANNELS; k++) {
            const struct chan_end *ch = &slice.client[i].channel[k];

            for (int n = 0; n < N_CONSUMERS; n++)
                may_go |= ch->consumer[n].uid && ch->consumer[n].queue == AUTO_QUEUE &&
                          may_fail(&slice.client[i], ch);
        }
    if (may_go)
        topology_queue_vanishes(AUTO_QUEUE);
}

/*
 * What a calm, an audit, or the end of the program says of all of them
 */

static void each_binding(void (*fn)(struct fact *f, int exchange, int dest))
{
    for (int x = 1; x < N_EXCHANGES; x++)
        for (int p = 0; p < N_PATTERNS; p++)
            for (int d = 0; d < N_DESTS; d++)
                fn(&slice.binding[x][p][d], x, d);
}

static void binding_calms(struct fact *f, int exchange, int dest)
{
    (void)exchange, (void)dest;
    fact_calm(f);
}

static void name_calms(struct fact *f, bool *may_vanish)
{
    fact_calm(f);
    if (*may_vanish && f->state == EXISTS)
        f->state = UNKNOWN;
    *may_vanish = false;
}

void topology_calm(void)
{
    each_binding(binding_calms);
    for (int i = 0; i < N_QUEUES; i++) {
        name_calms(&slice.queue[i].fact, &slice.queue[i].may_vanish);
        slice.queue[i].n_holders = slice.queue[i].owner = 0;
        if (slice.queue[i].may_be_purged)
            topology_empty_queue(i);
        slice.queue[i].may_be_purged = false;
    }
    for (int x = 1; x < N_EXCHANGES; x++)
        name_calms(&slice.exchange[x].fact, &slice.exchange[x].may_vanish);
    topology_changed();
}

static bool is_durable(int dest)
{
    return dest < N_QUEUES ? slice_is_durable(dest) : slice_exchanges[dest - N_QUEUES].durable;
}

static void binding_ends(struct fact *f, int exchange, int dest)
{
    fact_calm(f);
    if (!slice_exchanges[exchange].durable || !is_durable(dest))
        f->state = GONE;
}

void topology_program_loss(void)
{
    topology_calm();
    each_binding(binding_ends);
    for (int i = 0; i < N_QUEUES; i++)
        slice.queue[i].is_unused = false;
    for (int i = N_DURABLE_QUEUES; i < N_QUEUES; i++)
        slice.queue[i].fact.state = GONE;
    for (int i = 1; i < N_EXCHANGES; i++) {
        struct exchange_fact *x = &slice.exchange[i];

        if (!slice_exchanges[i].durable)
            x->fact.state = x->was_bound = GONE;
        if (x->was_bound == GONE || !slice_exchanges[i].auto_delete)
            continue;
        /* Whether it had bindings that do not last is known to nobody any more. */
        x->was_bound = UNKNOWN;
        if (!topology_is_bound(i, -1, true) && x->fact.state == EXISTS)
            x->fact.state = UNKNOWN;
    }
    topology_changed();
}

void topology_found(int dest, bool is_there)
{
    struct queue_fact *q = dest < N_QUEUES ? &slice.queue[dest] : NULL;
    int exchange = q ? 0 : dest - N_QUEUES;
    uint32_t others = topology_removing_of(dest);

    (q ? &q->fact : &slice.exchange[exchange].fact)->state = is_there ? EXISTS : GONE;
    if (is_there) {
        topology_changed();
        return;
    }
    topology_unbind(dest, exchange, GONE);
    if (!q)
        slice.exchange[exchange].was_bound = GONE;
    topology_check_unused(others, slice.stamp + 1);
    topology_changed();
}
