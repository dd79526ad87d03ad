/*
 * event_manager.h - OTP's gen_event as a process: whoever wants events subscribes with its pid.
 *
 * A subscriber is monitored and forgotten when it dies; it can't hurt the manager or its siblings.
 * A subscriber behind by more than `max_behind` events is skipped (counted) until it acknowledges.
 */
#ifndef BROKER_RUNTIME_EVENT_MANAGER_H
#define BROKER_RUNTIME_EVENT_MANAGER_H

#include "broker/runtime/proc.h"

struct blob;

enum { MSG_EVENT = MSG_SUP_REPLY + 2 };

struct msg_event { /* manager to subscriber; drop unrefs body */
    struct msg hdr;
    uint32_t kind;    /* the publisher's own numbers */
    uint64_t skipped; /* events this subscriber missed before this one */
    struct blob *body;
};

extern const struct proc_ops event_manager_ops;

/* Publishes to all subscribers of a manager. Moves body (may be NULL). */
void event_notify(proc_id manager, uint32_t kind, struct blob *body);
/* Subscribes the running process; it must event_ack each event. Twice is once. */
void event_subscribe(proc_id manager, uint32_t max_behind);
void event_unsubscribe(proc_id manager);
void event_ack(proc_id manager);

#endif
