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

/* What else lies in it is not ours to remove, and keeps the directory. */
static int remove_dir(const char *dir)
{
    if (rmdir(dir) < 0)
        return errno == ENOENT || errno == ENOTEMPTY || errno == EEXIST ? 0 : -errno;
    return db_sync_parent(dir);
}

int store_remove(const char *dir, const char *vfs)
{
    RUNTIME_REGION();
    /* The database first: without it the others mean nothing to whoever makes a new one. */
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    sqlite3_vfs *found = sqlite3_vfs_find(vfs);
    char path[PATH_SIZE];
    int r = found ? 0 : -EIO;

    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]) && r == 0; i++) {
        snprintf(path, sizeof(path), "%s/%s%s", dir, DB_FILE_NAME, suffixes[i]);
        r = remove_file(found, path);
    }
    return r < 0 || vfs ? r : remove_dir(dir);
}
