/*
 * tx_run.c - the scenario of transactions: rounds of disturbance with crashes of every process and
 * of the program, and an audit behind each that takes out of the queues all there is.
 */
#include <string.h>

#include "tests/sim/sim.h"
#include "tests/sim/sim_world.h"
#include "tests/sim/slice.h"
#include "tests/sim/tx.h"

enum {
    ANSWER_LIMIT = 100000,
};

#define AUDITOR (&txs_client[TXS_CLIENTS])

struct txs_client txs_client[TXS_CLIENTS + 1];
const char *const txs_queues[TXS_QUEUES] = {"lasting-0", "lasting-1", "lasting-2", "passing"};

static void act_ready(struct txs_client *c)
{
    int queue = (int)sim_below(SIM_DRIVER, TXS_QUEUES);

    switch (sim_below(SIM_DRIVER, 46)) {
    case 0 ... 15:
        txs_publish(c, queue, sim_chance(SIM_DRIVER, 750000));
        break;
    case 16 ... 23:
        if (c->n_held < TXS_HELD)
            txs_get(c, queue, false);
        break;
    case 24 ... 30:
        if (c->n_held > 0)
            txs_settle(c, sim_below(SIM_DRIVER, c->n_held), sim_chance(SIM_DRIVER, 300000));
        break;
    case 31 ... 36:
        txs_end(c, true);
        break;
    case 37:
        txs_end(c, false);
        break;
    case 38:
        if (sim_chance(SIM_DRIVER, 200000))
            txs_close(c);
        break;
    case 39 ... 42:
        txs_publish_fleeing(c, sim_chance(SIM_DRIVER, 750000));
        break;
    case 43:
        txs_renew_fleeing(c);
        break;
    default:
        break;
    }
}

/* What one client does between two steps. */
static void act_any(void)
{
    struct txs_client *c = &txs_client[sim_below(SIM_DRIVER, TXS_CLIENTS)];

    if (c->phase == TXS_NONE) {
        if (sim_chance(SIM_DRIVER, 200000))
            txs_connect(c);
        return;
    }
    txs_read(c, false);
    if (c->phase == TXS_READY && c->op == 0 && !txs_model_is_full())
        act_ready(c);
    txs_write(c, false);
    if (c->phase != TXS_NONE && sim_chance(SIM_DRIVER, 1500))
        txs_drop(c, sim_chance(SIM_DRIVER, 500000));
}

static void was_killed(void)
{
    for (int i = 0; i <= TXS_CLIENTS; i++)
        txs_drop(&txs_client[i], false);
}

static void all_talk(void)
{
    for (int i = 0; i <= TXS_CLIENTS; i++) {
        txs_write(&txs_client[i], true);
        txs_read(&txs_client[i], true);
        txs_write(&txs_client[i], true);
    }
}

static void calm(void)
{
    slice.in_calm = true;
    slice_pass(SLICE_CALM_US, all_talk);
    for (int i = 0; i < TXS_CLIENTS; i++) {
        struct txs_client *c = &txs_client[i];

        if (c->phase != TXS_NONE && c->phase != TXS_READY)
            sim_fail("answers", "client %d is still in phase %d", i, c->phase);
        if (c->op != 0)
            sim_fail("answers", "client %d waits for the answer to %s", i, amqp_method_name(c->op));
        if (sim_chance(SIM_DRIVER, 300000))
            txs_drop(c, true);
        else
            txs_close(c);
    }
    slice_pass(SLICE_CALM_US, all_talk);
    slice_crash_rates();
}

static void wait_for_auditor(void)
{
    for (uint32_t n = 0; AUDITOR->phase != TXS_READY || AUDITOR->op != 0; n++) {
        if (n == ANSWER_LIMIT)
            sim_fail("answers", "the auditor waits for ever, in phase %d", AUDITOR->phase);
        if (AUDITOR->phase == TXS_NONE)
            txs_connect(AUDITOR);
        all_talk();
        (void)slice_step();
    }
}

static void audit(void)
{
    calm();
    AUDITOR->is_audit = true;
    txs_audit_begin();
    for (int q = 0; q < TXS_QUEUES; q++) {
        do {
            wait_for_auditor();
            txs_get(AUDITOR, q, true);
            wait_for_auditor();
        } while (!AUDITOR->is_empty);
    }
    txs_close(AUDITOR);
    slice_pass(SLICE_CALM_US, all_talk);
    if (AUDITOR->phase != TXS_NONE)
        sim_fail("answers", "the auditor waits for close-ok");
    txs_audit_end();
}

static void disturb(uint32_t steps)
{
    sim_crash_enable(true);
    slice.in_calm = false;
    for (uint32_t i = 0; i < steps; i++) {
        for (uint32_t n = sim_below(SIM_DRIVER, 4); n > 0; n--)
            act_any();
        if (sim_chance(SIM_DRIVER, 500))
            slice_disk_fail();
        if (sim_chance(SIM_DRIVER, 300))
            slice.is_dying = true;
        (void)slice_step();
    }
    sim_crash_enable(false);
}

void tx_run(void)
{
    static const struct slice_driver driver = {
        .act = act_any, .was_killed = was_killed, .crash_times = 8};
    uint32_t rounds = 2 + sim_below(SIM_DRIVER, 5);

    memset(&slice, 0, sizeof(slice));
    memset(txs_client, 0, sizeof(txs_client));
    slice.driver = &driver;
    txs_model_init();
    slice_disk_new();
    slice_boot();
    for (uint32_t i = 0; i < rounds; i++) {
        disturb(sim.steps / rounds);
        if (sim_chance(SIM_DRIVER, 400000)) {
            slice_kill(sim_chance(SIM_DRIVER, 600000));
            slice_boot();
        }
        audit();
    }
    slice_shutdown();
    slice_boot();
    audit();
    slice_shutdown();
    txs_note_did();
    slice_disk_free();
    for (int i = 0; i <= TXS_CLIENTS; i++)
        sim_peer_free(&txs_client[i].peer);
}
