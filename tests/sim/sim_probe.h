/*
 * sim_probe.h - how much all processes have on their heaps, seen from outside of them.
 */
#ifndef TESTS_SIM_SIM_PROBE_H
#define TESTS_SIM_SIM_PROBE_H

#include <stdint.h>

/* Starts it, from process code. */
void sim_probe_start(void);
/* It has to end before the root does: nothing runs behind that. */
void sim_probe_stop(void);
/* The program has ended: there is none any more. */
void sim_probe_forget(void);
/* Asks it to count; it takes some steps. */
void sim_probe_ask(void);
/* What it counted last, in bytes; 0: nothing yet. */
uint64_t sim_probe_heaps(void);

#endif
