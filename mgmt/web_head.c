/*
 * The headers of answers.
 */
#include "mgmt/web_head.h"

#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#include "broker/core/config.h"
#include "mgmt/http_msg.h"

static void add_header(struct evkeyvalq *out, const char *name, const char *value)
{
    /* It fails only without memory or for a line break in a value. */
    if (value)
        (void)evhttp_add_header(out, name, value);
}

/* What an API answers is nobody's page; a file is one, that loads nothing from elsewhere. */
static void add_policy(struct evkeyvalq *out, const char *content_type, const char *etag)
{
    add_header(out, "Content-Type", content_type ? content_type : "application/json");
    add_header(out, "X-Content-Type-Options", "nosniff");
    add_header(out, "X-Frame-Options", "DENY");
    add_header(out, "Referrer-Policy", "no-referrer");
    add_header(out, "ETag", etag);
    add_header(out, "Cache-Control", etag ? "no-cache" : "no-store");
    add_header(out, "Content-Security-Policy",
               etag ? "default-src 'self'; base-uri 'none'; form-action 'self'; "
                      "frame-ancestors 'none'; object-src 'none'"
                    : "default-src 'none'; frame-ancestors 'none'");
}

static void add_allow(struct evkeyvalq *out, unsigned allow)
{
    static const char *const names[] = {"GET, HEAD", "POST", "PUT", "DELETE", "OPTIONS"};
    char text[64] = "";

    for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (allow & 1U << i)
            strcat(strcat(text, *text ? ", " : ""), names[i]);
    }
    add_header(out, "Allow", *text ? text : NULL);
}

static void add_headers(struct evkeyvalq *out, const struct msg_http_response *r)
{
    char disposition[300];

    add_policy(out, r->content_type, r->etag);
    add_header(out, "Location", r->location);
    add_allow(out, r->allow);
    if (r->status == 401)
        add_header(out, "WWW-Authenticate", "Basic realm=\"RabbitMQ Management\"");
    if (r->file_name) {
        snprintf(disposition, sizeof(disposition), "attachment; filename=\"%.255s\"", r->file_name);
        add_header(out, "Content-Disposition", disposition);
    }
}

/* The Fetch standard's protocol: what a page of another site may know and do. */
static void add_cross_origin(struct evhttp_request *req, unsigned allow)
{
    struct evkeyvalq *out = evhttp_request_get_output_headers(req);
    char age[32];

    add_header(out, "Access-Control-Allow-Origin",
               evhttp_find_header(evhttp_request_get_input_headers(req), "Origin"));
    add_header(out, "Vary", "Origin");
    add_header(out, "Access-Control-Expose-Headers", "Location");
    if (!(allow & HTTP_OPTIONS))
        return;
    snprintf(age, sizeof(age), "%llu", (unsigned long long)config()->cors_max_age_s);
    add_header(out, "Access-Control-Max-Age", age);
    add_header(out, "Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, DELETE");
    add_header(out, "Access-Control-Allow-Headers", "Authorization, Content-Type, X-Reason");
}

void web_head_add(struct evhttp_request *req, const struct msg_http_response *r)
{
    add_headers(evhttp_request_get_output_headers(req), r);
    if (r->is_cross_origin)
        add_cross_origin(req, r->allow);
}

void web_head_add_stream(struct evhttp_request *req, const struct msg_http_stream *first)
{
    add_policy(evhttp_request_get_output_headers(req), first->content_type, NULL);
    if (first->is_cross_origin)
        add_cross_origin(req, 0);
}

/* RFC 9110, section 15; RFC 6585. */
static const char *phrase(int status)
{
    switch (status) {
    case 400:
        return "Bad Request";
    case 405:
        return "Method Not Allowed";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 417:
        return "Expectation Failed";
    case 431:
        return "Request Header Fields Too Large";
    case 501:
        return "Not Implemented";
    default:
        return "HTTP Version Not Supported";
    }
}

void web_head_refuse(struct evbuffer *out, int status, const char *reason)
{
    struct msg_http_response *r = http_error_new(status, reason);
    struct evkeyvalq headers;
    const struct evkeyval *h;

    TAILQ_INIT(&headers);
    add_policy(&headers, NULL, NULL);
    add_header(&headers, "Connection", "close");
    (void)evbuffer_add_printf(out, "HTTP/1.1 %d %s\r\n", status, phrase(status));
    TAILQ_FOREACH(h, &headers, next)
        (void)evbuffer_add_printf(out, "%s: %s\r\n", h->key, h->value);
    (void)evbuffer_add_printf(out, "Content-Length: %zu\r\n\r\n", r->body.len);
    (void)evbuffer_add(out, r->body.p, r->body.len); /* these fail only without memory */
    evhttp_clear_headers(&headers);
    msg_drop(&r->hdr);
}

void web_head_add_length(struct evhttp_request *req, size_t len)
{
    char length[32];

    snprintf(length, sizeof(length), "%zu", len);
    add_header(evhttp_request_get_output_headers(req), "Content-Length", length);
}
