/*
 * http_head.h - whether a request's head means the same to whoever reads it.
 *
 * Pure; region RUNTIME beside web.h's object, which asks.
 */
#ifndef MGMT_HTTP_HEAD_H
#define MGMT_HTTP_HEAD_H

#include <stdbool.h>

struct evkeyvalq;

/*
 * False: the header lines (lent) leave it to their reader where the body ends, whom the request is
 * for or who sends it, so that a proxy in front may have understood another request. needs_host: it
 * is HTTP/1.1, which has a Host.
 */
bool http_head_is_clear(const struct evkeyvalq *headers, bool needs_host);

#endif
