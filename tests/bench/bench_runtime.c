/*
 * bench_runtime.c - what the runtime's elementary deeds cost, beside what they are to cost.
 *
 * Each row runs three times on a fresh runtime and shows the best, because other work on the
 * machine only ever adds. Usage: bench_runtime [NAME-PART]
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "broker/runtime/blob.h"
#include "broker/runtime/runtime.h"
#include "broker/runtime/supervisor.h"

enum { BALL = 0xF800, FLOOD, QUESTION, ANSWER };

static struct {
    uint64_t n;    /* how often the deed is to be done */
    double result; /* the figure */
    uint64_t from_ns;
} run_of;

/* Where one thread does it all, its CPU time is the figure: others on the machine do not count. */
static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(rt_schedulers() == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

static void begin(void)
{
    run_of.from_ns = now_ns();
}

static void end(void)
{
    run_of.result = (double)(now_ns() - run_of.from_ns) / (double)run_of.n;
    proc_exit(EXIT_NORMAL, 0, "measured");
}

static void no_report(const struct crash_report *r)
{
    (void)r; /* the report is the log's work, not the runtime's */
}

static void run(const struct proc_ops *root, unsigned schedulers)
{
    struct rt_config config = {.schedulers = schedulers, .pool_threads = 1, .on_crash = no_report};
    struct spawn spec = {.ops = root};
    struct exit_reason why;

    if (rt_start(&config) < 0)
        exit(1);
    rt_spawn_root(&spec);
    rt_wait(&why);
    if (why.kind != EXIT_NORMAL) {
        fprintf(stderr, "%s: %s\n", exit_kind_name(why.kind), why.text);
        exit(1);
    }
}

/* A hop: one message goes to and fro between two processes. */

struct hop {
    uint64_t n;
};

static void back_handle(void *state, struct msg *m)
{
    (void)state;
    PROC_SEND(m->from, m);
}
static const struct proc_ops back_ops = {.kind = "back", .handle = back_handle};

static void hop_start(int scheduler)
{
    struct spawn spec = {.ops = &back_ops, .scheduler = scheduler};
    proc_id other = proc_spawn(&spec);
    struct msg *m = msg_new(BALL, sizeof(*m), NULL);

    begin();
    PROC_SEND(other, m);
}

static void hop_init(void *state, const void *arg)
{
    (void)state;
    (void)arg;
    hop_start(SCHED_SAME);
}

static void hop_far_init(void *state, const void *arg)
{
    (void)state;
    (void)arg;
    hop_start(1);
}

static void hop_handle(void *state, struct msg *m)
{
    struct hop *h = state;

    h->n += 2;
    if (h->n >= run_of.n)
        end();
    PROC_SEND(m->from, m);
}
static const struct proc_ops hop_ops = {
    .kind = "hop", .state_size = sizeof(struct hop), .init = hop_init, .handle = hop_handle};
static const struct proc_ops hop_far_ops = {
    .kind = "hop", .state_size = sizeof(struct hop), .init = hop_far_init, .handle = hop_handle};

/* One way: a flood of new messages, each handled and dropped; the last one comes back. */

struct flood {
    proc_id to;
    uint64_t n;
};

static void drain_handle(void *state, struct msg *m)
{
    uint64_t *n = state;

    if (++*n == run_of.n)
        PROC_SEND(m->from, m);
}
static const struct proc_ops drain_ops = {
    .kind = "drain", .state_size = sizeof(uint64_t), .handle = drain_handle};

static void flood_start(struct flood *f, int scheduler)
{
    struct spawn spec = {.ops = &drain_ops, .scheduler = scheduler};

    f->to = proc_spawn(&spec);
    begin();
    proc_continue();
}

static void flood_init(void *state, const void *arg)
{
    (void)arg;
    flood_start(state, SCHED_SAME);
}

static void flood_far_init(void *state, const void *arg)
{
    (void)arg;
    flood_start(state, 1);
}

static void flood_handle(void *state, struct msg *m)
{
    struct flood *f = state;

    if (m->type == FLOOD)
        end();
    for (unsigned i = 0; i < 64 && f->n < run_of.n; i++, f->n++) {
        struct msg *one = msg_new(FLOOD, sizeof(*one), NULL);

        PROC_SEND(f->to, one);
    }
    if (f->n < run_of.n)
        proc_continue();
}
static const struct proc_ops flood_ops = {.kind = "flood",
                                          .state_size = sizeof(struct flood),
                                          .init = flood_init,
                                          .handle = flood_handle};
static const struct proc_ops flood_far_ops = {.kind = "flood",
                                              .state_size = sizeof(struct flood),
                                              .init = flood_far_init,
                                              .handle = flood_handle};

/* Spawn and exit, in litters of 64. */

static void brief_init(void *state, const void *arg)
{
    (void)state;
    (void)arg;
    proc_exit(EXIT_NORMAL, 0, "brief");
}
static const struct proc_ops brief_ops = {.kind = "brief", .init = brief_init};

static void births_init(void *state, const void *arg)
{
    (void)state;
    (void)arg;
    begin();
    proc_continue();
}

static void births_handle(void *state, struct msg *m)
{
    struct spawn spec = {.ops = &brief_ops, .scheduler = SCHED_SAME};
    uint64_t *n = state;

    (void)m;
    if (*n >= run_of.n)
        end();
    for (unsigned i = 0; i < 64; i++, ++*n)
        (void)proc_spawn(&spec); /* its life is what is measured */
    proc_continue();
}
static const struct proc_ops births_ops = {
    .kind = "births", .state_size = sizeof(uint64_t), .init = births_init, .handle = births_handle};

/* Call and reply. */

static void answer_handle(void *state, struct msg *m)
{
    (void)state;
    proc_reply(m, msg_new(ANSWER, sizeof(struct msg), NULL));
}
static const struct proc_ops answer_ops = {.kind = "answer", .handle = answer_handle};

struct caller {
    proc_id to;
    uint64_t n, timeout_us;
};

static void ask(const struct caller *c)
{
    (void)proc_call(c->to, msg_new(QUESTION, sizeof(struct msg), NULL), c->timeout_us);
}

static void caller_start(struct caller *c, uint64_t timeout_us)
{
    struct spawn spec = {.ops = &answer_ops, .scheduler = SCHED_SAME};

    c->to = proc_spawn(&spec);
    c->timeout_us = timeout_us;
    begin();
    ask(c);
}

static void caller_init(void *state, const void *arg)
{
    (void)arg;
    caller_start(state, PROC_NO_TIMEOUT);
}

static void timed_caller_init(void *state, const void *arg)
{
    (void)arg;
    caller_start(state, 5000000);
}

static void caller_handle(void *state, struct msg *m)
{
    struct caller *c = state;

    CHECK(m->type == ANSWER);
    if (++c->n == run_of.n)
        end();
    ask(c);
}
static const struct proc_ops caller_ops = {.kind = "caller",
                                           .state_size = sizeof(struct caller),
                                           .init = caller_init,
                                           .handle = caller_handle};
static const struct proc_ops timed_caller_ops = {.kind = "caller",
                                                 .state_size = sizeof(struct caller),
                                                 .init = timed_caller_init,
                                                 .handle = caller_handle};

/* Bytes of an idle process, by what the program grows: slots and the allocator's own included. */

static size_t bytes_in_use(void)
{
    char text[128] = "";
    unsigned long size, resident;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

    CHECK(read(fd, text, sizeof(text) - 1) > 0);
    close(fd);
    CHECK(sscanf(text, "%lu %lu", &size, &resident) == 2);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static void idle_handle(void *state, struct msg *m)
{
    (void)state;
    (void)m;
}
static const struct proc_ops idle_ops = {.kind = "idle", .handle = idle_handle};

struct nursery {
    uint64_t n;
    size_t before;
};

static void nursery_init(void *state, const void *arg)
{
    struct nursery *s = state;

    (void)arg;
    s->before = bytes_in_use();
    proc_continue();
}

static void nursery_handle(void *state, struct msg *m)
{
    struct nursery *s = state;
    struct spawn spec = {.ops = &idle_ops, .scheduler = SCHED_SAME};

    (void)m;
    if (s->n == run_of.n) {
        run_of.result = (double)(bytes_in_use() - s->before) / (double)s->n;
        proc_exit(EXIT_NORMAL, 0, "measured");
    }
    for (unsigned i = 0; i < 50; i++, s->n++)
        (void)proc_spawn(&spec); /* it idles until the end */
    proc_continue();
}
static const struct proc_ops nursery_ops = {.kind = "nursery",
                                            .state_size = sizeof(struct nursery),
                                            .init = nursery_init,
                                            .handle = nursery_handle};

/* A crash by SIGSEGV and the restart by a supervisor: the child writes to nowhere at each start. */

static uint64_t n_starts;

static void fragile_init(void *state, const void *arg)
{
    (void)state;
    (void)arg;
    if (n_starts++ == 0)
        begin();
    proc_continue();
}

static void fragile_handle(void *state, struct msg *m)
{
    volatile int *volatile nowhere = NULL; /* or the compiler drops the store */

    (void)state;
    (void)m;
    if (n_starts > run_of.n)
        run_of.result = (double)(now_ns() - run_of.from_ns) / (double)run_of.n;
    else
        *nowhere = 1;
}
static const struct proc_ops fragile_ops = {
    .kind = "fragile", .init = fragile_init, .handle = fragile_handle};

static void restart_init(void *state, const void *arg)
{
    static const struct child_spec child = {
        .id = "fragile", .ops = &fragile_ops, .restart = PERMANENT, .scheduler = SCHED_SAME};
    static const struct sup_spec sup = {.strategy = ONE_FOR_ONE,
                                        .intensity = 1000000,
                                        .period_ms = 1000,
                                        .children = &child,
                                        .n = 1};
    struct spawn spec = {.ops = &supervisor_ops,
                         .arg = sup_new_arg(&sup, NULL, 0),
                         .flags = PROC_LINK,
                         .scheduler = SCHED_SAME};

    (void)state;
    (void)arg;
    n_starts = 0;
    (void)proc_spawn(&spec); /* linked */
    (void)proc_timer(1000);
}

static void restart_handle(void *state, struct msg *m)
{
    (void)state;
    (void)m;
    if (n_starts > run_of.n)
        proc_exit(EXIT_NORMAL, 0, "measured");
    (void)proc_timer(1000);
}
static const struct proc_ops restart_ops = {
    .kind = "restart", .init = restart_init, .handle = restart_handle};

struct row {
    const char *name, *unit;
    const struct proc_ops *ops;
    uint64_t n;
    unsigned schedulers;
    double target; /* 0: none set */
};

static const struct row rows[] = {
    {"hop between two processes, same scheduler", "ns", &hop_ops, 10000000, 1, 50},
    {"one-way send and handle, batched", "ns", &flood_ops, 10000000, 1, 25},
    {"spawn and exit", "ns", &births_ops, 1000000, 1, 300},
    {"call and reply", "ns", &caller_ops, 3000000, 1, 150},
    {"call and reply with a timeout", "ns", &timed_caller_ops, 2000000, 1, 0},
    {"idle process", "B", &nursery_ops, 100000, 1, 512},
    {"crash by SIGSEGV and supervised restart", "ns", &restart_ops, 30000, 1, 10000},
    {"hop across schedulers, both asleep", "ns", &hop_far_ops, 40000, 2, 0},
    {"one-way send and handle across schedulers", "ns", &flood_far_ops, 3000000, 2, 0},
};

int main(int argc, char **argv)
{
    printf("%-46s %10s %10s\n", "", "measured", "to reach");
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *r = &rows[i];
        double best = 0;

        if (argc > 1 && !strstr(r->name, argv[1]))
            continue;
        for (unsigned k = 0; k < 3; k++) {
            run_of.n = r->n;
            run(r->ops, r->schedulers);
            if (!k || (run_of.result < best) != (r->ops == &nursery_ops))
                best = run_of.result;
        }
        if (r->target > 0)
            printf("%-46s %7.1f %-2s %7.0f %-2s%s\n", r->name, best, r->unit, r->target, r->unit,
                   best > r->target ? "  missed" : "");
        else
            printf("%-46s %7.1f %-2s %10s\n", r->name, best, r->unit, "-");
    }
    return 0;
}
