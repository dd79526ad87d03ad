/*
 * definitions_topology.c - exchanges, queues and bindings of definitions.
 */
#include <string.h>

#include "broker/runtime/alloc.h"
#include "queues/definitions_impl.h"
#include "queues/table_json.h"

static bool get_bool(const json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}

static int take_args(struct reader *r, const json_t *o, struct definition *d)
{
    json_t *args = json_object_get(o, "arguments");
    ssize_t size;

    if (!json_is_object(args) || json_object_size(args) == 0)
        return 0;
    size = table_of_json(args, NULL, 0);
    if (size < 0)
        return definition_refuse(r, "'arguments' cannot be a table");
    d->args = rt_alloc((size_t)size);
    d->args_len = (size_t)table_of_json(args, d->args, (size_t)size);
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
