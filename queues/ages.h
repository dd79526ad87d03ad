/*
 * ages.h - how long the messages of a queue have been there, about, without a time in each.
 *
 * Pure. Now and then it is marked which seq comes next; a message is as old as the last mark that
 * is not behind it. Marks are further apart the longer the queue's messages stay, so that an age is
 * wrong by a few percent of the oldest one, or a second, and AGES_MARKS are enough for any time.
 */
#ifndef QUEUES_AGES_H
#define QUEUES_AGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AGES_MARKS = 32, AGES_GRAIN_US = 1000 * 1000 };

struct ages_mark {
    uint64_t seq, us; /* messages from seq on came at `us` or later */
};

struct ages { /* zeroed at first */
    struct ages_mark *mark;
    uint32_t n, cap;
    uint64_t grain_us; /* between two marks */
};

/* Whether it is time for a mark; cheap. */
static inline bool ages_is_due(const struct ages *a, uint64_t now_us)
{
    return a->n == 0 || now_us - a->mark[a->n - 1].us >= a->grain_us;
}
/*
 * Marks that messages from next_seq on come now. oldest_seq is the oldest that is there, next_seq
 * if there is none. Memory is from realloc_fn, the process's.
 */
void ages_mark(struct ages *a, uint64_t next_seq, uint64_t oldest_seq, uint64_t now_us,
               void *(*realloc_fn)(void *, size_t));
/* When the message came, at the earliest; false: before all marks. */
bool ages_find(const struct ages *a, uint64_t seq, uint64_t *ret_us);

#endif
