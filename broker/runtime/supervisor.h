/*
 * supervisor.h - a process that starts, watches, restarts, parks and stops others.
 *
 * Names and rules are OTP's supervisor: children start in order (the next one once the one before
 * has finished init) and stop in reverse order. More than `intensity` restarts of static children
 * within `period_ms` stop all children, then the supervisor itself with SHUTDOWN, which is then its
 * parent's problem. A failed restart is tried again from the mailbox (each try counts), so that the
 * supervisor stays responsive.
 *
 * A child that fails in its first init is treated as one that fails in any later one: by its
 * restart kind and budget. A nested supervisor counts as started once it has settled, as in OTP:
 * its own static children are up, parked, or ended for good.
 *
 * The strategy speaks of static children. Dynamic ones stand beside each other: one that ends
 * touches nobody. When the strategy makes a static child's siblings start again, all dynamic
 * children are younger siblings: they are stopped first, all at once, and started last. Under
 * one_for_all and rest_for_one a parked child holds back those that would have to follow it.
 *
 * Beyond OTP: a child may have a restart budget of its own (`own_budget`; all dynamic children have
 * one). Over it the child is parked: listed as down with its last reason, its siblings' count
 * untouched, tried again after 1, 2, 4 ... 60 s, or by sup_restart_child. `watcher` is told
 * when a child goes up, restarting, parked.
 * EXIT_MOVED is a planned restart: it is not counted, and the exit code is the scheduler where the
 * next run starts.
 *
 * Links and monitors: children are linked (a killed supervisor leaves no orphans) and monitored (a
 * child that unlinks cannot hang shutdown). A supervisor obeys EXIT only from its parent.
 *
 * A supervisor that fails takes its children with it, in no order, each within its shutdown_ms. Its
 * own supervisor is told when they are gone (PROC_AWAITED), so that the next one's children meet
 * nothing of theirs: no name, lock or port. Its dynamic temporary children, which nobody starts
 * again, are not waited for.
 */
#ifndef BROKER_RUNTIME_SUPERVISOR_H
#define BROKER_RUNTIME_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/runtime/proc.h"

enum sup_strategy { ONE_FOR_ONE, ONE_FOR_ALL, REST_FOR_ONE };

enum sup_restart {
    PERMANENT, /* always restarted */
    TRANSIENT, /* restarted unless it ended NORMAL or SHUTDOWN */
    TEMPORARY, /* never restarted; forgotten when it ends */
};

#define SUP_WAIT PROC_WAIT /* shutdown_ms: as long as it takes (supervisors) */

/* A child's states as the watcher is told them. */
enum child_state { CHILD_STARTING, CHILD_UP, CHILD_RESTARTING, CHILD_PARKED, CHILD_GONE };

struct child_spec { /* copied, `id` and `arg` too (arg by reference) */
    const char *id; /* unique under its supervisor; also the process's name */
    const struct proc_ops *ops;
    struct blob *arg; /* given to init at every start: never state of a dead run */
    enum sup_restart restart;
    uint32_t shutdown_ms; /* SHUTDOWN, wait this long, then KILL; 0: KILL at once */
    bool own_budget;      /* 5 restarts in 10 s of its own, then parked */
    bool significant;     /* when it ends for good, the supervisor ends too */
    int scheduler;        /* as struct spawn; 0 means scheduler 0, so set SCHED_ANY */
    uint64_t tag;         /* given back in msg_child_state */
};

/* The arg of a supervisor is a blob that holds this struct; what it points to is static. */
struct sup_spec {
    enum sup_strategy strategy;
    unsigned intensity; /* 0 with period_ms 0: 5 in 10 s */
    uint32_t period_ms;
    const struct child_spec *children; /* static memory, or NULL */
    size_t n;
    /*
     * Makes the static children when they need values known only at start: called in init, region
     * PROC; calls sup_add for each. May be NULL. `ctx` are the bytes of sup_new_arg's ctx.
     */
    void (*build)(const void *ctx);
    bool is_registered; /* under its process's name (proc_register), for others to find */
    proc_id watcher;    /* as if it had called sup_watch; 0: nobody */
    size_t ctx_size;    /* the bytes that follow this struct in the arg blob */
};

/* A supervisor is a process. PROC_TRAP_EXIT and PROC_SUPERVISOR are set by itself. */
extern const struct proc_ops supervisor_ops;

/* The arg blob: spec and a copy of ctx. The caller owns it. */
struct blob *sup_new_arg(const struct sup_spec *spec, const void *ctx, size_t ctx_size);
/* From spec.build only: adds a static child behind those added before. */
void sup_add(const struct child_spec *child);

enum { MSG_CHILD_STATE = MSG_SUP_REPLY + 1 };
struct msg_child_state { /* to the watcher, in order for each child */
    struct msg hdr;
    uint64_t tag;
    proc_id pid; /* of the run it speaks of */
    enum child_state state;
    struct exit_reason why; /* RESTARTING, PARKED, GONE */
};

/*
 * Makes the running process the supervisor's watcher, instead of the one before: it gets a
 * MSG_CHILD_STATE for each child that is parked now, and for each change from then on.
 */
void sup_watch(proc_id sup);

/* Replies to these calls are MSG_SUP_REPLY. */
struct msg_sup_reply {
    struct msg hdr;
    /*
     * 0; -EEXIST (`child` is the one that exists); -ENOENT; -EAGAIN (it is parked: listed, and
     * will be tried again); -ECANCELED (it ended in init and is not restarted, or was stopped).
     */
    int err;
    proc_id child; /* 0: it has no run */
};
/* A dynamic child: own budget, answered once its init has returned (or it was parked). */
proc_ref sup_start_child(proc_id sup, const struct child_spec *child, uint64_t timeout_us);
/* Stops it in its own way and forgets it. */
proc_ref sup_stop_child(proc_id sup, const char *id, uint64_t timeout_us);
/* Starts a parked child now; its budget is whole again. */
proc_ref sup_restart_child(proc_id sup, const char *id, uint64_t timeout_us);
/* Answered with 0 once all static children are up, parked, or ended for good. */
proc_ref sup_await(proc_id sup, uint64_t timeout_us);
/* Without an answer. */
void sup_cast_start_child(proc_id sup, const struct child_spec *child);
void sup_cast_stop_child(proc_id sup, const char *id);

/*
 * As a listing (rt_list_processes) knows only living processes, a supervisor tells of parked
 * children in its ops->inspect text.
 */

#endif
