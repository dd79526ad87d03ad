/* What tests of the front end's pure parts share: counted memory, and random numbers of a seed. */
#ifndef TESTS_UNIT_FRONT_END_KIT_H
#define TESTS_UNIT_FRONT_END_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static int n_blocks; /* alive */

static inline void *count_realloc(void *p, size_t size)
{
    n_blocks += !p;
    return realloc(p, size);
}

static inline void count_free(void *p)
{
    n_blocks -= p != NULL;
    free(p);
}

/* WARREN_SEED, or the time; printed so that a failure can be played again. */
static inline uint64_t seed_new(void)
{
    const char *text = getenv("WARREN_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL) * 2654435761u;

    seed |= 1;
    print_message("seed %llu\n", (unsigned long long)seed);
    return seed;
}

static inline uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static inline uint32_t below(uint64_t *seed, uint32_t n)
{
    return (uint32_t)(next_random(seed) >> 33) % n;
}

#endif
