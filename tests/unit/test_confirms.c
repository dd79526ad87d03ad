/*
 * test_confirms.c - publish numbers: by table, and random queues against an array.
 */
#include "amqp/confirms.h"

#include "tests/unit/front_end_kit.h"

static void expect(struct confirms *c, uint64_t tag, bool multiple, bool nack)
{
    struct confirm f;

    assert_true(confirms_next(c, &f));
    assert_int_equal(f.tag, tag);
    assert_int_equal(f.multiple, multiple);
    assert_int_equal(f.nack, nack);
}

static void expect_none(struct confirms *c)
{
    struct confirm f;

    assert_false(confirms_next(c, &f));
}

static void test_runs(void **state)
{
    struct confirms c;

    (void)state;
    confirms_init(&c, count_realloc, count_free);
    for (uint64_t tag = 1; tag <= 9; tag++)
        assert_int_equal(confirms_add(&c, 1), tag);
    expect_none(&c);
    confirms_part(&c, 1, false);
    expect(&c, 1, false, false);
    expect_none(&c);
    confirms_part(&c, 5, false); /* above a gap: told alone */
    confirms_part(&c, 7, true);
    expect(&c, 5, false, false);
    expect(&c, 7, false, true);
    expect_none(&c);
    for (uint64_t tag = 2; tag <= 8; tag++)
        confirms_part(&c, tag, false); /* 5 and 7 again: each counts once */
    expect(&c, 8, true, false);
    expect_none(&c);
    assert_int_equal(confirms_open(&c), 1);
    confirms_part(&c, 9, true);
    expect(&c, 9, false, true);
    assert_int_equal(confirms_open(&c), 0);
    confirms_fini(&c);
    assert_int_equal(n_blocks, 0);
}

static void test_kinds_do_not_mix(void **state)
{
    struct confirms c;

    (void)state;
    confirms_init(&c, count_realloc, count_free);
    for (int i = 0; i < 6; i++)
        (void)confirms_add(&c, 1);
    for (uint64_t tag = 1; tag <= 6; tag++)
        confirms_part(&c, tag, tag == 3 || tag == 4);
    expect(&c, 2, true, false);
    expect(&c, 4, true, true);
    expect(&c, 6, true, false);
    expect_none(&c);
    confirms_fini(&c);
}

static void test_several_queues(void **state)
{
    struct confirms c;

    (void)state;
    confirms_init(&c, count_realloc, count_free);
    assert_int_equal(confirms_add(&c, 3), 1);
    assert_int_equal(confirms_add(&c, 0), 2);
    expect(&c, 2, false, false);
    confirms_part(&c, 1, false);
    confirms_part(&c, 1, true); /* one queue refused: the whole is refused */
    expect_none(&c);
    confirms_part(&c, 1, false);
    expect(&c, 1, false, true);
    expect_none(&c);
    confirms_fini(&c);
}

static void test_inflight_ranges(void **state)
{
    static const uint64_t tags[] = {2, 3, 5, 9, 10};
    struct inflight f = {0};

    (void)state;
    for (size_t i = 0; i < 5; i++)
        inflight_add(&f, tags[i], count_realloc);
    assert_int_equal(inflight_take(&f, 3, 6), 3);
    assert_int_equal(inflight_take(&f, 3, 6), 5);
    assert_int_equal(inflight_take(&f, 3, 6), 0);
    assert_int_equal(inflight_take(&f, 6, 8), 0);
    assert_int_equal(inflight_take(&f, 1, 100), 2);
    assert_int_equal(inflight_take(&f, 10, 10), 10);
    assert_int_equal(inflight_take(&f, 1, 100), 9);
    assert_int_equal(inflight_take(&f, 1, 100), 0);
    count_free(f.tag);
    assert_int_equal(n_blocks, 0);
}

enum { QUEUES = 4, TAGS = 4000 };
struct world {
    struct confirms c;
    struct inflight of[QUEUES];
    uint8_t left[TAGS + 1]; /* queues that have not spoken */
    bool nack[TAGS + 1], told[TAGS + 1];
    uint64_t last;
};

/* What a client makes of the frames must be what the queues said. */
static void hear(struct world *w)
{
    struct confirm f;

    while (confirms_next(&w->c, &f)) {
        for (uint64_t tag = f.multiple ? 1 : f.tag; tag <= f.tag; tag++) {
            assert_int_equal(w->left[tag], 0);
            if (w->told[tag]) {
                assert_int_not_equal(tag, f.tag);
                continue;
            }
            assert_int_equal(w->nack[tag], f.nack);
            w->told[tag] = true;
        }
    }
    for (uint64_t tag = 1; tag <= w->last; tag++)
        assert_int_equal(w->told[tag], w->left[tag] == 0);
}

static void publish(struct world *w, uint64_t *seed)
{
    uint32_t to = below(seed, 1 << QUEUES), n = (uint32_t)__builtin_popcount(to);

    w->last = confirms_add(&w->c, n);
    w->left[w->last] = (uint8_t)n;
    for (uint32_t q = 0; q < QUEUES; q++)
        if (to & 1u << q)
            inflight_add(&w->of[q], w->last, count_realloc);
}

static void speak(struct world *w, uint64_t *seed)
{
    struct inflight *f = &w->of[below(seed, QUEUES)];
    uint64_t first = w->last > 40 ? w->last - below(seed, 40) : 1, tag;
    bool nack = below(seed, 10) == 0;

    if (below(seed, 4) == 0)
        first = 1;
    while ((tag = inflight_take(f, first, first + below(seed, 30))) != 0) {
        assert_true(w->left[tag] > 0);
        w->left[tag]--;
        w->nack[tag] |= nack;
        confirms_part(&w->c, tag, nack);
    }
}

static void test_random(void **state)
{
    uint64_t seed = seed_new();
    struct world *w = calloc(1, sizeof(*w));

    (void)state;
    confirms_init(&w->c, count_realloc, count_free);
    while (w->last < TAGS) {
        if (below(&seed, 2))
            publish(w, &seed);
        else
            speak(w, &seed);
        if (below(&seed, 20) == 0)
            hear(w);
    }
    for (uint32_t q = 0; q < QUEUES; q++) {
        uint64_t tag;

        while ((tag = inflight_take(&w->of[q], 0, TAGS)) != 0) {
            w->left[tag]--;
            confirms_part(&w->c, tag, false);
        }
        count_free(w->of[q].tag);
    }
    hear(w);
    assert_int_equal(confirms_open(&w->c), 0);
    confirms_fini(&w->c);
    assert_int_equal(n_blocks, 0);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs),           cmocka_unit_test(test_kinds_do_not_mix),
        cmocka_unit_test(test_several_queues), cmocka_unit_test(test_inflight_ranges),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
