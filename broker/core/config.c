/*
 * Configuration: a table of keys, each with the place of its value, bounds, default and meaning.
 * Reading a file, --set and the options of main all end in config_set.
 */
#include "broker/core/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum key_type { KEY_UINT, KEY_BOOL, KEY_TEXT, KEY_LEVEL, KEY_SIZE, KEY_RATIO };

struct key {
    const char *name;
    enum key_type type;
    size_t offset;
    uint64_t min, max; /* KEY_UINT: bounds; KEY_TEXT: max is the room, NUL included */
    const char *initial;
    const char *meaning;
};

#define UINT(NAME, FIELD, MIN, MAX, INITIAL, MEANING)                              \
    {                                                                              \
        NAME, KEY_UINT, offsetof(struct config, FIELD), MIN, MAX, INITIAL, MEANING \
    }
#define TEXT(NAME, FIELD, INITIAL, MEANING)                                                     \
    {                                                                                           \
        NAME, KEY_TEXT, offsetof(struct config, FIELD), 0, sizeof(((struct config *)0)->FIELD), \
            INITIAL, MEANING                                                                    \
    }
#define BOOL(NAME, FIELD, INITIAL, MEANING)                                    \
    {                                                                          \
        NAME, KEY_BOOL, offsetof(struct config, FIELD), 0, 1, INITIAL, MEANING \
    }

#define SIZE(NAME, FIELD, INITIAL, MEANING)                                    \
    {                                                                          \
        NAME, KEY_SIZE, offsetof(struct config, FIELD), 0, 0, INITIAL, MEANING \
    }

static const struct key keys[] = {
    UINT("listeners.tcp.default", amqp_port, 0, 65535, "5672", "port for AMQP; 0: any free one"),
    UINT("management.tcp.port", mgmt_port, 0, 65535, "15672",
         "port for the management API; 0: any free one"),
    TEXT("listeners.tcp.bind", bind, "", "address to listen on; empty: all, IPv4 and IPv6"),
    TEXT("data_dir", data_dir, "warren-data", "directory of the stores; made when missing"),
    {"log.level", KEY_LEVEL, offsetof(struct config, log_level), 0, 16, "info",
     "debug, info, warning or error"},
    UINT("schedulers", schedulers, 0, 64, "0", "scheduler threads; 0: one for each core"),
    UINT("blocking_threads", pool_threads, 0, 64, "0",
         "threads for what waits for disks, at most, started as needed; 0: 64"),
    UINT("handshake_timeout", handshake_timeout_ms, 100, 600000, "10000",
         "ms from accept to connection.open"),
    UINT("frame_max", frame_max, 4096, 16777216, "131072", "largest frame that is negotiated"),
    UINT("channel_max", channel_max, 1, 65535, "2047", "channels for each connection"),
    UINT("heartbeat", heartbeat_s, 0, 65535, "60", "seconds offered to clients; 0: none"),
    UINT("max_message_size", max_message_size, 1, 536870912, "134217728", "bytes of a body"),
    UINT("channel_max_unacked", channel_max_unacked, 0, 1000000000, "0",
         "unacknowledged deliveries for each channel; 0: no limit"),
    UINT("consumer_max_per_channel", consumer_max_per_channel, 0, 1000000000, "10000",
         "consumers for each channel; 0: no limit"),
    UINT("connection_max", connection_max, 0, 1000000000, "0",
         "open connections; 0 or infinity: no limit"),
    UINT("handshakes_per_address", handshakes_max, 0, 1000000000, "5000",
         "connections from one address before they are logged in; 0: no limit"),
    UINT("default_limits.vhosts.max_connections", vhost_max_connections, 0, 1000000000, "0",
         "open connections for each vhost without a limit of its own; 0: no limit"),
    UINT("default_limits.vhosts.max_queues", vhost_max_queues, 0, 1000000000, "0",
         "queues, likewise"),
    UINT("default_limits.users.max_connections", user_max_connections, 0, 1000000000, "0",
         "open connections for each user without a limit of its own; 0: no limit"),
    UINT("default_limits.users.max_channels", user_max_channels, 0, 1000000000, "0",
         "channels, likewise"),
    UINT("transaction_max_operations", tx_max_operations, 1, 10000000, "131072",
         "publishes and acks in one transaction"),
    SIZE("transaction_max_bytes", tx_max_bytes, "268435456", "of the messages of one transaction"),
    BOOL("loopback_users.guest", guest_from_loopback_only, "true",
         "user guest may log in from this machine only"),
    TEXT("default_user", default_user, "guest", "user made at the first start"),
    TEXT("default_pass", default_pass, "guest", "that user's password"),
    TEXT("default_vhost", default_vhost, "/", "vhost made at the first start"),
    TEXT("load_definitions", load_definitions, "",
         "JSON file of users, vhosts, permissions, queues..., taken in at each start"),
    {"vm_memory_high_watermark.relative", KEY_RATIO, offsetof(struct config, memory_relative), 0, 1,
     "0.4", "publishers are blocked over this part of all memory; 0: never"},
    SIZE("vm_memory_high_watermark.absolute", memory_absolute, "0",
         "the same in bytes; 0: relative"),
    SIZE("total_memory_available_override_value", memory_total, "0",
         "bytes of all memory; 0: what machine and cgroup give"),
    SIZE("disk_free_limit.absolute", disk_free_limit, "50MB",
         "publishers are blocked when less is free on disk"),
    SIZE("disk_ballast", disk_ballast, "32MB",
         "kept as a file, and given up when the disk is full so that queues can drain; 0: none"),
    SIZE("store.cache", store_cache, "256MiB",
         "memory for pages of all vhosts' stores, and as much for their indexes"),
    SIZE("store.wal", store_wal, "1GiB", "write-ahead logs of all vhosts' stores together"),
    BOOL("debug.crash", debug_crash, "false", "POST /api/debug/crash may crash processes"),
    TEXT("debug.crash_in_init", debug_crash_in_init, "",
         "processes of this kind crash when they start"),
};

static struct config now;
static bool is_ready;

static int set_uint(const struct key *k, const char *value, char *ret_text, size_t size)
{
    char *end;
    unsigned long long v;

    if (k->min == 0 && !strcmp(value, "infinity")) /* as RabbitMQ says that there is no limit */
        value = "0";
    errno = 0;
    v = strtoull(value, &end, 10);
    if (!isdigit((unsigned char)*value) || *end || errno || v < k->min || v > k->max) {
        snprintf(ret_text, size, "%s: '%s' is not a whole number from %llu to %llu", k->name, value,
                 (unsigned long long)k->min, (unsigned long long)k->max);
        return -EINVAL;
    }
    memcpy((char *)&now + k->offset, &(uint64_t){v}, sizeof(uint64_t));
    return 0;
}

static int set_bool(const struct key *k, const char *value, char *ret_text, size_t size)
{
    bool v = !strcmp(value, "true");

    if (!v && strcmp(value, "false")) {
        snprintf(ret_text, size, "%s: '%s' is neither true nor false", k->name, value);
        return -EINVAL;
    }
    memcpy((char *)&now + k->offset, &v, sizeof(v));
    return 0;
}

static int set_text(const struct key *k, const char *value, char *ret_text, size_t size)
{
    if (strlen(value) >= k->max) {
        snprintf(ret_text, size, "%s: longer than %llu bytes", k->name,
                 (unsigned long long)k->max - 1);
        return -EINVAL;
    }
    strcpy((char *)&now + k->offset, value);
    return 0;
}

static int set_level(const struct key *k, const char *value, char *ret_text, size_t size)
{
    static const char *const levels[] = {"debug", "info", "warning", "error"};

    for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++) {
        if (!strcmp(value, levels[i]))
            return set_text(k, value, ret_text, size);
    }
    snprintf(ret_text, size, "%s: '%s' is none of debug, info, warning, error", k->name, value);
    return -EINVAL;
}

/* As RabbitMQ has it: kB, MB, GB are powers of 1000; k, M, G and kiB, MiB, GiB of 1024. */
static uint64_t unit_of(const char *text)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = {
        {"", 1},
        {"b", 1},
        {"kb", 1000},
        {"mb", 1000000},
        {"gb", 1000000000},
        {"tb", 1000000000000},
        {"k", 1ULL << 10},
        {"m", 1ULL << 20},
        {"g", 1ULL << 30},
        {"t", 1ULL << 40},
        {"kib", 1ULL << 10},
        {"mib", 1ULL << 20},
        {"gib", 1ULL << 30},
        {"tib", 1ULL << 40},
    };

    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
        if (!strcasecmp(units[i].name, text))
            return units[i].bytes;
    }
    return 0;
}

static int set_size(const struct key *k, const char *value, char *ret_text, size_t size)
{
    char *end;
    unsigned long long n;
    uint64_t v;

    errno = 0;
    n = strtoull(value, &end, 10);
    if (!isdigit((unsigned char)*value) || errno || !unit_of(end) ||
        __builtin_mul_overflow((uint64_t)n, unit_of(end), &v)) {
        snprintf(ret_text, size, "%s: '%s' is not a size such as 50MB or 2GiB", k->name, value);
        return -EINVAL;
    }
    memcpy((char *)&now + k->offset, &v, sizeof(v));
    return 0;
}

static int set_ratio(const struct key *k, const char *value, char *ret_text, size_t size)
{
    char *end;
    double v = strtod(value, &end);

    if (end == value || *end || !(v >= (double)k->min && v <= (double)k->max)) {
        snprintf(ret_text, size, "%s: '%s' is not a number from %llu to %llu", k->name, value,
                 (unsigned long long)k->min, (unsigned long long)k->max);
        return -EINVAL;
    }
    memcpy((char *)&now + k->offset, &v, sizeof(v));
    return 0;
}

static int set_key(const struct key *k, const char *value, char *ret_text, size_t size)
{
    switch (k->type) {
    case KEY_UINT:
        return set_uint(k, value, ret_text, size);
    case KEY_BOOL:
        return set_bool(k, value, ret_text, size);
    case KEY_SIZE:
        return set_size(k, value, ret_text, size);
    case KEY_RATIO:
        return set_ratio(k, value, ret_text, size);
    case KEY_LEVEL:
        return set_level(k, value, ret_text, size);
    case KEY_TEXT:
        break;
    }
    return set_text(k, value, ret_text, size);
}

void config_reset(void)
{
    char text[128];

    is_ready = true;
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
        (void)set_key(&keys[i], keys[i].initial, text, sizeof(text)); /* a default is valid */
}

const struct config *config(void)
{
    if (!is_ready)
        config_reset();
    return &now;
}

int config_set(const char *key, const char *value, char *ret_text, size_t size)
{
    (void)config(); /* defaults first */
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        if (!strcmp(keys[i].name, key))
            return set_key(&keys[i], value, ret_text, size);
    }
    snprintf(ret_text, size, "unknown key '%s'", key);
    return -EINVAL;
}

/* Cuts white space off both ends, in place. */
static char *trim(char *s)
{
    char *end;

    while (isspace((unsigned char)*s))
        s++;
    end = s + strlen(s);
    while (end > s && isspace((unsigned char)end[-1]))
        end--;
    *end = 0;
    return s;
}

static int read_line(char *line, char *ret_text, size_t size)
{
    char *s = trim(line), *eq, *value;
    size_t n;

    if (!*s || *s == '#')
        return 0;
    eq = strchr(s, '=');
    if (!eq) {
        snprintf(ret_text, size, "expected 'key = value'");
        return -EINVAL;
    }
    *eq = 0;
    value = trim(eq + 1);
    n = strlen(value);
    if (n >= 2 && value[0] == '\'' && value[n - 1] == '\'') { /* rabbitmq.conf quotes so */
        value[n - 1] = 0;
        value++;
    }
    return config_set(trim(s), value, ret_text, size);
}

int config_read_file(const char *path, char *ret_text, size_t size)
{
    char line[2048], why[256];
    int r = 0;
    FILE *f = fopen(path, "re");

    if (!f) {
        r = -errno;
        snprintf(ret_text, size, "%s: %s", path, strerror(errno));
        return r;
    }
    for (unsigned n = 1; r == 0 && fgets(line, sizeof(line), f); n++) {
        r = read_line(line, why, sizeof(why));
        if (r < 0)
            snprintf(ret_text, size, "%s:%u: %s", path, n, why);
    }
    fclose(f);
    return r;
}

void config_print_keys(FILE *out)
{
    static const char *const types[] = {"number", "true|false", "text", "level", "size", "ratio"};

    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        const struct key *k = &keys[i];

        fprintf(out, "  %-37s %-10s  %s (default: %s)\n", k->name, types[k->type], k->meaning,
                *k->initial ? k->initial : "none");
    }
}
