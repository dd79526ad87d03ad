/*
 * http.h - the management port.
 */
#ifndef MGMT_HTTP_H
#define MGMT_HTTP_H

#include "broker/core/listeners.h"
#include "broker/runtime/proc.h"

/*
 * A process that listens for HTTP, or HTTPS. It registers "mgmt_ID" by the id of its plan once it
 * listens, and tells the table of listeners where: after a restart on the port that it had before.
 * When it cannot listen it ends in init. It needs a scheduler with an event loop: the simulation
 * runs without it.
 */
struct http_arg {              /* the arg blob */
    struct listener_plan plan; /* where it listens */
};

extern const struct proc_ops mgmt_http_ops;

#endif
