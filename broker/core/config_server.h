/*
 * config_server.h - the process that changes the configuration while the broker runs.
 *
 * Registered as "config". A reload reads again what the start read, checks all of it, and takes
 * what may change while running, all of it or nothing. Who keeps something made of the
 * configuration (an open file, certificates) stands in the list of config_server.c and gets
 * CONFIG_CHANGED after each change, and after each reload also when nothing changed.
 */
#ifndef BROKER_CORE_CONFIG_SERVER_H
#define BROKER_CORE_CONFIG_SERVER_H

#include "broker/runtime/proc.h"

enum {
    CONFIG_RELOAD = 0x540, /* cast or call: read all again; answered by CONFIG_DONE */
    CONFIG_CHANGE,         /* call: one key, until the next reload; answered by CONFIG_DONE */
    CONFIG_DONE,
    CONFIG_CHANGED, /* to who keeps something: look again */
};

struct msg_config_change {
    struct msg hdr;
    char key[128], value[512];
};

struct msg_config_done {
    struct msg hdr;
    int error;      /* 0, or -errno: nothing was changed */
    char text[512]; /* why */
};

extern const struct proc_ops config_ops;

#endif
