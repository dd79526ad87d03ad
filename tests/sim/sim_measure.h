/*
 * sim_measure.h - the machine as the alarms of the broker measure it: its figures are the
 * scenario's, in the place of broker/core/alarms_measure.c, which is not linked then.
 */
#ifndef TESTS_SIM_SIM_MEASURE_H
#define TESTS_SIM_SIM_MEASURE_H

#include <stdbool.h>

/* What is measured from now on. */
void sim_measure_set(bool is_memory_low, bool is_disk_low);

#endif
