/*
 * watchdog.c - a callback that uses too much CPU time of its thread is ended.
 *
 * Each worker's thread has a timer on its CPU clock that ticks four times in the limit; a machine
 * that stops for a while, or a callback that blocks, does not move it. The tick compares the
 * worker's callback counter: the same odd number for four ticks is overdue. In region PROC the tick
 * jumps; in region RUNTIME it leaves a mark, which the way back to PROC honours. One that does not
 * come back for three more limits is a fault of the runtime.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "broker/runtime/internal.h"

/* Under TSan instrumented code is in TSan's own hands most of the time, from which a jump is not
 * safe: it gets time to come by a call of ours. */
#ifdef WATCHDOG_BEHIND_TSAN
#define PATIENCE 4
#else
#define PATIENCE 0
#endif
#define TICK_SIGNAL (SIGRTMIN + 1)

/* TSan holds signals back until the next library call, which a loop never makes, or delivers them
 * inside its own locks. So under TSan the handler is installed behind its back, and this file is
 * compiled without any sanitizer. */
#ifdef WATCHDOG_BEHIND_TSAN
int __sigaction(int signo, const struct sigaction *sa, struct sigaction *old);
#endif

enum { TICKS = 4, FATAL_TICKS = 4 * TICKS };

static void overdue_fatal(const void *context)
{
    guard_fatal("CPU time over the limit", context);
    abort();
}

static void on_tick(int signo, siginfo_t *info, void *context)
{
    struct worker *w = rt_me;

    (void)signo;
    (void)info;
    if (!w || !w->turn || !(w->callback & 1))
        return;
    if (w->callback != w->watch_seen) {
        w->watch_seen = w->callback;
        w->watch_ticks = 0;
        return;
    }
    if (++w->watch_ticks < TICKS)
        return;
    if (rt_region == REGION_PROC && w->watch_ticks >= TICKS + PATIENCE)
        guard_jump(SIGNO_WATCHDOG, 0, context);
    rt_overdue = 1;
    if (w->watch_ticks >= FATAL_TICKS)
        overdue_fatal(context);
}

void region_overdue(void)
{
    struct turn *t = rt_me ? rt_me->turn : NULL;

    rt_overdue = 0;
    if (!t)
        return;
    rt_region = REGION_RUNTIME;
    t->signo = SIGNO_WATCHDOG;
    FRAMES_HERE(t);
    siglongjmp(t->jump, 1);
}

int watchdog_install(void)
{
    struct sigaction sa = {.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTART};

    sa.sa_sigaction = on_tick;
    sigemptyset(&sa.sa_mask);
#ifdef WATCHDOG_BEHIND_TSAN
    return __sigaction(TICK_SIGNAL, &sa, NULL) < 0 ? -errno : 0;
#else
    return sigaction(TICK_SIGNAL, &sa, NULL) < 0 ? -errno : 0;
#endif
}

void watchdog_start(struct worker *w)
{
    uint64_t limit_us = w->home ? rt.config.watchdog_us : rt.config.pool_watchdog_us;
    uint64_t tick_ns = limit_us * 1000 / TICKS;
    struct itimerspec every = {.it_value = {.tv_sec = (time_t)(tick_ns / 1000000000),
                                            .tv_nsec = (long)(tick_ns % 1000000000)}};
    struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = TICK_SIGNAL};

    ev._sigev_un._tid = (pid_t)syscall(SYS_gettid);
    every.it_interval = every.it_value;
    if (timer_create(CLOCK_THREAD_CPUTIME_ID, &ev, &w->watchdog) < 0 ||
        timer_settime(w->watchdog, 0, &every, NULL) < 0)
        rt_bug(__FILE__, __LINE__, "no timer on the thread's CPU clock: errno %d", errno);
    w->has_watchdog = true;
}

void watchdog_stop(struct worker *w)
{
    if (w->has_watchdog)
        timer_delete(w->watchdog);
    w->has_watchdog = false;
}
