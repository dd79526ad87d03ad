/*
 * listeners.h - who listens where: a shared table that listeners fill and management reads.
 *
 * It outlives a listener, so that one started again on "any free port" takes the port it had.
 */
#ifndef BROKER_CORE_LISTENERS_H
#define BROKER_CORE_LISTENERS_H

#include <stdint.h>

struct listener_fact {
    char protocol[16]; /* "amqp", "http" */
    char address[256];
    uint16_t port;
};

/* The port of the last listener of this protocol; 0: none yet. Any process. */
uint16_t listeners_port(const char *protocol);

/* From the listener, once its socket listens. */
void listeners_tell(const char *protocol, const char *address, uint16_t port);

/* Calls fn for each; valid until the handler returns. */
void listeners_each(void (*fn)(void *ctx, const struct listener_fact *fact), void *ctx);

#endif
