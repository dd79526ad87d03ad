/*
 * io.h - descriptors owned by processes.
 *
 * Events only make the owner runnable: it gets one MSG_IO and reads or writes itself. All calls go
 * through the world (world.h), so that the simulation's sockets stand here too.
 */
#ifndef BROKER_RUNTIME_IO_H
#define BROKER_RUNTIME_IO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "broker/runtime/msg.h"

struct io;

enum { IO_READ = 1 << 0, IO_WRITE = 1 << 1 };

struct msg_io { /* MSG_IO; lent by the runtime, at most one under way for each descriptor */
    struct msg hdr;
    struct io *io;
    unsigned events; /* what is ready; errors and hangups show as both */
};

struct msg_fd { /* MSG_FD; dropping it closes the descriptor */
    struct msg hdr;
    int fd;
    struct sockaddr_storage peer, local;
};

/* Makes the running process the owner of fd (non-blocking); closed at its exit. */
struct io *io_open(int fd);
/* Level-triggered interest; 0 pauses. May be called at any time; changes are gathered. */
void io_want(struct io *io, unsigned events);
/* Bytes moved (0: end of file, for reads) or -errno; -EAGAIN: nothing now. */
ssize_t io_readv(struct io *io, const struct iovec *iov, int n);
ssize_t io_writev(struct io *io, const struct iovec *iov, int n);
/* Half-closes the sending side. */
void io_shutdown(struct io *io);
/* Closes now; io is gone, and so is a MSG_IO under way. */
void io_close(struct io *io);

/* A listening socket's descriptor (not yet owned: io_open it), or -errno. addr is host order text.
 */
int io_listen(const char *addr, uint16_t port, uint16_t *ret_port);
/*
 * The same at a path, with these rights. A file of one who listens no more is taken away; the
 * caller removes his own.
 */
int io_listen_unix(const char *path, unsigned mode);
/* What the connections begin with that a listening TCP socket accepts. */
struct io_tuning {
    int backlog;                /* connections that wait to be accepted, at most */
    int send_bytes, recv_bytes; /* of the system's buffers; 0: its own choice */
    bool no_delay, keep_alive;
};
/* What the system does not take stays as it is. Before it is served; not for Unix sockets. */
void io_tune(struct io *listener, const struct io_tuning *t);
/* The next waiting connection (non-blocking), or -errno. */
int io_accept(struct io *listener, struct sockaddr_storage *ret_peer,
              struct sockaddr_storage *ret_local);
/* Sets TCP_USER_TIMEOUT, 0: the system's. */
void io_set_user_timeout(struct io *io, unsigned timeout_ms);

/* Makes a MSG_FD that carries fd to another process (send it with proc_send). */
struct msg_fd *io_give(int fd, const struct sockaddr_storage *peer,
                       const struct sockaddr_storage *local);
/* Takes the descriptor out of a MSG_FD: the caller owns it now. */
int io_take(struct msg_fd *m);

/*
 * The scheduler's read buffer, lent until the handler returns: one for each scheduler, so that an
 * idle connection owns none. *ret_size bytes.
 */
uint8_t *io_scratch(size_t *ret_size);
/* Another one, for bytes that are to become others in the first, like those of TLS. */
uint8_t *io_scratch_coded(size_t *ret_size);

/*
 * The libevent base of this scheduler, for foreign code that brings its own events (evhttp). Its
 * callbacks run between turns in region RUNTIME: they may rt_send and nothing else of proc.h. NULL
 * in the simulation and in blocking processes. What is added must be freed by a proc_at_exit hook.
 */
struct event_base;
struct event_base *io_event_base(void);

#endif
