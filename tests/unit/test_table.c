/*
 * test_table.c - field tables: each type by its bytes, limits, equivalence, and random tables that
 * are walked and built again.
 */
#include "amqp/codec/table.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/unit/codec_gen.h"

enum { BUF = 32 * 1024 };

/* A C string literal with NULs in it. */
#define LIT(s) amqp_bytes(s, sizeof(s) - 1)

static void test_each_type(void **state)
{
    const struct {
        struct amqp_bytes entry; /* of a table, its key "k" */
        struct ftable_value want;
    } rows[] = {
        {LIT("\1kt\1"), {.type = 't', .b = true}},
        {LIT("\1kt\0"), {.type = 't', .b = false}},
        {LIT("\1kt\x7f"), {.type = 't', .b = true}},
        {LIT("\1kb\xff"), {.type = 'b', .i = -1}},
        {LIT("\1kB\xff"), {.type = 'B', .i = 255}},
        {LIT("\1ks\x80\0"), {.type = 's', .i = -32768}},
        {LIT("\1ku\x80\0"), {.type = 'u', .i = 32768}},
        {LIT("\1kI\xff\xff\xff\xfe"), {.type = 'I', .i = -2}},
        {LIT("\1ki\xff\xff\xff\xfe"), {.type = 'i', .i = 4294967294}},
        {LIT("\1kl\xff\xff\xff\xff\xff\xff\xff\xfd"), {.type = 'l', .i = -3}},
        {LIT("\1kL\0\0\0\1\0\0\0\0"), {.type = 'L', .i = 1LL << 32}},
        {LIT("\1kf\x3f\x80\0\0"), {.type = 'f', .d = 1.0}},
        {LIT("\1kd\xbf\xf8\0\0\0\0\0\0"), {.type = 'd', .d = -1.5}},
        {LIT("\1kD\2\xff\xff\xff\xff"), {.type = 'D', .scale = 2, .i = -1}},
        {LIT("\1kS\0\0\0\2hi"), {.type = 'S', .bytes = LIT("hi")}},
        {LIT("\1kx\0\0\0\2\0\1"), {.type = 'x', .bytes = LIT("\0\1")}},
        {LIT("\1kT\0\0\0\0\x5f\0\0\0"), {.type = 'T', .seconds = 0x5f000000}},
        {LIT("\1kA\0\0\0\1V"), {.type = 'A', .bytes = LIT("V")}},
        {LIT("\1kF\0\0\0\3\1aV"), {.type = 'F', .bytes = LIT("\1aV")}},
        {LIT("\1kV"), {.type = 'V'}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ftable_iter it = ftable_begin(rows[i].entry);
        struct amqp_bytes key;
        struct ftable_value v;

        assert_int_equal(ftable_validate(rows[i].entry), 0);
        assert_int_equal(ftable_next(&it, &key, &v), 1);
        assert_true(amqp_bytes_is(key, "k"));
        assert_int_equal(v.type, rows[i].want.type);
        assert_int_equal(v.scale, rows[i].want.scale);
        assert_true(ftable_value_equal(&v, &rows[i].want));
        assert_int_equal(ftable_next(&it, &key, &v), 0);
        for (uint32_t len = 1; len < rows[i].entry.len; len++)
            assert_int_equal(ftable_validate(amqp_bytes(rows[i].entry.p, len)), AMQP_ERR_TRUNCATED);
    }
}

static void test_damage(void **state)
{
    const struct {
        struct amqp_bytes table;
        int want;
    } rows[] = {
        {LIT(""), 0},
        {LIT("\0V"), 0},
        {LIT("\1aV\1aV"), 0},
        {LIT("\1aZ\0\0\0\0"), AMQP_ERR_TABLE_TYPE},
        {LIT("\1a\0"), AMQP_ERR_TABLE_TYPE},
        {LIT("\5aV"), AMQP_ERR_TRUNCATED},
        {LIT("\1aS\0\0\0\3hi"), AMQP_ERR_TRUNCATED},
        {LIT("\1aS\xff\xff\xff\xffhi"), AMQP_ERR_TRUNCATED},
        {LIT("\1aF\0\0\0\3\1bV"), 0},
        {LIT("\1aF\0\0\0\2\1bV"), AMQP_ERR_TRUNCATED}, /* cut inside the nested one */
        {LIT("\1aF\0\0\0\3\1bZ"), AMQP_ERR_TABLE_TYPE},
        {LIT("\1aA\0\0\0\3VtV"), 0}, /* the last V is the bool's octet */
        {LIT("\1aA\0\0\0\2Vt"), AMQP_ERR_TRUNCATED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(ftable_validate(rows[i].table), rows[i].want);
    assert_int_equal(ftable_lookup(rows[3].table, "a", &(struct ftable_value){0}),
                     AMQP_ERR_TABLE_TYPE);
}

/* n nested tables, the outermost included, in buf from its end backwards. */
static struct amqp_bytes nested(uint8_t *buf, size_t cap, unsigned n)
{
    size_t at = cap;

    while (--n > 0) {
        uint32_t len = (uint32_t)(cap - at);

        at -= 7;
        (void)put_u32(put_u8(put_shortstr(buf + at, amqp_str("k")), 'F'), len);
    }
    return amqp_bytes(buf + at, cap - at);
}

static void test_limits(void **state)
{
    static uint8_t buf[FTABLE_MAX_SIZE + 8];
    struct amqp_bytes big = amqp_bytes(buf, FTABLE_MAX_SIZE);

    (void)state;
    assert_int_equal(ftable_validate(nested(buf, 4096, FTABLE_MAX_DEPTH)), 0);
    assert_int_equal(ftable_validate(nested(buf, 4096, FTABLE_MAX_DEPTH + 1)),
                     AMQP_ERR_TABLE_DEPTH);
    assert_int_equal(ftable_validate_bounded(nested(buf, 4096, 3), 3, 4096), 0);
    assert_int_equal(ftable_validate_bounded(nested(buf, 4096, 3), 2, 4096), AMQP_ERR_TABLE_DEPTH);
    assert_int_equal(ftable_validate_bounded(nested(buf, 4096, 1), 0, 4096), AMQP_ERR_TABLE_DEPTH);
    assert_int_equal(ftable_validate_bounded(nested(buf, 4096, 3), 1000, 4096), 0);
    assert_int_equal(ftable_validate_bounded(nested(buf, 4096, 3), 3, 13), AMQP_ERR_TABLE_SIZE);

    memset(buf, 'V', sizeof(buf));
    (void)put_u32(put_u8(put_shortstr(buf, amqp_str("k")), 'A'), FTABLE_MAX_SIZE - 7);
    assert_int_equal(ftable_validate(big), 0); /* a million elements of no width */
    big.len++;
    assert_int_equal(ftable_validate(big), AMQP_ERR_TABLE_SIZE);
}

static void test_getters(void **state)
{
    struct ftable_builder b;
    struct amqp_bytes t, bytes;
    struct ftable_value v;
    uint8_t buf[256];
    int64_t i = -7;
    bool flag;

    (void)state;
    ftable_build(&b, buf, sizeof(buf));
    ftable_put(&b, "byte", &(struct ftable_value){.type = 'b', .i = -5});
    ftable_put(&b, "long", &(struct ftable_value){.type = 'i', .i = 4000000000});
    ftable_put_string(&b, "text", "hello");
    ftable_put_bool(&b, "flag", true);
    ftable_put_double(&b, "real", 2.5);
    ftable_put_seconds(&b, "when", 77);
    ftable_put_int(&b, "text", 5); /* the first counts */
    ftable_open_array(&b, "list");
    ftable_put_int(&b, NULL, 1);
    ftable_end(&b);
    ftable_open_table(&b, "nest");
    ftable_put_void(&b, "x");
    ftable_end(&b);
    assert_int_equal(ftable_finish(&b, &t), 0);
    assert_int_equal(ftable_validate(t), 0);

    assert_int_equal(ftable_get_int(t, "byte", &i), 1);
    assert_int_equal(i, -5);
    assert_int_equal(ftable_get_int(t, "long", &i), 1);
    assert_int_equal(i, 4000000000);
    assert_int_equal(ftable_get_int(t, "text", &i), AMQP_ERR_WRONG_TYPE);
    assert_int_equal(ftable_get_int(t, "real", &i), AMQP_ERR_WRONG_TYPE);
    assert_int_equal(ftable_get_int(t, "when", &i), AMQP_ERR_WRONG_TYPE);
    assert_int_equal(ftable_get_int(t, "none", &i), 0);
    assert_int_equal(i, 4000000000);
    assert_int_equal(ftable_get_string(t, "text", &bytes), 1);
    assert_true(amqp_bytes_is(bytes, "hello"));
    assert_int_equal(ftable_get_string(t, "flag", &bytes), AMQP_ERR_WRONG_TYPE);
    assert_int_equal(ftable_get_bool(t, "flag", &flag), 1);
    assert_true(flag);
    assert_int_equal(ftable_get_bool(t, "byte", &flag), AMQP_ERR_WRONG_TYPE);
    assert_int_equal(ftable_get_bool(t, "fla", &flag), 0);
    assert_int_equal(ftable_get_array(t, "list", &bytes), 1);
    assert_int_equal(bytes.len, 9);
    assert_int_equal(ftable_get_table(t, "list", &bytes), AMQP_ERR_WRONG_TYPE);
    assert_int_equal(ftable_get_table(t, "nest", &bytes), 1);
    assert_int_equal(ftable_lookup(bytes, "x", &v), 1);
    assert_int_equal(v.type, 'V');
}

static void test_value_equivalence(void **state)
{
    const struct ftable_value l1000 = {.type = 'l', .i = 1000}, s1000 = {.type = 's', .i = 1000};
    const struct {
        struct ftable_value a, b;
        bool want;
    } rows[] = {
        {l1000, s1000, true},
        {l1000, {.type = 'd', .d = 1000.0}, false},
        {{.type = 'f', .d = 0.5}, {.type = 'd', .d = 0.5}, true},
        {{.type = 'd', .d = NAN}, {.type = 'f', .d = NAN}, true},
        {{.type = 'd', .d = NAN}, {.type = 'd', .d = 1}, false},
        {{.type = 'b', .i = -1}, {.type = 'B', .i = 255}, false},
        {{.type = 'D', .scale = 2, .i = 1000}, {.type = 'I', .i = 10}, true},
        {{.type = 'D', .scale = 2, .i = 1001}, {.type = 'I', .i = 10}, false},
        {{.type = 'D', .scale = 2, .i = 150}, {.type = 'D', .scale = 1, .i = 15}, true},
        {{.type = 'D', .scale = 255, .i = 0}, {.type = 'B', .i = 0}, true},
        {{.type = 'D', .scale = 0, .i = 1000}, l1000, true},
        {{.type = 't', .b = true}, {.type = 'B', .i = 1}, false},
        {{.type = 't', .b = true}, {.type = 't', .b = true}, true},
        {{.type = 'S', .bytes = LIT("a")}, {.type = 'S', .bytes = LIT("a")}, true},
        {{.type = 'S', .bytes = LIT("a")}, {.type = 'x', .bytes = LIT("a")}, false},
        {{.type = 'S', .bytes = LIT("a")}, {.type = 'S', .bytes = LIT("b")}, false},
        {{.type = 'T', .seconds = 5}, {.type = 'l', .i = 5}, false},
        {{.type = 'T', .seconds = 5}, {.type = 'T', .seconds = 5}, true},
        {{.type = 'V'}, {.type = 'V'}, true},
        {{.type = 'A', .bytes = LIT("B\1")}, {.type = 'A', .bytes = LIT("b\1")}, true},
        {{.type = 'A', .bytes = LIT("B\1")}, {.type = 'A', .bytes = LIT("B\1V")}, false},
        {{.type = 'A', .bytes = LIT("B")}, {.type = 'A', .bytes = LIT("B")}, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (ftable_value_equal(&rows[i].a, &rows[i].b) != rows[i].want ||
            ftable_value_equal(&rows[i].b, &rows[i].a) != rows[i].want)
            fail_msg("row %zu", i);
}

static void test_table_equivalence(void **state)
{
    const struct {
        struct amqp_bytes a, b;
        bool want;
    } rows[] = {
        {LIT(""), LIT(""), true},
        {LIT("\1aV"), LIT(""), false},
        {LIT("\1aV\1bB\1"), LIT("\1bb\1\1aV"), true},
        {LIT("\1aV\1bB\1"), LIT("\1bb\2\1aV"), false},
        {LIT("\1aV"), LIT("\1aV\1bV"), false},
        {LIT("\1aB\1\1aB\2"), LIT("\1aB\1"), true},
        {LIT("\1aB\1\1aB\2"), LIT("\1aB\2\1aB\1"), false},
        {LIT("\1aF\0\0\0\3\1bV"), LIT("\1aF\0\0\0\3\1bV"), true},
        {LIT("\1aF\0\0\0\3\1bV"), LIT("\1aF\0\0\0\3\1cV"), false},
        {LIT("\1aZ"), LIT("\1aZ"), false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (ftable_equal(rows[i].a, rows[i].b) != rows[i].want ||
            ftable_equal(rows[i].b, rows[i].a) != rows[i].want)
            fail_msg("row %zu", i);
}

static struct amqp_bytes numbered(uint8_t *buf, size_t cap, int first, int n, int step)
{
    struct amqp_bytes t = {0};
    struct ftable_builder b;
    char key[16];

    ftable_build(&b, buf, cap);
    for (; n > 0; n--, first += step) {
        (void)snprintf(key, sizeof(key), "k%d", first);
        ftable_put_int(&b, key, first);
    }
    assert_int_equal(ftable_finish(&b, &t), 0);
    return t;
}

/* In any order up to the limit, in the same order above it. */
static void test_equivalence_of_long_tables(void **state)
{
    static uint8_t up[BUF], down[BUF];
    int n = FTABLE_MAX_UNORDERED;

    (void)state;
    assert_true(ftable_equal(numbered(up, BUF, 0, n, 1), numbered(down, BUF, n - 1, n, -1)));
    n++;
    assert_false(ftable_equal(numbered(up, BUF, 0, n, 1), numbered(down, BUF, n - 1, n, -1)));
    assert_true(ftable_equal(numbered(up, BUF, 0, n, 1), numbered(down, BUF, 0, n, 1)));
}

/* Each level is looked at once: a comparison that doubled with each would not end. */
static void test_equivalence_of_deep_tables(void **state)
{
    static uint8_t a[4096], b[4096], c[4096];

    (void)state;
    assert_true(ftable_equal(nested(a, 4096, FTABLE_MAX_DEPTH), nested(b, 4096, FTABLE_MAX_DEPTH)));
    assert_false(
        ftable_equal(nested(a, 4096, FTABLE_MAX_DEPTH), nested(c, 4096, FTABLE_MAX_DEPTH - 1)));
    assert_false(
        ftable_equal(nested(a, 4096, FTABLE_MAX_DEPTH + 1), nested(b, 4096, FTABLE_MAX_DEPTH + 1)));
}

/* Walks `from`, as array or table, and adds all of it to b, opening nested ones one by one. */
static void copy_entries(struct ftable_builder *b, struct amqp_bytes from, bool is_array)
{
    struct ftable_iter it = ftable_begin(from);
    struct amqp_bytes key = {0};
    struct ftable_value v;
    char text[256];

    while ((is_array ? ftable_next_element(&it, &v) : ftable_next(&it, &key, &v)) > 0) {
        if (v.type != 'A' && v.type != 'F') {
            if (is_array)
                ftable_put(b, NULL, &v);
            else
                ftable_put_entry(b, key, &v);
            continue;
        }
        (void)snprintf(text, sizeof(text), "%.*s", (int)key.len, (const char *)key.p);
        if (v.type == 'A')
            ftable_open_array(b, is_array ? NULL : text);
        else
            ftable_open_table(b, is_array ? NULL : text);
        copy_entries(b, v.bytes, v.type == 'A');
        ftable_end(b);
    }
}

static void test_random_tables_round_trip(void **state)
{
    static uint8_t buf[BUF], copy[BUF];

    (void)state;
    gen_seed("table round trip");
    for (int i = 0; i < 5000; i++) {
        struct amqp_bytes t = gen_table(buf, sizeof(buf), 5), u = {0};
        struct ftable_builder b;

        assert_int_equal(ftable_validate(t), 0);
        assert_true(ftable_equal(t, t));
        ftable_build(&b, NULL, 0);
        copy_entries(&b, t, false);
        assert_int_equal(b.len, t.len); /* measured without a buffer */
        assert_int_equal(ftable_finish(&b, &u), t.len ? AMQP_ERR_NO_ROOM : 0);
        ftable_build(&b, copy, sizeof(copy));
        copy_entries(&b, t, false);
        assert_int_equal(ftable_finish(&b, &u), 0);
        assert_true(amqp_bytes_equal(t, u));
    }
}

/* A buffer one byte too small is never written beyond, wherever it ends. */
static void test_builder_without_room(void **state)
{
    static uint8_t buf[BUF];

    (void)state;
    gen_seed("builder without room");
    for (int i = 0; i < 300; i++) {
        struct amqp_bytes t = gen_table(buf, sizeof(buf), 3), u;
        size_t cap = t.len ? gen_below(t.len) : 0;
        uint8_t *small = malloc(cap ? cap : 1);
        struct ftable_builder b;

        ftable_build(&b, small, cap);
        copy_entries(&b, t, false);
        assert_int_equal(b.len, t.len);
        if (t.len)
            assert_int_equal(ftable_finish(&b, &u), AMQP_ERR_NO_ROOM);
        free(small);
    }
}

static int finish_after(void (*fill)(struct ftable_builder *b))
{
    struct ftable_builder b;
    struct amqp_bytes t;
    uint8_t buf[4096];

    ftable_build(&b, buf, sizeof(buf));
    fill(&b);
    return ftable_finish(&b, &t);
}

static void fill_unended(struct ftable_builder *b)
{
    ftable_open_table(b, "a");
}

static void fill_over_ended(struct ftable_builder *b)
{
    ftable_end(b);
}

static void fill_too_deep(struct ftable_builder *b)
{
    for (int i = 0; i < FTABLE_MAX_DEPTH; i++)
        ftable_open_array(b, i ? NULL : "a");
    for (int i = 0; i < FTABLE_MAX_DEPTH - 1; i++)
        ftable_end(b);
}

static void fill_deep(struct ftable_builder *b)
{
    for (int i = 0; i < FTABLE_MAX_DEPTH - 1; i++)
        ftable_open_array(b, i ? NULL : "a");
    for (int i = 0; i < FTABLE_MAX_DEPTH - 1; i++)
        ftable_end(b);
}

static void fill_long_key(struct ftable_builder *b)
{
    char key[257];

    memset(key, 'k', 256);
    key[256] = '\0';
    ftable_put_void(b, key);
}

static void fill_no_key(struct ftable_builder *b)
{
    ftable_put_void(b, NULL);
}

static void fill_no_type(struct ftable_builder *b)
{
    ftable_put(b, "k", &(struct ftable_value){.type = 'Z'});
}

static void test_builder_mistakes(void **state)
{
    (void)state;
    assert_int_equal(finish_after(fill_deep), 0);
    assert_int_equal(finish_after(fill_unended), AMQP_ERR_TABLE_DEPTH);
    assert_int_equal(finish_after(fill_over_ended), AMQP_ERR_TABLE_DEPTH);
    assert_int_equal(finish_after(fill_too_deep), AMQP_ERR_TABLE_DEPTH);
    assert_int_equal(finish_after(fill_long_key), AMQP_ERR_SHORTSTR);
    assert_int_equal(finish_after(fill_no_key), AMQP_ERR_WRONG_TYPE);
    assert_int_equal(finish_after(fill_no_type), AMQP_ERR_TABLE_TYPE);
}

/* A valid table with some bytes changed: no crash, and equal to itself only where it is valid. */
static void test_changed_bytes(void **state)
{
    static uint8_t buf[BUF];
    int n_valid = 0;

    (void)state;
    gen_seed("table changed bytes");
    for (int i = 0; i < 20000; i++) {
        struct amqp_bytes t = gen_table(buf, sizeof(buf), 3);
        uint8_t *p = malloc(t.len + 1);
        struct ftable_value v;
        int64_t number;
        bool is_valid;

        if (t.len)
            memcpy(p, t.p, t.len);
        for (size_t n = gen_below(4); n > 0 && t.len; n--)
            p[gen_below(t.len)] = (uint8_t)gen_number();
        p = realloc(p, t.len ? t.len : 1);
        t.p = p;
        is_valid = ftable_validate(t) == 0;
        n_valid += is_valid;
        if (is_valid)
            assert_true(ftable_equal(t, t));
        (void)ftable_equal(t, t);
        (void)ftable_lookup(t, "k1", &v);
        (void)ftable_get_int(t, "k2", &number);
        free(p);
    }
    assert_true(n_valid > 1000 && n_valid < 20000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_type),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_getters),
        cmocka_unit_test(test_value_equivalence),
        cmocka_unit_test(test_table_equivalence),
        cmocka_unit_test(test_equivalence_of_long_tables),
        cmocka_unit_test(test_equivalence_of_deep_tables),
        cmocka_unit_test(test_random_tables_round_trip),
        cmocka_unit_test(test_builder_without_room),
        cmocka_unit_test(test_builder_mistakes),
        cmocka_unit_test(test_changed_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
