/*
 * table.h - shared tables: facts that many processes read at full speed.
 *
 * A table is a map from bytes to a pointer, written by one process at a time and read by all
 * without a lock. Nodes are immutable; a change copies the path to the root (O(log n)) and frees
 * what it replaced after a grace period: once every scheduler has ended a turn since. So what
 * table_get returned stays valid until the reading handler returns, and no longer.
 *
 * Tables belong to the runtime's `tables` owner by name, so that they outlive their writers; a
 * restarted writer opens the same table and finds what its forerunner left.
 */
#ifndef BROKER_RUNTIME_TABLE_H
#define BROKER_RUNTIME_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table;

/* The table of this name, made when missing. `free_value` (may be NULL) gets what is replaced. */
struct table *table_open(const char *name, void (*free_value)(void *));
/* Empties and forgets it, after a grace period. Nobody may use `t` after the present turn. */
void table_close(struct table *t);

/* NULL: no such key. Valid until the handler returns. */
void *table_get(const struct table *t, const void *key, size_t len);
/* Writer only. The old value under this key is retired (free_value after a grace period). */
void table_put(struct table *t, const void *key, size_t len, void *value);
/* Writer only. Returns whether it was there. */
int table_del(struct table *t, const void *key, size_t len);
size_t table_count(const struct table *t);
/*
 * Names what the table holds now: another number after each change, and never that of any other
 * table. What was read after it was asked for is of this version or a later one.
 */
uint64_t table_version(const struct table *t);
/* Calls fn for each entry of the present version, in no order; stops when fn returns nonzero. */
int table_each(const struct table *t, int (*fn)(void *ctx, const void *key, size_t len, void *v),
               void *ctx);
/*
 * The same a part at a time, for tables too large for one turn: *at is 0 before the first call, and
 * false says that all parts have been called. An entry that is there all the time comes once.
 */
bool table_each_part(const struct table *t, unsigned *at,
                     int (*fn)(void *ctx, const void *key, size_t len, void *v), void *ctx);

/* Calls fn(p) once every scheduler has ended a turn since now. Any process. */
void grace_retire(void (*fn)(void *), void *p);

#endif
