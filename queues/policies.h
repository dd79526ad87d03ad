/*
 * policies.h - which policy a queue or exchange has, and what follows from it.
 *
 * node shows the policies of a vhost in a table; the registry of the vhost works out which apply to
 * each cell, when it is made and whenever they change, and hangs the result at the cell, where
 * everybody reads it in place.
 */
#ifndef QUEUES_POLICIES_H
#define QUEUES_POLICIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "amqp/codec/bytes.h"
#include "queues/cell.h"

struct policy_text { /* lent: a stored policy's JSON, or that of an operator policy's parameter */
    const char *json;
    bool is_operator;
};
/* From node alone: all policies of a vhost, in place of those before; n 0: none. */
void policies_show(const char *vhost, const struct policy_text *v, size_t n);

/*
 * Gives the cell the policy that applies to it now: from the registry, or who makes the cell.
 * Whether it has another one than before.
 */
bool policies_apply(struct cell *c);

/* NULL: none. Valid until the handler returns. */
const struct cell_policy *cell_policy(const struct cell *c);
/* What stands for the cell by policy, as a field table with the keys of policies; may be empty. */
struct amqp_bytes cell_policy_table(const struct cell *c);

/*
 * What stands for a queue by its argument x-KEY (of an exchange: KEY) and by policy: of numbers the
 * smaller one, of texts the argument's. False: neither says anything.
 */
bool cell_setting_int(const struct cell *c, const char *key, int64_t *ret);
bool cell_setting_text(const struct cell *c, const char *key, struct amqp_bytes *ret);

#endif
