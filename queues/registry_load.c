/*
 * How a registry learns what there is: rows from the store for what lasts, the tables for the rest.
 *
 * It begins when the store and both supervisors of children have their names, and ends by taking
 * its own, which is what everybody else waits for.
 */
#include <stdio.h>
#include <string.h>

#include "broker/core/log.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/table.h"
#include "queues/policies.h"
#include "queues/registry_impl.h"
#include "queues/routes.h"

enum { IDS_AT_ONCE = 1024, IDS_LOW = 128, ROWS_AT_ONCE = 4096 };

void reserve_ids(struct registry *r)
{
    struct msg_store_reserve *m;

    if (r->ids_left > IDS_LOW || r->reserve_ref || !r->store)
        return;
    m = MSG_NEW(STORE_RESERVE, struct msg_store_reserve);
    m->n = IDS_AT_ONCE;
    r->reserve_ref = proc_call(r->store, &m->hdr, PROC_NO_TIMEOUT);
}

void load_begin(struct registry *r)
{
    /* They may be under way already, and a supervisor have come back meanwhile. */
    if (!r->load_ref && !r->rows)
        r->load_ref =
            proc_call(r->store, msg_new(STORE_LOAD, sizeof(struct msg), NULL), PROC_NO_TIMEOUT);
    reserve_ids(r);
}

/*
 * Rows to cells
 */

static void load_queue(struct registry *r, const struct store_row *row)
{
    struct cell_spec spec = cell_spec_of(r, CELL_QUEUE, row->name);
    struct cell *q = vhost_find_queue(&r->tables, spec.name, spec.name_len);

    if (q && q->id == row->id) {
        subject_add(r, q);
        return;
    }
    spec.id = row->id;
    spec.flags = row->flags;
    spec.args = row->args;
    q = cell_new(&spec);
    (void)policies_apply(q); /* nobody knew it before */
    table_put(r->tables.queues, spec.name, spec.name_len, q);
    subject_add(r, q);
}

static void load_exchange(struct registry *r, const struct store_row *row)
{
    struct refusal refusal;
    enum exchange_type type;
    struct cell *x = vhost_find_exchange(&r->tables, blob_bytes(row->name), blob_size(row->name));

    if (x && x->id == row->id) {
        subject_add(r, x);
        return;
    }
    if (exchange_type_of(row->type, &type, &refusal)) {
        log_error("vhost '%s': a stored exchange was left out: %s", r->vhost, refusal.text);
        return;
    }
    x = exchange_make(r, row->id, row->name, row->flags, type, row->args);
    table_put(r->tables.exchanges, cell_name(x), x->name_len, x);
    subject_add(r, x)->is_new = true;
}

/* The routes of an exchange without a process are filled here, so that they are whole before any
 * client can publish. */
static void load_binding(struct registry *r, const struct store_row *row)
{
    struct subject *x = subject_find(r, row->id), *q = subject_find(r, row->dest_id);
    struct binding b = {.key = row->name, .args = row->args, .durable = true};

    if (!x || !q)
        return; /* of a queue whose removal came after */
    b.dest = q->cell;
    bound_add(r, x->cell, &b);
    if (x->is_new)
        (void)routes_change(x->cell, &b, false); /* it cannot be there */
}

static void load_row(struct registry *r, const struct store_row *row, bool is_second_time)
{
    if (is_second_time && row->kind == STORE_ROW_BINDING)
        load_binding(r, row);
    else if (!is_second_time && row->kind == STORE_ROW_QUEUE)
        load_queue(r, row);
    else if (!is_second_time && row->kind == STORE_ROW_EXCHANGE)
        load_exchange(r, row);
}

/* Some of the rows; whether these were the last. */
static bool load_rows(struct registry *r)
{
    const struct msg_store_rows *m = MSG_OF(struct msg_store_rows, r->rows);
    uint64_t end = 2 * (uint64_t)m->n;

    for (int i = 0; i < ROWS_AT_ONCE && r->rows_done < end; i++, r->rows_done++)
        load_row(r, &m->row[r->rows_done % m->n], r->rows_done >= m->n);
    return r->rows_done == end;
}

static void row_is_safe(struct registry *r, struct job *j, struct msg *m)
{
    (void)m;
    job_finish(r, j);
}

/* A job, so that a store that dies over it is asked again, before the rows of bindings to it are.
 */
static void keep_predeclared(struct registry *r, struct cell *x)
{
    struct job *j = job_new(r, NULL, NULL);

    j->cell = cell_ref(x);
    subject_add(r, x);
    job_write_row(r, j, row_is_safe);
}

/*
 * What a forerunner left in the tables
 */

static int adopt_cell(void *ctx, const void *key, size_t len, void *value)
{
    struct registry *r = ctx;
    struct cell *c = value;

    (void)key, (void)len;
    if (cell_at(c)->state == CELL_DELETED) { /* its messages have gone: the rest goes too */
        if (!subject_find(r, c->id))
            subject_add(r, c);
        queue_delete_job(r, c, false, NULL);
        return 0;
    }
    if (subject_find(r, c->id)) {
        owner_adopt(r, subject_find(r, c->id));
        return 0;
    }
    /* Durable, and no row: its deletion was under way, or its row never became durable. */
    if (!(c->flags & CELL_DURABLE)) {
        owner_adopt(r, subject_add(r, c));
        return 0;
    }
    if (c->flags & CELL_PREDECLARED) {
        keep_predeclared(r, c); /* it is never deleted */
        return 0;
    }
    subject_add(r, c);
    if (c->kind == CELL_QUEUE)
        queue_delete_job(r, c, false, NULL);
    else
        exchange_delete_job(r, c);
    return 0;
}

struct adopting {
    struct registry *r;
    struct cell *source;
};

static void adopt_binding(void *ctx, const struct binding *b)
{
    struct adopting *a = ctx;

    if (!b->durable) /* durable ones are known by their rows */
        bound_add(a->r, a->source, b);
}

static int adopt_bindings(void *ctx, const void *key, size_t len, void *value)
{
    struct adopting a = {ctx, value};

    (void)key, (void)len;
    routes_each(a.source, adopt_binding, &a);
    return 0;
}

/* A forerunner may have died between the last binding's end and the exchange's. */
static int delete_unused(void *ctx, const void *key, size_t len, void *value)
{
    const struct cell *x = value;

    (void)key, (void)len;
    exchange_is_unused(ctx, subject_find(ctx, x->id));
    return 0;
}

static int start_child(void *ctx, const void *key, size_t len, void *value)
{
    (void)key, (void)len;
    if (cell_at(value)->state != CELL_DELETED) /* an exchange out of sight is not in the table */
        cell_child_start(ctx, value);
    return 0;
}

/*
 * The exchanges that every vhost has (0-9-1 3.1.3). They are durable, so that bindings to them are.
 */
static void predeclare(struct registry *r, const char *name, enum exchange_type type,
                       uint32_t flags)
{
    flags |= CELL_DURABLE | CELL_PREDECLARED;
    struct blob *text = blob_copy(name, strlen(name));
    struct cell *x;

    if (!vhost_find_exchange(&r->tables, name, strlen(name))) {
        x = exchange_make(r, r->next_id++, text, flags, type, NULL);
        r->ids_left--;
        table_put(r->tables.exchanges, name, strlen(name), x);
        keep_predeclared(r, x);
    }
    blob_unref(text);
}

static void take_over(struct registry *r)
{
    char name[272];

    msg_drop(r->rows);
    r->rows = NULL;
    table_each(r->tables.exchanges, adopt_cell, r);
    table_each(r->tables.queues, adopt_cell, r);
    table_each(r->tables.exchanges, adopt_bindings, r);
    vhost_make_default_exchange(&r->tables);
    predeclare(r, "amq.direct", EXCHANGE_DIRECT, 0);
    predeclare(r, "amq.fanout", EXCHANGE_FANOUT, 0);
    predeclare(r, "amq.topic", EXCHANGE_TOPIC, 0);
    predeclare(r, "amq.headers", EXCHANGE_HEADERS, 0);
    predeclare(r, "amq.match", EXCHANGE_HEADERS, 0);
    predeclare(r, "amq.rabbitmq.trace", EXCHANGE_TOPIC, CELL_INTERNAL);
    table_each(r->tables.exchanges, start_child, r);
    table_each(r->tables.queues, start_child, r);
    snprintf(name, sizeof(name), "registry:%s", r->vhost);
    CHECK(proc_register(name) == 0);
    r->is_running = true;
    table_each(r->tables.exchanges, delete_unused, r);
    policies_walk(r, NULL); /* they may have changed while nobody was told */
    /* What was told of parked children while nobody knew their cells is told again. */
    sup_watch(r->queues);
    sup_watch(r->exchanges);
}

/* In parts, because there may be more rows than one turn has time for. */
static void go_on(struct registry *r)
{
    if (r->is_running || !r->rows || r->ids_left == 0)
        return;
    if (load_rows(r))
        take_over(r);
    else
        proc_continue();
}

bool load_on_answer(struct registry *r, struct msg *m)
{
    if (m->ref && m->ref == r->load_ref) {
        r->load_ref = 0;
        if (m->type == STORE_ROWS && !r->rows) {
            proc_keep(m);
            r->rows = m;
        }
    } else if (m->ref && m->ref == r->reserve_ref) {
        r->reserve_ref = 0;
        if (m->type == STORE_RESERVED) {
            r->next_id = MSG_OF(struct msg_store_reserve, m)->first;
            r->ids_left = MSG_OF(struct msg_store_reserve, m)->n;
            job_resume(r, WITH_IDS, 0);
        }
    } else if (m->type != MSG_CONTINUE) {
        return false;
    }
    go_on(r);
    return true;
}
