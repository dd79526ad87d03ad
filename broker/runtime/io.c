#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "broker/runtime/internal.h"
int io_sched_init(struct sched *s) { s->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); return 0; }
void io_sched_fini(struct sched *s) { close(s->wake_fd); }
void io_poll(struct sched *s, uint64_t until_ns)
{
    uint64_t now = rt.world.now_ns(), n;
    int ms = !until_ns ? 0 : until_ns == UINT64_MAX ? -1 : until_ns <= now ? 0 : (int)((until_ns - now + 999999) / 1000000);
    struct pollfd p = {.fd = s->wake_fd, .events = POLLIN};
    if (poll(&p, 1, ms) == 1) n = (uint64_t)read(s->wake_fd, &n, 8);
    (void)n;
}
void io_poll_world(struct sched *s) { (void)s; }
void io_fini(struct proc *p) { (void)p; }
void io_taken(struct msg *m) { (void)m; }
