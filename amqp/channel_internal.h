/*
 * channel_internal.h - what the files of the channel share. Nobody else includes it.
 *
 * A *link* is a channel's tie to one queue: what it published there and was not told of, what of it
 * the client holds, and whether its process is there at all. Words of a link's states: up (the
 * present incarnation is known and attached), waiting (it will be told when the queue comes up),
 * down (nobody waits), gone (the queue was deleted).
 */
#ifndef AMQP_CHANNEL_INTERNAL_H
#define AMQP_CHANNEL_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "amqp/codec/methods.h"
#include "amqp/codec/record.h"
#include "amqp/confirms.h"
#include "amqp/share.h"
#include "amqp/tags.h"
#include "amqp/wire.h"
#include "broker/core/access_cache.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/proc.h"
#include "broker/runtime/u64map.h"
#include "queues/cell.h"
#include "queues/queue.h"
#include "queues/registry.h"
#include "queues/route.h"
#include "queues/stats.h"

enum link_state { LINK_DOWN, LINK_WAITING, LINK_UP, LINK_GONE };

struct late_settle { /* of a queue that is not up, or that may not have handled it */
    uint64_t seq;    /* 0: does not last, or the queue must not be told again */
    uint32_t cid;
    enum settle_how how;
};

struct link {
    struct link *next, *next_dirty;
    struct cell *cell; /* a reference, given back by the runtime too */
    proc_id pid;
    uint64_t epoch;                 /* of the last incarnation that was up; 0: none yet */
    proc_ref monitor, wait, attach; /* wait: a REGISTRY_WATCH or a timer */
    uint64_t sent_messages, sent_bytes, granted_messages, granted_bytes;
    uint64_t credit_epoch, credit_messages, credit_bytes; /* of an epoch not yet seen up */
    struct msg_queue_publish *gather;                     /* kept; NULL: nothing */
    struct msg_queue_settle *settle;                      /* kept; NULL: nothing */
    struct inflight inflight;
    struct share_member share;               /* of the channel's shared prefetch */
    struct msg_queue_tx *tx_first, *tx_last; /* kept; what the transaction does there */
    proc_ref tx_ref;                         /* of its commit under way; 0: none */
    struct late_settle *late;
    uint32_t n_late, cap_late;
    struct late_settle *sent; /* in this epoch, and not known to be handled */
    uint32_t n_sent, cap_sent;
    uint64_t n_settled;             /* of those sent before: known to be handled */
    proc_ref sync;                  /* QUEUE_SYNC under way */
    uint32_t n_held;                /* tag entries that name this link */
    uint32_t n_consumers, n_active; /* that name this link; those of them that are active */
    uint8_t state;                  /* enum link_state */
    uint8_t queue_type;             /* enum queue_type */
    bool is_dirty;                  /* in the list that flush visits */
    bool has_acked;                 /* settled something that lasts since the last sync */
    bool wait_is_timer;
};

struct consumer_mark { /* once `at` deliveries of the channel are written, these of the consumer are
                        */
    uint64_t at, messages, bytes;
};

struct channel_consumer {
    struct channel_consumer *next_marked;
    struct link *link;
    struct blob *tag, *args; /* references, given back by the runtime too; args may be NULL */
    uint32_t cid;
    int32_t priority;
    uint16_t prefetch;
    bool no_ack, exclusive;
    bool is_active; /* consume-ok was said */
    bool is_marked;
    proc_ref revoke; /* the cancel of one that may not read its queue any more; 0: none */
    struct consumer_stats *stats;             /* shown while it is active; NULL: it is not */
    uint64_t sent_messages, sent_bytes;       /* in this epoch */
    uint64_t renewed_messages, renewed_bytes; /* written, as far as the queue was told */
    struct consumer_mark mark;
};

struct tx_stray;

struct channel_tx { /* see channel_tx.c */
    bool is_on;
    bool is_committed, is_given_up; /* what the queues that have answered know */
    uint64_t number;                /* of the commit under way */
    uint32_t n_parts, n_waiting;    /* queues that have part; that have not answered */
    uint32_t n_lost, n_gone;        /* that went down over it; that were deleted */
    uint32_t n_unsure;              /* that can't know what a store had done of it */
    uint64_t n, bytes;              /* gathered so far */
    uint64_t n_settled, n_dropped;  /* of n; publishes that reach nobody */
    uint64_t settled_to;            /* up to this tag all is settled or marked */
    struct tx_stray *stray;
    uint32_t n_strays, cap_strays;
    char lost[100]; /* a queue that ended over the commit */
};

enum op_wait {
    OP_NONE,
    OP_START, /* the vhost's registry has never been there: no name means anything yet */
    OP_CALL,
    OP_TX, /* the answers of all queues of a transaction */
    OP_WATCH,
    OP_TIMER,
};

struct asks { /* requests to the registry that are under way; see channel_asks.c */
    TAILQ_HEAD(, ask) list;
    uint32_t n, n_exchanges; /* all; declares of exchanges */
    uint32_t bytes;
    uint8_t tries;
    proc_id registry;        /* who was asked */
    proc_ref again, give_up; /* it has died: until it is asked again; until that takes too long */
};

struct queue_counts {
    uint64_t messages, consumers;
};

struct exchange_counts {   /* of publishes to one exchange, not yet added to its cell's */
    struct cell *exchange; /* lent until the handler returns; NULL: the default exchange */
    uint64_t in, out;
};

struct channel {
    proc_id connection;
    struct channel_stats *stats;
    struct exchange_counts counts;
    uint16_t number;
    uint16_t prefetch;
    bool is_confirming, cancel_notify, spec_qos;
    bool is_closing, by_client; /* CHANNEL_CLOSE came */
    bool has_exclusive;
    bool is_over_time; /* closing takes too long: what is held back is given up */
    uint8_t op_wait;   /* enum op_wait */
    uint8_t op_tries;
    char *vhost, *user; /* NUL-terminated */
    struct vhost_tables tables;
    struct msg_channel_input *in, *in_last; /* kept */
    uint64_t handled_n, handled_bytes, granted_n, granted_bytes;
    proc_ref op_ref, op_timer, close_timer; /* op_timer: how long the registry is waited for */
    struct asks asks;
    struct msg **after_op; /* kept: what the client is told when the method is over */
    uint32_t n_after_op;
    struct link *links, *last_link, *dirty;
    struct u64map link_of; /* cell id to link */
    uint32_t n_holding;    /* links that are not up and have something gathered */
    uint32_t next_cid;
    struct u64map consumers; /* cid to consumer */
    uint32_t n_revoked;      /* of them, so many are being cancelled: see channel_revoke.c */
    struct channel_consumer *last_consumer, *marked;
    uint64_t out_n;               /* deliveries given to the connection */
    struct reply_consumer *reply; /* of direct replies; NULL: none */
    struct share share;           /* the prefetch of all its consumers */
    struct tags tags;
    struct channel_tx tx;
    struct confirms confirms;
    struct access_cache access;
    char *current_queue; /* for methods that leave the name empty; NULL: none */
};

enum method_result { METHOD_DONE, METHOD_WAITS };

/* channel.c */
/* The client's error: everything is given back, the connection is told, and the process ends. */
__attribute__((noreturn, format(printf, 4, 5))) void
channel_fail(struct channel *ch, uint16_t code, uint32_t method, const char *fmt, ...);
__attribute__((noreturn)) void channel_fail_with(struct channel *ch, const struct failure *f);
/* Carries out what waits, as far as it can. */
void channel_run(struct channel *ch);
/* The first command, which counted for so many bytes, was carried out. */
void channel_advance(struct channel *ch, uint64_t bytes);
/* Sends what was gathered for queues. */
void channel_flush_links(struct channel *ch);
/* A method frame to the client. */
void channel_reply(struct channel *ch, const struct amqp_method *m);
void channel_reply_id(struct channel *ch, uint32_t id);
/* The same behind the answers of what is under way. */
void channel_tell(struct channel *ch, const struct amqp_method *m);
/* Sends what waits for that, unless something is under way still. */
void channel_tell_rest(struct channel *ch);

/* channel_stats.c */
/* Everybody may see the channel from now on. */
void channel_show(struct channel *ch);
/* What a turn has changed. */
void channel_show_turn(struct channel *ch);
/* A message that was taken in went to so many queues. */
void channel_count_routed(struct channel *ch, const struct record *r, struct cell *exchange,
                          uint32_t n_queues);
/* Adds what was counted of exchanges to their cells; before the handler returns. */
void channel_count_exchange(struct channel *ch);
void consumer_show(struct channel *ch, struct channel_consumer *cc);

/* channel_access.c */
/* Whether the channel's user may do this; else *ret says why not. */
bool channel_may(struct channel *ch, const struct amqp_method *m, struct failure *ret);
/* Else the channel ends with 403. */
void channel_check_publish(struct channel *ch, struct amqp_bytes exchange);
/* Of a topic exchange: whether the user may publish with these keys, those of CC and BCC too. */
void channel_check_keys(struct channel *ch, struct amqp_bytes exchange,
                        const struct route_query *q);

/* channel_method.c */
enum method_result channel_method(struct channel *ch, const struct command *cmd);
/* What the method under way waited for has come (MSG_DOWN and the like included). */
void channel_on_op(struct channel *ch, struct msg *m);
enum method_result op_call(struct channel *ch, proc_id to, struct msg *m);
/* Nothing begins before the vhost has a registry. */
void op_start(struct channel *ch);
/* The method is begun again once the cell is up as another run than `dead` (0: as any), or parked.
 */
enum method_result op_await_cell(struct channel *ch, struct cell *cell, proc_id dead);
/* The method is over, answered or not. */
void op_end(struct channel *ch);
/* The vhost's registry; 0: there is none now. */
proc_id channel_registry(const struct channel *ch);
/* MSG_NAMED with this ref when there is one. */
proc_ref channel_await_registry(const struct channel *ch);

/* channel_asks.c */
void asks_init(struct asks *as);
/* Whether the method may begin while those that are under way are. */
bool asks_may_follow(struct channel *ch, const struct command *cmd);
/* Asks the registry; the method's answer comes in its turn. */
void asks_start(struct channel *ch, const struct amqp_method *m, const struct command *cmd);
/* Whether m is an answer to one of them (MSG_DOWN and the like included); it was handled then. */
bool asks_on_answer(struct channel *ch, struct msg *m);
/* Nobody waits for the answers any more. */
void asks_drop(struct channel *ch);
/* The method under way is over, and the channel goes on. */
void op_done(struct channel *ch);

/* channel_topology.c */
/* Whether a method is carried out by the registry alone. */
bool topology_is_of_registry(const struct amqp_method *m);
/* Whether it needs nothing of those before it, and is not going to be refused by this channel. */
bool topology_may_follow(struct channel *ch, const struct amqp_method *m);
/* What the registry is asked for such a method. */
struct msg *topology_request(struct channel *ch, const struct amqp_method *m);
/* Its answer, to the client; counts: of the queue that was declared. */
void topology_conclude(struct channel *ch, const struct amqp_method *m,
                       const struct msg_registry_reply *r, const struct queue_counts *counts);
/* A declare of a name for direct replies. */
void topology_declare_reply(struct channel *ch, const struct amqp_method *m);
enum method_result topology_purge(struct channel *ch, const struct amqp_method *m);
enum method_result topology_purged(struct channel *ch, const struct amqp_method *m,
                                   const struct msg *reply);
/* The queue that a method names, checked for this connection, up; NULL: *ret is to be returned. */
struct cell *topology_queue(struct channel *ch, struct amqp_bytes name, uint32_t method,
                            enum method_result *ret);
__attribute__((noreturn)) void topology_no_queue(struct channel *ch, uint32_t method,
                                                 struct amqp_bytes name);
void topology_check_table(struct channel *ch, uint32_t method, struct amqp_bytes table);

/* channel_consume.c */
enum method_result consume_start(struct channel *ch, const struct amqp_method *m);
enum method_result consume_reply(struct channel *ch, const struct amqp_method *m,
                                 struct msg *reply);
void consume_abandon(struct channel *ch, const struct amqp_method *m);
void consumer_remove(struct channel *ch, struct channel_consumer *cc);
void consumer_gone(struct channel *ch, struct channel_consumer *cc);
/* A tag for a client that leaves the choice to us. */
struct amqp_bytes consumer_make_tag(char out[64]);
/* What a queue is told of a consumer; references are lent. A new epoch counts from nought. */
struct consumer_spec consumer_describe(struct channel *ch, struct channel_consumer *cc);

/* channel_deliver.c */
void channel_on_deliver(struct channel *ch, struct msg *m);
void channel_on_written(struct channel *ch, const struct msg *m);
void channel_on_consumer_gone(struct channel *ch, const struct msg *m);

/* channel_revoke.c */
/* Cancels an active consumer whose user may not read its queue; it may be gone afterwards. */
void consumer_check(struct channel *ch, struct channel_consumer *cc);
/* CHANNEL_RECHECK. */
void channel_on_recheck(struct channel *ch);
/* Whether m answers such a cancel. */
bool revoke_take(struct channel *ch, const struct msg *m);
enum method_result get_start(struct channel *ch, const struct amqp_method *m);
enum method_result get_reply(struct channel *ch, const struct amqp_method *m, struct msg *reply);

/* channel_share.c */
/* What the client asked for (0: no limit), but no more than the operator allows. */
void channel_set_share(struct channel *ch, uint16_t asked);
void channel_on_settled(struct channel *ch, const struct msg *m);
void channel_on_want(struct channel *ch, const struct msg *m);
void channel_on_share_back(struct channel *ch, const struct msg *m);
void channel_give_permits(struct channel *ch);

/* channel_reply.c */
enum method_result reply_consume(struct channel *ch, const struct amqp_method *m);
bool reply_has_tag(const struct channel *ch, struct amqp_bytes tag);
void reply_cancel(struct channel *ch);
/* Whether its reply-to stands for this channel's consumer of replies; there must be one then. */
bool reply_check_request(struct channel *ch, const struct record *r);
/* A new record that names this channel where r asks for it; NULL: r must do. */
struct record *reply_name_request(const struct channel *ch, const struct record *r);
void channel_on_reply(struct channel *ch, struct msg *m);
/* So many deliveries of the channel are written. */
void reply_on_written(struct channel *ch, uint64_t n);

/* channel_settle.c */
void channel_settle(struct channel *ch, const struct command *cmd);
void channel_recover(struct channel *ch);
/* Settles one delivery: its queue is told, now or when it is back. */
void settle_entry(struct channel *ch, struct tag_entry *e, enum settle_how how);
/* The delivery is no longer the client's. */
void settle_take(struct channel *ch, struct tag_entry *e);
/* One that was sent to its queue. */
void settle_sent(struct link *l, struct late_settle s, bool lasts);
/* The queue's process has died: what it may not have handled is told to the next one. */
void settle_forgotten(struct link *l);

/* channel_publish.c */
/* Moves the record; false, and nothing done, while a window or a queue holds it back. */
bool channel_publish(struct channel *ch, struct command *cmd, uint32_t more);
void channel_on_confirm(struct channel *ch, const struct msg *m);
void channel_on_credit(struct channel *ch, const struct msg *m);
/* Whether a message of so many bytes fits into the window that is left. */
bool link_fits(const struct link *l, uint64_t bytes);
/* Tells the client what was confirmed. */
void channel_flush_confirms(struct channel *ch);

/* To whoever waits for a direct reply, if the record goes to such a name. */
bool channel_reply_to_key(struct channel *ch, struct record *r);
/* basic.return */
void channel_return(struct channel *ch, struct record *r);

/* channel_tx.c */
enum method_result tx_select(struct channel *ch, const struct amqp_method *m);
enum method_result tx_commit(struct channel *ch, const struct amqp_method *m);
enum method_result tx_rollback(struct channel *ch, const struct amqp_method *m);
/* Gathers a publish that was checked and routed. */
void tx_publish(struct channel *ch, struct command *cmd, const struct routed *to);
/* Marks a delivery as settled by the transaction. */
void tx_settle(struct channel *ch, struct tag_entry *e, enum settle_how how, uint32_t method);
/* Whether m answers a commit. */
bool tx_take(struct channel *ch, struct msg *m);
/* The channel does not wait for the commit any more. */
void tx_abandon(struct channel *ch);

/* channel_link.c */
/* The link to this queue, made when missing; it tries to come up. */
struct link *link_to(struct channel *ch, struct cell *cell);
struct link *link_find(struct channel *ch, uint64_t queue_id);
/* Tries to come up; asks to be told if that needs waiting. */
void link_refresh(struct channel *ch, struct link *l);
void link_touch(struct channel *ch, struct link *l);
void link_flush(struct channel *ch, struct link *l);
/* Whether m is of a link (DOWN, a watch's answer, a timer); it was handled then. */
bool link_take(struct channel *ch, struct msg *m);
/* Forgets a link that nothing needs. */
void link_drop_if_unused(struct channel *ch, struct link *l);
/* Leaves all queues: what the client holds goes back. */
void links_detach(struct channel *ch);

#endif
