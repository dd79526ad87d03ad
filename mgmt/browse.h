/*
 * browse.h - what the views share that look at messages of a queue and take single ones out of it.
 */
#ifndef MGMT_BROWSE_H
#define MGMT_BROWSE_H

#include <stddef.h>

struct blob;
struct cell;
struct record;
struct request;
struct store_body;

/* The queue that the path names, lent: 404 where there is none, 401 for who may not read it. */
struct cell *browse_queue(struct request *r);
/* A message of what the store gave; NULL: it is no record's bytes. The caller's reference. */
struct record *browse_load(const struct blob *b, size_t offset, size_t len);
struct record *browse_load_body(const struct store_body *body);

#endif
