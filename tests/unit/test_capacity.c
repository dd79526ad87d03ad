/* The mean of a queue's capacity against its formula, and what an outsider sees between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "queues/capacity.h"

enum { SECOND_US = 1000 * 1000 };

static void near(double is, double wanted)
{
    assert_true(is > wanted - 0.002 && is < wanted + 0.002);
}

static void test_it_halves_in_a_second(void **state)
{
    uint64_t now = 77 * (uint64_t)SECOND_US, word;
    struct capacity c = {0};

    (void)state;
    near(capacity_read(0, now), 0);
    word = capacity_set(&c, true, now);
    assert_true(c.is_able);
    near(capacity_read(word, now), 0);
    near(capacity_read(word, now + SECOND_US / 2), 0.2929);
    near(capacity_read(word, now + SECOND_US), 0.5);
    near(capacity_read(word, now + 2 * SECOND_US), 0.75);
    near(capacity_read(word, now + 1000 * (uint64_t)SECOND_US), 1);
    near(capacity_read(word, now - 5), 0); /* read by who saw an older clock */
    now += 60 * (uint64_t)SECOND_US;
    word = capacity_set(&c, false, now);
    assert_false(c.is_able);
    near(capacity_read(word, now), 1);
    near(capacity_read(word, now + 3 * SECOND_US), 0.125);
}

/* Able for a part of the time, in turns of any length, comes to that part. */
static void test_turns_come_to_their_part(void **state)
{
    static const struct {
        unsigned able_us, other_us;
        double part;
    } of[] = {{500, 500, 0.5}, {30, 90, 0.25}, {9000, 1000, 0.9}, {5, 5, 0.5}};

    (void)state;
    for (size_t i = 0; i < sizeof(of) / sizeof(*of); i++) {
        struct capacity c = {0};
        uint64_t now = 5, word = 0;

        while (now < 12 * (uint64_t)SECOND_US) {
            (void)capacity_set(&c, true, now);
            now += of[i].able_us;
            word = capacity_set(&c, false, now);
            now += of[i].other_us;
        }
        assert_true(capacity_read(word, now) > of[i].part - 0.03);
        assert_true(capacity_read(word, now) < of[i].part + 0.03);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_halves_in_a_second),
        cmocka_unit_test(test_turns_come_to_their_part),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
