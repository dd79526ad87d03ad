/*
 * The node: who may come in, and which vhosts there are.
 *
 * Duties: loads the node's settings from its store; at the first start makes a vhost and a user;
 * takes in the definitions file that the configuration names; tells access all facts, again when
 * access was restarted; starts the vhosts, again when their supervisor was restarted; declares the
 * file's topology.
 *
 * Messages in: NODE_AWAIT; answers of the store, access, the supervisor of vhosts and registries.
 * Out: STORE_LOAD, STORE_WRITE, ACCESS_SET, ACCESS_SWEEP, REGISTRY_*_DECLARE, REGISTRY_BIND.
 * Monitors: access and the supervisor of vhosts. The store is needed only at the start: if it dies
 * under a call, it is awaited and all is loaded again.
 *
 * Invariants
 * 1. Nobody is told of a setting before it is durable.
 * 2. access is told of all settings, and then to forget what it was not told.
 * 3. What is no process memory hangs at `stored` and `file`, which the exit gives back.
 *
 * It is a blocking process because it reads the file and hashes passwords.
 */
#include "queues/node.h"

#include <stdio.h>
#include <string.h>

#include "broker/core/config.h"
#include "broker/core/log.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/region.h"
#include "broker/runtime/supervisor.h"
#include "broker/runtime/table.h"
#include "persistence/store.h"
#include "queues/node_impl.h"
#include "queues/vhost.h"
#include "queues/vhost_state.h"

enum { LOOK_US = 100 * 1000, LOOKS = 100, STORE_PATIENCE_US = 10 * 1000 * 1000 };

/*
 * Settings
 */

static void free_definitions(void *p)
{
    definitions_fini(p);
    rt_free(p);
}

static struct definitions *definitions_new(void)
{
    struct definitions *d = rt_zalloc(sizeof(*d));

    proc_at_exit(free_definitions, d);
    return d;
}

static void load_row(struct node *n, const struct store_row *row)
{
    char section[64], why[256];

    if (row->kind != STORE_ROW_SETTING || !row->type || !row->args)
        return;
    snprintf(section, sizeof(section), "%.*s", (int)blob_size(row->type),
             (const char *)blob_bytes(row->type));
    if (definitions_add(n->stored, section, (const char *)blob_bytes(row->args),
                        blob_size(row->args), why, sizeof(why)) < 0)
        log_error("node: a setting is not understood and left alone: %s", why);
}

/* The file is taken in once in a program's life, also if this process is restarted. */
static struct table *marks(void)
{
    return table_open("node/ready", NULL);
}

static void read_file(struct node *n)
{
    const char *path = config()->load_definitions;
    unsigned n_other = 0;
    char why[512];

    if (!*path)
        return;
    n->file = definitions_new();
    if (definitions_read(path, n->file, why, sizeof(why)) < 0) {
        log_error("definitions file %s was left out: %s", path, why);
        return;
    }
    for (size_t i = 0; i < n->file->n; i++)
        n_other += n->file->v[i].kind == DEFINITION_OTHER;
    if (n_other > 0)
        log_warn("definitions file %s: %u policies and parameters are kept, but have no effect",
                 path, n_other);
    n->import.from = n->file;
    n->import.phase = DEFINITION_EXCHANGE;
}

static bool is_stored(const struct definition *d)
{
    return d->kind == DEFINITION_FACT || d->kind == DEFINITION_OTHER;
}

static bool has_fact(const struct definitions *d, enum access_fact_kind kind)
{
    for (size_t i = 0; d && i < d->n; i++)
        if (d->v[i].kind == DEFINITION_FACT && d->v[i].fact.kind == kind)
            return true;
    return false;
}

static void add_row(struct msg_store_rows *rows, const struct definition *d)
{
    rows->row[rows->n++] = (struct store_row){
        .kind = STORE_ROW_SETTING,
        .type = blob_copy(d->section, strlen(d->section)),
        .name = blob_copy(d->key, strlen(d->key)),
        .args = blob_copy(d->text, strlen(d->text)),
    };
}

static void load(struct node *n)
{
    n->load = proc_call(proc_whereis(NODE_STORE), msg_new(STORE_LOAD, sizeof(struct msg), NULL),
                        PROC_NO_TIMEOUT);
}

static void await_store(struct node *n)
{
    n->load = n->write = 0;
    n->store_name = proc_await(NODE_STORE);
}

/* What the file and a first start bring, as rows; NULL: nothing new. */
static struct msg_store_rows *new_rows(struct node *n)
{
    struct definitions *made = definitions_new();
    struct msg_store_rows *rows;
    size_t n_file = n->file ? n->file->n : 0;
    bool vhost = !has_fact(n->stored, ACCESS_FACT_VHOST) && !has_fact(n->file, ACCESS_FACT_VHOST);
    bool user = !has_fact(n->stored, ACCESS_FACT_USER) && !has_fact(n->file, ACCESS_FACT_USER);

    definitions_add_default(made, vhost, user, (uint32_t)proc_random());
    rows = store_rows_new(STORE_WRITE, (uint32_t)(n_file + made->n + 1));
    for (size_t i = 0; i < made->n; i++)
        add_row(rows, &made->v[i]);
    for (size_t i = 0; i < n_file; i++)
        if (is_stored(&n->file->v[i]))
            add_row(rows, &n->file->v[i]);
    proc_at_exit_cancel(free_definitions, made);
    free_definitions(made);
    if (rows->n > 0)
        return rows;
    msg_drop(&rows->hdr);
    return NULL;
}

static void on_rows(struct node *n, const struct msg_store_rows *m)
{
    struct msg_store_rows *rows = NULL;

    if (n->stored) {
        proc_at_exit_cancel(free_definitions, n->stored);
        free_definitions(n->stored);
    }
    n->stored = definitions_new();
    for (uint32_t i = 0; i < m->n; i++)
        load_row(n, &m->row[i]);
    if (!n->file && !table_get(marks(), "", 0))
        read_file(n);
    if (!n->is_started)
        rows = new_rows(n);
    n->is_started = true;
    if (rows)
        n->write = proc_call(proc_whereis(NODE_STORE), &rows->hdr, PROC_NO_TIMEOUT);
    else
        n->access_name = proc_await("access");
}

/*
 * access
 */

static char *copy_text(const char *text)
{
    char *copy;

    if (!text)
        return NULL;
    copy = rt_alloc(strlen(text) + 1);
    return strcpy(copy, text);
}

static void tell_access(struct node *n, proc_id access)
{
    n->access_monitor = proc_monitor(access);
    for (size_t i = 0; i < n->stored->n; i++) {
        struct msg_access_set *m;

        if (n->stored->v[i].kind != DEFINITION_FACT)
            continue;
        m = access_set_new();
        m->fact = n->stored->v[i].fact;
        for (int k = 0; k < ACCESS_RIGHTS; k++)
            m->fact.pattern[k] = copy_text(n->stored->v[i].fact.pattern[k]);
        PROC_SEND(access, m);
    }
    n->sweep = proc_call(access, msg_new(ACCESS_SWEEP, sizeof(struct msg), NULL), PROC_NO_TIMEOUT);
}

/*
 * vhosts
 */

static void start_vhosts(struct node *n, proc_id sup)
{
    n->vhosts_monitor = proc_monitor(sup);
    for (size_t i = 0; i < n->stored->n; i++) {
        const struct definition *d = &n->stored->v[i];
        struct child_spec spec;

        if (d->kind != DEFINITION_FACT || d->fact.kind != ACCESS_FACT_VHOST)
            continue;
        vhost_child_spec(d->fact.vhost, config()->data_dir, &spec);
        u64map_put(&n->starts, sup_start_child(sup, &spec, PROC_NO_TIMEOUT), 1);
        blob_unref(spec.arg);
    }
}

static void await_registries(struct node *n)
{
    for (size_t i = 0; i < n->stored->n; i++) {
        const struct definition *d = &n->stored->v[i];
        char name[300];

        if (d->kind != DEFINITION_FACT || d->fact.kind != ACCESS_FACT_VHOST)
            continue;
        snprintf(name, sizeof(name), "registry:%s", d->fact.vhost);
        u64map_put(&n->registries, proc_await(name), i + 1);
    }
    n->patience = proc_timer(LOOK_US);
}

static void answer_waiting(struct node *n)
{
    for (uint32_t i = 0; i < n->n_waiting; i++)
        proc_reply_to(n->waiting[i], msg_new(NODE_READY, sizeof(struct msg), NULL));
    n->n_waiting = 0;
}

static void ready(struct node *n)
{
    static char here;

    n->is_ready = true;
    table_put(marks(), "", 0, &here);
    answer_waiting(n);
}

/* Whether the vhosts are there, or were waited for long enough; then the topology's turn comes. */
static void go_on(struct node *n)
{
    if (n->is_ready || !n->patience || n->registries.n > 0)
        return;
    if (import_run(n))
        ready(n);
}

static void on_vhost_started(struct node *n)
{
    if (n->starts.n == 0 && !n->patience && !n->is_ready)
        await_registries(n);
    go_on(n);
}

static void lose_patience(struct node *n)
{
    uint64_t ref, at_definition;
    uint32_t at = 0;

    log_warn("node: %u vhosts are not there yet", n->registries.n);
    while (u64map_next(&n->registries, &at, &ref, &at_definition))
        proc_cancel(ref);
    u64map_fini(&n->registries);
    u64map_init(&n->registries, proc_realloc, proc_free);
}

/* One that is down keeps nobody waiting: its clients are told why. */
static bool give_up_one(struct node *n)
{
    uint64_t ref, i;
    uint32_t at = 0;

    while (u64map_next(&n->registries, &at, &ref, &i)) {
        if (i > n->stored->n || !vhost_down_reason(n->stored->v[i - 1].fact.vhost))
            continue;
        proc_cancel(ref);
        (void)u64map_del(&n->registries, ref, NULL); /* it is there */
        return true;
    }
    return false;
}

static void look_at_vhosts(struct node *n)
{
    if (n->registries.n == 0)
        return;
    while (give_up_one(n))
        continue;
    if (++n->n_looks >= LOOKS && n->registries.n > 0)
        lose_patience(n);
    n->patience = proc_timer(LOOK_US);
    go_on(n);
}

/*
 * The process
 */

static void node_init(void *state, const void *arg)
{
    struct node *n = state;

    (void)arg;
    u64map_init(&n->starts, proc_realloc, proc_free);
    u64map_init(&n->registries, proc_realloc, proc_free);
    u64map_init(&n->import.calls, proc_realloc, proc_free);
    CHECK(proc_register("node") == 0);
    n->store_patience = proc_timer(STORE_PATIENCE_US);
    await_store(n);
}

static void on_await(struct node *n, struct msg *m)
{
    if (n->is_ready) {
        proc_reply(m, msg_new(NODE_READY, sizeof(struct msg), NULL));
        return;
    }
    n->waiting = proc_realloc(n->waiting, (n->n_waiting + 1) * sizeof(n->waiting[0]));
    n->waiting[n->n_waiting++] = proc_defer(m);
}

static void on_named(struct node *n, const struct msg *m)
{
    if (m->ref == n->store_name)
        load(n);
    else if (m->ref == n->access_name)
        tell_access(n, m->from);
    else if (m->ref == n->vhosts_name)
        start_vhosts(n, m->from);
    else if (u64map_del(&n->registries, m->ref, NULL))
        go_on(n);
}

/* A partner's end, or that of a call to it. */
static void on_down(struct node *n, struct msg *m)
{
    if (m->ref == n->load || m->ref == n->write) {
        if (m->ref == n->write)
            n->is_started = false; /* what was written is loaded; what was not is written again */
        await_store(n);
    } else if (u64map_del(&n->starts, m->ref, NULL)) {
        on_vhost_started(n); /* its supervisor ended: that is told as well */
    } else if (import_on_answer(n, m)) {
        go_on(n);
    } else if (m->ref == n->sweep) {
        n->sweep = 0; /* as above */
    } else if (m->ref == n->access_monitor) {
        n->access_name = proc_await("access");
    } else if (m->ref == n->vhosts_monitor) {
        n->vhosts_name = proc_await("vhosts");
    }
}

static void on_swept(struct node *n)
{
    n->sweep = 0;
    if (!n->has_facts)
        n->vhosts_name = proc_await("vhosts");
    n->has_facts = true;
}

static void node_handle(void *state, struct msg *m)
{
    struct node *n = state;

    switch (m->type) {
    case NODE_AWAIT:
        on_await(n, m);
        break;
    case MSG_NAMED:
        on_named(n, m);
        break;
    case MSG_DOWN:
        on_down(n, m);
        break;
    case MSG_TIMEOUT:
        if (m->ref == n->patience)
            look_at_vhosts(n);
        else if (m->ref == n->store_patience && !n->stored)
            answer_waiting(n); /* nobody can log in, and somebody should see that */
        break;
    case STORE_ROWS:
        on_rows(n, MSG_OF(struct msg_store_rows, m));
        break;
    case STORE_WRITTEN:
        load(n);
        break;
    case ACCESS_SWEPT:
        on_swept(n);
        break;
    case MSG_SUP_REPLY:
        (void)u64map_del(&n->starts, m->ref, NULL); /* also where it is parked, or there already */
        on_vhost_started(n);
        break;
    default:
        if (!import_on_answer(n, m))
            proc_exit(EXIT_CRASH, 0, "unknown message 0x%x", m->type);
        go_on(n);
    }
}

static size_t node_inspect(const void *state, char *out, size_t size)
{
    const struct node *n = state;
    int len = snprintf(out, size, "{\"ready\":%s,\"settings\":%zu,\"importing\":%s}",
                       n->is_ready ? "true" : "false", n->stored ? n->stored->n : 0,
                       n->import.from ? "true" : "false");

    return len > 0 && (size_t)len < size ? (size_t)len : 0;
}

const struct proc_ops node_ops = {
    .kind = "node",
    .state_size = sizeof(struct node),
    .flags = PROC_OPS_BLOCKING,
    .init = node_init,
    .handle = node_handle,
    .inspect = node_inspect,
};

static void build(const void *ctx)
{
    struct store_arg store = {.vhost = "", .name = NODE_STORE};
    struct child_spec spec = {.id = NODE_STORE,
                              .ops = &node_store_ops,
                              .own_budget = true,
                              .shutdown_ms = 5000,
                              .scheduler = SCHED_SAME};

    snprintf(store.dir, sizeof(store.dir), "%.500s/%s", (const char *)ctx, NODE_DIR);
    spec.arg = blob_copy(&store, sizeof(store));
    sup_add(&spec);
    blob_unref(spec.arg);
    spec = (struct child_spec){.id = "node",
                               .ops = &node_ops,
                               .own_budget = true,
                               .shutdown_ms = 1000,
                               .scheduler = SCHED_SAME};
    sup_add(&spec);
}

void node_child_spec(const char *data_dir, struct child_spec *ret)
{
    struct sup_spec sup = {.strategy = ONE_FOR_ONE, .build = build};

    *ret = (struct child_spec){.id = "node_sup",
                               .ops = &supervisor_ops,
                               .arg = sup_new_arg(&sup, data_dir, strlen(data_dir) + 1),
                               .shutdown_ms = SUP_WAIT,
                               .own_budget = true,
                               .scheduler = SCHED_SAME};
}
