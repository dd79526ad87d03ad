/*
 * policy_keys.h - what a policy may say: its keys, their values, and how an operator's policy and
 * another one become one. Pure.
 */
#ifndef QUEUES_POLICY_KEYS_H
#define QUEUES_POLICY_KEYS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "amqp/codec/table.h"

enum policy_check {
    POLICY_ANY_KEYS = 1 << 0, /* keys that nobody knows here are no fault: an export has them */
    POLICY_OPERATOR = 1 << 1,
};

/*
 * Whether an object has a pattern, apply-to, priority and definition as they must be; flags: enum
 * policy_check. 0, or -EINVAL with RabbitMQ's words in ret_text.
 */
int policy_check(const json_t *policy, unsigned flags, char *ret_text, size_t size);

enum policy_apply_to {
    POLICY_ALL,
    POLICY_QUEUES,
    POLICY_EXCHANGES,
    POLICY_CLASSIC_QUEUES,
    POLICY_QUORUM_QUEUES,
    POLICY_STREAMS,
};
/* NULL is "all"; -EINVAL for a word that is none of them. */
int policy_apply_to_of(const char *text, enum policy_apply_to *ret);

/* Whether of two numbers under this key, a limit, the smaller one counts. */
bool policy_is_limit(struct amqp_bytes key);
/*
 * What stands when both policies match: all keys of both; of limits the smaller number, of others
 * the operator's value. `cap` is at least the sum of both lengths; returns the length.
 */
size_t policy_merge(struct amqp_bytes policy, struct amqp_bytes by_operator, uint8_t *buf,
                    size_t cap);

#endif
