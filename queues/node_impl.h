/*
 * node_impl.h - what the files of node share. Nobody else includes it.
 */
#ifndef QUEUES_NODE_IMPL_H
#define QUEUES_NODE_IMPL_H

#include "broker/runtime/u64map.h"
#include "queues/definitions.h"

/* What a file says of topology, on its way to the registries. */
struct node_import {
    struct definitions *from; /* NULL: nothing to do */
    enum definition_kind phase;
    size_t at;
    struct u64map calls; /* under way, to the number of the definition */
    uint64_t n_done, n_failed;
};

struct node {
    struct definitions *stored; /* all rows, and what they mean; freed by proc_at_exit */
    struct definitions *file;   /* of load_definitions; the same */
    proc_ref store_name, store_patience, load, write;
    proc_ref access_name, access_monitor, sweep;
    proc_ref vhosts_name, vhosts_monitor;
    struct u64map starts;     /* calls to the supervisor of vhosts */
    struct u64map registries; /* names that are awaited, to the place of the vhost and one */
    proc_ref patience;        /* until the next look at those; 0: not yet begun */
    unsigned n_looks;
    struct reply_to *waiting; /* NODE_AWAIT */
    uint32_t n_waiting;
    bool has_facts;  /* access was told all */
    bool is_started; /* what a start brings is written, or on its way */
    bool is_ready;   /* nothing more is waited for */
    struct node_import import;
};

/* node_import.c */
/* Sends what there is room for; whether nothing is left to do. */
bool import_run(struct node *n);
/* An answer to a call of the import; false: it is none. */
bool import_on_answer(struct node *n, struct msg *m);

#endif
