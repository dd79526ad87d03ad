/*
 * tls_session.h - TLS on one connection, between the bytes of its socket and those of AMQP. It
 * reads and writes nothing itself: what comes off the wire is lent to it, and what is to go there
 * waits in it.
 *
 * No processes: it may be tested with two of them back to back. Its memory is of rt_alloc and
 * OpenSSL, so an owner that is a process registers tls_session_free at exit. Idle, it owns an SSL
 * without buffers.
 */
#ifndef AMQP_TLS_SESSION_H
#define AMQP_TLS_SESSION_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/*
 * So many bytes off the wire at a time, at most, make no more plain ones than room for
 * TLS_SESSION_PLAIN takes, those of a record included whose beginning had come before.
 */
enum { TLS_SESSION_FEED = 40 * 1024, TLS_SESSION_PLAIN = 64 * 1024 };

struct tls_session;

/* For a server (is_server) or, in tests, a client. The caller keeps its reference to ctx. NULL:
 * no memory. */
struct tls_session *tls_session_new(SSL_CTX *ctx, bool is_server);
/* NULL is ignored. Takes void for proc_at_exit. */
void tls_session_free(void *session);

/*
 * Takes n <= TLS_SESSION_FEED bytes off the wire, and puts what they bring into these places, one
 * after the other, which together have room for TLS_SESSION_PLAIN. How many bytes; -EAGAIN: none
 * yet; 0: the peer has said that no more will come; -EPROTO: what came is not right, see
 * tls_session_error. Any of these may have left something in tls_session_output.
 */
ssize_t tls_session_feed(struct tls_session *s, const void *bytes, size_t n,
                         const struct iovec *places, int n_places);

/*
 * Whether the peer has ended it, or an error has, which may be behind bytes that were given. It
 * must not be fed again.
 */
bool tls_session_is_over(const struct tls_session *s);

/*
 * Encrypts all of these bytes; tls_session_output grows by as much and a little more. 0, -EAGAIN
 * before the handshake is done, or -EPROTO.
 */
int tls_session_write(struct tls_session *s, const struct iovec *places, int n_places);

/* Nothing more will be written: adds close_notify. Once; later calls do nothing. */
void tls_session_close(struct tls_session *s);

/* What waits for the socket; none: iov_len is 0. Lent until the next call. */
struct iovec tls_session_output(const struct tls_session *s);
/* The socket took so much of it. */
void tls_session_written(struct tls_session *s, size_t n);

/* Whether the handshake is done. */
bool tls_session_is_ready(const struct tls_session *s);
/* Why it failed, in words. */
const char *tls_session_error(const struct tls_session *s);
/* For facts of the connection: see SSL_get_version and the like. */
const SSL *tls_session_ssl(const struct tls_session *s);

#endif
