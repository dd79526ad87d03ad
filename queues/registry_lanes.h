/*
 * registry_lanes.h - who may touch a name now: shared or exclusive locks, as they came. Pure.
 *
 * A claim takes its names in ascending order, each as soon as those before it in that name's line
 * let it, so that no two claims wait for each other.
 */
#ifndef QUEUES_REGISTRY_LANES_H
#define QUEUES_REGISTRY_LANES_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/runtime/u64map.h"

enum { LANE_MAX = 4 };

struct lane_claim {
    uint64_t name[LANE_MAX]; /* ascending once lanes_take was called */
    bool shared[LANE_MAX];
    unsigned n, n_held;
    struct lane_claim
        *next; /* in the line of name[n_held], or of those that have all their names */
};

struct lane_line { /* of claims, as they came */
    struct lane_claim *first, **tail;
};

struct lanes {
    struct u64map by_name; /* to struct lane */
};

void lanes_init(struct lanes *l);

/* Adds a name (not 0) to a claim that was not taken yet. */
void lane_add(struct lane_claim *c, uint64_t name, bool shared);

/* Starts taking all names; true: has them all. Else lanes_give hands it out later. */
bool lanes_take(struct lanes *l, struct lane_claim *c);

/* Gives all names back; claims that have all of theirs now are put into the line. */
void lanes_give(struct lanes *l, struct lane_claim *c, struct lane_line *granted);

/* Gives back the smallest name alone; the claim holds the others. */
void lanes_give_first(struct lanes *l, struct lane_claim *c, struct lane_line *granted);

void lane_line_init(struct lane_line *line);
/* The first, taken out; NULL: none. */
struct lane_claim *lane_line_take(struct lane_line *line);

#endif
