/*
 * Equivalence of field tables. Each value is compared once at most, however deeply it is nested: a
 * comparison that tried one order and then another would double its work with each level, and the
 * bytes are a client's.
 */
#include "amqp/codec/table.h"

static bool nest_equal(const struct ftable_value *a, const struct ftable_value *b, unsigned depth);

/* Integers and decimals are 'i', both floating types 'd', every other type itself. */
static char class_of(const struct ftable_value *v)
{
    if (ftable_is_int(v) || v->type == 'D')
        return 'i';
    return v->type == 'f' ? 'd' : v->type;
}

/* Takes the zeros off the end of the fraction, so that equal numbers look alike. */
static void normalise(const struct ftable_value *v, int64_t *ret_unscaled, unsigned *ret_scale)
{
    int64_t unscaled = v->i;
    unsigned scale = v->type == 'D' ? v->scale : 0;

    while (scale > 0 && unscaled % 10 == 0) {
        if (unscaled == 0)
            scale = 1;
        unscaled /= 10;
        scale--;
    }
    *ret_unscaled = unscaled;
    *ret_scale = scale;
}

static bool number_equal(const struct ftable_value *a, const struct ftable_value *b)
{
    int64_t ua, ub;
    unsigned sa, sb;

    normalise(a, &ua, &sa);
    normalise(b, &ub, &sb);
    return ua == ub && sa == sb;
}

static bool value_equal(const struct ftable_value *a, const struct ftable_value *b, unsigned depth)
{
    if (class_of(a) != class_of(b))
        return false;
    switch (class_of(a)) {
    case 'i':
        return number_equal(a, b);
    case 'd':
        return a->d == b->d || (a->d != a->d && b->d != b->d);
    case 'S':
    case 'x':
        return amqp_bytes_equal(a->bytes, b->bytes);
    case 't':
        return a->b == b->b;
    case 'T':
        return a->seconds == b->seconds;
    case 'V':
        return true;
    case 'A':
    case 'F':
        return nest_equal(a, b, depth);
    default:
        return false;
    }
}

/* Arrays, and tables too large to be compared in any order: entry by entry. */
static bool ordered_equal(struct amqp_bytes a, struct amqp_bytes b, bool is_table, unsigned depth)
{
    struct ftable_iter ia = ftable_begin(a), ib = ftable_begin(b);
    struct amqp_bytes ka = {0}, kb = {0};
    struct ftable_value va, vb;

    for (;;) {
        int ra = is_table ? ftable_next(&ia, &ka, &va) : ftable_next_element(&ia, &va);
        int rb = is_table ? ftable_next(&ib, &kb, &vb) : ftable_next_element(&ib, &vb);

        if (ra <= 0 || rb <= 0)
            return ra == 0 && rb == 0;
        if (!amqp_bytes_equal(ka, kb) || !value_equal(&va, &vb, depth))
            return false;
    }
}

/* Whether an entry of the table before the one at `at` has that key. */
static bool is_repeated(struct amqp_bytes table, struct amqp_bytes key, const uint8_t *at)
{
    struct amqp_bytes before = amqp_bytes(table.p, (size_t)(at - table.p));
    struct ftable_value v;

    return ftable_lookup_bytes(before, key, &v) > 0;
}

/* Every key of a is in b, the first values being equivalent where `by_value`. */
static bool is_within(struct amqp_bytes a, struct amqp_bytes b, bool by_value, unsigned depth)
{
    struct ftable_iter it = ftable_begin(a);
    struct ftable_value va, vb;
    struct amqp_bytes key;
    int r;

    for (;;) {
        const uint8_t *at = it.in.p;

        r = ftable_next(&it, &key, &va);
        if (r <= 0)
            return r == 0;
        if (is_repeated(a, key, at))
            continue;
        if (ftable_lookup_bytes(b, key, &vb) <= 0)
            return false;
        if (by_value && !value_equal(&va, &vb, depth))
            return false;
    }
}

/* Whether the table has more entries than are compared in any order. */
static bool is_long(struct amqp_bytes table)
{
    struct ftable_iter it = ftable_begin(table);
    struct ftable_value v;
    struct amqp_bytes key;
    int n = 0;

    while (n <= FTABLE_MAX_UNORDERED && ftable_next(&it, &key, &v) > 0)
        n++;
    return n > FTABLE_MAX_UNORDERED;
}

static bool table_equal(struct amqp_bytes a, struct amqp_bytes b, unsigned depth)
{
    if (is_long(a) || is_long(b))
        return ordered_equal(a, b, true, depth);
    return is_within(a, b, true, depth) && is_within(b, a, false, depth);
}

static bool nest_equal(const struct ftable_value *a, const struct ftable_value *b, unsigned depth)
{
    if (depth == FTABLE_MAX_DEPTH)
        return false;
    if (a->type == 'A')
        return ordered_equal(a->bytes, b->bytes, false, depth + 1);
    return table_equal(a->bytes, b->bytes, depth + 1);
}

bool ftable_value_equal(const struct ftable_value *a, const struct ftable_value *b)
{
    return value_equal(a, b, 0);
}

bool ftable_equal(struct amqp_bytes a, struct amqp_bytes b)
{
    return table_equal(a, b, 1);
}
