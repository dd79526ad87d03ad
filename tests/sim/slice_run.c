/*
 * slice_run.c - the scenario of the whole broker: rounds of disturbance, each with its crashes, and
 * an audit behind each; at last a clean end, and one more start that has to find all again.
 */
#include <string.h>

#include "broker/runtime/runtime.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_world.h"
#include "tests/sim/slice.h"

struct slice slice;

/*
 * While clients have something to do, time does not jump to the next timer whenever the broker is
 * idle: it goes on for a moment, and now and then for a long one.
 */
static void advance(uint64_t to_ns)
{
    uint64_t us = sim_chance(SIM_CLOCK, 3000) ? 1 + sim_below(SIM_CLOCK, 1500000)
                                              : 1 + sim_below(SIM_CLOCK, 500);
    uint64_t until_ns = (sim_now_us() + us) * 1000;

    sim_advance_to_ns(slice.in_calm || to_ns < until_ns ? to_ns : until_ns);
}

bool slice_step(void)
{
    bool ran;

    sim.step++;
    sim_pass_us(sim_below(SIM_CLOCK, 20));
    ran = rt_step(advance);
    if (!slice.is_dying)
        return ran;
    slice_kill(sim_chance(SIM_DISK, 600000));
    slice_boot();
    return true;
}

/* Every client is cut off, and the model knows what may be lost. */
static void was_killed(void)
{
    for (int i = 0; i < N_CLIENTS; i++)
        if (slice.client[i].phase != CLIENT_NONE)
            client_drop(&slice.client[i], false);
    facts_of_program_loss();
}

static void disturb(uint32_t steps)
{
    sim_crash_enable(true);
    slice.in_calm = false;
    for (uint32_t i = 0; i < steps; i++) {
        for (uint32_t n = sim_below(SIM_DRIVER, 3); n > 0; n--)
            act();
        if (sim_chance(SIM_DRIVER, 300))
            slice_disk_fail();
        if (sim_chance(SIM_DRIVER, 150) && !sim_is_planted("forget-row"))
            slice.is_dying = true; /* else what was not written is missed before the comparison */
        (void)slice_step();
    }
    sim_crash_enable(false);
}

static void init(const struct slice_profile *profile)
{
    static const struct slice_driver driver = {.act = act, .was_killed = was_killed};

    memset(&slice, 0, sizeof(slice));
    slice.driver = &driver;
    slice.exchange[0].fact.state = slice.exchange[1].fact.state = EXISTS;
    slice.first_open = 1;
    slice.profile = profile;
    slice.client[N_CLIENTS - 1].is_audit = true;
    slice_disk_new();
}

static void fini(void)
{
    slice_disk_free();
    for (int i = 0; i < N_CLIENTS; i++)
        sim_peer_free(&slice.client[i].peer);
}

/* Out of a calm: so it has to find what was there. */
static void start_again(void)
{
    slice_boot();
    slice_calm();
    slice_compare_inside();
    slice_audit();
}

void slice_run_as(const struct slice_profile *profile)
{
    uint32_t rounds = 1 + sim_below(SIM_DRIVER, 3);

    init(profile);
    slice_boot();
    for (uint32_t i = 0; i < rounds; i++) {
        disturb(sim.steps / rounds);
        slice_audit();
        if (sim_chance(SIM_DRIVER, 300000)) {
            slice_kill(sim_chance(SIM_DRIVER, 600000));
            start_again();
        }
    }
    slice_shutdown();
    start_again();
    slice_shutdown();
    sim_note("did", slice.did.confirms, slice.did.deliveries, slice.did.found);
    fini();
}

void slice_run(void)
{
    static const struct slice_profile profile = {
        .queues = (1u << N_QUEUES) - 1,
        .exchanges = (1u << N_EXCHANGES) - 2,
        .patterns = N_PATTERNS,
        .overlap = 200000,
        .leave = 6,
        .crashes = 1,
        .weight = {[ACT_PUBLISH] = 400,
                   [ACT_SETTLE] = 300,
                   [ACT_CONSUME] = 54,
                   [ACT_GET] = 70,
                   [ACT_CANCEL] = 36,
                   [ACT_PREFETCH] = 30,
                   [ACT_RECOVER] = 6,
                   [ACT_CLOSE_CHANNEL] = 12,
                   [ACT_DECLARE_QUEUE] = 25,
                   [ACT_DELETE_QUEUE] = 6,
                   [ACT_PURGE] = 5,
                   [ACT_BIND] = 35,
                   [ACT_UNBIND] = 10,
                   [ACT_DECLARE_EXCHANGE] = 20,
                   [ACT_DELETE_EXCHANGE] = 4,
                   [ACT_BIND_EXCHANGE] = 15,
                   [ACT_UNBIND_EXCHANGE] = 6},
    };

    slice_run_as(&profile);
}
