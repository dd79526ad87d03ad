/*
 * rt_scenarios.h - the scenarios of the runtime alone, and what they share.
 */
#ifndef TESTS_SIM_RT_SCENARIOS_H
#define TESTS_SIM_RT_SCENARIOS_H

#include "broker/runtime/proc.h"

struct crash_report;

/* Sends, calls, monitors, links, signals, timers, names, in every mixture. */
void mesh_run(void);
/* Supervisors of every strategy, and children that crash. */
void tree_run(void);
/* Listener and connections over the simulated sockets. */
void echo_run(void);

/* Starts the runtime on the simulated world. */
void scenario_start(void (*on_crash)(const struct crash_report *));
/* The root has to end for this reason, and to leave nothing. */
void scenario_end(enum exit_kind root_ends_of);
/* The program dies in the middle, and leaves nothing. */
void scenario_kill(void);

#endif
