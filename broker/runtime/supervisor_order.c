/*
 * supervisor_order.c - who is started and stopped, and in which order.
 *
 * Static children are started from the first to the last and stopped from the last to the first,
 * each when the one before is done. Dynamic children are younger than all of them, and stand beside
 * each other: all are stopped at once before the first static one, and started after the last.
 */
#include "broker/runtime/supervisor_impl.h"

#include "broker/runtime/blob.h"
#include "broker/runtime/supervisor_requests.h"

/* Dynamic children started or stopped in one go, before others have their turn. */
enum { BATCH = 256 };

void sup_tell(struct supervisor *s, struct child *c, enum child_state state, proc_id pid,
              const struct exit_reason *why)
{
    struct msg_child_state *m;

    if (!s->watcher)
        return;
    m = MSG_NEW(MSG_CHILD_STATE, struct msg_child_state);
    m->tag = c->tag;
    m->pid = pid;
    m->state = state;
    if (why)
        m->why = *why;
    PROC_SEND(s->watcher, m);
}

void sup_launch(struct supervisor *s, struct child *c)
{
    struct launch *l = c->launch;
    struct spawn spec = {
        .ops = l->ops,
        .name = c->id,
        .arg = blob_ref(l->arg),
        .flags = PROC_LINK | PROC_MONITOR | PROC_NOTIFY,
        .scheduler = l->scheduler,
        .restarts = l->restarts,
        .last_crash = l->last_crash,
        .shutdown_ms = c->shutdown_ms,
    };

    if (!c->is_dynamic || c->restart != TEMPORARY)
        spec.flags |= PROC_AWAITED; /* who follows this supervisor may start it again */
    if (c->is_supervisor)
        spec.flags |= PROC_TRAP_EXIT | PROC_SUPERVISOR;
    l->started_us = proc_now_us();
    child_set_pid(&s->cs, c, proc_spawn(&spec));
    child_set_phase(&s->cs, c, PHASE_STARTING);
    sup_tell(s, c, CHILD_STARTING, c->pid, NULL);
    if (c->restart == TEMPORARY)
        child_forget_launch(c);
}

/* Starts the next static child that waits. Whether all have had their turn. */
static bool start_statics(struct supervisor *s)
{
    struct child *c;

    TAILQ_FOREACH(c, &s->cs.statics, link) {
        if (c->phase == PHASE_WAITING)
            sup_launch(s, c);
        if (c->phase == PHASE_STARTING)
            return false;
        if (c->phase == PHASE_PARKED && s->strategy != ONE_FOR_ONE)
            break;
    }
    sup_answer_waiters(&s->awaiting, false, 0, proc_self());
    return !c;
}

static void start_dynamics(struct supervisor *s)
{
    struct child_list *waiting = &s->cs.dynamics[PHASE_WAITING];

    for (unsigned i = 0; i < BATCH && !TAILQ_EMPTY(waiting); i++)
        sup_launch(s, TAILQ_FIRST(waiting));
    if (!TAILQ_EMPTY(waiting))
        proc_continue();
}

void sup_stop(struct supervisor *s, struct child *c, enum child_after after)
{
    c->after = (uint8_t)after;
    child_set_phase(&s->cs, c, PHASE_STOPPING);
    if (c->shutdown_ms == 0) {
        proc_signal(c->pid, EXIT_KILL, 0, "stopped by its supervisor");
        return;
    }
    proc_signal(c->pid, EXIT_SHUTDOWN, 0, "stopped by its supervisor");
    if (c->shutdown_ms != SUP_WAIT)
        child_await(&s->cs, c, &c->timer, proc_timer((uint64_t)c->shutdown_ms * 1000));
}

enum child_after sup_group_after(const struct supervisor *s, const struct child *c)
{
    return s->is_ending || c->restart == TEMPORARY ? AFTER_FORGET : AFTER_WAIT;
}

static bool stop_dynamics(struct supervisor *s)
{
    static const enum child_phase running[] = {PHASE_STARTING, PHASE_UP};
    unsigned n = 0;

    for (unsigned i = 0; i < 2; i++) {
        struct child_list *list = &s->cs.dynamics[running[i]];

        for (; !TAILQ_EMPTY(list) && n < BATCH; n++) {
            struct child *c = TAILQ_FIRST(list);

            sup_stop(s, c, sup_group_after(s, c));
        }
        if (!TAILQ_EMPTY(list)) {
            proc_continue();
            return true;
        }
    }
    s->stop_dynamics = !TAILQ_EMPTY(&s->cs.dynamics[PHASE_STOPPING]);
    return s->stop_dynamics;
}

/* Stops the youngest static child that is doomed. Whether there is one to wait for. */
static bool stop_statics(struct supervisor *s)
{
    struct child *c;

    TAILQ_FOREACH_REVERSE(c, &s->cs.statics, child_list, link) {
        if (c->phase == PHASE_STOPPING && (c->is_doomed || s->is_ending))
            return true;
        if (!c->is_doomed)
            continue;
        if (c->pid) {
            sup_stop(s, c, sup_group_after(s, c));
            return true;
        }
        c->is_doomed = false;
        if (c->phase == PHASE_RESTING)
            child_set_phase(&s->cs, c, PHASE_WAITING);
    }
    return false;
}

void sup_advance(struct supervisor *s)
{
    if (s->stop_dynamics && stop_dynamics(s))
        return;
    if (stop_statics(s))
        return;
    if (s->is_ending)
        proc_exit_at(s->ending.file, s->ending.line, s->ending.kind, s->ending.code, "%s",
                     s->ending.text);
    /* Under one_for_one the order matters once: later a static child starts again by itself, and
     * dynamic ones do not wait for it. */
    if (!s->is_settled || s->strategy != ONE_FOR_ONE)
        s->is_settled = start_statics(s);
    if (s->is_settled)
        start_dynamics(s);
}

static void doom_all(struct supervisor *s)
{
    struct child *c;

    s->stop_dynamics = true;
    s->is_settled = false;
    TAILQ_FOREACH(c, &s->cs.statics, link)
        c->is_doomed = true;
}

void sup_end(struct supervisor *s, const struct exit_reason *why)
{
    if (s->is_ending)
        return;
    s->is_ending = true;
    s->ending = *why;
    doom_all(s);
}

void sup_doom_group(struct supervisor *s, struct child *c)
{
    struct child *sibling;

    if (s->strategy == ONE_FOR_ONE || c->is_dynamic)
        return;
    if (s->strategy == ONE_FOR_ALL) {
        doom_all(s);
    } else {
        s->stop_dynamics = true;
        s->is_settled = false;
        for (sibling = c; sibling; sibling = TAILQ_NEXT(sibling, link))
            sibling->is_doomed = true;
    }
    c->is_doomed = false;
}

/* Under one_for_one a child that was started once waits for nobody. */
void sup_start_again(struct supervisor *s, struct child *c)
{
    child_set_phase(&s->cs, c, PHASE_WAITING);
    if (s->strategy == ONE_FOR_ONE && !s->is_ending)
        sup_launch(s, c);
}
