/*
 * queue.h - the messages that queue processes take and send. See docs/processes.md for the order
 * and credit of each, and for what happens when either side dies.
 *
 * Everything that names a message names (queue id, epoch, seq); what is of an epoch that is gone is
 * legal and ignored.
 */
#ifndef QUEUES_QUEUE_H
#define QUEUES_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/runtime/proc.h"
#include "queues/cell.h"

struct blob;
struct record;

enum {
    QUEUE_PUBLISH = 0x100, /* cast, channel to queue */
    QUEUE_CONFIRM,         /* cast, queue to channel */
    QUEUE_CREDIT,          /* cast, high lane, queue to channel */
    QUEUE_CONSUME,         /* call */
    QUEUE_CANCEL,          /* call */
    QUEUE_REPLY,           /* reply to CONSUME, CANCEL, PURGE, STAT, DELETE, SYNC, ATTACH */
    QUEUE_DELIVER,         /* cast, queue to channel */
    QUEUE_PERMIT,          /* cast, channel to queue */
    QUEUE_SETTLE,          /* cast, channel to queue */
    QUEUE_GET,             /* call without timeout */
    QUEUE_GOT,             /* reply; dropping it gives the message back */
    QUEUE_PURGE,           /* call */
    QUEUE_STAT,            /* call */
    QUEUE_DELETE,          /* call, registry to queue */
    QUEUE_SYNC,            /* call: answered when every ack sent before is durable */
    QUEUE_CONSUMER_GONE,   /* cast, queue to channel: cancelled by the queue (deleted) */
    QUEUE_ATTACH,          /* call, channel to a new incarnation: its consumers, what it holds */
    QUEUE_DETACH,          /* cast, channel to queue: it goes; give all back, forget it */
    QUEUE_SETTLED,         /* cast, queue to channel: so many settlements are handled */
    QUEUE_WANT,            /* cast, queue to channel: wants permits of its shared prefetch */
    QUEUE_SHARE,           /* cast, channel to queue: whether they are needed, and some of them */
    QUEUE_SHARE_BACK,      /* cast, queue to channel: wants none, and gives back what is left */
    QUEUE_TX,              /* channel to queue: a piece of a transaction; the last one is a call */
    QUEUE_TX_DONE,         /* reply to it: the transaction is durable, or given up */
    QUEUE_TX_END,          /* cast, channel to queue: what has become of it elsewhere */
    QUEUE_TX_GONE,         /* cast, channel to queue: another of its queues is deleted */
    QUEUE_PEEK,            /* call: what is ready, from a seq on, without touching it */
    QUEUE_PEEKED,          /* reply */
    QUEUE_TAKE,            /* call: as GET, of the message with that seq; empty: it is not ready */
    QUEUE_WHY,             /* call: what it waits for; answered in every phase */
    QUEUE_STANDING,        /* reply to it */
    QUEUE_TAKEN,           /* cast, queue to who publishes: what wants_taken asked for */
};

/*
 * Implied at a (channel, queue epoch), no handshake; the queue raises it by QUEUE_CREDIT. In every
 * window, of publishes and of deliveries, a message counts as 1 and as record_stored_size() bytes.
 */
enum {
    CREDIT_INITIAL_MESSAGES = 16,
    CREDIT_INITIAL_BYTES = 64 * 1024,
    CREDIT_MAX_MESSAGES = 1024,
    CREDIT_MAX_BYTES = 1024 * 1024,
};

struct publish_item {
    struct record *record; /* a reference of its own */
    uint64_t tag;          /* the channel's publish number, 0: no confirm is wanted */
};

struct msg_queue_publish { /* what one turn of the channel routed to this queue */
    struct msg hdr;
    uint64_t epoch;
    bool wants_taken; /* QUEUE_TAKEN says when it was taken in */
    uint32_t n, cap;
    struct publish_item item[];
};

/*
 * All up to this tag was taken in, and what of it lasts is with the store: should the queue end
 * without a confirm, a STORE_SYNC that is called from now on answers when it is durable.
 */
struct msg_queue_taken {
    struct msg hdr;
    uint64_t queue_id, epoch, tag;
};

struct tag_range {
    uint64_t first, last; /* the channel's publish numbers; all in between went to this queue or
                             are not the queue's to speak of (see docs/processes.md) */
};

struct msg_queue_confirm { /* exactly the tags published here; single tags have first == last */
    struct msg hdr;
    uint64_t queue_id, epoch;
    bool nack;
    uint32_t n;
    struct tag_range range[];
};

struct msg_queue_credit { /* absolute: how many messages and bytes may be sent in this epoch */
    struct msg hdr;
    uint64_t queue_id, epoch;
    uint64_t messages, bytes;
};

struct consumer_spec {
    uint32_t cid; /* the channel's own number of the consumer */
    bool no_ack, exclusive;
    bool is_shared;    /* the channel's consumers share a prefetch (QUEUE_SHARE) */
    uint16_t prefetch; /* 0: no limit */
    int32_t priority;
    uint64_t window_messages, window_bytes; /* its share of the socket's output, absolute */
    struct blob *tag;                       /* consumer tag, for listings */
    struct blob *args;                      /* field table bytes; NULL: empty */
};

struct msg_queue_consume {
    struct msg hdr;
    uint64_t epoch;
    struct consumer_spec consumer;
};

struct msg_queue_cancel {
    struct msg hdr;
    uint64_t epoch;
    uint32_t cid;
};

struct msg_queue_reply { /* code 0: done; else the protocol's reply code and a text */
    struct msg hdr;
    uint16_t code;
    uint64_t epoch;
    uint64_t messages, consumers; /* ready ones; PURGE, DELETE: how many were ready */
    char text[128];
};

struct delivery {
    struct record *record; /* a reference of its own */
    uint64_t seq;
    uint32_t cid;
    bool redelivered;
    bool drew; /* used a permit of the shared prefetch */
};

struct msg_queue_deliver { /* drop: nothing is given back; the channel's DOWN does that */
    struct msg hdr;
    uint64_t queue_id, epoch;
    uint32_t n, cap;
    struct delivery item[];
};

struct msg_queue_permit { /* absolute: deliveries and bytes that may have been sent to cid */
    struct msg hdr;
    uint64_t epoch;
    uint32_t cid;
    uint64_t messages, bytes;
};

enum settle_how {
    SETTLE_ACK,
    SETTLE_REJECT,
    SETTLE_REQUEUE,
    SETTLE_TAKEN, /* got by a client that need not ack it, and out of the reply */
};

struct msg_queue_settle { /* seqs in any order; unknown ones are ignored */
    struct msg hdr;
    uint64_t epoch;
    enum settle_how how;
    uint32_t n, cap;
    uint64_t seq[];
};

struct msg_queue_get {
    struct msg hdr;
    uint64_t epoch;
    bool no_ack;
};

struct msg_queue_got {
    struct msg hdr;
    uint16_t code; /* 0, or a reply code with text (parked...) */
    bool empty, redelivered;
    bool no_ack;
    uint64_t queue_id, epoch, seq;
    uint64_t ready;        /* left behind */
    proc_id queue;         /* to whom a drop gives the message back */
    struct record *record; /* set NULL by whoever takes it */
    char text[128];
};

struct msg_queue_settled { /* absolute, in this epoch: seqs in SETTLE messages of this channel */
    struct msg hdr;
    uint64_t queue_id, epoch, n;
};

enum { QUEUE_PEEK_MAX = 100 };

struct msg_queue_peek {
    struct msg hdr;
    uint64_t epoch;
    uint64_t from; /* seq */
    uint32_t n;    /* at most QUEUE_PEEK_MAX */
};

struct peeked {
    uint64_t seq;
    struct record *record; /* a reference of its own; NULL: only the store has its bytes */
    bool redelivered;
};

struct msg_queue_peeked { /* drop gives the references back */
    struct msg hdr;
    uint64_t queue_id, ready;
    /*
     * What comes behind the items: of messages from cold_first to cold_last nothing is here but in
     * the store.
     */
    bool is_cold;
    uint64_t cold_first, cold_last;
    uint64_t next; /* to go on from, when nothing is cold; 0: that was all */
    uint32_t n;
    struct peeked item[QUEUE_PEEK_MAX];
};

struct msg_queue_take {
    struct msg hdr;
    uint64_t epoch, seq;
};

struct msg_queue_share { /* WANT, SHARE, SHARE_BACK */
    struct msg hdr;
    uint64_t queue_id; /* WANT, SHARE_BACK */
    uint64_t epoch;
    bool is_limited; /* SHARE: deliveries that must be acked need a permit each */
    uint32_t n;      /* SHARE: so many more; SHARE_BACK: all that were left */
};

struct tx_item {           /* in the order of the client's commands */
    struct record *record; /* a publish; a reference of its own. NULL: a settlement */
    uint64_t seq;          /* of what is settled; unknown ones are ignored */
    enum settle_how how;
};

/*
 * What a transaction does at one queue. Nothing of it is seen before all parts are durable, and
 * what it settles is in nobody's hands until then.
 */
struct msg_queue_tx {
    struct msg hdr;
    struct msg_queue_tx *next; /* the sender's */
    uint64_t epoch;
    uint64_t tx;      /* queue_tx_next() */
    uint32_t n_parts; /* in so many queues; 0: more pieces of this part follow */
    uint32_t n, cap;
    struct tx_item item[];
};

struct msg_queue_tx_end { /* QUEUE_TX_DONE, QUEUE_TX_END */
    struct msg hdr;
    uint64_t tx;
    bool committed;
    bool is_unsure; /* DONE: the store died over it, and nothing here shows what it had done */
};

struct msg_queue_tx_gone {
    struct msg hdr;
    uint64_t tx;
    uint64_t queue_id; /* that had part in it, and was deleted before it had given its part on */
};

struct msg_queue_ask { /* PURGE, STAT, SYNC, DETACH */
    struct msg hdr;
    uint64_t epoch;
};

/* What a queue is doing and waiting for. */
enum queue_doing {
    QUEUE_IS_OPENING,   /* the store has not said yet what is there */
    QUEUE_IS_ATTACHING, /* after a restart: its channels may come back until a deadline */
    QUEUE_IS_SERVING,
    QUEUE_IS_DELETING,
};

struct msg_queue_standing {
    struct msg hdr;
    enum queue_doing doing;
    uint64_t ready, unacked;
    uint32_t n_consumers;
    /* Of them: who could get a message now, or why not; each is counted once. */
    uint32_t n_able, n_prefetch_full, n_output_full, n_share_full;
    bool is_purging, is_returning; /* a long job goes first */
    bool is_reading;               /* the next message is on the disk, and is being read */
    bool is_store_missing;         /* durable, and its store is down or being asked */
    uint64_t n_held_by_tx;         /* in the hands of transactions under way */
    /*
     * Of the oldest message, ready or unacked: how long it has been here, about; at least that long
     * where it is from before the queue's present run. UINT64_MAX: there is no message.
     */
    uint64_t oldest_us;
    bool is_older;
};

struct msg_queue_delete {
    struct msg hdr;
    bool if_unused, if_empty;
    proc_id requester; /* not told QUEUE_CONSUMER_GONE for... 0: everybody is */
};

struct msg_queue_consumer_gone {
    struct msg hdr;
    uint64_t queue_id, epoch;
    uint32_t cid;
};

struct held { /* a delivery that the channel's client still has */
    uint64_t seq;
    uint32_t cid;
};

struct msg_queue_attach { /* at a new incarnation, before anything else from this channel */
    struct msg hdr;
    uint64_t old_epoch, epoch;
    uint32_t n_consumers, n_held;
    struct consumer_spec *consumers; /* of n_consumers, owned */
    struct held *held;               /* of n_held, owned */
};

/*
 * Constructors; the caller fills the arrays, whose references move into the message, and drop gives
 * all references back. queue_consume_new takes references of its own to the consumer's blobs.
 */
struct msg_queue_publish *queue_publish_new(uint64_t epoch, uint32_t cap);
struct msg_queue_deliver *queue_deliver_new(uint64_t queue_id, uint64_t epoch, uint32_t cap);
struct msg_queue_settle *queue_settle_new(uint64_t epoch, enum settle_how how, uint32_t cap);
struct msg_queue_confirm *queue_confirm_new(uint64_t queue_id, uint64_t epoch, bool nack,
                                            uint32_t n);
struct msg_queue_consume *queue_consume_new(uint64_t epoch, const struct consumer_spec *consumer);
struct msg_queue_attach *queue_attach_new(uint64_t old_epoch, uint64_t epoch, uint32_t n_consumers,
                                          uint32_t n_held);
struct msg_queue_ask *queue_ask_new(uint32_t type, uint64_t epoch);
struct msg_queue_peeked *queue_peeked_new(uint64_t queue_id);
struct msg_queue_tx *queue_tx_new(uint64_t epoch, uint64_t tx, uint32_t cap);
struct msg_queue_tx_end *queue_tx_end_new(uint32_t type, uint64_t tx, bool committed);
struct msg_queue_tx_gone *queue_tx_gone_new(uint64_t tx, uint64_t queue_id);
/* A transaction's number: never 0, never used again while the program runs. */
uint64_t queue_tx_next(void);

struct queue_arg {     /* the arg blob of queue_ops */
    struct cell *cell; /* the blob's maker holds a reference for as long as the child exists */
};
extern const struct proc_ops queue_ops;

#endif
