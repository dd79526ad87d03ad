/*
 * Views of users: all, those without permissions, one with its permissions; making, changing and
 * deleting them; who asks.
 */
#include <string.h>

#include "broker/runtime/region.h"
#include "mgmt/json.h"
#include "mgmt/list.h"
#include "mgmt/node_ask.h"
#include "mgmt/user_json.h"
#include "mgmt/views.h"
#include "queues/settings.h"

static void start_all(struct request *r)
{
    node_list(r, "users", user_json);
}

struct seen {
    const char *user;
    bool has;
};

static void see(void *ctx, const struct setting *s)
{
    RUNTIME_REGION();
    struct seen *seen = ctx;
    json_t *object = setting_json(s);
    const char *user = json_string_value(json_object_get(object, "user"));

    seen->has = seen->has || (user && strcmp(user, seen->user) == 0);
    json_decref(object);
}

static json_t *show_without(struct request *r, json_t *object)
{
    struct seen seen = {.user = json_string_value(json_object_get(object, "name"))};

    settings_each("permissions", see, &seen);
    if (!seen.has)
        return user_json(r, object);
    json_decref(object);
    return NULL;
}

static void start_without(struct request *r)
{
    node_list(r, "users", show_without);
}

static void start_one(struct request *r)
{
    node_show(r, settings_get("users", request_segment(r, 2), NULL, NULL), user_json);
}

/* Without either of the two the user cannot log in by a password. */
static void start_put(struct request *r)
{
    json_t *body = node_body(r, NULL);
    const char *name = request_segment(r, 2), *password = request_body_text(r, "password");
    const char *hash = request_body_text(r, "password_hash");

    if (!json_object_get(body, "tags"))
        request_fail(r, 400, "tags_not_present");
    if (password && hash)
        request_fail(r, 400, "both_password_and_password_hash_are_provided");
    node_set_text(body, "name", name);
    if ((!password || !*password) && !hash) {
        RUNTIME_REGION();

        json_object_del(body, "password");
        node_set_text(body, "password_hash", "");
    }
    node_ask_put(r, "users", body);
}

static void start_delete(struct request *r)
{
    node_ask_remove(r, "users", request_segment(r, 2), NULL, NULL);
}

/* All of them, or none where one is not there. */
static void start_bulk_delete(struct request *r)
{
    static const char *const members[] = {"users", NULL};
    const json_t *list = json_object_get(node_body(r, members), "users");

    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));

        if (!name || !settings_get("users", name, NULL, NULL))
            request_fail(r, 400, "no_such_user");
        node_removal_add(r, name, NULL, NULL);
    }
    if (!json_array_size(list))
        request_finish_status(r, 204);
    node_removals_run(r, "users");
}

static json_t *show_of_user(struct request *r, json_t *object)
{
    const char *user = json_string_value(json_object_get(object, "user"));

    if (user && strcmp(user, r->path.segment[2].p) == 0)
        return object;
    json_decref(object);
    return NULL;
}

static void list_of_user(struct request *r, const char *section)
{
    if (!settings_get("users", request_segment(r, 2), NULL, NULL))
        request_fail_not_found(r);
    node_list(r, section, show_of_user);
}

static void start_permissions(struct request *r)
{
    list_of_user(r, "permissions");
}

static void start_topic_permissions(struct request *r)
{
    list_of_user(r, "topic_permissions");
}

static json_t *show_self(struct request *r, json_t *object)
{
    json_t *user = user_json(r, object), *ret = json_object();

    json_object_set(ret, "name", json_object_get(user, "name"));
    json_object_set(ret, "tags", json_object_get(user, "tags"));
    json_decref(user);
    return ret;
}

static void start_whoami(struct request *r)
{
    node_show(r, settings_get("users", r->user, NULL, NULL), show_self);
}

const struct view views_users[] = {
    {"api/whoami", HTTP_GET, VIEW_MANAGEMENT, 0, start_whoami, NULL},
    {"api/users", HTTP_GET, VIEW_ADMINISTRATOR, 0, start_all, NULL},
    {"api/users/without-permissions", HTTP_GET, VIEW_ADMINISTRATOR, 0, start_without, NULL},
    {"api/users/bulk-delete", HTTP_POST, VIEW_ADMINISTRATOR, 0, start_bulk_delete, node_answered},
    {"api/users/x", HTTP_GET, VIEW_ADMINISTRATOR, 0, start_one, NULL},
    {"api/users/x", HTTP_PUT, VIEW_ADMINISTRATOR, 0, start_put, node_answered},
    {"api/users/x", HTTP_DELETE, VIEW_ADMINISTRATOR, 0, start_delete, node_answered},
    {"api/users/x/permissions", HTTP_GET, VIEW_ADMINISTRATOR, 0, start_permissions, NULL},
    {"api/users/x/topic-permissions", HTTP_GET, VIEW_ADMINISTRATOR, 0, start_topic_permissions,
     NULL},
    {0},
};
