/*
 * msg.c - memory of messages, and what a dropped one answers.
 *
 * Small messages come from lists of the worker that runs, because a message is the commonest object
 * of the program. Under a sanitizer each is malloc'ed, so that a use after the drop shows.
 */
#include "broker/runtime/msg.h"

#include "broker/runtime/alloc.h"
#include "broker/runtime/internal.h"

const struct exit_reason why_noproc = {.kind = EXIT_NOPROC, .text = "no such process"};
const struct exit_reason why_noreply = {.kind = EXIT_NOREPLY, .text = "request dropped"};

/* Messages made and freed by threads that are no workers. */
static _Atomic int64_t live_outside;

static inline void count_live(struct worker *w, int64_t delta)
{
    int64_t n;

    if (unlikely(!w)) {
        atomic_fetch_add_explicit(&live_outside, delta, memory_order_relaxed);
        return;
    }
    n = atomic_load_explicit(&w->live_msgs, memory_order_relaxed);
    atomic_store_explicit(&w->live_msgs, n + delta, memory_order_relaxed);
}

/* By the cache line, because that is what a small message has. */
static inline void clear(struct msg *m, uint32_t class, size_t size, bool whole)
{
    if (unlikely(!class)) {
        memset(m, 0, whole ? size : sizeof(*m));
        return;
    }
    for (uint32_t i = 0; i < (whole ? class : 1); i++)
        memset((char *)m + (size_t)i * 64, 0, 64);
}

static inline struct msg *make(uint32_t type, size_t size, void (*drop)(struct msg *))
{
    struct worker *w = rt_me;
    uint32_t class = (uint32_t)((size + 63) / 64);
    struct msg *m;

    if (RT_SANITIZED || unlikely(class >= MSG_CLASSES || !w))
        class = 0;
    m = class ? w->msgs[class].head : NULL;
    if (likely(m)) {
        w->msgs[class].head = m->next;
        w->msgs[class].n--;
    } else {
        m = rt_alloc(class ? (size_t) class * 64 : size);
    }
    clear(m, class, size, drop || size < 256);
    m->type = type;
    m->drop = drop ? drop : msg_free;
    m->flags = class << MSG_CLASS_SHIFT;
    count_live(w, 1);
    return m;
}

void *msg_make(uint32_t type, size_t size, void (*drop)(struct msg *))
{
    return make(type, size, drop);
}

static inline void keep(struct proc *p, struct msg *m)
{
    m->flags |= MSG_F_KEPT;
    m->next = p->kept;
    m->kept_at = &p->kept;
    if (p->kept)
        p->kept->kept_at = &m->next;
    p->kept = m;
}

/* What a process makes is its own until it is sent, so that a crash in between leaks nothing. */
void *msg_new(uint32_t type, size_t size, void (*drop)(struct msg *))
{
    RUNTIME_REGION();
    struct msg *m = make(type, size, drop);
    const struct turn *t = rt_me ? rt_me->turn : NULL;

    if (t && !t->ending)
        keep(t->p, m);
    return m;
}

void msg_free(struct msg *m)
{
    RUNTIME_REGION();
    struct worker *w = rt_me;
    uint32_t class = m->flags >> MSG_CLASS_SHIFT;

    if (unlikely(m->flags & MSG_F_KEPT))
        msg_unkeep(m);
    count_live(w, -1);
    if (!class || !w || w->msgs[class].n >= MSG_CLASS_MAX) {
        rt_free(m);
        return;
    }
    m->next = w->msgs[class].head;
    w->msgs[class].head = m;
    w->msgs[class].n++;
}

void msg_lists_fini(struct worker *w)
{
    for (unsigned i = 0; i < MSG_CLASSES; i++) {
        struct msg *m = w->msgs[i].head;

        while (m) {
            struct msg *next = m->next;

            rt_free(m);
            m = next;
        }
        w->msgs[i] = (struct free_list){0};
    }
    atomic_fetch_add_explicit(&live_outside, atomic_exchange(&w->live_msgs, 0),
                              memory_order_relaxed);
}

uint64_t rt_live_msgs(void)
{
    int64_t n = atomic_load_explicit(&live_outside, memory_order_relaxed);

    for (unsigned i = 0; i < rt.n_workers; i++)
        n += atomic_load_explicit(&rt.workers[i]->live_msgs, memory_order_relaxed);
    return n > 0 ? (uint64_t)n : 0;
}

struct msg_exit *msg_exit_new(uint32_t type, const struct exit_reason *why)
{
    struct msg_exit *m = msg_make(type, sizeof(*m), NULL);

    m->hdr.flags |= MSG_F_SIGNAL;
    m->why = *why;
    return m;
}

static void answer_drop(struct msg *m, proc_id dead, const struct exit_reason *why)
{
    struct msg_exit *e;

    if (rt_me && rt_me->muted)
        return;
    if ((m->flags & MSG_F_ASKS) || m->type == CTL_MONITOR) {
        m->flags &= ~(uint32_t)MSG_F_ASKS;
        down_send(m->from, m->ref, dead, why);
    } else if (m->type == CTL_LINK) {
        e = msg_exit_new(MSG_EXIT, why);
        e->hdr.flags |= MSG_F_LINK;
        e->hdr.from = dead;
        msg_route(m->from, &e->hdr);
    }
}

void msg_drop_because(struct msg *m, proc_id dead, const struct exit_reason *why)
{
    if (m->flags & (MSG_F_ASKS | MSG_F_CONTROL))
        answer_drop(m, dead, why);
    m->drop(m);
}

void msg_drop(struct msg *m)
{
    RUNTIME_REGION();
    struct proc *p = self_or_null();

    if (!m)
        return;
    if (p && rt_me->turn->msg == m)
        rt_me->turn->msg = NULL;
    if (m->flags & MSG_F_KEPT)
        msg_unkeep(m);
    msg_drop_because(m, p ? p->id : 0, &why_noreply);
}

void proc_keep(struct msg *m)
{
    RUNTIME_REGION();
    struct proc *p = self();

    if (m->flags & MSG_F_KEPT)
        return;
    if (rt_me->turn->msg == m)
        rt_me->turn->msg = NULL;
    keep(p, m);
}
