/*
 * credit.h - how much each channel may publish to one queue.
 *
 * Pure. The law: a grant depends only on later stages, which are the store's backlog of this queue
 * and memory; never on consumers or on the queue's length. What is left of a queue's allowance is
 * shared equally among the channels that publish to it. Grants are absolute and never go back.
 */
#ifndef QUEUES_CREDIT_H
#define QUEUES_CREDIT_H

#include <stdbool.h>
#include <stdint.h>

enum {
    /* What a queue lets be under way to it and in the store before it grants nothing. */
    CREDIT_QUEUE_MESSAGES = 8192,
    CREDIT_QUEUE_BYTES = 8 * 1024 * 1024,
};

struct credit_pool { /* of one queue */
    uint32_t n_channels;
    uint64_t backlog_messages, backlog_bytes; /* with the store, not durable */
    bool is_memory_tight;
};

struct credit { /* of one channel at this queue */
    uint64_t taken_messages, taken_bytes;
    uint64_t granted_messages, granted_bytes;
};

/* The implied window of a channel in a new epoch. */
void credit_init(struct credit *c);
/* The channel's messages were taken in. */
void credit_take(struct credit *c, uint64_t messages, uint64_t bytes);
/* Raises the grant to what the pool allows; whether it rose and is to be told. */
bool credit_raise(struct credit *c, const struct credit_pool *pool);

#endif
