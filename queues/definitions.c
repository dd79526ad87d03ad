/*
 * definitions.c - from JSON to what it means. All of it runs as RUNTIME, because of jansson:
 * nothing here may end a process.
 */
#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "broker/core/access_pattern.h"
#include "broker/core/config.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/region.h"
#include "queues/definitions_impl.h"
#include "queues/policy_keys.h"

enum { LEFT_OUT_LEN = 40 }; /* room for how many have none */

int definition_refuse(struct reader *r, const char *fmt, ...)
{
    char one[600], *p = one;
    size_t len, room = r->size - r->len;
    va_list args;

    if (!r->is_one)
        p += snprintf(one, 100, "%s%s, number %zu: ", r->len ? "; " : "", r->section, r->at + 1);
    va_start(args, fmt);
    vsnprintf(p, (size_t)(one + sizeof(one) - p), fmt, args);
    va_end(args);
    len = strlen(one);
    if (r->len == 0 || len + LEFT_OUT_LEN < room) {
        snprintf(r->text + r->len, room, "%s", one);
        r->len += strlen(r->text + r->len);
    } else {
        r->n_left_out++;
    }
    return -EINVAL;
}

int definition_text(struct reader *r, const json_t *o, const char *key, size_t least, char *ret)
{
    const json_t *v = json_object_get(o, key);
    size_t len = json_string_length(v);

    if (!json_is_string(v) || len < least || len > 255 || strlen(json_string_value(v)) != len)
        return definition_refuse(r, "'%s' is no text of %zu to 255 bytes", key, least);
    memcpy(ret, json_string_value(v), len + 1);
    return 0;
}

void definition_merge_limits(json_t *to, const json_t *was)
{
    const char *key;
    json_t *v;
    void *next;

    if (!json_is_object(to))
        return;
    json_object_foreach((json_t *)was, key, v)
        if (!json_object_get(to, key))
            json_object_set(to, key, v);
    json_object_foreach_safe(to, next, key, v) if (json_is_null(v)) json_object_del(to, key);
}

/* A member that the object does not have stays as it is stored. */
static void keep_members(json_t *o, const struct definition *old)
{
    json_t *was = old ? json_loads(old->text, 0, NULL) : NULL, *v;
    const char *key;

    json_object_foreach(was, key, v)
        if (!json_object_get(o, key))
            json_object_set(o, key, v);
    json_decref(was);
}

/* An export may name a type that queues cannot have here: it means nothing then. */
static int take_queue_type(struct reader *r, const json_t *o, struct definition *d)
{
    static const char key[] = "default_queue_type";
    const json_t *v = json_object_get(o, key);
    const char *type =
        json_string_value(v ? v : json_object_get(json_object_get(o, "metadata"), key));

    if (type && (strcmp(type, "classic") == 0 || strcmp(type, "quorum") == 0))
        strcpy(d->fact.queue_type, type);
    else if (r->is_one && v && !json_is_null(v) && (!type || (*type && strcmp(type, "undefined"))))
        return definition_refuse(r, "default_queue_type is none of classic, quorum");
    return 0;
}

static int take_vhost(struct reader *r, json_t *o, struct definition *d)
{
    int error = definition_text(r, o, "name", 1, d->fact.vhost);

    d->fact.kind = ACCESS_FACT_VHOST;
    if (error < 0)
        return error;
    d->key = definition_key_of(d->fact.vhost, NULL, NULL);
    if (!r->is_stored) {
        json_object_del(o, DEFINITION_GONE_MARK);
        keep_members(o, definitions_find(r->present, r->section, d->key));
    }
    if (json_is_true(json_object_get(o, DEFINITION_GONE_MARK)))
        d->kind = DEFINITION_GONE;
    d->is_protected =
        json_is_true(json_object_get(o, "protected_from_deletion")) ||
        json_is_true(json_object_get(json_object_get(o, "metadata"), "protected_from_deletion"));
    return take_queue_type(r, o, d);
}

static int take_pattern(struct reader *r, const json_t *o, const char *key, char **ret)
{
    const json_t *v = json_object_get(o, key);
    struct pattern *p;
    char why[256];

    if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v))
        return definition_refuse(r, "'%s' is no text", key);
    if (pattern_new(json_string_value(v), &p, why, sizeof(why)) < 0)
        return definition_refuse(r, "'%s': %s", key, why);
    pattern_free(p);
    *ret = rt_alloc(json_string_length(v) + 1);
    strcpy(*ret, json_string_value(v));
    return 0;
}

static int take_permission(struct reader *r, json_t *o, struct definition *d)
{
    bool is_topic = strcmp(r->section, "topic_permissions") == 0;
    int error = definition_text(r, o, "user", 1, d->fact.user);

    d->fact.kind = is_topic ? ACCESS_FACT_TOPIC_PERMISSION : ACCESS_FACT_PERMISSION;
    if (error == 0)
        error = definition_text(r, o, "vhost", 1, d->fact.vhost);
    if (error == 0 && is_topic)
        error = definition_text(r, o, "exchange", 0, d->fact.exchange);
    if (error == 0 && !is_topic)
        error = take_pattern(r, o, "configure", &d->fact.pattern[ACCESS_CONFIGURE]);
    if (error == 0)
        error = take_pattern(r, o, "write", &d->fact.pattern[ACCESS_WRITE]);
    if (error == 0)
        error = take_pattern(r, o, "read", &d->fact.pattern[ACCESS_READ]);
    d->key = definition_key_of(d->fact.user, d->fact.vhost, is_topic ? d->fact.exchange : NULL);
    return error;
}

/* Of the parameters the limits of vhosts mean something. */
static int take_vhost_limits(struct reader *r, json_t *o, struct definition *d)
{
    const struct definition *old = definitions_find(r->present, r->section, d->key);
    json_t *was = old ? json_loads(old->text, 0, NULL) : NULL, *value = json_object_get(o, "value");

    d->kind = DEFINITION_FACT;
    d->fact.kind = ACCESS_FACT_VHOST_LIMITS;
    strcpy(d->fact.vhost, d->vhost);
    if (!r->is_stored)
        definition_merge_limits(value, json_object_get(was, "value"));
    json_decref(was);
    return definition_take_limits(r, value, d->fact.limit);
}

/* What a client puts is checked whole; what an export brings may have keys of elsewhere. */
static int take_policy(struct reader *r, const json_t *o, struct definition *d)
{
    unsigned flags = r->is_one ? 0 : POLICY_ANY_KEYS;
    char why[300];

    if (d->policy == DEFINITION_OPERATOR_POLICY)
        flags |= POLICY_OPERATOR;
    if (!d->vhost[0])
        return definition_refuse(r, "a policy has no vhost");
    if (r->is_stored || policy_check(o, flags, why, sizeof(why)) == 0)
        return 0;
    return definition_refuse(r, "%s", why);
}

/* Policies, parameters: their name, and their vhost where they have one. */
static int take_other(struct reader *r, json_t *o, struct definition *d)
{
    const char *component = json_string_value(json_object_get(o, "component"));
    int error = definition_text(r, o, "name", 1, d->name);

    d->kind = DEFINITION_OTHER;
    if (error == 0 && json_object_get(o, "vhost"))
        error = definition_text(r, o, "vhost", 1, d->vhost);
    if (error < 0)
        return error;
    d->key = definition_key_of(d->name, d->vhost, component);
    if (strcmp(r->section, "parameters") == 0 && component &&
        strcmp(component, "vhost-limits") == 0)
        return take_vhost_limits(r, o, d);
    if (strcmp(r->section, "policies") == 0)
        d->policy = DEFINITION_POLICY;
    else if (strcmp(r->section, "parameters") == 0 && component &&
             strcmp(component, "operator_policy") == 0)
        d->policy = DEFINITION_OPERATOR_POLICY;
    if (d->policy == DEFINITION_NO_POLICY)
        return 0;
    return take_policy(r, d->policy == DEFINITION_POLICY ? o : json_object_get(o, "value"), d);
}

/* In the order in which they are to be made. */
static const struct section {
    const char *name;
    int (*take)(struct reader *r, json_t *o, struct definition *d);
    bool is_stored, has_vhost;
} sections[] = {
    {"vhosts", take_vhost, true, false},
    {"users", definition_take_user, true, false},
    {"permissions", take_permission, true, true},
    {"topic_permissions", take_permission, true, true},
    {"parameters", take_other, true, true},
    {"global_parameters", take_other, true, false},
    {"policies", take_other, true, true},
    {"exchanges", definition_take_thing, false, true},
    {"queues", definition_take_thing, false, true},
    {"bindings", definition_take_binding, false, true},
};
enum { N_SECTIONS = sizeof(sections) / sizeof(sections[0]) };

static void definition_fini(struct definition *d)
{
    for (int i = 0; i < ACCESS_RIGHTS; i++)
        rt_free(d->fact.pattern[i]);
    free(d->key);
    free(d->text);
    rt_free(d->args);
    rt_free(d->why);
}

void definitions_fini(struct definitions *d)
{
    RUNTIME_REGION();

    for (size_t i = 0; i < d->n; i++)
        definition_fini(&d->v[i]);
    rt_free(d->v);
    *d = (struct definitions){0};
}

static struct definition *next_place(struct definitions *d)
{
    if (d->n == d->room) {
        d->room = d->room ? 2 * d->room : 16;
        d->v = rt_realloc(d->v, d->room * sizeof(d->v[0]));
    }
    return memset(&d->v[d->n], 0, sizeof(d->v[0]));
}

static int take(struct reader *r, const struct section *s, json_t *o)
{
    struct definition *d = next_place(r->to);
    int error;

    d->section = s->name;
    if (!json_is_object(o))
        return definition_refuse(r, "no object");
    if (r->vhost && s->has_vhost)
        json_object_set_new(o, "vhost", json_string(r->vhost));
    error = s->take(r, o, d);
    if (error == 0 && s->is_stored)
        d->text = json_dumps(o, JSON_COMPACT);
    if (error < 0)
        definition_fini(d);
    else
        r->to->n++;
    return error;
}

/* All of it is looked at, so that one answer names all that is wrong. */
static int take_all(struct reader *r, json_t *root)
{
    int error = 0;

    for (size_t i = 0; i < N_SECTIONS; i++) {
        json_t *list = json_object_get(root, sections[i].name), *o;

        r->section = sections[i].name;
        if (r->vhost && !sections[i].has_vhost)
            continue;
        json_array_foreach(list, r->at, o)
            if (take(r, &sections[i], o) < 0)
                error = -EINVAL;
        if (list && !json_is_array(list))
            error = definition_refuse(r, "no list");
    }
    if (r->n_left_out)
        snprintf(r->text + r->len, r->size - r->len, "; and %zu more", r->n_left_out);
    return error;
}

/* root is moved. */
static int take_root(struct reader *r, json_t *root, const json_error_t *why,
                     struct definitions *ret)
{
    struct definitions d = {0};
    int error;

    if (!json_is_object(root)) {
        snprintf(r->text, r->size, "line %d: %.100s", root ? 1 : why->line,
                 root ? "no object" : why->text);
        json_decref(root);
        return -EINVAL;
    }
    r->to = &d;
    error = take_all(r, root);
    r->to = NULL;
    json_decref(root);
    if (error < 0) {
        definitions_fini(&d);
        return error;
    }
    definitions_skip_bindings(&d);
    *ret = d;
    return 0;
}

int definitions_read(const char *path, const struct definitions *present, struct definitions *ret,
                     char *ret_text, size_t size)
{
    RUNTIME_REGION();
    struct reader r = {
        .present = present, .skips = config()->definitions_skip, .text = ret_text, .size = size};
    json_error_t why;
    json_t *root;
    FILE *f = fopen(path, "re");
    int error;

    if (!f) {
        error = -errno;
        snprintf(ret_text, size, "%s", strerror(-error));
        return error;
    }
    root = json_loadf(f, 0, &why);
    fclose(f);
    return take_root(&r, root, &why, ret);
}

int definitions_parse(const struct definitions_text *in, const struct definitions *present,
                      struct definitions *ret, char *ret_text, size_t size)
{
    RUNTIME_REGION();
    struct reader r = {
        .present = present, .vhost = in->vhost, .skips = in->skips, .text = ret_text, .size = size};
    json_error_t why;

    return take_root(&r, json_loadb(in->text, in->len, 0, &why), &why, ret);
}

static int add(struct reader *r, const char *section, const char *text, size_t len)
{
    json_error_t why;
    json_t *o;
    int error = -ENOENT;

    snprintf(r->text, r->size, "there is no section '%.64s'", section);
    o = json_loadb(text, len, 0, &why);
    for (size_t i = 0; i < N_SECTIONS; i++) {
        if (!sections[i].is_stored || strcmp(sections[i].name, section))
            continue;
        r->section = sections[i].name;
        error = o ? take(r, &sections[i], o) : definition_refuse(r, "%.100s", why.text);
    }
    json_decref(o);
    return error;
}

int definitions_add(struct definitions *d, const char *section, const char *text, size_t len,
                    char *ret_text, size_t size)
{
    RUNTIME_REGION();
    struct reader r = {.to = d, .is_stored = true, .text = ret_text, .size = size};

    return add(&r, section, text, len);
}

int definitions_parse_one(const char *section, const struct definitions_text *in,
                          const struct definitions *present, struct definitions *ret,
                          char *ret_text, size_t size)
{
    RUNTIME_REGION();
    struct reader r = {
        .to = ret, .present = present, .is_one = true, .text = ret_text, .size = size};

    return add(&r, section, in->text, in->len);
}

const struct definition *definitions_find(const struct definitions *d, const char *section,
                                          const char *key)
{
    for (size_t i = 0; d && i < d->n; i++)
        if (d->v[i].key && strcmp(d->v[i].key, key) == 0 && strcmp(d->v[i].section, section) == 0)
            return &d->v[i];
    return NULL;
}

bool definitions_remove(struct definitions *d, const char *section, const char *key)
{
    RUNTIME_REGION();
    const struct definition *found = definitions_find(d, section, key);
    size_t at = found ? (size_t)(found - d->v) : 0;

    if (!found)
        return false;
    definition_fini(&d->v[at]);
    memmove(&d->v[at], &d->v[at + 1], (d->n - at - 1) * sizeof(d->v[0]));
    d->n--;
    return true;
}

void definitions_move(struct definitions *to, struct definition *d)
{
    RUNTIME_REGION();

    (void)definitions_remove(to, d->section, d->key); /* most are new */
    *next_place(to) = *d;
    to->n++;
    *d = (struct definition){.kind = DEFINITION_NONE};
}

char *definitions_key(const char *a, const char *b, const char *c)
{
    RUNTIME_REGION();

    return definition_key_of(a, b, c);
}

static void add_object(struct definitions *d, const char *section, json_t *o)
{
    char *text = json_dumps(o, 0), why[256];

    (void)definitions_add(d, section, text, strlen(text), why, sizeof(why)); /* it is well formed */
    free(text);
    json_decref(o);
}

static json_t *first_tags(void)
{
    const struct config_names *tags = &config()->default_tags;
    json_t *ret = json_array();

    if (!tags->is_set)
        (void)json_array_append_new(ret, json_string("administrator"));
    for (uint32_t i = 0; i < tags->n; i++) /* as everywhere here: fails only without memory */
        (void)json_array_append_new(ret, json_string(tags->at[i]));
    return ret;
}

static void add_first_user(struct definitions *d, uint32_t salt)
{
    const struct config *c = config();
    char hash[PASSWORD_TEXT_MAX];
    struct password password;
    const char *algorithm;

    password_make_quick(c->default_pass, strlen(c->default_pass), salt, &password);
    algorithm = password_format(&password, hash);
    add_object(d, "users",
               json_pack("{ss ss ss so s{}}", "name", c->default_user, "password_hash", hash,
                         "hashing_algorithm", algorithm, "tags", first_tags(), "limits"));
    add_object(d, "permissions",
               json_pack("{ss ss ss ss ss}", "user", c->default_user, "vhost", c->default_vhost,
                         "configure", c->default_configure, "write", c->default_write, "read",
                         c->default_read));
}

void definitions_add_first(struct definitions *d, const struct definitions_first *what)
{
    RUNTIME_REGION();
    char id[64];

    snprintf(id, sizeof(id), "rabbitmq-cluster-id-%016llx", (unsigned long long)what->random);
    if (what->cluster_id)
        add_object(d, "global_parameters",
                   json_pack("{ss ss}", "name", "internal_cluster_id", "value", id));
    if (what->vhost)
        add_object(d, "vhosts",
                   json_pack("{ss ss s[]}", "name", config()->default_vhost, "description",
                             "Default virtual host", "tags"));
    if (what->user)
        add_first_user(d, (uint32_t)what->random);
}

const char *definitions_section(size_t i)
{
    return i < N_SECTIONS && sections[i].is_stored ? sections[i].name : NULL;
}
