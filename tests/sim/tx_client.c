/*
 * tx_client.c - one connection with one channel in tx mode: what it sends, and what comes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "amqp/codec/frame.h"
#include "amqp/codec/props.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_world.h"
#include "tests/sim/slice.h"
#include "tests/sim/tx.h"

#define FLEEING "fleeing"

enum { READ_SIZE = 4096, UNKNOWN_UID = UINT32_MAX - 1 };

static void put(struct txs_client *c, uint16_t channel, const struct amqp_method *m)
{
    sim_peer_put_method(&c->peer, channel, m);
    sim_note(amqp_method_name(m->id), (uint64_t)(c - txs_client), channel, c->tx);
}

static void put_id(struct txs_client *c, uint32_t id)
{
    struct amqp_method m = {.id = id};

    put(c, 1, &m);
}

void txs_connect(struct txs_client *c)
{
    struct sim_peer peer = c->peer;
    bool is_audit = c->is_audit;

    if (!sim_peer_connect(&peer, slice.port)) {
        c->peer = peer;
        return;
    }
    *c = (struct txs_client){.peer = peer, .is_audit = is_audit, .phase = TXS_START};
    c->peer.frame_max = 4096;
    c->channel = ++slice.next_channel % TXS_MESSAGES;
}

void txs_drop(struct txs_client *c, bool reset)
{
    if (c->phase == TXS_NONE)
        return;
    sim_note("dropped", (uint64_t)(c - txs_client), reset, c->tx);
    sim_peer_end(&c->peer, reset);
    c->phase = TXS_NONE;
    c->op = 0;
    txs_lost(c);
}

void txs_close(struct txs_client *c)
{
    struct amqp_method m = {.id = AMQP_CONNECTION_CLOSE};

    if (c->phase != TXS_READY) {
        txs_drop(c, false);
        return;
    }
    m.u.connection_close.reply_code = 200;
    put(c, 0, &m);
    c->phase = TXS_CLOSING;
    c->op = 0;
}

static void publish(struct txs_client *c, const char *queue, uint32_t uid, bool persistent)
{
    struct amqp_method m = {.id = AMQP_BASIC_PUBLISH};
    uint8_t id[4], props[64];
    struct amqp_props p = {.flags = prop_flag(PROP_DELIVERY_MODE) | prop_flag(PROP_MESSAGE_ID),
                           .delivery_mode = persistent ? 2 : 1,
                           .message_id = amqp_bytes(id, sizeof(id))};
    ssize_t n;

    put_u32(id, uid);
    n = props_encode(&p, props, sizeof(props));
    m.u.basic_publish.routing_key = amqp_str(queue);
    put(c, 1, &m);
    sim_peer_put_content(&c->peer, 1, amqp_bytes(props, (uint32_t)n), uid,
                         sim_below(SIM_DRIVER, sim_chance(SIM_DRIVER, 50000) ? 9000 : 60));
}

void txs_publish(struct txs_client *c, int queue, bool persistent)
{
    publish(c, txs_queues[queue], txs_published(c, queue, persistent), persistent);
}

void txs_publish_fleeing(struct txs_client *c, bool persistent)
{
    (void)txs_of(c);
    publish(c, FLEEING, UNKNOWN_UID, persistent);
}

void txs_renew_fleeing(struct txs_client *c)
{
    struct amqp_method m = {.id = AMQP_QUEUE_DELETE};

    m.u.queue_delete.queue = amqp_str(FLEEING);
    m.u.queue_delete.nowait = true;
    put(c, 1, &m);
    if (sim_chance(SIM_DRIVER, 100000))
        return;
    m = (struct amqp_method){.id = AMQP_QUEUE_DECLARE};
    m.u.queue_declare.queue = amqp_str(FLEEING);
    m.u.queue_declare.durable = m.u.queue_declare.nowait = true;
    put(c, 1, &m);
}

void txs_get(struct txs_client *c, int queue, bool no_ack)
{
    struct amqp_method m = {.id = AMQP_BASIC_GET};

    m.u.basic_get.queue = amqp_str(txs_queues[queue]);
    m.u.basic_get.no_ack = no_ack;
    put(c, 1, &m);
    c->op = AMQP_BASIC_GET;
    c->op_queue = (uint8_t)queue;
}

static void settle_message(struct txs_client *c, uint64_t tag, uint32_t id, bool requeue,
                           bool multiple)
{
    struct amqp_method m = {.id = id};

    if (id == AMQP_BASIC_ACK) {
        m.u.basic_ack.delivery_tag = tag;
        m.u.basic_ack.multiple = multiple;
    } else {
        m.u.basic_nack.delivery_tag = tag;
        m.u.basic_nack.requeue = requeue;
        m.u.basic_nack.multiple = multiple;
    }
    if (!sim_is_planted("tx-settle-unsaid"))
        put(c, 1, &m);
}

void txs_settle(struct txs_client *c, uint32_t i, bool multiple)
{
    bool requeue = sim_chance(SIM_DRIVER, 250000);
    bool reject = requeue || sim_chance(SIM_DRIVER, 200000);
    uint64_t tag = c->held[i].tag;

    if (c->held[i].is_marked)
        return;
    for (uint32_t k = 0; k < c->n_held; k++) {
        if (!c->held[k].is_marked && (k == i || (multiple && c->held[k].tag < tag)))
            txs_settled(c, &c->held[k], requeue);
    }
    settle_message(c, tag, reject ? AMQP_BASIC_NACK : AMQP_BASIC_ACK, requeue, multiple);
}

void txs_end(struct txs_client *c, bool commit)
{
    if (commit)
        txs_asked(c);
    c->op = commit ? AMQP_TX_COMMIT : AMQP_TX_ROLLBACK;
    if (!sim_is_planted("tx-commit-unsaid"))
        put_id(c, c->op);
}

static void hello(struct txs_client *c)
{
    struct amqp_method m = {.id = AMQP_QUEUE_DECLARE};

    put_id(c, AMQP_CHANNEL_OPEN);
    for (int q = 0; q < TXS_QUEUES; q++) {
        m.u.queue_declare = (struct amqp_queue_declare){.queue = amqp_str(txs_queues[q]),
                                                        .durable = q < TXS_LASTING};
        put(c, 1, &m);
    }
    if (c->is_audit) {
        m = (struct amqp_method){.id = AMQP_BASIC_QOS};
        put(c, 1, &m);
    } else {
        put_id(c, AMQP_TX_SELECT);
    }
    c->phase = TXS_SELECT;
    c->failures = slice.failures;
}

static void on_channel_close(struct txs_client *c, const struct amqp_channel_close *m)
{
    char text[256];

    snprintf(text, sizeof(text), "%.*s", (int)m->reply_text.len, (const char *)m->reply_text.p);
    if (m->reply_code != AMQP_CODE_INTERNAL_ERROR)
        sim_fail("errors", "a channel is closed with %u: %s", m->reply_code, text);
    if (strstr(text, "transaction is"))
        txs_given_up(c, !strstr(text, "or durable"));
    txs_drop(c, false);
}

static void on_connection_method(struct txs_client *c, const struct amqp_method *m)
{
    if (m->id == AMQP_CONNECTION_START && c->phase == TXS_START) {
        sim_peer_put_start_ok(&c->peer);
        c->phase = TXS_TUNE;
    } else if (m->id == AMQP_CONNECTION_TUNE && c->phase == TXS_TUNE) {
        sim_peer_put_tune_ok(&c->peer, &m->u.connection_tune, 0);
        c->phase = TXS_HELLO;
    } else if (m->id == AMQP_CONNECTION_OPEN_OK && c->phase == TXS_HELLO) {
        hello(c);
    } else if (m->id == AMQP_CONNECTION_CLOSE || m->id == AMQP_CONNECTION_CLOSE_OK) {
        txs_drop(c, false);
    } else {
        sim_fail("frames", "in phase %d comes %s", c->phase, amqp_method_name(m->id));
    }
}

static void on_got(struct txs_client *c, const struct amqp_basic_get_ok *m)
{
    c->got.uid = SIM_HEADER_TO_COME;
    c->last_tag = m->delivery_tag;
}

static void answered(struct txs_client *c, uint32_t to)
{
    if (c->phase == TXS_CLOSING)
        return;
    if (c->op != to)
        sim_fail("answers", "%s is answered, and nobody asked", amqp_method_name(to));
    c->op = 0;
}

static void on_method(struct txs_client *c, const struct amqp_method *m)
{
    sim_note(amqp_method_name(m->id), (uint64_t)(c - txs_client), 1, c->tx);
    switch (m->id) {
    case AMQP_CHANNEL_OPEN_OK:
    case AMQP_QUEUE_DECLARE_OK:
        break;
    case AMQP_TX_SELECT_OK:
    case AMQP_BASIC_QOS_OK:
        c->phase = TXS_READY;
        break;
    case AMQP_TX_COMMIT_OK:
        answered(c, AMQP_TX_COMMIT);
        if (c->tx != 0)
            txs_committed(c);
        break;
    case AMQP_TX_ROLLBACK_OK:
        answered(c, AMQP_TX_ROLLBACK);
        txs_rolled_back(c);
        break;
    case AMQP_BASIC_GET_EMPTY:
        answered(c, AMQP_BASIC_GET);
        c->is_empty = true;
        break;
    case AMQP_BASIC_GET_OK:
        on_got(c, &m->u.basic_get_ok);
        break;
    case AMQP_CHANNEL_CLOSE:
        on_channel_close(c, &m->u.channel_close);
        break;
    default:
        sim_fail("frames", "on a channel comes %s", amqp_method_name(m->id));
    }
}

/* The whole of a message is here. */
static void take(struct txs_client *c)
{
    uint32_t uid = c->got.uid;

    c->got.uid = 0;
    answered(c, AMQP_BASIC_GET);
    c->is_empty = false;
    if (c->is_audit) {
        txs_audit_found(c->op_queue, uid);
        return;
    }
    txs_seen(c, c->op_queue, uid);
    if (c->phase == TXS_READY)
        c->held[c->n_held++] = (struct txs_held){.tag = c->last_tag, .uid = uid};
}

static void on_content(struct txs_client *c, const struct amqp_frame *f)
{
    if (sim_content_take(&c->got, f))
        take(c);
}

static void on_frame(void *arg, const struct amqp_frame *f)
{
    struct txs_client *c = arg;
    struct amqp_method m;

    if (f->type == AMQP_FRAME_HEARTBEAT)
        return;
    if (f->type != AMQP_FRAME_METHOD) {
        on_content(c, f);
        return;
    }
    if (amqp_method_decode(f->payload, &m) < 0)
        sim_fail("frames", "a method that does not decode");
    if (f->channel == 0)
        on_connection_method(c, &m);
    else
        on_method(c, &m);
}

void txs_read(struct txs_client *c, bool all)
{
    do {
        ssize_t r;

        if (c->phase == TXS_NONE)
            return;
        r = sim_peer_read(&c->peer, all ? READ_SIZE : 1 + sim_below(SIM_DRIVER, READ_SIZE));
        if (r == -EAGAIN)
            return;
        if (r <= 0)
            txs_drop(c, false);
        else
            sim_peer_take(&c->peer, on_frame, c);
    } while (all);
}

void txs_write(struct txs_client *c, bool all)
{
    if (c->phase != TXS_NONE)
        (void)sim_peer_flush(&c->peer, all);
}
