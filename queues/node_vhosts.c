/*
 * node_vhosts.c - starting vhosts, and waiting until they serve, or are known to be down, or were
 * waited for long enough.
 */
#include <stdio.h>
#include <string.h>

#include "broker/core/config.h"
#include "broker/core/log.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/supervisor.h"
#include "queues/node_impl.h"
#include "queues/vhost.h"
#include "queues/vhost_state.h"

enum { LOOK_US = 100 * 1000, LOOKS_AT_START = 100, LOOKS = 50 };

static bool is_vhost(const struct definition *d)
{
    return d->kind == DEFINITION_FACT && d->fact.kind == ACCESS_FACT_VHOST;
}

static void maps_init(struct node_settle *s)
{
    u64map_init(&s->starts, proc_realloc, proc_free);
    u64map_init(&s->registries, proc_realloc, proc_free);
}

void settle_init(struct node *n)
{
    maps_init(&n->settle);
}

static proc_ref start(proc_id sup, const char *vhost)
{
    struct child_spec spec;
    proc_ref ref;

    vhost_child_spec(vhost, config()->data_dir, &spec);
    ref = sup_start_child(sup, &spec, PROC_NO_TIMEOUT);
    blob_unref(spec.arg);
    return ref;
}

void settle_start_vhosts(struct node *n, proc_id sup)
{
    for (size_t i = 0; i < n->stored->n; i++)
        if (is_vhost(&n->stored->v[i]))
            u64map_put(&n->settle.starts, start(sup, n->stored->v[i].fact.vhost), 1);
}

static void await_registry(struct node_settle *s, const char *vhost)
{
    struct vhost_name *a = proc_zalloc(sizeof(*a));
    char name[300];

    snprintf(a->text, sizeof(a->text), "%s", vhost);
    snprintf(name, sizeof(name), "registry:%s", vhost);
    u64map_put(&s->registries, proc_await(name), (uintptr_t)a);
}

static bool is_awaited(const struct node_settle *s, const char *vhost)
{
    uint64_t ref, at_vhost;
    uint32_t at = 0;

    while (u64map_next(&s->registries, &at, &ref, &at_vhost))
        if (strcmp(((const struct vhost_name *)(uintptr_t)at_vhost)->text, vhost) == 0)
            return true;
    return false;
}

void settle_await(struct node *n, const char *vhost)
{
    if (is_awaited(&n->settle, vhost))
        return;
    n->settle.n_looks = 0;
    await_registry(&n->settle, vhost);
}

void settle_begin(struct node *n, const struct vhost_name *vhosts, size_t n_vhosts)
{
    proc_id sup = proc_whereis("vhosts"); /* 0: its next run is told of all of them */

    n->settle.is_running = true;
    n->settle.n_looks = 0;
    for (size_t i = 0; i < n_vhosts; i++) {
        if (sup)
            u64map_put(&n->settle.starts, start(sup, vhosts[i].text), 1);
        await_registry(&n->settle, vhosts[i].text);
    }
    n->settle.patience = proc_timer(LOOK_US);
    settle_go_on(n);
}

void settle_begin_all(struct node *n)
{
    struct vhost_name *v = proc_alloc((n->stored->n + 1) * sizeof(*v));
    size_t n_vhosts = 0;

    for (size_t i = 0; i < n->stored->n; i++)
        if (is_vhost(&n->stored->v[i]))
            snprintf(v[n_vhosts++].text, sizeof(v->text), "%s", n->stored->v[i].fact.vhost);
    settle_begin(n, v, n_vhosts);
    proc_free(v);
}

void settle_go_on(struct node *n)
{
    struct node_settle *s = &n->settle;

    if (!s->is_running || s->registries.n > 0 || !import_run(n))
        return;
    s->is_running = false;
    proc_cancel(s->patience);
    s->patience = 0;
    node_settled(n);
}

static void forget(struct node_settle *s, proc_ref ref)
{
    uint64_t at;

    if (u64map_del(&s->registries, ref, &at))
        proc_free((struct vhost_name *)(uintptr_t)at);
}

/* One that is down keeps nobody waiting: its clients are told why. */
static bool give_up_one(struct node_settle *s, bool any)
{
    uint64_t ref, at_vhost;
    uint32_t at = 0;

    while (u64map_next(&s->registries, &at, &ref, &at_vhost)) {
        const struct vhost_name *a = (const struct vhost_name *)(uintptr_t)at_vhost;

        if (!any && !vhost_down_reason(a->text))
            continue;
        proc_cancel(ref);
        forget(s, ref);
        return true;
    }
    return false;
}

static void look(struct node *n)
{
    struct node_settle *s = &n->settle;
    bool is_enough = ++s->n_looks >= (n->is_ready ? LOOKS : LOOKS_AT_START);

    if (is_enough && s->registries.n > 0)
        log_warn("node: %u vhosts are not there yet", s->registries.n);
    while (give_up_one(s, is_enough))
        continue;
    s->patience = proc_timer(LOOK_US);
    settle_go_on(n);
}

bool settle_on_answer(struct node *n, const struct msg *m)
{
    struct node_settle *s = &n->settle;

    if (m->ref == 0)
        return false;
    if (m->ref == s->patience) {
        look(n);
    } else if (u64map_get(&s->registries, m->ref)) {
        forget(s, m->ref);
        settle_go_on(n);
    } else if (!u64map_del(&s->starts, m->ref, NULL)) {
        return false; /* an answer to a start says nothing: it is there, parked, or started again */
    }
    return true;
}
