/*
 * The table of all resources.
 */
#include "mgmt/views.h"

#include "broker/core/config.h"

/* One a line, so that changes at the same time do not meet. */
/* clang-format off */
static const struct view *const groups[] = {
    views_admin,
    views_auth,
    views_backup,
    views_bindings,
    views_browse,
    views_channels,
    views_connections,
    views_consumers,
    views_definitions,
    views_exchanges,
    views_health,
    views_index,
    views_live,
    views_log,
    views_messages,
    views_move,
    views_metrics,
    views_nodes,
    views_node_facts,
    views_overview,
    views_parameters,
    views_permissions,
    views_policies,
    views_processes,
    views_queues,
    views_users,
    views_why,
    views_vhosts,
};
/* clang-format on */

static bool is_there(const struct view *v)
{
    return !(v->flags & VIEW_DEBUG) || config()->debug_crash;
}

void views_each(void (*fn)(void *ctx, const struct view *v), void *ctx)
{
    for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); i++) {
        for (const struct view *v = groups[i]; v->pattern; v++) {
            if (is_there(v))
                fn(ctx, v);
        }
    }
}

const struct view *views_find(const struct path *path, enum http_method method, unsigned *ret_allow)
{
    unsigned allow = 0;

    for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); i++) {
        for (const struct view *v = groups[i]; v->pattern; v++) {
            if (!path_matches(path, v->pattern) || !is_there(v))
                continue;
            if (v->method == method)
                return v;
            allow |= v->method;
        }
    }
    *ret_allow = allow;
    return NULL;
}
