/*
 * definitions.c - from JSON to what it means. All of it runs as RUNTIME, because of jansson:
 * nothing here may end a process.
 */
#include "queues/definitions.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "amqp/codec/table.h"
#include "broker/core/access_pattern.h"
#include "broker/core/config.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/region.h"

struct reader {
    struct definitions *to;
    const char *section;
    size_t at; /* number of the object in its section */
    char *text;
    size_t size;
};

__attribute__((format(printf, 2, 3))) static int refuse(struct reader *r, const char *fmt, ...)
{
    int n = snprintf(r->text, r->size, "%s, number %zu: ", r->section, r->at + 1);
    va_list args;

    va_start(args, fmt);
    if (n > 0 && (size_t)n < r->size)
        vsnprintf(r->text + n, r->size - (size_t)n, fmt, args);
    va_end(args);
    return -EINVAL;
}

static int get_text(struct reader *r, const json_t *o, const char *key, size_t least, char *ret)
{
    const json_t *v = json_object_get(o, key);
    size_t len = json_string_length(v);

    if (!json_is_string(v) || len < least || len > 255 || strlen(json_string_value(v)) != len)
        return refuse(r, "'%s' is no text of %zu to 255 bytes", key, least);
    memcpy(ret, json_string_value(v), len + 1);
    return 0;
}

static bool get_bool(const json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}

/* A definition's key: its names as a JSON array, which no name can imitate. */
static char *key_of(const char *a, const char *b, const char *c)
{
    json_t *names = json_array();
    char *text;

    json_array_append_new(names, json_string(a));
    if (b)
        json_array_append_new(names, json_string(b));
    if (c)
        json_array_append_new(names, json_string(c));
    text = json_dumps(names, JSON_COMPACT);
    json_decref(names);
    return text;
}

static int take_tags(struct reader *r, const json_t *v, unsigned *ret)
{
    const char *text = json_string_value(v);
    const json_t *tag;
    size_t i;

    *ret = 0;
    if (!v)
        return 0;
    if (text) { /* older files: separated by commas */
        while (*text) {
            size_t len = strcspn(text, ",");

            *ret |= access_tag_of(text, len);
            text += len + (text[len] == ',');
        }
        return 0;
    }
    if (!json_is_array(v))
        return refuse(r, "'tags' is neither a list nor a text");
    json_array_foreach(v, i, tag)
        if (json_is_string(tag))
            *ret |= access_tag_of(json_string_value(tag), json_string_length(tag));
    return 0;
}

/* A plain password is never kept: the object gets its hash instead. */
static int hash_password(struct reader *r, json_t *o, struct password *ret)
{
    const json_t *plain = json_object_get(o, "password");
    char hash[PASSWORD_TEXT_MAX];
    const char *algorithm;

    if (!json_is_string(plain) || json_string_length(plain) == 0 ||
        password_make(json_string_value(plain), json_string_length(plain), ret) < 0)
        return refuse(r, "'password' cannot be one");
    algorithm = password_format(ret, hash);
    json_object_set_new(o, "password_hash", json_string(hash));
    json_object_set_new(o, "hashing_algorithm", json_string(algorithm));
    json_object_del(o, "password");
    return 0;
}

/* Limits as RabbitMQ writes them: an object of names and numbers, -1 for none. */
static int take_limits(struct reader *r, const json_t *o, struct access_limit *ret)
{
    static const char *const names[] = {[ACCESS_CONNECTIONS] = "max-connections",
                                        [ACCESS_CHANNELS] = "max-channels",
                                        [ACCESS_QUEUES] = "max-queues"};

    for (int i = 0; i < ACCESS_LIMITS; i++) {
        const json_t *v = json_object_get(o, names[i]);

        if (v && !json_is_integer(v))
            return refuse(r, "'%s' is no number", names[i]);
        if (v)
            ret[i] = (struct access_limit){true, json_integer_value(v)};
    }
    return 0;
}

static int take_user(struct reader *r, json_t *o, struct definition *d)
{
    const char *hash = json_string_value(json_object_get(o, "password_hash"));
    const char *algorithm = json_string_value(json_object_get(o, "hashing_algorithm"));
    int error = get_text(r, o, "name", 1, d->fact.user);

    d->fact.kind = ACCESS_FACT_USER;
    if (error == 0)
        error = take_tags(r, json_object_get(o, "tags"), &d->fact.tags);
    if (error == 0)
        error = take_limits(r, json_object_get(o, "limits"), d->fact.limit);
    if (error < 0)
        return error;
    if (json_object_get(o, "password")) {
        error = hash_password(r, o, &d->fact.password);
    } else {
        error = password_parse(algorithm, hash ? hash : "", &d->fact.password);
        if (error == -ENOTSUP)
            error = refuse(r, "hashing algorithm '%.64s' is not accepted", algorithm);
        else if (error < 0)
            error = refuse(r, "'password_hash' is no hash of its algorithm");
    }
    d->key = key_of(d->fact.user, NULL, NULL);
    return error;
}

static int take_vhost(struct reader *r, json_t *o, struct definition *d)
{
    int error = get_text(r, o, "name", 1, d->fact.vhost);

    d->fact.kind = ACCESS_FACT_VHOST;
    d->key = key_of(d->fact.vhost, NULL, NULL);
    return error;
}

static int take_pattern(struct reader *r, const json_t *o, const char *key, char **ret)
{
    const json_t *v = json_object_get(o, key);
    struct pattern *p;
    char why[256];

    if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v))
        return refuse(r, "'%s' is no text", key);
    if (pattern_new(json_string_value(v), &p, why, sizeof(why)) < 0)
        return refuse(r, "'%s': %s", key, why);
    pattern_free(p);
    *ret = rt_alloc(json_string_length(v) + 1);
    strcpy(*ret, json_string_value(v));
    return 0;
}

static int take_permission(struct reader *r, json_t *o, struct definition *d)
{
    bool is_topic = strcmp(r->section, "topic_permissions") == 0;
    int error = get_text(r, o, "user", 1, d->fact.user);

    d->fact.kind = is_topic ? ACCESS_FACT_TOPIC_PERMISSION : ACCESS_FACT_PERMISSION;
    if (error == 0)
        error = get_text(r, o, "vhost", 1, d->fact.vhost);
    if (error == 0 && is_topic)
        error = get_text(r, o, "exchange", 0, d->fact.exchange);
    if (error == 0 && !is_topic)
        error = take_pattern(r, o, "configure", &d->fact.pattern[ACCESS_CONFIGURE]);
    if (error == 0)
        error = take_pattern(r, o, "write", &d->fact.pattern[ACCESS_WRITE]);
    if (error == 0)
        error = take_pattern(r, o, "read", &d->fact.pattern[ACCESS_READ]);
    d->key = key_of(d->fact.user, d->fact.vhost, is_topic ? d->fact.exchange : NULL);
    return error;
}

/* Policies, parameters: their name, and their vhost where they have one. Of the parameters the
 * limits of vhosts mean something. */
static int take_other(struct reader *r, json_t *o, struct definition *d)
{
    const char *vhost = json_string_value(json_object_get(o, "vhost"));
    const char *component = json_string_value(json_object_get(o, "component"));
    char name[256];
    int error = get_text(r, o, "name", 1, name);

    d->kind = DEFINITION_OTHER;
    if (error == 0)
        d->key = key_of(name, vhost ? vhost : "", component);
    if (error < 0 || strcmp(r->section, "parameters") != 0 || !component ||
        strcmp(component, "vhost-limits") != 0)
        return error;
    d->kind = DEFINITION_FACT;
    d->fact.kind = ACCESS_FACT_VHOST_LIMITS;
    error = get_text(r, o, "vhost", 1, d->fact.vhost);
    return error < 0 ? error : take_limits(r, json_object_get(o, "value"), d->fact.limit);
}

/*
 * Topology
 */

static void put_value(struct ftable_builder *b, const char *key, const json_t *v)
{
    const char *name;
    json_t *inner;
    size_t i;

    switch (json_typeof(v)) {
    case JSON_OBJECT:
        ftable_open_table(b, key);
        json_object_foreach((json_t *)v, name, inner)
            put_value(b, name, inner);
        ftable_end(b);
        break;
    case JSON_ARRAY:
        ftable_open_array(b, key);
        json_array_foreach(v, i, inner)
            put_value(b, NULL, inner);
        ftable_end(b);
        break;
    case JSON_STRING:
        ftable_put_bytes(b, key, amqp_bytes(json_string_value(v), json_string_length(v)));
        break;
    case JSON_INTEGER:
        ftable_put_int(b, key, json_integer_value(v));
        break;
    case JSON_REAL:
        ftable_put_double(b, key, json_real_value(v));
        break;
    case JSON_NULL:
        ftable_put_void(b, key);
        break;
    default:
        ftable_put_bool(b, key, json_is_true(v));
        break;
    }
}

static int take_args(struct reader *r, const json_t *o, struct definition *d)
{
    json_t *args = json_object_get(o, "arguments"), *v;
    struct ftable_builder b;
    struct amqp_bytes bytes;
    const char *key;

    if (!json_is_object(args) || json_object_size(args) == 0)
        return 0;
    for (size_t cap = 0;; cap = b.len) {
        ftable_build(&b, d->args, cap);
        json_object_foreach(args, key, v)
            put_value(&b, key, v);
        if (cap > 0 || b.error || b.len > FTABLE_MAX_SIZE)
            break;
        d->args = rt_alloc(b.len + 1);
    }
    if (b.len > FTABLE_MAX_SIZE || ftable_finish(&b, &bytes) < 0)
        return refuse(r, "'arguments' cannot be a table");
    d->args_len = bytes.len;
    return 0;
}

static int take_thing(struct reader *r, json_t *o, struct definition *d)
{
    bool is_queue = strcmp(r->section, "queues") == 0;
    int error = get_text(r, o, "name", 1, d->name);

    d->kind = is_queue ? DEFINITION_QUEUE : DEFINITION_EXCHANGE;
    if (error == 0)
        error = get_text(r, o, "vhost", 1, d->vhost);
    if (error == 0 && !is_queue)
        error = get_text(r, o, "type", 1, d->type);
    d->durable = get_bool(o, "durable");
    d->auto_delete = get_bool(o, "auto_delete");
    d->internal = get_bool(o, "internal");
    return error < 0 ? error : take_args(r, o, d);
}

static int take_binding(struct reader *r, json_t *o, struct definition *d)
{
    const char *kind = json_string_value(json_object_get(o, "destination_type"));
    int error = get_text(r, o, "vhost", 1, d->vhost);

    d->kind = DEFINITION_BINDING;
    d->to_exchange = kind && strcmp(kind, "exchange") == 0;
    if (error == 0)
        error = get_text(r, o, "source", 1, d->name);
    if (error == 0)
        error = get_text(r, o, "destination", 1, d->dest);
    if (error == 0)
        error = get_text(r, o, "routing_key", 0, d->routing_key);
    return error < 0 ? error : take_args(r, o, d);
}

/* In the order in which they are to be made. */
static const struct section {
    const char *name;
    int (*take)(struct reader *r, json_t *o, struct definition *d);
    bool is_stored;
} sections[] = {
    {"vhosts", take_vhost, true},           {"users", take_user, true},
    {"permissions", take_permission, true}, {"topic_permissions", take_permission, true},
    {"parameters", take_other, true},       {"global_parameters", take_other, true},
    {"policies", take_other, true},         {"exchanges", take_thing, false},
    {"queues", take_thing, false},          {"bindings", take_binding, false},
};
enum { N_SECTIONS = sizeof(sections) / sizeof(sections[0]) };

static void definition_fini(struct definition *d)
{
    for (int i = 0; i < ACCESS_RIGHTS; i++)
        rt_free(d->fact.pattern[i]);
    free(d->key);
    free(d->text);
    rt_free(d->args);
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
        return refuse(r, "no object");
    error = s->take(r, o, d);
    if (error == 0 && s->is_stored)
        d->text = json_dumps(o, JSON_COMPACT);
    if (error < 0)
        definition_fini(d);
    else
        r->to->n++;
    return error;
}

static int take_all(struct reader *r, json_t *root)
{
    for (size_t i = 0; i < N_SECTIONS; i++) {
        json_t *list = json_object_get(root, sections[i].name), *o;
        int error = 0;

        r->section = sections[i].name;
        json_array_foreach(list, r->at, o) {
            error = take(r, &sections[i], o);
            if (error < 0)
                return error;
        }
        if (list && !json_is_array(list))
            return refuse(r, "no list");
    }
    return 0;
}

int definitions_read(const char *path, struct definitions *ret, char *ret_text, size_t size)
{
    RUNTIME_REGION();
    struct definitions d = {0};
    struct reader r = {.to = &d, .text = ret_text, .size = size};
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
    if (!json_is_object(root)) {
        snprintf(ret_text, size, "line %d: %.100s", root ? 1 : why.line,
                 root ? "no object" : why.text);
        json_decref(root);
        return -EINVAL;
    }
    error = take_all(&r, root);
    json_decref(root);
    if (error < 0)
        definitions_fini(&d);
    else
        *ret = d;
    return error;
}

int definitions_add(struct definitions *d, const char *section, const char *text, size_t len,
                    char *ret_text, size_t size)
{
    RUNTIME_REGION();
    struct reader r = {.to = d, .text = ret_text, .size = size};
    json_error_t why;
    json_t *o;
    int error = -ENOENT;

    snprintf(ret_text, size, "there is no section '%.64s'", section);
    o = json_loadb(text, len, 0, &why);
    for (size_t i = 0; i < N_SECTIONS; i++) {
        if (!sections[i].is_stored || strcmp(sections[i].name, section))
            continue;
        r.section = sections[i].name;
        error = o ? take(&r, &sections[i], o) : refuse(&r, "%.100s", why.text);
    }
    json_decref(o);
    return error;
}

static void add_object(struct definitions *d, const char *section, json_t *o)
{
    char *text = json_dumps(o, 0), why[256];

    (void)definitions_add(d, section, text, strlen(text), why, sizeof(why)); /* it is well formed */
    free(text);
    json_decref(o);
}

void definitions_add_default(struct definitions *d, bool vhost, bool user, uint32_t salt)
{
    RUNTIME_REGION();
    const struct config *c = config();
    char hash[PASSWORD_TEXT_MAX];
    struct password password;
    const char *algorithm;

    if (vhost)
        add_object(d, "vhosts", json_pack("{ss}", "name", c->default_vhost));
    if (!user)
        return;
    password_make_quick(c->default_pass, strlen(c->default_pass), salt, &password);
    algorithm = password_format(&password, hash);
    add_object(d, "users",
               json_pack("{ss ss ss s[s]}", "name", c->default_user, "password_hash", hash,
                         "hashing_algorithm", algorithm, "tags", "administrator"));
    add_object(d, "permissions",
               json_pack("{ss ss ss ss ss}", "user", c->default_user, "vhost", c->default_vhost,
                         "configure", ".*", "write", ".*", "read", ".*"));
}
