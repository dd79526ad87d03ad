/* The commit policy: one ring for each waiting time, so that all it does is O(1). */
#include "persistence/commit_policy.h"

void commit_policy_init(struct commit_policy *p)
{
    for (unsigned i = 0; i < COMMIT_LANES; i++)
        p->lanes[i].prev = p->lanes[i].next = &p->lanes[i];
    p->bytes = 0;
    p->acks_due_us = COMMIT_NEVER;
    p->n_items = 0;
    p->n_acks = 0;
    p->is_urgent = false;
}

struct commit_item *commit_policy_next(const struct commit_policy *p,
                                       const struct commit_item *item)
{
    unsigned lane = item ? item->lane : 0;
    struct commit_item *next = item ? item->next : p->lanes[0].next;

    while (next == &p->lanes[lane]) {
        if (++lane == COMMIT_LANES)
            return NULL;
        next = p->lanes[lane].next;
    }
    return next;
}

void commit_policy_add(struct commit_policy *p, struct commit_item *item, uint32_t bytes,
                       uint64_t now_us, uint32_t hold_us)
{
    unsigned lane = (hold_us + COMMIT_STEP_US - 1) / COMMIT_STEP_US;
    struct commit_item *head;

    if (lane >= COMMIT_LANES)
        lane = COMMIT_LANES - 1;
    head = &p->lanes[lane];
    item->lane = (uint8_t)lane;
    item->bytes = bytes;
    item->due_us = now_us + lane * (uint64_t)COMMIT_STEP_US;
    item->next = head;
    item->prev = head->prev;
    head->prev->next = item;
    head->prev = item;
    p->bytes += bytes;
    p->n_items++;
}

void commit_policy_remove(struct commit_policy *p, struct commit_item *item)
{
    item->prev->next = item->next;
    item->next->prev = item->prev;
    item->prev = item->next = NULL;
    p->bytes -= item->bytes;
    p->n_items--;
}

void commit_policy_add_ack(struct commit_policy *p, uint64_t now_us)
{
    if (p->n_acks++ == 0)
        p->acks_due_us = now_us + COMMIT_ACK_HOLD_US;
}

void commit_policy_add_urgent(struct commit_policy *p)
{
    p->is_urgent = true;
}

void commit_policy_written(struct commit_policy *p)
{
    p->acks_due_us = COMMIT_NEVER;
    p->n_acks = 0;
    p->is_urgent = false;
}

uint64_t commit_policy_due(const struct commit_policy *p)
{
    uint64_t due = p->acks_due_us;

    if (p->is_urgent || p->bytes >= COMMIT_BYTES || p->n_items + p->n_acks >= COMMIT_OPS)
        return 0;
    for (unsigned i = 0; i < COMMIT_LANES; i++) {
        const struct commit_item *first = p->lanes[i].next;

        if (first != &p->lanes[i] && first->due_us < due)
            due = first->due_us;
    }
    return due;
}

uint32_t commit_hold_us(uint32_t time_to_ack_us, bool has_consumers)
{
    /* Unknown is taken as slow: a wrong guess must not cost a publisher its latency. */
    if (!has_consumers || time_to_ack_us == 0 || time_to_ack_us > COMMIT_HOLD_MAX_US / 2)
        return 0;
    return 2 * time_to_ack_us;
}
