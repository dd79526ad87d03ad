/*
 * access_cache.h - what a process has asked of access and may do, until the facts change.
 *
 * A channel asks the same few things again and again. Only what is allowed is kept: a refusal ends
 * the channel. In process memory; a cache that was never used owns nothing.
 */
#ifndef BROKER_CORE_ACCESS_CACHE_H
#define BROKER_CORE_ACCESS_CACHE_H

#include "broker/core/access.h"

enum { ACCESS_CACHE_MAX = 12 };

struct access_cached {
    uint8_t kind, right, len;
    char name[];
};

struct access_cache {
    uint64_t version;             /* of the facts that the entries are true of */
    struct access_cached **entry; /* the last used first; NULL: none yet */
    uint8_t n;
};

/* As access_check. */
bool access_cache_check(struct access_cache *c, const char *user, const char *vhost,
                        enum access_resource kind, const void *name, size_t len,
                        enum access_right right);

#endif
