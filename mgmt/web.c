/*
 * The HTTP server of the event loop.
 *
 * A request is open from its callback until it is answered, or until its connection closes; only
 * open requests are known by id, so that a late answer finds nothing instead of freed memory.
 */
#include "mgmt/web.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/listener.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "broker/core/config.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/runtime.h"
#include "mgmt/auth.h"
#include "mgmt/guard.h"
#include "mgmt/http_msg.h"
#include "mgmt/web_head.h"

enum {
    MAX_HEAD = 16 * 1024,
    TIMEOUT_S = 30,
    MAX_SOCKETS = 2,
    MAX_WRITE = 128 * 1024,
    LONG_TICKS = 4, /* after so long it is looked whether who asked is still there */
};

struct open_request {
    LIST_ENTRY(open_request) link;
    uint64_t id;
    struct evhttp_request *req; /* the connection's, until it is answered */
    struct evhttp_connection *conn;
    struct web *web;
    bool is_get;
    bool is_stream;
    bool is_long;    /* a stream with an end: an answer like others, but for its length */
    uint64_t unsent; /* of a stream */
    uint64_t since;  /* in ticks */
};

struct web {
    struct evhttp *http;
    proc_id owner;
    uint64_t last_id, ticks;
    LIST_HEAD(, open_request) open;
    struct guard *guard;
    bool is_full;         /* the guard takes no more connections */
    struct event *resume; /* listens again after accept had no descriptor left */
    SSL_CTX *tls;         /* a reference, of the connections that come next; NULL: they are plain */
    unsigned n_sockets;
    struct evconnlistener *socket[MAX_SOCKETS];
};

static void forget(struct open_request *o)
{
    LIST_REMOVE(o, link);
    rt_free(o);
}

static void tell(const struct open_request *o, uint32_t type, uint64_t bytes)
{
    struct msg_http_about *m;

    if (!o->web->owner)
        return; /* it is ending */
    m = MSG_NEW(type, struct msg_http_about);
    m->id = o->id;
    m->bytes = bytes;
    rt_send(o->web->owner, &m->hdr);
}

/*
 * A request under way when its client leaves is not the connection's any more: who would answer it
 * frees it. One that the connection still has goes with it.
 */
static void give_up(struct open_request *o)
{
    if (!evhttp_request_get_connection(o->req))
        evhttp_request_free(o->req);
    forget(o);
}

static void on_connection_closed(struct evhttp_connection *conn, void *arg)
{
    struct web *w = arg;
    struct open_request *o, *next;

    for (o = LIST_FIRST(&w->open); o; o = next) {
        next = LIST_NEXT(o, link);
        if (o->conn != conn)
            continue;
        if (o->is_stream)
            tell(o, HTTP_GONE, 0);
        give_up(o);
    }
}

/*
 * The server does not look at a connection while its request is worked on. A client may have said
 * all that it will ever say and wait (its connection is half closed), but not for long.
 */
static bool has_left(const struct open_request *o)
{
    int fd = bufferevent_getfd(evhttp_connection_get_bufferevent(o->conn));
    struct tcp_info info;
    socklen_t size = sizeof(info);

    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
           info.tcpi_state != TCP_ESTABLISHED;
}

/*
 * What nobody waits for need not go on, unless it changes something. Of who takes a long answer the
 * socket tells.
 */
static void on_tick(void *arg)
{
    struct web *w = arg;
    struct open_request *o;

    w->ticks++;
    LIST_FOREACH(o, &w->open, link) {
        if (o->is_get && !o->is_long && w->ticks - o->since > LONG_TICKS && has_left(o))
            tell(o, HTTP_GONE, 0);
    }
}

static char *copy_text(const char *s)
{
    size_t size = s ? strlen(s) + 1 : 0;

    return s ? memcpy(rt_alloc(size), s, size) : NULL;
}

static struct blob *take_body(struct evhttp_request *req)
{
    struct evbuffer *in = evhttp_request_get_input_buffer(req);
    size_t size = evbuffer_get_length(in);
    uint8_t *bytes;
    struct blob *b;

    if (!size)
        return NULL;
    b = blob_new(size, &bytes);
    (void)evbuffer_copyout(in, bytes, size); /* all of it: the length was asked for */
    return b;
}

static enum http_method method_of(struct evhttp_request *req)
{
    switch (evhttp_request_get_command(req)) {
    case EVHTTP_REQ_GET:
    case EVHTTP_REQ_HEAD:
        return HTTP_GET;
    case EVHTTP_REQ_POST:
        return HTTP_POST;
    case EVHTTP_REQ_PUT:
        return HTTP_PUT;
    case EVHTTP_REQ_DELETE:
        return HTTP_DELETE;
    case EVHTTP_REQ_OPTIONS:
        return HTTP_OPTIONS;
    default:
        return HTTP_OTHER;
    }
}

/* A page's origin is scheme://host:port; ours is what the Host header says. */
static bool is_foreign(const struct evkeyvalq *headers)
{
    const char *origin = evhttp_find_header(headers, "Origin");
    const char *host = evhttp_find_header(headers, "Host");
    const char *at = origin ? strstr(origin, "://") : NULL;

    if (!origin)
        return false;
    return !at || !host || strcasecmp(at + 3, host) != 0;
}

static struct msg_http_request *make_message(struct evhttp_request *req,
                                             struct evhttp_connection *conn)
{
    const struct evkeyvalq *headers = evhttp_request_get_input_headers(req);
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
    struct msg_http_request *m = http_request_new();
    const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
    char *peer = NULL;
    uint16_t port;

    evhttp_connection_get_peer(conn, &peer, &port);
    m->method = method_of(req);
    m->is_loopback = peer && auth_is_loopback(peer);
    snprintf(m->peer, sizeof(m->peer), "%s", peer ? peer : "?");
    m->is_foreign = is_foreign(headers);
    m->path = copy_text(path ? path : "");
    m->query = copy_text(uri ? evhttp_uri_get_query(uri) : NULL);
    m->authorization = copy_text(evhttp_find_header(headers, "Authorization"));
    m->origin = copy_text(evhttp_find_header(headers, "Origin"));
    m->if_none_match = copy_text(evhttp_find_header(headers, "If-None-Match"));
    m->content_type = copy_text(evhttp_find_header(headers, "Content-Type"));
    m->reason = copy_text(evhttp_find_header(headers, "X-Reason"));
    m->body = take_body(req);
    return m;
}

/* The whole answer is sent. */
static void on_complete(struct evhttp_request *req, void *arg)
{
    const struct timeval patience = {.tv_sec = TIMEOUT_S};
    struct web *w = arg;
    struct evhttp_connection *conn = evhttp_request_get_connection(req);
    struct bufferevent *bev;

    if (!conn)
        return;
    bev = evhttp_connection_get_bufferevent(conn);
    (void)bufferevent_set_timeouts(bev, &patience, &patience); /* a stream had others */
    guard_answered(w->guard, bev);
}

static bool is_1_1(const struct evhttp_request *req)
{
    return req->major == 1 && req->minor >= 1;
}

static void cut(struct evhttp_connection *conn)
{
    (void)shutdown(bufferevent_getfd(evhttp_connection_get_bufferevent(conn)), SHUT_RDWR);
}

static void on_request(struct evhttp_request *req, void *arg)
{
    struct evhttp_connection *conn = evhttp_request_get_connection(req);
    struct web *w = arg;
    struct open_request *o;
    struct msg_http_request *m;

    o = rt_zalloc(sizeof(*o));
    m = make_message(req, conn);
    o->id = m->id = ++w->last_id;
    o->req = req;
    o->conn = conn;
    o->web = w;
    o->since = w->ticks;
    o->is_get = m->method == HTTP_GET;
    guard_answers(w->guard, evhttp_connection_get_bufferevent(conn));
    evhttp_request_set_on_complete_cb(req, on_complete, w);
    LIST_INSERT_HEAD(&w->open, o, link);
    evhttp_connection_set_closecb(conn, on_connection_closed, w);
    rt_send(w->owner, &m->hdr);
}

static void listen_or_rest(struct web *w, bool listens)
{
    for (unsigned i = 0; i < w->n_sockets; i++) /* it fails only for what is closed */
        (void)(listens ? evconnlistener_enable : evconnlistener_disable)(w->socket[i]);
}

static void on_resume(evutil_socket_t fd, short events, void *arg)
{
    struct web *w = arg;

    (void)fd;
    (void)events;
    listen_or_rest(w, !w->is_full);
}

/* Without descriptors accept would fail again and again at once: the listener rests a moment. */
static void on_accept_error(struct evconnlistener *socket, void *arg)
{
    const struct timeval rest = {.tv_usec = 200000};
    struct web *w = arg;

    (void)evconnlistener_disable(socket);
    (void)event_add(w->resume, &rest);
}

static void on_full(void *arg, bool is_full)
{
    struct web *w = arg;

    w->is_full = is_full;
    listen_or_rest(w, !is_full);
}

/* The server would serve a connection for which this made nothing in plain text. */
static struct bufferevent *make_bufferevent(void *ctx, struct event_base *base)
{
    const struct web *w = ctx;
    struct bufferevent *bev;
    SSL *ssl;

    if (w->tls) {
        ssl = SSL_new(w->tls);
        BUG_ON(!ssl); /* without memory the program ends, as everywhere */
        bev = bufferevent_openssl_socket_new(base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING,
                                             BEV_OPT_CLOSE_ON_FREE);
        BUG_ON(!bev);
        (void)SSL_set_mode(ssl, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER); /* buffers are moved there */
        bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
    } else {
        bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
        BUG_ON(!bev);
    }
    (void)bufferevent_set_max_single_write(bev, MAX_WRITE); /* fails for no size like this */
    return bev;
}

static const struct guard_ops guard_ops = {
    .make = make_bufferevent, .on_full = on_full, .refuse = web_head_refuse, .on_tick = on_tick};

void web_set_tls(struct web *w, SSL_CTX *tls)
{
    SSL_CTX_free(w->tls);
    w->tls = tls;
}

struct web *web_new(struct event_base *base, proc_id owner)
{
    struct web *w = rt_zalloc(sizeof(*w));

    w->owner = owner;
    LIST_INIT(&w->open);
    w->http = evhttp_new(base);
    w->resume = evtimer_new(base, on_resume, w);
    w->guard =
        w->http ? guard_new(base, w->http, &guard_ops, w, MAX_HEAD, (size_t)config()->mgmt_max_body)
                : NULL;
    if (!w->guard || !w->resume) {
        web_free(w);
        return NULL;
    }
    evhttp_set_gencb(w->http, on_request, w);
    evhttp_set_max_headers_size(w->http, MAX_HEAD);
    evhttp_set_max_body_size(w->http, (ssize_t)config()->mgmt_max_body);
    evhttp_set_timeout(w->http, TIMEOUT_S);
    /* All are let through here, so that 405 is told by who knows the resource. */
    evhttp_set_allowed_methods(w->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD |
                                            EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |
                                            EVHTTP_REQ_OPTIONS | EVHTTP_REQ_PATCH |
                                            EVHTTP_REQ_TRACE | EVHTTP_REQ_CONNECT);
    return w;
}

void web_free(void *web)
{
    struct web *w = web;
    struct open_request *o;

    if (!w)
        return;
    w->owner = 0;
    if (w->http)
        evhttp_free(w->http); /* tells nobody: its connections are forgotten below */
    guard_free(w->guard);
    SSL_CTX_free(w->tls);
    if (w->resume)
        event_free(w->resume);
    while ((o = LIST_FIRST(&w->open)))
        forget(o);
    rt_free(w);
}

int web_listen(struct web *w, int fd)
{
    struct evhttp_bound_socket *bound;

    if (w->n_sockets == MAX_SOCKETS)
        return -ENOMEM;
    bound = evhttp_accept_socket_with_handle(w->http, fd);
    if (!bound)
        return -ENOMEM;
    w->socket[w->n_sockets] = evhttp_bound_socket_get_listener(bound);
    evconnlistener_set_error_cb(w->socket[w->n_sockets++], on_accept_error);
    return 0;
}

static void free_bytes(const void *bytes, size_t size, void *arg)
{
    (void)bytes;
    (void)size;
    rt_free(arg);
}

static void move_piece(struct evbuffer *to, char *p, size_t len)
{
    if (!p || evbuffer_add_reference(to, p, len, free_bytes, p) < 0)
        rt_free(p);
}

/* The text's memory goes along. */
static void move_text(struct evbuffer *to, struct text *text)
{
    for (size_t i = 0; i < text->n_full; i++)
        move_piece(to, text->full[i].p, text->full[i].len);
    move_piece(to, text->p, text->len);
    rt_free(text->full);
    *text = (struct text){0};
}

static bool is_head(struct evhttp_request *req)
{
    return evhttp_request_get_command(req) == EVHTTP_REQ_HEAD;
}

/* NULL: it is gone. */
static struct open_request *find_open(struct web *w, uint64_t id)
{
    struct open_request *o;

    LIST_FOREACH(o, &w->open, link) {
        if (o->id == id)
            return o;
    }
    return NULL;
}

void web_answer(struct web *w, uint64_t id, struct msg_http_response *response)
{
    struct open_request *o = find_open(w, id);
    struct evbuffer *body;
    struct evhttp_request *req;

    if (!o)
        return;
    req = o->req;
    forget(o);
    body = evbuffer_new();
    web_head_add(req, response);
    if (is_head(req))
        web_head_add_length(req, text_len(&response->body));
    else if (body)
        move_text(body, &response->body);
    evhttp_send_reply(req, response->status, NULL, body);
    if (body)
        evbuffer_free(body);
}

static void on_taken(struct evhttp_connection *conn, void *arg)
{
    struct web *w = arg;
    struct open_request *o;

    LIST_FOREACH(o, &w->open, link) {
        if (o->conn == conn && o->is_stream)
            break;
    }
    if (!o || !o->unsent)
        return;
    tell(o, HTTP_TAKEN, o->unsent);
    o->unsent = 0;
}

/*
 * A client of HTTP/1.0 knows by the end of the connection where the answer ends, whatever it asked
 * for. What it says meanwhile is not waited for, however long the answer lasts.
 */
static void begin_stream(struct open_request *o, const struct msg_http_stream *first)
{
    const struct timeval patience = {.tv_sec = TIMEOUT_S};
    struct bufferevent *bev = evhttp_connection_get_bufferevent(o->conn);

    o->is_stream = true;
    o->is_long = first->is_long;
    web_head_add_stream(o->req, first);
    if (!is_1_1(o->req))
        (void)evhttp_remove_header(evhttp_request_get_input_headers(o->req), "Connection");
    (void)bufferevent_set_timeouts(bev, NULL, &patience);
    if (!o->is_long)
        guard_streams(o->web->guard, bev);
    evhttp_send_reply_start(o->req, 200, NULL);
}

static void end_stream(struct open_request *o)
{
    struct evhttp_request *req = o->req;

    forget(o);
    evhttp_send_reply_end(req);
}

void web_stream(struct web *w, uint64_t id, struct msg_http_stream *part)
{
    struct open_request *o = find_open(w, id);
    struct evbuffer *bytes = o ? evbuffer_new() : NULL;

    if (!o || !bytes)
        return;
    if (!o->is_stream)
        begin_stream(o, part);
    o->unsent += text_len(&part->bytes);
    move_text(bytes, &part->bytes);
    if (is_head(o->req)) { /* it wants no more than the head */
        tell(o, HTTP_GONE, 0);
        end_stream(o);
    } else if (evbuffer_get_length(bytes)) {
        evhttp_send_reply_chunk_with_cb(o->req, bytes, on_taken, w);
    }
    evbuffer_free(bytes);
}

void web_end(struct web *w, uint64_t id)
{
    struct open_request *o = find_open(w, id);

    if (o)
        end_stream(o);
}

void web_cut(struct web *w, uint64_t id)
{
    struct open_request *o = find_open(w, id);

    if (o) /* the server sees the end, and tells on_connection_closed */
        cut(o->conn);
}
