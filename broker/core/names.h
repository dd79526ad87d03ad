/*
 * names.h - names that the broker makes where a client leaves the choice to it. Pure.
 */
#ifndef BROKER_CORE_NAMES_H
#define BROKER_CORE_NAMES_H

#include <stddef.h>
#include <stdint.h>

enum { NAME_OF_BITS = 22 }; /* characters for 128 bits */

/*
 * The prefix and 128 bits as 22 characters of the URL-safe base64 alphabet, ended by NUL; its
 * length. The form is that of RabbitMQ's names, which clients and their tests know. The caller has
 * strlen(prefix) + NAME_OF_BITS + 1 bytes in out.
 */
size_t name_of_bits(char *out, const char *prefix, const uint64_t bits[2]);

#endif
