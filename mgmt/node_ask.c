#include "mgmt/node_ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/runtime/blob.h"
#include "broker/runtime/region.h"
#include "mgmt/json.h"
#include "mgmt/list.h"
#include "queues/definitions.h"
#include "queues/settings.h"

enum { KEY_SIZE = 3 * 6 * 256 }; /* three names, each byte of them escaped */

struct removals { /* process memory; a view's state */
    const char *section;
    size_t n, at, room;
    char (*key)[KEY_SIZE];
};

void node_ask(struct request *r, enum node_verb verb, const char *section, const char *text,
              size_t len)
{
    struct msg_node_change *m = node_change_new(verb, text, len);

    snprintf(m->section, sizeof(m->section), "%s", section);
    (void)request_who(r, m->who);
    r->asked = proc_call(proc_whereis("node"), &m->hdr, PROC_NO_TIMEOUT);
}

static char *text_of(const json_t *object)
{
    RUNTIME_REGION();

    return json_dumps(object, JSON_COMPACT);
}

void node_ask_put(struct request *r, const char *section, const json_t *object)
{
    char *text = text_of(object);

    CHECK(text);
    node_ask(r, NODE_PUT, section, text, strlen(text));
    free(text);
}

void node_ask_remove(struct request *r, const char *section, const char *a, const char *b,
                     const char *c)
{
    char *key = definitions_key(a, b, c);

    CHECK(key);
    node_ask(r, NODE_REMOVE, section, key, strlen(key));
    free(key);
}

const struct msg_node_changed *node_answer(struct request *r, struct msg *m)
{
    CHECK(m->ref == r->asked);
    if (m->type != NODE_CHANGED) {
        again_note(r, m);
        again_by_name(r, "node");
        request_fail(r, 503, "the node's own process is being restarted: see what became of it");
    }
    return MSG_OF(struct msg_node_changed, m);
}

static bool has_more_removals(struct request *r)
{
    struct removals *s = r->state;

    if (!s || ++s->at >= s->n)
        return false;
    node_ask(r, NODE_REMOVE, s->section, s->key[s->at], strlen(s->key[s->at]));
    return true;
}

void node_answered(struct request *r, struct msg *m)
{
    const struct msg_node_changed *done = node_answer(r, m);

    switch (done->result) {
    case NODE_CREATED:
        request_finish_status(r, 201);
    case NODE_REMOVED:
        if (has_more_removals(r))
            return;
        request_finish_status(r, 204);
    case NODE_UPDATED:
        request_finish_status(r, 204);
    case NODE_NOT_FOUND:
        request_fail_not_found(r);
    case NODE_PROTECTED:
        request_respond(
            r, http_named_error_new(412, "precondition_failed", "it is protected from deletion"));
    case NODE_REFUSED:
        request_fail(r, 400, done->text);
    case NODE_FAILED:
        request_fail(r, 503, done->text);
    }
}

void node_removal_add(struct request *r, const char *a, const char *b, const char *c)
{
    struct removals *s = r->state;
    char *key = definitions_key(a, b, c);

    if (!s)
        r->state = s = proc_zalloc(sizeof(*s));
    if (s->n == s->room) {
        s->room = s->room ? 2 * s->room : 4;
        s->key = proc_realloc(s->key, s->room * KEY_SIZE);
    }
    CHECK(key);
    snprintf(s->key[s->n++], KEY_SIZE, "%s", key);
    free(key);
}

void node_removals_run(struct request *r, const char *section)
{
    struct removals *s = r->state;

    if (!s)
        request_fail_not_found(r);
    s->section = section;
    node_ask(r, NODE_REMOVE, section, s->key[0], strlen(s->key[0]));
}

json_t *node_body(struct request *r, const char *const *members)
{
    json_t *body = (json_t *)(uintptr_t)request_body(r); /* it is this request's */
    char why[100];

    for (; members && *members; members++) {
        if (json_object_get(body, *members))
            continue;
        snprintf(why, sizeof(why), "[{key_missing,%s}]", *members);
        request_fail(r, 400, why);
    }
    return body;
}

void node_set_text(json_t *object, const char *key, const char *value)
{
    json_add_text(object, key, value);
}

json_t *setting_json(const struct setting *s)
{
    RUNTIME_REGION();

    return s ? json_loadb(s->text, s->len, 0, NULL) : NULL;
}

/* A name, or the user or vhost that a limit or a permission is of. */
static void id_of(const void *item, struct list_id *ret)
{
    const json_t *vhost = json_object_get(item, "vhost");
    const json_t *name = json_object_get(item, "name");

    if (!name)
        name = json_object_get(item, "user");
    *ret = (struct list_id){.vhost = json_string_value(vhost),
                            .name = name ? json_string_value(name) : "",
                            .vhost_len = json_string_length(vhost),
                            .name_len = json_string_length(name)};
}

static json_t *show_item(const struct request *r, const void *item)
{
    (void)r;
    return json_incref((json_t *)(uintptr_t)item);
}

static void unref_item(void *item)
{
    json_decref(item);
}

static const struct list_ops ops = {id_of, show_item, unref_item};

struct listing {
    struct request *r;
    json_t *(*show)(struct request *r, json_t *object);
};

static json_t *shown(const struct listing *l, const struct setting *s)
{
    RUNTIME_REGION();
    json_t *object = setting_json(s);

    return object ? l->show(l->r, object) : NULL;
}

static void add(void *ctx, const struct setting *s)
{
    const struct listing *l = ctx;
    json_t *object = shown(l, s);

    if (object)
        list_add(l->r, object);
}

void node_list(struct request *r, const char *section,
               json_t *(*show)(struct request *r, json_t *object))
{
    struct listing l = {r, show};

    list_begin(r, &ops);
    settings_each(section, add, &l);
    list_run(r);
}

void node_show(struct request *r, const struct setting *s,
               json_t *(*show)(struct request *r, json_t *object))
{
    struct listing l = {r, show};
    json_t *object = shown(&l, s);

    if (!object)
        request_fail_not_found(r);
    request_finish_json(r, object);
}
