/*
 * lists.h - what the list commands show: columns under rabbitmqctl's names.
 */
#ifndef MGMT_CTL_LISTS_H
#define MGMT_CTL_LISTS_H

#include "mgmt/ctl/ctl.h"

extern const struct listing list_users, list_vhosts, list_permissions, list_user_permissions,
    list_topic_permissions, list_user_topic_permissions, list_policies, list_operator_policies,
    list_parameters, list_global_parameters, list_queues, list_exchanges, list_bindings,
    list_connections, list_channels, list_consumers, list_unresponsive_queues, list_feature_flags;

#endif
