/*
 * supervisor_impl.h - a supervisor's state, and what its files ask of each other.
 *
 * supervisor.c takes the events and decides; supervisor_order.c starts and stops in order;
 * supervisor_policy.c judges; supervisor_children.c knows the children.
 */
#ifndef BROKER_RUNTIME_SUPERVISOR_IMPL_H
#define BROKER_RUNTIME_SUPERVISOR_IMPL_H

#include "broker/runtime/supervisor_children.h"

struct supervisor {
    enum sup_strategy strategy;
    proc_id watcher; /* 0: nobody */
    struct children cs;
    struct sup_budget budget; /* of static children without one of their own */
    struct waiter *awaiting;  /* those who asked by SUP_AWAIT */
    bool is_settled;          /* no static child waits for its turn */
    bool stop_dynamics;       /* all dynamic children are to be stopped */
    bool is_ending;
    struct exit_reason ending; /* what this process ends with when all are gone */
};

/* Tells the watcher, if there is one; why may be NULL. */
void sup_tell(struct supervisor *s, struct child *c, enum child_state state, proc_id pid,
              const struct exit_reason *why);
/* Starts a waiting child now. */
void sup_launch(struct supervisor *s, struct child *c);
/* Starts a child that ended, now or when its turn comes (sup_advance). */
void sup_start_again(struct supervisor *s, struct child *c);
/* Tells a child that has a run to end. */
void sup_stop(struct supervisor *s, struct child *c, enum child_after after);
/* What becomes of a child that is stopped for the sake of its siblings. */
enum child_after sup_group_after(const struct supervisor *s, const struct child *c);
/* Dooms those whom the strategy makes start again with c, which has just ended. */
void sup_doom_group(struct supervisor *s, struct child *c);
/* All children are to be stopped, then this process ends for this reason. The first one counts. */
void sup_end(struct supervisor *s, const struct exit_reason *why);
/*
 * Does what is to be done next: stops what is to be stopped, then ends if told so, then starts what
 * waits. Every event calls it last.
 */
void sup_advance(struct supervisor *s);

#endif
