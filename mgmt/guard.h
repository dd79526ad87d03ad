/*
 * guard.h - bounds of the connections of the HTTP server: how many there are, how long a request
 * may take to come and an answer to be taken, how much may wait to be read, and what a request is
 * (framing.h).
 *
 * A foreign object beside web.h's: region RUNTIME, on its scheduler.
 */
#ifndef MGMT_GUARD_H
#define MGMT_GUARD_H

#include <stdbool.h>
#include <stddef.h>

struct bufferevent;
struct evbuffer;
struct event_base;
struct evhttp;
struct guard;

/* What the guard asks of its server. */
struct guard_ops {
    /* The bufferevent of a connection that comes, without its socket yet; never NULL. */
    struct bufferevent *(*make)(void *ctx, struct event_base *base);
    /* There are as many as may be, or no longer. */
    void (*on_full)(void *ctx, bool is_full);
    /* Writes a whole answer that says why a request was refused. */
    void (*refuse)(struct evbuffer *out, int status, const char *reason);
    /* Each 250 ms. */
    void (*on_tick)(void *ctx);
};

/*
 * Watches every connection that the server takes from now on; max_head and max_body are of
 * framing.h. NULL: no memory.
 */
struct guard *guard_new(struct event_base *base, struct evhttp *http, const struct guard_ops *ops,
                        void *ctx, size_t max_head, size_t max_body);
/* After the server has gone; NULL is ignored. */
void guard_free(struct guard *g);

/* A whole request is there; its answer is sent, or begins to be without an end. */
void guard_answers(struct guard *g, struct bufferevent *bev);
void guard_answered(struct guard *g, struct bufferevent *bev);
void guard_streams(struct guard *g, struct bufferevent *bev);

#endif
