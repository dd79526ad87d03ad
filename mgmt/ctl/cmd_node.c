/*
 * Commands about the node: what it is and does, and changing it while it runs.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mgmt/ctl/lists.h"

static void put_heading(const char *text)
{
    printf("%s\n\n", text);
}

static void put_field(struct ctl *c, const char *name, const json_t *value)
{
    if (value)
        printf("%s: %s\n", name, json_as_text(c, value));
}

static json_t *node_of(struct ctl *c, const json_t *overview)
{
    json_t *all = http_get(c, "nodes"), *one;
    size_t i;

    json_array_foreach(all, i, one) {
        if (!strcmp(json_text_at(one, "name"), json_text_at(overview, "node")))
            return one;
    }
    ctl_fail(c, EX_UNAVAILABLE, "the node is not among its nodes");
}

static void put_duration(const char *name, double ms)
{
    long s = (long)(ms / 1000);

    printf("%s: %ld d %02ld:%02ld:%02ld\n", name, s / 86400, s / 3600 % 24, s / 60 % 60, s % 60);
}

static void put_alarms(const json_t *node)
{
    bool memory = json_is_true(json_at(node, "mem_alarm"));
    bool disk = json_is_true(json_at(node, "disk_free_alarm"));

    put_heading("\nAlarms");
    if (memory)
        puts("memory: publishers are blocked");
    if (disk)
        puts("disk: publishers are blocked");
    if (!memory && !disk)
        puts("(none)");
}

static void put_listeners(const json_t *overview)
{
    json_t *one;
    size_t i;

    put_heading("\nListeners");
    json_array_foreach(json_at(overview, "listeners"), i, one) {
        printf("Interface: %s, port: %d, protocol: %s\n", json_text_at(one, "ip_address"),
               (int)json_number_at(one, "port"), json_text_at(one, "protocol"));
    }
}

static void put_totals(struct ctl *c, const json_t *overview)
{
    put_heading("\nTotals");
    put_field(c, "Connection count", json_at(overview, "object_totals.connections"));
    put_field(c, "Channel count", json_at(overview, "object_totals.channels"));
    put_field(c, "Queue count", json_at(overview, "object_totals.queues"));
    put_field(c, "Consumer count", json_at(overview, "object_totals.consumers"));
    put_field(c, "Messages ready", json_at(overview, "queue_totals.messages_ready"));
    put_field(c, "Messages unacknowledged",
              json_at(overview, "queue_totals.messages_unacknowledged"));
}

static void put_status(struct ctl *c, const json_t *overview, const json_t *node)
{
    printf("Status of node %s ...\n", json_text_at(overview, "node"));
    put_heading("Runtime\n");
    put_field(c, "OS PID", json_at(node, "os_pid"));
    put_duration("Uptime", json_number_at(node, "uptime"));
    printf("Version: %s %s\n", json_text_at(overview, "product_name"),
           json_text_at(overview, "product_version"));
    printf("Compatible with RabbitMQ: %s\n", json_text_at(overview, "rabbitmq_version"));
    put_field(c, "Processors", json_at(node, "processors"));
    put_field(c, "Log files", json_at(node, "log_files"));
    put_field(c, "Config files", json_at(node, "config_files"));
    put_alarms(node);
    put_heading("\nMemory and disk");
    put_field(c, "Memory used, bytes", json_at(node, "mem_used"));
    put_field(c, "Memory limit, bytes", json_at(node, "mem_limit"));
    put_field(c, "Free disk, bytes", json_at(node, "disk_free"));
    put_field(c, "Free disk limit, bytes", json_at(node, "disk_free_limit"));
    put_heading("\nFile descriptors and processes");
    put_field(c, "File descriptors used", json_at(node, "fd_used"));
    put_field(c, "File descriptor limit", json_at(node, "fd_total"));
    put_field(c, "Processes", json_at(node, "proc_used"));
    put_totals(c, overview);
    put_listeners(overview);
}

void cmd_status(struct ctl *c)
{
    json_t *overview = http_get(c, "overview"), *node = node_of(c, overview);

    if (c->format == FORMAT_JSON) {
        (void)json_object_update_missing(node, overview);
        (void)json_dumpf(node, stdout, JSON_INDENT(2));
        putchar('\n');
        return;
    }
    put_status(c, overview, node);
}

void cmd_cluster_status(struct ctl *c)
{
    static const char *const chosen[] = {"name", "type", "running", "mem_alarm", "disk_free_alarm",
                                         NULL};
    json_t *nodes = http_get(c, "nodes");

    if (ctl_is_chatty(c))
        printf("Cluster status of node %s ...\n", json_text_at(json_array_get(nodes, 0), "name"));
    render_rows(c, nodes, NULL, chosen);
}

void cmd_environment(struct ctl *c)
{
    static const char *const chosen[] = {"key", "value", "origin", NULL};

    render_rows(c, http_get(c, "warren/config"), NULL, chosen);
}

void cmd_listeners(struct ctl *c)
{
    static const struct column columns[] = {
        {"interface", "ip_address"}, {"port", NULL}, {"protocol", NULL}, {NULL, NULL}};
    static const char *const chosen[] = {"interface", "port", "protocol", NULL};

    render_rows(c, json_at(http_get(c, "overview"), "listeners"), columns, chosen);
}

void cmd_memory_breakdown(struct ctl *c)
{
    static const char *const chosen[] = {"category", "bytes", NULL};
    json_t *overview = http_get(c, "overview"), *rows = ctl_json(c, json_array()), *memory, *value;
    char *own_argv[] = {ctl_text(c, "%s", json_text_at(overview, "node"))};
    const char *name;

    c->argv = own_argv;
    c->argc = 1;
    memory = json_at(http_get(c, "nodes/%1/memory"), "memory");
    json_object_foreach(memory, name, value) {
        if (json_is_number(value))
            (void)json_array_append_new(rows,
                                        json_pack("{sssO}", "category", name, "bytes", value));
    }
    render_rows(c, rows, NULL, chosen);
}

static void report_list(struct ctl *c, const char *heading, const struct listing *l)
{
    const char *chosen[] = {NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL};
    char *rest = ctl_text(c, "%s", l->initial);
    size_t n = 0;

    for (char *word = strsep(&rest, " "); word; word = strsep(&rest, " "))
        chosen[n++] = word;
    printf("\n%s\n\n", heading);
    render_rows(c, http_get(c, l->path), l->columns, chosen);
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
    json_t *overview = http_get(c, "overview"), *vhosts = http_get(c, "vhosts"), *one;
    size_t i;

    put_status(c, overview, node_of(c, overview));
    printf("\nConfiguration\n\n");
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

static void put_line(const json_t *line)
{
    long long ms = (long long)json_number_at(line, "time");
    time_t s = (time_t)(ms / 1000);
    char text[32];
    struct tm tm;

    gmtime_r(&s, &tm);
    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
    printf("%s.%03d [%s] %s\n", text, (int)(ms % 1000), json_text_at(line, "level"),
           json_text_at(line, "text"));
}

void cmd_log_tail(struct ctl *c)
{
    static const char *const chosen[] = {"time", "level", "category", "text", NULL};
    const char *n = c->option[OPT_LINES] ? c->option[OPT_LINES] : "50";
    json_t *lines, *one;
    size_t i;

    if (!*n || n[strspn(n, "0123456789")])
        ctl_fail(c, EX_USAGE, "--number wants a number, not '%s'", n);
    lines = http_get(c, ctl_text(c, "warren/log?last=%s", n));
    if (c->format != FORMAT_TABLE) {
        render_rows(c, lines, NULL, chosen);
        return;
    }
    json_array_foreach(lines, i, one) {
        put_line(one);
    }
}

static void set_key(struct ctl *c, const char *key, const char *value)
{
    http_do(c, "PUT", "warren/config",
            ctl_json(c, json_pack("{ssss}", "key", key, "value", value)));
}

void cmd_set_log_level(struct ctl *c)
{
    if (c->argc == 1)
        set_key(c, "log.level", ctl_arg(c, 0));
    else
        set_key(c, ctl_text(c, "log.%s.level", ctl_arg(c, 0)), ctl_arg(c, 1));
}

/* Two keys stand for one limit: the one that is not used is 0. */
static void set_limit(struct ctl *c, const char *word, const char *with_word, const char *without)
{
    bool has_word = c->argc == 2;

    if (has_word && strcmp(ctl_arg(c, 0), word))
        ctl_fail(c, EX_USAGE, "'%s' is not '%s'", ctl_arg(c, 0), word);
    set_key(c, has_word ? with_word : without, ctl_arg(c, has_word ? 1 : 0));
}

void cmd_set_memory_watermark(struct ctl *c)
{
    set_limit(c, "absolute", "vm_memory_high_watermark.absolute",
              "vm_memory_high_watermark.relative");
    if (c->argc == 1)
        set_key(c, "vm_memory_high_watermark.absolute", "0");
}

void cmd_set_disk_limit(struct ctl *c)
{
    set_limit(c, "mem_relative", "disk_free_limit.relative", "disk_free_limit.absolute");
    if (c->argc == 1)
        set_key(c, "disk_free_limit.relative", "0");
}

static void pause_ms(long ms)
{
    (void)nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

void cmd_stop(struct ctl *c)
{
    int port = c->option[OPT_PORT]   ? atoi(c->option[OPT_PORT])
               : ctl_has(c, OPT_TLS) ? 15671
                                     : 15672;

    http_do(c, "POST", "warren/stop", NULL);
    for (int i = 0; i < 300; i++) {
        if (!http_is_open(c, port))
            return;
        pause_ms(100);
    }
    ctl_fail(c, EX_TEMPFAIL, "the broker still listens");
}

void cmd_backup(struct ctl *c)
{
    json_t *status;
    const char *state = "";

    http_do(c, "POST", "warren/backup", ctl_json(c, json_pack("{ss}", "directory", ctl_arg(c, 0))));
    if (!ctl_has(c, OPT_WAIT))
        return;
    do {
        pause_ms(100);
        status = http_get(c, "warren/backup");
        state = json_text_at(status, "state");
    } while (!strcmp(state, "running"));
    if (strcmp(state, "done"))
        ctl_fail(c, EX_SOFTWARE, "the backup failed: %s", json_text_at(status, "reason"));
    render_result(c, "Done");
}
