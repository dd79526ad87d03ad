/*
 * alarms_measure.h - what the machine has and what this program uses of it. Plain code; may block.
 */
#ifndef BROKER_CORE_ALARMS_MEASURE_H
#define BROKER_CORE_ALARMS_MEASURE_H

#include <stddef.h>
#include <stdint.h>

/* All memory that machine and cgroup give this program; 0: cannot be known. */
uint64_t measure_memory_total(void);
/* What of it this program has resident, in use or kept by the allocator; 0: cannot be known. */
uint64_t measure_resident(void);
/* What users may still write where `dir` lies; UINT64_MAX: cannot be known. */
uint64_t measure_disk_free(const char *dir);

/* Descriptors that this program has open; 0: cannot be known. */
uint64_t measure_descriptors(void);

/* The least limit of this group and those above it; `text` is /proc/self/cgroup, `root` where the
 * groups are mounted. UINT64_MAX: none. */
uint64_t measure_cgroup_limit(const char *text, const char *root);

#endif
