/*
 * supervisor_children.h - what a supervisor knows of its children, and how it finds them.
 *
 * Internal to the supervisor. Nothing here starts, stops or tells anybody.
 */
#ifndef BROKER_RUNTIME_SUPERVISOR_CHILDREN_H
#define BROKER_RUNTIME_SUPERVISOR_CHILDREN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "broker/runtime/supervisor_policy.h"
#include "broker/runtime/u64map.h"

enum child_phase {
    PHASE_WAITING,  /* to be started when its turn comes */
    PHASE_STARTING, /* spawned; its init has not returned (a supervisor's: is not settled) */
    PHASE_UP,
    PHASE_STOPPING, /* told to end; DOWN is awaited */
    PHASE_PARKED,   /* over its budget; `timer` starts it again */
    PHASE_RESTING,  /* a static child that ended for good; a group restart may start it */
    N_PHASES,
};

/* What becomes of a child that was told to end. */
enum child_after { AFTER_FORGET, AFTER_WAIT };

/*
 * What starting a child takes. A temporary child's is freed once it is started, so that a socket's
 * connection costs its supervisor little more than its id. It lies outside the process's heap,
 * because it holds a reference to a blob that must be given back however the supervisor ends.
 */
struct launch {
    LIST_ENTRY(launch) link;
    const struct proc_ops *ops;
    struct blob *arg; /* a reference; NULL: none */
    int scheduler;
    uint32_t restarts;     /* for listings */
    unsigned times_parked; /* since it last lived for a whole period */
    bool is_on_probation;  /* its present run came out of parking */
    uint64_t started_us;   /* its present run */
    struct sup_budget own;
    uint64_t own_when[SUP_OWN_LIMIT];
    char *last_crash; /* rt_alloc'd; NULL: none */
};
LIST_HEAD(launches, launch);

/* Somebody who asked and gets an answer later. */
struct waiter {
    struct waiter *next;
    struct reply_to to;
    bool wants_gone; /* else: wants it up */
};

struct child {
    TAILQ_ENTRY(child) link; /* static: in start order; dynamic: among those of its phase */
    struct child *same_hash; /* in by_id */
    proc_id pid;             /* of its present run; 0: there is none */
    uint64_t tag;
    proc_ref timer;        /* parked: until the next try; stopping: until KILL; 0: none */
    proc_ref settled;      /* a supervisor's answer that it is settled; 0: none is awaited */
    struct launch *launch; /* NULL: it cannot be started again */
    struct waiter *waiters;
    uint32_t shutdown_ms;
    uint8_t phase, after, restart;
    bool is_dynamic : 1, is_supervisor : 1, is_significant : 1, has_own_budget : 1;
    bool is_doomed : 1; /* static only: to be stopped when its turn comes */
    char id[];
};
TAILQ_HEAD(child_list, child);

struct children {
    struct child_list statics;
    struct child_list dynamics[N_PHASES];
    struct u64map by_pid;      /* those with a run */
    struct u64map by_ref;      /* timers, and answers awaited from supervisors */
    struct u64map by_id;       /* hash of the id to the first child with it */
    uint64_t seed;             /* of that hash */
    struct launches *launches; /* outside the heap: read by the hook at exit */
    uint32_t n, n_in[N_PHASES];
};

/* In init; also sees to it that references go back when the process ends. */
void children_init(struct children *cs);
/* NULL: there is none. */
struct child *children_by_id(const struct children *cs, const char *id);
struct child *children_by_pid(const struct children *cs, proc_id pid);
/* The child that awaits this ref, which is forgotten; NULL: none. */
struct child *children_take_ref(struct children *cs, proc_ref ref);

/* A new child, waiting, behind all others of its sort; spec is copied, its arg by reference. */
struct child *child_new(struct children *cs, const struct child_spec *spec, bool is_dynamic);
/* Takes it out of everything and frees it. It has no run and no waiters. */
void child_free(struct children *cs, struct child *c);
void child_set_phase(struct children *cs, struct child *c, enum child_phase phase);
/* Enters (pid not 0) or takes out its run. */
void child_set_pid(struct children *cs, struct child *c, proc_id pid);
/* Sets c->timer or c->settled, which `at` points to, to a new ref. */
void child_await(struct children *cs, struct child *c, proc_ref *at, proc_ref ref);
/* Cancels what `at` points to, if anything, and sets it to 0. */
void child_cancel(struct children *cs, proc_ref *at);
/* Frees what it takes to start it. */
void child_forget_launch(struct child *c);
/* Remembers how it ended, for listings. Nothing is kept of a temporary child. */
void child_note_end(struct child *c, const struct exit_reason *why);

/* The JSON of ops->inspect: parked and other children that are not up come first. */
size_t children_inspect(const struct children *cs, const char *strategy, char *out, size_t size);

#endif
