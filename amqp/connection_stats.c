/*
 * connection_stats.c - what a connection shows of itself: from connection.open on, once a turn.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "amqp/connection_internal.h"
#include "amqp/sasl.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/region.h"
#include "queues/stats.h"

/* "127.0.0.1:5672"; an end that has no port is all host. */
static void set_end(struct connection_end *end, const char *text, size_t len)
{
    const char *colon = memrchr(text, ':', len);
    size_t host_len = colon ? (size_t)(colon - text) : len;

    snprintf(end->host, sizeof(end->host), "%.*s", (int)host_len, text);
    end->port = colon ? (uint16_t)strtoul(colon + 1, NULL, 10) : 0;
}

static void set_ends(struct connection_stats *s)
{
    static const char arrow[] = " -> ";
    const char *at = strstr(s->name, arrow);

    if (!at)
        return;
    set_end(&s->peer, s->name, (size_t)(at - s->name));
    at += sizeof(arrow) - 1;
    set_end(&s->local, at, strlen(at));
}

static void show(struct connection *c, int64_t now_ms)
{
    RUNTIME_REGION();
    struct connection_stats *s = connection_stats_new(c->user, c->vhost);

    snprintf(s->name, sizeof(s->name), "%s", c->name);
    set_ends(s);
    s->mechanism = sasl_mechanism_name((enum sasl_mechanism)c->mechanism);
    if (connection_has_tls(c)) {
        s->tls = rt_zalloc(sizeof(*s->tls));
        connection_tls_facts(c, s->tls);
    }
    if (c->client_properties.len)
        s->client_properties = blob_copy(c->client_properties.p, c->client_properties.len);
    s->frame_max = c->frame_max;
    s->channel_max = c->channel_max;
    s->heartbeat_s = c->heartbeat;
    s->connected_at_ms = now_ms;
    stat_slot_show(&s->slot);
    c->stats = s;
}

void connection_show(struct connection *c)
{
    show(c, proc_wall_ms());
    if (c->client_properties.len)
        proc_free((void *)(uintptr_t)c->client_properties.p);
    c->client_properties = (struct amqp_bytes){0};
}

static enum connection_show show_of(const struct connection *c)
{
    if (conn_state(c) > CONN_RUNNING)
        return CONNECTION_CLOSING;
    if (c->is_blocked)
        return CONNECTION_BLOCKED;
    return c->n_stuffed > 0 || connection_is_choked(c) ? CONNECTION_FLOW : CONNECTION_RUNNING;
}

/* Adds to the node's what has come since the last turn. */
static void set_sum(struct connection_stats *s, _Atomic uint64_t *shown, uint64_t now,
                    enum churn_stat of_node)
{
    stat_add(&s->slot.node->churn[of_node], now - stat_get(shown));
    stat_set(shown, now);
}

void connection_show_turn(struct connection *c)
{
    struct connection_stats *s = c->stats;

    if (!s)
        return;
    if (s->of_vhost) {
        stat_add(&s->of_vhost->received, c->read_bytes - stat_get(&s->recv_bytes));
        stat_add(&s->of_vhost->sent, output_position(&c->out) - stat_get(&s->send_bytes));
    }
    set_sum(s, &s->recv_bytes, c->read_bytes, BYTES_RECEIVED);
    set_sum(s, &s->send_bytes, output_position(&c->out), BYTES_SENT);
    set_sum(s, &s->recv_count, c->n_reads, PACKETS_RECEIVED);
    set_sum(s, &s->send_count, c->n_writes, PACKETS_SENT);
    stat_set(&s->send_pending, c->out.pending);
    stat_set(&s->channels, c->n_living);
    stat_set(&s->show, show_of(c));
}
