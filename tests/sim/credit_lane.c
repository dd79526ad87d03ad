/*
 * credit_lane.c - a party's channel: its setup, what it publishes, holds and settles.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "amqp/codec/frame.h"
#include "amqp/codec/props.h"
#include "tests/sim/credit.h"
#include "tests/sim/rt_ledger.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_world.h"

enum {
    STEP_OPEN,
    STEP_CONFIRM,
    STEP_QOS,
    STEP_DECLARE,
    STEP_DECLARE_FROM,
    STEP_EXCHANGE = STEP_DECLARE_FROM + LANE_QUEUES,
    STEP_BIND,
    STEP_CONSUME,
    STEP_END = STEP_CONSUME + LANE_QUEUES,
    PROPS_ROOM = 4096 + 256,
    PASSED_BY = 1000,
    RETRY_US = 200 * 1000,
};

const char *credit_queue_name(int queue)
{
    static const char *const names[CREDIT_QUEUES] = {"c0", "c1", "c2", "c3",
                                                     "c4", "c5", "c6", "c7"};

    return names[queue];
}

static const char bound[] = "cx";

static void put_declare(struct amqp_method *m, int queue)
{
    m->id = AMQP_QUEUE_DECLARE;
    m->u.queue_declare = (struct amqp_queue_declare){.queue = amqp_str(credit_queue_name(queue)),
                                                     .durable = queue < CREDIT_DURABLE};
}

static void put_consume(struct amqp_method *m, int queue, char tag[2], int place)
{
    tag[0] = (char)('0' + place);
    tag[1] = '\0';
    m->id = AMQP_BASIC_CONSUME;
    m->u.basic_consume = (struct amqp_basic_consume){.queue = amqp_str(credit_queue_name(queue)),
                                                     .consumer_tag = amqp_str(tag)};
}

/* What is asked in this step; false: nothing. */
static bool put_step(const struct lane *l, struct amqp_method *m, char tag[2])
{
    const struct lane_spec *s = l->spec;
    int step = l->step;

    if (step == STEP_OPEN) {
        m->id = AMQP_CHANNEL_OPEN;
    } else if (step == STEP_CONFIRM && (s->to >= 0 || s->is_unroutable)) {
        m->id = AMQP_CONFIRM_SELECT;
    } else if (step == STEP_QOS && s->prefetch > 0) {
        m->id = AMQP_BASIC_QOS;
        m->u.basic_qos =
            (struct amqp_basic_qos){.prefetch_count = s->prefetch, .global = s->is_shared};
    } else if (step == STEP_DECLARE && s->to >= 0) {
        put_declare(m, s->to);
    } else if (step == STEP_EXCHANGE && s->is_bound) {
        m->id = AMQP_EXCHANGE_DECLARE;
        m->u.exchange_declare = (struct amqp_exchange_declare){
            .exchange = amqp_str(bound), .type = amqp_str("topic"), .durable = true};
    } else if (step == STEP_BIND && s->is_bound) {
        m->id = AMQP_QUEUE_BIND;
        m->u.queue_bind =
            (struct amqp_queue_bind){.queue = amqp_str(credit_queue_name(s->to)),
                                     .exchange = amqp_str(bound),
                                     .routing_key = amqp_str(credit_queue_name(s->to))};
    } else if (step >= STEP_CONSUME && step - STEP_CONSUME < s->n_from) {
        put_consume(m, s->from[step - STEP_CONSUME], tag, step - STEP_CONSUME);
    } else if (step >= STEP_DECLARE_FROM && step < STEP_EXCHANGE &&
               step - STEP_DECLARE_FROM < s->n_from) {
        put_declare(m, s->from[step - STEP_DECLARE_FROM]);
    } else {
        return false;
    }
    return true;
}

static void ask_next(struct lane *l)
{
    struct amqp_method m = {0};
    char tag[2];

    while (l->step < STEP_END && !put_step(l, &m, tag))
        l->step++;
    l->asked = m.id;
    if (m.id)
        sim_peer_put_method(&l->party->peer, l->number, &m);
    else
        l->phase = LANE_RUNNING;
}

void lane_open(struct lane *l)
{
    l->phase = LANE_SETUP;
    l->uid = ++credit.next_lane;
    l->failures = slice.failures;
    l->front_failures = slice.front_failures;
    l->step = STEP_OPEN;
    ask_next(l);
}

void lane_forget(struct lane *l)
{
    free(l->waiting);
    free(l->held);
    free(l->seen);
    free(l->in.body);
    free(l->in.props);
    *l = (struct lane){
        .spec = l->spec, .party = l->party, .number = l->number, .left = l->left, .uid = l->uid};
}

bool lane_may_publish(const struct lane *l)
{
    return l->phase == LANE_RUNNING && l->left > 0 && l->n_waiting < l->spec->ahead &&
           !l->party->is_blocked && l->party->peer.n_out < 256 * 1024;
}

static uint32_t pick(uint32_t below)
{
    return sim_chance(SIM_DRIVER, 300000) ? sim_below(SIM_DRIVER, below)
                                          : sim_below(SIM_DRIVER, below / 8 + 1);
}

void lane_publish(struct lane *l)
{
    struct amqp_method m = {.id = AMQP_BASIC_PUBLISH};
    uint8_t props[PROPS_ROOM];
    uint32_t uid, n;

    l->left--;
    l->published++;
    uid = credit_published(l, pick(l->spec->size), pick(l->spec->props));
    while (l->cap_waiting < l->published)
        GROW(l->waiting, l->cap_waiting, l->cap_waiting);
    l->waiting[l->published - 1] = uid;
    l->n_waiting++;
    m.u.basic_publish = (struct amqp_basic_publish){
        .exchange = amqp_str(l->spec->is_bound ? bound : ""),
        .routing_key =
            amqp_str(l->spec->is_unroutable ? "nowhere" : credit_queue_name(l->spec->to)),
        .mandatory = true};
    sim_peer_put_method(&l->party->peer, l->number, &m);
    n = credit_props(uid, &credit.message[uid], props, sizeof(props));
    sim_peer_put_content(&l->party->peer, l->number, amqp_bytes(props, n), uid,
                         credit.message[uid].size);
    sim_note("publish", uid, credit.message[uid].size, l->uid);
}

static void confirm_one(struct lane *l, uint64_t number, bool nack)
{
    uint32_t uid = l->waiting[number - 1];

    l->waiting[number - 1] = 0;
    l->n_waiting--;
    credit_confirmed(l, uid, nack);
}

static void on_confirm(struct lane *l, uint64_t tag, bool multiple, bool nack)
{
    if (tag == 0 || tag > l->published || (!multiple && l->waiting[tag - 1] == 0))
        sim_fail("answers", "lane %u is told of number %llu of %u", l->uid, (unsigned long long)tag,
                 l->published);
    for (uint64_t i = multiple ? 1 : tag; i <= tag; i++)
        if (l->waiting[i - 1] != 0)
            confirm_one(l, i, nack);
}

bool credit_is_down(uint16_t code, struct amqp_bytes text)
{
    bool is_down = credit.what->parks && (code == 541 || code == 404) &&
                   memmem(text.p, text.len, " is down", 8) && !sim_is_planted("park-unsaid");

    credit.did.downs += is_down;
    return is_down;
}

static void on_closed(struct lane *l, const struct amqp_channel_close *m)
{
    struct amqp_method ok = {.id = AMQP_CHANNEL_CLOSE_OK};
    bool front_failed = slice.front_failures != l->front_failures || slice.supervisor_failures > 0;

    if (!credit_is_down(m->reply_code, m->reply_text) &&
        (!front_failed || (m->reply_code != 541 && m->reply_code != 404)))
        sim_fail("errors", "lane %u is told %u: %.*s", l->uid, m->reply_code,
                 (int)m->reply_text.len, (const char *)m->reply_text.p);
    sim_peer_put_method(&l->party->peer, l->number, &ok);
    lane_forget(l);
    l->retry_us = sim_now_us() + sim_below(SIM_DRIVER, RETRY_US);
}

static void on_answer(struct lane *l, const struct amqp_method *m)
{
    if (!l->asked || m->id != l->asked + 1)
        sim_fail("answers", "lane %u waits for the answer to %s and is told %s", l->uid,
                 l->asked ? amqp_method_name(l->asked) : "nothing", amqp_method_name(m->id));
    credit.progress_us = sim_now_us();
    l->step++;
    ask_next(l);
}

static void content_begins(struct lane *l, const struct amqp_method *m)
{
    struct lane_in *in = &l->in;

    in->id = m->id;
    in->has_header = false;
    in->n = 0;
    if (m->id == AMQP_BASIC_RETURN) {
        if (!l->spec->is_unroutable)
            sim_fail("answers", "lane %u is given back what has a queue", l->uid);
        return;
    }
    in->consumer = (uint8_t)(m->u.basic_deliver.consumer_tag.p[0] - '0');
    in->tag = m->u.basic_deliver.delivery_tag;
    in->redelivered = m->u.basic_deliver.redelivered;
    if (in->consumer >= l->spec->n_from)
        sim_fail("answers", "lane %u has no such consumer", l->uid);
    if (in->tag != l->last_tag + 1)
        sim_fail("answers", "lane %u: delivery tag %llu comes after %llu", l->uid,
                 (unsigned long long)in->tag, (unsigned long long)l->last_tag);
    l->last_tag = in->tag;
}

void lane_on_method(struct lane *l, const struct amqp_method *m)
{
    sim_note(amqp_method_name(m->id), l->party->uid, l->number, l->uid);
    if (l->phase == LANE_NONE)
        sim_fail("frames", "party %u is told %s on a channel that is not open", l->party->uid,
                 amqp_method_name(m->id));
    switch (m->id) {
    case AMQP_CHANNEL_CLOSE:
        on_closed(l, &m->u.channel_close);
        break;
    case AMQP_BASIC_DELIVER:
    case AMQP_BASIC_RETURN:
        content_begins(l, m);
        break;
    case AMQP_BASIC_ACK:
        on_confirm(l, m->u.basic_ack.delivery_tag, m->u.basic_ack.multiple, false);
        break;
    case AMQP_BASIC_NACK:
        on_confirm(l, m->u.basic_nack.delivery_tag, m->u.basic_nack.multiple, true);
        break;
    default:
        on_answer(l, m);
        break;
    }
}

static uint32_t check_bytes(const struct lane *l)
{
    const struct lane_in *in = &l->in;
    struct amqp_bytes props = amqp_bytes(in->props, in->props_len), id;
    const struct credit_message *m;
    uint8_t expected[PROPS_ROOM];
    uint32_t uid;

    if (!props_find(props, PROP_MESSAGE_ID, &id) || id.len != 4)
        sim_fail("bytes", "lane %u is given a message without its id", l->uid);
    uid = get_u32(id.p);
    if (uid == 0 || uid >= credit.n_messages)
        sim_fail("bytes", "lane %u is given message %u, which nobody published", l->uid, uid);
    m = &credit.message[uid];
    if (in->size != m->size ||
        !amqp_bytes_equal(props,
                          amqp_bytes(expected, credit_props(uid, m, expected, sizeof(expected)))))
        sim_fail("bytes", "message %u is not as it was published", uid);
    for (uint32_t i = 0; i < m->size; i++)
        if (in->body[i] != sim_body_byte(uid, i))
            sim_fail("bytes", "byte %u of message %u is wrong", i, uid);
    return uid;
}

static uint32_t holds_of(const struct lane *l, uint8_t consumer)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < l->n_held; i++)
        n += l->held[i].consumer == consumer;
    return n;
}

/* Everybody who could have been given it has been passed over once more. */
static void note_turn(const struct lane *l, uint8_t consumer)
{
    int queue = l->spec->from[consumer];
    bool is_planted = sim_is_planted("credit-starve");

    for (uint32_t i = 0; credit.checks_turns && i < credit.n_parties; i++) {
        for (uint32_t k = 0; k < credit.party[i].n_lanes; k++) {
            struct lane *o = &credit.party[i].lane[k];

            for (uint8_t c = 0; c < o->spec->n_from; c++) {
                if (o->spec->from[c] != queue || o->phase != LANE_RUNNING)
                    continue;
                if ((o == l || o->n_held > 0) && !(is_planted && o->number == 1))
                    o->passed[c] = 0;
                else
                    o->passed[c]++;
                if (o->passed[c] > PASSED_BY)
                    sim_fail("no starvation", "consumer %u of lane %u is passed over", c, o->uid);
            }
        }
    }
}

static void hold(struct lane *l, uint32_t uid)
{
    bool whole = slice.failures == l->failures;
    uint16_t prefetch = l->spec->prefetch;

    GROW(l->held, l->n_held, l->cap_held);
    l->held[l->n_held++] = (struct lane_held){l->in.tag, uid, l->in.consumer};
    if (prefetch == 0 || !whole)
        return;
    if ((l->spec->is_shared ? l->n_held : holds_of(l, l->in.consumer)) > prefetch)
        sim_fail("prefetch", "lane %u holds %u, and asked for %u", l->uid, l->n_held, prefetch);
}

void lane_settle(struct lane *l, uint32_t i, bool multiple, bool requeue)
{
    struct amqp_method m = {.id = requeue ? AMQP_BASIC_NACK : AMQP_BASIC_ACK};
    uint32_t first = multiple ? 0 : i;

    if (requeue)
        m.u.basic_nack = (struct amqp_basic_nack){
            .delivery_tag = l->held[i].tag, .multiple = multiple, .requeue = true};
    else
        m.u.basic_ack =
            (struct amqp_basic_ack){.delivery_tag = l->held[i].tag, .multiple = multiple};
    if (!sim_is_planted("credit-lose-ack") || l->number > 1)
        sim_peer_put_method(&l->party->peer, l->number, &m);
    for (uint32_t k = first; k <= i && !requeue; k++)
        credit_settled(l->held[k].uid);
    sim_note(requeue ? "gives back" : "acks", l->held[first].uid, l->held[i].uid, l->uid);
    memmove(&l->held[first], &l->held[i + 1], (l->n_held - i - 1) * sizeof(l->held[0]));
    l->n_held -= i - first + 1;
}

static void content_is_whole(struct lane *l)
{
    uint32_t uid = check_bytes(l), id = l->in.id;

    l->in.id = 0;
    if (id == AMQP_BASIC_RETURN) {
        credit.did.returns++;
        credit.progress_us = sim_now_us();
        return;
    }
    credit_delivered(l, l->in.consumer, uid, l->in.redelivered);
    note_turn(l, l->in.consumer);
    hold(l, uid);
}

static void *room(void *p, uint32_t size)
{
    p = realloc(p, size ? size : 1);
    if (!p)
        sim_fail("simulation", "no memory");
    return p;
}

static void on_header(struct lane *l, const struct amqp_frame *f)
{
    struct amqp_content_header h;

    if (content_header_parse(f->payload, &h) < 0 || h.class_id != AMQP_CLASS_BASIC ||
        h.body_size > UINT32_MAX)
        sim_fail("frames", "lane %u: a content header that makes no sense", l->uid);
    l->in.has_header = true;
    l->in.size = (uint32_t)h.body_size;
    l->in.props_len = h.props.len;
    l->in.props = room(l->in.props, h.props.len);
    l->in.body = room(l->in.body, l->in.size);
    memcpy(l->in.props, h.props.p, h.props.len);
}

void lane_on_content(struct lane *l, const struct amqp_frame *f)
{
    struct lane_in *in = &l->in;
    bool is_header = f->type == AMQP_FRAME_HEADER;

    if (in->id == 0 || is_header == in->has_header)
        sim_fail("frames", "lane %u: content out of place", l->uid);
    if (is_header) {
        on_header(l, f);
    } else if (f->payload.len > in->size - in->n || f->payload.len == 0) {
        sim_fail("frames", "lane %u: a body frame of %u bytes, %u are left", l->uid, f->payload.len,
                 in->size - in->n);
    } else {
        memcpy(in->body + in->n, f->payload.p, f->payload.len);
        in->n += f->payload.len;
    }
    if (in->n == in->size)
        content_is_whole(l);
}
