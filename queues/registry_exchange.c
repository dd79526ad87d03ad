/*
 * Exchanges and bindings: declaring, deleting, binding, unbinding.
 */
#include <stdio.h>
#include <string.h>

#include "broker/runtime/blob.h"
#include "broker/runtime/supervisor.h"
#include "broker/runtime/table.h"
#include "queues/registry_hash.h"
#include "queues/registry_impl.h"
#include "queues/route_set.h"

static bool is_empty(const struct blob *name)
{
    return !name || blob_size(name) == 0;
}

static struct cell *find(struct registry *r, const struct blob *name)
{
    return name ? vhost_find_exchange(&r->tables, blob_bytes(name), blob_size(name)) : NULL;
}

static void finish(struct registry *r, struct job *j, struct msg *m)
{
    (void)m;
    job_finish(r, j);
}

static void refuse_default(struct registry *r, struct job *j)
{
    job_refuse(r, j, 403, "operation not permitted on the default exchange");
}

static void refuse_missing(struct registry *r, struct job *j, const struct blob *name)
{
    char text[256];

    job_refuse(r, j, 404, "no exchange '%s' in vhost '%s'", name_text(text, name), r->vhost);
}

/*
 * Declaring
 */

static void answer_declare(struct registry *r, struct job *j, struct msg *m)
{
    const struct cell_at *at = cell_at(j->cell);

    (void)m;
    if (at->state == CELL_PARKED)
        job_refuse(r, j, 541, "exchange '%s' in vhost '%s' is down: %s", cell_name(j->cell),
                   r->vhost, at->reason);
    else
        job_finish(r, j);
}

static void child_started(struct registry *r, struct job *j, struct msg *m)
{
    (void)m;
    job_watch(r, j, answer_declare);
}

static void start_child(struct registry *r, struct job *j)
{
    struct child_spec spec;
    char id[32];

    cell_child_spec(j->cell, &exchange_ops, id, &spec);
    job_expect(r, j, sup_start_child(r->exchanges, &spec, PROC_NO_TIMEOUT));
    blob_unref(spec.arg);
}

void exchange_child_start(struct registry *r, struct cell *x)
{
    struct child_spec spec;
    char id[32];

    cell_child_spec(x, &exchange_ops, id, &spec);
    sup_cast_start_child(r->exchanges, &spec);
    blob_unref(spec.arg);
}

static void row_written(struct registry *r, struct job *j, struct msg *m)
{
    struct cell *x = j->cell;

    (void)m;
    table_put(r->tables.exchanges, cell_name(x), x->name_len, cell_ref(x));
    subject_add(r, x);
    job_act_with(r, j, WITH_EXCHANGES, start_child, child_started);
}

static void write_row(struct registry *r, struct job *j)
{
    job_expect(r, j, proc_call(r->store, &row_of_cell(j->cell, false)->hdr, PROC_NO_TIMEOUT));
}

struct cell *exchange_make(struct registry *r, uint64_t id, const struct blob *name, uint32_t flags,
                           enum exchange_type type, struct blob *args)
{
    struct cell_spec spec = { .kind = CELL_EXCHANGE, .id = id, .flags = flags, .type = type,
                              .args = args, .vhost = r->vhost,
                              .vhost_len = (uint8_t)strlen(r->vhost),
                              .name = (const char *)blob_bytes(name),
                              .name_len = (uint8_t)blob_size(name) };
    struct cell *x = cell_new(&spec);

    x->routes = routes_open(r->vhost, id);
    return x;
}

static void declare_new(struct registry *r, struct job *j)
{
    struct msg_registry_declare *d = MSG_OF(struct msg_registry_declare, j->request);
    enum exchange_type type = EXCHANGE_DIRECT;

    (void)exchange_type_of(d->type, &type, &j->refusal); /* was checked before */
    j->cell = exchange_make(r, r->next_id++, d->name, d->flags, type, d->args);
    r->ids_left--;
    reserve_ids(r);
    if (d->flags & CELL_DURABLE)
        job_act_with(r, j, WITH_STORE, write_row, row_written);
    else
        row_written(r, j, NULL);
}

static void declare_begin(struct registry *r, struct job *j)
{
    struct msg_registry_declare *d = MSG_OF(struct msg_registry_declare, j->request);
    struct cell *x = find(r, d->name);
    enum exchange_type type;
    char text[256];

    if (!x && d->passive) {
        refuse_missing(r, j, d->name);
    } else if (x && d->passive) {
        j->cell = cell_ref(x);
        job_watch(r, j, answer_declare);
    } else if (exchange_type_of(d->type, &type, &j->refusal)) {
        job_finish(r, j);
    } else if (x) {
        if (check_exchange_equivalence(x, type, d->flags, d->args, &j->refusal)) {
            job_finish(r, j);
            return;
        }
        j->cell = cell_ref(x);
        job_watch(r, j, answer_declare);
    } else if (blob_size(d->name) >= 4 && !memcmp(blob_bytes(d->name), "amq.", 4)) {
        job_refuse(r, j, 403, "exchange name '%s' contains reserved prefix 'amq.*'",
                   name_text(text, d->name));
    } else {
        job_with_ids(r, j, declare_new);
    }
}

void on_exchange_declare(struct registry *r, struct msg *m)
{
    struct msg_registry_declare *d = MSG_OF(struct msg_registry_declare, m);
    struct job *j = job_new(r, m, declare_begin);

    if (is_empty(d->name)) {
        refuse_default(r, j);
        return;
    }
    job_claim(j, lane_of(CELL_EXCHANGE, d->name), false);
    job_start(r, j);
}

/*
 * Deleting
 */

static void stop_child(struct registry *r, struct job *j)
{
    struct child_spec spec;
    char id[32];

    cell_child_spec(j->cell, &exchange_ops, id, &spec);
    job_expect(r, j, sup_stop_child(r->exchanges, id, PROC_NO_TIMEOUT));
    blob_unref(spec.arg);
}

static void row_removed(struct registry *r, struct job *j, struct msg *m)
{
    (void)m;
    job_act_with(r, j, WITH_EXCHANGES, stop_child, finish);
}

static void remove_row(struct registry *r, struct job *j)
{
    job_expect(r, j, proc_call(r->store, &row_of_cell(j->cell, true)->hdr, PROC_NO_TIMEOUT));
}

static void delete_run(struct registry *r, struct job *j)
{
    struct cell *x = j->cell;

    table_del(r->tables.exchanges, cell_name(x), x->name_len);
    cell_set(x, 0, 0, CELL_DELETED, NULL);
    subject_remove(r, x);
    job_on_cell(r, x);
    job_resume(r, WITH_EXCHANGE, x->id); /* who waited for its next run waits no more */
    if (x->flags & CELL_DURABLE)
        job_act_with(r, j, WITH_STORE, remove_row, row_removed);
    else
        row_removed(r, j, NULL);
}

static void delete_begin(struct registry *r, struct job *j)
{
    struct msg_registry_delete *d = MSG_OF(struct msg_registry_delete, j->request);
    struct cell *x = find(r, d->name);
    struct subject *s = x ? subject_find(r, x->id) : NULL;

    if (!x) {
        job_finish(r, j); /* deleting what is not there succeeds */
    } else if (x->flags & CELL_PREDECLARED) {
        job_refuse(r, j, 403, "operation not permitted on the predeclared exchange '%s'",
                   cell_name(x));
    } else if (d->if_unused && s && !LIST_EMPTY(&s->as_source)) {
        job_refuse(r, j, 406, "exchange '%s' in vhost '%s' in use", cell_name(x), r->vhost);
    } else {
        j->cell = cell_ref(x);
        delete_run(r, j);
    }
}

void on_exchange_delete(struct registry *r, struct msg *m)
{
    struct msg_registry_delete *d = MSG_OF(struct msg_registry_delete, m);
    struct job *j = job_new(r, m, delete_begin);

    if (is_empty(d->name)) {
        refuse_default(r, j);
        return;
    }
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

static void own_start(struct registry *r, struct job *j, struct msg *m)
{
    (void)m;
    job_start(r, j);
}

static void own_delete(struct registry *r, struct cell *x, bool with_bindings)
{
    struct job *j = job_new(r, NULL, own_begin);
    struct blob *name = blob_copy(cell_name(x), x->name_len);

    j->cell = cell_ref(x);
    j->if_empty = with_bindings;
    job_claim(j, lane_of(CELL_EXCHANGE, name), false);
    blob_unref(name);
    job_later(r, j, own_start);
}

void exchange_delete_job(struct registry *r, struct cell *x)
{
    own_delete(r, x, true);
}

void exchange_is_unused(struct registry *r, struct subject *x)
{
    if (x && x->cell->flags & CELL_AUTO_DELETE && LIST_EMPTY(&x->as_source))
        own_delete(r, x->cell, false);
}

/*
 * Binding
 */

static struct msg_registry_bind *bind_of(struct job *j)
{
    return MSG_OF(struct msg_registry_bind, j->request);
}

static void set_binding(struct job *j)
{
    struct msg_registry_bind *b = bind_of(j);

    j->binding = (struct binding){
        .dest = j->dest,
        .key = b->key,
        .args = b->args,
        .durable = j->cell->flags & j->dest->flags & CELL_DURABLE,
    };
}

/* Sends the change to the exchange; stalls while it is being restarted. */
static void send_change(struct registry *r, struct job *j, bool remove)
{
    const struct cell_at *at = cell_at(j->cell);
    struct msg_exchange_set *m;

    if (at->state == CELL_DELETED || at->state == CELL_PARKED) {
        j->then(r, j, NULL);
        return;
    }
    if (at->state == CELL_RESTARTING) {
        j->stalled = true;
        return;
    }
    m = exchange_set_new(1);
    exchange_set_add(&m, &j->binding, remove);
    job_expect(r, j, proc_call(at->pid, &m->hdr, PROC_NO_TIMEOUT));
}

static void send_bind(struct registry *r, struct job *j)
{
    send_change(r, j, false);
}

static void send_unbind(struct registry *r, struct job *j)
{
    send_change(r, j, true);
}

static struct msg_store_rows *binding_row(struct job *j, bool remove)
{
    struct msg_store_rows *m = store_rows_new(STORE_WRITE, 1);

    m->row[m->n++] = (struct store_row){
        .kind = STORE_ROW_BINDING,
        .remove = remove,
        .id = j->cell->id,
        .dest_id = j->dest->id,
        .dest_kind = STORE_ROW_QUEUE,
        .name = blob_ref(j->binding.key),
        .args = blob_ref(j->binding.args),
    };
    return m;
}

static void write_binding(struct registry *r, struct job *j)
{
    job_expect(r, j, proc_call(r->store, &binding_row(j, false)->hdr, PROC_NO_TIMEOUT));
}

static void remove_binding(struct registry *r, struct job *j)
{
    job_expect(r, j, proc_call(r->store, &binding_row(j, true)->hdr, PROC_NO_TIMEOUT));
}

static void binding_written(struct registry *r, struct job *j, struct msg *m)
{
    (void)m;
    bound_add(r, j->cell, &j->binding);
    j->exchange_id = j->cell->id;
    job_act_with(r, j, WITH_EXCHANGE, send_bind, finish);
}

static void bind_begin(struct registry *r, struct job *j);
static void unbind_begin(struct registry *r, struct job *j);

/* Source and destination, or a refusal; false: the job has ended. */
static bool find_both(struct registry *r, struct job *j)
{
    struct msg_registry_bind *b = bind_of(j);
    struct cell *x = find(r, b->source), *q;
    bool is_bind = j->begin == bind_begin;
    char text[256];

    q = b->dest ? vhost_find_queue(&r->tables, blob_bytes(b->dest), blob_size(b->dest)) : NULL;
    if (q && is_locked_for(q, b->owner)) {
        job_refuse(r, j, 405, "cannot obtain exclusive access to locked queue '%s' in vhost '%s'",
                   cell_name(q), r->vhost);
        return false;
    }
    if (x && q) {
        j->cell = cell_ref(x);
        j->dest = cell_ref(q);
        set_binding(j);
        return true;
    }
    if (!is_bind)
        job_finish(r, j); /* what is not there is unbound */
    else if (!x)
        refuse_missing(r, j, b->source);
    else
        job_refuse(r, j, 404, "no queue '%s' in vhost '%s'", name_text(text, b->dest), r->vhost);
    return false;
}

static void bind_begin(struct registry *r, struct job *j)
{
    if (!find_both(r, j))
        return;
    if (bound_find(r, j->cell, &j->binding))
        job_finish(r, j);
    else if (j->binding.durable)
        job_act_with(r, j, WITH_STORE, write_binding, binding_written);
    else
        binding_written(r, j, NULL);
}

static void unbound(struct registry *r, struct job *j, struct msg *m)
{
    (void)m;
    exchange_is_unused(r, subject_find(r, j->cell->id));
    if (j->binding.durable)
        job_act_with(r, j, WITH_STORE, remove_binding, finish);
    else
        job_finish(r, j);
}

static void unbind_begin(struct registry *r, struct job *j)
{
    struct bound *b;

    if (!find_both(r, j))
        return;
    b = bound_find(r, j->cell, &j->binding);
    if (!b) {
        job_finish(r, j);
        return;
    }
    bound_remove(r, b);
    j->exchange_id = j->cell->id;
    job_act_with(r, j, WITH_EXCHANGE, send_unbind, unbound);
}

/* Binds of one pair overlap; only the same binding's come one after the other. */
static void start_bind(struct registry *r, struct msg *m, job_act begin)
{
    struct msg_registry_bind *b = MSG_OF(struct msg_registry_bind, m);
    struct job *j = job_new(r, m, begin);
    uint64_t source = lane_of(CELL_EXCHANGE, b->source), dest = lane_of(CELL_QUEUE, b->dest);

    if (b->to_exchange) {
        job_refuse(r, j, 540, "exchange to exchange bindings are not implemented");
        return;
    }
    if (is_empty(b->source)) {
        refuse_default(r, j);
        return;
    }
    job_claim(j, source, true);
    job_claim(j, dest, true);
    job_claim(j, registry_binding_hash(source, dest, b->key, b->args), false);
    job_start(r, j);
}

void on_bind(struct registry *r, struct msg *m)
{
    start_bind(r, m, bind_begin);
}

void on_unbind(struct registry *r, struct msg *m)
{
    start_bind(r, m, unbind_begin);
}
