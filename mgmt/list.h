/*
 * list.h - how every view of many things answers: what the user may see of it, filtered, sorted and
 * cut into pages as the query says, over as many turns as it takes.
 *
 * A view gathers references and hands them over; only what is shown (or sorted by a field) becomes
 * JSON:
 *
 *     list_begin(r, &ops);             in start
 *     list_add(r, item);               for each one, in any turn
 *     list_run(r);                     the rest is the list's: it answers
 *
 * It knows these parameters: sort, sort_reverse, columns, page, page_size, name, use_regex,
 * disable_stats, enable_queue_totals.
 */
#ifndef MGMT_LIST_H
#define MGMT_LIST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "mgmt/list_sort.h"

struct list;
struct request;

struct list_ops {
    /* What it is found and sorted by, if by nothing else. */
    void (*id)(const void *item, struct list_id *ret);
    /* What is shown of it; NULL: it is gone. The list's reference. Called in region RUNTIME. */
    json_t *(*json)(const struct request *r, const void *item);
    /* Gives the item back. Called in region RUNTIME. */
    void (*unref)(void *item);
};

/* Items that are JSON objects already, with "name" and perhaps "vhost". */
extern const struct list_ops list_of_json;
/* Items that are references to struct cell, of queues: list_add takes a reference of the caller. */
extern const struct list_ops list_of_queues;

/* Reads the query; answers with 400 where it is not as it must be. */
void list_begin(struct request *r, const struct list_ops *ops);
/* Moves a reference. Items that the user may not see are dropped at once. */
void list_add(struct request *r, void *item);
/* All were added. The view's handle gets no MSG_CONTINUE any more. */
void list_run(struct request *r);
/* For the request's process: MSG_CONTINUE. */
void list_go_on(struct request *r);
/* Whether the items' statistics are wanted, as they are where there is no list; and of queues at
 * least the numbers of messages. */
bool list_wants_stats(const struct request *r);
bool list_wants_totals(const struct request *r);
/* NULL is ignored. */
void list_free(struct list *l);

#endif
