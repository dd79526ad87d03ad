#include "broker/core/activation.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef HAVE_SYSTEMD

#include <systemd/sd-daemon.h>

/*
 * What was passed on: the descriptors from SD_LISTEN_FDS_START on, and their names. Global, because
 * the environment is; it does not change once the tree has started.
 */
static char **names;
static int n_names;

int activation_take(void)
{
    int n = sd_listen_fds_with_names(1, &names);

    n_names = n > 0 ? n : 0;
    return n < 0 ? n : 0;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage at = {0};
    socklen_t len = sizeof(at);

    if (getsockname(fd, (struct sockaddr *)&at, &len) < 0)
        return 0;
    if (at.ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)(const void *)&at)->sin_port);
    if (at.ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)(const void *)&at)->sin6_port);
    return 0;
}

/* A duplicate, because its owner closes it when it ends, and the next one wants it again. */
static int duplicate(int fd)
{
    int copy;

    if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0)
        return -ENOTSOCK;
    copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0 || fcntl(copy, F_SETFL, fcntl(copy, F_GETFL) | O_NONBLOCK) < 0)
        return -errno;
    return copy;
}

int activation_sockets(const char *id, int *ret, int max, uint16_t *ret_port)
{
    int n = 0;

    for (int i = 0; i < n_names && n < max; i++) {
        int fd;

        if (strcmp(names[i], id))
            continue;
        fd = duplicate(SD_LISTEN_FDS_START + i);
        if (fd < 0)
            return fd;
        if (n == 0)
            *ret_port = port_of(fd);
        ret[n++] = fd;
    }
    return n;
}

uint64_t activation_watchdog_us(void)
{
    uint64_t us = 0;

    return sd_watchdog_enabled(1, &us) > 0 ? us : 0;
}

void activation_notify(const char *fmt, ...)
{
    char text[256];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    (void)sd_notify(0, text); /* who does not listen misses it */
}

#else

int activation_take(void)
{
    return 0;
}

int activation_sockets(const char *id, int *ret, int max, uint16_t *ret_port)
{
    (void)id, (void)ret, (void)max, (void)ret_port;
    return 0;
}

uint64_t activation_watchdog_us(void)
{
    return 0;
}

void activation_notify(const char *fmt, ...)
{
    (void)fmt;
}

#endif
