/*
 * vhosts_operator.c - who has the vhost made and deleted, one request at a time.
 *
 * In: MAKE, REMOVE, STOP from the driver; the node's answers.
 * Monitors the node, by its calls.
 */
#include <stdlib.h>
#include <string.h>

#include "broker/runtime/runtime.h"
#include "queues/definitions.h"
#include "queues/node.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_world.h"
#include "tests/sim/vhosts.h"

enum { OPERATOR_MAKE = MSG_USER, OPERATOR_REMOVE, OPERATOR_STOP };

static proc_id operator; /* 0: none */
static bool is_busy;

struct vhosts_operator {
    proc_ref call;
    bool makes;
};

static void make(struct vhosts_operator *o)
{
    static const char text[] = "{\"vhosts\":[{\"name\":\"" VHOSTS_NAME "\"}],"
                               "\"permissions\":[{\"user\":\"guest\",\"vhost\":\"" VHOSTS_NAME
                               "\",\"configure\":\".*\",\"write\":\".*\",\"read\":\".*\"}],"
                               "\"queues\":[{\"name\":\"brought\",\"vhost\":\"" VHOSTS_NAME
                               "\",\"durable\":true,\"auto_delete\":false,\"arguments\":{}}]}";

    o->call =
        proc_call(proc_whereis("node"), &node_change_new(NODE_IMPORT, text, sizeof(text) - 1)->hdr,
                  PROC_NO_TIMEOUT);
}

static void remove_it(struct vhosts_operator *o)
{
    char *key = definitions_key(VHOSTS_NAME, NULL, NULL);
    struct msg_node_change *m = node_change_new(NODE_REMOVE, key, strlen(key));

    free(key);
    strcpy(m->section, "vhosts");
    o->call = proc_call(proc_whereis("node"), &m->hdr, PROC_NO_TIMEOUT);
}

static void on_changed(const struct vhosts_operator *o, const struct msg_node_changed *m)
{
    sim_note("changed", o->makes, (uint64_t)m->result, 0);
    vhosts.changed_at = ++vhosts.stamp;
    if (vhosts.removable_until == UINT64_MAX)
        vhosts.removable_until = vhosts.stamp;
    if (o->makes && (m->result == NODE_CREATED || m->result == NODE_UPDATED)) {
        vhosts.state = VHOSTS_THERE;
        if (vhosts.made_at <= vhosts.removable_until)
            vhosts.made_at = vhosts.stamp;
        vhosts.n_made++;
    } else if (!o->makes && (m->result == NODE_REMOVED || m->result == NODE_NOT_FOUND)) {
        vhosts.state = VHOSTS_GONE;
        vhosts.removed_at = vhosts.stamp;
        vhosts.n_removed += m->result == NODE_REMOVED;
    } else if (m->result == NODE_REFUSED || m->result == NODE_PROTECTED) {
        sim_fail("answers", "the node refuses: %s", m->text);
    }
}

static void operator_handle(void *state, struct msg *m)
{
    struct vhosts_operator *o = state;

    if (m->ref != 0 && m->ref == o->call) {
        o->call = 0;
        is_busy = false;
        if (m->type == NODE_CHANGED)
            on_changed(o, (const struct msg_node_changed *)(const void *)m);
        return;
    }
    switch (m->type) {
    case OPERATOR_MAKE:
        o->makes = true;
        make(o);
        break;
    case OPERATOR_REMOVE:
        o->makes = false;
        remove_it(o);
        break;
    case OPERATOR_STOP:
        proc_exit(EXIT_NORMAL, 0, "stopped");
    default:
        break;
    }
}

static const struct proc_ops operator_ops = {
    .kind = "operator",
    .state_size = sizeof(struct vhosts_operator),
    .handle = operator_handle,
};

void vhosts_operator_start(void)
{
    is_busy = false;
    operator= proc_spawn(&(struct spawn){.ops = &operator_ops, .scheduler = SCHED_SAME});
}

void vhosts_operator_forget(void)
{
    operator= 0;
    is_busy = false;
}

void vhosts_operator_stop(void)
{
    if (operator)
        rt_send(operator, msg_new(OPERATOR_STOP, sizeof(struct msg), NULL));
    vhosts_operator_forget();
}

bool vhosts_operator_is_busy(void)
{
    return operator== 0 || is_busy;
}

void vhosts_operator_ask(bool to_make)
{
    vhosts.stamp++;
    vhosts.state = VHOSTS_UNKNOWN;
    if (!to_make)
        vhosts.removable_until = UINT64_MAX;
    is_busy = true;
    rt_send(operator, msg_new(to_make ? OPERATOR_MAKE : OPERATOR_REMOVE, sizeof(struct msg), NULL));
    sim_note("asks", to_make, 0, 0);
}
