/*
 * Commands about the node: its configuration, memory and log, and changing it while it runs.
 */
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "mgmt/ctl/ctl.h"

void cmd_environment(struct ctl *c)
{
    static const char *const chosen[] = {"key", "value", "origin", NULL};

    render_rows(c, http_get(c, "warren/config"), NULL, chosen);
}

void cmd_memory_breakdown(struct ctl *c)
{
    static const char *const chosen[] = {"category", "bytes", NULL};
    json_t *rows = ctl_json(c, json_array()), *value;
    const char *name, *node = json_text_at(http_get(c, "overview"), "node");
    const char *path = ctl_text(c, "nodes/%s/memory", ctl_escape(c, node));
    json_t *memory = json_at(http_need(c, "GET", path, NULL), "memory");

    json_object_foreach(memory, name, value) {
        if (json_is_number(value))
            (void)json_array_append_new(rows,
                                        json_pack("{sssO}", "category", name, "bytes", value));
    }
    render_rows(c, rows, NULL, chosen);
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
    long n = ctl_number(c, OPT_LINES, 50, INT32_MAX);
    json_t *lines = http_get(c, ctl_text(c, "warren/log?last=%ld", n)), *one;
    size_t i;

    if (c->format != FORMAT_TABLE) {
        render_rows(c, lines, NULL, chosen);
        return;
    }
    json_array_foreach(lines, i, one) {
        put_line(one);
    }
}

void cmd_log_location(struct ctl *c)
{
    json_t *all = http_get(c, "nodes"), *one;
    size_t i;

    json_array_foreach(json_at(json_array_get(all, 0), "log_files"), i, one) {
        puts(json_string_value(one));
    }
}

void cmd_server_version(struct ctl *c)
{
    render_as(c, "value", json_text_at(http_get(c, "overview"), "product_version"));
}

static void set_key(struct ctl *c, const char *key, const char *value)
{
    http_do(c, "PUT", "warren/config",
            ctl_json(c, json_pack("{ssss}", "key", key, "value", value)));
}

void cmd_set_log_level(struct ctl *c)
{
    const char *level = ctl_arg(c, c->argc - 1);

    ctl_say(c, "Setting log level to \"%s\" ...", level);
    set_key(c, c->argc == 1 ? "log.level" : ctl_text(c, "log.%s.level", ctl_arg(c, 0)), level);
}

/* Two keys stand for one limit: the one that is not used is 0. */
static void set_limit(struct ctl *c, const char *word, const char *with_word, const char *without)
{
    bool has_word = c->argc == 2;

    c->refused = EX_DATAERR;
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
    int port = http_port(c);

    http_do(c, "POST", "warren/stop", NULL);
    for (int i = 0; i < 300; i++) {
        if (!http_is_open(c, port))
            return;
        pause_ms(100);
    }
    ctl_fail(c, EX_TEMPFAIL, "the broker still listens");
}

void cmd_await_startup(struct ctl *c)
{
    long tries = ctl_number(c, OPT_TIMEOUT, 300, INT32_MAX / 1000) * 10;

    while (!http_is_open(c, http_port(c))) {
        if (--tries < 0)
            ctl_fail(c, EX_TEMPFAIL, "the broker does not listen yet");
        pause_ms(100);
    }
    (void)http_ask(c, "GET", "whoami", NULL);
}

void cmd_await_online_nodes(struct ctl *c)
{
    if (strcmp(ctl_arg(c, 0), "1"))
        ctl_fail(c, EX_USAGE, "there is one node, not %s", ctl_arg(c, 0));
    cmd_await_startup(c);
}

void cmd_set_cluster_name(struct ctl *c)
{
    http_do(c, "PUT", "cluster-name", ctl_json(c, json_pack("{ss}", "name", ctl_arg(c, 0))));
}

void cmd_enable_feature_flag(struct ctl *c)
{
    if (strcmp(ctl_arg(c, 0), "all")) /* all of them are enabled as it is */
        http_do(c, "PUT", "feature-flags/%1/enable", ctl_json(c, json_object()));
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
