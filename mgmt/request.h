/*
 * request.h - the process of one HTTP request, and what the views (the resources that it can show)
 * share with it.
 */
#ifndef MGMT_REQUEST_H
#define MGMT_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "broker/runtime/proc.h"
#include "mgmt/cells.h"
#include "mgmt/http_msg.h"
#include "mgmt/path.h"
#include "mgmt/text.h"

struct proc_listing;
struct request;

/* One resource: its path (path_matches), its method, and what it does. */
struct view {
    const char *pattern;
    enum http_method method;
    bool needs_debug; /* is there only when debug.crash is on */
    /* The user may see it. Answers, or asks somebody and waits. */
    void (*start)(struct request *r);
    /* What comes then; NULL when start always answers. */
    void (*handle)(struct request *r, struct msg *m);
};

extern const struct view view_overview, view_queues, view_vhost_queues, view_queue, view_processes,
    view_process, view_crash, view_backup, view_backup_begin;

struct foreign { /* what is no process memory; given back when the process ends */
    struct text out;
    struct cells cells;
    json_t *parked; /* view_processes: supervisor's pid text to its parked children */
};

struct request {
    struct msg_http_request *m; /* kept */
    const struct view *view;
    struct foreign *foreign;
    struct proc_listing *listing; /* kept; NULL: not asked for, or not yet here */
    proc_ref login;               /* an answer of access that is awaited */
    unsigned tags;                /* of who asks; true of him once he is logged in */
    proc_ref asked;               /* the call that is under way */
    size_t at;                    /* a view's place in what it walks */
    void *state;                  /* a view's own, process memory */
    char node[80];                /* this node's name */
    struct path path;
};

/* Answers with foreign->out, and ends the process. */
__attribute__((noreturn)) void request_finish(struct request *r);
/* Answers without a body, and ends the process. */
__attribute__((noreturn)) void request_finish_empty(void);
__attribute__((noreturn)) void request_fail(int status, const char *reason);
__attribute__((noreturn)) void request_fail_not_found(void);

/* Asks for all processes; request_has_listing then waits for the answer. */
void request_list(struct request *r);
/* Whether m is the listing, which is kept. Answers with 503 when it is known not to come. */
bool request_has_listing(struct request *r, struct msg *m);

/*
 * For loops over much: whether the turn has time for item `i`. If not, the caller asks for
 * proc_continue and goes on with the same item.
 */
static inline bool request_may_go_on(size_t i)
{
    return i % 32 || !proc_is_over_budget();
}

/* The process, temporary: its first message is the HTTP_REQUEST. */
extern const struct proc_ops request_ops;

#endif
