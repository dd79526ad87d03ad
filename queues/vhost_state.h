/*
 * vhost_state.h - whether a vhost serves, and why not; and who is told when rights in it change.
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
    VHOST_WATCH = 0x170, /* call: answered when the vhost goes down once more, or rights change */
    VHOST_DOWN,          /* reply */
    VHOST_LOOK,          /* reply: the asker's rights may have changed */
    VHOST_RECHECK,       /* cast, node: whose rights have changed; told after access has them */
};

struct msg_vhost_watch {
    struct msg hdr;
    uint64_t seen;      /* how many times the asker knows of: msg_vhost_down.times, at first 0 */
    uint64_t user_hash; /* access_user_hash of whom it acts for */
    uint64_t version;   /* access_version, asked for before the asker last looked at its rights */
};

struct msg_vhost_recheck {
    struct msg hdr;
    uint64_t user_hash; /* 0: all users */
};

struct msg_vhost_down {
    struct msg hdr;
    uint64_t times;
    char reason[200];
};

/* NULL: it is not down. Lent until the handler returns; any process. */
const char *vhost_down_reason(const char *vhost);

/*
 * Asks to be told when the vhost is down (at once, if it went down more often than `seen`) or when
 * the user's rights have changed since `version`. Without a timeout. DOWN: the watcher itself is
 * being restarted, under its name, or ends with its vhost.
 */
struct vhost_watching {
    uint64_t seen, user_hash, version; /* struct msg_vhost_watch */
};
proc_ref vhost_watch(const char *vhost, const struct vhost_watching *w);
/* Tells those who watch the vhost, or any vhost, for this user (0: for all) to look again. */
void vhost_recheck(const char *vhost, uint64_t user_hash);
void vhosts_recheck(uint64_t user_hash);
/* The watcher's registered name; returns out. */
const char *vhost_watcher_name(const char *vhost, char out[300]);

/*
 * How often a vhost of this name was deleted since the program began, counted when access knows no
 * more of it and before there can be another: what has another count belongs to an earlier one.
 */
uint64_t vhost_deletions(const char *vhost);
void vhost_count_deletion(const char *vhost); /* node only */

/* The vhost is no more: nothing is said of it. The watcher has ended. */
void vhost_state_forget(const char *vhost);

struct vhost_state_arg { /* the arg blob of vhost_state_ops */
    char vhost[256];
};
/* A child of the vhost's supervisor, registered as "vhost_state:<vhost>". */
extern const struct proc_ops vhost_state_ops;

/* The tags of the supervisor's other children, by which the watcher knows them. */
enum vhost_part { VHOST_STORE = 1, VHOST_REGISTRY, VHOST_QUEUES, VHOST_EXCHANGES, VHOST_PARTS };

#endif
