/*
 * rt_tree_run.c - the driver of the supervisors' scenario.
 *
 * The tree: a root supervisor (one_for_one) over a director, TREE_SUPS supervisors of all
 * strategies with static children, and dynamic children, which the director starts, stops and
 * restarts by order. Children crash, end well, fail in init; supervisors are killed.
 */
#include "tests/sim/rt_scenarios.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/runtime/blob.h"
#include "broker/runtime/runtime.h"
#include "tests/sim/rt_ledger.h"
#include "tests/sim/rt_tree.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_world.h"

enum { DIR_ORDER = MSG_USER + 32, DRAIN_LIMIT = 200000 };
enum dir_act { DIR_START, DIR_STOP, DIR_RESTART, DIR_DOUBLE };

struct msg_order {
    struct msg hdr;
    enum dir_act what;
    uint32_t child;
};

static struct {
    proc_id root, director;
    struct request {
        proc_ref ref;
        uint32_t child;
    } * open;
    uint32_t n_open, cap_open;
    struct {
        proc_ref ref; /* of the last start or stop */
        enum dir_act what;
        bool is_known; /* it was answered, and came when nothing else was under way */
        bool was_alone;
        int err;
    } last[TREE_DYNAMIC];
} dr;

static void director_init(void *state, const void *arg)
{
    (void)state;
    (void)arg;
    dr.director = proc_self();
}

static bool is_asked(uint32_t child)
{
    for (uint32_t i = 0; i < dr.n_open; i++)
        if (dr.open[i].child == child)
            return true;
    return false;
}

static void request_add(proc_ref ref, uint32_t child)
{
    GROW(dr.open, dr.n_open, dr.cap_open);
    dr.open[dr.n_open++] = (struct request){ref, child};
}

static void request_end(proc_ref ref)
{
    for (uint32_t i = 0; i < dr.n_open; i++) {
        if (dr.open[i].ref != ref)
            continue;
        dr.open[i] = dr.open[--dr.n_open];
        return;
    }
    sim_fail("exactly one answer", "a supervisor answers what nobody asked, or twice");
}

static void director_start(uint32_t child)
{
    struct child_spec spec;
    char id[16];

    tree_spec(TREE_SUPS, child, &spec, id);
    dr.last[child].ref = sup_start_child(dr.root, &spec, PROC_NO_TIMEOUT);
    blob_unref(spec.arg);
}

static void director_order(const struct msg_order *m)
{
    struct child_spec spec;
    char id[16];

    tree_spec(TREE_SUPS, m->child, &spec, id);
    blob_unref(spec.arg);
    if (m->what == DIR_RESTART) {
        request_add(sup_restart_child(dr.root, id, PROC_NO_TIMEOUT), TREE_DYNAMIC);
        return;
    }
    /* A start that meets a child that is just being stopped is refused: -EEXIST. */
    dr.last[m->child].was_alone = !is_asked(m->child);
    dr.last[m->child].what = m->what;
    dr.last[m->child].is_known = false;
    if (m->what == DIR_STOP)
        dr.last[m->child].ref = sup_stop_child(dr.root, id, PROC_NO_TIMEOUT);
    else
        director_start(m->child);
    request_add(dr.last[m->child].ref, m->child);
}

/* A planted bug: one more run of a static child that the supervisor knows nothing of. */
static void director_double(uint32_t place)
{
    struct child_spec child;
    char id[16];

    tree_spec(place / TREE_CHILDREN, place % TREE_CHILDREN, &child, id);
    (void)proc_spawn(&(struct spawn){.ops = child.ops, .arg = child.arg});
}

static void director_answer(const struct msg *m)
{
    const struct msg_sup_reply *r = MSG_OF(struct msg_sup_reply, m);

    if (m->type != MSG_SUP_REPLY)
        sim_fail("exactly one answer", "a supervisor's answer has type %u", m->type);
    request_end(m->ref);
    for (uint32_t c = 0; c < TREE_DYNAMIC; c++) {
        if (dr.last[c].ref != m->ref)
            continue;
        dr.last[c].is_known = dr.last[c].was_alone;
        dr.last[c].err = r->err;
        if (dr.last[c].what == DIR_START && r->err == 0 && r->child && !tree_run_of(r->child))
            sim_fail("one of each", "a started child has never run");
    }
}

static void director_handle(void *state, struct msg *m)
{
    (void)state;
    if (m->type != DIR_ORDER)
        director_answer(m);
    else if (MSG_OF(struct msg_order, m)->what == DIR_DOUBLE)
        director_double(MSG_OF(struct msg_order, m)->child);
    else
        director_order(MSG_OF(struct msg_order, m));
}

static const struct proc_ops director_ops = {
    .kind = "tree-director",
    .init = director_init,
    .handle = director_handle,
};

static void build_sup(const void *ctx)
{
    uint32_t sup = *(const uint32_t *)ctx, n = tree_sup(sup)->n;

    for (uint32_t i = 0; i < n; i++) {
        struct child_spec spec;
        char id[16];

        tree_spec(sup, sim_is_planted("start-reversed") ? n - 1 - i : i, &spec, id);
        sup_add(&spec);
        blob_unref(spec.arg);
    }
}

static void build_root(const void *ctx)
{
    struct child_spec director = {
        .id = "director",
        .ops = &director_ops,
        .restart = PERMANENT,
        .shutdown_ms = 1000,
        .scheduler = SCHED_ANY,
    };

    (void)ctx;
    sup_add(&director);
    for (uint32_t sup = 0; sup < TREE_SUPS; sup++) {
        struct sup_spec spec = {.strategy = tree_sup(sup)->strategy, .build = build_sup};
        struct child_spec child = {
            .ops = &supervisor_ops,
            .restart = PERMANENT,
            .shutdown_ms = SUP_WAIT,
            .scheduler = SCHED_ANY,
        };
        char id[16];

        snprintf(id, sizeof(id), "sup%u", sup);
        child.id = id;
        child.arg = sup_new_arg(&spec, &sup, sizeof(sup));
        sup_add(&child);
        blob_unref(child.arg);
    }
}

/* A planted bug: a sibling of what crashed is ended too. */
static void end_sibling(const struct tree_run *r)
{
    for (uint32_t i = 0; i < tree_n_runs(); i++) {
        const struct tree_run *o = tree_run_at(i);

        if (!o->died && o->sup == 0 && r->sup == 0 && o->child != r->child &&
            o->parent == r->parent)
            rt_signal(o->pid, EXIT_KILL, "planted");
    }
}

static void on_crash(const struct crash_report *report)
{
    const struct tree_run *r = tree_run_of(report->pid);

    sim_note("report", report->why.kind, r ? r->sup : 99, r ? r->child : 99);
    if (report->why.kind == EXIT_FAULT)
        sim_fail("exit signals", "%s took a fault: %s", report->kind, report->why.text);
    if (report->pid == dr.root || report->pid == dr.director)
        sim_fail("exit signals", "%s crashed: %s (%s:%d)", report->name, report->why.text,
                 report->why.file, report->why.line);
    tree_ended(report->pid, report->why.kind);
    if (r && sim_is_planted("end-neighbours"))
        end_sibling(r);
}

static void order(enum dir_act what, uint32_t child)
{
    struct msg_order *m = MSG_NEW(DIR_ORDER, struct msg_order);

    m->what = what;
    m->child = child;
    sim_note("order", what, child, 0);
    rt_send(dr.director, &m->hdr);
}

static void start_tree(void)
{
    struct sup_spec spec = {
        .strategy = ONE_FOR_ONE, .intensity = 1000, .period_ms = 1000, .build = build_root};
    struct spawn root = {.ops = &supervisor_ops, .name = "root"};

    free(dr.open);
    memset(&dr, 0, sizeof(dr));
    tree_model_init();
    scenario_start(on_crash);
    root.arg = sup_new_arg(&spec, NULL, 0);
    dr.root = rt_spawn_root(&root);
    sim_drain(DRAIN_LIMIT);
}

/* A planted bug: what follows a killed supervisor begins while its children live. */
static void kill_parent(const struct tree_run *r)
{
    rt_signal(r->parent, EXIT_KILL, "by the driver");
    if (sim_is_planted("too-soon"))
        order(DIR_DOUBLE, r->sup * TREE_CHILDREN + r->child);
}

static void disturb(void)
{
    struct tree_run *r = tree_run_at(sim_below(SIM_DRIVER, tree_n_runs()));
    uint32_t how = sim_below(SIM_DRIVER, 1000);
    enum dir_act what = (enum dir_act)sim_below(SIM_DRIVER, 3);
    uint32_t child = sim_below(SIM_DRIVER, TREE_DYNAMIC);

    if (how < 20)
        sim_pass_us(sim_below(SIM_DRIVER, 3000000));
    else if (how < 60)
        order(what, child);
    else if (how < 65 && !r->died && r->sup < TREE_SUPS && r->parent != dr.director)
        kill_parent(r);
    else if (how < 100 && !r->died)
        rt_send(r->pid,
                msg_new(how < 75 ? TREE_EXIT_NORMAL : TREE_EXIT_CRASH, sizeof(struct msg), NULL));
}

static void run_disturbed(uint32_t steps)
{
    sim_crash_enable(true);
    tree_disturb(true);
    for (uint32_t i = 0; i < steps; i++) {
        /* In bursts, so that many things are under way at once. */
        for (uint32_t n = sim_chance(SIM_DRIVER, 60000) ? 12 : 1; n > 0; n--)
            disturb();
        if (sim_is_planted("double") && i == steps / 2)
            order(DIR_DOUBLE, 0);
        (void)sim_step();
    }
    tree_disturb(false);
    sim_crash_enable(false);
}

static void check_dynamic(void)
{
    if (dr.n_open > 0)
        sim_fail("exactly one answer", "%u requests to the supervisor got none", dr.n_open);
    for (uint32_t c = 0; c < TREE_DYNAMIC; c++) {
        uint32_t n;

        (void)tree_alive(TREE_SUPS, c, &n); /* only how many */
        if (!dr.last[c].is_known)
            continue;
        if (n > 1 || (n == 1 && dr.last[c].what == DIR_STOP))
            sim_fail("one of each", "%u runs of dynamic child %u", n, c);
        if (n == 0 && dr.last[c].what == DIR_START && tree_dynamic(c)->restart == PERMANENT)
            sim_fail("restart rules", "permanent dynamic child %u does not run (start gave %d)", c,
                     dr.last[c].err);
    }
}

static void check_quiet(void)
{
    uint64_t want = tree_n_alive() + TREE_SUPS + 2; /* the root, the director */

    tree_check_quiet();
    check_dynamic();
    if (rt_live_procs() != want)
        sim_fail("nothing alive at the end", "%llu processes live, %llu should",
                 (unsigned long long)rt_live_procs(), (unsigned long long)want);
}

/* A planted bug: an elder is stopped before its younger siblings. */
static void stop_an_elder(void)
{
    for (uint32_t sup = 0; sup < TREE_SUPS; sup++) {
        struct tree_run *r = tree_alive(sup, 0, NULL);

        if (r)
            rt_signal(r->pid, EXIT_KILL, "planted");
    }
}

void tree_run(void)
{
    uint64_t rest;

    sim_crash_set("tree-worker", 30000);
    if (sim_below(SIM_DRIVER, 4) == 0) {
        start_tree();
        run_disturbed(sim_below(SIM_DRIVER, sim.steps));
        scenario_kill();
        tree_model_fini();
    }
    start_tree();
    run_disturbed(sim.steps);
    sim_drain(DRAIN_LIMIT);
    check_quiet();
    rest = tree_clock();
    if (sim_is_planted("stop-elder-first"))
        stop_an_elder();
    rt_signal(dr.root, EXIT_SHUTDOWN, "the end");
    scenario_end(EXIT_SHUTDOWN);
    tree_check_stopped(rest);
    tree_model_fini();
    free(dr.open);
}
