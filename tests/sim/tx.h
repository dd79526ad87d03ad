/*
 * tx.h - the scenario of transactions: clients that publish to several queues and settle what they
 * got, commit, roll back or go, over the whole broker that slice.h boots and kills.
 *
 * The model knows of each transaction what its client was told, and takes each sighting of its
 * messages, and of those that it settled, as evidence of whether it took place: all or nothing.
 */
#ifndef TESTS_SIM_TX_H
#define TESTS_SIM_TX_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/sim_peer.h"

enum {
    TXS_QUEUES = 4,
    TXS_LASTING = 3, /* the first ones are durable */
    TXS_CLIENTS = 4,
    TXS_HELD = 12,
    TXS_MESSAGES = 6000,
    TXS_MAX = 4000,
};

enum txs_fate {
    TXS_OPEN,
    TXS_ASKED,     /* tx.commit was sent */
    TXS_COMMITTED, /* commit-ok came */
    TXS_DROPPED,   /* rolled back, never asked for, or told that it was given up */
    TXS_UNSURE,    /* whoever asked for it has not heard */
};

struct txs {
    enum txs_fate fate;
    uint32_t failures;    /* when its first operation was sent */
    const char *yes, *no; /* what says that it took place, that it did not */
    uint32_t yes_uid, no_uid;
};

struct txs_message {
    uint32_t tx;     /* that published it */
    uint32_t writer; /* uid of the channel, and its number there, rising */
    uint32_t number;
    uint8_t queue;
    bool lasts;
    bool is_closed; /* an audit has taken it, or missed it rightly */
    uint16_t n_seen;
    uint32_t seen_by;    /* uid of the channel that was given it last */
    uint32_t settled_by; /* transaction that did so last, since it was seen last; 0: none */
    bool is_requeued;    /* by that one */
    uint32_t found;      /* number of the audit that found it */
};

struct txs_held {
    uint64_t tag;
    uint32_t uid;
    bool is_marked; /* settled in the open transaction */
};

enum txs_phase { TXS_NONE, TXS_START, TXS_TUNE, TXS_HELLO, TXS_SELECT, TXS_READY, TXS_CLOSING };

struct txs_client {
    struct sim_peer peer;
    enum txs_phase phase;
    bool is_audit;
    uint32_t channel;  /* uid */
    uint32_t failures; /* when it was opened */
    uint32_t number;   /* of its last publish */
    uint32_t tx;       /* open or asked for; 0: none */
    uint32_t op;       /* whose answer is waited for */
    uint8_t op_queue;
    uint64_t last_tag;
    struct sim_content got;
    bool is_empty; /* what the last get found */
    struct txs_held held[TXS_HELD];
    uint32_t n_held;
};

extern struct txs_client txs_client[TXS_CLIENTS + 1]; /* the last one is the auditor */
extern const char *const txs_queues[TXS_QUEUES];

/* tx_model.c */
void txs_model_init(void);
bool txs_model_is_full(void);
/* The client's transaction, begun where there is none. */
uint32_t txs_of(struct txs_client *c);
/* A message that is about to be published: its uid. */
uint32_t txs_published(struct txs_client *c, int queue, bool persistent);
void txs_settled(struct txs_client *c, struct txs_held *h, bool requeue);
void txs_asked(struct txs_client *c);
void txs_committed(struct txs_client *c);
void txs_rolled_back(struct txs_client *c);
/* The broker says that it was given up; `sure`: and that it knows so. */
void txs_given_up(struct txs_client *c, bool sure);
/* Its channel is no more. */
void txs_lost(struct txs_client *c);
void txs_seen(struct txs_client *c, int queue, uint32_t uid);
void txs_audit_begin(void);
void txs_audit_found(int queue, uint32_t uid);
void txs_audit_end(void);
void txs_note_did(void);

/* tx_client.c */
void txs_connect(struct txs_client *c);
void txs_read(struct txs_client *c, bool all);
void txs_write(struct txs_client *c, bool all);
void txs_drop(struct txs_client *c, bool reset);
void txs_close(struct txs_client *c);
void txs_publish(struct txs_client *c, int queue, bool persistent);
/* To a queue that comes and goes, which nobody reads. */
void txs_publish_fleeing(struct txs_client *c, bool persistent);
/* Deletes it, and mostly declares it again. */
void txs_renew_fleeing(struct txs_client *c);
void txs_get(struct txs_client *c, int queue, bool no_ack);
void txs_settle(struct txs_client *c, uint32_t i, bool multiple);
void txs_end(struct txs_client *c, bool commit);

/* tx_run.c */
void tx_run(void);

#endif
