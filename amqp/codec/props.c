#include "amqp/codec/props.h"

#include "amqp/codec/table.h"

enum prop_kind { KIND_STRING, KIND_TABLE, KIND_OCTET, KIND_LONGLONG };

/* What each property is on the wire, and where props_decode puts it. */
static const struct {
    enum prop_kind kind;
    size_t offset;
} layout[PROP_COUNT] = {
    [PROP_CONTENT_TYPE] = {KIND_STRING, offsetof(struct amqp_props, content_type)},
    [PROP_CONTENT_ENCODING] = {KIND_STRING, offsetof(struct amqp_props, content_encoding)},
    [PROP_HEADERS] = {KIND_TABLE, offsetof(struct amqp_props, headers)},
    [PROP_DELIVERY_MODE] = {KIND_OCTET, offsetof(struct amqp_props, delivery_mode)},
    [PROP_PRIORITY] = {KIND_OCTET, offsetof(struct amqp_props, priority)},
    [PROP_CORRELATION_ID] = {KIND_STRING, offsetof(struct amqp_props, correlation_id)},
    [PROP_REPLY_TO] = {KIND_STRING, offsetof(struct amqp_props, reply_to)},
    [PROP_EXPIRATION] = {KIND_STRING, offsetof(struct amqp_props, expiration)},
    [PROP_MESSAGE_ID] = {KIND_STRING, offsetof(struct amqp_props, message_id)},
    [PROP_TIMESTAMP] = {KIND_LONGLONG, offsetof(struct amqp_props, timestamp)},
    [PROP_TYPE] = {KIND_STRING, offsetof(struct amqp_props, type)},
    [PROP_USER_ID] = {KIND_STRING, offsetof(struct amqp_props, user_id)},
    [PROP_APP_ID] = {KIND_STRING, offsetof(struct amqp_props, app_id)},
    [PROP_CLUSTER_ID] = {KIND_STRING, offsetof(struct amqp_props, cluster_id)},
};

enum { FLAG_MORE = 1, FLAG_UNDEFINED = 2, FLAGS_DEFINED = 0xfffc };

/* All flag words; of later ones it only matters whether they announce anything. */
static bool read_flags(struct amqp_in *in, uint16_t *ret, bool *ret_has_undefined)
{
    uint16_t first, word;
    bool has_undefined;

    if (!in_u16(in, &first))
        return false;
    has_undefined = first & FLAG_UNDEFINED;
    for (word = first; word & FLAG_MORE;) {
        if (!in_u16(in, &word))
            return false;
        has_undefined |= (word & ~FLAG_MORE) != 0;
    }
    *ret = first & FLAGS_DEFINED;
    *ret_has_undefined = has_undefined;
    return true;
}

static bool read_value(struct amqp_in *in, enum amqp_prop prop, struct amqp_bytes *ret)
{
    switch (layout[prop].kind) {
    case KIND_STRING:
        return in_shortstr(in, ret);
    case KIND_TABLE:
        return in_longstr(in, ret);
    case KIND_OCTET:
        return in_bytes(in, 1, ret);
    default:
        return in_bytes(in, 8, ret);
    }
}

int props_validate(struct amqp_bytes props)
{
    struct amqp_in in = in_over(props);
    struct amqp_bytes v;
    bool has_undefined;
    uint16_t flags;

    if (!read_flags(&in, &flags, &has_undefined))
        return AMQP_ERR_TRUNCATED;
    for (unsigned i = 0; i < PROP_COUNT; i++) {
        if (!(flags & prop_flag(i)))
            continue;
        if (!read_value(&in, i, &v))
            return AMQP_ERR_TRUNCATED;
        if (i == PROP_HEADERS) {
            int r = ftable_validate(v);

            if (r < 0)
                return r;
        }
    }
    return in_left(&in) && !has_undefined ? AMQP_ERR_TRAILING : 0;
}

bool props_find(struct amqp_bytes props, enum amqp_prop prop, struct amqp_bytes *ret)
{
    struct amqp_in in = in_over(props);
    struct amqp_bytes v = {0};
    bool has_undefined;
    uint16_t flags;

    if (!read_flags(&in, &flags, &has_undefined) || !(flags & prop_flag(prop)))
        return false;
    for (unsigned i = 0; i <= prop; i++)
        if (flags & prop_flag(i) && !read_value(&in, i, &v))
            return false;
    *ret = v;
    return true;
}

static bool find_octet(struct amqp_bytes props, enum amqp_prop prop, uint8_t *ret)
{
    struct amqp_bytes v;

    if (!props_find(props, prop, &v))
        return false;
    *ret = v.p[0];
    return true;
}

bool props_delivery_mode(struct amqp_bytes props, uint8_t *ret)
{
    return find_octet(props, PROP_DELIVERY_MODE, ret);
}

bool props_priority(struct amqp_bytes props, uint8_t *ret)
{
    return find_octet(props, PROP_PRIORITY, ret);
}

bool props_timestamp(struct amqp_bytes props, uint64_t *ret)
{
    struct amqp_bytes v;

    if (!props_find(props, PROP_TIMESTAMP, &v))
        return false;
    *ret = get_u64(v.p);
    return true;
}

struct amqp_bytes props_headers(struct amqp_bytes props)
{
    struct amqp_bytes v = {0};

    (void)props_find(props, PROP_HEADERS, &v); /* not set: stays empty */
    return v;
}

int props_parse_expiration(struct amqp_bytes expiration, uint64_t *ret_ms)
{
    uint64_t ms = 0;

    if (expiration.len == 0)
        return AMQP_ERR_WRONG_TYPE;
    for (uint32_t i = 0; i < expiration.len; i++) {
        unsigned digit = (unsigned)expiration.p[i] - '0';

        if (digit > 9 || __builtin_mul_overflow(ms, UINT64_C(10), &ms) ||
            __builtin_add_overflow(ms, digit, &ms))
            return AMQP_ERR_WRONG_TYPE;
    }
    *ret_ms = ms;
    return 0;
}

static void set_field(struct amqp_props *p, unsigned prop, struct amqp_bytes v)
{
    uint8_t *field = (uint8_t *)p + layout[prop].offset;
    uint64_t number;

    switch (layout[prop].kind) {
    case KIND_OCTET:
        *field = v.p[0];
        break;
    case KIND_LONGLONG:
        number = get_u64(v.p);
        memcpy(field, &number, sizeof(number));
        break;
    default:
        memcpy(field, &v, sizeof(v));
        break;
    }
}

int props_decode(struct amqp_bytes props, struct amqp_props *ret)
{
    struct amqp_in in = in_over(props);
    struct amqp_props p = {0};
    struct amqp_bytes v;
    bool has_undefined;

    if (!read_flags(&in, &p.flags, &has_undefined))
        return AMQP_ERR_TRUNCATED;
    for (unsigned i = 0; i < PROP_COUNT; i++) {
        if (!(p.flags & prop_flag(i)))
            continue;
        if (!read_value(&in, i, &v))
            return AMQP_ERR_TRUNCATED;
        set_field(&p, i, v);
    }
    if (in_left(&in) && !has_undefined)
        return AMQP_ERR_TRAILING;
    *ret = p;
    return 0;
}

/* The string or table of that property. */
static struct amqp_bytes get_bytes(const struct amqp_props *p, unsigned prop)
{
    struct amqp_bytes v;

    memcpy(&v, (const uint8_t *)p + layout[prop].offset, sizeof(v));
    return v;
}

ssize_t props_encoded_size(const struct amqp_props *p)
{
    ssize_t size = PROPS_EMPTY_LEN;

    for (unsigned i = 0; i < PROP_COUNT; i++) {
        if (!(p->flags & prop_flag(i)))
            continue;
        switch (layout[i].kind) {
        case KIND_STRING:
            if (get_bytes(p, i).len > UINT8_MAX)
                return AMQP_ERR_SHORTSTR;
            size += 1 + (ssize_t)get_bytes(p, i).len;
            break;
        case KIND_TABLE:
            size += 4 + (ssize_t)get_bytes(p, i).len;
            break;
        case KIND_OCTET:
            size += 1;
            break;
        default:
            size += 8;
            break;
        }
    }
    return size;
}

static uint8_t *put_value(uint8_t *out, const struct amqp_props *p, unsigned prop)
{
    switch (layout[prop].kind) {
    case KIND_STRING:
        return put_shortstr(out, get_bytes(p, prop));
    case KIND_TABLE:
        return put_longstr(out, get_bytes(p, prop));
    case KIND_OCTET:
        return put_u8(out, *((const uint8_t *)p + layout[prop].offset));
    default:
        return put_u64(out, p->timestamp);
    }
}

ssize_t props_encode(const struct amqp_props *p, uint8_t *out, size_t cap)
{
    ssize_t size = props_encoded_size(p);

    if (size < 0)
        return size;
    if ((size_t)size > cap)
        return AMQP_ERR_NO_ROOM;
    out = put_u16(out, p->flags & FLAGS_DEFINED);
    for (unsigned i = 0; i < PROP_COUNT; i++)
        if (p->flags & prop_flag(i))
            out = put_value(out, p, i);
    return size;
}
