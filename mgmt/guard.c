/*
 * Bounds of the connections of the HTTP server.
 *
 * The server's own timeouts are between two bytes, so that one byte now and then would keep a
 * connection for ever. Here each connection is known by its bufferevent, of which a reference is
 * held: the server has let go of it once its callbacks are gone. What is over a bound is shut down,
 * and the server sees the end of it.
 *
 * What comes is looked at before the server reads it. From a request that is refused on, nothing
 * stays in the input: those ahead of it are served, then the refusal is sent, past the server, and
 * the connection is closed once the client has had it.
 */
#include "mgmt/guard.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "broker/core/config.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/runtime.h"
#include "mgmt/framing.h"

enum {
    MAX_CONNECTIONS = 1024,
    ROOM = 128,  /* connections that leave for others */
    ROOM_MS = 5, /* in which the server sees that they have */
    TICK_MS = 250,
    LINGER_MS = 2000,       /* for a client to read why it was refused, while it goes on sending */
    ANSWER_MS = 75 * 1000,  /* to be made, and for its first bytes to be taken */
    SLOWEST_BYTES_MS = 64,  /* a request's time grows by its length at this rate */
    SLOWEST_TAKEN_MS = 16,  /* an answer's, by what its client has taken */
    MAX_BEHIND = 64 * 1024, /* of requests behind the one that is answered */
    MAX_WAITING = 64 * 1024 * 1024, /* of requests not complete, all together */
};

enum phase { IDLE, COMES, ANSWERED, STREAMS, REFUSED };

struct guarded {
    TAILQ_ENTRY(guarded) link;
    struct guard *guard;
    struct bufferevent *bev; /* a reference */
    enum phase phase;
    uint64_t since_ms; /* of the phase */
    uint64_t bytes;    /* COMES: so far */
    uint64_t taken;    /* ANSWERED: so far */
    struct framing framing;
    bool is_moving; /* octets within the input: nothing comes */
};

struct guard {
    TAILQ_HEAD(guarded_list, guarded) all; /* whose phase is the oldest first */
    struct event_base *base;
    struct event *tick;
    struct event *room; /* those that made room are forgotten */
    struct event *turn; /* of what was refused behind requests that are answered now */
    unsigned n;
    uint64_t now_ms, waiting; /* waiting: the bytes of all that come */
    size_t max_head, max_body;
    const struct guard_ops *ops;
    void *ctx;
};

static void set_phase(struct guarded *c, enum phase phase)
{
    c->guard->waiting -= c->bytes;
    c->bytes = 0;
    c->taken = 0;
    c->phase = phase;
    c->since_ms = c->guard->now_ms;
    TAILQ_REMOVE(&c->guard->all, c, link);
    TAILQ_INSERT_TAIL(&c->guard->all, c, link);
}

static void shut(const struct guarded *c)
{
    (void)shutdown(bufferevent_getfd(c->bev), SHUT_RDWR); /* it may have ended by itself */
}

/* Takes n octets from a place in the input out of it. */
static void cut_out(struct guarded *c, struct evbuffer *input, size_t at, size_t n)
{
    struct evbuffer *ahead = evbuffer_new();

    BUG_ON(!ahead); /* without memory the program ends, as everywhere */
    c->is_moving = true;
    (void)evbuffer_remove_buffer(input, ahead, at); /* chains are moved: these do not fail */
    (void)evbuffer_drain(input, n);
    (void)evbuffer_prepend_buffer(input, ahead);
    c->is_moving = false;
    evbuffer_free(ahead);
}

/* The server learns no more of this connection than its end. */
static void send_refusal(struct guarded *c, int status, const char *reason)
{
    bufferevent_data_cb reads, writes;
    bufferevent_event_cb events;
    void *arg;

    set_phase(c, REFUSED);
    bufferevent_getcb(c->bev, &reads, &writes, &events, &arg);
    bufferevent_setcb(c->bev, NULL, NULL, events, arg);
    c->guard->ops->refuse(bufferevent_get_output(c->bev), status, reason);
    (void)bufferevent_enable(c->bev, EV_READ | EV_WRITE); /* else it ends by its time */
}

static bool is_served(const struct guarded *c)
{
    return c->phase == ANSWERED || c->phase == STREAMS;
}

/* From the place where the request that is refused begins, nothing is left. */
static void refuse(struct guarded *c, struct evbuffer *input, size_t at)
{
    size_t ahead = at > c->framing.taken ? at - c->framing.taken : 0;

    cut_out(c, input, ahead, evbuffer_get_length(input) - ahead);
    if (!ahead && !is_served(c))
        send_refusal(c, c->framing.status, c->framing.reason);
}

/* Looks at the last octets of the input, as many as have just come. */
static void look(struct guarded *c, struct evbuffer *input, size_t n_new)
{
    size_t at = evbuffer_get_length(input) - n_new;

    while (n_new > 0) {
        enum framing_verdict v;
        struct evbuffer_iovec part;
        struct evbuffer_ptr p;
        size_t n;

        (void)evbuffer_ptr_set(input, &p, at, EVBUFFER_PTR_SET); /* it is within */
        (void)evbuffer_peek(input, -1, &p, &part, 1);
        n = framing_look(&c->framing, part.iov_base, part.iov_len, &v);
        if (v == FRAMING_REFUSE) {
            refuse(c, input, at);
            return;
        }
        if (v == FRAMING_DROP)
            cut_out(c, input, at, n);
        else
            at += n;
        n_new -= n;
    }
}

static void on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
    struct guarded *c = arg;

    if (!info->n_added || c->is_moving)
        return;
    if (c->framing.status || c->phase == REFUSED)
        cut_out(c, input, evbuffer_get_length(input) - info->n_added, info->n_added);
    else
        look(c, input, info->n_added);
    if (c->phase == REFUSED)
        return;
    if (c->phase >= ANSWERED) {
        if (evbuffer_get_length(input) > MAX_BEHIND)
            shut(c);
        return;
    }
    if (c->phase == IDLE)
        set_phase(c, COMES);
    c->bytes += info->n_added;
    c->guard->waiting += info->n_added;
    if (c->guard->waiting > MAX_WAITING)
        shut(c);
}

static void on_output(struct evbuffer *output, const struct evbuffer_cb_info *info, void *arg)
{
    struct guarded *c = arg;

    if (c->phase == ANSWERED)
        c->taken += info->n_deleted;
    else if (c->phase == REFUSED && info->n_deleted && !evbuffer_get_length(output))
        (void)shutdown(bufferevent_getfd(c->bev), SHUT_WR); /* it may have ended by itself */
}

static void forget(struct guarded *c)
{
    struct guard *g = c->guard;

    set_phase(c, IDLE);
    TAILQ_REMOVE(&g->all, c, link);
    (void)evbuffer_remove_cb(bufferevent_get_input(c->bev), on_input, c); /* it was added */
    (void)evbuffer_remove_cb(bufferevent_get_output(c->bev), on_output, c);
    bufferevent_decref(c->bev);
    rt_free(c);
    if (g->n-- == MAX_CONNECTIONS)
        g->ops->on_full(g->ctx, false);
}

static bool is_gone(const struct guarded *c)
{
    bufferevent_data_cb reads, writes;
    bufferevent_event_cb events;
    void *arg;

    bufferevent_getcb(c->bev, &reads, &writes, &events, &arg);
    return !events;
}

static void forget_gone(struct guard *g)
{
    struct guarded *c, *next;

    for (c = TAILQ_FIRST(&g->all); c; c = next) {
        next = TAILQ_NEXT(c, link);
        if (is_gone(c))
            forget(c);
    }
}

/*
 * Whoever holds as many connections as there may be, and asks nothing, keeps nobody else out: those
 * that are silent for the longest make room.
 */
static void make_room(struct guard *g)
{
    const struct timeval soon = {.tv_usec = ROOM_MS * 1000};
    struct guarded *c;
    unsigned n = 0;

    TAILQ_FOREACH(c, &g->all, link) {
        if (n == ROOM)
            break;
        if (c->phase <= COMES) {
            shut(c);
            n++;
        }
    }
    if (n)
        (void)event_add(g->room, &soon); /* fails without memory: the next tick does it */
}

static struct bufferevent *take_connection(struct event_base *base, void *arg)
{
    struct guard *g = arg;
    struct bufferevent *bev = g->ops->make(g->ctx, base);
    struct guarded *c = rt_zalloc(sizeof(*c));

    c->guard = g;
    c->bev = bev;
    framing_init(&c->framing, g->max_head, g->max_body);
    bufferevent_incref(bev);
    TAILQ_INSERT_TAIL(&g->all, c, link);
    set_phase(c, COMES); /* a client says something soon after it has come */
    (void)evbuffer_add_cb(bufferevent_get_input(bev), on_input, c); /* fails without memory */
    (void)evbuffer_add_cb(bufferevent_get_output(bev), on_output, c);
    if (++g->n == MAX_CONNECTIONS) {
        g->ops->on_full(g->ctx, true);
        make_room(g);
    }
    return bev;
}

static bool is_late(const struct guarded *c)
{
    uint64_t taken = c->guard->now_ms - c->since_ms;

    if (c->phase == COMES)
        return taken > config()->mgmt_request_timeout_ms + c->bytes / SLOWEST_BYTES_MS;
    if (c->phase == REFUSED)
        return taken > LINGER_MS;
    return c->phase == ANSWERED && taken > ANSWER_MS + c->taken / SLOWEST_TAKEN_MS;
}

static void on_tick(evutil_socket_t fd, short events, void *arg)
{
    struct guard *g = arg;
    const struct guarded *c;

    (void)fd;
    (void)events;
    g->now_ms += TICK_MS;
    forget_gone(g);
    TAILQ_FOREACH(c, &g->all, link) {
        if (is_late(c))
            shut(c);
    }
    g->ops->on_tick(g->ctx);
}

static void on_room(evutil_socket_t fd, short events, void *arg)
{
    (void)fd;
    (void)events;
    forget_gone(arg);
}

/* All that was ahead of a refused request is answered: it is its turn. */
static void on_turn(evutil_socket_t fd, short events, void *arg)
{
    struct guard *g = arg;
    struct guarded *c, *next;

    (void)fd;
    (void)events;
    forget_gone(g);
    for (c = TAILQ_FIRST(&g->all); c; c = next) {
        next = TAILQ_NEXT(c, link);
        if (c->framing.status && c->phase == IDLE)
            send_refusal(c, c->framing.status, c->framing.reason);
    }
}

struct guard *guard_new(struct event_base *base, struct evhttp *http, const struct guard_ops *ops,
                        void *ctx, size_t max_head, size_t max_body)
{
    const struct timeval period = {.tv_usec = TICK_MS * 1000};
    struct guard *g = rt_zalloc(sizeof(*g));

    TAILQ_INIT(&g->all);
    g->base = base;
    g->ops = ops;
    g->ctx = ctx;
    g->max_head = max_head;
    g->max_body = max_body;
    g->tick = event_new(base, -1, EV_PERSIST, on_tick, g);
    g->room = evtimer_new(base, on_room, g);
    g->turn = evtimer_new(base, on_turn, g);
    if (!g->tick || !g->room || !g->turn || event_add(g->tick, &period) < 0) {
        guard_free(g);
        return NULL;
    }
    evhttp_set_bevcb(http, take_connection, g);
    return g;
}

void guard_free(struct guard *g)
{
    struct guarded *c;

    if (!g)
        return;
    while ((c = TAILQ_FIRST(&g->all)))
        forget(c);
    if (g->tick)
        event_free(g->tick);
    if (g->room)
        event_free(g->room);
    if (g->turn)
        event_free(g->turn);
    rt_free(g);
}

/* There are few enough to look through for each request. NULL: it is not one of ours. */
static struct guarded *find(struct guard *g, const struct bufferevent *bev)
{
    struct guarded *c;

    TAILQ_FOREACH(c, &g->all, link) {
        if (c->bev == bev)
            return c;
    }
    return NULL;
}

static void change(struct guard *g, struct bufferevent *bev, enum phase phase)
{
    struct guarded *c = find(g, bev);

    if (c)
        set_phase(c, phase);
}

void guard_answers(struct guard *g, struct bufferevent *bev)
{
    change(g, bev, ANSWERED);
}

/* The next request may have begun to come meanwhile. The server goes on as soon as this returns. */
void guard_answered(struct guard *g, struct bufferevent *bev)
{
    const struct timeval now = {0};
    struct guarded *c = find(g, bev);

    if (!c)
        return;
    set_phase(c, evbuffer_get_length(bufferevent_get_input(bev)) ? COMES : IDLE);
    if (c->framing.status && c->phase == IDLE)
        (void)event_add(g->turn, &now); /* fails without memory: it ends by its time */
}

void guard_streams(struct guard *g, struct bufferevent *bev)
{
    change(g, bev, STREAMS);
}
