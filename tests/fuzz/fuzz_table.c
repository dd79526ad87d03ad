/*
 * The input is a field table. A valid one can be walked to its end, is equivalent to itself, and is
 * built again to the same length; built from that, to the same bytes. One that is not valid must
 * only do no harm.
 */
#include "amqp/codec/table.h"
#include "tests/fuzz/fuzz.h"

static void copy_entries(struct ftable_builder *b, struct amqp_bytes from, bool is_array);

static void copy_value(struct ftable_builder *b, const struct amqp_bytes *key,
                       const struct ftable_value *v)
{
    char text[256];
    bool is_nest = v->type == 'A' || v->type == 'F';

    /* A nested one with a key that C strings can't hold is copied whole. */
    if (is_nest && !(key && key->len && memchr(key->p, 0, key->len))) {
        if (key)
            (void)snprintf(text, sizeof(text), "%.*s", (int)key->len, (const char *)key->p);
        if (v->type == 'A')
            ftable_open_array(b, key ? text : NULL);
        else
            ftable_open_table(b, key ? text : NULL);
        copy_entries(b, v->bytes, v->type == 'A');
        ftable_end(b);
    } else if (key) {
        ftable_put_entry(b, *key, v);
    } else {
        ftable_put(b, NULL, v);
    }
}

static void copy_entries(struct ftable_builder *b, struct amqp_bytes from, bool is_array)
{
    struct ftable_iter it = ftable_begin(from);
    struct amqp_bytes key = {0};
    struct ftable_value v;
    int r;

    while ((r = is_array ? ftable_next_element(&it, &v) : ftable_next(&it, &key, &v)) > 0)
        copy_value(b, is_array ? NULL : &key, &v);
    MUST(r == 0);
}

static struct amqp_bytes copy_table(struct amqp_bytes from, uint8_t *buf)
{
    struct amqp_bytes copy = {0};
    struct ftable_builder b;

    ftable_build(&b, buf, from.len);
    copy_entries(&b, from, false);
    MUST(b.len == from.len);
    MUST(ftable_finish(&b, &copy) == 0);
    return copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct amqp_bytes t = amqp_bytes(data, size);
    struct amqp_bytes half = amqp_bytes(data, size / 2);
    struct amqp_bytes rest = amqp_bytes(data + size / 2, size - size / 2);
    struct amqp_bytes once, twice;
    struct ftable_value v;
    uint8_t *a, *b;

    (void)ftable_lookup(t, "x-match", &v);
    MUST(ftable_equal(half, rest) == ftable_equal(rest, half));
    if (ftable_validate(t) < 0)
        return 0;
    MUST(ftable_equal(t, t));
    a = malloc(size + 1);
    b = malloc(size + 1);
    once = copy_table(t, a);
    MUST(ftable_validate(once) == 0);
    MUST(ftable_equal(t, once));
    twice = copy_table(once, b);
    MUST(amqp_bytes_equal(once, twice));
    free(a);
    free(b);
    return 0;
}
