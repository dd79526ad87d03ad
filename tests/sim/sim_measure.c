/*
 * sim_measure.c - a machine of 64 GiB, of which as much is in use as the scenario says.
 */
#include "tests/sim/sim_measure.h"

#include "broker/core/alarms_measure.h"

static const uint64_t total = 64ull << 30;
static bool memory_low, disk_low;

void sim_measure_set(bool is_memory_low, bool is_disk_low)
{
    memory_low = is_memory_low;
    disk_low = is_disk_low;
}

uint64_t measure_memory_total(void)
{
    return total;
}

uint64_t measure_resident(void)
{
    return memory_low ? total : total / 64;
}

uint64_t measure_disk_free(const char *dir)
{
    (void)dir;
    return disk_low ? 0 : total;
}

uint64_t measure_descriptors(void)
{
    return 0;
}
