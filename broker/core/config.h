/*
 * config.h - what the operator chose: one table of keys.
 *
 * The syntax is rabbitmq.conf's `key = value`, and so are the names of keys whose meaning is the
 * same. It is read before the tree starts; afterwards the process `config` (config_server.h) alone
 * puts another one in force, of which only keys marked as reloadable differ. A key is one line of
 * the table in config_keys.c, and a field here.
 */
#ifndef BROKER_CORE_CONFIG_H
#define BROKER_CORE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "broker/core/tls_settings.h"

enum { CONFIG_LISTENERS_MAX = 8, CONFIG_NAMES_MAX = 16, CONFIG_TEXT_MAX = 512 };

struct config_listener {
    char name[32];
    char address[64]; /* empty: what `bind` says */
    uint16_t port;    /* 0: any free one */
};

struct config_listeners {
    bool is_initial; /* the default's: the first one that is set takes its place */
    uint32_t n;
    struct config_listener at[CONFIG_LISTENERS_MAX];
};

struct config_names {
    bool is_set; /* somebody said something of it, if only that there are none */
    uint32_t n;
    char at[CONFIG_NAMES_MAX][256];
};

enum config_log_format { CONFIG_LOG_TEXT, CONFIG_LOG_JSON };

struct config_log_output {
    bool is_on;
    uint64_t level;  /* enum log_level; LOG_LEVEL_OF_ALL: that of log.level */
    uint64_t format; /* enum config_log_format */
};

enum { CONFIG_LOG_CATEGORIES = 5 };

/* What of a client's certificate is its user's name. */
enum cert_login { CERT_LOGIN_DN, CERT_LOGIN_CN, CERT_LOGIN_SAN };
enum cert_san { CERT_SAN_DNS, CERT_SAN_IP, CERT_SAN_EMAIL, CERT_SAN_URI, CERT_SAN_OTHER };

struct config {
    struct config_listeners tcp, ssl;
    uint64_t tcp_backlog, tcp_sndbuf, tcp_recbuf; /* bytes 0: the system's choice */
    bool tcp_nodelay, tcp_keepalive;
    char unix_sockets[1024];  /* pairs: name, path */
    uint64_t unix_mode;       /* of their files */
    bool proxy_protocol;      /* connections begin with a PROXY header */
    char proxy_trusted[1024]; /* pairs: whose headers are taken, as address/bits */
    struct tls_settings tls[TLS_SERVICES];
    char auth_mechanisms[256];     /* pairs; empty: PLAIN and AMQPLAIN */
    uint64_t cert_login_from;      /* enum cert_login */
    uint64_t cert_login_san_type;  /* enum cert_san */
    uint64_t cert_login_san_index; /* among those of this type */
    uint64_t mgmt_ssl_port;
    char mgmt_ssl_address[64]; /* empty: what `bind` says */
    uint64_t mgmt_port;        /* 0: any free port */
    uint64_t mgmt_request_timeout_ms, mgmt_max_body, cors_max_age_s;
    char cors_origins[2048]; /* pairs */
    char mgmt_address[64];   /* empty: what `bind` says */
    char bind[64];           /* empty: all addresses, IPv4 and IPv6 */
    char data_dir[CONFIG_TEXT_MAX];
    uint64_t log_level; /* enum log_level */
    /* By enum log_category: no line of it below this level */
    uint64_t log_category[CONFIG_LOG_CATEGORIES];
    struct config_log_output log_console, log_file, log_journal; /* log_file.is_on is not used */
    char log_dir[CONFIG_TEXT_MAX], log_path[CONFIG_TEXT_MAX];    /* path: empty or "false": none */
    uint64_t log_rotate_bytes, log_rotate_count;                 /* bytes 0: never */
    char log_journal_socket[100];
    uint64_t schedulers;   /* 0: one for each core */
    uint64_t pool_threads; /* at most; 0: the runtime's own choice */
    uint64_t handshake_timeout_ms;
    uint64_t frame_max, channel_max, heartbeat_s;
    uint64_t max_message_size;
    uint64_t channel_max_unacked;      /* for each channel; 0: no limit */
    uint64_t consumer_max_per_channel; /* 0: no limit */
    uint64_t connection_max;           /* open connections of the node; 0: no limit */
    uint64_t handshakes_max;           /* connections of one address not logged in; 0: no limit */
    /* Where nothing else is said of a vhost or user; 0: no limit */
    uint64_t vhost_max_connections, vhost_max_queues, user_max_connections, user_max_channels;
    uint64_t tx_max_operations, tx_max_bytes; /* of what a transaction gathers */
    struct config_names loopback_users;
    char default_user[256], default_pass[256], default_vhost[256];      /* of a first start */
    char default_configure[256], default_write[256], default_read[256]; /* that user's rights */
    struct config_names default_tags;                                   /* not set: administrator */
    uint64_t auth_backend;                                              /* there is one */
    char load_definitions[CONFIG_TEXT_MAX]; /* file taken in at each start; empty: none */
    bool definitions_skip;  /* what that file has of types that are not here, rather than refuse */
    double memory_relative; /* of the machine's memory, where memory_absolute is 0 */
    double memory_paging_ratio;             /* of the limit, for messages, before queues page */
    uint64_t memory_absolute, memory_total; /* bytes; total 0: what machine and cgroup give */
    uint64_t disk_free_limit;               /* bytes, where disk_free_relative is 0 */
    double disk_free_relative;              /* of all memory */
    uint64_t disk_ballast;                  /* bytes; 0: none */
    uint64_t store_cache, store_wal;        /* bytes for the stores of all vhosts together */
    bool has_prometheus;
    uint64_t prometheus_port; /* 0: any free port */
    uint64_t prometheus_ssl_port;
    char prometheus_ssl_address[64];
    char prometheus_address[64];  /* empty: what `bind` says */
    uint64_t statistics_ms;       /* between two samples of all counters */
    bool debug_crash;             /* POST /api/debug/crash works */
    char debug_crash_in_init[32]; /* this kind of process crashes in init */
};

/*
 * The configuration in force. Never NULL; the defaults before anything was read. Any process or
 * thread; in a process valid until the handler returns.
 */
const struct config *config(void);

/* The address to listen on, of one that may be empty; empty: all. Lent as config() is. */
const char *config_address(const char *own);

/*
 * A field of pairs holds "name=value\n" for each line that was set; no name stands twice. *at
 * begins as the field; false: there are no more. Both are lent from the field.
 */
struct config_pair {
    const char *name, *value;
    int name_len, value_len;
};
bool config_pair_next(const char **at, struct config_pair *ret);

/* Whether this key was set to anything, be it its default. */
bool config_is_set(const char *key);

/* Whether this user may log in from this machine only. */
bool config_is_loopback_user(const char *user);

/*
 * Changes one key by its text. 0, or -EINVAL with a line in ret_text that says what is wrong. Only
 * before the tree starts; a reload takes it again, after the files.
 */
int config_set(const char *key, const char *value, char *ret_text, size_t size);

/*
 * Reads a file, or all *.conf of a directory by their names; the text has a line for each error,
 * which names file and line, as far as there is room. -errno when it cannot be read. Only before
 * the tree starts; a reload reads it again.
 */
int config_read_file(const char *path, char *ret_text, size_t size);

/* Calls fn with each file or folder that was read, in order. */
void config_each_file(void (*fn)(void *ctx, const char *path), void *ctx);

/*
 * Whether what must hold beyond the keys' types holds: a file for the log can be opened, and so on.
 * 0, or -errno and a text.
 */
int config_check(char *ret_text, size_t size);

/* Calls fn with each warning about what was read: keys of RabbitMQ's that have no meaning here. */
void config_each_warning(void (*fn)(void *ctx, const char *text), void *ctx);

struct config_shown { /* texts are lent for the call */
    const char *name, *type, *initial, *meaning;
    const char *value;  /* as it would stand in a file; of a secret "(not shown)" */
    const char *origin; /* a file's line, "command line", "a request" or "the default" */
    bool is_reloadable;
};
/* Calls fn with each key, of a list with each of its entries. Any process. */
void config_each(void (*fn)(void *ctx, const struct config_shown *shown), void *ctx);

/* Each key with its type, default and meaning, a line each. */
void config_print_keys(FILE *out);
/* Each key with its type, default, meaning, value in force and where that comes from; readable. */
void config_print(FILE *out);
/* Each key as docs/configuration.md has it. */
void config_print_markdown(FILE *out);
/* The same as the man page warren.conf(5). */
void config_print_man(FILE *out);

/* All keys as they were at program start; for tests. */
void config_reset(void);

#endif
