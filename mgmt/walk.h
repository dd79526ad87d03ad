/*
 * walk.h - going through all queues, exchanges and slots in place, in small turns.
 *
 * Of vhosts, those that who asks may see. Each object that is there all the time comes once; what
 * is lent to a callback is valid until it returns.
 */
#ifndef MGMT_WALK_H
#define MGMT_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/core/stats.h"
#include "queues/route.h"

struct cell;
struct list_ops;
struct msg;
struct request;

struct walk { /* in a request's process */
    struct request *request;
    void *ctx;
    /* NULL: they are not gone through. What was deleted does not come. */
    void (*on_vhost)(struct walk *w, const char *vhost);
    void (*on_queue)(struct walk *w, struct cell *c);
    void (*on_exchange)(struct walk *w, struct cell *c);
    void (*on_slot)(struct walk *w, struct stat_slot *s);
    /* The walk's own. */
    unsigned kinds; /* bits of those whose slots are still to come */
    bool has_vhosts;
    char (*vhost)[256];
    uint32_t n_vhosts, cap_vhosts, vhost_at;
    unsigned at;
    uint8_t phase;
    struct vhost_tables tables;
};

void walk_init(struct walk *w, struct request *r, void *ctx);
/* Slots of this kind come before all else. */
void walk_add_kind(struct walk *w, enum stat_kind kind);
/* One vhost instead of all; "" for none at all. */
void walk_only(struct walk *w, const char *vhost);
/* After its end: from the begin, through all that is there now. Slots do not come again. */
void walk_again(struct walk *w);
/* Goes on; false: it has asked for MSG_CONTINUE, true: all is done. */
bool walk_go_on(struct walk *w);

/*
 * The list of a view, gathered by a walk through all vhosts, or the one that the path names.
 * walk_list_begin gives the walk; the caller says what it goes through and calls walk_list_go_on.
 */
struct walk *walk_list_begin(struct request *r, const struct list_ops *ops);
/* For on_queue and on_exchange: the cell is in the list. */
void walk_list_add(struct walk *w, struct cell *c);
void walk_list_go_on(struct request *r);
/* The view's handle. */
void walk_list_continue(struct request *r, struct msg *m);

#endif
