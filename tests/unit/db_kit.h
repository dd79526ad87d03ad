/*
 * db_kit.h - what the tests of the database share: short texts as messages, and the end of the file
 * system in memory that a test's setup leaves in *state. Include it once, after crash_vfs.h.
 */
#ifndef TESTS_UNIT_DB_KIT_H
#define TESTS_UNIT_DB_KIT_H

static int teardown(void **state)
{
    crash_fs_free(*state);
    return 0;
}

static int add_text(struct db *db, uint64_t queue, uint64_t seq, const char *text)
{
    const struct db_add add = {
        .queue = queue, .seq = seq, .iov = {{(void *)(uintptr_t)text, strlen(text)}}};

    return db_add(db, &add, 0);
}

static void assert_text(struct db *db, uint64_t queue, uint64_t seq, const char *text)
{
    char buf[100];
    int64_t n = db_read(db, queue, seq, buf);

    assert_int_equal(n, strlen(text));
    assert_memory_equal(buf, text, strlen(text));
}

/* Bytes of the database once all of it is copied out of the WAL and the free pages are gone. */
static inline size_t settled_size(struct crash_fs *fs, struct db *db)
{
    size_t len = 0;

    assert_int_equal(db_commit(db), 0);
    while (db_vacuum_step(db, 100, 0, NULL, NULL) > 0)
        continue;
    assert_int_equal(db_checkpoint(db), 0);
    assert_non_null(crash_fs_file(fs, "d/store.sqlite", &len));
    return len;
}

#endif
