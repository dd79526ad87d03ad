/*
 * Commands about queues, connections and definitions.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/ctl/ctl.h"

static bool is_up(const json_t *queue)
{
    return strcmp(json_text_at(queue, "state"), "down") != 0;
}

static bool is_wanted(const struct ctl *c, const json_t *queue)
{
    return is_up(queue) ? !ctl_has(c, OPT_OFFLINE) || ctl_has(c, OPT_ONLINE)
                        : !ctl_has(c, OPT_ONLINE) || ctl_has(c, OPT_OFFLINE);
}

void cmd_list_queues(struct ctl *c)
{
    run_listing_of(c, is_wanted);
}

static bool is_unresponsive(const struct ctl *c, const json_t *queue)
{
    (void)c;
    return !is_up(queue);
}

void cmd_list_unresponsive_queues(struct ctl *c)
{
    run_listing_of(c, is_unresponsive);
}

void cmd_delete_queue(struct ctl *c)
{
    bool if_empty = ctl_has(c, OPT_IF_EMPTY), if_unused = ctl_has(c, OPT_IF_UNUSED);
    json_t *queue;

    c->refused = EX_USAGE;
    ctl_say(c, "Deleting queue '%s' on vhost '%s'%s%s%s ...", ctl_arg(c, 0), ctl_vhost(c),
            if_empty ? " if queue is empty" : "", if_empty && if_unused ? " and" : "",
            if_unused ? " if queue is unused" : "");
    queue = http_get(c, "queues/%v/%1");
    http_do(c, "DELETE",
            ctl_text(c, "queues/%%v/%%1?%s&%s", if_empty ? "if-empty=true" : "",
                     if_unused ? "if-unused=true" : ""),
            NULL);
    render_result(c, ctl_text(c, "Queue was successfully deleted with %.0f ready messages",
                              json_number_at(queue, "messages_ready")));
}

/* A line of a header. */
static const char *reason_arg(struct ctl *c, int i)
{
    const char *reason = ctl_arg(c, i);

    if (reason && strpbrk(reason, "\r\n"))
        ctl_fail(c, EX_USAGE, "a reason is one line");
    return reason ? reason : "Closed via warrenctl";
}

/* Its name, or its pid, which is that without spaces. */
void cmd_close_connection(struct ctl *c)
{
    const char *name = ctl_arg(c, 0), *arrow = strstr(name, "->");

    c->reason = reason_arg(c, 1);
    ctl_say(c, "Closing connection %s, reason: %s...", name, c->reason);
    if (arrow && arrow > name && arrow[-1] != ' ')
        name = ctl_text(c, "%.*s -> %s", (int)(arrow - name), name, arrow + 2);
    (void)http_need(c, "DELETE", ctl_text(c, "connections/%s", ctl_escape(c, name)), NULL);
}

/* One that went meanwhile is closed, too. */
static void close_listed(struct ctl *c, const char *path)
{
    json_t *all = http_get(c, path), *one;
    long n = 0, most = ctl_number(c, OPT_LIMIT, 0, LONG_MAX);
    size_t i;

    json_array_foreach(all, i, one) {
        const char *name = ctl_escape(c, json_text_at(one, "name"));
        struct answer a;

        if (most > 0 && n >= most)
            break;
        a = http_ask(c, "DELETE", ctl_text(c, "connections/%s", name), NULL);
        if (a.status != 204 && a.status != 404)
            http_fail(c, &a);
        n += a.status == 204;
    }
    render_result(c, ctl_text(c, "Closed %ld connections", n));
}

void cmd_close_all_connections(struct ctl *c)
{
    bool is_global = ctl_has(c, OPT_GLOBAL);

    c->reason = reason_arg(c, 0);
    ctl_say(c, "Closing %s connections %s%s, reason: %s...",
            ctl_has(c, OPT_LIMIT) ? c->option[OPT_LIMIT] : "all",
            is_global ? "across all vhosts" : "in vhost ", is_global ? "" : ctl_vhost(c),
            c->reason);
    close_listed(c, is_global ? "connections" : "vhosts/%v/connections");
}

void cmd_close_user_connections(struct ctl *c)
{
    c->reason = reason_arg(c, 1);
    ctl_say(c, "Closing connections of user %s, reason: %s...", ctl_arg(c, 0), c->reason);
    close_listed(c, "connections/username/%1");
}

void cmd_export_definitions(struct ctl *c)
{
    json_t *all = http_get(c, "definitions");
    const char *path = ctl_arg(c, 0);
    FILE *out = strcmp(path, "-") ? fopen(path, "we") : stdout;
    bool is_written;

    if (!out)
        ctl_fail(c, EX_DATAERR, "%s: %s", path, strerror(errno));
    is_written = json_dumpf(all, out, JSON_INDENT(2)) == 0 && fputc('\n', out) != EOF;
    if ((out != stdout && fclose(out) != 0) || !is_written)
        ctl_fail(c, EX_IOERR, "%s could not be written", path);
}

void cmd_import_definitions(struct ctl *c)
{
    const char *path = ctl_arg(c, 0);
    FILE *in = path && strcmp(path, "-") ? fopen(path, "re") : stdin;
    json_error_t e;
    json_t *all;

    if (!in)
        ctl_fail(c, EX_DATAERR, "%s: %s", path, strerror(errno));
    all = json_loadf(in, JSON_REJECT_DUPLICATES, &e);
    if (in != stdin)
        fclose(in);
    if (!all)
        ctl_fail(c, EX_DATAERR, "%s:%d: %s", path ? path : "standard input", e.line, e.text);
    http_do(c, "POST",
            ctl_has(c, OPT_SKIP_UNSUPPORTED) ? "definitions?skip_unsupported=true" : "definitions",
            ctl_json(c, all));
    if (ctl_is_chatty(c))
        puts("Imported");
}

/* Messages are looked at a page at a time, and of those before the wanted one nothing is sent. */
static json_t *find_message(struct ctl *c, long at)
{
    const char *path = ctl_expand(c, "queues/%v/%1/messages", true);
    unsigned long long from = 0;
    char query[100];

    for (;;) {
        int n = at > 100 ? 100 : (int)at;
        struct answer a;
        const json_t *items;

        snprintf(query, sizeof(query), "?count=%d&from=%llu&truncate=%d", n, from,
                 at > 100 ? 0 : 50000);
        a = http_ask(c, "GET", ctl_text(c, "%s%s", path, query), NULL);
        if (a.status != 200)
            http_fail(c, &a);
        items = json_object_get(a.json, "items");
        if (json_array_size(items) >= (size_t)at)
            return json_array_get(items, (size_t)at - 1);
        at -= (long)json_array_size(items);
        from = (unsigned long long)json_integer_value(json_object_get(a.json, "next"));
        if (!from)
            return NULL;
    }
}

void cmd_peek(struct ctl *c)
{
    const char *text = ctl_arg(c, 1) ? ctl_arg(c, 1) : "1";
    char *end;
    long at = strtol(text, &end, 10);
    const json_t *found;

    if (!*text || *end || at < 1 || at > 10000)
        ctl_fail(c, EX_USAGE, "a position is a number from 1 to 10000, not '%s'", text);
    found = find_message(c, at);
    if (!found)
        ctl_fail(c, EX_DATAERR, "there is no message at position %ld", at);
    (void)json_dumpf(found, stdout, JSON_INDENT(2));
    putchar('\n');
}
