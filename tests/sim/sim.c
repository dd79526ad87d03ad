/*
 * sim.c - one run: its trace, its failures, its steps.
 */
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/runtime/runtime.h"
#include "tests/sim/sim_main.h"
#include "tests/sim/sim_world.h"

enum { LAST = 40 };

struct note {
    const char *what;
    uint64_t a, b, c, at_us;
    uint32_t step;
};

struct sim_run sim;
static struct note last[LAST];
static uint64_t n_last;

static void mix(uint64_t x)
{
    sim.hash = (sim.hash ^ x) * 0x9fb21c651e98df25u;
    sim.hash ^= sim.hash >> 29;
}

static void note_print(FILE *to, const struct note *n)
{
    fprintf(to, "  step %u, %llu us: %s %llu %llu %llu\n", n->step, (unsigned long long)n->at_us,
            n->what, (unsigned long long)n->a, (unsigned long long)n->b, (unsigned long long)n->c);
}

void sim_note(const char *what, uint64_t a, uint64_t b, uint64_t c)
{
    struct note n = {what, a, b, c, sim_now_us(), sim.step};

    sim.n_notes++;
    if (strcmp(what, "pick") != 0) /* there are many, and they tell little */
        last[n_last++ % LAST] = n;
    for (const char *p = what; *p; p++)
        mix((uint8_t)*p);
    mix(a);
    mix(b);
    mix(c);
    if (sim.verbose)
        note_print(stdout, &n);
}

void sim_fail(const char *invariant, const char *fmt, ...)
{
    uint64_t first = n_last > LAST ? n_last - LAST : 0;
    FILE *to = sim_main_report();
    va_list ap;

    fprintf(to, "seed %llu, scenario %s%s%s, step %u: invariant \"%s\" does not hold: ",
            (unsigned long long)sim.seed, sim.scenario, sim.plant ? ", plant " : "",
            sim.plant ? sim.plant : "", sim.step, invariant);
    va_start(ap, fmt);
    vfprintf(to, fmt, ap);
    va_end(ap);
    fprintf(to, "\nThe last events:\n");
    for (uint64_t i = first; i < n_last; i++)
        note_print(to, &last[i % LAST]);
    fprintf(to, "Replay: warren-sim --seed %llu --scenario %s --steps %u%s%s\n",
            (unsigned long long)sim.seed, sim.scenario, sim.steps, sim.plant ? " --plant " : "",
            sim.plant ? sim.plant : "");
    sim_main_failed(invariant);
}

bool sim_is_planted(const char *name)
{
    return sim.plant && strcmp(sim.plant, name) == 0;
}

bool sim_step(void)
{
    sim.step++;
    sim_pass_us(sim_below(SIM_CLOCK, 20));
    return rt_step(sim_advance_to_ns);
}

void sim_drain(uint32_t limit)
{
    for (uint32_t i = 0; i < limit; i++)
        if (!sim_step())
            return;
    sim_fail("quiescence", "%u steps later there is still something to do", limit);
}
