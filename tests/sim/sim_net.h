/*
 * sim_net.h - loopback sockets without a kernel.
 *
 * Descriptors are numbers above SIM_FD_BASE and are used again, lowest first, as the kernel does.
 * Each direction of a connection has a buffer of limited, random size. What the broker's side reads
 * and writes is cut short at random and now and then answered EAGAIN although something is there;
 * the test's side gets what there is.
 */
#ifndef TESTS_SIM_SIM_NET_H
#define TESTS_SIM_SIM_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "broker/runtime/world.h"

enum { SIM_FD_BASE = 1 << 20 };

/* The broker's side, for the world's table. */
extern const struct world_net sim_net;

void sim_net_init(void);
void sim_net_fini(void);
/* From now on no connection's buffer is smaller, for scenarios that move much; 0: any size. */
void sim_net_least_ring(uint32_t bytes);

/* The test's side. A new connection to a port: its descriptor, or -ECONNREFUSED. */
int sim_connect(uint16_t port);
/* The port of this end, which the broker's side sees as its peer's. */
uint16_t sim_local_port(int fd);
/* Bytes taken or given, 0 at the end of what the other side sent, or -errno as the kernel's. */
ssize_t sim_read(int fd, void *buf, size_t size);
ssize_t sim_write(int fd, const void *buf, size_t size);
/* Ends the sending direction; what was sent is still read by the other side. */
void sim_shutdown(int fd);
void sim_close(int fd);
/* As a peer that crashed or gave up: what is under way is lost, both directions end in an error. */
void sim_reset(int fd);

/* The program died: its descriptors close, its peers see a reset. */
void sim_net_crash(void);
/* How many descriptors the broker's side holds. */
unsigned sim_net_broker_fds(void);
/* How many connections wait to be accepted, at all ports. */
unsigned sim_net_backlog(void);

#endif
