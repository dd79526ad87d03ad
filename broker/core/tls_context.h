/*
 * tls_context.h - OpenSSL contexts made from settings and files. Plain code, no processes; it reads
 * files, so it is for start and for processes that may block.
 */
#ifndef BROKER_CORE_TLS_CONTEXT_H
#define BROKER_CORE_TLS_CONTEXT_H

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/core/tls_settings.h"

/*
 * A context for servers, with one for each further name behind it; the caller owns a reference
 * (SSL_CTX_free). It never changes: new files make a new one. 0; or -EINVAL, -ENOENT, -EACCES...
 * with a line in ret_text that names the key of the configuration (`prefix` before its name) or
 * the file. Region RUNTIME, or outside any process.
 */
int tls_context_new(const struct tls_settings *s, const char *prefix, SSL_CTX **ret, char *ret_text,
                    size_t size);

/* What the certificates of a context are, one after the other; lent for the call. */
struct tls_certificate {
    const char *name;              /* the server name that it is for; empty: any other */
    const char *path;              /* of its file */
    char subject[256];             /* RFC 4514 */
    int64_t not_before, not_after; /* seconds since 1970 */
};
void tls_context_each(const SSL_CTX *ctx, const struct tls_settings *s,
                      void (*fn)(void *arg, const struct tls_certificate *c), void *arg);

/* The certificates in a file of trusted ones, likewise; -errno when it cannot be read. */
int tls_file_each(const char *path, void (*fn)(void *arg, const struct tls_certificate *c),
                  void *arg);

/* The subject or issuer of a certificate as RFC 4514 has it, cut to size; returns out. */
const char *tls_name_text(const X509_NAME *name, char *out, size_t size);
/* A certificate's time, seconds since 1970. */
int64_t tls_time(const ASN1_TIME *t);

#endif
