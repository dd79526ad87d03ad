/*
 * test_pool.c - blocking processes: they hold up no scheduler, run on one thread at a time, keep
 * order, get timers, signals and suspension like all others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/runtime/blob.h"
#include "broker/runtime/internal.h"
#include "tests/unit/threads.h"

enum { WORK = 0xF500, ECHO, WORKERS = 12, ROUNDS = 40 };

static void nap_us(unsigned us)
{
    struct timespec ts = {.tv_nsec = us * 1000L};

    nanosleep(&ts, NULL);
}

static void echo_handle(void *state, struct msg *m)
{
    (void)state;
    PROC_SEND(m->from, m);
}
static const struct proc_ops echo_ops = {.kind = "echo", .handle = echo_handle};

/* A blocked pool does not keep a scheduler from its work. */

static _Atomic bool may_go;

static void blocked_handle(void *state, struct msg *m)
{
    (void)state;
    (void)m;
    while (!atomic_load(&may_go))
        nap_us(100);
}
static const struct proc_ops blocked_ops = {
    .kind = "blocked", .flags = PROC_OPS_BLOCKING, .handle = blocked_handle};

struct counter {
    unsigned n;
};

static struct msg *work(uint32_t type)
{
    return msg_new(type, sizeof(struct msg), NULL);
}

static void block_init(void *state, const void *arg)
{
    struct spawn blocked = {.ops = &blocked_ops},
                 echo = {.ops = &echo_ops, .scheduler = SCHED_SAME};
    struct msg *m = work(WORK);

    (void)state;
    (void)arg;
    PROC_SEND(proc_spawn(&blocked), m);
    m = work(ECHO);
    PROC_SEND(proc_spawn(&echo), m);
}

static void block_handle(void *state, struct msg *m)
{
    struct counter *c = state;

    if (++c->n == 1000) {
        atomic_store(&may_go, true);
        proc_exit(EXIT_NORMAL, 0, "a thousand echoes while the pool was blocked");
    }
    PROC_SEND(m->from, m);
}

static void blocked_pool_holds_up_no_scheduler(void **state)
{
    static const struct proc_ops ops = {.kind = "root",
                                        .state_size = sizeof(struct counter),
                                        .init = block_init,
                                        .handle = block_handle};

    (void)state;
    atomic_store(&may_go, false);
    run(&ops, 1, 1);
}

/* More processes than threads; each runs on one thread at a time and sees its messages in order. */

struct worker_state {
    _Atomic int inside;
    uint64_t last;
};

struct msg_work {
    struct msg hdr;
    uint64_t n;
};

static void worker_handle(void *state, struct msg *m)
{
    struct worker_state *s = state;

    CHECK(atomic_fetch_add(&s->inside, 1) == 0);
    CHECK(MSG_OF(struct msg_work, m)->n == s->last + 1);
    s->last++;
    nap_us(20);
    atomic_fetch_sub(&s->inside, 1);
    PROC_SEND(m->from, m);
}
static const struct proc_ops worker_ops = {.kind = "worker",
                                           .flags = PROC_OPS_BLOCKING,
                                           .state_size = sizeof(struct worker_state),
                                           .handle = worker_handle};

static void many_init(void *state, const void *arg)
{
    (void)state;
    (void)arg;
    for (unsigned i = 0; i < WORKERS; i++) {
        struct spawn spec = {.ops = &worker_ops, .flags = PROC_LINK};
        proc_id id = proc_spawn(&spec);

        for (unsigned k = 1; k <= ROUNDS; k++) {
            struct msg_work *m = MSG_NEW(WORK, struct msg_work);

            m->n = k;
            PROC_SEND(id, m);
        }
    }
}

static void many_handle(void *state, struct msg *m)
{
    struct counter *c = state;

    CHECK(m->type == WORK);
    if (++c->n == WORKERS * ROUNDS)
        proc_exit(EXIT_NORMAL, 0, "all done");
}

static void process_runs_on_one_thread_at_a_time_and_in_order(void **state)
{
    static const struct proc_ops ops = {.kind = "root",
                                        .state_size = sizeof(struct counter),
                                        .init = many_init,
                                        .handle = many_handle};

    (void)state;
    run(&ops, 1, 1);
    run(&ops, 1, 5);
}

/* Each waits until all are in their handlers at once: there must be a thread for each. */

enum { CROWD = 20 };

static _Atomic unsigned n_inside;

static void crowd_handle(void *state, struct msg *m)
{
    (void)state;
    atomic_fetch_add(&n_inside, 1);
    while (atomic_load(&n_inside) < CROWD)
        nap_us(100);
    PROC_SEND(m->from, m);
}
static const struct proc_ops crowd_ops = {
    .kind = "crowd", .flags = PROC_OPS_BLOCKING, .handle = crowd_handle};

static void crowd_init(void *state, const void *arg)
{
    struct spawn spec = {.ops = &crowd_ops, .flags = PROC_LINK};

    (void)state;
    (void)arg;
    for (unsigned i = 0; i < CROWD; i++) {
        struct msg *m = work(WORK);

        PROC_SEND(proc_spawn(&spec), m);
    }
}

static void crowd_root_handle(void *state, struct msg *m)
{
    struct counter *c = state;

    CHECK(m->type == WORK);
    if (++c->n == CROWD)
        proc_exit(EXIT_NORMAL, 0, "all done");
}

static void who_waits_holds_up_nobody(void **state)
{
    static const struct proc_ops ops = {.kind = "root",
                                        .state_size = sizeof(struct counter),
                                        .init = crowd_init,
                                        .handle = crowd_root_handle};

    (void)state;
    atomic_store(&n_inside, 0);
    run(&ops, 2, CROWD);
    atomic_store(&n_inside, 0);
    run(&ops, 2, 0); /* the runtime's own bound */
}

/* Timers, calls between pool processes, continuation, suspension and kill. */

struct medley {
    proc_id root, peer;
    unsigned n;
    uint64_t from_us;
    proc_ref call;
};

static void medley_init(void *state, const void *arg)
{
    struct medley *s = state;

    memcpy(&s->root, arg, sizeof(s->root));
    s->from_us = proc_now_us();
    (void)proc_timer(5000); /* the only one: no need of its ref */
}

static void answer_handle(void *state, struct msg *m)
{
    (void)state;
    proc_reply(m, work(ECHO));
}
static const struct proc_ops answer_ops = {
    .kind = "answer", .flags = PROC_OPS_BLOCKING, .handle = answer_handle};

static void medley_handle(void *state, struct msg *m)
{
    struct medley *s = state;
    struct spawn spec = {.ops = &answer_ops, .flags = PROC_LINK};
    struct msg *done;

    switch (m->type) {
    case MSG_TIMEOUT:
        CHECK(proc_now_us() - s->from_us >= 5000);
        s->call = proc_call(proc_spawn(&spec), work(WORK), 10000000);
        return;
    case ECHO:
        CHECK(m->ref == s->call);
        proc_continue();
        return;
    case MSG_CONTINUE:
        done = work(ECHO);
        PROC_SEND(s->root, done);
        return;
    default:
        proc_exit(EXIT_CRASH, 0, "message %#x", m->type);
    }
}
static const struct proc_ops medley_ops = {.kind = "medley",
                                           .flags = PROC_OPS_BLOCKING,
                                           .state_size = sizeof(struct medley),
                                           .init = medley_init,
                                           .handle = medley_handle};

struct conductor {
    proc_id medley, worker;
    bool resumed;
};

static void conductor_init(void *state, const void *arg)
{
    struct conductor *c = state;
    proc_id self = proc_self();
    struct spawn spec = {
        .ops = &medley_ops, .arg = blob_copy(&self, sizeof(self)), .flags = PROC_MONITOR};

    (void)arg;
    c->medley = proc_spawn(&spec);
}

static void conductor_handle(void *state, struct msg *m)
{
    struct conductor *c = state;
    struct spawn spec = {.ops = &worker_ops, .flags = PROC_MONITOR};
    struct msg_work *w;

    switch (m->type) {
    case ECHO: /* the medley went through; now a suspended worker */
        proc_signal(c->medley, EXIT_KILL, 0, "meant");
        c->worker = proc_spawn(&spec);
        rt_suspend(c->worker, true);
        w = MSG_NEW(WORK, struct msg_work);
        w->n = 1;
        PROC_SEND(c->worker, w);
        (void)proc_timer(20000);
        return;
    case MSG_TIMEOUT:
        c->resumed = true;
        rt_suspend(c->worker, false);
        return;
    case WORK:
        CHECK(c->resumed);
        proc_signal(c->worker, EXIT_SHUTDOWN, 0, "meant");
        return;
    case MSG_DOWN:
        if (m->from == c->medley)
            CHECK(MSG_OF(struct msg_exit, m)->why.kind == EXIT_KILLED);
        else
            proc_exit(EXIT_NORMAL, 0, "all seen");
        return;
    default:
        proc_exit(EXIT_CRASH, 0, "message %#x", m->type);
    }
}

static void pool_process_is_a_process_like_all_others(void **state)
{
    static const struct proc_ops ops = {.kind = "root",
                                        .state_size = sizeof(struct conductor),
                                        .init = conductor_init,
                                        .handle = conductor_handle};

    (void)state;
    run(&ops, 1, 1);
    run(&ops, 1, 3);
}

/* Spawn and exit in numbers: slots are used again, generations move on. */

static void brief_init(void *state, const void *arg)
{
    (void)state;
    (void)arg;
    proc_exit(EXIT_NORMAL, 0, "at once");
}
static const struct proc_ops brief_ops = {
    .kind = "brief", .flags = PROC_OPS_BLOCKING, .init = brief_init};

static void births_init(void *state, const void *arg)
{
    (void)state;
    (void)arg;
    for (unsigned i = 0; i < 300; i++) {
        struct spawn spec = {.ops = &brief_ops, .flags = PROC_MONITOR};

        (void)proc_spawn(&spec); /* its DOWN counts */
    }
}

static void births_handle(void *state, struct msg *m)
{
    struct counter *c = state;
    struct spawn spec = {.ops = &brief_ops, .flags = PROC_MONITOR};

    CHECK(m->type == MSG_DOWN && MSG_OF(struct msg_exit, m)->why.kind == EXIT_NORMAL);
    CHECK(id_slot(m->from) < 1000);
    if (++c->n == 3000)
        proc_exit(EXIT_NORMAL, 0, "all born and gone");
    if (c->n <= 2700)
        (void)proc_spawn(&spec); /* as above */
}

static void slots_are_used_again(void **state)
{
    static const struct proc_ops ops = {.kind = "root",
                                        .state_size = sizeof(struct counter),
                                        .init = births_init,
                                        .handle = births_handle};

    (void)state;
    run(&ops, 1, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocked_pool_holds_up_no_scheduler),
        cmocka_unit_test(process_runs_on_one_thread_at_a_time_and_in_order),
        cmocka_unit_test(who_waits_holds_up_nobody),
        cmocka_unit_test(pool_process_is_a_process_like_all_others),
        cmocka_unit_test(slots_are_used_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
