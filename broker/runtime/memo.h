/*
 * memo.h - what a reader worked out from a shared table, remembered.
 *
 * A memo maps a version of a table and a key to the few pointers that some look-ups in that version
 * came to. It is a cache of a fixed size that forgets at will, and each scheduler has one for all
 * its processes (memo_here). What it answers for the present version of a table is as valid as what
 * table_get returns: until the handler returns.
 */
#ifndef BROKER_RUNTIME_MEMO_H
#define BROKER_RUNTIME_MEMO_H

#include <stddef.h>
#include <stdint.h>

struct memo;

enum { MEMO_ITEMS = 8, MEMO_KEY_MAX = 54 };

struct memo_entry {
    uint64_t version; /* 0: free */
    uint8_t n, key_len;
    char key[MEMO_KEY_MAX];
    const void *item[MEMO_ITEMS];
};

/* About 540 KB, touched as it fills. */
struct memo *memo_new(void);
void memo_free(struct memo *m);

/* This scheduler's, lent until the handler returns; NULL: the caller runs on none. */
struct memo *memo_here(void);

/* version: table_version(), never 0. NULL: not remembered. Lent until the next memo_put. */
const struct memo_entry *memo_get(const struct memo *m, uint64_t version, const void *key,
                                  size_t len);
/* What is too large is not remembered. memo_get must just have returned NULL for the key. */
void memo_put(struct memo *m, uint64_t version, const void *key, size_t len,
              const void *const *item, size_t n);

#endif
