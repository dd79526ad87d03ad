/*
 * sim_probe.c - a process beside the tree that adds up what all processes have on their heaps.
 *
 * In: PROBE_COUNT, PROBE_STOP from the driver; the listing it asked for.
 */
#include "tests/sim/sim_probe.h"

#include "broker/runtime/runtime.h"

static proc_id probe; /* 0: none */
static uint64_t heaps;

enum { PROBE_COUNT = MSG_USER, PROBE_STOP };

struct probe {
    proc_ref listing;
};

static void on_listing(struct probe *p, const struct msg *m)
{
    const struct proc_listing *l = (const struct proc_listing *)(const void *)m;

    p->listing = 0;
    if (m->type != MSG_USER)
        return;
    heaps = 0;
    for (size_t i = 0; i < l->n; i++)
        heaps += l->row[i].heap_bytes;
}

static void probe_handle(void *state, struct msg *m)
{
    struct probe *p = state;

    if (m->ref != 0)
        on_listing(p, m);
    else if (m->type == PROBE_STOP)
        proc_exit(EXIT_NORMAL, 0, "stopped");
    else if (!p->listing)
        p->listing = rt_list_processes(PROC_NO_TIMEOUT);
}

static const struct proc_ops probe_ops = {
    .kind = "probe",
    .state_size = sizeof(struct probe),
    .handle = probe_handle,
};

void sim_probe_start(void)
{
    heaps = 0;
    probe = proc_spawn(&(struct spawn){.ops = &probe_ops, .scheduler = SCHED_SAME});
}

void sim_probe_stop(void)
{
    if (probe)
        rt_send(probe, msg_new(PROBE_STOP, sizeof(struct msg), NULL));
    sim_probe_forget();
}

void sim_probe_forget(void)
{
    probe = 0;
    heaps = 0;
}

void sim_probe_ask(void)
{
    if (probe)
        rt_send(probe, msg_new(PROBE_COUNT, sizeof(struct msg), NULL));
}

uint64_t sim_probe_heaps(void)
{
    return heaps;
}
