/*
 * Callers that ask again before they were answered: what stands behind a refusal is not carried
 * out, because a client's later commands are void once its channel was closed for an error.
 *
 * A caller that was refused ends; until it has, and its last job with it, it is remembered.
 */
#include "queues/registry_impl.h"

static void forget_if_over(struct registry *r, struct caller *c)
{
    if (c->n_jobs > 0 || (c->is_refused && !c->is_dead))
        return;
    (void)u64map_del(&r->by_caller, c->pid, NULL); /* it is there */
    proc_free(c);
}

void caller_join(struct registry *r, struct job *j)
{
    proc_id pid = j->request->from;
    uint64_t *at = u64map_get(&r->by_caller, pid);
    struct caller *c = at ? (struct caller *)(uintptr_t)*at : proc_zalloc(sizeof(*c));

    if (!at) {
        c->pid = pid;
        u64map_put(&r->by_caller, pid, (uintptr_t)c);
    }
    c->n_jobs++;
    j->caller = c;
}

void caller_leave(struct registry *r, struct job *j)
{
    struct caller *c = j->caller;

    c->n_jobs--;
    if (j->refusal.code && !c->is_refused) {
        c->is_refused = true;
        c->monitor = proc_monitor(c->pid);
    }
    forget_if_over(r, c);
}

void caller_is_dead(struct registry *r, proc_id pid)
{
    uint64_t *at = u64map_get(&r->by_caller, pid);
    struct caller *c = at ? (struct caller *)(uintptr_t)*at : NULL;

    if (!c)
        return;
    c->is_dead = true;
    forget_if_over(r, c);
}
