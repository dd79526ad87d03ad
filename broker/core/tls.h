/*
 * tls.h - the TLS contexts in force. The process `certificates` makes them from the configured
 * files when it starts, again when a file has changed, and when it is told to (tls_reload); it
 * shows them in a shared table that outlives it. Files that are not right change nothing.
 */
#ifndef BROKER_CORE_TLS_H
#define BROKER_CORE_TLS_H

#include <openssl/ssl.h>

#include "broker/core/tls_context.h"
#include "broker/runtime/proc.h"

enum {
    TLS_RELOAD = 0x540, /* cast, anybody to certificates: looks at the files now */
    TLS_WATCH,          /* call, listener to certificates: answered at the next change */
    TLS_CHANGED,        /* reply */
};

/* What the configuration says; NULL: this service has no listener with TLS. */
const struct tls_settings *tls_settings_of(enum tls_service service);

/* Whether any of them has: then there is a process `certificates`. */
bool tls_is_used(void);

/* Before the tree starts: whether all files are right; else -errno and a line for the operator. */
int tls_probe(char *ret_text, size_t size);

/*
 * The context for a new connection; a reference that the caller owns (SSL_CTX_free). NULL: none,
 * because no files have been right yet. From process code.
 */
SSL_CTX *tls_context(enum tls_service service);

/*
 * A TLS_WATCH: one TLS_CHANGED when tls_context is another one than at `seen` (0 at first; else
 * what tls_generation said before tls_context was asked), or MSG_DOWN: certificates has ended, and
 * is found again by its name.
 */
proc_ref tls_watch(uint64_t seen);
struct msg_tls_watch {
    struct msg hdr;
    uint64_t seen;
};
uint64_t tls_generation(void);

/* Has the files looked at again. From any thread. */
void tls_reload(void);

/*
 * Calls fn for each certificate in force that a listener shows or trusts (of which there may be
 * more than are told of), with the protocol of its listeners. From process code.
 */
void tls_each_certificate(void (*fn)(void *arg, const char *protocol,
                                     const struct tls_certificate *c),
                          void *arg);

extern const struct proc_ops tls_ops;

#endif
