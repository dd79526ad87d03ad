/*
 * The supervision tree.
 *
 *   root (one_for_one, 10 restarts in 60 s)
 *     log          supervisor: sinks, manager, server
 *     config       reads the configuration again
 *     tables       owner of the shared tables
 *     access       users, permissions and vhosts: the tables, and logins
 *     access_hash  checks passwords whose hash is slow
 *     life         gives signs of life, where they are expected
 *     certificates keeps the contexts of TLS, where a listener has it
 *     alarms       measures memory and disk; not in the simulation
 *     vhosts       supervisor: one supervisor for each vhost, which node starts
 *     node_sup     supervisor: node, its store
 *     backup       makes backups of all stores when it is asked to
 *     connections  supervisor of temporary children: one for each socket
 *     listeners    supervisor: one for each address or path where AMQP is spoken
 *     mgmt         supervisor: HTTP, the sampler of statistics
 *     boot         temporary: waits for node and the listeners, and says that the broker is ready
 *
 * log, tables and access count against the root: over its budget the program ends. Every other
 * child has a budget of its own and is parked.
 */
#include "broker/tree.h"

#include <stdio.h>
#include <string.h>

#include "amqp/listener.h"
#include "broker/core/access.h"
#include "broker/core/alarms.h"
#include "broker/core/config.h"
#include "broker/core/config_server.h"
#include "broker/core/life.h"
#include "broker/core/listeners.h"
#include "broker/core/log_tree.h"
#include "broker/core/tables.h"
#include "broker/core/tls.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/runtime.h"
#include "broker/runtime/supervisor.h"
#include "mgmt/http.h"
#include "mgmt/sampler.h"
#include "queues/backup.h"
#include "queues/node.h"

/* Supervisors are given as long as their children take; the whole has main's deadline. */
static void add_supervisor(const char *id, struct blob *arg, bool own_budget)
{
    struct child_spec spec = {.id = id,
                              .ops = &supervisor_ops,
                              .arg = arg,
                              .shutdown_ms = SUP_WAIT,
                              .own_budget = own_budget,
                              .scheduler = SCHED_SAME};

    sup_add(&spec);
    blob_unref(arg);
}

static void add_named_supervisor(const char *id, void (*build)(const void *ctx))
{
    struct sup_spec sup = {.strategy = ONE_FOR_ONE, .build = build, .is_registered = true};
    struct child_spec spec = {.id = id,
                              .ops = &supervisor_ops,
                              .arg = sup_new_arg(&sup, NULL, 0),
                              .shutdown_ms = SUP_WAIT,
                              .own_budget = true,
                              .scheduler = SCHED_SAME};

    sup_add(&spec);
    blob_unref(spec.arg);
}

static bool add_listener(void *ctx, const struct listener_plan *plan)
{
    struct listener_arg arg = {.port = plan->port,
                               .mode = (unsigned)config()->unix_mode,
                               .is_unix = plan->is_unix,
                               .has_tls = plan->has_tls,
                               .has_proxy = config()->proxy_protocol && !plan->is_unix};
    struct child_spec spec = {
        .ops = &listener_ops, .shutdown_ms = 1000, .own_budget = true, .scheduler = SCHED_ANY};
    char id[LISTENER_ID_SIZE + 16];

    (void)ctx;
    if (!plan->is_amqp)
        return true;
    snprintf(id, sizeof(id), "listener:%s", plan->id);
    snprintf(arg.id, sizeof(arg.id), "%s", plan->id);
    snprintf(arg.where, sizeof(arg.where), "%s", plan->address);
    spec.id = id;
    spec.arg = blob_copy(&arg, sizeof(arg));
    sup_add(&spec);
    blob_unref(spec.arg);
    return true;
}

static void build_listeners(const void *ctx)
{
    (void)ctx;
    listeners_each_plan(add_listener, NULL);
}

static bool add_http(void *ctx, const struct listener_plan *plan)
{
    struct http_arg arg = {.plan = *plan};
    struct child_spec spec = {
        .ops = &mgmt_http_ops, .shutdown_ms = 1000, .own_budget = true, .scheduler = SCHED_ASIDE};
    char id[LISTENER_ID_SIZE + 8];

    (void)ctx;
    if (plan->is_amqp)
        return true;
    snprintf(id, sizeof(id), "mgmt_%s", plan->id);
    spec.id = id;
    spec.arg = blob_copy(&arg, sizeof(arg));
    sup_add(&spec);
    blob_unref(spec.arg);
    return true;
}

static void build_mgmt(const void *ctx)
{
    struct child_spec sampler = {.id = "mgmt_sampler",
                                 .ops = &sampler_ops,
                                 .shutdown_ms = 1000,
                                 .own_budget = true,
                                 .scheduler = SCHED_ASIDE};

    (void)ctx;
    listeners_each_plan(add_http, NULL);
    sup_add(&sampler);
}

/*
 * boot: waits until each listener has its name and node has done what it does at a start, says so,
 * and ends. A node that is not there keeps nobody waiting: clients are told why.
 */
enum { NODE_PATIENCE_US = 10000000 };

struct boot {
    struct tree_options options;
    unsigned waiting;                /* listeners */
    proc_ref named, ready, patience; /* node; 0: no longer awaited */
    bool has_node;
};

static void await_node(struct boot *b)
{
    b->named = proc_await("node");
    b->patience = proc_timer(NODE_PATIENCE_US);
}

static bool await_listener(void *ctx, const struct listener_plan *plan)
{
    struct boot *b = ctx;
    char name[LISTENER_ID_SIZE + 16];

    /* Nobody's start waits for metrics: their port may be another broker's on this machine. */
    if (plan->is_metrics || (!plan->is_amqp && !b->options.with_mgmt))
        return true;
    snprintf(name, sizeof(name), "%s%s", plan->is_amqp ? "listener:" : "mgmt_", plan->id);
    (void)proc_await(name);
    b->waiting++;
    return true;
}

static void boot_init(void *state, const void *arg)
{
    struct boot *b = state;

    memcpy(&b->options, arg, sizeof(b->options));
    listeners_each_plan(await_listener, b);
    await_node(b);
}

static void boot_handle(void *state, struct msg *m)
{
    struct boot *b = state;

    if (m->ref == b->named) {
        proc_cancel(b->patience);
        b->ready =
            proc_call(m->from, msg_new(NODE_AWAIT, sizeof(struct msg), NULL), PROC_NO_TIMEOUT);
    } else if (m->ref == b->ready && m->type == MSG_DOWN) {
        await_node(b);
    } else if (m->ref == b->ready || m->ref == b->patience) {
        b->has_node = true;
    } else {
        b->waiting--;
    }
    if (b->waiting > 0 || !b->has_node)
        return;
    if (b->options.on_ready)
        b->options.on_ready(listeners_port("amqp"), listeners_port("http"));
    proc_exit(EXIT_NORMAL, 0, "ready");
}

static const struct proc_ops boot_ops = {
    .kind = "boot",
    .state_size = sizeof(struct boot),
    .init = boot_init,
    .handle = boot_handle,
};

static void add_worker(const char *id, const struct proc_ops *ops)
{
    sup_add(
        &(struct child_spec){.id = id, .ops = ops, .shutdown_ms = 1000, .scheduler = SCHED_SAME});
}

static void add_parkable(const char *id, const struct proc_ops *ops)
{
    sup_add(&(struct child_spec){
        .id = id, .ops = ops, .shutdown_ms = 1000, .own_budget = true, .scheduler = SCHED_SAME});
}

static void add_life(const struct tree_options *options)
{
    const struct life_arg arg = {.within_us = options->watchdog_us};
    struct child_spec spec = {.id = "life",
                              .ops = &life_ops,
                              .shutdown_ms = 1000,
                              .own_budget = true,
                              .scheduler = SCHED_SAME};

    if (arg.within_us == 0)
        return;
    spec.arg = blob_copy(&arg, sizeof(arg));
    sup_add(&spec);
    blob_unref(spec.arg);
}

static void build_root(const void *ctx)
{
    const struct tree_options *options = ctx;
    struct child_spec boot = {.id = "boot",
                              .ops = &boot_ops,
                              .restart = TEMPORARY,
                              .shutdown_ms = 100,
                              .scheduler = SCHED_SAME};
    struct child_spec node;

    add_supervisor("log_sup", log_sup_arg(options->with_mgmt), false);
    add_parkable("config", &config_ops);
    add_worker("tables", &tables_ops);
    add_worker("access", &access_ops);
    add_parkable("access_hash", &access_hash_ops);
    add_life(options);
    if (tls_is_used())
        add_parkable("certificates", &tls_ops);
    if (options->with_alarms)
        add_parkable("alarms", &alarms_ops);
    add_named_supervisor("vhosts", NULL);
    node_child_spec(config()->data_dir, &node);
    sup_add(&node);
    blob_unref(node.arg);
    add_parkable("backup", &backup_ops);
    add_named_supervisor("connections", NULL);
    add_named_supervisor("listeners", build_listeners);
    if (options->with_mgmt)
        add_named_supervisor("mgmt", build_mgmt);
    boot.arg = blob_copy(options, sizeof(*options));
    sup_add(&boot);
    blob_unref(boot.arg);
}

proc_id tree_start(const struct tree_options *options)
{
    struct sup_spec root = {
        .strategy = ONE_FOR_ONE, .intensity = 10, .period_ms = 60000, .build = build_root};
    struct spawn spec = {.ops = &supervisor_ops,
                         .name = "root",
                         .arg = sup_new_arg(&root, options, sizeof(*options)),
                         .scheduler = 0};

    return rt_spawn_root(&spec);
}
