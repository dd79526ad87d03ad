/*
 * proc_signal.c - links, monitors, exit signals, and what else the runtime takes from a mailbox
 * before the handler sees it.
 *
 * Each side of a link keeps the other's id; a signal over a link that this side does not know (any
 * more) is ignored, so that nothing arrives after proc_unlink. The table of refs is the alias: an
 * answer to a ref that is not in it is dropped unseen.
 */
#include "broker/runtime/internal.h"

static void control_send(proc_id to, uint32_t type, proc_ref ref, uint32_t flags)
{
    struct msg *m = msg_make(type, sizeof(*m), NULL);

    m->from = proc_self();
    m->ref = ref;
    m->flags |= MSG_F_CONTROL | flags;
    msg_route(to, m);
}

proc_ref proc_monitor(proc_id target)
{
    RUNTIME_REGION();
    struct proc *p = self();
    proc_ref ref = ref_new(rt_me, REF_MONITOR);

    pairs_put(&p->refs, ref, target);
    control_send(target, CTL_MONITOR, ref, 0);
    return ref;
}

void proc_cancel(proc_ref ref)
{
    RUNTIME_REGION();
    struct proc *p = self();
    uint64_t *found = ref ? pairs_get(&p->refs, ref) : NULL;

    if (!found)
        return;
    if (ref_kind(ref) == REF_MONITOR)
        control_send(ref_watched(ref, *found), CTL_DEMONITOR, ref, 0);
    ref_end(p, ref);
}

bool ref_end(struct proc *p, proc_ref ref)
{
    uint64_t value;

    if (!pairs_del(&p->refs, ref, &value))
        return false;
    if (ref_kind(ref) != REF_MONITOR && value != NULL_TIMER)
        timer_stop(p, (struct timer *)(uintptr_t)value);
    return true;
}

void proc_link(proc_id other)
{
    RUNTIME_REGION();
    struct proc *p = self();

    if (!other || other == p->id || pairs_get(&p->links, other))
        return;
    pairs_put(&p->links, other, 1);
    control_send(other, CTL_LINK, 0, 0);
}

void proc_unlink(proc_id other)
{
    RUNTIME_REGION();

    if (pairs_del(&self()->links, other, NULL))
        control_send(other, CTL_UNLINK, 0, 0);
}

static void signal_send(proc_id to, enum exit_kind kind, int code, const char *text)
{
    struct exit_reason why = {.kind = kind, .code = code};
    struct msg_exit *m;

    if (text)
        strncpy(why.text, text, sizeof(why.text) - 1);
    m = msg_exit_new(MSG_EXIT, &why);
    m->hdr.from = proc_self();
    if (kind == EXIT_KILL)
        m->hdr.flags |= MSG_F_HIGH;
    msg_route(to, &m->hdr);
}

void proc_signal(proc_id to, enum exit_kind kind, int code, const char *text)
{
    RUNTIME_REGION();

    signal_send(to, kind, code, text);
}

void rt_signal(proc_id to, enum exit_kind kind, const char *text)
{
    if (rt_me) {
        signal_send(to, kind, 0, text);
    } else if (outside_enter()) {
        signal_send(to, kind, 0, text);
        outside_leave();
    }
}

void rt_suspend(proc_id pid, bool on)
{
    RUNTIME_REGION();

    control_send(pid, on ? CTL_SUSPEND : CTL_RESUME, 0, MSG_F_HIGH);
}

void rt_inject(proc_id pid, enum rt_fault how)
{
    RUNTIME_REGION();

    control_send(pid, CTL_INJECT, how, MSG_F_HIGH);
}

/* An exit signal. true: the process traps it and its handler is to see it. */
static bool exit_take(struct proc *p, const struct msg_exit *m)
{
    struct exit_reason why = m->why;

    if (m->hdr.flags & MSG_F_LINK && !pairs_del(&p->links, m->hdr.from, NULL))
        return false;
    if (why.kind == EXIT_KILL && !(m->hdr.flags & MSG_F_LINK)) {
        why.kind = EXIT_KILLED; /* what its links hear; they may trap it */
        exit_with(&why);
    }
    if (p->trap_exit)
        return true;
    if (why.kind != EXIT_NORMAL)
        exit_with(&why);
    return false;
}

static void control_do(struct turn *t, struct msg *m)
{
    struct proc *p = t->p;

    switch (m->type) {
    case CTL_LINK:
        pairs_put(&p->links, m->from, 1);
        break;
    case CTL_UNLINK:
        (void)pairs_del(&p->links, m->from, NULL); /* both sides may unlink at once */
        break;
    case CTL_MONITOR:
        pairs_put(&p->monitors, m->ref, m->from);
        break;
    case CTL_DEMONITOR:
        (void)pairs_del(&p->monitors, m->ref, NULL);
        break;
    case CTL_SUSPEND:
        p->suspended = true;
        break;
    case CTL_RESUME:
        p->suspended = false;
        break;
    case CTL_INSPECT:
        inspect_answer(t, m);
        break;
    case CTL_INJECT:
        inject_fault((enum rt_fault)m->ref);
        break;
    default:
        rt_bug(__FILE__, __LINE__, "control message %u", m->type);
    }
}

bool control_take(struct turn *t, struct msg *m)
{
    if (m->flags & MSG_F_ANSWERS)
        return ref_end(t->p, m->ref);
    if (m->flags & MSG_F_CONTROL) {
        m->flags &= ~(uint32_t)MSG_F_CONTROL; /* taken: its drop owes nothing any more */
        control_do(t, m);
        return false;
    }
    if (m->type == MSG_EXIT)
        return exit_take(t->p, MSG_OF(struct msg_exit, m));
    if (m->type == MSG_IO)
        return io_taken(m);
    if (m->type == MSG_CONTINUE)
        t->p->has_continue = false;
    return true;
}
