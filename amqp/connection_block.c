/*
 * connection_block.c - a connection that publishes while memory or disk run low.
 *
 * It is blocked by its next publish, not by the alarm: who only consumes goes on. While it is
 * blocked nothing is read, acks of the same connection included. Its heartbeats count as if it were
 * heard.
 */
#include "amqp/connection_internal.h"
#include "broker/core/alarms.h"
#include "broker/core/log.h"

static void say_blocked(struct connection *c)
{
    struct amqp_method m = {.id = AMQP_CONNECTION_BLOCKED};

    m.u.connection_blocked.reason = amqp_str(alarms_reason(alarms_now()));
    if (c->can_block)
        connection_put_method(c, 0, &m);
}

void connection_block(struct connection *c)
{
    if (c->is_blocked || !alarms_now())
        return;
    log_info("%s: blocked: %s", c->name, alarms_reason(alarms_now()));
    c->is_blocked = true;
    c->alarm = alarms_await();
    say_blocked(c);
}

void connection_on_alarm(struct connection *c, const struct msg *m)
{
    struct amqp_method unblocked = {.id = AMQP_CONNECTION_UNBLOCKED};

    c->alarm = 0;
    if (m->type == MSG_NAMED) {
        c->alarm = alarms_await();
        return;
    }
    if (m->type == MSG_DOWN) { /* it is being restarted */
        c->alarm = proc_await("alarms");
        return;
    }
    c->is_blocked = false;
    if (c->can_block && conn_state(c) == CONN_RUNNING)
        connection_put_method(c, 0, &unblocked);
}
