/*
 * The headers of answers.
 */
#include "mgmt/web_head.h"

#include <event2/http.h>
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

void web_head_add_refusal(struct evhttp_request *req)
{
    struct evkeyvalq *out = evhttp_request_get_output_headers(req);

    add_policy(out, NULL, NULL);
    add_header(out, "Connection", "close");
}

void web_head_add_length(struct evhttp_request *req, size_t len)
{
    char length[32];

    snprintf(length, sizeof(length), "%zu", len);
    add_header(evhttp_request_get_output_headers(req), "Content-Length", length);
}
