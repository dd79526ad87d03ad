/*
 * credit_park.c - queues, exchanges, the registry, the store crash over their budgets: they are
 * parked, clients are told so, and all goes on when they are back.
 *
 * Invariants, by the names under which they fail:
 * 1. "errors": what cannot be done meanwhile is answered by 404 or 541 that says what is down.
 * 2. "no deadlock": when nothing crashes any more, all is back and is done.
 */
#include "tests/sim/credit.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_world.h"

enum { MIB = 1 << 20, OVER_BUDGET = 6, STORM_STEPS = 1500, CALM_STEPS = 1200 };

static struct {
    const char *kind; /* whose processes crash before each message; NULL: none */
    uint32_t left;    /* steps until the next storm begins, or this one ends */
    uint32_t crashes; /* when it began */
} storm;

static void setup(void)
{
    static const struct lane_spec lanes[] = {
        {.to = 0,
         .n_from = 1,
         .from = {0},
         .prefetch = 5,
         .count = 200,
         .ahead = 30,
         .size = 2000,
         .is_bound = true},
        {.to = 1,
         .n_from = 2,
         .from = {1, 6},
         .prefetch = 8,
         .is_shared = true,
         .count = 200,
         .ahead = 30,
         .size = 600},
        {.to = 6, .count = 200, .ahead = 20, .size = 600, .is_bound = true},
    };

    storm.kind = NULL;
    storm.left = sim_below(SIM_DRIVER, CALM_STEPS);
    for (int i = 0; i < 3; i++)
        (void)credit_add_party(READS_ALL, 131072, 3, lanes); /* found in credit */
}

static void end_storm(void)
{
    if (storm.kind)
        sim_crash_set(storm.kind, 0);
    storm.kind = NULL;
    storm.left = CALM_STEPS + sim_below(SIM_DRIVER, CALM_STEPS);
}

/* A process of that kind that is started again crashes again, until it is parked. */
static void disturb(void)
{
    static const char *const kinds[] = {"queue", "exchange", "registry", "store"};

    if (storm.kind && sim_crash_count() - storm.crashes > OVER_BUDGET) {
        end_storm();
    } else if (storm.left-- > 0) {
        if (storm.kind)
            sim_crash_set(storm.kind, 1000000);
    } else if (storm.kind) {
        end_storm();
    } else {
        storm.kind = kinds[sim_below(SIM_DRIVER, 4)];
        storm.left = STORM_STEPS;
        storm.crashes = sim_crash_count();
        sim_note("storm", (uint64_t)storm.kind[0], 0, 0);
    }
}

static void begin_calm(void)
{
    end_storm();
}

void credit_park_run(void)
{
    static const struct credit_case what = {.setup = setup,
                                            .disturb = disturb,
                                            .begin_calm = begin_calm,
                                            .memory = 4 * MIB,
                                            .parks = true};

    credit_run(&what);
}
