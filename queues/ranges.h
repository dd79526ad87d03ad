/*
 * ranges.h - numbers gathered into runs of consecutive ones, in the order they came. Pure.
 */
#ifndef QUEUES_RANGES_H
#define QUEUES_RANGES_H

#include <stddef.h>
#include <stdint.h>

struct range {
    uint64_t first, last;
};

struct ranges { /* zeroed at first */
    struct range *range;
    uint32_t n, cap;
};

/* Adds x: to the last run when it follows it, else as a run of its own. */
void ranges_add(struct ranges *r, uint64_t x, void *(*realloc_fn)(void *, size_t));

#endif
