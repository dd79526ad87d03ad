/*
 * region.h - what runs now: process code, or code whose failure is the program's.
 *
 * A fault in region PROC ends one process; in region RUNTIME (allocator, send, tables, libevent,
 * OpenSSL, jansson, SQLite) it ends the program. Foreign libraries are called from process code
 * only inside RUNTIME_REGION(), and nothing may proc_exit or CHECK inside one.
 */
#ifndef BROKER_RUNTIME_REGION_H
#define BROKER_RUNTIME_REGION_H

enum region { REGION_RUNTIME = 0, REGION_PROC = 1 };

/* Thread-local; volatile because signal handlers of the same thread read it. */
extern _Thread_local volatile int rt_region;

static inline int region_enter(void)
{
    int before = rt_region;

    rt_region = REGION_RUNTIME;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    return before;
}

/* Applies a watchdog or kill that came while the region was RUNTIME, if any. May not return. */
void region_overdue(void);
extern _Thread_local volatile int rt_overdue;

static inline void region_leave(const int *before)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    rt_region = *before;
    if (__builtin_expect(rt_overdue && *before == REGION_PROC, 0))
        region_overdue();
}

/* The rest of the enclosing block is RUNTIME. */
#define RUNTIME_REGION() \
    __attribute__((cleanup(region_leave), unused)) const int region_before_ = region_enter()

#endif
