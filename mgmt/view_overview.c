/*
 * The overview: what runs here, who listens, and the sums of all queues.
 */
#include <string.h>

#include "broker/core/listeners.h"
#include "broker/runtime/region.h"
#include "broker/runtime/runtime.h"
#include "broker/runtime/table.h"
#include "mgmt/json.h"
#include "mgmt/views.h"
#include "queues/route.h"

struct overview {
    size_t n_connections, n_channels, n_exchanges;
    size_t row, cell; /* the next ones to be counted */
    struct queue_sums sums;
};

static void add_vhost(void *ctx, const char *vhost)
{
    struct request *r = ctx;
    struct overview *o = r->state;
    struct vhost_tables tables;

    vhost_tables_open(vhost, &tables);
    o->n_exchanges += table_count(tables.exchanges);
    cells_add_queues(&r->foreign->cells, vhost);
}

struct listener_ctx {
    json_t *list;
    const char *node;
};

static void add_listener(void *ctx, const struct listener_fact *fact)
{
    const struct listener_ctx *l = ctx;
    json_t *one = json_object();

    json_add_text(one, "node", l->node);
    json_add_text(one, "protocol", fact->protocol);
    json_add_text(one, "ip_address", *fact->address ? fact->address : "::");
    json_add_count(one, "port", fact->port);
    (void)json_array_append_new(l->list, one); /* fails only without memory: not shown */
}

static json_t *listeners_json(const char *node)
{
    struct listener_ctx l = {json_array(), node};

    listeners_each(add_listener, &l);
    return l.list;
}

static json_t *exchange_types(void)
{
    static const char *const name[] = {"direct", "fanout", "headers", "topic"};
    json_t *ret = json_array();

    for (size_t i = 0; i < sizeof(name) / sizeof(*name); i++) {
        json_t *one = json_object();

        json_add_text(one, "name", name[i]);
        json_add_bool(one, "enabled", true);
        (void)json_array_append_new(ret, one); /* as above */
    }
    return ret;
}

static json_t *object_totals(const struct request *r, const struct overview *o)
{
    json_t *ret = json_object();

    json_add_count(ret, "connections", o->n_connections);
    json_add_count(ret, "channels", o->n_channels);
    json_add_count(ret, "exchanges", o->n_exchanges);
    json_add_count(ret, "queues", r->foreign->cells.n);
    json_add_count(ret, "consumers", o->sums.consumers);
    return ret;
}

static json_t *queue_totals(const struct queue_sums *sums)
{
    json_t *ret = json_object();

    json_add_count(ret, "messages", sums->ready + sums->unacked);
    json_add_count(ret, "messages_ready", sums->ready);
    json_add_count(ret, "messages_unacknowledged", sums->unacked);
    return ret;
}

static json_t *overview_json(const struct request *r)
{
    RUNTIME_REGION();
    const struct overview *o = r->state;
    json_t *ret = json_object();

    json_add_text(ret, "product_name", "Warren");
    json_add_text(ret, "product_version", WARREN_VERSION);
    json_add_text(ret, "management_version", WARREN_VERSION);
    /* The one whose behaviour tools may expect. */
    json_add_text(ret, "rabbitmq_version", "3.10.8");
    json_add_text(ret, "rates_mode", "none");
    json_add_text(ret, "node", r->node);
    json_add_text(ret, "cluster_name", r->node);
    json_add(ret, "object_totals", object_totals(r, o));
    json_add(ret, "queue_totals", queue_totals(&o->sums));
    json_add(ret, "message_stats", queue_sums_stats(&o->sums));
    json_add(ret, "exchange_types", exchange_types());
    json_add(ret, "listeners", listeners_json(r->node));
    return ret;
}

static void count_row(struct overview *o, const struct proc_info *p)
{
    o->n_connections += !strcmp(p->kind, "connection");
    o->n_channels += !strcmp(p->kind, "channel");
}

/* Counts what the turn has time for. */
static void go_on(struct request *r)
{
    const struct cells *cells = &r->foreign->cells;
    struct overview *o = r->state;

    for (; o->row < r->listing->n && request_may_go_on(o->row); o->row++)
        count_row(o, &r->listing->row[o->row]);
    for (; o->cell < cells->n && request_may_go_on(o->cell); o->cell++)
        queue_sums_add(&o->sums, cells->cell[o->cell]);
    if (o->row < r->listing->n || o->cell < cells->n) {
        proc_continue();
        return;
    }
    text_add_json(&r->foreign->out, overview_json(r));
    request_finish(r);
}

static void start(struct request *r)
{
    r->state = proc_zalloc(sizeof(struct overview));
    request_ask_processes(r);
}

static void handle(struct request *r, struct msg *m)
{
    if (request_has_listing(r, m))
        cells_each_vhost(add_vhost, r);
    go_on(r);
}

const struct view views_overview[] = {
    {"api/overview", HTTP_GET, VIEW_MONITORING, 0, start, handle},
    {0},
};
