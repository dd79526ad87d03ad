/*
 * Views of consumers: all, those of a vhost.
 */
#include <string.h>

#include "mgmt/slots.h"
#include "mgmt/views.h"
#include "queues/cell.h"
#include "queues/stats.h"

static bool is_of_vhost(struct request *r, const struct stat_slot *s)
{
    return !strcmp(cell_vhost(((const struct consumer_stats *)s)->queue), r->vhost);
}

static void start_all(struct request *r)
{
    slot_list_start(r, STAT_CONSUMER, &list_of_consumers, NULL);
}

static void start_vhost(struct request *r)
{
    slot_list_start(r, STAT_CONSUMER, &list_of_consumers, is_of_vhost);
}

const struct view views_consumers[] = {
    {"api/consumers", HTTP_GET, VIEW_MANAGEMENT, 0, start_all, slot_list_handle},
    {"api/consumers/x", HTTP_GET, VIEW_MANAGEMENT, VIEW_VHOST, start_vhost, slot_list_handle},
    {0},
};
