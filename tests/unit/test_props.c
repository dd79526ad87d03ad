/*
 * test_props.c - basic properties: known bytes, random sets of them, damage, undefined flags.
 */
#include "amqp/codec/props.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/unit/codec_gen.h"

enum { BUF = 64 * 1024 };

static struct amqp_bytes known(void)
{
    /* content-type, headers, delivery-mode, priority, expiration, timestamp */
    static const uint8_t bytes[] = {0xb9, 0x40, 4, 't', 'e', 'x', 't', 0, 0, 0, 3, 1, 'a', 'V',
                                    2,    9,    2, '6', '0', 0,   0,   0, 0, 0, 0, 1, 0};

    return amqp_bytes(bytes, sizeof(bytes));
}

static void test_known_bytes(void **state)
{
    struct amqp_bytes v, all = known();
    struct amqp_props p;
    uint8_t octet;
    uint64_t t;

    (void)state;
    assert_int_equal(props_validate(all), 0);
    assert_true(props_find(all, PROP_CONTENT_TYPE, &v));
    assert_true(amqp_bytes_is(v, "text"));
    assert_true(props_delivery_mode(all, &octet));
    assert_int_equal(octet, PROPS_PERSISTENT);
    assert_true(props_priority(all, &octet));
    assert_int_equal(octet, 9);
    assert_true(props_timestamp(all, &t));
    assert_int_equal(t, 256);
    assert_true(props_find(all, PROP_EXPIRATION, &v));
    assert_true(amqp_bytes_is(v, "60"));
    assert_int_equal(props_headers(all).len, 3);
    assert_false(props_find(all, PROP_CONTENT_ENCODING, &v));
    assert_false(props_find(all, PROP_CLUSTER_ID, &v));
    assert_int_equal(props_decode(all, &p), 0);
    assert_int_equal(p.flags, 0xb940);
    assert_int_equal(p.delivery_mode, 2);
    assert_true(amqp_bytes_is(p.expiration, "60"));
}

static void test_damage(void **state)
{
    struct amqp_bytes all = known();
    uint8_t copy[64];
    struct amqp_bytes v;
    struct amqp_props p;

    (void)state;
    for (uint32_t len = 0; len < all.len; len++) {
        struct amqp_bytes part = amqp_bytes(all.p, len);

        assert_int_equal(props_validate(part), AMQP_ERR_TRUNCATED);
        assert_int_equal(props_decode(part, &p), AMQP_ERR_TRUNCATED);
        assert_false(props_find(part, PROP_TIMESTAMP, &v));
    }
    memcpy(copy, all.p, all.len);
    copy[all.len] = 0;
    assert_int_equal(props_validate(amqp_bytes(copy, all.len + 1)), AMQP_ERR_TRAILING);
    assert_int_equal(props_decode(amqp_bytes(copy, all.len + 1), &p), AMQP_ERR_TRAILING);
    copy[13] = 'Z'; /* a type that no table has */
    assert_int_equal(props_validate(amqp_bytes(copy, all.len)), AMQP_ERR_TABLE_TYPE);
    assert_int_equal(props_decode(amqp_bytes(copy, all.len), &p), 0); /* not looked into */
}

static void test_undefined_flags(void **state)
{
    const struct {
        uint8_t bytes[8];
        uint32_t len;
        int want;
        bool has_priority;
    } rows[] = {
        {{0, 0}, 2, 0, false},
        {{0, 2}, 2, 0, false},
        {{0, 2, 7, 7}, 4, 0, false}, /* whatever bit 1 brings is passed on */
        {{8, 2, 5}, 3, 0, true},
        {{8, 2}, 2, AMQP_ERR_TRUNCATED, false},
        {{8, 1, 0, 0, 5}, 5, 0, true}, /* another word, which announces nothing */
        {{8, 1, 0, 0, 5, 6}, 6, AMQP_ERR_TRAILING, true},
        {{8, 1, 0x80, 0, 5, 6}, 6, 0, true},
        {{8, 1, 0x80, 1, 0, 0, 5, 6}, 8, 0, true},
        {{0, 1}, 2, AMQP_ERR_TRUNCATED, false},
        {{0, 1, 0, 1, 0, 1}, 6, AMQP_ERR_TRUNCATED, false},
        {{0, 1, 0, 1, 0, 0}, 6, 0, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct amqp_bytes props = amqp_bytes(rows[i].bytes, rows[i].len);
        struct amqp_props p;
        uint8_t priority = 0;

        assert_int_equal(props_validate(props), rows[i].want);
        assert_int_equal(props_decode(props, &p), rows[i].want);
        assert_int_equal(props_priority(props, &priority), rows[i].has_priority);
        if (rows[i].has_priority)
            assert_int_equal(priority, 5);
    }
}

static void test_expiration(void **state)
{
    static const struct {
        const char *text;
        int want;
        uint64_t ms;
    } rows[] = {
        {"0", 0, 0},
        {"60000", 0, 60000},
        {"007", 0, 7},
        {"18446744073709551615", 0, UINT64_MAX},
        {"18446744073709551616", AMQP_ERR_WRONG_TYPE, 0},
        {"99999999999999999999999", AMQP_ERR_WRONG_TYPE, 0},
        {"", AMQP_ERR_WRONG_TYPE, 0},
        {"-1", AMQP_ERR_WRONG_TYPE, 0},
        {"+1", AMQP_ERR_WRONG_TYPE, 0},
        {" 1", AMQP_ERR_WRONG_TYPE, 0},
        {"1.5", AMQP_ERR_WRONG_TYPE, 0},
        {"abc", AMQP_ERR_WRONG_TYPE, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t ms = 0;

        assert_int_equal(props_parse_expiration(amqp_str(rows[i].text), &ms), rows[i].want);
        assert_int_equal(ms, rows[i].ms);
    }
}

static void randomise(struct amqp_props *p, uint8_t *table, size_t cap)
{
    *p = (struct amqp_props){.flags = (uint16_t)(gen_u64() & 0xfffc)};
    p->delivery_mode = (uint8_t)gen_number();
    p->priority = (uint8_t)gen_number();
    p->timestamp = gen_number();
    p->content_type = gen_text(255);
    p->content_encoding = gen_text(20);
    p->headers = gen_table(table, cap, 2);
    p->correlation_id = gen_text(40);
    p->reply_to = gen_text(40);
    p->expiration = gen_text(8);
    p->message_id = gen_text(40);
    p->type = gen_text(10);
    p->user_id = gen_text(10);
    p->app_id = gen_text(10);
    p->cluster_id = gen_text(10);
}

static void check_string(const struct amqp_props *p, enum amqp_prop prop, struct amqp_bytes raw,
                         struct amqp_bytes want)
{
    struct amqp_bytes v;

    assert_int_equal(props_find(raw, prop, &v), (p->flags & prop_flag(prop)) != 0);
    if (p->flags & prop_flag(prop))
        assert_true(amqp_bytes_equal(v, want));
}

/* What was encoded is found by walking, one property at a time, and comes out of decoding. */
static void test_random_round_trip(void **state)
{
    static uint8_t table[BUF / 2], buf[BUF], again[BUF];

    (void)state;
    gen_seed("props round trip");
    for (int i = 0; i < 20000; i++) {
        struct amqp_props p, got;
        struct amqp_bytes raw;
        uint8_t octet;
        ssize_t size;

        randomise(&p, table, sizeof(table));
        size = props_encode(&p, buf, sizeof(buf));
        assert_true(size >= PROPS_EMPTY_LEN);
        assert_int_equal(props_encoded_size(&p), size);
        assert_int_equal(props_encode(&p, again, (size_t)size - 1), AMQP_ERR_NO_ROOM);
        raw = amqp_bytes(buf, (size_t)size);
        assert_int_equal(props_validate(raw), 0);
        check_string(&p, PROP_CONTENT_TYPE, raw, p.content_type);
        check_string(&p, PROP_HEADERS, raw, p.headers);
        check_string(&p, PROP_REPLY_TO, raw, p.reply_to);
        check_string(&p, PROP_USER_ID, raw, p.user_id);
        check_string(&p, PROP_CLUSTER_ID, raw, p.cluster_id);
        assert_int_equal(props_priority(raw, &octet), (p.flags & prop_flag(PROP_PRIORITY)) != 0);
        assert_int_equal(props_decode(raw, &got), 0);
        assert_int_equal(got.flags, p.flags);
        if (p.flags & prop_flag(PROP_TIMESTAMP))
            assert_int_equal(got.timestamp, p.timestamp);
        if (p.flags & prop_flag(PROP_DELIVERY_MODE))
            assert_int_equal(got.delivery_mode, p.delivery_mode);
        assert_int_equal(props_encode(&got, again, sizeof(again)), size);
        assert_memory_equal(buf, again, (size_t)size);
    }
}

static void test_encode_errors(void **state)
{
    static uint8_t text[300], buf[BUF];
    struct amqp_props p = {.flags = prop_flag(PROP_TYPE), .type = amqp_bytes(text, 256)};

    (void)state;
    assert_int_equal(props_encode(&p, buf, sizeof(buf)), AMQP_ERR_SHORTSTR);
    p.type.len = 255;
    assert_int_equal(props_encode(&p, buf, sizeof(buf)), 2 + 256);
    p.flags = 0;
    assert_int_equal(props_encode(&p, buf, sizeof(buf)), PROPS_EMPTY_LEN);
}

static void test_random_bytes(void **state)
{
    (void)state;
    gen_seed("props random bytes");
    for (int i = 0; i < 200000; i++) {
        size_t len = gen_below(48);
        uint8_t *p = malloc(len ? len : 1);
        struct amqp_bytes raw = amqp_bytes(p, len), v;
        struct amqp_props props;
        bool is_valid;

        gen_fill(p, len);
        for (size_t k = 2; k < len; k++)
            if (gen_below(2))
                p[k] &= 3; /* short strings, so that more gets through */
        is_valid = props_validate(raw) == 0;
        if (is_valid)
            assert_int_equal(props_decode(raw, &props), 0);
        for (unsigned k = 0; k < PROP_COUNT; k++)
            if (props_find(raw, k, &v))
                assert_true(v.p >= p + 2 && v.p + v.len <= p + len);
            else if (is_valid)
                assert_false(props.flags & prop_flag(k));
        free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_bytes),       cmocka_unit_test(test_damage),
        cmocka_unit_test(test_undefined_flags),   cmocka_unit_test(test_expiration),
        cmocka_unit_test(test_random_round_trip), cmocka_unit_test(test_encode_errors),
        cmocka_unit_test(test_random_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
