/*
 * Views of permissions and topic permissions: all, those of a vhost, those of a user in a vhost;
 * setting and clearing them.
 */
#include <string.h>

#include "broker/core/access.h"
#include "broker/runtime/region.h"
#include "mgmt/json.h"
#include "mgmt/node_ask.h"
#include "mgmt/views.h"
#include "queues/settings.h"

static json_t *show(struct request *r, json_t *object)
{
    (void)r;
    return object;
}

static json_t *show_of_vhost(struct request *r, json_t *object)
{
    return json_keep(object, json_has_text(object, "vhost", r->path.segment[2].p));
}

/* Of api/topic-permissions/VHOST/USER and what may follow. */
static json_t *show_of_pair(struct request *r, json_t *object)
{
    return json_keep(
        object, json_has_text(object, "vhost", r->path.segment[2].p) &&
                    json_has_text(object, "user", r->path.segment[3].p) &&
                    (r->path.n < 5 || json_has_text(object, "exchange", r->path.segment[4].p)));
}

static void check_vhost(struct request *r)
{
    const char *vhost = request_segment(r, 2);

    if (!access_has_vhost(vhost, strlen(vhost)))
        request_fail_not_found(r);
}

static void check_pair(struct request *r)
{
    check_vhost(r);
    if (!settings_get("users", request_segment(r, 3), NULL, NULL))
        request_fail_not_found(r);
}

static void start_all(struct request *r)
{
    node_list(r, "permissions", show);
}

static void start_of_vhost(struct request *r)
{
    check_vhost(r);
    node_list(r, "permissions", show_of_vhost);
}

static void start_one(struct request *r)
{
    const char *vhost = request_segment(r, 2), *user = request_segment(r, 3);

    node_show(r, settings_get("permissions", user, vhost, NULL), show);
}

static void put(struct request *r, const char *section, const char *const *members)
{
    json_t *body = node_body(r, members);

    node_set_text(body, "vhost", request_segment(r, 2));
    node_set_text(body, "user", request_segment(r, 3));
    node_ask_put(r, section, body);
}

static void start_put(struct request *r)
{
    static const char *const members[] = {"configure", "write", "read", NULL};

    put(r, "permissions", members);
}

static void start_delete(struct request *r)
{
    const char *vhost = request_segment(r, 2), *user = request_segment(r, 3);

    node_ask_remove(r, "permissions", user, vhost, NULL);
}

static void start_topics(struct request *r)
{
    node_list(r, "topic_permissions", show);
}

static void start_topics_of_vhost(struct request *r)
{
    check_vhost(r);
    node_list(r, "topic_permissions", show_of_vhost);
}

struct search {
    struct request *r;
    bool is_found;
};

static void look(void *ctx, const struct setting *s)
{
    RUNTIME_REGION();
    struct search *of = ctx;
    json_t *shown = show_of_pair(of->r, setting_json(s));

    of->is_found |= shown != NULL;
    json_decref(shown);
}

static void start_topics_of_pair(struct request *r)
{
    struct search of = {.r = r};

    check_pair(r);
    settings_each("topic_permissions", look, &of);
    if (!of.is_found)
        request_fail_not_found(r);
    node_list(r, "topic_permissions", show_of_pair);
}

static void start_put_topic(struct request *r)
{
    static const char *const members[] = {"exchange", "write", "read", NULL};

    put(r, "topic_permissions", members);
}

static void start_delete_topic(struct request *r)
{
    const char *vhost = request_segment(r, 2), *user = request_segment(r, 3);

    node_ask_remove(r, "topic_permissions", user, vhost, request_segment(r, 4));
}

static void add_removal(void *ctx, const struct setting *s)
{
    struct request *r = ctx;
    char exchange[256] = "";
    json_t *object = setting_json(s);
    bool is_one = false;

    if (object) {
        RUNTIME_REGION();
        json_t *shown = show_of_pair(r, object);
        const char *name = json_string_value(json_object_get(shown, "exchange"));

        is_one = name != NULL;
        if (name)
            strncpy(exchange, name, sizeof(exchange) - 1);
        json_decref(shown);
    }
    if (is_one)
        node_removal_add(r, r->path.segment[3].p, r->path.segment[2].p, exchange);
}

static void start_delete_topics(struct request *r)
{
    check_pair(r);
    settings_each("topic_permissions", add_removal, r);
    node_removals_run(r, "topic_permissions");
}

enum { ADMIN = VIEW_ADMINISTRATOR };

const struct view views_permissions[] = {
    {"api/permissions", HTTP_GET, ADMIN, 0, start_all, NULL},
    {"api/permissions/x", HTTP_GET, ADMIN, 0, start_of_vhost, NULL},
    {"api/permissions/x/x", HTTP_GET, ADMIN, 0, start_one, NULL},
    {"api/permissions/x/x", HTTP_PUT, ADMIN, 0, start_put, node_answered},
    {"api/permissions/x/x", HTTP_DELETE, ADMIN, 0, start_delete, node_answered},
    {"api/vhosts/x/permissions", HTTP_GET, ADMIN, 0, start_of_vhost, NULL},
    {"api/topic-permissions", HTTP_GET, ADMIN, 0, start_topics, NULL},
    {"api/topic-permissions/x", HTTP_GET, ADMIN, 0, start_topics_of_vhost, NULL},
    {"api/topic-permissions/x/x", HTTP_GET, ADMIN, 0, start_topics_of_pair, NULL},
    {"api/topic-permissions/x/x", HTTP_PUT, ADMIN, 0, start_put_topic, node_answered},
    {"api/topic-permissions/x/x", HTTP_DELETE, ADMIN, 0, start_delete_topics, node_answered},
    {"api/topic-permissions/x/x/x", HTTP_GET, ADMIN, 0, start_topics_of_pair, NULL},
    {"api/topic-permissions/x/x/x", HTTP_PUT, ADMIN, 0, start_put_topic, node_answered},
    {"api/topic-permissions/x/x/x", HTTP_DELETE, ADMIN, 0, start_delete_topic, node_answered},
    {"api/vhosts/x/topic-permissions", HTTP_GET, ADMIN, 0, start_topics_of_vhost, NULL},
    {0},
};
