/*
 * channel.c - the process of one channel: its input, its errors, its end.
 *
 * Duties: carries out its client's commands in order; routes publishes in place and gathers what
 * one turn sent to one queue; numbers deliveries and keeps what is not settled; confirms.
 * In:  CHANNEL_INPUT, CHANNEL_WRITTEN, CHANNEL_RECHECK, CHANNEL_CLOSE (its connection);
 *      CHANNEL_REPLY (channels); QUEUE_CONFIRM, QUEUE_CREDIT, QUEUE_DELIVER, QUEUE_SETTLED,
 *      QUEUE_WANT, QUEUE_SHARE_BACK, QUEUE_CONSUMER_GONE (queues); replies of queues and the
 *      registry; DOWN.
 * Out: CHANNEL_GRANT, CHANNEL_DONE, CONN_* (its connection); QUEUE_PUBLISH, QUEUE_SETTLE,
 *      QUEUE_PERMIT, QUEUE_SHARE, QUEUE_DETACH and calls (queues); calls to the registry.
 * Links and monitors: linked to its connection; monitors each queue it has a link to.
 * Invariants:
 *   1. Commands are carried out in order, but acks pass what is held back.
 *   2. A method other than publish and ack begins only when nothing is gathered for a queue that is
 *      not up, and all else was flushed; at most one method is under way (op_wait), or requests to
 *      the registry are (asks), and behind these nothing begins but more of them.
 *   3. What is gathered for queues is sent before the turn ends, unless the queue is not up.
 *   4. n_holding counts the links that are not up and have something gathered.
 */
#include "amqp/channel.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "amqp/channel_internal.h"
#include "broker/core/access.h"
#include "broker/core/limits.h"
#include "queues/vhost_state.h"

enum { CLOSE_TIMEOUT_US = 8 * 1000 * 1000 };

static void channel_init(void *state, const void *arg)
{
    struct channel *ch = state;
    const struct channel_arg *a = arg;
    const char *down;
    int64_t most;

    ch->connection = a->connection;
    ch->number = a->number;
    ch->cancel_notify = a->cancel_notify;
    ch->spec_qos = a->spec_qos;
    ch->vhost = proc_alloc(a->vhost_len + a->user_len + 2u);
    memcpy(ch->vhost, a->vhost, a->vhost_len + 1u);
    ch->user = ch->vhost + a->vhost_len + 1;
    memcpy(ch->user, a->user, a->user_len + 1u);
    vhost_tables_open(ch->vhost, &ch->tables);
    u64map_init(&ch->link_of, proc_realloc, proc_free);
    u64map_init(&ch->consumers, proc_realloc, proc_free);
    tags_init(&ch->tags, proc_realloc, proc_free);
    confirms_init(&ch->confirms, proc_realloc, proc_free);
    asks_init(&ch->asks);
    channel_set_share(ch, 0);
    most = access_limit_of_user(ch->user, ACCESS_CHANNELS);
    if (!limit_take(LIMIT_CHANNELS_OF_USER, ch->user, a->user_len, most))
        channel_fail(ch, AMQP_CODE_NOT_ALLOWED, AMQP_CHANNEL_OPEN,
                     "number of channels opened for user '%s' has reached the maximum allowed user "
                     "limit of (%lld)",
                     ch->user, (long long)most);
    down = vhost_down_reason(ch->vhost);
    if (down)
        channel_fail(ch, AMQP_CODE_INTERNAL_ERROR, AMQP_CHANNEL_OPEN, "%s", down);
    channel_show(ch);
    channel_reply_id(ch, AMQP_CHANNEL_OPEN_OK);
    op_start(ch);
}

static struct msg_conn_method *encode(struct channel *ch, const struct amqp_method *m)
{
    ssize_t size = amqp_method_encoded_size(m);
    struct msg_conn_method *f;

    CHECK(size > 0); /* our own methods */
    f = conn_method_new((uint32_t)size);
    f->number = ch->number;
    CHECK(amqp_method_encode(m, ch->number, f->frames, (size_t)size) == size);
    return f;
}

void channel_reply(struct channel *ch, const struct amqp_method *m)
{
    struct msg_conn_method *f = encode(ch, m);

    PROC_SEND(ch->connection, f);
}

void channel_tell(struct channel *ch, const struct amqp_method *m)
{
    struct msg_conn_method *f = encode(ch, m);

    if (ch->op_wait == OP_NONE && ch->asks.n == 0) {
        PROC_SEND(ch->connection, f);
        return;
    }
    ch->after_op = proc_realloc(ch->after_op, (ch->n_after_op + 1) * sizeof(ch->after_op[0]));
    ch->after_op[ch->n_after_op++] = &f->hdr;
    proc_keep(&f->hdr);
}

void channel_tell_rest(struct channel *ch)
{
    if (ch->op_wait != OP_NONE || ch->asks.n > 0)
        return;
    for (uint32_t i = 0; i < ch->n_after_op; i++)
        PROC_SEND(ch->connection, ch->after_op[i]);
    ch->n_after_op = 0;
    proc_free(ch->after_op);
    ch->after_op = NULL;
}

void channel_reply_id(struct channel *ch, uint32_t id)
{
    struct amqp_method m = {.id = id};

    channel_reply(ch, &m);
}

void channel_flush_links(struct channel *ch)
{
    while (ch->dirty) {
        struct link *l = ch->dirty;

        ch->dirty = l->next_dirty;
        l->is_dirty = false;
        link_flush(ch, l);
    }
}

void channel_fail_with(struct channel *ch, const struct failure *f)
{
    struct msg_conn_fail *m = MSG_NEW(CONN_FAIL, struct msg_conn_fail);

    channel_count_exchange(ch);
    channel_flush_links(ch);
    links_detach(ch);
    /* Whoever sees the close may ask the queues at once for what this channel had. */
    proc_flush();
    m->number = ch->number;
    m->has_exclusive = ch->has_exclusive;
    m->failure = *f;
    PROC_SEND(ch->connection, m);
    proc_exit(EXIT_NORMAL, f->code, "closed with %u", f->code);
}

void channel_fail(struct channel *ch, uint16_t code, uint32_t method, const char *fmt, ...)
{
    struct failure f = {.code = code, .method = method};
    va_list args;

    va_start(args, fmt);
    vsnprintf(f.text, sizeof(f.text), fmt, args);
    va_end(args);
    channel_fail_with(ch, &f);
}

void channel_advance(struct channel *ch, uint64_t bytes)
{
    struct msg_channel_input *in = ch->in;

    ch->handled_n++;
    ch->handled_bytes += bytes;
    if (++in->at < in->n)
        return;
    ch->in = in->next;
    if (!ch->in)
        ch->in_last = NULL;
    msg_drop(&in->hdr);
}

static bool is_settle(const struct command *cmd)
{
    return cmd->kind == COMMAND_ACK || cmd->kind == COMMAND_NACK || cmd->kind == COMMAND_REJECT;
}

/* Of the class of transactions: acks behind it may be part of one. */
static bool is_tx(const struct command *cmd)
{
    return cmd->kind == COMMAND_METHOD && get_u16(cmd->payload) == AMQP_CLASS_TX;
}

/* Carries out the acks of one input; false: none behind it may be. */
static bool settle_input(struct channel *ch, struct msg_channel_input *in)
{
    for (uint16_t i = in->ahead > in->at ? in->ahead : in->at; i < in->n; i++) {
        struct command *cmd = &in->command[i];

        if (is_tx(cmd))
            return false;
        in->ahead = (uint16_t)(i + 1);
        if (!is_settle(cmd))
            continue;
        channel_settle(ch, cmd);
        cmd->kind = COMMAND_DONE;
    }
    return true;
}

/* What is held back holds no acks back: those behind it are carried out now. In a transaction it
 * does, for an ack behind a commit is part of the next one. */
static void settle_ahead(struct channel *ch)
{
    for (struct msg_channel_input *in = ch->in; in && settle_input(ch, in); in = in->next)
        continue;
}

/* Whether the method may begin; it must not overtake what its client did before. */
static bool may_begin(struct channel *ch, const struct command *cmd)
{
    if (ch->n_holding > 0 && !ch->is_over_time)
        return false;
    if (!asks_may_follow(ch, cmd))
        return false;
    if (ch->asks.n > 0 && !ch->dirty)
        return true; /* all else was flushed when the first of them began */
    channel_flush_links(ch);
    proc_flush();
    return true;
}

/* false: it has to wait. */
static bool carry_out(struct channel *ch, struct command *cmd)
{
    switch (cmd->kind) {
    case COMMAND_PUBLISH:
        return ch->asks.n == 0 && channel_publish(ch, cmd, (uint32_t)(ch->in->n - ch->in->at));
    case COMMAND_ACK:
    case COMMAND_NACK:
    case COMMAND_REJECT:
        channel_settle(ch, cmd);
        return true;
    case COMMAND_METHOD:
        if (!may_begin(ch, cmd))
            return false;
        if (channel_method(ch, cmd) == METHOD_DONE)
            return true;
        if (!ch->is_closing || ch->by_client)
            return false;
        op_end(ch); /* nobody is left to hear the answer */
        return true;
    case COMMAND_FAIL:
        if (ch->asks.n > 0)
            return false;
        channel_fail_with(ch, (const struct failure *)(const void *)cmd->payload);
    default:
        return true;
    }
}

static void detach_and_end(struct channel *ch)
{
    struct msg_channel_done *m = MSG_NEW(CHANNEL_DONE, struct msg_channel_done);

    links_detach(ch);
    proc_flush();
    m->number = ch->number;
    m->has_exclusive = ch->has_exclusive;
    PROC_SEND(ch->connection, m);
    proc_exit(EXIT_NORMAL, 0, "closed");
}

/*
 * Whether all acks are durable. A queue that is not there is waited for: it is told of them again,
 * and then asked.
 */
static bool sync_acks(struct channel *ch)
{
    bool is_done = true;

    for (struct link *l = ch->links, *next; l; l = next) {
        next = l->next;
        if (l->state != LINK_UP)
            link_refresh(ch, l);
        if (l->state == LINK_GONE || !(l->cell->flags & CELL_DURABLE) ||
            !(l->has_acked || l->n_late > 0))
            continue;
        if (l->state == LINK_UP && l->sync == 0)
            l->sync = proc_call(l->pid, &queue_ask_new(QUEUE_SYNC, l->epoch)->hdr, PROC_NO_TIMEOUT);
        is_done = false;
    }
    return is_done;
}

/* Whether m answers a sync. One that is answered DOWN is asked again when the queue is there. */
static bool sync_take(struct channel *ch, const struct msg *m)
{
    struct link *l = ch->links;

    while (l && (l->sync != m->ref || m->ref == 0))
        l = l->next;
    if (!l)
        return false;
    if (m->type != MSG_DOWN) {
        l->sync = 0;
        l->has_acked = false;
        channel_run(ch);
    }
    return true;
}

/* Nothing is left to do. */
static void go_on_closing(struct channel *ch)
{
    if ((ch->n_holding > 0 || ch->asks.n > 0) && !ch->is_over_time)
        return;
    channel_flush_links(ch);
    if (!ch->by_client || sync_acks(ch) || ch->is_over_time)
        detach_and_end(ch);
}

void channel_run(struct channel *ch)
{
    uint32_t n = 0;

    while (ch->in && ch->op_wait == OP_NONE) {
        struct command *cmd = &ch->in->command[ch->in->at];
        uint64_t bytes = command_window_bytes(cmd);

        if (!carry_out(ch, cmd))
            break;
        channel_advance(ch, bytes);
        if (++n % 32 == 0 && ch->in && proc_is_over_budget()) {
            channel_count_exchange(ch);
            proc_continue();
            return;
        }
    }
    channel_count_exchange(ch);
    if (!ch->in && ch->is_closing)
        go_on_closing(ch);
    else if (!ch->tx.is_on)
        settle_ahead(ch);
}

static void on_input(struct channel *ch, struct msg *m)
{
    struct msg_channel_input *in = MSG_OF(struct msg_channel_input, m);

    proc_keep(m);
    in->next = NULL;
    if (ch->in_last)
        ch->in_last->next = in;
    else
        ch->in = in;
    ch->in_last = in;
    channel_run(ch);
}

static void on_close(struct channel *ch, const struct msg_channel_close *m)
{
    if (!ch->is_closing)
        ch->close_timer = proc_timer(CLOSE_TIMEOUT_US);
    ch->by_client = ch->is_closing ? ch->by_client && m->by_client : m->by_client;
    ch->is_closing = true;
    if (!ch->by_client)
        asks_drop(ch); /* the registry carries them out all the same */
    if (!ch->by_client && ch->op_wait > OP_START) {
        op_end(ch);
        channel_advance(ch, 0);
    }
    channel_run(ch);
}

static void on_close_timeout(struct channel *ch)
{
    ch->is_over_time = true;
    asks_drop(ch);
    op_end(ch);
    while (ch->in)
        channel_advance(ch, 0);
    go_on_closing(ch);
}

/* Answers and ends: of the method under way, of a link, or of a sync. */
static void on_answer(struct channel *ch, struct msg *m)
{
    if ((ch->op_wait == OP_TX && tx_take(ch, m)) || revoke_take(ch, m))
        return;
    if (ch->op_wait != OP_NONE && (m->ref == ch->op_ref || m->ref == ch->op_timer)) {
        channel_on_op(ch, m);
    } else if (asks_on_answer(ch, m)) {
        return;
    } else if (m->type == MSG_TIMEOUT && m->ref == ch->close_timer) {
        on_close_timeout(ch);
    } else if (!sync_take(ch, m)) {
        (void)link_take(ch, m); /* else nobody waits for it any more */
    }
}

static void channel_handle(void *state, struct msg *m)
{
    struct channel *ch = state;

    switch (m->type) {
    case CHANNEL_INPUT:
        on_input(ch, m);
        break;
    case QUEUE_CONFIRM:
        channel_on_confirm(ch, m);
        break;
    case QUEUE_CREDIT:
        channel_on_credit(ch, m);
        break;
    case QUEUE_DELIVER:
        channel_on_deliver(ch, m);
        break;
    case QUEUE_SETTLED:
        channel_on_settled(ch, m);
        break;
    case QUEUE_WANT:
        channel_on_want(ch, m);
        break;
    case QUEUE_SHARE_BACK:
        channel_on_share_back(ch, m);
        break;
    case CHANNEL_REPLY:
        channel_on_reply(ch, m);
        break;
    case CHANNEL_WRITTEN:
        channel_on_written(ch, m);
        break;
    case QUEUE_CONSUMER_GONE:
        channel_on_consumer_gone(ch, m);
        break;
    case CHANNEL_RECHECK:
        channel_on_recheck(ch);
        break;
    case CHANNEL_CLOSE:
        on_close(ch, MSG_OF(struct msg_channel_close, m));
        break;
    case MSG_CONTINUE:
        channel_run(ch);
        break;
    case QUEUE_REPLY:
    case QUEUE_GOT:
    case QUEUE_TX_DONE:
    case REGISTRY_REPLY:
    case MSG_DOWN:
    case MSG_TIMEOUT:
    case MSG_NAMED:
        on_answer(ch, m);
        break;
    default:
        proc_exit(EXIT_CRASH, 0, "unknown message %u", m->type);
    }
}

/* Input that was handled may be followed by more of it. */
static void grant(struct channel *ch)
{
    struct msg_channel_count *m;

    if (ch->handled_n - ch->granted_n < INPUT_WINDOW_COMMANDS / 4 &&
        ch->handled_bytes - ch->granted_bytes < INPUT_WINDOW_BYTES / 4)
        return;
    m = MSG_NEW(CHANNEL_GRANT, struct msg_channel_count);
    m->number = ch->number;
    m->n = ch->granted_n = ch->handled_n;
    m->bytes = ch->granted_bytes = ch->handled_bytes;
    PROC_SEND(ch->connection, m);
}

static void channel_flush(void *state)
{
    struct channel *ch = state;

    channel_flush_links(ch);
    channel_give_permits(ch);
    channel_flush_confirms(ch);
    channel_show_turn(ch);
    tags_trim(&ch->tags);
    grant(ch);
}

static size_t channel_inspect(const void *state, char *out, size_t size)
{
    const struct channel *ch = state;
    int n = snprintf(out, size,
                     "{\"number\":%u,\"confirm\":%s,\"consumers\":%u,\"unacked\":%u,"
                     "\"unconfirmed\":%u,\"prefetch\":%u,\"shared_prefetch\":%u,"
                     "\"held_back\":%s,\"waits\":%u,\"transaction\":%s,\"gathered\":%llu}",
                     ch->number, ch->is_confirming ? "true" : "false", ch->consumers.n, ch->tags.n,
                     confirms_open(&ch->confirms), ch->prefetch, ch->share.limit,
                     ch->in ? "true" : "false", ch->op_wait, ch->tx.is_on ? "true" : "false",
                     (unsigned long long)ch->tx.n);

    return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size;
}

const struct proc_ops channel_ops = {
    .kind = "channel",
    .state_size = sizeof(struct channel),
    .init = channel_init,
    .handle = channel_handle,
    .flush = channel_flush,
    .inspect = channel_inspect,
};
