/*
 * log_tree.h - the log's own small tree, for who assembles the whole.
 */
#ifndef BROKER_CORE_LOG_TREE_H
#define BROKER_CORE_LOG_TREE_H

#include "broker/runtime/supervisor.h"

/*
 * The arg of supervisor_ops for the log: manager, server, sinks, and the tail if it is wanted. The
 * caller owns the blob.
 */
struct blob *log_sup_arg(bool with_tail);

#endif
