/*
 * Copies of a database that is in use: each is as a commit left it, the work goes on, and what
 * fails in one leaves the other alone.
 */
#include <sqlite3.h>
#include <time.h>

#include "tests/faults/crash_vfs.h"
#include "tests/faults/db_model.h"

#define VFS  "test-copy"
#define COPY "copy/store.sqlite"

static uint64_t start_seed(void)
{
    uint64_t seed = (uint64_t)time(NULL);

    print_message("seed %llu\n", (unsigned long long)seed);
    return seed;
}

/* Opens a finished copy and compares it with what was durable when it was done. */
static void check_copy(struct model *m)
{
    const struct db_config config = {.dir = "copy", .vfs = VFS};
    struct db_found found;
    struct db *db = NULL;
    char why[200];

    if (db_verify("copy", VFS, &found, why, sizeof(why)) != 0)
        fail_msg("%s", why);
    if (db_open(&config, &db, why, sizeof(why)) != 0)
        fail_msg("%s", why);
    assert_true(model_is(m, db, &m->durable));
    assert_int_equal(db_group(db), found.group);
    assert_int_equal(db_close(db), 0);
}

/* Steps of both till the copy has an end: 0 or its error; *ret_step is an error of the database. */
static int copy_while_working(struct model *m, struct db *db, int *ret_steps, int *ret_error)
{
    int r = db_copy_begin(db, COPY);

    *ret_steps = *ret_error = 0;
    if (r == -EBUSY)
        return 1;
    if (r == 0)
        r = 1;
    while (r == 1) {
        uint64_t done, all;

        for (int i = 0; i < 3 && *ret_error == 0; i++)
            *ret_error = model_step(m, db);
        if (*ret_error == 0)
            *ret_error = model_commit(m, db);
        if (*ret_error < 0)
            return 1;
        r = db_copy_step(db, 4);
        ++*ret_steps;
        db_copy_progress(db, &done, &all);
        assert_true(done <= all);
    }
    return r;
}

static void a_copy_is_the_database_as_it_is_at_the_last_step(void **state)
{
    uint64_t seed = start_seed();

    (void)state;
    for (int round = 0; round < 12; round++) {
        struct crash_fs *fs = crash_fs_new(VFS);
        struct model *m = model_new(seed + (uint64_t)round);
        struct db *db = NULL;
        int steps = 0, error = 0;
        size_t size = 0;

        assert_int_equal(model_open(m, VFS, &db), 0);
        for (int i = 0; i < 150; i++)
            assert_int_equal(model_step(m, db), 0);
        assert_int_equal(model_commit(m, db), 0);
        assert_int_equal(copy_while_working(m, db, &steps, &error), 0);
        assert_non_null(crash_fs_file(fs, COPY, &size));
        /* What was written meanwhile did not make it begin again. */
        assert_in_range(steps, 2, size / DB_PAGE_BYTES / 2 + 20);
        check_copy(m);
        for (int i = 0; i < 30; i++)
            assert_int_equal(model_step(m, db), 0);
        assert_int_equal(model_commit(m, db), 0);
        assert_true(model_is(m, db, &m->now));
        assert_int_equal(db_close(db), 0);
        model_free(m);
        crash_fs_free(fs);
    }
}

/* Whether the nth call after the start failed. */
static bool fail_once(uint64_t seed, uint64_t n)
{
    struct crash_fs *fs = crash_fs_new(VFS);
    struct model *m = model_new(seed);
    struct db *db = NULL;
    int steps, error, r;
    bool has_failed;

    assert_int_equal(model_open(m, VFS, &db), 0);
    for (int i = 0; i < 60; i++)
        assert_int_equal(model_step(m, db), 0);
    assert_int_equal(model_commit(m, db), 0);
    crash_fs_fail(fs, n, n % 2 ? SQLITE_IOERR : SQLITE_FULL, false);
    r = copy_while_working(m, db, &steps, &error);
    has_failed = crash_fs_has_failed(fs);
    crash_fs_fail(fs, 0, 0, false);
    if (r == 0)
        check_copy(m);
    if (error < 0) {
        db_abandon(db);
        assert_int_equal(model_open(m, VFS, &db), 0);
        model_check_recovered(m, db);
    }
    for (int i = 0; i < 10; i++)
        assert_int_equal(model_step(m, db), 0);
    assert_int_equal(model_commit(m, db), 0);
    assert_true(model_is(m, db, &m->now));
    assert_int_equal(db_close(db), 0);
    model_free(m);
    crash_fs_free(fs);
    return has_failed;
}

static void what_fails_is_one_of_the_two(void **state)
{
    uint64_t seed = start_seed(), n;

    (void)state;
    for (n = 1; fail_once(seed, n); n += 1 + n / 30)
        continue;
    assert_true(n > 15);
}

/* The program dies in the midst of a copy: the database is whole, and another copy can be made. */
static void a_copy_is_cut_short(void **state)
{
    struct crash_fs *fs = crash_fs_new(VFS);
    struct model *m = model_new(start_seed());
    struct db *db = NULL;
    int steps, error;

    (void)state;
    assert_int_equal(model_open(m, VFS, &db), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(model_step(m, db), 0);
    assert_int_equal(model_commit(m, db), 0);
    assert_int_equal(db_copy_begin(db, "half"), 0);
    assert_int_equal(db_copy_step(db, 1), 1);
    crash_fs_kill(fs);
    db_abandon(db);
    assert_int_equal(model_open(m, VFS, &db), 0);
    model_check_recovered(m, db);
    assert_int_equal(db_copy_begin(db, "given up"), 0);
    db_copy_end(db);
    assert_int_equal(copy_while_working(m, db, &steps, &error), 0);
    check_copy(m);
    assert_int_equal(db_close(db), 0);
    model_free(m);
    crash_fs_free(fs);
}

static void damage_is_found(void **state)
{
    struct crash_fs *fs = crash_fs_new(VFS);
    struct model *m = model_new(start_seed());
    const struct db_add add = {.queue = 9, .seq = 1, .iov = {{"FIND-ME", 7}}};
    struct db_found found;
    struct db *db = NULL;
    char why[200];
    size_t size;
    uint8_t *p;

    (void)state;
    assert_int_equal(model_open(m, VFS, &db), 0);
    assert_int_equal(db_add(db, &add, 0), 0);
    assert_int_equal(db_commit(db), 0);
    assert_int_equal(db_close(db), 0);
    assert_int_equal(db_verify("d", VFS, &found, why, sizeof(why)), 0);
    assert_true(found.messages == 1 && found.bytes == 7 && found.queues == 1);
    p = crash_fs_file(fs, "d/store.sqlite", &size);
    p = memmem(p, size, "FIND-ME", 7);
    assert_non_null(p);
    *p = 'X';
    assert_int_equal(db_verify("d", VFS, &found, why, sizeof(why)), -EUCLEAN);
    assert_non_null(strstr(why, "message 1 of queue 9"));
    model_free(m);
    crash_fs_free(fs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_is_the_database_as_it_is_at_the_last_step),
        cmocka_unit_test(what_fails_is_one_of_the_two),
        cmocka_unit_test(a_copy_is_cut_short),
        cmocka_unit_test(damage_is_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
