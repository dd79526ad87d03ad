/*
 * sim_main.h - how a run tells the runner of its end.
 */
#ifndef TESTS_SIM_SIM_MAIN_H
#define TESTS_SIM_SIM_MAIN_H

#include <stdio.h>

/* Where a failure is described: stderr, or nowhere while a planted bug is expected to fail. */
FILE *sim_main_report(void);

/* Ends the run's process with this invariant as its outcome. */
__attribute__((noreturn)) void sim_main_failed(const char *invariant);

#endif
