/*
 * sampled.h - which values of each kind of object are sampled, under which names they are shown,
 * and what they are now.
 */
#ifndef MGMT_SAMPLED_H
#define MGMT_SAMPLED_H

#include <jansson.h>
#include <stdint.h>

#include "mgmt/series.h"

struct cell;
struct cell_stats;
struct channel_stats;
struct connection_stats;
struct default_exchange;
struct exchange_stats;
struct message_sums;
struct request;
struct stat_history;

enum message_value {
    MESSAGE_PUBLISH,
    MESSAGE_CONFIRM,
    MESSAGE_RETURN,
    MESSAGE_DROP,
    MESSAGE_DELIVER,
    MESSAGE_DELIVER_NO_ACK,
    MESSAGE_GET,
    MESSAGE_GET_NO_ACK,
    MESSAGE_GET_EMPTY,
    MESSAGE_REDELIVER,
    MESSAGE_ACK,
    MESSAGE_VALUES
};

enum queue_value {
    OF_QUEUE_READY,
    OF_QUEUE_UNACKED,
    OF_QUEUE_PUBLISH,
    OF_QUEUE_CONFIRM,
    OF_QUEUE_DELIVER,
    OF_QUEUE_DELIVER_NO_ACK,
    OF_QUEUE_GET,
    OF_QUEUE_GET_NO_ACK,
    OF_QUEUE_GET_EMPTY,
    OF_QUEUE_REDELIVER,
    OF_QUEUE_ACK,
    QUEUE_VALUES
};

enum connection_value { OF_CONNECTION_RECEIVED, OF_CONNECTION_SENT, CONNECTION_VALUES };
enum exchange_value { OF_EXCHANGE_IN, OF_EXCHANGE_OUT, EXCHANGE_VALUES };

enum vhost_value { /* behind the message_values */
                   OF_VHOST_READY = MESSAGE_VALUES,
                   OF_VHOST_UNACKED,
                   OF_VHOST_RECEIVED,
                   OF_VHOST_SENT,
                   VHOST_VALUES
};

enum node_value { /* behind the message_values */
                  OF_NODE_READY = MESSAGE_VALUES,
                  OF_NODE_UNACKED,
                  OF_NODE_CONNECTIONS_CREATED,
                  OF_NODE_CONNECTIONS_CLOSED,
                  OF_NODE_CHANNELS_CREATED,
                  OF_NODE_CHANNELS_CLOSED,
                  OF_NODE_QUEUES_DECLARED,
                  OF_NODE_QUEUES_CREATED,
                  OF_NODE_QUEUES_DELETED,
                  OF_NODE_MEMORY,
                  OF_NODE_DISK_FREE,
                  OF_NODE_DESCRIPTORS,
                  OF_NODE_SOCKETS,
                  OF_NODE_PROCESSES,
                  OF_NODE_DISK_READS,
                  OF_NODE_DISK_WRITES,
                  OF_NODE_READ_BYTES,
                  OF_NODE_READ_US,
                  OF_NODE_COMMITS,
                  OF_NODE_COMMIT_BYTES,
                  OF_NODE_COMMIT_US,
                  OF_NODE_SYNCS,
                  OF_NODE_SWITCHES,
                  NODE_VALUES
};

enum { SAMPLED_MAX = 48 }; /* more than any of them */

void read_queue(const struct cell_stats *s, uint64_t ret[QUEUE_VALUES]);
void read_connection(const struct connection_stats *s, uint64_t ret[CONNECTION_VALUES]);
void read_channel(const struct channel_stats *s, uint64_t ret[MESSAGE_VALUES]);
void read_exchange(const struct exchange_stats *s, uint64_t ret[EXCHANGE_VALUES]);
/* Its queues' lengths as of the last sample. */
void read_vhost(const struct default_exchange *d, uint64_t ret[VHOST_VALUES]);
/* All but those that only a walk over all queues can tell: they stay as they are. */
void read_node(uint64_t ret[NODE_VALUES]);
/* The messages of the node alone. */
void read_node_messages(uint64_t ret[MESSAGE_VALUES]);

/* A name under which the sum of some values is shown. */
struct sampled_name {
    const char *name; /* NULL: the end of a list */
    uint64_t mask;
};

extern const struct sampled_name message_names[], queue_message_names[], queue_length_names[],
    connection_names[], exchange_names[], node_length_names[], churn_names[], node_names[],
    node_disk_names[];

/* What the query asks for; 400 for what is no number. Not in region RUNTIME. */
void sampled_ranges_read(struct request *r, struct sampled_ranges *ret);

/*
 * Adds each name with its present value and NAME_details: its rate, and samples of the range where
 * one is asked for. s and range may be NULL. Region RUNTIME.
 */
void sampled_add(json_t *to, const struct sampled_name *names, const uint64_t *now,
                 const struct series *s, const struct series_range *range);
/*
 * NAME, in milliseconds: time by count, two of the values; its rate is the same of the time between
 * the last two samples alone. Region RUNTIME.
 */
void sampled_add_mean(json_t *to, const char *name, const uint64_t *now, const struct series *s,
                      unsigned time_us, unsigned count);
/* What is known of an object over time; NULL: nothing. Valid as long as the object. */
const struct series *sampled_series(const struct stat_history *h);
/* Where the sampler keeps the node's, under an empty key. */
struct table *sampled_node_table(void);
/* The node's; NULL: not sampled yet. Valid until the handler returns. */
const struct series *sampled_node(void);

/* A queue's lengths; with their details unless `ranges` is NULL. Region RUNTIME, as the others. */
void sampled_add_lengths(json_t *to, const struct cell *c, const struct sampled_ranges *ranges);
/* "message_stats" of a queue, and since when it is idle. */
void sampled_add_queue(json_t *to, const struct cell *c, const struct sampled_ranges *ranges);
/* Lengths, octets and "message_stats" of a vhost; of one that never served all 0. */
void sampled_add_vhost(json_t *to, const char *vhost, const struct sampled_ranges *ranges);
/* "message_stats" of an exchange; one without a name is its vhost's default one. */
void sampled_add_exchange(json_t *to, const struct cell *c, const struct sampled_ranges *ranges);

#endif
