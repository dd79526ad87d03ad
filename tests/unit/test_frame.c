/*
 * test_frame.c - frames and content headers: by table, by streams cut anywhere, and random bytes
 * against a naive reading of the protocol.
 */
#include "amqp/codec/frame.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/unit/codec_gen.h"

#define BYTES(...) ((const uint8_t[]){__VA_ARGS__}), sizeof((const uint8_t[]){__VA_ARGS__})

static void test_protocol_headers(void **state)
{
    static const struct {
        const char bytes[9];
        enum amqp_protocol want;
    } rows[] = {
        {"AMQP\0\0\x09\x01", AMQP_PROTO_0_9_1}, {"AMQP\1\1\0\x09", AMQP_PROTO_0_9},
        {"AMQP\1\1\x08\0", AMQP_PROTO_OTHER},   {"AMQP\0\1\0\0", AMQP_PROTO_OTHER},
        {"AMQP\3\1\0\0", AMQP_PROTO_OTHER},     {"\x16\3\1\2\0\1\0\1", AMQP_PROTO_TLS},
        {"GET / HT", AMQP_PROTO_HTTP},          {"OPTIONS ", AMQP_PROTO_HTTP},
        {"GETTING ", AMQP_PROTO_UNKNOWN},       {"amqp\0\0\x09\x01", AMQP_PROTO_UNKNOWN},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const uint8_t *p = (const uint8_t *)rows[i].bytes;

        assert_int_equal(frame_check_protocol(p, 8), rows[i].want);
        for (size_t len = 0; len < 8; len++)
            assert_int_equal(frame_check_protocol(p, len), AMQP_PROTO_NEED_MORE);
    }
    assert_memory_equal(amqp_protocol_header, rows[0].bytes, 8);
}

static void test_frame_table(void **state)
{
    const struct {
        const uint8_t *bytes;
        size_t len;
        uint32_t max_frame;
        ssize_t want;
    } rows[] = {
        {BYTES(8, 0, 0, 0, 0, 0, 0, 0xCE), 4096, 8},
        {BYTES(3, 0, 1, 0, 0, 0, 0, 0xCE), 4096, 8},
        {BYTES(1, 0, 0, 0, 0, 0, 2, 'h', 'i', 0xCE, 9, 9), 4096, 10},
        {BYTES(1, 0, 0, 0, 0, 0, 2, 'h', 'i'), 4096, 0},
        {BYTES(1, 0, 0, 0, 0, 0, 2, 'h', 'i', 0xCD), 4096, AMQP_ERR_FRAME_END},
        {BYTES(0, 0, 0, 0, 0, 0, 0, 0xCE), 4096, AMQP_ERR_FRAME_TYPE},
        {BYTES(4, 0, 0, 0, 0, 0, 0, 0xCE), 4096, AMQP_ERR_FRAME_TYPE},
        {BYTES(7, 0, 0, 0, 0, 0, 0), 4096, AMQP_ERR_FRAME_TYPE},
        {BYTES('G', 'E', 'T', ' ', '/', ' ', 'H'), 4096, AMQP_ERR_FRAME_TYPE},
        {BYTES(8, 0, 1, 0, 0, 0, 0), 4096, AMQP_ERR_HEARTBEAT_CHANNEL},
        {BYTES(8, 0, 0, 0, 0, 0, 1), 4096, AMQP_ERR_HEARTBEAT_PAYLOAD},
        /* The head alone tells that it is too large; max_frame itself is still allowed. */
        {BYTES(3, 0, 1, 0, 0, 0x10, 0x01), 4096, AMQP_ERR_FRAME_TOO_LARGE},
        {BYTES(3, 0, 1, 0, 0, 0x10, 0x00), 4096, 0},
        {BYTES(3, 0, 1, 0xff, 0xff, 0xff, 0xff), 4096, AMQP_ERR_FRAME_TOO_LARGE},
        {BYTES(3, 0, 1, 0xff, 0xff, 0xff, 0xff, 1, 2), 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct amqp_frame f;

        assert_int_equal(frame_parse(rows[i].bytes, rows[i].len, rows[i].max_frame, &f),
                         rows[i].want);
        for (size_t len = 0; len < 7; len++)
            assert_int_equal(frame_parse(rows[i].bytes, len, rows[i].max_frame, &f), 0);
    }
}

static void test_frame_fields(void **state)
{
    static const uint8_t bytes[] = {2, 0x12, 0x34, 0, 0, 0, 3, 'a', 'b', 'c', 0xCE};
    struct amqp_frame_head h;
    struct amqp_frame f;

    (void)state;
    assert_int_equal(frame_parse(bytes, sizeof(bytes), 0, &f), sizeof(bytes));
    assert_int_equal(f.type, AMQP_FRAME_HEADER);
    assert_int_equal(f.channel, 0x1234);
    assert_true(amqp_bytes_is(f.payload, "abc"));
    assert_ptr_equal(f.payload.p, bytes + 7);
    assert_int_equal(frame_parse_head(bytes, 7, 3, &h), 7);
    assert_int_equal(h.size, 3);
    assert_int_equal(frame_parse_head(bytes, 7, 2, &h), AMQP_ERR_FRAME_TOO_LARGE);
}

enum { STREAM_FRAMES = 40, STREAM_MAX = STREAM_FRAMES * 300 };

/* Writes one random frame; returns its length. */
static size_t put_random_frame(uint8_t *out)
{
    static const uint8_t types[] = {1, 2, 3, 8};
    uint8_t type = types[gen_below(4)];
    size_t size = type == 8 ? 0 : gen_below(256);
    uint8_t *p = frame_put_head(out, type, type == 8 ? 0 : (uint16_t)gen_u64(), (uint32_t)size);

    gen_fill(p, size);
    (void)frame_put_end(p + size);
    return size + AMQP_FRAME_OVERHEAD;
}

/* A stream of frames that arrives in pieces of any length gives the same frames. */
static void test_frame_stream_in_pieces(void **state)
{
    uint8_t stream[STREAM_MAX], ends[STREAM_MAX] = {0};

    (void)state;
    gen_seed("frame stream");
    for (int round = 0; round < 50; round++) {
        size_t total = 0, have = 0, at = 0, n = 0;

        for (int i = 0; i < STREAM_FRAMES; i++) {
            total += put_random_frame(stream + total);
            ends[total - 1] = (uint8_t)(round + 1);
        }
        while (at < total) {
            struct amqp_frame f;
            ssize_t r = frame_parse(stream + at, have - at, 4096, &f);

            assert_true(r >= 0);
            if (r == 0) {
                assert_true(have < total);
                have += 1 + gen_below(have + 300 < total ? 300 : total - have);
                continue;
            }
            assert_int_equal(f.type, stream[at]);
            at += (size_t)r;
            assert_int_equal(ends[at - 1], round + 1);
            n++;
        }
        assert_int_equal(n, STREAM_FRAMES);
    }
}

/* The protocol read word by word, slowly. */
static ssize_t naive_parse(const uint8_t *p, size_t len, size_t max_frame)
{
    size_t size;

    if (len < 7)
        return 0;
    size = (size_t)p[3] << 24 | (size_t)p[4] << 16 | (size_t)p[5] << 8 | p[6];
    if (p[0] == 8)
        return (p[1] || p[2]) ? AMQP_ERR_HEARTBEAT_CHANNEL
               : size         ? AMQP_ERR_HEARTBEAT_PAYLOAD
               : len == 7     ? 0
               : p[7] != 0xCE ? AMQP_ERR_FRAME_END
                              : 8;
    if (p[0] != 1 && p[0] != 2 && p[0] != 3)
        return AMQP_ERR_FRAME_TYPE;
    if (size > max_frame)
        return AMQP_ERR_FRAME_TOO_LARGE;
    if (len < size + 8)
        return 0;
    return p[size + 7] == 0xCE ? (ssize_t)size + 8 : AMQP_ERR_FRAME_END;
}

static void test_frame_random_bytes(void **state)
{
    (void)state;
    gen_seed("frame random bytes");
    for (int i = 0; i < 200000; i++) {
        size_t len = gen_below(40);
        uint8_t *p = malloc(len + 1); /* its own block, so that a sanitizer sees one byte too far */
        struct amqp_frame f = {0};
        ssize_t r;

        gen_fill(p, len);
        if (len >= 7 && gen_below(4)) {
            p[0] = (uint8_t)gen_below(10);
            (void)put_u32(p + 3, (uint32_t)gen_below(40));
            if (gen_below(2))
                (void)put_u16(p + 1, 0);
        }
        if (gen_below(2) && len)
            p[len - 1] = 0xCE;
        p = realloc(p, len ? len : 1);
        r = frame_parse(p, len, 30, &f);
        assert_int_equal(r, naive_parse(p, len, 30));
        if (r > 0)
            assert_int_equal(f.payload.len, r - 8);
        free(p);
    }
}

static void test_content_header(void **state)
{
    static const uint8_t want[] = {2, 0, 5, 0, 0, 0, 14, 0, 60,   0,    0,
                                   0, 0, 0, 0, 1, 2, 3,  4, 0x10, 0x00, 0xCE};
    static const uint8_t props[] = {0x10, 0x00};
    struct amqp_content_header h = {
        .class_id = 60, .body_size = 0x01020304, .props = amqp_bytes(props, sizeof(props))};
    struct amqp_content_header got;
    uint8_t buf[64];
    struct amqp_frame f;
    uint8_t *end = content_put_header_frame(buf, 5, &h);

    (void)state;
    assert_int_equal(end - buf, sizeof(want));
    assert_int_equal(content_header_frame_size(&h), sizeof(want));
    assert_memory_equal(buf, want, sizeof(want));
    assert_int_equal(content_put_prefix(buf, 5, &h) - buf, CONTENT_PREFIX_LEN);
    assert_int_equal(frame_parse(buf, sizeof(want), 4096, &f), sizeof(want));
    assert_int_equal(content_header_parse(f.payload, &got), 0);
    assert_int_equal(got.class_id, 60);
    assert_int_equal(got.body_size, 0x01020304);
    assert_true(amqp_bytes_equal(got.props, h.props));
    for (uint32_t len = 0; len < 14; len++)
        assert_int_equal(content_header_parse(amqp_bytes(f.payload.p, len), &got),
                         AMQP_ERR_TRUNCATED);
    buf[10] = 1;
    assert_int_equal(content_header_parse(f.payload, &got), AMQP_ERR_HEADER_WEIGHT);
}

static void test_heartbeat(void **state)
{
    static const uint8_t want[] = {8, 0, 0, 0, 0, 0, 0, 0xCE};
    uint8_t buf[8];

    (void)state;
    assert_ptr_equal(frame_put_heartbeat(buf), buf + 8);
    assert_memory_equal(buf, want, 8);
}

static void test_utf8(void **state)
{
    static const struct {
        const char *text;
        bool want;
    } rows[] = {
        {"", true},
        {"plain and longer than eight", true},
        {"caf\xc3\xa9", true},
        {"\xe2\x82\xac and then more text", true},
        {"\xf0\x9f\x90\xb0", true},
        {"\xf4\x8f\xbf\xbf", true},
        {"\x80", false},
        {"\xc3", false},
        {"12345678\xc3", false},
        {"\xc0\xaf", false},
        {"\xe0\x80\xaf", false},
        {"\xed\xa0\x80", false},
        {"\xf4\x90\x80\x80", false},
        {"\xf0\x80\x80\x80", false},
        {"\xf8\x88\x80\x80\x80", false},
        {"\xff", false},
        {"\xe2\x82", false},
        {"\xe2\x28\xa1", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (amqp_is_utf8(amqp_str(rows[i].text)) != rows[i].want)
            fail_msg("row %zu", i);
}

static void test_error_texts(void **state)
{
    (void)state;
    for (int e = AMQP_ERR_NO_ROOM; e <= AMQP_ERR_TRUNCATED; e++)
        assert_string_not_equal(amqp_error_text(e), amqp_error_text(12345));
    assert_string_equal(amqp_error_text(0), "no error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_protocol_headers),   cmocka_unit_test(test_frame_table),
        cmocka_unit_test(test_frame_fields),       cmocka_unit_test(test_frame_stream_in_pieces),
        cmocka_unit_test(test_frame_random_bytes), cmocka_unit_test(test_content_header),
        cmocka_unit_test(test_heartbeat),          cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_error_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
