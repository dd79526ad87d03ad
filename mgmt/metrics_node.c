/*
 * Metrics of the node as a whole.
 */
#include <stdio.h>
#include <string.h>

#include "broker/core/alarms.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/runtime.h"
#include "mgmt/metrics.h"
#include "mgmt/node_json.h"
#include "queues/node_name.h"

static const char rabbitmq[] = "rabbitmq_", warren[] = "warren_";

static void gauge(struct exposition *e, const char *prefix, const char *name, const char *help,
                  uint64_t value)
{
    metric_begin(e, prefix, name, "gauge", help);
    metric_value(e, value);
}

static void counter(struct exposition *e, const char *prefix, const char *name, const char *help,
                    uint64_t value)
{
    metric_begin(e, prefix, name, "counter", help);
    metric_value(e, value);
}

/* The cluster is this node, and its permanent name is the node's. */
void metrics_of_identity(struct exposition *e, const char *node)
{
    char cluster[CLUSTER_NAME_MAX];

    cluster_name(cluster);
    metric_begin(e, rabbitmq, "build_info", "untyped", "What runs here");
    sample_begin(e, "");
    sample_label_str(e, "rabbitmq_version", RABBITMQ_VERSION);
    sample_label_str(e, "prometheus_plugin_version", WARREN_VERSION);
    sample_label_str(e, "prometheus_client_version", WARREN_VERSION);
    sample_label_str(e, "erlang_version", "");
    sample_label_str(e, "product_name", "Warren");
    sample_label_str(e, "product_version", WARREN_VERSION);
    sample_end(e, 1);
    metric_begin(e, rabbitmq, "identity_info", "untyped", "Whose metrics these are");
    sample_begin(e, "");
    sample_label_str(e, "rabbitmq_node", node);
    sample_label_str(e, "rabbitmq_cluster", cluster);
    sample_label_str(e, "rabbitmq_cluster_permanent_id", node);
    sample_label_str(e, "rabbitmq_endpoint", "aggregated");
    sample_end(e, 1);
}

static void coarse(struct exposition *e, const char *prefix)
{
    struct alarms_process p;
    struct alarms_measured m;

    alarms_process(&p);
    alarms_measured(&m);
    gauge(e, prefix, "process_open_fds", "Open file descriptors", p.descriptors);
    gauge(e, prefix, "process_open_tcp_sockets", "Open connections",
          stat_slots_count(STAT_CONNECTION));
    gauge(e, prefix, "process_resident_memory_bytes", "Resident memory in bytes", p.resident);
    gauge(e, prefix, "disk_space_available_bytes", "Disk space available in bytes", m.disk_free);
    gauge(e, prefix, "erlang_processes_used", "Processes that are alive", rt_live_procs());
}

static void disk_work(struct exposition *e, const char *prefix)
{
    struct store_sums s;

    store_stats_sum(&s);
    counter(e, prefix, "io_sync_ops_total", "Write-ahead log syncs", s.syncs);
    counter(e, prefix, "io_write_bytes_total", "Bytes written to write-ahead logs", s.bytes);
    counter(e, prefix, "io_write_ops_total", "Commits written to write-ahead logs", s.groups);
    counter(e, prefix, "io_read_ops_total", "Messages read back", s.reads);
    counter(e, prefix, "io_read_bytes_total", "Bytes of messages read back", s.read_bytes);
    metric_begin(e, prefix, "io_read_time_seconds_total", "counter", "Time spent in reading");
    sample_begin(e, "");
    sample_end_real(e, (double)s.read_us / 1e6);
    metric_begin(e, prefix, "io_sync_time_seconds_total", "counter", "Time spent in commits");
    sample_begin(e, "");
    sample_end_real(e, (double)s.time_sum_us / 1e6);
}

static void fine(struct exposition *e, const char *prefix)
{
    struct alarms_measured m;

    alarms_measured(&m);
    gauge(e, prefix, "process_max_fds", "Open file descriptors limit", node_descriptors_most());
    gauge(e, prefix, "process_max_tcp_sockets", "Open connections limit", node_descriptors_most());
    gauge(e, prefix, "resident_memory_limit_bytes", "Memory high watermark in bytes",
          m.memory_limit);
    gauge(e, prefix, "disk_space_available_limit_bytes", "Free disk space low watermark in bytes",
          m.disk_limit);
    gauge(e, prefix, "erlang_processes_limit", "Processes that there may be", PROCESSES_MOST);
    gauge(e, prefix, "erlang_scheduler_run_queue", "Processes that wait for a scheduler",
          node_run_queue());
    metric_begin(e, prefix, "erlang_uptime_seconds", "gauge", "Node uptime");
    sample_begin(e, "");
    sample_end_real(e, (double)node_uptime_ms() / 1000);
    disk_work(e, prefix);
}

static void alarms(struct exposition *e, const char *prefix)
{
    unsigned now = alarms_now();
    struct alarms_process p;
    uint64_t most = node_descriptors_most();

    alarms_process(&p);
    gauge(e, prefix, "alarms_file_descriptor_limit",
          "is 1 if there is no descriptor left for a connection", most && p.descriptors >= most);
    gauge(e, prefix, "alarms_free_disk_space_watermark",
          "is 1 if the free disk space alarm is in effect", !!(now & ALARM_DISK));
    gauge(e, prefix, "alarms_memory_used_watermark", "is 1 if the memory alarm is in effect",
          !!(now & ALARM_MEMORY));
}

void metrics_of_node(struct exposition *e, const char *prefix, unsigned families)
{
    if (families & FAMILY_NODE_COARSE)
        coarse(e, prefix);
    if (families & FAMILY_NODE)
        fine(e, prefix);
    if (families & FAMILY_NODE)
        alarms(e, prefix);
}

void metrics_of_churn(struct exposition *e, const char *prefix)
{
    static const struct {
        const char *name, *help;
        enum churn_stat stat;
    } churn[] = {
        {"connections_opened_total", "Connections opened", CONNECTIONS_OPENED},
        {"connections_closed_total", "Connections closed or terminated", CONNECTIONS_CLOSED},
        {"channels_opened_total", "Channels opened", CHANNELS_OPENED},
        {"channels_closed_total", "Channels closed", CHANNELS_CLOSED},
        {"queues_declared_total", "Queues declared", QUEUES_DECLARED},
        {"queues_created_total", "Queues created", QUEUES_CREATED},
        {"queues_deleted_total", "Queues deleted", QUEUES_DELETED},
    };
    struct node_sums sums;

    node_stats_sum(&sums);
    for (size_t i = 0; i < sizeof(churn) / sizeof(*churn); i++)
        counter(e, prefix, churn[i].name, churn[i].help, sums.churn[churn[i].stat]);
}

static void by_protocol(struct exposition *e, const char *name, const char *type, const char *help,
                        uint64_t value)
{
    metric_begin(e, rabbitmq, name, type, help);
    sample_begin(e, "");
    sample_label_str(e, "protocol", "amqp091");
    sample_end(e, value);
}

static void by_queue_type(struct exposition *e, const char *name, const char *help,
                          const struct message_sums *m, unsigned stats)
{
    static const char *const types[] = {
        [QUEUE_CLASSIC] = "rabbit_classic_queue", [QUEUE_QUORUM] = "rabbit_quorum_queue"};

    metric_begin(e, rabbitmq, name, "counter", help);
    for (unsigned type = 0; type < QUEUE_TYPES; type++) {
        uint64_t sum = 0;

        for (unsigned i = 0; i < DELIVERY_STATS; i++)
            sum += stats >> i & 1 ? m->deliveries[type][i] : 0;
        sample_begin(e, "");
        sample_label_str(e, "protocol", "amqp091");
        sample_label_str(e, "queue_type", types[type]);
        sample_end(e, sum);
    }
}

static void sizes(struct exposition *e, const struct node_sums *s)
{
    static const char *const bounds[MESSAGE_SIZES] = {
        "100.0", "1000.0", "10000.0", "100000.0", "1e+06", "1e+07", "5e+07", "1e+08", "+Inf"};
    uint64_t n = 0;

    metric_begin(e, rabbitmq, "message_size_bytes", "histogram",
                 "Size of messages received from publishers");
    for (unsigned i = 0; i < MESSAGE_SIZES; i++) {
        n += s->sizes[i];
        sample_begin(e, "_bucket");
        sample_label_str(e, "protocol", "amqp091");
        sample_label_str(e, "le", bounds[i]);
        sample_end(e, n);
    }
    sample_begin(e, "_sum");
    sample_label_str(e, "protocol", "amqp091");
    sample_end(e, s->size_sum);
    sample_begin(e, "_count");
    sample_label_str(e, "protocol", "amqp091");
    sample_end(e, n);
}

static void deliveries(struct exposition *e, const struct message_sums *m)
{
    static const struct {
        const char *name, *help;
        unsigned stats;
    } of[] = {
        {"global_messages_delivered_total", "Messages delivered to consumers",
         1 << DELIVERED_AUTO_ACK | 1 << DELIVERED_MANUAL_ACK | 1 << GOT_AUTO_ACK |
             1 << GOT_MANUAL_ACK},
        {"global_messages_delivered_consume_auto_ack_total",
         "Messages delivered to consumers with automatic acknowledgment", 1 << DELIVERED_AUTO_ACK},
        {"global_messages_delivered_consume_manual_ack_total",
         "Messages delivered to consumers with manual acknowledgment", 1 << DELIVERED_MANUAL_ACK},
        {"global_messages_delivered_get_auto_ack_total",
         "Messages fetched with basic.get with automatic acknowledgment", 1 << GOT_AUTO_ACK},
        {"global_messages_delivered_get_manual_ack_total",
         "Messages fetched with basic.get with manual acknowledgment", 1 << GOT_MANUAL_ACK},
        {"global_messages_get_empty_total", "Times basic.get fetched no message", 1 << GOT_NOTHING},
        {"global_messages_redelivered_total", "Messages redelivered to consumers",
         1 << REDELIVERED},
        {"global_messages_acknowledged_total", "Messages acknowledged by consumers",
         1 << ACKNOWLEDGED},
    };

    for (size_t i = 0; i < sizeof(of) / sizeof(*of); i++)
        by_queue_type(e, of[i].name, of[i].help, m, of[i].stats);
}

void metrics_of_messages(struct exposition *e)
{
    static const struct {
        const char *name, *help;
        enum message_stat stat;
    } of[] = {
        {"global_messages_received_total", "Messages received from publishers", MESSAGES_RECEIVED},
        {"global_messages_received_confirm_total",
         "Messages received from publishers expecting confirmations", MESSAGES_RECEIVED_CONFIRM},
        {"global_messages_confirmed_total", "Messages confirmed to publishers", MESSAGES_CONFIRMED},
        {"global_messages_routed_total", "Messages routed to queues", MESSAGES_ROUTED},
        {"global_messages_unroutable_dropped_total",
         "Messages published as non-mandatory and dropped as unroutable", MESSAGES_DROPPED},
        {"global_messages_unroutable_returned_total",
         "Messages published as mandatory and returned as unroutable", MESSAGES_RETURNED},
    };
    struct node_sums s;

    node_stats_sum(&s);
    for (size_t i = 0; i < sizeof(of) / sizeof(*of); i++)
        by_protocol(e, of[i].name, "counter", of[i].help, s.messages.n[of[i].stat]);
    deliveries(e, &s.messages);
    by_protocol(e, "global_publishers", "gauge", "Publishers that are there now",
                s.churn[PUBLISHERS_OPENED] - s.churn[PUBLISHERS_CLOSED]);
    by_protocol(e, "global_consumers", "gauge", "Consumers that are there now",
                stat_slots_count(STAT_CONSUMER));
    sizes(e, &s);
    counter(e, warren, "received_bytes_total", "Bytes received from clients of AMQP",
            s.churn[BYTES_RECEIVED]);
    counter(e, warren, "sent_bytes_total", "Bytes sent to clients of AMQP", s.churn[BYTES_SENT]);
}

static void by_kind(struct exposition *e, const struct proc_census *c, const char *name,
                    const char *help, size_t offset)
{
    metric_begin(e, warren, name, "gauge", help);
    for (unsigned i = 0; i < c->n; i++) {
        sample_begin(e, "");
        sample_label_str(e, "kind", c->of[i].kind);
        sample_end(e, *(const uint64_t *)(const void *)((const char *)&c->of[i] + offset));
    }
}

static void scheduler_sample(struct exposition *e, unsigned number, double value)
{
    char text[16] = "aside";

    if (number < rt_schedulers())
        snprintf(text, sizeof(text), "%u", number);
    sample_begin(e, "");
    sample_label_str(e, "scheduler", text);
    sample_end_real(e, value);
}

static void schedulers(struct exposition *e)
{
    struct rt_sched_info info;

    metric_begin(e, warren, "scheduler_slept_seconds_total", "counter",
                 "Time in which a scheduler had nothing to do");
    for (unsigned i = 0; i <= rt_scheduler_aside(); i++) {
        rt_sched_info(i, &info);
        scheduler_sample(e, i, (double)info.slept_us / 1e6);
    }
    metric_begin(e, warren, "scheduler_run_queue", "gauge",
                 "Processes that wait for their turn on a scheduler");
    for (unsigned i = 0; i <= rt_scheduler_aside(); i++) {
        rt_sched_info(i, &info);
        scheduler_sample(e, i, info.ready);
    }
}

/* kind NULL: no label tells several histograms apart. */
static void times(struct exposition *e, const char *kind, const uint64_t *in, uint64_t sum_us)
{
    uint64_t n = 0;
    char bound[24];

    for (unsigned i = 0; i < COMMIT_TIMES; i++) {
        n += in[i];
        snprintf(bound, sizeof(bound), "%g",
                 (double)commit_time_bounds[i % (COMMIT_TIMES - 1)] / 1e6);
        sample_begin(e, "_bucket");
        if (kind)
            sample_label_str(e, "kind", kind);
        sample_label_str(e, "le", i == COMMIT_TIMES - 1 ? "+Inf" : bound);
        sample_end(e, n);
    }
    sample_begin(e, "_sum");
    if (kind)
        sample_label_str(e, "kind", kind);
    sample_end_real(e, (double)sum_us / 1e6);
    sample_begin(e, "_count");
    if (kind)
        sample_label_str(e, "kind", kind);
    sample_end(e, n);
}

static void stores(struct exposition *e)
{
    struct store_step_sums steps[STORE_STEPS];
    struct store_sums s;

    store_stats_sum(&s);
    counter(e, warren, "store_groups_total", "Commit groups written", s.groups);
    counter(e, warren, "store_operations_total", "Messages and acks in these groups", s.operations);
    metric_begin(e, warren, "store_commit_seconds", "histogram",
                 "Time that a commit group took, its sync included");
    times(e, NULL, s.times, s.time_sum_us);
    store_stats_steps(steps);
    metric_begin(e, warren, "store_step_seconds", "histogram",
                 "Time of a step that a store takes between its commits");
    for (unsigned i = 0; i < STORE_STEPS; i++)
        times(e, store_step_name((enum store_step)i), steps[i].times, steps[i].time_sum_us);
}

static void add_crash(void *ctx, const char *kind, unsigned reason, uint64_t n)
{
    struct exposition *e = ctx;

    sample_begin(e, "");
    sample_label_str(e, "kind", kind);
    sample_label_str(e, "reason", exit_kind_name((enum exit_kind)reason));
    sample_end(e, n);
}

void metrics_of_runtime(struct exposition *e, const struct proc_census *c)
{
    by_kind(e, c, "processes", "Processes that are alive", offsetof(struct proc_kind, processes));
    by_kind(e, c, "mailbox_messages", "Messages that wait in mailboxes",
            offsetof(struct proc_kind, waiting));
    by_kind(e, c, "mailbox_longest_messages", "Messages in the longest mailbox",
            offsetof(struct proc_kind, longest));
    schedulers(e);
    stores(e);
    metric_begin(e, warren, "process_crashes_total", "counter",
                 "Processes that ended in a crash and, where they have to be, were restarted");
    crash_stats_each(add_crash, e);
}

void metrics_of_memory(struct exposition *e, const struct proc_census *c)
{
    uint64_t known = blob_total_bytes();
    struct alarms_process p;

    alarms_process(&p);
    by_kind(e, c, "memory_heap_bytes", "Bytes of the heaps of processes",
            offsetof(struct proc_kind, heap_bytes));
    for (unsigned i = 0; i < c->n; i++)
        known += c->of[i].heap_bytes;
    gauge(e, warren, "memory_messages_bytes", "Bytes of messages and of what is shared",
          blob_total_bytes());
    gauge(e, warren, "memory_other_bytes", "Resident bytes of caches, tables and the allocator",
          p.resident > known ? p.resident - known : 0);
    gauge(e, warren, "memory_resident_bytes", "Resident bytes of the program", p.resident);
}
