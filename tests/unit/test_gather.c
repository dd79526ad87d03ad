/* The file system that gathers the log's writes: the same bytes as without it, in fewer calls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "persistence/gather.h"
#include "tests/faults/crash_vfs.h"

#define VFS  "test-gather"
#define NAME "some-wal"
#define ROOM (600 * 1024)

struct kit {
    struct crash_fs *fs;
    struct gather *g;
    sqlite3_file *f;
    uint64_t seed;
};

static uint64_t roll(struct kit *k)
{
    k->seed ^= k->seed << 13;
    k->seed ^= k->seed >> 7;
    return k->seed ^= k->seed << 17;
}

static void open_file(struct kit *k, int kind)
{
    sqlite3_vfs *vfs;

    k->g = gather_new(VFS);
    assert_non_null(k->g);
    vfs = sqlite3_vfs_find(gather_name(k->g));
    assert_non_null(vfs);
    k->f = calloc(1, (size_t)vfs->szOsFile);
    assert_int_equal(
        vfs->xOpen(vfs, NAME, k->f, kind | SQLITE_OPEN_CREATE | SQLITE_OPEN_READWRITE, NULL),
        SQLITE_OK);
}

static int close_log(struct kit *k)
{
    int rc = k->f->pMethods->xClose(k->f);

    free(k->f);
    gather_free(k->g);
    return rc;
}

static struct kit setup_kit(uint64_t seed)
{
    struct kit k = {.fs = crash_fs_new(VFS), .seed = seed * 2 + 1};

    open_file(&k, SQLITE_OPEN_WAL);
    return k;
}

static int write_log(struct kit *k, const void *p, int len, sqlite3_int64 at)
{
    return k->f->pMethods->xWrite(k->f, p, len, at);
}

static int sync_log(struct kit *k)
{
    return k->f->pMethods->xSync(k->f, SQLITE_SYNC_NORMAL);
}

/* As SQLite does: a header of 24 bytes, which begins with the page's number, a page behind it. */
static void frames(struct kit *k, int n, sqlite3_int64 at)
{
    static uint8_t page[16384];

    for (int i = 0; i < n; i++, at += 24 + (int)sizeof(page)) {
        page[3] = (uint8_t)i;
        assert_int_equal(write_log(k, page, 24, at), SQLITE_OK);
        assert_int_equal(write_log(k, page, sizeof(page), at + 24), SQLITE_OK);
    }
}

/* What a checkpoint would copy: each page once, however often the log has it. */
static void pages_in_the_log_are_counted_once(void **state)
{
    struct kit k = setup_kit(1);

    (void)state;
    frames(&k, 7, 32);
    assert_int_equal(gather_counts(k.g).pages, 7);
    frames(&k, 10, 32 + 7 * (24 + 16384));
    assert_int_equal(gather_counts(k.g).pages, 10);
    gather_forget_pages(k.g);
    assert_int_equal(gather_counts(k.g).pages, 0);
    frames(&k, 3, 32);
    assert_int_equal(gather_counts(k.g).pages, 3);
    assert_int_equal(close_log(&k), SQLITE_OK);
    crash_fs_free(k.fs);
}

static void a_log_grows_ahead_and_keeps_what_it_has(void **state)
{
    struct kit k = setup_kit(1);
    const size_t used = 32 + 7 * (24 + 16384), size = 500000;
    const uint8_t *bytes;
    size_t len = 0;

    (void)state;
    frames(&k, 7, 32);
    assert_int_equal(gather_grow_log(k.g, size), SQLITE_OK);
    assert_int_equal(gather_grow_log(k.g, 1000), SQLITE_OK); /* never shorter */
    assert_int_equal(gather_log_size(k.g), size);
    crash_fs_cut(k.fs, 1); /* all of it is synced */
    bytes = crash_fs_file(k.fs, NAME, &len);
    assert_int_equal(len, size);
    assert_int_equal(bytes[32 + 6 * (24 + 16384) + 3], 6);
    for (size_t i = used; i < size; i++)
        assert_int_equal(bytes[i], 0);
    (void)close_log(&k); /* of a power that is gone */
    crash_fs_free(k.fs);
}

static void a_log_that_finds_no_room_to_grow_goes_on(void **state)
{
    struct kit k = setup_kit(1);

    (void)state;
    frames(&k, 7, 32);
    assert_int_equal(sync_log(&k), SQLITE_OK);
    crash_fs_fail(k.fs, 2, SQLITE_FULL, false); /* behind the question for its size */
    assert_int_equal(gather_grow_log(k.g, 500000), SQLITE_FULL);
    assert_true(crash_fs_has_failed(k.fs));
    frames(&k, 7, 32);
    assert_int_equal(sync_log(&k), SQLITE_OK);
    crash_fs_fail(k.fs, 2, SQLITE_IOERR, false);
    assert_int_equal(gather_grow_log(k.g, 500000) & 0xff, SQLITE_IOERR);
    assert_int_not_equal(sync_log(&k), SQLITE_OK);
    (void)close_log(&k); /* tells the error once more */
    crash_fs_free(k.fs);
}

static void many_writes_become_few(void **state)
{
    struct kit k = setup_kit(1);
    size_t len = 0;

    (void)state;
    frames(&k, 7, 32);
    assert_int_equal(gather_counts(k.g).writes, 0);
    (void)crash_fs_file(k.fs, NAME, &len);
    assert_int_equal(len, 0);
    assert_int_equal(sync_log(&k), SQLITE_OK);
    assert_int_equal(gather_counts(k.g).writes, 1);
    assert_int_equal(gather_counts(k.g).syncs, 1);
    assert_int_equal(gather_counts(k.g).bytes, 7 * (24 + 16384));
    (void)crash_fs_file(k.fs, NAME, &len);
    assert_int_equal(len, 32 + 7 * (24 + 16384));
    frames(&k, 70, 32);
    assert_int_equal(sync_log(&k), SQLITE_OK);
    assert_in_range(gather_counts(k.g).writes, 2, 1 + 11);
    assert_int_equal(close_log(&k), SQLITE_OK);
    crash_fs_free(k.fs);
}

/* What a plain file would hold, and how much of it is synced. */
struct plain {
    uint8_t now[ROOM], synced[ROOM];
    sqlite3_int64 len, synced_len;
};

static void random_write(struct kit *k, struct plain *p)
{
    static uint8_t bytes[70000];
    int len = roll(k) % 20 == 0 ? 65536 : 1 + (int)(roll(k) % 9000);
    sqlite3_int64 at = roll(k) % 4 ? p->len : (sqlite3_int64)(roll(k) % (uint64_t)(p->len + 1));

    if (at + len > ROOM)
        return;
    memset(bytes, (int)roll(k), (size_t)len);
    assert_int_equal(write_log(k, bytes, len, at), SQLITE_OK);
    memcpy(p->now + at, bytes, (size_t)len);
    if (at + len > p->len)
        p->len = at + len;
}

static void random_read(struct kit *k, const struct plain *p)
{
    static uint8_t got[9000];
    sqlite3_int64 at = (sqlite3_int64)(roll(k) % (uint64_t)(p->len + 1));
    int len = 1 + (int)(roll(k) % sizeof(got));
    int rc = k->f->pMethods->xRead(k->f, got, len, at);

    if (at + len <= p->len) {
        assert_int_equal(rc, SQLITE_OK);
        assert_memory_equal(got, p->now + at, len);
    } else {
        assert_int_equal(rc, SQLITE_IOERR_SHORT_READ);
        assert_memory_equal(got, p->now + at, p->len - at);
    }
}

static void random_step(struct kit *k, struct plain *p)
{
    sqlite3_int64 size;
    uint64_t choice = roll(k) % 100;

    if (choice < 80) {
        random_write(k, p);
    } else if (choice < 90) {
        random_read(k, p);
    } else if (choice < 93) {
        assert_int_equal(k->f->pMethods->xFileSize(k->f, &size), SQLITE_OK);
        assert_true(size == p->len);
    } else if (choice < 95) {
        p->len = (sqlite3_int64)(roll(k) % (uint64_t)(p->len + 1));
        memset(p->now + p->len, 0, (size_t)(ROOM - p->len));
        assert_int_equal(k->f->pMethods->xTruncate(k->f, p->len), SQLITE_OK);
    } else {
        assert_int_equal(sync_log(k), SQLITE_OK);
        memcpy(p->synced, p->now, sizeof(p->now));
        p->synced_len = p->len;
    }
}

static void a_log_is_what_a_plain_file_would_be(void **state)
{
    uint64_t seed = (uint64_t)time(NULL);
    struct plain *p = calloc(1, sizeof(*p));

    (void)state;
    print_message("seed %llu\n", (unsigned long long)seed);
    for (uint64_t round = 0; round < 30; round++) {
        struct kit k = setup_kit(seed + round);
        size_t len = 0;
        const uint8_t *got;

        memset(p, 0, sizeof(*p));
        for (int i = 0; i < 400; i++)
            random_step(&k, p);
        assert_int_equal(close_log(&k), SQLITE_OK);
        got = crash_fs_file(k.fs, NAME, &len);
        assert_int_equal(len, p->len);
        assert_memory_equal(got, p->now, len);
        crash_fs_free(k.fs);
    }
    free(p);
}

/* Only appended to, so that all that was synced is still to be there. */
static void what_was_synced_outlives_the_power(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct kit k = setup_kit(seed);
        static uint8_t bytes[5000];
        sqlite3_int64 at = 0, synced = 0;
        const uint8_t *got;
        size_t len = 0;

        for (int i = 0; i < 60; i++, at += (int)sizeof(bytes)) {
            memset(bytes, i, sizeof(bytes));
            assert_int_equal(write_log(&k, bytes, sizeof(bytes), at), SQLITE_OK);
            if (roll(&k) % 8 == 0) {
                assert_int_equal(sync_log(&k), SQLITE_OK);
                synced = at + (int)sizeof(bytes);
            }
        }
        crash_fs_cut(k.fs, seed);
        (void)close_log(&k); /* a dead handle */
        got = crash_fs_file(k.fs, NAME, &len);
        assert_true((sqlite3_int64)len >= synced);
        for (sqlite3_int64 i = 0; i < synced; i++)
            assert_int_equal(got[i], (uint8_t)(i / (int)sizeof(bytes)));
        crash_fs_free(k.fs);
    }
}

/* A write below fails when its caller has long gone: nothing more may seem to work. */
static void a_late_failure_stays(void **state)
{
    struct kit k = setup_kit(1);
    uint8_t byte = 1;

    (void)state;
    assert_int_equal(write_log(&k, &byte, 1, 0), SQLITE_OK);
    crash_fs_fail(k.fs, 1, SQLITE_IOERR, false);
    assert_int_not_equal(k.f->pMethods->xRead(k.f, &byte, 1, 0), SQLITE_OK);
    assert_true(crash_fs_has_failed(k.fs));
    assert_int_not_equal(sync_log(&k), SQLITE_OK);
    assert_int_not_equal(write_log(&k, &byte, 1, 1000), SQLITE_OK);
    assert_int_not_equal(sync_log(&k), SQLITE_OK);
    assert_int_not_equal(close_log(&k), SQLITE_OK);
    crash_fs_free(k.fs);
}

/* A checkpoint's pages; they are no part of what is counted of the log. */
static void pages_go_down_together(void **state)
{
    struct kit k = {.fs = crash_fs_new(VFS)};
    static uint8_t page[8192];
    const uint8_t *got;
    size_t len = 0;

    (void)state;
    open_file(&k, SQLITE_OPEN_MAIN_DB);
    for (int i = 0; i < 20; i++) {
        memset(page, i, sizeof(page));
        assert_int_equal(write_log(&k, page, sizeof(page), i * (int)sizeof(page)), SQLITE_OK);
    }
    (void)crash_fs_file(k.fs, NAME, &len);
    assert_int_equal(len, 15 * sizeof(page)); /* one piece of 120 KiB */
    assert_int_equal(sync_log(&k), SQLITE_OK);
    got = crash_fs_file(k.fs, NAME, &len);
    assert_int_equal(len, 20 * sizeof(page));
    for (size_t i = 0; i < len; i++)
        assert_int_equal(got[i], i / sizeof(page));
    assert_int_equal(gather_counts(k.g).writes, 0);
    assert_int_equal(gather_counts(k.g).syncs, 0);
    assert_int_equal(close_log(&k), SQLITE_OK);
    crash_fs_free(k.fs);
}

static void there_is_nothing_to_lie_over(void **state)
{
    (void)state;
    assert_null(gather_new("no such file system"));
    gather_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_in_the_log_are_counted_once),
        cmocka_unit_test(a_log_grows_ahead_and_keeps_what_it_has),
        cmocka_unit_test(a_log_that_finds_no_room_to_grow_goes_on),
        cmocka_unit_test(many_writes_become_few),
        cmocka_unit_test(a_log_is_what_a_plain_file_would_be),
        cmocka_unit_test(what_was_synced_outlives_the_power),
        cmocka_unit_test(a_late_failure_stays),
        cmocka_unit_test(pages_go_down_together),
        cmocka_unit_test(there_is_nothing_to_lie_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
