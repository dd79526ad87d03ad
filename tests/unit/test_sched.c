/*
 * test_sched.c - several schedulers and the pool on real threads: order, answers, sleep, the end.
 *
 * Each scenario is a root process that spawns the actors and ends NORMAL when all has come as it
 * must; a CHECK that fails anywhere shows in the root's reason or as an unexpected crash report.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/runtime/blob.h"
#include "broker/runtime/internal.h"
#include "broker/runtime/table.h"

enum { NUMBER = 0xF200, GO, DONE, QUESTION, ANSWER, SINKS = 8, SOURCES = 12, MESSAGES = 3000 };

static uint64_t seed;
static _Atomic unsigned n_crashes;

struct msg_number {
    struct msg hdr;
    unsigned source;
    uint64_t n;
};

static void on_crash(const struct crash_report *r)
{
    if (r->why.kind != EXIT_CRASH || strcmp(r->why.text, "meant"))
        fprintf(stderr, "crash of %s: %s\n", r->kind, r->why.text);
    atomic_fetch_add(&n_crashes, 1);
}

static void run(const struct proc_ops *root, unsigned schedulers, unsigned pool_threads)
{
    struct rt_config config = {
        .schedulers = schedulers, .pool_threads = pool_threads, .on_crash = on_crash};
    struct spawn spec = {.ops = root};
    struct exit_reason why = {.kind = EXIT_CRASH};

    atomic_store(&n_crashes, 0);
    assert_int_equal(rt_start(&config), 0);
    rt_spawn_root(&spec);
    rt_wait(&why);
    if (why.kind != EXIT_NORMAL)
        fail_msg("root: %s, %s", exit_kind_name(why.kind), why.text);
    assert_int_equal(rt_live_procs(), 0);
    assert_int_equal(rt_live_msgs(), 0);
}

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
    uint64_t of[SOURCES]; /* how many each source said it sent here; told by the last message */
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
        CHECK(n->n == s->last[n->source] + 1);
        s->last[n->source] = n->n;
        break;
    case MSG_DOWN:
        for (unsigned i = 0; i < SOURCES; i++) {
            if (s->ref[i] == m->ref)
                s->of[i] = (uint64_t)MSG_OF(struct msg_exit, m)->why.code;
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
static const struct proc_ops blocking_sink_ops = {
    .kind = "sink", .state_size = sizeof(struct sink), .flags = PROC_OPS_BLOCKING,
    .init = sink_init, .handle = sink_handle};
static const struct proc_ops source_ops = {
    .kind = "source", .state_size = sizeof(struct source), .init = source_init,
    .handle = source_handle};
static const struct proc_ops blocking_source_ops = {
    .kind = "source", .state_size = sizeof(struct source), .flags = PROC_OPS_BLOCKING,
    .init = source_init, .handle = source_handle};

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
    static const struct proc_ops ops = {.kind = "root", .state_size = sizeof(struct order_root),
                                        .init = order_init, .handle = order_handle};

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

static const struct proc_ops answerer_ops = {.kind = "answerer", .state_size = sizeof(uint64_t),
                                             .handle = answerer_handle};
static const struct proc_ops blocking_answerer_ops = {
    .kind = "answerer", .state_size = sizeof(uint64_t), .flags = PROC_OPS_BLOCKING,
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

static const struct proc_ops caller_ops = {.kind = "caller", .state_size = sizeof(struct caller),
                                           .init = caller_init, .handle = caller_handle};

static void calls_init(void *state, const void *arg)
{
    proc_id self = proc_self();

    (void)state;
    (void)arg;
    for (unsigned i = 0; i < CALLERS; i++) {
        struct spawn spec = {.ops = &caller_ops, .arg = blob_copy(&self, sizeof(self)),
                             .flags = PROC_LINK, .scheduler = SCHED_ANY};

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
    static const struct proc_ops ops = {.kind = "root", .state_size = sizeof(unsigned),
                                        .init = calls_init, .handle = count_callers};

    (void)state;
    run(&ops, 1, 1);
    run(&ops, 3, 2);
}

/* Sleep: an eventfd is written only for a scheduler that said it sleeps. */

struct waker {
    proc_id other;
    unsigned n;
    bool was_asleep;
    uint64_t wakes_before;
};

static void echo_handle(void *state, struct msg *m)
{
    (void)state;
    PROC_SEND(m->from, m);
}
static const struct proc_ops echo_ops = {.kind = "echo", .handle = echo_handle};

static void waker_init(void *state, const void *arg)
{
    struct waker *w = state;
    struct spawn spec = {.ops = &echo_ops, .flags = PROC_LINK, .scheduler = 1};

    (void)arg;
    w->other = proc_spawn(&spec);
    (void)proc_timer(20000); /* time enough to fall asleep; if not, the test still holds */
}

static uint64_t n_wakes(unsigned scheduler)
{
    return atomic_load(&rt.scheds[scheduler].n_wakes);
}

static void waker_handle(void *state, struct msg *m)
{
    struct waker *w = state;
    struct msg *next;

    if (m->type == MSG_TIMEOUT) {
        w->was_asleep = atomic_load(&rt.scheds[1].sleeping);
        w->wakes_before = n_wakes(1);
        for (unsigned i = 0; i < 1000; i++) {
            next = msg_new(NUMBER, sizeof(*next), NULL);
            PROC_SEND(w->other, next);
        }
        return;
    }
    if (++w->n == 1000) {
        /* A thousand messages came in a few batches: no more wakes than batches. */
        CHECK(n_wakes(1) - w->wakes_before <= 1000 / FLUSH_AFTER + 1);
        CHECK(!w->was_asleep || n_wakes(1) > w->wakes_before);
        proc_exit(EXIT_NORMAL, 0, "all back");
    }
}

static void sleeping_scheduler_is_woken_and_a_busy_one_not(void **state)
{
    static const struct proc_ops ops = {.kind = "root", .state_size = sizeof(struct waker),
                                        .init = waker_init, .handle = waker_handle};

    (void)state;
    run(&ops, 2, 1);
}

/* Grace periods: what is retired is freed after the reader's handler has returned, and is freed. */

static _Atomic unsigned n_freed;
static _Atomic(uint64_t *) shown;

static void free_shown(void *p)
{
    *(volatile uint64_t *)p = 0;
    free(p);
    atomic_fetch_add(&n_freed, 1);
}

static void reader_handle(void *state, struct msg *m)
{
    uint64_t *p = atomic_load(&shown);

    (void)state;
    for (unsigned i = 0; i < 200; i++)
        CHECK(*(volatile uint64_t *)p == 42);
    PROC_SEND(m->from, m);
}
static const struct proc_ops reader_ops = {.kind = "reader", .handle = reader_handle};
static const struct proc_ops blocking_reader_ops = {.kind = "reader", .flags = PROC_OPS_BLOCKING,
                                                    .handle = reader_handle};

struct writer {
    unsigned n;
};

static uint64_t *new_shown(void)
{
    uint64_t *p = malloc(sizeof(*p));

    *p = 42;
    return p;
}

static void writer_init(void *state, const void *arg)
{
    (void)state;
    (void)arg;
    atomic_store(&shown, new_shown());
    for (unsigned i = 0; i < 6; i++) {
        struct spawn spec = {.ops = i % 3 == 2 ? &blocking_reader_ops : &reader_ops,
                             .flags = PROC_LINK, .scheduler = SCHED_ANY};
        struct msg *m = msg_new(GO, sizeof(*m), NULL);

        PROC_SEND(proc_spawn(&spec), m);
    }
}

static void writer_handle(void *state, struct msg *m)
{
    struct writer *w = state;

    if (m->type == MSG_TIMEOUT) {
        if (atomic_load(&n_freed) == w->n)
            proc_exit(EXIT_NORMAL, 0, "all freed");
        (void)proc_timer(1000);
        return;
    }
    if (w->n == 4000)
        return;
    grace_retire(free_shown, atomic_exchange(&shown, new_shown()));
    if (++w->n == 4000)
        (void)proc_timer(1000);
    PROC_SEND(m->from, m);
}

static void retired_memory_is_freed_after_its_readers(void **state)
{
    static const struct proc_ops ops = {.kind = "root", .state_size = sizeof(struct writer),
                                        .init = writer_init, .handle = writer_handle};

    (void)state;
    for (unsigned n = 1; n <= 3; n++) {
        atomic_store(&n_freed, 0);
        run(&ops, n, 2);
        assert_int_equal(n_freed, 4000);
        free(atomic_load(&shown));
    }
}

/* The end: whatever is alive and under way goes with the root. */

static void chatter_handle(void *state, struct msg *m)
{
    (void)state;
    PROC_SEND(proc_random() % 2 ? m->from : proc_self(), m);
}
static const struct proc_ops chatter_ops = {.kind = "chatter", .handle = chatter_handle};
static const struct proc_ops blocking_chatter_ops = {.kind = "chatter", .flags = PROC_OPS_BLOCKING,
                                                     .handle = chatter_handle};

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
    static const struct proc_ops ops = {.kind = "root", .init = crowd_init,
                                        .handle = crowd_handle};

    (void)state;
    for (unsigned n = 1; n <= 3; n++)
        run(&ops, n, n);
}

/* Budgets: between two turns of a neighbour a busy process handles 64 messages at most, however
 * many it has; and proc_continue takes turns. */

struct busy {
    unsigned since_neighbour, most, n_neighbour;
};
static struct busy busy;

static void busy_init(void *state, const void *arg)
{
    (void)state;
    (void)arg;
    for (unsigned i = 0; i < 500; i++) {
        struct msg *m = msg_new(NUMBER, sizeof(*m), NULL);

        PROC_SEND(proc_self(), m);
    }
}

static void busy_handle(void *state, struct msg *m)
{
    (void)state;
    busy.since_neighbour++;
    PROC_SEND(proc_self(), m);
}
static const struct proc_ops busy_ops = {.kind = "busy", .init = busy_init,
                                         .handle = busy_handle};

static void on_and_on_init(void *state, const void *arg)
{
    (void)state;
    (void)arg;
    proc_continue();
}

static void on_and_on_handle(void *state, struct msg *m)
{
    (void)state;
    CHECK(m->type == MSG_CONTINUE);
    busy.since_neighbour++;
    proc_continue();
}
static const struct proc_ops on_and_on_ops = {.kind = "busy", .init = on_and_on_init,
                                              .handle = on_and_on_handle};

static void neighbour_init(void *state, const void *arg)
{
    struct spawn spec = {.ops = *(const struct proc_ops *const *)arg, .scheduler = SCHED_SAME};
    struct msg *m = msg_new(NUMBER, sizeof(*m), NULL);

    (void)state;
    busy = (struct busy){0};
    (void)proc_spawn(&spec); /* it stays until the end */
    PROC_SEND(proc_self(), m);
    proc_continue();
}

static void neighbour_handle(void *state, struct msg *m)
{
    (void)state;
    if (m->type != MSG_CONTINUE)
        return;
    if (busy.since_neighbour > busy.most)
        busy.most = busy.since_neighbour;
    busy.since_neighbour = 0;
    if (++busy.n_neighbour == 1000)
        proc_exit(EXIT_NORMAL, 0, "enough");
    proc_continue();
}

static void neighbour_start(void *state, const void *arg)
{
    static const struct proc_ops *const ops = &busy_ops;

    (void)arg;
    neighbour_init(state, &ops);
}

static void patient_neighbour_start(void *state, const void *arg)
{
    static const struct proc_ops *const ops = &on_and_on_ops;

    (void)arg;
    neighbour_init(state, &ops);
}

static void busy_process_holds_nobody_longer_than_its_budget(void **state)
{
    static const struct proc_ops ops = {.kind = "root", .init = neighbour_start,
                                        .handle = neighbour_handle};
    static const struct proc_ops patient = {.kind = "root", .init = patient_neighbour_start,
                                            .handle = neighbour_handle};

    (void)state;
    run(&ops, 1, 1);
    assert_in_range(busy.most, 1, TURN_MSGS);
    run(&patient, 1, 1);
    assert_int_equal(busy.most, 1);
}

/* Listings see every home. */

static void list_init(void *state, const void *arg)
{
    (void)state;
    (void)arg;
    for (unsigned i = 0; i < 20; i++) {
        struct spawn spec = {.ops = i % 5 ? &echo_ops : &blocking_chatter_ops, .name = "listed",
                             .flags = PROC_NOTIFY, .scheduler = SCHED_ANY};

        (void)proc_spawn(&spec); /* it stays until the end */
    }
}

static void list_handle(void *state, struct msg *m)
{
    unsigned *n_started = state, n = 0;
    const struct proc_listing *l = MSG_OF(struct proc_listing, m);

    if (m->type == MSG_STARTED) {
        if (++*n_started == 20)
            (void)rt_list_processes(10000000);
        return;
    }
    CHECK(m->type == MSG_USER);
    for (size_t i = 0; i < l->n; i++)
        n += !strcmp(l->row[i].name, "listed") && l->row[i].parent == proc_self();
    CHECK(n == 20 && l->n == 21);
    proc_exit(EXIT_NORMAL, 0, "all listed");
}

static void listing_visits_every_home(void **state)
{
    static const struct proc_ops ops = {.kind = "root", .state_size = sizeof(unsigned),
                                        .init = list_init, .handle = list_handle};

    (void)state;
    run(&ops, 1, 1);
    run(&ops, 3, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_one_sends_to_another_arrives_in_order),
        cmocka_unit_test(every_call_has_exactly_one_answer),
        cmocka_unit_test(sleeping_scheduler_is_woken_and_a_busy_one_not),
        cmocka_unit_test(retired_memory_is_freed_after_its_readers),
        cmocka_unit_test(end_of_the_root_takes_all_with_it),
        cmocka_unit_test(busy_process_holds_nobody_longer_than_its_budget),
        cmocka_unit_test(listing_visits_every_home),
    };
    const char *given = getenv("TEST_SEED");

    seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) | 1;
    printf("TEST_SEED=%llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
