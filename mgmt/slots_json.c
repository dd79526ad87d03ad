/*
 * Slots as JSON, and as items of lists.
 */
#include <string.h>

#include "amqp/codec/bytes.h"
#include "amqp/codec/table.h"
#include "broker/core/alarms.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/proc.h"
#include "broker/runtime/region.h"
#include "mgmt/json.h"
#include "mgmt/request.h"
#include "mgmt/sampled.h"
#include "mgmt/slots.h"
#include "queues/cell.h"
#include "queues/stats.h"

enum { IDLE_US = 5 * 1000 * 1000 };

static struct amqp_bytes bytes_of(const struct blob *b)
{
    return b ? amqp_bytes(blob_bytes(b), blob_size(b)) : amqp_bytes(NULL, 0);
}

/* While an alarm stands, who has not published yet is about to be blocked. */
static const char *state_of(const struct connection_stats *c)
{
    switch ((enum connection_show)stat_get(&c->show)) {
    case CONNECTION_BLOCKED:
        return "blocked";
    case CONNECTION_CLOSING:
        return "closing";
    case CONNECTION_FLOW:
        return alarms_now() ? "blocking" : "flow";
    default:
        return alarms_now() ? "blocking" : "running";
    }
}

static void add_ends(json_t *to, const struct connection_stats *c)
{
    json_add_text(to, "host", c->local.host);
    json_add_count(to, "port", c->local.port);
    json_add_text(to, "peer_host", c->peer.host);
    json_add_count(to, "peer_port", c->peer.port);
}

static void add_text_or_null(json_t *to, const char *key, const char *text)
{
    if (text && *text)
        json_add_text(to, key, text);
    else
        json_add(to, key, json_null());
}

static void add_tls(json_t *to, const struct connection_tls *tls)
{
    json_add_bool(to, "ssl", tls);
    add_text_or_null(to, "ssl_protocol", tls ? tls->protocol : NULL);
    add_text_or_null(to, "ssl_key_exchange", tls ? tls->key_exchange : NULL);
    add_text_or_null(to, "ssl_cipher", tls ? tls->cipher : NULL);
    add_text_or_null(to, "ssl_hash", tls ? tls->hash : NULL);
    add_text_or_null(to, "peer_cert_subject", tls ? tls->subject : NULL);
    add_text_or_null(to, "peer_cert_issuer", tls ? tls->issuer : NULL);
    add_text_or_null(to, "peer_cert_validity", tls ? tls->validity : NULL);
}

static void add_agreed(json_t *to, const struct connection_stats *c)
{
    struct amqp_bytes properties = bytes_of(c->client_properties), name;

    json_add_text(to, "protocol", "AMQP 0-9-1");
    json_add_text(to, "auth_mechanism", c->mechanism);
    add_tls(to, c->tls);
    json_add_count(to, "channel_max", c->channel_max);
    json_add_count(to, "frame_max", c->frame_max);
    json_add_count(to, "timeout", c->heartbeat_s);
    json_add(to, "connected_at", json_integer(c->connected_at_ms));
    json_add(to, "client_properties", json_ftable(properties));
    if (ftable_get_string(properties, "connection_name", &name) == 1)
        json_add(to, "user_provided_name", json_text(name.p, name.len));
}

json_t *connection_json(const struct request *r, const struct stat_slot *s)
{
    const struct connection_stats *c = (const struct connection_stats *)s;
    uint64_t now[CONNECTION_VALUES];
    json_t *ret = json_object();

    read_connection(c, now);
    json_add_text(ret, "name", c->name);
    json_add_text(ret, "node", r->node);
    json_add_text(ret, "type", "network");
    json_add_text(ret, "user", c->user);
    json_add_text(ret, "user_who_performed_action", c->user);
    json_add_text(ret, "vhost", c->vhost);
    json_add_text(ret, "state", state_of(c));
    json_add_count(ret, "channels", stat_get(&c->channels));
    add_ends(ret, c);
    add_agreed(ret, c);
    sampled_add(ret, connection_names, now, sampled_series(&s->history), &r->ranges.data);
    json_add_count(ret, "recv_cnt", stat_get(&c->recv_count));
    json_add_count(ret, "send_cnt", stat_get(&c->send_count));
    json_add_count(ret, "send_pend", stat_get(&c->send_pending));
    return ret;
}

json_t *connection_details_json(const struct connection_stats *c)
{
    json_t *ret = json_object();

    json_add_text(ret, "name", c->name);
    json_add_text(ret, "peer_host", c->peer.host);
    json_add_count(ret, "peer_port", c->peer.port);
    return ret;
}

static void add_window(json_t *to, const struct channel_stats *c)
{
    json_add_count(to, "prefetch_count", stat_get(&c->prefetch));
    json_add_count(to, "global_prefetch_count", stat_get(&c->shared_prefetch));
    json_add_count(to, "consumer_count", stat_get(&c->consumers));
    json_add_count(to, "messages_unacknowledged", stat_get(&c->unacked));
    json_add_count(to, "messages_unconfirmed", stat_get(&c->unconfirmed));
    json_add_count(to, "messages_uncommitted", stat_get(&c->uncommitted));
    json_add_count(to, "acks_uncommitted", stat_get(&c->uncommitted_acks));
    json_add_bool(to, "confirm", stat_get(&c->is_confirming));
    json_add_bool(to, "transactional", stat_get(&c->is_transactional));
}

static void add_activity(json_t *to, const struct channel_stats *c)
{
    uint64_t now = proc_now_us(), at = stat_get(&c->active_us);
    uint64_t idle_us = now > at ? now - at : 0;

    json_add_text(to, "state",
                  stat_get(&c->connection->show) == CONNECTION_FLOW ? "flow" : "running");
    if (idle_us > IDLE_US)
        json_add_time(to, "idle_since", proc_wall_ms() - (int64_t)(idle_us / 1000));
}

json_t *channel_json(const struct request *r, const struct stat_slot *s)
{
    const struct channel_stats *c = (const struct channel_stats *)s;
    json_t *ret = json_object(), *messages = json_object();
    uint64_t now[MESSAGE_VALUES];

    read_channel(c, now);
    json_add_text(ret, "name", c->name);
    json_add_count(ret, "number", c->number);
    json_add_text(ret, "node", r->node);
    json_add_text(ret, "user", c->connection->user);
    json_add_text(ret, "user_who_performed_action", c->connection->user);
    json_add_text(ret, "vhost", c->connection->vhost);
    json_add(ret, "connection_details", connection_details_json(c->connection));
    add_window(ret, c);
    add_activity(ret, c);
    sampled_add(messages, message_names, now, sampled_series(&s->history), &r->ranges.rates);
    json_add(ret, "message_stats", messages);
    return ret;
}

static json_t *channel_details_json(const struct request *r, const struct channel_stats *c)
{
    json_t *ret = json_object();

    json_add_text(ret, "name", c->name);
    json_add_count(ret, "number", c->number);
    json_add_text(ret, "node", r->node);
    json_add_text(ret, "user", c->connection->user);
    json_add_text(ret, "connection_name", c->connection->name);
    json_add_text(ret, "peer_host", c->connection->peer.host);
    json_add_count(ret, "peer_port", c->connection->peer.port);
    return ret;
}

json_t *consumer_json(const struct request *r, const struct stat_slot *s)
{
    const struct consumer_stats *c = (const struct consumer_stats *)s;
    json_t *ret = json_object(), *queue = json_object();
    struct amqp_bytes tag = bytes_of(c->tag);

    json_add(queue, "name", json_text(cell_name(c->queue), c->queue->name_len));
    json_add(queue, "vhost", json_text(cell_vhost(c->queue), c->queue->vhost_len));
    json_add(ret, "queue", queue);
    json_add(ret, "consumer_tag", json_text(tag.p, tag.len));
    json_add(ret, "channel_details", channel_details_json(r, c->channel));
    json_add_bool(ret, "ack_required", !c->no_ack);
    json_add_bool(ret, "exclusive", c->exclusive);
    json_add_count(ret, "prefetch_count", c->prefetch);
    json_add_bool(ret, "active", true);
    json_add_text(ret, "activity_status", "up");
    json_add(ret, "arguments", json_ftable(bytes_of(c->args)));
    return ret;
}

void slots_begin_consumers(struct request *r)
{
    RUNTIME_REGION();

    r->foreign->consumers = json_array();
}

void slots_add_consumer(struct request *r, const struct stat_slot *s)
{
    RUNTIME_REGION();

    /* Fails only without memory: not shown. */
    (void)json_array_append_new(r->foreign->consumers, consumer_json(r, s));
}

void slots_add_no_pairs(json_t *to, const char *first, const char *second)
{
    json_add(to, first, json_array());
    json_add(to, second, json_array());
}

static void id_of_connection(const void *item, struct list_id *ret)
{
    const struct connection_stats *c = item;

    *ret = (struct list_id){c->vhost, c->name, strlen(c->vhost), strlen(c->name)};
}

static void id_of_channel(const void *item, struct list_id *ret)
{
    const struct channel_stats *c = item;

    *ret = (struct list_id){c->connection->vhost, c->name, strlen(c->connection->vhost),
                            strlen(c->name)};
}

static void id_of_consumer(const void *item, struct list_id *ret)
{
    const struct consumer_stats *c = item;

    *ret = (struct list_id){cell_vhost(c->queue), (const char *)blob_bytes(c->tag),
                            c->queue->vhost_len, blob_size(c->tag)};
}

static json_t *show_connection(const struct request *r, const void *item)
{
    return connection_json(r, item);
}

static json_t *show_channel(const struct request *r, const void *item)
{
    return channel_json(r, item);
}

static json_t *show_consumer(const struct request *r, const void *item)
{
    return consumer_json(r, item);
}

static void unref_slot(void *item)
{
    stat_slot_unref(item);
}

const struct list_ops list_of_connections = {id_of_connection, show_connection, unref_slot};
const struct list_ops list_of_channels = {id_of_channel, show_channel, unref_slot};
const struct list_ops list_of_consumers = {id_of_consumer, show_consumer, unref_slot};
