/*
 * What the node is and does, as a whole: for people in the sections that rabbitmqctl has, for
 * scripts as JSON with the members that it has. The first is printed from the second.
 */
#include <stdlib.h>
#include <string.h>

#include "mgmt/ctl/lists.h"

struct facts { /* as the API has them */
    json_t *overview, *node;
    const char *name;
};

static struct facts facts_of(struct ctl *c)
{
    struct facts f = {.overview = http_get(c, "overview")};
    json_t *all = http_get(c, "nodes"), *one;
    size_t i;

    f.name = json_text_at(f.overview, "node");
    json_array_foreach(all, i, one) {
        if (!strcmp(json_text_at(one, "name"), f.name))
            f.node = one;
    }
    if (!f.node)
        ctl_fail(c, EX_UNAVAILABLE, "the node is not among its nodes");
    return f;
}

/* json_pack's arguments: the member's value, lent; null where the API has none. */
static json_t *of(json_t *from, const char *path)
{
    json_t *value = json_at(from, path);

    return value ? value : json_null();
}

static void add_alarm(json_t *to, const struct facts *f, const char *member, const char *resource)
{
    if (json_is_true(json_at(f->node, member)))
        (void)json_array_append_new(to, json_pack("{ssss}", "resource", resource, "node", f->name));
}

static json_t *alarms_of(const struct facts *f)
{
    json_t *all = json_array();

    add_alarm(all, f, "mem_alarm", "memory");
    add_alarm(all, f, "disk_free_alarm", "disk");
    return all;
}

static json_t *listeners_of(const struct facts *f)
{
    json_t *all = json_array(), *one;
    size_t i;

    json_array_foreach(json_at(f->overview, "listeners"), i, one) {
        (void)json_array_append_new(all, json_pack("{sssOsOsO}", "node", f->name, "interface",
                                                   of(one, "ip_address"), "protocol",
                                                   of(one, "protocol"), "port", of(one, "port")));
    }
    return all;
}

static json_t *totals_of(struct ctl *c, const struct facts *f)
{
    json_t *o = f->overview;
    int n_vhosts = (int)json_array_size(http_get(c, "vhosts"));

    return json_pack("{sisOsOsOsOsOsO}", "virtual_host_count", n_vhosts, "connection_count",
                     of(o, "object_totals.connections"), "channel_count",
                     of(o, "object_totals.channels"), "queue_count", of(o, "object_totals.queues"),
                     "consumer_count", of(o, "object_totals.consumers"), "messages_ready",
                     of(o, "queue_totals.messages_ready"), "messages_unacknowledged",
                     of(o, "queue_totals.messages_unacknowledged"));
}

static json_t *limits_of(const struct facts *f)
{
    json_t *n = f->node;

    return json_pack("{s{sOsOsOsO}s{sOsO}}", "file_descriptors", "total_limit", of(n, "fd_total"),
                     "total_used", of(n, "fd_used"), "sockets_limit", of(n, "sockets_total"),
                     "sockets_used", of(n, "sockets_used"), "processes", "limit",
                     of(n, "proc_total"), "used", of(n, "proc_used"));
}

static json_t *memory_of(struct ctl *c, const struct facts *f)
{
    const char *path = ctl_text(c, "nodes/%s/memory", ctl_escape(c, f->name));

    return json_at(http_need(c, "GET", path, NULL), "memory");
}

static json_t *status_of(struct ctl *c, const struct facts *f)
{
    json_t *o = f->overview, *n = f->node, *to;
    json_int_t uptime_s = (json_int_t)(json_number_at(n, "uptime") / 1000);

    to = ctl_json(
        c, json_pack("{sssisIsbsOsOsOsOsOsOsO}", "node", f->name, "pid",
                     atoi(json_text_at(n, "os_pid")), "uptime", uptime_s, "is_under_maintenance", 0,
                     "rabbitmq_version", of(o, "rabbitmq_version"), "product_name",
                     of(o, "product_name"), "product_version", of(o, "product_version"),
                     "processors", of(n, "processors"), "data_directory", of(n, "db_dir"),
                     "config_files", of(n, "config_files"), "log_files", of(n, "log_files")));
    (void)json_object_set_new(to, "alarms", alarms_of(f));
    (void)json_object_set(to, "memory", memory_of(c, f));
    (void)json_object_set(to, "vm_memory_high_watermark_limit", of(n, "mem_limit"));
    (void)json_object_set(to, "disk_free", of(n, "disk_free"));
    (void)json_object_set(to, "disk_free_limit", of(n, "disk_free_limit"));
    (void)json_object_update_new(to, limits_of(f));
    (void)json_object_set(to, "run_queue", of(n, "run_queue"));
    (void)json_object_set_new(to, "totals", totals_of(c, f));
    (void)json_object_set_new(to, "listeners", listeners_of(f));
    return to;
}

static void put_heading(const char *text)
{
    printf("\n%s\n\n", text);
}

static void put_field(struct ctl *c, const char *name, json_t *from, const char *path)
{
    printf("%s: %s\n", name, json_as_text(c, json_at(from, path)));
}

/* Under a heading, one below the other. */
static void put_all(const char *heading, const json_t *texts)
{
    json_t *one;
    size_t i;

    put_heading(heading);
    json_array_foreach(texts, i, one) {
        printf(" * %s\n", json_string_value(one));
    }
    if (json_array_size(texts) == 0)
        puts("(none)");
}

static void put_alarms(const json_t *alarms)
{
    json_t *one;
    size_t i;

    put_heading("Alarms");
    json_array_foreach(alarms, i, one) {
        printf("%s: publishers are blocked\n", json_text_at(one, "resource"));
    }
    if (json_array_size(alarms) == 0)
        puts("(none)");
}

static void put_listeners(struct ctl *c, const json_t *listeners)
{
    json_t *one;
    size_t i;

    json_array_foreach(listeners, i, one) {
        printf("Interface: %s, port: %s, protocol: %s\n",
               json_as_text(c, json_at(one, "interface")), json_as_text(c, json_at(one, "port")),
               json_as_text(c, json_at(one, "protocol")));
    }
}

static void put_use(struct ctl *c, json_t *s)
{
    put_heading("Memory and disk");
    put_field(c, "Memory used, bytes", s, "memory.total.rss");
    put_field(c, "Memory limit, bytes", s, "vm_memory_high_watermark_limit");
    put_field(c, "Free disk, bytes", s, "disk_free");
    put_field(c, "Free disk limit, bytes", s, "disk_free_limit");
    put_heading("File descriptors and processes");
    put_field(c, "File descriptors used", s, "file_descriptors.total_used");
    put_field(c, "File descriptor limit", s, "file_descriptors.total_limit");
    put_field(c, "Processes", s, "processes.used");
    put_heading("Totals");
    put_field(c, "Connection count", s, "totals.connection_count");
    put_field(c, "Channel count", s, "totals.channel_count");
    put_field(c, "Queue count", s, "totals.queue_count");
    put_field(c, "Consumer count", s, "totals.consumer_count");
    put_field(c, "Virtual host count", s, "totals.virtual_host_count");
    put_field(c, "Messages ready", s, "totals.messages_ready");
    put_field(c, "Messages unacknowledged", s, "totals.messages_unacknowledged");
}

static void put_status(struct ctl *c, json_t *s)
{
    puts("Runtime\n");
    put_field(c, "OS PID", s, "pid");
    put_field(c, "Uptime (seconds)", s, "uptime");
    printf("Version: %s %s\n", json_text_at(s, "product_name"), json_text_at(s, "product_version"));
    put_field(c, "RabbitMQ version", s, "rabbitmq_version");
    put_field(c, "Node name", s, "node");
    put_field(c, "Processors", s, "processors");
    put_heading("Data directory");
    put_field(c, "Node data directory", s, "data_directory");
    put_all("Config files", json_at(s, "config_files"));
    put_all("Log file(s)", json_at(s, "log_files"));
    put_alarms(json_at(s, "alarms"));
    put_use(c, s);
    put_heading("Listeners");
    put_listeners(c, json_at(s, "listeners"));
}

void cmd_status(struct ctl *c)
{
    struct facts f = facts_of(c);
    json_t *status = status_of(c, &f);

    if (c->format == FORMAT_JSON) {
        render_json(status);
        return;
    }
    ctl_say(c, "Status of node %s ...", f.name);
    put_status(c, status);
}

void cmd_listeners(struct ctl *c)
{
    struct facts f = facts_of(c);
    json_t *all = ctl_json(c, listeners_of(&f));

    if (c->format == FORMAT_JSON) {
        render_json(
            ctl_json(c, json_pack("{sOssss}", "listeners", all, "node", f.name, "result", "ok")));
        return;
    }
    ctl_say(c, "Asking node %s to report its protocol listeners ...", f.name);
    put_listeners(c, all);
}

static json_t *cluster_of(struct ctl *c, const struct facts *f)
{
    return ctl_json(c,
                    json_pack("{sOs[s]s[]s[s]s{}s{s{sOsOsO}}s{ss}sos{so}sO}", "cluster_name",
                              of(http_get(c, "cluster-name"), "name"), "disk_nodes", f->name,
                              "ram_nodes", "running_nodes", f->name, "partitions", "versions",
                              f->name, "rabbitmq_version", of(f->overview, "rabbitmq_version"),
                              "rabbitmq_name", of(f->overview, "product_name"), "product_version",
                              of(f->overview, "product_version"), "maintenance_status", f->name,
                              "not under maintenance", "alarms", alarms_of(f), "listeners", f->name,
                              listeners_of(f), "feature_flags", http_get(c, "feature-flags")));
}

static void put_flags(const json_t *flags)
{
    json_t *one;
    size_t i;

    put_heading("Feature flags");
    json_array_foreach(flags, i, one) {
        printf("Flag: %s, state: %s\n", json_text_at(one, "name"), json_text_at(one, "state"));
    }
}

void cmd_cluster_status(struct ctl *c)
{
    struct facts f = facts_of(c);
    json_t *cluster = cluster_of(c, &f);

    if (c->format == FORMAT_JSON) {
        render_json(cluster);
        return;
    }
    ctl_say(c, "Cluster status of node %s ...", f.name);
    puts("Basics\n");
    put_field(c, "Cluster name", cluster, "cluster_name");
    printf("\nDisk Nodes\n\n%s\n\nRunning Nodes\n\n%s\n\nVersions\n\n", f.name, f.name);
    printf("%s: %s %s\n", f.name, json_text_at(f.overview, "product_name"),
           json_text_at(f.overview, "product_version"));
    put_alarms(json_at(cluster, "alarms"));
    puts("\nNetwork Partitions\n\n(none)\n\nListeners\n");
    put_listeners(c, json_object_get(json_at(cluster, "listeners"), f.name));
    put_flags(json_at(cluster, "feature_flags"));
}

static void report_list(struct ctl *c, const char *heading, const struct listing *l)
{
    put_heading(heading);
    render_listing(c, l, http_get(c, l->path), l->initial);
}

static void report_vhost(struct ctl *c)
{
    report_list(c, ctl_text(c, "Permissions in %s", ctl_vhost(c)), &list_permissions);
    report_list(c, ctl_text(c, "Policies in %s", ctl_vhost(c)), &list_policies);
    report_list(c, ctl_text(c, "Queues in %s", ctl_vhost(c)), &list_queues);
    report_list(c, ctl_text(c, "Exchanges in %s", ctl_vhost(c)), &list_exchanges);
    report_list(c, ctl_text(c, "Bindings in %s", ctl_vhost(c)), &list_bindings);
}

void cmd_report(struct ctl *c)
{
    struct facts f = facts_of(c);
    json_t *vhosts = http_get(c, "vhosts"), *one;
    size_t i;

    printf("Reporting server status of node %s ...\n\n", f.name);
    put_status(c, status_of(c, &f));
    put_heading("Configuration");
    cmd_environment(c);
    report_list(c, "Users", &list_users);
    report_list(c, "Virtual hosts", &list_vhosts);
    report_list(c, "Connections", &list_connections);
    report_list(c, "Channels", &list_channels);
    json_array_foreach(vhosts, i, one) {
        c->option[OPT_VHOST] = json_text_at(one, "name");
        report_vhost(c);
    }
}
