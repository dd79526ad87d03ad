/*
 * Field tables in RabbitMQ's dialect: reading where they lie, comparing, building. Pure; nothing
 * here allocates. A table is a lent view of its contents, without the four octets of length before
 * it; arrays and nested tables likewise.
 *
 *   t bool   b i8  B u8  s i16  u u16  I i32  i u32  l i64  L i64  f float  d double
 *   D decimal (u8 scale, i32)   S string   x bytes   T u64 seconds   A array   F table   V void
 *
 * Every reader here is safe on bytes from outside that nobody has validated: it tells of damage
 * where it meets it. Keys may be repeated; the first counts.
 */
#ifndef AMQP_CODEC_TABLE_H
#define AMQP_CODEC_TABLE_H

#include "amqp/codec/bytes.h"

enum {
    FTABLE_MAX_DEPTH = 64, /* tables and arrays inside one another, the outermost included */
    FTABLE_MAX_SIZE = 1024 * 1024, /* bytes of a table's contents */
    FTABLE_MAX_UNORDERED = 128,    /* entries that ftable_equal compares in any order */
};

/* One value. `type` is the letter that came on the wire and says which of the others is set. */
struct ftable_value {
    char type;
    uint8_t scale; /* D: digits of i after the point */
    union {
        bool b;                  /* t */
        int64_t i;               /* b B s u I i l L, D (unscaled) */
        uint64_t seconds;        /* T */
        double d;                /* f d */
        struct amqp_bytes bytes; /* S x A F: the contents */
    };
};

/* Walks a table or an array, which stays lent meanwhile. */
struct ftable_iter {
    struct amqp_in in;
};

static inline struct ftable_iter ftable_begin(struct amqp_bytes contents)
{
    return (struct ftable_iter){.in = in_over(contents)};
}

/* The next entry of a table: 1, 0 at the end, AMQP_ERR_TRUNCATED or AMQP_ERR_TABLE_TYPE. */
int ftable_next(struct ftable_iter *it, struct amqp_bytes *ret_key, struct ftable_value *ret);

/* The next element of an array: 1, 0 at the end, or an error of ftable_next. */
int ftable_next_element(struct ftable_iter *it, struct ftable_value *ret);

/*
 * Walks the whole table, nested ones too: 0, AMQP_ERR_TRUNCATED, AMQP_ERR_TABLE_TYPE,
 * AMQP_ERR_TABLE_DEPTH over FTABLE_MAX_DEPTH, AMQP_ERR_TABLE_SIZE over FTABLE_MAX_SIZE. The empty
 * table is valid.
 */
int ftable_validate(struct amqp_bytes table);

/* The same with limits of the caller's; max_depth is capped at FTABLE_MAX_DEPTH. */
int ftable_validate_bounded(struct amqp_bytes table, unsigned max_depth, size_t max_size);

/* The value of the first entry with that key: 1, 0 when there is none, or an error of ftable_next.
 */
int ftable_lookup(struct amqp_bytes table, const char *key, struct ftable_value *ret);
int ftable_lookup_bytes(struct amqp_bytes table, struct amqp_bytes key, struct ftable_value *ret);

/*
 * ftable_lookup for one kind of value: 1, 0 when the key is not there, AMQP_ERR_WRONG_TYPE when its
 * value is of another kind, or an error of ftable_next. ret is written only at 1. ftable_get_int
 * takes every integer type (b B s u I i l L); ftable_get_string takes S.
 */
int ftable_get_int(struct amqp_bytes table, const char *key, int64_t *ret);
int ftable_get_bool(struct amqp_bytes table, const char *key, bool *ret);
int ftable_get_string(struct amqp_bytes table, const char *key, struct amqp_bytes *ret);
int ftable_get_table(struct amqp_bytes table, const char *key, struct amqp_bytes *ret);
int ftable_get_array(struct amqp_bytes table, const char *key, struct amqp_bytes *ret);

/* Whether the value is of an integer type. */
bool ftable_is_int(const struct ftable_value *v);

/*
 * Whether two values are equivalent: integers and decimals by number whatever their width, float
 * and double by number, every other type only with itself and by contents. 1000 (l) is 1000 (s) and
 * 10.00 (D) is 10, but 1000.0 is not 1000. NaN is equivalent to NaN. Damaged tables and those
 * nested over FTABLE_MAX_DEPTH are equivalent to nothing.
 */
bool ftable_value_equal(const struct ftable_value *a, const struct ftable_value *b);

/*
 * Whether two tables have the same keys with equivalent values, in any order, repeated keys
 * counting once. Tables of more than FTABLE_MAX_UNORDERED entries must have them in the same order,
 * so that no client can buy a long comparison with a short frame.
 */
bool ftable_equal(struct amqp_bytes a, struct amqp_bytes b);

/*
 * Builds a table in a buffer of the caller's. When it does not fit, nothing more is
 * written but `len` goes on counting, so that the caller can grow the buffer and build again; buf
 * may be NULL with cap 0 to measure. Mistakes of the caller are remembered, and the first is told
 * at the finish.
 */
struct ftable_builder {
    uint8_t *buf;
    size_t cap;
    size_t len;                        /* bytes so far, written or not */
    int error;                         /* first mistake */
    unsigned depth;                    /* open nested tables and arrays */
    uint64_t arrays;                   /* bit n: the one opened at depth n is an array */
    size_t open[FTABLE_MAX_DEPTH - 1]; /* where each one's length stands */
};

void ftable_build(struct ftable_builder *b, uint8_t *buf, size_t cap);

/*
 * Each adds one entry; key is NULL inside an array, and only there. Everything passed is lent.
 * ftable_put_int writes type l. ftable_put copies a value of any type, contents of A and F as they
 * are.
 */
void ftable_put(struct ftable_builder *b, const char *key, const struct ftable_value *v);
void ftable_put_bool(struct ftable_builder *b, const char *key, bool v);
void ftable_put_int(struct ftable_builder *b, const char *key, int64_t v);
void ftable_put_double(struct ftable_builder *b, const char *key, double v);
void ftable_put_seconds(struct ftable_builder *b, const char *key, uint64_t v);
void ftable_put_void(struct ftable_builder *b, const char *key);
void ftable_put_bytes(struct ftable_builder *b, const char *key, struct amqp_bytes v); /* S */
void ftable_put_string(struct ftable_builder *b, const char *key, const char *v);      /* S */

/* ftable_put with a key that is not a C string. */
void ftable_put_entry(struct ftable_builder *b, struct amqp_bytes key,
                      const struct ftable_value *v);

/* Opens a nested table or array; what is added until the matching end goes into it. */
void ftable_open_table(struct ftable_builder *b, const char *key);
void ftable_open_array(struct ftable_builder *b, const char *key);
void ftable_end(struct ftable_builder *b);

/*
 * The contents, a view of the caller's buffer: 0, AMQP_ERR_NO_ROOM (b->len says how much it takes),
 * AMQP_ERR_SHORTSTR for a key too long, AMQP_ERR_TABLE_DEPTH for nesting too deep or unbalanced,
 * AMQP_ERR_WRONG_TYPE for a key in an array or none in a table, AMQP_ERR_TABLE_TYPE for a value of
 * no type.
 */
int ftable_finish(struct ftable_builder *b, struct amqp_bytes *ret);

#endif
