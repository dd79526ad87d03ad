/*
 * connection_peer.c - who is at the other end: its address, and what is counted by it.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/un.h>

#include "amqp/connection_internal.h"
#include "broker/core/access.h"
#include "broker/core/config.h"
#include "broker/core/limits.h"
#include "broker/core/log.h"

enum { TEXT_SIZE = 80 };

/* A Unix socket's peer is on this machine, wherever else it may be. */
static bool is_loopback(const struct sockaddr_storage *a)
{
    const struct sockaddr_in6 *six = (const void *)a;
    const struct sockaddr_in *four = (const void *)a;

    if (a->ss_family == AF_UNIX)
        return true;
    if (a->ss_family == AF_INET)
        return ntohl(four->sin_addr.s_addr) >> 24 == 127;
    if (a->ss_family != AF_INET6)
        return false;
    if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
        return six->sin6_addr.s6_addr[12] == 127;
    return IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
}

/* "127.0.0.1:5672", or what stands in the path of a Unix socket; returns out. */
static const char *address_text(const struct sockaddr_storage *a, char out[TEXT_SIZE])
{
    const struct sockaddr_in6 *six = (const void *)a;
    const struct sockaddr_in *four = (const void *)a;
    const struct sockaddr_un *path = (const void *)a;
    char host[INET6_ADDRSTRLEN] = "?";
    uint16_t port = 0;

    if (a->ss_family == AF_UNIX) {
        snprintf(out, TEXT_SIZE, "%.40s", path->sun_path);
        return out;
    }
    if (a->ss_family == AF_INET) {
        (void)inet_ntop(AF_INET, &four->sin_addr, host, sizeof(host)); /* host stays "?" */
        port = ntohs(four->sin_port);
    } else if (a->ss_family == AF_INET6) {
        port = ntohs(six->sin6_port);
        if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
            (void)inet_ntop(AF_INET, &six->sin6_addr.s6_addr[12], host, sizeof(host));
        else
            (void)inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof(host));
    }
    snprintf(out, TEXT_SIZE, "%s:%u", host, port);
    return out;
}

/* Who has many sockets that do not log in is cut off before he is read. */
static void take_handshake(struct connection *c)
{
    uint64_t most = config()->handshakes_max;

    limit_give(c->handshake);
    c->handshake = limit_take(LIMIT_HANDSHAKES_FROM_ADDRESS, &c->origin, sizeof(c->origin),
                              most ? (int64_t)most : LIMIT_NONE);
    if (c->handshake)
        return;
    if (limit_may_tell(LIMIT_HANDSHAKES_FROM_ADDRESS, &c->origin, sizeof(c->origin)))
        log_warn("%s: refused, %llu connections from its address have not logged in", c->name,
                 (unsigned long long)most);
    proc_exit(EXIT_NORMAL, 0, "too many handshakes");
}

void connection_set_peer(struct connection *c, const struct sockaddr_storage *peer,
                         const struct sockaddr_storage *local)
{
    char from[TEXT_SIZE], to[TEXT_SIZE];

    c->is_loopback = is_loopback(peer);
    c->origin = access_origin(peer);
    snprintf(c->name, sizeof(c->name), "%.44s -> %.44s", address_text(peer, from),
             address_text(local, to));
    proc_set_name(c->name);
    take_handshake(c);
}
