/*
 * When a group is committed: the policy, without clock or process.
 *
 * Pure. Each unsettled publish of the group stands here with the time until which it may wait;
 * one that is settled meanwhile leaves, and its bytes and its deadline with it. Times are
 * microseconds of a monotonic clock that the caller reads.
 *
 * How long a publish may wait: about twice the time in which its queue's messages were settled
 * lately, because what is settled before the commit is never written; not at all where that would
 * be longer than 2 ms, or where nobody consumes. Acks alone may wait 8 ms. A definition waits for
 * nothing. A group of 256 KiB or of 1000 operations is committed at once.
 */
#ifndef PERSISTENCE_COMMIT_POLICY_H
#define PERSISTENCE_COMMIT_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COMMIT_HOLD_MAX_US 2000
#define COMMIT_ACK_HOLD_US 8000
#define COMMIT_BYTES       (256 * 1024)
#define COMMIT_OPS         1000
#define COMMIT_NEVER       UINT64_MAX

/*
 * Waiting times are rounded up to a multiple of this, so that each step is a plain queue, and a
 * queue that is quicker than a step has its messages settled instead of each committed.
 */
#define COMMIT_STEP_US 250
#define COMMIT_LANES   (COMMIT_HOLD_MAX_US / COMMIT_STEP_US + 1)

/* One unsettled publish; embedded in the caller's operation. The fields are the policy's. */
struct commit_item {
    struct commit_item *prev;
    struct commit_item *next;
    uint64_t due_us;
    uint32_t bytes;
    uint8_t lane;
};

struct commit_policy {
    struct commit_item lanes[COMMIT_LANES]; /* ring heads; each ring rises in due_us */
    uint64_t bytes;                         /* of the unsettled publishes */
    uint64_t acks_due_us;                   /* COMMIT_NEVER: no ack waits */
    uint32_t n_items;
    uint32_t n_acks;
    bool is_urgent; /* something waits for nothing */
};

/* Makes an empty group. */
void commit_policy_init(struct commit_policy *p);

/* Whether a publish is waiting; and the next one behind `item`, in no order that means anything.
 * NULL asks for the first, NULL is answered behind the last. */
struct commit_item *commit_policy_next(const struct commit_policy *p,
                                       const struct commit_item *item);

/* Takes in a publish of that many bytes, which came at now_us and may wait hold_us. */
void commit_policy_add(struct commit_policy *p, struct commit_item *item, uint32_t bytes,
                       uint64_t now_us, uint32_t hold_us);

/* The publish was settled: it leaves. */
void commit_policy_remove(struct commit_policy *p, struct commit_item *item);

/* An ack of something committed came. */
void commit_policy_add_ack(struct commit_policy *p, uint64_t now_us);

/* Something came that waits for nothing. */
void commit_policy_add_urgent(struct commit_policy *p);

/* A group was committed with all its acks and whatever waited for nothing. Publishes that were left
 * for the next one stay. */
void commit_policy_written(struct commit_policy *p);

/* The time at which the group is to be committed: 0 is at once, COMMIT_NEVER nothing waits. */
uint64_t commit_policy_due(const struct commit_policy *p);

/*
 * How long a publish to a queue may wait, from the queue's recent time to ack (0: unknown).
 */
uint32_t commit_hold_us(uint32_t time_to_ack_us, bool has_consumers);

#endif
