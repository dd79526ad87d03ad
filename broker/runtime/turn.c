/*
 * turn.c - one visit to a process: its messages under one sigsetjmp, until its budget is spent.
 */
#include "broker/runtime/blob.h"
#include "broker/runtime/internal.h"

_Thread_local volatile int rt_region;
_Thread_local volatile int rt_overdue;

static void run_init(struct worker *w, struct turn *t)
{
    struct proc *p = t->p;
    struct msg *m;

    if (p->ops->init) {
        turn_enter(w);
        if (inject_wants_init(p->ops->kind))
            proc_exit(EXIT_CRASH, 0, "injected into init");
        p->ops->init(p->state, p->arg ? blob_bytes(p->arg) : NULL);
        turn_leave(w);
    }
    p->started = true;
    blob_unref(p->arg);
    p->arg = NULL;
    if (!p->notify)
        return;
    m = msg_make(MSG_STARTED, sizeof(*m), NULL);
    m->from = p->id;
    msg_route(p->parent, m);
}

/* NULL: the turn is over. proc_continue asks for a turn of its own, so that a process that goes on
 * and on takes turns with its neighbours. */
static inline struct msg *next_msg(struct turn *t)
{
    struct proc *p = t->p;
    struct msg *m = lane_pop(&t->box->high);

    if (!m && !p->suspended) {
        m = t->box->normal.head;
        if (m && unlikely(m->type == MSG_CONTINUE) && t->n)
            return NULL;
        m = lane_pop(&t->box->normal);
    }
    if (m && t->box == &p->box)
        p->mailbox_len--;
    return m;
}

/* Whether the turn's time is over. The clock is read after messages 1, 2, 3, 4, 8, 16 ... */
static inline bool is_over(struct worker *w, struct turn *t)
{
    if (t->n > 4 && t->n % 8)
        return false;
    w->tick = rt_tick();
    if (!t->start_tick)
        t->start_tick = w->tick;
    return w->tick - t->start_tick > TURN_US * rt.ticks_per_us;
}

bool proc_is_over_us(uint32_t us)
{
    RUNTIME_REGION();
    struct turn *t = rt_me ? rt_me->turn : NULL;

    if (!t)
        return false;
    if (!t->start_tick)
        t->start_tick = rt_tick();
    return t->n >= TURN_MSGS || rt_tick() - t->start_tick > us * rt.ticks_per_us;
}

bool proc_is_over_budget(void)
{
    return proc_is_over_us(TURN_US);
}

static void crash_if_asked(struct proc *p)
{
    struct exit_reason why = {.kind = EXIT_CRASH, .text = "injected by the world"};

    if (rt.world.crash_now(p->ops->kind))
        exit_with(&why);
}

static inline void handle(struct worker *w, struct turn *t, struct msg *m)
{
    struct proc *p = t->p;

    t->now_us = 0;
    t->msg = m;
    t->msg_type = m->type;
    if ((m->type >= MSG_USER && likely(!(m->flags & MSG_F_ANSWERS))) || control_take(t, m)) {
        if (unlikely(rt.world.crash_now))
            crash_if_asked(p);
        stat_add(&p->handled, 1);
        turn_enter(w);
        p->ops->handle(p->state, m);
        turn_leave(w);
    }
    if (t->msg) {
        m = t->msg;
        t->msg = NULL;
        msg_drop_because(m, p->id, &why_noreply);
    }
    t->msg_type = 0;
}

static void turn_body(struct worker *w, struct turn *t)
{
    struct proc *p = t->p;
    struct msg *m;

    if (unlikely(!p->started)) {
        if (p->linger) {
            linger_turn(t);
            return;
        }
        run_init(w, t);
        t->n++;
    }
    while (t->n < TURN_MSGS && (m = next_msg(t))) {
        handle(w, t, m);
        t->n++;
        if ((t->box->normal.head || t->box->high.head) && is_over(w, t))
            break;
    }
    if (p->ops->flush) {
        t->now_us = 0;
        turn_enter(w);
        p->ops->flush(p->state);
        turn_leave(w);
    }
}

bool turn_run(struct worker *w, struct proc *p, struct mailbox *box)
{
    struct turn t;
    bool lives;

    t.p = p;
    t.msg = NULL;
    t.outer = w->turn;
    t.box = box;
    t.n = t.msg_type = 0;
    t.start_tick = t.now_us = 0;
    t.n_frames = t.signo = 0;
    t.ending = false;
    w->turn = &t;
    if (sigsetjmp(t.jump, 0) == 0) {
        turn_body(w, &t);
        rt_me->turn = t.outer;
        return true;
    }
    turn_leave(rt_me);
    crash_complete(&t);
    lives = proc_teardown(rt_me, &t);
    rt_me->turn = t.outer;
    return lives;
}
