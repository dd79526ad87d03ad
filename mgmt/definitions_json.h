/*
 * definitions_json.h - objects of an export of definitions. To be called in region RUNTIME; results
 * are the caller's.
 */
#ifndef MGMT_DEFINITIONS_JSON_H
#define MGMT_DEFINITIONS_JSON_H

#include <jansson.h>
#include <stdbool.h>

#include "queues/route_set.h"

struct cell;

/* Whether it is in an export: it belongs to no connection, and is not there anyway. */
bool definitions_has(const struct cell *c);
json_t *definitions_cell_json(const struct cell *c, bool with_vhost);
json_t *definitions_binding_json(const struct cell *source, const struct binding *b,
                                 bool with_vhost);

#endif
