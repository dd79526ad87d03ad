/*
 * proc_send.c - sending, calling, answering; the ways from a worker to the homes.
 *
 * To its own scheduler a message goes straight into the mailbox. To any other home it goes into
 * this worker's outbox, which is flushed after each round and whenever it has grown long.
 */
#include "broker/runtime/alloc.h"
#include "broker/runtime/internal.h"

void home_take(struct home *h, struct msg *m)
{
    struct proc *p;

    if (m->type == CTL_LIST) {
        listing_take(h, m);
        return;
    }
    BUG_ON(m->type != CTL_START);
    p = slot_find(h, m->ref);
    m->drop(m);
    BUG_ON(!p || p->run_state != RUN_EMBRYO);
    ready_push(h, p);
}

static void deliver_lost(struct home *h, proc_id to, struct msg *m)
{
    if (id_slot(to) == SLOT_HOME && to)
        home_take(h, m);
    else
        msg_drop_because(m, to, &why_noproc);
}

static inline void deliver(struct home *h, proc_id to, struct msg *m)
{
    struct proc *p = slot_find(h, to);

    if (likely(p))
        mailbox_put(p, m);
    else
        deliver_lost(h, to, m);
}

void deliver_chain(struct home *h, struct msg *oldest)
{
    while (oldest) {
        struct msg *next = oldest->next;
        proc_id to = msg_to(oldest);

        if (likely(id_home(to) == h->number))
            deliver(h, to, oldest);
        else
            msg_drop_because(oldest, to, &why_noproc); /* came back: see lost_come_back */
        oldest = next;
    }
}

static void inbox_push(struct sched *s, struct msg *newest, struct msg *oldest)
{
    struct msg *head = atomic_load_explicit(&s->inbox, memory_order_relaxed);

    do {
        oldest->next = head;
    } while (!atomic_compare_exchange_weak(&s->inbox, &head, newest));
    /* Who found it empty wakes; whoever came before and found it empty has woken already. Both this
     * and the sleeper's announcement are sequentially consistent, so that one sees the other. */
    if (!head && atomic_load(&s->sleeping) && atomic_exchange(&s->sleeping, 0))
        sched_wake(s);
}

/*
 * What the pool has nobody for, newest first. A scheduler that sent it answers behind its inbox:
 * what the dead process sent may lie there, and nobody is told of a death before that.
 */
void lost_come_back(struct msg *newest)
{
    struct msg *oldest = newest;

    while (oldest->next)
        oldest = oldest->next;
    inbox_push(&rt.scheds[rt_me->number], newest, oldest);
}

static void push_to(unsigned index, struct msg *newest, struct msg *oldest)
{
    if (index < rt.n_scheds)
        inbox_push(&rt.scheds[index], newest, oldest);
    else
        pool_push(newest);
}

void outbox_flush(struct worker *w)
{
    while (w->n_unflushed) {
        w->n_unflushed = 0;
        /* Delivering to the pool may put more into outboxes, hence the loop around. */
        for (unsigned i = 0; i <= rt.n_scheds; i++) {
            struct outbox box = w->out[i];

            w->out[i] = (struct outbox){0};
            if (box.newest)
                push_to(i, box.newest, box.oldest);
        }
    }
}

static void route_afar(proc_id to, struct msg *m)
{
    unsigned n = id_home(to);
    unsigned index = n == POOL_NUMBER && rt.pool ? rt.n_scheds : n;
    struct worker *w = rt_me;
    struct outbox *box;

    if (!to || index > rt.n_scheds || (index == rt.n_scheds && !rt.pool) || (w && w->muted)) {
        msg_drop_because(m, to, &why_noproc);
        return;
    }
    m->kept_at = (struct msg **)(uintptr_t)to; /* rule 4 */
    if (!w) {
        m->next = NULL;
        push_to(index, m, m);
        return;
    }
    box = &w->out[index];
    m->next = box->newest;
    box->newest = m;
    if (!box->oldest)
        box->oldest = m;
    w->n_unflushed++;
}

void msg_route(proc_id to, struct msg *m)
{
    struct worker *w = rt_me;

    if (likely(w && id_home(to) == w->number))
        deliver(w->home, to, m);
    else
        route_afar(to, m);
}

/* Takes m out of wherever its sender holds it, and signs it. A request keeps its asker's name. */
static inline void prepare(struct msg *m)
{
    struct turn *t = rt_me ? rt_me->turn : NULL;

    if (m->flags & MSG_F_KEPT)
        msg_unkeep(m);
    if (!t)
        return;
    if (t->msg == m)
        t->msg = NULL;
    if (!(m->flags & MSG_F_ASKS))
        m->from = t->p->id;
}

void proc_send(proc_id to, struct msg *m)
{
    RUNTIME_REGION();

    prepare(m);
    m->flags &= ~(uint32_t)MSG_F_HIGH;
    msg_route(to, m);
}

void proc_send_high(proc_id to, struct msg *m)
{
    RUNTIME_REGION();

    prepare(m);
    m->flags |= MSG_F_HIGH;
    msg_route(to, m);
}

void rt_send(proc_id to, struct msg *m)
{
    if (rt_me) {
        proc_send(to, m);
    } else if (outside_enter()) {
        proc_send(to, m);
        outside_leave();
    } else {
        msg_drop(m);
    }
}

proc_ref ref_new(struct worker *w, enum ref_kind kind)
{
    w->next_ref++;
    return (uint64_t)REF_TAG << 56 | (uint64_t)kind << 54 | (uint64_t)(w->index & 255) << 46 |
           (w->next_ref & ((1ULL << 46) - 1));
}

proc_ref proc_call(proc_id to, struct msg *m, uint64_t timeout_us)
{
    RUNTIME_REGION();
    struct proc *p = self();
    proc_ref ref = ref_new(rt_me, REF_CALL);
    uintptr_t timer = NULL_TIMER;

    if (unlikely(m->flags & MSG_F_ASKS))
        misuse("proc_call with a request that waits for its answer, type %#x", m->type);
    prepare(m);
    m->from = p->id;
    m->ref = ref;
    m->flags = (m->flags & ~(uint32_t)(MSG_F_HIGH | MSG_F_ANSWERS)) | MSG_F_ASKS;
    if (timeout_us != PROC_NO_TIMEOUT)
        timer = (uintptr_t)timer_start(p, ref, timeout_us, false);
    pairs_put(&p->refs, ref, timer);
    msg_route(to, m);
    return ref;
}

void proc_reply_to(struct reply_to to, struct msg *reply)
{
    RUNTIME_REGION();
    struct proc *p = self_or_null();

    prepare(reply);
    if (p)
        (void)pairs_del(&p->deferred, to.ref, NULL); /* not there: handed over by value */
    reply->from = p ? p->id : 0;
    reply->ref = to.ref;
    reply->flags = (reply->flags & ~(uint32_t)(MSG_F_HIGH | MSG_F_ASKS)) | MSG_F_ANSWERS;
    if (to.pid)
        msg_route(to.pid, reply);
    else
        msg_drop_because(reply, 0, &why_noreply);
}

void proc_reply(struct msg *request, struct msg *reply)
{
    RUNTIME_REGION();
    struct reply_to to = {request->from, request->ref};

    if (unlikely(!(request->flags & MSG_F_ASKS))) {
        msg_drop(reply);
        misuse("proc_reply to what asks no answer any more, type %#x", request->type);
    }
    request->flags &= ~(uint32_t)MSG_F_ASKS;
    prepare(reply);
    reply->from = proc_self();
    reply->ref = to.ref;
    reply->flags = (reply->flags & ~(uint32_t)(MSG_F_HIGH | MSG_F_ASKS)) | MSG_F_ANSWERS;
    msg_route(to.pid, reply);
}

struct reply_to proc_defer(struct msg *request)
{
    RUNTIME_REGION();
    struct reply_to to = {request->from, request->ref};

    if (unlikely(!(request->flags & MSG_F_ASKS)))
        misuse("proc_defer of what asks no answer any more, type %#x", request->type);
    request->flags &= ~(uint32_t)MSG_F_ASKS;
    pairs_put(&self()->deferred, to.ref, to.pid);
    return to;
}

void down_send(proc_id to, proc_ref ref, proc_id dead, const struct exit_reason *why)
{
    struct msg_exit *m = msg_exit_new(MSG_DOWN, why);

    m->hdr.flags |= MSG_F_ANSWERS;
    m->hdr.from = dead;
    m->hdr.ref = ref;
    msg_route(to, &m->hdr);
}

void proc_refuse(struct reply_to to)
{
    RUNTIME_REGION();
    struct proc *p = self();

    (void)pairs_del(&p->deferred, to.ref, NULL); /* not there: handed over by value */
    if (to.pid)
        down_send(to.pid, to.ref, p->id, &why_noreply);
}

void proc_continue(void)
{
    RUNTIME_REGION();
    struct proc *p = self();
    struct msg *m;

    if (p->has_continue)
        return;
    p->has_continue = true;
    m = msg_make(MSG_CONTINUE, sizeof(*m), NULL);
    m->from = p->id;
    msg_route(p->id, m);
}

void proc_flush(void)
{
    RUNTIME_REGION();

    outbox_flush(rt_me);
}
