/*
 * The HTTP listener: owns the event loop's HTTP server, and gives each request a process.
 *
 * Duties: listens where the configuration says, again on the same port after a restart; starts a
 * temporary process for each request and answers with what that sends. It looks at no request
 * itself, so that a request that does harm harms one process.
 *
 * In:  HTTP_REQUEST, HTTP_TAKEN and HTTP_GONE (event loop), HTTP_RESPONSE or HTTP_STREAM, DOWN and
 *      TIMEOUT of request processes.
 * Out: HTTP_REQUEST and HTTP_TAKEN to the process of the request; SHUTDOWN when its client leaves.
 * Monitors its request processes; no links but its supervisor's.
 *
 * Invariants:
 * 1. A job exists from the spawn of its process until that process's DOWN.
 * 2. Each request is answered once: by its process's response, else 503 when its time is over, else
 *    500 at DOWN; or 503 at once while there are MAX_JOBS. An answer in parts ends at DOWN.
 * 3. The HTTP server goes with the process, however that ends: it is registered at exit.
 */
#include "mgmt/http.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/core/config.h"
#include "broker/core/listeners.h"
#include "broker/core/log.h"
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
    bool is_stream; /* answered in parts, the last of which its DOWN is */
};

struct http {
    struct web *web;
    uint16_t port;
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
    j->worker = proc_spawn(&(struct spawn){.ops = &request_ops,
                                           .name = "mgmt_request",
                                           .flags = PROC_MONITOR,
                                           .scheduler = SCHED_SAME});
    j->timer = proc_timer_coarse(JOB_US);
    h->n_jobs++;
    PROC_SEND(j->worker, m);
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
    if (!j->is_stream && h->n_streams == MAX_STREAMS) {
        refuse_stream(h, j);
        return;
    }
    h->n_streams += !j->is_stream;
    j->is_stream = true;
    stop_timer(j);
    send_part(h, j, m);
}

/* NULL: it has ended. */
static struct job *find_stream(struct http *h, uint64_t request)
{
    for (unsigned i = 0; i < h->n_jobs; i++) {
        if (h->job[i].request == request && h->job[i].is_stream)
            return &h->job[i];
    }
    return NULL;
}

static void on_taken(struct http *h, struct msg_http_about *m)
{
    const struct job *j = find_stream(h, m->id);

    if (j)
        PROC_SEND(j->worker, m);
}

static void on_gone(struct http *h, const struct msg_http_about *m)
{
    const struct job *j = find_stream(h, m->id);

    if (j)
        proc_signal(j->worker, EXIT_SHUTDOWN, 0, "its client has left");
}

static void end_stream(struct http *h, const struct job *j)
{
    RUNTIME_REGION();

    h->n_streams--;
    web_end(h->web, j->request);
}

static void on_down(struct http *h, const struct msg *m)
{
    struct job *j = find_job(h, m->from);

    CHECK(j); /* invariant 1 */
    stop_timer(j);
    if (j->is_stream)
        end_stream(h, j);
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
        answer_error(h, j->request, 503, "the request took too long");
        proc_signal(j->worker, EXIT_KILL, 0, "the request took too long");
    }
}

/* A listening socket for the HTTP server; *port is the one to take, or 0, and the one taken. */
static int listen_at(struct http *h, const char *address, uint16_t *port)
{
    RUNTIME_REGION();
    int fd = io_listen(address, *port, port), r;

    if (fd < 0)
        return fd;
    r = web_listen(h->web, fd);
    if (r < 0)
        world()->net->close(fd);
    return r;
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

static void http_init(void *state, const void *arg)
{
    struct http *h = state;
    const char *bind = config_address(config()->mgmt_address);
    int r;

    (void)arg;
    h->web = new_web();
    if (!h->web)
        proc_exit(EXIT_CRASH, -ENOMEM, "no event loop or no memory for HTTP");
    proc_at_exit(web_free, h->web);
    h->port = listeners_port("http");
    if (!h->port)
        h->port = (uint16_t)config()->mgmt_port;
    r = *bind ? listen_at(h, bind, &h->port) : listen_everywhere(h, &h->port);
    if (r < 0)
        proc_exit(EXIT_CRASH, r, "cannot listen on port %u: %s", h->port, strerror(-r));
    listeners_tell("http", bind, h->port);
    log_info("management listens on %s port %u", *bind ? bind : "all addresses", h->port);
    CHECK(proc_register("mgmt_http") == 0);
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
        on_down(h, m);
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
