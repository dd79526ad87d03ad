/*
 * Databases of earlier versions, as those versions wrote them, and the frame that takes them to
 * this one, with a crash or failure at each call below it.
 *
 * usage: test_migrate DIR. DIR/store-vN.sql is what version N made of this: queue 1 has messages 17
 * to 40, 5 and 12, in part with flags, priority and expiry; queue 2 has 16, 24, ... 80; both have
 * one more of the same bytes, 50 and 90. A version whose step changes what can be kept puts more
 * into its own file.
 */
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
#include "persistence/schema.h"
#include "persistence/sql.h"
#include "tests/faults/crash_vfs.h"

#define VFS "test-migrate"

static const char *fixtures;

static char *read_fixture(int version)
{
    char path[512], *text;
    long size;
    FILE *f;

    snprintf(path, sizeof(path), "%s/store-v%d.sql", fixtures, version);
    f = fopen(path, "re");
    if (!f)
        fail_msg("%s is missing", path);
    (void)fseek(f, 0, SEEK_END);
    size = ftell(f);
    rewind(f);
    text = calloc(1, (size_t)size + 1);
    assert_int_equal(fread(text, 1, (size_t)size, f), size);
    fclose(f);
    return text;
}

static void load_fixture(int version)
{
    char *text = read_fixture(version), *why = NULL;
    sqlite3 *h;

    assert_int_equal(
        sqlite3_open_v2("d/store.sqlite", &h, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, VFS), 0);
    /* Else a power cut could bring the journal of the loading back. */
    assert_int_equal(sqlite3_exec(h, "PRAGMA synchronous = EXTRA", NULL, NULL, NULL), 0);
    if (sqlite3_exec(h, text, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("version %d: %s", version, why);
    assert_int_equal(sqlite3_close(h), SQLITE_OK);
    free(text);
}

static int open_db(struct db **ret, char *why, size_t size)
{
    const struct db_config config = {.dir = "d", .vfs = VFS};

    return db_open(&config, ret, why, size);
}

static struct db *must_open(void)
{
    struct db *db = NULL;
    char why[200];

    if (open_db(&db, why, sizeof(why)) != 0)
        fail_msg("%s", why);
    return db;
}

static void check_text(struct db *db, uint64_t queue, uint64_t seq, const char *want)
{
    char buf[100];
    int64_t n = db_read(db, queue, seq, buf);

    assert_int_equal(n, strlen(want));
    assert_memory_equal(buf, want, strlen(want));
}

static void check_message(struct db *db, uint64_t queue, const struct db_entry *e)
{
    uint64_t s = queue == 1 ? e->seq : e->seq / 2;
    char want[100];

    if (e->seq == (queue == 1 ? 50 : 90)) {
        check_text(db, queue, e->seq, "shared by both queues");
        return;
    }
    snprintf(want, sizeof(want), "message %llu of queue %llu", (unsigned long long)s,
             (unsigned long long)queue);
    check_text(db, queue, e->seq, want);
    if (queue != 1)
        return;
    assert_int_equal(e->attr.flags, s % 3 ? 0 : s);
    assert_int_equal(e->attr.priority, s % 5 ? 0 : 4);
    assert_true(e->attr.expiry_ms == (s % 7 ? 0 : 1234567890123));
}

static int check_queue(struct db *db, uint64_t queue)
{
    struct db_entry e[16];
    uint64_t from = 0;
    int n, total = 0;

    while ((n = db_entries(db, queue, &from, e, 16)) > 0) {
        for (int i = 0; i < n; i++)
            check_message(db, queue, &e[i]);
        total += n;
    }
    assert_int_equal(n, 0);
    return total;
}

static int see_def(void *ctx, const struct db_def *def)
{
    unsigned *seen = ctx;

    if (def->kind == DB_SETTING) {
        assert_true(def->name.len == 1 && def->type.len == 6);
    } else if (def->kind == DB_BINDING) {
        assert_true(def->source == 3 && def->key.len == 1 && def->args.len == 0);
    } else {
        assert_true(def->args.len == 3 && memcmp(def->args.p, "a\0b", 3) == 0);
        assert_int_equal(def->flags, def->kind == DB_QUEUE ? def->id : 5);
    }
    seen[def->kind]++;
    return 0;
}

static void check_all(struct db *db)
{
    unsigned seen[DB_SETTING + 1] = {0};
    uint64_t id;

    assert_int_equal(check_queue(db, 1), 27);
    assert_int_equal(check_queue(db, 2), 10);
    assert_int_equal(db_each_def(db, see_def, seen), 0);
    assert_true(seen[DB_QUEUE] == 2 && seen[DB_EXCHANGE] == 1);
    assert_true(seen[DB_BINDING] == 2 && seen[DB_SETTING] == 1);
    assert_int_equal(db_reserve_ids(db, 1, &id), 0);
    assert_true(id >= 1025);
}

static void each_version_is_opened(void **state)
{
    (void)state;
    for (int version = 1; version <= SCHEMA_VERSION; version++) {
        struct crash_fs *fs = crash_fs_new(VFS);
        struct db *db;
        int r;

        load_fixture(version);
        db = must_open();
        check_all(db);
        assert_int_equal(db_close(db), 0);
        db = must_open();
        check_all(db);
        assert_int_equal(db_queue_info(db, 3).n_live, 0);
        assert_true(db_is_trimming(db) == (version > 2));
        assert_int_equal(db_commit(db), 0);
        while ((r = db_trim_step(db, 2)) > 0)
            continue;
        assert_int_equal(r, 0);
        check_all(db);
        db_abandon(db);
        db = must_open();
        assert_false(db_is_trimming(db));
        check_all(db);
        db_abandon(db);
        crash_fs_free(fs);
    }
}

static void each_version_is_salvaged(void **state)
{
    const struct db_config config = {.dir = "new", .vfs = VFS};

    (void)state;
    for (int version = SCHEMA_SALVAGE_FROM; version <= SCHEMA_VERSION; version++) {
        struct crash_fs *fs = crash_fs_new(VFS);
        struct db_salvaged found;
        struct db *db = NULL;
        char why[200];

        load_fixture(version);
        if (db_salvage("d", "new", VFS, &found, why, sizeof(why)) != 0)
            fail_msg("version %d: %s", version, why);
        assert_int_equal(found.messages, 37);
        assert_true(found.definitions == 6 && !found.definitions_lost);
        assert_true(found.lost + found.orphans + found.lists_lost + found.acks_lost == 0);
        assert_int_equal(db_open(&config, &db, why, sizeof(why)), 0);
        check_all(db);
        assert_int_equal(db_close(db), 0);
        crash_fs_free(fs);
    }
}

/* The opening of an earlier version's database fails at its nth call; whether it came that far. */
static bool open_fails(int version, uint64_t n)
{
    struct crash_fs *fs = crash_fs_new(VFS);
    struct db *db = NULL;
    bool has_failed;
    char why[200];

    load_fixture(version);
    crash_fs_fail(fs, n, SQLITE_IOERR, n % 3 == 0);
    if (open_db(&db, why, sizeof(why)) == 0)
        db_abandon(db);
    has_failed = crash_fs_has_failed(fs);
    crash_fs_fail(fs, 0, 0, false);
    if (n % 2)
        crash_fs_cut(fs, n);
    db = must_open();
    check_all(db);
    assert_int_equal(db_close(db), 0);
    crash_fs_free(fs);
    return has_failed;
}

static void a_migration_that_fails_goes_on(void **state)
{
    (void)state;
    for (int version = 1; version <= SCHEMA_VERSION; version++) {
        uint64_t n = 1;

        while (open_fails(version, n))
            n++;
        assert_true(n > 20);
    }
}

/*
 * The frame by itself, with steps of its own.
 */

static int double_all(struct sql *sql)
{
    return sql_exec(sql, "UPDATE old SET a = 2 * a");
}

static const struct schema_step steps[] = {
    {.text = "ALTER TABLE segment ADD COLUMN more INTEGER; CREATE TABLE old(a INTEGER) STRICT;"
             "INSERT INTO old VALUES (1), (2), (3)"},
    {.fn = double_all},
    {.text = "CREATE TABLE new(a INTEGER) STRICT; INSERT INTO new SELECT a + 1 FROM old;"
             "DROP TABLE old"},
};

enum { N_STEPS = sizeof(steps) / sizeof(steps[0]) };

static int open_sql(struct sql **ret)
{
    char why[200];
    int r = sql_open("d/store.sqlite", VFS, ret, why, sizeof(why));

    if (r == 0)
        r = sql_exec(*ret, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = EXTRA");
    return r;
}

/* Each version has what its step left, and nothing of the next. */
static int check_version(struct sql *sql)
{
    static const char *const sums[] = {"SELECT 0", "SELECT sum(a) FROM old",
                                       "SELECT sum(a) FROM old", "SELECT sum(a) FROM new"};
    static const int want[] = {0, 6, 12, 15}, n_tables[] = {9, 10, 10, 10};
    int64_t version, sum, n;

    assert_int_equal(sql_number(sql, "PRAGMA user_version", &version), 0);
    assert_in_range(version, 1, N_STEPS + 1);
    assert_int_equal(sql_number(sql, sums[version - 1], &sum), 0);
    assert_int_equal(sum, want[version - 1]);
    assert_int_equal(sql_number(sql, "SELECT count(*) FROM sqlite_schema WHERE type = 'table'", &n),
                     0);
    assert_int_equal(n, n_tables[version - 1]);
    return (int)version;
}

static bool migrate_fails(uint64_t n)
{
    struct crash_fs *fs = crash_fs_new(VFS);
    struct sql *sql = NULL;
    bool has_failed;
    int r, version;

    load_fixture(1);
    r = open_sql(&sql);
    crash_fs_fail(fs, n, n % 5 ? SQLITE_IOERR : SQLITE_FULL, n % 3 == 0);
    if (r == 0)
        r = schema_migrate(sql, 1, steps, N_STEPS);
    has_failed = crash_fs_has_failed(fs);
    assert_true(r < 0 || !has_failed);
    crash_fs_fail(fs, 0, 0, false);
    if (n % 2)
        crash_fs_cut(fs, n);
    else
        crash_fs_kill(fs);
    sql_close(sql);

    assert_int_equal(open_sql(&sql), 0);
    version = check_version(sql);
    assert_int_equal(schema_migrate(sql, version, steps, N_STEPS), 0);
    assert_int_equal(check_version(sql), N_STEPS + 1);
    sql_close(sql);
    crash_fs_free(fs);
    return has_failed;
}

static void a_step_is_done_whole_or_not_at_all(void **state)
{
    uint64_t n = 1;

    (void)state;
    while (migrate_fails(n))
        n++;
    assert_true(n > 20);
}

static void a_newer_version_is_refused_and_left_alone(void **state)
{
    struct crash_fs *fs = crash_fs_new(VFS);
    struct sql *sql = NULL;
    struct db *db = NULL;
    char why[200] = "";
    int64_t version;

    (void)state;
    load_fixture(1);
    assert_int_equal(open_sql(&sql), 0);
    assert_int_equal(sql_exec(sql, "PRAGMA user_version = 1000"), 0);
    sql_close(sql);
    assert_int_equal(db_probe("d", VFS, why, sizeof(why)), -ENOTSUP);
    assert_int_equal(open_db(&db, why, sizeof(why)), -ENOTSUP);
    assert_non_null(strstr(why, "d is of a newer version (1000, this program knows "));
    assert_int_equal(open_sql(&sql), 0);
    assert_int_equal(sql_number(sql, "PRAGMA user_version", &version), 0);
    assert_int_equal(version, 1000);
    sql_close(sql);
    crash_fs_free(fs);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_version_is_opened),
        cmocka_unit_test(each_version_is_salvaged),
        cmocka_unit_test(a_migration_that_fails_goes_on),
        cmocka_unit_test(a_step_is_done_whole_or_not_at_all),
        cmocka_unit_test(a_newer_version_is_refused_and_left_alone),
    };

    if (argc != 2)
        return 2;
    fixtures = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
