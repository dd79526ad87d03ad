/*
 * Views of parameters, global parameters, and the limits of vhosts and users.
 */
#include <stdio.h>
#include <string.h>

#include "broker/core/access.h"
#include "broker/runtime/region.h"
#include "mgmt/json.h"
#include "mgmt/node_ask.h"
#include "mgmt/views.h"
#include "queues/settings.h"

static const char limits[] = "vhost-limits";

/* Limits of a vhost of which none is left. */
static bool is_ended(const json_t *object)
{
    return json_has_text(object, "component", limits) &&
           json_object_size(json_object_get(object, "value")) == 0;
}

/*
 * Parameters: api/parameters/COMPONENT/VHOST/NAME
 */

static json_t *show(struct request *r, json_t *object)
{
    const struct path *p = &r->path;

    return json_keep(object,
                     !is_ended(object) &&
                         (p->n < 3 || json_has_text(object, "component", p->segment[2].p)) &&
                         (p->n < 4 || json_has_text(object, "vhost", p->segment[3].p)));
}

static void check_access(struct request *r)
{
    const char *vhost = request_segment(r, 3);

    (void)request_segment(r, 2); /* that it is text */
    if (!access_has_vhost(vhost, strlen(vhost)))
        request_fail_not_found(r);
    if (r->m->method == HTTP_GET ? !request_may_see(r, vhost) : !access_may_open(r->user, vhost))
        request_fail(r, 401, "User not authorised to access virtual host");
}

static void start_list(struct request *r)
{
    if (r->path.n > 3)
        check_access(r);
    node_list(r, "parameters", show);
}

static void start_one(struct request *r)
{
    const char *component = request_segment(r, 2), *vhost = request_segment(r, 3);

    check_access(r);
    node_show(r, settings_get("parameters", request_segment(r, 4), vhost, component), show);
}

static void check_component(struct request *r)
{
    if (strcmp(request_segment(r, 2), "operator_policy") == 0 &&
        !request_has_tag(r, VIEW_ADMINISTRATOR))
        request_fail(r, 401, "Not an administrator user");
    check_access(r);
}

/*
 * Those that RabbitMQ knows, with the plugins that come with it; its words. What belongs to plugins
 * is kept and seen, so that who manages it elsewhere can go on, and nothing acts on it. A
 * definitions file's others are kept, too.
 */
static void check_known(struct request *r)
{
    static const char *const plugins[] = {"federation-upstream", "federation-upstream-set",
                                          "shovel"};
    const char *component = request_segment(r, 2);
    char why[400];

    for (size_t i = 0; i < sizeof(plugins) / sizeof(plugins[0]); i++) {
        if (!strcmp(component, plugins[i]))
            return;
    }

    if (!strcmp(component, "policy"))
        request_fail(r, 400, "policies may not be set using this method");
    if (!strcmp(component, "operator_policy") || !strcmp(component, limits))
        return;
    snprintf(why, sizeof(why), "Validation failed\n\ncomponent %.255s not found\n", component);
    request_fail(r, 400, why);
}

static const char *const value_member[] = {"value", NULL};

static void start_put(struct request *r)
{
    json_t *body = node_body(r, value_member);

    check_component(r);
    check_known(r);
    node_set_text(body, "component", request_segment(r, 2));
    node_set_text(body, "vhost", request_segment(r, 3));
    node_set_text(body, "name", request_segment(r, 4));
    node_ask_put(r, "parameters", body);
}

static void start_delete(struct request *r)
{
    check_component(r);
    node_ask_remove(r, "parameters", request_segment(r, 4), request_segment(r, 3),
                    request_segment(r, 2));
}

static json_t *show_global(struct request *r, json_t *object)
{
    (void)r;
    return object;
}

static void start_globals(struct request *r)
{
    node_list(r, "global_parameters", show_global);
}

static void start_global(struct request *r)
{
    node_show(r, settings_get("global_parameters", request_segment(r, 2), "", NULL), show_global);
}

static void start_put_global(struct request *r)
{
    json_t *body = node_body(r, value_member);

    node_set_text(body, "name", request_segment(r, 2));
    node_ask_put(r, "global_parameters", body);
}

static void start_delete_global(struct request *r)
{
    node_ask_remove(r, "global_parameters", request_segment(r, 2), "", NULL);
}

/*
 * Limits of vhosts: the parameter `limits` of their own component
 */

static json_t *show_limits(struct request *r, json_t *object)
{
    json_t *ret = NULL;

    if (json_has_text(object, "component", limits) && !is_ended(object) &&
        (!r->vhost || json_has_text(object, "vhost", r->vhost))) {
        ret = json_object();
        json_add(ret, "vhost", json_incref(json_object_get(object, "vhost")));
        json_add(ret, "value", json_incref(json_object_get(object, "value")));
    }
    json_decref(object);
    return ret;
}

static void start_limits(struct request *r)
{
    node_list(r, "parameters", show_limits);
}

/* {"value": N} becomes {NAME: N}; without a value, null, which ends the limit. */
static json_t *limit_of(const char *name, const json_t *body)
{
    json_t *ret = json_object(), *value = json_object_get(body, "value");

    json_add(ret, name, value ? json_incref(value) : json_null());
    return ret;
}

static void check_limit(struct request *r, const char *const *names)
{
    const char *name = request_segment(r, 3);
    char why[400];

    while (*names && strcmp(*names, name) != 0)
        names++;
    snprintf(why, sizeof(why), "Unrecognised terms '%.255s' in limits", name);
    if (!*names)
        request_fail(r, 400, why);
    snprintf(why, sizeof(why), "%s should be a number", name);
    if (r->m->method == HTTP_PUT &&
        !json_is_integer(json_object_get(node_body(r, value_member), "value")))
        request_fail(r, 400, why);
}

static void put_vhost_limit(struct request *r)
{
    static const char *const names[] = {"max-connections", "max-queues", NULL};
    json_t *body = node_body(r, NULL);
    const char *vhost = request_segment(r, 2), *name = request_segment(r, 3);

    if (!access_has_vhost(vhost, strlen(vhost)))
        request_fail_not_found(r);
    check_limit(r, names);
    {
        RUNTIME_REGION();
        json_t *value = limit_of(name, body);

        json_object_clear(body);
        json_add(body, "value", value);
        json_add_text(body, "component", limits);
        json_add_text(body, "vhost", vhost);
        json_add_text(body, "name", "limits");
    }
    node_ask_put(r, "parameters", body);
}

/*
 * Limits of users: members of the user
 */

static json_t *show_user_limits(struct request *r, json_t *object)
{
    json_t *own = json_object_get(object, "limits"), *ret = NULL;
    bool is_wanted = r->path.n < 3 || json_has_text(object, "name", r->path.segment[2].p);
    bool may_see = request_has_tag(r, VIEW_ADMINISTRATOR) || json_has_text(object, "name", r->user);

    if (is_wanted && may_see && json_object_size(own) > 0) {
        ret = json_object();
        json_add(ret, "user", json_incref(json_object_get(object, "name")));
        json_add(ret, "value", json_incref(own));
    }
    json_decref(object);
    return ret;
}

static void start_user_limits(struct request *r)
{
    if (r->path.n > 2 && !settings_get("users", request_segment(r, 2), NULL, NULL))
        request_fail_not_found(r);
    node_list(r, "users", show_user_limits);
}

static void put_user_limit(struct request *r)
{
    static const char *const names[] = {"max-connections", "max-channels", NULL};
    json_t *body = node_body(r, NULL);
    const char *user = request_segment(r, 2), *name = request_segment(r, 3);

    if (!settings_get("users", user, NULL, NULL))
        request_fail(r, r->m->method == HTTP_PUT ? 400 : 404, "no_such_user");
    check_limit(r, names);
    {
        RUNTIME_REGION();
        json_t *value = limit_of(name, body);

        json_object_clear(body);
        json_add(body, "limits", value);
        json_add_text(body, "name", user);
    }
    node_ask_put(r, "users", body);
}

/* Limits are never made, they are set: 204. */
static void handle_limit(struct request *r, struct msg *m)
{
    if (node_answer(r, m)->result == NODE_CREATED)
        request_finish_status(r, 204);
    node_answered(r, m);
}

enum { SEE = VIEW_MANAGEMENT, MAKE = VIEW_POLICYMAKER, ADMIN = VIEW_ADMINISTRATOR };

const struct view views_parameters[] = {
    {"api/parameters", HTTP_GET, MAKE, 0, start_list, NULL},
    {"api/parameters/x", HTTP_GET, MAKE, 0, start_list, NULL},
    {"api/parameters/x/x", HTTP_GET, MAKE, 0, start_list, NULL},
    {"api/parameters/x/x/x", HTTP_GET, MAKE, 0, start_one, NULL},
    {"api/parameters/x/x/x", HTTP_PUT, MAKE, 0, start_put, node_answered},
    {"api/parameters/x/x/x", HTTP_DELETE, MAKE, 0, start_delete, node_answered},
    {"api/global-parameters", HTTP_GET, MAKE, 0, start_globals, NULL},
    {"api/global-parameters/x", HTTP_GET, MAKE, 0, start_global, NULL},
    {"api/global-parameters/x", HTTP_PUT, MAKE, 0, start_put_global, node_answered},
    {"api/global-parameters/x", HTTP_DELETE, MAKE, 0, start_delete_global, node_answered},
    {"api/vhost-limits", HTTP_GET, SEE, 0, start_limits, NULL},
    {"api/vhost-limits/x", HTTP_GET, SEE, VIEW_VHOST, start_limits, NULL},
    {"api/vhost-limits/x/x", HTTP_PUT, ADMIN, 0, put_vhost_limit, handle_limit},
    {"api/vhost-limits/x/x", HTTP_DELETE, ADMIN, 0, put_vhost_limit, handle_limit},
    {"api/user-limits", HTTP_GET, SEE, 0, start_user_limits, NULL},
    {"api/user-limits/x", HTTP_GET, SEE, 0, start_user_limits, NULL},
    {"api/user-limits/x/x", HTTP_PUT, ADMIN, 0, put_user_limit, handle_limit},
    {"api/user-limits/x/x", HTTP_DELETE, ADMIN, 0, put_user_limit, handle_limit},
    {0},
};
