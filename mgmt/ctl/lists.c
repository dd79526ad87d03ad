/*
 * Columns of the list commands: rabbitmqctl's names, and where the API has them.
 */
#include "mgmt/ctl/lists.h"

#define COLUMNS(NAME) static const struct column NAME##_columns[]

COLUMNS(users) = {{"user", "name"}, {"tags", NULL}, {NULL, NULL}};
COLUMNS(vhosts) = {{"name", NULL},           {"description", NULL},
                   {"tags", NULL},           {"default_queue_type", NULL},
                   {"tracing", NULL},        {"messages", NULL},
                   {"messages_ready", NULL}, {"messages_unacknowledged", NULL},
                   {"cluster_state", NULL},  {NULL, NULL}};
COLUMNS(permissions) = {
    {"user", NULL}, {"configure", NULL}, {"write", NULL}, {"read", NULL}, {NULL, NULL}};
COLUMNS(user_permissions) = {
    {"vhost", NULL}, {"configure", NULL}, {"write", NULL}, {"read", NULL}, {NULL, NULL}};
COLUMNS(topic_permissions) = {{"user", NULL},  {"vhost", NULL}, {"exchange", NULL},
                              {"write", NULL}, {"read", NULL},  {NULL, NULL}};
COLUMNS(policies) = {{"vhost", NULL},
                     {"name", NULL},
                     {"pattern", NULL},
                     {"apply-to", NULL},
                     {"definition", "#definition"},
                     {"priority", NULL},
                     {NULL, NULL}};
COLUMNS(parameters) = {
    {"component", NULL}, {"name", NULL}, {"value", "#value"}, {"vhost", NULL}, {NULL, NULL}};
COLUMNS(queues) = {{"name", NULL},
                   {"vhost", NULL},
                   {"type", NULL},
                   {"durable", NULL},
                   {"auto_delete", NULL},
                   {"exclusive", NULL},
                   {"arguments", NULL},
                   {"pid", "node"},
                   {"leader", "node"},
                   {"members", "="},
                   {"online", "="},
                   {"slave_pids", "="},
                   {"synchronised_slave_pids", "="},
                   {"state", NULL},
                   {"policy", NULL},
                   {"operator_policy", NULL},
                   {"effective_policy_definition", NULL},
                   {"messages", NULL},
                   {"messages_ready", NULL},
                   {"messages_unacknowledged", NULL},
                   {"messages_ram", NULL},
                   {"messages_ready_ram", NULL},
                   {"messages_unacknowledged_ram", NULL},
                   {"messages_persistent", NULL},
                   {"message_bytes", NULL},
                   {"message_bytes_ready", NULL},
                   {"message_bytes_unacknowledged", NULL},
                   {"message_bytes_ram", NULL},
                   {"message_bytes_persistent", NULL},
                   {"head_message_timestamp", NULL},
                   {"consumers", NULL},
                   {"consumer_capacity", NULL},
                   {"consumer_utilisation", NULL},
                   {"single_active_consumer_tag", NULL},
                   {"exclusive_consumer_tag", NULL},
                   {"exclusive_consumer_pid", "="},
                   {"owner_pid", "~owner_pid_details.name"},
                   {"disk_reads", "message_stats.disk_reads"},
                   {"disk_writes", "message_stats.disk_writes"},
                   {"memory", NULL},
                   {"idle_since", NULL},
                   {"node", NULL},
                   {NULL, NULL}};
COLUMNS(feature_flags) = {{"name", NULL},        {"state", NULL}, {"stability", NULL},
                          {"provided_by", NULL}, {"desc", NULL},  {NULL, NULL}};
COLUMNS(exchanges) = {{"name", NULL},      {"vhost", NULL},    {"type", NULL},
                      {"durable", NULL},   {"internal", NULL}, {"auto_delete", NULL},
                      {"arguments", NULL}, {"policy", NULL},   {NULL, NULL}};
COLUMNS(bindings) = {{"source_name", "source"},
                     {"source_kind", "=exchange"},
                     {"destination_name", "destination"},
                     {"destination_kind", "destination_type"},
                     {"routing_key", NULL},
                     {"arguments", NULL},
                     {"vhost", NULL},
                     {NULL, NULL}};
COLUMNS(connections) = {{"name", NULL},
                        {"pid", "~name"},
                        {"user", NULL},
                        {"user_who_performed_action", NULL},
                        {"vhost", NULL},
                        {"state", NULL},
                        {"protocol", NULL},
                        {"auth_mechanism", NULL},
                        {"host", NULL},
                        {"port", NULL},
                        {"peer_host", NULL},
                        {"peer_port", NULL},
                        {"channels", NULL},
                        {"channel_max", NULL},
                        {"frame_max", NULL},
                        {"timeout", NULL},
                        {"client_properties", NULL},
                        {"user_provided_name", NULL},
                        {"connected_at", NULL},
                        {"recv_oct", NULL},
                        {"recv_cnt", NULL},
                        {"send_oct", NULL},
                        {"send_cnt", NULL},
                        {"send_pend", NULL},
                        {"ssl", NULL},
                        {"ssl_protocol", NULL},
                        {"ssl_key_exchange", NULL},
                        {"ssl_cipher", NULL},
                        {"ssl_hash", NULL},
                        {"peer_cert_subject", NULL},
                        {"peer_cert_issuer", NULL},
                        {"peer_cert_validity", NULL},
                        {"node", NULL},
                        {NULL, NULL}};
COLUMNS(channels) = {{"name", NULL},
                     {"pid", "~name"},
                     {"connection", "~connection_details.name"},
                     {"number", NULL},
                     {"user", NULL},
                     {"vhost", NULL},
                     {"state", NULL},
                     {"transactional", NULL},
                     {"confirm", NULL},
                     {"consumer_count", NULL},
                     {"messages_unacknowledged", NULL},
                     {"messages_uncommitted", NULL},
                     {"acks_uncommitted", NULL},
                     {"messages_unconfirmed", NULL},
                     {"prefetch_count", NULL},
                     {"global_prefetch_count", NULL},
                     {"idle_since", NULL},
                     {"node", NULL},
                     {NULL, NULL}};
COLUMNS(consumers) = {{"queue_name", "queue.name"},
                      {"vhost", "queue.vhost"},
                      {"channel_pid", "~channel_details.name"},
                      {"consumer_tag", NULL},
                      {"ack_required", NULL},
                      {"exclusive", NULL},
                      {"prefetch_count", NULL},
                      {"active", NULL},
                      {"activity_status", NULL},
                      {"arguments", NULL},
                      {NULL, NULL}};

const struct listing list_users = {"users", users_columns, "user tags"};
const struct listing list_vhosts = {"vhosts", vhosts_columns, "name"};
const struct listing list_permissions = {"vhosts/%v/permissions", permissions_columns,
                                         "user configure write read"};
const struct listing list_user_permissions = {"users/%1/permissions", user_permissions_columns,
                                              "vhost configure write read"};
const struct listing list_topic_permissions = {
    "vhosts/%v/topic-permissions", topic_permissions_columns, "user exchange write read"};
const struct listing list_user_topic_permissions = {
    "users/%1/topic-permissions", topic_permissions_columns, "vhost exchange write read"};
const struct listing list_policies = {"policies/%v", policies_columns,
                                      "vhost name pattern apply-to definition priority"};
const struct listing list_operator_policies = {"operator-policies/%v", policies_columns,
                                               "vhost name pattern apply-to definition priority"};
const struct listing list_parameters = {"parameters", parameters_columns, "component name value"};
const struct listing list_global_parameters = {"global-parameters", parameters_columns,
                                               "name value"};
const struct listing list_queues = {"queues/%v", queues_columns, "name messages"};
const struct listing list_unresponsive_queues = {"queues/%v", queues_columns, "name"};
const struct listing list_feature_flags = {"feature-flags", feature_flags_columns, "name state"};
const struct listing list_exchanges = {"exchanges/%v", exchanges_columns, "name type"};
const struct listing list_bindings = {
    "bindings/%v", bindings_columns,
    "source_name source_kind destination_name destination_kind routing_key arguments"};
const struct listing list_connections = {"connections", connections_columns,
                                         "user peer_host peer_port state"};
const struct listing list_channels = {"channels", channels_columns,
                                      "pid user consumer_count messages_unacknowledged"};
const struct listing list_consumers = {
    "consumers/%v", consumers_columns,
    "queue_name channel_pid consumer_tag ack_required prefetch_count active arguments"};
