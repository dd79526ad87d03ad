/*
 * registry_policies.c - policies that changed come to each queue and exchange, some at a time.
 *
 * The cells are gathered when the walk begins; what is made meanwhile looks at the policies itself.
 * Policies that change during a walk begin another one behind it.
 */
#include "broker/runtime/table.h"
#include "queues/policies.h"
#include "queues/registry_impl.h"

enum { CELLS_AT_ONCE = 256 }; /* or as many as a turn has time for: an expression may be slow */

struct policy_walk { /* owned: gives its cells back */
    struct policy_walk *next;
    struct msg *request; /* kept; NULL: nobody waits */
    size_t n, size, at;
    struct cell *cell[]; /* references */
};

static void walk_fini(void *m)
{
    struct policy_walk *w = m;

    for (size_t i = w->at; i < w->n; i++)
        cell_unref(w->cell[i]);
}

static int gather(void *ctx, const void *key, size_t len, void *value)
{
    struct policy_walk *w = ctx;

    (void)key, (void)len;
    if (w->n < w->size)
        w->cell[w->n++] = cell_ref(value);
    return 0;
}

void policies_walk(struct registry *r, struct msg *request)
{
    size_t size = table_count(r->tables.queues) + table_count(r->tables.exchanges);
    struct policy_walk *w = proc_alloc_owned(sizeof(*w) + size * sizeof(struct cell *), walk_fini);
    struct policy_walk **at = &r->walk;

    w->size = size; /* this process alone writes both tables */
    table_each(r->tables.queues, gather, w);
    table_each(r->tables.exchanges, gather, w);
    if (request)
        proc_keep(request);
    w->request = request;
    while (*at)
        at = &(*at)->next;
    *at = w;
}

static void end(struct registry *r, struct policy_walk *w)
{
    r->walk = w->next;
    if (w->request && w->request->flags & MSG_F_ASKS)
        proc_reply(w->request,
                   msg_new(REGISTRY_REPLY, sizeof(struct msg_registry_reply), registry_reply_drop));
    msg_drop(w->request);
    proc_free_owned(w);
}

void policies_go_on(struct registry *r)
{
    struct policy_walk *w = r->walk;

    if (!w)
        return;
    for (int i = 0; i < CELLS_AT_ONCE && w->at < w->n; i++) {
        if (i > 0 && proc_is_over_budget())
            break;
        (void)policies_apply(w->cell[w->at]); /* who needs to know reads it in place */
        cell_unref(w->cell[w->at++]);
    }
    if (w->at == w->n)
        end(r, w);
    if (r->walk)
        proc_continue();
}
