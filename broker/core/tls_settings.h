/*
 * tls_settings.h - what the operator chose about TLS for one kind of listener. Values only.
 */
#ifndef BROKER_CORE_TLS_SETTINGS_H
#define BROKER_CORE_TLS_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

enum { TLS_PATH_SIZE = 512 };

/* Who has listeners with TLS; each has settings of its own. */
enum tls_service { TLS_AMQP, TLS_MGMT, TLS_PROMETHEUS, TLS_SERVICES };

/* Whether lists of revoked certificates are looked at. */
enum tls_crl {
    TLS_CRL_NONE,
    TLS_CRL_PEER,        /* for a client's own certificate; its authority must have one */
    TLS_CRL_ALL,         /* for all certificates of its chain */
    TLS_CRL_BEST_EFFORT, /* of its chain's authorities those that have one */
};

struct tls_settings {
    char cacertfile[TLS_PATH_SIZE]; /* whose certificates clients may have; empty: nobody's */
    char certfile[TLS_PATH_SIZE], keyfile[TLS_PATH_SIZE];
    char password[256];   /* of the key files; empty: they are not encrypted */
    uint64_t verify_peer; /* whether clients are asked for a certificate */
    uint64_t crl_check;   /* enum tls_crl */
    char crlfile[TLS_PATH_SIZE];
    bool fail_if_no_peer_cert;
    bool honor_cipher_order; /* the server's order of ciphers counts, not the client's */
    uint64_t depth;          /* intermediate certificates of a client's chain, at most */
    /* Pairs, as config_pair_next has them: */
    char versions[128]; /* "tlsv1.2" and "tlsv1.3"; empty: both */
    char ciphers[3072]; /* OpenSSL's names, in order; empty: OpenSSL's default */
    char names[8192];   /* "NAME.certfile" and "NAME.keyfile": for those who ask for NAME (SNI) */
};

#endif
