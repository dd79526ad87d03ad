/*
 * threads.h - for tests of the runtime on real threads: runs a root process to its end.
 *
 * The root spawns the actors and ends NORMAL when all has come as it must; a CHECK that fails
 * anywhere shows in the root's reason, or in n_crashes. Include it once, after cmocka.h.
 */
#ifndef TESTS_UNIT_THREADS_H
#define TESTS_UNIT_THREADS_H

#include <stdio.h>
#include <string.h>

#include "broker/runtime/runtime.h"

static _Atomic unsigned n_crashes;

/* Those a test means to happen say so. */
static void on_crash(const struct crash_report *r)
{
    if (strcmp(r->why.text, "meant"))
        fprintf(stderr, "crash of %s: %s\n", r->kind, r->why.text);
    n_crashes++;
}

/* Everything must be gone when the root has ended. */
static void run(const struct proc_ops *root, unsigned schedulers, unsigned pool_threads)
{
    struct rt_config config = {
        .schedulers = schedulers, .pool_threads = pool_threads, .on_crash = on_crash};
    struct spawn spec = {.ops = root};
    struct exit_reason why = {.kind = EXIT_CRASH};

    n_crashes = 0;
    assert_int_equal(rt_start(&config), 0);
    rt_spawn_root(&spec);
    rt_wait(&why);
    if (why.kind != EXIT_NORMAL)
        fail_msg("root: %s, %s", exit_kind_name(why.kind), why.text);
    assert_int_equal(rt_live_procs(), 0);
    assert_int_equal(rt_live_msgs(), 0);
}

#endif
