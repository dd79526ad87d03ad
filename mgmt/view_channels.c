/*
 * Views of channels: all, those of a vhost or connection, one.
 */
#include <string.h>

#include "broker/runtime/region.h"
#include "mgmt/json.h"
#include "mgmt/slots.h"
#include "mgmt/views.h"
#include "queues/stats.h"

static const struct channel_stats *channel_of(const struct stat_slot *s)
{
    return (const struct channel_stats *)s;
}

static bool is_of_vhost(struct request *r, const struct stat_slot *s)
{
    return !strcmp(channel_of(s)->connection->vhost, r->vhost);
}

static bool is_of_connection(struct request *r, const struct stat_slot *s)
{
    return !strcmp(channel_of(s)->connection->name, request_segment(r, 2));
}

static bool has_name(struct request *r, const struct stat_slot *s)
{
    return !strcmp(channel_of(s)->name, request_segment(r, 2));
}

static void start_all(struct request *r)
{
    slot_list_start(r, STAT_CHANNEL, &list_of_channels, NULL);
}

static void start_vhost(struct request *r)
{
    slot_list_start(r, STAT_CHANNEL, &list_of_channels, is_of_vhost);
}

static void start_of_connection(struct request *r)
{
    slot_list_start(r, STAT_CHANNEL, &list_of_channels, is_of_connection);
}

static bool is_its_consumer(struct request *r, const struct stat_slot *s)
{
    return !strcmp(((const struct consumer_stats *)s)->channel->name, request_segment(r, 2));
}

static json_t *json_of(const struct request *r, const struct stat_slot *s)
{
    RUNTIME_REGION();
    json_t *ret = channel_json(r, s);

    json_add(ret, "consumer_details", json_incref(r->foreign->consumers));
    slots_add_no_pairs(ret, "publishes", "deliveries");
    return ret;
}

static void show_one(struct request *r, const struct stat_slot *s)
{
    request_finish_json(r, json_of(r, s));
}

static void add_consumer(struct request *r, const struct stat_slot *s)
{
    if (s)
        slots_add_consumer(r, s);
    else
        slot_list_find(r, STAT_CHANNEL, has_name, show_one);
}

/* Its consumers first: the channel is shown as soon as it is found. */
static void start_one(struct request *r)
{
    slots_begin_consumers(r);
    slot_list_each(r, STAT_CONSUMER, is_its_consumer, add_consumer);
}

const struct view views_channels[] = {
    {"api/channels", HTTP_GET, VIEW_MANAGEMENT, 0, start_all, slot_list_handle},
    {"api/vhosts/x/channels", HTTP_GET, VIEW_MANAGEMENT, VIEW_VHOST, start_vhost, slot_list_handle},
    {"api/connections/x/channels", HTTP_GET, VIEW_MANAGEMENT, 0, start_of_connection,
     slot_list_handle},
    {"api/channels/x", HTTP_GET, VIEW_MANAGEMENT, 0, start_one, slot_list_handle},
    {0},
};
