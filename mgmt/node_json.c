/*
 * What the node is.
 */
#include "mgmt/node_json.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "broker/core/listeners.h"
#include "broker/runtime/runtime.h"
#include "mgmt/json.h"
#include "queues/node_name.h"

/* Fails only without memory: then the item is not shown. */
static void append(json_t *list, json_t *item)
{
    (void)json_array_append_new(list, item);
}

json_t *node_cluster_name_json(void)
{
    char name[CLUSTER_NAME_MAX];

    cluster_name(name);
    return json_text_str(name);
}

struct listener_ctx {
    json_t *list;
    const char *node;
};

static const char *address_of(const struct listener_fact *fact)
{
    return *fact->address ? fact->address : "::";
}

static void add_listener(void *ctx, const struct listener_fact *fact)
{
    const struct listener_ctx *l = ctx;
    json_t *one = json_object();

    json_add_text(one, "node", l->node);
    json_add_text(one, "protocol", fact->protocol);
    json_add_text(one, "ip_address", address_of(fact));
    json_add_count(one, "port", fact->port);
    json_add(one, "socket_opts", json_object());
    append(l->list, one);
}

json_t *node_listeners_json(const char *node)
{
    struct listener_ctx l = {json_array(), node};

    listeners_each(add_listener, &l);
    return l.list;
}

static void add_context(void *ctx, const struct listener_fact *fact)
{
    const struct listener_ctx *l = ctx;
    char port[8];
    json_t *one;

    if (strncmp(fact->protocol, "http", 4) != 0)
        return;
    one = json_object();
    snprintf(port, sizeof(port), "%u", fact->port);
    json_add_text(one, "node", l->node);
    json_add_text(one, "description",
                  strstr(fact->protocol, "/prometheus") ? "RabbitMQ Prometheus"
                                                        : "RabbitMQ Management");
    json_add_text(one, "path", "/");
    json_add(one, "ssl_opts", json_array());
    json_add_text(one, "ip", address_of(fact));
    json_add_text(one, "port", port);
    json_add_text(one, "protocol", fact->protocol);
    append(l->list, one);
}

json_t *node_contexts_json(const char *node)
{
    struct listener_ctx l = {json_array(), node};

    listeners_each(add_context, &l);
    return l.list;
}

struct described {
    const char *name, *description;
};

static json_t *described_json(const struct described *d, size_t n)
{
    json_t *ret = json_array();

    for (size_t i = 0; i < n; i++) {
        json_t *one = json_object();

        json_add_text(one, "name", d[i].name);
        json_add_text(one, "description", d[i].description);
        json_add_bool(one, "enabled", true);
        append(ret, one);
    }
    return ret;
}

json_t *node_exchange_types_json(void)
{
    static const struct described types[] = {
        {"direct", "AMQP direct exchange, as per the AMQP specification"},
        {"fanout", "AMQP fanout exchange, as per the AMQP specification"},
        {"headers", "AMQP headers exchange, as per the AMQP specification"},
        {"topic", "AMQP topic exchange, as per the AMQP specification"},
    };

    return described_json(types, sizeof(types) / sizeof(*types));
}

json_t *node_auth_mechanisms_json(void)
{
    static const struct described mechanisms[] = {
        {"AMQPLAIN", "user and password as a field table"},
        {"PLAIN", "user and password, SASL PLAIN"},
    };

    return described_json(mechanisms, sizeof(mechanisms) / sizeof(*mechanisms));
}

static json_t *seconds_json(const unsigned *s, size_t n)
{
    json_t *ret = json_array();

    for (size_t i = 0; i < n; i++)
        append(ret, json_integer(s[i]));
    return ret;
}

json_t *node_retention_json(void)
{
    static const unsigned global[] = {605, 3660, 29400, 86400}, other[] = {60, 3600};
    json_t *ret = json_object();

    json_add(ret, "global", seconds_json(global, sizeof(global) / sizeof(*global)));
    json_add(ret, "basic", seconds_json(other, sizeof(other) / sizeof(*other)));
    json_add(ret, "detailed", seconds_json(other, sizeof(other) / sizeof(*other)));
    return ret;
}

/* The 22nd field of /proc/self/stat, behind the name in brackets: ticks since the machine began. */
uint64_t node_uptime_ms(void)
{
    unsigned long long start = 0;
    struct timespec now;
    char text[1024];
    const char *at;
    FILE *f = fopen("/proc/self/stat", "re");
    size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

    if (f)
        fclose(f);
    text[n] = '\0';
    at = strrchr(text, ')');
    if (!at || sscanf(at + 1,
                      " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d "
                      "%*d %llu",
                      &start) != 1)
        return 0;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 -
           start * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

uint64_t node_descriptors_most(void)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_NOFILE, &limit) < 0 ? 0 : limit.rlim_cur;
}

uint32_t node_run_queue(void)
{
    struct rt_sched_info info;
    uint32_t n = 0;

    for (unsigned i = 0; i <= rt_scheduler_aside(); i++) {
        rt_sched_info(i, &info);
        n += info.ready;
    }
    return n;
}
