/*
 * The process of one HTTP request.
 *
 * Duties: checks who asks, finds the view, and sends its answer to the HTTP listener, its parent.
 * In:  HTTP_REQUEST, ACCESS_LOGGED, and what the views ask for (listings, inspections, a backup).
 * Out: ACCESS_LOGIN, what the views ask; HTTP_RESPONSE, once, as its last message.
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
#include "queues/backup.h"

enum {
    LIST_US = 5 * 1000 * 1000,
    LOGIN_ORIGIN = 2, /* of all requests: tries here hold up no client of AMQP */
};

static const struct view *const views[] = {
    &view_overview, &view_queues, &view_vhost_queues, &view_queue,        &view_processes,
    &view_process,  &view_crash,  &view_backup,       &view_backup_begin,
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

/* Asks access; the answer is on_logged's. */
static void ask_login(struct request *r)
{
    struct access_login login = {.origin = LOGIN_ORIGIN, .is_loopback = r->m->is_loopback};
    struct auth_basic who;

    if (!auth_parse_basic(r->m->authorization, &who))
        request_fail(401, "Login failed");
    login.user = who.text;
    login.user_len = who.user_len;
    login.password = who.password;
    login.password_len = who.password_len;
    r->tags = access_tags(who.text, who.user_len);
    r->login = access_ask_login(&login);
}

static __attribute__((noreturn)) void refuse_method(unsigned allow)
{
    struct msg_http_response *response = http_error_new(405, "Method Not Allowed");

    response->allow = allow;
    respond(response);
}

/* Refuses what is there for other methods only; NULL: there is nothing. */
static const struct view *find_view(const struct path *path, enum http_method method)
{
    unsigned allow = 0;

    for (size_t i = 0; i < sizeof(views) / sizeof(*views); i++) {
        if (!path_matches(path, views[i]->pattern) ||
            (views[i]->needs_debug && !config()->debug_crash))
            continue;
        if (views[i]->method == method)
            return views[i];
        allow |= views[i]->method;
    }
    if (allow)
        refuse_method(allow);
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
    ask_login(r);
}

/* What is shown is of the whole node, so those may see it whom RabbitMQ lets see that. */
static void check_rights(const struct request *r, bool is_right)
{
    unsigned needed = ACCESS_ADMINISTRATOR;

    if (r->m->method == HTTP_GET)
        needed |= ACCESS_MONITORING;
    if (!is_right)
        request_fail(401, "Login failed");
    if (!(r->tags & needed))
        request_fail(401, "Not a monitoring user");
    if (r->m->is_foreign && r->m->method != HTTP_GET)
        request_fail(403, "the page that asks is another site's");
}

static void on_logged(struct request *r, const struct msg *m)
{
    r->login = 0;
    check_rights(r, m->type == ACCESS_LOGGED &&
                        ((const struct msg_access_logged *)(const void *)m)->is_right);
    if (path_split(r->m->path, &r->path))
        r->view = find_view(&r->path, r->m->method);
    if (!r->view)
        request_fail_not_found();
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

    if (r->login && m->ref == r->login) {
        on_logged(r, m);
        return;
    }
    switch (m->type) {
    case HTTP_REQUEST:
        on_request(r, MSG_OF(struct msg_http_request, m));
        break;
    case MSG_USER:
    case MSG_DOWN:
    case MSG_TIMEOUT:
    case MSG_CONTINUE:
    case BACKUP_STARTED:
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
