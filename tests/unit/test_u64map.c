/*
 * test_u64map.c - by table, and by property: random operations against an array.
 */
#include "broker/runtime/u64map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static int n_blocks; /* alive, of the maps under test */

static void *count_realloc(void *p, size_t size)
{
    if (!p)
        n_blocks++;
    return realloc(p, size);
}

static void count_free(void *p)
{
    n_blocks--;
    free(p);
}

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* The naive model: at most 4096 pairs in any order. */
struct model {
    uint64_t key[4096], value[4096];
    size_t n;
};

static uint64_t *model_get(struct model *md, uint64_t key)
{
    for (size_t i = 0; i < md->n; i++)
        if (md->key[i] == key)
            return &md->value[i];
    return NULL;
}

static void model_del(struct model *md, uint64_t *value)
{
    size_t i = (size_t)(value - md->value);

    md->n--;
    md->key[i] = md->key[md->n];
    md->value[i] = md->value[md->n];
}

static void assert_same(const struct u64map *m, struct model *md)
{
    uint64_t key, value;
    uint32_t at = 0;
    size_t n = 0;

    assert_int_equal(m->n, md->n);
    while (u64map_next(m, &at, &key, &value)) {
        uint64_t *want = model_get(md, key);

        assert_non_null(want);
        assert_true(*want == value);
        n++;
    }
    assert_int_equal(n, md->n);
}

static void test_empty_owns_nothing(void **state)
{
    struct u64map m;
    uint64_t key, value;
    uint32_t at = 0;

    (void)state;
    u64map_init(&m, count_realloc, count_free);
    assert_int_equal(n_blocks, 0);
    assert_null(u64map_get(&m, 1));
    assert_false(u64map_del(&m, 1, NULL));
    assert_false(u64map_next(&m, &at, &key, &value));
    u64map_fini(&m);
    assert_int_equal(n_blocks, 0);
}

static void test_put_replaces(void **state)
{
    struct u64map m;
    uint64_t was = 0;

    (void)state;
    u64map_init(&m, count_realloc, count_free);
    u64map_put(&m, 7, 1);
    u64map_put(&m, 7, 2);
    assert_int_equal(m.n, 1);
    assert_true(*u64map_get(&m, 7) == 2);
    *u64map_get(&m, 7) = 3;
    assert_true(u64map_del(&m, 7, &was));
    assert_true(was == 3);
    assert_false(u64map_del(&m, 7, &was));
    u64map_fini(&m);
    assert_int_equal(n_blocks, 0);
}

/* A hundred thousand in, then out again: the memory follows both ways. */
static void test_grows_and_shrinks(void **state)
{
    struct u64map m;

    (void)state;
    u64map_init(&m, count_realloc, count_free);
    for (uint64_t k = 1; k <= 100000; k++)
        u64map_put(&m, k << 32 | 1, k);
    assert_true(m.mask + 1 >= 100000 && m.mask + 1 <= 300000);
    for (uint64_t k = 1; k <= 100000; k++)
        assert_true(*u64map_get(&m, k << 32 | 1) == k);
    for (uint64_t k = 1; k <= 100000; k++)
        assert_true(u64map_del(&m, k << 32 | 1, NULL));
    assert_true(m.mask + 1 <= 8);
    u64map_fini(&m);
    assert_int_equal(n_blocks, 0);
}

/* One key in and out for ever allocates once: calls do just that. */
static void test_in_and_out_keeps_its_array(void **state)
{
    struct u64map m;
    uint64_t *slot;

    (void)state;
    u64map_init(&m, count_realloc, count_free);
    u64map_put(&m, 1, 1);
    slot = m.slot;
    for (uint64_t k = 2; k < 1000; k++) {
        assert_true(u64map_del(&m, k - 1, NULL));
        u64map_put(&m, k, k);
        assert_ptr_equal(m.slot, slot);
    }
    u64map_fini(&m);
}

/* Few different keys, of three shapes that real ids have, so that dels meet long runs. */
static uint64_t random_key(uint64_t *seed, unsigned range)
{
    uint64_t k = 1 + next_random(seed) % range;

    switch (next_random(seed) % 3) {
    case 0:
        return k;
    case 1:
        return k << 32 | 1;
    default:
        return k << 56 | k;
    }
}

static void run_property(uint64_t seed, unsigned range, unsigned ops)
{
    static struct model md;
    struct u64map m;

    md.n = 0;
    u64map_init(&m, count_realloc, count_free);
    for (unsigned i = 0; i < ops; i++) {
        uint64_t key = random_key(&seed, range), value = next_random(&seed), was = 0;
        uint64_t *want = model_get(&md, key), *got = u64map_get(&m, key);

        assert_int_equal(want != NULL, got != NULL);
        assert_true(!want || *want == *got);
        /* Tides: mostly puts, then mostly dels, so that it grows and shrinks. */
        if (next_random(&seed) % 8 < (i / 1000 % 2 ? 2u : 6u)) {
            u64map_put(&m, key, value);
            if (want) {
                *want = value;
            } else {
                md.key[md.n] = key;
                md.value[md.n++] = value;
            }
        } else {
            assert_int_equal(u64map_del(&m, key, &was), want != NULL);
            assert_true(!want || was == *want);
            if (want)
                model_del(&md, want);
        }
        if (i % 64 == 0)
            assert_same(&m, &md);
    }
    assert_same(&m, &md);
    u64map_fini(&m);
    assert_int_equal(n_blocks, 0);
}

static void test_against_model(void **state)
{
    const char *given = getenv("WARREN_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761u + 1;

    (void)state;
    printf("WARREN_SEED=%llu\n", (unsigned long long)seed);
    run_property(seed, 5, 5000);
    run_property(seed, 60, 20000);
    run_property(seed, 1000, 20000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_owns_nothing),
        cmocka_unit_test(test_put_replaces),
        cmocka_unit_test(test_grows_and_shrinks),
        cmocka_unit_test(test_in_and_out_keeps_its_array),
        cmocka_unit_test(test_against_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
