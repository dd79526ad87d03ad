/*
 * config.h - what the operator chose: one table of keys, read once at start.
 *
 * The syntax is rabbitmq.conf's `key = value`, and so are the names of keys whose meaning is the
 * same. Plain code for main, before the tree starts; read-only afterwards, from any process.
 */
#ifndef BROKER_CORE_CONFIG_H
#define BROKER_CORE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct config {
    uint64_t amqp_port, mgmt_port; /* 0: any free port */
    char bind[256];                /* empty: all addresses, IPv4 and IPv6 */
    char data_dir[512];
    char log_level[16];
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
    bool guest_from_loopback_only;
    char default_user[256], default_pass[256], default_vhost[256]; /* of a first start */
    char load_definitions[512]; /* file taken in at each start; empty: none */
    double memory_relative;     /* of the machine's memory, where memory_absolute is 0 */
    uint64_t memory_absolute, memory_total; /* bytes; total 0: what machine and cgroup give */
    uint64_t disk_free_limit;               /* bytes */
    uint64_t disk_ballast;                  /* bytes; 0: none */
    uint64_t store_cache, store_wal;        /* bytes for the stores of all vhosts together */
    bool debug_crash;                       /* POST /api/debug/crash works */
    char debug_crash_in_init[32];           /* this kind of process crashes in init */
};

/* The configuration in force. Never NULL; the defaults before anything was read. */
const struct config *config(void);

/*
 * Changes one key by its text. 0, or -EINVAL with a line in ret_text that says what is wrong. Only
 * before the tree starts.
 */
int config_set(const char *key, const char *value, char *ret_text, size_t size);

/* Reads a file; the text of an error names its line. -errno when it cannot be read. */
int config_read_file(const char *path, char *ret_text, size_t size);

/* Each key with its type, default and meaning. */
void config_print_keys(FILE *out);

/* All keys as they were at program start; for tests. */
void config_reset(void);

#endif
