/*
 * test_rounds.c - what a scheduler does between turns: sleep and waking, grace periods, budgets,
 * listings.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/runtime/internal.h"
#include "broker/runtime/table.h"
#include "tests/unit/threads.h"

enum { NUMBER = 0xF280, GO };

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
    static const struct proc_ops ops = {.kind = "root",
                                        .state_size = sizeof(struct waker),
                                        .init = waker_init,
                                        .handle = waker_handle};

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
static const struct proc_ops blocking_reader_ops = {
    .kind = "reader", .flags = PROC_OPS_BLOCKING, .handle = reader_handle};

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
                             .flags = PROC_LINK,
                             .scheduler = SCHED_ANY};
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
    static const struct proc_ops ops = {.kind = "root",
                                        .state_size = sizeof(struct writer),
                                        .init = writer_init,
                                        .handle = writer_handle};

    (void)state;
    for (unsigned n = 1; n <= 3; n++) {
        atomic_store(&n_freed, 0);
        run(&ops, n, 2);
        assert_int_equal(n_freed, 4000);
        free(atomic_load(&shown));
    }
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
static const struct proc_ops busy_ops = {.kind = "busy", .init = busy_init, .handle = busy_handle};

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
static const struct proc_ops on_and_on_ops = {
    .kind = "busy", .init = on_and_on_init, .handle = on_and_on_handle};

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
    static const struct proc_ops ops = {
        .kind = "root", .init = neighbour_start, .handle = neighbour_handle};
    static const struct proc_ops patient = {
        .kind = "root", .init = patient_neighbour_start, .handle = neighbour_handle};

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
        struct spawn spec = {.ops = i % 5 ? &echo_ops : &blocking_reader_ops,
                             .name = "listed",
                             .flags = PROC_NOTIFY,
                             .scheduler = SCHED_ANY};

        (void)proc_spawn(&spec); /* it stays until the end */
    }
}

static uint64_t processes_of(const struct proc_census *c, const char *kind)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < c->n; i++) {
        CHECK(c->of[i].longest <= c->of[i].waiting);
        n += strcmp(c->of[i].kind, kind) ? 0 : c->of[i].processes;
    }
    return n;
}

static __attribute__((noreturn)) void count_handle(const struct proc_census *c)
{
    CHECK(c->n == 3 && processes_of(c, "root") == 1);
    CHECK(processes_of(c, "echo") == 16 && processes_of(c, "reader") == 4);
    proc_exit(EXIT_NORMAL, 0, "all counted");
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
    if (*n_started == 21)
        count_handle(MSG_OF(struct proc_census, m));
    ++*n_started;
    for (size_t i = 0; i < l->n; i++)
        n += !strcmp(l->row[i].name, "listed") && l->row[i].parent == proc_self();
    CHECK(n == 20 && l->n == 21);
    (void)rt_count_processes(10000000);
}

static void listing_visits_every_home(void **state)
{
    static const struct proc_ops ops = {
        .kind = "root", .state_size = sizeof(unsigned), .init = list_init, .handle = list_handle};

    (void)state;
    run(&ops, 1, 1);
    run(&ops, 3, 2);
}

/* Many are listed while others go on. */

enum { MANY = 20000 };

struct among { /* the state of one who works while many processes are listed */
    unsigned n_started, n_turns;
};

static void many_init(void *state, const void *arg)
{
    (void)state;
    (void)arg;
    for (unsigned i = 0; i < MANY; i++) {
        struct spawn spec = {.ops = &echo_ops, .flags = PROC_NOTIFY, .scheduler = SCHED_SAME};

        (void)proc_spawn(&spec);
    }
}

static void many_handle(void *state, struct msg *m)
{
    struct among *s = state;

    if (m->type == MSG_STARTED && ++s->n_started == MANY) {
        (void)rt_list_processes(PROC_NO_TIMEOUT);
        proc_continue();
    } else if (m->type == MSG_CONTINUE) {
        s->n_turns++;
        proc_continue();
    } else if (m->type == MSG_USER) {
        CHECK(MSG_OF(struct proc_listing, m)->n == MANY + 1);
        CHECK(s->n_turns >= 4);
        proc_exit(EXIT_NORMAL, 0, "all listed");
    }
}

static void listing_of_many_lets_others_work(void **state)
{
    static const struct proc_ops ops = {.kind = "root",
                                        .state_size = sizeof(struct among),
                                        .init = many_init,
                                        .handle = many_handle};

    (void)state;
    run(&ops, 1, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sleeping_scheduler_is_woken_and_a_busy_one_not),
        cmocka_unit_test(retired_memory_is_freed_after_its_readers),
        cmocka_unit_test(busy_process_holds_nobody_longer_than_its_budget),
        cmocka_unit_test(listing_visits_every_home),
        cmocka_unit_test(listing_of_many_lets_others_work),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
