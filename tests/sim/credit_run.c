/*
 * credit_run.c - a case from its start to its end: disturbance, calm, what is left, a clean end.
 */
#include <stdlib.h>
#include <string.h>

#include "broker/runtime/blob.h"
#include "broker/runtime/runtime.h"
#include "tests/sim/credit.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/sim_probe.h"
#include "tests/sim/sim_world.h"

enum {
    STUCK_US = 20 * 1000 * 1000, /* longer than all that waits for something to come back */
    PUMP_LIMIT = 8000000,
    COUNT_STEPS = 100, /* between two countings of heaps */
    SERVED = 40,       /* lanes of a party between two steps of a calm */
    SPARE = 5,         /* messages beyond what permits allow */
};

struct credit credit;

struct party *credit_add_party(enum reading reading, uint32_t frame_max, uint32_t n_lanes,
                               const struct lane_spec *lanes)
{
    struct party *p = &credit.party[credit.n_parties++];

    if (credit.n_parties > CREDIT_PARTIES)
        sim_fail("simulation", "too many parties");
    p->reading = reading;
    p->peer.frame_max = frame_max;
    p->n_lanes = n_lanes;
    p->lane = calloc(n_lanes, sizeof(*p->lane));
    if (!p->lane)
        sim_fail("simulation", "no memory");
    for (uint32_t i = 0; i < n_lanes; i++) {
        p->lane[i].spec = &lanes[i];
        p->lane[i].party = p;
        p->lane[i].number = (uint16_t)(i + 1);
        p->lane[i].left = lanes[i].count;
    }
    return p;
}

void credit_check_memory(void)
{
    uint64_t now = blob_total_bytes() + sim_probe_heaps();

    if (sim.step % COUNT_STEPS == 0)
        sim_probe_ask();
    if (now > credit.most)
        credit.most = now;
    if (credit.base > 0 && now > credit.base + credit.what->memory)
        sim_fail("memory", "%llu KiB in blobs, %llu KiB in heaps; %llu KiB when idle",
                 (unsigned long long)blob_total_bytes() / 1024,
                 (unsigned long long)sim_probe_heaps() / 1024,
                 (unsigned long long)credit.base / 1024);
}

/* What follows from what just happened. */
static void look(void)
{
    if (credit.failures_seen != slice.failures) {
        credit_note_failures();
        credit.progress_us = sim_now_us();
    }
    credit_check_memory();
}

/* Whether it is not set up; one that was closed is opened again after a while. */
static bool open_again(struct lane *l)
{
    if (l->phase == LANE_NONE && l->party->phase == PARTY_RUNNING && sim_now_us() >= l->retry_us)
        lane_open(l);
    return l->phase != LANE_RUNNING;
}

static void act_lane(struct lane *l)
{
    uint32_t r = sim_below(SIM_DRIVER, 100);

    if (open_again(l))
        return;
    if (r < 60 && lane_may_publish(l)) {
        for (uint32_t n = 1 + sim_below(SIM_DRIVER, 6); n > 0 && lane_may_publish(l); n--)
            lane_publish(l);
    } else if (l->n_held > 0) {
        lane_settle(l, sim_below(SIM_DRIVER, l->n_held), sim_chance(SIM_DRIVER, 300000), r >= 90);
    }
}

static void act_party(struct party *p)
{
    bool slow = p->reading == READS_SLOWLY;
    uint32_t r = sim_below(SIM_DRIVER, 1000);

    if (p->phase == PARTY_NONE)
        party_connect(p);
    else if (r > 700)
        party_read(p, !slow && p->n_lanes <= 64);
    else if (r > 450)
        party_write(p, false);
    else if (r > 0)
        act_lane(&p->lane[sim_below(SIM_DRIVER, p->n_lanes)]);
    else if (sim_chance(SIM_DRIVER, 500000))
        party_drop(p, sim_chance(SIM_DRIVER, 500000));
}

static void act_any(void)
{
    if (credit.n_parties > 0)
        act_party(&credit.party[sim_below(SIM_DRIVER, credit.n_parties)]);
}

static void was_killed(void)
{
    for (uint32_t i = 0; i < credit.n_parties; i++)
        party_drop(&credit.party[i], false);
    if (credit.what->was_killed)
        credit.what->was_killed();
    sim_probe_forget();
    credit_note_failures();
}

static void is_ready(void)
{
    sim_probe_start();
}

static void disturb(uint32_t steps)
{
    sim_crash_enable(true);
    slice.in_calm = false;
    for (uint32_t i = 0; i < steps; i++) {
        for (uint32_t n = sim_below(SIM_DRIVER, 4); n > 0; n--)
            act_any();
        if (sim_chance(SIM_DRIVER, 200))
            slice_disk_fail();
        if (sim_chance(SIM_DRIVER, 100))
            slice.is_dying = true;
        if (credit.what->disturb)
            credit.what->disturb();
        (void)slice_step();
        look();
    }
    sim_crash_enable(false);
    slice.in_calm = true;
}

static void serve_lane(struct lane *l)
{
    if (open_again(l))
        return;
    for (uint32_t n = 16; n > 0 && lane_may_publish(l); n--)
        lane_publish(l);
    if (l->n_held > 0 && !credit.holds)
        lane_settle(l, l->n_held - 1, true, false);
}

void credit_pump(void)
{
    for (uint32_t i = 0; i < credit.n_parties; i++) {
        struct party *p = &credit.party[i];

        if (p->phase == PARTY_NONE)
            party_connect(p);
        party_write(p, true);
        party_read(p, true);
        for (uint32_t k = 0; k < p->n_lanes && k < SERVED; k++)
            serve_lane(&p->lane[p->turn++ % p->n_lanes]);
        party_write(p, true);
    }
    if (!slice_step())
        sim_pass_us(10000); /* nothing is to come: neither a message nor a timer */
    look();
}

void credit_pass(uint64_t us)
{
    uint64_t until = sim_now_us() + us;

    while (sim_now_us() < until)
        credit_pump();
}

static bool lane_is_done(const struct lane *l)
{
    return l->phase == LANE_RUNNING && l->left == 0 && l->n_waiting == 0 &&
           (l->n_held == 0 || credit.holds);
}

/* Whether all that is in this queue comes to somebody who reads. */
static bool is_drained(int queue)
{
    bool drained = false;

    for (uint32_t i = 0; i < credit.n_parties; i++) {
        const struct party *p = &credit.party[i];

        for (uint32_t k = 0; k < p->n_lanes; k++) {
            for (uint32_t c = 0; c < p->lane[k].spec->n_from; c++) {
                if (p->lane[k].spec->from[c] != queue)
                    continue;
                if (p->reading == READS_NEVER)
                    return false;
                drained = true;
            }
        }
    }
    return drained;
}

static bool is_done(void)
{
    for (uint32_t i = 0; i < credit.n_parties; i++) {
        const struct party *p = &credit.party[i];

        if (p->is_off || party_is_deaf(p))
            continue;
        if (p->phase != PARTY_RUNNING || p->is_blocked)
            return false;
        for (uint32_t k = 0; k < p->n_lanes; k++)
            if (!lane_is_done(&p->lane[k]))
                return false;
    }
    for (int q = 0; q < CREDIT_QUEUES && !credit.holds; q++)
        if (credit.due[q] > 0 && is_drained(q))
            return false;
    return true;
}

__attribute__((noreturn)) static void say_stuck(void)
{
    for (uint32_t i = 0; i < credit.n_parties; i++) {
        const struct party *p = &credit.party[i];

        if (p->is_off || party_is_deaf(p))
            continue;
        if (p->phase != PARTY_RUNNING || p->is_blocked)
            sim_fail("no deadlock", "party %u is in phase %d%s", p->uid, p->phase,
                     p->is_blocked ? ", blocked" : "");
        for (uint32_t k = 0; k < p->n_lanes; k++) {
            const struct lane *l = &p->lane[k];

            if (!lane_is_done(l))
                sim_fail("no deadlock",
                         "lane %u (party %u): phase %d, step %u, %u to publish, %u confirms, "
                         "%u held; %u bytes are not taken",
                         l->uid, p->uid, l->phase, l->step, l->left, l->n_waiting, l->n_held,
                         p->peer.n_out);
        }
    }
    for (int q = 0; q < CREDIT_QUEUES; q++)
        if (credit.due[q] > 0 && is_drained(q))
            sim_fail("no deadlock", "%u messages of %s do not come", credit.due[q],
                     credit_queue_name(q));
    sim_fail("no deadlock", "nothing happens");
}

void credit_finish(void)
{
    uint32_t n = 0;

    credit.progress_us = sim_now_us();
    while (!is_done()) {
        credit_pump();
        if (n++ == PUMP_LIMIT || sim_now_us() - credit.progress_us > STUCK_US)
            say_stuck();
    }
}

/* Until nothing was confirmed, delivered or answered for so long. */
static void wait_for_quiet(uint64_t us)
{
    uint32_t n = 0;

    credit.progress_us = sim_now_us();
    while (sim_now_us() - credit.progress_us < us) {
        credit_pump();
        if (n++ == PUMP_LIMIT)
            sim_fail("no deadlock", "there is no end of deliveries");
    }
}

/* What all consumers of a queue may hold together; UINT32_MAX: one of them as many as come. */
static uint32_t room_at(int queue)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < credit.n_parties; i++) {
        for (uint32_t k = 0; k < credit.party[i].n_lanes; k++) {
            const struct lane_spec *s = credit.party[i].lane[k].spec;

            for (uint32_t c = 0; c < s->n_from; c++) {
                if (s->from[c] == queue && s->prefetch == 0)
                    return UINT32_MAX;
                n += s->from[c] == queue ? s->prefetch : 0;
            }
        }
    }
    return n;
}

static void check_holding(const struct lane *l)
{
    const struct lane_spec *s = l->spec;
    uint32_t expected = s->is_shared ? s->prefetch : s->prefetch * s->n_from;

    for (uint32_t c = 0; c < s->n_from; c++)
        if (room_at(s->from[c]) == UINT32_MAX)
            return;
    if (sim_is_planted("credit-lose-permit") && s->n_from > 0)
        expected++;
    if (l->n_held != expected)
        sim_fail("permits", "lane %u holds %u messages, and its prefetch gives it %u", l->uid,
                 l->n_held, expected);
}

/* Every consumer's room is filled, to the last permit, and emptied again. */
static void check_permits(void)
{
    static struct lane_spec spec[CREDIT_QUEUES];
    struct party *prober;
    uint32_t n = 0;

    for (int q = 0; q < CREDIT_QUEUES; q++) {
        uint32_t room = is_drained(q) ? room_at(q) : 0;

        if (room > 0)
            spec[n++] = (struct lane_spec){.to = (int8_t)q,
                                           .count = (room == UINT32_MAX ? 0 : room) + SPARE,
                                           .ahead = UINT32_MAX,
                                           .size = 300};
    }
    if (n == 0)
        return;
    prober = credit_add_party(READS_ALL, 4096, n, spec);
    credit.holds = true;
    credit_finish();
    wait_for_quiet(3000000);
    for (uint32_t i = 0; i < credit.n_parties; i++)
        for (uint32_t k = 0; k < credit.party[i].n_lanes; k++)
            if (credit.party[i].reading != READS_NEVER)
                check_holding(&credit.party[i].lane[k]);
    credit.holds = false;
    credit_finish();
    prober->is_off = true;
    party_close(prober);
}

static void all_leave(void)
{
    for (uint32_t i = 0; i < credit.n_parties; i++) {
        credit.party[i].is_off = true;
        if (sim_chance(SIM_DRIVER, 300000))
            party_drop(&credit.party[i], sim_chance(SIM_DRIVER, 500000));
        else
            party_close(&credit.party[i]);
    }
    credit_pass(2000000);
    for (uint32_t i = 0; i < credit.n_parties; i++)
        if (credit.party[i].phase != PARTY_NONE)
            sim_fail("answers", "party %u waits for close-ok", credit.party[i].uid);
}

/* Everything is taken out of every queue: then nothing is due any more. */
static void empty_queues(void)
{
    static const struct lane_spec spec[] = {
        {.to = NO_QUEUE, .n_from = 4, .from = {0, 1, 2, 3}, .prefetch = 200},
        {.to = NO_QUEUE, .n_from = 4, .from = {4, 5, 6, 7}, .prefetch = 200},
    };

    (void)credit_add_party(READS_ALL, 131072, 2, spec); /* the last */
    wait_for_quiet(STUCK_US);
    if (sim_is_planted("credit-forget"))
        credit.due[0]++;
    for (int q = 0; q < CREDIT_QUEUES; q++)
        if (credit.due[q] > 0)
            sim_fail("confirmed lasts", "%u messages are not in %s", credit.due[q],
                     credit_queue_name(q));
    all_leave();
}

static void fini(void)
{
    slice_disk_free();
    for (uint32_t i = 0; i < credit.n_parties; i++) {
        sim_peer_free(&credit.party[i].peer);
        free(credit.party[i].lane);
    }
    free(credit.message);
}

void credit_run(const struct credit_case *what)
{
    struct slice_driver driver = {.act = act_any,
                                  .was_killed = was_killed,
                                  .is_ready = is_ready,
                                  .with_alarms = what->with_alarms};

    memset(&slice, 0, sizeof(slice));
    memset(&credit, 0, sizeof(credit));
    slice.driver = &driver;
    credit.what = what;
    sim_net_least_ring(what->least_ring);
    slice.in_calm = true;
    slice_disk_new();
    slice_boot();
    while (sim_probe_heaps() == 0)
        credit_pump();
    credit.base = blob_total_bytes() + sim_probe_heaps();
    what->setup();
    disturb(sim.steps);
    if (what->begin_calm)
        what->begin_calm();
    credit_finish();
    slice_crash_rates();
    check_permits();
    if (what->calm)
        what->calm();
    all_leave();
    if (sim_chance(SIM_DRIVER, 500000)) {
        slice_kill(sim_chance(SIM_DRIVER, 600000));
        slice_boot();
    }
    empty_queues();
    sim_probe_stop();
    slice_shutdown();
    sim_note("did", credit.did.confirms, credit.did.deliveries, credit.most / 1024);
    sim_note("was told", credit.did.returns, credit.did.blocks, credit.did.downs);
    fini();
}
