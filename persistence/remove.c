/*
 * remove.c - a store's end: its files and its directory.
 */
#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/runtime/region.h"
#include "persistence/db_internal.h"
#include "persistence/store.h"

enum { PATH_SIZE = 4096 };

static int remove_file(sqlite3_vfs *vfs, const char *path)
{
    char full[PATH_SIZE + 1];
    int rc = vfs->xFullPathname(vfs, path, PATH_SIZE, full);

    if (rc == SQLITE_OK || rc == SQLITE_OK_SYMLINK)
        rc = vfs->xDelete(vfs, full, 1);
    return rc == SQLITE_OK || rc == SQLITE_IOERR_DELETE_NOENT ? 0 : -EIO;
}

/*
 * Keeps all others from the database, where there is one; its content does not matter. Whoever had
 * it open still would remove the log of the next one, by its name, when he closes it.
 */
static int hold(const char *path, const char *vfs, sqlite3 **ret)
{
    sqlite3_file *f = NULL;
    int rc = sqlite3_open_v2(path, ret, SQLITE_OPEN_READWRITE, vfs);

    if (rc == SQLITE_CANTOPEN)
        return 0;
    if (rc == SQLITE_OK)
        rc = sqlite3_file_control(*ret, "main", SQLITE_FCNTL_FILE_POINTER, &f);
    if (rc == SQLITE_OK)
        rc = f->pMethods->xLock(f, SQLITE_LOCK_SHARED);
    if (rc == SQLITE_OK)
        rc = f->pMethods->xLock(f, SQLITE_LOCK_EXCLUSIVE);
    return rc == SQLITE_OK ? 0 : rc == SQLITE_BUSY ? -EBUSY : -EIO;
}

/* What else lies in it is not ours to remove, and keeps the directory. */
static int remove_dir(const char *dir)
{
    if (rmdir(dir) < 0)
        return errno == ENOENT || errno == ENOTEMPTY || errno == EEXIST ? 0 : -errno;
    return db_sync_parent(dir);
}

static int remove_files(const char *dir, const char *vfs)
{
    /* The database first: without it the others mean nothing to whoever makes a new one. */
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    sqlite3_vfs *found = sqlite3_vfs_find(vfs);
    char path[PATH_SIZE];
    int r = found ? 0 : -EIO;

    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]) && r == 0; i++) {
        snprintf(path, sizeof(path), "%s/%s%s", dir, DB_FILE_NAME, suffixes[i]);
        r = remove_file(found, path);
    }
    return r;
}

int store_remove(const char *dir, const char *vfs)
{
    RUNTIME_REGION();
    sqlite3 *held = NULL;
    char path[PATH_SIZE];
    int r;

    snprintf(path, sizeof(path), "%s/%s", dir, DB_FILE_NAME);
    r = hold(path, vfs, &held);
    if (r == 0)
        r = remove_files(dir, vfs);
    sqlite3_close(held);
    return r < 0 || vfs ? r : remove_dir(dir);
}
