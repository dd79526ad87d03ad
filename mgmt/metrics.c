/*
 * Metrics of queues, exchanges, connections and channels: names, and the values behind them.
 */
#include "mgmt/metrics.h"

#include <stddef.h>
#include <string.h>

#include "mgmt/cell_json.h"
#include "mgmt/sampled.h"
#include "queues/cell.h"
#include "queues/stats.h"

/* The values of an object are the sampled ones, and behind them what is not sampled. */
enum {
    QUEUE_CONSUMERS = QUEUE_VALUES,
    QUEUE_READY_BYTES,
    QUEUE_UNACKED_BYTES,
    QUEUE_LASTING,
    QUEUE_LASTING_BYTES,
    QUEUE_READY_HERE,
    QUEUE_UNACKED_HERE,
    QUEUE_HERE_BYTES,
    QUEUE_MEMORY,
    QUEUE_HEAD,
    QUEUE_CAPACITY,
    QUEUE_AWAY,
    QUEUE_AWAY_BYTES
};
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

#define CAPACITY_SCALE 1000000

#define BIT(VALUE) (UINT64_C(1) << (VALUE))

#define QUEUE(NAME, TYPE, FAMILIES, MASK, HELP)                          \
    {                                                                    \
        NULL, "queue_" NAME, TYPE, HELP, FAMILIES, METRIC_QUEUE, MASK, 0 \
    }
#define CONN(NAME, TYPE, FAMILY, VALUE, HELP)                                          \
    {                                                                                  \
        NULL, "connection_" NAME, TYPE, HELP, FAMILY, METRIC_CONNECTION, BIT(VALUE), 0 \
    }
#define CHANNEL_GAUGE(NAME, VALUE, HELP)                                         \
    {                                                                            \
        NULL, NAME, "gauge", HELP, FAMILY_CHANNEL, METRIC_CHANNEL, BIT(VALUE), 0 \
    }
#define CHANNEL(NAME, FAMILY, VALUE, HELP)                                                     \
    {                                                                                          \
        NULL, "channel_" NAME "_total", "counter", HELP, FAMILY, METRIC_CHANNEL, BIT(VALUE), 0 \
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
    QUEUE("messages_persistent", "gauge", FAMILY_QUEUE, BIT(QUEUE_LASTING),
          "Persistent messages"),
    QUEUE("messages_persistent_bytes", "gauge", FAMILY_QUEUE, BIT(QUEUE_LASTING_BYTES),
          "Size in bytes of persistent messages"),
    QUEUE("messages_ready_ram", "gauge", FAMILY_QUEUE, BIT(QUEUE_READY_HERE),
          "Ready messages stored in memory"),
    QUEUE("messages_unacked_ram", "gauge", FAMILY_QUEUE, BIT(QUEUE_UNACKED_HERE),
          "Unacknowledged messages stored in memory"),
    QUEUE("messages_ram", "gauge", FAMILY_QUEUE, BIT(QUEUE_READY_HERE) | BIT(QUEUE_UNACKED_HERE),
          "Ready and unacknowledged messages stored in memory"),
    QUEUE("messages_ram_bytes", "gauge", FAMILY_QUEUE, BIT(QUEUE_HERE_BYTES),
          "Size of ready and unacknowledged messages stored in memory"),
    QUEUE("messages_paged_out", "gauge", FAMILY_QUEUE, BIT(QUEUE_AWAY),
          "Messages that are only on disk"),
    QUEUE("messages_paged_out_bytes", "gauge", FAMILY_QUEUE, BIT(QUEUE_AWAY_BYTES),
          "Size in bytes of messages that are only on disk"),
    QUEUE("process_memory_bytes", "gauge", FAMILY_QUEUE, BIT(QUEUE_MEMORY),
          "Memory in bytes used by the queue's process"),
    QUEUE("head_message_timestamp", "gauge", FAMILY_QUEUE, BIT(QUEUE_HEAD),
          "Timestamp property of the first message in the queue, if present"),
    {NULL, "queue_consumer_capacity", "gauge",
     "Part of the last seconds in which a message could be delivered at once", FAMILY_QUEUE,
     METRIC_QUEUE, BIT(QUEUE_CAPACITY), CAPACITY_SCALE},
    {NULL, "queue_consumer_utilisation", "gauge", "Same as consumer capacity", FAMILY_QUEUE,
     METRIC_QUEUE, BIT(QUEUE_CAPACITY), CAPACITY_SCALE},
    QUEUE("get_ack_total", "counter", FAMILY_QUEUE_DELIVERY, BIT(OF_QUEUE_GET),
          "Messages fetched from a queue with basic.get in manual acknowledgement mode"),
    QUEUE("get_empty_total", "counter", FAMILY_QUEUE_DELIVERY, BIT(OF_QUEUE_GET_EMPTY),
          "Times basic.get fetched no message from a queue"),
    QUEUE("messages_published_total", "counter", FAMILY_QUEUE_DELIVERY, BIT(OF_QUEUE_PUBLISH),
          "Messages published to queues"),
    QUEUE("messages_delivered_ack_total", "counter", FAMILY_QUEUE_DELIVERY, BIT(OF_QUEUE_DELIVER),
          "Messages delivered from a queue to consumers in manual acknowledgement mode"),
    QUEUE("messages_delivered_total", "counter", FAMILY_QUEUE_DELIVERY,
          BIT(OF_QUEUE_DELIVER_NO_ACK),
          "Messages delivered from a queue to consumers in automatic acknowledgement mode"),
    QUEUE("get_total", "counter", FAMILY_QUEUE_DELIVERY, BIT(OF_QUEUE_GET_NO_ACK),
          "Messages fetched from a queue with basic.get in automatic acknowledgement mode"),
    QUEUE("messages_redelivered_total", "counter", FAMILY_QUEUE_DELIVERY, BIT(OF_QUEUE_REDELIVER),
          "Messages redelivered from a queue to consumers"),
    QUEUE("messages_acked_total", "counter", FAMILY_QUEUE_DELIVERY, BIT(OF_QUEUE_ACK),
          "Messages acknowledged by consumers on a queue"),
    {NULL, "exchange_messages_published_total", "counter",
     "Messages published by clients to an exchange", FAMILY_EXCHANGE, METRIC_EXCHANGE,
     BIT(OF_EXCHANGE_IN), 0},
    {"warren_", "exchange_messages_routed_total", "counter",
     "Messages that reached a queue from an exchange, once for each queue", FAMILY_EXCHANGE,
     METRIC_EXCHANGE, BIT(OF_EXCHANGE_OUT), 0},
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

/* Both were read one after the other. */
static uint64_t away(uint64_t all, uint64_t here)
{
    return all > here ? all - here : 0;
}

static uint64_t bytes_away(const struct cell_stats *s)
{
    return away(stat_get(&s->ready_bytes) + stat_get(&s->unacked_bytes), stat_get(&s->here_bytes));
}

static uint64_t messages_away(const struct cell_stats *s)
{
    return away(stat_get(&s->ready) + stat_get(&s->unacked),
                stat_get(&s->ready_here) + stat_get(&s->unacked_here));
}

/* Where a queue's counters are; 0: it is none of them, but comes of several. */
static const uint16_t queue_counters[METRIC_VALUES] = {
#define AT(VALUE, MEMBER) [VALUE] = offsetof(struct cell, stats.MEMBER)
    AT(OF_QUEUE_READY, ready),
    AT(OF_QUEUE_UNACKED, unacked),
    AT(OF_QUEUE_PUBLISH, published),
    AT(OF_QUEUE_CONFIRM, confirmed),
    AT(OF_QUEUE_DELIVER, delivered),
    AT(OF_QUEUE_DELIVER_NO_ACK, delivered_no_ack),
    AT(OF_QUEUE_GET, got),
    AT(OF_QUEUE_GET_NO_ACK, got_no_ack),
    AT(OF_QUEUE_GET_EMPTY, got_nothing),
    AT(OF_QUEUE_REDELIVER, redelivered),
    AT(OF_QUEUE_ACK, acked),
    AT(QUEUE_CONSUMERS, consumers),
    AT(QUEUE_READY_BYTES, ready_bytes),
    AT(QUEUE_UNACKED_BYTES, unacked_bytes),
    AT(QUEUE_LASTING, lasting),
    AT(QUEUE_LASTING_BYTES, lasting_bytes),
    AT(QUEUE_READY_HERE, ready_here),
    AT(QUEUE_UNACKED_HERE, unacked_here),
    AT(QUEUE_HERE_BYTES, here_bytes),
    AT(QUEUE_MEMORY, memory),
    AT(QUEUE_HEAD, head_timestamp),
#undef AT
};

static uint64_t queue_value(const struct cell *c, unsigned i)
{
    switch (i) {
    case QUEUE_CAPACITY:
        return (uint64_t)(queue_capacity(&c->stats) * CAPACITY_SCALE);
    case QUEUE_AWAY:
        return messages_away(&c->stats);
    case QUEUE_AWAY_BYTES:
        return bytes_away(&c->stats);
    default:
        return queue_counters[i]
                   ? stat_get((const _Atomic uint64_t *)(const void *)((const char *)c +
                                                                       queue_counters[i]))
                   : 0;
    }
}

void metric_values_of_queue(const struct cell *c, uint64_t ret[METRIC_VALUES])
{
    for (unsigned i = 0; i < METRIC_VALUES; i++)
        ret[i] = queue_value(c, i);
}

uint64_t metric_of_queue(const struct metric *m, const struct cell *c)
{
    uint64_t sum = 0;

    for (uint64_t left = m->mask; left; left &= left - 1)
        sum += queue_value(c, (unsigned)__builtin_ctzll(left));
    return sum;
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
