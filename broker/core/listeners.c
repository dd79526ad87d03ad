/*
 * Listeners: what is configured, and the facts of those that run: a table for each, because each
 * has one writer.
 */
#include "broker/core/listeners.h"

#include <stdio.h>
#include <string.h>

#include "broker/core/config.h"
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
    if (!strcmp(id, "metrics"))
        return "http/prometheus";
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

/* Where only TLS was configured for management, there is only TLS, as RabbitMQ has it. */
static bool has_plain_mgmt(const struct config *c)
{
    return !*c->tls[TLS_MGMT].certfile || config_is_set("management.tcp.port") ||
           config_is_set("management.tcp.ip");
}

static bool plan_metrics(const struct planner *to, const struct config *c)
{
    struct listener_plan p = {
        .id = "metrics", .port = (uint16_t)c->prometheus_port, .is_metrics = true};

    snprintf(p.address, sizeof(p.address), "%s", config_address(c->prometheus_address));
    return !c->has_prometheus || to->fn(to->ctx, &p);
}

static void plan_mgmt(const struct planner *to, const struct config *c)
{
    struct listener_plan p = {.id = "http", .port = (uint16_t)c->mgmt_port};

    snprintf(p.address, sizeof(p.address), "%s", config_address(c->mgmt_address));
    if (has_plain_mgmt(c) && !to->fn(to->ctx, &p))
        return;
    if (!*c->tls[TLS_MGMT].certfile)
        return;
    p = (struct listener_plan){.id = "https", .has_tls = true, .port = (uint16_t)c->mgmt_ssl_port};
    snprintf(p.address, sizeof(p.address), "%s", config_address(c->mgmt_ssl_address));
    (void)to->fn(to->ctx, &p); /* the last one */
}

void listeners_each_plan(bool (*fn)(void *ctx, const struct listener_plan *plan), void *ctx)
{
    const struct planner to = {fn, ctx};
    const struct config *c = config();

    if (plan_ports(&to, &c->tcp, false) && plan_ports(&to, &c->ssl, true) &&
        plan_paths(&to, c->unix_sockets) && plan_metrics(&to, c))
        plan_mgmt(&to, c);
}
