/*
 * credit_reply.c - direct replies: clients that ask, servers that answer, either of which dies.
 *
 * Invariants, by the names under which they fail:
 * 1. "replies": a reply comes to the connection that asked, as it was sent, and no more often.
 * 2. "no deadlock": in a calm each request is answered.
 */
#include <errno.h>
#include <string.h>

#include "amqp/codec/frame.h"
#include "amqp/codec/props.h"
#include "tests/sim/credit.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_world.h"

enum {
    MIB = 1 << 20,
    QUEUE = 4,
    ENDS = 5,
    ASKERS = 3, /* the first ones */
    REQUESTS = 4000,
    IN_CALM = 10,
    PATIENCE_US = 40 * 1000 * 1000,
    SIZE = 6000,
    HANDSHAKE_US = 9 * 1000 * 1000,
    RESTART_US = 100 * 1000,
};

struct end { /* a client */
    struct sim_peer peer;
    bool is_up;
    uint32_t uid, front_failures, listener_failures;
    uint64_t since_us;
    bool is_heard;    /* the broker has spoken */
    uint32_t waiting; /* requests of this connection that are not answered */
    struct {
        uint32_t id, n, size; /* of the request or reply that comes in */
        uint64_t tag;
        char reply_to[128];
    } in;
};

static struct end ends[ENDS];
static struct {
    uint32_t asker; /* uid of the connection */
    uint32_t size;
    uint16_t sent, got; /* replies */
} request[REQUESTS];
static uint32_t n_requests, n_ends, n_replies;

static void put(struct end *e, const struct amqp_method *m)
{
    sim_peer_put_method(&e->peer, 1, m);
}

static bool is_asker(const struct end *e)
{
    return e - ends < ASKERS;
}

static void put_message(struct end *e, const char *key, const char *reply_to, uint32_t id)
{
    struct amqp_method m = {.id = AMQP_BASIC_PUBLISH};
    uint8_t bytes[4], out[256];
    struct amqp_props p = {.flags = prop_flag(PROP_MESSAGE_ID) | prop_flag(PROP_DELIVERY_MODE),
                           .delivery_mode = 2,
                           .message_id = amqp_bytes(bytes, 4)};
    ssize_t n;

    put_u32(bytes, id);
    if (reply_to) {
        p.flags |= prop_flag(PROP_REPLY_TO);
        p.reply_to = amqp_str(reply_to);
    }
    n = props_encode(&p, out, sizeof(out));
    if (n < 0)
        sim_fail("simulation", "properties: %zd", n);
    m.u.basic_publish.routing_key = amqp_str(key);
    put(e, &m);
    sim_peer_put_content(&e->peer, 1, amqp_bytes(out, (size_t)n), id, request[id].size);
}

static void ask(struct end *e)
{
    uint32_t id = n_requests + 1;

    if (id >= REQUESTS || !e->is_up)
        return;
    n_requests++;
    request[id].asker = e->uid;
    request[id].size = sim_below(SIM_DRIVER, sim_chance(SIM_DRIVER, 200000) ? SIZE : 100);
    e->waiting++;
    put_message(e, credit_queue_name(QUEUE), "amq.rabbitmq.reply-to", id);
    sim_note("asks", id, e->uid, 0);
}

static void answer(struct end *e)
{
    struct amqp_method ack = {.id = AMQP_BASIC_ACK};

    request[e->in.id].sent++;
    put_message(e, e->in.reply_to, NULL, e->in.id);
    ack.u.basic_ack.delivery_tag = e->in.tag;
    put(e, &ack);
}

static void take_reply(struct end *e)
{
    uint32_t id = e->in.id;

    n_replies++;
    sim_note("is answered", id, e->uid, 0);
    if (sim_is_planted("reply-astray"))
        request[id].asker++;
    if (request[id].asker != e->uid)
        sim_fail("replies", "connection %u is given the reply to %u of connection %u", e->uid, id,
                 request[id].asker);
    if (++request[id].got > request[id].sent)
        sim_fail("replies", "%u replies to %u were sent, and more come", request[id].sent, id);
    if (request[id].got == 1 && !sim_is_planted("reply-unheard"))
        e->waiting--;
}

static void on_header(struct end *e, struct amqp_bytes payload)
{
    struct amqp_content_header h;
    struct amqp_bytes id, to;

    if (content_header_parse(payload, &h) < 0 || !props_find(h.props, PROP_MESSAGE_ID, &id) ||
        id.len != 4 || get_u32(id.p) > n_requests || h.body_size != request[get_u32(id.p)].size)
        sim_fail("replies", "connection %u is given what nobody sent", e->uid);
    e->in.id = get_u32(id.p);
    e->in.size = (uint32_t)h.body_size;
    e->in.n = 0;
    e->in.reply_to[0] = '\0';
    if (props_find(h.props, PROP_REPLY_TO, &to) && to.len < sizeof(e->in.reply_to)) {
        memcpy(e->in.reply_to, to.p, to.len);
        e->in.reply_to[to.len] = '\0';
    }
    if (!is_asker(e) && strncmp(e->in.reply_to, "amq.rabbitmq.reply-to.", 22) != 0)
        sim_fail("replies", "request %u does not say where to answer", e->in.id);
}

static void on_body(struct end *e, struct amqp_bytes payload)
{
    for (uint32_t i = 0; i < payload.len; i++)
        if (payload.p[i] != sim_body_byte(e->in.id, e->in.n + i))
            sim_fail("replies", "message %u is not as it was sent", e->in.id);
    e->in.n += payload.len;
}

static void put_consume(struct end *e)
{
    struct amqp_method m = {.id = AMQP_BASIC_CONSUME};

    m.u.basic_consume = (struct amqp_basic_consume){
        .queue = amqp_str(is_asker(e) ? "amq.rabbitmq.reply-to" : credit_queue_name(QUEUE)),
        .no_ack = is_asker(e)};
    put(e, &m);
}

static void drop(struct end *e, bool reset)
{
    if (e->peer.fd == 0)
        return;
    sim_peer_end(&e->peer, reset);
    e->is_up = false;
    e->waiting = 0;
}

/* Whether some process has failed since it connected. */
static bool has_excuse(const struct end *e)
{
    if (!e->is_up && sim_now_us() - e->since_us > HANDSHAKE_US)
        return true;
    if (!e->is_heard && (e->listener_failures != slice.listener_failures ||
                         sim_now_us() - slice.front_failed_us < RESTART_US))
        return true;
    return e->front_failures != slice.front_failures || slice.supervisor_failures > 0 ||
           slice.is_dying || !slice.port;
}

static void is_told_of_end(struct end *e, const char *what)
{
    if (!has_excuse(e))
        sim_fail("connections stay", "connection %u: %s", e->uid, what);
    drop(e, false);
}

static void on_method(struct end *e, const struct amqp_method *m)
{
    struct amqp_method next = {0};

    switch (m->id) {
    case AMQP_CONNECTION_START:
        sim_peer_put_start_ok(&e->peer);
        break;
    case AMQP_CONNECTION_TUNE:
        sim_peer_put_tune_ok(&e->peer, &m->u.connection_tune, 0);
        break;
    case AMQP_CONNECTION_OPEN_OK:
        next.id = AMQP_CHANNEL_OPEN;
        put(e, &next);
        break;
    case AMQP_CHANNEL_OPEN_OK:
        next.id = AMQP_QUEUE_DECLARE;
        next.u.queue_declare = (struct amqp_queue_declare){
            .queue = amqp_str(credit_queue_name(QUEUE)), .durable = true};
        put(e, &next);
        break;
    case AMQP_QUEUE_DECLARE_OK:
        put_consume(e);
        break;
    case AMQP_BASIC_CONSUME_OK:
        e->is_up = true;
        break;
    case AMQP_BASIC_DELIVER:
        e->in.tag = m->u.basic_deliver.delivery_tag;
        break;
    case AMQP_CHANNEL_CLOSE:
    case AMQP_CONNECTION_CLOSE:
        is_told_of_end(e, amqp_method_name(m->id));
        break;
    default:
        sim_fail("answers", "connection %u is told %s", e->uid, amqp_method_name(m->id));
    }
}

static void on_frame(void *arg, const struct amqp_frame *f)
{
    struct end *e = arg;
    struct amqp_method m;

    if (f->type == AMQP_FRAME_METHOD && amqp_method_decode(f->payload, &m) == 0)
        on_method(e, &m);
    else if (f->type == AMQP_FRAME_HEADER)
        on_header(e, f->payload);
    else if (f->type == AMQP_FRAME_BODY)
        on_body(e, f->payload);
    if (f->type != AMQP_FRAME_HEADER && f->type != AMQP_FRAME_BODY)
        return;
    if (e->in.n == e->in.size)
        (is_asker(e) ? take_reply : answer)(e);
}

static void serve(struct end *e, bool all)
{
    ssize_t r;

    if (e->peer.fd == 0) {
        e->peer.frame_max = 4096;
        if (!sim_peer_connect(&e->peer, slice.port))
            return;
        e->uid = ++n_ends;
        e->front_failures = slice.front_failures;
        e->listener_failures = slice.listener_failures;
        e->since_us = sim_now_us();
        e->is_heard = false;
    }
    (void)sim_peer_flush(&e->peer, true);
    r = sim_peer_read(&e->peer, all ? SIZE : 1 + sim_below(SIM_DRIVER, SIZE));
    if (r == -EAGAIN)
        return;
    if (r <= 0) {
        is_told_of_end(e, "cut off");
        return;
    }
    e->is_heard = true;
    sim_peer_take(&e->peer, on_frame, e);
}

static void setup(void)
{
    memset(ends, 0, sizeof(ends));
    memset(request, 0, sizeof(request));
    n_requests = n_ends = n_replies = 0;
}

static void killed(void)
{
    for (int i = 0; i < ENDS; i++)
        drop(&ends[i], false);
}

static void disturb(void)
{
    struct end *e = &ends[sim_below(SIM_DRIVER, ENDS)];

    serve(e, false);
    if (is_asker(e) && e->waiting < 8 && sim_chance(SIM_DRIVER, 200000))
        ask(e);
    if (sim_chance(SIM_DRIVER, 1500))
        drop(e, sim_chance(SIM_DRIVER, 500000));
}

/* Serves all until each of them is set up and nobody waits for a reply. */
static void finish(bool asks)
{
    uint64_t until = sim_now_us() + PATIENCE_US;
    bool is_done = false;

    while (!is_done) {
        is_done = true;
        for (int i = 0; i < ENDS; i++) {
            serve(&ends[i], true);
            /* The ack of the last reply may still be on its way out. */
            is_done = is_done && ends[i].is_up && ends[i].peer.n_out == 0 &&
                      (!asks || ends[i].waiting == 0);
        }
        credit_pump();
        if (sim_now_us() > until)
            sim_fail("no deadlock", "somebody still waits for a reply");
    }
}

/* What was asked before may have died with either side; what is asked now is answered. */
static void calm(void)
{
    finish(false);
    for (int i = 0; i < ASKERS; i++) {
        ends[i].waiting = 0;
        drop(&ends[i], false);
    }
    finish(false);
    for (int i = 0; i < ASKERS * IN_CALM; i++)
        ask(&ends[i % ASKERS]);
    finish(true);
    sim_note("replies", n_replies, n_requests, 0);
    for (int i = 0; i < ENDS; i++) {
        drop(&ends[i], false);
        sim_peer_free(&ends[i].peer);
    }
}

void credit_reply_run(void)
{
    static const struct credit_case what = {
        .setup = setup, .disturb = disturb, .calm = calm, .was_killed = killed, .memory = 3 * MIB};

    credit_run(&what);
}
