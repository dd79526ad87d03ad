/*
 * registry_impl.h - the registry's own state, between its files.
 *
 * A request is a `job`: it takes the locks of the names that it touches (lanes), then goes through
 * steps, each of which sends something and names what to do with the answer. Jobs of different
 * names overlap, so that one commit of the store carries many of them.
 *
 * A caller that wants its requests in order has a lane of its own, which comes before all names: a
 * job holds it until it is decided, that is until it cannot be refused any more for what its client
 * asked. So the next one is decided after it, while both may wait for the same commit.
 *
 * Invariants
 *   1. A cell is in by_id exactly as long as its name is in the tables.
 *   2. A binding is in the index before an exchange is told of it, and out of it before the
 *      exchange is told to forget it; so the index is what a reset brings.
 *   3. A durable thing is in the tables only after its row is durable; its row goes before the
 *      reply to its delete.
 *   4. Each job is in exactly one of: waiting for a lane, granted its lanes in this turn, waiting
 *      for answers (n_waiting > 0), stalled (its partner is away), watching a cell.
 *   5. A job that was granted its lanes begins from registry_handle, never from within another.
 */
#ifndef QUEUES_REGISTRY_IMPL_H
#define QUEUES_REGISTRY_IMPL_H

#include <sys/queue.h>

#include "broker/runtime/supervisor.h"
#include "broker/runtime/u64map.h"
#include "persistence/store.h"
#include "queues/registry.h"
#include "queues/registry_args.h"
#include "queues/registry_lanes.h"
#include "queues/route.h"
#include "queues/route_set.h"

struct registry;
struct job;

/* Whom a job waits for: decides what happens when that one dies. */
enum partner {
    WITH_NOBODY,
    WITH_STORE,
    WITH_QUEUES,
    WITH_EXCHANGES,
    WITH_QUEUE,
    WITH_EXCHANGE,
    WITH_IDS
};

typedef void (*job_act)(struct registry *r, struct job *j);
typedef void (*job_then)(struct registry *r, struct job *j, struct msg *answer);

struct caller { /* who wants its requests in order */
    proc_id pid;
    proc_ref monitor; /* once refused */
    unsigned n_jobs;
    bool is_refused; /* none of its jobs begins any more */
    bool is_dead;
};

struct job {
    TAILQ_ENTRY(job) link;   /* in r->jobs */
    struct lane_claim claim; /* names it holds or waits for */
    struct caller *caller;   /* NULL: its order is none's business */
    bool is_decided;         /* the caller's lane was given back */
    struct msg *request;     /* kept; NULL: the registry's own */
    job_act begin;           /* once it has its lanes */
    job_act act;             /* what is done again when a stalled partner is back */
    job_then then;           /* with each answer; answer NULL: the partner is gone for good */
    enum partner with;
    bool stalled;
    unsigned n_waiting;
    uint64_t exchange_id;   /* WITH_EXCHANGE and stalled: which */
    struct cell *cell;      /* the subject; a reference */
    struct cell *dest;      /* bind, unbind: a reference */
    struct binding binding; /* bind, unbind: borrows from request, cell and dest */
    bool if_unused, if_empty;
    uint64_t messages;
    struct refusal refusal;
    struct job *waiter;   /* told (n_waiting) when this one ends */
    job_act after_delete; /* a delete that is a part of something else goes on here */
};

struct bound {              /* one binding, in the index */
    struct binding binding; /* references */
    struct cell *source;    /* a reference */
    uint64_t hash;
    LIST_ENTRY(bound) by_source, by_dest;
};
LIST_HEAD(bound_list, bound);

struct subject {       /* a cell and what hangs on it */
    struct cell *cell; /* a reference */
    struct bound_list as_source, as_dest;
    LIST_ENTRY(subject) by_owner;
    bool is_owned;
    bool is_new; /* an exchange made by this load: it has no process yet */
};

struct owner { /* a connection that has exclusive queues */
    proc_id pid;
    proc_ref monitor;
    LIST_HEAD(, subject) queues;
};

struct watcher { /* somebody who waits for a cell to leave RESTARTING */
    TAILQ_ENTRY(watcher) link;
    uint64_t cell_id;
    proc_id dead;
    struct msg *request; /* kept; or */
    struct job *job;
};

struct registry {
    char vhost[256];
    struct vhost_tables tables;
    proc_id store, queues, exchanges;     /* 0: away */
    proc_ref awaited[WITH_EXCHANGES + 1]; /* by partner: whose name was asked for last */
    bool is_running;                      /* has its name */
    bool has_rows, has_ids;               /* while it loads */
    struct msg *rows;                     /* kept until they are loaded */
    uint64_t rows_done;                   /* counted twice: cells first, then bindings */
    proc_ref load_ref, reserve_ref;
    uint64_t next_id, ids_left;
    struct u64map by_ref;    /* proc_ref to struct job */
    struct u64map by_id;     /* cell id to struct subject */
    struct u64map by_owner;  /* pid to struct owner */
    struct u64map by_hash;   /* registry_binding_hash to struct bound */
    struct u64map by_caller; /* pid to struct caller */
    struct lanes lanes;
    struct lane_line granted; /* jobs that may begin */
    unsigned nesting;         /* deletions begun inside others */
    TAILQ_HEAD(, job) jobs;
    int64_t n_queues; /* subjects that are queues, and those that are being declared */
    TAILQ_HEAD(, watcher) watchers;
    struct policy_walk *walk; /* NULL: none */
};

/* registry_job.c */
struct job *job_new(struct registry *r, struct msg *request, job_act begin);
/* Of a request that begins as struct msg_registry_any. It is refused in `begin` at the earliest. */
struct job *job_asked(struct registry *r, struct msg *request, job_act begin);
void job_claim(struct job *j, uint64_t name, bool shared);
/* Takes the lanes, and begins once it has them. */
void job_start(struct registry *r, struct job *j);
/* It will not be refused any more: the next one of its caller may be decided. */
void job_decided(struct registry *r, struct job *j);
/* Begins jobs that were granted their lanes. */
void job_begin_granted(struct registry *r);
/* Replies (if there is a request), gives lanes back, frees. */
void job_finish(struct registry *r, struct job *j);
void job_refuse(struct registry *r, struct job *j, uint16_t code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* One answer more to wait for. */
void job_expect(struct registry *r, struct job *j, proc_ref ref);
/* Does act now if its partner is there, else when it is back. */
void job_act_with(struct registry *r, struct job *j, enum partner with, job_act act, job_then then);
/* An answer to a call of the registry's; false: it is none of a job's. */
bool job_on_answer(struct registry *r, struct msg *m);
/* Starts the job by a message to self: for callers in the middle of a list that it changes. */
void job_later(struct registry *r, struct job *j, job_then then);
/* Goes on once there are ids to give. */
void job_with_ids(struct registry *r, struct job *j, job_act act);
/* Partners are back: stalled jobs act again. */
void job_resume(struct registry *r, enum partner with, uint64_t exchange_id);
/* A channel's REGISTRY_WATCH. */
void on_watch(struct registry *r, struct msg *m);
void job_watch(struct registry *r, struct job *j, job_then then);
void job_on_cell(struct registry *r, struct cell *c);
uint64_t lane_of(enum cell_kind kind, const struct blob *name);

/* registry_caller.c */
/* The job, a request that just came, is one more of its caller's. */
void caller_join(struct registry *r, struct job *j);
/* It has ended, refused or not. */
void caller_leave(struct registry *r, struct job *j);
void caller_is_dead(struct registry *r, proc_id pid);

/* registry_index.c */
struct subject *subject_add(struct registry *r, struct cell *c);
struct subject *subject_find(struct registry *r, uint64_t id);
void subject_remove(struct registry *r, struct cell *c);
struct bound *bound_find(struct registry *r, const struct cell *source, const struct binding *b);
void bound_add(struct registry *r, struct cell *source, const struct binding *b);
void bound_remove(struct registry *r, struct bound *b);
/* Sends an exchange all its bindings as a reset. */
void exchange_reset(struct registry *r, struct subject *x, proc_id pid);

/* registry_queue.c */
void on_queue_declare(struct registry *r, struct msg *m);
void on_queue_delete(struct registry *r, struct msg *m);
void on_queue_unused(struct registry *r, struct msg *m);
void on_release_owner(struct registry *r, struct msg *m);
void owner_is_dead(struct registry *r, struct owner *o);
struct owner *owner_find(struct registry *r, proc_id pid);
/* The owner of a cell that was there before this registry was. */
void owner_adopt(struct registry *r, struct subject *q);
/* Deletes j->cell, then goes on with j->after_delete or ends. The job holds the queue's lane. */
void queue_delete_run(struct registry *r, struct job *j);
/* Deletes a queue for the registry's own reasons, soon; waiter may be NULL. */
void queue_delete_job(struct registry *r, struct cell *q, bool if_unused, struct job *waiter);
bool is_locked_for(const struct cell *q, proc_id connection);
/* A child's spec; spec->arg is the caller's reference. */
void cell_child_spec(struct cell *c, const struct proc_ops *ops, char id[32],
                     struct child_spec *ret);

/* registry_cell.c */
/* With this name, of this vhost; the rest is to be filled in. */
struct cell_spec cell_spec_of(const struct registry *r, enum cell_kind kind,
                              const struct blob *name);
/* Go on with `then` when j->cell's row is written or removed; at once if it has none. */
void job_write_row(struct registry *r, struct job *j, job_then then);
void job_remove_row(struct registry *r, struct job *j, job_then then);
/* Goes on when j->cell has no process any more. */
void job_stop_child(struct registry *r, struct job *j, job_then then);
/* Starts its process; nobody waits for it. */
void cell_child_start(struct registry *r, struct cell *c);
/* j->cell is new and has the next id: its row, its name, its process, the answer. */
void job_make_cell(struct registry *r, struct job *j);
/* The answer to a declare, once the cell is settled. */
void job_answer_declare(struct registry *r, struct job *j, struct msg *m);

/* registry_delete.c */
/*
 * Takes j->cell out of the index with all its bindings, tells the exchanges that they have it no
 * more, and then goes on; exchanges that nothing is bound to any more go too.
 */
void job_unbind_all(struct registry *r, struct job *j, job_then then);

/* registry_exchange.c */
void on_exchange_declare(struct registry *r, struct msg *m);
void on_exchange_delete(struct registry *r, struct msg *m);
void refuse_default_exchange(struct registry *r, struct job *j);
void refuse_missing_exchange(struct registry *r, struct job *j, const struct blob *name);
/* Of an exchange that was deleted while a forerunner died. */
void exchange_child_stop(struct registry *r, uint64_t id);
/* After a binding went: an auto-delete exchange that had some and has none goes too. */
void exchange_is_unused(struct registry *r, struct subject *x);
void exchange_delete_job(struct registry *r, struct cell *x);
struct cell *exchange_make(struct registry *r, uint64_t id, const struct blob *name, uint32_t flags,
                           enum exchange_type type, struct blob *args);

/* registry_bind.c */
void on_bind(struct registry *r, struct msg *m);
void on_unbind(struct registry *r, struct msg *m);

/* registry_policies.c */
/* Gives each cell the policy that applies now; `request` (kept; or NULL) is answered at the end. */
void policies_walk(struct registry *r, struct msg *request);
/* Some of what is left to do. */
void policies_go_on(struct registry *r);

/* registry_load.c */
void load_begin(struct registry *r);
bool load_on_answer(struct registry *r, struct msg *m);
void reserve_ids(struct registry *r);

#endif
