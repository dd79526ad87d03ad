/*
 * connection.c - the process of one client's socket: its life, timers, and end.
 *
 * Duties: the handshake; cuts what it reads into commands and gives them to its channels, all that
 * one read brought for one channel in one message; writes what its channels give it, gathered for a
 * turn; heartbeats; close frames.
 * In:  MSG_FD (its socket, once), MSG_IO, CONN_METHOD, CONN_DELIVER, CONN_CONFIRM, CONN_FAIL,
 *      CHANNEL_GRANT, CHANNEL_DONE (its channels), CONNECTION_SHUTDOWN, MSG_EXIT, MSG_DOWN, timers,
 *      VHOST_DOWN, VHOST_LOOK.
 * Out: CHANNEL_INPUT, CHANNEL_WRITTEN, CHANNEL_CLOSE, CHANNEL_RECHECK, REGISTRY_RELEASE_OWNER,
 *      VHOST_WATCH.
 * Links and monitors: its supervisor, whose SHUTDOWN it obeys with 320 to the client; its channels,
 *      linked (they die with it) and monitored (their death is told to the client as 541).
 * Invariants:
 *   1. A read's input has been sent to its channels when the handler ends; only a frame or content
 *      that is not whole stays, and what it owns then is known to the runtime.
 *   2. The socket is read unless a channel's input window is spent, output that cannot be refused
 *      is over its bound, or the connection has nothing more to hear.
 *   3. While it does not read on its own account, the progress of its output counts as life.
 *   4. Idle, with one open channel, it owns its state, that channel's entry, and nothing else.
 */
#include "amqp/connection.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "amqp/connection_internal.h"
#include "broker/core/access.h"
#include "broker/core/alarms.h"
#include "broker/core/config.h"
#include "broker/core/log.h"
#include "queues/connection.h"
#include "queues/registry.h"
#include "queues/vhost_state.h"

enum {
    CLOSE_TIMEOUT_US = 30 * 1000 * 1000,   /* for close-ok */
    LINGER_US = 3 * 1000 * 1000,           /* for the last output, and before a silent end */
    END_TIMEOUT_US = 10 * 1000 * 1000,     /* for channels to end */
    SHUTDOWN_TIMEOUT_US = 2 * 1000 * 1000, /* for the client's answer to 320 */
    SHUTDOWN_LINGER_US = 500 * 1000,
    DEAD_AFTER_BEATS = 5, /* of half the heartbeat interval */
    SHORT_INTERVAL_S = 1, /* up to here the coarse wheel is too coarse */
};

static void handle_any(void *state, struct msg *m);

#define TO(s) (1U << (s))
static const struct fsm_state states[CONN_STATES] = {
    [CONN_NEW] = {"new", TO(CONN_HEADER), NULL, handle_any},
    [CONN_HEADER] = {"header", TO(CONN_START) | TO(CONN_LINGER) | TO(CONN_ENDING), NULL,
                     handle_any},
    [CONN_START] = {"start", TO(CONN_TUNE) | TO(CONN_CLOSING) | TO(CONN_LINGER) | TO(CONN_ENDING),
                    NULL, handle_any},
    [CONN_TUNE] = {"tune", TO(CONN_OPEN) | TO(CONN_CLOSING) | TO(CONN_LINGER) | TO(CONN_ENDING),
                   NULL, handle_any},
    [CONN_OPEN] = {"open", TO(CONN_RUNNING) | TO(CONN_CLOSING) | TO(CONN_LINGER) | TO(CONN_ENDING),
                   NULL, handle_any},
    [CONN_RUNNING] = {"running", TO(CONN_CLOSING) | TO(CONN_ENDING), NULL, handle_any},
    [CONN_CLOSING] = {"closing", TO(CONN_ENDING), NULL, handle_any},
    [CONN_ENDING] = {"ending", TO(CONN_LINGER), NULL, handle_any},
    [CONN_LINGER] = {"linger", 0, NULL, handle_any},
};

static const struct fsm_spec spec = {
    .states = states,
    .n_states = CONN_STATES,
    .fsm_offset = offsetof(struct connection, fsm),
};

static void drop_message(void *m)
{
    msg_drop(m);
}

static void connection_init(void *state, const void *arg)
{
    struct connection *c = state;

    c->kind = *(const struct connection_arg *)arg;
    proc_trap_exit(true);
    framer_init(&c->framer, AMQP_FRAME_MIN_MAX, proc_realloc, proc_free);
    output_init(&c->out, proc_realloc, proc_free, drop_message);
    u64map_init(&c->channels, proc_realloc, proc_free);
    c->frame_max = AMQP_FRAME_MIN_MAX;
    fsm_init(&c->fsm, c, &spec, CONN_NEW);
    c->beat_timer = proc_timer_coarse(config()->handshake_timeout_ms * 1000);
}

void connection_move(struct connection *c, enum conn_state to)
{
    fsm_move(&c->fsm, c, to);
}

static void on_fd(struct connection *c, struct msg_fd *m)
{
    connection_set_peer(c, &m->peer, &m->local);
    connection_open_front(c, &m->peer);
    c->io = io_open(io_take(m));
    connection_move(c, CONN_HEADER);
    connection_read(c); /* most clients have sent the header by now */
}

void connection_fail_with(struct connection *c, const struct failure *f)
{
    enum conn_state before = conn_state(c);
    char quoted[400];

    if (before >= CONN_CLOSING)
        return;
    if (before <= CONN_HEADER)
        proc_exit(EXIT_NORMAL, f->code, "closed before a frame could say so");
    log_info("%s: closed with %u: %s", c->name, f->code,
             log_quote(quoted, sizeof(quoted), f->text, strlen(f->text)));
    connection_put_close(c, 0, f);
    connection_close_channels(c, false);
    connection_move(c, CONN_CLOSING);
    /* Who has not logged in, or speaks no frames, is not waited for: its end of stream comes now.
     */
    c->half_close = before < CONN_RUNNING || c->deaf;
    fsm_state_timeout(&c->fsm, c->half_close ? LINGER_US : CLOSE_TIMEOUT_US);
}

void connection_fail(struct connection *c, uint16_t code, uint32_t method, const char *fmt, ...)
{
    struct failure f = {.code = code, .method = method};
    va_list args;

    va_start(args, fmt);
    vsnprintf(f.text, sizeof(f.text), fmt, args);
    va_end(args);
    connection_fail_with(c, &f);
}

void connection_end(struct connection *c, bool by_client)
{
    if (conn_state(c) == CONN_LINGER)
        return;
    if (by_client)
        c->closes_by_client = true;
    if (conn_state(c) == CONN_ENDING)
        return;
    connection_close_channels(c, by_client);
    connection_move(c, CONN_ENDING);
    fsm_state_timeout(&c->fsm, END_TIMEOUT_US);
    connection_check_end(c);
}

/*
 * The last state: what is left is written, and what comes is read and dropped until the peer closes
 * its side or takes too long. A socket that is closed with bytes unread is reset, and the reset may
 * overtake close-ok at the client.
 */
static void linger(struct connection *c)
{
    connection_give_places(c); /* who has heard close-ok may come again */
    if (c->closes_by_client && !c->eof) {
        const struct amqp_method ok = {.id = AMQP_CONNECTION_CLOSE_OK};

        connection_put_method(c, 0, &ok);
    }
    c->half_close = true;
    connection_move(c, CONN_LINGER);
    fsm_state_timeout(&c->fsm, c->is_shutdown ? SHUTDOWN_LINGER_US : LINGER_US);
}

/* Exclusive queues go before close-ok is said. */
static void release_queues(struct connection *c)
{
    struct msg_registry_owner *m = MSG_NEW(REGISTRY_RELEASE_OWNER, struct msg_registry_owner);
    char name[270];

    m->owner = proc_self();
    snprintf(name, sizeof(name), "registry:%s", c->vhost);
    c->release = proc_call(proc_whereis(name), &m->hdr, END_TIMEOUT_US);
}

void connection_check_end(struct connection *c)
{
    if (conn_state(c) != CONN_ENDING || c->n_living > 0 || c->release != 0)
        return;
    if (c->has_exclusive && c->closes_by_client) {
        c->has_exclusive = false;
        release_queues(c);
        return;
    }
    linger(c);
}

static void on_released(struct connection *c, struct msg *m)
{
    c->release = 0;
    if (m->type == MSG_DOWN) {
        /* A new registry learns of this owner; its queues go when this process has gone. */
        log_info("%s: its exclusive queues go later", c->name);
    }
    connection_check_end(c);
}

static void on_state_timeout(struct connection *c)
{
    switch (conn_state(c)) {
    case CONN_OPEN:
        connection_on_no_vhost(c);
        break;
    case CONN_CLOSING:
        if (c->is_shutdown)
            proc_exit(EXIT_SHUTDOWN, 0, "the client did not answer 320");
        connection_end(c, false);
        break;
    case CONN_ENDING:
        proc_exit(EXIT_SHUTDOWN, 0, "%u channels did not end", c->n_living);
    default:
        proc_exit(EXIT_NORMAL, 0, "closed");
    }
}

void connection_start_beat(struct connection *c)
{
    uint64_t us = c->heartbeat * 500000ull;

    c->beats = true;
    c->beat_timer = c->heartbeat > SHORT_INTERVAL_S ? proc_timer_coarse(us) : proc_timer(us);
}

/* Twice in the client's interval: says that we live, and looks whether it does. */
static void on_beat(struct connection *c)
{
    bool progress = output_position(&c->out) != c->beat_position;
    bool unread = !(c->wanted & IO_READ) && conn_state(c) == CONN_RUNNING;

    connection_start_beat(c);
    if (conn_state(c) > CONN_CLOSING)
        return;
    if (c->has_read || (unread && (progress || !connection_has_output(c))))
        c->silent_beats = 0;
    else
        c->silent_beats++;
    if (c->silent_beats >= DEAD_AFTER_BEATS) {
        log_info("%s: missed heartbeats, interval %u s", c->name, c->heartbeat);
        c->eof = true;
        connection_end(c, false);
        return;
    }
    if (c->out.appended == c->beat_appended && c->out.pending == 0) {
        (void)frame_put_heartbeat(output_reserve(&c->out, AMQP_FRAME_OVERHEAD));
        output_commit(&c->out, AMQP_FRAME_OVERHEAD);
    }
    c->has_read = false;
    c->beat_appended = c->out.appended;
    c->beat_position = output_position(&c->out);
}

static void on_timeout(struct connection *c, struct msg *m)
{
    if (fsm_is_state_timeout(&c->fsm, m)) {
        on_state_timeout(c);
    } else if (m->ref == c->release) {
        on_released(c, m);
    } else if (m->ref == c->beat_timer) {
        c->beat_timer = 0;
        if (conn_state(c) < CONN_RUNNING) {
            log_info("%s: handshake timeout in state %s", c->name, fsm_state_name(&c->fsm));
            proc_exit(EXIT_NORMAL, 0, "handshake timeout");
        }
        if (c->beats)
            on_beat(c);
    }
}

static void on_exit_signal(struct connection *c, const struct msg_exit *m)
{
    if (m->hdr.from != proc_parent())
        return; /* a channel; its DOWN says the same */
    if (conn_state(c) < CONN_RUNNING)
        proc_exit(EXIT_SHUTDOWN, 0, "shut down");
    connection_fail(c, AMQP_CODE_CONNECTION_FORCED, 0,
                    "broker forced connection closure with reason 'shutdown'");
    c->is_shutdown = true;
    fsm_state_timeout(&c->fsm, SHUTDOWN_TIMEOUT_US);
}

/* Before the client can be told, it just ends. */
static void on_shutdown(struct connection *c, const struct msg_connection_shutdown *m)
{
    connection_fail(c, m->code, 0, "%s", m->text);
}

/* Answers to what it asked, and ends of partners. */
static void on_answer(struct connection *c, struct msg *m)
{
    if (connection_take_vhost(c, m))
        return;
    if (m->ref != 0 && m->ref == c->login) {
        connection_on_logged(c, m);
    } else if (m->ref != 0 && m->ref == c->alarm) {
        connection_on_alarm(c, m);
    } else if (m->ref != 0 && m->ref == c->release) {
        on_released(c, m);
    } else if (m->type == MSG_DOWN) {
        connection_on_down(c, m);
    }
}

/* What its channels say. */
static void on_channel(struct connection *c, struct msg *m)
{
    switch (m->type) {
    case CONN_DELIVER:
        connection_on_deliver(c, m);
        break;
    case CONN_CONFIRM:
        connection_on_confirm(c, m);
        break;
    case CONN_METHOD:
        connection_on_frames(c, m);
        break;
    case CHANNEL_GRANT:
        connection_on_grant(c, m);
        break;
    case CONN_FAIL:
        connection_on_fail(c, m);
        break;
    case CHANNEL_DONE:
        connection_on_done(c, m);
        break;
    default:
        proc_exit(EXIT_CRASH, 0, "unknown message %u", m->type);
    }
}

static void handle_any(void *state, struct msg *m)
{
    struct connection *c = state;

    switch (m->type) {
    case MSG_IO:
        if (MSG_OF(struct msg_io, m)->events & IO_READ)
            connection_read(c);
        break; /* flush writes */
    case MSG_FD:
        on_fd(c, MSG_OF(struct msg_fd, m));
        break;
    case CONNECTION_SHUTDOWN:
        on_shutdown(c, MSG_OF(struct msg_connection_shutdown, m));
        break;
    case ACCESS_LOGGED:
    case ALARMS_CLEAR:
    case REGISTRY_REPLY:
    case VHOST_DOWN:
    case VHOST_LOOK:
    case MSG_NAMED:
    case MSG_DOWN:
        on_answer(c, m);
        break;
    case MSG_EXIT:
        on_exit_signal(c, MSG_OF(struct msg_exit, m));
        break;
    case MSG_TIMEOUT:
        on_timeout(c, m);
        break;
    default:
        on_channel(c, m);
        break;
    }
}

static void connection_handle(void *state, struct msg *m)
{
    struct connection *c = state;

    fsm_handle(&c->fsm, c, m);
}

/* What the socket is watched for. */
static void want(struct connection *c)
{
    unsigned events = 0;

    bool is_blocked = c->is_blocked && conn_state(c) == CONN_RUNNING;

    if (!c->eof && !c->framer.hold && c->n_stuffed == 0 && conn_state(c) < CONN_ENDING &&
        !is_blocked && !connection_is_choked(c))
        events |= IO_READ;
    if (conn_state(c) == CONN_LINGER && !c->eof)
        events |= IO_READ; /* to see the end */
    if (connection_has_output(c))
        events |= IO_WRITE;
    if (events != c->wanted) {
        c->wanted = (uint8_t)events;
        io_want(c->io, events);
    }
}

static void connection_flush(void *state)
{
    struct connection *c = state;

    if (!c->io)
        return;
    if (connection_has_output(c))
        connection_write(c);
    connection_show_turn(c);
    if (c->half_close && !c->is_shut && !connection_has_output(c) && !connection_says_end(c)) {
        c->is_shut = true;
        io_shutdown(c->io);
    }
    if (conn_state(c) == CONN_LINGER && c->eof)
        proc_exit(EXIT_NORMAL, 0, "closed");
    want(c);
}

static size_t connection_inspect(const void *state, char *out, size_t size)
{
    const struct connection *c = state;
    int n = snprintf(out, size,
                     "{\"state\":\"%s\",\"channels\":%u,\"output_bytes\":%llu,\"reads\":%s,"
                     "\"heartbeat\":%u,\"frame_max\":%u}",
                     fsm_state_name(&c->fsm), c->n_channels, (unsigned long long)c->out.pending,
                     c->wanted & IO_READ ? "true" : "false", c->heartbeat, c->frame_max);

    return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size;
}

const struct proc_ops connection_ops = {
    .kind = "connection",
    .state_size = sizeof(struct connection),
    .init = connection_init,
    .handle = connection_handle,
    .flush = connection_flush,
    .inspect = connection_inspect,
};
