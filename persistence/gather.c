/*
 * Only the log and the database have methods of their own; every other file is opened straight
 * below.
 */
#include "persistence/gather.h"

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "broker/runtime/alloc.h"
#include "broker/runtime/u64map.h"

/* SQLite's unix files take no write whose length is a multiple of 128 KiB, so pieces are shorter.
 */
#define GATHER_BYTES (120 * 1024)

/* A log begins with a header; before each page stands a frame's, whose first four bytes name it. */
#define LOG_HEAD   32
#define FRAME_HEAD 24

struct gathered;

/* Whether the newest of a page is in the database's file, too. */
enum { ONLY_IN_LOG, COPIED };

/*
 * What is written to the database belongs to the present round. A sync that begins ends the round,
 * and when it has succeeded, the rounds up to that one are safe.
 */
struct gather {
    sqlite3_vfs vfs;
    sqlite3_vfs *below;
    struct gather_counts counts;
    struct gathered *db;    /* NULL: not open */
    struct gather_sync *to; /* NULL: the database was never opened */
    struct u64map in_log;   /* pages of the log since gather_forget_pages -> ONLY_IN_LOG, COPIED */
    uint64_t round;
    uint64_t written;  /* the last round in which anything was */
    uint64_t safe;     /* the last round that is */
    uint64_t may_copy; /* bytes of this step */
    struct gathered *log;
    const void *unread; /* where SQLite believes to have the page of the log at unread_at */
    sqlite3_int64 unread_at;
    bool is_copying; /* between gather_copy_begin and _end */
    bool is_step;    /* a checkpoint is to be a step only */
    bool is_cut;     /* and there was more to copy */
    char name[32];
};

struct gather_sync {
    atomic_uint refs;
    sqlite3_vfs *below;
    sqlite3_filename name;
    sqlite3_file *file; /* the database once more; NULL until the first run */
};

/* A log or a database. What waits is buf[0..len), for offset `at`. */
struct gathered {
    sqlite3_file base;
    struct gather *g;
    sqlite3_file *below;
    uint8_t *buf; /* NULL while nothing waits */
    sqlite3_int64 at;
    int len;
    int failed; /* the error of a write that its caller was not told of, or of a sync */
    bool is_log;
    bool is_dirty; /* the log: it may have what was not synced */
};

static int write_below(struct gathered *f, const void *p, int len, sqlite3_int64 at)
{
    int rc = f->below->pMethods->xWrite(f->below, p, len, at);

    f->is_dirty = true;
    if (f->is_log) {
        f->g->counts.writes++;
        f->g->counts.bytes += (uint64_t)len;
    }
    if (rc != SQLITE_OK)
        f->failed = rc;
    return rc;
}

/* Sends down what waits. */
static int flush(struct gathered *f)
{
    uint8_t *buf = f->buf;

    if (f->failed)
        return f->failed;
    if (!buf)
        return SQLITE_OK;
    f->buf = NULL;
    (void)write_below(f, buf, f->len, f->at); /* its error stays in f */
    rt_free(buf);
    return f->failed;
}

static int file_close(sqlite3_file *base)
{
    struct gathered *f = (struct gathered *)base;
    int rc = flush(f), closed = f->below->pMethods->xClose(f->below);

    if (f->g->db == f)
        f->g->db = NULL;
    rt_free(f->buf);
    rt_free(f->below);
    return rc ? rc : closed;
}

static int file_read(sqlite3_file *base, void *buf, int len, sqlite3_int64 at)
{
    struct gathered *f = (struct gathered *)base;
    int rc = flush(f);

    /* A page that is to be copied: what was copied before need not be read. */
    if (rc == SQLITE_OK && f->is_log && f->g->is_copying && len > FRAME_HEAD && at > LOG_HEAD) {
        f->g->log = f;
        f->g->unread = buf;
        f->g->unread_at = at;
        return SQLITE_OK;
    }
    return rc ? rc : f->below->pMethods->xRead(f->below, buf, len, at);
}

/* A page may be written anew where it waits. */
static bool overwrites(const struct gathered *f, int len, sqlite3_int64 at)
{
    return f->buf && at >= f->at && at + len <= f->at + f->len;
}

static bool continues(const struct gathered *f, int len, sqlite3_int64 at)
{
    return f->buf && at == f->at + f->len && f->len + len <= GATHER_BYTES;
}

static void note_page(struct gather *g, uint32_t page)
{
    uint64_t *state = u64map_get(&g->in_log, page);

    g->counts.pages += !state || *state != ONLY_IN_LOG;
    if (state)
        *state = ONLY_IN_LOG;
    else
        u64map_put(&g->in_log, page, ONLY_IN_LOG);
}

/* The bytes to be written, from where they are. */
static int fetch(const struct gathered *f, void *to, const void *p, int len)
{
    const struct gather *g = f->g;

    if (!f->is_log && p == g->unread)
        return g->log->below->pMethods->xRead(g->log->below, to, len, g->unread_at);
    memcpy(to, p, (size_t)len);
    return SQLITE_OK;
}

static int gather_write(struct gathered *f, const void *p, int len, sqlite3_int64 at)
{
    int rc;

    if (overwrites(f, len, at))
        return fetch(f, f->buf + (at - f->at), p, len);
    if (!continues(f, len, at)) {
        rc = flush(f);
        if (rc)
            return rc;
        if (len > GATHER_BYTES)
            return write_below(f, p, len, at);
        f->buf = rt_alloc(GATHER_BYTES);
        f->at = at;
        f->len = 0;
    }
    rc = fetch(f, f->buf + f->len, p, len);
    f->len += rc ? 0 : len;
    return rc;
}

/* A page: what the file has already is not written again. */
static int db_write(struct gathered *f, const void *p, int len, sqlite3_int64 at)
{
    struct gather *g = f->g;
    uint64_t *state = u64map_get(&g->in_log, (uint64_t)(at / len) + 1);
    int rc;

    if (state && *state == COPIED)
        return f->failed;
    if (g->is_step && g->may_copy < (uint64_t)len) {
        g->is_cut = true;
        return SQLITE_BUSY;
    }
    rc = gather_write(f, p, len, at);
    if (rc)
        return rc;
    g->written = g->round;
    g->may_copy -= g->is_step ? (uint64_t)len : 0;
    if (state) {
        *state = COPIED;
        g->counts.pages--;
    }
    return SQLITE_OK;
}

static int file_write(sqlite3_file *base, const void *p, int len, sqlite3_int64 at)
{
    struct gathered *f = (struct gathered *)base;
    const uint8_t *in = p;

    if (!f->is_log)
        return db_write(f, p, len, at);
    if (len == FRAME_HEAD && at >= LOG_HEAD)
        note_page(f->g,
                  (uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 | (uint32_t)in[2] << 8 | in[3]);
    return gather_write(f, p, len, at);
}

static int file_truncate(sqlite3_file *base, sqlite3_int64 len)
{
    struct gathered *f = (struct gathered *)base;
    sqlite3_int64 now;
    int rc = flush(f);

    if (rc == SQLITE_OK && !f->is_log && f->g->is_step)
        return SQLITE_BUSY; /* it comes behind the pages */
    if (rc == SQLITE_OK)
        rc = f->below->pMethods->xFileSize(f->below, &now);
    if (rc || now == len)
        return rc;
    f->is_dirty = true;
    f->g->written = f->is_log ? f->g->written : f->g->round;
    return f->below->pMethods->xTruncate(f->below, len);
}

static int log_sync(struct gathered *f, int flags)
{
    int rc;

    if (!f->is_dirty)
        return SQLITE_OK;
    f->g->counts.syncs++;
    rc = f->below->pMethods->xSync(f->below, flags);
    f->is_dirty = rc != SQLITE_OK;
    return rc;
}

static int db_sync(struct gathered *f, int flags)
{
    struct gather *g = f->g;
    int rc;

    if (g->is_step)
        return SQLITE_BUSY;
    if (g->written <= g->safe)
        return SQLITE_OK;
    rc = f->below->pMethods->xSync(f->below, flags);
    if (rc == SQLITE_OK)
        g->safe = g->round++;
    return rc;
}

/* What is safe already is not synced again. What failed to be is lost, whatever a second try says.
 */
static int file_sync(sqlite3_file *base, int flags)
{
    struct gathered *f = (struct gathered *)base;
    int rc = flush(f);

    if (rc)
        return rc;
    rc = f->is_log ? log_sync(f, flags) : db_sync(f, flags);
    if (rc && rc != SQLITE_BUSY)
        f->failed = rc;
    return rc;
}

static int file_size(sqlite3_file *base, sqlite3_int64 *ret)
{
    struct gathered *f = (struct gathered *)base;
    int rc = flush(f);

    return rc ? rc : f->below->pMethods->xFileSize(f->below, ret);
}

static int file_lock(sqlite3_file *base, int level)
{
    struct gathered *f = (struct gathered *)base;

    return f->below->pMethods->xLock(f->below, level);
}

static int file_unlock(sqlite3_file *base, int level)
{
    struct gathered *f = (struct gathered *)base;

    return f->below->pMethods->xUnlock(f->below, level);
}

static int file_check_reserved(sqlite3_file *base, int *ret)
{
    struct gathered *f = (struct gathered *)base;

    return f->below->pMethods->xCheckReservedLock(f->below, ret);
}

static int file_control(sqlite3_file *base, int op, void *arg)
{
    struct gathered *f = (struct gathered *)base;

    return f->below->pMethods->xFileControl(f->below, op, arg);
}

static int file_sector(sqlite3_file *base)
{
    struct gathered *f = (struct gathered *)base;

    return f->below->pMethods->xSectorSize(f->below);
}

static int file_traits(sqlite3_file *base)
{
    struct gathered *f = (struct gathered *)base;

    return f->below->pMethods->xDeviceCharacteristics(f->below);
}

/* Version 1: nothing is mapped, and a log of one owner has no shared memory. */
static const sqlite3_io_methods file_methods = {
    .iVersion = 1,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector,
    .xDeviceCharacteristics = file_traits,
};

static sqlite3_vfs *below_of(sqlite3_vfs *vfs)
{
    return ((struct gather *)vfs->pAppData)->below;
}

static void keep_db(struct gather *g, struct gathered *f, sqlite3_filename name)
{
    g->db = f;
    if (g->to)
        return;
    g->to = rt_zalloc(sizeof(*g->to));
    atomic_init(&g->to->refs, 1);
    g->to->below = g->below;
    g->to->name = sqlite3_create_filename(name, name, name, 0, NULL); /* NULL: see run */
}

static int open_gathered(struct gather *g, sqlite3_filename name, struct gathered *f, int flags,
                         int *ret_flags)
{
    sqlite3_file *below = rt_zalloc((size_t)g->below->szOsFile);
    int rc = g->below->xOpen(g->below, name, below, flags, ret_flags);

    *f = (struct gathered){.g = g, .is_log = (flags & SQLITE_OPEN_WAL) != 0, .is_dirty = true};
    if (rc == SQLITE_OK) {
        f->below = below;
        f->base.pMethods = &file_methods;
        if (!f->is_log)
            keep_db(g, f, name);
        return rc;
    }
    if (below->pMethods)
        (void)below->pMethods->xClose(below); /* the error is the opening's */
    rt_free(below);
    return rc;
}

static int vfs_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags,
                    int *ret_flags)
{
    struct gather *g = vfs->pAppData;

    if (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_DB))
        return open_gathered(g, name, (struct gathered *)file, flags, ret_flags);
    return g->below->xOpen(g->below, name, file, flags, ret_flags);
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
    return below_of(vfs)->xDelete(below_of(vfs), name, sync_dir);
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret)
{
    return below_of(vfs)->xAccess(below_of(vfs), name, flags, ret);
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
    return below_of(vfs)->xFullPathname(below_of(vfs), name, size, out);
}

static int vfs_random(sqlite3_vfs *vfs, int len, char *out)
{
    return below_of(vfs)->xRandomness(below_of(vfs), len, out);
}

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
    return below_of(vfs)->xSleep(below_of(vfs), us);
}

static int vfs_time(sqlite3_vfs *vfs, double *ret)
{
    return below_of(vfs)->xCurrentTime(below_of(vfs), ret);
}

static int vfs_last_error(sqlite3_vfs *vfs, int size, char *out)
{
    sqlite3_vfs *below = below_of(vfs);

    return below->xGetLastError ? below->xGetLastError(below, size, out) : 0;
}

struct gather *gather_new(const char *below_name)
{
    sqlite3_vfs *below = sqlite3_vfs_find(below_name);
    struct gather *g;
    int own = (int)sizeof(struct gathered);

    if (!below)
        return NULL;
    g = rt_zalloc(sizeof(*g));
    g->below = below;
    g->round = g->written = 1; /* whoever had the file before may have left it unsynced */
    u64map_init(&g->in_log, rt_realloc, rt_free);
    snprintf(g->name, sizeof(g->name), "gather-%p", (void *)g);
    g->vfs = (sqlite3_vfs){
        .iVersion = 1,
        .szOsFile = below->szOsFile > own ? below->szOsFile : own,
        .mxPathname = below->mxPathname,
        .zName = g->name,
        .pAppData = g,
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_path,
        .xRandomness = vfs_random,
        .xSleep = vfs_sleep,
        .xCurrentTime = vfs_time,
        .xGetLastError = vfs_last_error,
    };
    (void)sqlite3_vfs_register(&g->vfs, 0); /* fails only where SQLite has no memory for itself */
    return g;
}

void gather_free(struct gather *g)
{
    if (!g)
        return;
    (void)sqlite3_vfs_unregister(&g->vfs); /* it is registered */
    u64map_fini(&g->in_log);
    gather_sync_unref(g->to);
    rt_free(g);
}

void gather_forget_pages(struct gather *g)
{
    u64map_fini(&g->in_log);
    u64map_init(&g->in_log, rt_realloc, rt_free);
    g->counts.pages = 0;
}

void gather_copy_begin(struct gather *g, uint64_t bytes)
{
    g->may_copy = bytes;
    g->is_step = bytes < UINT64_MAX;
    g->is_copying = true;
    g->is_cut = false;
}

bool gather_copy_end(struct gather *g)
{
    g->is_copying = g->is_step = false;
    g->unread = NULL;
    return g->is_cut;
}

int gather_sync_begin(struct gather *g, struct gather_sync **ret, uint64_t *ret_round)
{
    int rc = g->db ? flush(g->db) : SQLITE_MISUSE;

    if (rc)
        return rc;
    *ret = g->to;
    atomic_fetch_add(&g->to->refs, 1);
    *ret_round = g->round++;
    return SQLITE_OK;
}

static int open_again(struct gather_sync *s)
{
    sqlite3_file *file;
    int rc;

    if (!s->name)
        return SQLITE_NOMEM;
    file = rt_zalloc((size_t)s->below->szOsFile);
    rc =
        s->below->xOpen(s->below, s->name, file, SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_READWRITE, NULL);
    if (rc == SQLITE_OK) {
        s->file = file;
        return rc;
    }
    if (file->pMethods)
        (void)file->pMethods->xClose(file); /* the error is the opening's */
    rt_free(file);
    return rc;
}

int gather_sync_run(struct gather_sync *s)
{
    int rc = s->file ? SQLITE_OK : open_again(s);

    return rc ? rc : s->file->pMethods->xSync(s->file, SQLITE_SYNC_NORMAL);
}

void gather_sync_end(struct gather *g, uint64_t round)
{
    if (g->safe < round)
        g->safe = round;
}

void gather_sync_unref(struct gather_sync *s)
{
    if (!s || atomic_fetch_sub(&s->refs, 1) > 1)
        return;
    if (s->file)
        (void)s->file->pMethods->xClose(s->file); /* nothing was written through it */
    rt_free(s->file);
    sqlite3_free_filename(s->name);
    rt_free(s);
}

const char *gather_name(const struct gather *g)
{
    return g->name;
}

struct gather_counts gather_counts(const struct gather *g)
{
    return g->counts;
}
