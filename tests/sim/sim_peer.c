/*
 * sim_peer.c - the test's end of a simulated connection.
 */
#include "tests/sim/sim_peer.h"

#include <stdlib.h>
#include <string.h>

#include "amqp/codec/frame.h"
#include "amqp/codec/props.h"
#include "amqp/codec/table.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/sim_world.h"

enum { CHANNEL_MAX = 2047, PART = 4000 };

static void room(uint8_t **p, uint32_t *cap, uint32_t need)
{
    if (need <= *cap)
        return;
    *cap = need + need / 2 + 256;
    *p = realloc(*p, *cap);
    if (!*p)
        sim_fail("simulation", "no memory");
}

bool sim_peer_connect(struct sim_peer *p, uint16_t port)
{
    int fd = port ? sim_connect(port) : -1;

    if (fd < 0)
        return false;
    p->fd = fd;
    p->n_out = p->n_in = 0;
    sim_peer_put(p, amqp_protocol_header, AMQP_PROTOCOL_HEADER_LEN);
    return true;
}

void sim_peer_end(struct sim_peer *p, bool reset)
{
    (reset ? sim_reset : sim_close)(p->fd);
    p->fd = 0;
    p->n_out = p->n_in = 0;
    p->n_ended++;
}

void sim_peer_free(struct sim_peer *p)
{
    free(p->in);
    free(p->out);
}

void sim_peer_put(struct sim_peer *p, const void *bytes, uint32_t len)
{
    room(&p->out, &p->cap_out, p->n_out + len);
    memcpy(p->out + p->n_out, bytes, len);
    p->n_out += len;
}

void sim_peer_put_method(struct sim_peer *p, uint16_t channel, const struct amqp_method *m)
{
    ssize_t size = amqp_method_encoded_size(m);

    if (size < 0)
        sim_fail("simulation", "%s cannot be encoded", amqp_method_name(m->id));
    room(&p->out, &p->cap_out, p->n_out + (uint32_t)size);
    (void)amqp_method_encode(m, channel, p->out + p->n_out, (size_t)size); /* it has room */
    p->n_out += (uint32_t)size;
}

uint8_t sim_body_byte(uint32_t uid, uint32_t i)
{
    return (uint8_t)(uid * 31 + i * 7 + (i >> 8) * 13);
}

void sim_peer_put_content(struct sim_peer *p, uint16_t channel, struct amqp_bytes props,
                          uint32_t uid, uint32_t size)
{
    struct amqp_content_header h = {
        .class_id = AMQP_CLASS_BASIC, .body_size = size, .props = props};
    uint32_t most = p->frame_max - AMQP_FRAME_OVERHEAD;
    size_t header = content_header_frame_size(&h);

    room(&p->out, &p->cap_out, p->n_out + (uint32_t)header);
    (void)content_put_header_frame(p->out + p->n_out, channel, &h);
    p->n_out += (uint32_t)header;
    for (uint32_t at = 0; at < size;) {
        uint32_t n = sim_chance(SIM_DRIVER, 500000) && most > PART ? PART : most;
        uint8_t *to;

        n = n < size - at ? n : size - at;
        if (n > 1 && sim_chance(SIM_DRIVER, 100000))
            n = 1 + sim_below(SIM_DRIVER, n);
        room(&p->out, &p->cap_out, p->n_out + n + AMQP_FRAME_OVERHEAD);
        to = frame_put_head(p->out + p->n_out, AMQP_FRAME_BODY, channel, n);
        for (uint32_t i = 0; i < n; i++)
            *to++ = sim_body_byte(uid, at + i);
        (void)frame_put_end(to);
        p->n_out += n + AMQP_FRAME_OVERHEAD;
        at += n;
    }
}

void sim_peer_put_start_ok(struct sim_peer *p)
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
    ftable_put_bool(&b, "connection.blocked", true);
    ftable_end(&b);
    if (ftable_finish(&b, &props) < 0)
        sim_fail("simulation", "client properties");
    m.u.connection_start_ok =
        (struct amqp_connection_start_ok){.client_properties = props,
                                          .mechanism = amqp_str("PLAIN"),
                                          .response = amqp_bytes(login, sizeof(login) - 1),
                                          .locale = amqp_str("en_US")};
    sim_peer_put_method(p, 0, &m);
}

void sim_peer_put_tune_ok(struct sim_peer *p, const struct amqp_connection_tune *t,
                          uint16_t heartbeat)
{
    struct amqp_method m = {.id = AMQP_CONNECTION_TUNE_OK};
    struct amqp_method open = {.id = AMQP_CONNECTION_OPEN};

    if (p->frame_max > t->frame_max)
        p->frame_max = t->frame_max;
    m.u.connection_tune_ok = (struct amqp_connection_tune_ok){
        .channel_max = CHANNEL_MAX, .frame_max = p->frame_max, .heartbeat = heartbeat};
    sim_peer_put_method(p, 0, &m);
    open.u.connection_open.virtual_host = amqp_str(p->vhost ? p->vhost : "/");
    sim_peer_put_method(p, 0, &open);
}

ssize_t sim_peer_read(struct sim_peer *p, uint32_t size)
{
    ssize_t r;

    room(&p->in, &p->cap_in, p->n_in + size);
    r = sim_read(p->fd, p->in + p->n_in, size);
    if (r > 0)
        p->n_in += (uint32_t)r;
    return r;
}

ssize_t sim_peer_write(struct sim_peer *p, uint32_t size)
{
    ssize_t r = sim_write(p->fd, p->out, size < p->n_out ? size : p->n_out);

    if (r <= 0)
        return r;
    p->n_out -= (uint32_t)r;
    memmove(p->out, p->out + r, p->n_out);
    return r;
}

uint32_t sim_peer_flush(struct sim_peer *p, bool all)
{
    uint32_t n = p->n_out;
    ssize_t r;

    if (n == 0)
        return 0;
    if (!all && n > 1 && sim_chance(SIM_DRIVER, 300000))
        n = 1 + sim_below(SIM_DRIVER, n - 1);
    r = sim_peer_write(p, n); /* an end is seen by who reads */
    return r > 0 ? (uint32_t)r : 0;
}

/* The frame at *at, lent, and *at behind it; false: it is not whole. */
static bool next(const struct sim_peer *p, uint32_t *at, struct amqp_frame *ret)
{
    ssize_t r = frame_parse(p->in + *at, p->n_in - *at, p->frame_max, ret);

    if (r < 0)
        sim_fail("frames", "%s", amqp_error_text((int)r));
    *at += (uint32_t)r;
    return r > 0;
}

void sim_peer_take(struct sim_peer *p, void (*on)(void *arg, const struct amqp_frame *f), void *arg)
{
    uint32_t at = 0, n_ended = p->n_ended;
    struct amqp_frame f;

    while (p->n_ended == n_ended && next(p, &at, &f))
        on(arg, &f);
    if (p->n_ended != n_ended)
        return;
    p->n_in -= at;
    memmove(p->in, p->in + at, p->n_in);
}

bool sim_content_take(struct sim_content *c, const struct amqp_frame *f)
{
    struct amqp_content_header h;
    struct amqp_bytes id;

    if (f->type == AMQP_FRAME_HEADER) {
        if (c->uid != SIM_HEADER_TO_COME || content_header_parse(f->payload, &h) < 0 ||
            !props_find(h.props, PROP_MESSAGE_ID, &id) || id.len != 4)
            sim_fail("frames", "a content header that is none");
        c->uid = get_u32(id.p);
        c->size = (uint32_t)h.body_size;
        c->n = 0;
    } else {
        for (uint32_t i = 0; i < f->payload.len; i++)
            if (f->payload.p[i] != sim_body_byte(c->uid, c->n++))
                sim_fail("bytes", "message %u is not what was published", c->uid);
    }
    return c->n == c->size;
}
