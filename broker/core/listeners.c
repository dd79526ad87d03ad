/*
 * Facts of listeners: a table for each protocol, because each has one writer.
 */
#include "broker/core/listeners.h"

#include <stdio.h>

#include "broker/runtime/alloc.h"
#include "broker/runtime/table.h"

static const char *const protocols[] = {"amqp", "http"};

static struct table *facts(const char *protocol)
{
    char name[64];

    snprintf(name, sizeof(name), "listeners/%s", protocol);
    return table_open(name, rt_free);
}

static const struct listener_fact *find(const char *protocol)
{
    return table_get(facts(protocol), "", 0);
}

uint16_t listeners_port(const char *protocol)
{
    const struct listener_fact *f = find(protocol);

    return f ? f->port : 0;
}

void listeners_tell(const char *protocol, const char *address, uint16_t port)
{
    struct listener_fact *f = rt_zalloc(sizeof(*f));

    snprintf(f->protocol, sizeof(f->protocol), "%s", protocol);
    snprintf(f->address, sizeof(f->address), "%s", address);
    f->port = port;
    table_put(facts(protocol), "", 0, f);
}

void listeners_each(void (*fn)(void *ctx, const struct listener_fact *fact), void *ctx)
{
    for (size_t i = 0; i < sizeof(protocols) / sizeof(*protocols); i++) {
        const struct listener_fact *f = find(protocols[i]);

        if (f)
            fn(ctx, f);
    }
}
