/*
 * listeners.h - who listens where: shared tables that listeners fill and management reads.
 *
 * They outlive a listener, so that one started again on "any free port" takes the port it had.
 *
 * A listener has an id: "amqp" and "amqps" are those named `default` in the configuration,
 * "amqp-NAME" and "amqps-NAME" the others, "unix" and "unix-NAME" likewise; "http", "https";
 * "metrics", "metrics-tls".
 */
#ifndef BROKER_CORE_LISTENERS_H
#define BROKER_CORE_LISTENERS_H

#include <stdbool.h>
#include <stdint.h>

enum { LISTENER_ID_SIZE = 48 };

struct listener_fact {
    char protocol[24]; /* "amqp", "amqp/ssl", "http", "https", "http/prometheus"... */
    char address[256]; /* empty: all; of a Unix socket its path */
    uint16_t port;     /* 0: a Unix socket */
};

/* What is configured. */
struct listener_plan {
    char id[LISTENER_ID_SIZE];
    char address[256]; /* as above */
    uint16_t port;     /* 0: any free one */
    bool is_amqp, has_tls, is_unix;
    bool is_metrics; /* for metrics alone */
};
/* Calls fn for each listener that there is to be, in order, until it returns false. */
void listeners_each_plan(bool (*fn)(void *ctx, const struct listener_plan *plan), void *ctx);

/* The port of the last listener with this id; 0: none yet. Any process. */
uint16_t listeners_port(const char *id);

/* From the listener, once its socket listens. */
void listeners_tell(const char *id, const char *address, uint16_t port);

/* Calls fn for each that has listened; valid until the handler returns. */
void listeners_each(void (*fn)(void *ctx, const struct listener_fact *fact), void *ctx);

#endif
