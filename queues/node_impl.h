/*
 * node_impl.h - what the files of node share. Nobody else includes it.
 */
#ifndef QUEUES_NODE_IMPL_H
#define QUEUES_NODE_IMPL_H

#include <sys/queue.h>

#include "broker/runtime/u64map.h"
#include "persistence/store.h"
#include "queues/definitions.h"
#include "queues/node.h"

/* What a file or a request says of topology, on its way to the registries. */
struct node_import {
    struct definitions *from; /* NULL: nothing to do */
    enum definition_kind phase;
    size_t at;
    struct u64map calls; /* under way, to the number of the definition */
    size_t *lost;        /* to be asked again: their registry ended, or had no name yet */
    size_t n_lost;
    unsigned n_rounds; /* of asking again */
    uint64_t n_done, n_failed;
    char failure[512]; /* the first one; empty: none */
};

/* Waiting for vhosts to be up, and then for the topology that was to be made in them. */
struct node_settle {
    bool is_running;
    struct u64map starts;     /* calls to the supervisor of vhosts */
    struct u64map registries; /* names that are awaited, to struct vhost_name */
    proc_ref patience;        /* until the next look at those; 0: they are not awaited yet */
    unsigned n_looks;
};

enum change_step {
    CHANGE_NONE,
    CHANGE_WRITING,    /* the store */
    CHANGE_TELLING,    /* access */
    CHANGE_APPLYING,   /* registries, of policies */
    CHANGE_SETTLING,   /* vhosts and topology */
    CHANGE_STOPPING,   /* the supervisor of a vhost that goes */
    CHANGE_FORGETTING, /* the store, of its row */
};

struct node_change {
    enum change_step step;
    struct msg_node_change *m; /* kept */
    struct definitions *made;  /* what it puts */
    bool is_new;               /* what was put was not there */
    char vhost[256];           /* that is deleted; empty: none is */
    struct vhost_name *vhosts; /* that were put */
    size_t n_vhosts;
    struct vhost_name *policed; /* vhosts whose policies change */
    size_t n_policed;
    struct u64map applying; /* calls to their registries */
    char key[600];          /* of what is put or goes: for the audit line */
    uint64_t user_hash;     /* whose rights it may change; 0: of all */
    bool changes_rights;
    proc_ref call, name; /* what the step waits for; 0: not */
    uint32_t n_tries;    /* to remove the vhost's data */
};

struct vhost_name {
    char text[256];
};

struct node_waiting { /* a change that waits for its turn */
    STAILQ_ENTRY(node_waiting) link;
    struct msg *m; /* kept */
};

struct node {
    struct definitions *stored; /* all rows, and what they mean; freed by proc_at_exit */
    struct definitions *file;   /* of load_definitions; the same */
    proc_ref store_name, store_patience, load, write;
    proc_ref access_name, access_monitor, sweep;
    proc_ref vhosts_name, vhosts_monitor;
    struct node_settle settle;
    struct reply_to *waiting; /* NODE_AWAIT */
    uint32_t n_waiting;
    bool has_facts;  /* access was told all */
    bool is_started; /* what a start brings is written, or on its way */
    bool is_ready;   /* the start waits for nothing more */
    struct node_import import;
    struct node_change change;
    STAILQ_HEAD(, node_waiting) changes;
};

/* node.c */
/* On the exit's list until definitions_give. */
struct definitions *definitions_take(void);
void definitions_give(struct definitions *d); /* NULL is ignored */
void node_add_row(struct msg_store_rows *rows, const struct definition *d);
/* One fact to access; remove: that it is no more. */
void node_tell_fact(proc_id access, const struct definition *d, bool remove);
/* The store has died over a call: what it has is loaded, then access told of it. */
void node_load_again(struct node *n);
/* What the start, or a change, waited for is there. */
void node_settled(struct node *n);

/* node_vhosts.c */
void settle_init(struct node *n);
/* Starts all vhosts that there are; nobody waits for them. */
void settle_start_vhosts(struct node *n, proc_id sup);
/* Starts these, waits until they serve or are down, and goes on with the topology. */
void settle_begin(struct node *n, const struct vhost_name *vhosts, size_t n_vhosts);
/* All that there are. */
void settle_begin_all(struct node *n);
/* An answer, a name or a timer of theirs; false: it is none. */
bool settle_on_answer(struct node *n, const struct msg *m);
void settle_go_on(struct node *n);

/* node_policies.c */
/* Shows a vhost's policies, as they are stored. */
void node_show_policies(struct node *n, const char *vhost);
/* Shows those of all vhosts, and tells their registries. */
void node_show_all_policies(struct node *n);
/* Notes that what is put or goes changes policies. */
void node_note_policy(struct node_change *c, const struct definition *d);
/* Shows what the change changed and asks the registries to apply it; whether one was asked. */
bool node_apply_policies(struct node *n);

/* node_change.c */
void change_init(struct node_change *c);
/* NODE_CHANGE, and ACCESS_UPGRADE. */
void change_add(struct node *n, struct msg *m);
/* Begins the next one, if none is under way. */
void change_next(struct node *n);
/* An answer that it waits for; false: it is none. */
bool change_take(struct node *n, struct msg *m);
/* What the store has was loaded, or access was told all there is. */
void change_swept(struct node *n);
/* Its vhosts and its topology are there, as far as they came to be. */
void change_settled(struct node *n);
void change_finish(struct node *n, enum node_result result, const char *text);
void change_write(struct node *n, enum change_step step, struct msg_store_rows *rows);

/* node_gone.c */
/* Nobody is told of the vhost any more: its processes are stopped, its data removed. */
void gone_stop(struct node *n);
void gone_stopped(struct node *n);
void gone_forgotten(struct node *n);
/* Deletions that a forerunner began. */
void gone_resume(struct node *n);

/* The registry has ended: nothing goes on before it is there, is down, or was waited for. */
void settle_await(struct node *n, const char *vhost);

/* node_import.c */
void import_begin(struct node *n, struct definitions *from);
/* Sends what there is room for; whether nothing is left to do. */
bool import_run(struct node *n);
/* An answer to a call of the import; false: it is none. */
bool import_on_answer(struct node *n, struct msg *m);

#endif
