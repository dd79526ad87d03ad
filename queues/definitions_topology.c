/*
 * definitions_topology.c - exchanges, queues and bindings of definitions.
 */
#include <string.h>

#include "amqp/codec/table.h"
#include "broker/runtime/alloc.h"
#include "queues/definitions_impl.h"

static bool get_bool(const json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}

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
        return definition_refuse(r, "'arguments' cannot be a table");
    d->args_len = bytes.len;
    return 0;
}

int definition_take_thing(struct reader *r, json_t *o, struct definition *d)
{
    bool is_queue = strcmp(r->section, "queues") == 0;
    int error = definition_text(r, o, "name", 1, d->name);

    d->kind = is_queue ? DEFINITION_QUEUE : DEFINITION_EXCHANGE;
    if (error == 0)
        error = definition_text(r, o, "vhost", 1, d->vhost);
    if (error == 0 && !is_queue)
        error = definition_text(r, o, "type", 1, d->type);
    d->durable = get_bool(o, "durable");
    d->auto_delete = get_bool(o, "auto_delete");
    d->internal = get_bool(o, "internal");
    return error < 0 ? error : take_args(r, o, d);
}

int definition_take_binding(struct reader *r, json_t *o, struct definition *d)
{
    const char *kind = json_string_value(json_object_get(o, "destination_type"));
    int error = definition_text(r, o, "vhost", 1, d->vhost);

    d->kind = DEFINITION_BINDING;
    d->to_exchange = kind && strcmp(kind, "exchange") == 0;
    if (error == 0)
        error = definition_text(r, o, "source", 1, d->name);
    if (error == 0)
        error = definition_text(r, o, "destination", 1, d->dest);
    if (error == 0)
        error = definition_text(r, o, "routing_key", 0, d->routing_key);
    return error < 0 ? error : take_args(r, o, d);
}
