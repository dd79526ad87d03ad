/*
 * The functions of the migration's steps (schema.h). Each runs inside the step's transaction, reads
 * what the version before wrote, and returns 0 or -errno.
 */
#ifndef PERSISTENCE_MIGRATE_H
#define PERSISTENCE_MIGRATE_H

struct sql;

/* To version 2: segments' headers with the last seq of each queue. */
int migrate_headers(struct sql *sql);

#endif
