/*
 * slice.h - the scenario of the whole broker: its world, its clients, and the model of what they
 * were told.
 *
 * The clients are no processes: the driver moves them between two steps of the runtime, and inside
 * a sync of the disk. They speak frames over the simulated sockets. What each was told goes into
 * the model, which knows what may be delivered, what must be, and what must not.
 *
 * A *stamp* is a number that grows with everything that happens to the model; a consumer that was
 * asked for after a stamp can only be given what was in the queue after it.
 */
#ifndef TESTS_SIM_SLICE_H
#define TESTS_SIM_SLICE_H

#include <stdbool.h>
#include <stdint.h>

#include "amqp/codec/methods.h"
#include "broker/runtime/proc.h"
#include "tests/sim/sim_peer.h"

struct amqp_frame;

enum {
    N_QUEUES = 9,
    N_DURABLE_QUEUES = 4, /* the first ones; then two that are not durable, then */
    AUTO_QUEUE = 6,
    EXCLUSIVE_QUEUE = 7,
    SERVER_NAMED_QUEUE = 8, /* and exclusive */
    N_EXCHANGES = 10,       /* 0 is the default one */
    N_DESTS = N_QUEUES + N_EXCHANGES,
    N_KEYS = 6,
    N_PATTERNS = 6, /* of bindings: by the type of the exchange keys, patterns or arguments */
    N_HEADERS = 8,  /* a set of three */
    N_SERVER_NAMES = 64,
    MAX_HOLDERS = 64,
    PROPS_MAX = 192,
    N_CLIENTS = 5,
    N_CHANNELS = 3,  /* of a client; numbers from 1 */
    N_CONSUMERS = 3, /* of a channel */
    MAX_MESSAGES = 8000,
    NO_QUEUE = -1,
};

enum existence { GONE, EXISTS, UNKNOWN };

/*
 * What is known of a name or a binding. Several may change it at a time: then, and when one of them
 * will never be answered, it is one or the other, until somebody changes it alone.
 */
struct fact {
    enum existence state;
    uint8_t asked;   /* bits of GONE and EXISTS: the changes under way, and what overlapped them */
    uint8_t n_asked; /* how many are under way */
    bool is_lost;    /* one has no answer any more: it may happen until all is calm */
    uint64_t asked_at; /* stamp of the last one */
};

/* How far a message has to be there: not at all; while no process fails; whatever happens. */
enum duty { DUTY_NONE, DUTY_SOFT, DUTY_HARD };

struct copy {         /* a message as it is in one queue */
    bool is_possible; /* it may have been routed there */
    bool is_sure;     /* it was, if it was routed at all */
    bool is_settled;  /* its end was asked for */
    bool is_loose;    /* it may have been got by somebody who acks by asking, and given back */
    uint8_t duty;     /* enum duty */
    uint8_t n_unflagged;
    uint16_t n_seen;  /* how often clients were given it */
    uint64_t seen_at; /* stamp of the first time, 0: never */
    bool gone_softly; /* gone_at holds while nothing fails before the next calm */
    uint64_t gone_at; /* stamp since when nobody may be given it, 0: may be there */
    const char *gone; /* why: the invariant that it would break */
    uint32_t seen_by; /* uid of the channel that was given it last */
    uint32_t found;   /* the audit that found it */
};

struct message {
    uint32_t uid, size;
    uint32_t channel, number; /* the publishing channel's uid; in its order, from 1 */
    bool persistent, mandatory, confirming;
    bool is_over; /* it is on no way any more */
    bool was_returned;
    bool is_out_of_reach; /* it may be in a queue whose name nobody knows any more */
    bool is_risky;        /* its exchange may be missing, which fails the channel */
    uint8_t exchange;
    uint8_t key;      /* of the default exchange: the queue */
    uint8_t name;     /* of a server-named queue: which name */
    int8_t cc, bcc;   /* as key; -1: none */
    uint8_t headers;  /* bits: which of the three it has */
    uint8_t patterns; /* bits: which of its exchange's patterns match it */
    uint8_t match[4]; /* the same for each type of exchange */
    uint64_t sent_at; /* stamp */
    uint64_t over_at; /* of its confirm, 0: none */
    struct copy copy[N_QUEUES];
};

struct queue_fact {
    struct fact fact;
    bool may_vanish;      /* by itself, any time: its last consumer or its owner went */
    bool may_be_purged;   /* until the next calm: a purge was lost */
    bool is_new;          /* since the last calm nobody consumed */
    bool is_leaking;      /* one who acks by himself went, and the broker may not know it yet */
    bool is_unused;       /* auto-delete: its last consumer went, and nothing failed since */
    uint32_t epoch;       /* grows with each deletion that there may have been */
    uint64_t vanished_at; /* stamp since when it may have gone by itself */
    uint32_t owner;       /* exclusive: uid of the client */
    uint64_t changed_at;  /* stamp of the last change asked for, but for bindings */
    uint64_t deleted_at;  /* of the last deletion asked for */
    uint32_t n_holders;
    struct {
        uint32_t client;
        uint64_t ended_at; /* stamp since when its connection is surely no more; 0: may be */
    } holder[MAX_HOLDERS]; /* exclusive: who has asked for it since the last calm */
};

struct exchange_fact {
    struct fact fact;
    bool may_vanish;
    uint8_t n_removing;       /* changes under way that may take its last binding */
    enum existence was_bound; /* auto-delete: whether anything was, ever */
    uint32_t epoch;
    uint64_t deleted_at;
};

struct unacked {
    uint64_t tag;
    uint32_t uid;      /* of the message */
    uint32_t failures; /* how many there had been when its consumer was sure of what it holds */
    uint32_t consumer; /* uid; 0: basic.get */
    uint64_t done_at;  /* stamp of its ack, if it was */
    /* How many there had been then: of all kinds, of all but queues, of stores. */
    uint32_t done_failures, done_front, done_store;
    int8_t queue;
};

struct consumer_end { /* a client's consumer, or the one that stands for its gets of a queue */
    bool is_on;
    bool no_ack;
    bool is_sure; /* its queue was there when it was asked for */
    int8_t queue;
    uint16_t prefetch;
    uint32_t uid, n_unacked;
    uint32_t failures;   /* when it was asked for */
    uint64_t since;      /* stamp of when it was asked for */
    struct order *order; /* the last number that came of each publishing channel */
    uint32_t n_order, cap_order;
};

struct order {
    uint32_t channel, number;
};

enum channel_phase { CHAN_NONE, CHAN_OPENING, CHAN_READY, CHAN_CLOSING };

struct chan_end { /* a client's channel */
    enum channel_phase phase;
    uint16_t number;
    uint32_t uid;
    bool confirming;
    uint16_t prefetch;
    uint32_t failures, front_failures; /* when it was opened */
    uint32_t calm_failures;            /* at the last calm */
    uint32_t op;                       /* the method that waits for its answer, 0: none */
    int8_t op_queue;                   /* NO_QUEUE: none */
    int8_t op_dest;                    /* of a binding: a queue, or N_QUEUES and an exchange */
    uint8_t op_exchange, op_key;       /* 0: none; of a binding its pattern */
    bool op_sure;                      /* what it names is there and stays there */
    bool op_passive;
    bool op_alone;        /* nobody deletes the queue, nor has asked for it */
    bool op_conditions;   /* a deletion that may be refused */
    bool op_nowait;       /* answered with another question behind it */
    uint32_t op_removing; /* bits of the exchanges whose last binding it may take */
    uint32_t op_epoch;    /* of both ends of a binding */
    bool op_no_ack;
    int8_t op_consumer;
    uint64_t op_at;       /* stamp */
    uint32_t op_failures; /* when it was asked */
    uint32_t published;
    uint64_t next_confirm; /* the next publish number */
    uint32_t *waiting;     /* uids of publishes to be confirmed, by publish number - 1; 0: told */
    uint32_t cap_waiting;
    uint32_t n_waiting;
    uint64_t last_tag;
    struct unacked *unacked;
    uint32_t n_unacked, cap_unacked;
    struct unacked *acked; /* settled here, and not known to be so for good */
    uint32_t n_acked, cap_acked;
    struct consumer_end consumer[N_CONSUMERS];
    struct consumer_end gets[N_QUEUES];
    struct {         /* content that comes in */
        uint32_t id; /* of the method, 0: none */
        uint32_t n, size;
        bool has_header, redelivered;
        int8_t queue, consumer;
        uint8_t exchange_len, key_len;
        char exchange[32], key[32];
        uint64_t tag;
        uint8_t *body;
        uint32_t cap_body;
        uint8_t props[PROPS_MAX];
        uint32_t props_len;
    } in;
};

enum client_phase {
    CLIENT_NONE,
    CLIENT_START,
    CLIENT_TUNE,
    CLIENT_OPEN,
    CLIENT_RUNNING,
    CLIENT_CLOSING,
    CLIENT_SILENT
};

struct client {
    enum client_phase phase;
    struct sim_peer peer;
    bool is_slow;        /* reads little */
    bool is_audit;       /* does nothing by itself */
    bool has_spoken;     /* after its close: then what answers that may be lost by a reset */
    bool will_go_silent; /* has a heartbeat, and will stop to speak */
    uint32_t uid;
    uint32_t front_failures, listener_failures; /* when it connected */
    uint64_t since_us;                          /* the same */
    uint64_t closed_us;
    uint64_t closed_at; /* stamp of when it began to close in peace */
    struct chan_end channel[N_CHANNELS];
};

enum slice_act {
    ACT_PUBLISH,
    ACT_SETTLE,
    ACT_CONSUME,
    ACT_GET,
    ACT_CANCEL,
    ACT_PREFETCH,
    ACT_RECOVER,
    ACT_CLOSE_CHANNEL,
    ACT_DECLARE_QUEUE,
    ACT_DELETE_QUEUE,
    ACT_PURGE,
    ACT_BIND,
    ACT_UNBIND,
    ACT_DECLARE_EXCHANGE,
    ACT_DELETE_EXCHANGE,
    ACT_BIND_EXCHANGE,
    ACT_UNBIND_EXCHANGE,
    N_ACTS,
};

/* What a scenario is made of: the whole, or names few enough that everybody meets at them. */
struct slice_profile {
    uint32_t queues, exchanges; /* bits: those that are used; the default exchange always is */
    uint32_t patterns;          /* how many of each exchange are used */
    uint32_t overlap;           /* per million: a name is changed though somebody changes it */
    uint32_t leave;             /* per thousand acts: a connection ends */
    uint32_t crashes;           /* registry and exchanges crash so many times as often */
    uint16_t weight[N_ACTS];
};

/* What another scenario that runs the whole broker does in the slice's place. */
struct slice_driver {
    void (*act)(void);        /* between two steps, and inside a sync of the disk */
    void (*was_killed)(void); /* the program has gone, and every socket with it */
    void (*is_ready)(void);   /* the broker is, told in a process; NULL: nothing */
    bool with_alarms;
    uint32_t crash_times; /* processes crash so much more often; 0: as often as in the slice */
};

struct slice {
    const struct slice_driver *driver;
    uint16_t port; /* 0: the broker is not up */
    proc_id root;
    bool is_dying; /* the disk has stopped: the program has to end before the next step */
    bool in_calm;
    bool is_auditing;
    uint64_t stamp;
    uint32_t failures;       /* of processes that hold messages or are a client's */
    uint32_t front_failures; /* those of connections, channels, supervisors */
    uint32_t listener_failures, store_failures;
    uint64_t front_failed_us;     /* when one of those failed last */
    uint32_t supervisor_failures; /* since the last calm */
    uint32_t next_channel, next_client, next_consumer, audit;
    struct message message[MAX_MESSAGES]; /* by uid; 0 is none */
    uint32_t n_messages, first_open;      /* before that one all are over */
    struct queue_fact queue[N_QUEUES];
    struct exchange_fact exchange[N_EXCHANGES];
    struct fact binding[N_EXCHANGES][N_PATTERNS][N_DESTS];
    uint32_t n_server_names; /* the last is that of the queue */
    char server_name[N_SERVER_NAMES][32];
    const struct slice_profile *profile;
    struct client client[N_CLIENTS];
    struct {
        uint32_t confirms, deliveries, redeliveries, calms, audits, ends, found;
    } did;
};

extern struct slice slice;

/* slice_names.c: names, and what matches what. */
enum slice_type { EX_DIRECT, EX_FANOUT, EX_TOPIC, EX_HEADERS };

struct exchange_spec {
    const char *name;
    enum slice_type type;
    bool durable, auto_delete, internal;
    int8_t alternate; /* 0: none */
};

extern const struct exchange_spec slice_exchanges[N_EXCHANGES];
extern const char *const slice_types[];
extern const char *const slice_keys[N_KEYS];
/* Empty: it has no name yet. */
const char *slice_queue(int queue);
const char *slice_key_of(const struct message *m, int key);
/* The binding key that goes with a pattern. */
const char *slice_pattern(int exchange, int pattern);
bool slice_matches(enum slice_type type, int pattern, const struct message *m);
struct amqp_bytes slice_binding_args(int exchange, int pattern, uint8_t buf[PROPS_MAX]);
struct amqp_bytes slice_exchange_args(int exchange, uint8_t buf[PROPS_MAX]);
uint32_t slice_props(const struct message *m, bool with_bcc, uint8_t out[PROPS_MAX]);

static inline bool slice_is_durable(int queue)
{
    return queue < N_DURABLE_QUEUES;
}

/* slice_run.c */
void slice_run(void);
void slice_run_as(const struct slice_profile *profile);
/* One step of the runtime; false: nothing was ready. Ends the program when it has to die. */
bool slice_step(void);

/* slice_boot.c: the program begins, and ends in each way there is. */
void slice_boot(void);
void slice_kill(bool power);
void slice_shutdown(void);
void slice_disk_new(void);
void slice_disk_free(void);
/* The next few calls of the disk: one fails. */
void slice_disk_fail(void);
void slice_crash_rates(void);

/* slice_model.c: what clients did and were told. */
/* Of a message of which all is said but its number; NULL: there is no room. */
struct message *model_publish(const struct chan_end *ch, const struct message *like);
void model_returned(const struct chan_end *ch, uint32_t uid);
void model_confirmed(const struct chan_end *ch, uint32_t uid, bool nack);
/* A client was given a message. */
void model_delivered(struct chan_end *ch, struct consumer_end *c, uint32_t uid, bool redelivered);
/* A client said that it is done with it. */
void model_settled(uint32_t uid, int queue);
/* Whether nothing has happened since its delivery that may have taken its ack away. */
bool ack_is_safe(const struct unacked *u);
/* It is known to be settled for good. */
void model_settled_for_good(uint32_t uid, int queue);

/* slice_topology.c: names and bindings. */
/* A change is asked for, answered, refused, or nobody will ever say. */
void model_asked(const struct client *c, struct chan_end *ch);
void model_answered(const struct client *c, struct chan_end *ch);
void model_refused(struct chan_end *ch);
void model_op_lost(struct chan_end *ch);
/* A consumer that acks by itself has gone with what it was sent, and may still be sent. */
void model_queue_leaks(int queue);
/* Whether it is there for whoever asks now, unless it is deleted later. */
bool model_is_there(int queue);
bool model_is_exchange_there(int exchange);
/* Whether all that the channel's operation names was there all the time. */
bool model_names_are_there(const struct chan_end *ch);
/* Whether the queue may belong to another connection, or may have since the operation began. */
bool model_may_be_locked(const struct client *c, const struct chan_end *ch);
/* An auto-delete or exclusive queue may go from now on. */
void topology_queue_vanishes(int queue);
/* The next one gets another name: what the last one had is out of reach. False: not now. */
bool topology_queue_is_renamed(int queue);
/* Whoever consumes from an auto-delete queue on a channel that may fail does not keep it. */
void topology_check_users(void);
/* Somebody consumes from it, so it is there and stays. */
void topology_queue_is_used(int queue);
/* The client goes; it was told that it is gone (in peace), or its connection ended. */
void topology_owner_leaves(const struct client *c);
void topology_owner_closed(const struct client *c, bool is_peaceful);
/* What the audit found, of all that is calm. */
void topology_found(int dest, bool is_there);
void topology_calm(void);
void topology_program_loss(void);

/* slice_route.c: facts, and where a message goes. */
void fact_ask(struct fact *f, enum existence to);
void fact_answer(struct fact *f, enum existence to);
void fact_refuse(struct fact *f);
void fact_lose(struct fact *f, enum existence to);
void fact_calm(struct fact *f);
bool fact_is_sure(const struct fact *f);
bool fact_is_possible(const struct fact *f);
bool is_dest_sure(int dest);
bool is_dest_possible(int dest);
void topology_route(struct message *m, bool is_first);
/* Something has changed, or may have: what is on its way is routed anew. */
void topology_changed(void);

/* slice_facts.c: what follows for all messages. */
void facts_of_queue_loss(void);
void facts_of_program_loss(void);
void facts_of_calm(void);
void facts_audit_begin(void);
void facts_audit_found(int queue, uint32_t uid);
void facts_audit_end(int queue);

/* slice_client.c: connections. */
void client_connect(struct client *c);
void client_read(struct client *c, bool all);
void client_write(struct client *c, bool all);
/* The socket is closed or reset under it. */
void client_drop(struct client *c, bool reset);
/* Its connection is no more. */
void client_forget(struct client *c);
void client_method(struct client *c, uint16_t channel, const struct amqp_method *m);
/* For a planted bug: it says that it lives, and nothing else. */
void client_beat(struct client *c);
/* Asks to close it in peace. */
void client_close(struct client *c);
/* An operation that an answer has to come to. */
void channel_ask(struct client *c, struct chan_end *ch, const struct amqp_method *m);
/* Whatever was under way in it has no end that anybody will hear of. */
void channel_forget(struct chan_end *ch);
void channel_open(struct client *c, int place);
/* Its consumers are to go: what only they kept may go too. */
void channel_consumers_leave(const struct chan_end *ch);

/* slice_channel.c: what comes in for a channel. */
void channel_on_method(struct client *c, struct chan_end *ch, const struct amqp_method *m);
void channel_on_content(struct client *c, struct chan_end *ch, const struct amqp_frame *f);

/* slice_change.c: what clients do to names and bindings. */
void act_change(struct client *c, struct chan_end *ch, enum slice_act what);
void act_declare_queue(struct client *c, struct chan_end *ch, int queue, bool passive);
void act_declare_exchange(struct client *c, struct chan_end *ch, int exchange, bool passive);

/* slice_act.c: what clients do. */
void act(void);
/* One of the bits below n. */
int act_pick(uint32_t of, int n);
/* Publishes what is said of `like`: exchange, key, headers, persistence. */
void act_publish(struct client *c, struct chan_end *ch, const struct message *like);
void act_get(struct client *c, struct chan_end *ch, int queue, bool no_ack);
void act_consume(struct client *c, struct chan_end *ch, int queue, bool no_ack);
/* One that the client held is no more its own; `keeps`: it went back. */
void act_settle_one(struct chan_end *ch, uint32_t i, bool keeps);

/* slice_audit.c: nothing moves any more: all that must be there is, and nothing else. */
enum {
    SLICE_CALM_US = 12 * 1000 * 1000 /* longer than supervisors remember, and silence is endured */
};
/* Lets so much time pass, everybody talking before each step. */
void slice_pass(uint64_t us, void (*talk)(void));
void slice_calm(void);
void slice_audit(void);

/* slice_inside.c: the broker's own view, in a calm. */
void slice_look_inside(void);
/* What lasts is as it was before the start. */
void slice_compare_inside(void);

#endif
