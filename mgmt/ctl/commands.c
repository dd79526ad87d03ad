/*
 * The table of commands.
 */
#include <string.h>

#include "mgmt/ctl/lists.h"

#define VHOST   OPTION_BIT(OPT_VHOST)
#define POLICY  (VHOST | OPTION_BIT(OPT_APPLY_TO) | OPTION_BIT(OPT_PRIORITY))
#define OPT(ID) OPTION_BIT(OPT_##ID)

const char *const ctl_group_names[N_GROUPS] = {
    [GROUP_NODE] = "Node",
    [GROUP_HEALTH] = "Health checks",
    [GROUP_USERS] = "Users",
    [GROUP_ACCESS] = "Permissions",
    [GROUP_VHOSTS] = "Virtual hosts",
    [GROUP_POLICIES] = "Policies and parameters",
    [GROUP_OBJECTS] = "Queues, exchanges, connections",
    [GROUP_DEFINITIONS] = "Definitions and backups",
    [GROUP_TOOL] = "This tool",
};

/* name, args, summary, banner, group, min, max, options, then what it does */
const struct command ctl_commands[] = {
    {"status", "", "what the node runs, uses and serves", NULL, GROUP_NODE, 0, 0, 0,
     .run = cmd_status},
    {"cluster_status", "", "the node, its versions and alarms", NULL, GROUP_NODE, 0, 0, 0,
     .run = cmd_cluster_status},
    {"environment", "", "the configuration in force", "Configuration in force ...", GROUP_NODE, 0,
     0, 0, .run = cmd_environment},
    {"report", "", "status and all lists, for who is to help", NULL, GROUP_NODE, 0, 0, 0,
     .run = cmd_report},
    {"await_startup", "", "wait until the broker answers, 300 s unless --timeout says else", NULL,
     GROUP_NODE, 0, 0, 0, .run = cmd_await_startup},
    {"wait", "[PIDFILE]", "the same; a pid is not needed", NULL, GROUP_NODE, 0, 1, OPT(PID),
     .run = cmd_await_startup},
    {"await_online_nodes", "1", "the same; there is one node", NULL, GROUP_NODE, 1, 1, 0,
     .run = cmd_await_online_nodes},
    {"server_version", "", "of the broker", NULL, GROUP_NODE, 0, 0, 0, .run = cmd_server_version},
    {"set_cluster_name", "NAME", "what the broker calls itself to its clients",
     "Setting cluster name to %1 ...", GROUP_NODE, 1, 1, 0, .run = cmd_set_cluster_name},
    {"list_feature_flags", "[COLUMN...]", "features that clients of the API ask about",
     "Listing feature flags ...", GROUP_NODE, 0, -1, 0, .listing = &list_feature_flags},
    {"enable_feature_flag", "NAME | all", "all that there are are enabled",
     "Enabling feature flag \"%1\" ...", GROUP_NODE, 1, 1, 0, .run = cmd_enable_feature_flag},
    {"log_location", "", "where the log goes", NULL, GROUP_NODE, 0, 0, 0, .run = cmd_log_location},
    {"listeners", "", "who listens where", NULL, GROUP_NODE, 0, 0, 0, .run = cmd_listeners},
    {"memory_breakdown", "", "what memory is used for", NULL, GROUP_NODE, 0, 0, 0,
     .run = cmd_memory_breakdown},
    {"log_tail", "", "the last lines of the log", NULL, GROUP_NODE, 0, 0, OPT(LINES),
     .run = cmd_log_tail},
    {"rotate_logs", "", "open the log's file anew, and read the configuration again",
     "Rotating logs ...", GROUP_NODE, 0, 0, 0, .method = "POST", .path = "warren/config/reload"},
    {"reload_config", "", "read the configuration again", "Reading the configuration again ...",
     GROUP_NODE, 0, 0, 0, .method = "POST", .path = "warren/config/reload"},
    {"set_log_level", "[CATEGORY] LEVEL", "what is logged, until the next reload", NULL, GROUP_NODE,
     1, 2, 0, .run = cmd_set_log_level},
    {"set_vm_memory_high_watermark", "FRACTION | absolute BYTES",
     "over which memory publishers wait, until the next reload", "Setting the memory threshold ...",
     GROUP_NODE, 1, 2, 0, .run = cmd_set_memory_watermark},
    {"set_disk_free_limit", "BYTES | mem_relative FRACTION",
     "under which free space publishers wait, until the next reload",
     "Setting the disk free limit ...", GROUP_NODE, 1, 2, 0, .run = cmd_set_disk_limit},
    {"stop", "", "stop the broker in order", "Stopping the node ...", GROUP_NODE, 0, 0, 0,
     .run = cmd_stop},
    {"shutdown", "", "the same as stop", "Stopping the node ...", GROUP_NODE, 0, 0, 0,
     .run = cmd_stop},

    {"ping", "", "whether the broker answers", NULL, GROUP_HEALTH, 0, 0, 0, .run = cmd_ping},
    {"check_running", "", "whether the broker runs and serves", NULL, GROUP_HEALTH, 0, 0, 0,
     .run = cmd_check_running},
    {"is_running", "", "the same", NULL, GROUP_HEALTH, 0, 0, 0, .run = cmd_check_running},
    {"alarms", "", "which alarms stand", NULL, GROUP_HEALTH, 0, 0, 0, .run = cmd_alarms},
    {"node_health_check", "", "alarms and virtual hosts in one", NULL, GROUP_HEALTH, 0, 0, 0,
     .run = cmd_node_health_check},
    {"check_alarms", "", "whether no alarm stands", NULL, GROUP_HEALTH, 0, 0, 0,
     .run = cmd_check_alarms},
    {"check_local_alarms", "", "whether no alarm of this node stands", NULL, GROUP_HEALTH, 0, 0, 0,
     .run = cmd_check_alarms},
    {"check_port_connectivity", "", "whether each listener accepts connections", NULL, GROUP_HEALTH,
     0, 0, 0, .run = cmd_check_port_connectivity},
    {"check_port_listener", "PORT", "whether something listens on the port", NULL, GROUP_HEALTH, 1,
     1, 0, .path = "health/checks/port-listener/%1", .run = cmd_check_simple},
    {"check_protocol_listener", "PROTOCOL", "whether something listens for it: amqp, http...", NULL,
     GROUP_HEALTH, 1, 1, 0, .path = "health/checks/protocol-listener/%1", .run = cmd_check_simple},
    {"check_virtual_hosts", "", "whether all virtual hosts are up", NULL, GROUP_HEALTH, 0, 0, 0,
     .path = "health/checks/virtual-hosts", .run = cmd_check_simple},
    {"check_certificate_expiration", "", "whether no certificate expires soon", NULL, GROUP_HEALTH,
     0, 0, OPT(UNIT) | OPT(WITHIN), .run = cmd_check_certificates},

    {"add_user", "USER [PASSWORD]", "make a user; without PASSWORD it is read from standard input",
     "Adding user \"%1\" ...", GROUP_USERS, 1, 2, 0, .run = cmd_add_user},
    {"delete_user", "USER", "delete a user", "Deleting user \"%1\" ...", GROUP_USERS, 1, 1, 0,
     .method = "DELETE", .path = "users/%1"},
    {"change_password", "USER [PASSWORD]", "as for add_user",
     "Changing password for user \"%1\" ...", GROUP_USERS, 1, 2, 0, .run = cmd_change_password},
    {"clear_password", "USER", "no password lets the user in any more",
     "Clearing password for user \"%1\" ...", GROUP_USERS, 1, 1, 0, .run = cmd_clear_password},
    {"authenticate_user", "USER [PASSWORD]", "whether the password is right",
     "Authenticating user \"%1\" ...", GROUP_USERS, 1, 2, 0, .run = cmd_authenticate_user},
    {"set_user_tags", "USER [TAG...]",
     "administrator, monitoring, policymaker, management; none takes them away",
     "Setting tags for user \"%1\" to [%t] ...", GROUP_USERS, 1, -1, 0, .run = cmd_set_user_tags},
    {"list_users", "", "users and their tags", "Listing users ...", GROUP_USERS, 0, 0, 0,
     .listing = &list_users},
    {"set_user_limits", "USER LIMITS", "JSON: {\"max-connections\": N, \"max-channels\": N}",
     "Setting user limits to \"%2\" for user \"%1\" ...", GROUP_USERS, 2, 2, 0,
     .run = cmd_set_user_limits},
    {"clear_user_limits", "USER LIMIT", "max-connections, max-channels or all", NULL, GROUP_USERS,
     2, 2, 0, .run = cmd_clear_user_limits},
    {"list_user_limits", "", "of guest, of another --user, or of all with --global", NULL,
     GROUP_USERS, 0, 0, OPT(USER) | OPT(GLOBAL), .run = cmd_list_user_limits},
    {"list_node_auth_attempt_stats", "", "logins, those that failed among them", NULL, GROUP_USERS,
     0, 0, OPT(BY_SOURCE), .run = cmd_auth_attempts},

    {"set_permissions", "USER CONFIGURE WRITE READ", "three regular expressions on names",
     "Setting permissions for user \"%1\" in vhost \"%v\" ...", GROUP_ACCESS, 4, 4, VHOST,
     .method = "PUT", .path = "permissions/%v/%1", .body = body_permissions},
    {"clear_permissions", "USER", "the user may do nothing there",
     "Clearing permissions for user \"%1\" in vhost \"%v\" ...", GROUP_ACCESS, 1, 1, VHOST,
     .method = "DELETE", .path = "permissions/%v/%1"},
    {"list_permissions", "", "of a virtual host", "Listing permissions for vhost \"%v\" ...",
     GROUP_ACCESS, 0, 0, VHOST, .listing = &list_permissions},
    {"list_user_permissions", "USER", "of a user", "Listing permissions for user \"%1\" ...",
     GROUP_ACCESS, 1, 1, 0, .listing = &list_user_permissions},
    {"set_topic_permissions", "USER EXCHANGE WRITE READ",
     "regular expressions on routing keys of a topic exchange",
     "Setting topic permissions on \"%2\" for user \"%1\" in vhost \"%v\" ...", GROUP_ACCESS, 4, 4,
     VHOST, .method = "PUT", .path = "topic-permissions/%v/%1", .body = body_topic_permissions},
    {"clear_topic_permissions", "USER [EXCHANGE]", "of one exchange, or all",
     "Clearing topic permissions for user \"%1\" in vhost \"%v\" ...", GROUP_ACCESS, 1, 2, VHOST,
     .run = cmd_clear_topic_permissions},
    {"list_topic_permissions", "", "of a virtual host",
     "Listing topic permissions for vhost \"%v\" ...", GROUP_ACCESS, 0, 0, VHOST,
     .listing = &list_topic_permissions},
    {"list_user_topic_permissions", "USER", "of a user",
     "Listing topic permissions for user \"%1\" ...", GROUP_ACCESS, 1, 1, 0,
     .listing = &list_user_topic_permissions},

    {"add_vhost", "VHOST", "make a virtual host", "Adding vhost \"%1\" ...", GROUP_VHOSTS, 1, 1,
     OPT(DESCRIPTION) | OPT(TAGS) | OPT(QUEUE_TYPE), .run = cmd_add_vhost},
    {"delete_vhost", "VHOST", "delete it with all that is in it", "Deleting vhost \"%1\" ...",
     GROUP_VHOSTS, 1, 1, 0, .method = "DELETE", .path = "vhosts/%1"},
    {"set_vhost_tags", "VHOST [TAG...]", "none takes them away",
     "Setting tags for virtual host \"%1\" to [%t] ...", GROUP_VHOSTS, 1, -1, 0,
     .run = cmd_set_vhost_tags},
    {"list_vhosts", "[COLUMN...]", "virtual hosts", "Listing vhosts ...", GROUP_VHOSTS, 0, -1, 0,
     .listing = &list_vhosts},
    {"restart_vhost", "VHOST", "try a virtual host that is down again at once",
     "Restarting vhost \"%1\" ...", GROUP_VHOSTS, 1, 1, 0, .method = "POST",
     .path = "vhosts/%1/start/local"},
    {"set_vhost_limits", "LIMITS", "JSON: {\"max-connections\": N, \"max-queues\": N}",
     "Setting vhost limits to \"%1\" for vhost \"%v\" ...", GROUP_VHOSTS, 1, 1, VHOST,
     .run = cmd_set_vhost_limits},
    {"clear_vhost_limits", "", "no limits of its own", "Clearing vhost \"%v\" limits ...",
     GROUP_VHOSTS, 0, 0, VHOST, .run = cmd_clear_vhost_limits},
    {"list_vhost_limits", "", "of a virtual host, or of all with --global", NULL, GROUP_VHOSTS, 0,
     0, VHOST | OPT(GLOBAL), .run = cmd_list_vhost_limits},

    {"set_policy", "NAME PATTERN DEFINITION", "settings for queues or exchanges by their names",
     "Setting policy \"%1\" for pattern \"%2\" to \"%3\" with priority \"%P\" for vhost \"%v\" ...",
     GROUP_POLICIES, 3, 3, POLICY, .method = "PUT", .path = "policies/%v/%1", .body = body_policy},
    {"clear_policy", "NAME", "take it back", "Clearing policy \"%1\" on vhost \"%v\" ...",
     GROUP_POLICIES, 1, 1, VHOST, .method = "DELETE", .path = "policies/%v/%1"},
    {"list_policies", "", "of a virtual host", "Listing policies for vhost \"%v\" ...",
     GROUP_POLICIES, 0, 0, VHOST, .listing = &list_policies},
    {"set_operator_policy", "NAME PATTERN DEFINITION", "one that policies cannot go beyond",
     "Setting operator policy override \"%1\" for pattern \"%2\" to \"%3\" with priority \"%P\" "
     "for "
     "vhost \"%v\" ...",
     GROUP_POLICIES, 3, 3, POLICY, .method = "PUT", .path = "operator-policies/%v/%1",
     .body = body_policy},
    {"clear_operator_policy", "NAME", "take it back",
     "Clearing operator policy \"%1\" on vhost \"%v\" ...", GROUP_POLICIES, 1, 1, VHOST,
     .method = "DELETE", .path = "operator-policies/%v/%1"},
    {"list_operator_policies", "", "of a virtual host",
     "Listing operator policy overrides for vhost \"%v\" ...", GROUP_POLICIES, 0, 0, VHOST,
     .listing = &list_operator_policies},
    {"set_parameter", "COMPONENT NAME VALUE", "a runtime parameter, in JSON",
     "Setting runtime parameter \"%2\" for component \"%1\" to \"%3\" in vhost \"%v\" ...",
     GROUP_POLICIES, 3, 3, VHOST, .method = "PUT", .path = "parameters/%1/%v/%2",
     .body = body_parameter},
    {"clear_parameter", "COMPONENT NAME", "take it back",
     "Clearing runtime parameter \"%2\" for component \"%1\" on vhost \"%v\" ...", GROUP_POLICIES,
     2, 2, VHOST, .method = "DELETE", .path = "parameters/%1/%v/%2"},
    {"list_parameters", "", "of a virtual host", "Listing runtime parameters for vhost \"%v\" ...",
     GROUP_POLICIES, 0, 0, VHOST, .listing = &list_parameters, .run = cmd_list_parameters},
    {"set_global_parameter", "NAME VALUE", "one of no virtual host, in JSON",
     "Setting global runtime parameter \"%1\" to \"%2\" ...", GROUP_POLICIES, 2, 2, 0,
     .method = "PUT", .path = "global-parameters/%1", .body = body_global_parameter},
    {"clear_global_parameter", "NAME", "take it back",
     "Clearing global runtime parameter \"%1\" ...", GROUP_POLICIES, 1, 1, 0, .method = "DELETE",
     .path = "global-parameters/%1"},
    {"list_global_parameters", "", "those of no virtual host",
     "Listing global runtime parameters ...", GROUP_POLICIES, 0, 0, 0,
     .listing = &list_global_parameters},

    {"list_queues", "[COLUMN...]", "queues of a virtual host",
     "Timeout: %T seconds ...\nListing queues for vhost %v ...", GROUP_OBJECTS, 0, -1,
     VHOST | OPT(ONLINE) | OPT(OFFLINE) | OPT(LOCAL), .listing = &list_queues,
     .run = cmd_list_queues},
    {"list_unresponsive_queues", "[COLUMN...]", "queues that are down",
     "Listing unresponsive queues for vhost %v ...", GROUP_OBJECTS, 0, -1, VHOST | OPT(LOCAL),
     .listing = &list_unresponsive_queues, .run = cmd_list_unresponsive_queues},
    {"list_exchanges", "[COLUMN...]", "exchanges of a virtual host",
     "Listing exchanges for vhost %v ...", GROUP_OBJECTS, 0, -1, VHOST, .listing = &list_exchanges},
    {"list_bindings", "[COLUMN...]", "bindings of a virtual host",
     "Listing bindings for vhost %v...", GROUP_OBJECTS, 0, -1, VHOST, .listing = &list_bindings},
    {"list_connections", "[COLUMN...]", "open connections", "Listing connections ...",
     GROUP_OBJECTS, 0, -1, 0, .listing = &list_connections},
    {"list_channels", "[COLUMN...]", "open channels", "Listing channels ...", GROUP_OBJECTS, 0, -1,
     0, .listing = &list_channels},
    {"list_consumers", "[COLUMN...]", "consumers of a virtual host",
     "Listing consumers in vhost %v ...", GROUP_OBJECTS, 0, -1, VHOST, .listing = &list_consumers},
    {"purge_queue", "QUEUE", "drop its ready messages", "Purging queue '%1' in vhost '%v' ...",
     GROUP_OBJECTS, 1, 1, VHOST, .method = "DELETE", .path = "queues/%v/%1/contents"},
    {"delete_queue", "QUEUE", "delete a queue", NULL, GROUP_OBJECTS, 1, 1,
     VHOST | OPT(IF_EMPTY) | OPT(IF_UNUSED), .run = cmd_delete_queue},
    {"peek", "QUEUE [POSITION]", "look at the first message, or the one at POSITION", NULL,
     GROUP_OBJECTS, 1, 2, VHOST, .run = cmd_peek},
    {"close_connection", "PID [REASON]",
     "close a connection, by its pid or its name in list_connections", NULL, GROUP_OBJECTS, 1, 2, 0,
     .run = cmd_close_connection},
    {"close_all_connections", "[REASON]", "those of a virtual host, or of all with --global", NULL,
     GROUP_OBJECTS, 0, 1, VHOST | OPT(GLOBAL) | OPT(LIMIT), .run = cmd_close_all_connections},
    {"close_all_user_connections", "USER [REASON]", "those of a user", NULL, GROUP_OBJECTS, 1, 2, 0,
     .run = cmd_close_user_connections},

    {"export_definitions", "FILE", "users, virtual hosts, queues... as JSON; - is standard output",
     NULL, GROUP_DEFINITIONS, 1, 1, 0, .run = cmd_export_definitions},
    {"import_definitions", "[FILE]", "take them in; without FILE from standard input",
     "Importing definitions ...", GROUP_DEFINITIONS, 0, 1, OPT(SKIP_UNSUPPORTED),
     .run = cmd_import_definitions},
    {"backup", "DIRECTORY",
     "copy all stores, messages included, into a folder of the broker's host",
     "Backing up to \"%1\" ...", GROUP_DEFINITIONS, 1, 1, OPT(WAIT), .run = cmd_backup},

    {"help", "[COMMAND]", "what there is, and what a command takes", NULL, GROUP_TOOL, 0, 1, 0,
     .run = cmd_help},
    {"version", "", "of this tool", NULL, GROUP_TOOL, 0, 0, 0, .run = cmd_version},
    {"list_commands", "", "names of all commands", NULL, GROUP_TOOL, 0, 0, 0,
     .run = cmd_list_commands},
    {"completion", "SHELL", "a script for bash, zsh or fish", NULL, GROUP_TOOL, 1, 1, 0,
     .run = cmd_completion},
    {"man", "", "this tool's man page, as troff", NULL, GROUP_TOOL, 0, 0, 0, .run = cmd_man},
};

const size_t ctl_n_commands = sizeof(ctl_commands) / sizeof(*ctl_commands);

const struct command *ctl_find_command(const char *name)
{
    for (size_t i = 0; i < ctl_n_commands; i++) {
        if (!strcmp(ctl_commands[i].name, name))
            return &ctl_commands[i];
    }
    return NULL;
}

/* Commands of rabbitmqctl and its sisters that have no meaning here, and why. */
static const struct {
    const char *names; /* between spaces */
    const char *why;
} absent[] = {
    {" stop_app start_app ",
     "the broker and its program are one; see 'stop', and start its service"},
    {" reset force_reset force_boot ", "stop the broker and remove its data directory"},
    {" join_cluster forget_cluster_node change_cluster_node_type rename_cluster_node "
     "update_cluster_nodes sync_queue cancel_sync_queue add_member delete_member "
     "grow shrink quorum_status rebalance ",
     "there is one node and no replica"},
    {" eval eval_file exec hipe_compile schema_info force_gc maybe_stuck observer erlang_version ",
     "there is no Erlang in this broker"},
    {" trace_on trace_off ", "messages are not traced; 'peek' shows those of a queue"},
    {" encode decode list_ciphers list_hashes ", "values of the configuration are not encrypted"},
    {" suspend_listeners resume_listeners drain revive ",
     "listeners stay; connections can be limited to 0 by 'set_vhost_limits'"},
    {" autocomplete ", "'completion' prints a script for your shell"},
};

const char *ctl_why_absent(const char *name)
{
    char word[64];

    snprintf(word, sizeof(word), " %s ", name);
    for (size_t i = 0; !strchr(name, ' ') && i < sizeof(absent) / sizeof(*absent); i++) {
        if (strstr(absent[i].names, word))
            return absent[i].why;
    }
    return NULL;
}

enum { NAME_MAX_LEN = 40 };

/* How many letters must change, go or come; both texts are short. */
static int distance(const char *a, const char *b)
{
    int row[NAME_MAX_LEN + 1], n = (int)strlen(b);

    for (int k = 0; k <= n; k++)
        row[k] = k;
    for (int i = 1; a[i - 1]; i++) {
        int diagonal = row[0];

        row[0] = i;
        for (int k = 1; k <= n; k++) {
            int change = diagonal + (a[i - 1] != b[k - 1]), least = row[k - 1] + 1;

            diagonal = row[k];
            least = change < least ? change : least;
            row[k] = diagonal + 1 < least ? diagonal + 1 : least;
        }
    }
    return row[n];
}

const char *ctl_similar(const char *name)
{
    const char *found = NULL;
    int least = 4;

    if (strlen(name) > NAME_MAX_LEN)
        return NULL;
    for (size_t i = 0; i < ctl_n_commands; i++) {
        int n = distance(ctl_commands[i].name, name);

        if (n < least) {
            least = n;
            found = ctl_commands[i].name;
        }
    }
    return found;
}
