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
 * A checkpoint may be made in steps, which SQLite itself can't: a step copies some pages and ends.
 * What it copied may be synced from another thread while commits go on, and what is there and safe
 * is neither written nor synced again by the checkpoint that follows, which makes room in the log.
 * Until that one has returned the log has every page, so nothing hangs on a step or such a sync.
 *
 * One for each connection, so that it may lie over any other file system, one for tests included.
 */
#ifndef PERSISTENCE_GATHER_H
#define PERSISTENCE_GATHER_H

#include <stdbool.h>
#include <stdint.h>

struct gather;
struct gather_sync;

/* What went to the log. */
struct gather_counts {
    uint64_t bytes;
    uint64_t writes; /* calls */
    uint64_t syncs;
    uint64_t pages; /* different ones since gather_forget_pages, less those copied since */
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

/* The log was copied. */
void gather_forget_pages(struct gather *g);

/*
 * Between these two SQLite is asked for a checkpoint, and for nothing else. With `bytes` below
 * UINT64_MAX it is but a step: it copies at most so many, says to be prevented by a reader, and
 * changes nothing else. _end: whether it was cut short.
 */
void gather_copy_begin(struct gather *g, uint64_t bytes);
bool gather_copy_end(struct gather *g);

/*
 * What has been copied so far is to be synced: by _run, on any thread, for which *ret is a
 * reference, to be given back; it needs neither g nor its connection any more. One at a time. When
 * it has returned SQLITE_OK, _end says so. Results are SQLite's.
 */
int gather_sync_begin(struct gather *g, struct gather_sync **ret, uint64_t *ret_round);
int gather_sync_run(struct gather_sync *s);
void gather_sync_end(struct gather *g, uint64_t round);
void gather_sync_unref(struct gather_sync *s); /* NULL is ignored */

#endif
