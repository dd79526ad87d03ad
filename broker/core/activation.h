/*
 * activation.h - sockets that whoever started the broker listens on for it (systemd's socket
 * activation), and what the broker tells it of itself. Without libsystemd at build time there is
 * nobody to talk to.
 */
#ifndef BROKER_CORE_ACTIVATION_H
#define BROKER_CORE_ACTIVATION_H

#include <stdint.h>

/* Takes over what was passed on. Once, before the tree starts. 0 or -errno. */
int activation_take(void);

/*
 * Duplicates of the listening sockets that are called as this listener's id (FileDescriptorName=),
 * non-blocking, for io_open; *ret_port is that of the first one (0: a Unix socket). How many, at
 * most max; 0: there are none, and nothing is changed; -errno. Any process or thread: a listener
 * that is started again asks again.
 */
int activation_sockets(const char *id, int *ret, int max, uint16_t *ret_port);

/* How often a sign of life is wanted, in us; 0: never. Once, before the tree starts. */
uint64_t activation_watchdog_us(void);

/* A line of systemd's, "READY=1" and the like; see sd_notify(3). Any thread. */
__attribute__((format(printf, 1, 2))) void activation_notify(const char *fmt, ...);

#endif
