/*
 * access.h - who may do what.
 *
 * Facts are in a shared table that the `access` process fills; checks read it in place, from any
 * process.
 */
#ifndef BROKER_CORE_ACCESS_H
#define BROKER_CORE_ACCESS_H

#include <stdbool.h>
#include <stddef.h>

#include "broker/runtime/proc.h"

/*
 * 0 or -EACCES. A wrong user takes as long as a wrong password. loopback: whether the client's
 * address is of this machine.
 */
int access_login(const char *user, size_t user_len, const char *password, size_t password_len,
                 bool loopback);

/* Whether there is such a vhost. */
bool access_has_vhost(const char *vhost, size_t len);

/* The process, registered as "access". */
extern const struct proc_ops access_ops;

#endif
