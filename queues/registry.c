/*
 * The registry of a vhost: all changes of its topology, one at a time in memory, many to a commit.
 *
 * Duties: declares, deletes, binds, unbinds; starts and stops the processes of queues and
 * exchanges; keeps cells' states true; deletes what belongs to a connection that has gone.
 * Messages in: REGISTRY_*, EXCHANGE_HELLO, CHILD_STATE, answers to its calls. Out: REGISTRY_REPLY,
 * EXCHANGE_SET, QUEUE_DELETE, STORE_LOAD, _RESERVE, _WRITE, calls to both supervisors.
 * Monitors: the store, both supervisors of children, connections that own exclusive queues,
 * callers that it refused.
 *
 * Numbered invariants stand in registry_impl.h.
 */
#include <stdio.h>
#include <string.h>

#include "broker/runtime/blob.h"
#include "broker/runtime/table.h"
#include "queues/invariant.h"
#include "queues/queue.h"
#include "queues/registry_impl.h"

static void await(struct registry *r, enum partner with)
{
    static const char *const names[] = {
        [WITH_STORE] = "store", [WITH_QUEUES] = "queues", [WITH_EXCHANGES] = "exchanges"};
    char name[300];

    snprintf(name, sizeof(name), "%s:%s", names[with], r->vhost);
    r->awaited[with] = proc_await(name);
}

static void registry_init(void *state, const void *arg)
{
    struct registry *r = state;

    snprintf(r->vhost, sizeof(r->vhost), "%s", ((const struct registry_arg *)arg)->vhost);
    vhost_tables_open(r->vhost, &r->tables);
    u64map_init(&r->by_ref, proc_realloc, proc_free);
    u64map_init(&r->by_id, proc_realloc, proc_free);
    u64map_init(&r->by_owner, proc_realloc, proc_free);
    u64map_init(&r->by_hash, proc_realloc, proc_free);
    u64map_init(&r->by_caller, proc_realloc, proc_free);
    lanes_init(&r->lanes);
    lane_line_init(&r->granted);
    TAILQ_INIT(&r->jobs);
    TAILQ_INIT(&r->watchers);
    await(r, WITH_STORE);
    await(r, WITH_QUEUES);
    await(r, WITH_EXCHANGES);
}

/* Whose name it is says the ref: the one that had it may have died meanwhile. */
static enum partner partner_of(const struct registry *r, proc_ref ref)
{
    return ref == r->awaited[WITH_STORE]       ? WITH_STORE
           : ref == r->awaited[WITH_QUEUES]    ? WITH_QUEUES
           : ref == r->awaited[WITH_EXCHANGES] ? WITH_EXCHANGES
                                               : WITH_NOBODY;
}

static void on_partner(struct registry *r, enum partner with, proc_id pid)
{
    if (with == WITH_STORE)
        r->store = pid;
    else if (with == WITH_QUEUES)
        r->queues = pid;
    else if (with == WITH_EXCHANGES)
        r->exchanges = pid;
    proc_monitor(pid); /* also one that died meanwhile: its DOWN awaits the next */
    if (with == WITH_QUEUES || with == WITH_EXCHANGES)
        sup_watch(pid);
}

static int fall(void *ctx, const void *key, size_t len, void *value)
{
    struct cell *c = value;

    (void)ctx, (void)key, (void)len;
    cell_set(c, 0, 0, CELL_RESTARTING, NULL);
    return 0;
}

static int start_again(void *ctx, const void *key, size_t len, void *value)
{
    (void)key, (void)len;
    cell_child_start(ctx, value);
    return 0;
}

/* A supervisor takes its children with it; dynamic ones are for us to start again. */
static void on_down(struct registry *r, proc_id pid)
{
    struct owner *o = owner_find(r, pid);

    if (pid == r->store) {
        r->store = 0;
        await(r, WITH_STORE);
    } else if (pid == r->queues) {
        r->queues = 0;
        table_each(r->tables.queues, fall, r);
        await(r, WITH_QUEUES);
    } else if (pid == r->exchanges) {
        r->exchanges = 0;
        table_each(r->tables.exchanges, fall, r);
        await(r, WITH_EXCHANGES);
    } else if (o) {
        owner_is_dead(r, o);
    } else {
        caller_is_dead(r, pid);
    }
}

/*
 * Children are started before jobs go on: a deletion among these stops its queue, which must not be
 * started behind that, when nobody holds its cell any more.
 */
static void on_named(struct registry *r, const struct msg *m)
{
    enum partner with = partner_of(r, m->ref);

    on_partner(r, with, m->from);
    if (!r->is_running) {
        if (r->store && r->queues && r->exchanges)
            load_begin(r);
        return;
    }
    if (with == WITH_QUEUES)
        table_each(r->tables.queues, start_again, r);
    else if (with == WITH_EXCHANGES)
        table_each(r->tables.exchanges, start_again, r);
    reserve_ids(r);
    job_resume(r, with, 0); /* who waits for this one does not wait for the others */
}

static void on_child_state(struct registry *r, const struct msg_child_state *m)
{
    struct subject *s = subject_find(r, m->tag);
    bool fell = false;

    if (!s)
        return;
    if (m->state == CHILD_RESTARTING)
        fell = cell_fell(s->cell, m->pid, CELL_RESTARTING, NULL);
    else if (m->state == CHILD_PARKED)
        fell = cell_fell(s->cell, m->pid, CELL_PARKED, m->why.text);
    if (!fell)
        return;
    job_on_cell(r, s->cell);
    if (m->state == CHILD_PARKED)
        job_resume(r, WITH_EXCHANGE, m->tag);
}

static void on_cell_up(struct registry *r, const struct msg_registry_cell_up *m)
{
    struct subject *s = subject_find(r, m->id);

    if (s)
        job_on_cell(r, s->cell);
}

static void on_hello(struct registry *r, const struct msg_exchange_hello *m)
{
    struct subject *x = subject_find(r, m->exchange_id);

    if (!x) {
        exchange_child_stop(r, m->exchange_id);
        return;
    }
    if (cell_at(x->cell)->pid != m->hdr.from)
        return; /* this run has ended meanwhile: the next one says it too */
    exchange_reset(r, x, m->hdr.from);
    job_resume(r, WITH_EXCHANGE, m->exchange_id);
}

static void on_request(struct registry *r, struct msg *m)
{
    switch (m->type) {
    case REGISTRY_QUEUE_DECLARE:
        on_queue_declare(r, m);
        return;
    case REGISTRY_QUEUE_DELETE:
        on_queue_delete(r, m);
        return;
    case REGISTRY_EXCHANGE_DECLARE:
        on_exchange_declare(r, m);
        return;
    case REGISTRY_EXCHANGE_DELETE:
        on_exchange_delete(r, m);
        return;
    case REGISTRY_BIND:
        on_bind(r, m);
        return;
    case REGISTRY_UNBIND:
        on_unbind(r, m);
        return;
    case REGISTRY_WATCH:
        on_watch(r, m);
        return;
    case REGISTRY_RELEASE_OWNER:
        on_release_owner(r, m);
        return;
    case REGISTRY_POLICIES:
        policies_walk(r, m);
        return;
    default:
        proc_exit(EXIT_CRASH, 0, "unknown message 0x%x", m->type);
    }
}

static void on_info(struct registry *r, struct msg *m)
{
    switch (m->type) {
    case MSG_NAMED:
        on_named(r, m);
        return;
    case MSG_DOWN:
        on_down(r, m->from);
        return;
    case MSG_CHILD_STATE:
        on_child_state(r, MSG_OF(struct msg_child_state, m));
        return;
    case EXCHANGE_HELLO:
        on_hello(r, MSG_OF(struct msg_exchange_hello, m));
        return;
    case REGISTRY_CELL_UP:
        on_cell_up(r, MSG_OF(struct msg_registry_cell_up, m));
        return;
    case REGISTRY_QUEUE_UNUSED:
        on_queue_unused(r, m);
        return;
    case EXCHANGE_DONE: /* of calls whose outcome nobody waits for */
    case STORE_WRITTEN:
    case MSG_SUP_REPLY:
        return;
    default:
        on_request(r, m);
    }
}

/* For the simulation, which compares them with the tables when nothing is under way. */
static void show_counts(const struct registry *r)
{
    const struct job *j;

    registry_counts = (struct registry_counts){.cells = r->by_id.n, .bindings = r->by_hash.n};
    TAILQ_FOREACH(j, &r->jobs, link)
        registry_counts.jobs++;
}

static void registry_handle(void *state, struct msg *m)
{
    struct registry *r = state;

    if (!load_on_answer(r, m) && !job_on_answer(r, m))
        on_info(r, m);
    job_begin_granted(r);
    policies_go_on(r);
    if (queue_check_invariants)
        show_counts(r);
}

static size_t registry_inspect(const void *state, char *out, size_t size)
{
    const struct registry *r = state;
    int n = snprintf(out, size, "{\"running\":%s,\"subjects\":%u,\"bindings\":%u,\"owners\":%u}",
                     r->is_running ? "true" : "false", r->by_id.n, r->by_hash.n, r->by_owner.n);

    return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

const struct proc_ops registry_ops = {
    .kind = "registry",
    .state_size = sizeof(struct registry),
    .init = registry_init,
    .handle = registry_handle,
    .inspect = registry_inspect,
};
