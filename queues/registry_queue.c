/*
 * Queues: declaring, deleting, and those that belong to a connection.
 */
#include <stdio.h>
#include <string.h>

#include "amqp/codec/table.h"
#include "broker/core/access.h"
#include "broker/core/names.h"
#include "broker/core/stats.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/runtime.h"
#include "queues/invariant.h"
#include "queues/registry_impl.h"

enum { DEFAULT_TYPE_SIZE = 64 }; /* room for the argument x-queue-type */

static struct msg_registry_declare *declare_of(struct job *j)
{
    return MSG_OF(struct msg_registry_declare, j->request);
}

static struct cell *find(struct registry *r, const struct blob *name)
{
    return name ? vhost_find_queue(&r->tables, blob_bytes(name), blob_size(name)) : NULL;
}

bool is_locked_for(const struct cell *q, proc_id connection)
{
    return q->flags & CELL_EXCLUSIVE && q->owner != connection;
}

static void refuse_locked(struct registry *r, struct job *j, const struct cell *q)
{
    job_refuse(r, j, 405,
               "cannot obtain exclusive access to locked queue '%s' in vhost '%s'. It could be "
               "originally declared on another connection or the exclusive property value does not "
               "match that of the original declaration.",
               cell_name(q), r->vhost);
}

/*
 * Owners
 */

struct owner *owner_find(struct registry *r, proc_id pid)
{
    uint64_t *at = u64map_get(&r->by_owner, pid);

    return at ? (struct owner *)(uintptr_t)*at : NULL;
}

void owner_adopt(struct registry *r, struct subject *q)
{
    struct owner *o = owner_find(r, q->cell->owner);

    if (!(q->cell->flags & CELL_EXCLUSIVE) || q->is_owned)
        return;
    if (!o) {
        o = proc_zalloc(sizeof(*o));
        o->pid = q->cell->owner;
        o->monitor = proc_monitor(o->pid);
        LIST_INIT(&o->queues);
        u64map_put(&r->by_owner, o->pid, (uintptr_t)o);
    }
    LIST_INSERT_HEAD(&o->queues, q, by_owner);
    q->is_owned = true;
}

static void delete_all_of(struct registry *r, struct owner *o, struct job *waiter)
{
    struct subject *q;

    LIST_FOREACH(q, &o->queues, by_owner) {
        if (waiter)
            waiter->n_waiting++;
        queue_delete_job(r, q->cell, false, waiter);
    }
}

static void owner_forget(struct registry *r, struct owner *o)
{
    struct subject *q;

    while ((q = LIST_FIRST(&o->queues)) != NULL) {
        LIST_REMOVE(q, by_owner);
        q->is_owned = false;
    }
    u64map_del(&r->by_owner, o->pid, NULL);
    proc_free(o);
}

void owner_is_dead(struct registry *r, struct owner *o)
{
    if (queue_plant != PLANT_LOCK_FOR_DEAD)
        delete_all_of(r, o, NULL);
    owner_forget(r, o);
}

static void released(struct registry *r, struct job *j, struct msg *m)
{
    (void)m;
    job_finish(r, j);
}

void on_release_owner(struct registry *r, struct msg *m)
{
    struct owner *o = owner_find(r, MSG_OF(struct msg_registry_owner, m)->owner);
    struct job *j = job_new(r, m, NULL);

    if (!o) {
        job_finish(r, j);
        return;
    }
    j->then = released;
    j->n_waiting = 1; /* ours, until all have been started */
    proc_cancel(o->monitor);
    delete_all_of(r, o, j);
    owner_forget(r, o);
    if (--j->n_waiting == 0)
        released(r, j, NULL);
}

/*
 * Declaring
 */

static void declare_existing(struct registry *r, struct job *j, struct cell *q)
{
    struct msg_registry_declare *d = declare_of(j);

    if (!d->passive && (d->flags ^ q->flags) & CELL_EXCLUSIVE) {
        refuse_locked(r, j, q);
        return;
    }
    if (!d->passive && check_queue_equivalence(q, d->flags, d->args, &j->refusal)) {
        job_finish(r, j);
        return;
    }
    j->cell = cell_ref(q);
    job_watch(r, j, job_answer_declare);
}

static void declare_begin(struct registry *r, struct job *j);

/* The owner of a locked queue was asked whether it lives. */
static void on_owner_probe(struct registry *r, struct job *j, struct msg *m)
{
    struct cell *q = find(r, declare_of(j)->name);

    if ((m || queue_plant == PLANT_LOCK_FOR_DEAD) && q) {
        refuse_locked(r, j, q);
        return;
    }
    if (q) { /* the deletion is under way behind us, or has not begun: it is done here */
        j->cell = cell_ref(q);
        j->after_delete = declare_begin;
        queue_delete_run(r, j);
        return;
    }
    declare_begin(r, j);
}

static void probe_owner(struct registry *r, struct job *j)
{
    struct cell *q = find(r, declare_of(j)->name);

    job_expect(r, j, rt_inspect(q->owner, PROC_NO_TIMEOUT));
}

static void declare_new(struct registry *r, struct job *j)
{
    struct msg_registry_declare *d = declare_of(j);
    struct cell_spec spec = cell_spec_of(r, CELL_QUEUE, d->name);

    spec.flags = d->flags;
    spec.args = d->args;
    if (spec.flags & CELL_EXCLUSIVE) {
        spec.flags &= ~(uint32_t)CELL_DURABLE; /* it goes with its connection */
        spec.owner = d->owner;
    }
    spec.id = r->next_id++;
    j->cell = cell_new(&spec);
    stat_add(&node_stats()->churn[QUEUES_CREATED], 1);
    job_make_cell(r, j);
}

static bool refuse_too_many(struct registry *r, struct job *j)
{
    int64_t most = access_limit_of_vhost(r->vhost, ACCESS_QUEUES);
    char text[256];

    if (r->n_queues < most)
        return false;
    job_refuse(r, j, 406, "cannot declare queue '%s': queue limit in vhost '%s' (%lld) is reached",
               name_text(text, declare_of(j)->name), r->vhost, (long long)most);
    return true;
}

static void declare_begin(struct registry *r, struct job *j)
{
    struct msg_registry_declare *d = declare_of(j);
    struct cell *q = find(r, d->name);
    char text[256];

    cell_unref(j->cell);
    j->cell = NULL;
    if (q && is_locked_for(q, d->owner)) {
        job_act_with(r, j, WITH_QUEUE, probe_owner, on_owner_probe);
    } else if (q) {
        declare_existing(r, j, q);
    } else if (d->passive) {
        job_refuse(r, j, 404, "no queue '%s' in vhost '%s'", name_text(text, d->name), r->vhost);
    } else if (is_name_reserved(d->name) && !d->is_made) {
        job_refuse(r, j, 403, "queue name '%s' contains reserved prefix 'amq.*'",
                   name_text(text, d->name));
    } else if (check_queue_args(r->vhost, d->name, d->args, &j->refusal) ||
               check_queue_quorum(r->vhost, d->name, d->args, d->flags, d->is_made, &j->refusal)) {
        job_finish(r, j);
    } else if (!refuse_too_many(r, j)) {
        job_decided(r, j);
        job_with_ids(r, j, declare_new);
    }
}

static struct blob *make_name(void)
{
    static const char prefix[] = "amq.gen-";
    char name[sizeof(prefix) + NAME_OF_BITS];
    uint64_t bits[2];

    proc_secret(bits, sizeof(bits));
    return blob_copy(name, name_of_bits(name, prefix, bits));
}

/*
 * A queue that names no type has the vhost's, where it can have that. The argument is written down,
 * so that what the queue is does not depend on what the vhost says later.
 */
static void take_default_type(struct registry *r, struct msg_registry_declare *d)
{
    const char *type = d->passive ? NULL : access_queue_type(r->vhost);
    struct amqp_bytes args = {0}, out;
    struct ftable_builder b;
    struct ftable_value v;
    uint8_t *bytes;

    if (d->args)
        args = amqp_bytes(blob_bytes(d->args), blob_size(d->args));
    if (!type || ftable_validate(args) < 0 || ftable_lookup(args, "x-queue-type", &v) == 1)
        return;
    if (strcmp(type, "quorum") == 0 && (d->is_made || !(d->flags & CELL_DURABLE) ||
                                        d->flags & (CELL_EXCLUSIVE | CELL_AUTO_DELETE)))
        return;
    bytes = proc_alloc(args.len + DEFAULT_TYPE_SIZE);
    if (args.len > 0)
        memcpy(bytes, args.p, args.len);
    ftable_build(&b, bytes + args.len, DEFAULT_TYPE_SIZE);
    ftable_put_string(&b, "x-queue-type", type);
    CHECK(ftable_finish(&b, &out) == 0);
    blob_unref(d->args);
    d->args = blob_copy(bytes, args.len + out.len);
    proc_free(bytes);
}

void on_queue_declare(struct registry *r, struct msg *m)
{
    struct msg_registry_declare *d = MSG_OF(struct msg_registry_declare, m);
    struct job *j = job_asked(r, m, declare_begin);

    stat_add(&node_stats()->churn[QUEUES_DECLARED], 1);
    if (is_name_empty(d->name) && !d->passive) {
        blob_unref(d->name);
        d->name = make_name();
        d->is_made = true;
    }
    take_default_type(r, d);
    job_claim(j, lane_of(CELL_QUEUE, d->name), false);
    job_start(r, j);
}
