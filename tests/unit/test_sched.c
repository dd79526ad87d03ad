/*
 * test_sched.c - several schedulers and the pool on real threads: order, answers, the end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "broker/runtime/blob.h"
#include "tests/unit/threads.h"

enum { NUMBER = 0xF200, GO, DONE, QUESTION, ANSWER, SINKS = 8, SOURCES = 12, MESSAGES = 3000 };

static uint64_t seed;

struct msg_number {
    struct msg hdr;
    unsigned source;
    uint64_t n;
};

static uint64_t seed_next(uint64_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s;
}

/* Order: sources send numbers to random sinks; each sink sees each source's numbers count up, and
 * its death after all of them. */

struct sink {
    proc_id root;
    uint64_t last[SOURCES];
    bool is_gone[SOURCES];
    unsigned n_down;
    proc_ref ref[SOURCES];
};

struct crew { /* the arg of sinks and sources */
    proc_id root;
    proc_id sink[SINKS];
    proc_id source[SOURCES];
    unsigned number;
};

struct msg_crew {
    struct msg hdr;
    struct crew crew;
};

static void done(proc_id root)
{
    struct msg *m = msg_new(DONE, sizeof(*m), NULL);

    PROC_SEND(root, m);
}

static void sink_init(void *state, const void *arg)
{
    struct sink *s = state;

    s->root = ((const struct crew *)arg)->root;
}

static void sink_handle(void *state, struct msg *m)
{
    struct sink *s = state;
    const struct msg_number *n = MSG_OF(struct msg_number, m);

    switch (m->type) {
    case GO: /* the crew comes after the spawn, because it names the sources */
        for (unsigned i = 0; i < SOURCES; i++)
            s->ref[i] = proc_monitor(MSG_OF(struct msg_crew, m)->crew.source[i]);
        done(s->root);
        break;
    case NUMBER:
        CHECK(n->n == s->last[n->source] + 1 && !s->is_gone[n->source]);
        s->last[n->source] = n->n;
        break;
    case MSG_DOWN:
        for (unsigned i = 0; i < SOURCES; i++) {
            if (s->ref[i] == m->ref)
                s->is_gone[i] = true;
        }
        if (++s->n_down == SOURCES)
            done(s->root);
        break;
    default:
        proc_exit(EXIT_CRASH, 0, "message %#x", m->type);
    }
}

struct source {
    struct crew crew;
    uint64_t sent[SINKS], left, seed;
};

static void source_init(void *state, const void *arg)
{
    struct source *s = state;

    memcpy(&s->crew, arg, sizeof(s->crew));
    s->left = MESSAGES;
    s->seed = seed + 77 * (s->crew.number + 1);
}

static void source_handle(void *state, struct msg *m)
{
    struct source *s = state;
    uint64_t burst = 1 + seed_next(&s->seed) % 100;

    if (m->type != GO && m->type != MSG_CONTINUE)
        proc_exit(EXIT_CRASH, 0, "message %#x", m->type);
    for (; burst && s->left; burst--, s->left--) {
        unsigned to = (unsigned)(seed_next(&s->seed) % SINKS);
        struct msg_number *n = MSG_NEW(NUMBER, struct msg_number);

        n->source = s->crew.number;
        n->n = ++s->sent[to];
        PROC_SEND(s->crew.sink[to], n);
    }
    if (!s->left)
        proc_exit(EXIT_NORMAL, 0, "all sent");
    proc_continue();
}

static const struct proc_ops sink_ops = {
    .kind = "sink", .state_size = sizeof(struct sink), .init = sink_init, .handle = sink_handle};
static const struct proc_ops blocking_sink_ops = {.kind = "sink",
                                                  .state_size = sizeof(struct sink),
                                                  .flags = PROC_OPS_BLOCKING,
                                                  .init = sink_init,
                                                  .handle = sink_handle};
static const struct proc_ops source_ops = {.kind = "source",
                                           .state_size = sizeof(struct source),
                                           .init = source_init,
                                           .handle = source_handle};
static const struct proc_ops blocking_source_ops = {.kind = "source",
                                                    .state_size = sizeof(struct source),
                                                    .flags = PROC_OPS_BLOCKING,
                                                    .init = source_init,
                                                    .handle = source_handle};

struct order_root {
    struct crew crew;
    unsigned n_done;
};

static void order_init(void *state, const void *arg)
{
    struct order_root *r = state;

    (void)arg;
    r->crew.root = proc_self();
    for (unsigned i = 0; i < SINKS; i++) {
        struct spawn spec = {.ops = i % 4 == 3 ? &blocking_sink_ops : &sink_ops,
                             .arg = blob_copy(&r->crew, sizeof(r->crew)),
                             .flags = PROC_LINK,
                             .scheduler = SCHED_ANY};

        r->crew.sink[i] = proc_spawn(&spec);
    }
    for (unsigned i = 0; i < SOURCES; i++) {
        struct spawn spec = {.ops = i % 4 == 3 ? &blocking_source_ops : &source_ops,
                             .scheduler = SCHED_ANY};

        r->crew.number = i;
        spec.arg = blob_copy(&r->crew, sizeof(r->crew));
        r->crew.source[i] = proc_spawn(&spec);
    }
    for (unsigned i = 0; i < SINKS; i++) {
        struct msg_crew *m = MSG_NEW(GO, struct msg_crew);

        m->crew = r->crew;
        PROC_SEND(r->crew.sink[i], m);
    }
}

static void order_handle(void *state, struct msg *m)
{
    struct order_root *r = state;

    CHECK(m->type == DONE);
    r->n_done++;
    if (r->n_done == SINKS) {
        for (unsigned i = 0; i < SOURCES; i++) {
            struct msg *go = msg_new(GO, sizeof(*go), NULL);

            PROC_SEND(r->crew.source[i], go);
        }
    }
    if (r->n_done == 2 * SINKS)
        proc_exit(EXIT_NORMAL, 0, "every sink has seen every source end");
}

static void what_one_sends_to_another_arrives_in_order(void **state)
{
    static const struct proc_ops ops = {.kind = "root",
                                        .state_size = sizeof(struct order_root),
                                        .init = order_init,
                                        .handle = order_handle};

    (void)state;
    run(&ops, 1, 1);
    run(&ops, 2, 2);
    run(&ops, 4, 3);
    assert_int_equal(n_crashes, 0);
}

/* Calls: many callers, answerers that reply, drop, keep or crash; exactly one answer for each. */

enum { CALLERS = 8, CALLS = 600 };

static void answerer_handle(void *state, struct msg *m)
{
    uint64_t *s = state;
    struct msg *reply;

    if (!*s)
        *s = proc_random() | 1;
    switch (seed_next(s) % 16) {
    case 0:
        return; /* dropped: NOREPLY */
    case 1:
        proc_keep(m);
        return; /* answered at exit */
    case 2:
        (void)proc_defer(m);
        return; /* answered at exit */
    case 3:
        proc_exit(EXIT_CRASH, 0, "meant");
    default:
        reply = msg_new(ANSWER, sizeof(*reply), NULL);
        proc_reply(m, reply);
    }
}

static const struct proc_ops answerer_ops = {
    .kind = "answerer", .state_size = sizeof(uint64_t), .handle = answerer_handle};
static const struct proc_ops blocking_answerer_ops = {.kind = "answerer",
                                                      .state_size = sizeof(uint64_t),
                                                      .flags = PROC_OPS_BLOCKING,
                                                      .handle = answerer_handle};

struct caller {
    proc_id root, answerer;
    proc_ref open[4], tick;
    unsigned n_open, n_asked, n_answered;
};

static void caller_fill(struct caller *c)
{
    for (unsigned i = 0; i < 4 && c->n_asked < CALLS; i++) {
        struct msg *q;

        if (c->open[i])
            continue;
        if (!c->answerer) {
            struct spawn spec = {.ops = proc_random() % 4 ? &answerer_ops : &blocking_answerer_ops,
                                 .flags = PROC_MONITOR,
                                 .scheduler = SCHED_ANY};

            c->answerer = proc_spawn(&spec);
        }
        q = msg_new(QUESTION, sizeof(*q), NULL);
        c->open[i] = proc_call(c->answerer, q, i ? PROC_NO_TIMEOUT : 60000000);
        c->n_asked++;
        c->n_open++;
    }
}

static void caller_init(void *state, const void *arg)
{
    struct caller *c = state;

    memcpy(&c->root, arg, sizeof(c->root));
    c->tick = proc_timer(500);
    caller_fill(c);
}

static void caller_handle(void *state, struct msg *m)
{
    struct caller *c = state;
    unsigned i;

    if (m->type == MSG_DOWN && m->ref == m->from) {
        if (m->from == c->answerer)
            c->answerer = 0;
    } else if (m->ref == c->tick) {
        /* What it keeps or defers is answered only when it ends. */
        proc_signal(c->answerer, EXIT_SHUTDOWN, 0, "enough");
        c->tick = proc_timer(500);
    } else {
        for (i = 0; i < 4 && c->open[i] != m->ref; i++)
            continue;
        CHECK(i < 4); /* each ref is answered once, and only those that are open */
        CHECK(m->type == ANSWER || m->type == MSG_DOWN);
        c->open[i] = 0;
        c->n_open--;
        c->n_answered++;
    }
    if (c->n_answered == CALLS) {
        done(c->root);
        proc_exit(EXIT_NORMAL, 0, "all answered");
    }
    caller_fill(c);
}

static const struct proc_ops caller_ops = {.kind = "caller",
                                           .state_size = sizeof(struct caller),
                                           .init = caller_init,
                                           .handle = caller_handle};

static void calls_init(void *state, const void *arg)
{
    proc_id self = proc_self();

    (void)state;
    (void)arg;
    for (unsigned i = 0; i < CALLERS; i++) {
        struct spawn spec = {.ops = &caller_ops,
                             .arg = blob_copy(&self, sizeof(self)),
                             .flags = PROC_LINK,
                             .scheduler = SCHED_ANY};

        (void)proc_spawn(&spec); /* it reports by itself */
    }
}

static void count_callers(void *state, struct msg *m)
{
    unsigned *n = state;

    if (m->type == DONE && ++*n == CALLERS)
        proc_exit(EXIT_NORMAL, 0, "all callers are done");
}

static void every_call_has_exactly_one_answer(void **state)
{
    static const struct proc_ops ops = {.kind = "root",
                                        .state_size = sizeof(unsigned),
                                        .init = calls_init,
                                        .handle = count_callers};

    (void)state;
    run(&ops, 1, 1);
    run(&ops, 3, 2);
}

/* Aside: work that goes on there until a neighbour of all others has run. */

static _Atomic bool is_long_at_work, has_other_run;

static void long_init(void *state, const void *arg)
{
    struct timespec moment = {.tv_nsec = 1000000};

    (void)state;
    (void)arg;
    CHECK(proc_scheduler(proc_self()) == rt_scheduler_aside());
    atomic_store(&is_long_at_work, true);
    while (!atomic_load(&has_other_run))
        nanosleep(&moment, NULL);
}

static void other_init(void *state, const void *arg)
{
    (void)state;
    (void)arg;
    atomic_store(&has_other_run, true);
    CHECK(proc_scheduler(proc_self()) < rt_schedulers());
}

static const struct proc_ops long_ops = {.kind = "long", .init = long_init};
static const struct proc_ops other_ops = {.kind = "other", .init = other_init};

static void aside_init(void *state, const void *arg)
{
    struct spawn spec = {
        .ops = &long_ops, .flags = PROC_LINK | PROC_NOTIFY, .scheduler = SCHED_ASIDE};

    (void)state;
    (void)arg;
    (void)proc_spawn(&spec);
    proc_continue();
}

static void aside_handle(void *state, struct msg *m)
{
    struct spawn spec = {.ops = &other_ops, .scheduler = SCHED_ANY};

    (void)state;
    if (m->type == MSG_STARTED)
        proc_exit(EXIT_NORMAL, 0, "the long work is done");
    if (!atomic_load(&is_long_at_work)) {
        proc_continue();
        return;
    }
    for (unsigned i = 0; i < 2 * rt_schedulers(); i++)
        (void)proc_spawn(&spec);
}

static void work_aside_holds_up_nobody(void **state)
{
    static const struct proc_ops ops = {.kind = "root", .init = aside_init, .handle = aside_handle};

    (void)state;
    for (unsigned n = 1; n <= 2; n++) {
        atomic_store(&is_long_at_work, false);
        atomic_store(&has_other_run, false);
        run(&ops, n, 1);
        assert_true(atomic_load(&has_other_run));
    }
    assert_int_equal(n_crashes, 0);
}

/* The end: whatever is alive and under way goes with the root. */

static void chatter_handle(void *state, struct msg *m)
{
    (void)state;
    PROC_SEND(proc_random() % 2 ? m->from : proc_self(), m);
}
static const struct proc_ops chatter_ops = {.kind = "chatter", .handle = chatter_handle};
static const struct proc_ops blocking_chatter_ops = {
    .kind = "chatter", .flags = PROC_OPS_BLOCKING, .handle = chatter_handle};

static void crowd_init(void *state, const void *arg)
{
    (void)state;
    (void)arg;
    for (unsigned i = 0; i < 50; i++) {
        struct spawn spec = {.ops = i % 5 ? &chatter_ops : &blocking_chatter_ops,
                             .scheduler = SCHED_ANY};
        struct msg *m = msg_new(NUMBER, sizeof(*m), NULL);

        PROC_SEND(proc_spawn(&spec), m);
    }
    (void)proc_timer(5000);
}

static void crowd_handle(void *state, struct msg *m)
{
    (void)state;
    if (m->type == MSG_TIMEOUT)
        proc_exit(EXIT_NORMAL, 0, "enough");
    PROC_SEND(m->from, m);
}

static void end_of_the_root_takes_all_with_it(void **state)
{
    static const struct proc_ops ops = {.kind = "root", .init = crowd_init, .handle = crowd_handle};

    (void)state;
    for (unsigned n = 1; n <= 3; n++)
        run(&ops, n, n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_one_sends_to_another_arrives_in_order),
        cmocka_unit_test(every_call_has_exactly_one_answer),
        cmocka_unit_test(work_aside_holds_up_nobody),
        cmocka_unit_test(end_of_the_root_takes_all_with_it),
    };
    const char *given = getenv("WARREN_SEED");

    seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) | 1;
    printf("WARREN_SEED=%llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
