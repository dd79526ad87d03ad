/*
 * proc_exit.c - how a process ends, whatever ends it.
 *
 * Every end is a jump to the turn, then the teardown here, in this order: terminate (only after a
 * normal end), hooks, descriptors, timers, messages (each request is answered DOWN), heap, then
 * whoever must know. From the moment its slot is given up nothing reaches it any more. One with
 * awaited children keeps its slot, and its parent is told last: see linger.c.
 */
#include <stdarg.h>
#include <stdio.h>

#include "broker/runtime/alloc.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/internal.h"

/* Back to the turn. What the running handler had under way on its stack is gone. */
static _Noreturn void jump(struct turn *t)
{
    rt_region = REGION_RUNTIME;
    siglongjmp(t->jump, 1);
}

void proc_exit_at(const char *file, int line, enum exit_kind kind, int code, const char *fmt, ...)
{
    struct turn *t = rt_me ? rt_me->turn : NULL;
    va_list ap;

    if (!t || rt_region != REGION_PROC)
        rt_bug(file, line, "proc_exit outside process code (%s: %s)", exit_kind_name(kind), fmt);
    rt_region = REGION_RUNTIME;
    t->why = (struct exit_reason){.kind = kind, .code = code, .line = line, .file = file};
    if (kind == EXIT_KILL)
        t->why.kind = EXIT_KILLED;
    va_start(ap, fmt);
    (void)vsnprintf(t->why.text, sizeof(t->why.text), fmt, ap); /* too long is cut */
    va_end(ap);
    if (!exit_is_normal(&t->why))
        FRAMES_HERE(t);
    jump(t);
}

void exit_with(const struct exit_reason *why)
{
    struct turn *t = rt_me->turn;

    BUG_ON(t->ending);
    t->why = *why;
    jump(t);
}

void misuse(const char *fmt, ...)
{
    struct turn *t = rt_me ? rt_me->turn : NULL;
    va_list ap;

    if (!t || t->ending)
        rt_bug(__FILE__, __LINE__, "misuse of the runtime outside process code: %s", fmt);
    t->why = (struct exit_reason){.kind = EXIT_CRASH};
    va_start(ap, fmt);
    (void)vsnprintf(t->why.text, sizeof(t->why.text), fmt, ap); /* too long is cut */
    va_end(ap);
    FRAMES_HERE(t);
    jump(t);
}

/* A crash in terminate changes nothing but the reason. */
static void run_terminate(struct worker *w, struct turn *t)
{
    struct proc *p = t->p;

    if (!exit_is_normal(&t->why) || !p->ops->terminate || !p->started)
        return;
    if (sigsetjmp(t->jump, 0) == 0) {
        struct exit_reason why = t->why;

        turn_enter(w);
        p->ops->terminate(p->state, &why);
    }
    turn_leave(w);
}

static void run_hooks(struct proc *p)
{
    while (p->hooks) {
        struct exit_hook hook = *p->hooks;

        rt_free(p->hooks);
        p->hooks = hook.next;
        hook.fn(hook.arg);
    }
}

/* The DOWN of a child that is gone already is not waited for again. */
static void lane_drop(struct lane *l, struct proc *p, const struct exit_reason *why)
{
    struct msg *m;

    while ((m = lane_pop(l))) {
        if (m->flags & MSG_F_ANSWERS && ref_is_child(m->ref))
            (void)pairs_del(&p->refs, m->ref, NULL); /* not there: a listing or the like */
        msg_drop_because(m, p->id, why);
    }
}

/* What it held and what waited for it. The order is that of arrival, for the answers' sake. */
static void drop_messages(struct turn *t)
{
    struct proc *p = t->p;
    struct msg *m = t->msg;

    t->msg = NULL;
    if (m)
        msg_drop_because(m, p->id, &t->why);
    while ((m = p->kept)) {
        msg_unkeep(m);
        msg_drop_because(m, p->id, &t->why);
    }
    if (t->box != &p->box) {
        lane_drop(&t->box->high, p, &t->why);
        lane_drop(&t->box->normal, p, &t->why);
    }
    lane_drop(&p->box.high, p, &t->why);
    lane_drop(&p->box.normal, p, &t->why);
    p->mailbox_len = 0;
}

static void end_refs(struct proc *p, bool tell)
{
    uint64_t ref, value;

    for (uint32_t at = 0; pairs_next(&p->refs, &at, &ref, &value);) {
        struct msg *m;

        if (ref_kind(ref) != REF_MONITOR) {
            if (value != NULL_TIMER)
                timer_stop(p, (struct timer *)(uintptr_t)value);
            continue;
        }
        if (!tell || ref_is_awaited(ref, value))
            continue;
        m = msg_make(CTL_DEMONITOR, sizeof(*m), NULL);
        m->from = p->id;
        m->ref = ref;
        m->flags |= MSG_F_CONTROL;
        msg_route(ref_watched(ref, value), m);
    }
}

void proc_tell_others(struct proc *p, const struct exit_reason *why)
{
    uint64_t key, value;

    for (uint32_t at = 0; pairs_next(&p->links, &at, &key, &value);) {
        struct msg_exit *m = msg_exit_new(MSG_EXIT, why);

        m->hdr.flags |= MSG_F_LINK;
        m->hdr.from = p->id;
        msg_route(key, &m->hdr);
    }
    for (uint32_t at = 0; pairs_next(&p->deferred, &at, &key, &value);)
        down_send(value, key, p->id, why);
    for (uint32_t at = 0; pairs_next(&p->monitors, &at, &key, &value);)
        down_send(value, key, p->id, why);
}

static void proc_free_all(struct worker *w, struct proc *p)
{
    pairs_fini(&p->refs);
    pairs_fini(&p->links);
    pairs_fini(&p->monitors);
    pairs_fini(&p->deferred);
    blob_unref(p->arg);
    rt_free(p->name);
    rt_free(p->last_crash);
    rt_free(p);
    procs_count(w, -1);
}

/* Whoever finds nobody in the pool may say so at once: what p sent is on its way before that. */
static void give_slot(struct worker *w, struct proc *p)
{
    if (p->home->is_pool) {
        outbox_flush(w);
        pool_lock();
    }
    slot_give(p->home, p->id);
    if (p->home->is_pool)
        pool_unlock();
}

/* What ends with the process at once, whether or not it lingers. */
static void give_back(struct worker *w, struct turn *t)
{
    run_terminate(w, t);
    t->ending = true;
    if (!exit_is_normal(&t->why) && t->why.kind != EXIT_MOVED)
        crash_note(t);
    run_hooks(t->p);
    io_fini(t->p);
    end_refs(t->p, true);
}

static bool is_to_linger(const struct proc *p)
{
    uint64_t ref, value;

    for (uint32_t at = 0; p->id != rt.root && pairs_next(&p->refs, &at, &ref, &value);)
        if (ref_is_awaited(ref, value))
            return true;
    return false;
}

/* The second end: all that it waited for are gone. */
static void linger_end(struct worker *w, struct turn *t)
{
    struct proc *p = t->p;

    t->ending = true;
    linger_fini(p);
    give_slot(w, p);
    drop_messages(t);
    proc_tell_others(p, &t->why);
    proc_free_all(w, p);
}

bool proc_teardown(struct worker *w, struct turn *t)
{
    struct proc *p = t->p;
    bool is_root = p->id == rt.root, lingers, intact;

    proc_check(p);
    if (p->linger) {
        linger_end(w, t);
        return false;
    }
    give_back(w, t);
    lingers = is_to_linger(p);
    if (!lingers)
        give_slot(w, p);
    drop_messages(t);
    intact = heap_fini(p);
    registry_forget(p);
    if (!exit_is_normal(&t->why) && t->why.kind != EXIT_MOVED)
        crash_tell(t, !intact);
    if (lingers) {
        linger_begin(p, &t->why);
        if (!linger_is_over(p))
            return true;
        linger_end(w, t); /* the last DOWN was in the mailbox */
        return false;
    }
    proc_tell_others(p, &t->why);
    if (is_root)
        rt_root_ended(&t->why);
    proc_free_all(w, p);
    return false;
}

void proc_discard(struct worker *w, struct proc *p)
{
    struct turn t = {.p = p, .box = &p->box, .ending = true};

    w->turn = &t;
    run_hooks(p);
    io_fini(p);
    end_refs(p, false);
    linger_fini(p);
    slot_give(p->home, p->id);
    drop_messages(&t);
    (void)heap_fini(p); /* damaged: left, as at any exit */
    registry_forget(p);
    proc_free_all(w, p);
    w->turn = NULL;
}
