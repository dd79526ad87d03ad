/*
 * sim_world.h - the world as the simulation has it: virtual clock, seeded random numbers, seeded
 * order of turns, crashes by kind of process, and the sockets of sim_net.h.
 *
 * There is one stream of random numbers for each purpose, so that a change in what one of them
 * draws does not change all the others.
 */
#ifndef TESTS_SIM_SIM_WORLD_H
#define TESTS_SIM_SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/runtime/world.h"

enum sim_stream {
    SIM_ORDER,   /* which process runs next */
    SIM_CLOCK,   /* how time passes */
    SIM_PROCESS, /* what processes get from proc_random */
    SIM_CRASH,   /* which of them crash */
    SIM_NET,     /* short reads and writes */
    SIM_DISK,    /* what an unsynced write becomes */
    SIM_DRIVER,  /* what the scenario does next */
    SIM_ACTOR,   /* what a scenario's process does with what it got */
    SIM_STREAMS,
};

extern const struct world sim_world;

/* Starts the world anew from a seed: time 0, no sockets, no crashes. */
void sim_world_init(uint64_t seed);
void sim_world_fini(void);

uint64_t sim_random(enum sim_stream from);
/* 0 .. n-1; 0 for n 0. */
uint32_t sim_below(enum sim_stream from, uint32_t n);
/* True `per_million` times in a million. Draws nothing for 0. */
bool sim_chance(enum sim_stream from, uint32_t per_million);

/* The clock as it stands, without passing time by looking. */
uint64_t sim_now_us(void);
void sim_pass_us(uint64_t us);
/* For rt_step: the clock jumps to this time, never back. */
void sim_advance_to_ns(uint64_t ns);
/* The wall clock jumps, forward or back; the monotonic one does not. */
void sim_jump_wall_ms(int64_t by);

/* Processes of this kind crash before a message with this probability. `kind` is a literal. */
void sim_crash_set(const char *kind, uint32_t per_million);
/* No crashes while off. */
void sim_crash_enable(bool on);
/* How many crashes were ordered so far. */
uint32_t sim_crash_count(void);

#endif
