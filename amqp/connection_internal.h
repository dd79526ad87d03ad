/*
 * connection_internal.h - what the files of the connection share. Nobody else includes it.
 */
#ifndef AMQP_CONNECTION_INTERNAL_H
#define AMQP_CONNECTION_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "amqp/codec/methods.h"
#include "amqp/codec/record.h"
#include "amqp/connection.h"
#include "amqp/framer.h"
#include "amqp/output.h"
#include "amqp/wire.h"
#include "broker/runtime/fsm.h"
#include "broker/runtime/io.h"
#include "broker/runtime/proc.h"
#include "broker/runtime/u64map.h"

struct connection_stats;
struct connection_tls;
struct sockaddr_storage;

enum conn_state {
    CONN_NEW,    /* has no socket yet */
    CONN_HEADER, /* waits for the protocol header */
    CONN_START,  /* has sent start, waits for start-ok */
    CONN_TUNE,   /* waits for tune-ok */
    CONN_OPEN,   /* waits for open */
    CONN_RUNNING,
    CONN_CLOSING, /* has sent close, waits for close-ok */
    CONN_ENDING,  /* the client has closed or gone: channels end first */
    CONN_LINGER,  /* writes what it has, reads nothing that counts, and ends */
    CONN_STATES
};

enum chan_state {
    CHAN_OPEN,
    CHAN_DOOMED, /* an error of its client is on its way to the channel: all input is dropped */
    CHAN_CLOSED, /* channel.close was sent, close-ok has not come */
    CHAN_ENDING, /* the client has closed it, the channel is not done */
};

enum chan_expect { EXPECT_METHOD, EXPECT_HEADER, EXPECT_BODY };

struct chan {    /* what a connection knows of a channel */
    proc_id pid; /* 0: has ended */
    uint16_t number;
    uint8_t state;       /* enum chan_state */
    uint8_t expect;      /* enum chan_expect */
    uint8_t more_closes; /* closes of the client behind its first, while the channel ends */
    bool mandatory, immediate;
    bool is_dirty;   /* in the list of this read */
    bool is_guarded; /* record is given back by the runtime if this process dies */
    bool is_stuffed; /* its input window is spent: the socket is not read */
    bool is_owed;    /* in the list of those to be told what was written */
    struct chan *next_dirty, *next_owed;
    struct msg_channel_input *gather; /* what this read brought; sent before the handler ends */
    struct amqp_bytes exchange, key;  /* of a publish whose header has not come */
    uint8_t *saved;                   /* their bytes once the read is over; NULL: they are lent */
    struct record *record;            /* whose body is not whole */
    uint8_t *body;                    /* where the next body frame goes */
    uint64_t body_left;
    uint64_t room;                     /* bytes of the body for which there is memory */
    uint64_t input_n, input_bytes;     /* sent to the channel */
    uint64_t granted_n, granted_bytes; /* handled by it */
    uint64_t out_n;                    /* deliveries that were encoded */
    uint64_t mark_at, mark_n;          /* when the output has come to mark_at, so many are out */
};

struct conn_front;

struct connection {
    struct fsm fsm;
    struct io *io;
    struct conn_front *front; /* TLS and the like; NULL: the socket's bytes are AMQP's */
    struct connection_arg kind;
    struct framer framer;
    struct output out;
    struct u64map channels; /* number to struct chan */
    struct chan *last;      /* found last; NULL: none */
    struct chan *dirty;     /* with input of this read */
    struct chan *owed;
    size_t read_size;                       /* of this read: bounds how many commands may come */
    char *user, *vhost;                     /* once known */
    proc_ref beat_timer, release, registry; /* registry: awaited before open-ok */
    proc_ref watch;                         /* a VHOST_WATCH, or its answerer's name */
    proc_ref look;                          /* a timer, while the watcher is awaited */
    uint64_t vhost_downs;                   /* how often the vhost went down, as far as was told */
    uint64_t vhost_deletions;               /* of its name, before this vhost was made */
    uint32_t credential;                    /* names the password it logged in with */
    proc_ref login;                         /* an answer of `access` that is awaited */
    proc_ref alarm;                         /* the end of the alarms, or their process */
    uint64_t origin;                        /* what `access` counts tries by */
    struct limit_place *places[3];          /* among the connections that are open */
    struct limit_place *handshake;          /* of its address, until it is logged in */
    struct connection_stats *stats;         /* shown once it is open; NULL: not yet */
    struct amqp_bytes client_properties;    /* own; empty once they are shown */
    uint64_t read_bytes, n_reads, n_writes;
    uint64_t unfilled;   /* room of bodies for which nothing has come yet */
    uint64_t hard_bytes; /* output that could not be refused, since it was last empty */
    uint64_t beat_position, beat_appended; /* of the output at the last beat, this beat included */
    uint32_t frame_max;
    uint16_t channel_max, heartbeat;
    uint16_t n_channels, n_stuffed, n_living;
    uint16_t close_code;
    uint8_t header[AMQP_PROTOCOL_HEADER_LEN];
    uint8_t header_len;
    uint8_t wanted; /* what io_want was told */
    uint8_t silent_beats;
    bool deaf;       /* its input makes no sense any more: it is read and dropped */
    bool eof;        /* the peer has closed its side, or the socket is broken */
    bool half_close; /* our side is shut once all is written */
    bool is_shut;
    bool has_read;         /* since the last beat */
    bool is_shutdown;      /* the broker stops: nothing is waited for long */
    bool closes_by_client; /* close-ok is owed */
    bool has_exclusive;    /* a channel declared an exclusive queue */
    bool is_loopback;
    bool beats;        /* beat_timer is the heartbeat's, not the handshake's */
    uint8_t mechanism; /* enum sasl_mechanism: what it logs in by */
    bool is_blocked;   /* by an alarm: see connection_block.c */
    bool says_auth_failure, cancel_notify, can_block; /* the client's capabilities */
    bool spec_qos;                                    /* see connection_handshake.c */
    char name[96];                                    /* "peer -> local" */
};

static inline enum conn_state conn_state(const struct connection *c)
{
    return (enum conn_state)c->fsm.now;
}

/* connection.c */
extern const struct framer_ops connection_framer_ops;
/* Moves to another state (fsm_move). */
void connection_move(struct connection *c, enum conn_state to);
/*
 * The client's or our error: connection.close is sent and all channels end. fmt is the explanation
 * without "NAME - ". Does nothing when a close was sent before.
 */
__attribute__((format(printf, 4, 5))) void connection_fail(struct connection *c, uint16_t code,
                                                           uint32_t method, const char *fmt, ...);
void connection_fail_with(struct connection *c, const struct failure *f);
/* The client has closed (by_client) or is gone: channels end, then the connection. */
void connection_end(struct connection *c, bool by_client);
/* The next half of the heartbeat interval begins. */
void connection_start_beat(struct connection *c);
/* All channels may have ended: goes on with the end if so. */
void connection_check_end(struct connection *c);

/* connection_peer.c */
/* Who speaks: as the socket says, or later a proxy's header. May end the process. */
void connection_set_peer(struct connection *c, const struct sockaddr_storage *peer,
                         const struct sockaddr_storage *local);

/* connection_front.c */
/* Puts a front before a new connection, if its listener or its peer ask for one. */
void connection_open_front(struct connection *c, const struct sockaddr_storage *peer);
/*
 * As io_readv, through the front that there is, but the last place, which is the scheduler's buffer
 * (io_scratch), may be filled to its end. -EAGAIN: nothing for AMQP yet.
 */
ssize_t connection_read_front(struct connection *c, struct iovec *places, int n_places);
/* Whether the peer has said, behind what was read, that nothing follows. */
bool connection_front_is_over(const struct connection *c);
/* Whether bytes wait for the socket, encrypted or not. */
bool connection_has_output(const struct connection *c);
/* Whether what the front has to answer is over its bound. */
bool connection_front_is_choked(const struct connection *c);
/* The socket is broken: what waits for it is forgotten. */
void connection_cut_front(struct connection *c);
/* Says the end of our bytes where that is said by bytes; whether those still wait. */
bool connection_says_end(struct connection *c);
/* Of a connection with TLS: encrypts and writes; 0, -EAGAIN, or what the socket failed of. */
int connection_write_tls(struct connection *c);
bool connection_has_tls(const struct connection *c);
/* Whether the client's certificate was verified. */
bool connection_is_verified(const struct connection *c);
/* The user that it stands for; errors as tls_peer_user. */
int connection_user_by_certificate(const struct connection *c, char *ret, size_t size);
/* Of a connection with TLS. */
void connection_tls_facts(const struct connection *c, struct connection_tls *ret);

/* connection_input.c */
/* Handles what was held while the vhost was waited for. */
void connection_resume(struct connection *c);
/* Reads once and handles what came. */
void connection_read(struct connection *c);
/* How the reply code for bytes that are no frames, methods or headers reads. */
uint16_t connection_code_of(int error);

/* connection_block.c */
/* The client publishes while an alarm stands. */
void connection_block(struct connection *c);
/* What c->alarm waited for has come. */
void connection_on_alarm(struct connection *c, const struct msg *m);

/* connection_stats.c */
/* The connection is open: everybody may see it. */
void connection_show(struct connection *c);
/* What a turn has changed. */
void connection_show_turn(struct connection *c);

/* connection_handshake.c */
void connection_on_header(struct connection *c);
/* It is open no more, as far as limits go. */
void connection_give_places(struct connection *c);
/* The vhost is there: the connection is open. */
void connection_open(struct connection *c);
/* `access` has answered, or cannot. */
void connection_on_logged(struct connection *c, const struct msg *m);
/* A method on channel 0. */
void connection_on_method(struct connection *c, const struct amqp_method *m);

/* connection_vhost.c */
/* connection.open named a vhost that exists: open-ok, now or later, or 541. */
void connection_await_vhost(struct connection *c);
/* It took too long to start. */
void connection_on_no_vhost(struct connection *c);
/* Whether m is about the vhost; it was handled then. */
bool connection_take_vhost(struct connection *c, struct msg *m);

/* connection_channels.c */
struct chan *connection_find(struct connection *c, uint16_t number);
/* The channel that sent m; NULL: it was forgotten. */
struct chan *connection_sender(struct connection *c, const struct msg *m);
void connection_open_channel(struct connection *c, uint16_t number);
/* Forgets the number; it may be opened again. */
void connection_forget(struct connection *c, struct chan *ch);
/* Drops what was gathered and assembled for it. */
void connection_drop_input(struct connection *c, struct chan *ch);
/* A method of class channel that the connection answers itself; true: done with. */
bool connection_channel_method(struct connection *c, struct chan *ch, const struct amqp_method *m);
/* Messages of channels. */
void connection_on_grant(struct connection *c, struct msg *m);
void connection_on_fail(struct connection *c, struct msg *m);
void connection_on_done(struct connection *c, struct msg *m);
void connection_on_down(struct connection *c, struct msg *m);
/* Rights may have changed: channels look whether their consumers may stay. */
void connection_recheck_channels(struct connection *c);
/* Closes each channel with that error. */
void connection_fail_channels(struct connection *c, const struct failure *f);
/* Asks all channels to end. */
void connection_close_channels(struct connection *c, bool by_client);

/* connection_output.c */
void connection_put_method(struct connection *c, uint16_t number, const struct amqp_method *m);
void connection_put_close(struct connection *c, uint16_t number, const struct failure *f);
void connection_on_frames(struct connection *c, struct msg *m);
void connection_on_deliver(struct connection *c, struct msg *m);
void connection_on_confirm(struct connection *c, struct msg *m);
/* Writes what the socket takes; tells channels of it. */
void connection_write(struct connection *c);
/* Whether output that cannot be refused is over its bound. */
bool connection_is_choked(const struct connection *c);

#endif
