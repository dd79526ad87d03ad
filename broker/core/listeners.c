/*
 * Listeners: what is configured, and the facts of those that run: a table for each, because each
 * has one writer.
 */
#include "broker/core/listeners.h"

#include <stdio.h>
#include <string.h>

#include "broker/core/config.h"
#include "broker/core/tls.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/table.h"

static struct table *facts(const char *id)
{
    char name[64];

    snprintf(name, sizeof(name), "listeners/%s", id);
    return table_open(name, rt_free);
}

static const struct listener_fact *find(const char *id)
{
    return table_get(facts(id), "", 0);
}

uint16_t listeners_port(const char *id)
{
    const struct listener_fact *f = find(id);

    return f ? f->port : 0;
}

/* As RabbitMQ calls it. */
static const char *protocol_of(const char *id)
{
    if (!strncmp(id, "metrics", 7))
        return id[7] ? "https/prometheus" : "http/prometheus";
    if (!strncmp(id, "http", 4))
        return id;
    return !strncmp(id, "amqps", 5) ? "amqp/ssl" : "amqp";
}

void listeners_tell(const char *id, const char *address, uint16_t port)
{
    struct listener_fact *f = rt_zalloc(sizeof(*f));

    snprintf(f->protocol, sizeof(f->protocol), "%s", protocol_of(id));
    snprintf(f->address, sizeof(f->address), "%s", address);
    f->port = port;
    table_put(facts(id), "", 0, f);
}

struct teller {
    void (*fn)(void *ctx, const struct listener_fact *fact);
    void *ctx;
};

static bool tell_fact(void *ctx, const struct listener_plan *plan)
{
    const struct listener_fact *f = find(plan->id);
    struct teller *t = ctx;

    if (f)
        t->fn(t->ctx, f);
    return true;
}

void listeners_each(void (*fn)(void *ctx, const struct listener_fact *fact), void *ctx)
{
    listeners_each_plan(tell_fact, &(struct teller){fn, ctx});
}

static void set_id(struct listener_plan *p, const char *kind, const char *name, int len)
{
    if (len == 7 && !memcmp(name, "default", 7))
        snprintf(p->id, sizeof(p->id), "%s", kind);
    else
        snprintf(p->id, sizeof(p->id), "%s-%.*s", kind, len, name);
}

struct planner {
    bool (*fn)(void *ctx, const struct listener_plan *plan);
    void *ctx;
};

static bool plan_ports(const struct planner *to, const struct config_listeners *l, bool has_tls)
{
    for (uint32_t i = 0; i < l->n; i++) {
        struct listener_plan p = {.is_amqp = true, .has_tls = has_tls, .port = l->at[i].port};

        set_id(&p, has_tls ? "amqps" : "amqp", l->at[i].name, (int)strlen(l->at[i].name));
        snprintf(p.address, sizeof(p.address), "%s", config_address(l->at[i].address));
        if (!to->fn(to->ctx, &p))
            return false;
    }
    return true;
}

static bool plan_paths(const struct planner *to, const char *at)
{
    struct config_pair pair;

    while (config_pair_next(&at, &pair)) {
        struct listener_plan p = {.is_amqp = true, .is_unix = true};

        set_id(&p, "unix", pair.name, pair.name_len);
        snprintf(p.address, sizeof(p.address), "%.*s", pair.value_len, pair.value);
        if (!to->fn(to->ctx, &p))
            return false;
    }
    return true;
}

/* A listener for HTTP, and one for HTTPS once it has a certificate. */
struct http_plans {
    const char *id, *tls_id;
    const char *key; /* whose "port" and "ip" are asked for plain HTTP */
    uint64_t port, tls_port;
    const char *address, *tls_address;
    enum tls_service service;
    bool is_metrics;
};

/* Where only TLS was configured there is only TLS, as RabbitMQ has it. */
static bool has_plain(const struct http_plans *h)
{
    char port[64], ip[64];

    snprintf(port, sizeof(port), "%s.port", h->key);
    snprintf(ip, sizeof(ip), "%s.ip", h->key);
    return !tls_settings_of(h->service) || config_is_set(port) || config_is_set(ip);
}

static bool plan_http(const struct planner *to, const struct http_plans *h)
{
    struct listener_plan p = {.port = (uint16_t)h->port, .is_metrics = h->is_metrics};

    snprintf(p.id, sizeof(p.id), "%s", h->id);
    snprintf(p.address, sizeof(p.address), "%s", config_address(h->address));
    if (has_plain(h) && !to->fn(to->ctx, &p))
        return false;
    if (!tls_settings_of(h->service))
        return true;
    p.has_tls = true;
    p.port = (uint16_t)h->tls_port;
    snprintf(p.id, sizeof(p.id), "%s", h->tls_id);
    snprintf(p.address, sizeof(p.address), "%s", config_address(h->tls_address));
    return to->fn(to->ctx, &p);
}

static bool plan_metrics(const struct planner *to, const struct config *c)
{
    const struct http_plans metrics = {.id = "metrics",
                                       .tls_id = "metrics-tls",
                                       .key = "prometheus.tcp",
                                       .port = c->prometheus_port,
                                       .tls_port = c->prometheus_ssl_port,
                                       .address = c->prometheus_address,
                                       .tls_address = c->prometheus_ssl_address,
                                       .service = TLS_PROMETHEUS,
                                       .is_metrics = true};

    return !c->has_prometheus || plan_http(to, &metrics);
}

static bool plan_mgmt(const struct planner *to, const struct config *c)
{
    const struct http_plans mgmt = {.id = "http",
                                    .tls_id = "https",
                                    .key = "management.tcp",
                                    .port = c->mgmt_port,
                                    .tls_port = c->mgmt_ssl_port,
                                    .address = c->mgmt_address,
                                    .tls_address = c->mgmt_ssl_address,
                                    .service = TLS_MGMT};

    return plan_http(to, &mgmt);
}

void listeners_each_plan(bool (*fn)(void *ctx, const struct listener_plan *plan), void *ctx)
{
    const struct planner to = {fn, ctx};
    const struct config *c = config();

    if (plan_ports(&to, &c->tcp, false) && plan_ports(&to, &c->ssl, true) &&
        plan_paths(&to, c->unix_sockets) && plan_metrics(&to, c))
        (void)plan_mgmt(&to, c); /* the last one */
}
