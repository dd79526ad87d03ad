/*
 * http_msg.h - what the HTTP listener and the process of a request say to each other.
 */
#ifndef MGMT_HTTP_MSG_H
#define MGMT_HTTP_MSG_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/runtime/msg.h"
#include "mgmt/text.h"

struct blob;
struct cell;

enum {
    HTTP_REQUEST = 0x400, /* from the event loop to the listener, which sends it on to a process */
    HTTP_RESPONSE,        /* from that process, its last message */
    HTTP_STREAM,          /* from that process instead: a part of an answer that goes on */
    HTTP_TAKEN,           /* from the event loop, sent on to that process: all was taken */
    HTTP_AGAIN,           /* a HTTP_REQUEST sent back by its process, whose last message it is, to
                             be begun anew by another one */
    HTTP_GONE,            /* from the event loop to the listener: the client has left */
};

enum http_method {
    HTTP_GET = 1 << 0, /* HEAD counts as GET: the event loop leaves the body out */
    HTTP_POST = 1 << 1,
    HTTP_PUT = 1 << 2,
    HTTP_DELETE = 1 << 3,
    HTTP_OPTIONS = 1 << 4,
    HTTP_OTHER = 1 << 5,
};

struct http_again {     /* of a request that begins anew: again.h. All zero: it is the first time */
    char name[300];     /* what is awaited before: this name, or the next run of */
    struct cell *queue; /* this queue (a reference), which is not */
    proc_id dead;       /* this one */
    uint64_t until_us;  /* how long it may go on so; 0: it has not yet */
    unsigned tries;
    bool may_have_acted; /* a change was asked for, and its outcome never heard */
    int status;          /* that its success would have had; 0: not known */
};

struct msg_http_request { /* drop frees the strings and the body */
    struct msg hdr;
    uint64_t id; /* the event loop's name for it */
    enum http_method method;
    bool is_metrics;     /* it came to the port for metrics, where nobody logs in */
    bool is_loopback;    /* the peer's address is of this machine */
    bool is_foreign;     /* a browser says that another site's page asks */
    char peer[64];       /* the client's address */
    char *path, *query;  /* as they came; query NULL: none */
    char *authorization; /* NULL: none; so the others */
    char *origin, *if_none_match, *content_type, *reason; /* reason: of X-Reason */
    struct blob *body;                                    /* NULL: empty */
    struct http_again again;
};

struct msg_http_response { /* drop frees the body and the strings */
    struct msg hdr;
    int status;
    unsigned allow;           /* 405, OPTIONS: bits of what it may be */
    const char *content_type; /* static; NULL: JSON */
    const char *etag;         /* static; not NULL: a file, which browsers keep and ask again for */
    char *location;           /* NULL: none; so the others */
    char *file_name;          /* to be saved under */
    bool is_cross_origin;     /* the page that asks is another site's, and may read it */
    struct text body;         /* empty: none */
};

struct msg_http_stream { /* HTTP_STREAM; drop frees the bytes */
    struct msg hdr;
    const char *content_type; /* static; not NULL: the first one */
    bool is_long;             /* what has an end, and comes in parts because it is long */
    bool is_cross_origin;     /* of the first one: as above */
    struct text bytes;
};

struct msg_http_about { /* GONE, TAKEN */
    struct msg hdr;
    uint64_t id;    /* the event loop's name of the request */
    uint64_t bytes; /* TAKEN: since the last one */
};

/* An empty request. */
struct msg_http_request *http_request_new(void);
/* body is moved: its place is empty afterwards. NULL: empty. */
struct msg_http_response *http_response_new(int status, struct text *body);
/* An error as tools expect it: {"error": what the status is called, "reason": reason}. */
struct msg_http_response *http_error_new(int status, const char *reason);
/* The same under another name; NULL: the status's. */
struct msg_http_response *http_named_error_new(int status, const char *name, const char *reason);
/* bytes are moved; content_type NULL: not the first one. */
struct msg_http_stream *http_stream_new(const char *content_type, struct text *bytes);

#endif
