/*
 * node_json.h - what the node is: lists that several views show. All in region RUNTIME; results are
 * the caller's references.
 */
#ifndef MGMT_NODE_JSON_H
#define MGMT_NODE_JSON_H

#include <jansson.h>
#include <stdint.h>

/* The release whose behaviour tools may expect here. */
#define RABBITMQ_VERSION "3.10.8"

enum { PROCESSES_MOST = 1 << 24 }; /* slots that a process's id can name */

/* cluster_name(): a text. */
json_t *node_cluster_name_json(void);
/* Who listens where. */
json_t *node_listeners_json(const char *node);
/* The HTTP listeners. */
json_t *node_contexts_json(const char *node);
json_t *node_exchange_types_json(void);
json_t *node_auth_mechanisms_json(void);
/* How far back samples reach, in seconds. */
json_t *node_retention_json(void);
/* How long the program has run; 0: cannot be known. */
uint64_t node_uptime_ms(void);
/* How many processes wait for a scheduler. */
uint32_t node_run_queue(void);
/* How many descriptors it may have. */
uint64_t node_descriptors_most(void);

#endif
