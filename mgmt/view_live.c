/*
 * What a dashboard shows while it is open, as server-sent events that go on:
 *
 *   api/warren/events?every=2&vhost=V&queue=Q
 *   event "totals"   what is queued, what was counted, who is there, memory, disk and alarms
 *   event "queue"    the same of the queue that the query names
 *
 * Each comes at once and then every so many seconds. Nobody is asked: all is read in place, a part
 * in each turn. Who may not see the whole node gets the sums of the vhosts that he may open. A
 * stream ends by itself after a while, so that a login that has become void is noticed: browsers
 * ask again.
 */
#include <string.h>

#include "broker/core/alarms.h"
#include "broker/core/stats.h"
#include "broker/runtime/region.h"
#include "broker/runtime/runtime.h"
#include "broker/runtime/table.h"
#include "mgmt/json.h"
#include "mgmt/views.h"
#include "mgmt/walk.h"
#include "queues/route.h"

enum {
    EVERY_MIN_S = 1,
    EVERY_MAX_S = 60,
    EVERY_S = 2,
    QUEUE_US = 10, /* of rest for each queue that a round has counted */
};
static const uint64_t life_us = 15 * 60 * 1000 * 1000ULL;

struct sums { /* of queues */
    uint64_t queues, ready, unacked, consumers;
    uint64_t publish, confirm, deliver_get, ack, redeliver;
};

struct live {
    uint64_t every_us, began_us;
    const char *vhost, *queue; /* queue NULL: none was named */
    size_t queue_len;
    /* Of the round that is under way. */
    struct walk walk;
    uint64_t n_exchanges;
    struct sums sums;
};

static void add_cell(struct sums *to, const struct cell *c)
{
    const struct cell_stats *s = &c->stats;

    to->queues++;
    to->ready += stat_get(&s->ready);
    to->unacked += stat_get(&s->unacked);
    to->consumers += stat_get(&s->consumers);
    to->publish += stat_get(&s->published);
    to->confirm += stat_get(&s->confirmed);
    to->deliver_get += stat_get(&s->delivered) + stat_get(&s->delivered_no_ack) + stat_get(&s->got);
    to->ack += stat_get(&s->acked);
    to->redeliver += stat_get(&s->redelivered);
}

static void on_queue(struct walk *w, struct cell *c)
{
    struct live *v = w->ctx;

    add_cell(&v->sums, c);
}

static void on_vhost(struct walk *w, const char *vhost)
{
    struct live *v = w->ctx;

    (void)vhost;
    v->n_exchanges += table_count(w->tables.exchanges);
}

/* The node's own counters stay when queues are deleted. */
static void count_node(struct sums *to)
{
    struct node_sums node;

    node_stats_sum(&node);
    to->publish = node.messages.n[MESSAGES_RECEIVED];
    to->confirm = node.messages.n[MESSAGES_CONFIRMED];
    to->deliver_get = to->ack = to->redeliver = 0;
    for (unsigned type = 0; type < QUEUE_TYPES; type++) {
        const uint64_t *n = node.messages.deliveries[type];

        to->deliver_get +=
            n[DELIVERED_AUTO_ACK] + n[DELIVERED_MANUAL_ACK] + n[GOT_AUTO_ACK] + n[GOT_MANUAL_ACK];
        to->ack += n[ACKNOWLEDGED];
        to->redeliver += n[REDELIVERED];
    }
}

static json_t *lengths_json(const struct sums *s)
{
    json_t *ret = json_object();

    json_add_count(ret, "messages", s->ready + s->unacked);
    json_add_count(ret, "messages_ready", s->ready);
    json_add_count(ret, "messages_unacknowledged", s->unacked);
    return ret;
}

static json_t *counters_json(const struct sums *s)
{
    json_t *ret = json_object();

    json_add_count(ret, "publish", s->publish);
    json_add_count(ret, "confirm", s->confirm);
    json_add_count(ret, "deliver_get", s->deliver_get);
    json_add_count(ret, "ack", s->ack);
    json_add_count(ret, "redeliver", s->redeliver);
    return ret;
}

static json_t *objects_json(const struct request *r)
{
    const struct live *v = r->state;
    json_t *ret = json_object();

    json_add_count(ret, "queues", v->sums.queues);
    json_add_count(ret, "exchanges", v->n_exchanges);
    json_add_count(ret, "consumers", v->sums.consumers);
    if (request_has_tag(r, VIEW_MONITORING)) {
        json_add_count(ret, "connections", stat_slots_count(STAT_CONNECTION));
        json_add_count(ret, "channels", stat_slots_count(STAT_CHANNEL));
    }
    return ret;
}

static json_t *pair_json(const char *name, uint64_t n, uint64_t limit)
{
    json_t *ret = json_object();

    json_add_count(ret, name, n);
    json_add_count(ret, "limit", limit);
    return ret;
}

static json_t *alarms_json(void)
{
    unsigned alarms = alarms_now();
    json_t *ret = json_array();

    /* Appending fails only without memory: it is not shown. */
    if (alarms & ALARM_MEMORY)
        (void)json_array_append_new(ret, json_text_str("memory"));
    if (alarms & ALARM_DISK)
        (void)json_array_append_new(ret, json_text_str("disk"));
    return ret;
}

static json_t *totals_json(const struct request *r)
{
    const struct live *v = r->state;
    struct alarms_measured m;
    json_t *ret = json_object();

    json_add_count(ret, "time", (uint64_t)proc_wall_ms());
    json_add_text(ret, "node", r->node);
    json_add(ret, "queue_totals", lengths_json(&v->sums));
    json_add(ret, "message_stats", counters_json(&v->sums));
    json_add(ret, "object_totals", objects_json(r));
    json_add(ret, "alarms", alarms_json());
    if (request_has_tag(r, VIEW_MONITORING)) {
        alarms_measured(&m);
        json_add(ret, "memory", pair_json("used", m.memory_used, m.memory_limit));
        json_add(ret, "disk", pair_json("free", m.disk_free, m.disk_limit));
    }
    return ret;
}

static void add_event(struct request *r, const char *name, json_t *data)
{
    struct text *out = &r->foreign->out;

    text_add_str(out, "event: ");
    text_add_str(out, name);
    text_add_str(out, "\ndata: ");
    text_add_json(out, data);
    text_add_str(out, "\n\n");
}

static const char *state_of(const struct cell *c)
{
    switch (cell_at(c)->state) {
    case CELL_UP:
        return "running";
    case CELL_PARKED:
        return "down";
    default:
        return "restarting";
    }
}

/* Nothing is said of a queue that is not there: it may come. */
static void add_queue(struct request *r)
{
    RUNTIME_REGION();
    const struct live *v = r->state;
    struct vhost_tables tables;
    struct sums sums = {0};
    const struct cell *c;
    json_t *json;

    vhost_tables_open(v->vhost, &tables);
    c = vhost_find_queue(&tables, v->queue, v->queue_len);
    if (!c || cell_at(c)->state == CELL_DELETED)
        return;
    add_cell(&sums, c);
    json = lengths_json(&sums);
    json_add_count(json, "time", (uint64_t)proc_wall_ms());
    json_add_text(json, "state", state_of(c));
    if (cell_at(c)->state == CELL_PARKED)
        json_add_text(json, "reason", cell_at(c)->reason);
    json_add_count(json, "consumers", sums.consumers);
    json_add(json, "message_stats", counters_json(&sums));
    add_event(r, "queue", json);
}

static void add_totals(struct request *r)
{
    RUNTIME_REGION();

    add_event(r, "totals", totals_json(r));
}

/* Sends what is now, and sleeps. */
static void end_round(struct request *r)
{
    struct live *v = r->state;
    uint64_t rest_us;

    if (request_has_tag(r, VIEW_MONITORING))
        count_node(&v->sums);
    add_totals(r);
    if (v->queue && request_may_see(r, v->vhost))
        add_queue(r);
    request_stream(r, "text/event-stream");
    rest_us = v->sums.queues * QUEUE_US;
    (void)proc_timer(rest_us > v->every_us ? rest_us : v->every_us);
}

static void go_on(struct request *r)
{
    struct live *v = r->state;

    if (walk_go_on(&v->walk))
        end_round(r);
}

static void begin_round(struct request *r)
{
    struct live *v = r->state;

    v->sums = (struct sums){0};
    v->n_exchanges = 0;
    walk_again(&v->walk);
    go_on(r);
}

static void start_events(struct request *r)
{
    struct live *v = proc_zalloc(sizeof(*v));
    int64_t every_s = request_param_int(r, "every", EVERY_S);

    if (every_s < EVERY_MIN_S || every_s > EVERY_MAX_S)
        request_fail(r, 400, "every is 1 to 60 seconds");
    r->state = v;
    v->every_us = (uint64_t)every_s * 1000 * 1000;
    v->began_us = proc_now_us();
    v->vhost = request_param(r, "vhost");
    v->queue = request_param(r, "queue");
    if (v->queue && (!v->vhost || !access_has_vhost(v->vhost, strlen(v->vhost))))
        request_fail_not_found(r);
    if (v->queue)
        v->queue_len = strlen(v->queue);
    walk_init(&v->walk, r, v);
    v->walk.on_vhost = on_vhost;
    v->walk.on_queue = on_queue;
    begin_round(r);
}

/* Whether who asked may still ask, and has not asked for too long. */
static bool is_over(struct request *r)
{
    const struct live *v = r->state;

    r->tags = access_tags(r->user, strlen(r->user));
    return !(r->tags & VIEW_MANAGEMENT) || proc_now_us() - v->began_us > life_us;
}

static void handle_events(struct request *r, struct msg *m)
{
    const struct live *v = r->state;

    if (m->type == MSG_CONTINUE)
        go_on(r);
    if (m->type != MSG_TIMEOUT)
        return; /* HTTP_TAKEN: the next round looks for itself */
    if (is_over(r))
        proc_exit(EXIT_NORMAL, 0, "the stream has lasted long enough");
    if (request_stream_has_room(r))
        begin_round(r);
    else
        (void)proc_timer(v->every_us);
}

const struct view views_live[] = {
    {"api/warren/events", HTTP_GET, VIEW_MANAGEMENT, 0, start_events, handle_events},
    {0},
};
