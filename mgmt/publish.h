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
    uint32_t n, waits; /* queues that it went to; of these, that have not confirmed */
    struct publish_part *part;
};

/*
 * Checks it as a channel would and sends it to the queues that it is routed to. The record is lent,
 * and is unreferenced when the process ends here, for the request is refused then.
 */
void publish_route(struct request *r, struct publish *p, struct record *record);
/* To this queue alone, whatever routes there are. */
void publish_to(struct request *r, struct publish *p, struct cell *queue, struct record *record);
/* A message that may be an answer of the queues: whether it is, and was understood. */
bool publish_handle(struct request *r, struct publish *p, struct msg *m);

#endif
