/*
 * Field tables and names as JSON: by table, and random bytes, of which none may make bad JSON.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "amqp/codec/table.h"
#include "mgmt/json.h"
#include "mgmt/text.h"
#include "tests/unit/codec_gen.h"

/* The compact form of a value, which is moved, is `want`. */
static void check_text(json_t *value, const char *want)
{
    struct text t = {0};

    text_add_json(&t, value);
    text_add(&t, "", 1);
    assert_string_equal(t.p, want);
    text_fini(&t);
}

static void test_text(void **state)
{
    (void)state;
    check_text(json_text("", 0), "\"\"");
    check_text(json_text(NULL, 0), "\"\"");
    check_text(json_text("a\"<\n\0b", 6), "\"a\\\"\\u003c\\n\\u0000b\"");
    check_text(json_text("\xc3\xa9", 2), "\"\xc3\xa9\"");
    check_text(json_text("a\xff\xc3\xa9\xc3", 5), "\"a\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\"");
    check_text(json_text("\xed\xa0\x80", 3), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    check_text(json_text_str(NULL), "null");
    check_text(json_count(UINT64_MAX), "9223372036854775807");
}

static void test_every_type(void **state)
{
    static const struct ftable_value decimal = {.type = 'D', .scale = 2, .i = 150};
    static const struct ftable_value blob = {.type = 'x', .bytes = {(const uint8_t *)"\xff", 1}};
    uint8_t buf[512];
    struct ftable_builder b;
    struct amqp_bytes table;

    (void)state;
    ftable_build(&b, buf, sizeof(buf));
    ftable_put_bool(&b, "t", true);
    ftable_put_int(&b, "l", INT64_MIN);
    ftable_put_double(&b, "d", 0.5);
    ftable_put_double(&b, "nan", __builtin_nan(""));
    ftable_put_double(&b, "inf", __builtin_inf());
    ftable_put_seconds(&b, "T", 1700000000);
    ftable_put_void(&b, "V");
    ftable_put_string(&b, "S", "text");
    ftable_put(&b, "x", &blob);
    ftable_put(&b, "D", &decimal);
    ftable_open_array(&b, "A");
    ftable_put_int(&b, NULL, 1);
    ftable_open_table(&b, NULL);
    ftable_put_bool(&b, "in", false);
    ftable_end(&b);
    ftable_end(&b);
    assert_int_equal(ftable_finish(&b, &table), 0);
    check_text(json_ftable(table),
               "{\"t\":true,\"l\":-9223372036854775808,\"d\":0.5,\"nan\":null,\"inf\":null,"
               "\"T\":1700000000,\"V\":null,\"S\":\"text\",\"x\":\"\xef\xbf\xbd\",\"D\":1.5,"
               "\"A\":[1,{\"in\":false}]}");
}

static void test_first_key_counts(void **state)
{
    static const uint8_t table[] = "\1a"
                                   "t\1"
                                   "\1a"
                                   "t\0"
                                   "\1\xff"
                                   "V";

    (void)state;
    check_text(json_ftable(amqp_bytes(table, sizeof(table) - 1)),
               "{\"a\":true,\"\xef\xbf\xbd\":null}");
}

static void test_damaged(void **state)
{
    static const uint8_t cut[] = "\1a"
                                 "t\1"
                                 "\1b"
                                 "S\0\0\0\5ab";
    static const uint8_t unknown[] = "\1a"
                                     "t\1"
                                     "\1b"
                                     "?";

    (void)state;
    check_text(json_ftable(amqp_bytes(NULL, 0)), "{}");
    check_text(json_ftable(amqp_bytes(cut, sizeof(cut) - 1)), "{\"a\":true}");
    check_text(json_ftable(amqp_bytes(unknown, sizeof(unknown) - 1)), "{\"a\":true}");
}

/* Deeper than the codec lets in: cut, not followed. */
static void test_deep(void **state)
{
    enum { DEPTH = 1000, STEP = 7 };
    static uint8_t bytes[DEPTH * STEP];
    const json_t *inner;
    json_t *json;
    unsigned depth = 0;

    (void)state;
    for (size_t i = 0; i < DEPTH; i++) {
        size_t left = (DEPTH - 1 - i) * STEP;
        uint8_t head[STEP] = {1,
                              'a',
                              'F',
                              (uint8_t)(left >> 24),
                              (uint8_t)(left >> 16),
                              (uint8_t)(left >> 8),
                              (uint8_t)left};

        memcpy(bytes + i * STEP, head, STEP);
    }
    json = json_ftable(amqp_bytes(bytes, sizeof(bytes)));
    for (inner = json; inner; inner = json_object_get(inner, "a"))
        depth++;
    assert_int_equal(depth, FTABLE_MAX_DEPTH + 1); /* the innermost is there, and empty */
    json_decref(json);
}

/* What any bytes become is JSON that reads back as itself. */
static void check_reads_back(struct amqp_bytes table)
{
    json_t *json = json_ftable(table), *back;
    struct text t = {0};
    json_error_t error;

    text_add_json(&t, json_incref(json));
    back = json_loadb(t.p, t.len, JSON_ALLOW_NUL, &error);
    if (!back)
        fail_msg("%s at %d", error.text, error.position);
    assert_true(json_equal(json, back));
    json_decref(back);
    json_decref(json);
    text_fini(&t);
}

static void test_random_bytes(void **state)
{
    uint8_t bytes[300];

    (void)state;
    gen_seed("mgmt_json");
    for (unsigned round = 0; round < 20000; round++) {
        size_t len = gen_below(sizeof(bytes));

        gen_fill(bytes, len);
        if (len > 3) { /* a good beginning, so that it is not over at once */
            bytes[0] = 1;
            bytes[2] = (uint8_t) "tbBsuIilLfdDSxTAFV"[gen_below(18)];
            if (bytes[2] == 'S' || bytes[2] == 'x' || bytes[2] == 'A' || bytes[2] == 'F')
                bytes[3] = 0;
        }
        check_reads_back(amqp_bytes(bytes, len));
    }
}

static void test_random_tables(void **state)
{
    static uint8_t buf[65536];

    (void)state;
    gen_seed("mgmt_json");
    for (unsigned round = 0; round < 2000; round++)
        check_reads_back(gen_table(buf, sizeof(buf), 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_every_type),
        cmocka_unit_test(test_first_key_counts),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_deep),
        cmocka_unit_test(test_random_bytes),
        cmocka_unit_test(test_random_tables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
