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

    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
                     "publish", json_count(s->published),
                     "confirm", json_count(s->confirmed),
                     "deliver", json_count(s->delivered),
                     "deliver_no_ack", json_count(s->delivered_no_ack),
                     "get", json_count(s->got),
                     "deliver_get", json_count(s->delivered + s->delivered_no_ack + s->got),
                     "ack", json_count(s->acked),
                     "redeliver", json_count(s->redelivered));
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

static json_t *identity_json(const struct cell *c, const char *node)
{
    const struct cell_at *at = cell_at(c);
    json_t *ret = json_pack("{s:o, s:o, s:o, s:o, s:s, s:s, s:b, s:b, s:b}",
                            "name", json_text(cell_name(c), c->name_len),
                            "vhost", json_text(cell_vhost(c), c->vhost_len),
                            "type", type_json(c),
                            "arguments", json_ftable(args_of(c)),
                            "node", node,
                            "state", state_name(at->state),
                            "durable", !!(c->flags & CELL_DURABLE),
                            "auto_delete", !!(c->flags & CELL_AUTO_DELETE),
                            "exclusive", !!(c->flags & CELL_EXCLUSIVE));

    if (at->state == CELL_PARKED)
        (void)json_object_set_new(ret, "reason", json_text_str(at->reason)); /* only shown */
    return ret;
}

json_t *queue_json(const struct cell *c, const char *node)
{
    RUNTIME_REGION();
    struct queue_sums s = {0};
    json_t *ret = identity_json(c, node), *counts;

    queue_sums_add(&s, c);
    counts = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
                       "messages", json_count(s.ready + s.unacked),
                       "messages_ready", json_count(s.ready),
                       "messages_unacknowledged", json_count(s.unacked),
                       "message_bytes", json_count(s.ready_bytes + s.unacked_bytes),
                       "message_bytes_ready", json_count(s.ready_bytes),
                       "message_bytes_unacknowledged", json_count(s.unacked_bytes),
                       "consumers", json_count(s.consumers),
                       "message_stats", queue_sums_stats(&s));
    (void)json_object_update(ret, counts); /* both are objects */
    json_decref(counts);
    return ret;
}
