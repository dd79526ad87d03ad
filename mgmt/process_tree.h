/*
 * process_tree.h - a listing of processes in the order of its tree: each child after its parent.
 *
 * Pure. Rows are numbered from 1; 0 stands above the roots, whose parents
 * are not in the listing.
 */
#ifndef MGMT_PROCESS_TREE_H
#define MGMT_PROCESS_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/runtime/u64map.h"

struct proc_info;

struct process_tree {
    const struct proc_info *row; /* lent: n of them */
    uint32_t n;
    uint32_t n_known, n_placed;  /* how far process_tree_build has come */
    uint32_t *up, *first, *next; /* n + 1 each, in one piece; 0: none */
    struct u64map number_of;     /* pid to row number */
};

/*
 * n must be below UINT32_MAX; to be built next. Memory comes from the two functions, as of
 * u64map.h; it goes with the process when they are proc_realloc and proc_free, else with
 * process_tree_fini.
 */
void process_tree_init(struct process_tree *t, const struct proc_info *row, uint32_t n,
                       void *(*realloc_fn)(void *, size_t), void (*free_fn)(void *));
void process_tree_fini(struct process_tree *t);
/* Does a part of the work; true once the tree is complete. */
bool process_tree_build(struct process_tree *t);

/*
 * The row that follows `at` in the tree's order (the first one after 0), 0 at the end. *ret_closed:
 * how many rows, `at` first, have no more children to come.
 */
uint32_t process_tree_next(const struct process_tree *t, uint32_t at, unsigned *ret_closed);

#endif
