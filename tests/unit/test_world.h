/*
 * test_world.h - a small world for unit tests of processes: one thread, a virtual clock, seeded
 * random numbers, and a root process through which the test acts.
 *
 *     tw_start(seed);
 *     tw_do(fn, arg);        runs fn(arg) as process code of the root, then all that follows of it
 *     tw_run_us(1500000);    lets 1.5 s of virtual time pass
 *     ... tw.log[0 .. tw.n_log - 1] is what the root received meanwhile ...
 *     tw_stop();             ends the root; nothing may be left alive
 *
 * Time stands still but in tw_run_us. Assertions stand outside of processes: cmocka must not jump
 * out of a turn. Include it once, after cmocka.h.
 */
#ifndef TESTS_UNIT_TEST_WORLD_H
#define TESTS_UNIT_TEST_WORLD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/runtime/runtime.h"
#include "broker/runtime/supervisor.h"
#include "broker/runtime/world.h"

enum { TW_LOG = 512, TW_RUN = 0xF001 };

/* What the root received: of each message what tests ask for. */
struct tw_entry {
    uint32_t type;
    proc_id from;
    proc_ref ref;
    struct exit_reason why; /* MSG_DOWN, MSG_EXIT, MSG_CHILD_STATE */
    int err;                /* MSG_SUP_REPLY */
    proc_id child;          /* MSG_SUP_REPLY, MSG_CHILD_STATE */
    enum child_state state; /* MSG_CHILD_STATE */
    uint64_t tag;
};

static struct tw {
    uint64_t now_ns, limit_ns, seed;
    bool is_stalled; /* the next timer lies beyond the limit */
    bool is_fifo;    /* processes run in the order in which they became ready: for large numbers */
    proc_id root;
    unsigned n_crashes;
    struct crash_report last_crash; /* but its pointers */
    struct tw_entry log[TW_LOG];
    size_t n_log;
    char text[4096];                /* of the last msg_inspect */
    void (*on_user)(struct msg *m); /* gets answers of type MSG_USER instead; NULL: nobody */
} tw;

struct tw_run {
    struct msg hdr;
    void (*fn)(void *arg);
    void *arg;
};

static uint64_t tw_now_ns(void)
{
    return tw.now_ns;
}

static int64_t tw_wall_ms(void)
{
    return (int64_t)(tw.now_ns / 1000000);
}

static uint64_t tw_random(void)
{
    tw.seed ^= tw.seed << 13;
    tw.seed ^= tw.seed >> 7;
    tw.seed ^= tw.seed << 17;
    return tw.seed;
}

static uint32_t tw_pick(uint32_t n)
{
    return tw.is_fifo ? 0 : (uint32_t)(tw_random() % n);
}

static void tw_on_crash(const struct crash_report *report)
{
    tw.n_crashes++;
    tw.last_crash = *report;
}

static void tw_root_handle(void *state, struct msg *m)
{
    struct tw_entry *e = &tw.log[tw.n_log];

    (void)state; /* all it has is the log, which the test reads */
    if (m->type == TW_RUN) {
        MSG_OF(struct tw_run, m)->fn(MSG_OF(struct tw_run, m)->arg);
        return;
    }
    if (m->type == MSG_EXIT && m->from == 0)
        proc_exit(EXIT_SHUTDOWN, 0, "the test is over");
    CHECK(tw.n_log < TW_LOG);
    tw.n_log++;
    *e = (struct tw_entry){.type = m->type, .from = m->from, .ref = m->ref};
    if (m->type == MSG_EXIT || m->type == MSG_DOWN) {
        e->why = MSG_OF(struct msg_exit, m)->why;
    } else if (m->type == MSG_SUP_REPLY) {
        e->err = MSG_OF(struct msg_sup_reply, m)->err;
        e->child = MSG_OF(struct msg_sup_reply, m)->child;
    } else if (m->type == MSG_CHILD_STATE) {
        e->why = MSG_OF(struct msg_child_state, m)->why;
        e->state = MSG_OF(struct msg_child_state, m)->state;
        e->child = MSG_OF(struct msg_child_state, m)->pid;
        e->tag = MSG_OF(struct msg_child_state, m)->tag;
    } else if (m->type == MSG_USER && tw.on_user) {
        tw.on_user(m);
    } else if (m->type == MSG_USER && m->ref != 0) {
        snprintf(tw.text, sizeof(tw.text), "%.*s", (int)MSG_OF(struct msg_inspect, m)->len,
                 MSG_OF(struct msg_inspect, m)->text);
    }
}

static void tw_root_init(void *state, const void *arg)
{
    (void)state;
    (void)arg;
    proc_trap_exit(true);
}

static const struct proc_ops tw_root_ops = {
    .kind = "test",
    .state_size = 1,
    .init = tw_root_init,
    .handle = tw_root_handle,
};

static void tw_advance(uint64_t to_ns)
{
    if (to_ns > tw.limit_ns)
        tw.is_stalled = true;
    else if (to_ns > tw.now_ns)
        tw.now_ns = to_ns;
}

/* Lets virtual time pass, and everything happen that is due. */
static void tw_run_us(uint64_t us)
{
    tw.limit_ns = tw.now_ns + us * 1000;
    tw.is_stalled = false;
    for (unsigned n = 0; !tw.is_stalled && rt_step(tw_advance); n++)
        assert_true(n < 10000000); /* else it goes round in a circle */
    tw.now_ns = tw.limit_ns;
}

/* fn(arg) as process code of the root, and all that follows of it without time passing. */
__attribute__((unused)) static void tw_do(void (*fn)(void *arg), void *arg)
{
    struct tw_run *m = MSG_NEW(TW_RUN, struct tw_run);

    m->fn = fn;
    m->arg = arg;
    rt_send(tw.root, &m->hdr);
    tw_run_us(0);
}

/* The n-th entry (from 0) of this type in the log; NULL: there is none. */
__attribute__((unused)) static struct tw_entry *tw_find(uint32_t type, unsigned n)
{
    for (size_t i = 0; i < tw.n_log; i++)
        if (tw.log[i].type == type && n-- == 0)
            return &tw.log[i];
    return NULL;
}

/* The entry with this ref; NULL: there is none. */
__attribute__((unused)) static struct tw_entry *tw_answer(proc_ref ref)
{
    for (size_t i = 0; i < tw.n_log; i++)
        if (tw.log[i].ref == ref)
            return &tw.log[i];
    return NULL;
}

/* The seed of this run: WARREN_SEED, or by the clock. Printed. */
__attribute__((unused)) static uint64_t tw_seed(void)
{
    const char *given = getenv("WARREN_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761u + 1;

    printf("WARREN_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

static void tw_start(uint64_t seed)
{
    static const struct world_net no_net;
    static const struct world world = {
        .now_ns = tw_now_ns,
        .wall_ms = tw_wall_ms,
        .random = tw_random,
        .net = &no_net,
        .pick = tw_pick,
    };
    struct rt_config config = {.schedulers = 1, .world = &world, .on_crash = tw_on_crash};
    struct spawn spec = {.ops = &tw_root_ops, .name = "root"};

    memset(&tw, 0, sizeof(tw));
    tw.seed = seed | 1;
    tw.now_ns = 1000000000;
    assert_int_equal(rt_start(&config), 0);
    tw.root = rt_spawn_root(&spec);
    tw_run_us(0);
}

__attribute__((unused)) static void tw_stop(void)
{
    struct exit_reason why;

    rt_signal(tw.root, EXIT_SHUTDOWN, "the test is over");
    tw_run_us(3600u * 1000000u);
    assert_int_equal(rt_live_procs(), 0);
    assert_int_equal(rt_live_msgs(), 0);
    rt_wait(&why);
}

#endif
