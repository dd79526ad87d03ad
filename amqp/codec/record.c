#include "amqp/codec/record.h"

#include "amqp/codec/props.h"
#include "broker/runtime/alloc.h"

/* The memory of the record itself, a blob's apart: what is counted and uncounted for it. */
static int64_t own_size(const struct record *r)
{
    bool is_inline = r->head.body_len <= RECORD_INLINE_MAX;

    return (int64_t)(sizeof(*r) + record_front_len(r) + (is_inline ? r->head.body_len : 0));
}

/* Fills in what the head says of the properties. */
static void read_props(struct record *r)
{
    struct amqp_bytes props = record_props(r);
    struct amqp_bytes v;
    uint8_t mode;

    r->head.flags = 0;
    r->head.priority = 0;
    /* No property is set in the great majority of what a benchmark sends, and in much else. */
    if (props.len <= PROPS_EMPTY_LEN)
        return;
    if (props_delivery_mode(props, &mode) && mode == PROPS_PERSISTENT)
        r->head.flags |= RECORD_PERSISTENT;
    if (props_priority(props, &r->head.priority))
        r->head.flags |= RECORD_HAS_PRIORITY;
    if (props_find(props, PROP_EXPIRATION, &v))
        r->head.flags |= RECORD_HAS_EXPIRATION;
    if (props_find(props, PROP_HEADERS, &v))
        r->head.flags |= RECORD_HAS_HEADERS;
}

struct record *record_begin(const struct record_parts *parts, size_t body_len, uint8_t **ret_body)
{
    size_t front = (size_t)parts->exchange.len + parts->key.len + parts->props.len;
    bool is_inline = body_len <= RECORD_INLINE_MAX;
    struct record *r;
    uint8_t *p;

    if (parts->exchange.len > UINT8_MAX || parts->key.len > UINT8_MAX || body_len > RECORD_BODY_MAX)
        return NULL;
    r = rt_alloc(sizeof(*r) + front + (is_inline ? body_len : 0));
    atomic_init(&r->refs, 1);
    r->blob = NULL;
    r->head.exchange_len = (uint8_t)parts->exchange.len;
    r->head.key_len = (uint8_t)parts->key.len;
    r->head.props_len = parts->props.len;
    r->head.body_len = (uint32_t)body_len;
    p = put_bytes(r->bytes, parts->exchange);
    p = put_bytes(p, parts->key);
    p = put_bytes(p, parts->props);
    read_props(r);
    blob_count(own_size(r));
    *ret_body = is_inline ? p : NULL;
    return r;
}

uint8_t *record_make_room(struct record *r, size_t have, size_t room)
{
    struct blob *old = r->blob;
    uint8_t *body;

    r->blob = blob_new(room, &body);
    if (have > 0)
        memcpy(body, blob_bytes(old), have);
    blob_unref(old);
    return body;
}

struct record *record_new(const struct record_parts *parts, size_t body_len, uint8_t **ret_body)
{
    uint8_t *body = NULL;
    struct record *r = record_begin(parts, body_len, &body);

    if (r && !body)
        body = record_make_room(r, 0, body_len);
    if (ret_body)
        *ret_body = body;
    return r;
}

void record_unref(struct record *r)
{
    if (!r || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) > 1)
        return;
    blob_count(-own_size(r));
    blob_unref(r->blob);
    rt_free(r);
}

struct amqp_bytes record_expiration(const struct record *r)
{
    struct amqp_bytes v = {0};

    if (record_has_expiration(r))
        (void)props_find(record_props(r), PROP_EXPIRATION, &v); /* the flag says that it is there */
    return v;
}

struct amqp_bytes record_headers(const struct record *r)
{
    return record_has_headers(r) ? props_headers(record_props(r)) : amqp_bytes(NULL, 0);
}

void record_store(const struct record *r, uint8_t *out)
{
    struct amqp_bytes parts[2];

    record_stored_parts(r, parts);
    (void)put_bytes(put_bytes(out, parts[0]), parts[1]);
}

struct record *record_load(const uint8_t *bytes, size_t len)
{
    struct record_parts parts;
    struct record_head head;
    struct amqp_in in;
    struct record *r;
    uint8_t *body;

    if (len < sizeof(head) || len > UINT32_MAX)
        return NULL;
    memcpy(&head, bytes, sizeof(head));
    in = in_over(amqp_bytes(bytes + sizeof(head), len - sizeof(head)));
    if (!in_bytes(&in, head.exchange_len, &parts.exchange) ||
        !in_bytes(&in, head.key_len, &parts.key) || !in_bytes(&in, head.props_len, &parts.props) ||
        in_left(&in) != head.body_len || props_validate(parts.props) < 0)
        return NULL;
    r = record_new(&parts, head.body_len, &body);
    if (r)
        (void)put_bytes(body, amqp_bytes(in.p, in_left(&in)));
    return r;
}
