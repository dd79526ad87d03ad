/*
 * access_password.h - a stored password, and whether given bytes are it. Plain code; any thread.
 *
 * Accepted are RabbitMQ's salted SHA-256, SHA-512 and MD5 (32 bits of salt before the password,
 * base64 of salt and hash) and what crypt(3) makes, of which yescrypt is used for new ones.
 */
#ifndef BROKER_CORE_ACCESS_PASSWORD_H
#define BROKER_CORE_ACCESS_PASSWORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum password_kind {
    PASSWORD_NONE, /* nothing is it: the user cannot log in by password */
    PASSWORD_SHA256,
    PASSWORD_SHA512,
    PASSWORD_MD5,   /* of users from long ago, until their next login */
    PASSWORD_CRYPT, /* slow by intent: to be checked where a thread may be held up */
};

enum {
    PASSWORD_SALT_LEN = 4,
    PASSWORD_HASH_MAX = 64,
    PASSWORD_CRYPT_MAX = 256,
    PASSWORD_TEXT_MAX = 256
};

struct password { /* a value */
    enum password_kind kind;
    uint8_t salt[PASSWORD_SALT_LEN], hash[PASSWORD_HASH_MAX];
    char crypt[PASSWORD_CRYPT_MAX]; /* NUL-terminated */
};

/*
 * What a definitions file says: `algorithm` NULL is SHA-256; an empty `hash` is no password. 0,
 * -ENOTSUP for an algorithm that is unknown, -EINVAL for a hash that is none of it.
 */
int password_parse(const char *algorithm, const char *hash, struct password *ret);
/* The reverse: the algorithm's name (static); ret_hash has room for PASSWORD_TEXT_MAX. */
const char *password_format(const struct password *p, char *ret_hash);

/* A new yescrypt hash; slow. 0, -EINVAL for bytes that cannot be hashed so (NUL, over 500). */
int password_make(const void *bytes, size_t len, struct password *ret);
/* A quick salted SHA-256: for the first user, whose password everybody knows. */
void password_make_quick(const void *bytes, size_t len, uint32_t salt, struct password *ret);

/* Whether these bytes are the password, in a time that does not depend on how far they agree. */
bool password_is(const struct password *p, const void *bytes, size_t len);
/* A password of kind CRYPT that nothing is known to match: what unknown users are held against. */
void password_dummy(struct password *ret);

#endif
