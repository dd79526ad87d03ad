/*
 * views.h - the table of all resources. A file of views has an array of them that ends with a
 * pattern NULL; its name stands here and in views.c.
 */
#ifndef MGMT_VIEWS_H
#define MGMT_VIEWS_H

#include "mgmt/request.h"

extern const struct view views_admin[];
extern const struct view views_auth[];
extern const struct view views_backup[];
extern const struct view views_bindings[];
extern const struct view views_browse[];
extern const struct view views_channels[];
extern const struct view views_connections[];
extern const struct view views_consumers[];
extern const struct view views_definitions[];
extern const struct view views_exchanges[];
extern const struct view views_health[];
extern const struct view views_index[];
extern const struct view views_live[];
extern const struct view views_log[];
extern const struct view views_messages[];
extern const struct view views_move[];
extern const struct view views_node_facts[];
extern const struct view views_metrics[];
extern const struct view views_nodes[];
extern const struct view views_overview[];
extern const struct view views_parameters[];
extern const struct view views_permissions[];
extern const struct view views_policies[];
extern const struct view views_processes[];
extern const struct view views_queues[];
extern const struct view views_why[];
extern const struct view views_users[];
extern const struct view views_vhosts[];

/*
 * The view of this path and method; NULL: none, and *ret_allow has the bits of the methods that the
 * path has (0: there is no such path).
 */
const struct view *views_find(const struct path *path, enum http_method method,
                              unsigned *ret_allow);

/* Calls fn for each view that is there, those of one pattern one behind the other. */
void views_each(void (*fn)(void *ctx, const struct view *v), void *ctx);

#endif
