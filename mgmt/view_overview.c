/*
 * The overview: what runs here, who listens, what has been counted, and the sums of all queues that
 * the user may see.
 */
#include <string.h>

#include "broker/core/config.h"
#include "broker/core/listeners.h"
#include "broker/core/stats.h"
#include "broker/runtime/region.h"
#include "broker/runtime/table.h"
#include "mgmt/json.h"
#include "mgmt/node_json.h"
#include "mgmt/sampled.h"
#include "mgmt/views.h"
#include "mgmt/walk.h"
#include "queues/cell.h"
#include "queues/stats.h"

struct overview {
    struct walk walk;
    uint64_t values[NODE_VALUES];
    uint64_t n_connections, n_channels, n_exchanges, n_queues, n_consumers;
};

static json_t *object_totals(const struct overview *o)
{
    json_t *ret = json_object();

    json_add_count(ret, "connections", o->n_connections);
    json_add_count(ret, "channels", o->n_channels);
    json_add_count(ret, "exchanges", o->n_exchanges);
    json_add_count(ret, "queues", o->n_queues);
    json_add_count(ret, "consumers", o->n_consumers);
    return ret;
}

static void add_program(json_t *to, const struct request *r)
{
    json_add_text(to, "product_name", "Warren");
    json_add_text(to, "product_version", WARREN_VERSION);
    json_add_text(to, "management_version", WARREN_VERSION);
    /* The one whose behaviour tools may expect. */
    json_add_text(to, "rabbitmq_version", RABBITMQ_VERSION);
    json_add_text(to, "erlang_version", ""); /* clients decode it; there is none here */
    json_add_text(to, "erlang_full_version", "");
    json_add_text(to, "rates_mode", "basic");
    json_add(to, "sample_retention_policies", node_retention_json());
    json_add_text(to, "release_series_support_status", "supported");
    json_add_bool(to, "disable_stats", false);
    json_add_bool(to, "enable_queue_totals", false);
    json_add_text(to, "node", r->node);
    json_add(to, "cluster_name", node_cluster_name_json());
    json_add(to, "exchange_types", node_exchange_types_json());
    json_add_text(to, "default_queue_type", "classic");
    json_add_count(to, "statistics_db_event_queue", 0); /* samples are taken, not sent */
}

/* What is of the whole node is shown to who monitors it. */
static json_t *overview_json(const struct request *r)
{
    RUNTIME_REGION();
    const struct overview *o = r->state;
    const struct series *s = NULL;
    json_t *ret = json_object(), *messages = json_object(), *lengths = json_object();
    json_t *churn = json_object();

    if (request_has_tag(r, VIEW_MONITORING)) {
        s = sampled_node();
        sampled_add(messages, message_names, o->values, s, &r->ranges.rates);
        sampled_add(messages, node_disk_names, o->values, s, &r->ranges.rates);
        sampled_add(churn, churn_names, o->values, s, &r->ranges.rates);
        json_add(ret, "listeners", node_listeners_json(r->node));
        json_add(ret, "contexts", node_contexts_json(r->node));
    }
    sampled_add(lengths, node_length_names, o->values, s, &r->ranges.lengths);
    add_program(ret, r);
    json_add(ret, "object_totals", object_totals(o));
    json_add(ret, "queue_totals", lengths);
    json_add(ret, "message_stats", messages);
    json_add(ret, "churn_rates", churn);
    return ret;
}

static void on_queue(struct walk *w, struct cell *c)
{
    struct overview *o = w->ctx;

    o->n_queues++;
    o->n_consumers += stat_get(&c->stats.consumers);
    o->values[OF_NODE_READY] += stat_get(&c->stats.ready);
    o->values[OF_NODE_UNACKED] += stat_get(&c->stats.unacked);
}

static void on_exchange(struct walk *w, struct cell *c)
{
    struct overview *o = w->ctx;

    (void)c;
    o->n_exchanges++;
}

/* Who does not monitor has his own. */
static bool is_his(const struct request *r, const struct connection_stats *c)
{
    return request_has_tag(r, VIEW_MONITORING) || (c && !strcmp(c->user, r->user));
}

static void on_slot(struct walk *w, struct stat_slot *slot)
{
    struct overview *o = w->ctx;

    if (slot->kind == STAT_CONNECTION)
        o->n_connections += is_his(w->request, (const struct connection_stats *)slot);
    else
        o->n_channels += is_his(w->request, ((const struct channel_stats *)slot)->connection);
}

static void go_on(struct request *r)
{
    struct overview *o = r->state;

    if (!walk_go_on(&o->walk))
        return;
    request_finish_json(r, overview_json(r));
}

static void start(struct request *r)
{
    struct overview *o = proc_zalloc(sizeof(*o));

    r->state = o;
    read_node(o->values);
    walk_init(&o->walk, r, o);
    o->walk.on_queue = on_queue;
    o->walk.on_exchange = on_exchange;
    o->walk.on_slot = on_slot;
    walk_add_kind(&o->walk, STAT_CONNECTION);
    walk_add_kind(&o->walk, STAT_CHANNEL);
    go_on(r);
}

static void handle(struct request *r, struct msg *m)
{
    CHECK(m->type == MSG_CONTINUE);
    go_on(r);
}

const struct view views_overview[] = {
    {"api/overview", HTTP_GET, VIEW_MANAGEMENT, 0, start, handle},
    {0},
};
