/*
 * web.h - the HTTP server of the event loop, as the listener's process sees it.
 *
 * A foreign object: its callbacks run between turns on the scheduler whose process made it, in
 * region RUNTIME, and only turn requests into messages. All functions are called in region RUNTIME
 * on that scheduler.
 */
#ifndef MGMT_WEB_H
#define MGMT_WEB_H

#include <stdint.h>

#include <openssl/ssl.h>

#include "broker/runtime/msg.h"

struct event_base;
struct msg_http_response;
struct msg_http_stream;
struct web;

/* NULL: no memory. Each request becomes a HTTP_REQUEST to `owner`. */
struct web *web_new(struct event_base *base, proc_id owner);
/* Closes all; requests under way get no answer. NULL is ignored. */
void web_free(void *web);

/*
 * Connections that come from now on speak TLS by this context, whose reference is moved; NULL: they
 * are plain. Open ones stay as they are.
 */
void web_set_tls(struct web *w, SSL_CTX *tls);

/* Takes a listening socket: 0, or -ENOMEM and the socket stays the caller's. */
int web_listen(struct web *w, int fd);

/*
 * Answers the request with this id; nothing happens when it is gone, because its client is. The
 * response is lent, its body taken out of it. Of a GET that takes long, whose client has left
 * meanwhile, HTTP_GONE tells the owner: it is answered like any other.
 */
void web_answer(struct web *w, uint64_t id, struct msg_http_response *response);

/* The same with a part of an answer, the first one or more; HTTP_TAKEN goes to the owner. */
void web_stream(struct web *w, uint64_t id, struct msg_http_stream *part);
/* The answer that was given in parts is complete. */
void web_end(struct web *w, uint64_t id);
/* It never will be: the connection ends, so that nobody takes it for the whole. */
void web_cut(struct web *w, uint64_t id);

#endif
