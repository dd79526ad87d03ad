/*
 * slice_topology.h - between the files that know of names and bindings. A dest is a queue, or
 * N_QUEUES and an exchange.
 */
#ifndef TESTS_SIM_SLICE_TOPOLOGY_H
#define TESTS_SIM_SLICE_TOPOLOGY_H

#include "tests/sim/slice.h"

/* The bindings to it (a dest) or from it (an exchange; 0: of none) go, or may have gone. */
void topology_unbind(int dest, int source, enum existence to);
/* Whether anything is surely or possibly bound to the exchange; dest -1: whatever it is. */
bool topology_is_bound(int exchange, int dest, bool sure);
/* Auto-delete exchanges from which something may be bound to it, or to another of them; bits. */
uint32_t topology_removing_of(int dest);
/*
 * An auto-delete exchange that had bindings and has none goes; bits. Surely so, unless somebody has
 * declared it after the removal was asked for: then it may be a new one.
 */
void topology_check_unused(uint32_t exchanges, uint64_t since);
void topology_exchange_is_gone(int exchange, uint64_t since);
/* It is no more, whatever else may be asked later. */
void topology_queue_is_gone(int queue, uint64_t asked_at);
/* What was in it is there no more, or may be. */
void topology_empty_queue(int queue);
/* What a queue took in before its deletion or purge was carried out has gone with it. */
void topology_went_with(int queue, uint64_t asked_at, bool is_purge);

#endif
