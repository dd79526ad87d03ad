/*
 * channel_method.c - methods other than publish and ack: which is which, and waiting for answers.
 *
 * A method that needs somebody else's answer stays the first command of the input, and is decoded
 * again when the answer comes. When the partner has died, it is begun again from the start: all
 * requests are idempotent. Only what is asked of the registry does not wait: see channel_asks.c.
 */
#include <stdio.h>
#include <string.h>

#include "amqp/channel_internal.h"
#include "queues/vhost_state.h"

enum {
    PAUSE_US = 20 * 1000,
    REGISTRY_US = 30 * 1000 * 1000,
};

static void decode(const struct command *cmd, struct amqp_method *ret)
{
    CHECK(amqp_method_decode(amqp_bytes(cmd->payload, cmd->len), ret) == 0); /* once before */
}

void op_end(struct channel *ch)
{
    struct amqp_method m;

    if (ch->op_timer)
        proc_cancel(ch->op_timer);
    ch->op_timer = 0;
    if (ch->op_wait == OP_TX)
        tx_abandon(ch);
    else if (ch->op_wait != OP_NONE)
        proc_cancel(ch->op_ref);
    if (ch->op_wait > OP_START) {
        decode(&ch->in->command[ch->in->at], &m);
        consume_abandon(ch, &m);
    }
    ch->op_wait = OP_NONE;
    ch->op_tries = 0;
    channel_tell_rest(ch);
}

enum method_result op_call(struct channel *ch, proc_id to, struct msg *m)
{
    ch->op_ref = proc_call(to, m, PROC_NO_TIMEOUT);
    ch->op_wait = OP_CALL;
    return METHOD_WAITS;
}

proc_id channel_registry(const struct channel *ch)
{
    char name[270];

    snprintf(name, sizeof(name), "registry:%s", ch->vhost);
    return proc_whereis(name);
}

proc_ref channel_await_registry(const struct channel *ch)
{
    char name[270];

    snprintf(name, sizeof(name), "registry:%s", ch->vhost);
    return proc_await(name);
}

void op_start(struct channel *ch)
{
    if (channel_registry(ch) != 0)
        return;
    ch->op_ref = channel_await_registry(ch);
    ch->op_wait = OP_START;
    ch->op_timer = proc_timer(REGISTRY_US);
}

/* The method is begun again a moment later. */
static enum method_result op_pause(struct channel *ch)
{
    ch->op_ref = proc_timer(PAUSE_US);
    ch->op_wait = OP_TIMER;
    return METHOD_WAITS;
}

enum method_result op_await_cell(struct channel *ch, struct cell *cell, proc_id dead)
{
    const char *down = vhost_down_reason(ch->vhost);

    if (down)
        channel_fail(ch, AMQP_CODE_INTERNAL_ERROR, 0, "%s", down);
    (void)op_call(ch, channel_registry(ch), &registry_watch_new(cell, dead)->hdr);
    ch->op_wait = OP_WATCH;
    return METHOD_WAITS;
}

static enum method_result qos(struct channel *ch, const struct amqp_method *m)
{
    if (m->u.basic_qos.prefetch_size != 0)
        channel_fail(ch, AMQP_CODE_NOT_IMPLEMENTED, m->id, "prefetch_size!=0 (%u)",
                     m->u.basic_qos.prefetch_size);
    if (m->u.basic_qos.global || ch->spec_qos)
        channel_set_share(ch, m->u.basic_qos.prefetch_count);
    else
        ch->prefetch = m->u.basic_qos.prefetch_count;
    channel_reply_id(ch, AMQP_BASIC_QOS_OK);
    return METHOD_DONE;
}

static enum method_result recover(struct channel *ch, const struct amqp_method *m)
{
    bool requeue =
        m->id == AMQP_BASIC_RECOVER ? m->u.basic_recover.requeue : m->u.basic_recover_async.requeue;

    if (!requeue)
        channel_fail(ch, AMQP_CODE_NOT_IMPLEMENTED, m->id, "requeue=false");
    channel_recover(ch);
    channel_flush_links(ch);
    proc_flush();
    if (m->id == AMQP_BASIC_RECOVER)
        channel_reply_id(ch, AMQP_BASIC_RECOVER_OK);
    return METHOD_DONE;
}

static enum method_result flow(struct channel *ch, const struct amqp_method *m)
{
    struct amqp_method ok = {.id = AMQP_CHANNEL_FLOW_OK};

    if (!m->u.channel_flow.active)
        channel_fail(ch, AMQP_CODE_NOT_IMPLEMENTED, m->id, "active=false");
    ok.u.channel_flow_ok.active = true;
    channel_reply(ch, &ok);
    return METHOD_DONE;
}

static enum method_result access_request(struct channel *ch)
{
    struct amqp_method ok = {.id = AMQP_ACCESS_REQUEST_OK};

    ok.u.access_request_ok.ticket = 1;
    channel_reply(ch, &ok);
    return METHOD_DONE;
}

static enum method_result confirm_select(struct channel *ch, const struct amqp_method *m)
{
    if (ch->tx.is_on)
        channel_fail(ch, AMQP_CODE_PRECONDITION_FAILED, m->id,
                     "cannot switch from tx to confirm mode");
    ch->is_confirming = true;
    if (!m->u.confirm_select.nowait)
        channel_reply_id(ch, AMQP_CONFIRM_SELECT_OK);
    return METHOD_DONE;
}

static enum method_result begin(struct channel *ch, const struct amqp_method *m)
{
    struct failure f;

    if (!channel_may(ch, m, &f))
        channel_fail_with(ch, &f);
    switch (m->id) {
    case AMQP_BASIC_QOS:
        return qos(ch, m);
    case AMQP_BASIC_CONSUME:
    case AMQP_BASIC_CANCEL:
        return consume_start(ch, m);
    case AMQP_BASIC_GET:
        return get_start(ch, m);
    case AMQP_BASIC_RECOVER:
    case AMQP_BASIC_RECOVER_ASYNC:
        return recover(ch, m);
    case AMQP_BASIC_CANCEL_OK: /* of a cancel that we sent */
        return METHOD_DONE;
    case AMQP_CHANNEL_FLOW:
        return flow(ch, m);
    case AMQP_ACCESS_REQUEST:
        return access_request(ch);
    case AMQP_CONFIRM_SELECT:
        return confirm_select(ch, m);
    case AMQP_QUEUE_PURGE:
        return topology_purge(ch, m);
    case AMQP_TX_SELECT:
        return tx_select(ch, m);
    case AMQP_TX_COMMIT:
        return tx_commit(ch, m);
    case AMQP_TX_ROLLBACK:
        return tx_rollback(ch, m);
    default:
        break;
    }
    if (topology_is_of_registry(m)) {
        asks_start(ch, m, &ch->in->command[ch->in->at]);
        return METHOD_DONE;
    }
    if (m->id == AMQP_QUEUE_DECLARE) {
        topology_declare_reply(ch, m);
        return METHOD_DONE;
    }
    channel_fail(ch, AMQP_CODE_COMMAND_INVALID, m->id, "unimplemented method");
}

static enum method_result answered(struct channel *ch, const struct amqp_method *m,
                                   struct msg *reply)
{
    switch (m->id) {
    case AMQP_BASIC_CONSUME:
    case AMQP_BASIC_CANCEL:
        return consume_reply(ch, m, reply);
    case AMQP_BASIC_GET:
        return get_reply(ch, m, reply);
    default:
        return topology_purged(ch, m, reply);
    }
}

/* A method that waits again keeps its place; a finished one is told nothing more. */
static enum method_result conclude(struct channel *ch, enum method_result r)
{
    if (r == METHOD_DONE)
        op_end(ch);
    return r;
}

enum method_result channel_method(struct channel *ch, const struct command *cmd)
{
    struct amqp_method m;

    decode(cmd, &m);
    return conclude(ch, begin(ch, &m));
}

/* The queue is gone: it is found again by its cell, in begin(). */
static enum method_result lost(struct channel *ch, const struct amqp_method *m)
{
    consume_abandon(ch, m);
    if (ch->op_tries < UINT8_MAX)
        ch->op_tries++;
    return op_pause(ch);
}

void op_done(struct channel *ch)
{
    uint32_t len = ch->in->command[ch->in->at].len;

    op_end(ch);
    channel_advance(ch, len);
    channel_run(ch);
}

void channel_on_op(struct channel *ch, struct msg *m)
{
    uint8_t waited = ch->op_wait;
    struct amqp_method method;
    struct command *cmd;
    enum method_result r;

    if (m->ref == ch->op_timer)
        channel_fail(ch, AMQP_CODE_INTERNAL_ERROR, 0, "vhost '%s' is down", ch->vhost);
    if (waited == OP_START) {
        op_end(ch);
        channel_run(ch);
        return;
    }
    cmd = &ch->in->command[ch->in->at];
    decode(cmd, &method);
    ch->op_wait = OP_NONE;
    if (m->type == MSG_DOWN && waited == OP_CALL)
        r = lost(ch, &method);
    else if (waited == OP_CALL)
        r = answered(ch, &method, m);
    else if (m->type == MSG_DOWN)
        r = op_pause(ch); /* nobody watches: the registry is being restarted */
    else
        r = begin(ch, &method);
    if (r == METHOD_DONE)
        op_done(ch);
}
