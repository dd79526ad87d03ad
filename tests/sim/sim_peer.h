/*
 * sim_peer.h - the test's end of a simulated connection: bytes that wait to be sent, frames that
 * came, and the words of a handshake. Who uses it decides what is said, and when bytes move.
 */
#ifndef TESTS_SIM_SIM_PEER_H
#define TESTS_SIM_SIM_PEER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "amqp/codec/methods.h"

struct amqp_frame;

struct sim_peer { /* zeroed at first */
    int fd;       /* 0: not connected */
    uint32_t frame_max;
    const char *vhost; /* NULL: "/" */
    uint8_t *out, *in;
    uint32_t n_out, cap_out, n_in, cap_in;
    uint32_t n_ended; /* connections */
};

/* Connects and puts the protocol header; false: refused. */
bool sim_peer_connect(struct sim_peer *p, uint16_t port);
/* The socket is closed or reset, and what waits is dropped. */
void sim_peer_end(struct sim_peer *p, bool reset);
void sim_peer_free(struct sim_peer *p);

void sim_peer_put(struct sim_peer *p, const void *bytes, uint32_t len);
void sim_peer_put_method(struct sim_peer *p, uint16_t channel, const struct amqp_method *m);
/* Header and body of a content; now and then its frames are cut where they need not be. */
void sim_peer_put_content(struct sim_peer *p, uint16_t channel, struct amqp_bytes props,
                          uint32_t uid, uint32_t size);
/* The answers of a handshake; frame_max becomes what both sides bear. */
void sim_peer_put_start_ok(struct sim_peer *p);
void sim_peer_put_tune_ok(struct sim_peer *p, const struct amqp_connection_tune *t,
                          uint16_t heartbeat);

/* What sim_read and sim_write give for so many bytes. */
ssize_t sim_peer_read(struct sim_peer *p, uint32_t size);
ssize_t sim_peer_write(struct sim_peer *p, uint32_t size);
/* Writes what waits, or without `all` now and then a part of it; how much, 0 also after an end. */
uint32_t sim_peer_flush(struct sim_peer *p, bool all);
/*
 * Gives `on` each frame that has come whole, lent, and is done with it then. It may end the
 * connection: no more is given. An error is "frames".
 */
void sim_peer_take(struct sim_peer *p, void (*on)(void *arg, const struct amqp_frame *f),
                   void *arg);

/* A content that comes in; its message id is the uid. */
struct sim_content {
    uint32_t uid; /* SIM_HEADER_TO_COME: behind its method */
    uint32_t size, n;
};
enum { SIM_HEADER_TO_COME = UINT32_MAX };

/* Takes a header or body frame; whether the content is whole. */
bool sim_content_take(struct sim_content *c, const struct amqp_frame *f);

/* What byte `i` of the body of message `uid` is. */
uint8_t sim_body_byte(uint32_t uid, uint32_t i);

#endif
