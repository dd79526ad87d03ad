/*
 * cidr.h - blocks of addresses: 10.0.0.0/8, 2001:db8::/32. Pure.
 */
#ifndef BROKER_CORE_CIDR_H
#define BROKER_CORE_CIDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sockaddr_storage;

struct cidr {
    uint8_t bytes[16]; /* of an IPv6 address, or of an IPv4 one mapped into it */
    unsigned bits;     /* so many of them count */
};

/* An address, or address/bits. 0 or -EINVAL. */
int cidr_parse(const char *text, size_t len, struct cidr *ret);
/* False for what is neither IPv4 nor IPv6. */
bool cidr_has(const struct cidr *c, const struct sockaddr_storage *address);

#endif
