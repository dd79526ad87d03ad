/*
 * Exchanges: declaring and deleting them. Binding is in registry_bind.c.
 */
#include <stdio.h>
#include <string.h>

#include "broker/runtime/blob.h"
#include "broker/runtime/supervisor.h"
#include "broker/runtime/table.h"
#include "queues/policies.h"
#include "queues/registry_impl.h"
#include "queues/routes.h"

enum { NESTING_MAX = 8 }; /* exchanges deleted inside the deletion of another */

static struct cell *find(struct registry *r, const struct blob *name)
{
    return name ? vhost_find_exchange(&r->tables, blob_bytes(name), blob_size(name)) : NULL;
}

static struct cell *find_named(struct registry *r, const struct cell *x)
{
    return vhost_find_exchange(&r->tables, cell_name(x), x->name_len);
}

void refuse_default_exchange(struct registry *r, struct job *j)
{
    job_refuse(r, j, 403, "operation not permitted on the default exchange");
}

void refuse_missing_exchange(struct registry *r, struct job *j, const struct blob *name)
{
    char text[256];

    job_refuse(r, j, 404, "no exchange '%s' in vhost '%s'", name_text(text, name), r->vhost);
}

/*
 * Declaring
 */

struct cell *exchange_make(struct registry *r, uint64_t id, const struct blob *name, uint32_t flags,
                           enum exchange_type type, struct blob *args)
{
    struct cell_spec spec = cell_spec_of(r, CELL_EXCHANGE, name);
    struct cell *x;

    spec.id = id;
    spec.flags = flags;
    spec.type = type;
    spec.args = args;
    x = cell_new(&spec);
    x->routes = routes_open(r->vhost, epoch_next());
    (void)policies_apply(x); /* nobody knew it before */
    return x;
}

static void declare_new(struct registry *r, struct job *j)
{
    struct msg_registry_declare *d = MSG_OF(struct msg_registry_declare, j->request);
    enum exchange_type type = EXCHANGE_DIRECT;

    (void)exchange_type_of(d->type, &type, &j->refusal); /* was checked before */
    j->cell = exchange_make(r, r->next_id++, d->name, d->flags, type, d->args);
    job_make_cell(r, j);
}

static void declare_begin(struct registry *r, struct job *j)
{
    struct msg_registry_declare *d = MSG_OF(struct msg_registry_declare, j->request);
    struct cell *x = find(r, d->name);
    enum exchange_type type;
    char text[256];

    if (is_name_empty(d->name)) {
        refuse_default_exchange(r, j);
    } else if (!x && d->passive) {
        refuse_missing_exchange(r, j, d->name);
    } else if (x && d->passive) {
        j->cell = cell_ref(x);
        job_watch(r, j, job_answer_declare);
    } else if (exchange_type_of(d->type, &type, &j->refusal)) {
        job_finish(r, j);
    } else if (x) {
        if (check_exchange_equivalence(x, type, d->flags, d->args, &j->refusal)) {
            job_finish(r, j);
            return;
        }
        j->cell = cell_ref(x);
        job_watch(r, j, job_answer_declare);
    } else if (is_name_reserved(d->name)) {
        job_refuse(r, j, 403, "exchange name '%s' contains reserved prefix 'amq.*'",
                   name_text(text, d->name));
    } else if (check_exchange_args(r->vhost, d->name, d->args, &j->refusal)) {
        job_finish(r, j);
    } else {
        job_decided(r, j);
        job_with_ids(r, j, declare_new);
    }
}

void on_exchange_declare(struct registry *r, struct msg *m)
{
    struct msg_registry_declare *d = MSG_OF(struct msg_registry_declare, m);
    struct job *j = job_asked(r, m, declare_begin);

    job_claim(j, lane_of(CELL_EXCHANGE, d->name), false);
    job_start(r, j);
}

/*
 * Deleting
 */

/* Exchanges may be bound in a ring, and their cells hold each other, until the routes are empty. */
static void stopped(struct registry *r, struct job *j, struct msg *m)
{
    (void)m;
    routes_clear(j->cell);
    job_finish(r, j);
}

static void unbound(struct registry *r, struct job *j, struct msg *m)
{
    (void)m;
    job_stop_child(r, j, stopped);
}

static void out_of_sight(struct registry *r, struct job *j, struct msg *m)
{
    struct cell *x = j->cell;

    (void)m;
    if (find_named(r, x) == x)
        table_del(r->tables.exchanges, cell_name(x), x->name_len);
    cell_set(x, 0, 0, CELL_DELETED, NULL);
    job_on_cell(r, x);
    job_resume(r, WITH_EXCHANGE, x->id); /* who waited for its next run waits no more */
    job_unbind_all(r, j, unbound);
}

/*
 * The row first: a registry that finds a row without a cell would make a second cell, while the
 * process still has the first. One that finds a cell without its row goes on with the deletion.
 */
static void delete_run(struct registry *r, struct job *j)
{
    job_remove_row(r, j, out_of_sight);
}

static void delete_begin(struct registry *r, struct job *j)
{
    struct msg_registry_delete *d = MSG_OF(struct msg_registry_delete, j->request);
    struct cell *x = find(r, d->name);
    struct subject *s = x ? subject_find(r, x->id) : NULL;
    char text[256];

    if (is_name_empty(d->name)) {
        refuse_default_exchange(r, j);
    } else if (x ? x->flags & CELL_PREDECLARED : is_name_reserved(d->name)) {
        job_refuse(r, j, 403, "deletion of system exchange '%s' in vhost '%s' not allowed",
                   name_text(text, d->name), r->vhost);
    } else if (!x) {
        job_finish(r, j); /* deleting what is not there succeeds */
    } else if (d->if_unused && s && !LIST_EMPTY(&s->as_source)) {
        job_refuse(r, j, 406, "exchange '%s' in vhost '%s' in use", cell_name(x), r->vhost);
    } else {
        j->cell = cell_ref(x);
        job_decided(r, j);
        delete_run(r, j);
    }
}

void on_exchange_delete(struct registry *r, struct msg *m)
{
    struct msg_registry_delete *d = MSG_OF(struct msg_registry_delete, m);
    struct job *j = job_asked(r, m, delete_begin);

    job_claim(j, lane_of(CELL_EXCHANGE, d->name), false);
    job_start(r, j);
}

/* For the registry's own reasons; a binding may have come meanwhile. */
static void own_begin(struct registry *r, struct job *j)
{
    struct subject *s = subject_find(r, j->cell->id);

    if (s && (j->if_empty || LIST_EMPTY(&s->as_source)))
        delete_run(r, j);
    else
        job_finish(r, j);
}

static void own_run(struct registry *r, struct job *j, struct msg *m)
{
    (void)m;
    own_begin(r, j);
}

/* The name is taken at once, so that whoever asks for it from now on waits for the deletion. */
static void own_begin_later(struct registry *r, struct job *j)
{
    job_later(r, j, own_run);
}

/*
 * At once where it can be, so that who is answered after the last binding went finds the exchange
 * gone. Exchanges may be bound in a long line, each the last of the one before it.
 */
static void own_delete(struct registry *r, struct cell *x, bool with_bindings)
{
    struct job *j = job_new(r, NULL, own_begin);
    struct blob *name = blob_copy(cell_name(x), x->name_len);

    j->cell = cell_ref(x);
    j->if_empty = with_bindings;
    job_claim(j, lane_of(CELL_EXCHANGE, name), false);
    blob_unref(name);
    if (with_bindings || r->nesting == NESTING_MAX) {
        j->begin = own_begin_later;
        job_start(r, j);
        return;
    }
    r->nesting++;
    job_start(r, j);
    r->nesting--;
}

void exchange_child_stop(struct registry *r, uint64_t id)
{
    char text[32];

    snprintf(text, sizeof(text), "exchange %llu", (unsigned long long)id);
    (void)sup_stop_child(r->exchanges, text, PROC_NO_TIMEOUT); /* nobody waits for it */
}

void exchange_delete_job(struct registry *r, struct cell *x)
{
    own_delete(r, x, true);
}

void exchange_is_unused(struct registry *r, struct subject *x)
{
    if (x && x->cell->flags & CELL_AUTO_DELETE && LIST_EMPTY(&x->as_source) &&
        atomic_load_explicit(&x->cell->was_bound, memory_order_relaxed))
        own_delete(r, x->cell, false);
}
