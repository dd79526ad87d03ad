/*
 * Views of policies and operator policies: all, those of a vhost, one; setting and clearing them.
 * An operator policy is stored as a parameter, as RabbitMQ's exports have it.
 */
#include <string.h>

#include "broker/runtime/region.h"
#include "mgmt/json.h"
#include "mgmt/node_ask.h"
#include "mgmt/views.h"
#include "queues/settings.h"

static const char component[] = "operator_policy";

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

/* What a policy says, in place of itself or of a parameter's value. */
static json_t *policy_json(json_t *object, const json_t *says)
{
    static const char *const keys[] = {"pattern", "apply-to", "definition", "priority"};
    json_t *ret = json_object();

    json_add(ret, "vhost", json_incref(json_object_get(object, "vhost")));
    json_add(ret, "name", json_incref(json_object_get(object, "name")));
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        json_add(ret, keys[i], json_incref(json_object_get(says, keys[i])));
    if (!json_object_get(ret, "apply-to"))
        json_add_text(ret, "apply-to", "all");
    if (!json_object_get(ret, "priority"))
        json_add_count(ret, "priority", 0);
    json_decref(object);
    return ret;
}

static bool is_of_path(const struct request *r, const json_t *object)
{
    return !r->vhost || strcmp(text_of(object, "vhost"), r->vhost) == 0;
}

static json_t *show(struct request *r, json_t *object)
{
    if (is_of_path(r, object))
        return policy_json(object, object);
    json_decref(object);
    return NULL;
}

static json_t *show_operator(struct request *r, json_t *object)
{
    if (is_of_path(r, object) && strcmp(text_of(object, "component"), component) == 0)
        return policy_json(object, json_object_get(object, "value"));
    json_decref(object);
    return NULL;
}

static void start_list(struct request *r)
{
    node_list(r, "policies", show);
}

static void start_one(struct request *r)
{
    node_show(r, settings_get("policies", request_segment(r, 3), r->vhost, NULL), show);
}

static json_t *policy_of_body(struct request *r)
{
    static const char *const members[] = {"pattern", "definition", NULL};

    return node_body(r, members);
}

static void start_put(struct request *r)
{
    json_t *body = policy_of_body(r);

    node_set_text(body, "vhost", r->vhost);
    node_set_text(body, "name", request_segment(r, 3));
    {
        RUNTIME_REGION();
        json_t *policy = policy_json(json_incref(body), body);

        json_object_clear(body);
        json_object_update(body, policy);
        json_decref(policy);
    }
    node_ask_put(r, "policies", body);
}

static void start_delete(struct request *r)
{
    node_ask_remove(r, "policies", request_segment(r, 3), r->vhost, NULL);
}

static void start_operator_list(struct request *r)
{
    node_list(r, "parameters", show_operator);
}

static void start_operator_one(struct request *r)
{
    const char *name = request_segment(r, 3);

    node_show(r, settings_get("parameters", name, r->vhost, component), show_operator);
}

static void start_operator_put(struct request *r)
{
    json_t *body = policy_of_body(r);
    const char *name = request_segment(r, 3);

    {
        RUNTIME_REGION();
        json_t *value = policy_json(json_incref(body), body);

        json_object_del(value, "vhost");
        json_object_del(value, "name");
        json_object_clear(body);
        json_add(body, "value", value);
        json_add_text(body, "component", component);
    }
    node_set_text(body, "vhost", r->vhost);
    node_set_text(body, "name", name);
    node_ask_put(r, "parameters", body);
}

static void start_operator_delete(struct request *r)
{
    node_ask_remove(r, "parameters", request_segment(r, 3), r->vhost, component);
}

enum { SEE = VIEW_MANAGEMENT, MAKE = VIEW_POLICYMAKER, ADMIN = VIEW_ADMINISTRATOR, V = VIEW_VHOST };

const struct view views_policies[] = {
    {"api/policies", HTTP_GET, SEE, 0, start_list, NULL},
    {"api/policies/x", HTTP_GET, SEE, V, start_list, NULL},
    {"api/policies/x/x", HTTP_GET, SEE, V, start_one, NULL},
    {"api/policies/x/x", HTTP_PUT, MAKE, V, start_put, node_answered},
    {"api/policies/x/x", HTTP_DELETE, MAKE, V, start_delete, node_answered},
    {"api/operator-policies", HTTP_GET, SEE, 0, start_operator_list, NULL},
    {"api/operator-policies/x", HTTP_GET, SEE, V, start_operator_list, NULL},
    {"api/operator-policies/x/x", HTTP_GET, SEE, V, start_operator_one, NULL},
    {"api/operator-policies/x/x", HTTP_PUT, ADMIN, V, start_operator_put, node_answered},
    {"api/operator-policies/x/x", HTTP_DELETE, ADMIN, V, start_operator_delete, node_answered},
    {0},
};
