/*
 * The process of one HTTP request.
 *
 * Duties: checks who asks, finds the view, and sends its answer to the HTTP listener, its parent.
 * In:  HTTP_REQUEST, ACCESS_LOGGED, HTTP_TAKEN, and what the views ask for.
 * Out: ACCESS_LOGIN, what the views ask; HTTP_RESPONSE, once, as its last message, or HTTP_STREAM.
 * Its parent monitors it; it links to nobody. One that meets what is being restarted sends its
 * request back as HTTP_AGAIN instead, and its successor waits first (again.h).
 *
 * Invariants:
 * 1. Nobody learns whether a resource of the API exists before the login; what is open to all is
 *    the same for all.
 * 2. Whatever is not process memory hangs at `foreign`, which the exit gives back.
 */
#include "mgmt/request.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "amqp/codec/record.h"
#include "broker/core/access.h"
#include "broker/core/config.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/region.h"
#include "broker/runtime/runtime.h"
#include "mgmt/auth.h"
#include "mgmt/sampled.h"
#include "mgmt/columns.h"
#include "mgmt/files.h"
#include "mgmt/list.h"
#include "mgmt/views.h"
#include "queues/cell.h"
#include "queues/node_name.h"

enum {
    LIST_US = 5 * 1000 * 1000,
    LOGIN_ORIGIN = 2, /* of all requests: tries here hold up no client of AMQP */
    STREAM_WINDOW = 256 * 1024,
    LONG_PART = 128 * 1024, /* of a long answer */
};

/* Whether pages of this origin may use the API. */
static bool is_origin_allowed(const char *origin)
{
    const char *at = config()->cors_origins;
    struct config_pair pair;

    while (origin && config_pair_next(&at, &pair)) {
        if ((pair.value_len == 1 && *pair.value == '*') ||
            ((size_t)pair.value_len == strlen(origin) &&
             !strncasecmp(pair.value, origin, (size_t)pair.value_len)))
            return true;
    }
    return false;
}

void request_respond(struct request *r, struct msg_http_response *response)
{
    CHECK(!r->is_answering); /* request.h: nothing else may follow its first part */
    response->is_cross_origin = r->m && is_origin_allowed(r->m->origin);
    PROC_SEND(proc_parent(), response);
    proc_exit(EXIT_NORMAL, 0, "answered");
}

static void send_part(struct request *r, struct msg_http_stream *s)
{
    r->is_answering = true;
    r->stream_waits += text_len(&s->bytes);
    PROC_SEND(proc_parent(), s);
}

static void send_long_part(struct request *r)
{
    const char *type = r->content_type ? r->content_type : "application/json";
    struct msg_http_stream *s = http_stream_new(r->is_answering ? NULL : type, &r->foreign->out);

    s->is_long = r->is_long = true;
    s->is_cross_origin = is_origin_allowed(r->m->origin);
    send_part(r, s);
}

bool request_may_write(struct request *r)
{
    if (text_len(&r->foreign->out) >= LONG_PART)
        send_long_part(r);
    r->awaits_room = !request_stream_has_room(r);
    return !r->awaits_room && !proc_is_over_us(REQUEST_TURN_US);
}

void request_continue(struct request *r)
{
    if (!r->awaits_room)
        proc_continue();
}

void request_finish(struct request *r)
{
    struct msg_http_response *response;

    if (r->is_answering) {
        send_long_part(r);
        proc_exit(EXIT_NORMAL, 0, "answered");
    }
    response = http_response_new(200, &r->foreign->out);
    response->content_type = r->content_type;
    request_respond(r, response);
}

void request_finish_json(struct request *r, json_t *value)
{
    struct foreign *f = r->foreign;
    const char *columns;

    f->value = value;
    columns = request_param(r, "columns");
    if (columns)
        f->value = columns_pick(f->value, columns);
    text_add_json(&f->out, f->value);
    f->value = NULL;
    request_finish(r);
}

void request_finish_status(struct request *r, int status)
{
    request_respond(r, http_response_new(status, NULL));
}

void request_finish_empty(struct request *r)
{
    request_finish_status(r, 204);
}

void request_fail(struct request *r, int status, const char *reason)
{
    request_respond(r, http_error_new(status, reason));
}

void request_fail_named(struct request *r, int status, const char *name, const char *reason)
{
    request_respond(r, http_named_error_new(status, name, reason));
}

void request_fail_not_found(struct request *r)
{
    if (again_may_have_deleted(r))
        request_finish_empty(r);
    request_fail(r, 404, "Not Found");
}

void request_fail_right(struct request *r, const char *reason)
{
    request_fail_named(r, 401, "not_authorised", reason);
}

void request_fail_amqp(struct request *r, uint16_t code, const char *text)
{
    switch (code) {
    case 403:
        request_fail_right(r, text);
    case 404:
        if (again_may_have_deleted(r))
            request_finish_empty(r);
        request_fail_named(r, 404, "not_found", text);
    case 541:
        request_fail(r, 503, text);
    default:
        request_fail(r, 400, text);
    }
}

void request_stream(struct request *r, const char *content_type)
{
    send_part(r, http_stream_new(content_type, &r->foreign->out));
}

bool request_stream_has_room(const struct request *r)
{
    return r->stream_waits < STREAM_WINDOW;
}

void request_ask_processes(struct request *r)
{
    r->asked = rt_list_processes(LIST_US);
}

/* Whether m is the answer, which is kept. */
static bool has_processes(struct request *r, struct msg *m)
{
    if (!r->asked || m->ref != r->asked)
        return false;
    if (m->type != MSG_USER)
        request_fail(r, 503, "the processes could not be listed in time");
    proc_keep(m);
    return true;
}

bool request_has_listing(struct request *r, struct msg *m)
{
    if (r->listing || !has_processes(r, m))
        return false;
    r->listing = MSG_OF(struct proc_listing, m);
    return true;
}

void request_count_processes(struct request *r)
{
    r->asked = rt_count_processes(LIST_US);
}

bool request_has_census(struct request *r, struct msg *m)
{
    if (r->census || !has_processes(r, m))
        return false;
    r->census = MSG_OF(struct proc_census, m);
    return true;
}

bool request_may_see(const struct request *r, const char *vhost)
{
    return request_has_tag(r, VIEW_MONITORING) || access_may_open(r->user, vhost);
}

static void free_foreign(void *arg)
{
    struct foreign *f = arg;

    text_fini(&f->out);
    cells_fini(&f->cells);
    cells_fini(&f->exchanges);
    stat_slots_fini(&f->slots);
    stat_slots_fini(&f->connections);
    stat_slots_fini(&f->channels);
    list_free(f->list);
    json_decref(f->body);
    json_decref(f->value);
    record_unref(f->record);
    cell_unref(f->queue);
    json_decref(f->consumers);
    json_decref(f->parked);
    rt_free(f);
}

/* Asks access; the answer is on_logged's. */
static void ask_login(struct request *r)
{
    struct access_login login = {
        .origin = LOGIN_ORIGIN, .is_loopback = r->m->is_loopback, .protocol = ACCESS_HTTP};
    struct auth_basic who;

    if (!auth_parse_basic(r->m->authorization, &who) || who.user_len >= sizeof(r->user))
        request_fail(r, 401, "Login failed");
    login.user = who.text;
    login.user_len = who.user_len;
    login.password = who.password;
    login.password_len = who.password_len;
    memcpy(r->user, who.text, who.user_len);
    r->tags = access_tags(who.text, who.user_len);
    r->login = access_ask_login(&login);
}

static __attribute__((noreturn)) void refuse_method(struct request *r, unsigned allow)
{
    struct msg_http_response *response = http_error_new(405, "Method Not Allowed");

    response->allow = allow;
    request_respond(r, response);
}

static bool is_api(const struct path *path)
{
    return path->n > 0 && !strcmp(path->segment[0].p, "api");
}

static __attribute__((noreturn)) void answer_options(struct request *r)
{
    struct msg_http_response *response;
    unsigned allow = 0;

    (void)views_find(&r->path, HTTP_OPTIONS, &allow);
    if (is_api(&r->path) && !allow)
        request_fail_not_found(r);
    response = http_response_new(200, NULL);
    response->allow = (allow ? allow : HTTP_GET) | HTTP_OPTIONS;
    request_respond(r, response);
}

/* Who may reach this port may see all that is there. */
static void serve_metrics(struct request *r)
{
    unsigned allow = 0;

    r->tags = VIEW_MONITORING;
    if (path_split(r->m->path, &r->path))
        r->view = views_find(&r->path, r->m->method, &allow);
    if (!r->view && allow)
        refuse_method(r, allow);
    if (!r->view || !(r->view->flags & VIEW_METRICS))
        request_fail_not_found(r);
    r->view->start(r);
}

/*
 * Which paths there are, and for which methods, is no secret: api/ lists them. So that is told
 * before anybody logs in, as RabbitMQ does.
 */
static void begin(struct request *r)
{
    struct msg_http_request *m = r->m;
    unsigned allow = 0;

    if (m->is_metrics) {
        serve_metrics(r);
        return;
    }
    if (!path_split(m->path, &r->path))
        request_fail_not_found(r);
    if (m->method == HTTP_OPTIONS) /* a browser asks so before it asks with a login */
        answer_options(r);
    else if (!is_api(&r->path) && m->method == HTTP_GET)
        files_serve(r); /* returns when there is none */
    r->view = views_find(&r->path, m->method, &allow);
    if (!r->view && allow)
        refuse_method(r, allow);
    if (!r->view)
        request_fail_not_found(r);
    if (r->view->flags & VIEW_OPEN)
        r->view->start(r);
    else
        ask_login(r);
}

static void on_request(struct request *r, struct msg_http_request *m)
{
    proc_keep(&m->hdr);
    r->m = m;
    node_name(r->node, sizeof(r->node));
    if (!again_waits(r))
        begin(r);
}

static const char *tag_refusal(unsigned needed)
{
    switch (needed) {
    case VIEW_ADMINISTRATOR:
        return "Not an administrator user";
    case VIEW_MONITORING:
        return "Not a monitor user";
    case VIEW_POLICYMAKER:
        return "Not a policymaker user";
    default:
        return "Not a management user";
    }
}

static void check_vhost(struct request *r)
{
    r->vhost = request_segment(r, 2);
    if (!access_has_vhost(r->vhost, r->path.segment[2].len))
        request_fail_not_found(r);
    if (r->m->method == HTTP_GET ? !request_may_see(r, r->vhost)
                                 : !access_may_open(r->user, r->vhost))
        request_fail_right(r, "User not authorised to access virtual host");
}

static void on_logged(struct request *r, const struct msg *m)
{
    r->login = 0;
    if (m->type == MSG_DOWN) {
        again_by_name(r, "access");
        request_fail(r, 503, "who asks could not be looked up: access is being restarted");
    }
    if (m->type != ACCESS_LOGGED || !((const struct msg_access_logged *)(const void *)m)->is_right)
        request_fail(r, 401, "Login failed");
    if (!(r->tags & VIEW_MANAGEMENT))
        request_fail_right(r, tag_refusal(VIEW_MANAGEMENT));
    if (r->m->is_foreign && r->m->method != HTTP_GET && !is_origin_allowed(r->m->origin))
        request_fail(r, 403, "the page that asks is another site's");
    if (!(r->tags & r->view->tags))
        request_fail_right(r, tag_refusal(r->view->tags));
    if (r->view->flags & VIEW_VHOST)
        check_vhost(r);
    sampled_ranges_read(r, &r->ranges);
    r->view->start(r);
}

static void request_init(void *state, const void *arg)
{
    struct request *r = state;

    (void)arg;
    r->foreign = rt_zalloc(sizeof(*r->foreign));
    proc_at_exit(free_foreign, r->foreign);
}

static void on_taken(struct request *r, const struct msg_http_about *m)
{
    CHECK(m->bytes <= r->stream_waits);
    r->stream_waits -= m->bytes;
    if (!r->awaits_room || !request_stream_has_room(r))
        return;
    r->awaits_room = false;
    proc_continue();
}

/* What the views have asked for. */
static void give_to_view(struct request *r, struct msg *m)
{
    if (m->type == MSG_CONTINUE && r->is_listing) {
        list_go_on(r);
        return;
    }
    CHECK(r->view && r->view->handle);
    r->view->handle(r, m);
}

static void request_handle(void *state, struct msg *m)
{
    struct request *r = state;
    bool is_over;

    if (again_handle(r, m, &is_over)) {
        if (is_over)
            begin(r);
        return;
    }
    if (r->login && m->ref == r->login) {
        on_logged(r, m);
        return;
    }
    switch (m->type) {
    case HTTP_REQUEST:
        on_request(r, MSG_OF(struct msg_http_request, m));
        break;
    case HTTP_TAKEN:
        on_taken(r, MSG_OF(struct msg_http_about, m));
        if (!r->is_long)
            give_to_view(r, m);
        break;
    default: /* whatever it is, a view has asked for it */
        give_to_view(r, m);
    }
}

const struct proc_ops request_ops = {
    .kind = "mgmt_request",
    .state_size = sizeof(struct request),
    .init = request_init,
    .handle = request_handle,
};
