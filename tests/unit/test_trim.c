/* What leaves a database all together: wide ranges, and what is fleeting. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "persistence/db.h"
#include "tests/faults/crash_vfs.h"
#include "tests/unit/db_kit.h"

#define VFS "test-trim"

static int setup(void **state)
{
    *state = crash_fs_new(VFS);
    return 0;
}

static struct db *open_of_run(uint64_t run)
{
    const struct db_config config = {.dir = "d", .vfs = VFS, .run = run, .wide_extents = 3};
    char why[200];
    struct db *db = NULL;

    if (db_open(&config, &db, why, sizeof(why)) < 0)
        fail_msg("%s", why);
    return db;
}

static int fan_out; /* a key */

/* One body goes to a queue in which it lasts and to one in which it does not. */
static void add_both(struct db *db, uint64_t seq, const char *text)
{
    for (uint64_t q = 1; q <= 2; q++) {
        const struct db_add add = {.queue = q,
                                   .seq = seq,
                                   .iov = {{(void *)(uintptr_t)text, strlen(text)}},
                                   .key = &fan_out,
                                   .is_fleeting = q == 2};

        assert_int_equal(db_add(db, &add, 0), 0);
    }
}

static bool is_third(void *n)
{
    return ++*(int *)n == 3;
}

static void vacuum_ends_when_it_is_told(void **state)
{
    static char body[40000];
    int64_t all, n_free, all_then, free_then;
    struct db *db = open_of_run(1);
    int n = 0;

    (void)state;
    for (uint64_t seq = 1; seq <= 10; seq++) {
        const struct db_add add = {.queue = 1, .seq = seq, .iov = {{body, sizeof(body)}}};

        assert_int_equal(db_add(db, &add, 0), 0);
    }
    assert_int_equal(db_commit(db), 0);
    for (uint64_t seq = 1; seq <= 10; seq++)
        assert_int_equal(db_ack(db, 1, seq, 0), DB_SETTLED);
    assert_int_equal(db_commit(db), 0);
    while (db_trim_step(db, 1) > 0)
        continue;
    assert_int_equal(db_pages(db, &all, &n_free), 0);
    assert_in_range(n_free, 20, 100);
    assert_int_equal(db_vacuum_step(db, 1000, 0, is_third, &n), 3);
    assert_int_equal(db_vacuum_step(db, 2, 0, NULL, NULL), 2);
    db_abandon(db);

    db = open_of_run(1);
    assert_int_equal(db_pages(db, &all_then, &free_then), 0);
    assert_int_equal(free_then, n_free - 5);
    assert_int_equal(all_then, all - 5);
    assert_int_equal(db_vacuum_step(db, 1000, 0, NULL, NULL), free_then);
    assert_int_equal(db_vacuum_step(db, 1000, 0, NULL, NULL), 0);
    assert_int_equal(db_close(db), 0);
}

static void what_is_fleeting_goes_with_the_program(void **state)
{
    struct crash_fs *fs = *state;
    struct db *db = open_of_run(1);
    size_t empty = settled_size(fs, db);

    add_both(db, 1, "both");
    assert_int_equal(db_commit(db), 0);
    db_abandon(db);
    db = open_of_run(1); /* its store was started again */
    assert_text(db, 1, 1, "both");
    assert_text(db, 2, 1, "both");
    assert_int_equal(db_ack(db, 1, 1, 0), DB_SETTLED);
    add_both(db, 2, "more");
    assert_int_equal(db_commit(db), 0);
    db_abandon(db);

    db = open_of_run(2);
    assert_int_equal(db_record_len(db, 1, 1), -ENOENT);
    assert_text(db, 1, 2, "more");
    assert_int_equal(db_queue_info(db, 2).n_live, 0);
    add_both(db, 3, "of the second");
    assert_int_equal(db_commit(db), 0);
    db_abandon(db); /* before all of the first program's has left the disk */
    db = open_of_run(2);
    assert_int_equal(db_queue_info(db, 2).n_live, 1);
    assert_text(db, 2, 3, "of the second");
    assert_int_equal(db_ack_range(db, 1, 0, 9, 0), 2);
    assert_int_equal(db_ack_range(db, 2, 0, 9, 0), 1);
    assert_int_equal(db_commit(db), 0);
    while (db_trim_step(db, 1) > 0)
        continue;
    assert_true(settled_size(fs, db) <= empty + 32768);
    assert_int_equal(db_close(db), 0);
}

enum { WIDE_N = 40, WIDE_LAST = WIDE_N - 5 };

/* Two queues in each of many segments, the second alone in some more. */
static void fill_wide(struct db *db)
{
    for (uint64_t seq = 1; seq <= WIDE_N; seq++) {
        if (seq % 2)
            assert_int_equal(add_text(db, 1, seq, "first"), 0);
        assert_int_equal(add_text(db, 2, seq, "second"), 0);
        assert_int_equal(db_commit(db), 0);
    }
}

static void check_wide(struct db *db)
{
    assert_int_equal(db_queue_info(db, 1).n_live, WIDE_N / 2);
    assert_int_equal(db_queue_info(db, 2).n_live, WIDE_N - WIDE_LAST);
    assert_text(db, 1, 1, "first");
    assert_text(db, 1, WIDE_N - 1, "first");
    assert_int_equal(db_record_len(db, 2, WIDE_LAST), -ENOENT);
    assert_text(db, 2, WIDE_LAST + 1, "second");
}

/* It is settled as one row, and the program may die at any time while the disk is cleared. */
static void a_wide_range_is_settled_at_once(void **state)
{
    struct crash_fs *fs = *state;
    uint32_t n_steps = 0;
    struct db *db = open_of_run(1);
    size_t before;

    fill_wide(db);
    before = settled_size(fs, db);
    assert_int_equal(db_ack_range(db, 2, 0, WIDE_LAST, 0), WIDE_LAST);
    assert_int_equal(db_queue_info(db, 2).n_live, WIDE_N - WIDE_LAST);
    db_abandon(db); /* before the commit nothing has happened */
    db = open_of_run(1);
    assert_int_equal(db_queue_info(db, 2).n_live, WIDE_N);
    assert_int_equal(db_ack_range(db, 2, 0, WIDE_LAST, 0), WIDE_LAST);
    assert_int_equal(db_commit(db), 0);
    do {
        n_steps++;
        check_wide(db);
        db_abandon(db);
        db = open_of_run(1);
        check_wide(db);
    } while (db_trim_step(db, 2) > 0);
    assert_true(n_steps > 5);
    assert_int_equal(db_ack_range(db, 1, 0, UINT64_MAX, 0), WIDE_N / 2);
    assert_int_equal(db_ack_range(db, 2, 0, UINT64_MAX, 0), WIDE_N - WIDE_LAST);
    assert_int_equal(db_commit(db), 0);
    while (db_trim_step(db, 3) > 0)
        continue;
    assert_true(settled_size(fs, db) <= before);
    assert_int_equal(add_text(db, 2, WIDE_N, "again"), 0);
    assert_int_equal(db_commit(db), 0);
    db_abandon(db);
    db = open_of_run(1);
    assert_text(db, 2, WIDE_N, "again");
    assert_int_equal(db_close(db), 0);
}

/* Nothing that the disk still has of a range takes a message with it that comes later. */
static void a_seq_of_a_wide_range_may_be_used_again(void **state)
{
    struct db *db = open_of_run(1);

    (void)state;
    fill_wide(db);
    assert_int_equal(db_ack_range(db, 2, 0, UINT64_MAX, 0), WIDE_N);
    assert_int_equal(db_commit(db), 0);
    assert_true(db_is_trimming(db));
    assert_int_equal(add_text(db, 2, 7, "again"), 0);
    assert_int_equal(db_commit(db), 0);
    db_abandon(db);
    db = open_of_run(1);
    assert_int_equal(db_queue_info(db, 2).n_live, 1);
    assert_text(db, 2, 7, "again");
    assert_int_equal(db_queue_info(db, 1).n_live, WIDE_N / 2);
    assert_int_equal(db_close(db), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(vacuum_ends_when_it_is_told),
        TEST(what_is_fleeting_goes_with_the_program),
        TEST(a_wide_range_is_settled_at_once),
        TEST(a_seq_of_a_wide_range_may_be_used_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
