/*
 * Views of vhosts: all, one; making, changing and deleting them; their protection from deletion.
 *
 * Who makes one may do everything in it, as RabbitMQ has it.
 */
#include <string.h>

#include "broker/runtime/region.h"
#include "mgmt/cells.h"
#include "mgmt/json.h"
#include "mgmt/list.h"
#include "mgmt/node_ask.h"
#include "mgmt/sampled.h"
#include "mgmt/views.h"
#include "queues/settings.h"
#include "queues/vhost_state.h"

/* A member of the vhost, or of its metadata. */
static json_t *member(const json_t *vhost, const char *key)
{
    json_t *own = json_object_get(vhost, key);

    return own ? own : json_object_get(json_object_get(vhost, "metadata"), key);
}

static json_t *tags_of(const json_t *vhost)
{
    const json_t *tags = member(vhost, "tags");
    const char *text = json_string_value(tags);
    json_t *ret = json_array();

    if (json_is_array(tags))
        json_array_extend(ret, (json_t *)(uintptr_t)tags);
    while (text && *text) {
        size_t len = strcspn(text, ",");

        json_array_append_new(ret, json_stringn(text, len));
        text += len + (text[len] == ',');
    }
    return ret;
}

static json_t *vhost_json(struct request *r, json_t *object)
{
    const char *name = json_string_value(json_object_get(object, "name"));
    const char *type = json_string_value(member(object, "default_queue_type"));
    const char *description = json_string_value(member(object, "description"));
    json_t *tags = tags_of(object), *metadata = json_object(), *ret = json_object();
    json_t *state = json_object();
    bool is_protected = json_is_true(member(object, "protected_from_deletion"));

    json_add_text(metadata, "description", description ? description : "");
    json_add(metadata, "tags", json_incref(tags));
    if (type)
        json_add_text(metadata, "default_queue_type", type);
    json_add_text(state, r->node, vhost_down_reason(name) ? "stopped" : "running");
    json_add_text(ret, "name", name);
    json_add_text(ret, "description", description ? description : "");
    json_add(ret, "tags", tags);
    json_add_text(ret, "default_queue_type", type ? type : "undefined");
    json_add_bool(ret, "protected_from_deletion", is_protected);
    json_add(ret, "metadata", metadata);
    json_add_bool(ret, "tracing", json_is_true(json_object_get(object, "tracing")));
    json_add(ret, "cluster_state", state);
    if (list_wants_stats(r))
        sampled_add_vhost(ret, name, &r->ranges);
    json_decref(object);
    return ret;
}

static json_t *show(struct request *r, json_t *object)
{
    const char *name = json_string_value(json_object_get(object, "name"));

    if (request_may_see(r, name))
        return vhost_json(r, object);
    json_decref(object);
    return NULL;
}

static void start_all(struct request *r)
{
    node_list(r, "vhosts", show);
}

static void start_one(struct request *r)
{
    node_show(r, settings_get("vhosts", r->vhost, NULL, NULL), vhost_json);
}

static void check_types(struct request *r, const json_t *body)
{
    const json_t *tags = json_object_get(body, "tags");

    (void)request_body_text(r, "description"); /* that it is one */
    (void)request_body_bool(r, "tracing", false);
    (void)request_body_bool(r, "protected_from_deletion", false);
    if (tags && !json_is_array(tags) && !json_is_string(tags))
        request_fail(r, 400, "'tags' in the body is neither a list nor a text");
}

static void start_put(struct request *r)
{
    json_t *body = node_body(r, NULL);
    const char *name = request_segment(r, 2);

    check_types(r, body);
    if (!r->m->again.status)
        r->m->again.status = settings_get("vhosts", name, NULL, NULL) ? 204 : 201;
    node_set_text(body, "name", name);
    node_ask_put(r, "vhosts", body);
}

enum { IS_MADE = 1 }; /* request.at: the permission is under way */

static json_t *full_permission(const struct request *r, const char *vhost)
{
    RUNTIME_REGION();
    json_t *ret = json_object();

    json_add_text(ret, "user", r->user);
    json_add_text(ret, "vhost", vhost);
    json_add_text(ret, "configure", ".*");
    json_add_text(ret, "write", ".*");
    json_add_text(ret, "read", ".*");
    return ret;
}

/* By this request, whose answer from node was lost: it has begun anew (again.h). */
static bool was_made_before(const struct request *r, const struct msg_node_changed *done)
{
    return done->result == NODE_UPDATED && r->m->again.may_have_acted && r->m->again.status == 201;
}

/* The vhost first, then its maker's permission; what is answered is what became of the vhost. */
static void handle_put(struct request *r, struct msg *m)
{
    const struct msg_node_changed *done = node_answer(r, m);
    json_t *permission;

    if (r->at == IS_MADE)
        request_finish_status(r, 201);
    if (done->result != NODE_CREATED && !was_made_before(r, done)) {
        node_answered(r, m);
        return;
    }
    r->at = IS_MADE;
    r->m->again.may_have_acted = true; /* should node end before the permission is there */
    permission = full_permission(r, request_segment(r, 2));
    node_ask_put(r, "permissions", permission);
    json_decref(permission);
}

static void start_delete(struct request *r)
{
    node_ask_remove(r, "vhosts", request_segment(r, 2), NULL, NULL);
}

static void set_protection(struct request *r, bool on)
{
    const char *name = request_segment(r, 2);
    json_t *body = node_body(r, NULL);

    if (!settings_get("vhosts", name, NULL, NULL))
        request_fail_not_found(r);
    {
        RUNTIME_REGION();

        json_object_clear(body);
        json_add_text(body, "name", name);
        json_add_bool(body, "protected_from_deletion", on);
    }
    node_ask_put(r, "vhosts", body);
}

static void start_protect(struct request *r)
{
    set_protection(r, true);
}

static void start_unprotect(struct request *r)
{
    set_protection(r, false);
}

/* One that is down is tried again by itself, again and again. */
static void start_start(struct request *r)
{
    const char *name = request_segment(r, 2), *why;

    if (!settings_get("vhosts", name, NULL, NULL))
        request_fail_not_found(r);
    why = vhost_down_reason(name);
    if (why)
        request_fail(r, 503, why);
    request_finish_status(r, 204);
}

enum { ADMIN = VIEW_ADMINISTRATOR };

const struct view views_vhosts[] = {
    {"api/vhosts", HTTP_GET, VIEW_MANAGEMENT, 0, start_all, NULL},
    {"api/vhosts/x", HTTP_GET, VIEW_MANAGEMENT, VIEW_VHOST, start_one, NULL},
    {"api/vhosts/x", HTTP_PUT, ADMIN, 0, start_put, handle_put},
    {"api/vhosts/x", HTTP_DELETE, ADMIN, 0, start_delete, node_answered},
    {"api/vhosts/x/start/x", HTTP_POST, ADMIN, 0, start_start, NULL},
    {"api/vhosts/x/deletion/protection", HTTP_POST, ADMIN, 0, start_protect, node_answered},
    {"api/vhosts/x/deletion/protection", HTTP_DELETE, ADMIN, 0, start_unprotect, node_answered},
    {0},
};
