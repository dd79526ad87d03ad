/*
 * Items of listings that several views have.
 */
#include <jansson.h>

#include "mgmt/cell_json.h"
#include "mgmt/list.h"
#include "mgmt/request.h"
#include "queues/cell.h"

static void id_of_json(const void *item, struct list_id *ret)
{
    const json_t *name = json_object_get(item, "name");
    const json_t *vhost = json_object_get(item, "vhost");

    *ret = (struct list_id){.vhost = json_string_value(vhost),
                            .name = json_string_value(name),
                            .vhost_len = json_string_length(vhost),
                            .name_len = json_string_length(name)};
}

static json_t *show_json(const struct request *r, const void *item)
{
    (void)r;
    return json_incref((json_t *)(uintptr_t)item);
}

static void unref_json(void *item)
{
    json_decref(item);
}

const struct list_ops list_of_json = {id_of_json, show_json, unref_json};

static void id_of_cell(const void *item, struct list_id *ret)
{
    const struct cell *c = item;

    *ret = (struct list_id){cell_vhost(c), cell_name(c), c->vhost_len, c->name_len};
}

static json_t *show_queue(const struct request *r, const void *item)
{
    return queue_json(r, item,
                      list_wants_stats(r)    ? QUEUE_STATS
                      : list_wants_totals(r) ? QUEUE_TOTALS
                                             : QUEUE_IDENTITY);
}

static void unref_cell(void *item)
{
    cell_unref(item);
}

const struct list_ops list_of_queues = {id_of_cell, show_queue, unref_cell};
