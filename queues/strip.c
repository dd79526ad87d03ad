/*
 * Taking a header out of a message: properties are written anew, the body is copied.
 */
#include "queues/strip.h"

#include "amqp/codec/props.h"
#include "amqp/codec/record.h"
#include "amqp/codec/table.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/region.h"

/* Writes all entries but those of that name, which leaves no more than there were. */
static struct amqp_bytes without(struct amqp_bytes table, const char *header, uint8_t *to)
{
    struct ftable_iter it = ftable_begin(table);
    const uint8_t *from = it.in.p;
    struct amqp_bytes key;
    struct ftable_value v;
    uint8_t *at = to;

    while (ftable_next(&it, &key, &v) == 1) {
        if (!amqp_bytes_is(key, header))
            at = put_bytes(at, amqp_bytes(from, (size_t)(it.in.p - from)));
        from = it.in.p;
    }
    return amqp_bytes(to, (size_t)(at - to));
}

static struct record *strip(const struct record *r, const char *header, uint8_t *buf)
{
    struct amqp_bytes old = record_props(r), body = record_body(r);
    struct record_parts parts = {.exchange = record_exchange(r), .key = record_key(r)};
    struct amqp_props props;
    struct record *made;
    uint8_t *to;
    ssize_t n;

    if (props_decode(old, &props) < 0)
        return NULL;
    props.headers = without(props.headers, header, buf);
    n = props_encode(&props, buf + old.len, old.len);
    if (n < 0)
        return NULL;
    parts.props = amqp_bytes(buf + old.len, (size_t)n);
    made = record_new(&parts, body.len, &to);
    if (made && body.len > 0)
        (void)put_bytes(to, body);
    return made;
}

struct record *record_strip(const struct record *r, const char *header)
{
    RUNTIME_REGION();
    uint8_t *buf = rt_alloc(2 * (size_t)record_props(r).len + 1);
    struct record *made = strip(r, header, buf);

    rt_free(buf);
    return made;
}
