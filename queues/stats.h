/*
 * stats.h - what connections, channels and consumers show of themselves: their slots.
 *
 * Plain members never change once the slot is shown; atomic ones have one writer, the process, and
 * are read in place. The node's counters go up with a channel's by the same call.
 */
#ifndef QUEUES_STATS_H
#define QUEUES_STATS_H

#include "broker/core/stats.h"

struct blob;
struct cell;

enum connection_show {
    CONNECTION_RUNNING,
    CONNECTION_BLOCKED, /* has published while an alarm stood */
    CONNECTION_FLOW,    /* not read: its channels or its output are behind */
    CONNECTION_CLOSING,
};

struct connection_end { /* one end of the socket */
    char host[48];
    uint16_t port;
};

struct connection_tls { /* texts, empty where there is nothing to tell */
    char protocol[16], cipher[64], key_exchange[32], hash[32];
    char subject[256], issuer[256], validity[64]; /* of the client's certificate */
};

struct connection_stats {
    struct stat_slot slot;
    char name[96];
    struct connection_end peer, local;
    char *user, *vhost;              /* NUL-terminated, owned */
    struct vhost_stats *vhost_stats; /* a reference; NULL: the vhost is gone */
    struct vhost_counts *of_vhost;   /* the connection's part of it; NULL likewise */
    const char *mechanism;
    struct connection_tls *tls;     /* owned (rt_alloc); NULL: it is not encrypted */
    struct blob *client_properties; /* field table bytes; NULL: empty */
    uint32_t frame_max;
    uint16_t channel_max, heartbeat_s;
    int64_t connected_at_ms;
    _Atomic uint64_t show; /* enum connection_show */
    _Atomic uint64_t channels;
    _Atomic uint64_t recv_bytes, recv_count, send_bytes, send_count, send_pending;
};

/* Its texts are copied; the caller's reference. Made and shown by the connection. */
struct connection_stats *connection_stats_new(const char *user, const char *vhost);

struct channel_stats {
    struct stat_slot slot;
    struct connection_stats *connection; /* a reference; NULL: it shows none */
    struct vhost_counts *of_vhost;       /* the channel's part of it; NULL: none */
    uint16_t number;
    char name[112];                             /* "CONNECTION (NUMBER)" */
    _Atomic uint64_t prefetch, shared_prefetch; /* 0: none */
    _Atomic uint64_t consumers, unacked, unconfirmed, uncommitted, uncommitted_acks;
    _Atomic uint64_t is_confirming, is_transactional;
    _Atomic uint64_t active_us; /* monotonic: when it last did something */
    struct message_counts messages;
};

/* Of the running process and its connection. */
struct channel_stats *channel_stats_new(proc_id connection, uint16_t number);

static inline void channel_count_many(struct channel_stats *s, enum message_stat what, uint64_t n)
{
    stat_add(&s->messages.n[what], n);
    stat_add(&s->slot.node->messages.n[what], n);
    if (s->of_vhost)
        stat_add(&s->of_vhost->messages.n[what], n);
}
static inline void channel_count(struct channel_stats *s, enum message_stat what)
{
    channel_count_many(s, what, 1);
}
static inline void channel_count_delivery(struct channel_stats *s, enum queue_type type,
                                          enum delivery_stat what)
{
    stat_add(&s->messages.deliveries[type][what], 1);
    stat_add(&s->slot.node->messages.deliveries[type][what], 1);
    if (s->of_vhost)
        stat_add(&s->of_vhost->messages.deliveries[type][what], 1);
}
/* A publish of so many bytes; the first one makes the channel a publisher. */
void channel_count_publish(struct channel_stats *s, uint64_t size_bytes, bool is_confirming);

struct consumer_stats {
    struct stat_slot slot;         /* of the channel's process; its number is the consumer's */
    struct channel_stats *channel; /* references */
    struct cell *queue;
    struct blob *tag, *args; /* references; args may be NULL */
    uint16_t prefetch;
    bool no_ack, exclusive;
};

/* References are taken. */
struct consumer_stats *consumer_stats_new(struct channel_stats *channel, uint32_t number,
                                          struct cell *queue, struct blob *tag, struct blob *args);

#endif
