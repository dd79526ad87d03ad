/*
 * http.h - the management port.
 */
#ifndef MGMT_HTTP_H
#define MGMT_HTTP_H

#include "broker/runtime/proc.h"

/*
 * The process that listens for HTTP. It registers "mgmt_http" once it listens, and tells the table
 * of listeners (protocol "http") where. It takes no arg: address and port are the configuration's,
 * but after a restart the port that it had before. When it cannot listen it ends in init. It needs
 * a scheduler with an event loop: the simulation runs without it.
 */
extern const struct proc_ops mgmt_http_ops;

#endif
