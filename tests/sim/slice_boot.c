/*
 * slice_boot.c - the program under the scenario: its disk, its start, its crashes, its ends.
 *
 * Invariants, by the names under which they fail:
 * 1. "no crash of its own": a process fails only where the simulation told it to, or its disk did.
 * 2. "ready": a start ends with listeners that accept, whatever the last run left.
 * 3. "nothing alive at the end", "nothing leaked": processes, messages, blobs, descriptors.
 */
#include <stdio.h>
#include <string.h>

#include "broker/core/config.h"
#include "broker/core/log.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/runtime.h"
#include "broker/tree.h"
#include "persistence/store.h"
#include "queues/invariant.h"
#include "tests/faults/crash_vfs.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/sim_world.h"
#include "tests/sim/slice.h"

enum {
    BOOT_LIMIT = 20000,
    END_LIMIT = 200000,
    CRASHES_OF_A_KIND = 3, /* between two calms; more would use up what supervisors allow */
    SQLITE_IS_FULL = 13,
    SQLITE_FAILED_IO = 10,
};

static const struct {
    const char *kind;
    uint32_t per_million;
    bool is_failure, is_front; /* what slice.failures and slice.front_failures count */
} kinds[] = {
    {"connection", 150, true, true},  {"channel", 250, true, true},
    {"queue", 400, true, false},      {"exchange", 3000, false, false},
    {"registry", 2000, false, false}, {"store", 1500, false, false},
    {"listener", 3000, false, false}, {"supervisor", 1000, true, true},
};
enum { N_KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static struct {
    struct crash_fs *disk;
    struct world world;
    uint32_t n[N_KINDS]; /* crashes of each kind since the last calm */
    uint32_t rate;       /* of this run, in percent */
    bool in_sync;
    bool disk_fails;
    uint64_t blobs, msgs; /* before the first start */
} boot;

/* Where topology is what a scenario is about, its keepers crash more often. */
static uint32_t keeper_times(const char *kind)
{
    bool is_keeper = strcmp(kind, "registry") == 0 || strcmp(kind, "exchange") == 0;

    if (sim_is_planted("forget-row") || sim_is_planted("keep-bindings"))
        return 0; /* what no start and no calm has seen yet is not seen by a crash first */
    return slice.profile && is_keeper ? slice.profile->crashes : 1;
}

void slice_crash_rates(void)
{
    uint32_t times = slice.driver->crash_times ? slice.driver->crash_times : 1;

    memset(boot.n, 0, sizeof(boot.n));
    slice.supervisor_failures = 0;
    for (int i = 0; i < N_KINDS; i++)
        sim_crash_set(kinds[i].kind,
                      kinds[i].per_million * boot.rate / 100 * times * keeper_times(kinds[i].kind));
}

static int kind_of(const char *kind)
{
    for (int i = 0; i < N_KINDS; i++)
        if (strcmp(kinds[i].kind, kind) == 0)
            return i;
    return -1;
}

static void note_failure(int kind)
{
    if (++boot.n[kind] >= CRASHES_OF_A_KIND)
        sim_crash_set(kinds[kind].kind, 0);
    slice.front_failures += kinds[kind].is_front;
    if (kinds[kind].is_front)
        slice.front_failed_us = sim_now_us();
    slice.failures += kinds[kind].is_failure;
    slice.supervisor_failures += strcmp(kinds[kind].kind, "supervisor") == 0;
    slice.listener_failures += strcmp(kinds[kind].kind, "listener") == 0;
    slice.store_failures += strcmp(kinds[kind].kind, "store") == 0;
    if (kinds[kind].is_failure && strcmp(kinds[kind].kind, "connection") != 0)
        facts_of_queue_loss();
}

/* Who is told by a signal or by another's end is not guilty of it. */
static bool is_excused(const struct crash_report *r)
{
    if (strcmp(r->why.text, "injected by the world") == 0)
        return true;
    if (r->why.kind == EXIT_KILLED || r->why.kind == EXIT_SHUTDOWN)
        return true;
    return strstr(r->kind, "store") && (boot.disk_fails || slice.is_dying);
}

static void on_crash(const struct crash_report *r)
{
    int kind = kind_of(r->kind);

    sim_note("report", (uint64_t)(kind + 1), r->why.kind, r->msg_type);
    if (!is_excused(r))
        sim_fail("no crash of its own", "%s (%s), message %#x: %s, %s (%s:%d)", r->name, r->kind,
                 r->msg_type, exit_kind_name(r->why.kind), r->why.text,
                 r->why.file ? r->why.file : "-", r->why.line);
    if (r->pid == slice.root)
        slice.is_dying = true; /* the root's end is the program's */
    if (kind >= 0)
        note_failure(kind);
}

/* While the disk works others go on, and the program may die here. */
static enum crash_sync on_sync(void *ctx, const char *file)
{
    (void)ctx;
    (void)file;
    if (boot.in_sync || slice.is_dying)
        return CRASH_SYNC_DO;
    boot.in_sync = true;
    for (uint32_t n = sim_below(SIM_DISK, 12); n > 0; n--) {
        if (!slice.in_calm && slice.port)
            slice.driver->act();
        rt_step_others(1 + sim_below(SIM_DISK, 3));
    }
    boot.in_sync = false;
    sim_note("sync", crash_fs_syncs(boot.disk), 0, 0);
    /* A bug that only shows in this moment gets more of them. */
    if (slice.in_calm || sim_is_planted("forget-row") ||
        !sim_chance(SIM_DISK, sim_is_planted("confirm-early") ? 60000 : 6000))
        return CRASH_SYNC_DO;
    slice.is_dying = true;
    return sim_chance(SIM_DISK, 500000) ? CRASH_SYNC_DIE_BEFORE : CRASH_SYNC_DIE_AFTER;
}

void slice_disk_new(void)
{
    char text[256];

    memset(&boot, 0, sizeof(boot));
    boot.disk = crash_fs_new("simulated");
    crash_fs_on_sync(boot.disk, on_sync, NULL);
    boot.world = sim_world;
    boot.world.vfs = "simulated";
    boot.rate = sim_below(SIM_DRIVER, 4) * 50; /* some runs without, some with many */
    boot.blobs = blob_total_bytes();
    boot.msgs = rt_live_msgs();
    config_reset();
    if (config_set("data_dir", "sim", text, sizeof(text)) < 0 ||
        config_set("listeners.tcp.default", "0", text, sizeof(text)) < 0)
        sim_fail("simulation", "%s", text);
    log_mute();
    queue_check_invariants = true;
    /* In most runs only a few messages stay in memory. */
    queue_limits.resident_bytes = sim_below(SIM_DISK, 4) * 100;
    queue_limits.run_messages = 1 + sim_below(SIM_DISK, 8);
    store_tuning.cold_us = 20000 * (1 + sim_below(SIM_DISK, 10));
    store_tuning.still_us = 10 * store_tuning.cold_us;
    store_tuning.min_extents = 2 + sim_below(SIM_DISK, 3);
    queue_limits.run_bytes = sim_chance(SIM_DISK, 500000) ? 1 : 1 << 20;
    queue_limits.page_above = sim_chance(SIM_DISK, 500000) ? 1 : 0;
    queue_limits.page_keep = sim_below(SIM_DISK, 4) * 100;
    if (sim.plant)
        (void)queue_plant_set(sim.plant); /* other bugs are planted elsewhere */
}

void slice_disk_free(void)
{
    crash_fs_free(boot.disk);
    config_reset();
}

void slice_disk_fail(void)
{
    uint32_t n;

    if (boot.n[kind_of("store")] >= CRASHES_OF_A_KIND)
        return;
    boot.disk_fails = true;
    n = 1 + sim_below(SIM_DISK, 40); /* by itself, as the order of arguments is the compiler's */
    crash_fs_fail(boot.disk, n, sim_chance(SIM_DISK, 500000) ? SQLITE_IS_FULL : SQLITE_FAILED_IO,
                  false);
}

static void on_ready(uint16_t amqp_port, uint16_t mgmt_port)
{
    (void)mgmt_port;
    if (!sim_is_planted("slice-unready"))
        slice.port = amqp_port;
    if (slice.driver->is_ready)
        slice.driver->is_ready();
}

static void check_nothing_left(void)
{
    if (rt_live_procs() != 0)
        sim_fail("nothing alive at the end", "%llu processes", (unsigned long long)rt_live_procs());
    if (rt_live_msgs() != boot.msgs)
        sim_fail("nothing leaked", "%llu messages", (unsigned long long)rt_live_msgs());
    if (blob_total_bytes() != boot.blobs)
        sim_fail("nothing leaked", "%llu bytes in blobs",
                 (unsigned long long)(blob_total_bytes() - boot.blobs));
    if (sim_net_broker_fds() != 0)
        sim_fail("nothing leaked", "%u descriptors", sim_net_broker_fds());
}

static void start(void)
{
    struct rt_config config = {.schedulers = 1, .world = &boot.world, .on_crash = on_crash};
    struct tree_options options = {.with_alarms = slice.driver->with_alarms, .on_ready = on_ready};
    int r = rt_start(&config);

    if (r < 0)
        sim_fail("simulation", "rt_start gives %d", r);
    slice.port = 0;
    slice.is_dying = false;
    slice.root = tree_start(&options);
    slice_crash_rates();
}

static void was_killed(void)
{
    slice.failures++;
    slice.front_failures++;
    slice.driver->was_killed();
}

void slice_boot(void)
{
    uint32_t n = 0;

    sim_note("boot", slice.did.ends, 0, 0);
    start();
    while (!slice.port) {
        if (n++ == BOOT_LIMIT)
            sim_fail("ready", "not after %u steps", BOOT_LIMIT);
        if (!slice_step() && !slice.port && !slice.is_dying)
            sim_fail("ready", "nothing is left to do, and nobody listens");
    }
}

/* The program dies: of a signal, or with the machine. What clients are told of it is a reset. */
void slice_kill(bool power)
{
    sim_note("kill", power, 0, 0);
    slice.did.ends++;
    if (power)
        crash_fs_cut(boot.disk, sim_random(SIM_DISK));
    else
        crash_fs_kill(boot.disk);
    rt_kill_all();
    boot.disk_fails = false;
    crash_fs_fail(boot.disk, 0, 0, false);
    check_nothing_left();
    sim_net_crash();
    slice.port = 0;
    slice.is_dying = false;
    was_killed();
}

void slice_shutdown(void)
{
    struct exit_reason why;

    if (sim_is_planted("slice-leak-blob"))
        (void)blob_copy("lost", 4);
    if (sim_is_planted("slice-leak-message"))
        (void)msg_new(MSG_USER, sizeof(struct msg), NULL);
    if (!sim_is_planted("slice-unheard"))
        rt_signal(slice.root, EXIT_SHUTDOWN, "signal");
    for (uint32_t n = 0; n < END_LIMIT && sim_step(); n++)
        continue;
    if (rt_live_procs() > 0)
        sim_fail("nothing alive at the end", "%llu processes", (unsigned long long)rt_live_procs());
    rt_wait(&why);
    if (!exit_is_normal(&why))
        sim_fail("nothing alive at the end", "the root ended of %s: %s", exit_kind_name(why.kind),
                 why.text);
    check_nothing_left();
    slice.port = 0;
    was_killed();
}
