/*
 * manifest.h - what a backup's directory says of itself: which stores it has, and their checksums.
 *
 * A directory is a backup once it has a manifest, which is written last. Plain code that blocks on
 * the disk; what is allocated is the C library's.
 */
#ifndef QUEUES_MANIFEST_H
#define QUEUES_MANIFEST_H

#include <stddef.h>
#include <stdint.h>

struct manifest_store {
    char name[64];     /* its directory's, below the backup and below a data directory */
    char vhost[256];   /* empty: the node's own store */
    uint64_t bytes;    /* of its file */
    uint64_t group;    /* the last one in it */
    uint32_t crc;      /* CRC32C of the file */
    char missing[200]; /* why there is no copy of it, as its vhost was down; empty: there is one */
};

struct manifest {
    char version[32]; /* of the program that wrote it */
    int64_t made_ms;  /* since 1970 */
    struct manifest_store *v;
    size_t n;
};

void manifest_fini(struct manifest *m);

/* Writes it, durable, as the last thing of a backup. 0 or -errno. */
int manifest_write(const char *dir, const struct manifest *m);

/* Reads it. -errno, or -EINVAL; then `why` says what is wrong. */
int manifest_read(const char *dir, struct manifest *ret, char *why, size_t why_size);

/* The name of a store's file below `dir`. */
void manifest_path(char *out, size_t size, const char *dir, const char *name);

/* Reads a file's length and checksum. 0 or -errno. */
int manifest_measure(const char *path, uint64_t *ret_bytes, uint32_t *ret_crc);

/* fsync of a file or directory. 0 or -errno. */
int manifest_sync(const char *path);

/* Makes a directory, which may be there if it is empty (-ENOTEMPTY). 0 or -errno. */
int manifest_make_dir(const char *dir);

#endif
