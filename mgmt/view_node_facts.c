/*
 * Small views about the node: its name, its version, what of RabbitMQ's features it has.
 */
#include <string.h>

#include "broker/runtime/region.h"
#include "mgmt/json.h"
#include "mgmt/node_ask.h"
#include "mgmt/node_json.h"
#include "mgmt/views.h"

static json_t *cluster_name_json(void)
{
    RUNTIME_REGION();
    json_t *ret = json_object();

    json_add(ret, "name", node_cluster_name_json());
    return ret;
}

static void start_cluster_name(struct request *r)
{
    request_finish_json(r, cluster_name_json());
}

static json_t *parameter_of(const char *name, const char *value)
{
    RUNTIME_REGION();
    json_t *ret = json_object();

    json_add_text(ret, "name", name);
    json_add_text(ret, "value", value);
    return ret;
}

static void start_name_cluster(struct request *r)
{
    const char *name = request_body_text(r, "name");
    json_t *parameter;

    if (!name)
        request_fail(r, 400, "[{key_missing,name}]");
    parameter = parameter_of("cluster_name", name);
    node_ask_put(r, "global_parameters", parameter);
    json_decref(parameter);
}

/* Named before or not: 204, as RabbitMQ. */
static void handle_name_cluster(struct request *r, struct msg *m)
{
    if (node_answer(r, m)->result == NODE_CREATED)
        request_finish_empty(r);
    node_answered(r, m);
}

/* The version whose behaviour tools may expect. */
static void start_version(struct request *r)
{
    request_finish_json(r, json_text_str(RABBITMQ_VERSION));
}

static void start_empty_list(struct request *r)
{
    text_add_str(&r->foreign->out, "[]");
    request_finish(r);
}

/* What RabbitMQ's flags of 3.10 stand for is always on. */
static const char *const flags[][2] = {
    {"drop_unroutable_metric", "Count unroutable publishes to be dropped in stats"},
    {"empty_basic_get_metric", "Count AMQP basic.get on empty queues in stats"},
    {"implicit_default_bindings", "Default bindings are implicit, instead of being stored"},
    {"quorum_queue", "Queues of type quorum may be declared"},
    {"user_limits", "Connection and channel limits for a user"},
    {"virtual_host_metadata", "Virtual host description, tags and default queue type"},
};

static json_t *flag_json(const char *const flag[2])
{
    json_t *ret = json_object();

    json_add_text(ret, "name", flag[0]);
    json_add_text(ret, "desc", flag[1]);
    json_add_text(ret, "doc_url", "");
    json_add_text(ret, "state", "enabled");
    json_add_text(ret, "stability", "stable");
    json_add_text(ret, "provided_by", "warren");
    return ret;
}

static void start_flags(struct request *r)
{
    json_t *list = json_array();

    for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
        json_append(list, flag_json(flags[i]));
    request_finish_json(r, list);
}

static void start_enable_flag(struct request *r)
{
    const char *name = request_segment(r, 2);

    for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
        if (!strcmp(flags[i][0], name) || !strcmp(name, "all"))
            request_finish_empty(r);
    }
    request_fail_not_found(r);
}

/* There is one node, on which all queues are already; counters are never reset. */
static void start_nothing_to_do(struct request *r)
{
    request_finish_empty(r);
}

enum { ALL = VIEW_MANAGEMENT, ADMIN = VIEW_ADMINISTRATOR };

const struct view views_node_facts[] = {
    {"api/cluster-name", HTTP_GET, ALL, 0, start_cluster_name, NULL},
    {"api/cluster-name", HTTP_PUT, ADMIN, 0, start_name_cluster, handle_name_cluster},
    {"api/version", HTTP_GET, ALL, 0, start_version, NULL},
    {"api/extensions", HTTP_GET, ALL, 0, start_empty_list, NULL},
    {"api/feature-flags", HTTP_GET, ALL, 0, start_flags, NULL},
    {"api/feature-flags/x/enable", HTTP_PUT, ADMIN, 0, start_enable_flag, NULL},
    {"api/deprecated-features", HTTP_GET, ALL, 0, start_empty_list, NULL},
    {"api/deprecated-features/used", HTTP_GET, ALL, 0, start_empty_list, NULL},
    {"api/rebalance/queues", HTTP_POST, ADMIN, 0, start_nothing_to_do, NULL},
    {"api/reset", HTTP_DELETE, ADMIN, 0, start_nothing_to_do, NULL},
    {"api/reset/x", HTTP_DELETE, ADMIN, 0, start_nothing_to_do, NULL},
    {0},
};
