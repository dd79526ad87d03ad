/*
 * Making and dropping requests and responses.
 */
#include "mgmt/http_msg.h"

#include "broker/runtime/alloc.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/region.h"
#include "mgmt/json.h"
#include "mgmt/text.h"

static void request_drop(struct msg *m)
{
    struct msg_http_request *r = MSG_OF(struct msg_http_request, m);

    rt_free(r->path);
    rt_free(r->query);
    rt_free(r->authorization);
    blob_unref(r->body);
    msg_free(m);
}

struct msg_http_request *http_request_new(void)
{
    return msg_new(HTTP_REQUEST, sizeof(struct msg_http_request), request_drop);
}

static void response_drop(struct msg *m)
{
    blob_unref(MSG_OF(struct msg_http_response, m)->body);
    msg_free(m);
}

struct msg_http_response *http_response_new(int status, struct blob *body)
{
    struct msg_http_response *r = msg_new(HTTP_RESPONSE, sizeof(*r), response_drop);

    r->status = status;
    r->body = body;
    return r;
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
    case 503:
        return "service_unavailable";
    default:
        return "internal_server_error";
    }
}

struct msg_http_response *http_error_new(int status, const char *reason)
{
    RUNTIME_REGION();
    json_t *json = json_object();
    struct text t = {0};
    struct blob *body;

    json_add_text(json, "error", error_name(status));
    json_add_text(json, "reason", reason);
    text_add_json(&t, json);
    body = blob_copy(t.p, t.len);
    text_fini(&t);
    return http_response_new(status, body);
}
