/*
 * grace.c - freeing what readers without a lock may still see, after a grace period.
 *
 * Each worker has an epoch that it moves on at the end of each round, and makes odd while it
 * sleeps. What a worker retires waits in its open batch. When no closed batch is waiting, the open
 * one is closed: the worker writes down all epochs. It is freed once every epoch has moved on or
 * was odd.
 *
 * The epochs are read and written by read-modify-write only, so that a worker that wakes either is
 * seen awake by the one who closes a batch, or sees what that one had replaced before.
 */
#include "broker/runtime/alloc.h"
#include "broker/runtime/internal.h"
#include "broker/runtime/table.h"

static void run_items(struct grace_item *first)
{
    while (first) {
        struct grace_item *next = first->next;

        first->fn(first->p);
        rt_free(first);
        first = next;
    }
}

void grace_retire(void (*fn)(void *), void *p)
{
    RUNTIME_REGION();
    struct worker *w = rt_me;
    struct grace_item *item;

    if (!w || w->muted) {
        fn(p); /* no worker runs: before the start, or at the end */
        return;
    }
    item = rt_alloc(sizeof(*item));
    *item = (struct grace_item){NULL, fn, p};
    *w->retiring_end = item;
    w->retiring_end = &item->next;
}

static bool all_passed(const struct worker *w)
{
    for (unsigned i = 0; i < rt.n_workers; i++) {
        uint64_t then = w->waiting_for[i];

        if (rt.workers[i] != w && !(then & 1) &&
            atomic_load_explicit(&rt.workers[i]->epoch, memory_order_acquire) == then)
            return false;
    }
    return true;
}

static void close_batch(struct worker *w)
{
    w->waiting = w->retiring;
    w->retiring = NULL;
    w->retiring_end = &w->retiring;
    for (unsigned i = 0; i < rt.n_workers; i++)
        w->waiting_for[i] = atomic_fetch_add(&rt.workers[i]->epoch, 0);
}

/* Between rounds, so this worker itself reads nothing now. */
static void advance(struct worker *w)
{
    struct grace_item *done;

    if (!w->waiting && w->retiring)
        close_batch(w);
    if (!w->waiting || !all_passed(w))
        return;
    done = w->waiting;
    w->waiting = NULL;
    run_items(done);
}

void grace_round(struct worker *w)
{
    atomic_fetch_add(&w->epoch, 2);
    if (w->waiting || w->retiring)
        advance(w);
}

void grace_sleep(struct worker *w)
{
    atomic_fetch_add(&w->epoch, 1);
}

void grace_wake(struct worker *w)
{
    atomic_fetch_add(&w->epoch, 1);
}

bool grace_is_waiting(const struct worker *w)
{
    return w->waiting || w->retiring;
}

void grace_finish(struct worker *w)
{
    while (w->waiting || w->retiring) {
        struct grace_item *waiting = w->waiting, *retiring = w->retiring;

        w->waiting = w->retiring = NULL;
        w->retiring_end = &w->retiring;
        run_items(waiting);
        run_items(retiring);
    }
}
