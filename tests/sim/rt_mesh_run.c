/*
 * rt_mesh_run.c - the driver of the mesh scenario.
 *
 * A number of disturbed steps, in which random actors get random orders and crash at random; then
 * peace, in which everything owed has to arrive; then the end, in which nothing may be left. One
 * seed in four has the program die in the middle first.
 */
#include "tests/sim/rt_scenarios.h"

#include <time.h>

#include "broker/runtime/blob.h"
#include "broker/runtime/runtime.h"
#include "tests/sim/rt_mesh.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/sim_world.h"

enum { WANTED = 14, DRAIN_LIMIT = 200000 };

/* How often each act is ordered, relative to the others. */
static const uint8_t weight[N_ACTS] = {
    [ACT_CAST] = 20,   [ACT_CALL] = 20,  [ACT_CANCEL] = 4,   [ACT_TIMER] = 8,
    [ACT_MONITOR] = 8, [ACT_LINK] = 5,   [ACT_UNLINK] = 3,   [ACT_SIGNAL] = 3,
    [ACT_EXIT] = 1,    [ACT_SPAWN] = 2,  [ACT_SUSPEND] = 2,  [ACT_RESUME] = 4,
    [ACT_ANSWER] = 10, [ACT_MEMORY] = 4, [ACT_CONTINUE] = 2, [ACT_REGISTER] = 1,
};

void scenario_start(void (*on_crash)(const struct crash_report *))
{
    struct rt_config config = {.schedulers = 1, .world = &sim_world, .on_crash = on_crash};
    int r = rt_start(&config);

    if (r < 0)
        sim_fail("simulation", "rt_start gives %d", r);
}

static void check_nothing_left(void)
{
    if (rt_live_procs() != 0)
        sim_fail("nothing alive at the end", "%llu processes", (unsigned long long)rt_live_procs());
    if (rt_live_msgs() != 0)
        sim_fail("nothing leaked", "%llu messages", (unsigned long long)rt_live_msgs());
    if (blob_total_bytes() != 0)
        sim_fail("nothing leaked", "%llu bytes in blobs", (unsigned long long)blob_total_bytes());
    if (sim_net_broker_fds() != 0)
        sim_fail("nothing leaked", "%u descriptors", sim_net_broker_fds());
}

void scenario_end(enum exit_kind root_ends_of)
{
    struct exit_reason why;

    sim_drain(DRAIN_LIMIT);
    if (rt_live_procs() != 0)
        sim_fail("nothing alive at the end", "%llu processes outlive the root",
                 (unsigned long long)rt_live_procs());
    rt_wait(&why);
    if (why.kind != root_ends_of)
        sim_fail("exit signals", "the root ended of %s and not of %s", exit_kind_name(why.kind),
                 exit_kind_name(root_ends_of));
    check_nothing_left();
}

void scenario_kill(void)
{
    sim_note("kill", 0, 0, 0);
    rt_kill_all();
    sim_net_crash();
    check_nothing_left();
}

static void on_crash(const struct crash_report *report)
{
    struct actor *a = model_actor_of(report->pid);

    if (!a)
        sim_fail("exit signals", "a process that nobody made crashed: %s", report->kind);
    sim_note("report", a->uid, report->why.kind, 0);
    if (report->why.kind == EXIT_FAULT)
        sim_fail("exit signals", "actor %u took a fault: %s", a->uid, report->why.text);
    model_ended(a, report->why.kind);
    model_gone(a);
}

static struct actor *random_alive(void)
{
    uint32_t n = model_n_actors(), first = sim_below(SIM_DRIVER, n);

    for (uint32_t i = 0; i < n; i++) {
        struct actor *a = model_actor(1 + (first + i) % n);

        if (!a->gone)
            return a;
    }
    sim_fail("exit signals", "the root is dead");
}

static enum act random_act(void)
{
    uint32_t sum = 0, at;
    unsigned i = 0;

    for (unsigned k = 0; k < N_ACTS; k++)
        sum += weight[k];
    for (at = sim_below(SIM_DRIVER, sum); at >= weight[i]; i++)
        at -= weight[i];
    return (enum act)i;
}

static void disturb(void)
{
    /* Mostly the living; sometimes whoever there was, since the dead get mail too. */
    uint32_t target = sim_chance(SIM_DRIVER, 900000) ? random_alive()->uid
                                                     : 1 + sim_below(SIM_DRIVER, model_n_actors());
    struct actor *who = random_alive();
    enum act what = random_act(); /* one draw a statement: any compiler gives the same run */

    if (model_n_alive() < WANTED && sim_chance(SIM_DRIVER, 100000))
        mesh_act(who, ACT_SPAWN, 1);
    else if (sim_chance(SIM_DRIVER, 400000))
        mesh_act(who, what, target);
}

static bool step_checked(void)
{
    bool more = sim_step();

    model_check_step();
    mesh_check_names();
    return more;
}

static void drain_checked(void)
{
    for (uint32_t i = 0; i < DRAIN_LIMIT; i++)
        if (!step_checked())
            return;
    sim_fail("quiescence", "%d steps later there is still something to do", DRAIN_LIMIT);
}

static void start_mesh(void)
{
    struct spawn spec = {.ops = &mesh_root_ops, .flags = PROC_TRAP_EXIT};
    struct actor *root;

    model_init();
    mesh_init();
    scenario_start(on_crash);
    root = model_new_actor(0, PROC_TRAP_EXIT);
    spec.arg = mesh_arg(root->uid, false);
    root->pid = rt_spawn_root(&spec);
    for (int i = 0; i < WANTED / 2; i++)
        mesh_act(root, ACT_SPAWN, 1);
}

/* What a planted bug lets into the run: something that does not follow from the seed. */
static uint64_t world_real_clock(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_nsec;
}

static void run_disturbed(uint32_t steps)
{
    sim_crash_enable(true);
    for (uint32_t i = 0; i < steps; i++) {
        /* In bursts, so that many are ready at once. */
        for (uint32_t n = sim_chance(SIM_DRIVER, 50000) ? 20 : 1; n > 0; n--)
            disturb();
        (void)step_checked(); /* idle steps are part of it */
        if (sim_is_planted("unseeded"))
            sim_note("machine", world_real_clock(), 0, 0);
    }
    sim_crash_enable(false);
}

/* To all that live; those that were suspended are woken by the root first. */
static void order_all(enum act what, bool with_root)
{
    for (uint32_t uid = 2; uid <= model_n_actors(); uid++)
        if (!model_actor(uid)->gone)
            mesh_act(model_actor(uid), what, 1);
    if (with_root)
        mesh_act(model_actor(1), what, 1);
}

/* Whether somebody was suspended: whoever goes on may still have orders to suspend another. */
static bool resume_all(void)
{
    bool any = false;

    drain_checked();
    for (uint32_t uid = 2; uid <= model_n_actors(); uid++) {
        if (!model_actor(uid)->suspended || model_actor(uid)->gone)
            continue;
        mesh_act(model_actor(1), ACT_RESUME, uid);
        any = true;
    }
    return any;
}

static void settle(void)
{
    while (resume_all())
        continue;
    /* An answer may be a forward that is kept again: until nobody keeps anything. */
    for (int i = 0; i < 4; i++) {
        order_all(ACT_SETTLE, true);
        drain_checked();
    }
    model_check_quiet();
}

void mesh_run(void)
{
    sim_crash_set("mesh-actor", 2000);
    sim_crash_set("mesh-blocking", 4000);
    if (sim_below(SIM_DRIVER, 4) == 0) {
        start_mesh();
        run_disturbed(sim_below(SIM_DRIVER, sim.steps));
        scenario_kill();
        model_fini();
    }
    start_mesh();
    run_disturbed(sim.steps);
    settle();
    order_all(ACT_STOP, false);
    drain_checked();
    if (model_n_alive() != 1 || rt_live_procs() != 1)
        sim_fail("nothing alive at the end", "%u actors were told to end and live",
                 model_n_alive() - 1);
    mesh_act(model_actor(1), ACT_STOP, 1);
    scenario_end(EXIT_NORMAL);
    if (mesh_live_messages() != 0)
        sim_fail("nothing leaked", "%lld numbered messages", (long long)mesh_live_messages());
    model_fini();
}
