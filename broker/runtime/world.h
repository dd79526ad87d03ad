/*
 * world.h - everything outside: clock, random numbers, sockets, files, scheduling order.
 *
 * One table of functions given at start (rt_start). world_real is the machine; the simulation has
 * its own, with a virtual clock, loopback sockets, and a store file that can lose unsynced writes.
 */
#ifndef BROKER_RUNTIME_WORLD_H
#define BROKER_RUNTIME_WORLD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct io_tuning;

struct world_net {
    int (*listen)(const char *addr, uint16_t port, uint16_t *ret_port);
    int (*listen_unix)(const char *path, unsigned mode); /* NULL in the simulation */
    void (*tune)(int fd, const struct io_tuning *t);     /* NULL in the simulation */
    int (*accept)(int fd, struct sockaddr_storage *ret_peer, struct sockaddr_storage *ret_local);
    ssize_t (*readv)(int fd, const struct iovec *iov, int n);
    ssize_t (*writev)(int fd, const struct iovec *iov, int n);
    void (*shutdown)(int fd);
    void (*close)(int fd);
    void (*set_user_timeout)(int fd, unsigned timeout_ms);
    /*
     * Simulated sockets only (NULL in the real world, where libevent watches): what fd is ready
     * for. Called by the runtime between turns for each descriptor somebody wants.
     */
    unsigned (*ready)(int fd);
};

struct world {
    uint64_t (*now_ns)(void); /* monotonic */
    int64_t (*wall_ms)(void); /* since 1970 */
    uint64_t (*random)(void);
    /* Bits that nobody can guess; NULL: `random` must do, as in the simulation. */
    void (*secret)(void *p, size_t size);
    const struct world_net *net;
    const char *vfs; /* name of the SQLite VFS for stores; NULL: the default */
    /*
     * Simulation only, else NULL: chooses among n ready processes (0..n-1), and asks whether the
     * process of this kind is to crash before its next message.
     */
    uint32_t (*pick)(uint32_t n);
    bool (*crash_now)(const char *kind);
};

extern const struct world world_real;

/* The world given at rt_start. */
const struct world *world(void);

#endif
