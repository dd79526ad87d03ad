/*
 * connection_handshake.c - methods on channel 0: from the protocol header to open, and close.
 */
#include <stdio.h>
#include <string.h>

#include "amqp/codec/table.h"
#include "amqp/connection_internal.h"
#include "amqp/sasl.h"
#include "broker/core/access.h"
#include "broker/core/config.h"
#include "broker/core/limits.h"
#include "broker/core/log.h"
#include "queues/node_name.h"
#include "queues/vhost_state.h"

enum { SILENT_CLOSE_US = 3 * 1000 * 1000, USER_SIZE = 256 };

static const char *const capabilities[] = {
    "publisher_confirms",           "exchange_exchange_bindings", "basic.nack",
    "consumer_cancel_notify",       "connection.blocked",         "consumer_priorities",
    "authentication_failure_close", "per_consumer_qos",           "direct_reply_to",
};

/* Whether this connection may log in so. */
static bool offers(const struct connection *c, enum sasl_mechanism m)
{
    const char *at = config()->auth_mechanisms;
    struct config_pair p;

    if (!*at)
        return m == SASL_PLAIN || m == SASL_AMQPLAIN;
    if (m == SASL_EXTERNAL && !connection_is_verified(c))
        return false;
    while (config_pair_next(&at, &p))
        if (sasl_mechanism_of(amqp_bytes(p.value, (size_t)p.value_len)) == m)
            return true;
    return false;
}

/* Their names, as connection.start has them; returns out. */
static const char *offered(const struct connection *c, char out[32])
{
    size_t n = 0;

    out[0] = '\0';
    for (unsigned m = SASL_NONE + 1; m < SASL_MECHANISMS; m++)
        if (offers(c, (enum sasl_mechanism)m))
            n += (size_t)snprintf(out + n, 32 - n, "%s%s", n ? " " : "",
                                  sasl_mechanism_name((enum sasl_mechanism)m));
    return out;
}

static void send_start(struct connection *c)
{
    struct ftable_builder b;
    uint8_t bytes[1024];
    char mechanisms[32], cluster[CLUSTER_NAME_MAX];
    struct amqp_bytes props;
    struct amqp_method m = {.id = AMQP_CONNECTION_START};

    ftable_build(&b, bytes, sizeof(bytes));
    ftable_open_table(&b, "capabilities");
    for (size_t i = 0; i < sizeof(capabilities) / sizeof(capabilities[0]); i++)
        ftable_put_bool(&b, capabilities[i], true);
    ftable_end(&b);
    cluster_name(cluster);
    ftable_put_string(&b, "cluster_name", cluster);
    ftable_put_string(&b, "copyright", "The Warren authors");
    ftable_put_string(&b, "information", "Licensed under the Apache License 2.0");
    ftable_put_string(&b, "platform", "C");
    ftable_put_string(&b, "product", "Warren");
    ftable_put_string(&b, "version", WARREN_VERSION);
    CHECK(ftable_finish(&b, &props) == 0);
    m.u.connection_start =
        (struct amqp_connection_start){.version_major = 0,
                                       .version_minor = 9,
                                       .server_properties = props,
                                       .mechanisms = amqp_str(offered(c, mechanisms)),
                                       .locales = amqp_str("en_US")};
    connection_put_method(c, 0, &m);
}

void connection_on_header(struct connection *c)
{
    enum amqp_protocol p = frame_check_protocol(c->header, c->header_len);

    if (c->header_len < sizeof(c->header))
        return;
    if (p == AMQP_PROTO_0_9_1 || p == AMQP_PROTO_0_9) {
        send_start(c);
        connection_move(c, CONN_START);
        return;
    }
    log_info("%s: sent %s where AMQP 0-9-1 is spoken", c->name,
             p == AMQP_PROTO_TLS     ? "a TLS hello"
             : p == AMQP_PROTO_HTTP  ? "an HTTP request"
             : p == AMQP_PROTO_OTHER ? "another version of AMQP"
                                     : "something else");
    output_put(&c->out, amqp_protocol_header, AMQP_PROTOCOL_HEADER_LEN);
    c->half_close = true;
    connection_move(c, CONN_LINGER);
    fsm_state_timeout(&c->fsm, SILENT_CLOSE_US);
}

static bool has_capability(struct amqp_bytes client_properties, const char *name)
{
    struct amqp_bytes caps;
    bool has = false;

    return ftable_get_table(client_properties, "capabilities", &caps) == 1 &&
           ftable_get_bool(caps, name, &has) == 1 && has;
}

/*
 * kombu (which speaks through py-amqp) takes every broker that does not call itself RabbitMQ for
 * one where basic.qos without global is the channel's, consumers that run included, as 0-9-1
 * 1.8.3.1 has it. Celery raises it so while tasks wait for their time; else a worker would stand
 * still.
 */
static bool takes_qos_by_spec(struct amqp_bytes client_properties)
{
    struct amqp_bytes product;

    return ftable_get_string(client_properties, "product", &product) == 1 &&
           amqp_bytes_is(product, "py-amqp");
}

/* Without the capability a client takes the end of the stream for a refusal, and expects no more.
 */
static void refuse_login(struct connection *c)
{
    log_warn("%s: login refused", c->name);
    if (c->says_auth_failure) {
        connection_fail(c, AMQP_CODE_ACCESS_REFUSED, 0,
                        "Login was refused using authentication mechanism %s. "
                        "For details see the broker logfile.",
                        sasl_mechanism_name((enum sasl_mechanism)c->mechanism));
        return;
    }
    connection_move(c, CONN_LINGER);
    fsm_state_timeout(&c->fsm, SILENT_CLOSE_US);
}

static char *copy_text(struct amqp_bytes b)
{
    char *text = proc_alloc(b.len + 1u);

    memcpy(text, b.p, b.len);
    text[b.len] = '\0';
    return text;
}

static void send_tune(struct connection *c)
{
    struct amqp_method m = {.id = AMQP_CONNECTION_TUNE};

    m.u.connection_tune =
        (struct amqp_connection_tune){.channel_max = (uint16_t)config()->channel_max,
                                      .frame_max = (uint32_t)config()->frame_max,
                                      .heartbeat = (uint16_t)config()->heartbeat_s};
    connection_put_method(c, 0, &m);
}

/* Asks whether this is its user's password (vouched for by a certificate, it needs none); the
 * answer may take a while. */
static void ask_login(struct connection *c, struct amqp_bytes password, bool is_vouched_for)
{
    const struct access_login login = {.user = c->user,
                                       .user_len = strlen(c->user),
                                       .password = password.p,
                                       .password_len = password.len,
                                       .origin = c->origin,
                                       .is_loopback = c->is_loopback,
                                       .is_vouched_for = is_vouched_for};

    c->login = access_ask_login(&login);
}

void connection_on_logged(struct connection *c, const struct msg *m)
{
    bool is_right =
        m->type == ACCESS_LOGGED && ((const struct msg_access_logged *)(const void *)m)->is_right;
    struct amqp_method ok = {.id = AMQP_CONNECTION_UPDATE_SECRET_OK};

    c->login = 0;
    if (is_right)
        c->credential = ((const struct msg_access_logged *)(const void *)m)->credential;
    if (conn_state(c) == CONN_START) {
        if (is_right) {
            limit_give(c->handshake);
            c->handshake = NULL;
            send_tune(c);
            connection_move(c, CONN_TUNE);
            connection_resume(c);
        } else {
            c->framer.hold = false;
            refuse_login(c);
        }
    } else {
        if (conn_state(c) == CONN_RUNNING && is_right)
            connection_put_method(c, 0, &ok);
        else
            connection_fail(c, AMQP_CODE_NOT_ALLOWED, AMQP_CONNECTION_UPDATE_SECRET,
                            "New secret was refused by one of the backends");
        connection_resume(c);
    }
}

/* They are shown once the connection is open. */
static void keep_properties(struct connection *c, struct amqp_bytes properties)
{
    c->client_properties = properties;
    if (properties.len)
        c->client_properties.p = memcpy(proc_alloc(properties.len), properties.p, properties.len);
}

/*
 * Who says that he is who. With EXTERNAL (RFC 4422 appendix A) it is the certificate that says it,
 * and the response, which may name an identity to act as, can name no other.
 */
static int read_credentials(const struct connection *c, struct amqp_bytes response,
                            char by_certificate[USER_SIZE], struct credentials *ret)
{
    int r;

    if (c->mechanism == SASL_PLAIN)
        return sasl_parse_plain(response, ret);
    if (c->mechanism == SASL_AMQPLAIN)
        return sasl_parse_amqplain(response, ret);
    r = connection_user_by_certificate(c, by_certificate, USER_SIZE);
    if (r < 0)
        log_info("%s: its certificate has no name to log in by", c->name);
    else
        *ret = (struct credentials){.user = amqp_str(by_certificate)};
    return r;
}

static void on_start_ok(struct connection *c, const struct amqp_connection_start_ok *ok)
{
    struct credentials login;
    char by_certificate[USER_SIZE];
    int r;

    if (ftable_validate(ok->client_properties) < 0) {
        connection_fail(c, AMQP_CODE_FRAME_ERROR, AMQP_CONNECTION_START_OK,
                        "client properties are no table");
        return;
    }
    c->says_auth_failure = has_capability(ok->client_properties, "authentication_failure_close");
    c->cancel_notify = has_capability(ok->client_properties, "consumer_cancel_notify");
    c->can_block = has_capability(ok->client_properties, "connection.blocked");
    c->spec_qos = takes_qos_by_spec(ok->client_properties);
    keep_properties(c, ok->client_properties);
    c->mechanism = (uint8_t)sasl_mechanism_of(ok->mechanism);
    if (!offers(c, (enum sasl_mechanism)c->mechanism)) {
        connection_fail(c, AMQP_CODE_COMMAND_INVALID, AMQP_CONNECTION_START_OK,
                        "unknown authentication mechanism");
        return;
    }
    r = read_credentials(c, ok->response, by_certificate, &login);
    if (r < 0 || login.user.len == 0 || login.user.len > 255 ||
        memchr(login.user.p, 0, login.user.len)) {
        refuse_login(c);
        return;
    }
    c->user = copy_text(login.user);
    c->framer.hold = true; /* what the client sent beyond waits for the answer */
    ask_login(c, login.password, c->mechanism == SASL_EXTERNAL);
}

static void on_tune_ok(struct connection *c, const struct amqp_connection_tune_ok *ok)
{
    const struct tune_limits ours = {(uint32_t)config()->channel_max,
                                     (uint32_t)config()->frame_max};
    const struct tune_limits asked = {ok->channel_max, ok->frame_max};
    char text[128];

    if (tune_check(&ours, &asked, text, sizeof(text)) < 0) {
        connection_fail(c, AMQP_CODE_NOT_ALLOWED, AMQP_CONNECTION_TUNE_OK, "%s", text);
        return;
    }
    c->channel_max = ok->channel_max ? ok->channel_max : UINT16_MAX;
    c->frame_max = ok->frame_max ? ok->frame_max : UINT32_MAX / 2;
    c->heartbeat = ok->heartbeat;
    connection_move(c, CONN_OPEN);
}

void connection_open(struct connection *c)
{
    struct amqp_method ok = {.id = AMQP_CONNECTION_OPEN_OK};

    c->framer.max_frame = c->frame_max;
    connection_put_method(c, 0, &ok);
    connection_move(c, CONN_RUNNING);
    proc_cancel(c->beat_timer);
    c->beat_timer = 0;
    if (c->heartbeat > 0) {
        connection_start_beat(c);
        io_set_user_timeout(c->io, c->heartbeat * 2000u);
    }
    connection_show(c);
    log_info("%s: open, user %s, vhost %s", c->name, c->user, c->vhost);
}

void connection_give_places(struct connection *c)
{
    for (unsigned i = 0; i < sizeof(c->places) / sizeof(c->places[0]); i++) {
        limit_give(c->places[i]);
        c->places[i] = NULL;
    }
}

/* Its places among the connections that are open; false: it was refused. */
static bool take_places(struct connection *c)
{
    int64_t of_node = config()->connection_max ? (int64_t)config()->connection_max : LIMIT_NONE;
    int64_t of_vhost = access_limit_of_vhost(c->vhost, ACCESS_CONNECTIONS);
    int64_t of_user = access_limit_of_user(c->user, ACCESS_CONNECTIONS);

    c->places[0] = limit_take(LIMIT_CONNECTIONS, "", 0, of_node);
    c->places[1] = limit_take(LIMIT_CONNECTIONS_OF_VHOST, c->vhost, strlen(c->vhost), of_vhost);
    c->places[2] = limit_take(LIMIT_CONNECTIONS_OF_USER, c->user, strlen(c->user), of_user);
    if (c->places[0] && c->places[1] && c->places[2])
        return true;
    if (!c->places[0])
        connection_fail(c, AMQP_CODE_NOT_ALLOWED, AMQP_CONNECTION_OPEN,
                        "connection refused: node connection limit (%lld) is reached",
                        (long long)of_node);
    else if (!c->places[1])
        connection_fail(c, AMQP_CODE_NOT_ALLOWED, AMQP_CONNECTION_OPEN,
                        "access to vhost '%s' refused for user '%s': connection limit (%lld) is "
                        "reached",
                        c->vhost, c->user, (long long)of_vhost);
    else
        connection_fail(c, AMQP_CODE_NOT_ALLOWED, AMQP_CONNECTION_OPEN,
                        "connection refused for user '%s': user connection limit (%lld) is reached",
                        c->user, (long long)of_user);
    connection_give_places(c);
    return false;
}

static void on_open(struct connection *c, const struct amqp_connection_open *o)
{
    if (!access_has_vhost((const char *)o->virtual_host.p, o->virtual_host.len)) {
        connection_fail(c, AMQP_CODE_NOT_ALLOWED, AMQP_CONNECTION_OPEN, "vhost %.*s not found",
                        (int)o->virtual_host.len, (const char *)o->virtual_host.p);
        return;
    }
    c->vhost = copy_text(o->virtual_host);
    c->vhost_deletions = vhost_deletions(c->vhost);
    if (!access_may_open(c->user, c->vhost)) {
        connection_fail(c, AMQP_CODE_NOT_ALLOWED, AMQP_CONNECTION_OPEN,
                        "access to vhost '%s' refused for user '%s'", c->vhost, c->user);
        return;
    }
    if (take_places(c))
        connection_await_vhost(c);
}

/* What comes behind waits for the answer, another secret too: see connection_on_logged. */
static void on_update_secret(struct connection *c, const struct amqp_connection_update_secret *u)
{
    c->framer.hold = true;
    ask_login(c, u->new_secret, false);
}

/* While our close waits for its answer nothing else is heard. */
static void on_closing(struct connection *c, const struct amqp_method *m)
{
    struct amqp_method ok = {.id = AMQP_CONNECTION_CLOSE_OK};

    if (m->id == AMQP_CONNECTION_CLOSE)
        connection_put_method(c, 0, &ok);
    else if (m->id == AMQP_CONNECTION_CLOSE_OK)
        connection_end(c, false);
}

/* RabbitMQ's code and words, whatever the state is. */
static void unexpected(struct connection *c, const struct amqp_method *m)
{
    connection_fail(c, AMQP_CODE_CHANNEL_ERROR, m->id, "unexpected method in connection state %s",
                    fsm_state_name(&c->fsm));
}

static void on_running(struct connection *c, const struct amqp_method *m)
{
    switch (m->id) {
    case AMQP_CONNECTION_CLOSE:
        connection_end(c, true);
        break;
    case AMQP_CONNECTION_UPDATE_SECRET:
        on_update_secret(c, &m->u.connection_update_secret);
        break;
    default:
        unexpected(c, m);
        break;
    }
}

void connection_on_method(struct connection *c, const struct amqp_method *m)
{
    enum conn_state s = conn_state(c);

    if (s == CONN_START && m->id == AMQP_CONNECTION_START_OK)
        on_start_ok(c, &m->u.connection_start_ok);
    else if (s == CONN_TUNE && m->id == AMQP_CONNECTION_TUNE_OK)
        on_tune_ok(c, &m->u.connection_tune_ok);
    else if (s == CONN_OPEN && m->id == AMQP_CONNECTION_OPEN)
        on_open(c, &m->u.connection_open);
    else if (s == CONN_RUNNING)
        on_running(c, m);
    else if (s == CONN_CLOSING)
        on_closing(c, m);
    else if (m->id == AMQP_CONNECTION_CLOSE)
        connection_end(c, true);
    else
        unexpected(c, m);
}
