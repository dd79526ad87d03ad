/*
 * Views of connections: all, those of a vhost or user, one; and closing them.
 */
#include <string.h>

#include "broker/core/log.h"
#include "broker/runtime/region.h"
#include "mgmt/slots.h"
#include "mgmt/views.h"
#include "queues/connection.h"
#include "queues/stats.h"

enum { CONNECTION_FORCED = 320 }; /* 0-9-1 1.2 */

static bool is_of_vhost(struct request *r, const struct stat_slot *s)
{
    return !strcmp(((const struct connection_stats *)s)->vhost, r->vhost);
}

static bool is_of_user(struct request *r, const struct stat_slot *s)
{
    return !strcmp(((const struct connection_stats *)s)->user, request_segment(r, 3));
}

static bool has_name(struct request *r, const struct stat_slot *s)
{
    return !strcmp(((const struct connection_stats *)s)->name, request_segment(r, 2));
}

static void start_all(struct request *r)
{
    slot_list_start(r, STAT_CONNECTION, &list_of_connections, NULL);
}

static void start_vhost(struct request *r)
{
    slot_list_start(r, STAT_CONNECTION, &list_of_connections, is_of_vhost);
}

static void start_user(struct request *r)
{
    slot_list_start(r, STAT_CONNECTION, &list_of_connections, is_of_user);
}

static json_t *json_of(const struct request *r, const struct stat_slot *s)
{
    RUNTIME_REGION();

    return connection_json(r, s);
}

static void show_one(struct request *r, const struct stat_slot *s)
{
    request_finish_json(r, json_of(r, s));
}

static void start_one(struct request *r)
{
    slot_list_find(r, STAT_CONNECTION, has_name, show_one);
}

static void close_it(struct request *r, const struct stat_slot *s)
{
    const char *reason =
        r->m->reason && *r->m->reason ? r->m->reason : "Closed via management plugin";
    const struct connection_stats *c = (const struct connection_stats *)s;
    char quoted[400], who[REQUEST_WHO_SIZE];

    log_info("audit: connection %s closed by %s: %s", c->name, request_who(r, who),
             log_quote(quoted, sizeof(quoted), reason, strlen(reason)));
    connection_shut(s->owner, CONNECTION_FORCED, reason);
}

static void close_one(struct request *r, const struct stat_slot *s)
{
    close_it(r, s);
    request_finish_empty(r);
}

static void start_close(struct request *r)
{
    slot_list_find(r, STAT_CONNECTION, has_name, close_one);
}

static void close_each(struct request *r, const struct stat_slot *s)
{
    if (!s)
        request_finish_empty(r);
    close_it(r, s);
}

static void start_close_user(struct request *r)
{
    slot_list_each(r, STAT_CONNECTION, is_of_user, close_each);
}

const struct view views_connections[] = {
    {"api/connections", HTTP_GET, VIEW_MANAGEMENT, 0, start_all, slot_list_handle},
    {"api/vhosts/x/connections", HTTP_GET, VIEW_MANAGEMENT, VIEW_VHOST, start_vhost,
     slot_list_handle},
    {"api/connections/x", HTTP_GET, VIEW_MANAGEMENT, 0, start_one, slot_list_handle},
    {"api/connections/x", HTTP_DELETE, VIEW_MANAGEMENT, 0, start_close, slot_list_handle},
    {"api/connections/username/x", HTTP_GET, VIEW_MANAGEMENT, 0, start_user, slot_list_handle},
    {"api/connections/username/x", HTTP_DELETE, VIEW_MANAGEMENT, 0, start_close_user,
     slot_list_handle},
    {0},
};
