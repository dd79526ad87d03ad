/*
 * u64map.c - linear probing, and deletion that moves later entries back, so that there are no
 * tombstones and a map that lives for years probes no further than a fresh one.
 *
 * Invariants:
 *   1. mask + 1 is a power of two >= MIN_SLOTS, or slot is NULL and mask is 0.
 *   2. At most 3/4 of the slots are taken, so that every probe ends at a free one.
 *   3. Between an entry's home and its place no slot is free.
 */
#include "broker/runtime/u64map.h"

#include <stddef.h>
#include <string.h>

/* One cache line of pairs. The smallest array stays when the map runs empty, because maps of calls
 * under way go between nought and one all day. */
enum { MIN_SLOTS = 4 };

/* Keys are ids whose low and high halves both count upwards; the product spreads them, the shift
 * brings the well-mixed upper half to where the mask looks. */
static uint32_t home_of(uint64_t key, uint32_t mask)
{
    uint64_t h = key ^ (key >> 32);

    h *= 0x9e3779b97f4a7c15ull;
    return (uint32_t)(h >> 32) & mask;
}

/* The slot of this key, or the free one where it belongs. */
static uint32_t probe(const struct u64map *m, uint64_t key)
{
    uint32_t i = home_of(key, m->mask);

    while (m->slot[2 * (size_t)i] != 0 && m->slot[2 * (size_t)i] != key)
        i = (i + 1) & m->mask;
    return i;
}

static void resize(struct u64map *m, uint32_t slots)
{
    uint64_t *old = m->slot;
    uint32_t old_slots = old ? m->mask + 1 : 0;
    size_t size = (size_t)slots * 2 * sizeof(uint64_t);

    m->slot = m->realloc(NULL, size);
    memset(m->slot, 0, size);
    m->mask = slots - 1;
    for (uint32_t i = 0; i < old_slots; i++) {
        const uint64_t *pair = old + 2 * (size_t)i;

        if (pair[0] != 0)
            memcpy(m->slot + 2 * (size_t)probe(m, pair[0]), pair, 2 * sizeof(uint64_t));
    }
    if (old)
        m->free(old);
}

void u64map_init(struct u64map *m, void *(*realloc_fn)(void *, size_t), void (*free_fn)(void *))
{
    *m = (struct u64map){.realloc = realloc_fn, .free = free_fn};
}

void u64map_fini(struct u64map *m)
{
    if (m->slot)
        m->free(m->slot);
    m->slot = NULL;
    m->n = m->mask = 0;
}

uint64_t *u64map_get(const struct u64map *m, uint64_t key)
{
    uint32_t i;

    if (m->n == 0)
        return NULL;
    i = probe(m, key);
    return m->slot[2 * (size_t)i] == key ? &m->slot[2 * (size_t)i + 1] : NULL;
}

void u64map_put(struct u64map *m, uint64_t key, uint64_t value)
{
    uint32_t i;

    if (!m->slot)
        resize(m, MIN_SLOTS);
    i = probe(m, key);
    if (m->slot[2 * (size_t)i] != key) {
        if ((uint64_t)(m->n + 1) * 4 > (uint64_t)(m->mask + 1) * 3) {
            resize(m, (m->mask + 1) * 2);
            i = probe(m, key);
        }
        m->slot[2 * (size_t)i] = key;
        m->n++;
    }
    m->slot[2 * (size_t)i + 1] = value;
}

/* Frees slot `hole` and moves back what would no longer be found across it (invariant 3). */
static void close_hole(struct u64map *m, uint32_t hole)
{
    for (uint32_t i = (hole + 1) & m->mask; m->slot[2 * (size_t)i] != 0; i = (i + 1) & m->mask) {
        uint32_t home = home_of(m->slot[2 * (size_t)i], m->mask);

        /* Distances are taken around the ring: the entry may move if its home is not past hole. */
        if (((i - home) & m->mask) < ((i - hole) & m->mask))
            continue;
        memcpy(m->slot + 2 * (size_t)hole, m->slot + 2 * (size_t)i, 2 * sizeof(uint64_t));
        hole = i;
    }
    m->slot[2 * (size_t)hole] = 0;
}

bool u64map_del(struct u64map *m, uint64_t key, uint64_t *ret)
{
    uint32_t i;

    if (m->n == 0)
        return false;
    i = probe(m, key);
    if (m->slot[2 * (size_t)i] != key)
        return false;
    if (ret)
        *ret = m->slot[2 * (size_t)i + 1];
    close_hole(m, i);
    m->n--;
    /* Far below the bound of growing, so that no sequence of puts and dels resizes each time. */
    if (m->mask + 1 > MIN_SLOTS && m->n < (m->mask + 1) / 8)
        resize(m, (m->mask + 1) / 2);
    return true;
}

bool u64map_next(const struct u64map *m, uint32_t *at, uint64_t *ret_key, uint64_t *ret_value)
{
    uint32_t slots = m->slot ? m->mask + 1 : 0;

    while (*at < slots) {
        const uint64_t *pair = m->slot + 2 * (size_t)(*at)++;

        if (pair[0] == 0)
            continue;
        *ret_key = pair[0];
        *ret_value = pair[1];
        return true;
    }
    return false;
}
