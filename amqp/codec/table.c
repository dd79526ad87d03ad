#include "amqp/codec/table.h"

/* The integer types: b B s u I i l L. */
static int read_integer(struct amqp_in *in, struct ftable_value *ret)
{
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;

    switch (ret->type) {
    case 'b':
    case 'B':
        if (!in_u8(in, &u8))
            return AMQP_ERR_TRUNCATED;
        ret->i = ret->type == 'b' ? (int8_t)u8 : u8;
        return 1;
    case 's':
    case 'u':
        if (!in_u16(in, &u16))
            return AMQP_ERR_TRUNCATED;
        ret->i = ret->type == 's' ? (int16_t)u16 : u16;
        return 1;
    case 'I':
    case 'i':
        if (!in_u32(in, &u32))
            return AMQP_ERR_TRUNCATED;
        ret->i = ret->type == 'I' ? (int64_t)(int32_t)u32 : (int64_t)u32;
        return 1;
    default:
        if (!in_u64(in, &u64))
            return AMQP_ERR_TRUNCATED;
        ret->i = (int64_t)u64;
        return 1;
    }
}

static int read_floating(struct amqp_in *in, struct ftable_value *ret)
{
    uint32_t u32;
    uint64_t u64;
    float f;

    if (ret->type == 'd') {
        if (!in_u64(in, &u64))
            return AMQP_ERR_TRUNCATED;
        memcpy(&ret->d, &u64, sizeof(ret->d));
        return 1;
    }
    if (!in_u32(in, &u32))
        return AMQP_ERR_TRUNCATED;
    memcpy(&f, &u32, sizeof(f));
    ret->d = (double)f;
    return 1;
}

static int read_value(struct amqp_in *in, struct ftable_value *ret)
{
    uint8_t octet;
    uint32_t u32;

    if (!in_u8(in, &octet))
        return AMQP_ERR_TRUNCATED;
    *ret = (struct ftable_value){.type = (char)octet};
    switch (ret->type) {
    case 'b':
    case 'B':
    case 's':
    case 'u':
    case 'I':
    case 'i':
    case 'l':
    case 'L':
        return read_integer(in, ret);
    case 'f':
    case 'd':
        return read_floating(in, ret);
    case 'S':
    case 'x':
    case 'A':
    case 'F':
        return in_longstr(in, &ret->bytes) ? 1 : AMQP_ERR_TRUNCATED;
    case 't':
        if (!in_u8(in, &octet))
            return AMQP_ERR_TRUNCATED;
        ret->b = octet != 0;
        return 1;
    case 'D':
        if (!in_u8(in, &ret->scale) || !in_u32(in, &u32))
            return AMQP_ERR_TRUNCATED;
        ret->i = (int32_t)u32;
        return 1;
    case 'T':
        return in_u64(in, &ret->seconds) ? 1 : AMQP_ERR_TRUNCATED;
    case 'V':
        return 1;
    default:
        return AMQP_ERR_TABLE_TYPE;
    }
}

int ftable_next(struct ftable_iter *it, struct amqp_bytes *ret_key, struct ftable_value *ret)
{
    if (!in_left(&it->in))
        return 0;
    if (!in_shortstr(&it->in, ret_key))
        return AMQP_ERR_TRUNCATED;
    return read_value(&it->in, ret);
}

int ftable_next_element(struct ftable_iter *it, struct ftable_value *ret)
{
    return in_left(&it->in) ? read_value(&it->in, ret) : 0;
}

static bool is_nest(const struct ftable_value *v)
{
    return v->type == 'F' || v->type == 'A';
}

int ftable_validate_bounded(struct amqp_bytes table, unsigned max_depth, size_t max_size)
{
    struct {
        const uint8_t *end;
        bool is_array;
    } levels[FTABLE_MAX_DEPTH]; /* what is open, the outermost first */
    struct amqp_in in = in_over(table);
    unsigned depth = 1;

    if (table.len > max_size)
        return AMQP_ERR_TABLE_SIZE;
    if (max_depth > FTABLE_MAX_DEPTH)
        max_depth = FTABLE_MAX_DEPTH;
    if (max_depth < depth)
        return AMQP_ERR_TABLE_DEPTH;
    levels[0].end = in.end;
    levels[0].is_array = false;
    for (;;) {
        struct ftable_value v;
        struct amqp_bytes key;
        int r;

        if (!in_left(&in)) {
            if (--depth == 0)
                return 0;
            in.end = levels[depth - 1].end;
            continue;
        }
        if (!levels[depth - 1].is_array && !in_shortstr(&in, &key))
            return AMQP_ERR_TRUNCATED;
        r = read_value(&in, &v);
        if (r < 0)
            return r;
        if (!is_nest(&v))
            continue;
        if (depth == max_depth)
            return AMQP_ERR_TABLE_DEPTH;
        /* Down into it; its end is where the parent goes on. */
        in = in_over(v.bytes);
        levels[depth].end = in.end;
        levels[depth].is_array = v.type == 'A';
        depth++;
    }
}

int ftable_validate(struct amqp_bytes table)
{
    return ftable_validate_bounded(table, FTABLE_MAX_DEPTH, FTABLE_MAX_SIZE);
}

int ftable_lookup_bytes(struct amqp_bytes table, struct amqp_bytes key, struct ftable_value *ret)
{
    struct ftable_iter it = ftable_begin(table);
    struct ftable_value v;
    struct amqp_bytes k;
    int r;

    while ((r = ftable_next(&it, &k, &v)) > 0)
        if (amqp_bytes_equal(k, key)) {
            *ret = v;
            return 1;
        }
    return r;
}

int ftable_lookup(struct amqp_bytes table, const char *key, struct ftable_value *ret)
{
    return ftable_lookup_bytes(table, amqp_str(key), ret);
}

bool ftable_is_int(const struct ftable_value *v)
{
    switch (v->type) {
    case 'b':
    case 'B':
    case 's':
    case 'u':
    case 'I':
    case 'i':
    case 'l':
    case 'L':
        return true;
    default:
        return false;
    }
}

int ftable_get_int(struct amqp_bytes table, const char *key, int64_t *ret)
{
    struct ftable_value v;
    int r = ftable_lookup(table, key, &v);

    if (r <= 0)
        return r;
    if (!ftable_is_int(&v))
        return AMQP_ERR_WRONG_TYPE;
    *ret = v.i;
    return 1;
}

int ftable_get_bool(struct amqp_bytes table, const char *key, bool *ret)
{
    struct ftable_value v;
    int r = ftable_lookup(table, key, &v);

    if (r <= 0)
        return r;
    if (v.type != 't')
        return AMQP_ERR_WRONG_TYPE;
    *ret = v.b;
    return 1;
}

static int get_contents(struct amqp_bytes table, const char *key, char type, struct amqp_bytes *ret)
{
    struct ftable_value v;
    int r = ftable_lookup(table, key, &v);

    if (r <= 0)
        return r;
    if (v.type != type)
        return AMQP_ERR_WRONG_TYPE;
    *ret = v.bytes;
    return 1;
}

int ftable_get_string(struct amqp_bytes table, const char *key, struct amqp_bytes *ret)
{
    return get_contents(table, key, 'S', ret);
}

int ftable_get_table(struct amqp_bytes table, const char *key, struct amqp_bytes *ret)
{
    return get_contents(table, key, 'F', ret);
}

int ftable_get_array(struct amqp_bytes table, const char *key, struct amqp_bytes *ret)
{
    return get_contents(table, key, 'A', ret);
}
