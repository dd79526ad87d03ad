/*
 * tree.h - the one place that assembles the supervision tree.
 */
#ifndef BROKER_TREE_H
#define BROKER_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/runtime/proc.h"

struct tree_options {
    bool with_mgmt;       /* the simulation has none: HTTP stays outside it */
    bool with_alarms;     /* nor these, which measure the machine */
    uint64_t watchdog_us; /* within which a sign of life is expected again and again; 0: never */
    /* Once every listener accepts; called in a process, region PROC. May be NULL. */
    void (*on_ready)(uint16_t amqp_port, uint16_t mgmt_port);
};

/*
 * Starts the whole tree under a root supervisor by config(), after rt_start; from outside any
 * process. The root's end is the program's. `options` is copied.
 */
proc_id tree_start(const struct tree_options *options);

#endif
