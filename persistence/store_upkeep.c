/*
 * What keeps a store in shape: the WAL is copied, free pages are given back, and what the node has
 * for all its stores is divided among them.
 *
 * Each step is sized by what the last one took, so that none holds up the queues for more than
 * about 20 ms.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/statvfs.h>

#include "broker/runtime/world.h"
#include "persistence/store_internal.h"

#define CHECKPOINT_US          15000
#define CHECKPOINT_FIRST_BYTES (4 << 20)   /* until it is known how long one takes; the least */
#define LOG_FIRST_BYTES        (128 << 10) /* a log so short is not worth it */
#define LOG_SHORT_BYTES \
    (2 << 20) /* copied when it is so long, but not more than once a LOG_TIME_US */
#define LOG_TIME_US         1000000
#define COMMIT_LONG_US      2000 /* acks that came during such a commit go before a checkpoint */
#define LOG_PIECE           (512 << 10)
#define LOG_PAUSE_FACTOR    4 /* a pause lasts so many times the step before it */
#define LOG_PAUSE_US        5000
#define LOG_FULL_PAUSE_US   10000000
#define IDLE_US             1000000
#define VACUUM_US           5000 /* and its commit */
#define VACUUM_MAX_PAGES    1024
#define VACUUM_KEEP_BYTES   (16 << 20) /* free pages kept for the next burst */
#define VACUUM_PAUSE_US     20000
#define VACUUM_PAUSE_FACTOR 9 /* at work a pause lasts so many times the step before it */
#define VACUUM_STILL_PAGES  1024

/* What one store has at least and at most. */
#define CACHE_MIN (256 << 10)
#define CACHE_MAX (2 << 20)
#define BLOCK_MAX (4 << 20)
#define WAL_MIN   (1 << 20)
#define WAL_MAX   (64 << 20)

/* Stores that are open. A variable of the program, because no process knows them all. */
static atomic_uint n_stores;

uint64_t store_now_us(void)
{
    return world()->now_ns() / 1000;
}

static void leave(void *unused)
{
    (void)unused;
    atomic_fetch_sub(&n_stores, 1);
}

uint64_t store_share(uint64_t budget, unsigned n, uint64_t least, uint64_t most)
{
    uint64_t share = budget / (n > 0 ? n : 1);

    if (share < least)
        return least;
    return share < most ? share : most;
}

static void take_share(struct store *st)
{
    unsigned n = atomic_load(&n_stores);
    struct db_limits limits;
    int r;

    if (n == st->n_stores)
        return;
    st->n_stores = n;
    limits.cache_bytes = store_share(st->arg.cache_budget, n, CACHE_MIN, CACHE_MAX);
    limits.block_bytes = store_share(st->arg.cache_budget, n, CACHE_MIN, BLOCK_MAX);
    st->wal_share = store_share(st->arg.wal_budget, n, WAL_MIN, WAL_MAX);
    /* The last group before a checkpoint goes beyond the share, and that file is kept. */
    limits.wal_bytes = 2 * st->wal_share;
    if (st->checkpoint_bytes > st->wal_share)
        st->checkpoint_bytes = st->wal_share;
    r = db_set_limits(st->db, &limits);
    if (r < 0)
        store_fail(st, r, "limits");
}

void store_upkeep_init(struct store *st)
{
    atomic_fetch_add(&n_stores, 1);
    proc_at_exit(leave, NULL);
    st->checkpoint_bytes = CHECKPOINT_FIRST_BYTES;
    st->vacuum_due_us = UINT64_MAX;
    st->log_due_us = UINT64_MAX;
    st->idle_due_us = store_now_us() + IDLE_US;
    st->compact_due_us = store_now_us() + store_tuning.cold_us;
    store_trim_init(st);
    take_share(st);
}

void store_upkeep_took(struct store *st, enum store_step kind, uint64_t us)
{
    store_stats_step(kind, us);
    if (us > st->worst_us)
        st->worst_us = us;
}

/*
 * The size of the next checkpoint by what this one took: down at once, up by a quarter. A small one
 * that was quick enough tells nothing; one that is smaller still would not be quicker, because each
 * ends with a sync.
 */
static uint64_t next_checkpoint(const struct store *st, uint64_t bytes, uint64_t took_us)
{
    uint64_t most = st->checkpoint_bytes / 4 * 5, fit;

    if (took_us <= CHECKPOINT_US && bytes < st->checkpoint_bytes)
        return st->checkpoint_bytes;
    fit = took_us > 0 ? bytes * CHECKPOINT_US / took_us : most;
    if (fit > most)
        fit = most;
    if (fit < CHECKPOINT_FIRST_BYTES)
        fit = CHECKPOINT_FIRST_BYTES;
    return fit < st->wal_share ? fit : st->wal_share;
}

static void checkpoint(struct store *st)
{
    uint64_t bytes = db_checkpoint_bytes(st->db);
    uint64_t before = store_now_us();
    int r = db_checkpoint(st->db);

    if (r < 0)
        store_fail(st, r, "checkpoint");
    st->checkpoint_at_us = store_now_us();
    st->checkpoint_us = st->checkpoint_at_us - before;
    store_upkeep_took(st, STORE_STEP_CHECKPOINT, st->checkpoint_us);
    st->checkpoint_bytes = next_checkpoint(st, bytes, st->checkpoint_us);
}

/*
 * If there is as much to copy as takes some 15 ms, or the WAL has its share: where messages come
 * and go they use the same pages again and again. At a low rate it is copied sooner, which takes
 * little time and keeps it short: a commit that writes over old bytes is quicker than one that
 * makes the file longer.
 */
static bool is_checkpoint_due(const struct store *st)
{
    uint64_t bytes = db_wal_bytes(st->db);

    if (db_checkpoint_bytes(st->db) >= st->checkpoint_bytes || bytes >= st->wal_share)
        return true;
    return bytes >= LOG_SHORT_BYTES && store_now_us() - st->checkpoint_at_us >= LOG_TIME_US;
}

static bool checkpoint_if_due(struct store *st)
{
    if (!is_checkpoint_due(st))
        return false;
    take_share(st);
    checkpoint(st);
    return true;
}

/*
 * How long the log's file should be before it is written to: as long as it gets at a low rate,
 * where each commit is its publisher's wait. At a high one there is no moment for this, and none is
 * lost.
 */
static uint64_t log_wanted(const struct store *st)
{
    uint64_t most = st->wal_share < LOG_SHORT_BYTES ? st->wal_share : LOG_SHORT_BYTES;

    return db_wal_bytes(st->db) < LOG_FIRST_BYTES ? 0 : most + LOG_PIECE;
}

static void grow_log(struct store *st, uint64_t now)
{
    uint64_t size = db_wal_size(st->db) + LOG_PIECE, wanted = log_wanted(st), took;
    int r = size - LOG_PIECE < wanted ? db_wal_grow(st->db, size) : 0;

    if (r < 0 && r != -ENOSPC)
        store_fail(st, r, "the log's growth");
    took = store_now_us() - now;
    store_upkeep_took(st, STORE_STEP_LOG, took);
    if (r == -ENOSPC)
        st->log_due_us = now + LOG_FULL_PAUSE_US;
    else if (size < wanted)
        st->log_due_us = now + took + took * LOG_PAUSE_FACTOR + LOG_PAUSE_US;
    else
        st->log_due_us = UINT64_MAX;
}

void store_upkeep_committed(struct store *st)
{
    uint64_t now = store_now_us();

    st->idle_due_us = now + IDLE_US;
    if (st->vacuum_due_us == UINT64_MAX)
        st->vacuum_due_us = now + IDLE_US;
    if (st->log_due_us == UINT64_MAX && db_wal_size(st->db) < log_wanted(st))
        st->log_due_us = now + LOG_PAUSE_US;
    /* Acks that came during a long commit go first. */
    st->wants_checkpoint =
        !st->wants_checkpoint && st->commit_us > COMMIT_LONG_US && is_checkpoint_due(st);
    if (!st->wants_checkpoint)
        (void)checkpoint_if_due(st); /* if not, there is nothing else to do */
}

static bool is_idle(const struct store *st)
{
    return st->idle_due_us == UINT64_MAX;
}

/*
 * Whether it is time to give free pages back, of which there are n. To cut the file messages
 * are moved from its end, which is in vain while a backlog is drained; while one grows the pages
 * are wanted again. So it waits until their number has stood still for some time.
 */
static bool is_still(struct store *st, int64_t n, uint64_t now)
{
    if (n < st->free_low)
        st->free_low = n;
    if (n > st->free_high)
        st->free_high = n;
    if (st->free_high - st->free_low > VACUUM_STILL_PAGES) {
        st->free_low = st->free_high = n;
        st->free_since_us = now;
    }
    return is_idle(st) || now - st->free_since_us >= store_tuning.still_us;
}

static bool is_enough_vacuum(void *until_us)
{
    return store_now_us() >= *(const uint64_t *)until_us;
}

/*
 * Gives some of n free pages back; more of them after a pause. What one costs differs by a factor
 * of a thousand: SQLite looks for it in the list of all free pages.
 */
static void vacuum_step(struct store *st, int64_t n, uint32_t keep)
{
    uint64_t before = store_now_us(), until = before + VACUUM_US, took, pause;
    int64_t given = db_vacuum_step(st->db, VACUUM_MAX_PAGES, keep, is_enough_vacuum, &until);
    bool is_more = n - given > keep;

    if (given < 0)
        store_fail(st, (int)given, "vacuum");
    st->free_low -= given;
    st->free_high -= given;
    took = store_now_us() - before;
    store_upkeep_took(st, STORE_STEP_VACUUM, took);
    pause = is_idle(st) ? took : took * VACUUM_PAUSE_FACTOR;
    pause = pause > VACUUM_PAUSE_US ? pause : VACUUM_PAUSE_US;
    st->vacuum_due_us = is_more ? before + took + pause : UINT64_MAX;
    if (!is_more)
        st->idle_due_us = before + IDLE_US; /* its own commits wait in the WAL */
}

/*
 * How many free pages are kept for what comes: as many as are in use, because each page that is
 * given back may cost the moving of one in use.
 */
static int64_t free_to_keep(const struct store *st, int64_t n_used)
{
    uint64_t least = st->wal_share < VACUUM_KEEP_BYTES ? st->wal_share : VACUUM_KEEP_BYTES;
    int64_t keep = (int64_t)(least / DB_PAGE_BYTES);

    return n_used > keep ? n_used : keep;
}

/* Looks for free pages. */
static void vacuum(struct store *st, uint64_t now)
{
    int64_t n_all, n, keep;
    int r;

    if (checkpoint_if_due(st))
        return; /* enough for one turn */
    r = db_pages(st->db, &n_all, &n);
    if (r < 0)
        store_fail(st, r, "vacuum");
    keep = free_to_keep(st, n_all - n);
    if (n <= keep)
        st->vacuum_due_us = UINT64_MAX;
    else if (is_still(st, n, now))
        vacuum_step(st, n, (uint32_t)keep);
    else
        st->vacuum_due_us = now + IDLE_US;
}

/*
 * Whether the database has room for what a checkpoint copies to it: one that finds the disk full
 * ends the store, while a WAL that stays is no harm, and a full disk is soon less full.
 */
static bool has_room(const struct store *st)
{
    struct statvfs disk;

    return statvfs(st->arg.dir, &disk) != 0 || /* in no file system, or it will be told */
           (uint64_t)disk.f_bavail * disk.f_frsize > db_checkpoint_bytes(st->db);
}

/* Nothing was committed for a while. */
static void rest(struct store *st)
{
    bool is_wanted = db_wal_bytes(st->db) > 0, has = !is_wanted || has_room(st);

    st->idle_due_us = has ? UINT64_MAX : store_now_us() + IDLE_US;
    take_share(st);
    if (is_wanted && has)
        checkpoint(st);
    db_release_memory(st->db);
}

uint64_t store_upkeep_due(const struct store *st)
{
    uint64_t due = st->vacuum_due_us < st->idle_due_us ? st->vacuum_due_us : st->idle_due_us;

    if (st->log_due_us < due)
        due = st->log_due_us;
    if (st->trim_due_us < due)
        due = st->trim_due_us;
    return due < st->compact_due_us ? due : st->compact_due_us;
}

void store_upkeep_go_on(struct store *st)
{
    uint64_t now = store_now_us();

    if (st->log_due_us <= now)
        grow_log(st, now);
    else if (st->vacuum_due_us <= now)
        vacuum(st, now);
    else if (st->idle_due_us <= now)
        rest(st);
    else if (st->trim_due_us <= now)
        store_trim_go_on(st, now);
    else if (st->compact_due_us <= now)
        store_compact_go_on(st);
}
