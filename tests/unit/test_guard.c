/*
 * test_guard.c - faults of process code end one process; faults of the runtime end the program.
 *
 * Each runs in a forked child, because cmocka has handlers of its own for these signals, and
 * because some are to end the program. The child's exit code says what happened.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/runtime/alloc.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/internal.h"

enum { HIT = 0xF300, STILL_THERE, ROUNDS = 20 };

struct plan { /* what one child does */
    enum rt_fault fault;
    enum exit_kind kind;
    const char *text; /* part of the reason's */
    unsigned rounds;
    uint64_t watchdog_us;
    bool blocking;
    void (*act)(void); /* instead of a fault: what the victim does when hit */
};
static struct plan plan;
static unsigned n_reports;
static int n_frames;

static void on_crash(const struct crash_report *r)
{
    n_reports++;
    n_frames = r->n_frames;
    if (rt_region != REGION_RUNTIME)
        _exit(90);
}

static void victim_handle(void *state, struct msg *m)
{
    (void)state;
    if (m->type == HIT && plan.act)
        plan.act();
}
static const struct proc_ops victim_ops = {.kind = "victim", .handle = victim_handle};
static const struct proc_ops blocking_victim_ops = {
    .kind = "victim", .flags = PROC_OPS_BLOCKING, .handle = victim_handle};

/* The neighbour lives on the victim's scheduler and answers after each fault. */
static void neighbour_handle(void *state, struct msg *m)
{
    (void)state;
    PROC_SEND(m->from, m);
}
static const struct proc_ops neighbour_ops = {.kind = "neighbour", .handle = neighbour_handle};

struct root {
    proc_id neighbour, victim;
    unsigned round;
};

static void hit(struct root *r)
{
    struct spawn spec = {.ops = plan.blocking ? &blocking_victim_ops : &victim_ops,
                         .flags = PROC_MONITOR,
                         .scheduler = SCHED_SAME};
    struct msg *m = msg_new(HIT, sizeof(*m), NULL);

    r->victim = proc_spawn(&spec);
    if (plan.fault)
        rt_inject(r->victim, plan.fault);
    PROC_SEND(r->victim, m);
}

static void root_init(void *state, const void *arg)
{
    struct root *r = state;
    struct spawn spec = {.ops = &neighbour_ops, .flags = PROC_LINK, .scheduler = SCHED_SAME};

    (void)arg;
    r->neighbour = proc_spawn(&spec);
    hit(r);
}

static void root_handle(void *state, struct msg *m)
{
    struct root *r = state;
    const struct exit_reason *why = &MSG_OF(struct msg_exit, m)->why;
    struct msg *q;

    if (m->type == STILL_THERE) {
        if (++r->round == plan.rounds)
            proc_exit(EXIT_NORMAL, 0, "survived");
        hit(r);
        return;
    }
    CHECK(m->type == MSG_DOWN && m->from == r->victim);
    if (why->kind != plan.kind || !strstr(why->text, plan.text))
        proc_exit(EXIT_CRASH, 0, "%s: %.80s", exit_kind_name(why->kind), why->text);
    q = msg_new(STILL_THERE, sizeof(*q), NULL);
    PROC_SEND(r->neighbour, q);
}

static const struct proc_ops root_ops = {
    .kind = "root", .state_size = sizeof(struct root), .init = root_init, .handle = root_handle};

static void child(void)
{
    struct rt_config config = {.schedulers = 1,
                               .pool_threads = 1,
                               .on_crash = on_crash,
                               .watchdog_us = plan.watchdog_us,
                               .pool_watchdog_us = plan.watchdog_us};
    struct spawn spec = {.ops = &root_ops};
    struct exit_reason why;

    if (rt_start(&config) < 0)
        _exit(91);
    rt_spawn_root(&spec);
    rt_wait(&why);
    if (why.kind != EXIT_NORMAL) {
        fprintf(stderr, "root: %s, %s\n", exit_kind_name(why.kind), why.text);
        _exit(92);
    }
    if (n_reports != plan.rounds || rt_live_procs() || rt_live_msgs())
        _exit(93);
    _exit(0);
}

static int status_of(const struct plan *p)
{
    struct rlimit no_core = {0, 0};
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        plan = *p;
        setrlimit(RLIMIT_CORE, &no_core);
        alarm(RT_SANITIZED ? 120 : 30);
        child();
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void survives(struct plan p)
{
    if (!p.rounds)
        p.rounds = ROUNDS;
    assert_int_equal(status_of(&p), 0);
    p.blocking = true;
    assert_int_equal(status_of(&p), 0);
}

/* The program dies by a signal, and not by the alarm. */
static void ends_the_program(struct plan p)
{
    int status;

    p.rounds = 1;
    status = status_of(&p);
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_false(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM);
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) >= 90);
}

static void failed_check_ends_one_process(void **state)
{
    (void)state;
    survives((struct plan){.fault = RT_FAULT_CHECK, .kind = EXIT_CRASH, .text = "CHECK("});
}

static void fault_ends_one_process_again_and_again(void **state)
{
    (void)state;
    survives((struct plan){.fault = RT_FAULT_SEGV, .kind = EXIT_FAULT, .text = "segmentation"});
}

static void stack_overflow_ends_one_process(void **state)
{
    (void)state;
    survives((struct plan){.fault = RT_FAULT_STACK, .kind = EXIT_FAULT, .text = "stack overflow"});
}

static void endless_loop_ends_one_process(void **state)
{
    (void)state;
    survives((struct plan){.fault = RT_FAULT_LOOP,
                           .kind = EXIT_WATCHDOG,
                           .text = "CPU time",
                           .rounds = 3,
                           .watchdog_us = 40000});
}

static void raise_fpe(void)
{
    struct turn *t = rt_me->turn;

    /* As the processor would: a division by zero is trapped on x86 alone. */
    (void)t;
#if defined(__x86_64__)
    __asm__ volatile("xorl %%edx, %%edx\n\tmovl $1, %%eax\n\txorl %%ecx, %%ecx\n\tdivl %%ecx"
                     :
                     :
                     : "eax", "ecx", "edx");
#else
    __builtin_trap();
#endif
}

static void division_by_zero_ends_one_process(void **state)
{
    (void)state;
#if defined(__x86_64__)
    survives((struct plan){.act = raise_fpe, .kind = EXIT_FAULT, .text = "arithmetic"});
#endif
}

static void trap(void)
{
    __builtin_trap();
}

static void illegal_instruction_ends_one_process(void **state)
{
    (void)state;
    survives((struct plan){.act = trap, .kind = EXIT_FAULT, .text = "illegal"});
}

/* Calls into the runtime all the time: the tick mostly finds region RUNTIME, and the way back to
 * PROC must honour it. */
static void loop_in_calls(void)
{
    for (;;)
        proc_free(proc_alloc(64));
}

static void loop_of_runtime_calls_ends_one_process(void **state)
{
    (void)state;
    survives((struct plan){.act = loop_in_calls,
                           .kind = EXIT_WATCHDOG,
                           .text = "CPU time",
                           .rounds = 3,
                           .watchdog_us = 40000});
}

static void block_long(void)
{
    struct timespec ts = {.tv_nsec = 200000000};

    nanosleep(&ts, NULL);
    proc_exit(EXIT_CRASH, 0, "slept well");
}

static void waiting_uses_no_cpu_time(void **state)
{
    struct plan p = {.act = block_long,
                     .kind = EXIT_CRASH,
                     .text = "slept well",
                     .rounds = 2,
                     .watchdog_us = 40000,
                     .blocking = true};

    (void)state;
    assert_int_equal(status_of(&p), 0);
}

static void fault_in_region_runtime(void)
{
    RUNTIME_REGION();
    raise_fpe();
}

static void fault_inside_the_runtime_ends_the_program(void **state)
{
    (void)state;
    ends_the_program((struct plan){.act = fault_in_region_runtime});
}

static void check_in_region_runtime(void)
{
    RUNTIME_REGION();
    CHECK(n_reports > 1000);
}

static void check_inside_the_runtime_ends_the_program(void **state)
{
    (void)state;
    ends_the_program((struct plan){.act = check_in_region_runtime});
}

static void loop_in_region_runtime(void)
{
    RUNTIME_REGION();
    for (volatile uint64_t i = 0;; i++)
        continue;
}

static void loop_inside_the_runtime_ends_the_program(void **state)
{
    (void)state;
    ends_the_program((struct plan){.act = loop_in_region_runtime, .watchdog_us = 40000});
}

static void raise_from_outside(void)
{
    kill(getpid(), SIGSEGV);
    for (volatile unsigned i = 0; i < 1000000000; i++)
        continue;
}

static void kill_with_a_fault_signal_ends_the_program(void **state)
{
    (void)state;
    ends_the_program((struct plan){.act = raise_from_outside});
}

static void wild_write_before_the_state(void)
{
    volatile uint64_t *below = &rt_me->turn->p->canary;

    *below = 0;
    proc_exit(EXIT_CRASH, 0, "now look");
}

static void damage_before_the_state_ends_the_program(void **state)
{
    (void)state;
    ends_the_program((struct plan){.act = wild_write_before_the_state});
}

/* The region: every call returns to where it was, nested or not. */

static void nested(void)
{
    RUNTIME_REGION();
    assert_int_equal(rt_region, REGION_RUNTIME);
}

static void region_returns_to_what_it_was(void **state)
{
    (void)state;
    rt_region = REGION_PROC;
    {
        RUNTIME_REGION();
        assert_int_equal(rt_region, REGION_RUNTIME);
        nested();
        assert_int_equal(rt_region, REGION_RUNTIME);
        rt_free(rt_alloc(10));
        assert_int_equal(rt_region, REGION_RUNTIME);
    }
    assert_int_equal(rt_region, REGION_PROC);
    rt_region = REGION_RUNTIME;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failed_check_ends_one_process),
        cmocka_unit_test(fault_ends_one_process_again_and_again),
        cmocka_unit_test(stack_overflow_ends_one_process),
        cmocka_unit_test(endless_loop_ends_one_process),
        cmocka_unit_test(division_by_zero_ends_one_process),
        cmocka_unit_test(illegal_instruction_ends_one_process),
        cmocka_unit_test(loop_of_runtime_calls_ends_one_process),
        cmocka_unit_test(waiting_uses_no_cpu_time),
        cmocka_unit_test(fault_inside_the_runtime_ends_the_program),
        cmocka_unit_test(check_inside_the_runtime_ends_the_program),
        cmocka_unit_test(loop_inside_the_runtime_ends_the_program),
        cmocka_unit_test(kill_with_a_fault_signal_ends_the_program),
        cmocka_unit_test(damage_before_the_state_ends_the_program),
        cmocka_unit_test(region_returns_to_what_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
