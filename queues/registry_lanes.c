/*
 * Locks on names.
 */
#include "queues/registry_lanes.h"

#include <stddef.h>

#include "broker/runtime/proc.h"

struct lane {
    unsigned n_shared;
    bool is_exclusive;
    struct lane_claim *first, **tail;
};

void lanes_init(struct lanes *l)
{
    u64map_init(&l->by_name, proc_realloc, proc_free);
}

void lane_add(struct lane_claim *c, uint64_t name, bool shared)
{
    unsigned i = c->n;

    for (unsigned k = 0; k < c->n; k++) {
        if (c->name[k] == name) { /* twice the same: the stricter wish */
            c->shared[k] = c->shared[k] && shared;
            return;
        }
    }
    for (; i > 0 && c->name[i - 1] > name; i--) {
        c->name[i] = c->name[i - 1];
        c->shared[i] = c->shared[i - 1];
    }
    c->name[i] = name;
    c->shared[i] = shared;
    c->n++;
}

static struct lane *lane_of_name(struct lanes *l, uint64_t name)
{
    uint64_t *at = u64map_get(&l->by_name, name);
    struct lane *lane;

    if (at)
        return (struct lane *)(uintptr_t)*at;
    lane = proc_zalloc(sizeof(*lane));
    lane->tail = &lane->first;
    u64map_put(&l->by_name, name, (uintptr_t)lane);
    return lane;
}

static bool is_free_for(const struct lane *lane, bool shared)
{
    return !lane->is_exclusive && (shared || lane->n_shared == 0);
}

static void hold(struct lane *lane, struct lane_claim *c)
{
    if (c->shared[c->n_held])
        lane->n_shared++;
    else
        lane->is_exclusive = true;
    c->n_held++;
}

bool lanes_take(struct lanes *l, struct lane_claim *c)
{
    while (c->n_held < c->n) {
        struct lane *lane = lane_of_name(l, c->name[c->n_held]);

        if (lane->first || !is_free_for(lane, c->shared[c->n_held])) {
            c->next = NULL;
            *lane->tail = c;
            lane->tail = &c->next;
            return false;
        }
        hold(lane, c);
    }
    return true;
}

/* The first in line, if the lane is free for it; taken out of the line and holding. */
static struct lane_claim *grant_first(struct lane *lane)
{
    struct lane_claim *c = lane->first;

    if (!c || !is_free_for(lane, c->shared[c->n_held]))
        return NULL;
    lane->first = c->next;
    if (!lane->first)
        lane->tail = &lane->first;
    hold(lane, c);
    return c;
}

static void drop_if_idle(struct lanes *l, uint64_t name, struct lane *lane)
{
    if (lane->first || lane->is_exclusive || lane->n_shared > 0)
        return;
    u64map_del(&l->by_name, name, NULL);
    proc_free(lane);
}

void lanes_give(struct lanes *l, struct lane_claim *c,
                void (*granted)(void *ctx, struct lane_claim *c), void *ctx)
{
    struct lane_claim *ready = NULL, **tail = &ready, *next;

    for (unsigned i = 0; i < c->n_held; i++) {
        struct lane *lane = lane_of_name(l, c->name[i]);

        if (c->shared[i])
            lane->n_shared--;
        else
            lane->is_exclusive = false;
        while ((next = grant_first(lane)) != NULL) {
            if (!lanes_take(l, next))
                continue;
            next->next = NULL;
            *tail = next;
            tail = &next->next;
        }
        drop_if_idle(l, c->name[i], lane);
    }
    c->n_held = 0;
    for (; ready; ready = next) {
        next = ready->next;
        granted(ctx, ready);
    }
}
