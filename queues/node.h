/*
 * node.h - the node's own process: vhosts, users, permissions, and what a definitions file brings.
 */
#ifndef QUEUES_NODE_H
#define QUEUES_NODE_H

#include "broker/runtime/proc.h"

struct child_spec;

#define NODE_STORE "node_store" /* the name of the node's own store, */
#define NODE_DIR   "node"       /* and of its directory below the data directory */

enum {
    NODE_AWAIT = 0x180, /* call: answered when all vhosts are up, or were waited for long enough */
    NODE_READY,         /* reply */
};

/*
 * The child spec of the supervisor of node and its store. data_dir: the broker's; the store's own
 * directory is below it. The blob in spec->arg is the caller's reference.
 */
void node_child_spec(const char *data_dir, struct child_spec *ret);

/* Registered as "node" from its init. Blocking. */
extern const struct proc_ops node_ops;

#endif
