/*
 * ctl.h - warrenctl, the command line tool: what its files share.
 *
 * A program of its own that speaks to the management API and to nothing else. Each command is a row
 * of the table in commands.c, from which help, completion and the man page come too. Its exit codes
 * are those of sysexits.h, as rabbitmqctl has them.
 */
#ifndef MGMT_CTL_CTL_H
#define MGMT_CTL_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sysexits.h>

struct ctl;

enum ctl_format { FORMAT_TABLE, FORMAT_PRETTY_TABLE, FORMAT_JSON, FORMAT_CSV };

enum option_id {
    OPT_HOST,
    OPT_PORT,
    OPT_USERNAME,
    OPT_PASSWORD,
    OPT_TLS,
    OPT_CA,
    OPT_CERT,
    OPT_KEY,
    OPT_INSECURE,
    OPT_CONFIG,
    OPT_NODE,
    OPT_TIMEOUT,
    OPT_FORMATTER,
    OPT_NO_HEADERS,
    OPT_QUIET,
    OPT_SILENT,
    OPT_LONGNAMES,
    OPT_HELP,
    OPT_VERSION,
    OPT_OF_COMMANDS, /* those below are known to some commands only */
    OPT_VHOST = OPT_OF_COMMANDS,
    OPT_APPLY_TO,
    OPT_PRIORITY,
    OPT_IF_EMPTY,
    OPT_IF_UNUSED,
    OPT_DESCRIPTION,
    OPT_TAGS,
    OPT_QUEUE_TYPE,
    OPT_USER,
    OPT_GLOBAL,
    OPT_LIMIT,
    OPT_ONLINE,
    OPT_OFFLINE,
    OPT_LOCAL,
    OPT_BY_SOURCE,
    OPT_PID,
    OPT_LINES,
    OPT_UNIT,
    OPT_WITHIN,
    OPT_WAIT,
    OPT_SKIP_UNSUPPORTED,
    N_OPTIONS,
};

#define OPTION_BIT(ID) (1u << ((ID)-OPT_OF_COMMANDS))

struct ctl_option {
    const char *name;
    char letter;          /* 0: none */
    const char *argument; /* NULL: takes none */
    const char *meaning;
};

extern const struct ctl_option ctl_options[N_OPTIONS];

/* A path that begins with '=' stands for the text behind it, with '#' for the value as a text of
 * JSON, with '~' for the value without spaces. */
struct column {
    const char *name;
    const char *path; /* where the API has it, "a.b", or how it is made of that; NULL: its name */
};

struct listing {
    const char *path;             /* as command.path */
    const struct column *columns; /* until a NULL name */
    const char *initial;          /* those that are shown unless others are asked for */
};

enum command_group {
    GROUP_NODE,
    GROUP_HEALTH,
    GROUP_USERS,
    GROUP_ACCESS,
    GROUP_VHOSTS,
    GROUP_POLICIES,
    GROUP_OBJECTS,
    GROUP_DEFINITIONS,
    GROUP_TOOL,
    N_GROUPS,
};

/* In texts and paths: %1 to %9 are arguments, %t those behind the first, %v is the vhost, %P the
 * priority, %T how many seconds an answer is waited for. */
struct command {
    const char *name;
    const char *args; /* for people: "USER [PASSWORD]" */
    const char *summary;
    const char *banner; /* said unless --quiet; NULL: nothing, or the function says it */
    enum command_group group;
    int min, max;     /* arguments; max -1: any number */
    unsigned options; /* OPTION_BIT of those it knows */
    /* One of three: a request, a list, or a function. */
    const char *method, *path;
    json_t *(*body)(struct ctl *c); /* of the request; NULL: none */
    const struct listing *listing;
    void (*run)(struct ctl *c);
};

extern const struct command ctl_commands[];
extern const size_t ctl_n_commands;
extern const char *const ctl_group_names[N_GROUPS];

/* NULL: there is none. */
const struct command *ctl_find_command(const char *name);
/* Of a command that rabbitmqctl has and that has no meaning here: why; NULL: of all others. */
const char *ctl_why_absent(const char *name);
/* The command whose name is the most alike; NULL: none is. */
const char *ctl_similar(const char *name);

struct kept;

struct ctl {
    const struct command *command;
    const char *program;
    int argc; /* the command's arguments */
    char **argv;
    const char *option[N_OPTIONS]; /* NULL: not given; "" for those without an argument */
    enum ctl_format format;
    void *curl;         /* NULL: not yet needed */
    struct kept *kept;  /* what is freed at the end */
    const char *reason; /* sent as X-Reason; NULL: none */
    int refused;        /* the exit code when the broker refuses, or has no such thing */
};

/* Frees p by `fn` at the end, however that comes; returns p. */
void *ctl_keep(struct ctl *c, void *p, void (*fn)(void *));
/* Text that lives to the end. */
__attribute__((format(printf, 2, 3))) char *ctl_text(struct ctl *c, const char *fmt, ...);
/* A JSON value that is freed at the end; NULL becomes an error of memory. */
json_t *ctl_json(struct ctl *c, json_t *value);

/* Ends the program. The first with an error on stderr. */
__attribute__((noreturn, format(printf, 3, 4))) void ctl_fail(struct ctl *c, int code,
                                                              const char *fmt, ...);
__attribute__((noreturn)) void ctl_end(struct ctl *c, int code);

/* Argument i, from 0; NULL: there are not so many. */
static inline const char *ctl_arg(const struct ctl *c, int i)
{
    return i < c->argc ? c->argv[i] : NULL;
}

static inline bool ctl_has(const struct ctl *c, enum option_id id)
{
    return c->option[id];
}

/* The vhost that is spoken of. */
const char *ctl_vhost(const struct ctl *c);
/* Whether headlines of tables, and sentences about what is done, are printed. */
bool ctl_has_headers(const struct ctl *c);
bool ctl_is_chatty(const struct ctl *c);
/* Says what is done, unless told to be quiet: the command's own words, or others. */
void ctl_say_banner(struct ctl *c);
__attribute__((format(printf, 2, 3))) void ctl_say(struct ctl *c, const char *fmt, ...);
/* A JSON argument; ends the program when it is none. */
json_t *ctl_json_arg(struct ctl *c, const char *text);
/* A number of an option, "most" at most; `without` when it is not given. */
long ctl_number(struct ctl *c, enum option_id id, long without, long most);

/* The template with arguments put in; of a path they are escaped. */
char *ctl_expand(struct ctl *c, const char *template, bool is_path);
/* Text as a segment of a path. Kept. */
const char *ctl_escape(struct ctl *c, const char *text);

/* What the API answered. */
struct answer {
    long status;
    json_t *json; /* NULL: it is not JSON */
    const char *text;
    size_t len;
};

/* One request; body may be NULL (stays the caller's). Ends the program when nobody answers. */
struct answer http_ask(struct ctl *c, const char *method, const char *path, const json_t *body);
/* The same, where all but success ends the program; of the latter two `path` is a template. */
json_t *http_need(struct ctl *c, const char *method, const char *path, const json_t *body);
json_t *http_get(struct ctl *c, const char *path);
void http_do(struct ctl *c, const char *method, const char *path, const json_t *body);
__attribute__((noreturn)) void http_fail(struct ctl *c, const struct answer *a);
/* Another user for the requests that follow. */
void http_login_as(struct ctl *c, const char *user, const char *password);
int http_port(struct ctl *c);
long http_timeout_s(struct ctl *c);
/* Whether somebody accepts at this port of the node's host. */
bool http_is_open(struct ctl *c, int port);
const char *http_host(const struct ctl *c);

/* A value by a path "a.b" into objects; NULL: none. */
json_t *json_at(const json_t *value, const char *path);
/* As one line of text. Kept. */
const char *json_as_text(struct ctl *c, const json_t *value);
double json_number_at(const json_t *value, const char *path);
const char *json_text_at(const json_t *value, const char *path);

/* Rows (an array of objects) as a table, by the chosen columns: names until NULL. */
void render_rows(struct ctl *c, const json_t *rows, const struct column *columns,
                 const char *const *chosen);
/* Rows by a listing's columns, of which `names` are shown. */
void render_listing(struct ctl *c, const struct listing *l, const json_t *rows, const char *names);
/* One answer in words: with --formatter json an object with this member. */
void render_result(struct ctl *c, const char *text);
void render_as(struct ctl *c, const char *member, const char *text);
void render_json(const json_t *value);

void config_load(struct ctl *c);

/* The command's listing; of all rows, or of those that are wanted. */
void run_listing(struct ctl *c);
void run_listing_of(struct ctl *c, bool (*wanted)(const struct ctl *c, const json_t *row));
void help_print(FILE *out);
void help_print_command(FILE *out, const struct command *k);

/* cmd_access.c */
void cmd_add_user(struct ctl *c);
void cmd_change_password(struct ctl *c);
void cmd_clear_password(struct ctl *c);
void cmd_authenticate_user(struct ctl *c);
void cmd_set_user_tags(struct ctl *c);
void cmd_add_vhost(struct ctl *c);
void cmd_set_vhost_tags(struct ctl *c);
void cmd_clear_topic_permissions(struct ctl *c);
void cmd_auth_attempts(struct ctl *c);
json_t *body_permissions(struct ctl *c);
json_t *body_topic_permissions(struct ctl *c);
/* cmd_policies.c */
void cmd_set_vhost_limits(struct ctl *c);
void cmd_clear_vhost_limits(struct ctl *c);
void cmd_set_user_limits(struct ctl *c);
void cmd_clear_user_limits(struct ctl *c);
void cmd_list_vhost_limits(struct ctl *c);
void cmd_list_user_limits(struct ctl *c);
void cmd_list_parameters(struct ctl *c);
json_t *body_policy(struct ctl *c);
json_t *body_parameter(struct ctl *c);
json_t *body_global_parameter(struct ctl *c);
/* cmd_objects.c */
void cmd_list_queues(struct ctl *c);
void cmd_list_unresponsive_queues(struct ctl *c);
void cmd_delete_queue(struct ctl *c);
void cmd_close_connection(struct ctl *c);
void cmd_close_all_connections(struct ctl *c);
void cmd_close_user_connections(struct ctl *c);
void cmd_peek(struct ctl *c);
void cmd_export_definitions(struct ctl *c);
void cmd_import_definitions(struct ctl *c);
/* cmd_status.c */
void cmd_status(struct ctl *c);
void cmd_cluster_status(struct ctl *c);
void cmd_report(struct ctl *c);
void cmd_listeners(struct ctl *c);
/* cmd_node.c */
void cmd_environment(struct ctl *c);
void cmd_server_version(struct ctl *c);
void cmd_log_location(struct ctl *c);
void cmd_memory_breakdown(struct ctl *c);
void cmd_log_tail(struct ctl *c);
void cmd_stop(struct ctl *c);
void cmd_await_startup(struct ctl *c);
void cmd_await_online_nodes(struct ctl *c);
void cmd_set_log_level(struct ctl *c);
void cmd_set_cluster_name(struct ctl *c);
void cmd_enable_feature_flag(struct ctl *c);
void cmd_set_memory_watermark(struct ctl *c);
void cmd_set_disk_limit(struct ctl *c);
void cmd_backup(struct ctl *c);
/* cmd_checks.c */
void cmd_ping(struct ctl *c);
void cmd_check_running(struct ctl *c);
void cmd_check_alarms(struct ctl *c);
void cmd_alarms(struct ctl *c);
void cmd_node_health_check(struct ctl *c);
void cmd_check_port_connectivity(struct ctl *c);
void cmd_check_simple(struct ctl *c);
void cmd_check_certificates(struct ctl *c);
/* cmd_tool.c */
void cmd_help(struct ctl *c);
void cmd_version(struct ctl *c);
void cmd_list_commands(struct ctl *c);
void cmd_completion(struct ctl *c);
void cmd_man(struct ctl *c);

#endif
