/*
 * The process of one HTTP request.
 *
 * Duties: checks who asks, finds the view, and sends its answer to the HTTP listener, its parent.
 * In:  HTTP_REQUEST, and what the views ask for (listings, inspections).
 * Out: HTTP_RESPONSE, once, as its last message.
 * Its parent monitors it; it links to nobody.
 *
 * Invariants:
 * 1. Nobody learns whether a resource exists before the login.
 * 2. Whatever is not process memory hangs at `foreign`, which the exit gives back.
 */
#include "mgmt/request.h"

#include <stdio.h>
#include <unistd.h>

#include "broker/core/access.h"
#include "broker/core/config.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/region.h"
#include "broker/runtime/runtime.h"
#include "mgmt/auth.h"

enum { LIST_US = 5 * 1000 * 1000 };

static const struct view *const views[] = {
    &view_overview,  &view_queues,  &view_vhost_queues, &view_queue,
    &view_processes, &view_process, &view_crash,
};

static __attribute__((noreturn)) void respond(struct msg_http_response *response)
{
    PROC_SEND(proc_parent(), response);
    proc_exit(EXIT_NORMAL, 0, "answered");
}

void request_finish(struct request *r)
{
    respond(http_response_new(200, blob_copy(r->foreign->out.p, r->foreign->out.len)));
}

void request_finish_empty(void)
{
    respond(http_response_new(204, NULL));
}

void request_fail(int status, const char *reason)
{
    respond(http_error_new(status, reason));
}

void request_fail_not_found(void)
{
    request_fail(404, "Not Found");
}

void request_list(struct request *r)
{
    r->asked = rt_list_processes(LIST_US);
}

bool request_has_listing(struct request *r, struct msg *m)
{
    if (r->listing || m->ref != r->asked)
        return false;
    if (m->type != MSG_USER)
        request_fail(503, "the processes could not be listed in time");
    proc_keep(m);
    r->listing = MSG_OF(struct proc_listing, m);
    return true;
}

static void free_foreign(void *arg)
{
    struct foreign *f = arg;

    text_fini(&f->out);
    cells_fini(&f->cells);
    json_decref(f->parked);
    rt_free(f);
}

static void check_login(const struct msg_http_request *m)
{
    struct auth_basic who;

    if (!auth_parse_basic(m->authorization, &who) ||
        access_login(who.text, who.user_len, who.password, who.password_len, m->is_loopback) < 0)
        request_fail(401, "Login failed");
    if (m->is_foreign && m->method != HTTP_GET)
        request_fail(403, "the page that asks is another site's");
}

static __attribute__((noreturn)) void refuse_method(enum http_method allow)
{
    struct msg_http_response *response = http_error_new(405, "Method Not Allowed");

    response->allow = allow;
    respond(response);
}

static const struct view *find_view(const struct path *path)
{
    for (size_t i = 0; i < sizeof(views) / sizeof(*views); i++) {
        if (path_matches(path, views[i]->pattern) &&
            (config()->debug_crash || !views[i]->needs_debug))
            return views[i];
    }
    return NULL;
}

static void name_node(char *out, size_t size)
{
    char host[65] = "localhost";

    (void)gethostname(host, sizeof(host) - 1); /* a longer name is cut */
    snprintf(out, size, "warren@%s", host);
}

static void on_request(struct request *r, struct msg_http_request *m)
{
    proc_keep(&m->hdr);
    r->m = m;
    check_login(m);
    if (path_split(m->path, &r->path))
        r->view = find_view(&r->path);
    if (!r->view)
        request_fail_not_found();
    if (r->view->method != m->method)
        refuse_method(r->view->method);
    name_node(r->node, sizeof(r->node));
    r->view->start(r);
}

static void request_init(void *state, const void *arg)
{
    struct request *r = state;

    (void)arg;
    r->foreign = rt_zalloc(sizeof(*r->foreign));
    proc_at_exit(free_foreign, r->foreign);
}

static void request_handle(void *state, struct msg *m)
{
    struct request *r = state;

    switch (m->type) {
    case HTTP_REQUEST:
        on_request(r, MSG_OF(struct msg_http_request, m));
        break;
    case MSG_USER:
    case MSG_DOWN:
    case MSG_TIMEOUT:
    case MSG_CONTINUE:
        CHECK(r->view && r->view->handle);
        r->view->handle(r, m);
        break;
    default:
        proc_exit(EXIT_CRASH, 0, "unknown message 0x%x", m->type);
    }
}

const struct proc_ops request_ops = {
    .kind = "mgmt_request",
    .state_size = sizeof(struct request),
    .init = request_init,
    .handle = request_handle,
};
