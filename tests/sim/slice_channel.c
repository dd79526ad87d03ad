/*
 * slice_channel.c - a client's channel: what it asked, what comes in, how it ends.
 *
 * Invariants, by the names under which they fail:
 * 1. "answers": what comes is the answer to what was asked, and nothing is answered twice.
 * 2. "confirms once": a publish number is confirmed or refused once.
 * 3. "delivery tags": they grow by one with each delivery.
 * 4. "prefetch": a consumer holds no more than it asked for.
 * 5. "after cancel": a consumer that was told cancel-ok is given nothing more.
 * 6. "bytes": exchange, key, properties and body are those that were published.
 * 7. "errors": a channel is closed only for a reason that the model knows.
 */
#include <stdlib.h>
#include <string.h>

#include "amqp/codec/frame.h"
#include "amqp/codec/props.h"
#include "tests/sim/rt_ledger.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_world.h"
#include "tests/sim/slice.h"

void channel_ask(struct client *c, struct chan_end *ch, const struct amqp_method *m)
{
    ch->op = m->id;
    ch->op_at = ++slice.stamp;
    ch->op_failures = slice.failures;
    client_method(c, ch->number, m);
    ch->op_sure = model_names_are_there(ch);
    ch->op_alone = ch->op_queue < 0 || !(slice.queue[ch->op_queue].fact.asked & 1u << GONE);
    model_asked(c, ch);
    topology_check_users();
    if (ch->op_nowait) {
        struct amqp_method behind = {.id = AMQP_BASIC_QOS};

        behind.u.basic_qos.prefetch_count = ch->prefetch;
        client_method(c, ch->number, &behind);
    }
}

void channel_open(struct client *c, int place)
{
    struct chan_end *ch = &c->channel[place];
    struct amqp_method m = {.id = AMQP_CHANNEL_OPEN};

    ch->op_exchange = 0;
    ch->phase = CHAN_OPENING;
    ch->uid = ++slice.next_channel;
    ch->failures = ch->calm_failures = slice.failures;
    ch->front_failures = slice.front_failures;
    ch->op_queue = NO_QUEUE;
    ch->next_confirm = 1;
    channel_ask(c, ch, &m);
}

/* The last one of an auto-delete queue may have been it. */
static void consumer_leaves(const struct consumer_end *e)
{
    if (e->uid && e->queue == AUTO_QUEUE)
        topology_queue_vanishes(AUTO_QUEUE);
}

void channel_consumers_leave(const struct chan_end *ch)
{
    for (int i = 0; i < N_CONSUMERS; i++)
        consumer_leaves(&ch->consumer[i]);
}

static void consumer_clear(struct consumer_end *e)
{
    consumer_leaves(e);
    free(e->order);
    *e = (struct consumer_end){0};
}

void channel_forget(struct chan_end *ch)
{
    uint16_t number = ch->number;

    if (ch->op)
        model_op_lost(ch);
    for (int i = 0; i < N_CONSUMERS; i++) {
        if (ch->consumer[i].is_on && ch->consumer[i].no_ack)
            model_queue_leaks(ch->consumer[i].queue);
        consumer_clear(&ch->consumer[i]);
    }
    for (int q = 0; q < N_QUEUES; q++)
        consumer_clear(&ch->gets[q]);
    free(ch->waiting);
    free(ch->unacked);
    free(ch->acked);
    free(ch->in.body);
    *ch = (struct chan_end){.number = number};
}

static bool has_risky_publish(const struct chan_end *ch)
{
    for (uint32_t i = slice.first_open; i <= slice.n_messages; i++)
        if (slice.message[i].channel == ch->uid && slice.message[i].is_risky)
            return true;
    return false;
}

/*
 * Its acks are durable by the word of the broker, unless what they named was in question, or they
 * came behind something that was never answered and may have failed the channel, of which a client
 * that closes its connection is not told.
 */
static void acked_for_good(struct chan_end *ch)
{
    for (uint32_t i = 0; i < ch->n_acked; i++)
        if (ack_is_safe(&ch->acked[i]) && (!ch->op || ch->acked[i].done_at < ch->op_at))
            model_settled_for_good(ch->acked[i].uid, ch->acked[i].queue);
    ch->n_acked = 0;
}

static void on_close_ok(struct chan_end *ch)
{
    acked_for_good(ch);
    channel_forget(ch); /* what was on its way to a consumer that acks by itself was dropped */
}

/* Whether this was the answer to the operation: what it asked for was not done. */
static bool is_refused(const struct chan_end *ch, const struct amqp_channel_close *m)
{
    return ch->op && (uint32_t)m->class_id << 16 == (ch->op & 0xffff0000u) &&
           m->method_id == (ch->op & 0xffff);
}

static bool is_excused(const struct client *c, const struct chan_end *ch,
                       const struct amqp_channel_close *m)
{
    uint16_t code = m->reply_code;

    if (slice.front_failures != ch->front_failures || slice.supervisor_failures > 0)
        if (code == 541 || code == 404)
            return true;
    if (!is_refused(ch, m))
        return code == 404 && m->method_id == (AMQP_BASIC_PUBLISH & 0xffff) &&
               has_risky_publish(ch);
    if (code == 404)
        return (ch->op != AMQP_QUEUE_DECLARE || ch->op_passive) &&
               (!ch->op_sure || !model_names_are_there(ch));
    return code == 405 ? model_may_be_locked(c, ch) : code == 406 && ch->op_conditions;
}

static void on_closed(struct client *c, struct chan_end *ch, const struct amqp_channel_close *m)
{
    struct amqp_method ok = {.id = AMQP_CHANNEL_CLOSE_OK};

    if (!is_excused(c, ch, m))
        sim_fail("errors", "client %u, channel %u is told %u over method %u.%u: %.*s", c->uid,
                 ch->number, m->reply_code, m->class_id, m->method_id, (int)m->reply_text.len,
                 (const char *)m->reply_text.p);
    client_method(c, ch->number, &ok);
    if (is_refused(ch, m) && m->reply_code != 541 && ch->op != AMQP_QUEUE_DECLARE) {
        model_refused(ch);
        ch->op = 0;
    }
    ch->n_acked = 0;               /* they may have come behind what was refused */
    if (ch->phase != CHAN_CLOSING) /* else both closes cross, and ours is still answered */
        channel_forget(ch);
}

static void confirm_one(struct chan_end *ch, uint64_t number, bool nack)
{
    uint32_t uid = ch->waiting[number - 1];

    nack |= sim_is_planted("wire-nack") && sim_chance(SIM_ACTOR, 3000);
    ch->waiting[number - 1] = 0;
    ch->n_waiting--;
    model_confirmed(ch, uid, nack);
}

static void on_confirm(struct chan_end *ch, uint64_t tag, bool multiple, bool nack)
{
    uint64_t n = ch->next_confirm - 1;

    if (sim_is_planted("wire-lose-confirm") && sim_chance(SIM_ACTOR, 30000))
        return;
    if (tag == 0 || tag > n || (!multiple && ch->waiting[tag - 1] == 0))
        sim_fail("confirms once", "channel %u is told of number %llu of %llu", ch->uid,
                 (unsigned long long)tag, (unsigned long long)n);
    for (uint64_t i = multiple ? 1 : tag; i <= tag; i++)
        if (ch->waiting[i - 1] != 0)
            confirm_one(ch, i, nack);
    if (sim_is_planted("wire-confirm-twice") && sim_chance(SIM_ACTOR, 30000))
        on_confirm(ch, tag, false, nack);
}

static int consumer_by_tag(const struct chan_end *ch, struct amqp_bytes tag)
{
    uint32_t uid = 0;

    for (uint32_t i = 1; i < tag.len; i++)
        uid = uid * 10 + (uint32_t)(tag.p[i] - '0');
    for (int i = 0; i < N_CONSUMERS; i++)
        if (ch->consumer[i].is_on && ch->consumer[i].uid == uid)
            return i;
    return -1;
}

static void note_place(struct chan_end *ch, struct amqp_bytes exchange, struct amqp_bytes key)
{
    if (exchange.len > sizeof(ch->in.exchange) || key.len > sizeof(ch->in.key))
        sim_fail("bytes", "an exchange or key that nobody used");
    ch->in.exchange_len = (uint8_t)exchange.len;
    ch->in.key_len = (uint8_t)key.len;
    memcpy(ch->in.exchange, exchange.p, exchange.len);
    memcpy(ch->in.key, key.p, key.len);
}

static void content_begins(struct chan_end *ch, const struct amqp_method *m)
{
    ch->in.id = m->id;
    ch->in.has_header = false;
    ch->in.n = 0;
    ch->in.consumer = -1;
    ch->in.queue = NO_QUEUE;
    if (m->id == AMQP_BASIC_DELIVER) {
        const struct amqp_basic_deliver *d = &m->u.basic_deliver;
        int place = consumer_by_tag(ch, d->consumer_tag);

        if (place < 0)
            sim_fail("after cancel", "channel %u is given something for consumer %.*s", ch->uid,
                     (int)d->consumer_tag.len, (const char *)d->consumer_tag.p);
        ch->in.consumer = (int8_t)place;
        ch->in.queue = ch->consumer[place].queue;
        ch->in.tag = d->delivery_tag;
        ch->in.redelivered = d->redelivered;
        note_place(ch, d->exchange, d->routing_key);
    } else if (m->id == AMQP_BASIC_GET_OK) {
        const struct amqp_basic_get_ok *g = &m->u.basic_get_ok;

        if (ch->op != AMQP_BASIC_GET)
            sim_fail("answers", "get-ok on channel %u, which did not ask", ch->uid);
        ch->in.queue = ch->op_queue;
        ch->in.tag = g->delivery_tag;
        ch->in.redelivered = g->redelivered;
        note_place(ch, g->exchange, g->routing_key);
    } else {
        note_place(ch, m->u.basic_return.exchange, m->u.basic_return.routing_key);
    }
    if (sim_is_planted("wire-unflag"))
        ch->in.redelivered = false;
}

/* The answer to what was asked, but for those of which more is to be said. */
static uint32_t answer_of(uint32_t op)
{
    return op == AMQP_EXCHANGE_UNBIND ? AMQP_EXCHANGE_UNBIND_OK : op + 1;
}

static void on_consume_ok(const struct client *c, struct chan_end *ch)
{
    struct consumer_end *e = &ch->consumer[ch->op_consumer];

    e->is_on = true;
    e->is_sure |= ch->op_alone && !(slice.queue[e->queue].fact.asked & 1u << GONE);
    if (e->queue == AUTO_QUEUE && c->phase == CLIENT_RUNNING && ch->phase == CHAN_READY)
        topology_queue_is_used(e->queue);
}

static void on_declared(const struct chan_end *ch, const struct amqp_queue_declare_ok *m)
{
    if (ch->op_queue == SERVER_NAMED_QUEUE && !ch->op_passive) {
        if (m->queue.len >= sizeof(slice.server_name[0]))
            sim_fail("bytes", "a server-named queue has a name of %u bytes", m->queue.len);
        memcpy(slice.server_name[slice.n_server_names], m->queue.p, m->queue.len);
    } else if (!amqp_bytes_is(m->queue, slice_queue(ch->op_queue))) {
        sim_fail("answers", "queue %s is declared as %.*s", slice_queue(ch->op_queue),
                 (int)m->queue.len, (const char *)m->queue.p);
    }
}

static void on_answer(struct client *c, struct chan_end *ch, const struct amqp_method *m)
{
    uint32_t expected = ch->op_nowait ? AMQP_BASIC_QOS_OK : answer_of(ch->op);

    if (!ch->op ||
        (m->id != expected && !(ch->op == AMQP_BASIC_GET && m->id == AMQP_BASIC_GET_EMPTY)))
        sim_fail("answers", "channel %u waits for the answer to %s and is told %s", ch->uid,
                 ch->op ? amqp_method_name(ch->op) : "nothing", amqp_method_name(m->id));
    if (ch->op == AMQP_CHANNEL_OPEN)
        ch->phase = CHAN_READY;
    else if (ch->op == AMQP_BASIC_CONSUME)
        on_consume_ok(c, ch);
    else if (ch->op == AMQP_BASIC_CANCEL)
        consumer_clear(&ch->consumer[ch->op_consumer]);
    else if (ch->op == AMQP_CONFIRM_SELECT)
        ch->confirming = true;
    else if (ch->op == AMQP_QUEUE_DECLARE && !ch->op_nowait)
        on_declared(ch, &m->u.queue_declare_ok);
    while (ch->op == AMQP_BASIC_RECOVER && ch->n_unacked > 0)
        act_settle_one(ch, 0, true);
    model_answered(c, ch);
    ch->op = 0;
    ch->op_queue = NO_QUEUE;
    ch->op_nowait = false;
}

/* The queue has gone, and its consumer with it. */
static void on_server_cancel(struct chan_end *ch, struct amqp_bytes tag)
{
    int i = consumer_by_tag(ch, tag);
    struct consumer_end *e;

    if (i < 0)
        return; /* it was cancelled from both sides */
    e = &ch->consumer[i];
    if (e->is_sure && slice.queue[e->queue].deleted_at < e->since &&
        slice.front_failures == ch->front_failures)
        sim_fail("errors", "consumer %u of %s is cancelled", e->uid, slice_queue(e->queue));
    if (ch->op == AMQP_BASIC_CANCEL && ch->op_consumer == i)
        return; /* its answer comes all the same */
    consumer_clear(e);
}

void channel_on_method(struct client *c, struct chan_end *ch, const struct amqp_method *m)
{
    sim_note(amqp_method_name(m->id), c->uid, ch->number, 1);
    if (ch->phase == CHAN_NONE)
        sim_fail("frames", "client %u is told %s on channel %u, which is not open", c->uid,
                 amqp_method_name(m->id), ch->number);
    switch (m->id) {
    case AMQP_CHANNEL_CLOSE:
        on_closed(c, ch, &m->u.channel_close);
        break;
    case AMQP_CHANNEL_CLOSE_OK:
        if (ch->phase != CHAN_CLOSING)
            sim_fail("answers", "close-ok on channel %u, which did not close", ch->uid);
        on_close_ok(ch);
        break;
    case AMQP_BASIC_DELIVER:
    case AMQP_BASIC_GET_OK:
    case AMQP_BASIC_RETURN:
        content_begins(ch, m);
        break;
    case AMQP_BASIC_ACK:
        on_confirm(ch, m->u.basic_ack.delivery_tag, m->u.basic_ack.multiple, false);
        break;
    case AMQP_BASIC_NACK:
        on_confirm(ch, m->u.basic_nack.delivery_tag, m->u.basic_nack.multiple, true);
        break;
    case AMQP_BASIC_CANCEL:
        on_server_cancel(ch, m->u.basic_cancel.consumer_tag);
        break;
    default:
        on_answer(c, ch, m);
        break;
    }
}

/* Which message it is, by its properties; all else has to be as it was published. */
static uint32_t check_bytes(const struct chan_end *ch)
{
    struct amqp_bytes props = amqp_bytes(ch->in.props, ch->in.props_len), id;
    struct amqp_bytes exchange = amqp_bytes(ch->in.exchange, ch->in.exchange_len);
    struct amqp_bytes key = amqp_bytes(ch->in.key, ch->in.key_len);
    const struct message *m;
    uint8_t expected[PROPS_MAX];
    uint32_t uid;

    if (!props_find(props, PROP_MESSAGE_ID, &id) || id.len != 4)
        sim_fail("bytes", "channel %u is given a message without its id", ch->uid);
    uid = get_u32(id.p);
    if (uid == 0 || uid > slice.n_messages)
        sim_fail("bytes", "channel %u is given message %u, which nobody published", ch->uid, uid);
    m = &slice.message[uid];
    if (!amqp_bytes_equal(props, amqp_bytes(expected, slice_props(m, false, expected))) ||
        !amqp_bytes_is(exchange, slice_exchanges[m->exchange].name) ||
        !amqp_bytes_is(key, slice_key_of(m, m->key)) || ch->in.size != m->size)
        sim_fail("bytes", "message %u is not as it was published", uid);
    for (uint32_t i = 0; i < m->size; i++)
        if (ch->in.body[i] != sim_body_byte(uid, i))
            sim_fail("bytes", "byte %u of message %u is wrong", i, uid);
    return uid;
}

static void hold(struct chan_end *ch, struct consumer_end *e, uint32_t uid)
{
    GROW(ch->unacked, ch->n_unacked, ch->cap_unacked);
    ch->unacked[ch->n_unacked++] = (struct unacked){.tag = ch->in.tag,
                                                    .uid = uid,
                                                    .queue = e->queue,
                                                    .consumer = e->uid,
                                                    .failures = ch->calm_failures};
    e->n_unacked++;
    /* What a failed queue forgot is still in the client's hands, and not in the queue's count. */
    if (e->prefetch && e->n_unacked > e->prefetch && e->failures == slice.failures)
        sim_fail("prefetch", "consumer %u holds %u, and asked for %u", e->uid, e->n_unacked,
                 e->prefetch);
}

static void content_is_whole(struct chan_end *ch)
{
    uint32_t uid, id = ch->in.id;
    struct consumer_end *e;

    ch->in.id = 0;
    if (sim_is_planted("wire-flip") && ch->in.size > 0 && sim_chance(SIM_ACTOR, 10000))
        ch->in.body[0] ^= 1;
    uid = check_bytes(ch);
    if (id == AMQP_BASIC_RETURN) {
        if (!sim_is_planted("wire-lose-return"))
            model_returned(ch, uid);
        return;
    }
    if (sim_is_planted("wire-lose-delivery") && id == AMQP_BASIC_DELIVER &&
        sim_chance(SIM_ACTOR, 10000))
        return;
    if (ch->in.tag != ch->last_tag + 1)
        sim_fail("delivery tags", "channel %u: %llu comes after %llu", ch->uid,
                 (unsigned long long)ch->in.tag, (unsigned long long)ch->last_tag);
    ch->last_tag = ch->in.tag;
    e = id == AMQP_BASIC_DELIVER ? &ch->consumer[ch->in.consumer] : &ch->gets[ch->in.queue];
    if (id == AMQP_BASIC_GET_OK) {
        e->queue = ch->in.queue;
        e->no_ack = ch->op_no_ack;
        e->since = ch->op_at;
        ch->op = 0;
        ch->op_queue = NO_QUEUE;
    }
    model_delivered(ch, e, uid, ch->in.redelivered);
    if (!e->no_ack)
        hold(ch, e, uid);
}

static void on_header(struct chan_end *ch, const struct amqp_frame *f)
{
    struct amqp_content_header h;

    if (content_header_parse(f->payload, &h) < 0 || h.class_id != AMQP_CLASS_BASIC ||
        h.props.len > sizeof(ch->in.props) || h.body_size > UINT32_MAX)
        sim_fail("frames", "channel %u: a content header that makes no sense", ch->uid);
    ch->in.has_header = true;
    ch->in.size = (uint32_t)h.body_size;
    ch->in.props_len = h.props.len;
    memcpy(ch->in.props, h.props.p, h.props.len);
    if (ch->in.cap_body < ch->in.size) {
        ch->in.body = realloc(ch->in.body, ch->in.size);
        ch->in.cap_body = ch->in.size;
        if (!ch->in.body)
            sim_fail("simulation", "no memory");
    }
}

void channel_on_content(struct client *c, struct chan_end *ch, const struct amqp_frame *f)
{
    bool is_header = f->type == AMQP_FRAME_HEADER;

    if (ch->in.id == 0 || is_header == ch->in.has_header)
        sim_fail("frames", "client %u, channel %u: content out of place", c->uid, ch->number);
    if (is_header) {
        on_header(ch, f);
    } else if (f->payload.len > ch->in.size - ch->in.n) {
        sim_fail("frames", "channel %u: a body longer than announced", ch->uid);
    } else {
        memcpy(ch->in.body + ch->in.n, f->payload.p, f->payload.len);
        ch->in.n += f->payload.len;
    }
    if (ch->in.n == ch->in.size)
        content_is_whole(ch);
}
