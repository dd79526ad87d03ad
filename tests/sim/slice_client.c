/*
 * slice_client.c - a client's connection: bytes, frames, the handshake, and its end.
 *
 * Invariants, by the names under which they fail:
 * 1. "frames": all that comes is whole frames, of channels that are open.
 * 2. "connections stay": none ends unasked while no process has failed.
 */
#include <errno.h>
#include <string.h>

#include "amqp/codec/frame.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/sim_world.h"
#include "tests/sim/slice.h"

enum {
    READ_SIZE = 4096,
    SILENT_HEARTBEAT_S = 2,
    HANDSHAKE_US = 9 * 1000 * 1000,
    CLOSE_US = 2500 * 1000,
    RESTART_US = 100 * 1000
};

void client_method(struct client *c, uint16_t channel, const struct amqp_method *m)
{
    sim_peer_put_method(&c->peer, channel, m);
    c->has_spoken |= c->phase == CLIENT_CLOSING;
    sim_note(amqp_method_name(m->id), c->uid, channel, c->peer.n_out);
}

void client_connect(struct client *c)
{
    bool is_audit = c->is_audit;

    if (!sim_peer_connect(&c->peer, slice.port))
        return;
    c->phase = CLIENT_START;
    c->uid = ++slice.next_client;
    c->front_failures = slice.front_failures;
    c->listener_failures = slice.listener_failures;
    c->since_us = sim_now_us();
    c->has_spoken = false;
    c->is_slow = !is_audit && sim_chance(SIM_DRIVER, 150000);
    c->will_go_silent = !is_audit && sim_chance(SIM_DRIVER, 60000);
    c->peer.frame_max = sim_chance(SIM_DRIVER, 500000) ? 4096 : 131072;
    for (int i = 0; i < N_CHANNELS; i++)
        c->channel[i].number = (uint16_t)(i + 1);
}

void client_forget(struct client *c)
{
    for (int i = 0; i < N_CHANNELS; i++)
        channel_forget(&c->channel[i]);
    c->phase = CLIENT_NONE;
}

void client_drop(struct client *c, bool reset)
{
    if (c->phase == CLIENT_NONE)
        return;
    sim_note("dropped", c->uid, reset, 0);
    sim_peer_end(&c->peer, reset);
    topology_owner_leaves(c);
    client_forget(c);
}

void client_close(struct client *c)
{
    struct amqp_method m = {.id = AMQP_CONNECTION_CLOSE};

    if (c->phase != CLIENT_RUNNING) {
        client_drop(c, false);
        return;
    }
    m.u.connection_close =
        (struct amqp_connection_close){.reply_code = 200, .reply_text = amqp_str("done")};
    client_method(c, 0, &m);
    c->phase = CLIENT_CLOSING;
    c->closed_at = ++slice.stamp;
    c->closed_us = sim_now_us();
    for (int i = 0; i < N_CHANNELS; i++)
        channel_consumers_leave(&c->channel[i]);
    topology_owner_leaves(c);
}

static void start_ok(struct client *c)
{
    sim_peer_put_start_ok(&c->peer);
    c->phase = CLIENT_TUNE;
}

static void tune_ok(struct client *c, const struct amqp_connection_tune *t)
{
    sim_peer_put_tune_ok(&c->peer, t, c->will_go_silent ? SILENT_HEARTBEAT_S : 0);
    c->phase = CLIENT_OPEN;
}

void client_beat(struct client *c)
{
    uint8_t beat[AMQP_FRAME_OVERHEAD];

    if (sim_now_us() - c->since_us < 500000)
        return;
    c->since_us = sim_now_us();
    (void)frame_put_heartbeat(beat);
    (void)sim_write(c->peer.fd, beat,
                    sizeof(beat)); /* a planted bug; that it is not taken is no matter */
}

/* Whether some process has failed since it connected, or it has dawdled, or fell silent. */
static bool has_excuse(const struct client *c)
{
    if (c->will_go_silent || (c->phase == CLIENT_CLOSING && c->has_spoken))
        return true;
    if (c->phase == CLIENT_CLOSING && sim_now_us() - c->closed_us > CLOSE_US)
        return true; /* it did not read all that was still to be told */
    if (c->phase < CLIENT_RUNNING && sim_now_us() - c->since_us > HANDSHAKE_US)
        return true;
    if (c->phase == CLIENT_START && (slice.listener_failures != c->listener_failures ||
                                     sim_now_us() - slice.front_failed_us < RESTART_US))
        return true; /* nobody was there yet to accept it, or to be its process's supervisor */
    if (slice.supervisor_failures > 0)
        return true;
    return slice.front_failures != c->front_failures || slice.is_dying || !slice.port;
}

static void on_server_close(struct client *c, const struct amqp_connection_close *m)
{
    struct amqp_method ok = {.id = AMQP_CONNECTION_CLOSE_OK};

    if (!has_excuse(c) && c->phase != CLIENT_SILENT)
        sim_fail("connections stay", "client %u is told %u: %.*s", c->uid, m->reply_code,
                 (int)m->reply_text.len, (const char *)m->reply_text.p);
    client_method(c, 0, &ok);
    client_write(c, false);
    client_drop(c, false);
}

/* All channels are done with in peace: what they settled is settled for good. */
static void on_closed(struct client *c)
{
    struct amqp_method close_ok = {.id = AMQP_CHANNEL_CLOSE_OK};

    for (int i = 0; i < N_CHANNELS; i++) {
        struct chan_end *ch = &c->channel[i];

        if (ch->phase == CHAN_READY || ch->phase == CHAN_CLOSING) {
            ch->phase = CHAN_CLOSING;
            channel_on_method(c, ch, &close_ok);
        }
    }
    topology_owner_closed(c, true);
    client_drop(c, false);
}

static void on_connection_method(struct client *c, const struct amqp_method *m)
{
    sim_note(amqp_method_name(m->id), c->uid, 0, 0);
    if (m->id == AMQP_CONNECTION_START && c->phase == CLIENT_START)
        start_ok(c);
    else if (m->id == AMQP_CONNECTION_TUNE && c->phase == CLIENT_TUNE)
        tune_ok(c, &m->u.connection_tune);
    else if (m->id == AMQP_CONNECTION_OPEN_OK && c->phase == CLIENT_OPEN)
        c->phase = CLIENT_RUNNING;
    else if (m->id == AMQP_CONNECTION_CLOSE)
        on_server_close(c, &m->u.connection_close);
    else if (m->id == AMQP_CONNECTION_CLOSE_OK && c->phase == CLIENT_CLOSING)
        on_closed(c);
    else
        sim_fail("frames", "client %u in phase %d is told %s", c->uid, c->phase,
                 amqp_method_name(m->id));
}

static void on_frame(void *arg, const struct amqp_frame *f)
{
    struct client *c = arg;
    struct amqp_method m;
    struct chan_end *ch;
    int r;

    if (f->type == AMQP_FRAME_HEARTBEAT || c->phase == CLIENT_SILENT)
        return;
    if (f->channel > N_CHANNELS)
        sim_fail("frames", "client %u gets a frame for channel %u", c->uid, f->channel);
    ch = f->channel ? &c->channel[f->channel - 1] : NULL;
    if (f->type != AMQP_FRAME_METHOD) {
        if (!ch || ch->phase == CHAN_NONE)
            sim_fail("frames", "content for channel %u, which is not open", f->channel);
        channel_on_content(c, ch, f);
        return;
    }
    r = amqp_method_decode(f->payload, &m);
    if (r < 0)
        sim_fail("frames", "client %u gets a method that does not decode: %s", c->uid,
                 amqp_error_text(r));
    if (ch)
        channel_on_method(c, ch, &m);
    else
        on_connection_method(c, &m);
}

static void on_end(struct client *c)
{
    if (!has_excuse(c) && c->phase != CLIENT_SILENT)
        sim_fail("connections stay", "client %u is cut off in phase %d", c->uid, c->phase);
    topology_owner_closed(c, false);
    client_drop(c, false);
}

void client_read(struct client *c, bool all)
{
    uint32_t uid = c->uid;
    bool more = true;

    while (more && c->phase != CLIENT_NONE && c->uid == uid) {
        ssize_t r = sim_peer_read(&c->peer, all ? READ_SIZE : 1 + sim_below(SIM_DRIVER, READ_SIZE));

        if (r == -EAGAIN)
            return;
        if (r > 0 && sim_is_planted("wire-garble") &&
            c->peer.in[c->peer.n_in - 1] == AMQP_FRAME_END)
            c->peer.in[c->peer.n_in - 1] ^= 1;
        if (r > 0 && sim_is_planted("wire-cut") && sim_chance(SIM_ACTOR, 3000))
            r = -ECONNRESET;
        if (r <= 0) {
            on_end(c);
            return;
        }
        sim_peer_take(&c->peer, on_frame, c);
        more = all;
    }
}

void client_write(struct client *c, bool all)
{
    if (c->phase != CLIENT_NONE)
        (void)sim_peer_flush(&c->peer, all);
}
