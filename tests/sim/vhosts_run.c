/*
 * vhosts_run.c - a vhost comes and goes under its clients, with crashes of every process and of the
 * program; behind each round an audit.
 *
 * Invariants, by the names under which they fail:
 * 1. "nothing of the old": what connections published that were open when the vhost was deleted is
 *    never seen by one that was opened after the deletion was answered.
 * 2. "gone is gone": a vhost whose deletion was answered lets nobody in, until it is made again.
 * 3. "there is there": one that was made is not said to be missing, until it is deleted.
 * 4. "confirmed lasts": what was confirmed is there as long as nobody deletes the vhost.
 * 5. "taken for good": what an audit took does not come again.
 * 6. "answers": every question has an answer or an end once nothing fails any more, and so has what
 *    the node is asked.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"
#include "tests/sim/sim_world.h"
#include "tests/sim/slice.h"
#include "tests/sim/vhosts.h"

enum {
    ANSWER_LIMIT = 100000,
    NODE_CRASHES = 300, /* per million messages, times the run's rate */
};

#define AUDITOR (&vhosts_client[VHOSTS_CLIENTS])

struct sent {
    uint8_t queue;
    bool confirmed, is_over, is_taken;
    bool is_sure;       /* its queue was known to be there, as long as nobody deletes the vhost */
    uint64_t opened_at; /* stamp: its connection */
};

struct vhosts_model vhosts;
struct vhosts_client vhosts_client[VHOSTS_CLIENTS + 1];
const char *const vhosts_queues[VHOSTS_QUEUES] = {"brought", "declared"};
static struct sent sent[VHOSTS_MESSAGES];
static uint32_t n_sent;

uint32_t vhosts_published(struct vhosts_client *c, int queue)
{
    sim_note("sends", (uint64_t)(c - vhosts_client), n_sent + 1, (uint64_t)queue);
    sent[++n_sent] = (struct sent){.queue = (uint8_t)queue,
                                   .is_sure = queue == 0 && vhosts.state == VHOSTS_THERE &&
                                              vhosts.made_at < c->opened_at,
                                   .opened_at = c->opened_at};
    return n_sent;
}

void vhosts_confirmed(const struct vhosts_client *c, uint32_t uid, bool nack)
{
    (void)c;
    sent[uid].confirmed = !nack;
}

void vhosts_seen(const struct vhosts_client *c, uint32_t uid, int queue)
{
    struct sent *m = uid <= n_sent ? &sent[uid] : NULL;
    uint64_t removed_at = sim_is_planted("vhosts-late") ? vhosts.stamp : c->removed_at;

    if (!m || m->queue != queue)
        sim_fail("bytes", "message %u was not published to %s", uid, vhosts_queues[queue]);
    if (m->opened_at < removed_at)
        sim_fail("nothing of the old", "message %u was published before the vhost was deleted",
                 uid);
    if (m->is_taken)
        sim_fail("taken for good", "message %u comes again", uid);
    m->is_taken = c->is_audit;
    vhosts.n_found += c->is_audit;
}

void vhosts_entered(const struct vhosts_client *c)
{
    if (vhosts.state == VHOSTS_GONE && vhosts.removed_at < c->asked_at)
        sim_fail("gone is gone", "a connection is let in");
}

void vhosts_refused(const struct vhosts_client *c, uint16_t code, const char *text)
{
    bool is_missing = c->phase == VHC_OPEN && code == AMQP_CODE_NOT_ALLOWED;

    vhosts.n_refused += is_missing;
    if (code != AMQP_CODE_NOT_ALLOWED && code != AMQP_CODE_CONNECTION_FORCED &&
        code != AMQP_CODE_INTERNAL_ERROR)
        sim_fail("errors", "a connection is closed with %u: %s", code, text);
    if (is_missing && vhosts.state == VHOSTS_THERE && vhosts.changed_at < c->asked_at)
        sim_fail("there is there", "a connection is refused: %s", text);
}

static void act_ready(struct vhosts_client *c)
{
    int queue = (int)sim_below(SIM_DRIVER, VHOSTS_QUEUES);

    switch (sim_below(SIM_DRIVER, 40)) {
    case 0 ... 21:
        if (n_sent + 1 < VHOSTS_MESSAGES)
            vhosts_publish(c, queue);
        break;
    case 22 ... 28:
        vhosts_get(c, queue);
        break;
    case 29 ... 33:
        vhosts_declare(c, 1, false);
        break;
    case 34:
        vhosts_declare(c, 1, true);
        break;
    case 35:
        vhosts_close(c);
        break;
    default:
        break;
    }
}

static void act_operator(void)
{
    if (vhosts_operator_is_busy() || !sim_chance(SIM_DRIVER, 8000))
        return;
    /* Deleted now and then, and soon made again: most is done while it is there. */
    vhosts_operator_ask(vhosts.state == VHOSTS_THERE ? sim_chance(SIM_DRIVER, 800000)
                                                     : sim_chance(SIM_DRIVER, 950000));
}

/* What one client does between two steps. */
static void act_any(void)
{
    struct vhosts_client *c = &vhosts_client[sim_below(SIM_DRIVER, VHOSTS_CLIENTS)];

    act_operator();
    if (c->phase == VHC_NONE) {
        if (sim_chance(SIM_DRIVER, 200000))
            vhosts_connect(c);
        return;
    }
    vhosts_read(c, false);
    if (c->phase == VHC_READY && c->op == 0)
        act_ready(c);
    vhosts_write(c, false);
    if (c->phase != VHC_NONE && sim_chance(SIM_DRIVER, 1500))
        vhosts_drop(c, sim_chance(SIM_DRIVER, 500000));
}

static void was_killed(void)
{
    vhosts_operator_forget();
    for (int i = 0; i <= VHOSTS_CLIENTS; i++)
        vhosts_drop(&vhosts_client[i], false);
}

static void all_talk(void)
{
    for (int i = 0; i <= VHOSTS_CLIENTS; i++) {
        vhosts_write(&vhosts_client[i], true);
        vhosts_read(&vhosts_client[i], true);
        vhosts_write(&vhosts_client[i], true);
    }
}

static void calm(void)
{
    slice.in_calm = true;
    slice_pass(SLICE_CALM_US, all_talk);
    if (vhosts_operator_is_busy())
        sim_fail("answers", "the node does not answer");
    for (int i = 0; i < VHOSTS_CLIENTS; i++) {
        struct vhosts_client *c = &vhosts_client[i];

        if (c->phase != VHC_NONE && c->phase != VHC_READY)
            sim_fail("answers", "client %d is still in phase %d", i, c->phase);
        if (c->op != 0)
            sim_fail("answers", "client %d waits for the answer to %s", i, amqp_method_name(c->op));
        vhosts_close(c);
    }
    slice_pass(SLICE_CALM_US, all_talk);
    slice_crash_rates();
}

/* Until the auditor's question is answered, or it is refused. */
static void wait_for_auditor(void)
{
    for (uint32_t n = 0; AUDITOR->phase != VHC_NONE; n++) {
        if (AUDITOR->phase == VHC_READY && AUDITOR->op == 0)
            return;
        if (n == ANSWER_LIMIT)
            sim_fail("answers", "the auditor waits for ever, in phase %d", AUDITOR->phase);
        all_talk();
        (void)slice_step();
    }
}

static void connect_auditor(void)
{
    vhosts_connect(AUDITOR);
    wait_for_auditor();
}

static void make_it_there(void)
{
    for (uint32_t tries = 0; vhosts.state != VHOSTS_THERE; tries++) {
        if (tries == 20)
            sim_fail("answers", "the vhost cannot be made");
        vhosts_operator_ask(true);
        for (uint32_t n = 0; vhosts_operator_is_busy(); n++) {
            if (n == ANSWER_LIMIT)
                sim_fail("answers", "the node does not answer");
            if (!slice_step())
                sim_pass_us(10000);
        }
    }
}

static void audit_messages(void)
{
    for (uint32_t uid = 1; uid <= n_sent; uid++) {
        struct sent *m = &sent[uid];

        if (!m->is_over && m->is_sure && m->confirmed && !m->is_taken &&
            vhosts.removable_until < m->opened_at)
            sim_fail("confirmed lasts", "message %u is missing", uid);
        m->is_over = true;
    }
}

static void audit(void)
{
    calm();
    AUDITOR->is_audit = true;
    if (vhosts.state == VHOSTS_GONE)
        connect_auditor(); /* vhosts_entered sees to it that it is refused */
    make_it_there();
    connect_auditor();
    if (AUDITOR->phase != VHC_READY)
        sim_fail("there is there", "the auditor is not let in");
    do {
        vhosts_get(AUDITOR, 0);
        wait_for_auditor();
    } while (AUDITOR->phase == VHC_READY && !AUDITOR->is_empty);
    if (AUDITOR->phase != VHC_READY)
        sim_fail("answers", "the auditor is thrown out");
    vhosts_close(AUDITOR);
    slice_pass(SLICE_CALM_US, all_talk);
    if (AUDITOR->phase != VHC_NONE)
        sim_fail("answers", "the auditor waits for close-ok");
    audit_messages();
}

static void disturb(uint32_t steps)
{
    sim_crash_enable(true);
    slice.in_calm = false;
    for (uint32_t i = 0; i < steps; i++) {
        for (uint32_t n = sim_below(SIM_DRIVER, 4); n > 0; n--)
            act_any();
        if (sim_chance(SIM_DRIVER, 300))
            slice.is_dying = true;
        (void)slice_step();
    }
    sim_crash_enable(false);
}

static void shut_down(void)
{
    vhosts_operator_stop();
    while (slice_step())
        continue;
    slice_shutdown();
}

void vhosts_run(void)
{
    static const struct slice_driver driver = {.act = act_any,
                                               .was_killed = was_killed,
                                               .is_ready = vhosts_operator_start,
                                               .crash_times = 4};
    uint32_t rounds = 2 + sim_below(SIM_DRIVER, 4);

    memset(&slice, 0, sizeof(slice));
    memset(&vhosts, 0, sizeof(vhosts));
    memset(vhosts_client, 0, sizeof(vhosts_client));
    n_sent = 0;
    slice.driver = &driver;
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
    shut_down();
    slice_boot();
    audit();
    shut_down();
    sim_note("did", vhosts.n_made, vhosts.n_removed, vhosts.n_refused);
    sim_note("did", n_sent, vhosts.n_found, 0);
    if (sim.verbose)
        printf("%u made, %u removed, %u refused; %u messages, %u found\n", vhosts.n_made,
               vhosts.n_removed, vhosts.n_refused, n_sent, vhosts.n_found);
    slice_disk_free();
    for (int i = 0; i <= VHOSTS_CLIENTS; i++) {
        sim_peer_free(&vhosts_client[i].peer);
        free(vhosts_client[i].waiting);
    }
}
