/*
 * connection_vhost.c - a connection and its vhost: waiting for one that starts, and what its client
 * hears when it goes down.
 *
 * The registry's name says that a vhost serves. The vhost's watcher is asked once, and answers when
 * the vhost is down; then all channels are closed with 541 and the reason, while the connection
 * stays, and may open new ones when it is up again.
 */
#include <stdio.h>
#include <string.h>

#include "amqp/connection_internal.h"
#include "broker/core/config.h"
#include "queues/vhost_state.h"

/* Patience with a vhost that starts, in tenths of the handshake's. */
enum { PATIENCE = 8 };

static void refuse(struct connection *c, const char *reason)
{
    c->framer.hold = false;
    connection_fail(c, AMQP_CODE_INTERNAL_ERROR, AMQP_CONNECTION_OPEN, "%s", reason);
}

void connection_await_vhost(struct connection *c)
{
    const char *reason = vhost_down_reason(c->vhost);
    char name[270];

    if (reason) {
        refuse(c, reason);
        return;
    }
    c->watch = vhost_watch(c->vhost, c->vhost_downs);
    snprintf(name, sizeof(name), "registry:%s", c->vhost);
    if (proc_whereis(name) != 0) {
        connection_open(c);
        return;
    }
    /* What the client sent beyond is kept. */
    c->framer.hold = true;
    c->registry = proc_await(name);
    fsm_state_timeout(&c->fsm, config()->handshake_timeout_ms * 1000ull / 10 * PATIENCE);
}

void connection_on_no_vhost(struct connection *c)
{
    char text[300];

    snprintf(text, sizeof(text), "vhost '%s' is still starting", c->vhost);
    refuse(c, text);
}

static void on_down(struct connection *c, const struct msg_vhost_down *m)
{
    struct failure f = {.code = AMQP_CODE_INTERNAL_ERROR};

    c->vhost_downs = m->times;
    c->watch = vhost_watch(c->vhost, c->vhost_downs);
    if (conn_state(c) == CONN_OPEN)
        refuse(c, m->reason);
    if (conn_state(c) != CONN_RUNNING)
        return;
    snprintf(f.text, sizeof(f.text), "%s", m->reason);
    connection_fail_channels(c, &f);
}

/* The watcher has died, or is not there yet: the next one is asked. */
static void await_watcher(struct connection *c)
{
    char name[300];

    c->watch = proc_await(vhost_watcher_name(c->vhost, name));
}

bool connection_take_vhost(struct connection *c, struct msg *m)
{
    if (m->ref == 0 || (m->ref != c->registry && m->ref != c->watch))
        return false;
    if (m->ref == c->registry) {
        c->registry = 0;
        if (conn_state(c) == CONN_OPEN && c->framer.hold) {
            connection_open(c);
            connection_resume(c);
        }
    } else if (m->type == VHOST_DOWN) {
        on_down(c, MSG_OF(struct msg_vhost_down, m));
    } else if (m->type == MSG_NAMED) {
        c->watch = vhost_watch(c->vhost, c->vhost_downs);
    } else {
        await_watcher(c);
    }
    return true;
}
