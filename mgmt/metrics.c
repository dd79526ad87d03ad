/*
 * Metrics of queues, exchanges, connections and channels: names, and the values behind them.
 */
#include "mgmt/metrics.h"

#include <string.h>

#include "mgmt/sampled.h"
#include "queues/cell.h"
#include "queues/stats.h"

/* The values of an object are the sampled ones, and behind them what is not sampled. */
enum { QUEUE_CONSUMERS = QUEUE_VALUES, QUEUE_READY_BYTES, QUEUE_UNACKED_BYTES };
enum { PACKETS_IN = CONNECTION_VALUES, PACKETS_OUT, PACKETS_PENDING, CHANNELS };
enum {
    CONSUMERS = MESSAGE_VALUES,
    UNACKED,
    UNCONFIRMED,
    UNCOMMITTED,
    UNCOMMITTED_ACKS,
    PREFETCH,
    SHARED_PREFETCH,
};

#define BIT(VALUE) (UINT64_C(1) << (VALUE))

#define QUEUE(NAME, TYPE, FAMILIES, MASK, HELP)                       \
    {                                                                 \
        NULL, "queue_" NAME, TYPE, HELP, FAMILIES, METRIC_QUEUE, MASK \
    }
#define CONN(NAME, TYPE, FAMILY, VALUE, HELP)                                       \
    {                                                                               \
        NULL, "connection_" NAME, TYPE, HELP, FAMILY, METRIC_CONNECTION, BIT(VALUE) \
    }
#define CHANNEL_GAUGE(NAME, VALUE, HELP)                                      \
    {                                                                         \
        NULL, NAME, "gauge", HELP, FAMILY_CHANNEL, METRIC_CHANNEL, BIT(VALUE) \
    }
#define CHANNEL(NAME, FAMILY, VALUE, HELP)                                                  \
    {                                                                                       \
        NULL, "channel_" NAME "_total", "counter", HELP, FAMILY, METRIC_CHANNEL, BIT(VALUE) \
    }

/* clang-format off */
const struct metric metrics[] = {
    QUEUE("messages_ready", "gauge", FAMILY_QUEUE_COARSE, BIT(OF_QUEUE_READY),
          "Messages ready to be delivered to consumers"),
    QUEUE("messages_unacked", "gauge", FAMILY_QUEUE_COARSE, BIT(OF_QUEUE_UNACKED),
          "Messages delivered to consumers but not yet acknowledged"),
    QUEUE("messages", "gauge", FAMILY_QUEUE_COARSE, BIT(OF_QUEUE_READY) | BIT(OF_QUEUE_UNACKED),
          "Sum of ready and unacknowledged messages"),
    QUEUE("consumers", "gauge", FAMILY_QUEUE | FAMILY_QUEUE_CONSUMERS, BIT(QUEUE_CONSUMERS),
          "Consumers on a queue"),
    QUEUE("messages_bytes", "gauge", FAMILY_QUEUE,
          BIT(QUEUE_READY_BYTES) | BIT(QUEUE_UNACKED_BYTES),
          "Size in bytes of ready and unacknowledged messages"),
    QUEUE("messages_ready_bytes", "gauge", FAMILY_QUEUE, BIT(QUEUE_READY_BYTES),
          "Size in bytes of ready messages"),
    QUEUE("messages_unacked_bytes", "gauge", FAMILY_QUEUE, BIT(QUEUE_UNACKED_BYTES),
          "Size in bytes of all unacknowledged messages"),
    QUEUE("messages_published_total", "counter", FAMILY_QUEUE_DELIVERY, BIT(OF_QUEUE_PUBLISH),
          "Messages published to queues"),
    QUEUE("messages_delivered_ack_total", "counter", FAMILY_QUEUE_DELIVERY, BIT(OF_QUEUE_DELIVER),
          "Messages delivered from a queue to consumers in manual acknowledgement mode"),
    QUEUE("messages_delivered_total", "counter", FAMILY_QUEUE_DELIVERY,
          BIT(OF_QUEUE_DELIVER_NO_ACK),
          "Messages delivered from a queue to consumers in automatic acknowledgement mode"),
    QUEUE("get_total", "counter", FAMILY_QUEUE_DELIVERY, BIT(OF_QUEUE_GET),
          "Messages fetched from a queue with basic.get"),
    QUEUE("messages_redelivered_total", "counter", FAMILY_QUEUE_DELIVERY, BIT(OF_QUEUE_REDELIVER),
          "Messages redelivered from a queue to consumers"),
    QUEUE("messages_acked_total", "counter", FAMILY_QUEUE_DELIVERY, BIT(OF_QUEUE_ACK),
          "Messages acknowledged by consumers on a queue"),
    {NULL, "exchange_messages_published_total", "counter",
     "Messages published by clients to an exchange", FAMILY_EXCHANGE, METRIC_EXCHANGE,
     BIT(OF_EXCHANGE_IN)},
    {"warren_", "exchange_messages_routed_total", "counter",
     "Messages that reached a queue from an exchange, once for each queue", FAMILY_EXCHANGE,
     METRIC_EXCHANGE, BIT(OF_EXCHANGE_OUT)},
    CONN("incoming_bytes_total", "counter", FAMILY_CONNECTION_COARSE, OF_CONNECTION_RECEIVED,
         "Bytes received on a connection"),
    CONN("outgoing_bytes_total", "counter", FAMILY_CONNECTION_COARSE, OF_CONNECTION_SENT,
         "Bytes sent on a connection"),
    CONN("incoming_packets_total", "counter", FAMILY_CONNECTION, PACKETS_IN,
         "Packets received on a connection"),
    CONN("outgoing_packets_total", "counter", FAMILY_CONNECTION, PACKETS_OUT,
         "Packets sent on a connection"),
    CONN("pending_packets", "gauge", FAMILY_CONNECTION, PACKETS_PENDING,
         "Bytes waiting to be sent on a connection"),
    CONN("channels", "gauge", FAMILY_CONNECTION, CHANNELS, "Channels on a connection"),
    CHANNEL_GAUGE("channel_consumers", CONSUMERS, "Consumers on a channel"),
    CHANNEL_GAUGE("channel_messages_unacked", UNACKED,
                  "Delivered but not yet acknowledged messages"),
    CHANNEL_GAUGE("channel_messages_unconfirmed", UNCONFIRMED,
                  "Published but not yet confirmed messages"),
    CHANNEL_GAUGE("channel_messages_uncommitted", UNCOMMITTED,
                  "Messages received in a transaction but not yet committed"),
    CHANNEL_GAUGE("channel_acks_uncommitted", UNCOMMITTED_ACKS,
                  "Message acknowledgements in a transaction not yet committed"),
    CHANNEL_GAUGE("consumer_prefetch", PREFETCH,
                  "Limit of unacknowledged messages for each consumer"),
    CHANNEL_GAUGE("channel_prefetch", SHARED_PREFETCH,
                  "Total limit of unacknowledged messages for all consumers on a channel"),
    CHANNEL("messages_published", FAMILY_CHANNEL_EXCHANGE, MESSAGE_PUBLISH,
            "Messages published on a channel"),
    CHANNEL("messages_confirmed", FAMILY_CHANNEL_EXCHANGE, MESSAGE_CONFIRM,
            "Messages published on a channel and confirmed"),
    CHANNEL("messages_unroutable_returned", FAMILY_CHANNEL_EXCHANGE, MESSAGE_RETURN,
            "Messages published as mandatory and returned to the publisher as unroutable"),
    CHANNEL("messages_unroutable_dropped", FAMILY_CHANNEL_EXCHANGE, MESSAGE_DROP,
            "Messages published as non-mandatory and dropped as unroutable"),
    CHANNEL("get_ack", FAMILY_CHANNEL_QUEUE, MESSAGE_GET,
            "Messages fetched with basic.get in manual acknowledgement mode"),
    CHANNEL("get", FAMILY_CHANNEL_QUEUE, MESSAGE_GET_NO_ACK,
            "Messages fetched with basic.get in automatic acknowledgement mode"),
    CHANNEL("messages_delivered_ack", FAMILY_CHANNEL_QUEUE, MESSAGE_DELIVER,
            "Messages delivered to consumers in manual acknowledgement mode"),
    CHANNEL("messages_delivered", FAMILY_CHANNEL_QUEUE, MESSAGE_DELIVER_NO_ACK,
            "Messages delivered to consumers in automatic acknowledgement mode"),
    CHANNEL("messages_redelivered", FAMILY_CHANNEL_QUEUE, MESSAGE_REDELIVER,
            "Messages redelivered to consumers"),
    CHANNEL("messages_acked", FAMILY_CHANNEL_QUEUE, MESSAGE_ACK,
            "Messages acknowledged by consumers"),
    CHANNEL("get_empty", FAMILY_CHANNEL_QUEUE, MESSAGE_GET_EMPTY,
            "Times basic.get operations fetched no message"),
};
/* clang-format on */
const unsigned n_metrics = sizeof(metrics) / sizeof(*metrics);

static const struct {
    const char *name;
    unsigned family;
} families[] = {
    {"queue_coarse_metrics", FAMILY_QUEUE_COARSE},
    {"queue_metrics", FAMILY_QUEUE},
    {"queue_consumer_count", FAMILY_QUEUE_CONSUMERS},
    {"queue_delivery_metrics", FAMILY_QUEUE_DELIVERY},
    {"connection_coarse_metrics", FAMILY_CONNECTION_COARSE},
    {"connection_metrics", FAMILY_CONNECTION},
    {"connection_churn_metrics", FAMILY_CHURN},
    {"channel_metrics", FAMILY_CHANNEL},
    {"channel_exchange_metrics", FAMILY_CHANNEL_EXCHANGE},
    {"channel_queue_metrics", FAMILY_CHANNEL_QUEUE},
    {"channel_queue_exchange_metrics", FAMILY_QUEUE_DELIVERY},
    {"exchange_metrics", FAMILY_EXCHANGE},
    {"exchange_names", FAMILY_EXCHANGE_NAMES},
    {"vhost_status", FAMILY_VHOST_STATUS},
    {"node_metrics", FAMILY_NODE},
    {"node_coarse_metrics", FAMILY_NODE_COARSE},
};

unsigned metric_family_of(const char *name)
{
    for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++) {
        if (!strcmp(families[i].name, name))
            return families[i].family;
    }
    return 0;
}

void metric_values_of_queue(const struct cell *c, uint64_t ret[METRIC_VALUES])
{
    read_queue(&c->stats, ret);
    ret[QUEUE_CONSUMERS] = stat_get(&c->stats.consumers);
    ret[QUEUE_READY_BYTES] = stat_get(&c->stats.ready_bytes);
    ret[QUEUE_UNACKED_BYTES] = stat_get(&c->stats.unacked_bytes);
}

void metric_values_of_exchange(const struct cell *c, uint64_t ret[METRIC_VALUES])
{
    read_exchange(&c->exchange_stats, ret);
}

static void values_of_connection(const struct connection_stats *c, uint64_t ret[METRIC_VALUES])
{
    read_connection(c, ret);
    ret[PACKETS_IN] = stat_get(&c->recv_count);
    ret[PACKETS_OUT] = stat_get(&c->send_count);
    ret[PACKETS_PENDING] = stat_get(&c->send_pending);
    ret[CHANNELS] = stat_get(&c->channels);
}

static void values_of_channel(const struct channel_stats *c, uint64_t ret[METRIC_VALUES])
{
    read_channel(c, ret);
    ret[CONSUMERS] = stat_get(&c->consumers);
    ret[UNACKED] = stat_get(&c->unacked);
    ret[UNCONFIRMED] = stat_get(&c->unconfirmed);
    ret[UNCOMMITTED] = stat_get(&c->uncommitted);
    ret[UNCOMMITTED_ACKS] = stat_get(&c->uncommitted_acks);
    ret[PREFETCH] = stat_get(&c->prefetch);
    ret[SHARED_PREFETCH] = stat_get(&c->shared_prefetch);
}

void metric_values_of_slot(const struct stat_slot *s, uint64_t ret[METRIC_VALUES])
{
    if (s->kind == STAT_CONNECTION)
        values_of_connection((const struct connection_stats *)s, ret);
    else
        values_of_channel((const struct channel_stats *)s, ret);
}

void metric_values_of_node(uint64_t of_connections[METRIC_VALUES],
                           uint64_t of_channels[METRIC_VALUES])
{
    struct node_sums node;

    node_stats_sum(&node);
    of_connections[OF_CONNECTION_RECEIVED] = node.churn[BYTES_RECEIVED];
    of_connections[OF_CONNECTION_SENT] = node.churn[BYTES_SENT];
    of_connections[PACKETS_IN] = node.churn[PACKETS_RECEIVED];
    of_connections[PACKETS_OUT] = node.churn[PACKETS_SENT];
    read_node_messages(of_channels);
}

uint64_t metric_sum(const struct metric *m, const uint64_t values[METRIC_VALUES])
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < METRIC_VALUES; i++)
        sum += m->mask >> i & 1 ? values[i] : 0;
    return sum;
}
