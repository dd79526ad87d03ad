/*
 * Bounds of the connections of the HTTP server.
 *
 * The server's own timeouts are between two bytes, so that one byte now and then would keep a
 * connection for ever. Here each connection is known by its bufferevent, of which a reference is
 * held: the server has let go of it once its callbacks are gone. What is over a bound is shut down,
 * and the server sees the end of it.
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

enum {
    MAX_CONNECTIONS = 1024,
    ROOM = 128,  /* connections that leave for others */
    ROOM_MS = 5, /* in which the server sees that they have */
    TICK_MS = 250,
    ANSWER_MS = 75 * 1000,          /* to be made, and for its first bytes to be taken */
    SLOWEST_BYTES_MS = 64,          /* a request's time grows by its length at this rate */
    SLOWEST_TAKEN_MS = 16,          /* an answer's, by what its client has taken */
    MAX_BEHIND = 64 * 1024,         /* of requests behind the one that is answered */
    MAX_WAITING = 64 * 1024 * 1024, /* of requests not complete, all together */
};

enum phase { IDLE, COMES, ANSWERED, STREAMS };

struct guarded {
    TAILQ_ENTRY(guarded) link;
    struct guard *guard;
    struct bufferevent *bev; /* a reference */
    enum phase phase;
    uint64_t since_ms; /* of the phase */
    uint64_t bytes;    /* COMES: so far */
    uint64_t taken;    /* ANSWERED: so far */
};

struct guard {
    TAILQ_HEAD(guarded_list, guarded) all; /* whose phase is the oldest first */
    struct event_base *base;
    struct event *tick;
    struct event *room; /* those that made room are forgotten */
    unsigned n;
    uint64_t now_ms, waiting; /* waiting: the bytes of all that come */
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

static void on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
    struct guarded *c = arg;

    if (!info->n_added)
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

    (void)output;
    if (c->phase == ANSWERED)
        c->taken += info->n_deleted;
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

struct guard *guard_new(struct event_base *base, struct evhttp *http, const struct guard_ops *ops,
                        void *ctx)
{
    const struct timeval period = {.tv_usec = TICK_MS * 1000};
    struct guard *g = rt_zalloc(sizeof(*g));

    TAILQ_INIT(&g->all);
    g->base = base;
    g->ops = ops;
    g->ctx = ctx;
    g->tick = event_new(base, -1, EV_PERSIST, on_tick, g);
    g->room = evtimer_new(base, on_room, g);
    if (!g->tick || !g->room || event_add(g->tick, &period) < 0) {
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

/* The next request may have begun to come meanwhile. */
void guard_answered(struct guard *g, struct bufferevent *bev)
{
    change(g, bev, evbuffer_get_length(bufferevent_get_input(bev)) ? COMES : IDLE);
}

void guard_streams(struct guard *g, struct bufferevent *bev)
{
    change(g, bev, STREAMS);
}
