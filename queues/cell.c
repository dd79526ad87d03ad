#include "queues/cell.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "amqp/codec/table.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/region.h"
#include "broker/runtime/table.h"

/* A global that changes, against the rule: an epoch is never used twice in a program's life, and
 * nobody can wait for an answer before it may serve. */
static _Atomic uint64_t last_epoch;

static struct cell_at *at_new(proc_id pid, uint64_t epoch, enum cell_state state,
                              const char *reason)
{
    struct cell_at *at = rt_zalloc(sizeof(*at));

    at->pid = pid;
    at->epoch = epoch;
    at->state = state;
    if (reason)
        snprintf(at->reason, sizeof(at->reason), "%s", reason);
    return at;
}

struct cell *cell_new(const struct cell_spec *spec)
{
    struct cell *c = rt_zalloc(sizeof(*c) + spec->vhost_len + spec->name_len + 2);

    atomic_init(&c->refs, 1);
    c->kind = spec->kind;
    c->id = spec->id;
    c->flags = spec->flags;
    c->type = spec->type;
    c->owner = spec->owner;
    c->args = blob_ref(spec->args);
    c->vhost_len = spec->vhost_len;
    c->name_len = spec->name_len;
    memcpy(c->text, spec->vhost, spec->vhost_len);
    if (spec->name_len > 0)
        memcpy(c->text + spec->vhost_len + 1, spec->name, spec->name_len);
    atomic_init(&c->at, at_new(0, 0, CELL_RESTARTING, NULL));
    return c;
}

struct cell *cell_ref(struct cell *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void cell_unref(struct cell *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) > 1)
        return;
    blob_unref(c->args);
    if (c->routes)
        table_close(c->routes);
    /* Nobody reads it any more: readers hold references or read within a grace period of one. */
    rt_free((void *)(uintptr_t)atomic_load_explicit(&c->at, memory_order_relaxed));
    rt_free((void *)(uintptr_t)atomic_load_explicit(&c->policy, memory_order_relaxed));
    if (c->kind == CELL_QUEUE)
        rt_free((void *)(uintptr_t)atomic_load_explicit(&c->stats.exclusive, memory_order_relaxed));
    stat_history_fini(&c->history);
    rt_free(c);
}

enum queue_type cell_queue_type(const struct cell *c)
{
    struct amqp_bytes args = {0}, type;

    if (c->args)
        args = amqp_bytes(blob_bytes(c->args), blob_size(c->args));
    if (ftable_get_string(args, "x-queue-type", &type) == 1 && amqp_bytes_is(type, "quorum"))
        return QUEUE_QUORUM;
    return QUEUE_CLASSIC;
}

void cell_set(struct cell *c, proc_id pid, uint64_t epoch, enum cell_state state,
              const char *reason)
{
    const struct cell_at *old = atomic_exchange_explicit(
        &c->at, at_new(state == CELL_UP ? pid : 0, epoch, state, reason), memory_order_acq_rel);

    grace_retire(rt_free, (void *)(uintptr_t)old);
}

void cell_set_exclusive(struct cell *c, const void *tag, size_t len)
{
    RUNTIME_REGION();
    struct cell_tag *now = len > 0 ? rt_alloc(sizeof(*now) + len) : NULL;
    const struct cell_tag *old;

    if (now) {
        now->len = (uint32_t)len;
        memcpy(now->text, tag, len);
    }
    old = atomic_exchange_explicit(&c->stats.exclusive, now, memory_order_acq_rel);
    if (old)
        grace_retire(rt_free, (void *)(uintptr_t)old);
}

bool cell_fell(struct cell *c, proc_id dead, enum cell_state state, const char *reason)
{
    const struct cell_at *old = cell_at(c);
    struct cell_at *now;

    if (old->state == CELL_DELETED || (old->pid && old->pid != dead))
        return false;
    now = at_new(0, 0, state, reason);
    /* A run that came up meanwhile has the last word. */
    if (!atomic_compare_exchange_strong_explicit(&c->at, &old, now, memory_order_acq_rel,
                                                 memory_order_acquire)) {
        rt_free(now);
        return false;
    }
    grace_retire(rt_free, (void *)(uintptr_t)old);
    return true;
}

uint64_t epoch_next(void)
{
    return atomic_fetch_add_explicit(&last_epoch, 1, memory_order_relaxed) + 1;
}
