/*
 * stats.c - making and freeing slots.
 */
#include "queues/stats.h"

#include <stdio.h>
#include <string.h>

#include "broker/runtime/alloc.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/region.h"
#include "queues/cell.h"
#include "queues/route.h"

static char *copy_text(const char *s)
{
    size_t size = strlen(s) + 1;

    return memcpy(rt_alloc(size), s, size);
}

static void connection_closed(struct stat_slot *s)
{
    stat_add(&s->node->churn[CONNECTIONS_CLOSED], 1);
}

static void connection_free(struct stat_slot *s)
{
    struct connection_stats *c = (struct connection_stats *)s;

    rt_free(c->user);
    rt_free(c->vhost);
    vhost_stats_unref(c->vhost_stats);
    rt_free(c->tls);
    blob_unref(c->client_properties);
    rt_free(c);
}

struct connection_stats *connection_stats_new(const char *user, const char *vhost)
{
    RUNTIME_REGION();
    struct connection_stats *c = stat_slot_new(sizeof(*c), STAT_CONNECTION, 0, connection_free);

    c->slot.closed = connection_closed;
    c->user = copy_text(user);
    c->vhost = copy_text(vhost);
    c->vhost_stats = vhost_stats_of(vhost);
    c->of_vhost = c->vhost_stats ? vhost_stats_counts(c->vhost_stats) : NULL;
    stat_add(&c->slot.node->churn[CONNECTIONS_OPENED], 1);
    return c;
}

static void channel_closed(struct stat_slot *s)
{
    struct channel_stats *c = (struct channel_stats *)s;

    stat_add(&s->node->churn[CHANNELS_CLOSED], 1);
    if (stat_get(&c->messages.n[MESSAGES_RECEIVED]))
        stat_add(&s->node->churn[PUBLISHERS_CLOSED], 1);
}

static void channel_free(struct stat_slot *s)
{
    struct channel_stats *c = (struct channel_stats *)s;

    if (c->connection)
        stat_slot_unref(&c->connection->slot);
    rt_free(c);
}

struct channel_stats *channel_stats_new(proc_id connection, uint16_t number)
{
    struct channel_stats *c = stat_slot_new(sizeof(*c), STAT_CHANNEL, 0, channel_free);

    c->slot.closed = channel_closed;
    c->connection = (struct connection_stats *)stat_slot_find(STAT_CONNECTION, connection, 0);
    if (c->connection && c->connection->vhost_stats)
        c->of_vhost = vhost_stats_counts(c->connection->vhost_stats);
    c->number = number;
    if (c->connection)
        snprintf(c->name, sizeof(c->name), "%s (%u)", c->connection->name, number);
    stat_set(&c->active_us, proc_now_us());
    stat_add(&c->slot.node->churn[CHANNELS_OPENED], 1);
    return c;
}

void channel_count_publish(struct channel_stats *s, uint64_t size_bytes, bool is_confirming)
{
    if (!stat_get(&s->messages.n[MESSAGES_RECEIVED]))
        stat_add(&s->slot.node->churn[PUBLISHERS_OPENED], 1);
    channel_count(s, MESSAGES_RECEIVED);
    if (is_confirming)
        channel_count(s, MESSAGES_RECEIVED_CONFIRM);
    node_stats_size(s->slot.node, size_bytes);
}

static void consumer_free(struct stat_slot *s)
{
    struct consumer_stats *c = (struct consumer_stats *)s;

    stat_slot_unref(&c->channel->slot);
    cell_unref(c->queue);
    blob_unref(c->tag);
    blob_unref(c->args);
    rt_free(c);
}

struct consumer_stats *consumer_stats_new(struct channel_stats *channel, uint32_t number,
                                          struct cell *queue, struct blob *tag, struct blob *args)
{
    struct consumer_stats *c = stat_slot_new(sizeof(*c), STAT_CONSUMER, number, consumer_free);

    c->channel = channel;
    (void)stat_slot_ref(&channel->slot);
    c->queue = cell_ref(queue);
    c->tag = blob_ref(tag);
    c->args = blob_ref(args);
    return c;
}
