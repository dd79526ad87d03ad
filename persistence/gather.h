/*
 * A SQLite file system over another one that gathers what is written to the log and the database.
 *
 * SQLite writes a frame of the WAL by two calls, one of 24 bytes and one of a page, and in a
 * checkpoint page after page in rising order. Here they wait in memory until something depends on
 * them (a sync, a read, a size, a truncation, the closing) or they are 120 KiB, and go down by one
 * call. All else goes straight through; so does every promise, because the only one about a written
 * byte is given by the sync. A write that fails behind its caller's back makes every later call on
 * that file fail, so nothing can be built on it.
 *
 * One for each connection, so that it may lie over any other file system, one for tests included.
 */
#ifndef PERSISTENCE_GATHER_H
#define PERSISTENCE_GATHER_H

#include <stdint.h>

struct gather;

/* What went to the log. */
struct gather_counts {
    uint64_t bytes;
    uint64_t writes; /* calls */
    uint64_t syncs;
    uint64_t pages; /* different ones since gather_forget_pages: what a checkpoint would copy */
};

/*
 * Registers a file system over the one of that name (NULL: SQLite's own); NULL when there is no
 * such. The caller's, to end with gather_free when what was opened by it is closed.
 */
struct gather *gather_new(const char *below);
void gather_free(struct gather *g); /* NULL is ignored */

/* The name to open with; lent as long as g lives. */
const char *gather_name(const struct gather *g);

struct gather_counts gather_counts(const struct gather *g);

/*
 * Makes the log's file `size` bytes long, by zeros that are synced: what is written over them needs
 * no room on the disk, which makes its sync quicker. SQLITE_FULL: it is as long as there was room
 * for; any other error counts as one of a write.
 */
int gather_grow_log(struct gather *g, uint64_t size);
/* How long it is; 0: there is none. */
uint64_t gather_log_size(const struct gather *g);

/* The log was copied. */
void gather_forget_pages(struct gather *g);

#endif
