/*
 * sim_world.c - clock, random numbers, order and crashes of the simulation.
 */
#include "tests/sim/sim_world.h"

#include <string.h>

#include "tests/sim/sim.h"
#include "tests/sim/sim_net.h"

enum { MAX_KINDS = 32 };

struct rng { /* xoshiro256** */
    uint64_t s[4];
};

static struct {
    struct rng rng[SIM_STREAMS];
    uint64_t now_ns;
    int64_t wall_offset_ms;
    struct {
        const char *kind;
        uint32_t per_million;
    } crash[MAX_KINDS];
    unsigned n_kinds;
    bool crash_on;
    uint32_t n_crashes;
} w;

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

static uint64_t splitmix(uint64_t *x)
{
    uint64_t z = *x += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t sim_random(enum sim_stream from)
{
    uint64_t *s = w.rng[from].s;
    uint64_t result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint32_t sim_below(enum sim_stream from, uint32_t n)
{
    return n ? (uint32_t)(((sim_random(from) >> 32) * n) >> 32) : 0;
}

bool sim_chance(enum sim_stream from, uint32_t per_million)
{
    return per_million > 0 && sim_below(from, 1000000) < per_million;
}

void sim_world_init(uint64_t seed)
{
    memset(&w, 0, sizeof(w));
    for (int i = 0; i < SIM_STREAMS; i++)
        for (int k = 0; k < 4; k++)
            w.rng[i].s[k] = splitmix(&seed);
    w.now_ns = 1000000000; /* not 0: a bug that forgets to set a time must not look right */
    sim_net_init();
}

void sim_world_fini(void)
{
    sim_net_fini();
}

uint64_t sim_now_us(void)
{
    return w.now_ns / 1000;
}

void sim_pass_us(uint64_t us)
{
    w.now_ns += us * 1000;
}

void sim_advance_to_ns(uint64_t ns)
{
    if (ns > w.now_ns)
        w.now_ns = ns;
    sim_note("advance", ns, 0, 0);
}

void sim_jump_wall_ms(int64_t by)
{
    w.wall_offset_ms += by;
}

/*
 * Looking at the clock takes time; now and then the machine stops for longer than a turn's budget,
 * so that budgets run out at other places with each seed.
 */
static uint64_t on_now_ns(void)
{
    uint64_t r = sim_random(SIM_CLOCK);

    w.now_ns += r & 1023;
    if ((r >> 32) % 512 == 0)
        w.now_ns += 250000;
    return w.now_ns;
}

static int64_t on_wall_ms(void)
{
    return 1700000000000 + (int64_t)(w.now_ns / 1000000) + w.wall_offset_ms;
}

static uint64_t on_random(void)
{
    return sim_random(SIM_PROCESS);
}

static uint32_t on_pick(uint32_t n)
{
    uint32_t i = sim_below(SIM_ORDER, n);

    sim_note("pick", n, i, w.now_ns);
    return i;
}

void sim_crash_set(const char *kind, uint32_t per_million)
{
    unsigned i = 0;

    while (i < w.n_kinds && strcmp(w.crash[i].kind, kind) != 0)
        i++;
    if (i == MAX_KINDS)
        sim_fail("simulation", "more than %d kinds of processes to crash", MAX_KINDS);
    if (i == w.n_kinds)
        w.n_kinds++;
    w.crash[i].kind = kind;
    w.crash[i].per_million = per_million;
}

void sim_crash_enable(bool on)
{
    w.crash_on = on;
}

uint32_t sim_crash_count(void)
{
    return w.n_crashes;
}

static bool on_crash_now(const char *kind)
{
    if (!w.crash_on)
        return false;
    for (unsigned i = 0; i < w.n_kinds; i++) {
        if (strcmp(w.crash[i].kind, kind) != 0)
            continue;
        if (!sim_chance(SIM_CRASH, w.crash[i].per_million))
            return false;
        w.n_crashes++;
        sim_note("crash", i, w.n_crashes, 0);
        return true;
    }
    return false;
}

const struct world sim_world = {
    .now_ns = on_now_ns,
    .wall_ms = on_wall_ms,
    .random = on_random,
    .net = &sim_net,
    .vfs = NULL,
    .pick = on_pick,
    .crash_now = on_crash_now,
};
