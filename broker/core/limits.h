/*
 * limits.h - how many of a kind may be at once: connections of the node, a vhost, a user, an
 * address, channels of a user.
 *
 * A process takes a place and has it until it gives it back or ends, however it ends. Places are
 * taken in place, without asking a process, so that a count never depends on one that may have
 * died; each is taken once in the life of a connection or a channel.
 */
#ifndef BROKER_CORE_LIMITS_H
#define BROKER_CORE_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct limit_place;

enum limit_kind {
    LIMIT_CONNECTIONS,             /* of the node; the name is empty */
    LIMIT_CONNECTIONS_OF_VHOST,    /* open ones */
    LIMIT_CONNECTIONS_OF_USER,     /* open ones */
    LIMIT_HANDSHAKES_FROM_ADDRESS, /* not logged in; the name is an access_origin */
    LIMIT_CHANNELS_OF_USER,
};

/* Of something that is not limited. */
#define LIMIT_NONE INT64_MAX

/* A place of the running process; NULL: all `most` are taken. The name is copied. */
struct limit_place *limit_take(enum limit_kind kind, const void *name, size_t len, int64_t most);

/* Gives it back before the process ends; NULL is fine. */
void limit_give(struct limit_place *place);

/* Whether a refusal is worth a line in the log: at most one a second for each name. */
bool limit_may_tell(enum limit_kind kind, const void *name, size_t len);

/* Places that are taken. */
int64_t limit_count(enum limit_kind kind, const void *name, size_t len);

#endif
