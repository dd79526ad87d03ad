/*
 * web_head.h - the headers of answers. Region RUNTIME, on the event loop's scheduler.
 */
#ifndef MGMT_WEB_HEAD_H
#define MGMT_WEB_HEAD_H

#include <stddef.h>

struct evbuffer;
struct evhttp_request;
struct msg_http_response;
struct msg_http_stream;

/* All headers of a whole answer but its length. */
void web_head_add(struct evhttp_request *req, const struct msg_http_response *response);
/* Those of an answer in parts, by the first of them. */
void web_head_add_stream(struct evhttp_request *req, const struct msg_http_stream *first);
/* A whole answer that the server knows nothing of, and after which the connection is closed. */
void web_head_refuse(struct evbuffer *out, int status, const char *reason);
/* HEAD gets the length of what GET would get, and nothing more. */
void web_head_add_length(struct evhttp_request *req, size_t len);

#endif
