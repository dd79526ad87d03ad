/*
 * io.c - descriptors of processes: who waits for what, and the message that says it came.
 *
 * A libevent callback never runs process code: it marks the descriptor and puts the one message
 * that is part of it into the owner's mailbox. Interest is level-triggered. A descriptor that is
 * ready again while its message still waits is disarmed until the message is taken, so that a slow
 * or suspended owner does not keep its scheduler awake. Changes of interest are gathered and
 * applied before the next poll.
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
    int fd;
    uint8_t wanted, armed; /* IO_*; armed: what libevent watches */
    bool in_flight, changed, closed;
    union {
        struct event event;
        struct {
            struct io *next, **prev; /* of all, where the world says what is ready */
        } all;
    };
};

static void note_change(struct io *io)
{
    struct sched *s = rt_me->sched;

    if (io->changed)
        return;
    io->changed = true;
    io->next_changed = s->io_changed;
    s->io_changed = io;
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
    io_free_if_done(io);
}

static void io_deliver(struct io *io, unsigned events)
{
    io->msg.events |= events;
    io->in_flight = true;
    mailbox_put(io->owner, &io->msg.hdr);
}

static void disarm(struct io *io)
{
    if (io->armed)
        event_del(&io->event);
    io->armed = 0;
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct io *io = arg;
    unsigned events = (what & EV_READ ? IO_READ : 0U) | (what & EV_WRITE ? IO_WRITE : 0U);

    (void)fd;
    if (io->in_flight) {
        io->msg.events |= events;
        disarm(io);
        return;
    }
    io_deliver(io, events);
}

bool io_taken(struct msg *m)
{
    struct msg_io *mi = MSG_OF(struct msg_io, m);
    struct io *io = mi->io;

    if (io->closed)
        return false;
    mi->events &= io->wanted; /* it may have lost interest meanwhile */
    if (io->armed != io->wanted)
        note_change(io);
    return mi->events != 0;
}

static void apply_changes(struct sched *s)
{
    struct io *io = s->io_changed;

    s->io_changed = NULL;
    while (io) {
        struct io *next = io->next_changed;

        io->changed = false;
        if (io->closed) {
            io_free_if_done(io);
        } else if (io->wanted != io->armed && !rt.simulated) {
            disarm(io);
            if (io->wanted) {
                short what = (short)(EV_PERSIST | (io->wanted & IO_READ ? EV_READ : 0) |
                                     (io->wanted & IO_WRITE ? EV_WRITE : 0));

                event_assign(&io->event, s->base, io->fd, what, on_event, io);
                event_add(&io->event, NULL);
                io->armed = io->wanted;
            }
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
    apply_changes(s); /* frees what was closed */
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
    if (s->io_changed)
        apply_changes(s);
    if (until_ns)
        set_alarm(s, until_ns);
    event_base_loop(s->base, until_ns ? EVLOOP_ONCE : EVLOOP_NONBLOCK);
    s->polled_tick = s->w.tick = rt_tick();
}

void io_poll_world(struct sched *s)
{
    if (s->io_changed)
        apply_changes(s);
    for (struct io *io = s->io_list; io; io = io->all.next) {
        unsigned events = io->wanted && !io->in_flight ? rt.world.net->ready(io->fd) : 0;

        if (events & io->wanted)
            io_deliver(io, events & io->wanted);
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
    if (io->wanted != io->armed)
        note_change(io);
}

static void unlink_from_world(struct io *io)
{
    if (!rt.simulated) {
        disarm(io);
        return;
    }
    *io->all.prev = io->all.next;
    if (io->all.next)
        io->all.next->all.prev = io->all.prev;
}

void io_close(struct io *io)
{
    RUNTIME_REGION();
    struct sched *s = io->owner->home->is_pool ? NULL : (struct sched *)io->owner->home;

    if (io->closed)
        return;
    unlink_from_world(io);
    rt.world.net->close(io->fd);
    *io->prev = io->next;
    if (io->next)
        io->next->prev = io->prev;
    s->n_ios--;
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

    return rt.world.net->readv(io->fd, iov, n);
}

ssize_t io_writev(struct io *io, const struct iovec *iov, int n)
{
    RUNTIME_REGION();

    return rt.world.net->writev(io->fd, iov, n);
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

int io_accept(struct io *listener, struct sockaddr_storage *ret_peer,
              struct sockaddr_storage *ret_local)
{
    RUNTIME_REGION();

    return rt.world.net->accept(listener->fd, ret_peer, ret_local);
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

uint8_t *io_scratch(size_t *ret_size)
{
    RUNTIME_REGION();
    struct worker *w = rt_me;

    BUG_ON(!w);
    if (!w->scratch)
        w->scratch = rt_alloc(SCRATCH_BYTES);
    *ret_size = SCRATCH_BYTES;
    return w->scratch;
}
