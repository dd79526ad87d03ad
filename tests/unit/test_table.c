/*
 * test_table.c - the trie by itself, tables against a naive model, and readers on other threads.
 */
#include "broker/runtime/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/test_world.h"

#include "broker/runtime/alloc.h"
#include "broker/runtime/hamt.h"

/* The trie. Hashes are chosen by the test, so that they collide as they please. */

static hamt_ref put_string(hamt_ref root, uint64_t hash, const char *key, void *value)
{
    struct hamt_garbage garbage;

    root = hamt_put(root, hamt_leaf_new(hash, key, strlen(key), value), &garbage);
    hamt_garbage_free(&garbage, NULL);
    return root;
}

static void *get_string(hamt_ref root, uint64_t hash, const char *key)
{
    struct hamt_leaf *leaf = hamt_get(root, hash, key, strlen(key));

    return leaf ? leaf->value : NULL;
}

static hamt_ref del_string(hamt_ref root, uint64_t hash, const char *key, bool want)
{
    struct hamt_garbage garbage;

    root = hamt_del(root, hash, key, strlen(key), &garbage);
    assert_int_equal(garbage.leaf != NULL, want);
    hamt_garbage_free(&garbage, NULL);
    return root;
}

static void test_trie_of_equal_hashes(void **state)
{
    static const char *const key[] = {"a", "b", "c", "dd", ""};
    static const uint64_t hashes[] = {0, UINT64_MAX, 0x123456789abcdef0u};

    (void)state;
    for (size_t h = 0; h < 3; h++) {
        hamt_ref root = 0;

        for (size_t i = 0; i < 5; i++)
            root = put_string(root, hashes[h], key[i], (void *)key[i]);
        root = put_string(root, hashes[h], "c", (void *)key[0]); /* replaces */
        assert_ptr_equal(get_string(root, hashes[h], "c"), key[0]);
        assert_null(get_string(root, hashes[h], "cc"));
        assert_null(get_string(root, hashes[h] ^ 1, "c"));
        root = del_string(root, hashes[h], "x", false);
        for (size_t i = 0; i < 5; i++) {
            assert_non_null(get_string(root, hashes[h], key[i]));
            root = del_string(root, hashes[h], key[i], true);
            assert_null(get_string(root, hashes[h], key[i]));
        }
        assert_true(root == 0);
    }
}

/* Hashes that differ only in their last bits make the deepest path; it folds up again. */
static void test_trie_of_nearly_equal_hashes(void **state)
{
    const uint64_t low = 0x0fffffffffffffffu;
    hamt_ref root = 0;

    (void)state;
    root = put_string(root, low, "a", "a");
    root = put_string(root, low | UINT64_C(1) << 60, "b", "b");
    root = put_string(root, low | UINT64_C(1) << 63, "c", "c");
    assert_string_equal(get_string(root, low, "a"), "a");
    assert_string_equal(get_string(root, low | UINT64_C(1) << 60, "b"), "b");
    assert_string_equal(get_string(root, low | UINT64_C(1) << 63, "c"), "c");
    root = del_string(root, low | UINT64_C(1) << 60, "b", true);
    root = del_string(root, low | UINT64_C(1) << 63, "c", true);
    assert_true(root & 1); /* a leaf is the root again: no chain of single children is left */
    root = del_string(root, low, "a", true);
    assert_true(root == 0);
}

/* A version that a reader holds stays as it was while the next ones are made. */
static void test_trie_versions(void **state)
{
    struct hamt_garbage garbage[100];
    hamt_ref version[101] = {0};
    char key[16];

    (void)state;
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof(key), "%d", i);
        version[i + 1] = hamt_put(version[i],
                                  hamt_leaf_new(hamt_hash(1, key, strlen(key)), key, strlen(key),
                                                (void *)(intptr_t)(i + 1)),
                                  &garbage[i]);
    }
    for (int v = 0; v <= 100; v++) {
        for (int i = 0; i < 100; i++) {
            snprintf(key, sizeof(key), "%d", i);
            assert_ptr_equal(get_string(version[v], hamt_hash(1, key, strlen(key)), key),
                             i < v ? (void *)(intptr_t)(i + 1) : NULL);
        }
    }
    for (int i = 0; i < 100; i++)
        hamt_garbage_free(&garbage[i], NULL);
    hamt_free(version[100], NULL);
}

static void test_hash_depends_on_all(void **state)
{
    (void)state;
    assert_true(hamt_hash(1, "abcdefghi", 9) != hamt_hash(2, "abcdefghi", 9));
    assert_true(hamt_hash(1, "abcdefghi", 9) != hamt_hash(1, "abcdefghj", 9));
    assert_true(hamt_hash(1, "abcdefghi", 9) != hamt_hash(1, "bbcdefghi", 9));
    assert_true(hamt_hash(1, "", 0) != hamt_hash(1, "\0", 1));
}

/* Tables, in a process of the test world. */

static int n_freed;

static void count_free(void *p)
{
    (void)p;
    n_freed++;
}

static struct table *table;

static void open_table(void *arg)
{
    (void)arg;
    table = table_open("test", count_free);
}

static void test_open_by_name(void **state)
{
    struct table *first;

    (void)state;
    tw_start(1);
    tw_do(open_table, NULL);
    first = table;
    tw_do(open_table, NULL);
    assert_ptr_equal(table, first);
    tw_stop();
}

static void put_two_and_close(void *arg)
{
    (void)arg;
    table_put(table, "a", 1, "one");
    table_put(table, "b", 1, "two");
    table_close(table);
    table = table_open("test", count_free);
    CHECK(table_count(table) == 0);
}

static void test_close_frees_after_the_turn(void **state)
{
    (void)state;
    tw_start(1);
    n_freed = 0;
    tw_do(open_table, NULL);
    tw_do(put_two_and_close, NULL);
    tw_run_us(1000000);
    assert_int_equal(n_freed, 2);
    tw_stop();
}

/* What table_get gave stays valid until the handler returns, though the writer replaced it. */
static char *stale;

static void free_string(void *p)
{
    rt_free(p);
    n_freed++;
}

static void replace_and_look(void *arg)
{
    (void)arg;
    table = table_open("strings", free_string);
    table_put(table, "k", 1, strcpy(rt_alloc(8), "old"));
    stale = table_get(table, "k", 1);
    table_put(table, "k", 1, strcpy(rt_alloc(8), "new"));
    (void)table_del(table, "k", 1);
    CHECK(n_freed == 0 && strcmp(stale, "old") == 0);
    table_put(table, "k", 1, strcpy(rt_alloc(8), "last"));
    table_put(table, "k", 1, table_get(table, "k", 1)); /* the same again: not freed */
}

static void look_again(void *arg)
{
    (void)arg;
    CHECK(strcmp(table_get(table, "k", 1), "last") == 0);
}

static void test_grace_period(void **state)
{
    (void)state;
    tw_start(1);
    n_freed = 0;
    tw_do(replace_and_look, NULL);
    tw_run_us(1000000);
    tw_do(look_again, NULL);
    assert_int_equal(tw.n_crashes, 0);
    assert_int_equal(n_freed, 2);
    tw_stop();
    assert_int_equal(n_freed, 3); /* with the program's end */
}

/* The naive model: values of keys 0..RANGE-1, 0 for none. */
enum { RANGE = 300, OPS = 20000 };
static uintptr_t model[RANGE];

static int each_entry(void *ctx, const void *key, size_t len, void *v)
{
    int k;

    CHECK(len == sizeof(k));
    memcpy(&k, key, sizeof(k));
    CHECK(model[k] == (uintptr_t)v);
    ++*(size_t *)ctx;
    return 0;
}

static void check_model(void)
{
    size_t n = 0, want = 0;

    for (int k = 0; k < RANGE; k++)
        want += model[k] != 0;
    CHECK(table_count(table) == want);
    CHECK(table_each(table, each_entry, &n) == 0 && n == want);
}

static void run_model(void *arg)
{
    (void)arg;
    memset(model, 0, sizeof(model));
    table = table_open("model", count_free);
    for (uintptr_t i = 1; i <= OPS; i++) {
        int k = (int)(proc_random() % RANGE);

        CHECK((uintptr_t)table_get(table, &k, sizeof(k)) == model[k]);
        if (proc_random() % 3 < (i / 2000) % 2 + 1) {
            table_put(table, &k, sizeof(k), (void *)i);
            model[k] = i;
        } else {
            CHECK(table_del(table, &k, sizeof(k)) == (model[k] != 0));
            model[k] = 0;
        }
        if (i % 500 == 0)
            check_model();
    }
    check_model();
}

static void test_against_model(void **state)
{
    uint64_t seed = tw_seed();

    (void)state;
    for (uint64_t n = 0; n < 10; n++) {
        tw_start(seed + 2 * n);
        tw_do(run_model, NULL);
        assert_int_equal(tw.n_crashes, 0);
        tw_stop();
    }
}

static int stop_at_three(void *ctx, const void *key, size_t len, void *v)
{
    (void)key;
    (void)len;
    (void)v;
    return ++*(int *)ctx == 3 ? 33 : 0;
}

static void each_stops(void *arg)
{
    int n = 0;

    (void)arg;
    table = table_open("each", NULL);
    for (int k = 0; k < 10; k++)
        table_put(table, &k, sizeof(k), table);
    CHECK(table_each(table, stop_at_three, &n) == 33 && n == 3);
}

static void test_each_stops(void **state)
{
    (void)state;
    tw_start(1);
    tw_do(each_stops, NULL);
    assert_int_equal(tw.n_crashes, 0);
    tw_stop();
}

enum { PARTED = 3000 };

static uint8_t n_seen[PARTED];

static int see(void *ctx, const void *key, size_t len, void *value)
{
    (void)ctx, (void)key, (void)len;
    n_seen[(uintptr_t)value - 1]++;
    return 0;
}

/* What is there all the time is seen once, whatever comes and goes between the parts. */
static void in_parts(void *arg)
{
    struct table *t = table_open("parts", NULL);
    int n = *(int *)arg;
    unsigned at = 0, last = 0;

    for (int i = 0; i < n; i++)
        table_put(t, &i, sizeof(i), (void *)(uintptr_t)(i + 1));
    while (table_each_part(t, &at, see, NULL)) {
        CHECK(at == last + 1);
        last = at;
        if (at % 7 == 0)
            table_put(t, &at, sizeof(at) - 1, (void *)(uintptr_t)1);
        else if (at % 7 == 1)
            table_del(t, &(unsigned){at - 1}, sizeof(at) - 1);
    }
    for (int i = 1; i < n; i++)
        CHECK(n_seen[i] == 1);
    table_close(t);
}

static void test_parts(void **state)
{
    (void)state;
    for (int n = 1; n <= PARTED; n = n * 3 + 1) {
        memset(n_seen, 0, sizeof(n_seen));
        tw_start(1);
        tw_do(in_parts, &n);
        assert_int_equal(tw.n_crashes, 0);
        tw_stop();
    }
}

static void fill(void *arg)
{
    char key[32];

    (void)arg;
    table = table_open("large", NULL);
    for (int i = 0; i < 100000; i++) {
        int len = snprintf(key, sizeof(key), "queue.number.%d", i);

        table_put(table, key, (size_t)len, table);
    }
    CHECK(table_count(table) == 100000);
}

static void test_a_hundred_thousand(void **state)
{
    struct timespec t0, t1;

    (void)state;
    tw_start(1);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t0);
    tw_do(fill, NULL);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t1);
    printf("100,000 puts: %.3f s of CPU\n",
           (double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) / 1e9);
    assert_int_equal(tw.n_crashes, 0);
    tw_stop();
}

/*
 * Threads: one writer changes all keys over and over, readers on every scheduler and in the pool
 * look. A value knows its key and its round: a reader sees whole values, never older ones than
 * before.
 */
enum { KEYS = 64, ROUNDS = 300, READERS = 4 };

struct fact {
    uint32_t key, round, twice; /* twice == 2 * round, while it lives */
};

static atomic_uint n_done, n_live_facts, n_looks, n_bad;

static void fact_free(void *p)
{
    struct fact *f = p;

    f->twice = 0;
    rt_free(f);
    atomic_fetch_sub(&n_live_facts, 1);
}

struct writer {
    struct table *t;
    uint32_t round;
};

static void writer_round(void *state, struct msg *m)
{
    struct writer *w = state;

    (void)m;
    w->t = table_open("facts", fact_free);
    w->round++;
    for (uint32_t k = 0; k < KEYS; k++) {
        struct fact *f = rt_alloc(sizeof(*f));

        *f = (struct fact){k, w->round, 2 * w->round};
        atomic_fetch_add(&n_live_facts, 1);
        if (w->round % 8 == 0 && k % 4 == 0)
            (void)table_del(w->t, &k, sizeof(k));
        table_put(w->t, &k, sizeof(k), f);
    }
    if (w->round < ROUNDS)
        proc_continue();
    else
        atomic_fetch_add(&n_done, 1);
}

static void writer_init(void *state, const void *arg)
{
    (void)state;
    (void)arg;
    proc_continue();
}

struct reader {
    uint32_t seen[KEYS];
};

static void reader_look(void *state, struct msg *m)
{
    struct reader *r = state;
    struct table *t = table_open("facts", fact_free);
    bool is_over = atomic_load(&n_done) > 0;

    (void)m;
    for (uint32_t k = 0; k < KEYS; k++) {
        struct fact *f = table_get(t, &k, sizeof(k));

        if (!f)
            continue;
        if (f->key != k || f->twice != 2 * f->round || f->round < r->seen[k])
            atomic_fetch_add(&n_bad, 1);
        r->seen[k] = f->round;
        atomic_fetch_add(&n_looks, 1);
    }
    if (!is_over)
        proc_continue();
    else
        atomic_fetch_add(&n_done, 1);
}

static const struct proc_ops writer_ops = {.kind = "writer",
                                           .state_size = sizeof(struct writer),
                                           .init = writer_init,
                                           .handle = writer_round};
static const struct proc_ops reader_ops = {.kind = "reader",
                                           .state_size = sizeof(struct reader),
                                           .init = writer_init,
                                           .handle = reader_look};
static const struct proc_ops pool_reader_ops = {.kind = "pool_reader",
                                                .state_size = sizeof(struct reader),
                                                .flags = PROC_OPS_BLOCKING,
                                                .init = writer_init,
                                                .handle = reader_look};

static void readers_init(void *state, const void *arg)
{
    struct spawn spec = {.ops = &writer_ops, .scheduler = 0};

    (void)state;
    (void)arg;
    (void)proc_spawn(&spec);
    for (int i = 0; i < READERS; i++) {
        spec.ops = i == 0 ? &pool_reader_ops : &reader_ops;
        spec.scheduler = i % 2;
        (void)proc_spawn(&spec);
    }
    (void)proc_timer(1000);
}

static void readers_wait(void *state, struct msg *m)
{
    (void)state;
    (void)m;
    if (atomic_load(&n_done) > READERS)
        proc_exit(EXIT_NORMAL, 0, "all have finished");
    (void)proc_timer(1000);
}

static void test_readers_on_other_threads(void **state)
{
    static const struct proc_ops ops = {
        .kind = "test", .state_size = 1, .init = readers_init, .handle = readers_wait};
    struct rt_config config = {.schedulers = 2, .pool_threads = 1, .world = &world_real};
    struct spawn root = {.ops = &ops};
    struct exit_reason why;

    (void)state;
    assert_int_equal(rt_start(&config), 0);
    (void)rt_spawn_root(&root);
    rt_wait(&why);
    assert_int_equal(why.kind, EXIT_NORMAL);
    assert_int_equal(atomic_load(&n_bad), 0);
    assert_true(atomic_load(&n_looks) > 0);
    assert_int_equal(atomic_load(&n_live_facts), 0); /* all were freed, the last at the end */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trie_of_equal_hashes),
        cmocka_unit_test(test_trie_of_nearly_equal_hashes),
        cmocka_unit_test(test_trie_versions),
        cmocka_unit_test(test_hash_depends_on_all),
        cmocka_unit_test(test_open_by_name),
        cmocka_unit_test(test_close_frees_after_the_turn),
        cmocka_unit_test(test_grace_period),
        cmocka_unit_test(test_against_model),
        cmocka_unit_test(test_each_stops),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_a_hundred_thousand),
        cmocka_unit_test(test_readers_on_other_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
