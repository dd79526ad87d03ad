/*
 * cells.h - the cells of queues and exchanges, held over several turns, and what the counters of
 * queues say.
 */
#ifndef MGMT_CELLS_H
#define MGMT_CELLS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct cell;

struct cells { /* all zero: none. Each is a reference */
    struct cell **cell;
    size_t n, size;
};

void cells_fini(struct cells *c);
/* Adds one, whose reference is moved. */
void cells_add(struct cells *c, struct cell *cell);
/* Adds the queues of a vhost, which there must be. */
void cells_add_queues(struct cells *c, const char *vhost);
void cells_add_exchanges(struct cells *c, const char *vhost);

#endif
