/* A new store from a damaged one: what is in it is what was there, and what is whole is in it. */
#include <sqlite3.h>
#include <time.h>

#include "tests/faults/crash_vfs.h"
#include "tests/faults/db_model.h"

#define VFS  "test-salvage"
#define PAGE DB_PAGE_BYTES

static uint64_t start_seed(void)
{
    uint64_t seed = (uint64_t)time(NULL);

    print_message("seed %llu\n", (unsigned long long)seed);
    return seed;
}

/* A store that has worked for a while, with all queues defined, closed in order. */
static struct model *make_store(uint64_t seed)
{
    struct model *m = model_new(seed);
    struct db *db = NULL;

    assert_int_equal(model_open(m, VFS, &db), 0);
    for (int i = 0; i < 150; i++)
        assert_int_equal(model_step(m, db), 0);
    for (uint64_t id = 1; id <= MODEL_QUEUES; id++) {
        const struct db_def def = {
            .kind = DB_QUEUE, .id = id, .name = {"q", 1}, .args = {"a\0b", 3}, .flags = 7};

        assert_int_equal(db_put(db, &def), 0);
        m->now.row[id - 1] = 7;
    }
    assert_int_equal(model_commit(m, db), 0);
    assert_int_equal(db_close(db), 0);
    return m;
}

static struct db *open_salvaged(void)
{
    const struct db_config config = {.dir = "new", .vfs = VFS, .with_check = true};
    struct db *db = NULL;
    char why[200];

    if (db_open(&config, &db, why, sizeof(why)) != 0)
        fail_msg("%s", why);
    return db;
}

static void a_whole_store_is_kept_whole(void **state)
{
    uint64_t seed = start_seed();

    (void)state;
    for (uint64_t round = 0; round < 8; round++) {
        struct crash_fs *fs = crash_fs_new(VFS);
        struct model *m = make_store(seed + round);
        struct db_salvaged found;
        char why[200];
        struct db *db;
        uint64_t id;

        if (db_salvage("d", "new", VFS, &found, why, sizeof(why)) != 0)
            fail_msg("%s", why);
        assert_true(found.lost == 0 && found.orphans == 0 && found.lists_lost == 0);
        assert_true(found.acks_lost == 0 && !found.definitions_lost);
        db = open_salvaged();
        model_next_run(m); /* what is fleeting is not kept */
        assert_true(model_is(m, db, &m->durable));
        assert_int_equal(db_reserve_ids(db, 1, &id), 0);
        assert_true(id >= m->durable.next_id);
        db_abandon(db);
        model_free(m);
        crash_fs_free(fs);
    }
}

/* Each message of a queue is one that was live, with its bytes; how many. */
static uint64_t check_queue(struct model *m, struct db *db, int q, const struct db_salvaged *found)
{
    struct db_entry e[16];
    uint64_t from = 0, total = 0;
    int n;

    while ((n = db_entries(db, (uint64_t)q + 1, &from, e, 16)) > 0) {
        for (int i = 0; i < n; i++) {
            uint32_t record;

            assert_true(e[i].seq < MODEL_SEQS);
            record = m->durable.record[q][e[i].seq];
            if (record)
                assert_true(model_is_record(m, db, (uint64_t)q + 1, e[i].seq, record));
            else
                assert_true(found->acks_lost > 0);
        }
        total += (uint64_t)n;
    }
    assert_int_equal(n, 0);
    return total;
}

static uint64_t count_live(const struct model *m)
{
    uint64_t n = 0;

    for (int q = 0; q < MODEL_QUEUES; q++) {
        for (int seq = 0; seq < MODEL_SEQS; seq++)
            n += m->durable.record[q][seq] != 0;
    }
    return n;
}

static void damage(struct model *m, struct crash_fs *fs)
{
    size_t len;
    uint8_t *p = crash_fs_file(fs, "d/store.sqlite", &len);
    uint64_t pages = len / PAGE;

    for (uint64_t n = 1 + model_roll(m) % 3; n > 0; n--) {
        uint8_t *page = p + (1 + model_roll(m) % (pages - 1)) * PAGE;

        for (int i = 0; i < PAGE; i++)
            page[i] = (uint8_t)model_roll(m);
    }
}

/* What was salvaged from this seed's damage; true if it was anything. */
static bool salvage_once(uint64_t seed, uint64_t *kept, uint64_t *live)
{
    struct crash_fs *fs = crash_fs_new(VFS);
    struct model *m = make_store(seed);
    struct db_salvaged found;
    uint64_t n = 0;
    char why[200] = "";
    struct db *db;
    int r;

    damage(m, fs);
    r = db_salvage("d", "new", VFS, &found, why, sizeof(why));
    if (r == 0) {
        db = open_salvaged();
        for (int q = 0; q < MODEL_QUEUES; q++)
            n += check_queue(m, db, q, &found);
        assert_int_equal(n, found.messages);
        db_abandon(db);
        *kept += n;
        *live += count_live(m);
    } else {
        assert_int_equal(r, -ENODATA);
        assert_true(why[0]);
    }
    model_free(m);
    crash_fs_free(fs);
    return r == 0;
}

static void damaged_pages_cost_what_was_in_them(void **state)
{
    uint64_t seed = start_seed(), kept = 0, live = 0;
    int n = 0;

    (void)state;
    for (uint64_t round = 0; round < 40; round++)
        n += salvage_once(seed + round, &kept, &live);
    print_message("%d of 40 stores, %llu of %llu messages\n", n, (unsigned long long)kept,
                  (unsigned long long)live);
    assert_true(n > 10 && kept > live / 10);
}

static void what_cannot_be_read_is_refused(void **state)
{
    struct crash_fs *fs = crash_fs_new(VFS);
    struct model *m = make_store(start_seed());
    struct db_salvaged found;
    struct db *db = NULL;
    char why[200];
    uint8_t *p;
    size_t len;

    (void)state;
    assert_int_equal(model_open(m, VFS, &db), 0);
    assert_int_equal(db_salvage("d", "new", VFS, &found, why, sizeof(why)), -EBUSY);
    assert_non_null(strstr(why, "in use"));
    assert_int_equal(db_close(db), 0);
    p = crash_fs_file(fs, "d/store.sqlite", &len);
    memset(p, 'x', PAGE);
    assert_int_equal(db_salvage("d", "new", VFS, &found, why, sizeof(why)), -ENODATA);
    assert_non_null(strstr(why, "nothing of d can be read"));
    model_free(m);
    crash_fs_free(fs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_store_is_kept_whole),
        cmocka_unit_test(damaged_pages_cost_what_was_in_them),
        cmocka_unit_test(what_cannot_be_read_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
