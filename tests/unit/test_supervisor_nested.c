/*
 * test_supervisor_nested.c - supervisors under supervisors, and random ends under each strategy.
 */
#include "broker/runtime/supervisor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/test_world.h"

#include "tests/unit/sup_kids.h"

/* A nested supervisor: its own kids first, then its next sibling; and down with its parent. */
static struct blob *nested_arg;
static struct child_spec nested_child[3];

static void prepare_nested(void)
{
    static struct sup_spec inner;

    sup_prepare(ONE_FOR_ONE, 2);
    for (int i = 0; i < 3; i++)
        nested_child[i] = kid_spec(i + 2, PERMANENT);
    inner = (struct sup_spec){.strategy = ONE_FOR_ALL, .children = nested_child, .n = 3};
    nested_arg = sup_new_arg(&inner, NULL, 0);
    sup.child[2] = sup.child[1];
    sup.child[1] = (struct child_spec){
        .id = "inner",
        .ops = &supervisor_ops,
        .arg = nested_arg,
        .shutdown_ms = SUP_WAIT,
        .scheduler = SCHED_SAME,
    };
    sup.spec.n = 3;
}

static void test_nested_starts_before_its_sibling(void **state)
{
    (void)state;
    prepare_nested();
    sup_run();
    assert_string_equal(kids_trace(), "+a +c +d +e +b");
    sup_signal(EXIT_SHUTDOWN);
    assert_string_equal(kids_trace(), "-b -e -d -c -a");
    blob_unref(nested_arg);
    sup_over();
}

/* The inner one gives up after five restarts; the outer one starts it anew and lives. */
static void test_nested_gives_up_and_is_restarted(void **state)
{
    proc_id a;

    (void)state;
    prepare_nested();
    sup_run();
    a = kids.pid[0];
    for (int i = 0; i < 6; i++)
        kid_end(3, EXIT_CRASH, 0);
    assert_null(sup_end_reason());
    assert_int_equal(kids.n_runs[3], 7);
    assert_true(kids.pid[0] == a);
    (void)kids_trace();
    sup_signal(EXIT_SHUTDOWN);
    assert_string_equal(kids_trace(), "-b -e -d -c -a");
    blob_unref(nested_arg);
    sup_over();
}

static void test_killing_the_outer_ends_the_inner(void **state)
{
    (void)state;
    prepare_nested();
    sup_run();
    sup_signal(EXIT_KILL);
    assert_int_equal(rt_live_procs(), 1);
    blob_unref(nested_arg);
    sup_over();
}

/* Random kids end in random ways; whoever should be up is up in the end, and nothing leaks. */
static void run_random(uint64_t seed, enum sup_strategy strategy)
{
    static const enum exit_kind kinds[] = {EXIT_CRASH, EXIT_MOVED, EXIT_KILLED, EXIT_NORMAL};

    sup_prepare(strategy, 5);
    tw.seed = seed | 1;
    sup.spec.intensity = 1000000;
    sup.spec.period_ms = 1000;
    for (int i = 0; i < 5; i++)
        kids.is_slow[i] = tw_random() % 4 == 0;
    sup_run();
    for (int n = 0; n < 200; n++) {
        int i = (int)(tw_random() % 5);

        kids.init_fails[i] = tw_random() % 8 == 0;
        kid_end(i, kinds[tw_random() % 4], 0);
        tw_run_us(tw_random() % 700000);
        tw.n_log = 0;
    }
    memset(kids.init_fails, 0, sizeof(kids.init_fails));
    tw_run_us(20000000);
    assert_int_equal(rt_live_procs(), 7); /* root, supervisor, five kids */
    assert_null(sup_end_reason());
    sup_over();
}

static void test_random_ends(void **state)
{
    uint64_t seed = tw_seed();

    (void)state;
    for (uint64_t n = 0; n < 5; n++) {
        run_random(seed + 3 * n, ONE_FOR_ONE);
        run_random(seed + 3 * n + 1, ONE_FOR_ALL);
        run_random(seed + 3 * n + 2, REST_FOR_ONE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nested_starts_before_its_sibling),
        cmocka_unit_test(test_nested_gives_up_and_is_restarted),
        cmocka_unit_test(test_killing_the_outer_ends_the_inner),
        cmocka_unit_test(test_random_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
