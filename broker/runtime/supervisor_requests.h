/*
 * supervisor_requests.h - the requests that a supervisor gets, and the answers it owes.
 *
 * Internal to the supervisor.
 */
#ifndef BROKER_RUNTIME_SUPERVISOR_REQUESTS_H
#define BROKER_RUNTIME_SUPERVISOR_REQUESTS_H

#include "broker/runtime/supervisor.h"

struct waiter;

enum {
    SUP_START = MSG_CHILD_STATE + 3, /* struct msg_sup_start */
    SUP_STOP,                        /* struct msg_sup_name */
    SUP_AGAIN,                       /* struct msg_sup_name */
    SUP_AWAIT,                       /* struct msg */
    SUP_WATCH,                       /* struct msg, a cast */
};

struct msg_sup_start {
    struct msg hdr;
    struct child_spec spec; /* id points to `id`; arg is a reference */
    char id[];
};

struct msg_sup_name {
    struct msg hdr;
    char id[];
};

/* Answers a request now; one that came as a cast wants no answer. */
void sup_answer(struct msg *request, int err, proc_id child);
/* Puts the request, if it wants an answer, among the waiters in *list. */
void sup_wait(struct waiter **list, struct msg *request, bool wants_gone);
/* Answers and frees the waiters that want this. */
void sup_answer_waiters(struct waiter **list, bool wants_gone, int err, proc_id child);

#endif
