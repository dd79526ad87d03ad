/*
 * capacity.h - what part of the last seconds a queue had a consumer that could take a message at
 * once: a mean that forgets half of the past in a second, as RabbitMQ's does.
 *
 * Pure. What is shown of it is one word, so that whoever reads it while it is written sees a whole
 * one: when it was written, the mean until then, and whether there is such a consumer since.
 */
#ifndef QUEUES_CAPACITY_H
#define QUEUES_CAPACITY_H

#include <stdbool.h>
#include <stdint.h>

struct capacity { /* zeroed at first */
    double mean;
    uint64_t at_us;
    bool is_able; /* since then */
};

/* It is so from now on; the word to show. Times are monotonic, in microseconds. */
uint64_t capacity_set(struct capacity *c, bool is_able, uint64_t now_us);
/* What a shown word, 0 at first, says now: 0 to 1. */
double capacity_read(uint64_t word, uint64_t now_us);

#endif
