/*
 * ask.h - what views ask of a vhost for who asks them: as a channel would, with the same rights.
 *
 * Where a right or a name is missing these answer the request, and so end the process; nothing that
 * is no process memory may be held meanwhile.
 */
#ifndef MGMT_ASK_H
#define MGMT_ASK_H

#include "amqp/codec/bytes.h"
#include "broker/core/access.h"
#include "queues/cell.h"

struct blob;
struct msg;
struct msg_registry_reply;
struct request;

/* A segment of the path as the name of something new: 400 when it can be none. Lent. */
struct amqp_bytes ask_new_name(struct request *r, unsigned segment);
/* The segment that names an exchange, of which amq.default has no name. Lent. */
struct amqp_bytes ask_exchange_name(struct request *r, unsigned segment);

/* The queue or exchange of r->vhost that the segment names; 404 where there is none. Lent. */
struct cell *ask_queue(struct request *r, unsigned segment);
struct cell *ask_exchange(struct request *r, unsigned segment);
/* What stands for the default exchange of a vhost, which has no process. The caller's reference. */
struct cell *ask_default_exchange(const char *vhost);
/*
 * Of a queue, where it runs. One that is being restarted is awaited, by beginning anew (again.h):
 * nothing may have been changed before. 503 where it is down; exclusive ones of others: 400, as by
 * AMQP.
 */
const struct cell_at *ask_running(struct request *r, struct cell *queue);
/*
 * The answer of a queue's run, m, to r->asked, when it is of this type. Else the run has ended, and
 * the request begins anew as above.
 */
struct msg *ask_queue_reply(struct request *r, struct msg *m, uint32_t type);
/* The same of a store. */
struct msg *ask_store_reply(struct request *r, struct msg *m, uint32_t type);

/* The store of r->vhost; 0: it is being restarted. */
proc_id ask_store(const struct request *r);

/* Answers with 401 where who asks has no such right in r->vhost. */
void ask_right(struct request *r, enum access_resource kind, struct amqp_bytes name,
               enum access_right right);
/* The same of a key, where the exchange is a topic exchange. */
void ask_topic_right(struct request *r, struct amqp_bytes exchange, struct amqp_bytes key,
                     enum access_right right);
/*
 * What is declared may send messages to the exchange that this argument names: the right to do so.
 */
void ask_target_right(struct request *r, enum access_resource kind, struct amqp_bytes name,
                      struct amqp_bytes args, const char *key);

/* The body's "arguments" as a field table; 400 when they cannot be one. Process memory. */
struct amqp_bytes ask_arguments(struct request *r);
/* A new blob; NULL for no bytes. */
struct blob *ask_blob(struct amqp_bytes b);

/* Sends a call (moved) to the vhost's registry; 503 when the vhost is down. */
void ask_registry(struct request *r, struct msg *m);
/* Its answer, which says yes: all else answers the request. */
const struct msg_registry_reply *ask_registry_reply(struct request *r, struct msg *m);
/* A view's handle that answers with r->at (a status) once the registry has said yes. */
void ask_finish(struct request *r, struct msg *m);

#endif
