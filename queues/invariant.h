/*
 * invariant.h - switches of the simulation: whether queues check themselves after every message,
 * how little they keep in memory, and which bug is planted to show that the checks can fail. Set
 * before the runtime starts, by tests only.
 */
#ifndef QUEUES_INVARIANT_H
#define QUEUES_INVARIANT_H

#include <stdbool.h>
#include <stdint.h>

enum queue_plant {
    PLANT_NONE,
    PLANT_REQUEUE_UNFLAGGED, /* a message given back is not marked redelivered */
    PLANT_CONFIRM_EARLY,     /* a persistent message is confirmed when it is taken in */
    PLANT_LOSE_ON_DOWN,      /* what a dead channel held is dropped */
    PLANT_DOUBLE_READY,      /* what is delivered stays ready */
    PLANT_TX_UNASKED,        /* a part is carried out without regard to the others */
    PLANT_TX_GONE_UNSAID,    /* the store waits for the part of a queue that is deleted */
    PLANT_TX_SPLIT,          /* the store is not told that its operations are of a transaction */
    PLANT_TX_KEEP_ABORTED,   /* what a transaction that was given up published stays */
    PLANT_KEEP_BINDINGS,     /* exchanges are not told that a queue has gone */
    PLANT_FORGET_BIND,       /* an exchange answers, and does nothing */
    PLANT_FORGET_ROW,        /* a binding that should last is not written */
    PLANT_KEEP_UNUSED,       /* an auto-delete queue stays */
    PLANT_PAGE_UNASKED,      /* what is paged leaves the memory before the store has it */
    PLANT_LOCK_FOR_DEAD,     /* a dead owner's queue stays, and stays locked */
};

/* How much of what the store has a queue keeps in memory; a test makes it little. */
struct queue_limits {
    uint64_t resident_bytes; /* of durable messages; more become cold */
    /* Of what is cold: so much is asked at a time, and asked again while less than twice that much
       is here and not handed out. */
    uint32_t run_messages, run_bytes;
    /*
     * What need not last is paged when all messages take more memory than this (0: by the limit of
     * the memory alarm), but for so many bytes at the head of each queue.
     */
    uint64_t page_above, page_keep;
};

extern struct queue_limits queue_limits;

/* What the registry that was last heard of has; kept only while queues check themselves. */
struct registry_counts {
    unsigned cells, bindings, jobs;
};

extern bool queue_check_invariants;
extern struct registry_counts registry_counts;
extern enum queue_plant queue_plant;

/* "requeue-unflagged" and so on; false: no such name. */
bool queue_plant_set(const char *name);

#endif
