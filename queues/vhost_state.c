/*
 * The watcher of a vhost: says in a table whether it is down, and tells who asked. It also knows
 * everybody who acts for a user in it, so it is the one to tell them of changed rights.
 *
 * Duties: hears from the vhost's supervisor which children are parked, and writes the fact. A part
 * that was parked counts as up again when it has taken its name, because a store that has not yet
 * recovered serves nobody.
 * Messages in: MSG_CHILD_STATE (the supervisor), MSG_NAMED, VHOST_WATCH (connections),
 * VHOST_RECHECK (node). Out: VHOST_DOWN, VHOST_LOOK.
 * Monitors: those whose requests wait.
 *
 * Invariants
 *   1. The table's fact is down exactly while a part's is_parked is set.
 *   2. A request waits until `times` is above what its asker has seen, or its user's rights have
 *      changed; each asker has at most one. One that looked at its rights before the last change
 *      that was told of does not wait.
 */
#include "queues/vhost_state.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "broker/core/access.h"
#include "broker/core/log.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/supervisor.h"
#include "broker/runtime/table.h"
#include "broker/runtime/u64map.h"

struct fact {
    uint64_t times;
    bool is_down;
    char reason[200];
};

struct part {
    bool is_parked;
    proc_ref name; /* awaited since it came up; 0: not */
};

struct vhost_state {
    char vhost[256];
    struct part part[VHOST_PARTS];
    struct u64map watchers; /* pid to struct watcher */
    uint64_t version;       /* of the rights, at the last change that was told of */
};

struct watcher {
    struct msg *request; /* kept */
    proc_ref monitor;
};

static const char *const part_names[VHOST_PARTS] = {
    [VHOST_STORE] = "store",
    [VHOST_REGISTRY] = "registry",
    [VHOST_QUEUES] = "queues",
    [VHOST_EXCHANGES] = "exchanges",
};

static struct table *facts(const char *vhost)
{
    char name[300];

    snprintf(name, sizeof(name), "vhost/%s/state", vhost);
    return table_open(name, rt_free);
}

static const struct fact *fact_of(const char *vhost)
{
    return table_get(facts(vhost), "", 0);
}

const char *vhost_down_reason(const char *vhost)
{
    const struct fact *f = fact_of(vhost);

    return f && f->is_down ? f->reason : NULL;
}

const char *vhost_watcher_name(const char *vhost, char out[300])
{
    snprintf(out, 300, "vhost_state:%s", vhost);
    return out;
}

proc_ref vhost_watch(const char *vhost, const struct vhost_watching *w)
{
    struct msg_vhost_watch *m = MSG_NEW(VHOST_WATCH, struct msg_vhost_watch);
    char name[300];

    m->seen = w->seen;
    m->user_hash = w->user_hash;
    m->version = w->version;
    return proc_call(proc_whereis(vhost_watcher_name(vhost, name)), &m->hdr, PROC_NO_TIMEOUT);
}

void vhost_recheck(const char *vhost, uint64_t user_hash)
{
    struct msg_vhost_recheck *m = MSG_NEW(VHOST_RECHECK, struct msg_vhost_recheck);
    char name[300];

    m->user_hash = user_hash;
    PROC_SEND(proc_whereis(vhost_watcher_name(vhost, name)), m);
}

static void recheck_one(void *ctx, const char *vhost)
{
    vhost_recheck(vhost, *(const uint64_t *)ctx);
}

void vhosts_recheck(uint64_t user_hash)
{
    access_each_vhost(recheck_one, &user_hash);
}

static struct table *deletions(void)
{
    return table_open("vhosts/deleted", rt_free);
}

uint64_t vhost_deletions(const char *vhost)
{
    const uint64_t *n = table_get(deletions(), vhost, strlen(vhost));

    return n ? *n : 0;
}

void vhost_count_deletion(const char *vhost)
{
    uint64_t *n = rt_zalloc(sizeof(*n));

    *n = vhost_deletions(vhost) + 1;
    table_put(deletions(), vhost, strlen(vhost), n);
}

void vhost_state_forget(const char *vhost)
{
    (void)table_del(facts(vhost), "", 0); /* it need not be there */
}

static void put_fact(const struct vhost_state *v, uint64_t times, bool is_down, const char *reason)
{
    struct fact *f = rt_zalloc(sizeof(*f));

    f->times = times;
    f->is_down = is_down;
    snprintf(f->reason, sizeof(f->reason), "%s", reason);
    table_put(facts(v->vhost), "", 0, f);
}

static void tell(struct msg *request, const struct fact *f)
{
    struct msg_vhost_down *m = MSG_NEW(VHOST_DOWN, struct msg_vhost_down);

    m->times = f->times;
    snprintf(m->reason, sizeof(m->reason), "%s", f->reason);
    proc_reply(request, &m->hdr);
}

static void watcher_free(struct watcher *w)
{
    proc_cancel(w->monitor);
    msg_drop(w->request);
    proc_free(w);
}

static void watcher_forget(struct vhost_state *v, proc_id pid)
{
    uint64_t at;

    if (u64map_del(&v->watchers, pid, &at))
        watcher_free((struct watcher *)(uintptr_t)at);
}

static void tell_all(struct vhost_state *v)
{
    const struct fact *f = fact_of(v->vhost);
    uint64_t pid, value;
    uint32_t at = 0;

    while (u64map_next(&v->watchers, &at, &pid, &value)) {
        struct watcher *w = (struct watcher *)(uintptr_t)value;

        tell(w->request, f);
        watcher_free(w);
    }
    u64map_fini(&v->watchers);
    u64map_init(&v->watchers, proc_realloc, proc_free);
}

static bool is_down(const struct vhost_state *v)
{
    bool down = false;

    for (int i = 0; i < VHOST_PARTS; i++)
        down = down || v->part[i].is_parked;
    return down;
}

static void on_parked(struct vhost_state *v, enum vhost_part which, const struct exit_reason *why)
{
    const struct fact *f = fact_of(v->vhost);
    bool was_down = is_down(v);
    char reason[200];

    if (v->part[which].name)
        proc_cancel(v->part[which].name);
    v->part[which] = (struct part){.is_parked = true};
    if (was_down)
        return; /* tried again in vain, or one more part: the first reason stands */
    snprintf(reason, sizeof(reason), "vhost '%.60s' is down: %s: %.100s", v->vhost,
             part_names[which], why->text);
    log_error("%s", reason);
    put_fact(v, f ? f->times + 1 : 1, true, reason);
    tell_all(v);
}

static void await_name(struct vhost_state *v, enum vhost_part which)
{
    char name[300];

    if (!v->part[which].is_parked || v->part[which].name)
        return;
    snprintf(name, sizeof(name), "%s:%s", part_names[which], v->vhost);
    v->part[which].name = proc_await(name);
}

static void on_child(struct vhost_state *v, const struct msg_child_state *m)
{
    enum vhost_part which = (enum vhost_part)m->tag;

    if (m->tag == 0 || m->tag >= VHOST_PARTS)
        return; /* this process itself */
    if (m->state == CHILD_PARKED)
        on_parked(v, which, &m->why);
    else if (m->state == CHILD_UP)
        await_name(v, which);
}

static void on_named(struct vhost_state *v, proc_ref ref)
{
    const struct fact *f = fact_of(v->vhost);

    for (int i = 0; i < VHOST_PARTS; i++) {
        if (v->part[i].name == ref)
            v->part[i] = (struct part){0};
    }
    if (is_down(v) || !f || !f->is_down)
        return;
    log_info("vhost '%s' is up again", v->vhost);
    put_fact(v, f->times, false, "");
}

static void on_watch(struct vhost_state *v, struct msg *m)
{
    const struct fact *f = fact_of(v->vhost);
    struct watcher *w;

    if (f && f->is_down && f->times > MSG_OF(struct msg_vhost_watch, m)->seen) {
        tell(m, f);
        return;
    }
    if (MSG_OF(struct msg_vhost_watch, m)->version < v->version) {
        proc_reply(m, MSG_NEW(VHOST_LOOK, struct msg));
        return;
    }
    watcher_forget(v, m->from);
    w = proc_alloc(sizeof(*w));
    *w = (struct watcher){.request = m, .monitor = proc_monitor(m->from)};
    proc_keep(m);
    u64map_put(&v->watchers, m->from, (uintptr_t)w);
}

static bool is_of(const struct watcher *w, uint64_t user_hash)
{
    return user_hash == 0 || MSG_OF(struct msg_vhost_watch, w->request)->user_hash == user_hash;
}

/* Those who are told ask again once they have looked. */
static void on_recheck(struct vhost_state *v, uint64_t user_hash)
{
    uint64_t pid, value;
    uint32_t at = 0, n = 0;
    proc_id *told = proc_alloc((v->watchers.n + 1) * sizeof(*told));

    v->version = access_version();
    while (u64map_next(&v->watchers, &at, &pid, &value)) {
        struct watcher *w = (struct watcher *)(uintptr_t)value;

        if (!is_of(w, user_hash))
            continue;
        proc_reply(w->request, MSG_NEW(VHOST_LOOK, struct msg));
        told[n++] = pid;
    }
    while (n > 0)
        watcher_forget(v, told[--n]);
    proc_free(told);
}

static void state_init(void *state, const void *arg)
{
    struct vhost_state *v = state;
    const struct fact *f;
    char name[300];

    snprintf(v->vhost, sizeof(v->vhost), "%s", ((const struct vhost_state_arg *)arg)->vhost);
    u64map_init(&v->watchers, proc_realloc, proc_free);
    f = fact_of(v->vhost);
    if (f && f->is_down) /* what is still parked is told of again */
        put_fact(v, f->times, false, "");
    sup_watch(proc_parent());
    CHECK(proc_register(vhost_watcher_name(v->vhost, name)) == 0);
}

static void state_handle(void *state, struct msg *m)
{
    struct vhost_state *v = state;

    switch (m->type) {
    case MSG_CHILD_STATE:
        on_child(v, MSG_OF(struct msg_child_state, m));
        break;
    case MSG_NAMED:
        on_named(v, m->ref);
        break;
    case MSG_DOWN:
        watcher_forget(v, m->from);
        break;
    case VHOST_WATCH:
        on_watch(v, m);
        break;
    case VHOST_RECHECK:
        on_recheck(v, MSG_OF(struct msg_vhost_recheck, m)->user_hash);
        break;
    default:
        proc_exit(EXIT_CRASH, 0, "unknown message 0x%x", m->type);
    }
}

static size_t state_inspect(const void *state, char *out, size_t size)
{
    const struct vhost_state *v = state;
    int n = snprintf(out, size, "{\"down\":%s,\"watched_by\":%u}", is_down(v) ? "true" : "false",
                     v->watchers.n);

    return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

const struct proc_ops vhost_state_ops = {
    .kind = "vhost_state",
    .state_size = sizeof(struct vhost_state),
    .init = state_init,
    .handle = state_handle,
    .inspect = state_inspect,
};
