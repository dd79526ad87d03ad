/*
 * io.c - descriptors of processes: who waits for what, and the message that says it came.
 *
 * A libevent callback never runs process code: it notes what the descriptor is ready for, and the
 * one message that is part of the descriptor goes into its owner's mailbox when the owner wants it.
 *
 * Descriptors are watched edge-triggered, for everything, from the first interest until they are
 * closed; so a change of interest is no system call, and what a busy descriptor still has to give
 * is offered again without asking the kernel. What the owner sees is level-triggered: a descriptor
 * stays readable until a read says -EAGAIN (less than was asked for does not: an error may stand
 * behind it, whose edge was told before), and writable until a write took less than was given.
 *
 * Offers wait for the end of the round, so that a descriptor that always has more takes turns with
 * those who work on what it gave.
 *
 * A closed descriptor whose message is still under way lives until that message is dropped.
 */
#include "broker/runtime/io.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "broker/runtime/alloc.h"
#include "broker/runtime/internal.h"

#define SCRATCH_BYTES 65536U

struct io {
    struct msg_io msg;
    struct proc *owner;
    struct io *next, **prev; /* of the owner's */
    struct io *next_changed;
    struct sched *sched;
    int fd;
    uint8_t wanted; /* IO_* */
    uint8_t ready;  /* IO_*: as far as is known */
    bool in_flight, changed, closed;
    bool is_watched;
    union {
        struct event event;
        struct {
            struct io *next, **prev; /* of all, where the world says what is ready */
        } all;
    };
};

static void note_change(struct io *io)
{
    if (io->changed)
        return;
    io->changed = true;
    io->next_changed = io->sched->io_changed;
    io->sched->io_changed = io;
}

static void io_free_if_done(struct io *io)
{
    if (io->closed && !io->in_flight && !io->changed)
        rt_free(io);
}

/* The message is part of the descriptor, so dropping it frees nothing but a closed one. */
static void io_msg_drop(struct msg *m)
{
    struct io *io = MSG_OF(struct msg_io, m)->io;

    io->in_flight = false;
    if (!io->closed && io->wanted & io->ready)
        note_change(io);
    io_free_if_done(io);
}

/* Tells the owner what it wants to hear. */
static void offer(struct io *io)
{
    if (io->in_flight || io->closed || !(io->wanted & io->ready))
        return;
    io->in_flight = true;
    mailbox_put(io->owner, &io->msg.hdr);
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct io *io = arg;

    (void)fd;
    if (what & EV_READ)
        io->ready |= IO_READ;
    if (what & EV_WRITE)
        io->ready |= IO_WRITE;
    offer(io);
}

bool io_taken(struct msg *m)
{
    struct msg_io *mi = MSG_OF(struct msg_io, m);
    struct io *io = mi->io;

    if (io->closed)
        return false;
    mi->events = io->wanted & io->ready; /* either may have changed meanwhile */
    return mi->events != 0;
}

static void watch(struct sched *s, struct io *io)
{
    io->is_watched = true;
    event_assign(&io->event, s->base, io->fd, EV_READ | EV_WRITE | EV_ET | EV_PERSIST, on_event,
                 io);
    event_add(&io->event, NULL);
}

void io_apply(struct sched *s)
{
    struct io *io = s->io_changed;

    s->io_changed = NULL;
    while (io) {
        struct io *next = io->next_changed;

        io->changed = false;
        if (io->closed) {
            io_free_if_done(io);
        } else if (!rt.simulated) {
            if (!io->is_watched)
                watch(s, io);
            offer(io);
        }
        io = next;
    }
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    (void)fd; /* edge-triggered: that it returned from its wait is all that was wanted */
    (void)what;
    (void)arg;
}

static struct event *watch_edge(struct sched *s, int fd)
{
    struct event *ev = event_new(s->base, fd, EV_READ | EV_PERSIST | EV_ET, on_wake, NULL);

    if (ev)
        event_add(ev, NULL);
    return ev;
}

int io_sched_init(struct sched *s)
{
    struct event_config *config;

    s->wake_fd = s->timer_fd = -1;
    if (rt.simulated)
        return 0;
    config = event_config_new();
    if (!config)
        return -ENOMEM;
    /* Each base belongs to one thread. */
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    s->base = event_base_new_with_config(config);
    event_config_free(config);
    s->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    s->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (!s->base || s->wake_fd < 0 || s->timer_fd < 0)
        return -errno;
    s->wake = watch_edge(s, s->wake_fd);
    s->alarm = watch_edge(s, s->timer_fd);
    return s->wake && s->alarm ? 0 : -ENOMEM;
}

void io_sched_fini(struct sched *s)
{
    io_apply(s); /* frees what was closed */
    if (s->wake)
        event_free(s->wake);
    if (s->alarm)
        event_free(s->alarm);
    if (s->base)
        event_base_free(s->base);
    if (s->wake_fd >= 0)
        close(s->wake_fd);
    if (s->timer_fd >= 0)
        close(s->timer_fd);
}

/* Set only when it would ring too late: ringing too early costs one look around. */
static void set_alarm(struct sched *s, uint64_t until_ns)
{
    struct itimerspec at = {.it_value = {.tv_sec = (time_t)(until_ns / 1000000000),
                                         .tv_nsec = (long)(until_ns % 1000000000)}};

    if (until_ns == UINT64_MAX || (s->alarm_ns <= until_ns && s->alarm_ns > rt.world.now_ns()))
        return;
    if (!at.it_value.tv_sec && !at.it_value.tv_nsec)
        at.it_value.tv_nsec = 1;
    BUG_ON(timerfd_settime(s->timer_fd, TFD_TIMER_ABSTIME, &at, NULL) < 0);
    s->alarm_ns = until_ns;
}

void io_poll(struct sched *s, uint64_t until_ns)
{
    if (until_ns)
        set_alarm(s, until_ns);
    event_base_loop(s->base, until_ns ? EVLOOP_ONCE : EVLOOP_NONBLOCK);
    s->polled_tick = s->w.tick = rt_tick();
}

void io_poll_world(struct sched *s)
{
    if (s->io_changed)
        io_apply(s);
    for (struct io *io = s->io_list; io; io = io->all.next) {
        if (!io->wanted || io->in_flight)
            continue;
        io->ready = (uint8_t)rt.world.net->ready(io->fd); /* asked anew each time, so no edges */
        offer(io);
    }
}

struct event_base *io_event_base(void)
{
    RUNTIME_REGION();
    struct worker *w = rt_me;

    if (!w || !w->sched || !w->sched->base)
        return NULL;
    w->sched->base_lent = true;
    return w->sched->base;
}

struct io *io_open(int fd)
{
    RUNTIME_REGION();
    struct proc *p = self();
    struct sched *s = rt_me->sched;
    struct io *io;

    if (!s || p->ops->flags & PROC_OPS_BLOCKING)
        misuse("io_open in a blocking process");
    io = rt_zalloc(sizeof(*io));
    io->msg.hdr.type = MSG_IO;
    io->msg.hdr.from = p->id;
    io->msg.hdr.drop = io_msg_drop;
    io->msg.io = io;
    io->owner = p;
    io->sched = s;
    io->fd = fd;
    io->next = p->ios;
    io->prev = &p->ios;
    if (io->next)
        io->next->prev = &io->next;
    p->ios = io;
    s->n_ios++;
    if (rt.simulated) {
        io->all.next = s->io_list;
        io->all.prev = &s->io_list;
        if (io->all.next)
            io->all.next->all.prev = &io->all.next;
        s->io_list = io;
    }
    return io;
}

void io_want(struct io *io, unsigned events)
{
    RUNTIME_REGION();

    io->wanted = (uint8_t)events;
    if (events && (!io->is_watched || events & io->ready))
        note_change(io);
}

static void unlink_from_world(struct io *io)
{
    if (!rt.simulated) {
        if (io->is_watched)
            event_del(&io->event);
        return;
    }
    *io->all.prev = io->all.next;
    if (io->all.next)
        io->all.next->all.prev = io->all.prev;
}

void io_close(struct io *io)
{
    RUNTIME_REGION();

    if (io->closed)
        return;
    unlink_from_world(io);
    rt.world.net->close(io->fd);
    *io->prev = io->next;
    if (io->next)
        io->next->prev = io->prev;
    io->sched->n_ios--;
    io->closed = true;
    io->wanted = 0;
    io_free_if_done(io);
}

void io_fini(struct proc *p)
{
    while (p->ios)
        io_close(p->ios);
}

ssize_t io_readv(struct io *io, const struct iovec *iov, int n)
{
    RUNTIME_REGION();
    ssize_t r = rt.world.net->readv(io->fd, iov, n);

    if (r == -EAGAIN)
        io->ready &= (uint8_t)~IO_READ;
    return r;
}

static size_t total_of(const struct iovec *iov, int n)
{
    size_t total = 0;

    for (int i = 0; i < n; i++)
        total += iov[i].iov_len;
    return total;
}

ssize_t io_writev(struct io *io, const struct iovec *iov, int n)
{
    RUNTIME_REGION();
    ssize_t r = rt.world.net->writev(io->fd, iov, n);

    if (r == -EAGAIN || (r >= 0 && (size_t)r < total_of(iov, n)))
        io->ready &= (uint8_t)~IO_WRITE;
    return r;
}

void io_shutdown(struct io *io)
{
    RUNTIME_REGION();

    rt.world.net->shutdown(io->fd);
}

int io_listen(const char *addr, uint16_t port, uint16_t *ret_port)
{
    RUNTIME_REGION();

    return rt.world.net->listen(addr, port, ret_port);
}

int io_listen_unix(const char *path, unsigned mode)
{
    RUNTIME_REGION();

    return rt.world.net->listen_unix(path, mode);
}

void io_tune(struct io *listener, const struct io_tuning *t)
{
    RUNTIME_REGION();

    if (rt.world.net->tune)
        rt.world.net->tune(listener->fd, t);
}

int io_accept(struct io *listener, struct sockaddr_storage *ret_peer,
              struct sockaddr_storage *ret_local)
{
    RUNTIME_REGION();

    int fd = rt.world.net->accept(listener->fd, ret_peer, ret_local);

    if (fd == -EAGAIN)
        listener->ready &= (uint8_t)~IO_READ;
    return fd;
}

void io_set_user_timeout(struct io *io, unsigned timeout_ms)
{
    RUNTIME_REGION();

    rt.world.net->set_user_timeout(io->fd, timeout_ms);
}

static void fd_drop(struct msg *m)
{
    struct msg_fd *f = MSG_OF(struct msg_fd, m);

    if (f->fd >= 0)
        rt.world.net->close(f->fd);
    msg_free(m);
}

struct msg_fd *io_give(int fd, const struct sockaddr_storage *peer,
                       const struct sockaddr_storage *local)
{
    RUNTIME_REGION();
    struct msg_fd *m = msg_new(MSG_FD, sizeof(*m), fd_drop);

    m->fd = fd;
    if (peer)
        m->peer = *peer;
    if (local)
        m->local = *local;
    return m;
}

int io_take(struct msg_fd *m)
{
    int fd = m->fd;

    m->fd = -1;
    return fd;
}

static uint8_t *lend(uint8_t **scratch, size_t *ret_size)
{
    if (!*scratch)
        *scratch = rt_alloc(SCRATCH_BYTES);
    *ret_size = SCRATCH_BYTES;
    return *scratch;
}

uint8_t *io_scratch(size_t *ret_size)
{
    RUNTIME_REGION();

    BUG_ON(!rt_me);
    return lend(&rt_me->scratch, ret_size);
}

uint8_t *io_scratch_coded(size_t *ret_size)
{
    RUNTIME_REGION();

    BUG_ON(!rt_me);
    return lend(&rt_me->scratch_coded, ret_size);
}
