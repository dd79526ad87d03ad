/*
 * connection_vhost.c - a connection and its vhost: waiting for one that starts, what its client
 * hears when it goes down, and what becomes of it when its user's rights change.
 *
 * The registry's name says that a vhost serves. The vhost's watcher is asked once, and answers when
 * the vhost is down; then all channels are closed with 541 and the reason, while the connection
 * stays, and may open new ones when it is up again. The watcher also says when rights may have
 * changed: a user or vhost that is no more, another password, or no permission in the vhost any
 * more end the connection; else its channels look at their consumers.
 */
#include <stdio.h>
#include <string.h>

#include "amqp/connection_internal.h"
#include "broker/core/access.h"
#include "broker/core/config.h"
#include "queues/vhost_state.h"

/* Patience with a vhost that starts, in tenths of the handshake's. */
enum { PATIENCE = 8, LOOK_US = 1000 * 1000 };

static void refuse(struct connection *c, const char *reason)
{
    c->framer.hold = false;
    connection_fail(c, AMQP_CODE_INTERNAL_ERROR, AMQP_CONNECTION_OPEN, "%s", reason);
}

/* Why the connection may not go on; NULL: it may. */
static const char *lost_right(const struct connection *c, char *text, size_t size)
{
    uint32_t credential = access_credential(c->user, strlen(c->user));

    if (!access_has_vhost(c->vhost, strlen(c->vhost)) ||
        vhost_deletions(c->vhost) != c->vhost_deletions)
        snprintf(text, size, "vhost '%s' is deleted", c->vhost);
    else if (!credential)
        snprintf(text, size, "user '%s' is deleted", c->user);
    else if (credential != c->credential)
        snprintf(text, size, "the password of user '%s' was changed", c->user);
    else if (!access_may_open(c->user, c->vhost))
        snprintf(text, size, "user '%s' has no permissions in vhost '%s' any more", c->user,
                 c->vhost);
    else
        return NULL;
    return text;
}

/* Asks to be told of what changes from the moment on at which it looks. */
static void watch(struct connection *c)
{
    struct vhost_watching w = {.seen = c->vhost_downs,
                               .user_hash = access_user_hash(c->user),
                               .version = access_version()};
    char text[240];

    if (lost_right(c, text, sizeof(text))) {
        c->framer.hold = false;
        connection_fail(c, AMQP_CODE_CONNECTION_FORCED, 0, "%s", text);
        return;
    }
    c->watch = vhost_watch(c->vhost, &w);
}

void connection_await_vhost(struct connection *c)
{
    const char *reason = vhost_down_reason(c->vhost);
    char name[270];

    if (reason) {
        refuse(c, reason);
        return;
    }
    watch(c);
    if (conn_state(c) != CONN_OPEN)
        return;
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
    watch(c);
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
    if (c->look == 0)
        c->look = proc_timer(LOOK_US);
}

static void on_look(struct connection *c)
{
    if (c->look != 0)
        proc_cancel(c->look);
    c->look = 0;
    watch(c);
    if (conn_state(c) == CONN_RUNNING)
        connection_recheck_channels(c);
}

/* The vhost may have been deleted while nobody was there to say so. */
static void on_look_time(struct connection *c)
{
    char text[240];

    c->look = 0;
    if (conn_state(c) != CONN_OPEN && conn_state(c) != CONN_RUNNING)
        return;
    if (lost_right(c, text, sizeof(text)))
        on_look(c);
    else
        c->look = proc_timer(LOOK_US);
}

/* The watcher ends with its vhost, which may be no more. */
static void on_watcher_down(struct connection *c)
{
    await_watcher(c);
    if (!access_has_vhost(c->vhost, strlen(c->vhost)))
        on_look(c);
}

bool connection_take_vhost(struct connection *c, struct msg *m)
{
    if (m->ref == 0 || (m->ref != c->registry && m->ref != c->watch && m->ref != c->look))
        return false;
    if (m->ref == c->look) {
        on_look_time(c);
    } else if (m->ref == c->registry) {
        c->registry = 0;
        if (conn_state(c) == CONN_OPEN && c->framer.hold) {
            connection_open(c);
            connection_resume(c);
        }
    } else if (m->type == VHOST_DOWN) {
        on_down(c, MSG_OF(struct msg_vhost_down, m));
    } else if (m->type == MSG_NAMED || m->type == VHOST_LOOK) {
        on_look(c);
    } else {
        on_watcher_down(c);
    }
    return true;
}
