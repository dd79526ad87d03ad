/*
 * multipart.h - the parts of a form that was sent as multipart/form-data (RFC 7578). Pure.
 */
#ifndef MGMT_MULTIPART_H
#define MGMT_MULTIPART_H

#include <stdbool.h>

#include "amqp/codec/bytes.h"

/* Whether a Content-Type (NULL: none) says so. */
bool multipart_is(const char *content_type);
/* The content of the first part of this name, lent from the body; false: there is none. */
bool multipart_find(const char *content_type, struct amqp_bytes body, const char *name,
                    struct amqp_bytes *ret);

#endif
