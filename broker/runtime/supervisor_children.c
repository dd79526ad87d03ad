/*
 * supervisor_children.c - the children of a supervisor and the maps to them.
 *
 * Invariants:
 *   1. A child is in by_id as long as it is known; in by_pid while it has a run; each of its refs
 *      that is not 0 is in by_ref.
 *   2. A static child is in `statics`, a dynamic one in the list of its phase; n_in counts both.
 *   3. Every launch is in *launches until it is freed.
 */
#include "broker/runtime/supervisor_children.h"

#include <stdio.h>
#include <string.h>

#include "broker/runtime/alloc.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/hamt.h"
#include "broker/runtime/region.h"

static void launch_free(struct launch *l)
{
    LIST_REMOVE(l, link);
    blob_unref(l->arg);
    rt_free(l->last_crash);
    rt_free(l);
}

/* At exit, however the process ends: its state is not looked at. */
static void free_launches(void *arg)
{
    struct launches *launches = arg;

    while (!LIST_EMPTY(launches))
        launch_free(LIST_FIRST(launches));
    rt_free(launches);
}

void children_init(struct children *cs)
{
    TAILQ_INIT(&cs->statics);
    for (int i = 0; i < N_PHASES; i++)
        TAILQ_INIT(&cs->dynamics[i]);
    u64map_init(&cs->by_pid, proc_realloc, proc_free);
    u64map_init(&cs->by_ref, proc_realloc, proc_free);
    u64map_init(&cs->by_id, proc_realloc, proc_free);
    cs->seed = proc_random();
    cs->launches = rt_alloc(sizeof(*cs->launches));
    LIST_INIT(cs->launches);
    proc_at_exit(free_launches, cs->launches);
}

static uint64_t id_key(const struct children *cs, const char *id)
{
    uint64_t hash = hamt_hash(cs->seed, id, strlen(id));

    return hash ? hash : 1;
}

static struct child *child_at(const uint64_t *at)
{
    return at ? (struct child *)(uintptr_t)*at : NULL;
}

struct child *children_by_id(const struct children *cs, const char *id)
{
    struct child *c = child_at(u64map_get(&cs->by_id, id_key(cs, id)));

    while (c && strcmp(c->id, id) != 0)
        c = c->same_hash;
    return c;
}

struct child *children_by_pid(const struct children *cs, proc_id pid)
{
    return child_at(u64map_get(&cs->by_pid, pid));
}

struct child *children_take_ref(struct children *cs, proc_ref ref)
{
    struct child *c;
    uint64_t found;

    if (!u64map_del(&cs->by_ref, ref, &found))
        return NULL;
    c = child_at(&found);
    if (c->timer == ref)
        c->timer = 0;
    else
        c->settled = 0;
    return c;
}

static struct launch *launch_new(struct children *cs, const struct child_spec *spec)
{
    RUNTIME_REGION();
    struct launch *l = rt_zalloc(sizeof(*l));

    l->ops = spec->ops;
    l->arg = blob_ref(spec->arg);
    l->scheduler = spec->scheduler;
    l->own = (struct sup_budget){
        .period_us = SUP_OWN_PERIOD_US,
        .limit = SUP_OWN_LIMIT,
        .when = l->own_when,
    };
    LIST_INSERT_HEAD(cs->launches, l, link);
    return l;
}

struct child *child_new(struct children *cs, const struct child_spec *spec, bool is_dynamic)
{
    size_t len = strlen(spec->id) + 1;
    struct child *c = proc_zalloc(sizeof(*c) + len), *first;
    uint64_t key = id_key(cs, spec->id);

    memcpy(c->id, spec->id, len);
    c->tag = spec->tag;
    c->shutdown_ms = spec->shutdown_ms;
    c->restart = (uint8_t)spec->restart;
    c->is_dynamic = is_dynamic;
    c->is_supervisor = spec->ops == &supervisor_ops;
    c->is_significant = spec->significant;
    c->has_own_budget = is_dynamic || spec->own_budget;
    c->launch = launch_new(cs, spec);
    first = child_at(u64map_get(&cs->by_id, key));
    c->same_hash = first;
    u64map_put(&cs->by_id, key, (uintptr_t)c);
    c->phase = PHASE_WAITING;
    TAILQ_INSERT_TAIL(is_dynamic ? &cs->dynamics[c->phase] : &cs->statics, c, link);
    cs->n_in[c->phase]++;
    cs->n++;
    return c;
}

static void remove_id(struct children *cs, struct child *c)
{
    uint64_t key = id_key(cs, c->id);
    struct child *at = child_at(u64map_get(&cs->by_id, key));

    if (at == c && !c->same_hash) {
        (void)u64map_del(&cs->by_id, key, NULL); /* found above */
    } else if (at == c) {
        u64map_put(&cs->by_id, key, (uintptr_t)c->same_hash);
    } else {
        while (at->same_hash != c)
            at = at->same_hash;
        at->same_hash = c->same_hash;
    }
}

void child_free(struct children *cs, struct child *c)
{
    CHECK(c->pid == 0 && !c->waiters);
    child_cancel(cs, &c->timer);
    child_cancel(cs, &c->settled);
    child_forget_launch(c);
    remove_id(cs, c);
    TAILQ_REMOVE(c->is_dynamic ? &cs->dynamics[c->phase] : &cs->statics, c, link);
    cs->n_in[c->phase]--;
    cs->n--;
    proc_free(c);
}

void child_set_phase(struct children *cs, struct child *c, enum child_phase phase)
{
    if (c->is_dynamic) {
        TAILQ_REMOVE(&cs->dynamics[c->phase], c, link);
        TAILQ_INSERT_TAIL(&cs->dynamics[phase], c, link);
    }
    cs->n_in[c->phase]--;
    cs->n_in[phase]++;
    c->phase = (uint8_t)phase;
}

void child_set_pid(struct children *cs, struct child *c, proc_id pid)
{
    if (c->pid)
        (void)u64map_del(&cs->by_pid, c->pid, NULL); /* invariant 1 */
    if (pid)
        u64map_put(&cs->by_pid, pid, (uintptr_t)c);
    c->pid = pid;
}

void child_await(struct children *cs, struct child *c, proc_ref *at, proc_ref ref)
{
    CHECK(*at == 0);
    *at = ref;
    u64map_put(&cs->by_ref, ref, (uintptr_t)c);
}

void child_cancel(struct children *cs, proc_ref *at)
{
    if (*at == 0)
        return;
    proc_cancel(*at);
    (void)u64map_del(&cs->by_ref, *at, NULL); /* invariant 1 */
    *at = 0;
}

void child_forget_launch(struct child *c)
{
    RUNTIME_REGION();

    if (c->launch)
        launch_free(c->launch);
    c->launch = NULL;
}

void child_note_end(struct child *c, const struct exit_reason *why)
{
    char text[256];
    size_t len;

    if (!c->launch || exit_is_normal(why) || why->kind == EXIT_MOVED)
        return;
    if (why->line)
        snprintf(text, sizeof(text), "%s: %s (%s:%d)", exit_kind_name(why->kind), why->text,
                 why->file, why->line);
    else
        snprintf(text, sizeof(text), "%s: %s", exit_kind_name(why->kind), why->text);
    len = strlen(text) + 1;
    RUNTIME_REGION();
    c->launch->last_crash = rt_realloc(c->launch->last_crash, len);
    memcpy(c->launch->last_crash, text, len);
}
