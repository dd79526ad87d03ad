/*
 * invariant.h - switches of the simulation: whether queues check themselves after every message,
 * and which bug is planted to show that the checks can fail. Set before the runtime starts, by
 * tests only; else nothing reads them but one predictable branch each.
 */
#ifndef QUEUES_INVARIANT_H
#define QUEUES_INVARIANT_H

#include <stdbool.h>

enum queue_plant {
    PLANT_NONE,
    PLANT_REQUEUE_UNFLAGGED, /* a message given back is not marked redelivered */
    PLANT_CONFIRM_EARLY,     /* a persistent message is confirmed when it is taken in */
    PLANT_LOSE_ON_DOWN,      /* what a dead channel held is dropped */
    PLANT_DOUBLE_READY,      /* what is delivered stays ready */
    PLANT_TX_UNASKED,        /* a part is carried out without regard to the others */
    PLANT_TX_KEEP_ABORTED,   /* what a transaction that was given up published stays */
};

extern bool queue_check_invariants;
extern enum queue_plant queue_plant;

/* "requeue-unflagged" and so on; false: no such name. */
bool queue_plant_set(const char *name);

#endif
