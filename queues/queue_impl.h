/*
 * queue_impl.h - the state of a queue process and what its files share. Nobody else includes it.
 *
 * Words: a *peer* is a channel that publishes, consumes or holds something. A *taker* is one of a
 * peer's consumers, or the one that stands for its basic.gets; a cancelled one lives on while it
 * holds something.
 *
 * Rules
 *   1. A reference is taken out of where it lay before it is put elsewhere, so that an end between
 *      the two leaks it and never gives it back twice (queue_give_back runs after every crash).
 *   2. An entry is ENTRY_STORED if the store was told of it, and then told of its end too.
 *   3. A STORED entry that is neither DURABLE nor FLEETING has an item in `pending`, and no other
 *      entry has. One that is FLEETING is of the batch that is being paged.
 *   4. Of an entry without record the bytes are with the store: it is DURABLE. So are the messages
 *      that are cold (backlog.h).
 *   5. What is part of a transaction that is not decided is UNACKED in the hands of its tx_part; a
 *      message that it publishes is then neither STORED nor DURABLE.
 *   6. What a turn has for a peer is gathered there and sent by flush: at most one delivery, one
 *      confirm and one credit message. A reply that must come behind deliveries sends them first.
 */
#ifndef QUEUES_QUEUE_IMPL_H
#define QUEUES_QUEUE_IMPL_H

#include "amqp/codec/record.h"
#include "broker/runtime/proc.h"
#include "broker/runtime/u64map.h"
#include "persistence/store.h"
#include "queues/ages.h"
#include "queues/backlog.h"
#include "queues/capacity.h"
#include "queues/cell.h"
#include "queues/consumers.h"
#include "queues/credit.h"
#include "queues/invariant.h"
#include "queues/pending.h"
#include "queues/queue.h"
#include "queues/ranges.h"

enum {
    QUEUE_GIVEN_BACK = 0x13f, /* a dropped QUEUE_GOT to its queue */

    READ_MESSAGES = 256,
    READ_BYTES = 1024 * 1024,
    SETTLED_EVERY = 64, /* settlements after which a channel is told of them */
    STEP = 1024,        /* entries that one step of a long job handles */
    ATTACH_WINDOW_US = 1000 * 1000,
    PEER_MAGIC = 0x70656572,
    TAKER_MAGIC = 0x74616b65,
};

struct msg_queue_given_back {
    struct msg hdr;
    uint64_t epoch, seq;
    proc_id asker; /* whose QUEUE_GET it was */
};

struct peer;

struct taker {
    uint32_t magic;
    struct taker *prev, *next; /* of the same peer, or among those returning */
    struct consumer consumer;  /* consumer.owner is the peer, NULL among those returning */
};

struct peer {
    uint32_t magic;
    struct peer *prev, *next;
    struct peer *next_dirty;
    proc_id pid;
    proc_ref monitor;
    struct taker *takers;
    struct taker *got; /* one of the takers, for basic.get; NULL: none yet */
    struct credit credit;
    struct draw draw; /* of the prefetch that its consumers share */
    struct peer *next_limited;
    struct msg_queue_deliver *deliver;  /* gathered in this turn; NULL: nothing */
    struct ranges confirms;             /* gathered in this turn */
    uint32_t n_pending;                 /* items in `pending` that name this peer */
    uint64_t n_settled, n_settled_told; /* seqs in its SETTLE messages; what it was told of */
    bool publishes;
    bool is_listed; /* among the queue's limited ones */
    bool wants;     /* was sent WANT, and no SHARE_BACK since */
    bool is_dirty;  /* in the list of those that flush visits */
    bool is_gone;   /* only `pending` still knows it */
};

enum queue_phase {
    PHASE_OPENING,   /* the store has not yet said what is there; everything waits */
    PHASE_ATTACHING, /* channels of the last incarnation come back; nothing is delivered */
    PHASE_SERVING,
    PHASE_DELETING,
};

struct waiting_get { /* a basic.get whose message is being read back */
    struct reply_to to;
    bool no_ack;
};

struct waiting_take { /* a QUEUE_TAKE of a message that is cold: the store is asked for it */
    struct reply_to to;
    uint64_t seq;
    proc_ref ref; /* of the STORE_FIND; 0: to be asked */
};

struct waiting_sync { /* a QUEUE_SYNC, or a purge that is done */
    struct reply_to to;
    bool is_purge;
    uint64_t n_purged;
    proc_ref ref; /* of the STORE_SYNC that will answer it; 0: not asked yet */
};

struct wants_taken { /* a publish whose channel is told when it is with the store */
    proc_id pid;
    uint64_t tag;
};

struct store_mark { /* the publishes up to seq, counted since the store was opened */
    uint64_t seq, messages, bytes;
};

struct pager {     /* see queue_page.c */
    uint64_t from; /* where the sweep goes on */
    uint64_t *seq; /* the batch that the store was given */
    uint32_t n;
    proc_ref ref; /* of the STORE_SYNC behind it; 0: none, or of a store that died */
    proc_ref timer;
    bool sweeps_all; /* not only from the head on */
    bool is_through; /* there is nothing between `from` and what comes next */
};

struct job { /* a purge or the deletion, in steps */
    bool is_on;
    struct reply_to to;
    uint64_t limit_seq; /* purge: what came later stays */
    uint64_t n;         /* how many were ready */
};

struct tx_op { /* of a transaction, in its order */
    uint64_t seq;
    uint8_t what; /* enum settle_how, or a publish */
};

enum tx_fate { TX_OPEN, TX_COMMITTED, TX_GIVEN_UP };

struct tx_part { /* what a transaction does here; see queue_tx.c */
    struct tx_part *next;
    uint64_t tx;
    proc_id channel;
    struct reply_to to;    /* of the QUEUE_TX that completed it */
    struct consumer hands; /* nobody's: its holder has what is published and settled */
    struct tx_op *op;
    uint32_t n_ops, cap_ops;
    uint32_t n_given;   /* of them the store has heard */
    uint32_t n_written; /* of those that last */
    uint32_t n_done;    /* carried out */
    uint32_t n_parts;   /* 0: more is to come */
    uint64_t *gone;     /* ids of queues that were deleted with their parts */
    uint32_t n_gone, cap_gone;
    /* After the store's death: what its next run must not have, and has, once it is committed. */
    uint32_t n_settled_durable, n_found_settled, n_found_published;
    proc_id store; /* that was asked */
    proc_ref ref;  /* of the STORE_TX under way; 0: none */
    uint8_t fate;  /* enum tx_fate */
    bool was_asked;
    bool store_knows; /* its present run said what the fate is */
    bool is_unsure;   /* a store that was asked has died, and its next run shows nothing of it */
    bool is_orphan;   /* nobody waits for it */
    bool is_void;     /* something that it settles has gone to others */
};

struct queue {
    struct cell *cell; /* a reference */
    uint64_t epoch;
    enum queue_phase phase;
    bool is_durable;
    bool had_consumer; /* what auto-delete waits for */
    uint64_t began_us; /* when this run began */
    uint64_t next_seq;
    uint64_t highest_out; /* what this run has handed out */
    struct backlog backlog;
    struct ages ages;
    struct pending pending;
    struct consumers consumers;
    struct credit_pool pool;

    struct u64map peers; /* pid to peer */
    struct peer *first_peer, *last_found, *dirty;
    struct peer *limited;    /* those whose consumers share a prefetch */
    struct taker *returning; /* of peers that went: what they held goes back to its place */

    proc_id store;    /* 0: waiting for its name */
    bool store_ready; /* it has opened the queue: publishes may be sent */
    bool was_opened;  /* the first STORE_OPENED has come */
    proc_ref await_ref, open_ref, store_monitor, read_ref;
    struct msg_store_ops *ops; /* gathered in this turn */
    /* What the store was given and has not spoken of, settled or not: it lies in its mailbox. */
    struct store_mark given, spoken;
    struct store_mark *marks; /* a ring; one for each message that went to the store */
    uint32_t first_mark, n_marks, cap_marks;
    uint64_t resident_bytes; /* of durable messages whose records are here */
    uint64_t fleeting_bytes; /* of those that are FLEETING */
    struct pager pager;
    uint32_t n_reading;
    uint64_t *reading;       /* seqs of the read under way, READ_MESSAGES of them */
    proc_ref run_ref;        /* of the STORE_READ_ON under way; 0: none */
    bool wants_run;          /* it was asked, maybe of a store that died since */
    uint64_t ahead_messages; /* was cold, and nobody has it yet: those that are ENTRY_AHEAD */
    uint64_t ahead_bytes;
    uint64_t recovered_to; /* what is below came from an earlier incarnation */
    uint64_t *holes;       /* seqs in the midst of what is cold that got entries; rising */
    uint32_t n_holes;
    struct msg *finding; /* kept: an attach whose cold messages are looked for; NULL: none */
    proc_ref find_ref;
    uint64_t sample_seq, sample_us; /* one delivery whose time to ack is measured */
    uint64_t ack_time_us;           /* smoothed */

    struct waiting_get *gets;
    struct waiting_take *takes;
    uint32_t n_takes, cap_takes;
    struct waiting_sync *syncs;
    struct wants_taken *takens; /* of this turn */
    uint32_t n_takens, cap_takens;
    struct msg **postponed; /* kept; handled again when the phase or job that they wait for ends */
    uint32_t n_gets, cap_gets, n_syncs, cap_syncs, n_postponed, cap_postponed;
    struct job purge, deletion;
    struct tx_part *txs;
    uint32_t n_tx_ending; /* those whose fate is known */
    proc_ref tx_await;    /* the store's name, where the queue has no store itself */

    uint64_t expect_consumers, expect_unacked; /* of the last incarnation */
    uint64_t n_attached, n_reattached;         /* consumers, held messages that came back */
    proc_ref window_timer, unused_ref, registry_monitor;
    uint64_t published, delivered, delivered_no_ack, got, acked, redelivered, confirmed, lost;
    uint64_t got_no_ack, got_nothing;
    struct capacity capacity;
    uint64_t seen_head;   /* the seq whose timestamp is shown */
    bool shows_exclusive; /* the cell names who has it for himself */
};

/* queue.c */
void queue_postpone(struct queue *q, struct msg *m);
/* Handles again what was postponed. */
void queue_resume(struct queue *q);
void queue_flush(struct queue *q);
/* "queue 'q' in vhost '/'" */
const char *queue_title(const struct queue *q, char out[600]);
struct msg_queue_reply *queue_reply_new(const struct queue *q, uint16_t code);

/* queue_stats.c */
void stats_read(struct queue *q);  /* of the last incarnation */
void stats_write(struct queue *q); /* at the end of a turn */

/* queue_peer.c */
struct peer *peer_find(struct queue *q, proc_id pid);
struct peer *peer_get(struct queue *q, proc_id pid); /* made when missing, and monitored */
void peer_touch(struct queue *q, struct peer *p);    /* flush will visit it */
void peer_forget(struct queue *q, struct peer *p);   /* gives back what it holds */
void peer_flush(struct queue *q, struct peer *p);
/* Puts a delivery into the peer's message; moves the record. */
void peer_deliver(struct queue *q, struct peer *p, const struct delivery *d);
void peer_send_deliveries(struct peer *p);
/* The tag is confirmed (0: nobody asked). */
void peer_confirm(struct queue *q, struct peer *p, uint64_t tag);
void peer_unpend(struct queue *q, struct peer *p);
struct taker *taker_new(struct queue *q, struct peer *p, const struct consumer_spec *spec);
struct taker *taker_find(const struct peer *p, uint32_t cid); /* those not cancelled */
struct taker *taker_got(struct queue *q, struct peer *p);     /* the one for basic.get */
void taker_cancel(struct queue *q, struct taker *t);
void taker_free_if_done(struct queue *q, struct taker *t);
static inline struct consumer *consumer_of(struct holder *h)
{
    return (struct consumer *)((char *)h - offsetof(struct consumer, holder));
}
static inline struct taker *taker_of(struct consumer *c)
{
    return (struct taker *)((char *)c - offsetof(struct taker, consumer));
}

/* queue_intake.c */
void on_publish(struct queue *q, struct msg *m);
void intake_raise_credit(struct queue *q, struct peer *p);
void intake_raise_all(struct queue *q);
/* In the flush of a turn, behind what goes to the store: answers those that want to know. */
void intake_tell_taken(struct queue *q);

/* queue_deliver.c */
void deliver_pump(struct queue *q); /* hands out what can be handed out now */
bool deliver_may(const struct queue *q);
/* Hands e, which is READY with its record here, to a consumer that was picked. */
void deliver_entry(struct queue *q, struct consumer *c, struct entry *e);
void deliver_record(struct queue *q, struct consumer *c, struct record *record, uint64_t seq);
void on_permit(struct queue *q, struct msg *m);
void on_consume(struct queue *q, struct msg *m);
void on_cancel(struct queue *q, struct msg *m);

/* queue_share.c */
void on_share(struct queue *q, struct msg *m);
/* Whether the peer's consumers share a prefetch. */
void share_set(struct queue *q, struct peer *p, bool is_limited);
void share_leave(struct queue *q, struct peer *p);
/* Asks for permits where they are missing, and gives back those that nobody can use. */
void share_flush(struct queue *q);

/* queue_get.c */
bool take_owns_ref(const struct queue *q, proc_ref ref);
void take_forget_store(struct queue *q); /* it died: what was asked is to be asked again */
void take_ask_store(struct queue *q);
void take_found(struct queue *q, const struct msg *m); /* STORE_FOUND */
void on_take(struct queue *q, struct msg *m);
void on_peek(struct queue *q, struct msg *m); /* queue_peek.c */
void on_get(struct queue *q, struct msg *m);
void on_given_back(struct queue *q, struct msg *m);
void get_serve(struct queue *q); /* those that waited for a body */
void get_forget(struct queue *q, proc_id asker);

/* queue_settle.c */
void settle_done(struct queue *q, struct entry *e);   /* acked, dropped, purged: it is over */
void settle_return(struct queue *q, struct entry *e); /* back to its place, redelivered */
struct record *settle_take_record(struct queue *q, struct entry *e);
/* The same as settle_done where the store has settled it already. */
void settle_known(struct queue *q, struct entry *e);
void settle_step_returning(struct queue *q);
void on_settle(struct queue *q, struct msg *m);

/* queue_store.c */
void store_start(struct queue *q);
void store_publish(struct queue *q, struct entry *e, uint64_t tag, struct peer *p);
void store_ack(struct queue *q, uint64_t seq);
void store_ack_range(struct queue *q, uint64_t first, uint64_t last);
void store_send(struct queue *q);
/* The store has told that the entry is on disk; its body may leave the memory. */
void store_made_durable(struct queue *q, struct entry *e);
/* Its body does, and mostly the entry, too. Only where the store itself has just told that it is
 * there. */
void store_make_cold(struct queue *q, struct entry *e);
/* Hands over a FLEETING entry. */
void store_page(struct queue *q, struct entry *e);
/* Operations of a transaction: made, filled, sent behind all that was gathered. */
struct msg_store_ops *store_tx_ops(const struct queue *q, uint64_t tx, uint32_t cap);
void store_tx_put(struct msg_store_ops *ops, const struct entry *e, bool is_publish);
void store_tx_send(struct queue *q, struct msg_store_ops *ops);
void on_store_named(struct queue *q, struct msg *m);
void on_store_entries(struct queue *q, struct msg *m);
void on_store_opened(struct queue *q, struct msg *m);
void on_store_durable(struct queue *q, struct msg *m);
void on_store_down(struct queue *q, struct msg *m); /* of the process or of a call to it */
/* How much the store has of this queue that is not written or settled there. */
void store_backlog(const struct queue *q, uint64_t *ret_messages, uint64_t *ret_bytes);
bool store_owns_ref(const struct queue *q, proc_ref ref);

/* queue_read.c */
void read_ahead(struct queue *q);
void read_again(struct queue *q); /* what the last store did not answer */
void on_store_bodies(struct queue *q, struct msg *m);

/* queue_page.c */
/* The entry is FLEETING from now on. */
void page_fleeting(struct queue *q, struct entry *e);
/* Bytes that are to be paged before more is granted. */
uint64_t page_waiting(const struct queue *q);
/* Pages some, if it is time. */
void page_out(struct queue *q);
/* Whether the timer is its own; the answer to its STORE_SYNC. Then it is done. */
bool on_page_timer(struct queue *q, proc_ref ref);
bool on_page_synced(struct queue *q, proc_ref ref);
/* The store has a FLEETING entry. */
void page_done(struct queue *q, struct entry *e);
/* A new store has told what it has: the rest of the batch is not there. */
void page_store_opened(struct queue *q);

/* queue_cold.c */
void cold_read_ahead(struct queue *q);
/* Somebody gets it, or it is settled: it is not ahead of anybody any more. */
static inline void cold_taken(struct queue *q, struct entry *e)
{
    if (!(e->flags & ENTRY_AHEAD))
        return;
    e->flags &= (uint8_t)~ENTRY_AHEAD;
    q->ahead_messages--;
    q->ahead_bytes -= e->size;
}
/* Whatever its client makes of it, it leaves the ready ones. */
static inline void hand_out(struct queue *q, struct entry *e)
{
    cold_taken(q, e);
    if (entry_seq(e) > q->highest_out)
        q->highest_out = entry_seq(e);
}
void cold_ask_again(struct queue *q); /* what the last store did not answer */
void on_store_run(struct queue *q, struct msg *m);
/* Looks for what the attach holds and is cold; whether there is such, and m waits for it. */
/* Whether a message that has no entry may be among what is cold; asks for it, and, with the answer,
 * gives it an entry. NULL: it is gone. */
bool cold_may_have(const struct queue *q, uint64_t seq);
proc_ref cold_ask(const struct queue *q, uint64_t seq);
struct entry *cold_take_out(struct queue *q, const struct store_entry *found);
bool cold_find(struct queue *q, struct msg *m);
void on_store_found(struct queue *q, struct msg *m);
/* Settles all that is cold. */
void cold_purge(struct queue *q);
/* Tells a new store of the ends of what was taken out of the midst. */
void cold_ack_again(struct queue *q);

/* queue_sync.c */
void on_sync(struct queue *q, struct msg *m);
/* Answers a purge, once it is durable. */
void sync_purge(struct queue *q, struct reply_to to, uint64_t n);
void sync_ask(struct queue *q);
void sync_forget_store(struct queue *q);
void on_store_synced(struct queue *q, struct msg *m);

/* queue_tx.c */
void on_tx(struct queue *q, struct msg *m);
void on_tx_end(struct queue *q, struct msg *m);
void on_tx_gone(struct queue *q, struct msg *m);
void on_store_tx_done(struct queue *q, struct msg *m);
void tx_step(struct queue *q);                    /* carries out what is decided */
void tx_forget(struct queue *q, proc_id channel); /* the channel has ended */
void tx_store_down(struct queue *q);
void tx_store_opened(struct queue *q);
/* How many seqs of undecided parts lie in the midst of what is cold; writes them to ret, if any. */
uint32_t tx_ask_cold(const struct queue *q, uint64_t *ret);
/* The store's new run has e; whether e is a message that only a transaction knows. */
bool tx_found(struct entry *e);
/* Whether the ref is of a request to the store; what its end means is done then. */
bool tx_on_down(struct queue *q, proc_ref ref);
void tx_on_named(struct queue *q);
/* Whether an UNACKED entry is in no hands because of a transaction. */
bool tx_has(const struct entry *e);
/* How many entries are. */
uint64_t tx_held(const struct queue *q);

/* queue_attach.c */
void attach_begin(struct queue *q); /* the queue is recovered: UP, and a window if any is to come */
void attach_end(struct queue *q);
void on_attach(struct queue *q, struct msg *m);
void attach_now(struct queue *q, struct msg *m);

/* queue_admin.c */
void on_stat(struct queue *q, struct msg *m);
void on_purge(struct queue *q, struct msg *m);
void on_delete(struct queue *q, struct msg *m);
void admin_step(struct queue *q);
void admin_check_unused(struct queue *q); /* auto-delete */
void on_registry_named(struct queue *q, struct msg *m);

/* queue_invariant.c */
void queue_invariant(struct queue *q);

/* queue_why.c */
void why_note(struct queue *q); /* messages are about to come */
void on_why(struct queue *q, struct msg *m);

/* queue_inspect.c */
size_t queue_inspect(const void *state, char *out, size_t size);

/* Room for one more in an array of process memory. */
#define ARRAY_ROOM(array, n, cap)                                      \
    do {                                                               \
        if ((n) == (cap)) {                                            \
            (cap) = (cap) ? 2 * (cap) : 4;                             \
            (array) = proc_realloc((array), (cap) * sizeof(*(array))); \
        }                                                              \
    } while (0)

#endif
