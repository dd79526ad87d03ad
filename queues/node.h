/*
 * node.h - the node's own process: vhosts, users, permissions, policies, parameters; what changes
 * them, and what a definitions file brings. What it knows is read in place: settings.h, access.h.
 */
#ifndef QUEUES_NODE_H
#define QUEUES_NODE_H

#include "broker/runtime/proc.h"

struct blob;
struct child_spec;

#define NODE_STORE "node_store" /* the name of the node's own store, */
#define NODE_DIR   "node"       /* and of its directory below the data directory */

enum {
    NODE_AWAIT = 0x180, /* call: answered when all vhosts are up, or were waited for long enough */
    NODE_READY,         /* reply */
    NODE_CHANGE,        /* call: see struct msg_node_change */
    NODE_CHANGED,       /* reply */
};

enum node_verb {
    NODE_PUT,    /* text: the object, as definitions have it */
    NODE_REMOVE, /* text: its names, as definitions_key gives them */
    NODE_IMPORT, /* text: definitions */
};

/* Changes are made one after the other; one is durable and to be seen when it is answered. */
struct msg_node_change { /* drop unrefs the text */
    struct msg hdr;
    enum node_verb verb;
    bool skips;        /* IMPORT: leaves out types of queues and exchanges that are not here */
    char section[32];  /* PUT, REMOVE: "users" and the like */
    char vhost[256];   /* IMPORT: all goes there; empty: where it says itself */
    struct blob *text; /* of a password, too: wiped at drop */
    char who[400];     /* asks, and from where: for the audit line */
};
/* Text of `len` bytes is copied. */
struct msg_node_change *node_change_new(enum node_verb verb, const char *text, size_t len);

enum { NODE_TEXT_MAX = 4096 };

enum node_result {
    NODE_CREATED,
    NODE_UPDATED, /* it was there */
    NODE_REMOVED,
    NODE_NOT_FOUND,
    NODE_REFUSED,   /* the text says why */
    NODE_PROTECTED, /* a vhost that may not be deleted */
    NODE_FAILED,    /* it was taken in, but something did not come of it: the text says what */
};

struct msg_node_changed {
    struct msg hdr;
    enum node_result result;
    char text[NODE_TEXT_MAX];
};

/*
 * The child spec of the supervisor of node and its store. data_dir: the broker's; the store's own
 * directory is below it. The blob in spec->arg is the caller's reference.
 */
void node_child_spec(const char *data_dir, struct child_spec *ret);

/* Registered as "node" from its init. Blocking. */
extern const struct proc_ops node_ops;

#endif
