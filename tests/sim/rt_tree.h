/*
 * rt_tree.h - what supervisors owe to their children, kept beside them; and the children.
 *
 * Plain data without a process, as rt_model.h. A *run* is one life of one child's process.
 */
#ifndef TESTS_SIM_RT_TREE_H
#define TESTS_SIM_RT_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/runtime/supervisor.h"

enum { TREE_SUPS = 4, TREE_CHILDREN = 5, TREE_DYNAMIC = 6 };

struct tree_child { /* of a static supervisor, or a dynamic child */
    enum sup_restart restart;
    uint32_t shutdown_ms;
    bool traps; /* and is slow to stop, sometimes too slow */
    bool own_budget;
    uint32_t stop_us;
};

struct tree_sup {
    enum sup_strategy strategy;
    unsigned n;
    struct tree_child child[TREE_CHILDREN];
};

struct tree_run {
    uint32_t sup, child; /* sup TREE_SUPS: a dynamic child */
    proc_id pid, parent;
    uint64_t born, died; /* places in the order of all births and deaths; died 0: lives */
    int planned, kind;   /* -1: none, not known */
    bool was_up;         /* its init returned */
};

/* The worker's orders. */
enum { TREE_EXIT_NORMAL = MSG_USER + 16, TREE_EXIT_CRASH };

extern const struct proc_ops tree_worker_ops;

void tree_model_init(void);
void tree_model_fini(void);
struct tree_sup *tree_sup(uint32_t sup);
struct tree_child *tree_dynamic(uint32_t child);
uint32_t tree_n_runs(void);
struct tree_run *tree_run_at(uint32_t i);
/* NULL: not a child's. */
struct tree_run *tree_run_of(proc_id pid);
uint32_t tree_n_alive(void);
/* The child's run that lives; NULL: none, or `*ret_n` says how many. */
struct tree_run *tree_alive(uint32_t sup, uint32_t child, uint32_t *ret_n);
/* Crashes in init are on. */
void tree_disturb(bool on);
/* A spec for a child; its arg is new and the caller's. */
void tree_spec(uint32_t sup, uint32_t child, struct child_spec *ret, char id[16]);
void tree_ended(proc_id pid, enum exit_kind kind);
/* When nothing is left to do, and all may run. */
void tree_check_quiet(void);
/* After the end: the children of each supervisor ended in reverse order. `since`: the last rest. */
void tree_check_stopped(uint64_t since);
/* The present place in the order of births and deaths. */
uint64_t tree_clock(void);

#endif
