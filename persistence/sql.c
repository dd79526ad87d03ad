/*
 * SQLite calls, each inside region RUNTIME: a fault in the library is the program's, not that of
 * the process that called.
 */
#include "persistence/sql.h"

#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "broker/runtime/alloc.h"
#include "broker/runtime/region.h"
#include "persistence/gather.h"

struct sql {
    sqlite3 *h;
    struct gather *files;
    sqlite3_blob *blob;              /* open for reading `data` of a segment; NULL: none */
    uint64_t blob_segment;           /* the row that it is open at */
    sqlite3_stmt *stmt[SQL_N_STMTS]; /* prepared at first use */
    sqlite3 *copy_to;                /* NULL: no copy is made */
    sqlite3_backup *copy;
    uint64_t wal_pages;
    uint32_t page_size;
    char why[256];
};

static const char *const text[SQL_N_STMTS] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_SEGMENT_PUT] = "INSERT INTO segment(id, data) VALUES (?1, ?2)",
    [SQL_HEADER_PUT] = "INSERT OR REPLACE INTO header(id, data) VALUES (?1, ?2)",
    [SQL_ENTRIES_PUT] = "INSERT INTO entries(id, data) VALUES (?1, ?2)",
    [SQL_ACKS_PUT] = "INSERT OR REPLACE INTO acks(id, data) VALUES (?1, ?2)",
    [SQL_SEGMENT_DEL] = "DELETE FROM segment WHERE id = ?1",
    [SQL_HEADER_DEL] = "DELETE FROM header WHERE id = ?1",
    [SQL_ENTRIES_DEL] = "DELETE FROM entries WHERE id = ?1",
    [SQL_ACKS_DEL] = "DELETE FROM acks WHERE id = ?1",
    [SQL_HEADERS] = "SELECT h.id, h.data, a.data FROM header h LEFT JOIN acks a ON a.id = h.id "
                    "ORDER BY h.id",
    [SQL_HEADERS_OLD] = "SELECT h.id, h.data, e.data FROM header h JOIN entries e ON e.id = h.id "
                        "WHERE h.id > ?1 ORDER BY h.id LIMIT 1",
    [SQL_MARKER] = "SELECT h.id, h.data FROM header h LEFT JOIN entries e ON e.id = h.id "
                   "WHERE e.id IS NULL",
    [SQL_ENTRIES_OF] = "SELECT data FROM entries WHERE id = ?1",
    [SQL_ENTRIES_FROM] = "SELECT id, data FROM entries WHERE id >= ?1 ORDER BY id LIMIT 1",
    [SQL_ACKS_OF] = "SELECT data FROM acks WHERE id = ?1",
    [SQL_HEADER_OF] = "SELECT data FROM header WHERE id = ?1",
    [SQL_SETTLED] = "SELECT queue, first, last, fleeting FROM settled ORDER BY queue, first",
    [SQL_SETTLED_PUT] =
        "INSERT OR REPLACE INTO settled(queue, first, last, fleeting) VALUES (?1, ?2, ?3, ?4)",
    [SQL_SETTLED_DEL] = "DELETE FROM settled WHERE queue = ?1 AND first = ?2 AND fleeting = ?3",
    [SQL_META_GET] = "SELECT value FROM meta WHERE name = ?1",
    [SQL_META_PUT] = "INSERT OR REPLACE INTO meta(name, value) VALUES (?1, ?2)",
    [SQL_QUEUE_PUT] = "INSERT OR REPLACE INTO queue(id, name, flags, args) VALUES (?1, ?2, ?3, ?4)",
    [SQL_QUEUE_DEL] = "DELETE FROM queue WHERE id = ?1",
    [SQL_EXCHANGE_PUT] =
        "INSERT OR REPLACE INTO exchange(id, name, type, flags, args) VALUES (?1, ?2, ?3, ?4, ?5)",
    [SQL_EXCHANGE_DEL] = "DELETE FROM exchange WHERE id = ?1",
    [SQL_BINDING_PUT] = "INSERT OR REPLACE INTO binding(source, dest, dest_type, key, args) "
                        "VALUES (?1, ?2, ?3, ?4, ?5)",
    [SQL_BINDING_DEL] = "DELETE FROM binding WHERE source = ?1 AND dest = ?2 AND dest_type = ?3 "
                        "AND key = ?4 AND args = ?5",
    [SQL_BINDINGS_DEL] = "DELETE FROM binding WHERE source = ?1 OR dest = ?1",
    [SQL_SETTING_PUT] = "INSERT OR REPLACE INTO setting(kind, name, value) VALUES (?1, ?2, ?3)",
    [SQL_SETTING_DEL] = "DELETE FROM setting WHERE kind = ?1 AND name = ?2",
    [SQL_SETTINGS] = "SELECT kind, name, value FROM setting ORDER BY kind, name",
    [SQL_EXCHANGES] = "SELECT id, name, type, flags, args FROM exchange ORDER BY id",
    [SQL_QUEUES] = "SELECT id, name, flags, args FROM queue ORDER BY id",
    [SQL_BINDINGS] = "SELECT source, dest, dest_type, key, args FROM binding",
    [SQL_SETTINGS_BACK] = "SELECT kind, name, value FROM setting ORDER BY kind DESC, name DESC",
    [SQL_EXCHANGES_BACK] = "SELECT id, name, type, flags, args FROM exchange ORDER BY id DESC",
    [SQL_QUEUES_BACK] = "SELECT id, name, flags, args FROM queue ORDER BY id DESC",
    [SQL_BINDINGS_BACK] = "SELECT source, dest, dest_type, key, args FROM binding ORDER BY "
                          "source DESC, dest DESC, dest_type DESC, key DESC, args DESC",
};

/* Result codes of SQLite as errno, whether extended or not. */
static int as_errno(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return -EACCES;
    case SQLITE_CORRUPT:
        return -EUCLEAN;
    case SQLITE_NOTADB:
        return -EINVAL;
    default:
        return -EIO;
    }
}

/* Keeps the text of an error, which the next call would lose. */
static int result(struct sql *s, int rc)
{
    int r = as_errno(rc);

    if (r < 0)
        snprintf(s->why, sizeof(s->why), "%s (%d)", sqlite3_errmsg(s->h),
                 sqlite3_extended_errcode(s->h));
    return r;
}

static int on_wal(void *arg, sqlite3 *h, const char *schema, int pages)
{
    struct sql *s = arg;

    (void)h;
    (void)schema;
    s->wal_pages = (uint64_t)pages;
    return SQLITE_OK;
}

int sql_open(const char *path, const char *vfs, struct sql **ret, char *why, size_t why_size)
{
    RUNTIME_REGION();
    struct sql *s = rt_zalloc(sizeof(*s));
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int rc = SQLITE_CANTOPEN;

    s->files = gather_new(vfs);
    if (s->files)
        rc = sqlite3_open_v2(path, &s->h, flags, gather_name(s->files));
    if (rc != SQLITE_OK) {
        snprintf(why, why_size, "cannot open %s: %s", path,
                 s->h ? sqlite3_errmsg(s->h) : sqlite3_errstr(rc));
        sql_close(s);
        return as_errno(rc);
    }
    (void)sqlite3_extended_result_codes(s->h, 1);
    /* Also takes the place of SQLite's own checkpoints, which would come in the midst of a commit.
     */
    (void)sqlite3_wal_hook(s->h, on_wal, s);
    *ret = s;
    return 0;
}

void sql_close(struct sql *s)
{
    RUNTIME_REGION();

    if (!s)
        return;
    sql_read_end(s);
    sql_copy_end(s);
    for (int i = 0; i < SQL_N_STMTS; i++)
        (void)sqlite3_finalize(s->stmt[i]); /* repeats the statement's last error, if any */
    if (s->h) {
        /* Closing the last connection would copy the WAL and remove it: the next opening does that
         * where it can tell of a failure. */
        (void)sqlite3_db_config(s->h, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        (void)sqlite3_close_v2(s->h); /* nothing is left that could keep it open */
    }
    gather_free(s->files);
    rt_free(s);
}

const char *sql_error(const struct sql *s)
{
    return s->why;
}

int sql_exec(struct sql *s, const char *stmts)
{
    RUNTIME_REGION();

    return result(s, sqlite3_exec(s->h, stmts, NULL, NULL, NULL));
}

/* The statement has a row for each page, and what it did lasts when it ends before the last. */
int64_t sql_vacuum(struct sql *s, uint32_t pages, bool (*is_over)(void *ctx), void *ctx)
{
    RUNTIME_REGION();
    sqlite3_stmt *st = NULL;
    char pragma[64];
    int64_t n = 0;
    int rc, r;

    snprintf(pragma, sizeof(pragma), "PRAGMA incremental_vacuum(%u)", pages);
    rc = sqlite3_prepare_v2(s->h, pragma, -1, &st, NULL);
    while (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        n++;
        rc = is_over && is_over(ctx) ? SQLITE_DONE : SQLITE_OK;
    }
    r = result(s, rc);
    if (r == 0)
        r = result(s, sqlite3_finalize(st)); /* its commit */
    else
        (void)sqlite3_finalize(st); /* its error was told above */
    return r < 0 ? r : n;
}

static int first_row(struct sql *s, const char *stmt, sqlite3_stmt **ret)
{
    sqlite3_stmt *st = NULL;
    int r = result(s, sqlite3_prepare_v2(s->h, stmt, -1, &st, NULL));

    if (r == 0)
        r = result(s, sqlite3_step(st));
    if (r == 0 && sqlite3_data_count(st) == 0)
        r = -ENODATA;
    if (r < 0) {
        (void)sqlite3_finalize(st); /* its error was told above */
        return r;
    }
    *ret = st;
    return 0;
}

int sql_number(struct sql *s, const char *stmt, int64_t *ret)
{
    RUNTIME_REGION();
    sqlite3_stmt *st;
    int r = first_row(s, stmt, &st);

    if (r < 0)
        return r;
    *ret = sqlite3_column_int64(st, 0);
    (void)sqlite3_finalize(st); /* nothing was left to do */
    return 0;
}

int sql_text(struct sql *s, const char *stmt, char *ret, size_t size)
{
    RUNTIME_REGION();
    sqlite3_stmt *st;
    const unsigned char *value;
    int r = first_row(s, stmt, &st);

    if (r < 0)
        return r;
    value = sqlite3_column_text(st, 0);
    snprintf(ret, size, "%s", value ? (const char *)value : "");
    (void)sqlite3_finalize(st); /* nothing was left to do */
    return value ? 0 : -ENOMEM;
}

static int copy_failed(struct sql *s, int rc)
{
    snprintf(s->why, sizeof(s->why), "copy: %s", s->copy_to ? sqlite3_errmsg(s->copy_to) : "open");
    sql_copy_end(s);
    return as_errno(rc);
}

int sql_copy_begin(struct sql *s, const char *path, const char *vfs)
{
    RUNTIME_REGION();
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int rc = sqlite3_open_v2(path, &s->copy_to, flags, vfs);

    if (rc == SQLITE_OK)
        rc = sqlite3_exec(s->copy_to,
                          "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = OFF;"
                          "PRAGMA synchronous = OFF; PRAGMA cache_size = -64",
                          NULL, NULL, NULL);
    if (rc == SQLITE_OK) {
        s->copy = sqlite3_backup_init(s->copy_to, "main", s->h, "main");
        rc = s->copy ? SQLITE_OK : sqlite3_errcode(s->copy_to);
    }
    return rc == SQLITE_OK ? 0 : copy_failed(s, rc);
}

/*
 * What is left to the system to write would be written all at once, and commits would wait for it.
 */
static int sync_copy(struct sql *s)
{
    sqlite3_file *file = NULL;
    int rc = sqlite3_file_control(s->copy_to, "main", SQLITE_FCNTL_FILE_POINTER, &file);

    return rc == SQLITE_OK ? file->pMethods->xSync(file, SQLITE_SYNC_NORMAL) : rc;
}

int sql_copy_step(struct sql *s, uint32_t pages)
{
    RUNTIME_REGION();
    int rc = sqlite3_backup_step(s->copy, (int)pages);
    int synced = rc == SQLITE_OK ? sync_copy(s) : SQLITE_OK;

    if (synced != SQLITE_OK)
        return copy_failed(s, synced);
    if (rc == SQLITE_OK)
        return 1;
    return rc == SQLITE_DONE ? 0 : copy_failed(s, rc);
}

void sql_copy_progress(const struct sql *s, uint64_t *ret_done, uint64_t *ret_all)
{
    uint64_t all = s->copy ? (uint64_t)sqlite3_backup_pagecount(s->copy) : 0;
    uint64_t left = s->copy ? (uint64_t)sqlite3_backup_remaining(s->copy) : 0;

    *ret_all = all * s->page_size;
    *ret_done = (all - left) * s->page_size;
}

void sql_copy_end(struct sql *s)
{
    RUNTIME_REGION();

    (void)sqlite3_backup_finish(s->copy); /* repeats what the last step told; NULL is ignored */
    (void)sqlite3_close_v2(s->copy_to);   /* has no statements; NULL is ignored */
    s->copy = NULL;
    s->copy_to = NULL;
}

static int prepare(struct sql *s, enum sql_stmt st)
{
    if (s->stmt[st])
        return 0;
    return result(
        s, sqlite3_prepare_v3(s->h, text[st], -1, SQLITE_PREPARE_PERSISTENT, &s->stmt[st], NULL));
}

int sql_bind_int(struct sql *s, enum sql_stmt st, int at, uint64_t v)
{
    RUNTIME_REGION();
    int r = prepare(s, st);

    if (r < 0)
        return r;
    return result(s, sqlite3_bind_int64(s->stmt[st], at, (sqlite3_int64)v));
}

/* An empty value is an empty one, not NULL, and its pointer may be anything. */
int sql_bind_blob(struct sql *s, enum sql_stmt st, int at, const void *p, size_t len)
{
    RUNTIME_REGION();
    int r = prepare(s, st);

    if (r < 0)
        return r;
    return result(s, sqlite3_bind_blob64(s->stmt[st], at, len > 0 ? p : "", len, SQLITE_STATIC));
}

int sql_bind_text(struct sql *s, enum sql_stmt st, int at, const void *p, size_t len)
{
    RUNTIME_REGION();
    int r = prepare(s, st);

    if (r < 0)
        return r;
    return result(
        s, sqlite3_bind_text64(s->stmt[st], at, len > 0 ? p : "", len, SQLITE_STATIC, SQLITE_UTF8));
}

int sql_next(struct sql *s, enum sql_stmt st)
{
    RUNTIME_REGION();
    int r = prepare(s, st);
    int rc;

    if (r < 0)
        return r;
    rc = sqlite3_step(s->stmt[st]);
    if (rc == SQLITE_ROW)
        return 1;
    r = result(s, rc);
    (void)sqlite3_reset(s->stmt[st]); /* repeats the error that was just kept */
    return r;
}

int sql_run(struct sql *s, enum sql_stmt st)
{
    int r = sql_next(s, st);

    if (r == 1) {
        sql_reset(s, st);
        r = 0;
    }
    return r;
}

void sql_reset(struct sql *s, enum sql_stmt st)
{
    RUNTIME_REGION();

    if (s->stmt[st])
        (void)sqlite3_reset(s->stmt[st]); /* repeats an error that sql_next told */
}

uint64_t sql_column_int(struct sql *s, enum sql_stmt st, int at)
{
    RUNTIME_REGION();

    return (uint64_t)sqlite3_column_int64(s->stmt[st], at);
}

const void *sql_column_bytes(struct sql *s, enum sql_stmt st, int at, size_t *ret_len)
{
    RUNTIME_REGION();
    const void *p = sqlite3_column_blob(s->stmt[st], at);

    *ret_len = (size_t)sqlite3_column_bytes(s->stmt[st], at);
    return p ? p : "";
}

int sql_run_id(struct sql *s, enum sql_stmt st, uint64_t id)
{
    int r = sql_bind_int(s, st, 1, id);

    return r < 0 ? r : sql_run(s, st);
}

int sql_run_id_blob(struct sql *s, enum sql_stmt st, uint64_t id, const void *p, size_t len)
{
    int r = sql_bind_int(s, st, 1, id);

    if (r == 0)
        r = sql_bind_blob(s, st, 2, p, len);
    return r < 0 ? r : sql_run(s, st);
}

int sql_read(struct sql *s, uint64_t segment, uint32_t off, void *buf, uint32_t len)
{
    RUNTIME_REGION();
    int rc = SQLITE_OK;

    if (!s->blob)
        rc =
            sqlite3_blob_open(s->h, "main", "segment", "data", (sqlite3_int64)segment, 0, &s->blob);
    else if (s->blob_segment != segment)
        rc = sqlite3_blob_reopen(s->blob, (sqlite3_int64)segment);
    s->blob_segment = segment;
    if (rc == SQLITE_OK)
        rc = sqlite3_blob_read(s->blob, buf, (int)len, (int)off);
    if (rc != SQLITE_OK) {
        int r = result(s, rc);

        sql_read_end(s); /* a blob that failed stays failed */
        /* SQLITE_ERROR: there is no such row, or it is shorter than the index says. */
        return (rc & 0xff) == SQLITE_ERROR ? -EUCLEAN : r;
    }
    return 0;
}

void sql_read_end(struct sql *s)
{
    RUNTIME_REGION();

    (void)sqlite3_blob_close(s->blob); /* nothing was written; NULL is ignored */
    s->blob = NULL;
}

int sql_wal_grow(struct sql *s, uint64_t size)
{
    RUNTIME_REGION();
    int rc = gather_grow_log(s->files, size);

    if (rc != SQLITE_OK)
        snprintf(s->why, sizeof(s->why), "log: %s (%d)", sqlite3_errstr(rc), rc);
    return as_errno(rc);
}

uint64_t sql_wal_size(const struct sql *s)
{
    return gather_log_size(s->files);
}

uint64_t sql_wal_bytes(const struct sql *s)
{
    return s->wal_pages * (s->page_size + 24);
}

uint64_t sql_checkpoint_bytes(const struct sql *s)
{
    return gather_counts(s->files).pages * s->page_size;
}

void sql_wal_written(const struct sql *s, uint64_t *ret_bytes, uint64_t *ret_syncs)
{
    struct gather_counts c = gather_counts(s->files);

    *ret_bytes = c.bytes;
    *ret_syncs = c.syncs;
}

int sql_checkpoint(struct sql *s, bool truncate)
{
    RUNTIME_REGION();
    int in_wal, copied;
    int64_t page_size;
    int r;

    sql_read_end(s);
    if (s->page_size == 0) {
        r = sql_number(s, "PRAGMA page_size", &page_size);
        if (r < 0)
            return r;
        s->page_size = (uint32_t)page_size;
    }
    r = result(s, sqlite3_wal_checkpoint_v2(
                      s->h, NULL, truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE,
                      &in_wal, &copied));
    if (r == 0 && in_wal != copied)
        return -EBUSY; /* no reader of ours is left, so this is never expected */
    if (r == 0) {
        s->wal_pages = 0;
        gather_forget_pages(s->files);
    }
    return r;
}

void sql_release_memory(struct sql *s)
{
    RUNTIME_REGION();

    sql_read_end(s);
    (void)sqlite3_db_release_memory(s->h); /* always SQLITE_OK */
}

bool sql_in_transaction(const struct sql *s)
{
    return !sqlite3_get_autocommit(s->h);
}
