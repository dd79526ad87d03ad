/*
 * test_record.c - the message record: what it was made of, its stored form and damage to it, and
 * references given and taken on several threads.
 */
#include "amqp/codec/record.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "amqp/codec/props.h"
#include "tests/unit/codec_gen.h"

enum { N_THREADS = 4, N_ROUNDS = 50000 };

/* Properties with the ones that a record remembers, each set or not. */
static struct amqp_bytes make_props(uint8_t *buf, size_t cap, unsigned flags)
{
    struct amqp_props p = {.content_type = amqp_str("text/plain"),
                           .delivery_mode = flags & RECORD_PERSISTENT ? 2 : 1,
                           .priority = 7,
                           .expiration = amqp_str("1234"),
                           .headers = amqp_bytes("\1aV", 3)};
    ssize_t len;

    p.flags = prop_flag(PROP_CONTENT_TYPE) | prop_flag(PROP_DELIVERY_MODE);
    if (flags & RECORD_HAS_PRIORITY)
        p.flags |= prop_flag(PROP_PRIORITY);
    if (flags & RECORD_HAS_EXPIRATION)
        p.flags |= prop_flag(PROP_EXPIRATION);
    if (flags & RECORD_HAS_HEADERS)
        p.flags |= prop_flag(PROP_HEADERS);
    len = props_encode(&p, buf, cap);
    assert_true(len > 0);
    return amqp_bytes(buf, (size_t)len);
}

static struct record *make_record(size_t body_len, unsigned flags)
{
    uint8_t props[64], *body;
    struct record_parts parts = {.exchange = amqp_str("an exchange"),
                                 .key = amqp_str("a.key"),
                                 .props = make_props(props, sizeof(props), flags)};
    struct record *r = record_new(&parts, body_len, &body);

    assert_non_null(r);
    for (size_t i = 0; i < body_len; i++)
        body[i] = (uint8_t)(i * 31 + body_len);
    return r;
}

static void check_record(const struct record *r, size_t body_len, unsigned flags)
{
    struct amqp_bytes body = record_body(r);
    uint8_t props[64];

    assert_true(amqp_bytes_is(record_exchange(r), "an exchange"));
    assert_true(amqp_bytes_is(record_key(r), "a.key"));
    assert_true(amqp_bytes_equal(record_props(r), make_props(props, sizeof(props), flags)));
    assert_int_equal(record_body_len(r), body_len);
    assert_int_equal(body.len, body_len);
    for (size_t i = 0; i < body_len; i++)
        if (body.p[i] != (uint8_t)(i * 31 + body_len))
            fail_msg("body differs at %zu", i);
    assert_int_equal(record_is_persistent(r), (flags & RECORD_PERSISTENT) != 0);
    assert_int_equal(record_priority(r), flags & RECORD_HAS_PRIORITY ? 7 : 0);
    assert_int_equal(record_has_expiration(r), (flags & RECORD_HAS_EXPIRATION) != 0);
    assert_int_equal(record_has_headers(r), (flags & RECORD_HAS_HEADERS) != 0);
    assert_true(amqp_bytes_is(record_expiration(r), flags & RECORD_HAS_EXPIRATION ? "1234" : ""));
    assert_int_equal(record_headers(r).len, flags & RECORD_HAS_HEADERS ? 3 : 0);
}

static void test_parts_and_flags(void **state)
{
    (void)state;
    for (unsigned flags = 0; flags < 16; flags++) {
        struct record *r = make_record(flags * 3, flags);

        check_record(r, flags * 3, flags);
        record_unref(r);
    }
    record_unref(NULL);
}

static const size_t body_lens[] = {
    0, 1, 100, RECORD_INLINE_MAX - 1, RECORD_INLINE_MAX, RECORD_INLINE_MAX + 1, 1000000};

static void test_store_and_load(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(body_lens) / sizeof(body_lens[0]); i++) {
        struct record *r = make_record(body_lens[i], (unsigned)i), *back;
        size_t size = record_stored_size(r);
        uint8_t *stored = malloc(size);
        struct amqp_bytes parts[2];

        assert_int_equal(r->blob != NULL, body_lens[i] > RECORD_INLINE_MAX);
        record_store(r, stored);
        record_stored_parts(r, parts);
        assert_int_equal(parts[0].len + parts[1].len, size);
        assert_memory_equal(parts[0].p, stored, parts[0].len);
        assert_int_equal(parts[1].len, r->blob ? body_lens[i] : 0);
        record_unref(r);
        back = record_load(stored, size);
        assert_non_null(back);
        check_record(back, body_lens[i], (unsigned)i);
        record_unref(back);
        free(stored);
    }
}

static void test_empty_record(void **state)
{
    static const uint8_t none[] = {0, 0};
    struct record_parts parts = {.props = amqp_bytes(none, sizeof(none))};
    struct record *r = record_new(&parts, 0, NULL);

    (void)state;
    assert_non_null(r);
    assert_int_equal(record_exchange(r).len, 0);
    assert_int_equal(record_body(r).len, 0);
    assert_false(record_is_persistent(r));
    assert_int_equal(record_stored_size(r), sizeof(struct record_head) + 2);
    record_unref(r);
}

static void test_refused_lengths(void **state)
{
    static uint8_t text[300];
    struct record_parts parts = {.exchange = amqp_bytes(text, 256)};
    uint8_t *body;

    (void)state;
    assert_null(record_new(&parts, 0, &body));
    parts = (struct record_parts){.key = amqp_bytes(text, 256)};
    assert_null(record_new(&parts, 0, &body));
    parts.key.len = 255;
    assert_null(record_new(&parts, (size_t)RECORD_BODY_MAX + 1, &body));
}

/* Each stored form cut anywhere, or with a byte too many, is refused. */
static void test_load_refuses_wrong_lengths(void **state)
{
    struct record *r = make_record(50, 15);
    size_t size = record_stored_size(r);
    uint8_t *stored = calloc(1, size + 1);

    (void)state;
    record_store(r, stored);
    record_unref(r);
    for (size_t len = 0; len < size; len++) {
        uint8_t *cut = malloc(len ? len : 1);

        memcpy(cut, stored, len);
        assert_null(record_load(cut, len));
        free(cut);
    }
    assert_null(record_load(stored, size + 1));
    free(stored);
}

/* Any damage is refused or gives a record whose parts lie within it. */
static void test_load_of_changed_bytes(void **state)
{
    struct record *r = make_record(20, 15);
    size_t size = record_stored_size(r);
    uint8_t *stored = malloc(size), *changed = malloc(size);

    (void)state;
    gen_seed("record changed bytes");
    record_store(r, stored);
    record_unref(r);
    for (int i = 0; i < 100000; i++) {
        memcpy(changed, stored, size);
        for (size_t n = 1 + gen_below(3); n > 0; n--)
            changed[gen_below(size)] = (uint8_t)gen_number();
        r = record_load(changed, size);
        if (!r)
            continue;
        assert_int_equal(record_stored_size(r), size);
        assert_int_equal(props_validate(record_props(r)), 0);
        record_unref(r);
    }
    free(stored);
    free(changed);
}

/* The head's word about the properties is not believed. */
static void test_load_reads_flags_again(void **state)
{
    struct record *r = make_record(5, RECORD_PERSISTENT);
    size_t size = record_stored_size(r);
    uint8_t stored[256];

    (void)state;
    assert_true(size <= sizeof(stored));
    record_store(r, stored);
    stored[offsetof(struct record_head, flags)] = RECORD_HAS_HEADERS;
    stored[offsetof(struct record_head, priority)] = 200;
    record_unref(r);
    r = record_load(stored, size);
    assert_non_null(r);
    check_record(r, 5, RECORD_PERSISTENT);
    record_unref(r);
}

static void *hold_and_drop(void *arg)
{
    struct record *r = arg;

    for (int i = 0; i < N_ROUNDS; i++)
        record_unref(record_ref(r));
    record_unref(r);
    return NULL;
}

/* The last of several threads frees it, bytes and blob; sanitizers would see it done otherwise. */
static void test_references_on_threads(void **state)
{
    pthread_t threads[N_THREADS];
    struct record *r = make_record(RECORD_INLINE_MAX + 1, 0);

    (void)state;
    record_ref_many(r, N_THREADS);
    for (int i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hold_and_drop, r), 0);
    check_record(r, RECORD_INLINE_MAX + 1, 0);
    record_unref(r);
    for (int i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void test_sizes(void **state)
{
    struct record *r = make_record(10, 0);

    (void)state;
    assert_true(offsetof(struct record, bytes) <= 40);
    assert_int_equal(record_memory_size(r),
                     offsetof(struct record, bytes) + record_front_len(r) + 10);
    record_unref(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_and_flags),
        cmocka_unit_test(test_store_and_load),
        cmocka_unit_test(test_empty_record),
        cmocka_unit_test(test_refused_lengths),
        cmocka_unit_test(test_load_refuses_wrong_lengths),
        cmocka_unit_test(test_load_of_changed_bytes),
        cmocka_unit_test(test_load_reads_flags_again),
        cmocka_unit_test(test_references_on_threads),
        cmocka_unit_test(test_sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
