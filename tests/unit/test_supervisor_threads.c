/*
 * test_supervisor_threads.c - the supervisor on two real schedulers.
 */
#include "broker/runtime/supervisor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "broker/runtime/blob.h"
#include "broker/runtime/runtime.h"
#include "broker/runtime/world.h"

enum { SHOOT = MSG_USER + 1 };

/* A tree under fire from another thread, and nothing left at its end. */
static atomic_uint n_fired, n_inits;
static _Atomic proc_id target[64];

static void soldier_init(void *state, const void *arg)
{
    (void)state;
    atomic_fetch_add(&n_inits, 1);
    atomic_store(&target[*(const int *)arg], proc_self());
}

static void soldier_handle(void *state, struct msg *m)
{
    (void)state;
    if (m->type == SHOOT)
        CHECK(m->type == 0);
}

static const struct proc_ops soldier_ops = {
    .kind = "soldier",
    .state_size = 8,
    .init = soldier_init,
    .handle = soldier_handle,
};

static void build_soldiers(const void *ctx)
{
    static const char *const name[] = {"s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7"};

    (void)ctx;
    for (int i = 0; i < 8; i++) {
        struct child_spec spec = {
            .id = name[i],
            .ops = &soldier_ops,
            .arg = blob_copy(&i, sizeof(i)),
            .restart = PERMANENT,
            .shutdown_ms = 1000,
            .scheduler = SCHED_ANY,
        };

        sup_add(&spec);
        blob_unref(spec.arg);
    }
}

static void silent(const struct crash_report *report)
{
    (void)report;
}

static void fire(unsigned n)
{
    const struct timespec nap = {.tv_nsec = 20000};

    for (unsigned i = 0; i < n; i++) {
        proc_id pid = atomic_load(&target[i % 8]);

        if (pid)
            rt_send(pid, MSG_NEW(SHOOT, struct msg));
        atomic_fetch_add(&n_fired, 1);
        nanosleep(&nap, NULL);
    }
}

static void run_threads(enum sup_strategy strategy)
{
    struct sup_spec spec = {
        .strategy = strategy, .intensity = 1000000, .period_ms = 1000, .build = build_soldiers};
    struct rt_config config = {.schedulers = 2, .world = &world_real, .on_crash = silent};
    struct spawn root = {
        .ops = &supervisor_ops, .name = "root", .flags = PROC_SUPERVISOR | PROC_TRAP_EXIT};
    struct exit_reason why;
    proc_id pid;

    root.arg = sup_new_arg(&spec, NULL, 0);
    memset((void *)target, 0, sizeof(target));
    atomic_store(&n_inits, 0);
    assert_int_equal(rt_start(&config), 0);
    pid = rt_spawn_root(&root);
    fire(2000);
    rt_signal(pid, EXIT_SHUTDOWN, "the test is over");
    rt_wait(&why);
    assert_int_equal(why.kind, EXIT_SHUTDOWN);
    assert_true(atomic_load(&n_inits) > 100);
    assert_int_equal(rt_live_procs(), 0);
}

/* A child that moves says where to, and starts there. */
static void mover_init(void *state, const void *arg)
{
    (void)state;
    (void)arg;
    atomic_store(&target[atomic_fetch_add(&n_inits, 1) + 1], proc_self());
    proc_continue();
}

static void mover_handle(void *state, struct msg *m)
{
    (void)state;
    (void)m;
    if (atomic_load(&n_inits) < 5)
        proc_exit(EXIT_MOVED, !proc_scheduler(proc_self()), "to the other one");
}

static void test_moves_to_another_scheduler(void **state)
{
    static const struct proc_ops ops = {
        .kind = "mover", .state_size = 8, .init = mover_init, .handle = mover_handle};
    struct child_spec child = {.id = "mover", .ops = &ops, .restart = PERMANENT};
    struct sup_spec spec = {.children = &child, .n = 1};
    struct rt_config config = {.schedulers = 2, .world = &world_real, .on_crash = silent};
    struct spawn root = {.ops = &supervisor_ops, .flags = PROC_SUPERVISOR};
    const struct timespec nap = {.tv_nsec = 1000000};
    proc_id pid;

    (void)state;
    root.arg = sup_new_arg(&spec, NULL, 0);
    memset((void *)target, 0, sizeof(target));
    atomic_store(&n_inits, 0);
    assert_int_equal(rt_start(&config), 0);
    pid = rt_spawn_root(&root);
    for (int i = 0; i < 10000 && !atomic_load(&target[5]); i++)
        nanosleep(&nap, NULL);
    rt_signal(pid, EXIT_SHUTDOWN, "the test is over");
    rt_wait(NULL);
    for (int i = 1; i <= 5; i++)
        assert_int_equal(proc_scheduler(atomic_load(&target[i])), (i - 1) % 2);
}

static void test_with_threads(void **state)
{
    (void)state;
    run_threads(ONE_FOR_ONE);
    run_threads(ONE_FOR_ALL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moves_to_another_scheduler),
        cmocka_unit_test(test_with_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
