/*
 * credit_blocked.c - memory and disk run low at random: who publishes waits, who consumes goes on.
 *
 * Invariants, by the names under which they fail:
 * 1. "blocked": who publishes while an alarm stands is told so once, and once when it is over;
 *    who only consumes is never told, and takes all there is meanwhile.
 */
#include "tests/sim/credit.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_measure.h"
#include "tests/sim/sim_world.h"

enum {
    MIB = 1 << 20,
    MEASURED_US = 1300 * 1000, /* the disk is looked at once a second */
    PATIENCE_US = 20 * 1000 * 1000,
};

#define PUBLISHER (&credit.party[0])
#define CONSUMER  (&credit.party[1])

static void setup(void)
{
    static const struct lane_spec publisher[] = {
        {.to = 0, .count = 250, .ahead = 60, .size = 4000},
        {.to = 6, .count = 250, .ahead = 60, .size = 400},
    };
    static const struct lane_spec consumer[] = {
        {.to = NO_QUEUE, .n_from = 2, .from = {0, 6}, .prefetch = 20},
    };
    static const struct lane_spec both[] = {
        {.to = 1, .n_from = 1, .from = {1}, .prefetch = 4, .count = 150, .ahead = 40, .size = 4000},
        {.to = NO_QUEUE, .n_from = 1, .from = {1}, .prefetch = 4},
    };

    (void)credit_add_party(READS_ALL, 131072, 2, publisher); /* found in credit, as all are */
    (void)credit_add_party(READS_SLOWLY, 131072, 1, consumer);
    (void)credit_add_party(READS_ALL, 131072, 2, both);
    sim_measure_set(false, false);
}

static void disturb(void)
{
    if (!sim_chance(SIM_DRIVER, 3000))
        return;
    sim_measure_set(sim_chance(SIM_DRIVER, 300000), sim_chance(SIM_DRIVER, 300000));
    sim_pass_us(MEASURED_US);
}

/* Pumps until `what` holds. */
static void wait_for(bool (*what)(void), const char *text)
{
    uint64_t until = sim_now_us() + PATIENCE_US;

    while (!what()) {
        credit_pump();
        if (sim_now_us() > until)
            sim_fail("blocked", "%s", text);
    }
}

static bool publisher_is_blocked(void)
{
    return PUBLISHER->is_blocked && !sim_is_planted("credit-block-unsaid");
}

static bool consumer_has_all(void)
{
    return credit.due[0] == 0 && credit.due[6] == 0;
}

/* An alarm of each kind, with all there is to consume and to publish. */
static void calm(void)
{
    for (int i = 0; i < 2; i++) {
        credit.holds = true; /* so that there is something left */
        PUBLISHER->lane[0].left += 60;
        credit_finish();
        sim_measure_set(i == 0, i == 1);
        credit_pass(MEASURED_US);
        PUBLISHER->lane[0].left += 200;
        wait_for(publisher_is_blocked, "who publishes is not told that it is blocked");
        credit.holds = false;
        wait_for(consumer_has_all, "who only consumes does not go on");
        if (CONSUMER->is_blocked)
            sim_fail("blocked", "who only consumes is told that it is");
        if (PUBLISHER->lane[0].left == 0)
            sim_fail("blocked", "all was published");
        sim_measure_set(false, false);
        credit_finish();
    }
}

static void run_calm(void)
{
    sim_measure_set(false, false);
    credit_pass(MEASURED_US);
}

void credit_blocked_run(void)
{
    static const struct credit_case what = {.setup = setup,
                                            .disturb = disturb,
                                            .begin_calm = run_calm,
                                            .calm = calm,
                                            .memory = 3 * MIB,
                                            .with_alarms = true};

    credit_run(&what);
}
