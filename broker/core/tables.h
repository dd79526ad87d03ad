/*
 * tables.h - the process that stands for the shared tables in the tree.
 */
#ifndef BROKER_CORE_TABLES_H
#define BROKER_CORE_TABLES_H

#include "broker/runtime/proc.h"

/*
 * Registered as "tables". The tables themselves live as long as the runtime, so that they outlive
 * their writers; this process is where an operator sees them, and its failure is theirs.
 */
extern const struct proc_ops tables_ops;

#endif
