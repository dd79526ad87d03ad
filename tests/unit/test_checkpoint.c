/* A checkpoint in steps, whose sync goes on beside the commits: what it leaves to the last one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "persistence/db.h"
#include "tests/faults/crash_vfs.h"
#include "tests/unit/db_kit.h"

#define VFS  "test-checkpoint"
#define LONG 200000

static int setup(void **state)
{
    *state = crash_fs_new(VFS);
    return 0;
}

static struct db *open_db(void)
{
    const struct db_config config = {.dir = "d", .vfs = VFS};
    char why[200];
    struct db *db = NULL;

    if (db_open(&config, &db, why, sizeof(why)) < 0)
        fail_msg("%s", why);
    return db;
}

/* Many pages, whose bytes tell the seq. */
static void add_long(struct db *db, uint64_t seq)
{
    uint8_t *bytes = malloc(LONG);
    const struct db_add add = {.queue = 1, .seq = seq, .iov = {{bytes, LONG}}};

    memset(bytes, (int)seq, LONG);
    assert_int_equal(db_add(db, &add, 0), 0);
    assert_int_equal(db_commit(db), 0);
    free(bytes);
}

static void assert_long(struct db *db, uint64_t seq)
{
    uint8_t *bytes = malloc(LONG), *want = malloc(LONG);

    memset(want, (int)seq, LONG);
    assert_int_equal(db_read(db, 1, seq, bytes), LONG);
    assert_memory_equal(bytes, want, LONG);
    free(bytes);
    free(want);
}

static int copy_all(struct db *db)
{
    int steps = 1, r;

    while ((r = db_checkpoint_step(db, 50000)) == 1)
        steps++;
    assert_int_equal(r, 0);
    return steps;
}

static int flush(struct db *db)
{
    struct db_flush f;
    int r;

    assert_int_equal(db_flush_begin(db, &f), 0);
    r = db_flush_run(&f);
    if (r == 0)
        db_flush_end(db, &f);
    db_flush_fini(&f);
    return r;
}

static struct db *cut_and_reopen(struct crash_fs *fs, struct db *db, uint64_t seed)
{
    crash_fs_cut(fs, seed);
    db_abandon(db);
    return open_db();
}

static void steps_leave_nothing_to_copy_or_sync(void **state)
{
    struct crash_fs *fs = *state;
    struct db *db = open_db();
    uint64_t all, syncs;

    add_long(db, 1);
    all = db_checkpoint_bytes(db);
    assert_true(all > LONG);
    assert_int_equal(db_checkpoint_step(db, 50000), 1);
    assert_in_range(all - db_checkpoint_bytes(db), 1, 50000);
    assert_in_range(copy_all(db), 3, 10);
    assert_int_equal(copy_all(db), 1); /* once is enough */
    assert_true(db_wal_bytes(db) > LONG);
    assert_int_equal(flush(db), 0);
    syncs = crash_fs_syncs(fs);
    assert_int_equal(db_checkpoint(db), 0);
    assert_int_equal(crash_fs_syncs(fs), syncs);
    assert_int_equal(db_wal_bytes(db), 0);
    for (uint64_t seed = 1; seed <= 10; seed++) {
        add_long(db, 1 + seed); /* in the log's place */
        db = cut_and_reopen(fs, db, seed);
        for (uint64_t seq = 1; seq <= 1 + seed; seq++)
            assert_long(db, seq);
    }
    assert_int_equal(db_close(db), 0);
}

static void what_came_meanwhile_is_copied_and_synced(void **state)
{
    struct crash_fs *fs = *state;
    struct db *db = open_db();
    uint64_t syncs;

    for (uint64_t seed = 1; seed <= 10; seed++) {
        add_long(db, 2 * seed);
        (void)copy_all(db);
        add_long(db, 2 * seed + 1); /* writes some of the same pages */
        assert_int_equal(flush(db), 0);
        syncs = crash_fs_syncs(fs);
        assert_int_equal(db_checkpoint(db), 0);
        assert_int_equal(crash_fs_syncs(fs), syncs + 1);
        add_long(db, 1000 + seed);
        db = cut_and_reopen(fs, db, seed);
        for (uint64_t seq = 2; seq <= 2 * seed + 1; seq++)
            assert_long(db, seq);
    }
    assert_int_equal(db_close(db), 0);
}

static void without_a_flush_the_checkpoint_syncs(void **state)
{
    struct crash_fs *fs = *state;
    struct db *db = open_db();
    uint64_t syncs;

    add_long(db, 1);
    (void)copy_all(db);
    syncs = crash_fs_syncs(fs);
    assert_int_equal(db_checkpoint(db), 0);
    assert_int_equal(crash_fs_syncs(fs), syncs + 1);
    assert_int_equal(db_close(db), 0);
}

static void a_flush_that_fails_says_so(void **state)
{
    struct crash_fs *fs = *state;
    struct db *db = open_db();
    uint64_t syncs;

    add_long(db, 1);
    (void)copy_all(db);
    assert_int_equal(flush(db), 0); /* has its file open now */
    add_long(db, 2);
    (void)copy_all(db);
    crash_fs_fail(fs, 1, SQLITE_IOERR, false);
    assert_int_equal(flush(db), -EIO);
    assert_true(crash_fs_has_failed(fs));
    syncs = crash_fs_syncs(fs);
    assert_int_equal(db_checkpoint(db), 0);
    assert_int_equal(crash_fs_syncs(fs), syncs + 1); /* it counted for nothing */
    assert_int_equal(db_close(db), 0);
}

static void a_flush_may_outlive_its_database(void **state)
{
    struct db *db = open_db(), *next;
    struct db_flush f;

    (void)state;
    add_long(db, 1);
    (void)copy_all(db);
    assert_int_equal(db_flush_begin(db, &f), 0);
    db_abandon(db);
    next = open_db();
    assert_int_equal(db_flush_run(&f), 0);
    db_flush_fini(&f);
    assert_long(next, 1);
    assert_int_equal(db_close(next), 0);
}

/* A step that is cut short has not damaged what a transaction that follows builds upon. */
static void steps_and_commits_by_turns(void **state)
{
    struct db *db = open_db();

    (void)state;
    for (uint64_t seq = 1; seq <= 40; seq++) {
        add_long(db, seq);
        assert_true(db_checkpoint_step(db, 30000 * (seq % 7)) >= 0);
        if (seq % 10 == 0)
            assert_int_equal(db_checkpoint(db), 0);
        for (uint64_t i = 1; i <= seq; i += 3)
            assert_long(db, i);
    }
    assert_int_equal(add_text(db, 2, 1, "x"), 0);
    assert_int_equal(db_commit(db), 0);
    assert_text(db, 2, 1, "x");
    assert_int_equal(db_close(db), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(steps_leave_nothing_to_copy_or_sync),  TEST(what_came_meanwhile_is_copied_and_synced),
        TEST(without_a_flush_the_checkpoint_syncs), TEST(a_flush_that_fails_says_so),
        TEST(a_flush_may_outlive_its_database),     TEST(steps_and_commits_by_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
