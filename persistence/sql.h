/*
 * The few things this room asks of SQLite, each marked as code whose faults are the program's.
 *
 * A struct sql is one connection with its prepared statements and one open blob. It lies outside a
 * process's memory, so that it can be closed when the process has crashed in the midst of anything.
 */
#ifndef PERSISTENCE_SQL_H
#define PERSISTENCE_SQL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sql_stmt {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_SEGMENT_PUT,
    SQL_HEADER_PUT,
    SQL_ENTRIES_PUT,
    SQL_ACKS_PUT,
    SQL_SEGMENT_DEL,
    SQL_HEADER_DEL,
    SQL_ENTRIES_DEL,
    SQL_ACKS_DEL,
    SQL_HEADERS,
    SQL_HEADERS_OLD,
    SQL_MARKER,
    SQL_ENTRIES_OF,
    SQL_ENTRIES_FROM,
    SQL_ACKS_OF,
    SQL_HEADER_OF,
    SQL_SETTLED,
    SQL_SETTLED_PUT,
    SQL_SETTLED_DEL,
    SQL_META_GET,
    SQL_META_PUT,
    SQL_QUEUE_PUT,
    SQL_QUEUE_DEL,
    SQL_EXCHANGE_PUT,
    SQL_EXCHANGE_DEL,
    SQL_BINDING_PUT,
    SQL_BINDING_DEL,
    SQL_BINDINGS_DEL,
    SQL_SETTING_PUT,
    SQL_SETTING_DEL,
    SQL_SETTINGS,
    SQL_EXCHANGES,
    SQL_QUEUES,
    SQL_BINDINGS,
    SQL_SETTINGS_BACK,
    SQL_EXCHANGES_BACK,
    SQL_QUEUES_BACK,
    SQL_BINDINGS_BACK,
    SQL_N_STMTS
};

struct sql;

/* Opens; *ret is the caller's, to end with sql_close. -EBUSY when another one holds the file. */
int sql_open(const char *path, const char *vfs, struct sql **ret, char *why, size_t why_size);

/* Finalizes everything, rolls back, closes. Writes nothing to the database. NULL is ignored. */
void sql_close(struct sql *s);

/* One line about the last error; lent until the next call. */
const char *sql_error(const struct sql *s);

/* Runs statements without result; 0 or -errno. */
int sql_exec(struct sql *s, const char *text);

/*
 * Gives free pages back, one after the other, at most so many and none after is_over(ctx) said so
 * (NULL: never); how many, or -errno. A commit of its own outside of a transaction.
 */
int64_t sql_vacuum(struct sql *s, uint32_t pages, bool (*is_over)(void *ctx), void *ctx);

/* The first column of the first row of a statement as a number. */
int sql_number(struct sql *s, const char *text, int64_t *ret);

/* The same as text, cut to size. */
int sql_text(struct sql *s, const char *text, char *ret, size_t size);

/*
 * A prepared statement: bind, then sql_run (no rows wanted), or sql_next until it gives not 1 (it
 * is reset then; sql_reset ends it earlier). Bound bytes are lent until then.
 */
int sql_bind_int(struct sql *s, enum sql_stmt st, int at, uint64_t v);
int sql_bind_blob(struct sql *s, enum sql_stmt st, int at, const void *p, size_t len);
int sql_bind_text(struct sql *s, enum sql_stmt st, int at, const void *p, size_t len);
int sql_run(struct sql *s, enum sql_stmt st);
int sql_next(struct sql *s, enum sql_stmt st);
void sql_reset(struct sql *s, enum sql_stmt st);

/* Columns of the row; bytes lent until the next sql_next or sql_reset, never NULL. */
uint64_t sql_column_int(struct sql *s, enum sql_stmt st, int at);
const void *sql_column_bytes(struct sql *s, enum sql_stmt st, int at, size_t *ret_len);

/* Binds v, and perhaps bytes behind it, and runs; for the statements of one number and one blob. */
int sql_run_id(struct sql *s, enum sql_stmt st, uint64_t id);
int sql_run_id_blob(struct sql *s, enum sql_stmt st, uint64_t id, const void *p, size_t len);

/* Reads part of a segment. The blob stays open for the next read until sql_read_end. */
int sql_read(struct sql *s, uint64_t segment, uint32_t off, void *buf, uint32_t len);
void sql_read_end(struct sql *s);

/* Makes the WAL's file so long, by zeros. -ENOSPC: as far as there was room; no failure. */
int sql_wal_grow(struct sql *s, uint64_t size);
/* How long it is. */
uint64_t sql_wal_size(const struct sql *s);

/* Bytes in the WAL since it was last copied whole. */
uint64_t sql_wal_bytes(const struct sql *s);

/* Bytes that sql_checkpoint would copy: of each page in the WAL only the newest. */
uint64_t sql_checkpoint_bytes(const struct sql *s);

/* Bytes that went to the WAL, and how often it was synced, since the opening. */
void sql_wal_written(const struct sql *s, uint64_t *ret_bytes, uint64_t *ret_syncs);

/* Copies the WAL into the database; `truncate` also empties its file. */
int sql_checkpoint(struct sql *s, bool truncate);

bool sql_in_transaction(const struct sql *s);

/* Frees what the page cache can do without. */
void sql_release_memory(struct sql *s);

/*
 * A copy of the database into a new file, made in steps while it goes on being written to; what is
 * written meanwhile goes into the copy as well, so that it ends as the database is at its last
 * step. At most one at a time. vfs: that of the file. An error of a step is the copy's alone.
 *
 * Each step but the last syncs what it wrote. What is left is for whoever asked for the file.
 */
int sql_copy_begin(struct sql *s, const char *path, const char *vfs);
/* 1: more to do; 0: the file is whole, but open until sql_copy_end; -errno. */
int sql_copy_step(struct sql *s, uint32_t pages);
/* Bytes of the file so far, and in the end by what is known now. */
void sql_copy_progress(const struct sql *s, uint64_t *ret_done, uint64_t *ret_all);
/* Closes the file. Nothing is done where there is no copy. */
void sql_copy_end(struct sql *s);

#endif
