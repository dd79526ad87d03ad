/*
 * life.h - the process that gives signs of life to whoever started the broker (systemd's watchdog).
 */
#ifndef BROKER_CORE_LIFE_H
#define BROKER_CORE_LIFE_H

#include <stdint.h>

#include "broker/runtime/proc.h"

struct life_arg {       /* the arg blob */
    uint64_t within_us; /* a sign is expected within that time */
};

/* Registered as "life". To be started by the root supervisor. */
extern const struct proc_ops life_ops;

#endif
