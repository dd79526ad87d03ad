/*
 * Views of nodes, of which there is one; and where its memory is.
 */
#include <string.h>
#include <unistd.h>

#include "broker/core/alarms.h"
#include "broker/core/config.h"
#include "broker/core/log.h"
#include "broker/core/log_output.h"
#include "broker/core/stats.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/region.h"
#include "broker/runtime/runtime.h"
#include "mgmt/json.h"
#include "mgmt/list.h"
#include "mgmt/node_json.h"
#include "mgmt/sampled.h"
#include "mgmt/views.h"

static void add_limits(json_t *to)
{
    struct alarms_measured m;
    unsigned alarms = alarms_now();

    alarms_measured(&m);
    json_add_count(to, "mem_limit", m.memory_limit);
    json_add_bool(to, "mem_alarm", alarms & ALARM_MEMORY);
    json_add_count(to, "disk_free_limit", m.disk_limit);
    json_add_bool(to, "disk_free_alarm", alarms & ALARM_DISK);
    json_add_count(to, "fd_total", node_descriptors_most());
    json_add_count(to, "sockets_total", node_descriptors_most());
    json_add_count(to, "proc_total", PROCESSES_MOST);
}

static json_t *applications_json(void)
{
    json_t *ret = json_array(), *one = json_object();

    json_add_text(one, "name", "warren");
    json_add_text(one, "description", "Warren");
    json_add_text(one, "version", WARREN_VERSION);
    (void)json_array_append_new(ret, one); /* fails only without memory: not shown */
    return ret;
}

static void append_path(void *list, const char *path)
{
    json_append(list, json_text_str(path));
}

/* As RabbitMQ has it, a stream is named in brackets. */
static json_t *log_files_json(void)
{
    json_t *ret = json_array();
    char path[LOG_PATH_MAX];

    if (log_output_path(config(), path))
        append_path(ret, path);
    if (log_output_level(LOG_TO_CONSOLE) != LOG_LEVEL_NONE)
        append_path(ret, "<stderr>");
    return ret;
}

static void add_program(json_t *to)
{
    json_t *files = json_array();

    config_each_file(append_path, files);
    json_add(to, "applications", applications_json());
    json_add(to, "exchange_types", node_exchange_types_json());
    json_add(to, "auth_mechanisms", node_auth_mechanisms_json());
    json_add(to, "enabled_plugins", json_array());
    json_add(to, "config_files", files);
    json_add(to, "log_files", log_files_json());
    json_add_text(to, "db_dir", config()->data_dir);
    json_add_text(to, "rates_mode", "basic");
    json_add_text(to, "mem_calculation_strategy", "rss");
    json_add(to, "partitions", json_array());
    json_add(to, "cluster_links", json_array());
}

static json_t *node_json(const struct request *r)
{
    uint64_t now[NODE_VALUES] = {0};
    const struct series *s = sampled_node();
    json_t *ret = json_object();

    read_node(now);
    json_add_text(ret, "name", r->node);
    json_add_text(ret, "type", "disc");
    json_add_bool(ret, "running", true);
    json_add_bool(ret, "being_drained", false);
    json_add(ret, "os_pid", json_sprintf("%d", (int)getpid()));
    json_add_count(ret, "uptime", node_uptime_ms());
    json_add_count(ret, "processors", rt_schedulers());
    json_add(ret, "contexts", node_contexts_json(r->node));
    sampled_add(ret, node_names, now, s, &r->ranges.node);
    sampled_add(ret, churn_names, now, s, &r->ranges.rates);
    sampled_add_mean(ret, "io_read_avg_time", now, s, OF_NODE_READ_US, OF_NODE_DISK_READS);
    sampled_add_mean(ret, "io_write_avg_time", now, s, OF_NODE_COMMIT_US, OF_NODE_COMMITS);
    sampled_add_mean(ret, "io_sync_avg_time", now, s, OF_NODE_COMMIT_US, OF_NODE_SYNCS);
    json_add_count(ret, "run_queue", node_run_queue());
    add_limits(ret);
    add_program(ret);
    return ret;
}

/* Lists and single nodes are the same value but for the brackets. */
static json_t *this_node(const struct request *r)
{
    RUNTIME_REGION();

    return node_json(r);
}

static void start_all(struct request *r)
{
    list_begin(r, &list_of_json);
    list_add(r, this_node(r));
    list_run(r);
}

static void check_node(struct request *r)
{
    if (strcmp(request_segment(r, 2), r->node))
        request_fail_not_found(r);
}

static void start_one(struct request *r)
{
    check_node(r);
    request_finish_json(r, this_node(r));
}

struct memory { /* bytes of the processes' heaps */
    uint64_t connections, channels, queues, exchanges, stores, mgmt, others;
};

static uint64_t *part_of(struct memory *m, const char *kind)
{
    static const struct {
        const char *kind;
        size_t offset;
    } parts[] = {
        {"connection", offsetof(struct memory, connections)},
        {"channel", offsetof(struct memory, channels)},
        {"queue", offsetof(struct memory, queues)},
        {"exchange", offsetof(struct memory, exchanges)},
        {"store", offsetof(struct memory, stores)},
        {"node_store", offsetof(struct memory, stores)},
        {"mgmt_http", offsetof(struct memory, mgmt)},
        {"mgmt_request", offsetof(struct memory, mgmt)},
        {"mgmt_sampler", offsetof(struct memory, mgmt)},
    };

    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
        if (!strcmp(parts[i].kind, kind))
            return (uint64_t *)(void *)((char *)m + parts[i].offset);
    }
    return &m->others;
}

static json_t *total_json(uint64_t resident)
{
    json_t *ret = json_object();

    json_add_count(ret, "erlang", resident); /* the names that tools ask for */
    json_add_count(ret, "rss", resident);
    json_add_count(ret, "allocated", resident);
    return ret;
}

/* As bytes, or as parts of a hundred. */
static void add_part(json_t *to, const char *name, uint64_t bytes, uint64_t percent_of)
{
    json_add_count(to, name, percent_of ? bytes * 100 / percent_of : bytes);
}

static json_t *memory_json(const struct memory *m, bool is_relative)
{
    RUNTIME_REGION();
    struct alarms_process p;
    uint64_t blobs = blob_total_bytes(), known, of;
    json_t *parts = json_object(), *ret = json_object();

    alarms_process(&p);
    known = m->connections + m->channels + m->queues + m->exchanges + m->stores + m->mgmt +
            m->others + blobs;
    of = is_relative ? (p.resident > known ? p.resident : known) : 0;
    add_part(parts, "connection_readers", m->connections, of);
    add_part(parts, "connection_channels", m->channels, of);
    add_part(parts, "queue_procs", m->queues, of);
    add_part(parts, "exchange_procs", m->exchanges, of);
    add_part(parts, "msg_index", m->stores, of);
    add_part(parts, "mgmt_db", m->mgmt, of);
    add_part(parts, "other_proc", m->others, of);
    add_part(parts, "binary", blobs, of);
    add_part(parts, "other_system", p.resident > known ? p.resident - known : 0, of);
    if (is_relative) {
        json_add_count(parts, "total", 100);
    } else {
        json_add_text(parts, "strategy", "rss");
        json_add(parts, "total", total_json(p.resident));
    }
    json_add(ret, "memory", parts);
    return ret;
}

static void start_memory(struct request *r)
{
    check_node(r);
    request_count_processes(r);
}

static void on_memory(struct request *r, struct msg *m)
{
    struct memory sums = {0};

    CHECK(request_has_census(r, m));
    for (unsigned i = 0; i < r->census->n; i++)
        *part_of(&sums, r->census->of[i].kind) += r->census->of[i].heap_bytes;
    request_finish_json(r, memory_json(&sums, r->path.n == 5));
}

const struct view views_nodes[] = {
    {"api/nodes", HTTP_GET, VIEW_MONITORING, 0, start_all, NULL},
    {"api/nodes/x", HTTP_GET, VIEW_MONITORING, 0, start_one, NULL},
    {"api/nodes/x/memory", HTTP_GET, VIEW_MONITORING, 0, start_memory, on_memory},
    {"api/nodes/x/memory/relative", HTTP_GET, VIEW_MONITORING, 0, start_memory, on_memory},
    {0},
};
