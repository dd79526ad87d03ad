/*
 * What keeps a store in shape: the WAL is copied, free pages are given back, and what the node has
 * for all its stores is divided among them.
 *
 * Each step is sized by what the last one took, so that none holds up the queues for more than
 * about 20 ms.
 */
#include <stdatomic.h>
#include <stdio.h>

#include "broker/runtime/world.h"
#include "persistence/store_internal.h"

#define CHECKPOINT_US          20000
#define CHECKPOINT_FIRST_BYTES (4 << 20) /* until it is known how long one takes */
#define IDLE_US                1000000
#define VACUUM_US              10000
#define VACUUM_FIRST_PAGES     16
#define VACUUM_MAX_PAGES       1024
#define VACUUM_KEEP            1024 /* free pages kept for the next burst, at most: 16 MiB */
#define VACUUM_PAUSE_US        20000
#define PAGE_BYTES             16384

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
    limits.wal_bytes = store_share(st->arg.wal_budget, n, WAL_MIN, WAL_MAX);
    st->wal_share = limits.wal_bytes;
    if (st->checkpoint_bytes > limits.wal_bytes)
        st->checkpoint_bytes = limits.wal_bytes;
    r = db_set_limits(st->db, &limits);
    if (r < 0)
        store_fail(st, r, "limits");
}

void store_upkeep_init(struct store *st)
{
    atomic_fetch_add(&n_stores, 1);
    proc_at_exit(leave, NULL);
    st->checkpoint_bytes = CHECKPOINT_FIRST_BYTES;
    st->vacuum_pages = VACUUM_FIRST_PAGES;
    st->vacuum_due_us = UINT64_MAX;
    st->idle_due_us = store_now_us() + IDLE_US;
    st->compact_due_us = store_now_us() + store_tuning.cold_us;
    store_trim_init(st);
    take_share(st);
}

void store_upkeep_took(struct store *st, uint64_t us)
{
    if (us > st->worst_us)
        st->worst_us = us;
}

/*
 * The size of the next checkpoint by what this one took: down at once, up by a quarter. A small one
 * that was quick enough tells nothing.
 */
static uint64_t next_checkpoint(const struct store *st, uint64_t bytes, uint64_t took_us)
{
    uint64_t most = st->checkpoint_bytes / 4 * 5, fit;

    if (took_us <= CHECKPOINT_US && bytes < st->checkpoint_bytes)
        return st->checkpoint_bytes;
    fit = took_us > 0 ? bytes * CHECKPOINT_US / took_us : most;
    if (fit > most)
        fit = most;
    if (fit < WAL_MIN)
        fit = WAL_MIN;
    return fit < st->wal_share ? fit : st->wal_share;
}

static void checkpoint(struct store *st)
{
    uint64_t bytes = db_wal_bytes(st->db);
    uint64_t before = store_now_us();
    int r = db_checkpoint(st->db);

    if (r < 0)
        store_fail(st, r, "checkpoint");
    st->checkpoint_us = store_now_us() - before;
    store_upkeep_took(st, st->checkpoint_us);
    st->checkpoint_bytes = next_checkpoint(st, bytes, st->checkpoint_us);
}

/* Copies the WAL back if it is time. */
static void checkpoint_if_due(struct store *st)
{
    if (db_wal_bytes(st->db) < st->checkpoint_bytes)
        return;
    take_share(st);
    checkpoint(st);
}

void store_upkeep_committed(struct store *st)
{
    uint64_t now = store_now_us();

    st->idle_due_us = now + IDLE_US;
    if (st->vacuum_due_us == UINT64_MAX)
        st->vacuum_due_us = now + IDLE_US;
    checkpoint_if_due(st);
}

/* Gives some free pages back; more of them after a pause. */
static void vacuum(struct store *st, uint64_t now)
{
    uint64_t keep = st->wal_share / PAGE_BYTES, took;
    int r = db_vacuum_step(st->db, st->vacuum_pages,
                           (uint32_t)(keep < VACUUM_KEEP ? keep : VACUUM_KEEP));

    if (r < 0)
        store_fail(st, r, "vacuum");
    took = store_now_us() - now;
    store_upkeep_took(st, took);
    st->vacuum_due_us = r > 0 ? now + took + VACUUM_PAUSE_US : UINT64_MAX;
    if (took > VACUUM_US && st->vacuum_pages > 1)
        st->vacuum_pages /= 2;
    else if (r > 0 && took < VACUUM_US / 2 && st->vacuum_pages < VACUUM_MAX_PAGES)
        st->vacuum_pages *= 2;
    checkpoint_if_due(st);
}

/* Nothing was committed for a while. */
static void rest(struct store *st)
{
    st->idle_due_us = UINT64_MAX;
    take_share(st);
    if (db_wal_bytes(st->db) > 0)
        checkpoint(st);
    db_release_memory(st->db);
}

uint64_t store_upkeep_due(const struct store *st)
{
    uint64_t due = st->vacuum_due_us < st->idle_due_us ? st->vacuum_due_us : st->idle_due_us;

    if (st->trim_due_us < due)
        due = st->trim_due_us;
    return due < st->compact_due_us ? due : st->compact_due_us;
}

void store_upkeep_go_on(struct store *st)
{
    uint64_t now = store_now_us();

    if (st->vacuum_due_us <= now)
        vacuum(st, now);
    else if (st->idle_due_us <= now)
        rest(st);
    else if (st->trim_due_us <= now)
        store_trim_go_on(st, now);
    else if (st->compact_due_us <= now)
        store_compact_go_on(st);
}
