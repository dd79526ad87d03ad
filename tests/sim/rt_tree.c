/*
 * rt_tree.c - what supervisors owe to their children.
 *
 * Invariants, by the names under which they fail:
 * 1. "one of each": a supervisor never has two runs of one child alive; and when one follows
 *    another that was killed, all children of that one have ended before it starts its own.
 * 2. "start order": a child starts after its elders have; for rest_for_one and one_for_all this
 *    holds at rest for the runs that live now, whatever crashed between.
 * 3. "restart rules": permanent children run at rest, temporary ones never start twice under one
 *    supervisor, a transient one that ended well stays away (one_for_one).
 * 4. "neighbours": under one_for_one a child ends for its own reasons only, as long as its
 *    supervisor lives.
 * 5. "stop order": at the end, youngest first, and one has ended before the next is told to.
 */
#include "tests/sim/rt_tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/runtime/blob.h"
#include "broker/runtime/runtime.h"
#include "tests/sim/rt_ledger.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_world.h"

struct worker_start {
    uint32_t sup, child;
};

struct worker {
    uint32_t run; /* its index */
    proc_ref stop;
    enum exit_kind stop_kind;
};

static struct {
    struct tree_sup sup[TREE_SUPS];
    struct tree_child dynamic[TREE_DYNAMIC];
    struct tree_run *run;
    uint32_t n_runs, cap_runs;
    uint64_t clock;
    bool disturbed;
} tr;

static void random_child(struct tree_child *c, bool may_end)
{
    static const enum sup_restart kinds[] = {PERMANENT, PERMANENT, TRANSIENT, TEMPORARY};

    c->restart = may_end ? kinds[sim_below(SIM_DRIVER, 4)] : PERMANENT;
    c->shutdown_ms = sim_below(SIM_DRIVER, 3) * 500;
    c->traps = sim_chance(SIM_DRIVER, 500000);
    c->own_budget = sim_chance(SIM_DRIVER, 300000);
    c->stop_us = sim_below(SIM_DRIVER, 1200000);
}

void tree_model_init(void)
{
    static const enum sup_strategy kinds[] = {ONE_FOR_ONE, ONE_FOR_ALL, REST_FOR_ONE};

    memset(&tr, 0, sizeof(tr));
    for (uint32_t s = 0; s < TREE_SUPS; s++) {
        tr.sup[s].strategy = kinds[s % 3];
        tr.sup[s].n = 2 + sim_below(SIM_DRIVER, TREE_CHILDREN - 1);
        for (uint32_t c = 0; c < tr.sup[s].n; c++)
            random_child(&tr.sup[s].child[c], true);
    }
    for (uint32_t c = 0; c < TREE_DYNAMIC; c++)
        random_child(&tr.dynamic[c], true);
}

void tree_model_fini(void)
{
    free(tr.run);
    memset(&tr, 0, sizeof(tr));
}

struct tree_sup *tree_sup(uint32_t sup)
{
    return &tr.sup[sup];
}

struct tree_child *tree_dynamic(uint32_t child)
{
    return &tr.dynamic[child];
}

static const struct tree_child *child_of(uint32_t sup, uint32_t child)
{
    return sup == TREE_SUPS ? &tr.dynamic[child] : &tr.sup[sup].child[child];
}

uint32_t tree_n_runs(void)
{
    return tr.n_runs;
}

struct tree_run *tree_run_at(uint32_t i)
{
    return &tr.run[i];
}

struct tree_run *tree_run_of(proc_id pid)
{
    for (uint32_t i = tr.n_runs; i-- > 0;)
        if (tr.run[i].pid == pid)
            return &tr.run[i];
    return NULL;
}

uint32_t tree_n_alive(void)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < tr.n_runs; i++)
        n += tr.run[i].died == 0;
    return n;
}

struct tree_run *tree_alive(uint32_t sup, uint32_t child, uint32_t *ret_n)
{
    struct tree_run *found = NULL;
    uint32_t n = 0;

    for (uint32_t i = 0; i < tr.n_runs; i++) {
        if (tr.run[i].sup != sup || tr.run[i].child != child || tr.run[i].died)
            continue;
        found = &tr.run[i];
        n++;
    }
    if (ret_n)
        *ret_n = n;
    return found;
}

uint64_t tree_clock(void)
{
    return tr.clock;
}

void tree_disturb(bool on)
{
    tr.disturbed = on;
}

void tree_spec(uint32_t sup, uint32_t child, struct child_spec *ret, char id[16])
{
    const struct tree_child *c = child_of(sup, child);
    struct worker_start start = {sup, child};

    snprintf(id, 16, "w%u.%u", sup, child);
    *ret = (struct child_spec){
        .id = id,
        .ops = &tree_worker_ops,
        .arg = blob_copy(&start, sizeof(start)),
        .restart = c->restart,
        .shutdown_ms = c->shutdown_ms,
        .own_budget = c->own_budget,
        .scheduler = SCHED_ANY,
    };
    if (sim_is_planted("no-restart") && c->restart == PERMANENT)
        ret->restart = TRANSIENT;
    if (sim_is_planted("always-restart") && c->restart != PERMANENT)
        ret->restart = PERMANENT;
}

void tree_ended(proc_id pid, enum exit_kind kind)
{
    struct tree_run *r = tree_run_of(pid);

    if (r)
        r->kind = (int)kind;
}

/* What a birth is checked against: the runs before it under the same supervisor. */
static void check_birth(const struct tree_run *r)
{
    const struct tree_child *c = child_of(r->sup, r->child);
    bool elder_ran = r->child == 0 || r->sup == TREE_SUPS;

    for (uint32_t i = 0; i < tr.n_runs; i++) {
        const struct tree_run *o = &tr.run[i];

        if (o == r || o->sup != r->sup)
            continue;
        if (o->parent != r->parent && !o->died)
            sim_fail("one of each", "child %u.%u starts while %u of the supervisor before lives",
                     r->sup, r->child, o->child);
        if (o->parent != r->parent)
            continue;
        elder_ran |= o->child + 1 == r->child;
        if (o->child != r->child)
            continue;
        if (!o->died)
            sim_fail("one of each", "child %u.%u starts and is alive already", r->sup, r->child);
        if (r->sup == TREE_SUPS)
            continue;
        if (c->restart == TEMPORARY)
            sim_fail("restart rules", "temporary %u.%u starts again", r->sup, r->child);
        if (c->restart == TRANSIENT && tr.sup[r->sup].strategy == ONE_FOR_ONE &&
            o->kind == EXIT_NORMAL)
            sim_fail("restart rules", "transient %u.%u ended well and starts again", r->sup,
                     r->child);
    }
    if (!elder_ran)
        sim_fail("start order", "child %u.%u starts before its elder", r->sup, r->child);
}

/* The order of deaths, as they happen; `run` is its number. */
static void worker_gone(void *run)
{
    struct tree_run *r = &tr.run[(uintptr_t)run];

    r->died = ++tr.clock;
    sim_note("gone", r->sup, r->child, 0);
}

__attribute__((noreturn)) static void worker_leave(struct worker *s, enum exit_kind kind)
{
    tr.run[s->run].planned = (int)kind;
    proc_exit(kind, 0, "as announced");
}

static void worker_init(void *state, const void *arg)
{
    const struct worker_start *start = arg;
    struct worker *s = state;

    s->run = tr.n_runs;
    GROW(tr.run, tr.n_runs, tr.cap_runs);
    tr.run[tr.n_runs++] = (struct tree_run){
        .sup = start->sup,
        .child = start->child,
        .pid = proc_self(),
        .parent = proc_parent(),
        .born = ++tr.clock,
        .planned = -1,
        .kind = -1,
    };
    proc_at_exit(worker_gone, (void *)(uintptr_t)s->run);
    sim_note("born", start->sup, start->child, 0);
    check_birth(&tr.run[s->run]);
    if (child_of(start->sup, start->child)->traps)
        proc_trap_exit(true);
    if (tr.disturbed && sim_chance(SIM_ACTOR, 100000))
        worker_leave(s, EXIT_CRASH);
    tr.run[s->run].was_up = true;
}

static void worker_exit_signal(struct worker *s, const struct msg *m)
{
    const struct tree_run *r = &tr.run[s->run];

    if (m->from != proc_parent())
        return;
    s->stop_kind = MSG_OF(struct msg_exit, m)->why.kind;
    s->stop = proc_timer(child_of(r->sup, r->child)->stop_us);
}

static void worker_handle(void *state, struct msg *m)
{
    struct worker *s = state;

    switch (m->type) {
    case TREE_EXIT_NORMAL:
        worker_leave(s, EXIT_NORMAL);
    case TREE_EXIT_CRASH:
        worker_leave(s, EXIT_CRASH);
    case MSG_EXIT:
        worker_exit_signal(s, m);
        break;
    case MSG_TIMEOUT:
        proc_exit(s->stop_kind, 0, "the supervisor said so");
    default:
        sim_fail("no message to the dead", "a worker got type %u", m->type);
    }
}

static void worker_terminate(void *state, const struct exit_reason *why)
{
    tr.run[((struct worker *)state)->run].kind = (int)why->kind;
}

const struct proc_ops tree_worker_ops = {
    .kind = "tree-worker",
    .state_size = sizeof(struct worker),
    .init = worker_init,
    .handle = worker_handle,
    .terminate = worker_terminate,
};

static bool is_for_good(const struct tree_sup *s, uint32_t child)
{
    return s->child[child].restart != PERMANENT;
}

/* Under one_for_all all that live are younger than any death; under rest_for_one their elders'. */
static void check_order(uint32_t sup, const struct tree_run *r)
{
    enum sup_strategy strategy = tr.sup[sup].strategy;

    for (uint32_t i = 0; i < tr.n_runs && strategy != ONE_FOR_ONE; i++) {
        const struct tree_run *o = &tr.run[i];
        bool binds = strategy == ONE_FOR_ALL || o->child <= r->child;

        if (o->sup != sup || o->parent != r->parent || is_for_good(&tr.sup[sup], o->child))
            continue;
        if (child_of(sup, o->child)->own_budget || child_of(sup, r->child)->own_budget)
            continue; /* those are parked and tried again by themselves */
        /* One that fails in init was never up: its elders need not start again for it. */
        if (o->died && o->was_up && binds && o->died > r->born)
            sim_fail("start order", "child %u.%u did not start again after %u.%u ended", sup,
                     r->child, sup, o->child);
        if (!o->died && o->child < r->child && o->born > r->born)
            sim_fail("start order", "child %u.%u is older than its elder %u", sup, r->child,
                     o->child);
    }
}

static void check_neighbours(uint32_t sup, proc_id parent)
{
    for (uint32_t i = 0; i < tr.n_runs; i++) {
        const struct tree_run *r = &tr.run[i];

        if (r->sup != sup || r->parent != parent || !r->died || r->planned >= 0)
            continue;
        if (r->kind != EXIT_CRASH)
            sim_fail("neighbours", "child %u.%u was ended (%s) though its supervisor lives", sup,
                     r->child, r->kind < 0 ? "killed" : exit_kind_name((enum exit_kind)r->kind));
    }
}

static void check_quiet_sup(uint32_t sup)
{
    const struct tree_run *any = NULL;

    for (uint32_t c = 0; c < tr.sup[sup].n; c++) {
        uint32_t n;
        struct tree_run *r = tree_alive(sup, c, &n);

        if (n > 1)
            sim_fail("one of each", "%u runs of child %u.%u are left", n, sup, c);
        if (!r && tr.sup[sup].child[c].restart == PERMANENT)
            sim_fail("restart rules", "permanent %u.%u does not run", sup, c);
        if (!r)
            continue;
        if (any && any->parent != r->parent)
            sim_fail("one of each", "child %u.%u belongs to a dead supervisor", sup, c);
        any = r;
        if (!is_for_good(&tr.sup[sup], c))
            check_order(sup, r);
    }
    if (any && tr.sup[sup].strategy == ONE_FOR_ONE)
        check_neighbours(sup, any->parent);
}

void tree_check_quiet(void)
{
    for (uint32_t sup = 0; sup < TREE_SUPS; sup++)
        check_quiet_sup(sup);
}

void tree_check_stopped(uint64_t since)
{
    for (uint32_t i = 0; i < tr.n_runs; i++) {
        const struct tree_run *r = &tr.run[i];

        if (r->died == 0)
            sim_fail("nothing alive at the end", "child %u.%u outlives its tree", r->sup, r->child);
        for (uint32_t k = 0; k < tr.n_runs && r->died > since; k++) {
            const struct tree_run *o = &tr.run[k];

            if (o->died <= since || o->parent != r->parent || r->sup == TREE_SUPS)
                continue;
            if (o->died < r->died && o->child < r->child)
                sim_fail("stop order", "child %u.%u ended before its younger sibling %u", r->sup,
                         o->child, r->child);
        }
    }
}
