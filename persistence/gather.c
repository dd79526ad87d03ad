/*
 * Only the log and the database have methods of their own; every other file is opened straight
 * below.
 */
#include "persistence/gather.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "broker/runtime/alloc.h"

/* SQLite's unix files take no write whose length is a multiple of 128 KiB, so pieces are shorter.
 */
#define GATHER_BYTES (120 * 1024)

/* A log begins with a header; before each page stands a frame's, whose first four bytes name it. */
#define LOG_HEAD   32
#define FRAME_HEAD 24

struct gather {
    sqlite3_vfs vfs;
    sqlite3_vfs *below;
    struct gather_counts counts;
    struct gathered *log; /* NULL: not open */
    uint8_t *in_log;      /* bitmap of the pages that the log has since gather_forget_pages */
    size_t in_log_bytes;
    char name[32];
};

/* A log or a database. What waits is buf[0..len), for offset `at`. */
struct gathered {
    sqlite3_file base;
    struct gather *g;
    sqlite3_file *below;
    uint8_t *buf; /* NULL while nothing waits */
    sqlite3_int64 at;
    int len;
    sqlite3_int64 size; /* of a log's file, as far as it was written or asked */
    int failed;         /* the error of a write that its caller was not told of */
    bool is_log;
};

static int write_below(struct gathered *f, const void *p, int len, sqlite3_int64 at)
{
    int rc = f->below->pMethods->xWrite(f->below, p, len, at);

    if (f->is_log) {
        f->g->counts.writes++;
        f->g->counts.bytes += (uint64_t)len;
    }
    if (rc != SQLITE_OK)
        f->failed = rc;
    else if (at + len > f->size)
        f->size = at + len;
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

    if (f->g->log == f)
        f->g->log = NULL;
    rt_free(f->buf);
    rt_free(f->below);
    return rc ? rc : closed;
}

static int file_read(sqlite3_file *base, void *buf, int len, sqlite3_int64 at)
{
    struct gathered *f = (struct gathered *)base;
    int rc = flush(f);

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
    size_t at = page / 8, room = g->in_log_bytes ? g->in_log_bytes : 512;

    while (room <= at)
        room *= 2;
    if (room > g->in_log_bytes) {
        g->in_log = rt_realloc(g->in_log, room);
        memset(g->in_log + g->in_log_bytes, 0, room - g->in_log_bytes);
        g->in_log_bytes = room;
    }
    g->counts.pages += !(g->in_log[at] >> page % 8 & 1);
    g->in_log[at] |= (uint8_t)(1 << page % 8);
}

static int file_write(sqlite3_file *base, const void *p, int len, sqlite3_int64 at)
{
    struct gathered *f = (struct gathered *)base;
    const uint8_t *in = p;
    int rc;

    if (f->is_log && len == FRAME_HEAD && at >= LOG_HEAD)
        note_page(f->g,
                  (uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 | (uint32_t)in[2] << 8 | in[3]);
    if (overwrites(f, len, at)) {
        memcpy(f->buf + (at - f->at), p, (size_t)len);
        return SQLITE_OK;
    }
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
    memcpy(f->buf + f->len, p, (size_t)len);
    f->len += len;
    return SQLITE_OK;
}

static int file_truncate(sqlite3_file *base, sqlite3_int64 len)
{
    struct gathered *f = (struct gathered *)base;
    int rc = flush(f);

    if (rc == SQLITE_OK)
        rc = f->below->pMethods->xTruncate(f->below, len);
    if (rc == SQLITE_OK)
        f->size = len;
    return rc;
}

static int file_sync(sqlite3_file *base, int flags)
{
    struct gathered *f = (struct gathered *)base;
    int rc = flush(f);

    f->g->counts.syncs += f->is_log;
    return rc ? rc : f->below->pMethods->xSync(f->below, flags);
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

static int open_gathered(struct gather *g, sqlite3_filename name, struct gathered *f, int flags,
                         int *ret_flags)
{
    sqlite3_file *below = rt_zalloc((size_t)g->below->szOsFile);
    int rc = g->below->xOpen(g->below, name, below, flags, ret_flags);

    *f = (struct gathered){.g = g, .is_log = (flags & SQLITE_OPEN_WAL) != 0};
    if (rc == SQLITE_OK) {
        f->below = below;
        f->base.pMethods = &file_methods;
        if (f->is_log)
            g->log = f;
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
    rt_free(g->in_log);
    rt_free(g);
}

int gather_grow_log(struct gather *g, uint64_t size)
{
    struct gathered *f = g->log;
    uint8_t *zeros;
    int rc = f ? flush(f) : SQLITE_MISUSE;

    /* Asked anew, because a zero must not be written over anything. */
    if (rc == SQLITE_OK)
        rc = f->below->pMethods->xFileSize(f->below, &f->size);
    if (rc || f->size >= (sqlite3_int64)size)
        return rc;
    zeros = rt_zalloc(GATHER_BYTES);
    while (rc == SQLITE_OK && f->size < (sqlite3_int64)size) {
        sqlite3_int64 left = (sqlite3_int64)size - f->size;

        rc = write_below(f, zeros, left < GATHER_BYTES ? (int)left : GATHER_BYTES, f->size);
    }
    rt_free(zeros);
    if (rc == SQLITE_FULL)
        f->failed = SQLITE_OK; /* nobody wants what is not there */
    else if (rc == SQLITE_OK)
        rc = file_sync(&f->base, SQLITE_SYNC_NORMAL);
    return rc;
}

uint64_t gather_log_size(const struct gather *g)
{
    return g->log ? (uint64_t)g->log->size : 0;
}

void gather_forget_pages(struct gather *g)
{
    if (g->in_log)
        memset(g->in_log, 0, g->in_log_bytes);
    g->counts.pages = 0;
}

const char *gather_name(const struct gather *g)
{
    return g->name;
}

struct gather_counts gather_counts(const struct gather *g)
{
    return g->counts;
}
