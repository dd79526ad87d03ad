/*
 * backup.h - copies of all stores of a running broker, into a directory that `warren --restore`
 * takes.
 *
 * Each store's copy is as of one moment, its own: that in which its copying ended. The node's is
 * first, so every vhost in it was there. A vhost that is down is left out, and the backup says so.
 */
#ifndef QUEUES_BACKUP_H
#define QUEUES_BACKUP_H

#include <stdint.h>

#include "broker/runtime/proc.h"

struct child_spec;

enum {
    BACKUP_START = 0x1a0, /* call to "backup" */
    BACKUP_STARTED,       /* reply */
};

struct msg_backup_start {
    struct msg hdr;
    char dir[512]; /* absolute; made, or empty */
};

struct msg_backup_started {
    struct msg hdr;
    int error;     /* 0, or -errno: -EBUSY while another one is under way */
    char why[300]; /* of an error */
};

enum backup_state { BACKUP_NONE, BACKUP_RUNNING, BACKUP_DONE, BACKUP_FAILED };

/* How far the last one is. */
struct backup_status {
    enum backup_state state;
    char dir[512];
    char why[300];              /* FAILED */
    uint32_t n_stores, n_done;  /* done: those left out included */
    uint32_t n_missing;         /* vhosts left out, because they were down */
    char missing[300];          /* which one was the last of them, and why */
    uint64_t bytes_done, bytes; /* of the stores done and of the present one */
    int64_t started_ms, ended_ms;
};

/* From any process; lent until its handler returns. */
const struct backup_status *backup_status(void);

/* Registered as "backup". Blocking. */
extern const struct proc_ops backup_ops;

#endif
