/*
 * sim.h - what every part of the simulation shares: the run, its trace, its failures.
 *
 * A run is one seed of one scenario in a process of its own (forked, so that a fault of the program
 * under test is a failure of that seed only). All that happens in it follows from the seed; what
 * matters is noted in a trace, whose hash tells whether two runs were the same.
 *
 * Nothing here is a runtime process. Scenario code runs between the runtime's steps, or inside the
 * processes of a scenario, always on the one thread there is; hence its plain globals.
 */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>

struct sim_run {
    uint64_t seed;
    uint32_t steps; /* how many steps with disturbances; draining comes on top */
    uint32_t step;
    const char *scenario;
    const char *plant; /* name of the planted bug, NULL: none */
    bool verbose;
    uint64_t hash; /* of the trace so far */
    uint64_t n_notes;
};

extern struct sim_run sim;

/* What a forked run tells the runner; in shared memory. */
struct sim_outcome {
    char invariant[64]; /* empty: all held */
    uint64_t hash, n_notes, virtual_us;
    uint32_t steps;
};

struct sim_scenario {
    const char *name;
    const char *what; /* one line for --list */
    uint32_t steps;   /* default number of disturbed steps */
    void (*run)(void);
    uint32_t every; /* of a range of seeds for all scenarios it runs each so many; 1: all */
};

/* A bug put in on purpose, to show that the invariant named is able to fail. */
struct sim_plant {
    const char *name;
    const char *scenario;
    const char *invariant; /* what has to fail, the prefix of the failure's name is enough */
};

extern const struct sim_scenario sim_scenarios[]; /* ended by a NULL name */
extern const struct sim_plant sim_plants[];       /* the same */

/* Adds an event to the trace. `what` is a literal; the numbers must not be addresses. */
void sim_note(const char *what, uint64_t a, uint64_t b, uint64_t c);

/* Ends the run: the invariant does not hold. Prints the reason, the last events, the replay. */
__attribute__((noreturn, format(printf, 2, 3))) void sim_fail(const char *invariant,
                                                              const char *fmt, ...);

/* Whether this bug is planted in this run. */
bool sim_is_planted(const char *name);

/* One turn of the runtime with a little time passing; false: nothing is ready and no timer set. */
bool sim_step(void);

/* Steps until nothing is left to do; more than `limit` steps are the failure "quiescence". */
void sim_drain(uint32_t limit);

#endif
