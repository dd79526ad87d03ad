/*
 * What others wait for while a broker does something, told apart: what waits for the broker's own
 * steps, and what waits for the disk.
 *
 * A client publishes one persistent message after the other to a queue of its own and waits for
 * each confirm. Meanwhile the broker counts how long each kind of its store's steps took. Then the
 * broker is stopped, and a plain program does what the disk had to do: one process appends as many
 * bytes in as much time, each 256 KiB synced, and another appends 100 bytes as often as the client
 * published, and syncs them. What that one waits for is the disk's alone.
 */
#ifndef BENCH_BACKLOG_PROBE_H
#define BENCH_BACKLOG_PROBE_H

#include <amqp.h>
#include <stdint.h>
#include <sys/types.h>

struct probed {
    pid_t broker;
    int amqp_port, http_port;
    const char *dir; /* of the broker's data; the plain program writes beside it */
};

uint64_t probe_now_us(void);

/* Ends the program, and whatever it has begun. */
__attribute__((noreturn)) void probe_fail(const char *what);

/* A connection with channel 1, and what is done with it; each ends the program if it fails. */
amqp_connection_state_t probe_connect(int port);
void probe_must(amqp_rpc_reply_t reply, const char *what);
/* Declares a durable queue; how many messages it has. */
uint32_t probe_declare(amqp_connection_state_t c, const char *name);
/* Publishes a persistent message. */
void probe_publish(amqp_connection_state_t c, const char *queue, amqp_bytes_t body);
/* Waits for a confirm; the tag up to which it speaks. */
uint64_t probe_confirmed(amqp_connection_state_t c);

/* The broker's answer to a request with that method and path, and a body or NULL; lent until the
 * next. */
const char *probe_http(const struct probed *to, const char *method, const char *path,
                       const char *body);

/* Bytes that the broker gave to the disk. */
uint64_t probe_written(const struct probed *to);

/* What is between these two is probed; _end prints it. */
void probe_begin(const struct probed *to);
void probe_end(const struct probed *to);

#endif
