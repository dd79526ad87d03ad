/*
 * vhost_state.h - whether a vhost serves, and why not.
 *
 * A vhost is down while its store, its registry or one of its supervisors of queues and exchanges
 * is parked. One that is still starting is not down. The fact is in a shared table, which one
 * process for each vhost writes; whoever must act at once asks that process to be told.
 */
#ifndef QUEUES_VHOST_STATE_H
#define QUEUES_VHOST_STATE_H

#include <stdint.h>

#include "broker/runtime/proc.h"

enum {
    VHOST_WATCH = 0x170, /* call: answered when the vhost goes down once more */
    VHOST_DOWN,          /* reply */
};

struct msg_vhost_watch {
    struct msg hdr;
    uint64_t seen; /* how many times the asker knows of: msg_vhost_down.times, at first 0 */
};

struct msg_vhost_down {
    struct msg hdr;
    uint64_t times;
    char reason[200];
};

/* NULL: it is not down. Lent until the handler returns; any process. */
const char *vhost_down_reason(const char *vhost);

/*
 * Asks to be told when the vhost is down; at once, if it went down more often than `seen`. Without
 * a timeout. DOWN: the watcher itself is being restarted, under its name.
 */
proc_ref vhost_watch(const char *vhost, uint64_t seen);
/* The watcher's registered name; returns out. */
const char *vhost_watcher_name(const char *vhost, char out[300]);

struct vhost_state_arg { /* the arg blob of vhost_state_ops */
    char vhost[256];
};
/* A child of the vhost's supervisor, registered as "vhost_state:<vhost>". */
extern const struct proc_ops vhost_state_ops;

/* The tags of the supervisor's other children, by which the watcher knows them. */
enum vhost_part { VHOST_STORE = 1, VHOST_REGISTRY, VHOST_QUEUES, VHOST_EXCHANGES, VHOST_PARTS };

#endif
