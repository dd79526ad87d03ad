/*
 * publish.h - a message that a view gives to the queues of a vhost, for who asks it: with the
 * checks that a channel makes, and confirmed by every queue that it reaches.
 */
#ifndef MGMT_PUBLISH_H
#define MGMT_PUBLISH_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/runtime/msg.h"

struct cell;
struct record;
struct request;

struct publish {       /* process memory; all zero before */
    uint32_t n, waits; /* queues that it is for; of these, that have not confirmed */
    uint64_t tag;      /* of the message that is under way */
    proc_id store;     /* the vhost's, when it was sent */
    proc_ref timer;    /* how long it waits for queues that are being restarted; 0: it does not */
    struct publish_parts *parts;
};

/*
 * Checks the message, r->foreign->record, as a channel would and sends it to the queues that it is
 * routed to, once to each: a queue that is being restarted, or is just then, gets it when it is
 * there again. It is done when `waits` is 0.
 */
void publish_route(struct request *r, struct publish *p);
/* To this queue alone, whatever routes there are. */
void publish_to(struct request *r, struct publish *p, struct cell *queue);
/* A message that may be an answer of the queues: whether it is, and was understood. */
bool publish_handle(struct request *r, struct publish *p, struct msg *m);

#endif
