#include "queues/ages.h"

#include <string.h>

/* Marks that no message needs any more, because a later one is not behind the oldest. */
static void forget(struct ages *a, uint64_t oldest_seq)
{
    uint32_t n = 0;

    while (n + 1 < a->n && a->mark[n + 1].seq <= oldest_seq)
        n++;
    memmove(a->mark, a->mark + n, (a->n - n) * sizeof(*a->mark));
    a->n -= n;
}

/* Every other one goes, but the first stays, and marks are twice as far apart from now on. */
static void thin(struct ages *a)
{
    for (uint32_t i = 1; 2 * i < a->n; i++)
        a->mark[i] = a->mark[2 * i];
    a->n = (a->n + 1) / 2;
    a->grain_us *= 2;
}

static void make_room(struct ages *a, void *(*realloc_fn)(void *, size_t))
{
    if (a->n == AGES_MARKS)
        thin(a);
    if (a->n < a->cap)
        return;
    a->cap = a->cap ? 2 * a->cap : 4;
    a->mark = realloc_fn(a->mark, a->cap * sizeof(*a->mark));
}

void ages_mark(struct ages *a, uint64_t next_seq, uint64_t oldest_seq, uint64_t now_us,
               void *(*realloc_fn)(void *, size_t))
{
    if (a->n > 0)
        forget(a, oldest_seq);
    if (oldest_seq >= next_seq || a->n <= 1)
        a->grain_us = AGES_GRAIN_US;
    if (oldest_seq >= next_seq)
        a->n = 0;
    make_room(a, realloc_fn);
    a->mark[a->n++] = (struct ages_mark){next_seq, now_us};
}

bool ages_find(const struct ages *a, uint64_t seq, uint64_t *ret_us)
{
    for (uint32_t i = a->n; i > 0; i--) {
        if (a->mark[i - 1].seq > seq)
            continue;
        *ret_us = a->mark[i - 1].us;
        return true;
    }
    return false;
}
