/*
 * credit_cases.c - cases that differ in who publishes, who consumes, and who reads.
 *
 * Invariants, by the names under which they fail:
 * 1. "not read": who does not read what it is answered is not read any more.
 */
#include <stdlib.h>

#include "tests/sim/credit.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_world.h"

enum { MIB = 1 << 20, MANY = 1000 };

/* Publisher and consumer on one socket, and on one channel of it. */
static void setup_socket(void)
{
    static const struct lane_spec lanes[] = {
        {.to = 0,
         .n_from = 1,
         .from = {0},
         .prefetch = 20,
         .count = 150,
         .ahead = 60,
         .size = 9000},
        {.to = 1, .count = 150, .ahead = 100, .size = 3000},
        {.to = NO_QUEUE, .n_from = 1, .from = {1}, .prefetch = 5},
        {.to = 6, .n_from = 2, .from = {6, 0}, .count = 150, .ahead = 50, .size = 500},
    };

    (void)credit_add_party(READS_SLOWLY, 4096, 4, lanes); /* both are found in credit */
    (void)credit_add_party(READS_ALL, 131072, 4, lanes);
}

void credit_socket_run(void)
{
    static const struct credit_case what = {.setup = setup_socket, .memory = 4 * MIB};

    credit_run(&what);
}

/* Clients that never read, of deliveries, of returns, of both; and neighbours. */
static void setup_deaf(void)
{
    static const struct lane_spec returned = {
        .to = NO_QUEUE, .is_unroutable = true, .count = 600, .ahead = UINT32_MAX, .size = 60000};
    static const struct lane_spec taker = {.to = NO_QUEUE, .n_from = 1, .from = {2}};
    static const struct lane_spec both = {
        .to = 3, .n_from = 1, .from = {3}, .count = 400, .ahead = UINT32_MAX, .size = 20000};
    static const struct lane_spec neighbours[] = {
        {.to = 2, .count = 250, .ahead = 100, .size = 40000},
        {.to = 0,
         .n_from = 1,
         .from = {0},
         .prefetch = 10,
         .count = 150,
         .ahead = 50,
         .size = 9000},
    };

    (void)credit_add_party(READS_NEVER, 131072, 1, &returned); /* found in credit, as all are */
    (void)credit_add_party(READS_NEVER, 4096, 1, &taker);
    (void)credit_add_party(READS_NEVER, 131072, 1, &both);
    (void)credit_add_party(READS_ALL, 131072, 2, neighbours);
}

/* One MiB of output that cannot be refused, one of input with the channel, and what was read. */
static void calm_deaf(void)
{
    const struct party *p = &credit.party[0];

    credit_pass(5000000);
    if (!party_is_deaf(p))
        sim_fail("no deadlock", "party %u is not set up", p->uid);
    if (p->front_failures != slice.front_failures)
        return; /* what comes for a channel that has failed is read, and dropped */
    if (p->sent > 4 * MIB || sim_is_planted("credit-read-on"))
        sim_fail("not read", "%llu bytes are taken of party %u", (unsigned long long)p->sent,
                 p->uid);
}

void credit_deaf_run(void)
{
    static const struct credit_case what = {
        .setup = setup_deaf, .calm = calm_deaf, .memory = 11 * MIB};

    credit_run(&what);
}

/* More than may be in memory, for consumers that take their time. */
static void setup_firehose(void)
{
    static const struct lane_spec hose[] = {
        {.to = 0, .count = 1200, .ahead = UINT32_MAX, .size = 40000},
        {.to = 1, .count = 1000, .ahead = UINT32_MAX, .size = 600},
    };
    static const struct lane_spec slow[] = {
        {.to = NO_QUEUE, .n_from = 1, .from = {0}, .prefetch = 10},
        {.to = NO_QUEUE, .n_from = 1, .from = {1}, .prefetch = 3},
    };

    (void)credit_add_party(READS_ALL, 131072, 2, hose); /* found in credit, as all are */
    (void)credit_add_party(READS_ALL, 131072, 1, hose);
    (void)credit_add_party(READS_SLOWLY, 131072, 2, slow);
}

void credit_firehose_run(void)
{
    static const struct credit_case what = {
        .setup = setup_firehose, .memory = 12 * MIB, .least_ring = 4096};

    credit_run(&what);
}

/* A thousand channels on one connection, each at its own. */
static void setup_channels(void)
{
    static struct lane_spec lanes[MANY];

    for (int i = 0; i < MANY; i++)
        lanes[i] = (struct lane_spec){.to = (int8_t)(i % CREDIT_QUEUES),
                                      .n_from = 1,
                                      .from = {(int8_t)((i / 3) % CREDIT_QUEUES)},
                                      .prefetch = 2,
                                      .count = 4,
                                      .ahead = 2,
                                      .size = 600};
    (void)credit_add_party(READS_ALL, 131072, MANY, lanes); /* found in credit */
}

/* All publish at once, and each of them and of the consumers has its turn. */
static void calm_channels(void)
{
    credit.checks_turns = true;
    for (int i = 0; i < MANY; i++)
        credit.party[0].lane[i].left += 12;
    credit_finish();
}

void credit_channels_run(void)
{
    static const struct credit_case what = {
        .setup = setup_channels, .calm = calm_channels, .memory = 12 * MIB, .least_ring = 4096};

    credit_run(&what);
}

/* A prefetch over several queues, some of them gone and back. */
static void setup_share(void)
{
    static const struct lane_spec sharing[] = {
        {.to = NO_QUEUE, .n_from = 4, .from = {0, 1, 2, 6}, .prefetch = 7, .is_shared = true},
        {.to = 2,
         .n_from = 3,
         .from = {1, 2, 3},
         .prefetch = 2,
         .is_shared = true,
         .count = 100,
         .ahead = 30,
         .size = 2000},
        {.to = NO_QUEUE, .n_from = 1, .from = {0}, .prefetch = 3},
    };
    static const struct lane_spec feeding[] = {
        {.to = 0, .count = 150, .ahead = 40, .size = 2000},
        {.to = 1, .count = 150, .ahead = 40, .size = 12000},
        {.to = 6, .count = 150, .ahead = 40, .size = 300},
        {.to = 3, .count = 80, .ahead = 40, .size = 300},
    };

    (void)credit_add_party(READS_ALL, 131072, 3, sharing); /* found in credit, as all are */
    (void)credit_add_party(READS_SLOWLY, 4096, 3, sharing);
    (void)credit_add_party(READS_ALL, 4096, 4, feeding);
}

void credit_share_run(void)
{
    static const struct credit_case what = {.setup = setup_share, .memory = 3 * MIB};

    credit_run(&what);
}

/* Frames of all sizes up to the greatest, bodies cut wherever, headers up to a whole frame. */
static void setup_frames(void)
{
    static struct lane_spec lanes[3];
    static const uint32_t most[] = {4096, 4097, 8192, 65536, 131072};

    for (int i = 0; i < 3; i++)
        lanes[i] = (struct lane_spec){.to = (int8_t)(i + 1),
                                      .n_from = 1,
                                      .from = {(int8_t)(i + 1)},
                                      .prefetch = (uint16_t)(4 * i),
                                      .count = 25,
                                      .ahead = 8,
                                      .size = i ? 300000 : 20000,
                                      .props = 3900};
    for (int i = 0; i < 3; i++)
        (void)credit_add_party(READS_ALL, most[sim_below(SIM_DRIVER, 5)], 3, lanes);
}

void credit_frames_run(void)
{
    static const struct credit_case what = {.setup = setup_frames, .memory = 24 * MIB};

    credit_run(&what);
}
