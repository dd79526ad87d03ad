/*
 * Deleting a queue: asking it, taking it out of everybody's sight, its row, its process.
 */
#include "broker/core/stats.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/table.h"
#include "queues/invariant.h"
#include "queues/queue.h"
#include "queues/registry_impl.h"

/*
 * The name goes last: as long as the process may be started, somebody has to hold its cell, also
 * when this registry ends and another goes on. Until then the cell says that it is deleted.
 */
/* Said before its end, so that a channel that sees the end knows a deletion from a crash. */
static void say_deleted(struct registry *r, struct cell *q)
{
    if (cell_at(q)->state == CELL_DELETED)
        return; /* by itself */
    cell_set(q, 0, 0, CELL_DELETED, NULL);
    job_on_cell(r, q);
}

static void deleted(struct registry *r, struct job *j, struct msg *m)
{
    job_act after = j->after_delete;
    struct cell *q = j->cell;

    (void)m;
    if (vhost_find_queue(&r->tables, cell_name(q), q->name_len) == q)
        table_del(r->tables.queues, cell_name(q), q->name_len);
    say_deleted(r, q); /* it came up once more before it was stopped */
    j->after_delete = NULL;
    if (after)
        after(r, j);
    else
        job_finish(r, j);
}

static void row_removed(struct registry *r, struct job *j, struct msg *m)
{
    (void)m;
    say_deleted(r, j->cell);
    job_stop_child(r, j, deleted);
}

static void unbound(struct registry *r, struct job *j, struct msg *m)
{
    (void)m;
    job_remove_row(r, j, row_removed);
}

/* One message for each exchange: bindings of one source lie together only by chance. */
static void tell_exchange(struct registry *r, struct job *j, const struct bound *b)
{
    const struct cell_at *at = cell_at(b->source);
    struct msg_exchange_set *m;

    if (at->state != CELL_UP || queue_plant == PLANT_KEEP_BINDINGS)
        return; /* its next run gets a reset, in which this binding is not */
    m = exchange_set_new(1);
    exchange_set_add(&m, &b->binding, true);
    job_expect(r, j, proc_call(at->pid, &m->hdr, PROC_NO_TIMEOUT));
}

void job_unbind_all(struct registry *r, struct job *j, job_then then)
{
    struct subject *s = subject_find(r, j->cell->id);
    struct bound *b;

    j->with = WITH_NOBODY;
    j->then = then;
    j->n_waiting++; /* ours: nothing goes on before all has been asked */
    /* From the first each time: an exchange that is deleted for it may be in the list. */
    while (s && (b = LIST_FIRST(&s->as_dest)) != NULL) {
        uint64_t source = b->source->id;

        tell_exchange(r, j, b);
        bound_remove(r, b);
        if (source != j->cell->id)
            exchange_is_unused(r, subject_find(r, source));
    }
    subject_remove(r, j->cell);
    if (--j->n_waiting == 0)
        then(r, j, NULL);
}

static void out_of_sight(struct registry *r, struct job *j)
{
    struct cell *q = j->cell;

    if (!j->after_delete)
        job_decided(r, j);
    stat_add(&node_stats()->churn[QUEUES_DELETED], 1);
    cell_set(q, 0, 0, CELL_DELETED, NULL);
    job_on_cell(r, q);
    job_unbind_all(r, j, unbound);
}

static void on_queue_answer(struct registry *r, struct job *j, struct msg *m)
{
    struct msg_queue_reply *reply = MSG_OF(struct msg_queue_reply, m);

    if (m && reply->code) {
        refuse(&j->refusal, reply->code, "%s", reply->text);
        job_finish(r, j);
        return;
    }
    j->messages = m ? reply->messages : 0; /* one that died over it is deleted without it */
    out_of_sight(r, j);
}

static void ask_queue(struct registry *r, struct job *j)
{
    struct msg_queue_delete *m = MSG_NEW(QUEUE_DELETE, struct msg_queue_delete);

    m->if_unused = j->if_unused;
    m->if_empty = j->if_empty;
    job_expect(r, j, proc_call(cell_at(j->cell)->pid, &m->hdr, PROC_NO_TIMEOUT));
}

/* Conditions need the queue's own word; one that is being restarted is waited for. */
static void run_when_settled(struct registry *r, struct job *j, struct msg *m)
{
    (void)m;
    if (cell_at(j->cell)->state == CELL_UP)
        job_act_with(r, j, WITH_QUEUE, ask_queue, on_queue_answer);
    else
        out_of_sight(r, j);
}

void queue_delete_run(struct registry *r, struct job *j)
{
    if (cell_at(j->cell)->state == CELL_RESTARTING && (j->if_unused || j->if_empty))
        job_watch(r, j, run_when_settled);
    else
        run_when_settled(r, j, NULL);
}

/* For the registry's own reasons. The name may mean another queue by now. */
static void own_run(struct registry *r, struct job *j, struct msg *m)
{
    struct cell *q = j->cell;

    (void)m;
    if (vhost_find_queue(&r->tables, cell_name(q), q->name_len) != q)
        job_finish(r, j);
    else
        queue_delete_run(r, j);
}

/* The name is taken at once, so that whoever asks for it from now on waits for the deletion. */
static void own_begin(struct registry *r, struct job *j)
{
    job_later(r, j, own_run);
}

void queue_delete_job(struct registry *r, struct cell *q, bool if_unused, struct job *waiter)
{
    struct job *j = job_new(r, NULL, own_begin);
    struct blob *name = blob_copy(cell_name(q), q->name_len);

    j->cell = cell_ref(q);
    j->if_unused = if_unused;
    j->waiter = waiter;
    job_claim(j, lane_of(CELL_QUEUE, name), false);
    blob_unref(name);
    job_start(r, j);
}

static void delete_begin(struct registry *r, struct job *j)
{
    struct msg_registry_delete *d = MSG_OF(struct msg_registry_delete, j->request);
    struct cell *q =
        d->name ? vhost_find_queue(&r->tables, blob_bytes(d->name), blob_size(d->name)) : NULL;

    if (!q) {
        job_finish(r, j); /* deleting what is not there succeeds */
        return;
    }
    if (is_locked_for(q, d->owner)) {
        job_refuse(r, j, 405, "cannot obtain exclusive access to locked queue '%s' in vhost '%s'",
                   cell_name(q), r->vhost);
        return;
    }
    j->cell = cell_ref(q);
    queue_delete_run(r, j);
}

void on_queue_delete(struct registry *r, struct msg *m)
{
    struct msg_registry_delete *d = MSG_OF(struct msg_registry_delete, m);
    struct job *j = job_asked(r, m, delete_begin);

    j->if_unused = d->if_unused;
    j->if_empty = d->if_empty;
    job_claim(j, lane_of(CELL_QUEUE, d->name), false);
    job_start(r, j);
}

void on_queue_unused(struct registry *r, struct msg *m)
{
    struct subject *q = subject_find(r, MSG_OF(struct msg_queue_unused, m)->queue_id);

    if (q && q->cell->flags & CELL_AUTO_DELETE && queue_plant != PLANT_KEEP_UNUSED)
        queue_delete_job(r, q->cell, true, NULL);
}
