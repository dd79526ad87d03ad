/*
 * Health checks: exit 0 when all is well, 69 when not.
 */
#include <stdlib.h>
#include <string.h>

#include "mgmt/ctl/ctl.h"

void cmd_ping(struct ctl *c)
{
    struct answer a = http_ask(c, "GET", "whoami", NULL);

    if (a.status != 200 && a.status != 401) /* who is not let in got an answer, too */
        http_fail(c, &a);
    render_result(c, "Ping succeeded");
}

void cmd_check_running(struct ctl *c)
{
    const json_t *overview = http_get(c, "overview");

    if (!*json_text_at(overview, "node"))
        ctl_fail(c, EX_UNAVAILABLE, "what answers is no broker");
    render_result(c, ctl_text(c, "%s is fully booted and running", json_text_at(overview, "node")));
}

static void check(struct ctl *c, const char *path)
{
    struct answer a = http_ask(c, "GET", ctl_expand(c, path, true), NULL);

    if (a.status == 503)
        ctl_fail(c, EX_UNAVAILABLE, "%s",
                 *json_text_at(a.json, "reason") ? json_text_at(a.json, "reason")
                                                 : "the check failed");
    if (a.status != 200)
        http_fail(c, &a);
    render_result(c, "The check passed");
}

/* Which alarms stand, whatever they are. */
void cmd_alarms(struct ctl *c)
{
    const char *text = "";
    struct answer a = http_ask(c, "GET", "health/checks/alarms", NULL);
    json_t *one;
    size_t i;

    if (a.status != 200 && a.status != 503)
        http_fail(c, &a);
    json_array_foreach(json_at(a.json, "alarms"), i, one) {
        text = ctl_text(c, "%s%s%s alarm on node %s", text, *text ? "\n" : "",
                        json_text_at(one, "resource"), json_text_at(one, "node"));
    }
    render_result(c, *text ? text : "No alarms are in effect");
}

void cmd_node_health_check(struct ctl *c)
{
    struct answer a = http_ask(c, "GET", "health/checks/alarms", NULL);

    if (a.status == 200)
        a = http_ask(c, "GET", "health/checks/virtual-hosts", NULL);
    if (a.status == 503)
        ctl_fail(c, EX_SOFTWARE, "%s", json_text_at(a.json, "reason"));
    if (a.status != 200)
        http_fail(c, &a);
    render_result(c, "Health check passed");
}

void cmd_check_simple(struct ctl *c)
{
    check(c, c->command->path);
}

void cmd_check_alarms(struct ctl *c)
{
    check(c, "health/checks/local-alarms");
}

void cmd_check_certificates(struct ctl *c)
{
    const char *unit = c->option[OPT_UNIT] ? c->option[OPT_UNIT] : "weeks";
    const char *within = c->option[OPT_WITHIN] ? c->option[OPT_WITHIN] : "4";

    if (unit[strspn(unit, "abcdefghijklmnopqrstuvwxyz")] || within[strspn(within, "0123456789")])
        ctl_fail(c, EX_USAGE, "--within wants a number, --unit days, weeks, months or years");
    check(c, ctl_text(c, "health/checks/certificate-expiration/%s/%s", within, unit));
}

void cmd_check_port_connectivity(struct ctl *c)
{
    const json_t *overview = http_get(c, "overview");
    json_t *one;
    size_t i;

    json_array_foreach(json_at(overview, "listeners"), i, one) {
        int port = (int)json_number_at(one, "port");

        if (port > 0 && !http_is_open(c, port))
            ctl_fail(c, EX_UNAVAILABLE, "nobody accepts at %s port %d (%s)", http_host(c), port,
                     json_text_at(one, "protocol"));
    }
    render_result(c, "All listeners accept connections");
}
