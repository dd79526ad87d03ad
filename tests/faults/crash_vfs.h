/*
 * A file system in memory, below SQLite, that behaves as badly as a real one may.
 *
 * A struct crash_fs is a set of files that outlives the connections that use it, and a SQLite VFS
 * of its own name. Of each file it keeps what the program sees and what is safe on the disk: a
 * write is safe only once its file was synced. So a test can
 *
 * - let the program die (crash_fs_kill): locks go, open handles answer every call with an error
 *   from then on, and what was written stays, synced or not, as after SIGKILL;
 * - cut the power (crash_fs_cut): the same, and of each file's unsynced writes some are there, some
 *   are not and some are torn by sectors of 512 bytes, chosen by the seed; a file that was never
 *   synced may be missing, one that was removed may be back;
 * - let the Nth call fail with an error of SQLite's (crash_fs_fail);
 * - run something at each sync (on_sync), or die there.
 *
 * After kill or cut, connections of before are to be closed with sqlite3_close (or db_abandon),
 * which changes nothing, before or after others are opened.
 *
 * Not for several threads at once. Nothing here waits.
 */
#ifndef TESTS_FAULTS_CRASH_VFS_H
#define TESTS_FAULTS_CRASH_VFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct crash_fs;

/* What on_sync wants: the sync to be done, or the program to be dead before or behind it. */
enum crash_sync { CRASH_SYNC_DO, CRASH_SYNC_DIE_BEFORE, CRASH_SYNC_DIE_AFTER };

/*
 * A new, empty file system, whose VFS is registered under `name` (copied; unique in the program).
 * The caller's, to end with crash_fs_free when no connection to it is open.
 */
struct crash_fs *crash_fs_new(const char *name);
void crash_fs_free(struct crash_fs *fs);

/*
 * Called at each sync of a file, before it takes effect; NULL: none. It may run other code (also
 * such that uses other files of this file system), but may not close the file. DIE is crash_fs_kill
 * at that place; the call then answers with an error, and the caller may crash_fs_cut as well.
 */
void crash_fs_on_sync(struct crash_fs *fs, enum crash_sync (*fn)(void *ctx, const char *file),
                      void *ctx);

/* The program dies. */
void crash_fs_kill(struct crash_fs *fs);

/* The power goes (the program dies with it). The same seed makes the same choices. */
void crash_fs_cut(struct crash_fs *fs, uint64_t seed);

/*
 * The n-th call from now (1: the next) answers with `code` (SQLITE_IOERR or SQLITE_FULL), and if
 * is_for_ever all behind it too. A write that fails may have been done in part. 0: no more
 * failures. All calls are counted that may fail: open, delete, access, read, write, truncate, sync,
 * size.
 */
void crash_fs_fail(struct crash_fs *fs, uint64_t n, int code, bool is_for_ever);

/* Whether a failure asked for by the last crash_fs_fail has happened. */
bool crash_fs_has_failed(const struct crash_fs *fs);

/* Calls and syncs since the beginning, and bytes in all files as the program sees them. */
uint64_t crash_fs_calls(const struct crash_fs *fs);
uint64_t crash_fs_syncs(const struct crash_fs *fs);
uint64_t crash_fs_bytes(const struct crash_fs *fs);

/* The bytes of a file as the program sees them, lent until the next call, to read or to damage;
 * NULL: there is no such file. */
uint8_t *crash_fs_file(struct crash_fs *fs, const char *name, size_t *ret_len);

#endif
