/*
 * test_method.c - every method of the table, with random arguments, against a second encoder that
 * interprets the descriptors; and known methods against bytes written down by hand.
 */
#include "amqp/codec/methods.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "amqp/codec/frame.h"
#include "tests/unit/codec_gen.h"

enum { CHANNEL = 0x0102, BUF = 8192 };

static void *field_of(struct amqp_method *m, const struct amqp_field *f)
{
    return (uint8_t *)m + f->offset;
}

static void randomise(struct amqp_method *m, const struct amqp_method_desc *d)
{
    memset(m, 0, sizeof(*m));
    m->id = d->id;
    for (unsigned i = 0; i < d->n_fields; i++) {
        void *p = field_of(m, &d->fields[i]);

        switch (d->fields[i].type) {
        case AMQP_FIELD_OCTET:
            *(uint8_t *)p = (uint8_t)gen_number();
            break;
        case AMQP_FIELD_SHORT:
            *(uint16_t *)p = (uint16_t)gen_number();
            break;
        case AMQP_FIELD_LONG:
            *(uint32_t *)p = (uint32_t)gen_number();
            break;
        case AMQP_FIELD_LONGLONG:
            *(uint64_t *)p = gen_number();
            break;
        case AMQP_FIELD_BIT:
            *(bool *)p = gen_below(2);
            break;
        case AMQP_FIELD_SHORTSTR:
            *(struct amqp_bytes *)p = gen_text(gen_below(8) ? 30 : 255);
            break;
        default:
            *(struct amqp_bytes *)p = gen_text(600);
            break;
        }
    }
}

/* One field the slow way; *bit is the next bit in the octet at out[-1], or 0 for a new octet. */
static uint8_t *naive_field(uint8_t *out, void *p, enum amqp_field_type type, unsigned *bit)
{
    const struct amqp_bytes *s = p;
    unsigned width = type == AMQP_FIELD_SHORTSTR ? 1 : 4;
    uint64_t v = 0;

    if (type == AMQP_FIELD_BIT) {
        if (*bit == 0)
            *out++ = 0;
        out[-1] |= (uint8_t)(*(bool *)p << *bit);
        *bit = (*bit + 1) % 8;
        return out;
    }
    *bit = 0;
    switch (type) {
    case AMQP_FIELD_OCTET:
        v = *(uint8_t *)p, width = 1;
        break;
    case AMQP_FIELD_SHORT:
        v = *(uint16_t *)p, width = 2;
        break;
    case AMQP_FIELD_LONG:
        v = *(uint32_t *)p, width = 4;
        break;
    case AMQP_FIELD_LONGLONG:
        v = *(uint64_t *)p, width = 8;
        break;
    default:
        v = s->len;
        break;
    }
    while (width-- > 0)
        *out++ = (uint8_t)(v >> 8 * width);
    if (type == AMQP_FIELD_SHORTSTR || type == AMQP_FIELD_LONGSTR || type == AMQP_FIELD_TABLE)
        for (uint32_t i = 0; i < s->len; i++)
            *out++ = s->p[i];
    return out;
}

static size_t naive_encode(struct amqp_method *m, const struct amqp_method_desc *d, uint8_t *out)
{
    uint8_t *p = out + 7;
    unsigned bit = 0;
    size_t size;

    *p++ = (uint8_t)(d->id >> 24);
    *p++ = (uint8_t)(d->id >> 16);
    *p++ = (uint8_t)(d->id >> 8);
    *p++ = (uint8_t)d->id;
    for (unsigned i = 0; i < d->n_fields; i++)
        p = naive_field(p, field_of(m, &d->fields[i]), d->fields[i].type, &bit);
    *p++ = 0xCE;
    size = (size_t)(p - out);
    out[0] = 1;
    out[1] = CHANNEL >> 8;
    out[2] = CHANNEL & 0xff;
    for (int i = 0; i < 4; i++)
        out[3 + i] = (uint8_t)((size - 8) >> 8 * (3 - i));
    return size;
}

/* Every proper prefix is truncated, one byte more is trailing, whatever the method. */
static void check_lengths(struct amqp_bytes payload)
{
    struct amqp_method got;
    uint8_t *p;

    for (uint32_t len = 0; len < payload.len; len++) {
        p = malloc(len ? len : 1); /* a block of its own for the sanitizer's sake */
        memcpy(p, payload.p, len);
        assert_int_equal(amqp_method_decode(amqp_bytes(p, len), &got), AMQP_ERR_TRUNCATED);
        free(p);
    }
    p = malloc(payload.len + 1);
    memcpy(p, payload.p, payload.len);
    p[payload.len] = 0;
    assert_int_equal(amqp_method_decode(amqp_bytes(p, payload.len + 1), &got), AMQP_ERR_TRAILING);
    free(p);
}

static void check_round_trip(const struct amqp_method_desc *d, bool with_lengths)
{
    static uint8_t buf[BUF], want[BUF], again[BUF];
    struct amqp_method m, got;
    struct amqp_bytes payload;
    struct amqp_frame f;
    size_t size;

    randomise(&m, d);
    size = naive_encode(&m, d, want);
    assert_int_equal(amqp_method_encoded_size(&m), size);
    assert_int_equal(amqp_method_encode(&m, CHANNEL, buf, size - 1), AMQP_ERR_NO_ROOM);
    assert_int_equal(amqp_method_encode(&m, CHANNEL, buf, size), size);
    assert_memory_equal(buf, want, size);
    assert_int_equal(frame_parse(buf, size, 0, &f), size);
    assert_int_equal(f.channel, CHANNEL);
    payload = f.payload;
    assert_int_equal(amqp_method_peek(payload), d->id);
    memset(&got, 0xa5, sizeof(got));
    assert_int_equal(amqp_method_decode(payload, &got), 0);
    assert_int_equal(got.id, d->id);
    assert_int_equal(amqp_method_encode(&got, CHANNEL, again, sizeof(again)), size);
    assert_memory_equal(again, want, size);
    if (with_lengths)
        check_lengths(payload);
}

static void test_every_method_round_trips(void **state)
{
    (void)state;
    gen_seed("method round trip");
    for (size_t i = 0; i < AMQP_N_METHODS; i++)
        for (int round = 0; round < 60; round++)
            check_round_trip(amqp_method_desc_at(i), round < 3);
    assert_null(amqp_method_desc_at(AMQP_N_METHODS));
}

/* Payloads as other people's programs send them. */
static void test_known_bytes(void **state)
{
    static const uint8_t declare[] = {0,    50,  0,   10,  0,   0, 4,   't',  'e', 's', 't',
                                      0x12, 0,   0,   0,   15,  9, 'x', '-',  'e', 'x', 'p',
                                      'i',  'r', 'e', 's', 'I', 0, 0,   0xea, 0x60};
    static const uint8_t publish[] = {0, 60, 0, 40, 0, 0, 1, 'e', 2, 'r', 'k', 1};
    static const uint8_t ack[] = {0, 60, 0, 80, 0, 0, 0, 0, 0, 0, 1, 2, 1};
    static const uint8_t tune[] = {0, 10, 0, 30, 7, 255, 0, 2, 0, 0, 0, 60};
    struct amqp_method m;
    int64_t expires;

    (void)state;
    assert_int_equal(amqp_method_decode(amqp_bytes(declare, sizeof(declare)), &m), 0);
    assert_int_equal(m.id, AMQP_QUEUE_DECLARE);
    assert_true(amqp_bytes_is(m.u.queue_declare.queue, "test"));
    assert_false(m.u.queue_declare.passive);
    assert_true(m.u.queue_declare.durable);
    assert_false(m.u.queue_declare.exclusive);
    assert_false(m.u.queue_declare.auto_delete);
    assert_true(m.u.queue_declare.nowait);
    assert_int_equal(ftable_get_int(m.u.queue_declare.arguments, "x-expires", &expires), 1);
    assert_int_equal(expires, 60000);

    assert_int_equal(amqp_method_decode(amqp_bytes(publish, sizeof(publish)), &m), 0);
    assert_int_equal(m.id, AMQP_BASIC_PUBLISH);
    assert_true(amqp_bytes_is(m.u.basic_publish.exchange, "e"));
    assert_true(amqp_bytes_is(m.u.basic_publish.routing_key, "rk"));
    assert_true(m.u.basic_publish.mandatory);
    assert_false(m.u.basic_publish.immediate);
    assert_ptr_equal(m.u.basic_publish.exchange.p, publish + 7); /* a view, not a copy */

    assert_int_equal(amqp_method_decode(amqp_bytes(ack, sizeof(ack)), &m), 0);
    assert_int_equal(m.u.basic_ack.delivery_tag, 0x102);
    assert_true(m.u.basic_ack.multiple);

    assert_int_equal(amqp_method_decode(amqp_bytes(tune, sizeof(tune)), &m), 0);
    assert_int_equal(m.u.connection_tune.channel_max, 2047);
    assert_int_equal(m.u.connection_tune.frame_max, 131072);
    assert_int_equal(m.u.connection_tune.heartbeat, 60);
}

static void test_errors(void **state)
{
    static const struct {
        uint8_t bytes[8];
        uint32_t len;
        int want;
    } rows[] = {
        {{0}, 0, AMQP_ERR_TRUNCATED},
        {{0, 10, 0}, 3, AMQP_ERR_TRUNCATED},
        {{0, 11, 0, 10}, 4, AMQP_ERR_UNKNOWN_CLASS},
        {{0, 0, 0, 0}, 4, AMQP_ERR_UNKNOWN_CLASS},
        {{0, 91, 0, 10}, 4, AMQP_ERR_UNKNOWN_CLASS},
        {{255, 255, 255, 255}, 4, AMQP_ERR_UNKNOWN_CLASS},
        {{0, 60, 0, 0}, 4, AMQP_ERR_UNKNOWN_METHOD},
        {{0, 60, 0, 41}, 4, AMQP_ERR_UNKNOWN_METHOD},
        {{0, 60, 0, 121}, 4, AMQP_ERR_UNKNOWN_METHOD},
        {{0, 60, 1, 10}, 4, AMQP_ERR_UNKNOWN_METHOD},
        {{0, 60, 255, 255}, 4, AMQP_ERR_UNKNOWN_METHOD},
        {{0, 20, 0, 41, 0}, 5, AMQP_ERR_TRAILING},
        {{0, 60, 0, 30, 1, 0xff, 0}, 7, AMQP_ERR_SHORTSTR},
        {{0, 60, 0, 30, 1, 'x', 0}, 7, 0},
    };
    struct amqp_method m;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(amqp_method_decode(amqp_bytes(rows[i].bytes, rows[i].len), &m),
                         rows[i].want);
    assert_int_equal(amqp_method_peek(amqp_bytes(rows[2].bytes, 4)), 11 << 16 | 10);
    assert_int_equal(amqp_method_peek(amqp_bytes(rows[1].bytes, 3)), 0);
}

static void test_encode_errors(void **state)
{
    static uint8_t text[300], buf[BUF];
    struct amqp_method m = {.id = AMQP_BASIC_DELIVER};

    (void)state;
    m.u.basic_deliver.routing_key = amqp_bytes(text, 255);
    assert_true(amqp_method_encode(&m, 1, buf, sizeof(buf)) > 255);
    m.u.basic_deliver.routing_key.len = 256;
    assert_int_equal(amqp_method_encode(&m, 1, buf, sizeof(buf)), AMQP_ERR_SHORTSTR);
    assert_int_equal(amqp_method_encoded_size(&m), AMQP_ERR_SHORTSTR);
    m.id = 60 << 16 | 61;
    assert_int_equal(amqp_method_encode(&m, 1, buf, sizeof(buf)), AMQP_ERR_UNKNOWN_METHOD);
    assert_int_equal(amqp_method_encoded_size(&m), AMQP_ERR_UNKNOWN_METHOD);
}

/* Any payload: no crash, and what is accepted encodes to the same bytes but for unused bits. */
static void test_random_bytes(void **state)
{
    static uint8_t once[BUF], twice[BUF];

    (void)state;
    gen_seed("method random bytes");
    for (int i = 0; i < 200000; i++) {
        uint32_t len = 4 + (uint32_t)gen_below(60);
        uint8_t *p = malloc(len);
        struct amqp_method m;

        for (uint32_t k = 4; k < len; k++)
            p[k] = gen_below(2) ? (uint8_t)gen_below(4) : (uint8_t)gen_u64();
        (void)put_u32(p, amqp_method_desc_at(gen_below(AMQP_N_METHODS))->id);
        if (amqp_method_decode(amqp_bytes(p, len), &m) == 0) {
            ssize_t size = amqp_method_encode(&m, 1, once, sizeof(once));

            assert_int_equal(size, len + AMQP_FRAME_OVERHEAD);
            assert_int_equal(amqp_method_decode(amqp_bytes(once + 7, len), &m), 0);
            assert_int_equal(amqp_method_encode(&m, 1, twice, sizeof(twice)), size);
            assert_memory_equal(once, twice, (size_t)size);
        }
        free(p);
    }
}

static void test_what_is_known_of_methods(void **state)
{
    static const uint32_t content[] = {AMQP_BASIC_PUBLISH, AMQP_BASIC_RETURN, AMQP_BASIC_DELIVER,
                                       AMQP_BASIC_GET_OK};
    static const uint32_t both[] = {
        AMQP_CONNECTION_CLOSE, AMQP_CONNECTION_CLOSE_OK, AMQP_CHANNEL_FLOW, AMQP_CHANNEL_FLOW_OK,
        AMQP_CHANNEL_CLOSE,    AMQP_CHANNEL_CLOSE_OK,    AMQP_BASIC_CANCEL, AMQP_BASIC_CANCEL_OK,
        AMQP_BASIC_ACK,        AMQP_BASIC_NACK};
    unsigned n_content = 0, n_both = 0;

    (void)state;
    for (size_t i = 0; i < AMQP_N_METHODS; i++) {
        const struct amqp_method_desc *d = amqp_method_desc_at(i);

        assert_ptr_equal(amqp_method_desc(d->id), d);
        assert_true(d->flags & (AMQP_BY_CLIENT | AMQP_BY_SERVER));
        n_content += (d->flags & AMQP_CONTENT) != 0;
        n_both += (d->flags & 3) == (AMQP_BY_CLIENT | AMQP_BY_SERVER);
    }
    assert_int_equal(n_content, 4);
    assert_int_equal(n_both, 10);
    for (size_t i = 0; i < 4; i++)
        assert_true(amqp_method_has_content(content[i]));
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(amqp_method_desc(both[i])->flags & 3, 3);
    assert_string_equal(amqp_method_name(AMQP_QUEUE_DECLARE_OK), "queue.declare-ok");
    assert_string_equal(amqp_method_name(AMQP_CONNECTION_UPDATE_SECRET),
                        "connection.update-secret");
    assert_string_equal(amqp_method_name(1), "unknown");
    assert_true(amqp_method_is_from_client(AMQP_BASIC_PUBLISH));
    assert_false(amqp_method_is_from_client(AMQP_BASIC_DELIVER));
    assert_false(amqp_method_is_from_client(7));
    assert_null(amqp_method_desc(60 << 16));
    assert_int_equal(amqp_class_of(AMQP_EXCHANGE_UNBIND_OK), 40);
    assert_int_equal(amqp_number_of(AMQP_EXCHANGE_UNBIND_OK), 51);
}

static void test_codes(void **state)
{
    (void)state;
    assert_string_equal(amqp_code_name(404), "NOT_FOUND");
    assert_int_equal(AMQP_CODE_PRECONDITION_FAILED, 406);
    assert_false(amqp_code_is_hard(406));
    assert_true(amqp_code_is_hard(503));
    assert_string_equal(amqp_code_name(999), "UNKNOWN");
    assert_true(amqp_code_is_hard(999));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_method_round_trips),
        cmocka_unit_test(test_known_bytes),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_encode_errors),
        cmocka_unit_test(test_random_bytes),
        cmocka_unit_test(test_what_is_known_of_methods),
        cmocka_unit_test(test_codes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
