/*
 * supervisor.c - the process that starts, watches, restarts, parks and stops its children.
 *
 * Duties: starts static children in order, the next one once the one before is up; starts dynamic
 * ones on request; restarts, parks or forgets a child that ended, as supervisor_policy says; stops
 * children in reverse order, first politely and then by KILL.
 * Messages in: MSG_STARTED, MSG_DOWN and MSG_EXIT of children, MSG_EXIT of the parent, MSG_TIMEOUT
 * (a stop or a parking is over), SUP_START, SUP_STOP, SUP_AGAIN, SUP_AWAIT; MSG_SUP_REPLY of nested
 * supervisors that have settled.
 * Messages out: SHUTDOWN and KILL signals to children, MSG_SUP_REPLY to askers, MSG_CHILD_STATE to
 * the watcher, SUP_AWAIT to nested supervisors.
 * Links and monitors: every child is linked, so that none outlives this process, and monitored,
 * because a child could unlink. Only DOWN decides; a child's EXIT is ignored.
 *
 * Every event changes the children's phases and then calls sup_advance (supervisor_order.c), which
 * does what is to be done next.
 *
 * Invariants:
 *   1. While something is to be stopped (a static child is doomed, or stop_dynamics), nothing is
 *      started.
 *   2. Once is_ending is set it stays, everything is to be stopped, and nothing is restarted.
 *   3. At most one static child is in PHASE_STARTING, but under one_for_one where each may be
 *      restarted by itself.
 */
#include "broker/runtime/supervisor.h"

#include <errno.h>
#include <stdio.h>

#include "broker/runtime/internal.h"
#include "broker/runtime/runtime.h"
#include "broker/runtime/supervisor_impl.h"
#include "broker/runtime/supervisor_requests.h"

/* Whose init runs on this thread: sup_add has no other way to know. */
static _Thread_local struct {
    struct supervisor *s;
    proc_id pid; /* a supervisor that crashed in init leaves its state here: it is not this one */
} building;

static void on_up(struct supervisor *s, struct child *c)
{
    child_set_phase(&s->cs, c, PHASE_UP);
    sup_tell(s, c, CHILD_UP, c->pid, NULL);
    sup_answer_waiters(&c->waiters, false, 0, c->pid);
}

static void forget(struct supervisor *s, struct child *c, proc_id pid,
                   const struct exit_reason *why)
{
    sup_tell(s, c, CHILD_GONE, pid, why);
    sup_answer_waiters(&c->waiters, false, -ECANCELED, pid);
    sup_answer_waiters(&c->waiters, true, 0, pid);
    child_free(&s->cs, c);
}

static void give_up(struct supervisor *s, const struct child *c, const char *because)
{
    struct exit_reason why = {.kind = EXIT_SHUTDOWN, .line = __LINE__, .file = __FILE__};

    snprintf(why.text, sizeof(why.text), "%s: %.64s", because, c->id);
    sup_end(s, &why);
}

static void restart(struct supervisor *s, struct child *c, bool was_up, proc_id pid,
                    const struct exit_reason *why)
{
    struct launch *l = c->launch;

    sup_tell(s, c, CHILD_RESTARTING, pid, why);
    if (why->kind != EXIT_MOVED)
        l->restarts++;
    else if (why->code >= 0 && (unsigned)why->code < rt_schedulers())
        l->scheduler = why->code;
    if (was_up)
        sup_doom_group(s, c);
    sup_start_again(s, c);
}

static void park(struct supervisor *s, struct child *c, bool was_up, proc_id pid,
                 const struct exit_reason *why)
{
    struct launch *l = c->launch;

    child_set_phase(&s->cs, c, PHASE_PARKED);
    child_await(&s->cs, c, &c->timer, proc_timer(sup_backoff_us(l->times_parked)));
    l->times_parked++;
    sup_tell(s, c, CHILD_PARKED, pid, why);
    sup_answer_waiters(&c->waiters, false, -EAGAIN, 0);
    if (was_up)
        sup_doom_group(s, c);
}

static enum sup_verdict judge(struct supervisor *s, struct child *c, const struct exit_reason *why)
{
    struct launch *l = c->launch;
    uint64_t now_us = proc_now_us();
    struct sup_end how = {
        .restart = (enum sup_restart)c->restart,
        .kind = why->kind,
        .is_dynamic = c->is_dynamic,
        .is_significant = c->is_significant,
        .has_own_budget = c->has_own_budget,
    };

    if (l && now_us - l->started_us > l->own.period_us) {
        l->is_on_probation = false;
        l->times_parked = 0;
    }
    how.is_on_probation = l && l->is_on_probation;
    return sup_judge(&how, &s->budget, l ? &l->own : NULL, now_us);
}

/* A child ended that nobody had told to. */
static void on_end(struct supervisor *s, struct child *c, proc_id pid,
                   const struct exit_reason *why)
{
    bool was_up = c->phase == PHASE_UP;

    switch (judge(s, c, why)) {
    case SUP_RESTART:
        restart(s, c, was_up, pid, why);
        break;
    case SUP_PARK:
        park(s, c, was_up, pid, why);
        break;
    case SUP_REST:
        child_set_phase(&s->cs, c, PHASE_RESTING);
        sup_tell(s, c, CHILD_GONE, pid, why);
        sup_answer_waiters(&c->waiters, false, -ECANCELED, pid);
        break;
    case SUP_GIVE_UP:
        give_up(s, c, "too many restarts, the last of");
        forget(s, c, pid, why);
        break;
    case SUP_END:
        give_up(s, c, "the end of significant child");
        forget(s, c, pid, why);
        break;
    case SUP_FORGET:
        forget(s, c, pid, why);
        break;
    }
}

/* A child that was to be stopped is down, by our order or by itself before it came. */
static void on_stopped(struct supervisor *s, struct child *c, enum child_after after, proc_id pid,
                       const struct exit_reason *why)
{
    c->is_doomed = false;
    if (after == AFTER_FORGET) {
        forget(s, c, pid, why);
        return;
    }
    sup_tell(s, c, CHILD_RESTARTING, pid, why);
    c->launch->restarts++;
    child_set_phase(&s->cs, c, PHASE_WAITING);
}

static void on_down(struct supervisor *s, struct msg_exit *m)
{
    struct child *c = children_by_pid(&s->cs, m->hdr.from);
    proc_id pid = m->hdr.from;

    if (m->hdr.ref != pid) {
        /* A nested supervisor that ended before it settled: its monitor's DOWN says the same. */
        (void)children_take_ref(&s->cs, m->hdr.ref);
        return;
    }
    CHECK(c);
    child_set_pid(&s->cs, c, 0);
    child_cancel(&s->cs, &c->timer);
    child_cancel(&s->cs, &c->settled);
    child_note_end(c, &m->why);
    if (c->phase == PHASE_STOPPING)
        on_stopped(s, c, (enum child_after)c->after, pid, &m->why);
    else if (c->is_doomed || (c->is_dynamic && s->stop_dynamics))
        on_stopped(s, c, sup_group_after(s, c), pid, &m->why);
    else
        on_end(s, c, pid, &m->why);
    sup_advance(s);
}

static void on_started(struct supervisor *s, proc_id pid)
{
    struct child *c = children_by_pid(&s->cs, pid);

    if (!c || c->phase != PHASE_STARTING)
        return; /* it is being stopped */
    if (c->is_supervisor) {
        child_await(&s->cs, c, &c->settled, sup_await(pid, PROC_NO_TIMEOUT));
        return;
    }
    on_up(s, c);
    sup_advance(s);
}

static void on_settled(struct supervisor *s, proc_ref ref)
{
    struct child *c = children_take_ref(&s->cs, ref);

    if (!c || c->phase != PHASE_STARTING)
        return;
    on_up(s, c);
    sup_advance(s);
}

static void on_timeout(struct supervisor *s, proc_ref ref)
{
    struct child *c = children_take_ref(&s->cs, ref);

    CHECK(c);
    if (c->phase == PHASE_STOPPING) {
        proc_signal(c->pid, EXIT_KILL, 0, "did not end in time");
        return;
    }
    CHECK(c->phase == PHASE_PARKED);
    c->launch->is_on_probation = true;
    c->launch->restarts++;
    sup_start_again(s, c);
    sup_advance(s);
}

static void on_exit_signal(struct supervisor *s, struct msg_exit *m)
{
    if (m->hdr.from != proc_parent())
        return; /* a child's, whose DOWN decides, or a stranger's, who has no say here */
    sup_end(s, &m->why);
    sup_advance(s);
}

/* Requests. */

static void on_start(struct supervisor *s, struct msg_sup_start *m)
{
    struct child *c = children_by_id(&s->cs, m->spec.id);

    if (c) {
        sup_answer(&m->hdr, -EEXIST, c->pid);
        return;
    }
    if (s->is_ending) {
        sup_answer(&m->hdr, -ECANCELED, 0);
        return;
    }
    c = child_new(&s->cs, &m->spec, true);
    sup_wait(&c->waiters, &m->hdr, false);
    if (s->is_settled && !s->stop_dynamics)
        sup_launch(s, c);
}

static void on_stop(struct supervisor *s, struct msg_sup_name *m)
{
    struct child *c = children_by_id(&s->cs, m->id);
    struct exit_reason why = {.kind = EXIT_SHUTDOWN, .text = "stopped by request"};

    if (!c) {
        sup_answer(&m->hdr, -ENOENT, 0);
        return;
    }
    sup_answer_waiters(&c->waiters, false, -ECANCELED, c->pid);
    sup_wait(&c->waiters, &m->hdr, true);
    if (c->pid == 0)
        forget(s, c, 0, &why);
    else if (c->phase == PHASE_STOPPING)
        c->after = AFTER_FORGET;
    else
        sup_stop(s, c, AFTER_FORGET);
    sup_advance(s); /* a parked one may have held others back */
}

static void on_again(struct supervisor *s, struct msg_sup_name *m)
{
    struct child *c = children_by_id(&s->cs, m->id);

    if (!c) {
        sup_answer(&m->hdr, -ENOENT, 0);
        return;
    }
    if (c->phase == PHASE_UP) {
        sup_answer(&m->hdr, 0, c->pid);
        return;
    }
    if (s->is_ending || (c->phase == PHASE_STOPPING && c->after == AFTER_FORGET)) {
        sup_answer(&m->hdr, -ECANCELED, 0);
        return;
    }
    sup_wait(&c->waiters, &m->hdr, false);
    if (c->phase != PHASE_PARKED && c->phase != PHASE_RESTING)
        return; /* it is on its way */
    child_cancel(&s->cs, &c->timer);
    c->launch->own.n = 0;
    c->launch->times_parked = 0;
    c->launch->is_on_probation = false;
    c->launch->restarts++;
    sup_start_again(s, c);
    sup_advance(s);
}

static void on_await(struct supervisor *s, struct msg *m)
{
    if (s->is_settled)
        sup_answer(m, 0, proc_self());
    else
        sup_wait(&s->awaiting, m, false);
    sup_advance(s); /* it may be held back by a parked child: that is settled, too */
}

/* The reason is the one that listings show: the whole one was told to the watcher before. */
static void tell_parked(struct supervisor *s, struct child *c)
{
    struct exit_reason why = {.kind = EXIT_CRASH};

    if (c->phase != PHASE_PARKED)
        return;
    if (c->launch && c->launch->last_crash)
        snprintf(why.text, sizeof(why.text), "%s", c->launch->last_crash);
    sup_tell(s, c, CHILD_PARKED, 0, &why);
}

static void on_watch(struct supervisor *s, proc_id watcher)
{
    struct child *c;

    s->watcher = watcher;
    TAILQ_FOREACH(c, &s->cs.statics, link)
        tell_parked(s, c);
    TAILQ_FOREACH(c, &s->cs.dynamics[PHASE_PARKED], link)
        tell_parked(s, c);
}

static void handle(void *state, struct msg *m)
{
    struct supervisor *s = state;

    switch (m->type) {
    case MSG_DOWN:
        on_down(s, MSG_OF(struct msg_exit, m));
        break;
    case MSG_STARTED:
        on_started(s, m->from);
        break;
    case MSG_TIMEOUT:
        on_timeout(s, m->ref);
        break;
    case MSG_EXIT:
        on_exit_signal(s, MSG_OF(struct msg_exit, m));
        break;
    case MSG_CONTINUE:
        sup_advance(s);
        break;
    case MSG_SUP_REPLY:
        on_settled(s, m->ref);
        break;
    case SUP_START:
        on_start(s, MSG_OF(struct msg_sup_start, m));
        break;
    case SUP_STOP:
        on_stop(s, MSG_OF(struct msg_sup_name, m));
        break;
    case SUP_AGAIN:
        on_again(s, MSG_OF(struct msg_sup_name, m));
        break;
    case SUP_AWAIT:
        on_await(s, m);
        break;
    case SUP_WATCH:
        on_watch(s, m->from);
        break;
    default:
        proc_exit(EXIT_CRASH, (int)m->type, "a supervisor knows no message %u", m->type);
    }
}

void sup_add(const struct child_spec *child)
{
    CHECK(building.pid == proc_self() && !children_by_id(&building.s->cs, child->id));
    (void)child_new(&building.s->cs, child, false); /* the children own it */
}

static void init(void *state, const void *arg)
{
    struct supervisor *s = state;
    const struct sup_spec *spec = arg; /* of sup_new_arg; there is always one */
    bool is_default = spec->intensity == 0 && spec->period_ms == 0;

    self()->supervisor = true; /* for listings, whoever spawned it */
    proc_trap_exit(true);
    if (spec->is_registered)
        CHECK(proc_register(proc_name()) == 0);
    s->strategy = spec->strategy;
    s->watcher = spec->watcher;
    s->budget.limit = is_default ? SUP_OWN_LIMIT : spec->intensity;
    s->budget.period_us = is_default ? SUP_OWN_PERIOD_US : (uint64_t)spec->period_ms * 1000;
    s->budget.when = proc_alloc((s->budget.limit + 1) * sizeof(uint64_t));
    children_init(&s->cs);
    building.s = s;
    building.pid = proc_self();
    for (size_t i = 0; i < spec->n; i++)
        sup_add(&spec->children[i]);
    if (spec->build)
        spec->build(spec + 1);
    building.pid = 0;
    sup_advance(s);
}

static size_t inspect(const void *state, char *out, size_t size)
{
    static const char *const name[] = {"one_for_one", "one_for_all", "rest_for_one"};
    const struct supervisor *s = state;

    return children_inspect(&s->cs, name[s->strategy], out, size);
}

const struct proc_ops supervisor_ops = {
    .kind = "supervisor",
    .state_size = sizeof(struct supervisor),
    .init = init,
    .handle = handle,
    .inspect = inspect,
};
