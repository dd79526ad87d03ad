/*
 * tls_peer.h - what a client's certificate says of it, and what was agreed on with it.
 */
#ifndef AMQP_TLS_PEER_H
#define AMQP_TLS_PEER_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "broker/core/config.h"
#include "queues/stats.h"

/* Whether the client has shown a certificate, and it was verified. */
bool tls_peer_is_verified(const SSL *ssl);

/*
 * The name of the user that the client's verified certificate stands for: its subject as RFC 4514
 * has it, its only common name, or a subject alternative name of a type, counted from 0. 0; -ENOENT
 * where it has no such name, or several common names; -EINVAL for a name that is no text of 1 to
 * size - 1 bytes.
 */
int tls_peer_user(const SSL *ssl, enum cert_login from, enum cert_san type, uint64_t index,
                  char *ret, size_t size);

/* Of a session whose handshake is done. */
void tls_peer_facts(const SSL *ssl, struct connection_tls *ret);

#endif
