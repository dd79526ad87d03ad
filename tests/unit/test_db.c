/* The database on a file system in memory: each promise of db.h, and random operations. */
#include <errno.h>
#include <sqlite3.h>
#include <time.h>

#include "tests/faults/crash_vfs.h"
#include "tests/faults/db_model.h"
#include "tests/unit/db_kit.h"

#define VFS "test-db"

static int released;

static void count_release(void *ctx, void *token)
{
    (void)ctx;
    (void)token;
    released++;
}

static struct db *open_db(void)
{
    const struct db_config config = {.dir = "d", .vfs = VFS, .release = count_release};
    char why[200];
    struct db *db = NULL;
    int r = db_open(&config, &db, why, sizeof(why));

    if (r < 0)
        fail_msg("%d: %s", r, why);
    return db;
}

static int setup(void **state)
{
    *state = crash_fs_new(VFS);
    released = 0;
    return 0;
}

static void what_was_committed_is_there(void **state)
{
    struct db *db = open_db();

    (void)state;
    assert_int_equal(db_epoch(db), 1);
    assert_int_equal(add_text(db, 7, 1, "one"), 0);
    assert_int_equal(add_text(db, 7, 5, "five"), 0);
    assert_int_equal(add_text(db, 8, 1, ""), 0);
    assert_text(db, 7, 5, "five"); /* also before the commit */
    assert_int_equal(db_commit(db), 0);
    assert_int_equal(db_group(db), 1);
    assert_int_equal(add_text(db, 7, 6, "lost"), 0);
    assert_int_equal(db_close(db), 0);

    db = open_db();
    assert_int_equal(db_epoch(db), 2);
    assert_int_equal(db_group(db), 1);
    assert_text(db, 7, 1, "one");
    assert_text(db, 7, 5, "five");
    assert_text(db, 8, 1, "");
    assert_int_equal(db_record_len(db, 7, 6), -ENOENT);
    assert_int_equal(db_queue_info(db, 7).max_seq, 5);
    assert_int_equal(db_ack(db, 7, 1, 0), DB_SETTLED);
    assert_int_equal(db_ack(db, 7, 1, 0), DB_UNKNOWN);
    assert_int_equal(db_commit(db), 0);
    db_abandon(db);

    db = open_db();
    assert_int_equal(db_group(db), 2);
    assert_int_equal(db_record_len(db, 7, 1), -ENOENT);
    assert_text(db, 7, 5, "five");
    assert_int_equal(db_close(db), 0);
}

/* A transaction's messages have their seqs before it is known when they will be committed. */
static void seqs_come_in_any_order(void **state)
{
    static const uint64_t groups[4][2] = {{10, 40}, {20, 30}, {5, 50}, {45, 35}};
    static const uint64_t all[8] = {5, 10, 20, 30, 35, 40, 45, 50};
    struct db *db = open_db();
    struct db_entry e[9];
    uint64_t from = 0;

    (void)state;
    for (int g = 0; g < 4; g++) {
        assert_int_equal(add_text(db, 3, groups[g][0], "a"), 0);
        assert_int_equal(add_text(db, 3, groups[g][1], "b"), 0);
        assert_int_equal(db_commit(db), 0);
    }
    for (int round = 0; round < 2; round++, from = 0) {
        assert_int_equal(db_entries(db, 3, &from, e, 9), 8);
        for (int i = 0; i < 8; i++)
            assert_int_equal(e[i].seq, all[i]);
        assert_int_equal(db_close(db), 0);
        db = open_db();
    }
    assert_int_equal(db_queue_info(db, 3).max_seq, 50);
    assert_int_equal(db_ack_range(db, 3, 11, 35, 0), 3);
    assert_text(db, 3, 40, "b");
    assert_int_equal(db_commit(db), 0);
    assert_int_equal(db_close(db), 0);
    db = open_db();
    assert_int_equal(db_entries(db, 3, &from, e, 9), 5);
    assert_true(e[1].seq == 10 && e[2].seq == 40 && e[4].seq == 50);
    assert_int_equal(db_close(db), 0);
}

static void sent_again_is_kept_once(void **state)
{
    struct db *db = open_db();

    (void)state;
    assert_int_equal(add_text(db, 1, 1, "x"), 0);
    assert_int_equal(add_text(db, 1, 1, "x"), 1);
    assert_int_equal(db_commit(db), 0);
    assert_int_equal(add_text(db, 1, 1, "x"), 1);
    assert_true(db_pending(db).due_us == UINT64_MAX);
    assert_int_equal(db_queue_info(db, 1).n_live, 1);
    assert_int_equal(db_close(db), 0);
}

static bool file_has(struct crash_fs *fs, const char *name, const char *text)
{
    size_t len = 0;
    const uint8_t *p = crash_fs_file(fs, name, &len);

    return p && memmem(p, len, text, strlen(text));
}

static void settled_before_written_is_never_written(void **state)
{
    struct crash_fs *fs = *state;
    struct db *db = open_db();

    assert_int_equal(add_text(db, 1, 1, "NEVER-ON-DISK"), 0);
    assert_int_equal(add_text(db, 1, 2, "ON-DISK"), 0);
    assert_int_equal(db_ack(db, 1, 1, 0), DB_WITHDRAWN);
    assert_int_equal(db_pending(db).adds, 1);
    assert_int_equal(db_commit(db), 0);
    assert_true(file_has(fs, "d/store.sqlite-wal", "ON-DISK"));
    assert_false(file_has(fs, "d/store.sqlite-wal", "NEVER-ON-DISK"));

    assert_int_equal(add_text(db, 1, 3, "x"), 0);
    assert_int_equal(db_ack(db, 1, 3, 0), DB_WITHDRAWN);
    assert_int_equal(db_commit(db), 0);
    assert_int_equal(db_group(db), 1); /* nothing was left to write */
    assert_int_equal(db_close(db), 0);
}

static void what_a_commit_leaves_goes_into_a_later_one(void **state)
{
    struct db *db = open_db();

    (void)state;
    assert_int_equal(add_text(db, 1, 1, "acked"), 0);
    assert_int_equal(db_commit(db), 0);
    for (uint64_t seq = 2; seq <= 5; seq++)
        assert_int_equal(add_text(db, 1, seq, "waits"), 0);
    assert_int_equal(db_ack(db, 1, 1, 0), DB_SETTLED);
    assert_int_equal(db_commit_some(db, 1), 0); /* one more than fits */
    assert_true(db_pending(db).adds == 3 && db_pending(db).acks == 0);
    assert_int_equal(db_pending(db).due_us, 0); /* they have waited as long as they may */
    assert_int_equal(db_first_pending(db, 1), 3);
    assert_text(db, 1, 4, "waits");
    assert_int_equal(db_ack(db, 1, 4, 0), DB_WITHDRAWN);
    assert_int_equal(db_ack(db, 1, 2, 0), DB_SETTLED);
    assert_int_equal(db_commit_some(db, 0), 0); /* acks alone */
    assert_true(db_pending(db).adds == 2 && db_first_pending(db, 1) == 3);
    assert_int_equal(db_group(db), 3);
    assert_int_equal(db_commit_some(db, 0), 0); /* nothing */
    assert_int_equal(db_group(db), 3);
    assert_int_equal(db_commit_some(db, 1), 0);
    db_abandon(db);

    db = open_db();
    assert_int_equal(db_group(db), 4);
    assert_int_equal(db_queue_info(db, 1).n_live, 1);
    assert_text(db, 1, 3, "waits");
    assert_true(db_first_pending(db, 1) == UINT64_MAX && db_first_pending(db, 9) == UINT64_MAX);
    assert_int_equal(db_close(db), 0);
}

static void a_fan_out_is_written_once(void **state)
{
    struct crash_fs *fs = *state;
    struct db *db = open_db();
    static char body[60000];
    size_t before = settled_size(fs, db), after;

    memset(body, 'b', sizeof(body));
    for (uint64_t q = 1; q <= 50; q++) {
        const struct db_add add = {.queue = q,
                                   .seq = 9,
                                   .iov = {{body, 10}, {body + 10, sizeof(body) - 10}},
                                   .key = body,
                                   .token = body};

        assert_int_equal(db_add(db, &add, 0), 0);
    }
    assert_int_equal(db_ack(db, 1, 9, 0), DB_WITHDRAWN);
    assert_int_equal(released, 1);
    after = settled_size(fs, db);
    assert_int_equal(released, 50);
    assert_true(after - before < 2 * sizeof(body));
    for (uint64_t q = 2; q <= 49; q++)
        assert_int_equal(db_ack(db, q, 9, 0), DB_SETTLED);
    assert_true(settled_size(fs, db) >= after - 32768); /* one queue still has it */
    assert_int_equal(db_read(db, 50, 9, (char[sizeof(body)]){0}), sizeof(body));
    assert_int_equal(db_ack(db, 50, 9, 0), DB_SETTLED);
    assert_true(settled_size(fs, db) <= before + 32768);
    assert_int_equal(db_close(db), 0);
}

static void a_long_record_has_its_own_segment(void **state)
{
    struct db *db = open_db();
    size_t len = 3 << 20;
    char *body = malloc(len), *back = malloc(len);
    const struct db_add add = {.queue = 1, .seq = 2, .iov = {{body, len}}, .token = body};
    const struct db_add halves = {
        .queue = 1, .seq = 4, .iov = {{body, 5}, {body + 5, len - 5}}, .token = body};
    const struct db_add huge = {
        .queue = 1, .seq = 5, .iov = {{body, (size_t)DB_RECORD_MAX + 1}}, .token = body};

    (void)state;
    for (size_t i = 0; i < len; i++)
        body[i] = (char)(i * 13 >> 3);
    assert_int_equal(add_text(db, 1, 1, "before"), 0);
    assert_int_equal(db_add(db, &add, 0), 0);
    assert_int_equal(add_text(db, 1, 3, "after"), 0);
    assert_int_equal(db_add(db, &halves, 0), 0);
    assert_int_equal(db_add(db, &huge, 0), -EMSGSIZE);
    assert_int_equal(db_commit(db), 0);
    assert_int_equal(db_close(db), 0);
    db = open_db();
    assert_text(db, 1, 1, "before");
    assert_text(db, 1, 3, "after");
    for (uint64_t seq = 2; seq <= 4; seq += 2) {
        assert_int_equal(db_read(db, 1, seq, back), len);
        assert_memory_equal(back, body, len);
    }
    assert_int_equal(db_close(db), 0);
    free(body);
    free(back);
}

static int count_kinds(void *ctx, const struct db_def *def)
{
    ((int *)ctx)[def->kind]++;
    if (def->kind == DB_BINDING)
        assert_true(def->source == 1 && def->key.len == 2 && memcmp(def->key.p, "k", 2) == 0);
    if (def->kind == DB_EXCHANGE)
        assert_true(def->flags == 3 && def->type.len == 6 && def->name.len == 1);
    if (def->kind == DB_SETTING)
        assert_true(def->type.len == 4 && def->name.len == 5 && def->args.len == 2);
    return 0;
}

static void definitions_go_with_the_group(void **state)
{
    struct db *db = open_db();
    struct db_def x = {
        .kind = DB_EXCHANGE, .id = 1, .flags = 3, .name = {"x", 1}, .type = {"direct", 6}};
    struct db_def q = {.kind = DB_QUEUE, .id = 2, .name = {"q", 1}};
    struct db_def b = {.kind = DB_BINDING, .source = 1, .dest = 2, .key = {"k", 2}};
    struct db_def s = {
        .kind = DB_SETTING, .type = {"user", 4}, .name = {"guest", 5}, .args = {"{}", 2}};
    int n[5] = {0};

    (void)state;
    assert_int_equal(db_put(db, &x), 0);
    assert_int_equal(db_put(db, &q), 0);
    assert_int_equal(db_put(db, &b), 0);
    assert_int_equal(db_put(db, &s), 0);
    assert_int_equal(db_pending(db).due_us, 0);
    assert_int_equal(db_checkpoint(db), -EBUSY);
    db_abandon(db); /* before the commit: nothing is there */
    db = open_db();
    assert_int_equal(db_each_def(db, count_kinds, n), 0);
    assert_int_equal(n[DB_EXCHANGE] + n[DB_QUEUE] + n[DB_BINDING] + n[DB_SETTING], 0);

    assert_int_equal(db_put(db, &x), 0);
    assert_int_equal(db_put(db, &q), 0);
    assert_int_equal(db_put(db, &b), 0);
    assert_int_equal(db_put(db, &b), 0);
    assert_int_equal(db_put(db, &s), 0);
    assert_int_equal(db_commit(db), 0);
    db_abandon(db);
    db = open_db();
    assert_int_equal(db_each_def(db, count_kinds, n), 0);
    assert_true(n[DB_EXCHANGE] == 1 && n[DB_QUEUE] == 1 && n[DB_BINDING] == 1);
    assert_int_equal(n[DB_SETTING], 1);

    memset(n, 0, sizeof(n));
    assert_int_equal(db_del(db, &q), 0); /* takes its binding along */
    assert_int_equal(db_del(db, &s), 0);
    assert_int_equal(db_commit(db), 0);
    assert_int_equal(db_each_def(db, count_kinds, n), 0);
    assert_true(n[DB_EXCHANGE] == 1 && n[DB_QUEUE] == 0 && n[DB_BINDING] == 0);
    assert_int_equal(n[DB_SETTING], 0);
    assert_int_equal(db_close(db), 0);
}

static void ids_are_never_given_twice(void **state)
{
    struct db *db = open_db();
    uint64_t a, b;

    (void)state;
    assert_int_equal(db_reserve_ids(db, 1024, &a), 0);
    assert_int_equal(db_commit(db), 0);
    db_abandon(db);
    db = open_db();
    assert_int_equal(db_reserve_ids(db, 1024, &b), 0);
    assert_true(a >= 1 && b >= a + 1024);
    assert_int_equal(db_close(db), 0);
}

static void a_second_broker_is_refused(void **state)
{
    struct db *db = open_db(), *other = NULL;
    const struct db_config config = {.dir = "d", .vfs = VFS};
    char why[200];

    (void)state;
    assert_int_equal(db_open(&config, &other, why, sizeof(why)), -EBUSY);
    assert_non_null(strstr(why, "in use by another broker"));
    assert_int_equal(db_probe("d", VFS, why, sizeof(why)), -EBUSY);
    assert_non_null(strstr(why, "in use by another broker"));
    assert_int_equal(db_close(db), 0);
    assert_int_equal(db_close(open_db()), 0);
}

static void spoil(const char *text)
{
    sqlite3 *h;

    assert_int_equal(sqlite3_open_v2("d/store.sqlite", &h, SQLITE_OPEN_READWRITE, VFS), SQLITE_OK);
    assert_int_equal(sqlite3_exec(h, "PRAGMA locking_mode = EXCLUSIVE", 0, 0, 0), SQLITE_OK);
    assert_int_equal(sqlite3_exec(h, text, 0, 0, 0), SQLITE_OK);
    sqlite3_close(h);
}

static void strange_files_are_refused(void **state)
{
    static const struct {
        const char *sql;
        int r;
        const char *why;
    } table[] = {
        {"PRAGMA user_version = 1000", -ENOTSUP, "newer version"},
        {"PRAGMA user_version = 3; PRAGMA application_id = 5", -EINVAL, "not a message store"},
        {"PRAGMA user_version = 3; PRAGMA application_id = 1466004078; UPDATE header SET data = "
         "x'01'",
         -EUCLEAN, "header"},
    };
    const struct db_config config = {.dir = "d", .vfs = VFS};
    struct db *db = open_db();
    char why[200];

    (void)state;
    assert_int_equal(add_text(db, 1, 1, "x"), 0);
    assert_int_equal(db_commit(db), 0);
    assert_int_equal(db_close(db), 0);
    for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        spoil(table[i].sql);
        assert_int_equal(db_probe("d", VFS, why, sizeof(why)), i < 2 ? table[i].r : 0);
        assert_int_equal(db_open(&config, &db, why, sizeof(why)), table[i].r);
        if (!strstr(why, table[i].why))
            fail_msg("%s: %s", table[i].sql, why);
    }
}

/* Entries are read when they are needed: at the opening where some are settled, else later. */
static void damaged_entries_are_told(void **state)
{
    static const char *const spoils[] = {"UPDATE entries SET data = x'00'", "DELETE FROM entries"};
    const struct db_config config = {.dir = "d", .vfs = VFS};
    char why[200], buf[20];
    struct db_entry e;
    uint64_t from = 0;
    struct db *db;

    (void)state;
    for (int i = 0; i < 2; i++) {
        db = open_db();
        assert_int_equal(add_text(db, 1 + (uint64_t)i, 1, "x"), 0);
        assert_int_equal(add_text(db, 1 + (uint64_t)i, 2, "y"), 0);
        assert_int_equal(db_commit(db), 0);
        assert_int_equal(db_close(db), 0);
        spoil(spoils[i]);
        db = open_db();
        assert_int_equal(db_queue_info(db, 1).n_live, 2);
        assert_int_equal(db_read(db, 1, 1, buf), -EUCLEAN);
        assert_int_equal(db_entries(db, 1, &from, &e, 1), -EUCLEAN);
        assert_non_null(strstr(db_error(db), "list of entries of segment 1"));
        db_abandon(db);
    }
    spoil("INSERT INTO acks VALUES (1, x'0152d016a0')");
    assert_int_equal(db_open(&config, &db, why, sizeof(why)), -EUCLEAN);
}

static void a_damaged_record_is_told(void **state)
{
    struct crash_fs *fs = *state;
    struct db *db = open_db();
    uint8_t *p;
    size_t len;
    char buf[20];

    assert_int_equal(add_text(db, 1, 1, "SPOILED-RECORD"), 0);
    assert_int_equal(add_text(db, 1, 2, "WHOLE"), 0);
    assert_int_equal(db_commit(db), 0);
    assert_int_equal(db_close(db), 0);
    p = crash_fs_file(fs, "d/store.sqlite", &len);
    p = memmem(p, len, "SPOILED", 7);
    assert_non_null(p);
    p[3] ^= 0x10;
    db = open_db();
    assert_int_equal(db_read(db, 1, 1, buf), -EUCLEAN);
    assert_text(db, 1, 2, "WHOLE");
    assert_int_equal(db_close(db), 0);
}

/* quick_check finds it only where it looks, which is after a stop that was not clean. */
static void damage_is_looked_for_after_an_unclean_stop(void **state)
{
    struct crash_fs *fs = *state;
    const struct db_config config = {.dir = "d", .vfs = VFS};
    struct db *db = open_db();
    char why[200];
    uint8_t *p;
    size_t len;

    for (uint64_t i = 0; i < 300; i++) {
        assert_int_equal(add_text(db, 1, i, "some text"), 0);
        assert_int_equal(db_commit(db), 0);
    }
    assert_int_equal(db_close(db), 0);
    spoil("UPDATE meta SET value = 0 WHERE name = 'clean'; PRAGMA wal_checkpoint(TRUNCATE)");
    p = crash_fs_file(fs, "d/store.sqlite", &len);
    memset(p + DB_PAGE_BYTES + 5000, 0xee, len - DB_PAGE_BYTES - 5000);
    assert_int_equal(db_open(&config, &db, why, sizeof(why)), -EUCLEAN);
}

static void the_real_file_system_does_it_too(void **state)
{
    char dir[] = "/tmp/test-db-XXXXXX", sub[64], why[200], command[100];
    struct db_config config = {.dir = sub};
    struct db *db, *other;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(sub, sizeof(sub), "%s/made", dir);
    assert_int_equal(db_open(&config, &db, why, sizeof(why)), 0);
    assert_int_equal(add_text(db, 1, 1, "kept"), 0);
    assert_int_equal(db_commit(db), 0);
    assert_true(db_wal_bytes(db) > 0);
    assert_int_equal(db_open(&config, &other, why, sizeof(why)), -EBUSY);
    assert_int_equal(db_checkpoint(db), 0);
    assert_int_equal(db_wal_bytes(db), 0);
    db_abandon(db);
    assert_int_equal(db_open(&config, &db, why, sizeof(why)), 0);
    assert_text(db, 1, 1, "kept");
    assert_int_equal(db_close(db), 0);
    snprintf(sub, sizeof(sub), "%s/missing/deeper", dir);
    assert_int_equal(db_open(&config, &db, why, sizeof(why)), -ENOENT);
    snprintf(command, sizeof(command), "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

static void random_operations_agree_with_the_model(void **state)
{
    const char *given = getenv("WARREN_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);

    (void)state;
    print_message("WARREN_SEED=%llu\n", (unsigned long long)seed);
    for (int round = 0; round < 4; round++) {
        struct model *m = model_new(seed + (uint64_t)round);
        struct db *db = NULL;
        uint64_t n;

        assert_int_equal(model_open(m, round == 0 ? VFS : VFS, &db), 0);
        for (int step = 0; step < 1500; step++) {
            assert_int_equal(model_step(m, db), 0);
            if (step % 50 == 0)
                assert_true(model_is(m, db, &m->now));
            if (step % 400 == 399) {
                if (step % 800 == 399)
                    assert_int_equal(db_close(db), 0);
                else
                    db_abandon(db);
                assert_int_equal(m->tokens, 0);
                m->now = m->durable;
                assert_int_equal(model_open(m, VFS, &db), 0);
                assert_true(model_is(m, db, &m->durable));
            }
        }
        n = db_queue_info(db, 1).n_live;
        assert_int_equal(db_ack_range(db, 1, 0, UINT64_MAX, 0), n);
        db_abandon(db);
        model_free(m);
        crash_fs_free(*state);
        *state = crash_fs_new(VFS);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_committed_is_there),
        TEST(seqs_come_in_any_order),
        TEST(sent_again_is_kept_once),
        TEST(settled_before_written_is_never_written),
        TEST(what_a_commit_leaves_goes_into_a_later_one),
        TEST(a_fan_out_is_written_once),
        TEST(a_long_record_has_its_own_segment),
        TEST(definitions_go_with_the_group),
        TEST(ids_are_never_given_twice),
        TEST(a_second_broker_is_refused),
        TEST(strange_files_are_refused),
        TEST(damaged_entries_are_told),
        TEST(a_damaged_record_is_told),
        TEST(damage_is_looked_for_after_an_unclean_stop),
        TEST(the_real_file_system_does_it_too),
        TEST(random_operations_agree_with_the_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
