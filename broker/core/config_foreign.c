/*
 * Keys of RabbitMQ's that are none of Warren's, each with what becomes of it and why. What tunes a
 * machinery that is not there may stay in a file, with a warning; what would change who may do
 * what, or would promise something to listen on or to write to, may not.
 */
#include <string.h>

#include "broker/core/config_impl.h"

#define ERLANG           "there is no Erlang here"
#define ONE_NODE         "there is one node, no cluster"
#define NO_PLUGIN        "there is no such plugin here"
#define ONE_TIME         "handshake_timeout and management.tcp.request_timeout are the limits"
#define ONE_LOG          "outputs and their formats are log.console, log.file and log.journald"
#define IN_FILES         "certificates and keys are given as files"
#define NO_RENEGOTIATION "TLS 1.2 and 1.3 are spoken, and never renegotiated"
#define FIXED_HEADERS    "the dashboard sends headers of its own"
#define ALL_STORED       "each queue keeps its messages in its vhost's store"
#define SAMPLES          "collect_statistics_interval says how often statistics are taken"

/*
 * The first one whose name a key begins with counts; one that ends in "=" is a key as it stands.
 * The text goes behind a colon.
 */
static const struct config_foreign_key foreign[] = {
    {"amqp1_0.", CONFIG_REFUSED, NO_PLUGIN},
    {"anonymous_login_", CONFIG_REFUSED, "each client has a user of its own"},
    {"auth_", CONFIG_REFUSED, "users and their rights are kept here; auth_backends.1 = internal"},
    {"background_gc", CONFIG_IGNORED, ERLANG},
    {"channel_operation_timeout", CONFIG_IGNORED, "operations are answered, or their channel ends"},
    {"classic_queue.", CONFIG_IGNORED, ALL_STORED},
    {"cluster_", CONFIG_IGNORED, ONE_NODE},
    {"collect_statistics", CONFIG_IGNORED, SAMPLES},
    {"consumer_timeout", CONFIG_IGNORED, "deliveries may stay unacknowledged for any time"},
    {"credential_validator.", CONFIG_REFUSED, "passwords are not judged"},
    {"credit_flow_default_credit", CONFIG_IGNORED,
     "credit follows from what queues and disks take"},
    {"default_users.", CONFIG_REFUSED, "default_user is one; load_definitions brings more"},
    {"default_worker_pool_size", CONFIG_IGNORED, "schedulers and blocking_threads say how many"},
    {"definitions.hashing.", CONFIG_IGNORED, "definitions are taken in at each start"},
    {"definitions.import_backend", CONFIG_IGNORED,
     "definitions come from a file: load_definitions"},
    {"definitions.skip_if_unchanged", CONFIG_IGNORED, "what is there already is not changed"},
    {"definitions.", CONFIG_REFUSED, "definitions come from a file: load_definitions"},
    {"delegate_count", CONFIG_IGNORED, ERLANG},
    {"deprecated_features.", CONFIG_IGNORED, "nothing is switched off"},
    {"disk_monitor", CONFIG_IGNORED, "free room is looked at when it may have changed"},
    {"distribution.", CONFIG_IGNORED, ERLANG},
    {"erlang.", CONFIG_IGNORED, ERLANG},
    {"heartbeats_", CONFIG_IGNORED, ERLANG},
    {"hipe_compile", CONFIG_IGNORED, ERLANG},
    {"initial_frame_max", CONFIG_IGNORED, "frames have 4096 bytes before they are negotiated"},
    {"lazy_queue_", CONFIG_IGNORED, ALL_STORED},
    {"log.channel.", CONFIG_IGNORED, "lines about channels are of log.connection"},
    {"log.connection.", CONFIG_IGNORED, ONE_LOG},
    {"log.console.", CONFIG_IGNORED, ONE_LOG},
    {"log.default.", CONFIG_IGNORED, ONE_LOG},
    {"log.exchange", CONFIG_REFUSED, "the log is not published; GET /api/warren/log reads it"},
    {"log.federation.", CONFIG_IGNORED, NO_PLUGIN},
    {"log.file.formatter.", CONFIG_IGNORED, ONE_LOG},
    {"log.file.rotation.compress", CONFIG_IGNORED, "whoever rotates logs may do that"},
    {"log.file.rotation.date", CONFIG_REFUSED, "logrotate does it, or log.file.rotation.size"},
    {"log.journald.", CONFIG_IGNORED, ONE_LOG},
    {"log.ldap.", CONFIG_IGNORED, NO_PLUGIN},
    {"log.mirroring.", CONFIG_IGNORED, ONE_NODE},
    {"log.prelaunch.", CONFIG_IGNORED, ERLANG},
    {"log.queue.", CONFIG_IGNORED, ONE_LOG},
    {"log.ra.", CONFIG_IGNORED, ONE_NODE},
    {"log.syslog", CONFIG_REFUSED, "the journal takes the log: log.journald = true"},
    {"log.upgrade.", CONFIG_IGNORED, ERLANG},
    {"management.csp.", CONFIG_IGNORED, FIXED_HEADERS},
    {"management.db_cache_multiplier", CONFIG_IGNORED, "lists are not cached"},
    {"management.disable_basic_auth", CONFIG_REFUSED, "there is no other way to log in"},
    {"management.disable_stats", CONFIG_IGNORED, SAMPLES},
    {"management.enable_queue_totals", CONFIG_IGNORED, SAMPLES},
    {"management.enable_uaa", CONFIG_REFUSED, NO_PLUGIN},
    {"management.oauth", CONFIG_REFUSED, NO_PLUGIN},
    {"management.headers.", CONFIG_IGNORED, FIXED_HEADERS},
    {"management.hsts.", CONFIG_IGNORED, FIXED_HEADERS},
    {"management.http_log_dir", CONFIG_IGNORED, "the log has changes, not requests"},
    {"management.listener.server.", CONFIG_IGNORED, ONE_TIME},
    {"management.listener.ssl", CONFIG_REFUSED, "these keys are called management.ssl.* now"},
    {"management.login_session_timeout", CONFIG_IGNORED, "a login ends with the browser's tab"},
    {"management.path_prefix", CONFIG_REFUSED, "the API is at /api; a proxy may put it elsewhere"},
    {"management.rates_mode", CONFIG_IGNORED, "rates of everything are kept"},
    {"management.sample_retention_policies.", CONFIG_IGNORED, "samples of a day are kept"},
    {"management.ssl.backlog", CONFIG_IGNORED, "tcp_listen_options.backlog is AMQP's alone"},
    {"management.ssl.bypass_pem_cache", CONFIG_IGNORED, "changed files are read again"},
    {"management.ssl.client_renegotiation", CONFIG_IGNORED, NO_RENEGOTIATION},
    {"management.ssl.compress", CONFIG_IGNORED, "answers are not compressed"},
    {"management.ssl.honor_ecc_order", CONFIG_IGNORED, "OpenSSL's order of curves counts"},
    {"management.ssl.idle_timeout", CONFIG_IGNORED, ONE_TIME},
    {"management.ssl.inactivity_timeout", CONFIG_IGNORED, ONE_TIME},
    {"management.ssl.max_keepalive", CONFIG_IGNORED, ONE_TIME},
    {"management.ssl.request_timeout", CONFIG_IGNORED, ONE_TIME},
    {"management.ssl.reuse_session", CONFIG_IGNORED, "clients may resume sessions"},
    {"management.ssl.secure_renegotiate", CONFIG_IGNORED, NO_RENEGOTIATION},
    {"management.ssl.shutdown_timeout", CONFIG_IGNORED, ONE_TIME},
    {"management.tcp.compress", CONFIG_IGNORED, "answers are not compressed"},
    {"management.tcp.idle_timeout", CONFIG_IGNORED, ONE_TIME},
    {"management.tcp.inactivity_timeout", CONFIG_IGNORED, ONE_TIME},
    {"management.tcp.max_keepalive", CONFIG_IGNORED, ONE_TIME},
    {"management.tcp.shutdown_timeout", CONFIG_IGNORED, ONE_TIME},
    {"management.uaa_", CONFIG_REFUSED, NO_PLUGIN},
    {"management_agent.", CONFIG_IGNORED, SAMPLES},
    {"memory_monitor_interval", CONFIG_IGNORED, "memory is looked at when it may have changed"},
    {"message_store_shutdown_timeout", CONFIG_IGNORED, "what was confirmed is on the disk"},
    {"mirroring_", CONFIG_IGNORED, ONE_NODE},
    {"mnesia_", CONFIG_IGNORED, "there is no Mnesia here"},
    {"motd_file", CONFIG_IGNORED, "nothing is greeted"},
    {"mqtt.", CONFIG_REFUSED, NO_PLUGIN},
    {"msg_store_", CONFIG_IGNORED, ALL_STORED},
    {"net_ticktime", CONFIG_IGNORED, ONE_NODE},
    {"num_acceptors.", CONFIG_IGNORED, "listeners accept as fast as connections are made"},
    {"password_hashing_module", CONFIG_IGNORED, "passwords are hashed by yescrypt"},
    {"product.", CONFIG_IGNORED, "the product is Warren"},
    {"prometheus.filter_", CONFIG_IGNORED, "/metrics/detailed chooses by its query"},
    {"prometheus.path", CONFIG_REFUSED, "metrics are at /metrics"},
    {"prometheus.return_per_object_metrics", CONFIG_IGNORED, "they are at /metrics/per-object"},
    {"prometheus.ssl.backlog", CONFIG_IGNORED, "tcp_listen_options.backlog is AMQP's alone"},
    {"prometheus.ssl.client_renegotiation", CONFIG_IGNORED, NO_RENEGOTIATION},
    {"prometheus.ssl.compress", CONFIG_IGNORED, "answers are not compressed"},
    {"prometheus.ssl.honor_ecc_order", CONFIG_IGNORED, "OpenSSL's order of curves counts"},
    {"prometheus.ssl.idle_timeout", CONFIG_IGNORED, ONE_TIME},
    {"prometheus.ssl.inactivity_timeout", CONFIG_IGNORED, ONE_TIME},
    {"prometheus.ssl.max_keepalive", CONFIG_IGNORED, ONE_TIME},
    {"prometheus.ssl.request_timeout", CONFIG_IGNORED, ONE_TIME},
    {"prometheus.ssl.reuse_session", CONFIG_IGNORED, "clients may resume sessions"},
    {"prometheus.ssl.secure_renegotiate", CONFIG_IGNORED, NO_RENEGOTIATION},
    {"prometheus.ssl.shutdown_timeout", CONFIG_IGNORED, ONE_TIME},
    {"prometheus.tcp.compress", CONFIG_IGNORED, "answers are not compressed"},
    {"prometheus.tcp.idle_timeout", CONFIG_IGNORED, ONE_TIME},
    {"prometheus.tcp.inactivity_timeout", CONFIG_IGNORED, ONE_TIME},
    {"prometheus.tcp.max_keepalive", CONFIG_IGNORED, ONE_TIME},
    {"prometheus.tcp.request_timeout", CONFIG_IGNORED, ONE_TIME},
    {"prometheus.tcp.shutdown_timeout", CONFIG_IGNORED, ONE_TIME},
    {"queue_index_", CONFIG_IGNORED, ALL_STORED},
    {"queue_leader_locator", CONFIG_IGNORED, ONE_NODE},
    {"queue_master_locator", CONFIG_IGNORED, ONE_NODE},
    {"quorum_", CONFIG_IGNORED, ONE_NODE},
    {"raft.", CONFIG_IGNORED, ONE_NODE},
    {"reverse_dns_lookups", CONFIG_IGNORED, "clients are shown by their addresses"},
    {"socket_writer.", CONFIG_IGNORED, ERLANG},
    {"ssl_allow_poodle_attack", CONFIG_IGNORED, NO_RENEGOTIATION},
    {"ssl_handshake_timeout", CONFIG_IGNORED, "it is part of handshake_timeout"},
    {"ssl_options=", CONFIG_IGNORED, "listeners.ssl.* and management.ssl.certfile turn TLS on"},
    {"ssl_options.bypass_pem_cache", CONFIG_IGNORED, "changed files are read again"},
    {"ssl_options.cacerts", CONFIG_REFUSED, IN_FILES},
    {"ssl_options.cert=", CONFIG_REFUSED, IN_FILES},
    {"ssl_options.client_renegotiation", CONFIG_IGNORED, NO_RENEGOTIATION},
    {"ssl_options.dh", CONFIG_IGNORED, "parameters fit to the key are OpenSSL's"},
    {"ssl_options.hibernate_after", CONFIG_IGNORED, ERLANG},
    {"ssl_options.honor_ecc_order", CONFIG_IGNORED, "OpenSSL's order of curves counts"},
    {"ssl_options.key.", CONFIG_REFUSED, IN_FILES},
    {"ssl_options.log_", CONFIG_IGNORED, "who is refused, and why, is a line of level info"},
    {"ssl_options.psk_", CONFIG_REFUSED, "there are certificates, and no shared keys"},
    {"ssl_options.reuse_session", CONFIG_IGNORED, "clients may resume sessions"},
    {"ssl_options.secure_renegotiate", CONFIG_IGNORED, NO_RENEGOTIATION},
    {"statistics.", CONFIG_IGNORED, SAMPLES},
    {"stomp.", CONFIG_REFUSED, NO_PLUGIN},
    {"stream.", CONFIG_REFUSED, NO_PLUGIN},
    {"sysmon_handler.", CONFIG_IGNORED, ERLANG},
    {"tcp_listen_options.linger.", CONFIG_IGNORED,
     "what was written is sent, and nobody waits for it"},
    {"tcp_listen_options.", CONFIG_IGNORED, ERLANG},
    {"tcp_listen_options=", CONFIG_IGNORED, "its keys have defaults"},
    {"vhost_restart_strategy", CONFIG_IGNORED, "a vhost that fails is tried again by itself"},
    {"vm_memory_calculation_strategy", CONFIG_IGNORED, "what the program takes is what counts"},
    {"web_mqtt.", CONFIG_REFUSED, NO_PLUGIN},
    {"web_stomp.", CONFIG_REFUSED, NO_PLUGIN},
};

const struct config_foreign_key *config_find_foreign(const char *name)
{
    for (size_t i = 0; i < sizeof(foreign) / sizeof(*foreign); i++) {
        const char *prefix = foreign[i].prefix;
        size_t len = strcspn(prefix, "=");

        if (!strncmp(name, prefix, len) && (!prefix[len] || !name[len]))
            return &foreign[i];
    }
    return NULL;
}
