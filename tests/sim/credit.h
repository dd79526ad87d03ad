/*
 * credit.h - scenarios of credit and flow: the whole broker, and clients that follow a plan.
 *
 * A *party* is a connection, a *lane* one of its channels: it publishes to one queue and consumes
 * from up to four. A case adds parties and lanes and says how much memory they may cost. Then all
 * of them act by the seed while processes, the program and connections fail; in the calm behind it
 * everything that is due has to happen; what is left is taken out and counted.
 *
 * A message is *due* in its queue from its confirm until a client acks it, as far as what happened
 * since lets it be.
 *
 * Invariants, by the names under which they fail:
 *  1. "memory": blobs and process heaps stay within the case's bound.
 *  2. "no deadlock": in a calm something happens until all that is due has happened.
 *  3. "no starvation": in a calm no consumer that could take something is passed over.
 *  4. "permits": in quiet each consumer is given exactly what its prefetch says, and each channel
 *     that shares a prefetch exactly that.
 *  5. "confirmed lasts", "bytes", "frames", "order", "prefetch", "answers", "errors",
 *     "connections stay", "nack has a cause": as in the slice.
 *  6. The case's own.
 */
#ifndef TESTS_SIM_CREDIT_H
#define TESTS_SIM_CREDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "amqp/codec/methods.h"
#include "tests/sim/sim_peer.h"
#include "tests/sim/slice.h"

enum {
    CREDIT_QUEUES = 8,
    CREDIT_DURABLE = 6, /* the first ones */
    CREDIT_PARTIES = 16,
    LANE_QUEUES = 4, /* that one lane consumes from */
};

struct lane_spec {
    int8_t to; /* NO_QUEUE: it does not publish */
    uint8_t n_from;
    int8_t from[LANE_QUEUES];
    uint16_t prefetch; /* 0: none */
    bool is_shared;    /* among its consumers */
    bool is_transient; /* what it publishes */
    bool is_unroutable;
    bool is_bound;  /* it publishes through an exchange that it binds its queue to */
    uint32_t count; /* how many it publishes */
    uint32_t ahead; /* how many of them may be unconfirmed */
    uint32_t size;  /* bodies are below it */
    uint32_t props; /* so many bytes of headers, at most */
};

enum reading { READS_ALL, READS_SLOWLY, READS_NEVER }; /* once all is set up; SLOWLY until calm */

struct credit_message {
    uint32_t size, props;
    uint32_t lane, number; /* uid of the publishing lane; in its order */
    int8_t queue;          /* NO_QUEUE: it goes nowhere */
    uint8_t duty;          /* enum duty */
    uint8_t n_unflagged;
    bool persistent, is_settled;
};

struct lane_held {
    uint64_t tag;
    uint32_t uid;
    uint8_t consumer;
};

struct lane_seen { /* the last number that came unflagged of a lane */
    uint32_t lane, number;
    uint8_t consumer;
};

enum lane_phase { LANE_NONE, LANE_SETUP, LANE_RUNNING };

struct lane_in { /* content that comes in */
    uint32_t id; /* of its method, 0: none */
    uint32_t n, size, props_len;
    uint8_t consumer;
    bool has_header, redelivered;
    uint64_t tag;
    uint8_t *body, *props;
};

struct lane {
    const struct lane_spec *spec;
    struct party *party;
    enum lane_phase phase;
    uint16_t number;
    uint8_t step; /* of its setup */
    uint32_t asked;
    uint64_t retry_us; /* NONE: not opened again before */
    uint32_t uid;
    uint32_t failures, front_failures; /* when it was opened */
    uint32_t left;                     /* to publish */
    uint32_t published;                /* since it was opened */
    uint32_t *waiting;                 /* uids by publish number - 1; 0: told */
    uint32_t cap_waiting, n_waiting;
    struct lane_held *held;
    uint32_t n_held, cap_held;
    struct lane_seen *seen;
    uint32_t n_seen, cap_seen;
    uint64_t last_tag;
    uint32_t passed[LANE_QUEUES]; /* deliveries to others of the queue while it could take some */
    struct lane_in in;
};

enum party_phase {
    PARTY_NONE,
    PARTY_START,
    PARTY_TUNE,
    PARTY_OPEN,
    PARTY_RUNNING,
    PARTY_CLOSING,
};

struct party {
    struct sim_peer peer;
    enum party_phase phase;
    enum reading reading;
    bool is_off;     /* does not come back */
    bool is_blocked; /* was told so, and not the contrary */
    uint32_t uid;
    uint32_t front_failures, listener_failures;
    uint64_t since_us;
    uint64_t retry_us; /* NONE: not connected again before */
    uint64_t sent;     /* bytes that the broker took since all its lanes were set up */
    struct lane *lane;
    uint32_t n_lanes, turn; /* whose turn it is in a calm */
};

struct credit_case {
    void (*setup)(void);      /* adds parties */
    void (*disturb)(void);    /* between two steps that are disturbed; NULL: nothing */
    void (*begin_calm)(void); /* nothing disturbs from now on; NULL: nothing */
    void (*calm)(void);       /* when all is done, before all leave; NULL: nothing */
    void (*was_killed)(void); /* the program has gone; NULL: nothing */
    uint32_t least_ring;      /* bytes of a socket buffer; 0: any */
    uint64_t memory;          /* bytes over what the idle broker has */
    bool with_alarms;
    bool parks; /* processes crash over their budgets: clients are told that something is down */
};

struct credit {
    const struct credit_case *what;
    struct party party[CREDIT_PARTIES];
    uint32_t n_parties;
    struct credit_message *message; /* by uid; 0 is none */
    uint32_t n_messages, cap_messages;
    uint32_t due[CREDIT_QUEUES]; /* messages with a duty */
    uint32_t next_party, next_lane;
    uint32_t failures_seen;
    bool holds;           /* nobody acks */
    bool checks_turns;    /* all is read and acked at once: nobody may be passed over */
    uint64_t progress_us; /* when something was confirmed or delivered last */
    uint64_t most;        /* memory seen */
    uint64_t heaps;       /* bytes of all processes when they were counted last */
    uint64_t base;        /* blobs and heaps of the idle broker */
    struct {
        uint32_t confirms, deliveries, returns, blocks, downs;
    } did;
};

extern struct credit credit;

/* credit_run.c */
void credit_run(const struct credit_case *what);
struct party *credit_add_party(enum reading reading, uint32_t frame_max, uint32_t n_lanes,
                               const struct lane_spec *lanes);
/* One step, everybody who reads being served; the calm's. */
void credit_pump(void);
/* Pumps until all that is due has happened. */
void credit_finish(void);
/* Lets so much time pass; nothing is asked of anybody. */
void credit_pass(uint64_t us);
/* Blobs and heaps now, against the case's bound. */
void credit_check_memory(void);

/* credit_peer.c */
void party_connect(struct party *p);
void party_read(struct party *p, bool all);
void party_write(struct party *p, bool all);
void party_drop(struct party *p, bool reset);
void party_close(struct party *p);
bool party_is_set_up(const struct party *p);
/* Whether it stands that it is not read, now that it is set up. */
bool party_is_deaf(const struct party *p);

/* credit_lane.c */
void lane_open(struct lane *l);
void lane_forget(struct lane *l);
void lane_on_method(struct lane *l, const struct amqp_method *m);
void lane_on_content(struct lane *l, const struct amqp_frame *f);
bool lane_may_publish(const struct lane *l);
void lane_publish(struct lane *l);
/* Settles one that it holds: acks it, or gives it back. */
void lane_settle(struct lane *l, uint32_t i, bool multiple, bool requeue);
const char *credit_queue_name(int queue);
/* Whether a close says that something is down, where it may be. */
bool credit_is_down(uint16_t code, struct amqp_bytes text);

/* credit_model.c */
uint32_t credit_published(struct lane *l, uint32_t size, uint32_t props);
void credit_confirmed(struct lane *l, uint32_t uid, bool nack);
void credit_delivered(struct lane *l, uint8_t consumer, uint32_t uid, bool redelivered);
void credit_settled(uint32_t uid);
/* A process has failed that may have held messages, or the program has ended. */
void credit_note_failures(void);
/* Properties of a message: its number, and as many bytes of headers. */
uint32_t credit_props(uint32_t uid, const struct credit_message *m, uint8_t *out, uint32_t size);

/* The cases. */
void credit_socket_run(void);
void credit_deaf_run(void);
void credit_firehose_run(void);
void credit_channels_run(void);
void credit_blocked_run(void);
void credit_share_run(void);
void credit_frames_run(void);
void credit_park_run(void);
void credit_reply_run(void);
void credit_cut_run(void);

#endif
