/*
 * What queues and exchanges have in common while they are made and deleted: a row in the store
 * where they last, a name in the tables, a process under a supervisor.
 */
#include <stdio.h>
#include <string.h>

#include "broker/runtime/blob.h"
#include "broker/runtime/supervisor.h"
#include "broker/runtime/table.h"
#include "queues/policies.h"
#include "queues/queue.h"
#include "queues/registry_impl.h"

static bool is_queue(const struct cell *c)
{
    return c->kind == CELL_QUEUE;
}

static proc_id supervisor_of(const struct registry *r, const struct cell *c)
{
    return is_queue(c) ? r->queues : r->exchanges;
}

static enum partner supervisor_with(const struct cell *c)
{
    return is_queue(c) ? WITH_QUEUES : WITH_EXCHANGES;
}

static struct table *names_of(const struct registry *r, const struct cell *c)
{
    return is_queue(c) ? r->tables.queues : r->tables.exchanges;
}

static void child_spec(struct cell *c, char id[32], struct child_spec *ret)
{
    cell_child_spec(c, is_queue(c) ? &queue_ops : &exchange_ops, id, ret);
}

struct cell_spec cell_spec_of(const struct registry *r, enum cell_kind kind,
                              const struct blob *name)
{
    return (struct cell_spec){.kind = kind,
                              .vhost = r->vhost,
                              .vhost_len = (uint8_t)strlen(r->vhost),
                              .name = (const char *)blob_bytes(name),
                              .name_len = (uint8_t)blob_size(name)};
}

/*
 * Rows
 */

static struct msg_store_rows *row_of(struct cell *c, bool remove)
{
    struct msg_store_rows *m = store_rows_new(STORE_WRITE, 1);
    const char *type = exchange_type_name(c->type);

    m->row[m->n++] = (struct store_row){
        .kind = is_queue(c) ? STORE_ROW_QUEUE : STORE_ROW_EXCHANGE,
        .remove = remove,
        .id = c->id,
        .flags = c->flags,
        .name = blob_copy(cell_name(c), c->name_len),
        .type = is_queue(c) ? NULL : blob_copy(type, strlen(type)),
        .args = blob_ref(c->args),
    };
    return m;
}

static void write_row(struct registry *r, struct job *j)
{
    job_expect(r, j, proc_call(r->store, &row_of(j->cell, false)->hdr, PROC_NO_TIMEOUT));
}

static void remove_row(struct registry *r, struct job *j)
{
    job_expect(r, j, proc_call(r->store, &row_of(j->cell, true)->hdr, PROC_NO_TIMEOUT));
}

void job_write_row(struct registry *r, struct job *j, job_then then)
{
    if (j->cell->flags & CELL_DURABLE)
        job_act_with(r, j, WITH_STORE, write_row, then);
    else
        then(r, j, NULL);
}

void job_remove_row(struct registry *r, struct job *j, job_then then)
{
    if (j->cell->flags & CELL_DURABLE)
        job_act_with(r, j, WITH_STORE, remove_row, then);
    else
        then(r, j, NULL);
}

/*
 * Processes
 */

void cell_child_start(struct registry *r, struct cell *c)
{
    struct child_spec spec;
    char id[32];

    child_spec(c, id, &spec);
    sup_cast_start_child(supervisor_of(r, c), &spec);
    blob_unref(spec.arg);
}

static void start_child(struct registry *r, struct job *j)
{
    struct child_spec spec;
    char id[32];

    child_spec(j->cell, id, &spec);
    job_expect(r, j, sup_start_child(supervisor_of(r, j->cell), &spec, PROC_NO_TIMEOUT));
    blob_unref(spec.arg);
}

static void stop_child(struct registry *r, struct job *j)
{
    struct child_spec spec;
    char id[32];

    child_spec(j->cell, id, &spec);
    job_expect(r, j, sup_stop_child(supervisor_of(r, j->cell), id, PROC_NO_TIMEOUT));
    blob_unref(spec.arg);
}

void job_stop_child(struct registry *r, struct job *j, job_then then)
{
    job_act_with(r, j, supervisor_with(j->cell), stop_child, then);
}

/*
 * Declaring
 */

void job_answer_declare(struct registry *r, struct job *j, struct msg *m)
{
    const struct cell_at *at = cell_at(j->cell);
    const char *kind = is_queue(j->cell) ? "queue" : "exchange";

    (void)m;
    if (at->state == CELL_UP)
        job_finish(r, j);
    else if (at->state == CELL_PARKED)
        job_refuse(r, j, is_queue(j->cell) ? 404 : 541, "%s '%s' in vhost '%s' is down: %s", kind,
                   cell_name(j->cell), r->vhost, at->reason);
    else
        job_refuse(r, j, 404, "%s '%s' in vhost '%s' was deleted", kind, cell_name(j->cell),
                   r->vhost);
}

static void child_started(struct registry *r, struct job *j, struct msg *m)
{
    (void)m; /* one that was parked at once is told by its cell */
    job_watch(r, j, job_answer_declare);
}

static void row_written(struct registry *r, struct job *j, struct msg *m)
{
    struct cell *c = j->cell;

    (void)m;
    r->n_queues -= is_queue(c); /* the subject counts for it now */
    (void)policies_apply(c);    /* from now on each change of them finds it */
    table_put(names_of(r, c), cell_name(c), c->name_len, cell_ref(c));
    owner_adopt(r, subject_add(r, c));
    job_act_with(r, j, supervisor_with(c), start_child, child_started);
}

void job_make_cell(struct registry *r, struct job *j)
{
    r->n_queues += is_queue(j->cell);
    r->ids_left--;
    reserve_ids(r);
    job_write_row(r, j, row_written);
}
