/*
 * The HTTP server of the event loop.
 *
 * A request is open from its callback until it is answered, or until its connection closes; only
 * open requests are known by id, so that a late answer finds nothing instead of freed memory.
 */
#include "mgmt/web.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include "broker/runtime/alloc.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/runtime.h"
#include "mgmt/auth.h"
#include "mgmt/http_msg.h"

enum { MAX_HEADERS = 16 * 1024, MAX_BODY = 1024 * 1024, TIMEOUT_S = 30, MAX_SOCKETS = 2 };

struct open_request {
    LIST_ENTRY(open_request) link;
    uint64_t id;
    struct evhttp_request *req; /* the connection's, until it is answered */
    struct evhttp_connection *conn;
};

struct web {
    struct evhttp *http;
    proc_id owner;
    uint64_t last_id;
    LIST_HEAD(, open_request) open;
    struct event *resume; /* listens again after accept had no descriptor left */
    unsigned n_sockets;
    struct evconnlistener *socket[MAX_SOCKETS];
};

static void forget(struct open_request *o)
{
    LIST_REMOVE(o, link);
    rt_free(o);
}

static void on_connection_closed(struct evhttp_connection *conn, void *arg)
{
    struct web *w = arg;
    struct open_request *o, *next;

    for (o = LIST_FIRST(&w->open); o; o = next) {
        next = LIST_NEXT(o, link);
        if (o->conn == conn)
            forget(o);
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
    m->is_foreign = is_foreign(headers);
    m->path = copy_text(path ? path : "");
    m->query = copy_text(uri ? evhttp_uri_get_query(uri) : NULL);
    m->authorization = copy_text(evhttp_find_header(headers, "Authorization"));
    m->body = take_body(req);
    return m;
}

static void on_request(struct evhttp_request *req, void *arg)
{
    struct evhttp_connection *conn = evhttp_request_get_connection(req);
    struct web *w = arg;
    struct open_request *o = rt_zalloc(sizeof(*o));
    struct msg_http_request *m = make_message(req, conn);

    o->id = m->id = ++w->last_id;
    o->req = req;
    o->conn = conn;
    LIST_INSERT_HEAD(&w->open, o, link);
    evhttp_connection_set_closecb(conn, on_connection_closed, w);
    rt_send(w->owner, &m->hdr);
}

static void on_resume(evutil_socket_t fd, short events, void *arg)
{
    struct web *w = arg;

    (void)fd;
    (void)events;
    for (unsigned i = 0; i < w->n_sockets; i++)
        (void)evconnlistener_enable(w->socket[i]); /* fails only for what is closed */
}

/* Without descriptors accept would fail again and again at once: the listener rests a moment. */
static void on_accept_error(struct evconnlistener *socket, void *arg)
{
    const struct timeval rest = {.tv_usec = 200000};
    struct web *w = arg;

    (void)evconnlistener_disable(socket);
    (void)event_add(w->resume, &rest);
}

struct web *web_new(struct event_base *base, proc_id owner)
{
    struct web *w = rt_zalloc(sizeof(*w));

    w->owner = owner;
    LIST_INIT(&w->open);
    w->http = evhttp_new(base);
    w->resume = evtimer_new(base, on_resume, w);
    if (!w->http || !w->resume) {
        web_free(w);
        return NULL;
    }
    evhttp_set_gencb(w->http, on_request, w);
    evhttp_set_max_headers_size(w->http, MAX_HEADERS);
    evhttp_set_max_body_size(w->http, MAX_BODY);
    evhttp_set_timeout(w->http, TIMEOUT_S);
    /* All are let through here, so that 405 is told by who knows the resource. */
    evhttp_set_allowed_methods(w->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD |
                                            EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |
                                            EVHTTP_REQ_OPTIONS | EVHTTP_REQ_PATCH);
    return w;
}

void web_free(void *web)
{
    struct web *w = web;
    struct open_request *o;

    if (!w)
        return;
    if (w->http)
        evhttp_free(w->http);
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

static void add_headers(struct evkeyvalq *out, const struct msg_http_response *r)
{
    static const char *const same[][2] = {
        {"Content-Type", "application/json"},
        {"X-Content-Type-Options", "nosniff"},
        {"Cache-Control", "no-store"},
        {"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"},
    };
    static const char *const allowed[] = {[0] = "GET, HEAD",
                                          [HTTP_GET] = "GET, HEAD",
                                          [HTTP_POST] = "POST",
                                          [HTTP_GET | HTTP_POST] = "GET, HEAD, POST"};

    /* Adding fails only without memory or for a line break in a value. */
    for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++)
        (void)evhttp_add_header(out, same[i][0], same[i][1]);
    if (r->status == 401)
        (void)evhttp_add_header(out, "WWW-Authenticate", "Basic realm=\"RabbitMQ Management\"");
    if (r->status == 405)
        (void)evhttp_add_header(out, "Allow", allowed[r->allow & (HTTP_GET | HTTP_POST)]);
}

static void unref_body(const void *bytes, size_t size, void *blob)
{
    (void)bytes;
    (void)size;
    blob_unref(blob);
}

/* HEAD gets the length of what GET would get, and nothing more. */
static void add_body(struct evhttp_request *req, struct evbuffer *to, struct blob *body)
{
    char length[32];

    if (evhttp_request_get_command(req) == EVHTTP_REQ_HEAD) {
        snprintf(length, sizeof(length), "%zu", blob_size(body));
        (void)evhttp_add_header(evhttp_request_get_output_headers(req), "Content-Length", length);
        return;
    }
    if (evbuffer_add_reference(to, blob_bytes(body), blob_size(body), unref_body, blob_ref(body)) <
        0)
        blob_unref(body);
}

void web_answer(struct web *w, uint64_t id, const struct msg_http_response *response)
{
    struct evbuffer *body = evbuffer_new();
    struct evhttp_request *req;
    struct open_request *o;

    LIST_FOREACH(o, &w->open, link) {
        if (o->id == id)
            break;
    }
    if (o) {
        req = o->req;
        forget(o);
        add_headers(evhttp_request_get_output_headers(req), response);
        if (response->body && body)
            add_body(req, body, response->body);
        evhttp_send_reply(req, response->status, NULL, body);
    }
    if (body)
        evbuffer_free(body);
}
