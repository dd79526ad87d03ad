/*
 * The store process: what it answers, when it commits, and that nothing is lost or kept when it
 * dies.
 */
#include <errno.h>

#include "persistence/commit_policy.h"
#include "persistence/db.h"
#include "persistence/store_internal.h"
#include "tests/unit/store_client.h"

static void messages_survive_a_restart(void **state)
{
    (void)state;
    assert_int_equal(t.next_seq, 1);
    put(1, "one");
    assert_int_equal(t.n_durable, 1); /* nobody consumes, so nothing is waited for */
    assert_int_equal(t.up_to, 1);
    assert_int_equal(t.owners, 0);
    put(2, "two");
    put(3, "three");
    take(2, 0);
    restart(stop_store);
    assert_int_equal(t.n_entries, 2);
    assert_true(t.n_seq == 2 && t.seq[0] == 1 && t.seq[1] == 3 && t.flags[1] == 9);
    assert_true(t.next_seq >= 4);
    t.do_seq = 2;
    act(read_two);
    assert_string_equal(t.body[0], "-");
    assert_string_equal(t.body[1], "three");
}

static void settled_before_the_commit_is_not_written(void **state)
{
    size_t len;
    const uint8_t *wal;

    (void)state;
    t.ack_time_us = 500;
    put(1, "UNWRITTEN");
    assert_int_equal(t.n_durable, 0);
    t.do_seq = 1;
    act(read_two); /* it can be read while it waits */
    assert_string_equal(t.body[0], "UNWRITTEN");
    take(1, 0);
    assert_int_equal(t.owners, 0);
    run_us(COMMIT_ACK_HOLD_US);
    assert_true(t.n_durable == 1 && t.up_to == 1 && t.group == 0);
    t.ack_too = true;
    put(2, "UNWRITTEN");
    assert_int_equal(t.owners, 0);
    wal = crash_fs_file(t.fs, "v/store.sqlite-wal", &len);
    assert_null(memmem(wal, len, "UNWRITTEN", 9));
}

static void a_publish_waits_as_long_as_its_queue_is_quick(void **state)
{
    static const struct {
        uint64_t ack_time_us, waits_us;
    } table[] = {{0, 0}, {80, 250}, {300, 750}, {1000, 2000}, {1500, 0}, {UINT64_MAX, 0}};

    (void)state;
    for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        uint64_t before = t.now_ns / 1000;

        t.ack_time_us = table[i].ack_time_us;
        put(i + 1, "x");
        assert_int_equal(t.n_durable, table[i].waits_us == 0 ? i + 1 : i);
        run_us(COMMIT_HOLD_MAX_US);
        assert_int_equal(t.n_durable, i + 1);
        assert_int_equal(t.durable_at_us - before, table[i].waits_us);
    }
}

static void acks_alone_wait_eight_milliseconds(void **state)
{
    uint64_t syncs;

    (void)state;
    put(1, "x");
    put(2, "y");
    syncs = crash_fs_syncs(t.fs);
    take(1, 0);
    run_us(COMMIT_ACK_HOLD_US - 1);
    assert_int_equal(crash_fs_syncs(t.fs), syncs);
    run_us(1);
    assert_int_equal(crash_fs_syncs(t.fs), syncs + 1);
    restart(kill_store);
    assert_int_equal(t.n_entries, 1);
}

static void sync_is_answered_when_all_is_durable(void **state)
{
    (void)state;
    t.ack_time_us = 1000;
    put(1, "x");
    put(2, "y");
    take(1, 0);
    act(sync_store);
    assert_true(t.n_synced == 1 && t.n_durable == 1);
    restart(kill_store);
    assert_true(t.n_entries == 1 && t.seq[0] == 2);
    act(sync_store);
    assert_int_equal(t.n_synced, 2);
}

static void a_range_of_acks(void **state)
{
    (void)state;
    for (uint64_t seq = 1; seq <= 6; seq++)
        put(seq, "x");
    take(2, 4);
    restart(stop_store);
    assert_true(t.n_seq == 3 && t.seq[0] == 1 && t.seq[1] == 5 && t.seq[2] == 6);
}

static void an_opening_fences_older_epochs(void **state)
{
    (void)state;
    t.ack_time_us = 1000;
    put(1, "waits");
    t.epoch = 2;
    act(open_queue);
    assert_true(t.n_seq == 1 && t.seq[0] == 1); /* written before it was told of */
    t.epoch = 1;
    put(2, "too late");
    take(1, 0);
    act(open_queue);
    assert_int_equal(t.n_refused, 1);
    t.epoch = 2;
    act(open_queue);
    assert_true(t.n_entries == 1 && t.next_seq == 2);
    assert_int_equal(t.owners, 0);
}

static void a_failed_commit_ends_it_and_what_is_sent_again_is_kept_once(void **state)
{
    (void)state;
    put(1, "sure");
    crash_fs_fail(t.fs, 1, SQLITE_IOERR, true);
    put(2, "unsure");
    assert_true(t.is_down && t.why.kind == EXIT_CRASH && t.why.code == -EIO);
    assert_int_equal(t.n_durable, 1);
    assert_int_equal(t.owners, 0);
    crash_fs_fail(t.fs, 0, 0, false);
    act(spawn_store);
    act(open_queue);
    assert_true(t.n_entries >= 1 && t.seq[0] == 1);
    put(1, "sure");
    put(2, "unsure");
    assert_int_equal(t.up_to, 2);
    restart(kill_store);
    assert_true(t.n_entries == 2 && t.seq[0] == 1 && t.seq[1] == 2);
}

/* Publishes of 128 KiB, seqs 11 to 90, and an ack of seq 1 behind them. */
static void flood(void)
{
    static const uint8_t body[128 * 1024];
    struct msg_store_ops *m = store_ops_new(t.queue, t.epoch, 81, owner_unref);

    for (uint64_t seq = 11; seq <= 90; seq++)
        m->op[m->n++] = (struct store_op){
            .kind = STORE_OP_PUBLISH, .seq = seq, .part = {body}, .part_len = {sizeof(body)}};
    m->op[m->n++] = (struct store_op){.kind = STORE_OP_ACK, .seq = 1};
    PROC_SEND(t.store, m);
}

static void flood_and_sync(void)
{
    flood();
    sync_store();
}

/* What the hooks below do, and saw. */
static struct {
    unsigned n_wal_syncs;
    bool has_acked;
} seen;

static bool is_wal(const char *file)
{
    return strcmp(file + strlen(file) - 4, "-wal") == 0;
}

static enum crash_sync die_at_the_second_commit(void *ctx, const char *file)
{
    (void)ctx;
    return is_wal(file) && ++seen.n_wal_syncs == 2 ? CRASH_SYNC_DIE_BEFORE : CRASH_SYNC_DO;
}

/* Runs the flood with such a disk, on which the store dies, and opens the queue anew. */
static void flood_until_it_dies(enum crash_sync (*hook)(void *ctx, const char *file))
{
    struct msg_do *m = MSG_NEW(DO, struct msg_do);

    memset(&seen, 0, sizeof(seen));
    crash_fs_on_sync(t.fs, hook, NULL);
    m->fn = flood;
    rt_send(t.root, &m->hdr);
    run_us(500000);
    crash_fs_on_sync(t.fs, NULL, NULL);
    assert_true(t.is_down);
    act(spawn_store);
    act(open_queue);
}

static void an_ack_does_not_wait_for_all_publishes_before_it(void **state)
{
    (void)state;
    put(1, "acked");
    put(2, "stays");
    flood_until_it_dies(die_at_the_second_commit);
    /* Some were told to be durable before the rest was written, and the ack was among them. */
    assert_true(t.up_to > 11 && t.up_to < 90);
    assert_true(t.n_seq > 1 && t.seq[0] == 2 && t.seq[1] == 11);
    assert_true(t.n_entries > t.up_to - 10);
}

static void a_flood_is_told_whole_in_the_end(void **state)
{
    (void)state;
    put(1, "acked");
    act(flood);
    assert_true(t.n_durable > 3 && t.up_to == 90);
    restart(kill_store);
    assert_true(t.n_entries == 80 && t.seq[0] == 11);
}

static void sync_waits_for_all_publishes_before_it(void **state)
{
    unsigned n;

    (void)state;
    put(1, "acked");
    n = t.n_durable;
    act(flood_and_sync);
    assert_true(t.n_synced == 1 && t.n_durable == n + 1 && t.up_to == 90);
}

/* Commits take 5 ms each. During the one that makes a checkpoint due an ack comes. */
static enum crash_sync die_in_the_checkpoint(void *ctx, const char *file)
{
    size_t len;

    (void)ctx;
    if (!is_wal(file))
        return seen.has_acked ? CRASH_SYNC_DIE_BEFORE : CRASH_SYNC_DO;
    t.now_ns += 5000000;
    (void)crash_fs_file(t.fs, file, &len); /* its length alone */
    if (len < 4 << 20 || seen.has_acked)
        return CRASH_SYNC_DO;
    seen.has_acked = true;
    t.do_seq = 2;
    ack(); /* the store's process is at work here: it stands in its mailbox at once */
    return CRASH_SYNC_DO;
}

static void an_ack_that_came_during_a_commit_goes_before_the_checkpoint(void **state)
{
    (void)state;
    put(1, "acked");
    put(2, "acked, too");
    put(3, "stays");
    flood_until_it_dies(die_in_the_checkpoint);
    assert_true(seen.has_acked);
    assert_true(t.n_seq > 1 && t.seq[0] == 3 && t.seq[1] == 11);
}

static void inject_check(void)
{
    rt_inject(t.store, RT_FAULT_CHECK);
    sync_store();
}

static void a_crash_leaves_no_lock_and_no_owner(void **state)
{
    static void (*const ends[])(void) = {kill_store, inject_check};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        t.ack_time_us = 0;
        put(10 * i + 1, "durable");
        t.ack_time_us = 1000;
        put(10 * i + 2, "not yet");
        assert_int_equal(t.owners, 1);
        restart(ends[i]);
        assert_int_equal(t.owners, 0);
        assert_int_equal(t.n_entries, i + 1);
    }
}

static void definitions_are_durable_when_answered(void **state)
{
    (void)state;
    act(write_rows);
    assert_int_equal(t.n_written, 1);
    restart(kill_store);
    act(load_rows);
    assert_int_equal(t.n_rows, 3);
    for (unsigned i = 0; i < 3; i++) {
        const struct store_row *row = &t.row[i];

        if (row->kind == STORE_ROW_EXCHANGE)
            assert_true(row->id == 4 && row->flags == 2 && strcmp(t.row_name[i], "logs") == 0);
        else if (row->kind == STORE_ROW_QUEUE)
            assert_true(row->id == 5 && row->args && !row->type && !row->remove);
        else
            assert_true(row->id == 4 && row->dest_id == 5 && strcmp(t.row_name[i], "key") == 0);
    }
    put(1, "goes with its queue");
    act(remove_queue);
    put(2, "after it is gone");
    assert_int_equal(t.n_written, 2);
    restart(kill_store);
    assert_int_equal(t.n_entries, 0);
    act(load_rows);
    assert_true(t.n_rows == 1 && t.row[0].kind == STORE_ROW_EXCHANGE);
}

static void write_and_load(void)
{
    write_rows();
    load_rows();
}

/* A registry that loads while its predecessor's rows wait for their commit. */
static void rows_are_told_when_durable(void **state)
{
    (void)state;
    act(write_and_load);
    assert_true(t.n_rows == 3 && t.written_at_rows == 1);
}

static void ids_are_new_after_a_restart(void **state)
{
    uint64_t first;

    (void)state;
    act(reserve);
    first = t.first_id;
    restart(kill_store);
    act(reserve);
    assert_true(t.first_id >= first + 1024);
}

static void an_idle_store_empties_its_wal(void **state)
{
    uint64_t syncs;

    (void)state;
    put(1, "x");
    syncs = crash_fs_syncs(t.fs);
    run_us(900000);
    assert_int_equal(crash_fs_syncs(t.fs), syncs);
    run_us(200000);
    assert_true(crash_fs_syncs(t.fs) > syncs);
    syncs = crash_fs_syncs(t.fs);
    run_us(60000000);
    assert_int_equal(crash_fs_syncs(t.fs), syncs); /* and then it sleeps */
}

static void a_damaged_record_is_answered_by_nothing(void **state)
{
    uint8_t *p;
    size_t len;

    (void)state;
    put(1, "SPOILED");
    put(2, "whole");
    act(stop_store);
    p = crash_fs_file(t.fs, "v/store.sqlite", &len);
    p = memmem(p, len, "SPOILED", 7);
    assert_non_null(p);
    p[2] ^= 1;
    act(spawn_store);
    act(open_queue);
    t.do_seq = 1;
    act(read_two);
    assert_string_equal(t.body[0], "-");
    assert_string_equal(t.body[1], "whole");
}

static void a_store_that_cannot_open_says_why(void **state)
{
    char text[200];

    (void)state;
    assert_int_equal(store_probe("v", VFS, text, sizeof(text)), -EBUSY);
    assert_non_null(strstr(text, "in use by another broker"));
    t.why.text[0] = '\0';
    act(spawn_store); /* a second one over the same files */
    assert_true(t.is_down && t.why.code == -EBUSY);
    assert_non_null(strstr(t.why.text, "in use by another broker"));
    t.store = proc_whereis("store:/");
    act(stop_store);
    assert_int_equal(store_probe("v", VFS, text, sizeof(text)), 0);
}

static void publish_much(void)
{
    static char bytes[4 << 20];
    struct msg_store_ops *m = store_ops_new(5, t.epoch, 1, owner_unref);

    t.owners++;
    m->op[m->n++] = (struct store_op){.kind = STORE_OP_PUBLISH,
                                      .seq = t.do_seq,
                                      .owner = malloc(1),
                                      .part = {bytes, bytes},
                                      .part_len = {sizeof(bytes), 0}};
    PROC_SEND(t.store, m);
}

static size_t file_size(void)
{
    size_t len = 0;

    assert_non_null(crash_fs_file(t.fs, "v/store.sqlite", &len));
    return len;
}

/* Also where commits never leave it a second of rest. */
static void free_pages_are_given_back_at_work(void **state)
{
    (void)state;
    t.wal_budget = 1 << 20;
    restart(stop_store);
    for (t.do_seq = 1; t.do_seq <= 3; t.do_seq++)
        act(publish_much);
    take(1, 3);
    run_us(100);
    assert_true(file_size() > 12 << 20);
    for (uint64_t seq = 4; seq < 100; seq++) {
        put(seq, "small");
        run_us(300000);
    }
    /* A store keeps a megabyte for the next burst. */
    assert_true(file_size() < 3 << 20);
}

/* At a low rate it is made longer once, ahead, and copied before it is longer than that. */
static void a_log_is_written_over_at_a_low_rate(void **state)
{
    size_t first = 0, len = 0;

    (void)state;
    for (uint64_t seq = 1; seq < 800; seq++) {
        put(seq, "small");
        run_us(8000);
        take(seq, seq);
        run_us(8000);
        assert_non_null(crash_fs_file(t.fs, "v/store.sqlite-wal", &len));
        if (seq == 100)
            first = len;
    }
    assert_in_range(first, 2 << 20, 4 << 20);
    assert_in_range(len, first, 4 << 20);
}

/* What lies at the file's end is not moved to its begin as long as it may go by itself. */
static void a_drain_is_not_disturbed_by_vacuum(void **state)
{
    size_t size;

    (void)state;
    t.wal_budget = 1 << 20;
    restart(stop_store);
    for (t.do_seq = 1; t.do_seq <= 30; t.do_seq++)
        act(publish_much);
    run_us(100);
    size = file_size();
    assert_true(size > 120 << 20);
    for (uint64_t seq = 1; seq <= 25; seq++) {
        take(seq, seq);
        run_us(900000); /* never a second of rest */
    }
    assert_true(file_size() >= size);
    run_us(120000000);
    assert_true(file_size() < size / 2);
}

static void a_budget_is_divided(void **state)
{
    (void)state;
    assert_true(store_share(1000, 0, 10, 100) == 100);
    assert_true(store_share(1000, 1, 10, 100) == 100);
    assert_true(store_share(1000, 20, 10, 100) == 50);
    assert_true(store_share(1000, 1000, 10, 100) == 10);
}

static void backup_twice(void)
{
    t.text = "first";
    backup();
    t.text = "copy/store.sqlite";
    backup();
}

static void a_backup_is_made_meanwhile(void **state)
{
    struct db_found found;
    char why[200];

    (void)state;
    put(1, "one");
    put(2, "two");
    act(backup_twice);
    run_us(1000000);
    /* The first was ended by the second. */
    assert_true(t.n_backed_up == 2 && t.backup_error == 0);
    put(3, "three");
    assert_true(t.backup_group > 0 && t.group > t.backup_group);
    if (db_verify("copy", VFS, &found, why, sizeof(why)) != 0)
        fail_msg("%s", why);
    assert_true(found.messages == 2 && found.group == t.backup_group);
}

/* What fails in a backup is told, and the store goes on. */
static void a_backup_that_fails_hurts_nobody(void **state)
{
    struct db_found found;
    bool has_failed = true;
    char why[200];

    (void)state;
    put(1, "one");
    for (uint64_t n = 1; has_failed; n++) {
        t.text = "copy/store.sqlite";
        crash_fs_fail(t.fs, n, SQLITE_FULL, false);
        act(backup);
        has_failed = crash_fs_has_failed(t.fs);
        crash_fs_fail(t.fs, 0, 0, false);
        assert_true(t.n_backed_up == n && !t.is_down);
        /* SQLite can do without some calls; then the copy is whole. */
        if (t.backup_error == 0 && db_verify("copy", VFS, &found, why, sizeof(why)) != 0)
            fail_msg("%s", why);
        put(1 + n, "more");
        assert_true(t.n_durable == 1 + n);
    }
    assert_int_equal(t.backup_error, 0);
    assert_true(t.n_backed_up > 5);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(messages_survive_a_restart),
        TEST(settled_before_the_commit_is_not_written),
        TEST(a_publish_waits_as_long_as_its_queue_is_quick),
        TEST(acks_alone_wait_eight_milliseconds),
        TEST(sync_is_answered_when_all_is_durable),
        TEST(a_range_of_acks),
        TEST(an_opening_fences_older_epochs),
        TEST(a_failed_commit_ends_it_and_what_is_sent_again_is_kept_once),
        TEST(an_ack_does_not_wait_for_all_publishes_before_it),
        TEST(a_flood_is_told_whole_in_the_end),
        TEST(sync_waits_for_all_publishes_before_it),
        TEST(an_ack_that_came_during_a_commit_goes_before_the_checkpoint),
        TEST(a_crash_leaves_no_lock_and_no_owner),
        TEST(definitions_are_durable_when_answered),
        TEST(rows_are_told_when_durable),
        TEST(ids_are_new_after_a_restart),
        TEST(an_idle_store_empties_its_wal),
        TEST(a_damaged_record_is_answered_by_nothing),
        TEST(a_store_that_cannot_open_says_why),
        TEST(free_pages_are_given_back_at_work),
        TEST(a_log_is_written_over_at_a_low_rate),
        TEST(a_drain_is_not_disturbed_by_vacuum),
        cmocka_unit_test(a_budget_is_divided),
        TEST(a_backup_is_made_meanwhile),
        TEST(a_backup_that_fails_hurts_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
