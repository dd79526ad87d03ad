/*
 * Binding and unbinding, of queues and of exchanges to exchanges.
 */
#include "broker/runtime/blob.h"
#include "queues/invariant.h"
#include "queues/registry_hash.h"
#include "queues/registry_impl.h"
#include "queues/topic.h"

static void finish(struct registry *r, struct job *j, struct msg *m)
{
    (void)m;
    job_finish(r, j);
}

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

/* Its table is not what it should be until it is back, so nothing can be promised before. */
static void refuse_parked(struct registry *r, struct job *j)
{
    job_refuse(r, j, 541, "exchange '%s' in vhost '%s' is down: %s", cell_name(j->cell), r->vhost,
               cell_at(j->cell)->reason);
}

/* The exchange has the binding, or did not answer: one that was parked is told when it is back. */
static void bind_told(struct registry *r, struct job *j, struct msg *m)
{
    if (!m && cell_at(j->cell)->state == CELL_PARKED)
        refuse_parked(r, j);
    else
        job_finish(r, j);
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
        .dest_kind = j->dest->kind == CELL_QUEUE ? STORE_ROW_QUEUE : STORE_ROW_EXCHANGE,
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
    job_act_with(r, j, WITH_EXCHANGE, send_bind, bind_told);
}

static void bind_begin(struct registry *r, struct job *j);
static void unbind_begin(struct registry *r, struct job *j);

static struct cell *find_exchange(struct registry *r, const struct blob *name)
{
    return is_name_empty(name) ? NULL
                               : vhost_find_exchange(&r->tables, blob_bytes(name), blob_size(name));
}

static struct cell *find_dest(struct registry *r, const struct msg_registry_bind *b)
{
    if (b->to_exchange)
        return find_exchange(r, b->dest);
    return is_name_empty(b->dest)
               ? NULL
               : vhost_find_queue(&r->tables, blob_bytes(b->dest), blob_size(b->dest));
}

static void refuse_bind(struct registry *r, struct job *j, bool has_source)
{
    const struct msg_registry_bind *b = bind_of(j);
    char text[256];

    if (!has_source)
        refuse_missing_exchange(r, j, b->source);
    else if (b->to_exchange)
        refuse_missing_exchange(r, j, b->dest);
    else
        job_refuse(r, j, 404, "no queue '%s' in vhost '%s'", name_text(text, b->dest), r->vhost);
}

/* Whether the destination is another connection's own; the job has ended then. */
static bool refuse_locked(struct registry *r, struct job *j, const struct cell *dest)
{
    if (!dest || dest->kind != CELL_QUEUE || !is_locked_for(dest, bind_of(j)->owner))
        return false;
    job_refuse(r, j, 405, "cannot obtain exclusive access to locked queue '%s' in vhost '%s'",
               cell_name(dest), r->vhost);
    return true;
}

/* Source and destination, or a refusal; false: the job has ended. */
static bool find_both(struct registry *r, struct job *j)
{
    struct msg_registry_bind *b = bind_of(j);
    struct cell *x = find_exchange(r, b->source), *dest = find_dest(r, b);

    if (is_name_empty(b->source) || (b->to_exchange && is_name_empty(b->dest))) {
        refuse_default_exchange(r, j);
        return false;
    }
    if (j->begin == bind_begin && refuse_locked(r, j, dest))
        return false;
    if (x && dest) {
        j->cell = cell_ref(x);
        j->dest = cell_ref(dest);
        set_binding(j);
        return true;
    }
    if (j->begin == bind_begin)
        refuse_bind(r, j, x != NULL);
    else
        job_finish(r, j); /* what is not there is unbound */
    return false;
}

static void bind_begin(struct registry *r, struct job *j)
{
    if (!find_both(r, j))
        return;
    if (check_binding(j->cell, j->binding.key, j->binding.args, &j->refusal)) {
        job_finish(r, j);
        return;
    }
    if (cell_at(j->cell)->state == CELL_PARKED) {
        refuse_parked(r, j);
        return;
    }
    j->exchange_id = j->cell->id;
    if (bound_find(r, j->cell, &j->binding)) { /* it may not have been told: told again */
        job_act_with(r, j, WITH_EXCHANGE, send_bind, bind_told);
        return;
    }
    job_decided(r, j);
    if (j->binding.durable && queue_plant != PLANT_FORGET_ROW)
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
    if (refuse_locked(r, j, j->dest))
        return;
    if (cell_at(j->cell)->state == CELL_PARKED) {
        refuse_parked(r, j);
        return;
    }
    job_decided(r, j);
    bound_remove(r, b);
    j->exchange_id = j->cell->id;
    job_act_with(r, j, WITH_EXCHANGE, send_unbind, unbound);
}

/* Binds of one pair overlap; only the same binding's come one after the other. */
static void start_bind(struct registry *r, struct msg *m, job_act begin)
{
    struct msg_registry_bind *b = MSG_OF(struct msg_registry_bind, m);
    struct job *j = job_asked(r, m, begin);
    enum cell_kind kind = b->to_exchange ? CELL_EXCHANGE : CELL_QUEUE;
    uint64_t source = lane_of(CELL_EXCHANGE, b->source), dest = lane_of(kind, b->dest);

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
