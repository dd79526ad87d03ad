/*
 * sampler.h - the process that writes down what all counters are, every few seconds.
 */
#ifndef MGMT_SAMPLER_H
#define MGMT_SAMPLER_H

#include "broker/runtime/proc.h"

/* Registered as "mgmt_sampler"; it takes no arg. Nothing but rates and samples depends on it. */
extern const struct proc_ops sampler_ops;

#endif
