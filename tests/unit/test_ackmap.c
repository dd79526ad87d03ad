/* Ack bitmaps: setting and counting against a plain array, the disk form, and its refusals. */
#include "persistence/ackmap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "persistence/crc32c.h"
#include "persistence/varint.h"

#define MAX 300

static void random_bits_agree_with_an_array(void **state)
{
    unsigned seed = (unsigned)time(NULL);

    (void)state;
    print_message("seed %u\n", seed);
    srand(seed);
    for (uint32_t n = 1; n <= MAX; n++) {
        uint8_t bits[(MAX + 7) / 8] = {0}, disk[(MAX + 7) / 8 + 4], back[(MAX + 7) / 8];
        bool plain[MAX] = {false};
        uint32_t count = 0;

        for (uint32_t i = 0; i < n; i++) {
            uint32_t at = (uint32_t)rand() % n;

            ackmap_set(bits, at);
            count += !plain[at];
            plain[at] = true;
        }
        assert_int_equal(ackmap_count(bits, n), count);
        for (uint32_t i = 0; i < n; i++)
            assert_int_equal(ackmap_has(bits, i), plain[i]);
        ackmap_encode(bits, n, disk);
        assert_int_equal(ackmap_decode(disk, ackmap_disk_bytes(n), n, back), 0);
        assert_memory_equal(bits, back, ackmap_bytes(n));
    }
}

static void damage_is_refused(void **state)
{
    uint8_t bits[2] = {0x05, 0x01}, disk[6], back[2] = {0xaa, 0xaa};

    (void)state;
    ackmap_encode(bits, 9, disk);
    for (unsigned i = 0; i < 48; i++) {
        disk[i / 8] ^= (uint8_t)(1U << (i % 8));
        assert_int_equal(ackmap_decode(disk, 6, 9, back), -EBADMSG);
        disk[i / 8] ^= (uint8_t)(1U << (i % 8));
    }
    for (size_t len = 0; len < 6; len++)
        assert_int_equal(ackmap_decode(disk, len, 9, back), -EBADMSG);
    assert_int_equal(ackmap_decode(disk, 6, 17, back), -EBADMSG);
    assert_int_equal(back[0], 0xaa);
}

static void a_bit_beyond_the_entries_is_refused(void **state)
{
    uint8_t bits[2] = {0, 0x02}, disk[6], back[2];

    (void)state;
    ackmap_encode(bits, 16, disk);
    assert_int_equal(ackmap_decode(disk, 6, 16, back), 0);
    assert_int_equal(ackmap_decode(disk, 6, 9, back), -EBADMSG);
}

static void crc32c_is_the_known_one(void **state)
{
    uint8_t buf[1000];
    uint32_t crc = 0;

    (void)state;
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c_by_table(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c(0, NULL, 0), 0);
    for (unsigned i = 0; i < sizeof(buf); i++)
        buf[i] = (uint8_t)(i * 7 + i / 9);
    for (size_t len = 0; len < sizeof(buf); len++)
        assert_int_equal(crc32c(0, buf, len), crc32c_by_table(0, buf, len));
    for (size_t at = 0; at < sizeof(buf); at += 100)
        crc = crc32c(crc, buf + at, 100);
    assert_int_equal(crc, crc32c(0, buf, sizeof(buf)));
}

static void varints_go_there_and_back(void **state)
{
    uint8_t buf[VARINT_MAX + 1];

    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        for (int d = -1; d <= 1; d++) {
            uint64_t v = ((uint64_t)1 << bit) + (uint64_t)d, back = 1;
            uint8_t *end = put_varint(buf, v);
            const uint8_t *p = buf;

            assert_true(end - buf <= VARINT_MAX);
            assert_int_equal(get_varint(&p, end, &back), 0);
            assert_true(back == v && p == end);
            p = buf;
            assert_int_equal(get_varint(&p, end - 1, &back), -EBADMSG);
        }
    }
    memset(buf, 0xff, sizeof(buf));
    {
        const uint8_t *p = buf;
        uint64_t v;

        assert_int_equal(get_varint(&p, buf + sizeof(buf), &v), -EBADMSG);
        assert_ptr_equal(p, buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_bits_agree_with_an_array),
        cmocka_unit_test(damage_is_refused),
        cmocka_unit_test(a_bit_beyond_the_entries_is_refused),
        cmocka_unit_test(crc32c_is_the_known_one),
        cmocka_unit_test(varints_go_there_and_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
