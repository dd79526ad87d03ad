/*
 * restore.h - a data directory from a backup. Plain code for main, before anything runs.
 */
#ifndef QUEUES_RESTORE_H
#define QUEUES_RESTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/*
 * Makes the data directory `to` (missing, or empty: -ENOTEMPTY) from the backup in `from`, looks at
 * every page and message of it, and writes a line for each store to `out`. 0, or -errno and a line
 * in `why`; then `to` is left as it is, and restore_is_half says so of it.
 */
int restore(const char *from, const char *to, FILE *out, char *why, size_t why_size);

/* Whether a restore into this directory did not come to its end. */
bool restore_is_half(const char *data_dir);

#endif
