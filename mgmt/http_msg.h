/*
 * http_msg.h - what the HTTP listener and the process of a request say to each other.
 */
#ifndef MGMT_HTTP_MSG_H
#define MGMT_HTTP_MSG_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/runtime/msg.h"

struct blob;

enum {
    HTTP_REQUEST = 0x400, /* from the event loop to the listener, which sends it on to a process */
    HTTP_RESPONSE,        /* from that process, its last message */
};

enum http_method { HTTP_GET = 1 << 0, HTTP_POST = 1 << 1, HTTP_OTHER = 1 << 2 };

struct msg_http_request { /* drop frees the strings and the body */
    struct msg hdr;
    uint64_t id;             /* the event loop's name for it */
    enum http_method method; /* HEAD counts as GET: the event loop leaves the body out */
    bool is_loopback;        /* the peer's address is of this machine */
    bool is_foreign;         /* a browser says that another site's page asks */
    char *path, *query;      /* as they came; query NULL: none */
    char *authorization;     /* NULL: none */
    struct blob *body;       /* NULL: empty */
};

struct msg_http_response { /* drop unrefs the body */
    struct msg hdr;
    int status;
    unsigned allow;    /* 405: bits of what it may be */
    struct blob *body; /* JSON; NULL: empty */
};

/* An empty request. */
struct msg_http_request *http_request_new(void);
/* body is moved; NULL: empty. */
struct msg_http_response *http_response_new(int status, struct blob *body);
/* An error as tools expect it: {"error": what the status is called, "reason": reason}. */
struct msg_http_response *http_error_new(int status, const char *reason);

#endif
