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
    TICK_MS = 250,
    ANSWER_MS = 600 * 1000,         /* to be made and taken */
    SLOWEST_BYTES_MS = 64,          /* a request's time grows by its length at this rate */
    MAX_BEHIND = 64 * 1024,         /* of requests behind the one that is answered */
    MAX_WAITING = 64 * 1024 * 1024, /* of requests not complete, all together */
};

enum phase { IDLE, COMES, ANSWERED, STREAMS };

struct guarded {
    LIST_ENTRY(guarded) link;
    struct guard *guard;
    struct bufferevent *bev; /* a reference */
    enum phase phase;
    uint64_t since_ms; /* of the phase */
    uint64_t bytes;    /* COMES: so far */
};

struct guard {
    LIST_HEAD(, guarded) all;
    struct event_base *base;
    struct event *tick;
    unsigned n;
    uint64_t now_ms, waiting; /* waiting: the bytes of all that come */
    const struct guard_ops *ops;
    void *ctx;
};

static void set_phase(struct guarded *c, enum phase phase)
{
    c->guard->waiting -= c->bytes;
    c->bytes = 0;
    c->phase = phase;
    c->since_ms = c->guard->now_ms;
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

static struct bufferevent *take_connection(struct event_base *base, void *arg)
{
    struct guard *g = arg;
    struct bufferevent *bev = g->ops->make(g->ctx, base);
    struct guarded *c = rt_zalloc(sizeof(*c));

    c->guard = g;
    c->bev = bev;
    bufferevent_incref(bev);
    set_phase(c, COMES); /* a client says something soon after it has come */
    (void)evbuffer_add_cb(bufferevent_get_input(bev), on_input, c); /* fails without memory */
    LIST_INSERT_HEAD(&g->all, c, link);
    if (++g->n == MAX_CONNECTIONS)
        g->ops->on_full(g->ctx, true);
    return bev;
}

static void forget(struct guarded *c)
{
    struct guard *g = c->guard;

    LIST_REMOVE(c, link);
    set_phase(c, IDLE);
    (void)evbuffer_remove_cb(bufferevent_get_input(c->bev), on_input, c); /* as above */
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

static bool is_late(const struct guarded *c)
{
    uint64_t taken = c->guard->now_ms - c->since_ms;

    if (c->phase == COMES)
        return taken > config()->mgmt_request_timeout_ms + c->bytes / SLOWEST_BYTES_MS;
    return c->phase == ANSWERED && taken > ANSWER_MS;
}

static void on_tick(evutil_socket_t fd, short events, void *arg)
{
    struct guard *g = arg;
    struct guarded *c, *next;

    (void)fd;
    (void)events;
    g->now_ms += TICK_MS;
    for (c = LIST_FIRST(&g->all); c; c = next) {
        next = LIST_NEXT(c, link);
        if (is_gone(c))
            forget(c);
        else if (is_late(c))
            shut(c);
    }
    g->ops->on_tick(g->ctx);
}

struct guard *guard_new(struct event_base *base, struct evhttp *http, const struct guard_ops *ops,
                        void *ctx)
{
    const struct timeval period = {.tv_usec = TICK_MS * 1000};
    struct guard *g = rt_zalloc(sizeof(*g));

    LIST_INIT(&g->all);
    g->base = base;
    g->ops = ops;
    g->ctx = ctx;
    g->tick = event_new(base, -1, EV_PERSIST, on_tick, g);
    if (!g->tick || event_add(g->tick, &period) < 0) {
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
    while ((c = LIST_FIRST(&g->all)))
        forget(c);
    if (g->tick)
        event_free(g->tick);
    rt_free(g);
}

/* There are few enough to look through for each request. NULL: it is not one of ours. */
static struct guarded *find(struct guard *g, const struct bufferevent *bev)
{
    struct guarded *c;

    LIST_FOREACH(c, &g->all, link) {
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
