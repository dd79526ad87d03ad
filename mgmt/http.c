/*
 * The HTTP listener: owns the event loop's HTTP server, and gives each request a process.
 *
 * Duties: listens where the configuration says, again on the same port after a restart; starts a
 * temporary process for each request and answers with what that sends. It looks at no request
 * itself, so that a request that does harm harms one process.
 *
 * In:  HTTP_REQUEST, HTTP_TAKEN and HTTP_GONE (event loop); HTTP_RESPONSE, HTTP_STREAM or
 *      HTTP_AGAIN, DOWN and TIMEOUT of request processes; TLS_CHANGED, or DOWN and NAMED, of
 *      certificates.
 * Out: HTTP_REQUEST and HTTP_TAKEN to the process of the request; SHUTDOWN when its client leaves;
 *      TLS_WATCH.
 * Monitors its request processes; no links but its supervisor's.
 *
 * Invariants:
 * 1. A job exists from the spawn of its process until that process's DOWN, or that of the last one
 *    of those that began it anew.
 * 2. Each request is answered once: by its process's response, else 503 when its time is over, else
 *    500 at DOWN; or 503 at once while there are MAX_JOBS. One whose client has left, and which
 *    changes nothing, is ended. An answer in parts ends at DOWN, and the connection with it where a
 *    long one is not whole; each part of such a one has the time of a request.
 * 3. The HTTP server goes with the process, however that ends: it is registered at exit.
 */
#include "mgmt/http.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/core/activation.h"
#include "broker/core/config.h"
#include "broker/core/listeners.h"
#include "broker/core/log.h"
#include "broker/core/tls.h"
#include "broker/runtime/io.h"
#include "broker/runtime/region.h"
#include "broker/runtime/world.h"
#include "mgmt/http_msg.h"
#include "mgmt/request.h"
#include "mgmt/web.h"

enum { MAX_JOBS = 256, MAX_STREAMS = 64, JOB_US = 60 * 1000 * 1000 };

struct job {
    proc_id worker;
    uint64_t request; /* web.h: its id */
    proc_ref timer;   /* of its time; 0: over */
    bool is_answered;
    bool is_stream;                 /* answered in parts, the last of which its DOWN is */
    bool is_long;                   /* in parts because of its length */
    struct msg_http_request *again; /* kept; not NULL: to be begun anew at DOWN */
};

struct http {
    struct web *web;
    uint16_t port;
    bool is_metrics;       /* the port for metrics alone */
    proc_ref certificates; /* other ones, or who tells of them, are awaited; 0: not with TLS */
    unsigned n_jobs, n_streams;
    uint64_t n_requests, n_failed;
    struct job job[MAX_JOBS];
};

static void answer(struct http *h, uint64_t request, struct msg_http_response *response)
{
    RUNTIME_REGION();

    web_answer(h->web, request, response);
}

static void answer_error(struct http *h, uint64_t request, int status, const char *reason)
{
    RUNTIME_REGION();
    struct msg_http_response *r = http_error_new(status, reason);

    web_answer(h->web, request, r);
    msg_drop(&r->hdr);
    h->n_failed++;
}

static struct job *find_job(struct http *h, proc_id worker)
{
    for (unsigned i = 0; i < h->n_jobs; i++) {
        if (h->job[i].worker == worker)
            return &h->job[i];
    }
    return NULL;
}

static void stop_timer(struct job *j)
{
    if (j->timer)
        proc_cancel(j->timer);
    j->timer = 0;
}

static void start_worker(struct job *j, struct msg_http_request *m)
{
    j->worker = proc_spawn(&(struct spawn){.ops = &request_ops,
                                           .name = "mgmt_request",
                                           .flags = PROC_MONITOR,
                                           .scheduler = SCHED_SAME});
    m->hdr.type = HTTP_REQUEST;
    PROC_SEND(j->worker, m);
}

static void on_request(struct http *h, struct msg_http_request *m)
{
    struct job *j;

    h->n_requests++;
    if (h->n_jobs == MAX_JOBS) {
        answer_error(h, m->id, 503, "too many requests at once");
        return;
    }
    j = &h->job[h->n_jobs];
    *j = (struct job){.request = m->id};
    j->timer = proc_timer_coarse(JOB_US);
    m->is_metrics = h->is_metrics;
    h->n_jobs++;
    start_worker(j, m);
}

/* What its process held goes with that, before the next one begins. */
static void on_again(struct http *h, struct msg_http_request *m)
{
    struct job *j = find_job(h, m->hdr.from);

    CHECK(j && !j->again && !j->is_stream); /* its DOWN comes later: invariant 1 */
    proc_keep(&m->hdr);
    j->again = m;
}

static void begin_anew(struct job *j)
{
    struct msg_http_request *m = j->again;

    j->again = NULL;
    start_worker(j, m);
}

static void on_response(struct http *h, struct msg_http_response *m)
{
    struct job *j = find_job(h, m->hdr.from);

    CHECK(j); /* its DOWN comes later: invariant 1 */
    if (j->is_answered)
        return; /* its time was over while the response was under way */
    stop_timer(j);
    j->is_answered = true;
    answer(h, j->request, m);
}

static void refuse_stream(struct http *h, struct job *j)
{
    j->is_answered = true;
    answer_error(h, j->request, 503, "too many answers without an end at once");
    proc_signal(j->worker, EXIT_SHUTDOWN, 0, "too many streams");
}

static void send_part(struct http *h, const struct job *j, struct msg_http_stream *m)
{
    RUNTIME_REGION();

    web_stream(h->web, j->request, m);
}

static void on_part(struct http *h, struct msg_http_stream *m)
{
    struct job *j = find_job(h, m->hdr.from);

    CHECK(j); /* invariant 1 */
    if (j->is_answered)
        return;
    if (!j->is_stream && !m->is_long && h->n_streams == MAX_STREAMS) {
        refuse_stream(h, j);
        return;
    }
    h->n_streams += !j->is_stream && !m->is_long;
    j->is_stream = true;
    j->is_long = m->is_long;
    stop_timer(j);
    if (j->is_long)
        j->timer = proc_timer_coarse(JOB_US);
    send_part(h, j, m);
}

/* NULL: it has ended. */
static struct job *find_request(struct http *h, uint64_t request)
{
    for (unsigned i = 0; i < h->n_jobs; i++) {
        if (h->job[i].request == request)
            return &h->job[i];
    }
    return NULL;
}

static void on_taken(struct http *h, struct msg_http_about *m)
{
    const struct job *j = find_request(h, m->id);

    if (j)
        PROC_SEND(j->worker, m);
}

static void on_gone(struct http *h, const struct msg_http_about *m)
{
    struct job *j = find_request(h, m->id);

    if (!j || j->is_answered)
        return;
    j->is_answered = true;
    if (!j->is_stream)
        answer_error(h, m->id, 503, "the request took too long for its client");
    proc_signal(j->worker, EXIT_SHUTDOWN, 0, "its client has left");
}

/* What stops half-way must not look whole. */
static void end_stream(struct http *h, const struct job *j, enum exit_kind how)
{
    RUNTIME_REGION();

    h->n_streams -= !j->is_long;
    if (j->is_long && how != EXIT_NORMAL)
        web_cut(h->web, j->request);
    else
        web_end(h->web, j->request);
}

static void on_down(struct http *h, const struct msg *m)
{
    const struct msg_exit *down = (const struct msg_exit *)(const void *)m;
    struct job *j = find_job(h, m->from);

    CHECK(j); /* invariant 1 */
    if (j->again && !j->is_answered) {
        begin_anew(j);
        return;
    }
    if (j->again)
        msg_drop(&j->again->hdr); /* its time is over */
    stop_timer(j);
    if (j->is_stream)
        end_stream(h, j, down->why.kind);
    else if (!j->is_answered)
        answer_error(h, j->request, 500, "the request's process crashed");
    *j = h->job[--h->n_jobs];
}

static void on_timeout(struct http *h, const struct msg *m)
{
    for (unsigned i = 0; i < h->n_jobs; i++) {
        struct job *j = &h->job[i];

        if (j->timer != m->ref)
            continue;
        j->timer = 0;
        j->is_answered = true;
        if (!j->is_stream)
            answer_error(h, j->request, 503, "the request took too long");
        proc_signal(j->worker, EXIT_KILL, 0, "the request took too long");
    }
}

/* Moves a listening socket to the HTTP server. */
static int take_socket(struct http *h, int fd)
{
    RUNTIME_REGION();
    int r = web_listen(h->web, fd);

    if (r < 0)
        world()->net->close(fd);
    return r;
}

/* A listening socket for the HTTP server; *port is the one to take, or 0, and the one taken. */
static int listen_at(struct http *h, const char *address, uint16_t *port)
{
    RUNTIME_REGION();
    int fd = io_listen(address, *port, port);

    return fd < 0 ? fd : take_socket(h, fd);
}

/* All addresses are two sockets on one port; a machine without IPv6 has one. */
static int listen_everywhere(struct http *h, uint16_t *port)
{
    int r = listen_at(h, "0.0.0.0", port);

    if (r < 0)
        return r;
    r = listen_at(h, "::", port);
    return r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL ? 0 : r;
}

static struct web *new_web(void)
{
    RUNTIME_REGION();
    struct event_base *base = io_event_base();

    return base ? web_new(base, proc_self()) : NULL;
}

/* A reference to what is in force, for the connections that come next; false: there is nothing. */
static bool take_context(struct http *h)
{
    RUNTIME_REGION();
    SSL_CTX *tls = tls_context(h->is_metrics ? TLS_PROMETHEUS : TLS_MGMT);

    if (tls)
        web_set_tls(h->web, tls);
    return tls;
}

/* Takes the certificates in force, and asks to be told of others. */
static void follow_certificates(struct http *h)
{
    uint64_t generation = tls_generation();

    if (!take_context(h))
        proc_exit(EXIT_CRASH, -ENOENT, "there is no certificate");
    h->certificates = tls_watch(generation);
}

static void on_certificates(struct http *h, const struct msg *m)
{
    if (m->type == MSG_DOWN)
        h->certificates = proc_await("certificates");
    else
        follow_certificates(h);
}

/* Its sockets, from whoever started the broker, or its own; -errno. */
static int open_sockets(struct http *h, const struct listener_plan *plan)
{
    int fds[2], n = activation_sockets(plan->id, fds, 2, &h->port);

    if (n < 0)
        return n;
    for (int i = 0; i < n; i++) {
        int r = take_socket(h, fds[i]);

        if (r < 0)
            return r;
    }
    if (n > 0)
        return 0;
    return *plan->address ? listen_at(h, plan->address, &h->port) : listen_everywhere(h, &h->port);
}

static void http_init(void *state, const void *arg)
{
    const struct listener_plan *plan = &((const struct http_arg *)arg)->plan;
    struct http *h = state;
    char name[LISTENER_ID_SIZE + 8];
    int r;

    h->is_metrics = plan->is_metrics;
    h->web = new_web();
    if (!h->web)
        proc_exit(EXIT_CRASH, -ENOMEM, "no event loop or no memory for HTTP");
    proc_at_exit(web_free, h->web);
    if (plan->has_tls)
        follow_certificates(h);
    h->port = listeners_port(plan->id);
    if (!h->port)
        h->port = plan->port;
    r = open_sockets(h, plan);
    if (r < 0)
        proc_exit(EXIT_CRASH, r, "cannot listen on port %u: %s", h->port, strerror(-r));
    listeners_tell(plan->id, plan->address, h->port);
    log_info("%s on %s port %u%s", plan->is_metrics ? "metrics are served" : "management listens",
             *plan->address ? plan->address : "all addresses", h->port,
             plan->has_tls ? ", with TLS" : "");
    snprintf(name, sizeof(name), "mgmt_%s", plan->id);
    proc_set_name(name);
    CHECK(proc_register(name) == 0);
}

static void http_handle(void *state, struct msg *m)
{
    struct http *h = state;

    switch (m->type) {
    case HTTP_REQUEST:
        on_request(h, MSG_OF(struct msg_http_request, m));
        break;
    case HTTP_RESPONSE:
        on_response(h, MSG_OF(struct msg_http_response, m));
        break;
    case HTTP_AGAIN:
        on_again(h, MSG_OF(struct msg_http_request, m));
        break;
    case HTTP_STREAM:
        on_part(h, MSG_OF(struct msg_http_stream, m));
        break;
    case HTTP_TAKEN:
        on_taken(h, MSG_OF(struct msg_http_about, m));
        break;
    case HTTP_GONE:
        on_gone(h, MSG_OF(struct msg_http_about, m));
        break;
    case MSG_DOWN:
        if (m->ref != 0 && m->ref == h->certificates)
            on_certificates(h, m);
        else
            on_down(h, m);
        break;
    case TLS_CHANGED:
    case MSG_NAMED:
        on_certificates(h, m);
        break;
    case MSG_TIMEOUT:
        on_timeout(h, m);
        break;
    default:
        proc_exit(EXIT_CRASH, 0, "unknown message 0x%x", m->type);
    }
}

static size_t http_inspect(const void *state, char *out, size_t size)
{
    const struct http *h = state;
    int n =
        snprintf(out, size, "{\"port\":%u,\"jobs\":%u,\"requests\":%llu,\"failed\":%llu}", h->port,
                 h->n_jobs, (unsigned long long)h->n_requests, (unsigned long long)h->n_failed);

    return n < 0 || (size_t)n >= size ? 0 : (size_t)n;
}

const struct proc_ops mgmt_http_ops = {
    .kind = "mgmt_http",
    .state_size = sizeof(struct http),
    .init = http_init,
    .handle = http_handle,
    .inspect = http_inspect,
};
