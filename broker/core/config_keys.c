/*
 * The table of keys: each with the place of its value, its bounds, default and meaning.
 */
#include <string.h>

#include "broker/core/config_impl.h"
#include "broker/core/log.h"

#define FIELD(NAME) offsetof(struct config, NAME)
#define ROOM(NAME)  sizeof(((struct config *)0)->NAME)

static const struct key_choice levels[] = {
    {"debug", LOG_LEVEL_DEBUG},    {"info", LOG_LEVEL_INFO},
    {"notice", LOG_LEVEL_WARNING}, {"warning", LOG_LEVEL_WARNING},
    {"error", LOG_LEVEL_ERROR},    {"critical", LOG_LEVEL_ERROR},
    {"alert", LOG_LEVEL_ERROR},    {"emergency", LOG_LEVEL_ERROR},
    {"none", LOG_LEVEL_NONE},      {NULL, 0},
};

static const struct key_choice own_levels[] = {
    {"default", LOG_LEVEL_OF_ALL},
    {"debug", LOG_LEVEL_DEBUG},
    {"info", LOG_LEVEL_INFO},
    {"notice", LOG_LEVEL_WARNING},
    {"warning", LOG_LEVEL_WARNING},
    {"error", LOG_LEVEL_ERROR},
    {"critical", LOG_LEVEL_ERROR},
    {"alert", LOG_LEVEL_ERROR},
    {"emergency", LOG_LEVEL_ERROR},
    {"none", LOG_LEVEL_NONE},
    {NULL, 0},
};

static const struct key_choice formats[] = {
    {"plaintext", CONFIG_LOG_TEXT},
    {"json", CONFIG_LOG_JSON},
    {NULL, 0},
};

static const struct key_choice verifications[] = {
    {"verify_none", false}, {"verify_peer", true}, {NULL, 0}};

static const struct key_choice crl_checks[] = {{"false", TLS_CRL_NONE},
                                               {"peer", TLS_CRL_PEER},
                                               {"true", TLS_CRL_ALL},
                                               {"best_effort", TLS_CRL_BEST_EFFORT},
                                               {NULL, 0}};

static const struct key_choice modes[] = {{"660", 0660}, {"600", 0600}, {"666", 0666}, {NULL, 0}};

static const struct key_choice cert_logins[] = {
    {"distinguished_name", CERT_LOGIN_DN},
    {"common_name", CERT_LOGIN_CN},
    {"subject_alternative_name", CERT_LOGIN_SAN},
    {"subject_alt_name", CERT_LOGIN_SAN},
    {NULL, 0},
};

static const struct key_choice cert_sans[] = {
    {"dns", CERT_SAN_DNS},          {"ip", CERT_SAN_IP},
    {"email", CERT_SAN_EMAIL},      {"uri", CERT_SAN_URI},
    {"other_name", CERT_SAN_OTHER}, {NULL, 0},
};

static const struct key_choice backends[] = {
    {"internal", 0},
    {"rabbit_auth_backend_internal", 0},
    {NULL, 0},
};

/* The same keys for each kind of listener. */
#define TLS_KEYS(PREFIX, SERVICE)                                                                  \
    {PREFIX "certfile",                                                                            \
     KEY_TEXT,                                                                                     \
     0,                                                                                            \
     FIELD(tls[SERVICE].certfile),                                                                 \
     .max = TLS_PATH_SIZE,                                                                         \
     .initial = "",                                                                                \
     .meaning = "the server's certificate and those between it and a root, in PEM"},               \
        {PREFIX "keyfile",                                                                         \
         KEY_TEXT,                                                                                 \
         0,                                                                                        \
         FIELD(tls[SERVICE].keyfile),                                                              \
         .max = TLS_PATH_SIZE,                                                                     \
         .initial = "",                                                                            \
         .meaning = "its private key, in PEM"},                                                    \
        {PREFIX "password",                                                                        \
         KEY_TEXT,                                                                                 \
         KEY_SECRET,                                                                               \
         FIELD(tls[SERVICE].password),                                                             \
         .max = ROOM(tls[0].password),                                                             \
         .initial = "",                                                                            \
         .meaning = "of the private keys, where they are encrypted"},                              \
        {PREFIX "cacertfile",                                                                      \
         KEY_TEXT,                                                                                 \
         0,                                                                                        \
         FIELD(tls[SERVICE].cacertfile),                                                           \
         .max = TLS_PATH_SIZE,                                                                     \
         .initial = "",                                                                            \
         .meaning = "certificates of those who vouch for clients, in PEM"},                        \
        {PREFIX "verify",                                                                          \
         KEY_CHOICE,                                                                               \
         0,                                                                                        \
         FIELD(tls[SERVICE].verify_peer),                                                          \
         .choices = verifications,                                                                 \
         .initial = "verify_none",                                                                 \
         .meaning = "whether clients are asked for a certificate"},                                \
        {PREFIX "crl_check",                                                                       \
         KEY_CHOICE,                                                                               \
         0,                                                                                        \
         FIELD(tls[SERVICE].crl_check),                                                            \
         .choices = crl_checks,                                                                    \
         .initial = "false",                                                                       \
         .meaning = "refuses revoked certificates; peer: looks at the client's own, true: at all " \
                    "of its chain, best_effort: at those for which there is a list"},              \
        {PREFIX "crlfile",                                                                         \
         KEY_TEXT,                                                                                 \
         0,                                                                                        \
         FIELD(tls[SERVICE].crlfile),                                                              \
         .max = TLS_PATH_SIZE,                                                                     \
         .initial = "",                                                                            \
         .meaning = "lists of revoked certificates, in PEM; for crl_check"},                       \
        {PREFIX "fail_if_no_peer_cert",                                                            \
         KEY_BOOL,                                                                                 \
         0,                                                                                        \
         FIELD(tls[SERVICE].fail_if_no_peer_cert),                                                 \
         .initial = "false",                                                                       \
         .meaning = "refuses clients without one; with verify_peer"},                              \
        {PREFIX "depth",                                                                           \
         KEY_UINT,                                                                                 \
         0,                                                                                        \
         FIELD(tls[SERVICE].depth),                                                                \
         0,                                                                                        \
         100,                                                                                      \
         .initial = "1",                                                                           \
         .meaning = "certificates between a client's and a trusted one, at most"},                 \
        {PREFIX "versions.*",                                                                      \
         KEY_PAIRS,                                                                                \
         0,                                                                                        \
         FIELD(tls[SERVICE].versions),                                                             \
         .max = ROOM(tls[0].versions),                                                             \
         .initial = "",                                                                            \
         .meaning = "tlsv1.2 or tlsv1.3; none: both"},                                             \
        {PREFIX "ciphers.*",                                                                       \
         KEY_PAIRS,                                                                                \
         0,                                                                                        \
         FIELD(tls[SERVICE].ciphers),                                                              \
         .max = ROOM(tls[0].ciphers),                                                              \
         .initial = "",                                                                            \
         .meaning = "a cipher's name in OpenSSL, the best one first; none: OpenSSL's list"},       \
        {PREFIX "honor_cipher_order",                                                              \
         KEY_BOOL,                                                                                 \
         0,                                                                                        \
         FIELD(tls[SERVICE].honor_cipher_order),                                                   \
         .initial = "false",                                                                       \
         .meaning = "this order of ciphers counts, not the client's"},                             \
    {                                                                                              \
        PREFIX "sni.*", KEY_PAIRS, 0, FIELD(tls[SERVICE].names),                                   \
            .max = ROOM(tls[0].names), .initial = "",                                              \
            .meaning =                                                                             \
                "NAME.certfile and NAME.keyfile: a certificate for those who ask for NAME, which " \
                "may begin with `*.`"                                                              \
    }

const struct config_key config_keys[] = {
    {"Listeners", .type = KEY_SECTION},
    {"listeners.tcp.*", KEY_LISTENERS, 0, FIELD(tcp), .initial = "5672",
     .meaning = "port, or address:port, for AMQP; 0: any free port; `listeners.tcp = none`: none"},
    {"listeners.ssl.*", KEY_LISTENERS, 0, FIELD(ssl), .initial = "",
     .meaning = "likewise, for AMQP over TLS; see ssl_options"},
    {"tcp_listen_options.backlog", KEY_UINT, 0, FIELD(tcp_backlog), 1, 65535, .initial = "1024",
     .meaning = "connections for AMQP that wait to be accepted, at most"},
    {"tcp_listen_options.nodelay", KEY_BOOL, 0, FIELD(tcp_nodelay), .initial = "true",
     .meaning = "what is written for such a connection goes out at once"},
    {"tcp_listen_options.keepalive", KEY_BOOL, 0, FIELD(tcp_keepalive), .initial = "false",
     .meaning = "the system looks whether its peer is there; heartbeats are quicker"},
    {"tcp_listen_options.sndbuf", KEY_UINT, 0, FIELD(tcp_sndbuf), 0, 1 << 30, .initial = "0",
     .meaning = "bytes that the system keeps to send for it; 0: as many as it likes"},
    {"tcp_listen_options.recbuf", KEY_UINT, 0, FIELD(tcp_recbuf), 0, 1 << 30, .initial = "0",
     .meaning = "bytes that the system receives for it ahead; 0: as many as it likes"},
    {"listeners.unix.*", KEY_PAIRS, 0, FIELD(unix_sockets), .max = ROOM(unix_sockets),
     .initial = "", .meaning = "path of a Unix socket for AMQP"},
    {"listeners.unix_mode", KEY_CHOICE, 0, FIELD(unix_mode), .choices = modes, .initial = "660",
     .meaning = "rights of these sockets' files: who may connect"},
    {"proxy_protocol", KEY_BOOL, 0, FIELD(proxy_protocol), .initial = "false",
     .meaning = "AMQP connections over TCP begin with a PROXY header, version 1 or 2"},
    {"proxy_protocol.trusted.*", KEY_PAIRS, 0, FIELD(proxy_trusted), .max = ROOM(proxy_trusted),
     .initial = "",
     .meaning = "address or address/bits whose connections begin so, all others as ever; none: "
                "all begin so"},
    {"bind", KEY_TEXT, 0, FIELD(bind), .max = ROOM(bind), .initial = "",
     .meaning = "address of listeners that name none; empty: all, IPv4 and IPv6"},
    {"management.tcp.port", KEY_UINT, 0, FIELD(mgmt_port), 0, 65535, .initial = "15672",
     .meaning = "port for the management API; 0: any free one"},
    {"management.tcp.request_timeout", KEY_UINT, 0, FIELD(mgmt_request_timeout_ms), 100, 600000,
     .initial = "10000",
     .meaning = "ms in which a request must have come, and a little more for a long body"},
    {"management.cors.allow_origins.*", KEY_PAIRS, KEY_RELOADABLE, FIELD(cors_origins),
     .max = ROOM(cors_origins), .initial = "",
     .meaning = "an origin, such as https://monitor.example, whose pages may use the management "
                "API; *: all"},
    {"management.cors.max_age", KEY_UINT, KEY_RELOADABLE, FIELD(cors_max_age_s), 0, 86400,
     .initial = "1800", .meaning = "seconds for which browsers remember what such a page may do"},
    {"management.http.max_body_size", KEY_SIZE, 0, FIELD(mgmt_max_body), .initial = "10000000",
     .meaning = "of a request's body"},
    {"management.tcp.ip", KEY_TEXT, 0, FIELD(mgmt_address), .max = ROOM(mgmt_address),
     .initial = "", .meaning = "address for the management API; empty: what bind says"},

    {"management.listener.port", KEY_UINT, KEY_HIDDEN, FIELD(mgmt_port), 0, 65535, .initial = NULL,
     .meaning = "the same as management.tcp.port"},
    {"management.listener.ip", KEY_TEXT, KEY_HIDDEN, FIELD(mgmt_address), .max = ROOM(mgmt_address),
     .initial = NULL, .meaning = "the same as management.tcp.ip"},

    {"management.ssl.port", KEY_UINT, 0, FIELD(mgmt_ssl_port), 0, 65535, .initial = "15671",
     .meaning = "port for the management API over TLS, once management.ssl.certfile is set; 0: any "
                "free one"},
    {"management.ssl.ip", KEY_TEXT, 0, FIELD(mgmt_ssl_address), .max = ROOM(mgmt_ssl_address),
     .initial = "", .meaning = "address for that; empty: what bind says"},

    {"TLS for AMQP", .type = KEY_SECTION},
    TLS_KEYS("ssl_options.", TLS_AMQP),
    {"TLS for the management API", .type = KEY_SECTION},
    TLS_KEYS("management.ssl.", TLS_MGMT),
    {"TLS for metrics", .type = KEY_SECTION},
    TLS_KEYS("prometheus.ssl.", TLS_PROMETHEUS),

    {"Statistics", .type = KEY_SECTION},
    {"prometheus", KEY_BOOL, 0, FIELD(has_prometheus), .initial = "true",
     .meaning = "metrics are served on a port of their own, without a login"},
    {"prometheus.tcp.port", KEY_UINT, 0, FIELD(prometheus_port), 0, 65535, .initial = "15692",
     .meaning = "port for metrics; 0: any free one"},
    {"prometheus.tcp.ip", KEY_TEXT, 0, FIELD(prometheus_address), .max = ROOM(prometheus_address),
     .initial = "", .meaning = "address for metrics; empty: what bind says"},
    {"prometheus.ssl.port", KEY_UINT, 0, FIELD(prometheus_ssl_port), 0, 65535, .initial = "15691",
     .meaning = "port for metrics over TLS, once prometheus.ssl.certfile is set; 0: any free one"},
    {"prometheus.ssl.ip", KEY_TEXT, 0, FIELD(prometheus_ssl_address),
     .max = ROOM(prometheus_ssl_address), .initial = "",
     .meaning = "address for that; empty: what bind says"},
    {"collect_statistics_interval", KEY_TIME, 0, FIELD(statistics_ms), 100, 600000, 1,
     .initial = "5000", .meaning = "between two samples of all counters, from which rates come"},

    {"Clients", .type = KEY_SECTION},
    {"auth_mechanisms.*", KEY_PAIRS, 0, FIELD(auth_mechanisms), .max = ROOM(auth_mechanisms),
     .initial = "",
     .meaning = "PLAIN, AMQPLAIN, EXTERNAL (only to who has shown a certificate that was "
                "verified); none: PLAIN and AMQPLAIN"},
    {"ssl_cert_login_from", KEY_CHOICE, 0, FIELD(cert_login_from), .choices = cert_logins,
     .initial = "distinguished_name",
     .meaning = "what of its certificate is the user of a client that logs in with EXTERNAL"},
    {"ssl_cert_login_san_type", KEY_CHOICE, 0, FIELD(cert_login_san_type), .choices = cert_sans,
     .initial = "dns", .meaning = "kind of its subject alternative name"},
    {"ssl_cert_login_san_index", KEY_UINT, 0, FIELD(cert_login_san_index), 0, 1000, .initial = "0",
     .meaning = "which one of that kind"},
    {"handshake_timeout", KEY_TIME, KEY_RELOADABLE, FIELD(handshake_timeout_ms), 100, 600000, 1,
     .initial = "10s", .meaning = "from accept to connection.open"},
    {"heartbeat", KEY_TIME, KEY_RELOADABLE, FIELD(heartbeat_s), 0, 65535000, 1000, .initial = "60",
     .meaning = "offered to clients; 0: none"},
    {"frame_max", KEY_UINT, KEY_RELOADABLE, FIELD(frame_max), 4096, 16777216, .initial = "131072",
     .meaning = "largest frame that is negotiated, in bytes"},
    {"channel_max", KEY_UINT, KEY_RELOADABLE, FIELD(channel_max), 1, 65535, .initial = "2047",
     .meaning = "channels for each connection"},
    {"max_message_size", KEY_UINT, KEY_RELOADABLE, FIELD(max_message_size), 1, 536870912,
     .initial = "134217728", .meaning = "bytes of a body"},
    {"channel_max_unacked", KEY_UINT, KEY_RELOADABLE, FIELD(channel_max_unacked), 0, 1000000000,
     .initial = "0", .meaning = "unacknowledged deliveries for each channel; 0: no limit"},
    {"consumer_max_per_channel", KEY_UINT, KEY_RELOADABLE, FIELD(consumer_max_per_channel), 0,
     1000000000, .initial = "10000", .meaning = "consumers for each channel; 0: no limit"},
    {"connection_max", KEY_UINT, KEY_RELOADABLE, FIELD(connection_max), 0, 1000000000,
     .initial = "0", .meaning = "open connections; 0 or infinity: no limit"},
    {"handshakes_per_address", KEY_UINT, KEY_RELOADABLE, FIELD(handshakes_max), 0, 1000000000,
     .initial = "5000",
     .meaning = "connections from one address before they are logged in; 0: no limit"},
    {"default_limits.vhosts.max_connections", KEY_UINT, KEY_RELOADABLE,
     FIELD(vhost_max_connections), 0, 1000000000, .initial = "0",
     .meaning = "open connections for each vhost without a limit of its own; 0: no limit"},
    {"default_limits.vhosts.max_queues", KEY_UINT, KEY_RELOADABLE, FIELD(vhost_max_queues), 0,
     1000000000, .initial = "0", .meaning = "queues, likewise"},
    {"default_limits.users.max_connections", KEY_UINT, KEY_RELOADABLE, FIELD(user_max_connections),
     0, 1000000000, .initial = "0",
     .meaning = "open connections for each user without a limit of its own; 0: no limit"},
    {"default_limits.users.max_channels", KEY_UINT, KEY_RELOADABLE, FIELD(user_max_channels), 0,
     1000000000, .initial = "0", .meaning = "channels, likewise"},
    {"transaction_max_operations", KEY_UINT, KEY_RELOADABLE, FIELD(tx_max_operations), 1, 10000000,
     .initial = "131072", .meaning = "publishes and acks in one transaction"},
    {"transaction_max_bytes", KEY_SIZE, KEY_RELOADABLE, FIELD(tx_max_bytes), .initial = "268435456",
     .meaning = "of the messages of one transaction"},

    {"Users and the first start", .type = KEY_SECTION},
    {"loopback_users.*", KEY_NAMES, 0, FIELD(loopback_users), .initial = "guest",
     .meaning = "true: this user may log in from this machine only; `loopback_users = none`: all "
                "may from everywhere"},
    {"default_user", KEY_TEXT, 0, FIELD(default_user), .max = ROOM(default_user),
     .initial = "guest", .meaning = "user made at the first start"},
    {"default_pass", KEY_TEXT, KEY_SECRET, FIELD(default_pass), .max = ROOM(default_pass),
     .initial = "guest", .meaning = "that user's password"},
    {"default_vhost", KEY_TEXT, 0, FIELD(default_vhost), .max = ROOM(default_vhost), .initial = "/",
     .meaning = "vhost made at the first start"},
    {"default_permissions.configure", KEY_TEXT, 0, FIELD(default_configure),
     .max = ROOM(default_configure), .initial = ".*",
     .meaning = "what that user may configure in that vhost, a regular expression"},
    {"default_permissions.write", KEY_TEXT, 0, FIELD(default_write), .max = ROOM(default_write),
     .initial = ".*", .meaning = "what that user may write in that vhost, a regular expression"},
    {"default_permissions.read", KEY_TEXT, 0, FIELD(default_read), .max = ROOM(default_read),
     .initial = ".*", .meaning = "what that user may read in that vhost, a regular expression"},
    {"default_user_tags.*", KEY_NAMES, 0, FIELD(default_tags), .initial = "",
     .meaning = "true: a tag of that user; administrator unless there is any such line"},
    {"auth_backends.1", KEY_CHOICE, KEY_HIDDEN, FIELD(auth_backend), .choices = backends,
     .initial = "internal", .meaning = "who checks passwords and rights"},
    {"auth_backends.1.authn", KEY_CHOICE, KEY_HIDDEN, FIELD(auth_backend), .choices = backends,
     .initial = NULL, .meaning = "likewise"},
    {"auth_backends.1.authz", KEY_CHOICE, KEY_HIDDEN, FIELD(auth_backend), .choices = backends,
     .initial = NULL, .meaning = "likewise"},
    {"load_definitions", KEY_TEXT, 0, FIELD(load_definitions), .max = ROOM(load_definitions),
     .initial = "",
     .meaning = "JSON file of users, vhosts, permissions, queues..., taken in at each start"},
    {"management.load_definitions", KEY_TEXT, KEY_HIDDEN, FIELD(load_definitions),
     .max = ROOM(load_definitions), .initial = NULL, .meaning = "the same as load_definitions"},
    {"definitions.skip_unsupported", KEY_BOOL, 0, FIELD(definitions_skip), .initial = "false",
     .meaning = "leave out what that file has of queue and exchange types that are not here, with "
                "its bindings and a warning, instead of refusing the file"},
    {"definitions.local.path", KEY_TEXT, KEY_HIDDEN, FIELD(load_definitions),
     .max = ROOM(load_definitions), .initial = NULL, .meaning = "the same as load_definitions"},

    {"Memory and disk", .type = KEY_SECTION},
    {"vm_memory_high_watermark.relative", KEY_RATIO, KEY_RELOADABLE, FIELD(memory_relative), 0, 1,
     .initial = "0.4", .meaning = "publishers are blocked over this part of all memory; 0: never"},
    {"vm_memory_high_watermark.absolute", KEY_SIZE, KEY_RELOADABLE, FIELD(memory_absolute),
     .initial = "0", .meaning = "the same in bytes; 0: relative"},
    {"vm_memory_high_watermark_paging_ratio", KEY_RATIO, KEY_RELOADABLE, FIELD(memory_paging_ratio),
     0, 10, .initial = "0.5",
     .meaning = "over this part of the limit queues page what need not last; above 1: never"},
    {"total_memory_available_override_value", KEY_SIZE, KEY_RELOADABLE, FIELD(memory_total),
     .initial = "0", .meaning = "bytes of all memory; 0: what machine and cgroup give"},
    {"disk_free_limit.absolute", KEY_SIZE, KEY_RELOADABLE, FIELD(disk_free_limit),
     .initial = "50MB", .meaning = "publishers are blocked when less is free on disk"},
    {"disk_free_limit.relative", KEY_RATIO, KEY_RELOADABLE, FIELD(disk_free_relative), 0, 1000,
     .initial = "0", .meaning = "the same as a part of all memory; 0: absolute"},
    {"disk_ballast", KEY_SIZE, KEY_RELOADABLE, FIELD(disk_ballast), .initial = "32MB",
     .meaning = "kept as a file, and given up when the disk is full so that queues can drain; 0: "
                "none"},
    {"data_dir", KEY_TEXT, 0, FIELD(data_dir), .max = ROOM(data_dir), .initial = "warren-data",
     .meaning = "directory of the stores; made when missing"},
    {"store.cache", KEY_SIZE, 0, FIELD(store_cache), .initial = "256MiB",
     .meaning = "memory for pages of all vhosts' stores, and as much for their indexes"},
    {"store.wal", KEY_SIZE, 0, FIELD(store_wal), .initial = "1GiB",
     .meaning = "write-ahead logs of all vhosts' stores together"},

    {"Log", .type = KEY_SECTION},
    {"log.level", KEY_CHOICE, KEY_RELOADABLE, FIELD(log_level), .choices = levels,
     .initial = "info", .meaning = "what is logged"},
    {"log.console", KEY_BOOL, KEY_RELOADABLE, FIELD(log_console.is_on), .initial = "true",
     .meaning = "log to standard error"},
    {"log.console.level", KEY_CHOICE, KEY_RELOADABLE, FIELD(log_console.level),
     .choices = own_levels, .initial = "default",
     .meaning = "what goes to standard error; default: what log.level says"},
    {"log.console.formatter", KEY_CHOICE, KEY_RELOADABLE, FIELD(log_console.format),
     .choices = formats, .initial = "plaintext", .meaning = "how it is written there"},
    {"log.file", KEY_TEXT, KEY_RELOADABLE, FIELD(log_path), .max = ROOM(log_path), .initial = "",
     .meaning = "log to this file, which SIGHUP opens anew; empty or false: to none"},
    {"log.dir", KEY_TEXT, KEY_RELOADABLE, FIELD(log_dir), .max = ROOM(log_dir), .initial = ".",
     .meaning = "folder of a log.file that does not begin with /"},
    {"log.file.level", KEY_CHOICE, KEY_RELOADABLE, FIELD(log_file.level), .choices = own_levels,
     .initial = "default", .meaning = "what goes to the file; default: what log.level says"},
    {"log.file.formatter", KEY_CHOICE, KEY_RELOADABLE, FIELD(log_file.format), .choices = formats,
     .initial = "plaintext", .meaning = "how it is written there"},
    {"log.file.rotation.size", KEY_SIZE, KEY_RELOADABLE, FIELD(log_rotate_bytes), .initial = "0",
     .meaning = "a file over this size is renamed and begun anew; 0: never"},
    {"log.file.rotation.count", KEY_UINT, KEY_RELOADABLE, FIELD(log_rotate_count), 1, 100,
     .initial = "7", .meaning = "renamed files that are kept, the newest as FILE.0"},
    {"log.journald", KEY_BOOL, KEY_RELOADABLE, FIELD(log_journal.is_on), .initial = "false",
     .meaning = "log to systemd's journal"},
    {"log.journald.level", KEY_CHOICE, KEY_RELOADABLE, FIELD(log_journal.level),
     .choices = own_levels, .initial = "default",
     .meaning = "what goes to the journal; default: what log.level says"},
    {"log.journald.socket", KEY_TEXT, KEY_RELOADABLE, FIELD(log_journal_socket),
     .max = ROOM(log_journal_socket), .initial = "/run/systemd/journal/socket",
     .meaning = "where the journal listens"},
    {"log.default.level", KEY_CHOICE, KEY_RELOADABLE, FIELD(log_category[LOG_DEFAULT]),
     .choices = levels, .initial = "debug",
     .meaning =
         "lowest level of what is of no other category, where the outputs' levels do not say less"},
    {"log.connection.level", KEY_CHOICE, KEY_RELOADABLE, FIELD(log_category[LOG_CONNECTION]),
     .choices = levels, .initial = "debug",
     .meaning =
         "lowest level of lines about connections, where the outputs' levels do not say less"},
    {"log.queue.level", KEY_CHOICE, KEY_RELOADABLE, FIELD(log_category[LOG_QUEUE]),
     .choices = levels, .initial = "debug",
     .meaning = "lowest level of lines about queues and exchanges, where the outputs' levels do "
                "not say less"},
    {"log.access.level", KEY_CHOICE, KEY_RELOADABLE, FIELD(log_category[LOG_ACCESS]),
     .choices = levels, .initial = "debug",
     .meaning = "lowest level of lines about users and rights, the audit of changes among them, "
                "where the outputs' levels do not say less"},
    {"log.management.level", KEY_CHOICE, KEY_RELOADABLE, FIELD(log_category[LOG_MANAGEMENT]),
     .choices = levels, .initial = "debug",
     .meaning = "lowest level of lines about the management API, where the outputs' levels do not "
                "say less"},

    {"Threads", .type = KEY_SECTION},
    {"schedulers", KEY_UINT, 0, FIELD(schedulers), 0, 64, .initial = "0",
     .meaning = "scheduler threads; 0: one for each core"},
    {"blocking_threads", KEY_UINT, 0, FIELD(pool_threads), 0, 64, .initial = "0",
     .meaning = "threads for what waits for disks, at most, started as needed; 0: 64"},

    {"For tests", .type = KEY_SECTION},
    {"debug.crash", KEY_BOOL, 0, FIELD(debug_crash), .initial = "false",
     .meaning = "POST /api/debug/crash may crash processes"},
    {"debug.crash_in_init", KEY_TEXT, 0, FIELD(debug_crash_in_init),
     .max = ROOM(debug_crash_in_init), .initial = "",
     .meaning = "processes of this kind crash when they start"},
};

const size_t config_n_keys = sizeof(config_keys) / sizeof(*config_keys);

static bool is_list(const struct config_key *k)
{
    return k->type == KEY_LISTENERS || k->type == KEY_NAMES || k->type == KEY_PAIRS;
}

/* The name before ".*", alone (`listeners.tcp = none`) or with a rest. */
static bool matches_list(const struct config_key *k, const char *name, const char **ret_rest)
{
    size_t len = strlen(k->name) - 2;

    if (strncmp(k->name, name, len) || (name[len] && (name[len] != '.' || !name[len + 1])))
        return false;
    *ret_rest = name + len + (name[len] == '.');
    return true;
}

const struct config_key *config_find_key(const char *name, const char **ret_rest)
{
    *ret_rest = "";
    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *k = &config_keys[i];

        if (k->type == KEY_SECTION)
            continue;
        if (is_list(k) ? matches_list(k, name, ret_rest) : !strcmp(k->name, name))
            return k;
    }
    return NULL;
}
