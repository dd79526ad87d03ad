/* Compaction: what is gathered, what is left, and what is better left alone. */
#include <errno.h>

#include "tests/faults/crash_vfs.h"
#include "tests/faults/db_model.h"
#include "tests/unit/db_kit.h"

#define VFS "test-compact"

static void ignore_release(void *ctx, void *token)
{
    (void)ctx;
    (void)token;
}

static struct db *open_db(void)
{
    const struct db_config config = {.dir = "d", .vfs = VFS, .release = ignore_release};
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
    return 0;
}

static void compact(struct db *db, uint64_t below, uint32_t min_extents)
{
    const struct db_compact how = {.below = below, .min_extents = min_extents, .max_scan = 7};
    uint64_t bytes;
    int r;

    while ((r = db_compact_step(db, &how, &bytes)) == 1)
        continue;
    assert_int_equal(r, 0);
}

static uint64_t segments_of(struct db *db, uint64_t queue)
{
    uint64_t from = 0, n = 0, last = 0;
    struct db_entry e;

    while (db_entries(db, queue, &from, &e, 1) == 1) {
        n += e.segment != last;
        last = e.segment;
    }
    return n;
}

static void small_pieces_are_gathered(void **state)
{
    struct db *db = open_db();
    char text[20];

    (void)state;
    for (uint64_t i = 1; i <= 300; i++) {
        snprintf(text, sizeof(text), "m%d", (int)i);
        assert_int_equal(add_text(db, 1 + i % 3, i, text), 0);
        if (i % 2 == 0)
            assert_int_equal(db_commit(db), 0);
    }
    assert_int_equal(db_ack(db, 1, 150, 0), DB_SETTLED);
    assert_int_equal(db_compact_step(db, &(struct db_compact){0}, &(uint64_t){0}), -EBUSY);
    assert_int_equal(db_commit(db), 0);
    compact(db, 50, 8); /* those that are old enough */
    assert_true(segments_of(db, 1) > 50 && segments_of(db, 1) < 90);
    compact(db, UINT64_MAX, 1000); /* too few to be worth it */
    assert_true(segments_of(db, 1) > 50);
    compact(db, UINT64_MAX, 8);
    for (uint64_t q = 1; q <= 3; q++)
        assert_int_equal(segments_of(db, q), 1);
    db_abandon(db);
    db = open_db();
    for (uint64_t i = 1; i <= 300; i++) {
        snprintf(text, sizeof(text), "m%d", (int)i);
        if (i == 150)
            assert_int_equal(db_record_len(db, 1, 150), -ENOENT);
        else
            assert_text(db, 1 + i % 3, i, text);
    }
    assert_int_equal(db_ack_range(db, 3, 0, UINT64_MAX, 0), 100);
    assert_int_equal(db_commit(db), 0);
    assert_int_equal(db_close(db), 0);
}

/* A queue that nobody empties does not keep what others have done with. */
static void a_segment_mostly_settled_is_left(void **state)
{
    struct crash_fs *fs = *state;
    static char body[10000];
    struct db *db = open_db();
    size_t before = settled_size(fs, db), after;

    for (uint64_t i = 1; i <= 200; i++) {
        const struct db_add add = {
            .queue = i % 10 ? 1 : 2, .seq = i, .iov = {{body, sizeof(body)}}};

        assert_int_equal(db_add(db, &add, 0), 0);
        if (i % 20 == 0)
            assert_int_equal(db_commit(db), 0);
    }
    assert_int_equal(db_ack_range(db, 1, 0, UINT64_MAX, 0), 180);
    assert_true(settled_size(fs, db) > before + 190 * sizeof(body));
    compact(db, UINT64_MAX, 1000);
    after = settled_size(fs, db);
    assert_in_range(after, before + 10 * sizeof(body), before + 40 * sizeof(body));
    assert_int_equal(segments_of(db, 2), 1);
    assert_int_equal(db_close(db), 0);
}

/* A record that many share is not multiplied for the sake of order. */
static void a_fan_out_stays_together(void **state)
{
    struct crash_fs *fs = *state;
    static char body[3000];
    struct db *db = open_db();
    size_t before;

    for (uint64_t i = 1; i <= 40; i++) {
        for (uint64_t q = 1; q <= 20; q++) {
            const struct db_add add = {
                .queue = q, .seq = i, .iov = {{body, sizeof(body)}}, .key = body, .token = body};

            assert_int_equal(db_add(db, &add, 0), 0);
        }
        assert_int_equal(db_commit(db), 0);
    }
    before = settled_size(fs, db);
    compact(db, UINT64_MAX, 2);
    assert_true(settled_size(fs, db) <= before + 65536);
    for (uint64_t q = 2; q <= 20; q++)
        assert_int_equal(db_ack_range(db, q, 0, UINT64_MAX, 0), 40);
    assert_int_equal(db_commit(db), 0);
    compact(db, UINT64_MAX, 2); /* now that there is one left */
    assert_int_equal(segments_of(db, 1), 1);
    assert_int_equal(db_close(db), 0);
}

/*
 * A long script with a step of compaction after every other one, so that pieces are moved again and
 * again, and openings in between.
 */
static void all_stays_as_it_is(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct model *m = model_new(seed);
        struct db *db = NULL;

        assert_int_equal(model_open(m, VFS, &db), 0);
        for (uint32_t step = 1; step <= 500; step++) {
            const struct db_compact how = {.below = UINT64_MAX,
                                           .min_extents = 1 + step % 3,
                                           .max_scan = 1 + step % 40,
                                           .max_moves = step % 5};
            uint64_t bytes;

            assert_int_equal(model_step(m, db), 0);
            assert_true(db_compact_step(db, &how, &bytes) >= -EBUSY);
            if (step % 25 == 0)
                assert_true(model_is(m, db, &m->now));
            if (step % 125 != 0)
                continue;
            db_abandon(db);
            m->now = m->durable;
            assert_int_equal(model_open(m, VFS, &db), 0);
            assert_true(model_is(m, db, &m->now));
        }
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
        TEST(small_pieces_are_gathered),
        TEST(a_segment_mostly_settled_is_left),
        TEST(a_fan_out_stays_together),
        TEST(all_stays_as_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
