/*
 * metrics.h - which metrics there are: those of the node, and those of each object.
 *
 * Names and labels are RabbitMQ's where the meaning is the same, and begin with "warren_" where
 * nobody else has the like.
 */
#ifndef MGMT_METRICS_H
#define MGMT_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/core/stats.h"
#include "mgmt/exposition.h"

struct cell;
struct connection_stats;
struct proc_census;

/* Families of metrics, as /metrics/detailed asks for them. */
enum metric_family {
    FAMILY_QUEUE_COARSE = 1 << 0,
    FAMILY_QUEUE = 1 << 1,
    FAMILY_QUEUE_CONSUMERS = 1 << 2,
    FAMILY_QUEUE_DELIVERY = 1 << 3,
    FAMILY_CONNECTION_COARSE = 1 << 4,
    FAMILY_CONNECTION = 1 << 5,
    FAMILY_CHANNEL = 1 << 6,
    FAMILY_CHANNEL_EXCHANGE = 1 << 7,
    FAMILY_CHANNEL_QUEUE = 1 << 8,
    FAMILY_EXCHANGE = 1 << 9,
    FAMILY_EXCHANGE_NAMES = 1 << 10,
    FAMILY_VHOST_STATUS = 1 << 11,
    FAMILY_CHURN = 1 << 12,
    FAMILY_NODE = 1 << 13,
    FAMILY_NODE_COARSE = 1 << 14,
};

/* Those of that name, as RabbitMQ calls them; 0: none. */
unsigned metric_family_of(const char *name);

enum metric_object { METRIC_QUEUE, METRIC_EXCHANGE, METRIC_CONNECTION, METRIC_CHANNEL };

enum { METRIC_VALUES = 28 }; /* of one object, at most */

struct metric {         /* of each object of a kind */
    const char *prefix; /* NULL: the caller's */
    const char *name, *type, *help;
    unsigned family;
    enum metric_object object;
    uint64_t mask; /* of the values that are added up */
    double scale;  /* of what the sum is told; 0: it is told as it is */
};

extern const struct metric metrics[];
extern const unsigned n_metrics;

/* One metric's value of a queue. */
uint64_t metric_of_queue(const struct metric *m, const struct cell *c);
/* An object's values, for the masks. */
void metric_values_of_queue(const struct cell *c, uint64_t ret[METRIC_VALUES]);
void metric_values_of_exchange(const struct cell *c, uint64_t ret[METRIC_VALUES]);
void metric_values_of_slot(const struct stat_slot *s, uint64_t ret[METRIC_VALUES]);
/* Counters of the node in place of the sums over what is there now: they never go down. */
void metric_values_of_node(uint64_t of_connections[METRIC_VALUES],
                           uint64_t of_channels[METRIC_VALUES]);
uint64_t metric_sum(const struct metric *m, const uint64_t values[METRIC_VALUES]);

/* The node's: who it is; what it uses; what came and went; counters of messages; Warren's own. */
void metrics_of_identity(struct exposition *e, const char *node);
void metrics_of_node(struct exposition *e, const char *prefix, unsigned families);
void metrics_of_churn(struct exposition *e, const char *prefix);
void metrics_of_messages(struct exposition *e);
void metrics_of_runtime(struct exposition *e, const struct proc_census *c);
void metrics_of_memory(struct exposition *e, const struct proc_census *c);

#endif
