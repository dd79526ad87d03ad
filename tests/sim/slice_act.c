/*
 * slice_act.c - what clients do by themselves: one of them, one thing at a time, by the seed.
 *
 * A channel asks one thing at a time that is answered; meanwhile it publishes and settles on.
 */
#include <stdio.h>
#include <string.h>

#include "amqp/codec/frame.h"
#include "tests/sim/rt_ledger.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/sim_world.h"
#include "tests/sim/slice.h"

static uint32_t below(uint32_t n)
{
    return sim_below(SIM_DRIVER, n);
}

static bool chance(uint32_t per_million)
{
    return sim_chance(SIM_DRIVER, per_million);
}

/* Mostly small; now and then over a frame, or over what a record holds inline. */
static uint32_t pick_size(void)
{
    uint32_t r = below(1000);

    return r < 850 ? below(200) : r < 970 ? below(5000) : r < 995 ? below(40000) : below(120000);
}

void act_publish(struct client *c, struct chan_end *ch, const struct message *like)
{
    struct amqp_method pub = {.id = AMQP_BASIC_PUBLISH};
    struct message *m = model_publish(ch, like);
    uint8_t props[PROPS_MAX];

    if (!m)
        return;
    m->mandatory = slice.is_auditing || chance(200000);
    m->size = slice.is_auditing ? 8 : pick_size();
    ch->published++;
    if (ch->confirming) {
        while (ch->cap_waiting < ch->next_confirm)
            GROW(ch->waiting, ch->cap_waiting, ch->cap_waiting);
        ch->waiting[ch->next_confirm++ - 1] = m->uid;
        ch->n_waiting++;
    }
    pub.u.basic_publish =
        (struct amqp_basic_publish){.exchange = amqp_str(slice_exchanges[m->exchange].name),
                                    .routing_key = amqp_str(slice_key_of(m, m->key)),
                                    .mandatory = m->mandatory};
    client_method(c, ch->number, &pub);
    sim_peer_put_content(&c->peer, ch->number, amqp_bytes(props, slice_props(m, true, props)),
                         m->uid, m->size);
    sim_note("publish", m->uid, m->size, ch->uid);
    sim_note("to", m->exchange * 10u + m->key, (uint64_t)(m->cc + 1) * 10 + (uint64_t)(m->bcc + 1),
             m->headers);
}

/* One of the names in a set. */
int act_pick(uint32_t of, int n)
{
    uint32_t k = below((uint32_t)__builtin_popcount(of));

    for (int i = 0; i < n; i++)
        if (of & 1u << i && k-- == 0)
            return i;
    return 0;
}

static uint8_t pick_key(int exchange)
{
    return (uint8_t)(exchange ? below(slice.profile->patterns)
                              : (uint32_t)act_pick(slice.profile->queues, N_QUEUES));
}

/* Another key in its headers: of a queue that always has the same name. */
static int8_t pick_more(int exchange)
{
    uint8_t key = pick_key(exchange);

    return !chance(80000) || (exchange == 0 && key == SERVER_NAMED_QUEUE) ? -1 : (int8_t)key;
}

static void publish_some(struct client *c, struct chan_end *ch)
{
    int x = chance(400000) ? 0 : act_pick(slice.profile->exchanges, N_EXCHANGES);
    struct message like = {.exchange = (uint8_t)x,
                           .key = pick_key(x),
                           .cc = pick_more(x),
                           .bcc = pick_more(x),
                           .name = (uint8_t)slice.n_server_names};

    if (ch->op == AMQP_CONFIRM_SELECT || slice_exchanges[x].internal ||
        (x && slice.exchange[x].fact.state != EXISTS && !chance(10000)) ||
        (x == 0 && like.key == SERVER_NAMED_QUEUE && !*slice_queue(like.key)))
        return; /* the numbers begin with its answer; a missing exchange is an error */
    for (uint32_t n = 1 + below(chance(50000) ? 60 : 6); n > 0; n--) {
        like.persistent = chance(700000);
        like.headers = x && chance(slice_exchanges[x].type == EX_HEADERS ? 900000 : 100000)
                           ? (uint8_t)below(N_HEADERS)
                           : 0;
        act_publish(c, ch, &like);
    }
}

void act_get(struct client *c, struct chan_end *ch, int queue, bool no_ack)
{
    struct amqp_method m = {.id = AMQP_BASIC_GET};

    ch->op_queue = (int8_t)queue;
    ch->op_no_ack = no_ack;
    m.u.basic_get =
        (struct amqp_basic_get){.queue = amqp_str(slice_queue(queue)), .no_ack = no_ack};
    channel_ask(c, ch, &m);
}

void act_consume(struct client *c, struct chan_end *ch, int queue, bool no_ack)
{
    struct amqp_method m = {.id = AMQP_BASIC_CONSUME};
    struct consumer_end *e;
    char tag[16];
    int i = 0;

    while (i < N_CONSUMERS && ch->consumer[i].uid)
        i++;
    if (i == N_CONSUMERS)
        return;
    e = &ch->consumer[i];
    e->uid = ++slice.next_consumer;
    e->queue = (int8_t)queue;
    e->no_ack = no_ack;
    e->prefetch = ch->prefetch;
    e->failures = slice.failures;
    e->since = ++slice.stamp;
    e->is_sure = model_is_there(queue);
    ch->op_queue = (int8_t)queue;
    ch->op_consumer = (int8_t)i;
    ch->op_no_ack = no_ack;
    ch->op_nowait = chance(150000);
    e->is_on = ch->op_nowait; /* what it is given may come before the answer */
    snprintf(tag, sizeof(tag), "c%u", e->uid);
    m.u.basic_consume = (struct amqp_basic_consume){.queue = amqp_str(slice_queue(queue)),
                                                    .consumer_tag = amqp_str(tag),
                                                    .no_ack = no_ack,
                                                    .nowait = ch->op_nowait};
    channel_ask(c, ch, &m);
}

static void cancel_some(struct client *c, struct chan_end *ch)
{
    struct amqp_method m = {.id = AMQP_BASIC_CANCEL};
    int i = (int)below(N_CONSUMERS);
    char tag[16];

    if (!ch->consumer[i].is_on)
        return;
    if (sim_is_planted("wire-cancel-unsaid")) {
        ch->consumer[i].is_on = false;
        return;
    }
    ch->op_consumer = (int8_t)i;
    snprintf(tag, sizeof(tag), "c%u", ch->consumer[i].uid);
    ch->op_nowait = chance(150000);
    m.u.basic_cancel =
        (struct amqp_basic_cancel){.consumer_tag = amqp_str(tag), .nowait = ch->op_nowait};
    if (ch->consumer[i].queue == AUTO_QUEUE)
        topology_queue_vanishes(AUTO_QUEUE);
    channel_ask(c, ch, &m);
}

static void set_prefetch(struct client *c, struct chan_end *ch)
{
    struct amqp_method m = {.id = AMQP_BASIC_QOS};

    ch->prefetch = (uint16_t)below(6);
    m.u.basic_qos.prefetch_count = ch->prefetch;
    if (sim_is_planted("wire-prefetch") && ch->prefetch > 1)
        ch->prefetch--;
    channel_ask(c, ch, &m);
}

void act_settle_one(struct chan_end *ch, uint32_t i, bool keeps)
{
    struct unacked u = ch->unacked[i];

    memmove(&ch->unacked[i], &ch->unacked[i + 1], (--ch->n_unacked - i) * sizeof(u));
    for (int k = 0; k < N_CONSUMERS; k++)
        if (u.consumer && ch->consumer[k].uid == u.consumer)
            ch->consumer[k].n_unacked--;
    sim_note(keeps ? "gives back" : "settles", u.uid, u.tag, ch->uid);
    if (keeps)
        return;
    model_settled(u.uid, u.queue);
    GROW(ch->acked, ch->n_acked, ch->cap_acked);
    u.done_at = ++slice.stamp;
    u.done_failures = slice.failures;
    u.done_front = slice.front_failures;
    u.done_store = slice.store_failures;
    ch->acked[ch->n_acked++] = u;
}

/* Acks mostly; gives back, drops; one, or all up to one. */
static void settle_some(struct client *c, struct chan_end *ch)
{
    uint32_t i = below(ch->n_unacked), r = below(100);
    struct amqp_method m = {.id = r < 70   ? AMQP_BASIC_ACK
                                  : r < 85 ? AMQP_BASIC_NACK
                                           : AMQP_BASIC_REJECT};
    bool multiple = m.id != AMQP_BASIC_REJECT && chance(300000), requeue = chance(700000);
    uint64_t tag;

    if (ch->n_unacked == 0 || ch->op == AMQP_BASIC_RECOVER)
        return;
    tag = ch->unacked[i].tag;
    if (sim_is_planted("wire-ack-unknown"))
        tag = ch->last_tag + 100000; /* the next one may be on its way */
    if (m.id == AMQP_BASIC_ACK)
        m.u.basic_ack = (struct amqp_basic_ack){.delivery_tag = tag, .multiple = multiple};
    else if (m.id == AMQP_BASIC_NACK)
        m.u.basic_nack =
            (struct amqp_basic_nack){.delivery_tag = tag, .multiple = multiple, .requeue = requeue};
    else
        m.u.basic_reject = (struct amqp_basic_reject){.delivery_tag = tag, .requeue = requeue};
    if (!sim_is_planted("wire-ack-unsaid"))
        client_method(c, ch->number, &m);
    requeue = requeue && m.id != AMQP_BASIC_ACK;
    for (uint32_t k = multiple ? i + 1 : 1; k > 0; k--)
        act_settle_one(ch, multiple ? 0 : i, requeue);
}

static void recover(struct client *c, struct chan_end *ch)
{
    struct amqp_method m = {.id = AMQP_BASIC_RECOVER};

    m.u.basic_recover.requeue = true;
    channel_ask(c, ch, &m); /* all that comes before its answer goes back */
}

static void close_channel(struct client *c, struct chan_end *ch)
{
    struct amqp_method m = {.id = AMQP_CHANNEL_CLOSE};

    m.u.channel_close =
        (struct amqp_channel_close){.reply_code = 200, .reply_text = amqp_str("ok")};
    ch->phase = CHAN_CLOSING;
    channel_consumers_leave(ch);
    client_method(c, ch->number, &m);
}

/* A queue that is there as far as anybody knows; others seldom. */
static int pick_queue(void)
{
    int q = act_pick(slice.profile->queues, N_QUEUES);
    bool may = slice.queue[q].fact.state != GONE || chance(30000);

    return may && *slice_queue(q) ? q : NO_QUEUE;
}

static void ask_some(struct client *c, struct chan_end *ch, enum slice_act what)
{
    struct amqp_method confirm = {.id = AMQP_CONFIRM_SELECT};
    int q = pick_queue();

    ch->op_exchange = 0;
    ch->op_passive = ch->op_conditions = ch->op_nowait = false;
    if (ch->published == 0 && !ch->confirming && chance(800000))
        channel_ask(c, ch, &confirm);
    else if (what == ACT_CANCEL)
        cancel_some(c, ch);
    else if (what == ACT_PREFETCH)
        set_prefetch(c, ch);
    else if (what == ACT_RECOVER)
        recover(c, ch);
    else if (what == ACT_CLOSE_CHANNEL)
        close_channel(c, ch);
    else if (what >= ACT_DECLARE_QUEUE)
        act_change(c, ch, what);
    else if (q != NO_QUEUE && what == ACT_CONSUME)
        act_consume(c, ch, q, chance(60000));
    else if (q != NO_QUEUE && what == ACT_GET)
        act_get(c, ch, q, chance(60000));
}

static enum slice_act pick_act(void)
{
    const uint16_t *weight = slice.profile->weight;
    uint32_t sum = 0, r;
    int i = 0;

    for (int k = 0; k < N_ACTS; k++)
        sum += weight[k];
    for (r = below(sum); r >= weight[i]; i++)
        r -= weight[i];
    return (enum slice_act)i;
}

static void act_channel(struct client *c, struct chan_end *ch)
{
    enum slice_act what = pick_act();

    if (ch->phase == CHAN_NONE) {
        channel_open(c, ch->number - 1);
    } else if (ch->phase == CHAN_READY) {
        if (what == ACT_PUBLISH)
            publish_some(c, ch);
        else if (what == ACT_SETTLE)
            settle_some(c, ch);
        else if (!ch->op)
            ask_some(c, ch, what);
    }
}

/* Its connection ends, in one of the ways in which connections do. */
static void leave(struct client *c)
{
    uint32_t r = below(100);

    if (r < 30) {
        client_close(c);
    } else if (r < 40 && c->peer.n_out > 0) {
        client_write(c, false); /* somewhere within a frame */
        client_drop(c, false);
    } else if (r < 60 && c->will_go_silent && c->phase == CLIENT_RUNNING) {
        c->phase = CLIENT_SILENT;
        sim_note("silent", c->uid, 0, 0);
    } else if (r < 80) {
        client_drop(c, true);
    } else {
        client_drop(c, false);
    }
}

void act(void)
{
    struct client *c = &slice.client[below(N_CLIENTS)];
    uint32_t r = below(1000);

    if (c->is_audit || c->phase == CLIENT_SILENT)
        return;
    if (c->phase == CLIENT_NONE) {
        client_connect(c);
    } else if (r < 350) {
        client_read(c, !c->is_slow);
    } else if (r < 650 || c->peer.n_out > 100000) {
        client_write(c, false);
    } else if (c->phase == CLIENT_RUNNING && r < 1000 - slice.profile->leave) {
        act_channel(c, &c->channel[below(N_CHANNELS)]);
    } else if (r >= 1000 - slice.profile->leave) {
        leave(c);
    }
}
