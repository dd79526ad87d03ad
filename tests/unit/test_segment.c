/* Entry blocks and headers: there and back by random lists, and every damage refused. */
#include "persistence/segment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "persistence/crc32c.h"
#include "persistence/varint.h"

#define MAX 200

static uint64_t any(unsigned bits)
{
    uint64_t v = (uint64_t)rand() << 33 ^ (uint64_t)rand() << 11 ^ (uint64_t)rand();

    return v >> (64 - 1 - (unsigned)rand() % bits);
}

static void fill(struct seg_entry *e, const struct seg_entry *before)
{
    memset(e, 0, sizeof(*e));
    e->queue = any(63) | 1;
    e->seq = any(63);
    if (before && rand() % 3 == 0) {
        e->off = before->off;
        e->len = before->len;
        e->crc = before->crc;
    } else {
        e->off = (uint32_t)any(30);
        e->len = (uint32_t)any(30);
        e->crc = (uint32_t)any(32);
    }
    if (rand() % 2)
        return;
    e->attr.flags = (uint32_t)any(32);
    e->attr.priority = rand() % 2 ? (uint8_t)rand() : 0;
    e->attr.expiry_ms = rand() % 2 ? (int64_t)any(62) : 0;
    e->attr.not_before_ms = rand() % 2 ? (int64_t)any(62) : 0;
    e->attr.attempts = rand() % 2 ? (uint32_t)any(32) : 0;
}

static int is_same(const struct seg_entry *a, const struct seg_entry *b)
{
    return a->queue == b->queue && a->seq == b->seq && a->off == b->off && a->len == b->len &&
           a->crc == b->crc && a->attr.flags == b->attr.flags &&
           a->attr.priority == b->attr.priority && a->attr.expiry_ms == b->attr.expiry_ms &&
           a->attr.not_before_ms == b->attr.not_before_ms && a->attr.attempts == b->attr.attempts;
}

static size_t encode(const struct seg_entry *list, uint32_t n, uint8_t *out)
{
    struct seg_writer w;
    size_t len;

    seg_begin(&w, out, n);
    for (uint32_t i = 0; i < n; i++)
        seg_put(&w, &list[i]);
    len = seg_end(&w);
    assert_true(len <= SEG_ENTRIES_MAX(n));
    return len;
}

/* Reads a block through; how many entries, or -1 where it was refused. */
static int read_all(const uint8_t *in, size_t len, const struct seg_entry *want)
{
    struct seg_reader r;
    struct seg_entry e;
    int n = 0, rc;

    if (seg_open(&r, in, len) < 0)
        return -1;
    while ((rc = seg_next(&r, &e)) == 1) {
        if (want)
            assert_true(is_same(&e, &want[n]));
        n++;
    }
    return rc < 0 ? -1 : n;
}

static void entries_go_there_and_back(void **state)
{
    unsigned seed = (unsigned)time(NULL);
    static struct seg_entry list[MAX];
    static uint8_t buf[SEG_ENTRIES_MAX(MAX)];

    (void)state;
    print_message("seed %u\n", seed);
    srand(seed);
    for (int round = 0; round < 200; round++) {
        uint32_t n = (uint32_t)rand() % MAX;

        for (uint32_t i = 0; i < n; i++)
            fill(&list[i], i ? &list[i - 1] : NULL);
        assert_int_equal(read_all(buf, encode(list, n, buf), list), n);
    }
}

static void the_largest_entry_fits_its_bound(void **state)
{
    struct seg_entry e = {.queue = UINT64_MAX,
                          .seq = UINT64_MAX,
                          .off = UINT32_MAX - 5,
                          .len = 5,
                          .crc = UINT32_MAX,
                          .attr = {INT64_MAX, INT64_MAX, UINT32_MAX, UINT32_MAX, 255}};
    uint8_t buf[SEG_ENTRIES_MAX(1)];

    (void)state;
    assert_int_equal(read_all(buf, encode(&e, 1, buf), &e), 1);
}

static void damage_is_refused(void **state)
{
    struct seg_entry list[3];
    uint8_t buf[SEG_ENTRIES_MAX(3)];
    size_t len;

    (void)state;
    for (int i = 0; i < 3; i++)
        fill(&list[i], i ? &list[i - 1] : NULL);
    len = encode(list, 3, buf);
    for (size_t i = 0; i < len * 8; i++) {
        buf[i / 8] ^= (uint8_t)(1U << (i % 8));
        assert_int_equal(read_all(buf, len, NULL), -1);
        buf[i / 8] ^= (uint8_t)(1U << (i % 8));
    }
    for (size_t n = 0; n < len; n++)
        assert_int_equal(read_all(buf, n, NULL), -1);
}

/* With a right checksum over wrong bytes: what is left is that nothing is read out of bounds. */
static void rubbish_with_a_checksum_is_survived(void **state)
{
    unsigned seed = (unsigned)time(NULL);

    (void)state;
    print_message("seed %u\n", seed);
    srand(seed);
    for (int round = 0; round < 20000; round++) {
        size_t len = 1 + (size_t)rand() % 60;
        uint8_t *buf = malloc(len + 4); /* its own piece, so that a sanitizer sees its end */
        struct seg_head h;
        struct seg_queue q[2];

        for (size_t i = 0; i < len; i++)
            buf[i] = (uint8_t)(rand() % 2 ? rand() % 8 : rand());
        buf[0] = (uint8_t)(1 + rand() % 2);
        put_u32(buf + len, crc32c(0, buf, len));
        (void)read_all(buf, len + 4, NULL);
        (void)seg_head_decode(buf, len + 4, &h, q, 2);
        free(buf);
    }
}

static void headers_go_there_and_back(void **state)
{
    struct seg_queue queues[3] = {
        {1, 10, 15, 500, 3}, {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, 1}, {7, 1, 2, 0, 2}};
    struct seg_queue back[3];
    struct seg_head h = {.group = 12, .epoch = 3, .data_bytes = 500, .n_entries = 6, .n_queues = 3};
    struct seg_head got;
    uint8_t buf[SEG_HEAD_MAX(3)];
    size_t len = seg_head_encode(&h, queues, buf);

    (void)state;
    assert_true(len <= sizeof(buf));
    assert_int_equal(seg_head_decode(buf, len, &got, back, 3), SEG_HEAD_VERSION);
    assert_true(got.group == 12 && got.epoch == 3 && got.data_bytes == 500 && got.n_queues == 3);
    for (int i = 0; i < 3; i++)
        assert_true(back[i].queue == queues[i].queue && back[i].first_seq == queues[i].first_seq &&
                    back[i].last_seq == queues[i].last_seq && back[i].count == queues[i].count &&
                    back[i].bytes == queues[i].bytes);
    for (size_t i = 0; i < len * 8; i++) {
        buf[i / 8] ^= (uint8_t)(1U << (i % 8));
        assert_int_equal(seg_head_decode(buf, len, &got, NULL, 0), -EBADMSG);
        buf[i / 8] ^= (uint8_t)(1U << (i % 8));
    }
    h.n_entries = 7; /* the queues have only six */
    len = seg_head_encode(&h, queues, buf);
    assert_int_equal(seg_head_decode(buf, len, &got, NULL, 0), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_go_there_and_back),
        cmocka_unit_test(the_largest_entry_fits_its_bound),
        cmocka_unit_test(damage_is_refused),
        cmocka_unit_test(rubbish_with_a_checksum_is_survived),
        cmocka_unit_test(headers_go_there_and_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
