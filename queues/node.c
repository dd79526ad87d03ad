/*
 * The node: who may come in, and which vhosts there are.
 *
 * Duties: loads the node's settings from its store; at the first start makes a vhost and a user;
 * takes in the definitions file that the configuration names; tells access all facts, again when
 * access was restarted; starts the vhosts, again when their supervisor was restarted; declares the
 * file's topology; makes changes (node_change.c), deletes vhosts (node_gone.c).
 *
 * Messages in: NODE_AWAIT, NODE_CHANGE; ACCESS_UPGRADE; answers of the store, access, the
 * supervisor of vhosts and registries.
 * Out: STORE_LOAD, STORE_WRITE, ACCESS_BEGIN, ACCESS_SET, ACCESS_SYNC, ACCESS_SWEEP, VHOST_RECHECK,
 * REGISTRY_*_DECLARE, REGISTRY_BIND, REGISTRY_POLICIES.
 * Monitors: access and the supervisor of vhosts. The store is needed at the start and for changes:
 * if it dies under a call, it is awaited and all is loaded again.
 *
 * Invariants
 * 1. Nobody is told of a setting before it is durable.
 * 2. access is told of all settings, and then to forget what it was not told.
 * 3. What is no process memory hangs at `stored`, `file` and `change.made`, which the exit gives
 *    back.
 * 4. One change is under way at a time, and none before the start is over.
 *
 * It is a blocking process because it reads the file, hashes passwords and removes directories.
 */
#include "queues/node.h"

#include <stdio.h>
#include <stdlib.h>
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
#include "queues/settings.h"
#include "queues/vhost_state.h"

enum { STORE_PATIENCE_US = 10 * 1000 * 1000 };

/*
 * Settings
 */

static void free_definitions(void *p)
{
    definitions_fini(p);
    rt_free(p);
}

struct definitions *definitions_take(void)
{
    struct definitions *d = rt_zalloc(sizeof(*d));

    proc_at_exit(free_definitions, d);
    return d;
}

void definitions_give(struct definitions *d)
{
    if (!d)
        return;
    proc_at_exit_cancel(free_definitions, d);
    free_definitions(d);
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
    char why[NODE_TEXT_MAX];

    if (!*path)
        return;
    n->file = definitions_take();
    if (definitions_read(path, n->stored, n->file, why, sizeof(why)) < 0) {
        log_error("definitions file %s was left out: %s", path, why);
        return;
    }
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

void node_add_row(struct msg_store_rows *rows, const struct definition *d)
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

void node_load_again(struct node *n)
{
    await_store(n);
}

static bool has_cluster_id(const struct definitions *d)
{
    char *key = definitions_key("internal_cluster_id", "", NULL);
    bool has = definitions_find(d, "global_parameters", key) != NULL;

    free(key);
    return has;
}

/*
 * What the file and a first start bring, as rows; NULL: nothing new. A cluster without a name of
 * its own has not been started before: later on nobody makes a user that an operator deleted.
 */
static struct msg_store_rows *new_rows(struct node *n)
{
    struct definitions *made = definitions_take();
    struct msg_store_rows *rows;
    size_t n_file = n->file ? n->file->n : 0;
    struct definitions_first first = {.random = proc_random(),
                                      .cluster_id = !has_cluster_id(n->stored)};

    first.vhost = first.cluster_id && !has_fact(n->stored, ACCESS_FACT_VHOST) &&
                  !has_fact(n->file, ACCESS_FACT_VHOST);
    first.user = first.cluster_id && !has_fact(n->stored, ACCESS_FACT_USER) &&
                 !has_fact(n->file, ACCESS_FACT_USER);
    definitions_add_first(made, &first);
    rows = store_rows_new(STORE_WRITE, (uint32_t)(n_file + made->n + 1));
    for (size_t i = 0; i < made->n; i++)
        node_add_row(rows, &made->v[i]);
    for (size_t i = 0; i < n_file; i++)
        if (is_stored(&n->file->v[i]))
            node_add_row(rows, &n->file->v[i]);
    definitions_give(made);
    if (rows->n > 0)
        return rows;
    msg_drop(&rows->hdr);
    return NULL;
}

struct shown {
    const struct node *n;
    const char *section;
};

static bool is_shown(void *ctx, const char *key)
{
    const struct shown *s = ctx;
    const struct definition *d = definitions_find(s->n->stored, s->section, key);

    return d && d->kind != DEFINITION_GONE;
}

/* Everybody may read what is stored. */
static void show(struct node *n)
{
    for (size_t i = 0; i < n->stored->n; i++)
        if (n->stored->v[i].kind != DEFINITION_GONE)
            settings_put(n->stored->v[i].section, n->stored->v[i].key, n->stored->v[i].text);
    for (size_t i = 0; definitions_section(i); i++) {
        struct shown s = {n, definitions_section(i)};

        settings_sweep(s.section, is_shown, &s);
    }
    node_show_all_policies(n);
}

static void on_rows(struct node *n, const struct msg_store_rows *m)
{
    struct msg_store_rows *rows = NULL;

    definitions_give(n->stored);
    n->stored = definitions_take();
    for (uint32_t i = 0; i < m->n; i++)
        load_row(n, &m->row[i]);
    show(n);
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

void node_tell_fact(proc_id access, const struct definition *d, bool remove)
{
    struct msg_access_set *m;

    if (d->kind != DEFINITION_FACT)
        return;
    m = access_set_new();
    m->fact = d->fact;
    m->fact.remove = remove;
    for (int k = 0; k < ACCESS_RIGHTS; k++)
        m->fact.pattern[k] = copy_text(d->fact.pattern[k]);
    PROC_SEND(access, m);
}

static void tell_access(struct node *n, proc_id access)
{
    n->access_monitor = proc_monitor(access);
    proc_send(access, msg_new(ACCESS_BEGIN, sizeof(struct msg), NULL));
    for (size_t i = 0; i < n->stored->n; i++)
        node_tell_fact(access, &n->stored->v[i], false);
    n->sweep = proc_call(access, msg_new(ACCESS_SWEEP, sizeof(struct msg), NULL), PROC_NO_TIMEOUT);
}

/*
 * The start's end
 */

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
    gone_resume(n);
    change_next(n);
}

void node_settled(struct node *n)
{
    if (!n->is_ready)
        ready(n);
    else
        change_settled(n);
}

/*
 * The process
 */

static void node_init(void *state, const void *arg)
{
    struct node *n = state;

    (void)arg;
    settle_init(n);
    change_init(&n->change);
    u64map_init(&n->import.calls, proc_realloc, proc_free);
    STAILQ_INIT(&n->changes);
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

static void on_vhosts(struct node *n, proc_id sup)
{
    n->vhosts_monitor = proc_monitor(sup);
    if (n->is_ready || n->settle.is_running) {
        settle_start_vhosts(n, sup);
        return;
    }
    if (n->file)
        import_begin(n, n->file);
    settle_begin_all(n);
}

static void on_named(struct node *n, const struct msg *m)
{
    if (m->ref == n->store_name)
        load(n);
    else if (m->ref == n->access_name)
        tell_access(n, m->from);
    else if (m->ref == n->vhosts_name)
        on_vhosts(n, m->from);
}

/* A partner's end, or that of a call to it. */
static void on_down(struct node *n, struct msg *m)
{
    if (m->ref == n->load || m->ref == n->write) {
        if (m->ref == n->write)
            n->is_started = false; /* what was written is loaded; what was not is written again */
        await_store(n);
    } else if (m->ref == n->sweep) {
        n->sweep = 0; /* access ended: that is told as well */
    } else if (m->ref == n->access_monitor) {
        n->access_name = proc_await("access");
    } else if (m->ref == n->vhosts_monitor) {
        n->vhosts_name = proc_await("vhosts");
    }
}

/* Connections look at their rights again, too: a forerunner may have died before it said so. */
static void on_swept(struct node *n)
{
    n->sweep = 0;
    vhosts_recheck(0);
    if (!n->has_facts)
        n->vhosts_name = proc_await("vhosts");
    n->has_facts = true;
    change_swept(n);
}

static bool is_taken(struct node *n, struct msg *m)
{
    if (settle_on_answer(n, m) || change_take(n, m))
        return true;
    if (!import_on_answer(n, m))
        return false;
    settle_go_on(n);
    return true;
}

static void node_handle(void *state, struct msg *m)
{
    struct node *n = state;

    if (is_taken(n, m))
        return;
    switch (m->type) {
    case NODE_AWAIT:
        on_await(n, m);
        break;
    case NODE_CHANGE:
    case ACCESS_UPGRADE:
        change_add(n, m);
        break;
    case MSG_NAMED:
        on_named(n, m);
        break;
    case MSG_DOWN:
        on_down(n, m);
        break;
    case MSG_TIMEOUT:
        if (m->ref == n->store_patience && !n->stored)
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
    default:
        proc_exit(EXIT_CRASH, 0, "unknown message 0x%x", m->type);
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
