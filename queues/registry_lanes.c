/*
 * Locks on names.
 */
#include "queues/registry_lanes.h"

#include <stddef.h>
#include <string.h>

#include "broker/runtime/proc.h"

struct lane {
    unsigned n_shared;
    bool is_exclusive;
    struct lane_line line; /* who waits for it */
};

void lane_line_init(struct lane_line *line)
{
    line->first = NULL;
    line->tail = &line->first;
}

static void line_put(struct lane_line *line, struct lane_claim *c)
{
    c->next = NULL;
    *line->tail = c;
    line->tail = &c->next;
}

struct lane_claim *lane_line_take(struct lane_line *line)
{
    struct lane_claim *c = line->first;

    if (!c)
        return NULL;
    line->first = c->next;
    if (!line->first)
        line->tail = &line->first;
    return c;
}

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
    lane_line_init(&lane->line);
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

        if (lane->line.first || !is_free_for(lane, c->shared[c->n_held])) {
            line_put(&lane->line, c);
            return false;
        }
        hold(lane, c);
    }
    return true;
}

/* The first in line, if the lane is free for it; taken out of the line and holding. */
static struct lane_claim *grant_first(struct lane *lane)
{
    struct lane_claim *c = lane->line.first;

    if (!c || !is_free_for(lane, c->shared[c->n_held]))
        return NULL;
    (void)lane_line_take(&lane->line); /* it is c */
    hold(lane, c);
    return c;
}

static void drop_if_idle(struct lanes *l, uint64_t name, struct lane *lane)
{
    if (lane->line.first || lane->is_exclusive || lane->n_shared > 0)
        return;
    u64map_del(&l->by_name, name, NULL);
    proc_free(lane);
}

static void give(struct lanes *l, uint64_t name, bool shared, struct lane_line *granted)
{
    struct lane *lane = lane_of_name(l, name);
    struct lane_claim *next;

    if (shared)
        lane->n_shared--;
    else
        lane->is_exclusive = false;
    while ((next = grant_first(lane)) != NULL)
        if (lanes_take(l, next))
            line_put(granted, next);
    drop_if_idle(l, name, lane);
}

void lanes_give(struct lanes *l, struct lane_claim *c, struct lane_line *granted)
{
    for (unsigned i = 0; i < c->n_held; i++)
        give(l, c->name[i], c->shared[i], granted);
    c->n_held = 0;
}

void lanes_give_first(struct lanes *l, struct lane_claim *c, struct lane_line *granted)
{
    uint64_t name = c->name[0];
    bool shared = c->shared[0];

    c->n--;
    c->n_held--;
    memmove(&c->name[0], &c->name[1], c->n * sizeof(c->name[0]));
    memmove(&c->shared[0], &c->shared[1], c->n * sizeof(c->shared[0]));
    give(l, name, shared, granted);
}
