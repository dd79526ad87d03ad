/*
 * request.h - the process of one HTTP request, and what the views (the resources that it can show
 * and change) share with it.
 */
#ifndef MGMT_REQUEST_H
#define MGMT_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "broker/core/access.h"
#include "broker/core/stats.h"
#include "broker/runtime/proc.h"
#include "mgmt/again.h"
#include "mgmt/cells.h"
#include "mgmt/http_msg.h"
#include "mgmt/path.h"
#include "mgmt/series.h"
#include "mgmt/text.h"

struct list;
struct proc_census;
struct proc_listing;
struct record;
struct request;

/* Whom a view is for: who has one of these tags. */
enum view_tags {
    VIEW_MONITORING = ACCESS_MONITORING | ACCESS_ADMINISTRATOR,
    VIEW_POLICYMAKER = ACCESS_POLICYMAKER | ACCESS_ADMINISTRATOR,
    VIEW_MANAGEMENT = ACCESS_MANAGEMENT | VIEW_MONITORING | VIEW_POLICYMAKER,
    VIEW_ADMINISTRATOR = ACCESS_ADMINISTRATOR,
};

enum view_flags {
    VIEW_OPEN = 1 << 0,    /* for all, without a login; `tags` is not looked at */
    VIEW_DEBUG = 1 << 1,   /* is there only when debug.crash is on */
    VIEW_METRICS = 1 << 3, /* also on the port for metrics, for all; nothing else is there */
    /*
     * The path's third segment is a vhost: it is there (else 404), who asks may see it (GET) or
     * open it (else 401), and request.vhost names it.
     */
    VIEW_VHOST = 1 << 2,
};

/* A resource and one of its methods. */
struct view {
    const char *pattern; /* path_matches */
    enum http_method method;
    unsigned tags;  /* enum view_tags */
    unsigned flags; /* enum view_flags */
    /* The user may ask for it. Answers, or asks somebody and waits. */
    void (*start)(struct request *r);
    /* What comes then, with MSG_DOWN, _TIMEOUT and _CONTINUE; NULL when start always answers. */
    void (*handle)(struct request *r, struct msg *m);
};

struct foreign { /* what is no process memory; given back when the process ends */
    struct text out;
    struct cells cells;
    struct stat_slots slots; /* those that are gone through now */
    struct cells exchanges;  /* view_metrics: as cells of queues */
    struct stat_slots connections, channels;
    struct list *list;
    json_t *value;         /* that is shown: request_finish_json */
    json_t *body;          /* request_body */
    struct record *record; /* a message that is published */
    struct cell *queue;    /* view_browse: of which messages are taken; a reference */
    json_t *consumers;     /* view_queues: those of one queue */
    json_t *parked;        /* view_processes: supervisor's pid text to its parked children */
};

struct request {
    struct msg_http_request *m; /* kept */
    const struct view *view;
    struct foreign *foreign;
    struct proc_listing *listing;      /* kept; NULL: not asked for, or not yet here */
    struct proc_census *census;        /* likewise */
    struct await_queue again_queue;    /* what it waits for before it begins: again.h */
    proc_ref again_named, again_timer; /* 0: not for a name; it does not wait */
    bool is_answering;                 /* a part of an answer that goes on was sent */
    proc_ref login;                    /* an answer of access that is awaited */
    char user[256];                    /* who asks */
    unsigned tags;                     /* of who asks; true of him once he is logged in */
    const char *vhost;                 /* VIEW_VHOST; in path */
    proc_ref asked;                    /* the call that is under way */
    struct sampled_ranges ranges;      /* of statistics that the query asks for */
    size_t at;                         /* a view's place in what it walks */
    void *state;                       /* a view's own, process memory */
    uint64_t stream_waits;             /* bytes sent that the socket has not taken */
    bool is_long;                      /* the answer has an end: request_may_write */
    bool awaits_room;                  /* and goes on when they are fewer */
    const char *content_type;          /* of the answer, static; NULL: JSON */
    bool is_listing;                   /* list.h has taken over */
    char node[80];                     /* this node's name */
    struct path path;
};

/*
 * What is asked for.
 *
 * All of these answer with an error, and so end the process, where the request is not as it must
 * be; none may be called inside RUNTIME_REGION().
 */

/* A decoded segment of the path as text, NUL-terminated; 404 when it holds a NUL. Lent. */
const char *request_segment(struct request *r, unsigned i);
/* A parameter of the query, decoded; NULL: none. 400 when it is no text. Process memory. */
const char *request_param(struct request *r, const char *name);
/* Whether a parameter of the query is "true". */
bool request_param_is_true(struct request *r, const char *name);
/* A whole number, or `otherwise` where there is no such parameter; 400 for anything else. */
int64_t request_param_int(struct request *r, const char *name, int64_t otherwise);
/* The body, a JSON object, {} when it is empty; else 400. Lent as long as the process lives. */
const json_t *request_body(struct request *r);
/* A member of the body that is a text; NULL where there is none or null, 400 for other types. */
const char *request_body_text(struct request *r, const char *key);
/* The same of true and false. */
bool request_body_bool(struct request *r, const char *key, bool otherwise);

/* "user 'U' from ADDRESS", harmless in a log: who an audit line says it was. Returns out. */
enum { REQUEST_WHO_SIZE = 400 };
const char *request_who(const struct request *r, char out[REQUEST_WHO_SIZE]);

/* Whether who asks may see this vhost: all may be seen by who monitors. */
bool request_may_see(const struct request *r, const char *vhost);
/* Whether who asks has one of these tags (enum view_tags). */
static inline bool request_has_tag(const struct request *r, unsigned tags)
{
    return r->tags & tags;
}

/*
 * Answers. Each ends the process.
 */

/* foreign->out, or what request_may_write has left of it, with 200. */
__attribute__((noreturn)) void request_finish(struct request *r);
/* A value (moved) with 200, of which the query may choose columns. */
__attribute__((noreturn)) void request_finish_json(struct request *r, json_t *value);
/* No body: 201 (something was made), 204 (changed, deleted, or already so)... */
__attribute__((noreturn)) void request_finish_status(struct request *r, int status);
/* 204. */
__attribute__((noreturn)) void request_finish_empty(struct request *r);
/* An answer that the view has made with http_response_new; moved. */
__attribute__((noreturn)) void request_respond(struct request *r,
                                               struct msg_http_response *response);
/* {"error": what the status is called, "reason": reason}. */
__attribute__((noreturn)) void request_fail(struct request *r, int status, const char *reason);
/* The same with this for "error". */
__attribute__((noreturn)) void request_fail_named(struct request *r, int status, const char *name,
                                                  const char *reason);
__attribute__((noreturn)) void request_fail_not_found(struct request *r);
/* 401 for who is logged in: he may not do this. */
__attribute__((noreturn)) void request_fail_right(struct request *r, const char *reason);
/*
 * What a process of the broker refused with this AMQP reply code and text: 403 is 401 here, 404 the
 * same, 541 is 503, all else 400.
 */
__attribute__((noreturn)) void request_fail_amqp(struct request *r, uint16_t code,
                                                 const char *text);

/*
 * An answer that goes on (server-sent events, say). After the first request_stream no other answer
 * may be given, and the process lives until it ends itself; it is ended when its client leaves. The
 * view's handle gets HTTP_TAKEN when the socket took what was sent.
 */

/* Sends what foreign->out holds (nothing is fine) with this type of content, which is static. */
void request_stream(struct request *r, const char *content_type);
/* Whether more may be sent now; else wait for HTTP_TAKEN. */
bool request_stream_has_room(const struct request *r);

/*
 * An answer that may be long is written to foreign->out item by item:
 *
 *     for (...) {
 *         if (!request_may_write(r)) {
 *             request_continue(r);
 *             return;
 *         }
 *         write one item;
 *     }
 *     request_finish(r);
 *
 * It leaves in parts while it is written, as fast as its client takes it, so that it is nowhere as
 * a whole; a short one still goes in one piece. No error may be answered once it has begun.
 */

/* Whether there is time in this turn, and room before the client, for another item. */
bool request_may_write(struct request *r);
/* If not: MSG_CONTINUE comes once there is. */
void request_continue(struct request *r);

/* Asks for all processes; request_has_listing then waits for the answer. */
void request_ask_processes(struct request *r);
/* Whether m is the listing, which is kept. Answers with 503 when it is known not to come. */
bool request_has_listing(struct request *r, struct msg *m);
/* The same for their sums. */
void request_count_processes(struct request *r);
bool request_has_census(struct request *r, struct msg *m);

/* A request's turn: shorter than others', because messages on their way wait for some of them. */
enum { REQUEST_TURN_US = 40 };

/*
 * For loops over much: whether the turn has time for item `i`. If not, the caller asks for
 * proc_continue and goes on with the same item.
 */
static inline bool request_may_go_on(size_t i)
{
    return i % 8 || !proc_is_over_us(REQUEST_TURN_US);
}

/* The process, temporary: its first message is the HTTP_REQUEST. */
extern const struct proc_ops request_ops;

#endif
