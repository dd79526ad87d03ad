/*
 * test_world_real.c - the real world's sockets: what is accepted has what its listener was given.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/runtime/io.h"
#include "broker/runtime/world.h"

static int option(int fd, int level, int name)
{
    int value = 0;
    socklen_t len = sizeof(value);

    assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

/* Of a socket that listens this field of tcp(7) is how many may wait. */
static unsigned backlog(int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);

    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
    return info.tcpi_sacked;
}

static int connect_to(uint16_t port)
{
    const struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
    return fd;
}

static void check(const struct io_tuning *t)
{
    const struct world_net *net = world_real.net;
    struct sockaddr_storage peer, local;
    uint16_t port = 0;
    int listener = net->listen("127.0.0.1", 0, &port), client, fd;
    struct pollfd waits = {listener, POLLIN, 0};

    assert_true(listener >= 0);
    net->tune(listener, t);
    assert_int_equal(backlog(listener), t->backlog);
    client = connect_to(port);
    assert_int_equal(poll(&waits, 1, 10000), 1);
    fd = net->accept(listener, &peer, &local);
    assert_true(fd >= 0);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_NODELAY) != 0, t->no_delay);
    assert_int_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE) != 0, t->keep_alive);
    if (t->send_bytes) /* which the system doubles for itself */
        assert_int_equal(option(fd, SOL_SOCKET, SO_SNDBUF), 2 * t->send_bytes);
    if (t->recv_bytes)
        assert_int_equal(option(fd, SOL_SOCKET, SO_RCVBUF), 2 * t->recv_bytes);
    close(fd);
    close(client);
    close(listener);
}

static void accepted_ones_have_their_listeners_options(void **state)
{
    (void)state;
    check(&(struct io_tuning){.backlog = 7, .no_delay = true});
    check(&(struct io_tuning){
        .backlog = 100, .send_bytes = 30000, .recv_bytes = 20000, .keep_alive = true});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted_ones_have_their_listeners_options),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
