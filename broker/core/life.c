/*
 * life.c - signs of life, which are given only when they are true.
 *
 * Duties: three times in the time within which a sign is expected, asks the root supervisor for
 * anything, and has a process run on each scheduler; when all have answered, gives the sign. A
 * scheduler that hangs, or a root that does, lets the time run out.
 * In:  the root's answer to an inspection, DOWN of the processes, timer.
 * Out: inspection; processes that end at once.
 * Links and monitors: the processes that it starts.
 * Invariant: there is one round at a time; none begins before all of the last one have answered.
 */
#include "broker/core/life.h"

#include "broker/core/activation.h"
#include "broker/core/log.h"
#include "broker/runtime/region.h"
#include "broker/runtime/runtime.h"

enum { ROUNDS = 3 };

struct life {
    uint64_t period_us;
    proc_ref timer;
    unsigned n_awaited; /* answers of this round */
    bool is_late;       /* as was said in the log */
};

static void passer_init(void *state, const void *arg)
{
    (void)state, (void)arg;
    proc_exit(EXIT_NORMAL, 0, "has run");
}

static void passer_handle(void *state, struct msg *m)
{
    (void)state, (void)m;
}

static const struct proc_ops passer_ops = {
    .kind = "passer", .init = passer_init, .handle = passer_handle};

/* The root's, and those of all schedulers with the one aside. */
static unsigned all_answers(void)
{
    return rt_schedulers() + 2;
}

static void begin(struct life *l)
{
    struct spawn passer = {.ops = &passer_ops, .flags = PROC_MONITOR, .scheduler = SCHED_ASIDE};

    (void)rt_inspect(proc_parent(), PROC_NO_TIMEOUT);
    (void)proc_spawn(&passer);
    for (unsigned i = 0; i < rt_schedulers(); i++) {
        passer.scheduler = (int)i;
        (void)proc_spawn(&passer);
    }
    l->n_awaited = all_answers();
}

static void on_timer(struct life *l)
{
    l->timer = proc_timer(l->period_us);
    if (l->n_awaited == 0) {
        l->is_late = false;
        begin(l);
    } else if (!l->is_late) {
        l->is_late = true;
        log_warn("no sign of life: %u of %u have not answered", l->n_awaited, all_answers());
    }
}

static void on_answer(struct life *l)
{
    if (--l->n_awaited > 0)
        return;
    RUNTIME_REGION();
    activation_notify("WATCHDOG=1");
}

static void life_init(void *state, const void *arg)
{
    struct life *l = state;

    l->period_us = ((const struct life_arg *)arg)->within_us / ROUNDS;
    on_timer(l);
    CHECK(proc_register("life") == 0);
}

static void life_handle(void *state, struct msg *m)
{
    struct life *l = state;

    if (m->ref == l->timer)
        on_timer(l);
    else
        on_answer(l);
}

const struct proc_ops life_ops = {
    .kind = "life",
    .state_size = sizeof(struct life),
    .init = life_init,
    .handle = life_handle,
};
