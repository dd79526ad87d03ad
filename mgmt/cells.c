/*
 * Queues as the API shows them, read from their cells.
 */
#include "mgmt/cells.h"

#include "amqp/codec/table.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/region.h"
#include "broker/runtime/table.h"
#include "mgmt/json.h"
#include "queues/route.h"

void cells_fini(struct cells *c)
{
    for (size_t i = 0; i < c->n; i++)
        cell_unref(c->cell[i]);
    rt_free(c->cell);
    *c = (struct cells){0};
}

static int add_cell(void *ctx, const void *key, size_t len, void *value)
{
    struct cells *c = ctx;
    struct cell *cell = value;

    (void)key;
    (void)len;
    if (cell_at(cell)->state == CELL_DELETED)
        return 0;
    if (c->n == c->size) {
        c->size = c->size ? 2 * c->size : 64;
        c->cell = rt_realloc(c->cell, c->size * sizeof(struct cell *));
    }
    c->cell[c->n++] = cell_ref(cell);
    return 0;
}

void cells_add_queues(struct cells *c, const char *vhost)
{
    struct vhost_tables tables;

    vhost_tables_open(vhost, &tables);
    (void)table_each(tables.queues, add_cell, c); /* add_cell never stops it */
}

struct vhost_call {
    void (*fn)(void *ctx, const char *vhost);
    void *ctx;
};

static int call_vhost(void *ctx, const void *key, size_t len, void *value)
{
    const struct vhost_call *call = ctx;
    char name[256];

    (void)value;
    if (len >= sizeof(name))
        return 0;
    memcpy(name, key, len);
    name[len] = '\0';
    call->fn(call->ctx, name);
    return 0;
}

void cells_each_vhost(void (*fn)(void *ctx, const char *vhost), void *ctx)
{
    struct vhost_call call = {fn, ctx};

    /* The table that access fills. */
    (void)table_each(table_open("access/vhosts", NULL), call_vhost, &call); /* never stopped */
}

static uint64_t read_slot(const _Atomic uint64_t *slot)
{
    return atomic_load_explicit(slot, memory_order_relaxed);
}

void queue_sums_add(struct queue_sums *s, const struct cell *c)
{
    const struct cell_stats *from = &c->stats;

    s->ready += read_slot(&from->ready);
    s->unacked += read_slot(&from->unacked);
    s->consumers += read_slot(&from->consumers);
    s->ready_bytes += read_slot(&from->ready_bytes);
    s->unacked_bytes += read_slot(&from->unacked_bytes);
    s->published += read_slot(&from->published);
    s->confirmed += read_slot(&from->confirmed);
    s->delivered += read_slot(&from->delivered);
    s->delivered_no_ack += read_slot(&from->delivered_no_ack);
    s->got += read_slot(&from->got);
    s->acked += read_slot(&from->acked);
    s->redelivered += read_slot(&from->redelivered);
}

json_t *queue_sums_stats(const struct queue_sums *s)
{
    RUNTIME_REGION();
    json_t *ret = json_object();

    json_add_count(ret, "publish", s->published);
    json_add_count(ret, "confirm", s->confirmed);
    json_add_count(ret, "deliver", s->delivered);
    json_add_count(ret, "deliver_no_ack", s->delivered_no_ack);
    json_add_count(ret, "get", s->got);
    json_add_count(ret, "deliver_get", s->delivered + s->delivered_no_ack + s->got);
    json_add_count(ret, "ack", s->acked);
    json_add_count(ret, "redeliver", s->redelivered);
    return ret;
}

static const char *state_name(enum cell_state state)
{
    switch (state) {
    case CELL_UP:
        return "running";
    case CELL_PARKED:
        return "down";
    default:
        return "restarting";
    }
}

static struct amqp_bytes args_of(const struct cell *c)
{
    return c->args ? amqp_bytes(blob_bytes(c->args), blob_size(c->args)) : amqp_bytes(NULL, 0);
}

static json_t *type_json(const struct cell *c)
{
    struct amqp_bytes type;

    if (ftable_get_string(args_of(c), "x-queue-type", &type) == 1)
        return json_text(type.p, type.len);
    return json_text_str("classic");
}

static void add_identity(json_t *to, const struct cell *c, const char *node)
{
    const struct cell_at *at = cell_at(c);

    json_add(to, "name", json_text(cell_name(c), c->name_len));
    json_add(to, "vhost", json_text(cell_vhost(c), c->vhost_len));
    json_add(to, "type", type_json(c));
    json_add(to, "arguments", json_ftable(args_of(c)));
    json_add_text(to, "node", node);
    json_add_text(to, "state", state_name(at->state));
    if (at->state == CELL_PARKED)
        json_add_text(to, "reason", at->reason);
    json_add_bool(to, "durable", c->flags & CELL_DURABLE);
    json_add_bool(to, "auto_delete", c->flags & CELL_AUTO_DELETE);
    json_add_bool(to, "exclusive", c->flags & CELL_EXCLUSIVE);
}

json_t *queue_json(const struct cell *c, const char *node)
{
    RUNTIME_REGION();
    struct queue_sums s = {0};
    json_t *ret = json_object();

    queue_sums_add(&s, c);
    add_identity(ret, c, node);
    json_add_count(ret, "messages", s.ready + s.unacked);
    json_add_count(ret, "messages_ready", s.ready);
    json_add_count(ret, "messages_unacknowledged", s.unacked);
    json_add_count(ret, "message_bytes", s.ready_bytes + s.unacked_bytes);
    json_add_count(ret, "message_bytes_ready", s.ready_bytes);
    json_add_count(ret, "message_bytes_unacknowledged", s.unacked_bytes);
    json_add_count(ret, "consumers", s.consumers);
    json_add(ret, "message_stats", queue_sums_stats(&s));
    return ret;
}
