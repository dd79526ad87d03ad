/*
 * again.h - requests that meet a process which is being restarted.
 *
 * Such a request waits until the process is there again, and then begins anew in a process of its
 * own, so that whatever it held is given back. It may do so only where it has changed nothing, or
 * where doing the same twice is doing it once. It waits by announcements (a name that somebody
 * registers, the registry's word of a queue), and for AGAIN_US in all.
 */
#ifndef MGMT_AGAIN_H
#define MGMT_AGAIN_H

#include <stdbool.h>

#include "broker/runtime/proc.h"

struct cell;
struct request;

enum { AGAIN_US = 8 * 1000 * 1000 };

/*
 * Begins anew once somebody has this name, or the queue runs as another run than `dead` (0: none),
 * is parked, or deleted. Returns only when the request's time for that is over, or when it has to
 * be answered here, because an answer has begun.
 */
void again_by_name(struct request *r, const char *name);
void again_by_registry(struct request *r);
void again_by_queue(struct request *r, struct cell *queue, proc_id dead);
/* A call that changes something went unanswered: m is its DOWN. It may have been carried out. */
void again_note(struct request *r, const struct msg *m);
/* Whether what is to be deleted may have been deleted by this very request, begun before. */
bool again_may_have_deleted(const struct request *r);

/* A request that has just begun: whether it waits; again_handle then tells when it is over. */
bool again_waits(struct request *r);
/* Whether m belongs to that wait. *ret_over: it is at its end, and the request may begin. */
bool again_handle(struct request *r, struct msg *m, bool *ret_over);

/*
 * The same within a request that has to go on where it is: one wait for a queue, whose cell is lent
 * until its end.
 */
struct await_queue {
    struct cell *queue; /* NULL: no wait */
    proc_id dead;
    proc_ref ref;
    unsigned tries;
};

void await_queue_begin(struct await_queue *w, struct cell *queue, proc_id dead);
/* Whether m belongs to it. *ret_over: it is at its end; look at the cell again. */
bool await_queue_handle(struct await_queue *w, const struct msg *m, bool *ret_over);
void await_queue_end(struct await_queue *w);

#endif
