/*
 * alarms.h - when memory or disk run low, who publishes is to wait.
 *
 * One process measures and says so in a fact that anybody reads in place. A connection that has
 * published while an alarm stands stops reading, and asks to be told when all is well again;
 * consumers go on, so that queues drain.
 */
#ifndef BROKER_CORE_ALARMS_H
#define BROKER_CORE_ALARMS_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/runtime/proc.h"

enum alarm { ALARM_MEMORY = 1 << 0, ALARM_DISK = 1 << 1 }; /* bits */

enum {
    ALARMS_AWAIT = 0x530, /* call: answered once no alarm stands; at once if none does */
    ALARMS_CLEAR,         /* reply */
};

/* The alarms that stand; 0: none. Costs one load. Any process. */
unsigned alarms_now(void);
/* "low on memory", "low on disk" or "low on memory & disk". */
const char *alarms_reason(unsigned alarms);
/* Asks to be told: one ALARMS_CLEAR, or MSG_DOWN (then the process is found again by its name). */
proc_ref alarms_await(void);

/* What was measured last, in bytes; a limit of 0 never raises an alarm. */
struct alarms_measured {
    uint64_t memory_used, memory_limit;
    uint64_t disk_free, disk_limit;
};
void alarms_measured(struct alarms_measured *ret);

struct alarms_process {   /* what this program has */
    uint64_t resident;    /* bytes, what its allocator keeps included */
    uint64_t descriptors; /* that are open; about once a second */
};
/* Measured last; 0: not yet. */
void alarms_process(struct alarms_process *ret);
/*
 * Whether memory runs low before an alarm stands: over three quarters of the limit. Who can do with
 * less then does. Cheap.
 */
bool alarms_is_memory_tight(void);
/* The same by these figures; pure. */
bool alarms_is_tight(const struct alarms_measured *m);
/* Whether so many bytes of messages are more than memory should have: queues page then. Cheap. */
bool alarms_must_page(uint64_t blob_bytes);
/* What is remembered from one measurement of memory to the next. */
struct alarms_memory {
    uint64_t peak;  /* resident bytes, the most since they last fell much */
    uint64_t other; /* of them, those that were no messages */
};
/*
 * How much memory is in use, of `resident` bytes, when messages are `blobs` bytes; pure. Allocators
 * keep what was freed, so resident bytes alone would leave publishers blocked for ever.
 */
uint64_t alarms_memory_used(struct alarms_memory *m, uint64_t resident, uint64_t blobs);
/* Which alarms stand by these figures; pure. */
unsigned alarms_decide(const struct alarms_measured *m);

/* The process, registered as "alarms". Blocking: a file system may keep it waiting. */
extern const struct proc_ops alarms_ops;

#endif
