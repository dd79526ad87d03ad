/*
 * What a request says: its path, query and body, checked and decoded.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "amqp/codec/bytes.h"
#include "broker/core/log.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/region.h"
#include "mgmt/request.h"

const char *request_segment(struct request *r, unsigned i)
{
    const struct path_segment *s = &r->path.segment[i];

    CHECK(i < r->path.n);
    if (memchr(s->p, '\0', s->len))
        request_fail_not_found(r);
    return s->p;
}

const char *request_who(const struct request *r, char out[REQUEST_WHO_SIZE])
{
    char user[300];

    snprintf(out, REQUEST_WHO_SIZE, "user '%s' from %s",
             log_quote(user, sizeof(user), r->user, strlen(r->user)), r->m->peer);
    return out;
}

const char *request_param(struct request *r, const char *name)
{
    size_t len;
    const char *raw = query_find(r->m->query, name, &len);
    char *value;
    size_t n;

    if (!raw)
        return NULL;
    value = proc_alloc(len + 1);
    n = query_decode(raw, len, value);
    if (memchr(value, '\0', n) || !amqp_is_utf8(amqp_bytes(value, n)))
        request_fail(r, 400, "a parameter of the query is no text");
    return value;
}

bool request_param_is_true(struct request *r, const char *name)
{
    const char *value = request_param(r, name);

    return value && !strcmp(value, "true");
}

int64_t request_param_int(struct request *r, const char *name, int64_t otherwise)
{
    const char *value = request_param(r, name);
    char *end;
    int64_t ret;

    if (!value)
        return otherwise;
    errno = 0;
    ret = strtoll(value, &end, 10);
    if (end == value || *end || errno || *value == ' ' || *value == '+')
        request_fail(r, 400, "a parameter of the query is not a whole number");
    return ret;
}

/* NULL: not JSON. */
static json_t *parse(const struct blob *body)
{
    RUNTIME_REGION();

    if (!body)
        return json_object();
    return json_loadb((const char *)blob_bytes(body), blob_size(body), JSON_REJECT_DUPLICATES,
                      NULL);
}

const json_t *request_body(struct request *r)
{
    struct foreign *f = r->foreign;

    if (!f->body)
        f->body = parse(r->m->body);
    if (!f->body || !json_is_object(f->body))
        request_fail(r, 400, "not_json"); /* RabbitMQ's words, of both */
    return f->body;
}

static __attribute__((noreturn)) void fail_type(struct request *r, const char *key,
                                                const char *type)
{
    char text[128];

    snprintf(text, sizeof(text), "'%s' in the body is not %s", key, type);
    request_fail(r, 400, text);
}

const char *request_body_text(struct request *r, const char *key)
{
    const json_t *value = json_object_get(request_body(r), key);

    if (!value || json_is_null(value))
        return NULL;
    if (!json_is_string(value))
        fail_type(r, key, "a text");
    return json_string_value(value);
}

bool request_body_bool(struct request *r, const char *key, bool otherwise)
{
    const json_t *value = json_object_get(request_body(r), key);

    if (!value || json_is_null(value))
        return otherwise;
    if (json_is_boolean(value))
        return json_is_true(value);
    if (json_is_string(value)) { /* as rabbitmqadmin and forms of pages send them */
        if (!strcmp(json_string_value(value), "true"))
            return true;
        if (!strcmp(json_string_value(value), "false"))
            return false;
    }
    fail_type(r, key, "true or false");
}
