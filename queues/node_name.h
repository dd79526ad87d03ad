/*
 * node_name.h - what the node and the cluster of this one node are called.
 */
#ifndef QUEUES_NODE_NAME_H
#define QUEUES_NODE_NAME_H

#include <stddef.h>

enum { CLUSTER_NAME_MAX = 256 }; /* with its NUL; a longer one is cut between two characters */

/* "warren@" and the host's name. */
void node_name(char *ret, size_t size);

/*
 * What an operator named the cluster (the global parameter cluster_name), else the node's name.
 * Reads a shared table: from a process, as settings_get.
 */
void cluster_name(char ret[CLUSTER_NAME_MAX]);

#endif
