/*
 * rt_ledger.h - the numbered messages of each pair of actors, and the calls they belong to.
 */
#ifndef TESTS_SIM_RT_LEDGER_H
#define TESTS_SIM_RT_LEDGER_H

#include <stdint.h>
#include <stdlib.h>

#include "tests/sim/sim.h"

/* Room for one more in a plain array; the tests' own memory, not the runtime's. */
#define GROW(array, n, cap)                                         \
    do {                                                            \
        if ((n) == (cap)) {                                         \
            (cap) = (cap) ? (cap)*2 : 8;                            \
            (array) = realloc((array), (cap) * sizeof((array)[0])); \
            if (!(array))                                           \
                sim_fail("simulation", "no memory");                \
        }                                                           \
    } while (0)

void ledger_init(void);
void ledger_fini(void);
/* How many were sent from one to the other so far. */
uint32_t ledger_count(uint32_t from, uint32_t to);
/* The number of the last one seen. */
uint32_t ledger_seen(uint32_t from, uint32_t to);
/* All up to number `seq` (UINT32_MAX: all) were seen, or are answers nobody waits for any more. */
void ledger_check_through(uint32_t from, uint32_t to, uint32_t seq);
/* The same for every pair whose receiver lives. */
void ledger_check_all(void);

#endif
