/*
 * vhost.h - the supervisor of one vhost: its watcher, store, registry, exchanges and queues.
 *
 *   vhost:<name> (one_for_one)
 *     vhost_state:<name> says whether the vhost is down; vhost_state.h
 *     store:<name>      blocking; persistence/store.h
 *     registry:<name>
 *     exchanges:<name>  supervisor, one child for each exchange
 *     queues:<name>     supervisor, one child for each queue
 */
#ifndef QUEUES_VHOST_H
#define QUEUES_VHOST_H

#include "broker/runtime/supervisor.h"

/* The name of a vhost's directory below the data directory, from the hash of its own. */
void vhost_dir_name(const char *name, char *out, size_t size);

/*
 * The child spec of a vhost's supervisor, for the `vhosts` supervisor. data_dir: the broker's; the
 * vhost's own directory is below it. The blob in spec->arg is the
 * caller's reference.
 */
void vhost_child_spec(const char *name, const char *data_dir, struct child_spec *ret);

/*
 * What the tables have of a vhost whose processes have all ended goes: its queues and exchanges are
 * deleted cells from then on. For who deletes it.
 */
void vhost_forget(const char *name);

#endif
