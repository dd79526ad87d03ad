/*
 * replies.h - direct reply-to: names under which one channel's client is given replies, without a
 * queue. Such a name is "amq.rabbitmq.reply-to." and a token that nobody can guess.
 *
 * Who a token stands for is in shared tables, one for each scheduler, which its processes write in
 * turn; so the entry is made and taken away by the channel itself, and goes with it however it
 * ends.
 */
#ifndef AMQP_REPLIES_H
#define AMQP_REPLIES_H

#include <stdbool.h>
#include <stdint.h>

#include "amqp/codec/bytes.h"
#include "broker/runtime/proc.h"

#define REPLY_QUEUE  "amq.rabbitmq.reply-to"
#define REPLY_PREFIX REPLY_QUEUE "."
enum { REPLY_NAME_MAX = 64 }; /* NUL included */

struct record;
struct reply_target;

/*
 * Makes the running process one for that vhost; at most once at a time. It stays until
 * reply_target_free, or until the process ends.
 */
struct reply_target *reply_target_new(const char *vhost);
void reply_target_free(struct reply_target *t);
/* What messages to it carry: another one's is not for it. */
uint64_t reply_target_key(const struct reply_target *t);
/* The name that others send to; lent. */
const char *reply_target_name(const struct reply_target *t);
/* So much of what was sent to it is off its hands. */
void reply_target_written(struct reply_target *t, uint64_t bytes);

/* Whether a queue's name is REPLY_QUEUE or begins with REPLY_PREFIX. */
bool reply_is_name(struct amqp_bytes name);
/* Whether somebody of that vhost has this name. */
bool reply_exists(const char *vhost, struct amqp_bytes name);
/*
 * Sends a reply (a reference of its own is taken). False, and nothing was sent, when nobody has
 * that name, or he does not read what he was sent before. From process code.
 */
bool reply_send(const char *vhost, struct amqp_bytes name, struct record *r);

#endif
