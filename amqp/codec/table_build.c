#include "amqp/codec/table.h"

void ftable_build(struct ftable_builder *b, uint8_t *buf, size_t cap)
{
    b->buf = buf;
    b->cap = cap;
    b->len = 0;
    b->error = 0;
    b->depth = 0;
    b->arrays = 0;
}

/* Counts n bytes; where they go, or NULL when they do not fit. As len only grows, once is for good.
 */
static uint8_t *take(struct ftable_builder *b, size_t n)
{
    size_t at = b->len;

    b->len += n;
    return b->len <= b->cap ? b->buf + at : NULL;
}

static void mistake(struct ftable_builder *b, int error)
{
    if (!b->error)
        b->error = error;
}

static void add_key(struct ftable_builder *b, const struct amqp_bytes *key)
{
    bool in_array = b->depth && b->arrays >> (b->depth - 1) & 1;
    uint8_t *p;

    if (in_array == (key != NULL))
        mistake(b, AMQP_ERR_WRONG_TYPE);
    if (!key)
        return;
    if (key->len > UINT8_MAX) {
        mistake(b, AMQP_ERR_SHORTSTR);
        return;
    }
    p = take(b, 1 + (size_t)key->len);
    if (p)
        (void)put_shortstr(p, *key);
}

/* A type letter and, behind it, n octets of v in network order. */
static void add_number(struct ftable_builder *b, char type, uint64_t v, size_t n)
{
    uint8_t *p = take(b, 1 + n);

    if (!p)
        return;
    p = put_u8(p, (uint8_t)type);
    while (n-- > 0)
        p = put_u8(p, (uint8_t)(v >> (8 * n)));
}

static void add_contents(struct ftable_builder *b, char type, struct amqp_bytes contents)
{
    uint8_t *p = take(b, 5 + (size_t)contents.len);

    if (p)
        (void)put_longstr(put_u8(p, (uint8_t)type), contents);
}

static void add_floating(struct ftable_builder *b, const struct ftable_value *v)
{
    float f = (float)v->d;
    uint32_t u32;
    uint64_t u64;

    memcpy(&u32, &f, sizeof(u32));
    memcpy(&u64, &v->d, sizeof(u64));
    if (v->type == 'f')
        add_number(b, 'f', u32, 4);
    else
        add_number(b, 'd', u64, 8);
}

static void add_value(struct ftable_builder *b, const struct ftable_value *v)
{
    switch (v->type) {
    case 'b':
    case 'B':
        add_number(b, v->type, (uint64_t)v->i, 1);
        break;
    case 's':
    case 'u':
        add_number(b, v->type, (uint64_t)v->i, 2);
        break;
    case 'I':
    case 'i':
        add_number(b, v->type, (uint64_t)v->i, 4);
        break;
    case 'l':
    case 'L':
        add_number(b, 'l', (uint64_t)v->i, 8);
        break;
    case 'f':
    case 'd':
        add_floating(b, v);
        break;
    case 'D':
        add_number(b, 'D', (uint64_t)v->scale << 32 | (uint32_t)v->i, 5);
        break;
    case 'T':
        add_number(b, 'T', v->seconds, 8);
        break;
    case 't':
        add_number(b, 't', v->b, 1);
        break;
    case 'V':
        add_number(b, 'V', 0, 0);
        break;
    case 'S':
    case 'x':
    case 'A':
    case 'F':
        add_contents(b, v->type, v->bytes);
        break;
    default:
        mistake(b, AMQP_ERR_TABLE_TYPE);
        break;
    }
}

void ftable_put(struct ftable_builder *b, const char *key, const struct ftable_value *v)
{
    struct amqp_bytes k = key ? amqp_str(key) : amqp_bytes(NULL, 0);

    add_key(b, key ? &k : NULL);
    add_value(b, v);
}

void ftable_put_entry(struct ftable_builder *b, struct amqp_bytes key, const struct ftable_value *v)
{
    add_key(b, &key);
    add_value(b, v);
}

void ftable_put_bool(struct ftable_builder *b, const char *key, bool v)
{
    ftable_put(b, key, &(struct ftable_value){.type = 't', .b = v});
}

void ftable_put_int(struct ftable_builder *b, const char *key, int64_t v)
{
    ftable_put(b, key, &(struct ftable_value){.type = 'l', .i = v});
}

void ftable_put_double(struct ftable_builder *b, const char *key, double v)
{
    ftable_put(b, key, &(struct ftable_value){.type = 'd', .d = v});
}

void ftable_put_seconds(struct ftable_builder *b, const char *key, uint64_t v)
{
    ftable_put(b, key, &(struct ftable_value){.type = 'T', .seconds = v});
}

void ftable_put_void(struct ftable_builder *b, const char *key)
{
    ftable_put(b, key, &(struct ftable_value){.type = 'V'});
}

void ftable_put_bytes(struct ftable_builder *b, const char *key, struct amqp_bytes v)
{
    ftable_put(b, key, &(struct ftable_value){.type = 'S', .bytes = v});
}

void ftable_put_string(struct ftable_builder *b, const char *key, const char *v)
{
    ftable_put_bytes(b, key, amqp_str(v));
}

static void open_nest(struct ftable_builder *b, const char *key, char type)
{
    uint64_t bit = UINT64_C(1) << (b->depth & 63);

    /* The outermost table is a level too. */
    if (b->depth + 1 == FTABLE_MAX_DEPTH) {
        mistake(b, AMQP_ERR_TABLE_DEPTH);
        return;
    }
    ftable_put(b, key, &(struct ftable_value){.type = type});
    b->open[b->depth] = b->len - 4; /* its length, which the end fills in */
    b->arrays = type == 'A' ? b->arrays | bit : b->arrays & ~bit;
    b->depth++;
}

void ftable_open_table(struct ftable_builder *b, const char *key)
{
    open_nest(b, key, 'F');
}

void ftable_open_array(struct ftable_builder *b, const char *key)
{
    open_nest(b, key, 'A');
}

void ftable_end(struct ftable_builder *b)
{
    size_t at;

    if (b->depth == 0) {
        mistake(b, AMQP_ERR_TABLE_DEPTH);
        return;
    }
    at = b->open[--b->depth];
    if (b->len <= b->cap)
        (void)put_u32(b->buf + at, (uint32_t)(b->len - at - 4));
}

int ftable_finish(struct ftable_builder *b, struct amqp_bytes *ret)
{
    if (b->depth)
        mistake(b, AMQP_ERR_TABLE_DEPTH);
    if (b->error)
        return b->error;
    if (b->len > b->cap)
        return AMQP_ERR_NO_ROOM;
    *ret = amqp_bytes(b->buf, b->len);
    return 0;
}
