/*
 * server.c - tells calls, casts, answers and the runtime's messages apart.
 */
#include "broker/runtime/server.h"

#include "broker/runtime/internal.h"

typedef void (*server_callback)(void *state, struct msg *m);

/* Requests first: a call of any type is a call. An answer is known by its ref, whether it is the
 * reply, DOWN or a timeout; DOWN of a monitor and the timeout of a timer are info. */
static server_callback callback_for(const struct server_ops *ops, const struct msg *m,
                                    const char **ret_name)
{
    if (m->flags & MSG_F_ASKS) {
        *ret_name = "call";
        return ops->call;
    }
    if ((m->flags & MSG_F_ANSWERS) && ref_kind(m->ref) == REF_CALL) {
        *ret_name = "reply";
        return ops->reply;
    }
    if (m->type < MSG_SUP_REPLY) {
        *ret_name = "info";
        return ops->info;
    }
    *ret_name = "cast";
    return ops->cast;
}

void server_handle(const struct server_ops *ops, void *state, struct msg *m)
{
    const char *name;
    server_callback callback = callback_for(ops, m, &name);

    if (!callback)
        proc_exit(EXIT_CRASH, (int)m->type, "no %s callback for message %u", name, m->type);
    callback(state, m);
}
