/*
 * The supervisor of a vhost.
 */
#include "queues/vhost.h"

#include <stdio.h>
#include <string.h>

#include "broker/core/config.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/table.h"
#include "persistence/store.h"
#include "queues/policies.h"
#include "queues/queue.h"
#include "queues/registry.h"
#include "queues/registry_hash.h"
#include "queues/registry_impl.h"
#include "queues/routes.h"
#include "queues/vhost_state.h"

struct vhost_ctx {
    char name[256];
    char dir[400];
};

static void add(const char *what, enum vhost_part tag, const struct vhost_ctx *v,
                const struct proc_ops *ops, struct blob *arg)
{
    char id[300];
    struct child_spec spec = {.id = id,
                              .ops = ops,
                              .arg = arg,
                              .own_budget = true,
                              .shutdown_ms = ops == &supervisor_ops ? SUP_WAIT : 5000,
                              .scheduler = SCHED_SAME,
                              .tag = tag};

    snprintf(id, sizeof(id), "%s:%s", what, v->name);
    sup_add(&spec);
    blob_unref(arg);
}

static void build(const void *ctx)
{
    const struct vhost_ctx *v = ctx;
    struct sup_spec children = {.strategy = ONE_FOR_ONE, .is_registered = true};
    struct store_arg store = {.cache_budget = config()->store_cache,
                              .wal_budget = config()->store_wal};
    struct registry_arg registry;
    struct vhost_state_arg watcher;

    snprintf(store.vhost, sizeof(store.vhost), "%s", v->name);
    snprintf(store.dir, sizeof(store.dir), "%s", v->dir);
    snprintf(registry.vhost, sizeof(registry.vhost), "%s", v->name);
    snprintf(watcher.vhost, sizeof(watcher.vhost), "%s", v->name);
    add("vhost_state", 0, v, &vhost_state_ops, blob_copy(&watcher, sizeof(watcher)));
    add("store", VHOST_STORE, v, &store_ops, blob_copy(&store, sizeof(store)));
    add("exchanges", VHOST_EXCHANGES, v, &supervisor_ops, sup_new_arg(&children, NULL, 0));
    add("queues", VHOST_QUEUES, v, &supervisor_ops, sup_new_arg(&children, NULL, 0));
    add("registry", VHOST_REGISTRY, v, &registry_ops, blob_copy(&registry, sizeof(registry)));
}

void vhost_dir_name(const char *name, char *out, size_t size)
{
    snprintf(out, size, "vhost-%016llx", (unsigned long long)registry_hash(0, name, strlen(name)));
}

void vhost_child_spec(const char *name, const char *data_dir, struct child_spec *ret)
{
    static char id[300]; /* lent until the next call; sup_add copies it */
    struct sup_spec sup = {.strategy = ONE_FOR_ONE, .build = build};
    struct vhost_ctx v;
    char dir[32];

    vhost_dir_name(name, dir, sizeof(dir));
    snprintf(v.name, sizeof(v.name), "%s", name);
    snprintf(v.dir, sizeof(v.dir), "%.300s/%s", data_dir, dir);
    snprintf(id, sizeof(id), "vhost:%s", name);
    *ret = (struct child_spec){.id = id,
                               .ops = &supervisor_ops,
                               .arg = sup_new_arg(&sup, &v, sizeof(v)),
                               .restart = PERMANENT,
                               .shutdown_ms = SUP_WAIT,
                               .scheduler = SCHED_SAME};
}

static int forget_cell(void *ctx, const void *key, size_t len, void *value)
{
    struct cell *c = value;

    (void)key, (void)len;
    /* Exchanges may be bound in a ring, and their cells hold each other. */
    if (c->kind == CELL_EXCHANGE)
        routes_clear(c);
    cell_set(c, 0, 0, CELL_DELETED, NULL);
    (void)table_del(ctx, cell_name(c), c->name_len); /* it was there */
    return 0;
}

void vhost_forget(const char *name)
{
    struct vhost_tables tables;

    vhost_tables_open(name, &tables);
    (void)table_each(tables.queues, forget_cell, tables.queues); /* never stopped; as below */
    (void)table_each(tables.exchanges, forget_cell, tables.exchanges);
    policies_show(name, NULL, 0);
    vhost_state_forget(name);
}

void cell_child_spec(struct cell *c, const struct proc_ops *ops, char id[32],
                     struct child_spec *ret)
{
    struct queue_arg arg = {c}; /* struct exchange_arg has the same one member */

    snprintf(id, 32, "%s %llu", c->kind == CELL_QUEUE ? "queue" : "exchange",
             (unsigned long long)c->id);
    *ret = (struct child_spec){.id = id,
                               .ops = ops,
                               .arg = blob_copy(&arg, sizeof(arg)),
                               .restart = TRANSIENT,
                               .shutdown_ms = 5000,
                               .own_budget = true,
                               .scheduler = SCHED_ANY,
                               .tag = c->id};
}
