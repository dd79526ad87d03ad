/*
 * Message properties as JSON, and back.
 */
#include "mgmt/props_json.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>

#include "amqp/codec/props.h"
#include "amqp/codec/table.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/region.h"
#include "mgmt/json.h"
#include "queues/table_json.h"

enum form { FORM_TEXT, FORM_OCTET, FORM_SECONDS, FORM_TABLE };

struct field {
    const char *name;
    enum form form;
    size_t offset; /* in struct amqp_props */
};

#define FIELD(MEMBER) offsetof(struct amqp_props, MEMBER)

static const struct field fields[PROP_COUNT] = {
    [PROP_CONTENT_TYPE] = {"content_type", FORM_TEXT, FIELD(content_type)},
    [PROP_CONTENT_ENCODING] = {"content_encoding", FORM_TEXT, FIELD(content_encoding)},
    [PROP_HEADERS] = {"headers", FORM_TABLE, FIELD(headers)},
    [PROP_DELIVERY_MODE] = {"delivery_mode", FORM_OCTET, FIELD(delivery_mode)},
    [PROP_PRIORITY] = {"priority", FORM_OCTET, FIELD(priority)},
    [PROP_CORRELATION_ID] = {"correlation_id", FORM_TEXT, FIELD(correlation_id)},
    [PROP_REPLY_TO] = {"reply_to", FORM_TEXT, FIELD(reply_to)},
    [PROP_EXPIRATION] = {"expiration", FORM_TEXT, FIELD(expiration)},
    [PROP_MESSAGE_ID] = {"message_id", FORM_TEXT, FIELD(message_id)},
    [PROP_TIMESTAMP] = {"timestamp", FORM_SECONDS, FIELD(timestamp)},
    [PROP_TYPE] = {"type", FORM_TEXT, FIELD(type)},
    [PROP_USER_ID] = {"user_id", FORM_TEXT, FIELD(user_id)},
    [PROP_APP_ID] = {"app_id", FORM_TEXT, FIELD(app_id)},
    [PROP_CLUSTER_ID] = {"cluster_id", FORM_TEXT, FIELD(cluster_id)},
};

static json_t *field_json(const struct field *f, const struct amqp_props *props)
{
    const void *at = (const char *)props + f->offset;
    struct amqp_bytes bytes;

    switch (f->form) {
    case FORM_OCTET:
        return json_count(*(const uint8_t *)at);
    case FORM_SECONDS:
        return json_count(*(const uint64_t *)at);
    default:
        bytes = *(const struct amqp_bytes *)at;
        return f->form == FORM_TABLE ? json_ftable(bytes) : json_text(bytes.p, bytes.len);
    }
}

json_t *props_json(struct amqp_bytes props)
{
    RUNTIME_REGION();
    struct amqp_props decoded;
    json_t *ret = json_object();

    if (props_decode(props, &decoded) < 0)
        return ret;
    for (int i = 0; i < PROP_COUNT; i++) {
        if (decoded.flags & prop_flag((enum amqp_prop)i))
            json_add(ret, fields[i].name, field_json(&fields[i], &decoded));
    }
    return ret;
}

/* What is being made of an object. */
struct making {
    struct amqp_props props;
    uint8_t *headers; /* of rt_alloc */
    char *text;
    size_t size;
};

static int refuse(struct making *m, const struct field *f, const char *what)
{
    snprintf(m->text, m->size, "property '%s' is not %s", f->name, what);
    return -EINVAL;
}

static int take_text(struct making *m, const struct field *f, const json_t *v)
{
    struct amqp_bytes *to = (struct amqp_bytes *)(void *)((char *)&m->props + f->offset);

    if (!json_is_string(v) || json_string_length(v) > 255)
        return refuse(m, f, "a text of at most 255 bytes");
    *to = amqp_bytes(json_string_value(v), json_string_length(v));
    return 0;
}

static int take_number(struct making *m, const struct field *f, const json_t *v)
{
    void *to = (char *)&m->props + f->offset;
    json_int_t n = json_integer_value(v);

    if (!json_is_integer(v) || n < 0 || (f->form == FORM_OCTET && n > UINT8_MAX))
        return refuse(m, f, f->form == FORM_OCTET ? "a number from 0 to 255" : "a whole number");
    if (f->form == FORM_OCTET)
        *(uint8_t *)to = (uint8_t)n;
    else
        *(uint64_t *)to = (uint64_t)n;
    return 0;
}

static int take_table(struct making *m, const struct field *f, const json_t *v)
{
    ssize_t size;

    if (!json_is_object(v) && !(json_is_array(v) && json_array_size(v) == 0))
        return refuse(m, f, "an object");
    size = table_of_json(v, NULL, 0);
    if (size < 0)
        return refuse(m, f, "a table of headers");
    m->headers = rt_alloc((size_t)size + 1);
    (void)table_of_json(v, m->headers, (size_t)size); /* as many bytes as were asked for */
    m->props.headers = amqp_bytes(m->headers, (size_t)size);
    return 0;
}

static int take_field(struct making *m, enum amqp_prop which, const json_t *v)
{
    const struct field *f = &fields[which];
    int r;

    if (!v || json_is_null(v))
        return 0;
    if (f->form == FORM_TEXT)
        r = take_text(m, f, v);
    else
        r = f->form == FORM_TABLE ? take_table(m, f, v) : take_number(m, f, v);
    m->props.flags |= prop_flag(which);
    return r;
}

int props_of_json(const json_t *object, struct props_bytes *ret, char *ret_text, size_t size)
{
    struct making m = {.text = ret_text, .size = size};
    ssize_t n;
    int r = 0;

    for (int i = 0; i < PROP_COUNT && r == 0; i++)
        r = take_field(&m, (enum amqp_prop)i, json_object_get(object, fields[i].name));
    if (r == 0) {
        n = props_encoded_size(&m.props); /* no text is too long */
        ret->p = rt_alloc((size_t)n);
        ret->len = (size_t)props_encode(&m.props, ret->p, (size_t)n);
    }
    rt_free(m.headers);
    return r;
}

json_t *json_base64(const void *bytes, size_t len)
{
    RUNTIME_REGION();
    char *text = rt_alloc(len / 3 * 4 + 5);
    int n = EVP_EncodeBlock((unsigned char *)text, bytes, (int)len);
    json_t *ret = json_stringn_nocheck(text, (size_t)n);

    rt_free(text);
    return ret;
}
