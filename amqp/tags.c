/*
 * tags.c - unsettled deliveries in an array with holes.
 *
 * Invariants:
 *   1. Entries of [first, end) ascend by tag; entry[first] is not settled unless n is 0.
 *   2. n is the number of entries whose link is not NULL.
 */
#include "amqp/tags.h"

#include <string.h>

enum { MIN_CAP = 8 };

void tags_init(struct tags *t, void *(*realloc_fn)(void *, size_t), void (*free_fn)(void *))
{
    *t = (struct tags){.realloc = realloc_fn, .free = free_fn};
}

void tags_fini(struct tags *t)
{
    if (t->entry)
        t->free(t->entry);
    t->entry = NULL;
    t->first = t->end = t->cap = t->n = 0;
}

/* Moves what is not settled to the front. */
static void close_holes(struct tags *t)
{
    uint32_t to = 0;

    for (uint32_t i = t->first; i < t->end; i++)
        if (t->entry[i].link)
            t->entry[to++] = t->entry[i];
    t->first = 0;
    t->end = to;
}

static void make_room(struct tags *t)
{
    /* Half of the array is freed or added each time, so that a delivery pays for two moves. */
    if (t->n > t->cap / 2 || t->cap == 0) {
        t->cap = t->cap ? t->cap * 2 : MIN_CAP;
        t->entry = t->realloc(t->entry, t->cap * sizeof(t->entry[0]));
    }
    close_holes(t);
}

struct tag_entry *tags_add(struct tags *t)
{
    struct tag_entry *e;

    if (t->n == 0)
        t->first = t->end = 0;
    if (t->end == t->cap)
        make_room(t);
    e = &t->entry[t->end++];
    e->tag = ++t->last;
    e->tx = 0;
    t->n++;
    return e;
}

/* The place in [low, high) of the lowest tag >= tag; high: there is none. */
static uint32_t place_of(const struct tags *t, uint64_t tag, uint32_t low, uint32_t high)
{
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (t->entry[mid].tag < tag)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct tag_entry *tags_find(struct tags *t, uint64_t tag)
{
    uint32_t low = t->first, high = t->end;

    if (t->n == 0 || tag < t->entry[low].tag || tag > t->entry[high - 1].tag)
        return NULL;
    /* Without holes and skipped tags it is there at once. */
    if (tag - t->entry[low].tag < high - low) {
        struct tag_entry *guess = &t->entry[low + (uint32_t)(tag - t->entry[low].tag)];

        if (guess->tag == tag)
            return guess->link ? guess : NULL;
        high = (uint32_t)(guess - t->entry); /* tags ascend by at least one */
    }
    low = place_of(t, tag, low, high);
    if (low == t->end || t->entry[low].tag != tag || !t->entry[low].link)
        return NULL;
    return &t->entry[low];
}

struct tag_entry *tags_first(struct tags *t)
{
    return t->n ? &t->entry[t->first] : NULL;
}

/* The first one not settled from a place on. */
static struct tag_entry *live_from(struct tags *t, struct tag_entry *e)
{
    struct tag_entry *end = t->entry + t->end;

    for (; e < end; e++)
        if (e->link)
            return e;
    return NULL;
}

struct tag_entry *tags_from(struct tags *t, uint64_t tag)
{
    return t->n ? live_from(t, t->entry + place_of(t, tag, t->first, t->end)) : NULL;
}

struct tag_entry *tags_next(struct tags *t, struct tag_entry *e)
{
    return live_from(t, e + 1);
}

void tags_take(struct tags *t, struct tag_entry *e)
{
    e->link = NULL;
    t->n--;
    while (t->first < t->end && !t->entry[t->first].link)
        t->first++;
}

void tags_trim(struct tags *t)
{
    if (t->n == 0 && t->cap > MIN_CAP)
        tags_fini(t);
}
