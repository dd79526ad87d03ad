/*
 * Making and dropping requests and responses.
 */
#include "mgmt/http_msg.h"

#include "broker/runtime/alloc.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/region.h"
#include "mgmt/json.h"
#include "queues/cell.h"

static void request_drop(struct msg *m)
{
    struct msg_http_request *r = MSG_OF(struct msg_http_request, m);

    rt_free(r->path);
    rt_free(r->query);
    rt_free(r->authorization);
    rt_free(r->origin);
    rt_free(r->if_none_match);
    rt_free(r->content_type);
    rt_free(r->reason);
    blob_unref(r->body);
    cell_unref(r->again.queue);
    msg_free(m);
}

struct msg_http_request *http_request_new(void)
{
    return msg_new(HTTP_REQUEST, sizeof(struct msg_http_request), request_drop);
}

static void response_drop(struct msg *m)
{
    struct msg_http_response *r = MSG_OF(struct msg_http_response, m);

    text_fini(&r->body);
    rt_free(r->location);
    rt_free(r->file_name);
    msg_free(m);
}

struct msg_http_response *http_response_new(int status, struct text *body)
{
    struct msg_http_response *r = msg_new(HTTP_RESPONSE, sizeof(*r), response_drop);

    r->status = status;
    if (body)
        r->body = text_take(body);
    return r;
}

static void stream_drop(struct msg *m)
{
    text_fini(&MSG_OF(struct msg_http_stream, m)->bytes);
    msg_free(m);
}

struct msg_http_stream *http_stream_new(const char *content_type, struct text *bytes)
{
    struct msg_http_stream *s = msg_new(HTTP_STREAM, sizeof(*s), stream_drop);

    s->content_type = content_type;
    s->bytes = text_take(bytes);
    return s;
}

/* RabbitMQ's words, which tools compare. */
static const char *error_name(int status)
{
    switch (status) {
    case 400:
        return "bad_request";
    case 401:
        return "not_authorized";
    case 403:
        return "forbidden";
    case 404:
        return "Object Not Found";
    case 405:
        return "method_not_allowed";
    case 409:
        return "conflict";
    case 413:
    case 414:
    case 431:
        return "too_large";
    case 417:
        return "expectation_failed";
    case 501:
        return "not_implemented";
    case 503:
        return "service_unavailable";
    case 505:
        return "http_version_not_supported";
    default:
        return "internal_server_error";
    }
}

struct msg_http_response *http_named_error_new(int status, const char *name, const char *reason)
{
    RUNTIME_REGION();
    json_t *json = json_object();
    struct text t = {0};

    json_add_text(json, "error", name ? name : error_name(status));
    json_add_text(json, "reason", reason);
    text_add_json(&t, json);
    return http_response_new(status, &t);
}

struct msg_http_response *http_error_new(int status, const char *reason)
{
    return http_named_error_new(status, NULL, reason);
}
