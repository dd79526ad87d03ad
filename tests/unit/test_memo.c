/*
 * test_memo.c - what is remembered is right, what is too large is not, and the newest of many is.
 */
#include "broker/runtime/memo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char answers[16];

static void put(struct memo *m, uint64_t version, const char *key, unsigned n)
{
    const void *item[sizeof(answers)];

    for (unsigned i = 0; i < n; i++)
        item[i] = &answers[(version + i) % sizeof(answers)];
    assert_null(memo_get(m, version, key, strlen(key)));
    memo_put(m, version, key, strlen(key), item, n);
}

static bool knows(const struct memo *m, uint64_t version, const char *key, unsigned n)
{
    const struct memo_entry *e = memo_get(m, version, key, strlen(key));

    if (!e)
        return false;
    assert_int_equal(e->n, n);
    for (unsigned i = 0; i < n; i++)
        assert_ptr_equal(e->item[i], &answers[(version + i) % sizeof(answers)]);
    return true;
}

static void test_keys_and_versions(void **state)
{
    struct memo *m = memo_new();

    (void)state;
    put(m, 1, "a", 1);
    put(m, 2, "a", 2);
    put(m, 1, "", 0);
    put(m, 1, "ab", MEMO_ITEMS);
    assert_true(knows(m, 1, "a", 1));
    assert_true(knows(m, 2, "a", 2));
    assert_true(knows(m, 1, "", 0));
    assert_true(knows(m, 1, "ab", MEMO_ITEMS));
    assert_false(knows(m, 2, "", 0));
    assert_false(knows(m, 2, "ab", MEMO_ITEMS));
    memo_free(m);
}

static void test_bounds(void **state)
{
    struct memo *m = memo_new();
    char key[MEMO_KEY_MAX + 2] = "";

    (void)state;
    memset(key, 'k', MEMO_KEY_MAX);
    put(m, 1, key, 1);
    assert_true(knows(m, 1, key, 1));
    key[MEMO_KEY_MAX] = 'k';
    put(m, 1, key, 1);
    assert_false(knows(m, 1, key, 1));
    put(m, 1, "many", MEMO_ITEMS + 1);
    assert_false(knows(m, 1, "many", MEMO_ITEMS + 1));
    memo_free(m);
}

/* A thousand keys of one version are nearly all kept; of far too many, the last ones. */
static void test_many(void **state)
{
    struct memo *m = memo_new();
    unsigned n_known = 0;
    char key[16];

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "key.%u", i);
        put(m, 7, key, i % MEMO_ITEMS);
    }
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "key.%u", i);
        n_known += knows(m, 7, key, i % MEMO_ITEMS);
    }
    assert_true(n_known > 950);
    for (unsigned i = 0; i < 100000; i++) {
        snprintf(key, sizeof(key), "key.%u", i);
        put(m, 8, key, i % MEMO_ITEMS);
        assert_true(knows(m, 8, key, i % MEMO_ITEMS));
    }
    memo_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_and_versions),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
