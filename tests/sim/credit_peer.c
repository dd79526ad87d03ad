/*
 * credit_peer.c - a party's connection: handshake, frames, reading and writing, its end.
 */
#include <errno.h>
#include <string.h>

#include "amqp/codec/frame.h"
#include "tests/sim/credit.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_world.h"

enum {
    READ_SIZE = 65536,
    SLOW_SIZE = 512,
    HANDSHAKE_US = 9 * 1000 * 1000,
    RESTART_US = 100000,
    RETRY_US = 200 * 1000
};

void party_connect(struct party *p)
{
    if (p->is_off || sim_now_us() < p->retry_us || !sim_peer_connect(&p->peer, slice.port))
        return;
    p->phase = PARTY_START;
    p->uid = ++credit.next_party;
    p->front_failures = slice.front_failures;
    p->listener_failures = slice.listener_failures;
    p->since_us = sim_now_us();
    p->is_blocked = false;
    p->sent = 0;
}

static void forget(struct party *p)
{
    for (uint32_t i = 0; i < p->n_lanes; i++)
        lane_forget(&p->lane[i]);
    p->phase = PARTY_NONE;
}

void party_drop(struct party *p, bool reset)
{
    if (p->phase == PARTY_NONE)
        return;
    sim_note("dropped", p->uid, reset, 0);
    sim_peer_end(&p->peer, reset);
    forget(p);
}

void party_close(struct party *p)
{
    struct amqp_method m = {.id = AMQP_CONNECTION_CLOSE};

    if (p->phase != PARTY_RUNNING || party_is_deaf(p)) {
        party_drop(p, false);
        return;
    }
    m.u.connection_close =
        (struct amqp_connection_close){.reply_code = 200, .reply_text = amqp_str("done")};
    sim_peer_put_method(&p->peer, 0, &m);
    p->phase = PARTY_CLOSING;
}

bool party_is_set_up(const struct party *p)
{
    for (uint32_t i = 0; i < p->n_lanes; i++)
        if (p->lane[i].phase != LANE_RUNNING)
            return false;
    return p->phase == PARTY_RUNNING;
}

bool party_is_deaf(const struct party *p)
{
    return p->reading == READS_NEVER && party_is_set_up(p);
}

/* Whether some process has failed since it connected. */
static bool has_excuse(const struct party *p)
{
    if (p->phase < PARTY_RUNNING && sim_now_us() - p->since_us > HANDSHAKE_US)
        return true;
    if (p->phase == PARTY_START && (slice.listener_failures != p->listener_failures ||
                                    sim_now_us() - slice.front_failed_us < RESTART_US))
        return true;
    return slice.front_failures != p->front_failures || slice.supervisor_failures > 0 ||
           slice.is_dying || !slice.port;
}

static void on_server_close(struct party *p, const struct amqp_connection_close *m)
{
    struct amqp_method ok = {.id = AMQP_CONNECTION_CLOSE_OK};

    if (credit_is_down(m->reply_code, m->reply_text))
        p->retry_us = sim_now_us() + sim_below(SIM_DRIVER, RETRY_US);
    else if (!has_excuse(p))
        sim_fail("connections stay", "party %u is told %u: %.*s", p->uid, m->reply_code,
                 (int)m->reply_text.len, (const char *)m->reply_text.p);
    sim_peer_put_method(&p->peer, 0, &ok);
    party_write(p, true);
    party_drop(p, false);
}

static void on_blocked(struct party *p, bool is_blocked)
{
    if (p->is_blocked == is_blocked || (is_blocked && sim_is_planted("credit-blocked-twice")))
        sim_fail("blocked", "party %u is told twice that it is %s", p->uid,
                 is_blocked ? "blocked" : "unblocked");
    p->is_blocked = is_blocked;
    credit.did.blocks += is_blocked;
}

static void open_lanes(struct party *p)
{
    p->phase = PARTY_RUNNING;
    for (uint32_t i = 0; i < p->n_lanes; i++)
        lane_open(&p->lane[i]);
}

static void on_connection_method(struct party *p, const struct amqp_method *m)
{
    sim_note(amqp_method_name(m->id), p->uid, 0, 0);
    if (m->id == AMQP_CONNECTION_START && p->phase == PARTY_START) {
        sim_peer_put_start_ok(&p->peer);
        p->phase = PARTY_TUNE;
    } else if (m->id == AMQP_CONNECTION_TUNE && p->phase == PARTY_TUNE) {
        sim_peer_put_tune_ok(&p->peer, &m->u.connection_tune, 0);
        p->phase = PARTY_OPEN;
    } else if (m->id == AMQP_CONNECTION_OPEN_OK && p->phase == PARTY_OPEN) {
        open_lanes(p);
    } else if (m->id == AMQP_CONNECTION_BLOCKED || m->id == AMQP_CONNECTION_UNBLOCKED) {
        on_blocked(p, m->id == AMQP_CONNECTION_BLOCKED);
    } else if (m->id == AMQP_CONNECTION_CLOSE) {
        on_server_close(p, &m->u.connection_close);
    } else if (m->id == AMQP_CONNECTION_CLOSE_OK && p->phase == PARTY_CLOSING) {
        party_drop(p, false);
    } else {
        sim_fail("frames", "party %u in phase %d is told %s", p->uid, p->phase,
                 amqp_method_name(m->id));
    }
}

static void on_frame(void *arg, const struct amqp_frame *f)
{
    struct party *p = arg;
    struct amqp_method m;
    struct lane *l;
    int r;

    if (f->type == AMQP_FRAME_HEARTBEAT)
        return;
    if (f->channel > p->n_lanes)
        sim_fail("frames", "party %u gets a frame for channel %u", p->uid, f->channel);
    l = f->channel ? &p->lane[f->channel - 1] : NULL;
    if (f->type != AMQP_FRAME_METHOD) {
        if (!l || l->phase == LANE_NONE)
            sim_fail("frames", "content for channel %u, which is not open", f->channel);
        lane_on_content(l, f);
        return;
    }
    r = amqp_method_decode(f->payload, &m);
    if (r < 0)
        sim_fail("frames", "party %u gets a method that does not decode: %s", p->uid,
                 amqp_error_text(r));
    if (l)
        lane_on_method(l, &m);
    else
        on_connection_method(p, &m);
}

static void on_end(struct party *p)
{
    if (!has_excuse(p))
        sim_fail("connections stay", "party %u is cut off in phase %d", p->uid, p->phase);
    party_drop(p, false);
}

void party_read(struct party *p, bool all)
{
    uint32_t uid = p->uid;
    bool more = true;

    while (more && p->phase != PARTY_NONE && p->uid == uid && !party_is_deaf(p)) {
        uint32_t size = all ? READ_SIZE : 1 + sim_below(SIM_DRIVER, SLOW_SIZE);
        ssize_t r = sim_peer_read(&p->peer, size);

        if (r == -EAGAIN)
            return;
        if (r <= 0) {
            on_end(p);
            return;
        }
        sim_peer_take(&p->peer, on_frame, p);
        more = all;
    }
}

void party_write(struct party *p, bool all)
{
    uint32_t n;

    if (p->phase == PARTY_NONE)
        return;
    n = sim_peer_flush(&p->peer, all);
    if (party_is_set_up(p))
        p->sent += n;
}
