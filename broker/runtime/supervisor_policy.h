/*
 * supervisor_policy.h - what a supervisor does about a child's end. Pure: no processes, no clock.
 *
 * Internal to the supervisor.
 */
#ifndef BROKER_RUNTIME_SUPERVISOR_POLICY_H
#define BROKER_RUNTIME_SUPERVISOR_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/runtime/supervisor.h"

/* A budget of its own: 5 restarts in 10 s. */
enum { SUP_OWN_LIMIT = 5 };
#define SUP_OWN_PERIOD_US UINT64_C(10000000)

/* How many restarts there were lately: a ring of the times of the last `limit` ones. */
struct sup_budget {
    uint64_t period_us;
    uint32_t limit;
    uint32_t n, head; /* entries of when[], and where the oldest stands */
    uint64_t *when;   /* room for `limit`; the caller's */
};

/* Counts a restart; false when it is more than `limit` within the period. */
bool sup_budget_take(struct sup_budget *b, uint64_t now_us);

/* How long a child stays parked that was parked `times` times before: 1, 2, 4 ... 60 s. */
uint64_t sup_backoff_us(unsigned times);

enum sup_verdict {
    SUP_FORGET,  /* it is gone, and its supervisor knows it no more */
    SUP_REST,    /* ended for good, but listed: a static child, which a group restart may start */
    SUP_RESTART, /* it, and by the strategy its siblings, are started again */
    SUP_PARK,    /* listed as down, tried again later */
    SUP_GIVE_UP, /* the supervisor stops its children, then itself: over its intensity */
    SUP_END,     /* the same, because a significant child ended for good */
};

/* What is known of a child that ended without having been told to. */
struct sup_end {
    enum sup_restart restart;
    enum exit_kind kind;
    bool is_dynamic, is_significant, has_own_budget;
    /* Came from parking and has not lived for a period since: one more failure parks it again. */
    bool is_on_probation;
};

/* `own` is touched only for children that have one. Counts the restart where it is to be counted.
 */
enum sup_verdict sup_judge(const struct sup_end *end, struct sup_budget *common,
                           struct sup_budget *own, uint64_t now_us);

#endif
