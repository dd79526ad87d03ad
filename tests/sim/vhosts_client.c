/*
 * vhosts_client.c - one connection to the vhost with one channel that confirms: what it sends, and
 * what comes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "amqp/codec/frame.h"
#include "amqp/codec/props.h"
#include "broker/runtime/runtime.h"
#include "tests/sim/rt_ledger.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_world.h"
#include "tests/sim/slice.h"
#include "tests/sim/vhosts.h"

enum { READ_SIZE = 4096 };

static uint64_t number(const struct vhosts_client *c)
{
    return (uint64_t)(c - vhosts_client);
}

static void put(struct vhosts_client *c, uint16_t channel, const struct amqp_method *m)
{
    sim_peer_put_method(&c->peer, channel, m);
    sim_note(amqp_method_name(m->id), number(c), channel, c->n_published);
}

void vhosts_connect(struct vhosts_client *c)
{
    struct vhosts_client fresh = {.peer = c->peer,
                                  .is_audit = c->is_audit,
                                  .phase = VHC_START,
                                  .waiting = c->waiting,
                                  .cap_waiting = c->cap_waiting};

    fresh.peer.vhost = VHOSTS_NAME;
    if (!sim_peer_connect(&fresh.peer, slice.port)) {
        c->peer = fresh.peer;
        return;
    }
    fresh.peer.frame_max = 4096;
    *c = fresh;
}

void vhosts_drop(struct vhosts_client *c, bool reset)
{
    if (c->phase == VHC_NONE)
        return;
    sim_note("dropped", number(c), reset, 0);
    sim_peer_end(&c->peer, reset);
    c->phase = VHC_NONE;
    c->op = 0;
}

void vhosts_close(struct vhosts_client *c)
{
    struct amqp_method m = {.id = AMQP_CONNECTION_CLOSE};

    if (c->phase != VHC_READY) {
        vhosts_drop(c, false);
        return;
    }
    m.u.connection_close.reply_code = 200;
    put(c, 0, &m);
    c->phase = VHC_CLOSING;
    c->op = 0;
}

void vhosts_publish(struct vhosts_client *c, int queue)
{
    struct amqp_method m = {.id = AMQP_BASIC_PUBLISH};
    uint32_t uid = vhosts_published(c, queue);
    uint8_t id[4], props[64];
    struct amqp_props p = {.flags = prop_flag(PROP_DELIVERY_MODE) | prop_flag(PROP_MESSAGE_ID),
                           .delivery_mode = 2,
                           .message_id = amqp_bytes(id, sizeof(id))};
    ssize_t n;

    put_u32(id, uid);
    n = props_encode(&p, props, sizeof(props));
    m.u.basic_publish.routing_key = amqp_str(vhosts_queues[queue]);
    put(c, 1, &m);
    sim_peer_put_content(&c->peer, 1, amqp_bytes(props, (uint32_t)n), uid,
                         sim_below(SIM_DRIVER, 200));
    GROW(c->waiting, c->n_published, c->cap_waiting);
    c->waiting[c->n_published++] = uid;
}

void vhosts_get(struct vhosts_client *c, int queue)
{
    struct amqp_method m = {.id = AMQP_BASIC_GET};

    m.u.basic_get.queue = amqp_str(vhosts_queues[queue]);
    m.u.basic_get.no_ack = c->is_audit;
    put(c, 1, &m);
    c->op = AMQP_BASIC_GET;
    c->op_queue = (uint8_t)queue;
}

void vhosts_declare(struct vhosts_client *c, int queue, bool remove)
{
    struct amqp_method m = {.id = remove ? AMQP_QUEUE_DELETE : AMQP_QUEUE_DECLARE};

    if (remove) {
        m.u.queue_delete.queue = amqp_str(vhosts_queues[queue]);
    } else {
        m.u.queue_declare.queue = amqp_str(vhosts_queues[queue]);
        m.u.queue_declare.durable = true;
    }
    put(c, 1, &m);
    c->op = m.id;
    c->op_queue = (uint8_t)queue;
}

static void hello(struct vhosts_client *c)
{
    struct amqp_method open = {.id = AMQP_CHANNEL_OPEN}, select = {.id = AMQP_CONFIRM_SELECT};

    c->opened_at = ++vhosts.stamp;
    vhosts_entered(c);
    put(c, 1, &open);
    put(c, 1, &select);
}

static void text_of(char *ret, size_t size, struct amqp_bytes from)
{
    snprintf(ret, size, "%.*s", (int)from.len, (const char *)from.p);
}

static void on_connection_method(struct vhosts_client *c, const struct amqp_method *m)
{
    char text[256];

    if (m->id == AMQP_CONNECTION_START && c->phase == VHC_START) {
        sim_peer_put_start_ok(&c->peer);
        c->phase = VHC_TUNE;
    } else if (m->id == AMQP_CONNECTION_TUNE && c->phase == VHC_TUNE) {
        c->asked_at = ++vhosts.stamp;
        c->removed_at = vhosts.removed_at;
        sim_peer_put_tune_ok(&c->peer, &m->u.connection_tune, 0);
        c->phase = VHC_OPEN;
    } else if (m->id == AMQP_CONNECTION_OPEN_OK && c->phase == VHC_OPEN) {
        hello(c);
    } else if (m->id == AMQP_CONNECTION_CLOSE) {
        text_of(text, sizeof(text), m->u.connection_close.reply_text);
        vhosts_refused(c, m->u.connection_close.reply_code, text);
        vhosts_drop(c, false);
    } else if (m->id == AMQP_CONNECTION_CLOSE_OK) {
        vhosts_drop(c, false);
    } else {
        sim_fail("frames", "in phase %d comes %s", c->phase, amqp_method_name(m->id));
    }
}

/*
 * A queue may be missing: somebody deletes one, or the vhost with all. The rights in a vhost go
 * before its connections do.
 */
static void on_channel_close(struct vhosts_client *c, const struct amqp_channel_close *m)
{
    char text[256];

    text_of(text, sizeof(text), m->reply_text);
    if (m->reply_code != AMQP_CODE_INTERNAL_ERROR && m->reply_code != AMQP_CODE_NOT_FOUND &&
        !(m->reply_code == AMQP_CODE_ACCESS_REFUSED && c->opened_at <= vhosts.removable_until))
        sim_fail("errors", "a channel is closed with %u: %s", m->reply_code, text);
    if (c->is_audit)
        sim_fail("answers", "the auditor's channel is closed with %u: %s", m->reply_code, text);
    vhosts_drop(c, false);
}

static void on_confirm(struct vhosts_client *c, uint64_t tag, bool multiple, bool nack)
{
    if (tag == 0 || tag > c->n_published)
        sim_fail("confirms once", "number %llu was never published", (unsigned long long)tag);
    for (uint64_t i = multiple ? 1 : tag; i <= tag; i++) {
        if (c->waiting[i - 1] != 0)
            vhosts_confirmed(c, c->waiting[i - 1], nack);
        else if (i == tag)
            sim_fail("confirms once", "number %llu is confirmed again", (unsigned long long)tag);
        c->waiting[i - 1] = 0;
    }
}

static void answered(struct vhosts_client *c, uint32_t to)
{
    if (c->phase == VHC_CLOSING)
        return;
    if (c->op != to)
        sim_fail("answers", "%s is answered, and nobody asked", amqp_method_name(to));
    c->op = 0;
}

static void on_method(struct vhosts_client *c, const struct amqp_method *m)
{
    sim_note(amqp_method_name(m->id), number(c), 1, 0);
    switch (m->id) {
    case AMQP_CHANNEL_OPEN_OK:
        break;
    case AMQP_CONFIRM_SELECT_OK:
        c->phase = VHC_READY;
        break;
    case AMQP_QUEUE_DECLARE_OK:
        answered(c, AMQP_QUEUE_DECLARE);
        break;
    case AMQP_QUEUE_DELETE_OK:
        answered(c, AMQP_QUEUE_DELETE);
        break;
    case AMQP_BASIC_ACK:
        on_confirm(c, m->u.basic_ack.delivery_tag, m->u.basic_ack.multiple, false);
        break;
    case AMQP_BASIC_NACK:
        on_confirm(c, m->u.basic_nack.delivery_tag, m->u.basic_nack.multiple, true);
        break;
    case AMQP_BASIC_GET_EMPTY:
        answered(c, AMQP_BASIC_GET);
        c->is_empty = true;
        break;
    case AMQP_BASIC_GET_OK:
        c->got.uid = SIM_HEADER_TO_COME;
        break;
    case AMQP_CHANNEL_CLOSE:
        on_channel_close(c, &m->u.channel_close);
        break;
    default:
        sim_fail("frames", "on a channel comes %s", amqp_method_name(m->id));
    }
}

static void on_content(struct vhosts_client *c, const struct amqp_frame *f)
{
    if (!sim_content_take(&c->got, f))
        return;
    answered(c, AMQP_BASIC_GET);
    c->is_empty = false;
    vhosts_seen(c, c->got.uid, c->op_queue);
}

static void on_frame(void *arg, const struct amqp_frame *f)
{
    struct vhosts_client *c = arg;
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

void vhosts_read(struct vhosts_client *c, bool all)
{
    do {
        ssize_t r;

        if (c->phase == VHC_NONE)
            return;
        r = sim_peer_read(&c->peer, all ? READ_SIZE : 1 + sim_below(SIM_DRIVER, READ_SIZE));
        if (r == -EAGAIN)
            return;
        if (r <= 0)
            vhosts_drop(c, false);
        else
            sim_peer_take(&c->peer, on_frame, c);
    } while (all);
}

void vhosts_write(struct vhosts_client *c, bool all)
{
    if (c->phase != VHC_NONE)
        (void)sim_peer_flush(&c->peer, all);
}
