/*
 * server.h - OTP's gen_server over proc.h: calls, casts and the rest told apart.
 *
 * A module gives a table; server_handle dispatches by the message's kind. Everything else (init,
 * flush, terminate, inspect) is the process's own proc_ops.
 */
#ifndef BROKER_RUNTIME_SERVER_H
#define BROKER_RUNTIME_SERVER_H

#include "broker/runtime/proc.h"

struct server_ops {
    /* A request; answer with proc_reply now, or proc_defer it. */
    void (*call)(void *state, struct msg *request);
    /* A message that asks for no answer. */
    void (*cast)(void *state, struct msg *m);
    /* The answer to a call of its own: the reply, MSG_DOWN or MSG_TIMEOUT with its ref. */
    void (*reply)(void *state, struct msg *m);
    /* The runtime's messages: EXIT, DOWN of monitors, timers, IO, FD, STARTED, CONTINUE. */
    void (*info)(void *state, struct msg *m);
};

/* Dispatches m. A kind whose callback is NULL ends the process (it got what it cannot know). */
void server_handle(const struct server_ops *ops, void *state, struct msg *m);

#endif
