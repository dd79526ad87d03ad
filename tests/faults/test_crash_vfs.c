/*
 * The database over a file system that dies, tears and fails.
 *
 * Each scenario is played again and again, with the crash or failure at its 1st, 2nd, ... place,
 * until the script ends before the place is reached. After each, the database is opened anew: what
 * was committed is there, what was settled and committed is not, and no group is there by half.
 */
#include <sqlite3.h>
#include <time.h>

#include "tests/faults/crash_vfs.h"
#include "tests/faults/db_model.h"

#define VFS   "test-crash"
#define STEPS 120

struct death {
    struct crash_fs *fs;
    uint64_t at; /* the sync that is the last; 0: none */
    uint64_t syncs;
    bool is_after;
    bool has_come;
};

static enum crash_sync die(void *ctx, const char *file)
{
    struct death *d = ctx;

    (void)file;
    if (++d->syncs != d->at)
        return CRASH_SYNC_DO;
    d->has_come = true;
    return d->is_after ? CRASH_SYNC_DIE_AFTER : CRASH_SYNC_DIE_BEFORE;
}

/* Plays the script until its end or its first error. */
static void play(struct model *m, const char *vfs)
{
    struct db *db = NULL;
    int r = model_open(m, vfs, &db);

    for (int i = 0; i < STEPS && r == 0; i++)
        r = model_step(m, db);
    if (r == 0 && db && model_roll(m) % 2)
        (void)db_close(db); /* its failure is one of those the next opening has to do with */
    else
        db_abandon(db);
    assert_int_equal(m->tokens, 0);
}

static void check_reopened(struct model *m)
{
    struct db *db = NULL;

    if (model_open(m, VFS, &db) != 0)
        fail_msg("%s", m->why);
    model_check_recovered(m, db);
    for (int i = 0; i < 20; i++)
        assert_int_equal(model_step(m, db), 0);
    assert_int_equal(model_commit(m, db), 0);
    assert_true(model_is(m, db, &m->now));
    assert_int_equal(db_close(db), 0);
}

/* Opens after a first crash, and crashes at the same number of sync of the recovery. */
static void crash_in_recovery(struct crash_fs *fs, struct model *m, struct death *d, uint64_t seed)
{
    for (d->at = 1;; d->at++) {
        struct db *db = NULL;

        d->syncs = 0;
        d->has_come = false;
        if (model_open(m, VFS, &db) == 0) {
            /* Nothing is committed in between, so the state is still that of before. */
            model_check_recovered(m, db);
            db_abandon(db);
        }
        if (!d->has_come)
            return;
        crash_fs_cut(fs, seed + d->at);
    }
}

static bool crash_once(uint64_t seed, uint64_t at, bool power)
{
    struct crash_fs *fs = crash_fs_new(VFS);
    struct model *m = model_new(seed);
    struct death d = {.fs = fs, .at = at, .is_after = (seed + at) % 2};
    bool has_come;

    crash_fs_on_sync(fs, die, &d);
    play(m, VFS);
    has_come = d.has_come;
    if (power)
        crash_fs_cut(fs, seed ^ at);
    else
        crash_fs_kill(fs);
    if (has_come && power)
        crash_in_recovery(fs, m, &d, seed);
    crash_fs_on_sync(fs, NULL, NULL);
    check_reopened(m);
    model_free(m);
    crash_fs_free(fs);
    return has_come;
}

static uint64_t start_seed(void)
{
    const char *given = getenv("WARREN_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);

    print_message("WARREN_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

static void power_cut_at_every_sync(void **state)
{
    uint64_t seed = start_seed(), at = 1;

    (void)state;
    for (int round = 0; round < 3; round++) {
        for (at = 1; crash_once(seed + (uint64_t)round, at, true); at++)
            continue;
        assert_true(at > 5); /* the script did sync */
    }
}

static void kill_at_every_sync(void **state)
{
    uint64_t seed = start_seed(), at;

    (void)state;
    for (at = 1; crash_once(seed, at, false); at++)
        continue;
    assert_true(at > 5);
}

/* The nth call of the whole script fails; whether any did. */
static bool fail_once(uint64_t seed, uint64_t n, int code, bool is_for_ever)
{
    struct crash_fs *fs = crash_fs_new(VFS);
    struct model *m = model_new(seed);
    bool has_failed;

    crash_fs_fail(fs, n, code, is_for_ever);
    play(m, VFS);
    has_failed = crash_fs_has_failed(fs);
    crash_fs_fail(fs, 0, 0, false);
    /* In half of the cases the machine goes down upon the failure. */
    if (n % 2)
        crash_fs_cut(fs, seed + n);
    check_reopened(m);
    model_free(m);
    crash_fs_free(fs);
    return has_failed;
}

/* The calls of one script are many, so the places are taken with growing strides. */
static void fail_everywhere(int code, bool is_for_ever)
{
    uint64_t seed = start_seed(), n;

    for (n = 1; fail_once(seed, n, code, is_for_ever); n += 1 + n / 40)
        continue;
    assert_true(n > 30);
}

static void the_nth_call_fails_with_eio(void **state)
{
    (void)state;
    fail_everywhere(SQLITE_IOERR, false);
}

static void from_the_nth_call_on_all_fail(void **state)
{
    (void)state;
    fail_everywhere(SQLITE_IOERR, true);
}

static void the_nth_call_finds_the_disk_full(void **state)
{
    (void)state;
    fail_everywhere(SQLITE_FULL, false);
}

/* Recovery itself: each of its calls fails once; the next opening finds all. */
static void recovery_survives_each_failure(void **state)
{
    uint64_t seed = start_seed(), n;

    (void)state;
    for (n = 1;; n++) {
        struct crash_fs *fs = crash_fs_new(VFS);
        struct model *m = model_new(seed);
        struct db *db = NULL;
        bool has_failed;

        play(m, VFS);
        crash_fs_kill(fs);
        m->is_committing = false;
        crash_fs_fail(fs, n, SQLITE_IOERR, n % 2);
        if (model_open(m, VFS, &db) == 0)
            db_abandon(db);
        has_failed = crash_fs_has_failed(fs);
        crash_fs_fail(fs, 0, 0, false);
        check_reopened(m);
        model_free(m);
        crash_fs_free(fs);
        if (!has_failed)
            break;
    }
    assert_true(n > 20);
}

/*
 * That the file system can do harm at all: without synced commits a power cut loses some of what
 * was written, which is what the tests above would see if the database did not sync.
 */
static void unsynced_writes_are_lost(void **state)
{
    struct crash_fs *fs = crash_fs_new(VFS);
    int lost = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        const char *sql =
            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = EXTRA;"
            "PRAGMA journal_mode = WAL;"
            "PRAGMA synchronous = NORMAL; CREATE TABLE IF NOT EXISTS t(a);"
            "DELETE FROM t; PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO t VALUES (1);";
        sqlite3_stmt *st;
        sqlite3 *h;

        assert_int_equal(sqlite3_open_v2("f", &h, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, VFS),
                         0);
        assert_int_equal(sqlite3_exec(h, sql, NULL, NULL, NULL), SQLITE_OK);
        crash_fs_cut(fs, seed);
        (void)sqlite3_close(h); /* a dead handle */
        assert_int_equal(sqlite3_open_v2("f", &h, SQLITE_OPEN_READWRITE, VFS), 0);
        assert_int_equal(sqlite3_exec(h, "PRAGMA locking_mode = EXCLUSIVE", NULL, NULL, NULL), 0);
        assert_int_equal(sqlite3_prepare_v2(h, "SELECT count(*) FROM t", -1, &st, NULL), 0);
        assert_int_equal(sqlite3_step(st), SQLITE_ROW);
        lost += sqlite3_column_int(st, 0) == 0;
        (void)sqlite3_finalize(st); /* done with */
        (void)sqlite3_close(h);     /* nothing is open in it */
    }
    assert_true(lost > 0);
    crash_fs_free(fs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unsynced_writes_are_lost),
        cmocka_unit_test(power_cut_at_every_sync),
        cmocka_unit_test(kill_at_every_sync),
        cmocka_unit_test(the_nth_call_fails_with_eio),
        cmocka_unit_test(from_the_nth_call_on_all_fail),
        cmocka_unit_test(the_nth_call_finds_the_disk_full),
        cmocka_unit_test(recovery_survives_each_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
