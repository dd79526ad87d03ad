/*
 * What the API has: a page for people, which lists its resources and their methods. It is the same
 * for all, so it is open to all.
 */
#include <string.h>

#include "mgmt/views.h"

struct index_page { /* on the caller's stack */
    struct text *out;
    const char *last; /* the pattern that was written last */
};

static void add_method(struct index_page *p, enum http_method method)
{
    const char *name = method == HTTP_GET    ? "GET"
                       : method == HTTP_POST ? "POST"
                       : method == HTTP_PUT  ? "PUT"
                                             : "DELETE";

    text_add_str(p->out, " ");
    text_add_str(p->out, name);
}

/* A name stands where a pattern has x. */
static void add_pattern(struct text *out, const char *pattern)
{
    while (*pattern) {
        size_t len = strcspn(pattern, "/");

        text_add_str(out, "/");
        if (len == 1 && *pattern == 'x')
            text_add_str(out, "<i>name</i>");
        else
            text_add(out, pattern, len);
        pattern += len + (pattern[len] == '/');
    }
}

static void add_view(void *ctx, const struct view *v)
{
    struct index_page *p = ctx;

    if (!p->last || strcmp(p->last, v->pattern) != 0) {
        text_add_str(p->out, "</td></tr>\n<tr><td>");
        add_pattern(p->out, v->pattern);
        text_add_str(p->out, "</td><td>");
        p->last = v->pattern;
    }
    add_method(p, v->method);
}

static void start_index(struct request *r)
{
    struct index_page p = {.out = &r->foreign->out};
    struct msg_http_response *response;

    text_add_str(p.out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                        "<title>Warren: HTTP API</title></head><body>\n<h1>HTTP API</h1>\n"
                        "<p>JSON, with Basic authentication, as RabbitMQ's management API. Names "
                        "are percent-encoded: the vhost / is %2F. What answers GET answers HEAD, "
                        "too.</p>\n<table><tr><th>path</th><th>methods");
    views_each(add_view, &p);
    text_add_str(p.out, "</td></tr>\n</table>\n</body></html>\n");
    response = http_response_new(200, p.out);
    response->content_type = "text/html; charset=utf-8";
    request_respond(r, response);
}

const struct view views_index[] = {
    {"api", HTTP_GET, 0, VIEW_OPEN, start_index, NULL},
    {"api/index.html", HTTP_GET, 0, VIEW_OPEN, start_index, NULL},
    {0},
};
