/*
 * u64map.h - a hash map from nonzero 64-bit keys to 64-bit values (open addressing).
 *
 * Pure. Memory comes from the two functions given (proc_realloc/proc_free inside processes; in a
 * process's own heap it goes with the process, without u64map_fini). A map that was never put into
 * owns nothing.
 */
#ifndef BROKER_RUNTIME_U64MAP_H
#define BROKER_RUNTIME_U64MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct u64map {
    uint64_t *slot; /* pairs: key, value; key 0 is free */
    uint32_t n, mask;
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
};

void u64map_init(struct u64map *m, void *(*realloc_fn)(void *, size_t), void (*free_fn)(void *));
void u64map_fini(struct u64map *m);
/* NULL: not there. Valid until the next put or del. */
uint64_t *u64map_get(const struct u64map *m, uint64_t key);
/* Adds or replaces. */
void u64map_put(struct u64map *m, uint64_t key, uint64_t value);
/* Whether it was there; its value in *ret (may be NULL). */
bool u64map_del(struct u64map *m, uint64_t key, uint64_t *ret);
/* Iterates: start with *at = 0; false at the end. No changes meanwhile. */
bool u64map_next(const struct u64map *m, uint32_t *at, uint64_t *ret_key, uint64_t *ret_value);

#endif
