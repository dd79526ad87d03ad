/*
 * confirms.h - which publishes of a channel in confirm mode are settled. Pure.
 *
 * A publish number is confirmed when each of its queues has said so, and nacked when one of them
 * refused. `confirms` counts for the channel; an `inflight` is what one queue was given and has not
 * spoken of.
 */
#ifndef AMQP_CONFIRMS_H
#define AMQP_CONFIRMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct confirms {
    uint32_t *slot; /* a ring: how many queues are to speak yet, and CONFIRM_* bits */
    uint32_t first, n, cap;
    uint64_t base;  /* the number that slot[first] stands for */
    uint64_t *done; /* numbers above base that became complete since the last look */
    uint32_t n_done, done_cap, done_at;
    bool changed; /* something became complete */
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
};

struct confirm { /* one basic.ack or basic.nack */
    uint64_t tag;
    bool multiple, nack;
    uint32_t n; /* numbers that it tells of for the first time */
};

void confirms_init(struct confirms *c, void *(*realloc_fn)(void *, size_t),
                   void (*free_fn)(void *));
void confirms_fini(struct confirms *c);

/* The next publish number, from 1, for a message that goes to n queues; 0: it is complete. */
uint64_t confirms_add(struct confirms *c, uint32_t n_queues);

/* One queue of number `tag` has spoken. */
void confirms_part(struct confirms *c, uint64_t tag, bool nack);

/*
 * What the client is to be told now: true and one frame, as few as possible, or false. Each number
 * is told of once. Call it until it says false.
 */
bool confirms_next(struct confirms *c, struct confirm *ret);

/* How many numbers the client waits for. */
static inline uint32_t confirms_open(const struct confirms *c)
{
    return c->n;
}

struct inflight {  /* ascending numbers; a zeroed one is empty */
    uint64_t *tag; /* the top bit: spoken of */
    uint32_t first, end, cap;
};

void inflight_add(struct inflight *f, uint64_t tag, void *(*realloc_fn)(void *, size_t));
/*
 * Takes the first number within [first, last] that has not been spoken of; 0: there is none. Called
 * again for the rest of a range.
 */
uint64_t inflight_take(struct inflight *f, uint64_t first, uint64_t last);

#endif
