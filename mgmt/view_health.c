/*
 * Health checks: 200 where all is well, 503 with the reason where it is not. Each looks at facts in
 * place and asks nobody, so that a check tells of the broker and not of what checks it. Names,
 * members and words are RabbitMQ's, because load balancers and deployments compare them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/core/alarms.h"
#include "broker/core/config.h"
#include "broker/core/limits.h"
#include "broker/core/listeners.h"
#include "broker/core/tls.h"
#include "broker/runtime/region.h"
#include "mgmt/json.h"
#include "mgmt/views.h"
#include "queues/vhost_state.h"

static __attribute__((noreturn)) void pass(struct request *r, json_t *more)
{
    json_t *json = more ? more : json_object();

    json_add_text(json, "status", "ok");
    request_finish_json(r, json);
}

/* more (moved): what is shown beside the reason; NULL: nothing. */
static __attribute__((noreturn)) void fail(struct request *r, const char *reason, json_t *more)
{
    json_t *json = more ? more : json_object();
    struct msg_http_response *response;

    json_add_text(json, "status", "failed");
    json_add_text(json, "reason", reason);
    text_add_json(&r->foreign->out, json);
    response = http_response_new(503, &r->foreign->out);
    request_respond(r, response);
}

static void add_alarm(json_t *list, const char *resource, const char *node)
{
    json_t *one = json_object();

    json_add_text(one, "node", node);
    json_add_text(one, "resource", resource);
    json_append(list, one);
}

static json_t *alarms_json(unsigned alarms, const char *node)
{
    json_t *ret = json_object(), *list = json_array();

    if (alarms & ALARM_MEMORY)
        add_alarm(list, "memory", node);
    if (alarms & ALARM_DISK)
        add_alarm(list, "disk", node);
    json_add(ret, "alarms", list);
    return ret;
}

static void check_alarms(struct request *r, const char *reason)
{
    unsigned alarms = alarms_now();

    if (alarms)
        fail(r, reason, alarms_json(alarms, r->node));
    pass(r, NULL);
}

static void start_alarms(struct request *r)
{
    check_alarms(r, "There are alarms in effect in the cluster");
}

static void start_local_alarms(struct request *r)
{
    check_alarms(r, "There are alarms in effect on the node");
}

struct listener_search {
    const char *protocol; /* NULL: by port */
    uint16_t port;
    bool is_found;
    json_t *seen; /* ports or protocols */
};

static void look_at_listener(void *ctx, const struct listener_fact *fact)
{
    struct listener_search *s = ctx;

    s->is_found |= s->protocol ? !strcmp(fact->protocol, s->protocol) : fact->port == s->port;
    json_append(s->seen, s->protocol ? json_text_str(fact->protocol) : json_count(fact->port));
}

static json_t *look(struct listener_search *s)
{
    RUNTIME_REGION();

    s->seen = json_array();
    listeners_each(look_at_listener, s);
    return json_object();
}

static void start_port(struct request *r)
{
    const char *text = request_segment(r, 4);
    struct listener_search s = {0};
    char *end;
    unsigned long port = strtoul(text, &end, 10);
    json_t *more;

    if (*text < '0' || *text > '9' || *end || port == 0 || port > UINT16_MAX)
        request_fail(r, 400, "Invalid port");
    s.port = (uint16_t)port;
    more = look(&s);
    if (s.is_found) {
        json_decref(s.seen);
        json_add_count(more, "port", port);
        pass(r, more);
    }
    json_add_count(more, "missing", port);
    json_add(more, "ports", s.seen);
    fail(r, "No active listener", more);
}

/* The names that RabbitMQ's tools know for one protocol. */
static const char *protocol_of(const char *name)
{
    static const char *const same[][2] = {
        {"amqp091", "amqp"},
        {"amqp0.9.1", "amqp"},
        {"amqp10", "amqp"},
        {"amqp1.0", "amqp"},
        {"amqps", "amqp/ssl"},
        {"management", "http"},
        {"rabbitmq_management", "http"},
        {"http/ssl", "https"},
        {"prometheus", "http/prometheus"},
    };

    for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++) {
        if (!strcasecmp(name, same[i][0]))
            return same[i][1];
    }
    return name;
}

static void start_protocol(struct request *r)
{
    const char *name = protocol_of(request_segment(r, 4));
    struct listener_search s = {.protocol = name};
    json_t *more = look(&s);

    if (s.is_found) {
        json_decref(s.seen);
        json_add_text(more, "protocol", name);
        pass(r, more);
    }
    json_add_text(more, "missing", name);
    json_add(more, "protocols", s.seen);
    fail(r, "No active listener", more);
}

static void add_if_down(void *ctx, const char *vhost)
{
    if (vhost_down_reason(vhost))
        json_append(ctx, json_text_str(vhost));
}

static json_t *vhosts_down(void)
{
    RUNTIME_REGION();
    json_t *ret = json_array();

    access_each_vhost(add_if_down, ret);
    return ret;
}

static void start_vhosts(struct request *r)
{
    json_t *down = vhosts_down(), *more;
    size_t n = json_array_size(down);

    more = json_object();
    if (n > 0) {
        json_add(more, "virtual-hosts", down);
        fail(r, "Some virtual hosts are down", more);
    }
    json_decref(down);
    pass(r, more);
}

/* What is about other nodes or copies of queues, of which there are none. */
static void start_alone(struct request *r)
{
    json_t *more = json_object();

    json_add_text(more, "reason", "single node cluster");
    pass(r, more);
}

/* Who is asked answers: the node is in service, and its metadata are there. */
static void start_pass(struct request *r)
{
    pass(r, NULL);
}

static void start_ready(struct request *r)
{
    struct listener_search s = {.protocol = "amqp"};
    json_t *more = look(&s);

    json_decref(s.seen);
    if (!s.is_found)
        fail(r, "The node does not listen for clients", more);
    pass(r, more);
}

static void start_connections(struct request *r)
{
    int64_t n = limit_count(LIMIT_CONNECTIONS, "", 0);
    uint64_t most = config()->connection_max;
    json_t *more = json_object();

    if (most && (uint64_t)n >= most) {
        json_add_count(more, "connections", (uint64_t)n);
        json_add_count(more, "limit", most);
        fail(r, "node connection limit is reached", more);
    }
    pass(r, more);
}

struct expiry_search {
    int64_t until; /* seconds since 1970 */
    const char *node;
    json_t *expired;
};

static void look_at_certificate(void *ctx, const char *protocol, const struct tls_certificate *c)
{
    struct expiry_search *s = ctx;
    time_t ends = (time_t)c->not_after;
    char text[32];
    struct tm tm;
    json_t *one;

    if (c->not_after > s->until)
        return;
    one = json_object();
    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", gmtime_r(&ends, &tm));
    json_add_text(one, "node", s->node);
    json_add_text(one, "protocol", protocol);
    json_add_text(one, "certfile", c->path);
    json_add_text(one, "subject", c->subject);
    json_add_text(one, "certfile_expires_on", text);
    json_append(s->expired, one);
}

/* NULL: there are none. */
static json_t *expired_json(const char *node, int64_t until)
{
    RUNTIME_REGION();
    struct expiry_search s = {.until = until, .node = node, .expired = json_array()};
    json_t *ret;

    tls_each_certificate(look_at_certificate, &s);
    if (json_array_size(s.expired) == 0) {
        json_decref(s.expired);
        return NULL;
    }
    ret = json_object();
    json_add(ret, "expired", s.expired);
    return ret;
}

static void start_certificates(struct request *r)
{
    static const char *const units[] = {"days", "weeks", "months", "years"};
    static const int days[] = {1, 7, 30, 365};
    const char *within = request_segment(r, 4), *unit = request_segment(r, 5);
    int64_t seconds = 0;
    json_t *more;

    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
        if (!strcmp(unit, units[i]))
            seconds = days[i] * 86400;
    if (seconds == 0)
        request_fail(r, 400,
                     "Time unit not recognised. Supported units: days, weeks, months, years.");
    if (!*within || strlen(within) > 6 || strspn(within, "0123456789") != strlen(within))
        request_fail(r, 400, "Invalid expiration value.");
    seconds *= strtol(within, NULL, 10);
    more = expired_json(r->node, proc_wall_ms() / 1000 + seconds);
    if (more)
        fail(r, "Certificates expiring", more);
    pass(r, NULL);
}

/* The older checks. */

static void start_aliveness(struct request *r)
{
    const char *down = vhost_down_reason(r->vhost);

    if (down)
        fail(r, down, NULL);
    pass(r, NULL);
}

static void start_node(struct request *r)
{
    json_t *down = vhosts_down();
    bool is_well = json_array_size(down) == 0 && !alarms_now();

    json_decref(down);
    if (is_well)
        pass(r, NULL);
    fail(r, alarms_now() ? alarms_reason(alarms_now()) : "some virtual hosts are down", NULL);
}

static void start_named_node(struct request *r)
{
    if (strcmp(request_segment(r, 3), r->node))
        request_fail_not_found(r);
    start_node(r);
}

#define CHECK_VIEW(PATH, START)                                              \
    {                                                                        \
        "api/health/checks/" PATH, HTTP_GET, VIEW_MANAGEMENT, 0, START, NULL \
    }

const struct view views_health[] = {
    CHECK_VIEW("alarms", start_alarms),
    CHECK_VIEW("local-alarms", start_local_alarms),
    CHECK_VIEW("certificate-expiration/x/x", start_certificates),
    CHECK_VIEW("port-listener/x", start_port),
    CHECK_VIEW("protocol-listener/x", start_protocol),
    CHECK_VIEW("virtual-hosts", start_vhosts),
    CHECK_VIEW("node-is-mirror-sync-critical", start_alone),
    CHECK_VIEW("node-is-quorum-critical", start_alone),
    CHECK_VIEW("quorum-queues-without-elected-leaders/all-vhosts", start_pass),
    CHECK_VIEW("quorum-queues-without-elected-leaders/vhost/x", start_pass),
    CHECK_VIEW("is-in-service", start_pass),
    CHECK_VIEW("ready-to-serve-clients", start_ready),
    CHECK_VIEW("below-node-connection-limit", start_connections),
    CHECK_VIEW("metadata-store/initialized", start_pass),
    CHECK_VIEW("metadata-store/initialized/with-data", start_pass),
    CHECK_VIEW("reached-target-cluster-size", start_pass),
    {"api/aliveness-test/x", HTTP_GET, VIEW_MANAGEMENT, VIEW_VHOST, start_aliveness, NULL},
    {"api/healthchecks/node", HTTP_GET, VIEW_MANAGEMENT, 0, start_node, NULL},
    {"api/healthchecks/node/x", HTTP_GET, VIEW_MANAGEMENT, 0, start_named_node, NULL},
    {0},
};
