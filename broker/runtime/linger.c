/*
 * linger.c - a process that has ended, but whose awaited children (PROC_AWAITED) have not.
 *
 * All that it owned is gone, and all but its parent were told of its end. What is left is its id,
 * which hears the children's DOWN, and what the parent is to be told when there are no more of
 * them: so that whoever is started instead finds no name, lock or port taken.
 *
 * Invariants, while p->linger is set:
 *   1. p->refs holds the awaited children that live and nothing else: id -> 1 + their time to end.
 *   2. p->links and p->monitors hold the parent alone, where it is there.
 */
#include "broker/runtime/alloc.h"
#include "broker/runtime/internal.h"

/*
 * How long those are waited for who have no time of their own, or were killed in vain: no signal
 * ends a callback that waits for a disk. What is in a successor's way then is its own to handle.
 */
enum { LINGER_MS = 60000 };

static struct timer *timer_at(struct proc *p, uint64_t delay_ms)
{
    struct timer *t = timer_start(p, 0, delay_ms * 1000, false);

    t->msg.flags &= ~(uint32_t)MSG_F_ANSWERS;
    return t;
}

/* Kills those whose time is over. When the next one's is; UINT64_MAX: there is none. */
static uint64_t kill_late(struct proc *p, uint64_t waited_ms)
{
    uint64_t next = UINT64_MAX, child, value;

    for (uint32_t at = 0; pairs_next(&p->refs, &at, &child, &value);) {
        uint64_t limit_ms = value - 1;

        if (limit_ms <= waited_ms) {
            proc_signal(child, EXIT_KILL, 0, "its parent has ended");
            *pairs_get(&p->refs, child) = 1 + (uint64_t)PROC_WAIT;
        } else if (limit_ms != PROC_WAIT && limit_ms < next) {
            next = limit_ms;
        }
    }
    return next;
}

static void enforce(struct proc *p)
{
    struct lingering *l = p->linger;
    uint64_t next_ms = kill_late(p, l->waited_ms);

    if (next_ms == UINT64_MAX) {
        l->is_last = true;
        next_ms = l->waited_ms + LINGER_MS;
    }
    l->timer = timer_at(p, next_ms - l->waited_ms);
    l->waited_ms = next_ms;
}

/* A child that has unlinked itself hears of it, too: by KILL. */
static void take_over(struct proc *p)
{
    struct pairs awaited = {0};
    uint64_t ref, value;

    for (uint32_t at = 0; pairs_next(&p->refs, &at, &ref, &value);)
        if (ref_is_awaited(ref, value))
            pairs_put(&awaited, ref, pairs_get(&p->links, ref) ? value : 1);
    pairs_fini(&p->refs);
    p->refs = awaited;
}

/* Only what was said to the parent as its child is kept; all others are told now. */
static void keep_parent(struct proc *p, const struct exit_reason *why)
{
    bool is_linked = pairs_get(&p->links, p->parent);
    bool is_watched = pairs_get(&p->monitors, p->id);

    if (is_linked)
        (void)pairs_del(&p->links, p->parent, NULL);
    if (is_watched)
        (void)pairs_del(&p->monitors, p->id, NULL);
    proc_tell_others(p, why);
    pairs_fini(&p->links);
    pairs_fini(&p->monitors);
    pairs_fini(&p->deferred);
    if (is_linked)
        pairs_put(&p->links, p->parent, 1);
    if (is_watched)
        pairs_put(&p->monitors, p->id, p->parent);
}

void linger_begin(struct proc *p, const struct exit_reason *why)
{
    p->linger = rt_zalloc(sizeof(*p->linger));
    p->linger->why = *why;
    p->heap = NULL; /* where it was damaged it is left */
    p->suspended = p->started = false;
    take_over(p);
    keep_parent(p, why);
    enforce(p);
}

static bool is_for_us(const struct msg *m)
{
    return m->flags & MSG_F_CONTROL && (m->type == CTL_DEMONITOR || m->type == CTL_UNLINK);
}

static void take(struct proc *p, struct msg *m)
{
    struct lingering *l = p->linger;

    if (m->flags & MSG_F_ANSWERS) {
        (void)pairs_del(&p->refs, m->ref, NULL); /* else: of a call, whose answer comes late */
    } else if (m->type == MSG_TIMEOUT && l->timer && m == &l->timer->msg) {
        l->timer = NULL;
        if (l->is_last)
            pairs_fini(&p->refs);
        else
            enforce(p);
    } else if (m->type == MSG_EXIT && MSG_OF(struct msg_exit, m)->why.kind == EXIT_KILL &&
               !(m->flags & MSG_F_LINK)) {
        (void)kill_late(p, PROC_WAIT);
    } else if (is_for_us(m)) {
        m->flags &= ~(uint32_t)MSG_F_CONTROL;
        (void)pairs_del(m->type == CTL_UNLINK ? &p->links : &p->monitors,
                        m->type == CTL_UNLINK ? m->from : m->ref, NULL);
    }
    msg_drop_because(m, p->id, &why_noproc);
}

bool linger_is_over(const struct proc *p)
{
    uint64_t child, value;
    uint32_t at = 0;

    return !pairs_next(&p->refs, &at, &child, &value);
}

void linger_turn(struct turn *t)
{
    struct proc *p = t->p;
    struct msg *m;

    for (; t->n < TURN_MSGS; t->n++) {
        m = lane_pop(&p->box.high);
        if (!m)
            m = lane_pop(&p->box.normal);
        if (!m)
            break;
        p->mailbox_len--;
        take(p, m);
    }
    if (linger_is_over(p)) {
        struct exit_reason why = p->linger->why;

        exit_with(&why);
    }
}

void linger_fini(struct proc *p)
{
    if (!p->linger)
        return;
    if (p->linger->timer)
        timer_stop(p, p->linger->timer);
    rt_free(p->linger);
    p->linger = NULL;
}
