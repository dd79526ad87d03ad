/*
 * Views of metrics: of all together, of each object, of chosen families, of memory.
 *
 * Objects are gathered first, or added up at once where only sums are shown; then each metric is
 * written with all its samples, over as many turns as it takes, and read from them when its turn
 * comes.
 */
#include <string.h>

#include "broker/runtime/runtime.h"
#include "mgmt/metrics.h"
#include "mgmt/views.h"
#include "mgmt/walk.h"
#include "queues/cell.h"
#include "queues/registry_args.h"
#include "queues/stats.h"
#include "queues/vhost_state.h"

enum {
    ALL_OBJECTS = FAMILY_QUEUE_COARSE | FAMILY_QUEUE | FAMILY_QUEUE_DELIVERY | FAMILY_EXCHANGE |
                  FAMILY_CONNECTION_COARSE | FAMILY_CONNECTION | FAMILY_CHANNEL |
                  FAMILY_CHANNEL_EXCHANGE | FAMILY_CHANNEL_QUEUE,
    ALL_NODE = FAMILY_CHURN | FAMILY_NODE | FAMILY_NODE_COARSE,
    OF_QUEUES = FAMILY_QUEUE_COARSE | FAMILY_QUEUE | FAMILY_QUEUE_CONSUMERS | FAMILY_QUEUE_DELIVERY,
    OF_EXCHANGES = FAMILY_EXCHANGE | FAMILY_EXCHANGE_NAMES,
    OF_CONNECTIONS = FAMILY_CONNECTION_COARSE | FAMILY_CONNECTION,
    OF_CHANNELS = FAMILY_CHANNEL | FAMILY_CHANNEL_EXCHANGE | FAMILY_CHANNEL_QUEUE,
    OBJECTS = METRIC_CHANNEL + 1,
    VHOSTS_MOST = 64, /* that /metrics/detailed may name */
};

static const char content_type[] = "text/plain; version=0.0.4; charset=utf-8";

struct metrics_view {
    struct walk walk;
    struct exposition e;
    const char *prefix;
    unsigned families;
    bool is_per_object, is_detailed;
    bool is_walked;
    uint64_t sums[OBJECTS][METRIC_VALUES];
    uint64_t count[OBJECTS];
    unsigned metric; /* the next one */
    size_t object;   /* of that metric, the next one */
};

static void add_values(struct metrics_view *v, enum metric_object object,
                       const uint64_t values[METRIC_VALUES])
{
    for (unsigned i = 0; i < METRIC_VALUES; i++)
        v->sums[object][i] += values[i];
    v->count[object]++;
}

static void on_queue(struct walk *w, struct cell *c)
{
    struct metrics_view *v = w->ctx;
    uint64_t values[METRIC_VALUES] = {0};

    metric_values_of_queue(c, values);
    add_values(v, METRIC_QUEUE, values);
    if (v->is_per_object)
        cells_add(&w->request->foreign->cells, cell_ref(c));
}

static void on_exchange(struct walk *w, struct cell *c)
{
    struct metrics_view *v = w->ctx;

    if (v->is_per_object)
        cells_add(&w->request->foreign->exchanges, cell_ref(c));
}

static bool is_of_walked_vhost(const struct walk *w, const struct connection_stats *c)
{
    if (!w->has_vhosts)
        return true; /* of all */
    for (uint32_t i = 0; i < w->n_vhosts; i++) {
        if (!strcmp(w->vhost[i], c->vhost))
            return true;
    }
    return false;
}

static void on_slot(struct walk *w, struct stat_slot *s)
{
    const struct connection_stats *c = s->kind == STAT_CONNECTION
                                           ? (const struct connection_stats *)s
                                           : ((const struct channel_stats *)s)->connection;
    enum metric_object object = s->kind == STAT_CONNECTION ? METRIC_CONNECTION : METRIC_CHANNEL;
    struct foreign *f = w->request->foreign;
    struct metrics_view *v = w->ctx;
    uint64_t values[METRIC_VALUES] = {0};

    if (!c || !is_of_walked_vhost(w, c))
        return;
    metric_values_of_slot(s, values);
    add_values(v, object, values);
    if (v->is_per_object)
        stat_slots_add(s->kind == STAT_CONNECTION ? &f->connections : &f->channels, s);
}

static size_t count_of(const struct request *r, enum metric_object object)
{
    switch (object) {
    case METRIC_QUEUE:
        return r->foreign->cells.n;
    case METRIC_EXCHANGE:
        return r->foreign->exchanges.n;
    case METRIC_CONNECTION:
        return r->foreign->connections.n;
    default:
        return r->foreign->channels.n;
    }
}

static void label_cell(struct exposition *e, const char *name, const struct cell *c)
{
    sample_label(e, "vhost", cell_vhost(c), c->vhost_len);
    sample_label(e, name, cell_name(c), c->name_len);
}

static void end_sample(struct exposition *e, const struct metric *m, uint64_t sum)
{
    if (m->scale > 0)
        sample_end_real(e, (double)sum / m->scale);
    else
        sample_end(e, sum);
}

static void write_cell(struct exposition *e, const struct metric *m, const struct cell *c)
{
    uint64_t values[METRIC_VALUES] = {0};

    sample_begin(e, "");
    label_cell(e, m->object == METRIC_QUEUE ? "queue" : "exchange", c);
    if (m->object == METRIC_EXCHANGE)
        metric_values_of_exchange(c, values);
    end_sample(e, m, m->object == METRIC_QUEUE ? metric_of_queue(m, c) : metric_sum(m, values));
}

static void write_slot(struct exposition *e, const struct metric *m, const struct stat_slot *s)
{
    const struct channel_stats *c = (const struct channel_stats *)s;
    uint64_t values[METRIC_VALUES] = {0};

    metric_values_of_slot(s, values);
    sample_begin(e, "");
    if (m->object == METRIC_CONNECTION)
        sample_label_str(e, "connection", ((const struct connection_stats *)s)->name);
    else
        sample_label_str(e, "channel", c->name);
    sample_label_str(e, "vhost",
                     m->object == METRIC_CONNECTION ? ((const struct connection_stats *)s)->vhost
                                                    : c->connection->vhost);
    end_sample(e, m, metric_sum(m, values));
}

static void write_object(struct request *r, const struct metric *m, size_t i)
{
    struct metrics_view *v = r->state;
    const struct foreign *f = r->foreign;

    switch (m->object) {
    case METRIC_QUEUE:
        write_cell(&v->e, m, f->cells.cell[i]);
        break;
    case METRIC_EXCHANGE:
        write_cell(&v->e, m, f->exchanges.cell[i]);
        break;
    case METRIC_CONNECTION:
        write_slot(&v->e, m, f->connections.slot[i]);
        break;
    default:
        write_slot(&v->e, m, f->channels.slot[i]);
        break;
    }
}

/* false: the turn is over. */
static bool write_metric(struct request *r, const struct metric *m)
{
    struct metrics_view *v = r->state;
    size_t n = v->is_per_object ? count_of(r, m->object) : 0;

    if (!(m->family & v->families) || (m->object == METRIC_EXCHANGE && !v->is_per_object))
        return true;
    if (v->object == 0)
        metric_begin(&v->e, m->prefix ? m->prefix : v->prefix, m->name, m->type, m->help);
    if (!v->is_per_object) {
        sample_begin(&v->e, "");
        end_sample(&v->e, m, metric_sum(m, v->sums[m->object]));
    }
    for (; v->object < n; v->object++) {
        /* With its first sample it has begun. There are too many to ask for each. */
        if (v->object > 0 && v->object % 8 == 0 && !request_may_write(r))
            return false;
        write_object(r, m, v->object);
    }
    v->object = 0;
    return true;
}

static void write_names(struct request *r)
{
    struct metrics_view *v = r->state;

    metric_begin(&v->e, "rabbitmq_cluster_", "exchange_name", "gauge",
                 "Exchanges, for joins by vhost and name");
    for (size_t i = 0; i < r->foreign->exchanges.n; i++) {
        const struct cell *c = r->foreign->exchanges.cell[i];

        sample_begin(&v->e, "");
        label_cell(&v->e, "exchange", c);
        sample_label_str(&v->e, "type", exchange_type_name(c->type));
        sample_end(&v->e, 1);
    }
}

static void write_vhosts(struct metrics_view *v)
{
    metric_begin(&v->e, "rabbitmq_cluster_", "vhost_status", "gauge", "Whether a vhost serves");
    for (uint32_t i = 0; i < v->walk.n_vhosts; i++) {
        sample_begin(&v->e, "");
        sample_label_str(&v->e, "vhost", v->walk.vhost[i]);
        sample_end(&v->e, !vhost_down_reason(v->walk.vhost[i]));
    }
}

static void write_totals(struct metrics_view *v)
{
    static const struct {
        const char *name, *help;
        enum stat_kind kind;
    } of[] = {
        {"connections", "Connections currently open", STAT_CONNECTION},
        {"channels", "Channels currently open", STAT_CHANNEL},
        {"consumers", "Consumers currently connected", STAT_CONSUMER},
    };

    for (size_t i = 0; i < sizeof(of) / sizeof(*of); i++) {
        metric_begin(&v->e, v->prefix, of[i].name, "gauge", of[i].help);
        metric_value(&v->e, stat_slots_count(of[i].kind));
    }
    metric_begin(&v->e, v->prefix, "queues", "gauge", "Queues available");
    metric_value(&v->e, v->count[METRIC_QUEUE]);
}

static __attribute__((noreturn)) void finish(struct request *r)
{
    struct metrics_view *v = r->state;

    if (v->families & FAMILY_EXCHANGE_NAMES)
        write_names(r);
    if (v->families & FAMILY_VHOST_STATUS)
        write_vhosts(v);
    if (v->families & FAMILY_CHURN)
        metrics_of_churn(&v->e, v->prefix);
    metrics_of_node(&v->e, v->prefix, v->families);
    metrics_of_identity(&v->e, r->node);
    if (!v->is_detailed) {
        write_totals(v);
        metrics_of_messages(&v->e);
    }
    if (r->census)
        metrics_of_runtime(&v->e, r->census);
    request_finish(r);
}

static void go_on(struct request *r)
{
    struct metrics_view *v = r->state;

    if (!v->is_walked) {
        if (!walk_go_on(&v->walk))
            return;
        v->is_walked = true;
        if (!v->is_per_object)
            metric_values_of_node(v->sums[METRIC_CONNECTION], v->sums[METRIC_CHANNEL]);
    }
    while (v->metric < n_metrics) {
        if (!write_metric(r, &metrics[v->metric])) {
            request_continue(r);
            return;
        }
        v->metric++;
    }
    finish(r);
}

static void begin(struct request *r, struct metrics_view *v)
{
    v->e.out = &r->foreign->out;
    if (v->families & OF_QUEUES || !v->is_detailed)
        v->walk.on_queue = on_queue;
    if (v->families & OF_EXCHANGES)
        v->walk.on_exchange = on_exchange;
    v->walk.on_slot = on_slot;
    if (v->families & OF_CONNECTIONS)
        walk_add_kind(&v->walk, STAT_CONNECTION);
    if (v->families & OF_CHANNELS)
        walk_add_kind(&v->walk, STAT_CHANNEL);
}

static struct metrics_view *view_new(struct request *r, const char *prefix, unsigned families)
{
    struct metrics_view *v = proc_zalloc(sizeof(*v));

    walk_init(&v->walk, r, v);
    v->prefix = prefix;
    v->families = families;
    r->content_type = content_type;
    r->state = v;
    return v;
}

static void start_sums(struct request *r)
{
    begin(r, view_new(r, "rabbitmq_", ALL_OBJECTS | ALL_NODE));
    request_count_processes(r);
}

static void start_objects(struct request *r)
{
    struct metrics_view *v = view_new(r, "rabbitmq_", ALL_OBJECTS | ALL_NODE);

    v->is_per_object = true;
    begin(r, v);
    request_count_processes(r);
}

/* Calls fn with each value of a parameter that may come often. */
static void each_param(struct request *r, const char *name, void (*fn)(struct request *r, char *))
{
    const char *at = r->m->query;
    size_t len = strlen(name);

    while (at && *at) {
        size_t n = strcspn(at, "&");

        if (n > len && at[len] == '=' && !strncmp(at, name, len)) {
            char *value = proc_alloc(n);

            value[query_decode(at + len + 1, n - len - 1, value)] = '\0';
            fn(r, value);
            proc_free(value);
        }
        at += n + (at[n] == '&');
    }
}

static void add_family(struct request *r, char *value)
{
    struct metrics_view *v = r->state;

    v->families |= metric_family_of(value); /* as with RabbitMQ, others are empty */
}

static void add_vhost(struct request *r, char *value)
{
    struct metrics_view *v = r->state;

    if (v->walk.n_vhosts < VHOSTS_MOST && access_has_vhost(value, strlen(value)))
        walk_only(&v->walk, value);
}

static void start_detailed(struct request *r)
{
    struct metrics_view *v = view_new(r, "rabbitmq_detailed_", 0);

    v->is_per_object = v->is_detailed = true;
    each_param(r, "family", add_family);
    if (request_param(r, "vhost")) {
        walk_only(&v->walk, "");
        each_param(r, "vhost", add_vhost);
    }
    begin(r, v);
    go_on(r);
}

static void handle(struct request *r, struct msg *m)
{
    if (r->census || request_has_census(r, m))
        go_on(r);
    else if (((struct metrics_view *)r->state)->is_detailed)
        go_on(r);
}

static void start_memory(struct request *r)
{
    (void)view_new(r, "warren_", 0);
    request_count_processes(r);
}

static void handle_memory(struct request *r, struct msg *m)
{
    struct metrics_view *v = r->state;

    if (!request_has_census(r, m))
        return;
    v->e.out = &r->foreign->out;
    metrics_of_memory(&v->e, r->census);
    metrics_of_identity(&v->e, r->node);
    request_finish(r);
}

const struct view views_metrics[] = {
    {"metrics", HTTP_GET, VIEW_MONITORING, VIEW_METRICS, start_sums, handle},
    {"metrics/per-object", HTTP_GET, VIEW_MONITORING, VIEW_METRICS, start_objects, handle},
    {"metrics/detailed", HTTP_GET, VIEW_MONITORING, VIEW_METRICS, start_detailed, handle},
    {"metrics/memory-breakdown", HTTP_GET, VIEW_MONITORING, VIEW_METRICS, start_memory,
     handle_memory},
    {0},
};
