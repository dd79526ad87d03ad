/*
 * agents.h - for tests of processes on one thread with a virtual clock.
 *
 * An *agent* is a process that runs whatever function a test sends it and notes what else it
 * receives. Tests act through agents and assert from outside. Include it once, after cmocka.h.
 */
#ifndef TESTS_UNIT_AGENTS_H
#define TESTS_UNIT_AGENTS_H

/* Not every test uses all that an agent can do. */
#pragma GCC diagnostic ignored "-Wunused-function"

#include "broker/runtime/alloc.h"
#include "broker/runtime/blob.h"
#include "tests/unit/test_world.h"

enum { DO = 0xF100, ASK, TELL, GOODS, GOODS_BACK, AGENTS = 16, NOTES = 256 };

struct msg_do {
    struct msg hdr;
    void (*fn)(struct msg *m, uintptr_t arg);
    uintptr_t arg;
};

struct note {
    uint32_t type;
    proc_id from;
    proc_ref ref;
    uint64_t value; /* of a TELL */
    struct exit_reason why;
};

struct agent { /* what a test sees of one; outlives the process */
    proc_id pid;
    struct note note[NOTES];
    unsigned n, n_init, n_flush, n_terminate;
    struct exit_reason terminated;
};
static struct agent agents[AGENTS];

struct msg_tell {
    struct msg hdr;
    uint64_t value;
};

struct agent_state {
    struct agent *a;
};

static void agent_init(void *state, const void *arg)
{
    struct agent_state *s = state;

    memcpy(&s->a, arg, sizeof(s->a));
    s->a->n_init++;
}

static void agent_handle(void *state, struct msg *m)
{
    struct agent *a = ((struct agent_state *)state)->a;
    struct note *n = &a->note[a->n];

    if (m->type == DO) {
        MSG_OF(struct msg_do, m)->fn(m, MSG_OF(struct msg_do, m)->arg);
        return;
    }
    CHECK(a->n < NOTES);
    a->n++;
    *n = (struct note){.type = m->type, .from = m->from, .ref = m->ref};
    if (m->type == MSG_DOWN || m->type == MSG_EXIT)
        n->why = MSG_OF(struct msg_exit, m)->why;
    if (m->type == TELL)
        n->value = MSG_OF(struct msg_tell, m)->value;
}

static void agent_flush(void *state)
{
    ((struct agent_state *)state)->a->n_flush++;
}

static void agent_terminate(void *state, const struct exit_reason *why)
{
    struct agent *a = ((struct agent_state *)state)->a;

    a->n_terminate++;
    a->terminated = *why;
}

static size_t agent_inspect(const void *state, char *out, size_t size)
{
    const struct agent *a = ((const struct agent_state *)state)->a;

    return (size_t)snprintf(out, size, "{\"notes\":%u}", a->n);
}

static const struct proc_ops agent_ops = {
    .kind = "agent",
    .state_size = sizeof(struct agent_state),
    .init = agent_init,
    .handle = agent_handle,
    .flush = agent_flush,
    .terminate = agent_terminate,
    .inspect = agent_inspect,
};

/* In process code: spawns agent i. */
static proc_id spawn_agent(unsigned i, unsigned flags)
{
    struct agent *a = &agents[i];
    struct spawn spec = {.ops = &agent_ops, .flags = flags, .scheduler = SCHED_SAME};

    spec.arg = blob_copy(&a, sizeof(a));
    return a->pid = proc_spawn(&spec);
}

static void spawn_now(void *arg)
{
    spawn_agent((unsigned)(uintptr_t)arg & 15, (unsigned)((uintptr_t)arg >> 4));
}

static void start(unsigned n, unsigned flags)
{
    memset(agents, 0, sizeof(agents));
    tw_start(tw_seed());
    for (unsigned i = 0; i < n; i++)
        tw_do(spawn_now, (void *)(uintptr_t)(i | flags << 4));
}

/* Ends the root; the agents that live on go with the runtime. */
static void stop(void)
{
    rt_signal(tw.root, EXIT_SHUTDOWN, "the test is over");
    tw_run_us(0);
    rt_wait(NULL);
    assert_int_equal(rt_live_procs(), 0);
    assert_int_equal(rt_live_msgs(), 0);
}

/* Lets agent i run fn and all that follows of it without time passing. */
static void act(unsigned i, void (*fn)(struct msg *m, uintptr_t arg), uintptr_t arg)
{
    struct msg_do *m = MSG_NEW(DO, struct msg_do);

    m->fn = fn;
    m->arg = arg;
    rt_send(agents[i].pid, &m->hdr);
    tw_run_us(0);
}

static struct note *noted(unsigned i, uint32_t type)
{
    for (unsigned k = 0; k < agents[i].n; k++) {
        if (agents[i].note[k].type == type)
            return &agents[i].note[k];
    }
    return NULL;
}

static unsigned count_notes(unsigned i, uint32_t type)
{
    unsigned n = 0;

    for (unsigned k = 0; k < agents[i].n; k++)
        n += agents[i].note[k].type == type;
    return n;
}

/* What agents do. */

static void tell(proc_id to, uint64_t value)
{
    struct msg_tell *m = MSG_NEW(TELL, struct msg_tell);

    m->value = value;
    PROC_SEND(to, m);
}

static void do_fail(struct msg *m, uintptr_t arg)
{
    (void)m;
    CHECK(arg == 77);
}

static void do_exit(struct msg *m, uintptr_t arg)
{
    (void)m;
    proc_exit((enum exit_kind)arg, 42, "told to, by %s", "the test");
}

static proc_ref last_ref;

static void do_monitor(struct msg *m, uintptr_t arg)
{
    (void)m;
    last_ref = proc_monitor(agents[arg].pid);
}

static void do_cancel(struct msg *m, uintptr_t arg)
{
    (void)m;
    (void)arg;
    proc_cancel(last_ref);
}

/* A call whose request is a DO, so that the asked runs what the test wants. */
struct ask {
    unsigned to;
    void (*fn)(struct msg *m, uintptr_t arg);
    uintptr_t arg;
    uint64_t timeout_us;
};

static void do_call(struct msg *m, uintptr_t arg)
{
    const struct ask *ask = (const struct ask *)arg;
    struct msg_do *q = MSG_NEW(DO, struct msg_do);

    (void)m;
    q->fn = ask->fn;
    q->arg = ask->arg;
    last_ref = proc_call(agents[ask->to].pid, &q->hdr, ask->timeout_us);
}

static void do_keep(struct msg *m, uintptr_t arg)
{
    (void)arg;
    proc_keep(m);
}

#endif
