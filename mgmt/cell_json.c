/*
 * Queues, exchanges and bindings as the API shows them, read from their cells.
 */
#include "mgmt/cell_json.h"

#include <ctype.h>
#include <stdio.h>

#include "amqp/codec/table.h"
#include "broker/core/stats.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/region.h"
#include "mgmt/json.h"
#include "mgmt/request.h"
#include "mgmt/sampled.h"
#include "queues/capacity.h"
#include "queues/cell.h"
#include "queues/policies.h"
#include "queues/registry_args.h"
#include "queues/registry_hash.h"

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

static struct amqp_bytes bytes_of(const struct blob *b)
{
    return b ? amqp_bytes(blob_bytes(b), blob_size(b)) : amqp_bytes(NULL, 0);
}

static json_t *type_json(const struct cell *c)
{
    struct amqp_bytes type;

    if (ftable_get_string(bytes_of(c->args), "x-queue-type", &type) == 1)
        return json_text(type.p, type.len);
    return json_text_str("classic");
}

static void add_identity(json_t *to, const struct cell *c)
{
    json_add(to, "name", json_text(cell_name(c), c->name_len));
    json_add(to, "vhost", json_text(cell_vhost(c), c->vhost_len));
    json_add(to, "arguments", json_ftable(bytes_of(c->args)));
    json_add_bool(to, "durable", c->flags & CELL_DURABLE);
    json_add_bool(to, "auto_delete", c->flags & CELL_AUTO_DELETE);
}

/* As RabbitMQ shows them: null for no policy, and what stands by both together. */
static void add_policy(json_t *to, const struct cell *c)
{
    const struct cell_policy *p = cell_policy(c);

    json_add_text(to, "policy", p && p->name[0] ? p->name : NULL);
    if (c->kind == CELL_EXCHANGE)
        return;
    json_add_text(to, "operator_policy", p && p->operator_name[0] ? p->operator_name : NULL);
    json_add(to, "effective_policy_definition", json_ftable(cell_policy_table(c)));
}

static void add_queue(json_t *to, const struct cell *c, const char *node)
{
    const struct cell_at *at = cell_at(c);

    add_identity(to, c);
    json_add(to, "type", type_json(c));
    json_add_text(to, "node", node);
    json_add_text(to, "state", state_name(at->state));
    if (at->state == CELL_PARKED)
        json_add_text(to, "reason", at->reason);
    json_add_bool(to, "exclusive", c->flags & CELL_EXCLUSIVE);
    add_policy(to, c);
}

/* What is not in memory is on disk. */
static void add_memory(json_t *to, const struct cell_stats *s)
{
    uint64_t n = stat_get(&s->ready) + stat_get(&s->unacked);
    uint64_t bytes = stat_get(&s->ready_bytes) + stat_get(&s->unacked_bytes);
    uint64_t ready = stat_get(&s->ready_here), unacked = stat_get(&s->unacked_here);
    uint64_t here = stat_get(&s->here_bytes);

    json_add_count(to, "messages_ram", ready + unacked);
    json_add_count(to, "messages_ready_ram", ready);
    json_add_count(to, "messages_unacknowledged_ram", unacked);
    json_add_count(to, "messages_paged_out", n > ready + unacked ? n - ready - unacked : 0);
    json_add_count(to, "message_bytes_ram", here);
    json_add_count(to, "message_bytes_paged_out", bytes > here ? bytes - here : 0);
    json_add_count(to, "memory", stat_get(&s->memory));
}

static void add_sizes(json_t *to, const struct cell_stats *s)
{
    uint64_t ready = stat_get(&s->ready_bytes), unacked = stat_get(&s->unacked_bytes);

    json_add_count(to, "message_bytes", ready + unacked);
    json_add_count(to, "message_bytes_ready", ready);
    json_add_count(to, "message_bytes_unacknowledged", unacked);
    json_add_count(to, "messages_persistent", stat_get(&s->lasting));
    json_add_count(to, "message_bytes_persistent", stat_get(&s->lasting_bytes));
    if (stat_get(&s->head_timestamp))
        json_add_count(to, "head_message_timestamp", stat_get(&s->head_timestamp));
    else
        json_add(to, "head_message_timestamp", json_null());
}

double queue_capacity(const struct cell_stats *s)
{
    return stat_get(&s->consumers) ? capacity_read(stat_get(&s->capacity), proc_now_us()) : 0;
}

static void add_consumers(json_t *to, const struct cell_stats *s)
{
    const struct cell_tag *tag = atomic_load_explicit(&s->exclusive, memory_order_acquire);

    json_add_count(to, "consumers", stat_get(&s->consumers));
    json_add(to, "consumer_capacity", json_real(queue_capacity(s)));
    json_add(to, "consumer_utilisation", json_real(queue_capacity(s)));
    json_add(to, "exclusive_consumer_tag", tag ? json_text(tag->text, tag->len) : json_null());
    json_add(to, "single_active_consumer_tag", json_null());
}

json_t *queue_json(const struct request *r, const struct cell *c, enum queue_shows shows)
{
    RUNTIME_REGION();
    json_t *ret = json_object();

    add_queue(ret, c, r->node);
    if (shows >= QUEUE_TOTALS)
        sampled_add_lengths(ret, c, shows >= QUEUE_STATS ? &r->ranges : NULL);
    if (shows >= QUEUE_STATS) {
        add_sizes(ret, &c->stats);
        add_memory(ret, &c->stats);
        add_consumers(ret, &c->stats);
        sampled_add_queue(ret, c, &r->ranges);
    }
    return ret;
}

json_t *exchange_json(const struct request *r, const struct cell *c, bool has_stats)
{
    RUNTIME_REGION();
    json_t *ret = json_object();

    add_identity(ret, c);
    json_add_text(ret, "type", exchange_type_name(c->type));
    json_add_bool(ret, "internal", c->flags & CELL_INTERNAL);
    if (cell_policy(c))
        add_policy(ret, c);
    if (c->flags & CELL_PREDECLARED)
        json_add_text(ret, "user_who_performed_action", "rmq-internal");
    if (has_stats)
        sampled_add_exchange(ret, c, &r->ranges);
    return ret;
}

static char *quote(char *at, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (isalnum(p[i]) || p[i] == '.' || p[i] == '-' || p[i] == '_')
            *at++ = (char)p[i];
        else if (p[i] == ' ')
            *at++ = '+';
        else
            at += sprintf(at, "%%%02X", p[i]);
    }
    return at;
}

/* As long as RabbitMQ's, so that it looks familiar; nobody takes it apart. */
static void put_hash(char *at, const struct blob *args)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint64_t hash = registry_hash(0, blob_bytes(args), blob_size(args));

    *at++ = '~';
    for (int i = 0; i < 6; i++, hash >>= 6)
        *at++ = digits[hash & 63];
    *at = '\0';
}

void binding_properties_key(const struct blob *key, const struct blob *args,
                            char out[PROPERTIES_KEY_SIZE])
{
    char *at = out;

    if (key)
        at = quote(at, blob_bytes(key), blob_size(key) < 255 ? blob_size(key) : 255);
    if (args && blob_size(args)) {
        put_hash(at, args);
        return;
    }
    if (at == out)
        *at++ = '~';
    *at = '\0';
}

json_t *binding_json(const struct binding_facts *b)
{
    RUNTIME_REGION();
    char properties_key[PROPERTIES_KEY_SIZE];
    json_t *ret = json_object();
    struct amqp_bytes key = bytes_of(b->key);

    if (!b->source) /* bound by its name */
        key = amqp_bytes(cell_name(b->dest), b->dest->name_len);
    binding_properties_key(b->key, b->args, properties_key);
    json_add(ret, "source",
             b->source ? json_text(cell_name(b->source), b->source->name_len) : json_text("", 0));
    json_add(ret, "vhost", json_text(cell_vhost(b->dest), b->dest->vhost_len));
    json_add(ret, "destination", json_text(cell_name(b->dest), b->dest->name_len));
    json_add_text(ret, "destination_type", b->dest->kind == CELL_QUEUE ? "queue" : "exchange");
    json_add(ret, "routing_key", json_text(key.p, key.len));
    json_add(ret, "arguments", json_ftable(bytes_of(b->args)));
    json_add_text(ret, "properties_key", properties_key);
    return ret;
}
