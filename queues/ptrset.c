/*
 * Sets of pointers: an array, and beyond a few items an index of open addressing at most half full.
 */
#include "queues/ptrset.h"

#include <string.h>

enum { SEARCHED = 16 }; /* items that are searched one by one */

void ptrset_fini(struct ptrset *s)
{
    if (s->item != s->few)
        s->free(s->item);
    if (s->slot)
        s->free(s->slot);
    ptrset_init(s, s->realloc, s->free);
}

static uint32_t slot_of(const struct ptrset *s, const void *p)
{
    uint64_t h = (uint64_t)(uintptr_t)p * 0x9e3779b97f4a7c15ull;

    return (uint32_t)(h >> 32) & (s->n_slots - 1);
}

/* Where p stands, or the free slot where it would. */
static uint32_t find(const struct ptrset *s, const void *p)
{
    uint32_t at = slot_of(s, p);

    while (s->slot[at] && s->item[s->slot[at] - 1] != p)
        at = (at + 1) & (s->n_slots - 1);
    return at;
}

static void make_index(struct ptrset *s)
{
    uint32_t n_slots = 64;

    while (n_slots < s->cap * 2)
        n_slots *= 2;
    s->slot = s->realloc(s->slot, n_slots * sizeof(s->slot[0]));
    s->n_slots = n_slots;
    memset(s->slot, 0, n_slots * sizeof(s->slot[0]));
    for (uint32_t i = 0; i < s->n; i++)
        s->slot[find(s, s->item[i])] = i + 1;
}

static void grow(struct ptrset *s)
{
    uint32_t cap = s->cap * 2;

    if (s->item == s->few) {
        s->item = s->realloc(NULL, cap * sizeof(s->item[0]));
        memcpy(s->item, s->few, sizeof(s->few));
    } else {
        s->item = s->realloc(s->item, cap * sizeof(s->item[0]));
    }
    s->cap = cap;
    if (s->slot)
        make_index(s);
}

void ptrset_append(struct ptrset *s, const void *p)
{
    if (s->n == s->cap)
        grow(s);
    s->item[s->n++] = p;
    if (s->slot)
        s->slot[find(s, p)] = s->n;
}

bool ptrset_add(struct ptrset *s, const void *p)
{
    if (!s->slot && s->n > SEARCHED)
        make_index(s);
    if (s->slot) {
        if (s->slot[find(s, p)])
            return false;
        ptrset_append(s, p);
        return true;
    }
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->item[i] == p)
            return false;
    }
    ptrset_append(s, p);
    return true;
}
