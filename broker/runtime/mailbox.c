/*
 * mailbox.c - the two lanes of a mailbox, and the queue of processes that have something to do.
 */
#include "broker/runtime/internal.h"

void ready_push(struct home *h, struct proc *p)
{
    struct ready *r = &h->ready;

    p->run_state = RUN_READY;
    p->next_ready = NULL;
    if (r->tail)
        r->tail->next_ready = p;
    else
        r->head = p;
    r->tail = p;
    r->n++;
}

struct proc *ready_pop(struct home *h)
{
    struct ready *r = &h->ready;
    struct proc *before = NULL, *p = r->head;

    if (!p)
        return NULL;
    if (unlikely(rt.simulated)) {
        for (uint32_t skip = rt.world.pick(r->n) % r->n; skip; skip--) {
            before = p;
            p = p->next_ready;
        }
    }
    if (before)
        before->next_ready = p->next_ready;
    else
        r->head = p->next_ready;
    if (r->tail == p)
        r->tail = before;
    r->n--;
    return p;
}

void mailbox_take(struct proc *p, struct mailbox *to, uint32_t n)
{
    struct msg *m;

    while (n && (m = lane_pop(&p->box.high))) {
        lane_push(&to->high, m);
        p->mailbox_len--;
        n--;
    }
    while (n && !p->suspended && (m = lane_pop(&p->box.normal))) {
        lane_push(&to->normal, m);
        p->mailbox_len--;
        n--;
    }
}

static void lane_prepend(struct lane *l, struct lane *from)
{
    if (!from->head)
        return;
    from->tail->next = l->head;
    l->head = from->head;
    if (!l->tail)
        l->tail = from->tail;
    *from = (struct lane){0};
}

void mailbox_return(struct proc *p, struct mailbox *from)
{
    for (const struct msg *m = from->high.head; m; m = m->next)
        p->mailbox_len++;
    for (const struct msg *m = from->normal.head; m; m = m->next)
        p->mailbox_len++;
    lane_prepend(&p->box.high, &from->high);
    lane_prepend(&p->box.normal, &from->normal);
}
