/*
 * proxy_header.h - the header by which a proxy says whose connection it passes on: the PROXY
 * protocol of HAProxy, versions 1 and 2. Pure.
 */
#ifndef AMQP_PROXY_HEADER_H
#define AMQP_PROXY_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/* A longer one is refused; version 2 allows for 64 KiB of further facts, which are skipped here. */
enum { PROXY_HEADER_MAX = 4096 };

struct proxy_header {
    /*
     * Whether addresses were given: not so for the proxy's own connections (LOCAL, health checks),
     * and for what it does not know (UNKNOWN, or none of TCP over IPv4 and IPv6).
     */
    bool has_addresses;
    struct sockaddr_storage peer, local; /* the client, and where it connected to */
};

/*
 * Looks at the first n bytes of a connection. > 0: so many of them are the header; 0: it is not
 * whole yet; -EBADMSG: it is none, which is said as early as it is known.
 */
ssize_t proxy_header_parse(const void *bytes, size_t n, struct proxy_header *ret);

#endif
