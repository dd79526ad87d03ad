#include "mgmt/definitions_json.h"

#include "broker/runtime/blob.h"
#include "mgmt/json.h"
#include "queues/cell.h"
#include "queues/registry_args.h"

bool definitions_has(const struct cell *c)
{
    return !(c->flags & (CELL_EXCLUSIVE | CELL_PREDECLARED)) && c->name_len > 0 &&
           cell_at(c)->state != CELL_DELETED;
}

static json_t *args_json(const struct blob *args)
{
    return json_ftable(args ? amqp_bytes(blob_bytes(args), blob_size(args)) : amqp_bytes(NULL, 0));
}

json_t *definitions_cell_json(const struct cell *c, bool with_vhost)
{
    json_t *ret = json_object();

    json_add(ret, "name", json_text(cell_name(c), c->name_len));
    if (with_vhost)
        json_add(ret, "vhost", json_text(cell_vhost(c), c->vhost_len));
    if (c->kind == CELL_EXCHANGE)
        json_add_text(ret, "type", exchange_type_name(c->type));
    json_add_bool(ret, "durable", c->flags & CELL_DURABLE);
    json_add_bool(ret, "auto_delete", c->flags & CELL_AUTO_DELETE);
    if (c->kind == CELL_EXCHANGE)
        json_add_bool(ret, "internal", c->flags & CELL_INTERNAL);
    json_add(ret, "arguments", args_json(c->args));
    return ret;
}

json_t *definitions_binding_json(const struct cell *source, const struct binding *b,
                                 bool with_vhost)
{
    json_t *ret = json_object();

    json_add(ret, "source", json_text(cell_name(source), source->name_len));
    if (with_vhost)
        json_add(ret, "vhost", json_text(cell_vhost(source), source->vhost_len));
    json_add(ret, "destination", json_text(cell_name(b->dest), b->dest->name_len));
    json_add_text(ret, "destination_type", b->dest->kind == CELL_QUEUE ? "queue" : "exchange");
    json_add(ret, "routing_key",
             b->key ? json_text(blob_bytes(b->key), blob_size(b->key)) : json_text("", 0));
    json_add(ret, "arguments", args_json(b->args));
    return ret;
}
