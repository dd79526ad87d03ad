/*
 * slice_client.c - a client's connection: bytes, frames, the handshake, and its end.
 *
 * Invariants, by the names under which they fail:
 * 1. "frames": all that comes is whole frames, of channels that are open.
 * 2. "connections stay": none ends unasked while no process has failed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "amqp/codec/frame.h"
#include "amqp/codec/props.h"
#include "amqp/codec/table.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/sim_world.h"
#include "tests/sim/slice.h"

enum {
    READ_SIZE = 4096,
    SILENT_HEARTBEAT_S = 2,
    HANDSHAKE_US = 9 * 1000 * 1000,
    RESTART_US = 100 * 1000
};

uint8_t slice_body_byte(uint32_t uid, uint32_t i)
{
    return (uint8_t)(uid * 31 + i * 7 + (i >> 8) * 13);
}

/* The message's number is its id. */
uint32_t slice_props(const struct message *m, uint8_t out[64])
{
    uint8_t id[4];
    struct amqp_props p = {.flags = prop_flag(PROP_DELIVERY_MODE) | prop_flag(PROP_MESSAGE_ID),
                           .delivery_mode = m->persistent ? 2 : 1,
                           .message_id = amqp_bytes(id, sizeof(id))};
    ssize_t n;

    put_u32(id, m->uid);
    n = props_encode(&p, out, 64);
    if (n < 0)
        sim_fail("simulation", "properties: %zd", n);
    return (uint32_t)n;
}

static void room(uint8_t **p, uint32_t *cap, uint32_t need)
{
    if (need <= *cap)
        return;
    *cap = need + need / 2 + 256;
    *p = realloc(*p, *cap);
    if (!*p)
        sim_fail("simulation", "no memory");
}

void client_put(struct client *c, const void *bytes, uint32_t len)
{
    room(&c->out, &c->cap_out, c->n_out + len);
    memcpy(c->out + c->n_out, bytes, len);
    c->n_out += len;
}

void client_method(struct client *c, uint16_t channel, const struct amqp_method *m)
{
    ssize_t size = amqp_method_encoded_size(m);

    if (size < 0)
        sim_fail("simulation", "%s cannot be encoded", amqp_method_name(m->id));
    room(&c->out, &c->cap_out, c->n_out + (uint32_t)size);
    (void)amqp_method_encode(m, channel, c->out + c->n_out, (size_t)size); /* it has room */
    c->n_out += (uint32_t)size;
    c->has_spoken |= c->phase == CLIENT_CLOSING;
    sim_note(amqp_method_name(m->id), c->uid, channel, c->n_out);
}

void client_connect(struct client *c)
{
    int fd = slice.port ? sim_connect(slice.port) : -ECONNREFUSED;
    bool is_audit = c->is_audit;

    if (fd < 0)
        return;
    c->phase = CLIENT_START;
    c->fd = fd;
    c->uid = ++slice.next_client;
    c->front_failures = slice.front_failures;
    c->listener_failures = slice.listener_failures;
    c->since_us = sim_now_us();
    c->n_out = c->n_in = 0;
    c->has_spoken = false;
    c->is_slow = !is_audit && sim_chance(SIM_DRIVER, 150000);
    c->will_go_silent = !is_audit && sim_chance(SIM_DRIVER, 60000);
    c->frame_max = sim_chance(SIM_DRIVER, 500000) ? 4096 : 131072;
    for (int i = 0; i < N_CHANNELS; i++)
        c->channel[i].number = (uint16_t)(i + 1);
    client_put(c, amqp_protocol_header, AMQP_PROTOCOL_HEADER_LEN);
}

void client_forget(struct client *c)
{
    for (int i = 0; i < N_CHANNELS; i++)
        channel_forget(&c->channel[i]);
    c->phase = CLIENT_NONE;
    c->n_out = c->n_in = 0;
    c->fd = 0;
}

void client_drop(struct client *c, bool reset)
{
    if (c->phase == CLIENT_NONE)
        return;
    sim_note("dropped", c->uid, reset, 0);
    (reset ? sim_reset : sim_close)(c->fd);
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
}

static void start_ok(struct client *c)
{
    static const char login[] = "\0guest\0guest";
    struct amqp_method m = {.id = AMQP_CONNECTION_START_OK};
    struct ftable_builder b;
    struct amqp_bytes props;
    uint8_t bytes[256];

    ftable_build(&b, bytes, sizeof(bytes));
    ftable_open_table(&b, "capabilities");
    ftable_put_bool(&b, "consumer_cancel_notify", true);
    ftable_put_bool(&b, "authentication_failure_close", true);
    ftable_end(&b);
    if (ftable_finish(&b, &props) < 0)
        sim_fail("simulation", "client properties");
    m.u.connection_start_ok =
        (struct amqp_connection_start_ok){.client_properties = props,
                                          .mechanism = amqp_str("PLAIN"),
                                          .response = amqp_bytes(login, sizeof(login) - 1),
                                          .locale = amqp_str("en_US")};
    client_method(c, 0, &m);
    c->phase = CLIENT_TUNE;
}

static void tune_ok(struct client *c, const struct amqp_connection_tune *t)
{
    struct amqp_method m = {.id = AMQP_CONNECTION_TUNE_OK};
    struct amqp_method open = {.id = AMQP_CONNECTION_OPEN};

    if (c->frame_max > t->frame_max)
        c->frame_max = t->frame_max;
    m.u.connection_tune_ok =
        (struct amqp_connection_tune_ok){.channel_max = 16,
                                         .frame_max = c->frame_max,
                                         .heartbeat = c->will_go_silent ? SILENT_HEARTBEAT_S : 0};
    client_method(c, 0, &m);
    open.u.connection_open.virtual_host = amqp_str("/");
    client_method(c, 0, &open);
    c->phase = CLIENT_OPEN;
}

void client_beat(struct client *c)
{
    uint8_t beat[AMQP_FRAME_OVERHEAD];

    if (sim_now_us() - c->since_us < 500000)
        return;
    c->since_us = sim_now_us();
    (void)frame_put_heartbeat(beat);
    (void)sim_write(c->fd, beat,
                    sizeof(beat)); /* a planted bug; that it is not taken is no matter */
}

/* Whether some process has failed since it connected, or it has dawdled, or fell silent. */
static bool has_excuse(const struct client *c)
{
    if (c->will_go_silent || (c->phase == CLIENT_CLOSING && c->has_spoken))
        return true;
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

static void on_frame(struct client *c, const struct amqp_frame *f)
{
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

static void parse(struct client *c)
{
    uint32_t at = 0, uid = c->uid;

    while (c->phase != CLIENT_NONE && c->uid == uid) {
        struct amqp_frame f;
        ssize_t r = frame_parse(c->in + at, c->n_in - at, c->frame_max, &f);

        if (r < 0)
            sim_fail("frames", "client %u: %s", c->uid, amqp_error_text((int)r));
        if (r == 0)
            break;
        at += (uint32_t)r;
        on_frame(c, &f);
    }
    if (c->phase == CLIENT_NONE || c->uid != uid)
        return;
    c->n_in -= at;
    memmove(c->in, c->in + at, c->n_in);
}

static void on_end(struct client *c)
{
    if (!has_excuse(c) && c->phase != CLIENT_SILENT)
        sim_fail("connections stay", "client %u is cut off in phase %d", c->uid, c->phase);
    client_drop(c, false);
}

void client_read(struct client *c, bool all)
{
    uint32_t uid = c->uid;
    bool more = true;

    while (more && c->phase != CLIENT_NONE && c->uid == uid) {
        uint32_t n = all ? READ_SIZE : 1 + sim_below(SIM_DRIVER, READ_SIZE);
        ssize_t r;

        room(&c->in, &c->cap_in, c->n_in + n);
        r = sim_read(c->fd, c->in + c->n_in, n);
        if (r == -EAGAIN)
            return;
        if (r > 0 && sim_is_planted("wire-garble") && sim_chance(SIM_ACTOR, 3000))
            c->in[c->n_in + (uint32_t)r - 1] ^= 1;
        if (r > 0 && sim_is_planted("wire-cut") && sim_chance(SIM_ACTOR, 3000))
            r = -ECONNRESET;
        if (r <= 0) {
            on_end(c);
            return;
        }
        c->n_in += (uint32_t)r;
        parse(c);
        more = all;
    }
}

void client_write(struct client *c, bool all)
{
    uint32_t n = c->n_out;
    ssize_t r;

    if (c->phase == CLIENT_NONE || n == 0)
        return;
    if (!all && n > 1 && sim_chance(SIM_DRIVER, 300000))
        n = 1 + sim_below(SIM_DRIVER, n - 1);
    r = sim_write(c->fd, c->out, n);
    if (r <= 0)
        return; /* an end is seen by who reads */
    c->n_out -= (uint32_t)r;
    memmove(c->out, c->out + r, c->n_out);
}
