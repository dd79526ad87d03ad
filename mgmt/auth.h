/*
 * auth.h - what a request says of who asks. Pure, but for the decoder of base64.
 */
#ifndef MGMT_AUTH_H
#define MGMT_AUTH_H

#include <stdbool.h>
#include <stddef.h>

enum { AUTH_TEXT_SIZE = 1024 }; /* user, colon, password */

struct auth_basic {
    char text[AUTH_TEXT_SIZE];
    const char *password;          /* in text */
    size_t user_len, password_len; /* the user is at the beginning of text */
};

/*
 * Reads the value of an Authorization header (NULL: there is none). False when it is not Basic,
 * not base64, too long, or has no colon; *ret is written only when true.
 */
bool auth_parse_basic(const char *header, struct auth_basic *ret);

/* Whether a numeric address is of this machine: 127/8, ::1, or ::ffff:127/8. */
bool auth_is_loopback(const char *address);

#endif
