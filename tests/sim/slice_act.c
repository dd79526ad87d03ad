/*
 * slice_act.c - what clients do by themselves: one of them, one thing at a time, by the seed.
 *
 * A channel asks one thing at a time that is answered; meanwhile it publishes and settles on. Names
 * are changed by one client at a time, so that the model knows in which order that happened.
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

void act_publish(struct client *c, struct chan_end *ch, int exchange, int key, bool persistent)
{
    struct amqp_method pub = {.id = AMQP_BASIC_PUBLISH};
    struct message *m = model_publish(ch, exchange, key);
    uint8_t props[64];

    if (!m)
        return;
    m->persistent = persistent;
    m->mandatory = slice.is_auditing || chance(200000);
    m->size = slice.is_auditing ? 8 : pick_size();
    ch->published++;
    if (ch->confirming) {
        while (ch->cap_waiting < ch->next_confirm)
            GROW(ch->waiting, ch->cap_waiting, ch->cap_waiting);
        ch->waiting[ch->next_confirm++ - 1] = m->uid;
        ch->n_waiting++;
    }
    pub.u.basic_publish = (struct amqp_basic_publish){
        .exchange = amqp_str(slice_exchanges[exchange]),
        .routing_key = amqp_str(exchange ? slice_keys[key] : slice_queues[key]),
        .mandatory = m->mandatory};
    client_method(c, ch->number, &pub);
    sim_peer_put_content(&c->peer, ch->number, amqp_bytes(props, slice_props(m, props)), m->uid,
                         m->size);
    sim_note("publish", m->uid, m->size, ch->uid);
}

static void publish_some(struct client *c, struct chan_end *ch)
{
    int x = chance(500000) ? 0 : 1 + (int)below(N_EXCHANGES - 1);
    int key = (int)below(x ? N_KEYS : N_QUEUES);

    if (ch->op == AMQP_CONFIRM_SELECT || slice.exchange[x].state != EXISTS ||
        slice.exchange[x].is_busy)
        return; /* the numbers begin with its answer; a missing exchange is an error */
    for (uint32_t n = 1 + below(chance(50000) ? 60 : 6); n > 0; n--)
        act_publish(c, ch, x, key, chance(700000));
}

void act_get(struct client *c, struct chan_end *ch, int queue, bool no_ack)
{
    struct amqp_method m = {.id = AMQP_BASIC_GET};

    ch->op_queue = (int8_t)queue;
    ch->op_no_ack = no_ack;
    ch->op_sure = model_is_there(queue);
    m.u.basic_get =
        (struct amqp_basic_get){.queue = amqp_str(slice_queues[queue]), .no_ack = no_ack};
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
    ch->op_sure = model_is_there(queue);
    snprintf(tag, sizeof(tag), "c%u", e->uid);
    m.u.basic_consume = (struct amqp_basic_consume){
        .queue = amqp_str(slice_queues[queue]), .consumer_tag = amqp_str(tag), .no_ack = no_ack};
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
    m.u.basic_cancel.consumer_tag = amqp_str(tag);
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

void act_declare_queue(struct client *c, struct chan_end *ch, int queue, bool passive)
{
    struct amqp_method m = {.id = AMQP_QUEUE_DECLARE};

    ch->op_queue = (int8_t)queue;
    ch->op_sure = !passive;
    m.u.queue_declare = (struct amqp_queue_declare){.queue = amqp_str(slice_queues[queue]),
                                                    .durable = slice_is_durable(queue),
                                                    .passive = passive};
    channel_ask(c, ch, &m);
}

/* A planted bug: it is answered, and nothing was done. */
static bool is_unsaid(struct chan_end *ch, uint32_t op, const char *plant)
{
    if (!sim_is_planted(plant))
        return false;
    ch->op = op;
    ch->op_at = ++slice.stamp;
    ch->op_failures = slice.failures;
    model_asked(ch);
    model_answered(ch);
    ch->op = 0;
    return true;
}

static void delete_queue(struct client *c, struct chan_end *ch, int queue)
{
    struct amqp_method m = {.id = AMQP_QUEUE_DELETE};

    if (is_unsaid(ch, m.id, "wire-delete-recalled")) {
        (void)is_unsaid(ch, AMQP_QUEUE_DECLARE, "wire-delete-recalled"); /* it is planted */
        return;
    }
    m.u.queue_delete.queue = amqp_str(slice_queues[queue]);
    channel_ask(c, ch, &m);
}

static void purge_queue(struct client *c, struct chan_end *ch, int queue)
{
    struct amqp_method m = {.id = AMQP_QUEUE_PURGE};

    if (is_unsaid(ch, m.id, "wire-purge-unsaid"))
        return;
    m.u.queue_purge.queue = amqp_str(slice_queues[queue]);
    channel_ask(c, ch, &m);
}

static void bind_queue(struct client *c, struct chan_end *ch, int queue, bool remove)
{
    struct amqp_method m = {.id = remove ? AMQP_QUEUE_UNBIND : AMQP_QUEUE_BIND};
    struct amqp_bytes name = amqp_str(slice_queues[queue]), source, key;

    ch->op_exchange = (uint8_t)(1 + below(N_EXCHANGES - 1));
    ch->op_key = (uint8_t)below(N_KEYS);
    if (slice.exchange[ch->op_exchange].state != EXISTS || slice.exchange[ch->op_exchange].is_busy)
        return;
    source = amqp_str(slice_exchanges[ch->op_exchange]);
    key = amqp_str(slice_keys[ch->op_key]);
    if (remove)
        m.u.queue_unbind =
            (struct amqp_queue_unbind){.queue = name, .exchange = source, .routing_key = key};
    else
        m.u.queue_bind =
            (struct amqp_queue_bind){.queue = name, .exchange = source, .routing_key = key};
    channel_ask(c, ch, &m);
}

/* One change of a queue's name, if nobody else is at it. */
static void change_queue(struct client *c, struct chan_end *ch)
{
    int q = (int)below(N_QUEUES);
    uint32_t r = below(100);

    if (slice.queue[q].is_busy)
        return;
    ch->op_queue = (int8_t)q;
    ch->op_sure = slice.queue[q].state == EXISTS;
    if (slice.queue[q].state != EXISTS)
        act_declare_queue(c, ch, q, false);
    else if (r < 8)
        delete_queue(c, ch, q);
    else if (r < 16)
        purge_queue(c, ch, q);
    else if (r < 30)
        act_declare_queue(c, ch, q, chance(500000));
    else
        bind_queue(c, ch, q, r >= 85);
    if (!ch->op)
        ch->op_queue = NO_QUEUE;
}

static bool is_exchange_in_use(int exchange)
{
    for (int i = 0; i < N_CLIENTS; i++)
        for (int k = 0; k < N_CHANNELS; k++)
            if (slice.client[i].channel[k].op && slice.client[i].channel[k].op_exchange == exchange)
                return true;
    return false;
}

static void change_exchange(struct client *c, struct chan_end *ch)
{
    int x = 2 + (int)below(N_EXCHANGES - 2);
    struct exchange_fact *e = &slice.exchange[x];
    struct amqp_method m = {.id = AMQP_EXCHANGE_DECLARE};

    if (e->is_busy || is_exchange_in_use(x))
        return;
    ch->op_exchange = (uint8_t)x;
    ch->op_sure = e->state == EXISTS;
    /* Not deleted while anybody may still publish to it. */
    if (e->state == EXISTS && slice.in_calm && chance(500000)) {
        m.id = AMQP_EXCHANGE_DELETE;
        m.u.exchange_delete.exchange = amqp_str(slice_exchanges[x]);
    } else {
        ch->op_sure = true;
        m.u.exchange_declare =
            (struct amqp_exchange_declare){.exchange = amqp_str(slice_exchanges[x]),
                                           .type = amqp_str("direct"),
                                           .durable = x < N_EXCHANGES - 1};
    }
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
    client_method(c, ch->number, &m);
}

static void ask_some(struct client *c, struct chan_end *ch)
{
    struct amqp_method confirm = {.id = AMQP_CONFIRM_SELECT};
    int q = (int)below(N_QUEUES);
    uint32_t r = below(100);

    ch->op_exchange = 0;
    ch->op_sure = true;
    if (ch->published == 0 && !ch->confirming && chance(800000))
        channel_ask(c, ch, &confirm);
    else if (r < 25)
        change_queue(c, ch);
    else if (r < 27)
        change_exchange(c, ch);
    else if (r < 45 && slice.queue[q].state == EXISTS)
        act_consume(c, ch, q, chance(60000));
    else if (r < 70 && slice.queue[q].state == EXISTS)
        act_get(c, ch, q, chance(60000));
    else if (r < 82)
        cancel_some(c, ch);
    else if (r < 92)
        set_prefetch(c, ch);
    else if (r < 94)
        recover(c, ch);
    else if (r < 98)
        close_channel(c, ch);
}

static void act_channel(struct client *c, struct chan_end *ch)
{
    uint32_t r = below(100);

    if (ch->phase == CHAN_NONE) {
        channel_open(c, ch->number - 1);
    } else if (ch->phase == CHAN_READY) {
        if (r < 40)
            publish_some(c, ch);
        else if (r < 70)
            settle_some(c, ch);
        else if (!ch->op)
            ask_some(c, ch);
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
    } else if (c->phase == CLIENT_RUNNING && r < 994) {
        act_channel(c, &c->channel[below(N_CHANNELS)]);
    } else if (r >= 994) {
        leave(c);
    }
}
