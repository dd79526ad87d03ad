/*
 * slice_change.c - what clients do to names and bindings.
 *
 * Where the scenario allows it, a name is changed while somebody else changes it; then nobody knows
 * in which order that happened, until one changes it alone.
 */
#include "tests/sim/sim.h"
#include "tests/sim/sim_world.h"
#include "tests/sim/slice_topology.h"

static bool chance(uint32_t per_million)
{
    return sim_chance(SIM_DRIVER, per_million);
}

/* Whether this one may be changed now: alone, or where others are at it too. */
static bool may_change(const struct fact *f)
{
    return !f->asked || chance(slice.profile->overlap);
}

void act_declare_queue(struct client *c, struct chan_end *ch, int queue, bool passive)
{
    struct amqp_method m = {.id = AMQP_QUEUE_DECLARE};
    bool has_no_name = queue == SERVER_NAMED_QUEUE && !passive;

    if (has_no_name && !topology_queue_is_renamed(queue))
        return;
    ch->op_queue = (int8_t)queue;
    ch->op_passive = passive;
    ch->op_nowait = !slice.is_auditing && !has_no_name && chance(150000);
    m.u.queue_declare =
        (struct amqp_queue_declare){.queue = amqp_str(has_no_name ? "" : slice_queue(queue)),
                                    .durable = slice_is_durable(queue),
                                    .exclusive = queue >= EXCLUSIVE_QUEUE,
                                    .auto_delete = queue == AUTO_QUEUE,
                                    .nowait = ch->op_nowait,
                                    .passive = passive};
    channel_ask(c, ch, &m);
}

void act_declare_exchange(struct client *c, struct chan_end *ch, int exchange, bool passive)
{
    const struct exchange_spec *x = &slice_exchanges[exchange];
    struct amqp_method m = {.id = AMQP_EXCHANGE_DECLARE};
    uint8_t args[PROPS_MAX];

    ch->op_exchange = (uint8_t)exchange;
    ch->op_passive = passive;
    ch->op_nowait = !slice.is_auditing && chance(150000);
    m.u.exchange_declare =
        (struct amqp_exchange_declare){.exchange = amqp_str(x->name),
                                       .type = amqp_str(slice_types[x->type]),
                                       .durable = x->durable,
                                       .auto_delete = x->auto_delete,
                                       .internal = x->internal,
                                       .nowait = ch->op_nowait,
                                       .passive = passive,
                                       .arguments = slice_exchange_args(exchange, args)};
    channel_ask(c, ch, &m);
}

/* A planted bug: it is answered, and nothing was done. */
static bool is_unsaid(struct client *c, struct chan_end *ch, uint32_t op, const char *plant)
{
    if (!sim_is_planted(plant))
        return false;
    ch->op = op;
    ch->op_at = ++slice.stamp;
    ch->op_failures = slice.failures;
    ch->op_nowait = ch->op_conditions = ch->op_passive = false;
    model_asked(c, ch);
    model_answered(c, ch);
    ch->op = 0;
    return true;
}

static bool is_bound(int queue)
{
    bool found = false;

    for (int x = 1; x < N_EXCHANGES; x++)
        found |= topology_is_bound(x, queue, false);
    return found;
}

static void delete_queue(struct client *c, struct chan_end *ch, int queue)
{
    struct amqp_method m = {.id = AMQP_QUEUE_DELETE};
    bool if_unused = chance(150000), if_empty = chance(150000);

    if (queue < AUTO_QUEUE && model_is_there(queue) && !is_bound(queue) &&
        is_unsaid(c, ch, m.id, "wire-delete-recalled")) {
        (void)is_unsaid(c, ch, AMQP_QUEUE_DECLARE, "wire-delete-recalled"); /* it is planted */
        return;
    }
    ch->op_conditions = if_unused || if_empty;
    ch->op_nowait = chance(150000);
    m.u.queue_delete = (struct amqp_queue_delete){.queue = amqp_str(slice_queue(queue)),
                                                  .if_unused = if_unused,
                                                  .if_empty = if_empty,
                                                  .nowait = ch->op_nowait};
    channel_ask(c, ch, &m);
}

static void purge_queue(struct client *c, struct chan_end *ch, int queue)
{
    struct amqp_method m = {.id = AMQP_QUEUE_PURGE};

    if (is_unsaid(c, ch, m.id, "wire-purge-unsaid"))
        return;
    ch->op_nowait = chance(150000);
    m.u.queue_purge =
        (struct amqp_queue_purge){.queue = amqp_str(slice_queue(queue)), .nowait = ch->op_nowait};
    channel_ask(c, ch, &m);
}

/* What is mostly not to be done to a name that is not there. */
static bool is_missed(const struct fact *f)
{
    return f->state == GONE && !chance(50000);
}

static void change_queue(struct client *c, struct chan_end *ch, enum slice_act what)
{
    int q = act_pick(slice.profile->queues, N_QUEUES);
    const struct fact *f = &slice.queue[q].fact;

    if (!may_change(f))
        return;
    ch->op_queue = (int8_t)q;
    if (what == ACT_DECLARE_QUEUE)
        act_declare_queue(c, ch, q, f->state == EXISTS && *slice_queue(q) && chance(400000));
    else if (is_missed(f) || !*slice_queue(q))
        return;
    else if (what == ACT_DELETE_QUEUE)
        delete_queue(c, ch, q);
    else
        purge_queue(c, ch, q);
}

static void delete_exchange(struct client *c, struct chan_end *ch, int exchange, bool if_unused)
{
    struct amqp_method m = {.id = AMQP_EXCHANGE_DELETE};

    ch->op_conditions = if_unused;
    ch->op_nowait = chance(150000);
    m.u.exchange_delete = (struct amqp_exchange_delete){
        .exchange = amqp_str(slice_exchanges[exchange].name),
        .if_unused = if_unused && !sim_is_planted("wire-unconditional"),
        .nowait = ch->op_nowait};
    channel_ask(c, ch, &m);
}

static void change_exchange(struct client *c, struct chan_end *ch, enum slice_act what)
{
    int x = act_pick(slice.profile->exchanges & ~3u, N_EXCHANGES);
    const struct fact *f = &slice.exchange[x].fact;

    if (!(slice.profile->exchanges & ~3u) || !may_change(f))
        return;
    ch->op_exchange = (uint8_t)x;
    if (what == ACT_DECLARE_EXCHANGE)
        act_declare_exchange(c, ch, x, f->state == EXISTS && chance(400000));
    else if (!is_missed(f))
        delete_exchange(c, ch, x, chance(200000));
}

static void ask_queue(struct client *c, struct chan_end *ch, bool remove)
{
    struct amqp_method m = {.id = remove ? AMQP_QUEUE_UNBIND : AMQP_QUEUE_BIND};
    struct amqp_bytes name = amqp_str(slice_queue(ch->op_queue)), args;
    struct amqp_bytes source = amqp_str(slice_exchanges[ch->op_exchange].name);
    struct amqp_bytes key = amqp_str(slice_pattern(ch->op_exchange, ch->op_key));
    uint8_t buf[PROPS_MAX];

    args = slice_binding_args(ch->op_exchange, ch->op_key, buf);
    if (remove) {
        m.u.queue_unbind = (struct amqp_queue_unbind){
            .queue = name, .exchange = source, .routing_key = key, .arguments = args};
    } else {
        ch->op_nowait = chance(150000);
        m.u.queue_bind = (struct amqp_queue_bind){.queue = name,
                                                  .exchange = source,
                                                  .routing_key = key,
                                                  .arguments = args,
                                                  .nowait = ch->op_nowait};
    }
    channel_ask(c, ch, &m);
}

static void ask_exchange(struct client *c, struct chan_end *ch, bool remove)
{
    struct amqp_method m = {.id = remove ? AMQP_EXCHANGE_UNBIND : AMQP_EXCHANGE_BIND};
    struct amqp_bytes dest = amqp_str(slice_exchanges[ch->op_dest - N_QUEUES].name), args;
    struct amqp_bytes source = amqp_str(slice_exchanges[ch->op_exchange].name);
    struct amqp_bytes key = amqp_str(slice_pattern(ch->op_exchange, ch->op_key));
    uint8_t buf[PROPS_MAX];

    args = slice_binding_args(ch->op_exchange, ch->op_key, buf);
    ch->op_nowait = chance(150000);
    if (remove)
        m.u.exchange_unbind = (struct amqp_exchange_unbind){.destination = dest,
                                                            .source = source,
                                                            .routing_key = key,
                                                            .arguments = args,
                                                            .nowait = ch->op_nowait};
    else
        m.u.exchange_bind = (struct amqp_exchange_bind){.destination = dest,
                                                        .source = source,
                                                        .routing_key = key,
                                                        .arguments = args,
                                                        .nowait = ch->op_nowait};
    channel_ask(c, ch, &m);
}

static void change_binding(struct client *c, struct chan_end *ch, enum slice_act what)
{
    bool to_exchange = what == ACT_BIND_EXCHANGE || what == ACT_UNBIND_EXCHANGE;
    bool remove = what == ACT_UNBIND || what == ACT_UNBIND_EXCHANGE;
    int x = act_pick(slice.profile->exchanges & ~1u, N_EXCHANGES);
    int d = to_exchange ? act_pick(slice.profile->exchanges & ~1u, N_EXCHANGES)
                        : act_pick(slice.profile->queues, N_QUEUES);
    int p = (int)sim_below(SIM_DRIVER, slice.profile->patterns);
    const struct fact *end = to_exchange ? &slice.exchange[d].fact : &slice.queue[d].fact;

    if (!(slice.profile->exchanges & ~1u) || is_missed(&slice.exchange[x].fact) || is_missed(end) ||
        (!to_exchange && !*slice_queue(d)) ||
        !may_change(&slice.binding[x][p][to_exchange ? N_QUEUES + d : d]))
        return;
    ch->op_exchange = (uint8_t)x;
    ch->op_key = (uint8_t)p;
    ch->op_dest = (int8_t)(to_exchange ? N_QUEUES + d : d);
    if (to_exchange) {
        ask_exchange(c, ch, remove);
    } else {
        ch->op_queue = (int8_t)d;
        ask_queue(c, ch, remove);
    }
}

void act_change(struct client *c, struct chan_end *ch, enum slice_act what)
{
    if (what <= ACT_PURGE)
        change_queue(c, ch, what);
    else if (what == ACT_DECLARE_EXCHANGE || what == ACT_DELETE_EXCHANGE)
        change_exchange(c, ch, what);
    else
        change_binding(c, ch, what);
    if (!ch->op) {
        ch->op_queue = NO_QUEUE;
        ch->op_exchange = 0;
    }
}
