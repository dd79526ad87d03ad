#include "queues/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/runtime/alloc.h"
#include "broker/runtime/region.h"
#include "broker/runtime/table.h"
#include "queues/definitions.h"

static struct table *table_of(const char *section)
{
    char name[64];

    snprintf(name, sizeof(name), "settings/%s", section);
    return table_open(name, rt_free);
}

const struct setting *settings_get(const char *section, const char *a, const char *b, const char *c)
{
    RUNTIME_REGION();
    char *key = definitions_key(a, b, c);
    const struct setting *found = key ? table_get(table_of(section), key, strlen(key)) : NULL;

    free(key);
    return found;
}

struct each {
    void (*fn)(void *ctx, const struct setting *s);
    void *ctx;
};

static int give(void *ctx, const void *key, size_t len, void *value)
{
    const struct each *e = ctx;

    (void)key, (void)len;
    e->fn(e->ctx, value);
    return 0;
}

void settings_each(const char *section, void (*fn)(void *ctx, const struct setting *s), void *ctx)
{
    struct each e = {fn, ctx};

    (void)table_each(table_of(section), give, &e); /* give never stops it */
}

size_t settings_count(const char *section)
{
    return table_count(table_of(section));
}

void settings_put(const char *section, const char *key, const char *text)
{
    size_t len = strlen(text);
    struct setting *s = rt_alloc(sizeof(*s) + len + 1);

    s->len = len;
    memcpy(s->text, text, len + 1);
    table_put(table_of(section), key, strlen(key), s);
}

void settings_del(const char *section, const char *key)
{
    (void)table_del(table_of(section), key, strlen(key)); /* it need not be there */
}

struct sweep {
    struct table *table;
    bool (*is_there)(void *ctx, const char *key);
    void *ctx;
};

static int sweep_one(void *ctx, const void *key, size_t len, void *value)
{
    struct sweep *s = ctx;
    char *text = rt_alloc(len + 1);

    (void)value;
    memcpy(text, key, len);
    text[len] = '\0';
    if (!s->is_there(s->ctx, text))
        (void)table_del(s->table, text, len); /* it was there */
    rt_free(text);
    return 0;
}

void settings_sweep(const char *section, bool (*is_there)(void *ctx, const char *key), void *ctx)
{
    struct sweep s = {table_of(section), is_there, ctx};

    (void)table_each(s.table, sweep_one, &s); /* of the version that it began with */
}
