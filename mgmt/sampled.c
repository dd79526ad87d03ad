/*
 * Values, their names, and how they are shown.
 */
#include "mgmt/sampled.h"

#include <stdio.h>
#include <sys/resource.h>

#include "broker/core/alarms.h"
#include "broker/core/stats.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/runtime.h"
#include "broker/runtime/table.h"
#include "mgmt/json.h"
#include "mgmt/request.h"
#include "queues/cell.h"
#include "queues/route.h"
#include "queues/stats.h"

enum { MAX_POINTS = 1024, SECOND_MS = 1000, NAME_SIZE = 64, IDLE_MS = 10 * 1000 };

#define BIT(VALUE) (UINT64_C(1) << (VALUE))

const struct sampled_name message_names[] = {
    {"publish", BIT(MESSAGE_PUBLISH)},
    {"confirm", BIT(MESSAGE_CONFIRM)},
    {"return_unroutable", BIT(MESSAGE_RETURN)},
    {"drop_unroutable", BIT(MESSAGE_DROP)},
    {"deliver", BIT(MESSAGE_DELIVER)},
    {"deliver_no_ack", BIT(MESSAGE_DELIVER_NO_ACK)},
    {"get", BIT(MESSAGE_GET)},
    {"get_no_ack", BIT(MESSAGE_GET_NO_ACK)},
    {"get_empty", BIT(MESSAGE_GET_EMPTY)},
    {"deliver_get", BIT(MESSAGE_DELIVER) | BIT(MESSAGE_DELIVER_NO_ACK) | BIT(MESSAGE_GET) |
                        BIT(MESSAGE_GET_NO_ACK)},
    {"redeliver", BIT(MESSAGE_REDELIVER)},
    {"ack", BIT(MESSAGE_ACK)},
    {NULL, 0},
};

const struct sampled_name queue_message_names[] = {
    {"publish", BIT(OF_QUEUE_PUBLISH)},
    {"confirm", BIT(OF_QUEUE_CONFIRM)},
    {"deliver", BIT(OF_QUEUE_DELIVER)},
    {"deliver_no_ack", BIT(OF_QUEUE_DELIVER_NO_ACK)},
    {"get", BIT(OF_QUEUE_GET)},
    {"get_no_ack", BIT(OF_QUEUE_GET_NO_ACK)},
    {"get_empty", BIT(OF_QUEUE_GET_EMPTY)},
    {"deliver_get", BIT(OF_QUEUE_DELIVER) | BIT(OF_QUEUE_DELIVER_NO_ACK) | BIT(OF_QUEUE_GET) |
                        BIT(OF_QUEUE_GET_NO_ACK)},
    {"redeliver", BIT(OF_QUEUE_REDELIVER)},
    {"ack", BIT(OF_QUEUE_ACK)},
    {NULL, 0},
};

const struct sampled_name queue_length_names[] = {
    {"messages", BIT(OF_QUEUE_READY) | BIT(OF_QUEUE_UNACKED)},
    {"messages_ready", BIT(OF_QUEUE_READY)},
    {"messages_unacknowledged", BIT(OF_QUEUE_UNACKED)},
    {NULL, 0},
};

const struct sampled_name connection_names[] = {
    {"recv_oct", BIT(OF_CONNECTION_RECEIVED)},
    {"send_oct", BIT(OF_CONNECTION_SENT)},
    {NULL, 0},
};

const struct sampled_name exchange_names[] = {
    {"publish_in", BIT(OF_EXCHANGE_IN)},
    {"publish_out", BIT(OF_EXCHANGE_OUT)},
    {NULL, 0},
};

static const struct sampled_name vhost_length_names[] = {
    {"messages", BIT(OF_VHOST_READY) | BIT(OF_VHOST_UNACKED)},
    {"messages_ready", BIT(OF_VHOST_READY)},
    {"messages_unacknowledged", BIT(OF_VHOST_UNACKED)},
    {NULL, 0},
};

static const struct sampled_name vhost_octet_names[] = {
    {"recv_oct", BIT(OF_VHOST_RECEIVED)},
    {"send_oct", BIT(OF_VHOST_SENT)},
    {NULL, 0},
};

const struct sampled_name node_length_names[] = {
    {"messages", BIT(OF_NODE_READY) | BIT(OF_NODE_UNACKED)},
    {"messages_ready", BIT(OF_NODE_READY)},
    {"messages_unacknowledged", BIT(OF_NODE_UNACKED)},
    {NULL, 0},
};

const struct sampled_name churn_names[] = {
    {"connection_created", BIT(OF_NODE_CONNECTIONS_CREATED)},
    {"connection_closed", BIT(OF_NODE_CONNECTIONS_CLOSED)},
    {"channel_created", BIT(OF_NODE_CHANNELS_CREATED)},
    {"channel_closed", BIT(OF_NODE_CHANNELS_CLOSED)},
    {"queue_declared", BIT(OF_NODE_QUEUES_DECLARED)},
    {"queue_created", BIT(OF_NODE_QUEUES_CREATED)},
    {"queue_deleted", BIT(OF_NODE_QUEUES_DELETED)},
    {NULL, 0},
};

const struct sampled_name node_names[] = {
    {"mem_used", BIT(OF_NODE_MEMORY)},
    {"disk_free", BIT(OF_NODE_DISK_FREE)},
    {"fd_used", BIT(OF_NODE_DESCRIPTORS)},
    {"sockets_used", BIT(OF_NODE_SOCKETS)},
    {"proc_used", BIT(OF_NODE_PROCESSES)},
    {"io_read_count", BIT(OF_NODE_DISK_READS)},
    {"io_read_bytes", BIT(OF_NODE_READ_BYTES)},
    {"io_write_count", BIT(OF_NODE_COMMITS)},
    {"io_write_bytes", BIT(OF_NODE_COMMIT_BYTES)},
    {"io_sync_count", BIT(OF_NODE_SYNCS)},
    {"msg_store_read_count", BIT(OF_NODE_DISK_READS)},
    {"msg_store_write_count", BIT(OF_NODE_DISK_WRITES)},
    {"context_switches", BIT(OF_NODE_SWITCHES)},
    {NULL, 0},
};

const struct sampled_name node_disk_names[] = {
    {"disk_reads", BIT(OF_NODE_DISK_READS)},
    {"disk_writes", BIT(OF_NODE_DISK_WRITES)},
    {NULL, 0},
};

void read_queue(const struct cell_stats *s, uint64_t ret[QUEUE_VALUES])
{
    ret[OF_QUEUE_READY] = stat_get(&s->ready);
    ret[OF_QUEUE_UNACKED] = stat_get(&s->unacked);
    ret[OF_QUEUE_PUBLISH] = stat_get(&s->published);
    ret[OF_QUEUE_CONFIRM] = stat_get(&s->confirmed);
    ret[OF_QUEUE_DELIVER] = stat_get(&s->delivered);
    ret[OF_QUEUE_DELIVER_NO_ACK] = stat_get(&s->delivered_no_ack);
    ret[OF_QUEUE_GET] = stat_get(&s->got);
    ret[OF_QUEUE_GET_NO_ACK] = stat_get(&s->got_no_ack);
    ret[OF_QUEUE_GET_EMPTY] = stat_get(&s->got_nothing);
    ret[OF_QUEUE_REDELIVER] = stat_get(&s->redelivered);
    ret[OF_QUEUE_ACK] = stat_get(&s->acked);
}

void read_connection(const struct connection_stats *s, uint64_t ret[CONNECTION_VALUES])
{
    ret[OF_CONNECTION_RECEIVED] = stat_get(&s->recv_bytes);
    ret[OF_CONNECTION_SENT] = stat_get(&s->send_bytes);
}

static void read_messages(const struct message_sums *m, uint64_t ret[MESSAGE_VALUES])
{
    uint64_t of[DELIVERY_STATS] = {0};

    for (size_t type = 0; type < QUEUE_TYPES; type++) {
        for (size_t i = 0; i < DELIVERY_STATS; i++)
            of[i] += m->deliveries[type][i];
    }
    ret[MESSAGE_PUBLISH] = m->n[MESSAGES_RECEIVED];
    ret[MESSAGE_CONFIRM] = m->n[MESSAGES_CONFIRMED];
    ret[MESSAGE_RETURN] = m->n[MESSAGES_RETURNED];
    ret[MESSAGE_DROP] = m->n[MESSAGES_DROPPED];
    ret[MESSAGE_DELIVER] = of[DELIVERED_MANUAL_ACK];
    ret[MESSAGE_DELIVER_NO_ACK] = of[DELIVERED_AUTO_ACK];
    ret[MESSAGE_GET] = of[GOT_MANUAL_ACK];
    ret[MESSAGE_GET_NO_ACK] = of[GOT_AUTO_ACK];
    ret[MESSAGE_GET_EMPTY] = of[GOT_NOTHING];
    ret[MESSAGE_REDELIVER] = of[REDELIVERED];
    ret[MESSAGE_ACK] = of[ACKNOWLEDGED];
}

void read_channel(const struct channel_stats *s, uint64_t ret[MESSAGE_VALUES])
{
    struct message_sums sums = {0};

    message_counts_add(&sums, &s->messages);
    read_messages(&sums, ret);
}

void read_vhost(const struct default_exchange *d, uint64_t ret[VHOST_VALUES])
{
    struct vhost_sums sums;

    vhost_stats_sum(d->vhost, &sums);
    read_messages(&sums.messages, ret);
    ret[OF_VHOST_READY] = stat_get(&d->ready);
    ret[OF_VHOST_UNACKED] = stat_get(&d->unacked);
    ret[OF_VHOST_RECEIVED] = sums.received;
    ret[OF_VHOST_SENT] = sums.sent;
}

void read_exchange(const struct exchange_stats *s, uint64_t ret[EXCHANGE_VALUES])
{
    ret[OF_EXCHANGE_IN] = stat_get(&s->publish_in);
    ret[OF_EXCHANGE_OUT] = stat_get(&s->publish_out);
}

void read_node_messages(uint64_t ret[MESSAGE_VALUES])
{
    struct node_sums sums;

    node_stats_sum(&sums);
    read_messages(&sums.messages, ret);
}

static void read_work(uint64_t ret[NODE_VALUES])
{
    struct rusage usage = {0};
    struct store_sums s;

    store_stats_sum(&s);
    ret[OF_NODE_DISK_READS] = s.reads;
    ret[OF_NODE_DISK_WRITES] = s.operations;
    ret[OF_NODE_READ_BYTES] = s.read_bytes;
    ret[OF_NODE_READ_US] = s.read_us;
    ret[OF_NODE_COMMITS] = s.groups;
    ret[OF_NODE_COMMIT_BYTES] = s.bytes;
    ret[OF_NODE_COMMIT_US] = s.time_sum_us;
    ret[OF_NODE_SYNCS] = s.syncs;
    (void)getrusage(RUSAGE_SELF, &usage); /* fails only for another `who` */
    ret[OF_NODE_SWITCHES] = (uint64_t)usage.ru_nvcsw + (uint64_t)usage.ru_nivcsw;
}

void read_node(uint64_t ret[NODE_VALUES])
{
    struct alarms_measured m;
    struct alarms_process p;
    struct node_sums sums;

    node_stats_sum(&sums);
    alarms_measured(&m);
    alarms_process(&p);
    read_messages(&sums.messages, ret);
    ret[OF_NODE_CONNECTIONS_CREATED] = sums.churn[CONNECTIONS_OPENED];
    ret[OF_NODE_CONNECTIONS_CLOSED] = sums.churn[CONNECTIONS_CLOSED];
    ret[OF_NODE_CHANNELS_CREATED] = sums.churn[CHANNELS_OPENED];
    ret[OF_NODE_CHANNELS_CLOSED] = sums.churn[CHANNELS_CLOSED];
    ret[OF_NODE_QUEUES_DECLARED] = sums.churn[QUEUES_DECLARED];
    ret[OF_NODE_QUEUES_CREATED] = sums.churn[QUEUES_CREATED];
    ret[OF_NODE_QUEUES_DELETED] = sums.churn[QUEUES_DELETED];
    ret[OF_NODE_MEMORY] = m.memory_used;
    ret[OF_NODE_DISK_FREE] = m.disk_free;
    ret[OF_NODE_DESCRIPTORS] = p.descriptors;
    ret[OF_NODE_SOCKETS] = stat_slots_count(STAT_CONNECTION);
    ret[OF_NODE_PROCESSES] = rt_live_procs();
    read_work(ret);
}

/* As with RabbitMQ, both must be there, and more points than anybody can look at are refused. */
static void read_range(struct request *r, const char *name, struct series_range *ret)
{
    char key[NAME_SIZE];
    int64_t age, incr;

    snprintf(key, sizeof(key), "%s_age", name);
    age = request_param_int(r, key, 0);
    snprintf(key, sizeof(key), "%s_incr", name);
    incr = request_param_int(r, key, 0);
    *ret = (struct series_range){0};
    if (age <= 0 || incr <= 0)
        return;
    if (age > INT32_MAX || age / incr >= MAX_POINTS)
        request_fail(r, 400, "a range of statistics has too many samples");
    *ret = (struct series_range){(uint64_t)age, (uint64_t)incr};
}

void sampled_ranges_read(struct request *r, struct sampled_ranges *ret)
{
    read_range(r, "msg_rates", &ret->rates);
    read_range(r, "lengths", &ret->lengths);
    read_range(r, "data_rates", &ret->data);
    read_range(r, "node_stats", &ret->node);
}

static uint64_t sum_of(const uint64_t *now, uint64_t mask)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < SAMPLED_MAX && mask >> i; i++)
        sum += mask >> i & 1 ? now[i] : 0;
    return sum;
}

/* Of what has not changed for so long that nothing is kept of it. */
static size_t flat_points(uint64_t value, const struct series_range *range,
                          struct series_point *ret, size_t max)
{
    int64_t at_ms = proc_wall_ms();
    size_t n = (size_t)(range->age_s / range->incr_s) + 1;

    for (size_t i = 0; i < n && i < max; i++)
        ret[i] = (struct series_point){
            .value = value, .at_ms = at_ms - (int64_t)i * (int64_t)range->incr_s * SECOND_MS};
    return n < max ? n : max;
}

static void add_samples(json_t *to, const struct sampled_name *name, uint64_t value,
                        const struct series *s, const struct series_range *range)
{
    struct series_point point[MAX_POINTS];
    size_t n = s ? series_points(s, name->mask, range, point, MAX_POINTS)
                 : flat_points(value, range, point, MAX_POINTS);
    json_t *samples = json_array();
    double sum = 0, seconds;

    for (size_t i = 0; i < n; i++) {
        json_t *one = json_object();

        json_add_count(one, "sample", point[i].value);
        json_add(one, "timestamp", json_integer(point[i].at_ms));
        (void)json_array_append_new(samples, one); /* fails only without memory: not shown */
        sum += (double)point[i].value;
    }
    seconds = n > 1 ? (double)(point[0].at_ms - point[n - 1].at_ms) / SECOND_MS : 0;
    json_add(to, "samples", samples);
    json_add(to, "avg", json_real(n ? sum / (double)n : 0));
    json_add(to, "avg_rate",
             json_real(seconds > 0
                           ? (double)(int64_t)(point[0].value - point[n - 1].value) / seconds
                           : 0));
}

static void add_one(json_t *to, const struct sampled_name *n, uint64_t value,
                    const struct series *s, const struct series_range *range)
{
    json_t *details = json_object();
    char name[NAME_SIZE];

    json_add(details, "rate", json_real(series_rate(s, n->mask)));
    if (range && range->incr_s)
        add_samples(details, n, value, s, range);
    snprintf(name, sizeof(name), "%s_details", n->name);
    json_add(to, name, details);
}

void sampled_add(json_t *to, const struct sampled_name *names, const uint64_t *now,
                 const struct series *s, const struct series_range *range)
{
    for (const struct sampled_name *n = names; n->name; n++) {
        json_add_count(to, n->name, sum_of(now, n->mask));
        add_one(to, n, sum_of(now, n->mask), s, range);
    }
}

static double mean_ms(double us, double n)
{
    return n > 0 ? us / n / 1000 : 0;
}

void sampled_add_mean(json_t *to, const char *name, const uint64_t *now, const struct series *s,
                      unsigned time_us, unsigned count)
{
    json_t *details = json_object();
    char key[NAME_SIZE];

    json_add(to, name, json_real(mean_ms((double)now[time_us], (double)now[count])));
    json_add(details, "rate",
             json_real(mean_ms(series_rate(s, BIT(time_us)), series_rate(s, BIT(count)))));
    snprintf(key, sizeof(key), "%s_details", name);
    json_add(to, key, details);
}

const struct series *sampled_series(const struct stat_history *h)
{
    return atomic_load_explicit(&h->series, memory_order_acquire);
}

struct table *sampled_node_table(void)
{
    return table_open("mgmt/node_series", rt_free);
}

const struct series *sampled_node(void)
{
    return table_get(sampled_node_table(), "", 0);
}

void sampled_add_lengths(json_t *to, const struct cell *c, const struct sampled_ranges *ranges)
{
    uint64_t now[QUEUE_VALUES];

    read_queue(&c->stats, now);
    for (const struct sampled_name *n = queue_length_names; n->name; n++) {
        json_add_count(to, n->name, sum_of(now, n->mask));
        if (ranges)
            add_one(to, n, sum_of(now, n->mask), sampled_series(&c->history), &ranges->lengths);
    }
}

void sampled_add_queue(json_t *to, const struct cell *c, const struct sampled_ranges *ranges)
{
    const struct series *s = sampled_series(&c->history);
    int64_t changed_ms = (int64_t)stat_get(&c->history.changed_ms);
    json_t *messages = json_object();
    uint64_t now[QUEUE_VALUES];

    read_queue(&c->stats, now);
    sampled_add(messages, queue_message_names, now, s, &ranges->rates);
    json_add(to, "message_stats", messages);
    if (changed_ms && proc_wall_ms() - changed_ms > IDLE_MS)
        json_add_time(to, "idle_since", changed_ms);
}

void sampled_add_exchange(json_t *to, const struct cell *c, const struct sampled_ranges *ranges)
{
    const struct exchange_stats *stats = &c->exchange_stats;
    const struct stat_history *history = &c->history;
    const struct default_exchange *none = NULL;
    json_t *messages = json_object();
    uint64_t now[EXCHANGE_VALUES];
    struct vhost_tables tables;

    if (c->name_len == 0) {
        vhost_tables_open(cell_vhost(c), &tables);
        none = vhost_default_exchange(&tables);
    }
    if (none) {
        stats = &none->stats;
        history = &none->history;
    }
    read_exchange(stats, now);
    sampled_add(messages, exchange_names, now, sampled_series(history), &ranges->rates);
    json_add(to, "message_stats", messages);
}

void sampled_add_vhost(json_t *to, const char *vhost, const struct sampled_ranges *ranges)
{
    json_t *messages = json_object();
    uint64_t now[VHOST_VALUES] = {0};
    const struct default_exchange *d;
    const struct series *s = NULL;
    struct vhost_tables tables;

    vhost_tables_open(vhost, &tables);
    d = vhost_default_exchange(&tables);
    if (d) {
        read_vhost(d, now);
        s = sampled_series(&d->vhost_history);
    }
    sampled_add(to, vhost_length_names, now, s, &ranges->lengths);
    sampled_add(to, vhost_octet_names, now, s, &ranges->data);
    sampled_add(messages, message_names, now, s, &ranges->rates);
    json_add(to, "message_stats", messages);
}
