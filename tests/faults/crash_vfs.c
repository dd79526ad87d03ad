/*
 * The SQLite VFS over the files in memory. See crash_vfs.h.
 */
#include "tests/faults/crash_vfs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/faults/crash_files.h"

struct handle {
    sqlite3_file base;
    struct crash_fs *fs;
    struct file *file;
    uint64_t life;
    int lock;
    bool delete_on_close;
};

/* Counts a call; SQLITE_OK, or what it is to fail with. */
static int called(struct crash_fs *fs)
{
    fs->calls++;
    if (fs->fail_at == 0 || fs->calls < fs->fail_at)
        return SQLITE_OK;
    if (fs->calls > fs->fail_at && !fs->fail_for_ever)
        return SQLITE_OK;
    fs->has_failed = true;
    return fs->fail_code;
}

static int handle_called(struct handle *h)
{
    return h->life == h->fs->life ? called(h->fs) : SQLITE_IOERR;
}

static int vfs_unlock(sqlite3_file *base, int level)
{
    struct handle *h = (struct handle *)base;

    if (h->lock <= level)
        return SQLITE_OK;
    if (h->life == h->fs->life) {
        if (h->file->holder == h)
            h->file->holder = NULL;
        if (level == SQLITE_LOCK_NONE)
            h->file->n_shared--;
    }
    h->lock = level;
    return SQLITE_OK;
}

static int vfs_close(sqlite3_file *base)
{
    struct handle *h = (struct handle *)base;

    (void)vfs_unlock(base, SQLITE_LOCK_NONE); /* never fails */
    if (h->delete_on_close && h->life == h->fs->life)
        h->file->exists = false;
    return SQLITE_OK;
}

static int vfs_read(sqlite3_file *base, void *buf, int len, sqlite3_int64 at)
{
    struct handle *h = (struct handle *)base;
    const struct bytes *b = &h->file->now;
    size_t have;
    int rc = handle_called(h);

    if (rc != SQLITE_OK)
        return rc == SQLITE_IOERR ? SQLITE_IOERR_READ : rc;
    have = (size_t)at < b->len ? b->len - (size_t)at : 0;
    if (have >= (size_t)len) {
        memcpy(buf, b->p + at, (size_t)len);
        return SQLITE_OK;
    }
    if (have > 0)
        memcpy(buf, b->p + at, have);
    memset((uint8_t *)buf + have, 0, (size_t)len - have);
    return SQLITE_IOERR_SHORT_READ;
}

static int vfs_write(sqlite3_file *base, const void *buf, int len, sqlite3_int64 at)
{
    struct handle *h = (struct handle *)base;
    int rc = handle_called(h);

    if (rc != SQLITE_OK && h->life == h->fs->life)
        len /= 2; /* as much as there was room for */
    else if (rc != SQLITE_OK)
        return SQLITE_IOERR_WRITE;
    cf_write(h->file, (size_t)at, buf, (size_t)len);
    return rc == SQLITE_IOERR ? SQLITE_IOERR_WRITE : rc;
}

static int vfs_truncate(sqlite3_file *base, sqlite3_int64 len)
{
    struct handle *h = (struct handle *)base;
    int rc = handle_called(h);

    if (rc != SQLITE_OK)
        return rc == SQLITE_IOERR ? SQLITE_IOERR_TRUNCATE : rc;
    if ((size_t)len < h->file->now.len)
        cf_truncate(h->file, (size_t)len);
    return SQLITE_OK;
}

static int vfs_sync(sqlite3_file *base, int flags)
{
    struct handle *h = (struct handle *)base;
    struct crash_fs *fs = h->fs;
    enum crash_sync wish = CRASH_SYNC_DO;
    int rc = handle_called(h);

    (void)flags;
    /* A sync that fails has said nothing about the writes before it: they stay unsynced. */
    if (rc != SQLITE_OK)
        return rc == SQLITE_IOERR ? SQLITE_IOERR_FSYNC : rc;
    fs->syncs++;
    if (fs->on_sync)
        wish = fs->on_sync(fs->on_sync_ctx, h->file->name);
    if (h->life != fs->life)
        return SQLITE_IOERR_FSYNC; /* the program died meanwhile */
    if (wish == CRASH_SYNC_DIE_BEFORE) {
        crash_fs_kill(fs);
        return SQLITE_IOERR_FSYNC;
    }
    cf_make_safe(h->file);
    if (wish == CRASH_SYNC_DIE_AFTER) {
        crash_fs_kill(fs);
        return SQLITE_IOERR_FSYNC;
    }
    return SQLITE_OK;
}

static int vfs_size(sqlite3_file *base, sqlite3_int64 *ret)
{
    struct handle *h = (struct handle *)base;
    int rc = handle_called(h);

    if (rc != SQLITE_OK)
        return SQLITE_IOERR_FSTAT;
    *ret = (sqlite3_int64)h->file->now.len;
    return SQLITE_OK;
}

static int vfs_lock(sqlite3_file *base, int level)
{
    struct handle *h = (struct handle *)base;
    struct file *f = h->file;
    bool others_hold = f->holder && f->holder != h;

    if (h->life != h->fs->life)
        return SQLITE_IOERR_LOCK;
    if (level <= h->lock)
        return SQLITE_OK;
    if (level == SQLITE_LOCK_SHARED) {
        if (others_hold && f->holder_level >= SQLITE_LOCK_PENDING)
            return SQLITE_BUSY;
        f->n_shared++;
        h->lock = level;
        return SQLITE_OK;
    }
    if (others_hold)
        return SQLITE_BUSY;
    f->holder = h;
    if (level == SQLITE_LOCK_EXCLUSIVE && f->n_shared > 1) {
        f->holder_level = h->lock = SQLITE_LOCK_PENDING;
        return SQLITE_BUSY;
    }
    f->holder_level = h->lock = level;
    return SQLITE_OK;
}

static int vfs_check_reserved(sqlite3_file *base, int *ret)
{
    *ret = ((struct handle *)base)->file->holder != NULL;
    return SQLITE_OK;
}

static int vfs_control(sqlite3_file *base, int op, void *arg)
{
    (void)base;
    (void)op;
    (void)arg;
    return SQLITE_NOTFOUND;
}

static int vfs_sector(sqlite3_file *base)
{
    (void)base;
    return CRASH_SECTOR;
}

static int vfs_traits(sqlite3_file *base)
{
    (void)base;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods methods = {
    .iVersion = 1, /* no shared memory: only locking_mode = EXCLUSIVE has a WAL here */
    .xClose = vfs_close,
    .xRead = vfs_read,
    .xWrite = vfs_write,
    .xTruncate = vfs_truncate,
    .xSync = vfs_sync,
    .xFileSize = vfs_size,
    .xLock = vfs_lock,
    .xUnlock = vfs_unlock,
    .xCheckReservedLock = vfs_check_reserved,
    .xFileControl = vfs_control,
    .xSectorSize = vfs_sector,
    .xDeviceCharacteristics = vfs_traits,
};

static int vfs_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *base, int flags,
                    int *ret_flags)
{
    struct crash_fs *fs = vfs->pAppData;
    struct handle *h = (struct handle *)base;
    char temp[32];
    struct file *f;
    int rc = called(fs);

    memset(h, 0, sizeof(*h));
    if (rc != SQLITE_OK)
        return SQLITE_CANTOPEN;
    snprintf(temp, sizeof(temp), "temp-%llu", (unsigned long long)fs->calls);
    f = cf_find(fs, name ? name : temp);
    if ((!f || !f->exists) && !(flags & SQLITE_OPEN_CREATE))
        return SQLITE_CANTOPEN;
    if (!f)
        f = cf_make(fs, name ? name : temp);
    if (!f->exists)
        cf_truncate(f, 0);
    f->exists = true;
    h->base.pMethods = &methods;
    h->fs = fs;
    h->file = f;
    h->life = fs->life;
    h->delete_on_close = flags & SQLITE_OPEN_DELETEONCLOSE;
    if (ret_flags)
        *ret_flags = flags;
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
    struct crash_fs *fs = vfs->pAppData;
    struct file *f = cf_find(fs, name);
    int rc = called(fs);

    if (rc != SQLITE_OK)
        return SQLITE_IOERR_DELETE;
    if (!f || !f->exists)
        return SQLITE_IOERR_DELETE_NOENT;
    f->exists = false;
    if (sync_dir)
        cf_remove(f);
    return SQLITE_OK;
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret)
{
    struct crash_fs *fs = vfs->pAppData;
    const struct file *f = cf_find(fs, name);
    int rc = called(fs);

    (void)flags;
    if (rc != SQLITE_OK)
        return SQLITE_IOERR_ACCESS;
    *ret = f && f->exists;
    return SQLITE_OK;
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
    (void)vfs;
    return snprintf(out, (size_t)size, "%s", name) < size ? SQLITE_OK : SQLITE_CANTOPEN;
}

/* The same bytes each time, so that a run can be repeated; SQLite only salts with them. */
static int vfs_random(sqlite3_vfs *vfs, int len, char *out)
{
    struct crash_fs *fs = vfs->pAppData;
    uint64_t seed = fs->calls;

    for (int i = 0; i < len; i++)
        out[i] = (char)cf_roll(&seed);
    return len;
}

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
    (void)vfs;
    return us;
}

static int vfs_time(sqlite3_vfs *vfs, double *ret)
{
    (void)vfs;
    *ret = 2460000.5;
    return SQLITE_OK;
}

struct crash_fs *crash_fs_new(const char *name)
{
    struct crash_fs *fs = cf_must(calloc(1, sizeof(*fs)));

    fs->name = cf_must(strdup(name));
    fs->vfs = (sqlite3_vfs){
        .iVersion = 1,
        .szOsFile = sizeof(struct handle),
        .mxPathname = 512,
        .zName = fs->name,
        .pAppData = fs,
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_path,
        .xRandomness = vfs_random,
        .xSleep = vfs_sleep,
        .xCurrentTime = vfs_time,
    };
    if (sqlite3_vfs_register(&fs->vfs, 0) != SQLITE_OK)
        abort();
    return fs;
}

void crash_fs_free(struct crash_fs *fs)
{
    if (!fs)
        return;
    (void)sqlite3_vfs_unregister(&fs->vfs); /* it is registered */
    while (fs->files) {
        struct file *f = fs->files;

        fs->files = f->next;
        cf_free(f);
    }
    free(fs->name);
    free(fs);
}

void crash_fs_on_sync(struct crash_fs *fs, enum crash_sync (*fn)(void *ctx, const char *file),
                      void *ctx)
{
    fs->on_sync = fn;
    fs->on_sync_ctx = ctx;
}

void crash_fs_fail(struct crash_fs *fs, uint64_t n, int code, bool is_for_ever)
{
    fs->fail_at = n ? fs->calls + n : 0;
    fs->fail_code = code;
    fs->fail_for_ever = is_for_ever;
    fs->has_failed = false;
}

bool crash_fs_has_failed(const struct crash_fs *fs)
{
    return fs->has_failed;
}

uint64_t crash_fs_calls(const struct crash_fs *fs)
{
    return fs->calls;
}

uint64_t crash_fs_syncs(const struct crash_fs *fs)
{
    return fs->syncs;
}

uint64_t crash_fs_bytes(const struct crash_fs *fs)
{
    uint64_t n = 0;

    for (const struct file *f = fs->files; f; f = f->next) {
        if (f->exists)
            n += f->now.len;
    }
    return n;
}

uint8_t *crash_fs_file(struct crash_fs *fs, const char *name, size_t *ret_len)
{
    struct file *f = cf_find(fs, name);

    if (!f || !f->exists)
        return NULL;
    *ret_len = f->now.len;
    return f->now.p;
}
