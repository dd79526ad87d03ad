/*
 * What the two files of the file system in memory share: its files and their unsynced changes.
 */
#ifndef TESTS_FAULTS_CRASH_FILES_H
#define TESTS_FAULTS_CRASH_FILES_H

#include <sqlite3.h>

#include "tests/faults/crash_vfs.h"

#define CRASH_SECTOR 512

struct bytes {
    uint8_t *p;
    size_t len;
    size_t room;
};

/* One unsynced change: a write, or with p NULL a truncation to `at`. */
struct change {
    struct change *next;
    size_t at;
    size_t len;
    uint8_t *p;
};

struct file {
    struct file *next;
    char *name;
    struct bytes now;  /* what the program sees */
    struct bytes safe; /* what is on the disk */
    struct change *first;
    struct change **last;
    bool exists;     /* for the program */
    bool is_on_disk; /* its name is */
    int n_shared;    /* handles with a lock, the holder's included */
    void *holder;    /* the handle with RESERVED or more */
    int holder_level;
};

struct crash_fs {
    sqlite3_vfs vfs;
    char *name;
    struct file *files;
    uint64_t life; /* handles of an earlier one are dead */
    uint64_t calls;
    uint64_t syncs;
    uint64_t fail_at; /* number of the call that is to fail; 0: none */
    int fail_code;
    bool fail_for_ever;
    bool has_failed;
    enum crash_sync (*on_sync)(void *ctx, const char *file);
    void *on_sync_ctx;
};

/* p, or the end of the program where it is NULL. */
void *cf_must(void *p);

/* One step of a seed. */
uint64_t cf_roll(uint64_t *seed);

/* NULL: no file ever had this name; it may also not exist any more. */
struct file *cf_find(struct crash_fs *fs, const char *name);
struct file *cf_make(struct crash_fs *fs, const char *name);
void cf_free(struct file *f);

/* Changes what the program sees, and notes the change as unsynced. */
void cf_write(struct file *f, size_t at, const void *p, size_t len);
void cf_truncate(struct file *f, size_t len);

/* All of it is on the disk. */
void cf_make_safe(struct file *f);

/* Nothing of it is any more, the name included. */
void cf_remove(struct file *f);

#endif
