/*
 * inject.c - faults on demand, for tests. Compiled without sanitizers: what happens here is meant.
 */
#include "broker/runtime/internal.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic bool has_kind;
static char init_kind[64];

void rt_inject_init(const char *kind)
{
    pthread_mutex_lock(&lock);
    init_kind[0] = '\0';
    if (kind)
        strncpy(init_kind, kind, sizeof(init_kind) - 1);
    atomic_store(&has_kind, kind != NULL);
    pthread_mutex_unlock(&lock);
}

bool inject_wants_init(const char *kind)
{
    bool wanted;

    if (!atomic_load_explicit(&has_kind, memory_order_relaxed))
        return false;
    pthread_mutex_lock(&lock);
    wanted = !strcmp(kind, init_kind);
    pthread_mutex_unlock(&lock);
    return wanted;
}

static volatile uint64_t sink;

static void loop_for_ever(void)
{
    for (;;)
        sink++;
}

static void hang_for_ever(void)
{
    for (;;)
        (void)pause(); /* returns at signals */
}

/* The frame is read after the call, so that it cannot become a loop. */
static __attribute__((noinline)) uint64_t overflow(uint64_t depth)
{
    volatile char frame[512];

    frame[depth % sizeof(frame)] = (char)depth;
    return depth == UINT64_MAX ? 0 : overflow(depth + 1) + (uint64_t)frame[depth % sizeof(frame)];
}

void inject_fault(enum rt_fault how)
{
    volatile int *volatile nowhere = NULL; /* the store itself must not be optimised away */

    turn_enter(rt_me);
    switch (how) {
    case RT_FAULT_CHECK:
        CHECK(how != RT_FAULT_CHECK);
        break;
    case RT_FAULT_SEGV:
        *nowhere = 1;
        break;
    case RT_FAULT_LOOP:
        loop_for_ever();
        break;
    case RT_FAULT_STACK:
        sink = overflow(0);
        break;
    case RT_FAULT_HANG:
        hang_for_ever();
        break;
    }
    turn_leave(rt_me);
}
