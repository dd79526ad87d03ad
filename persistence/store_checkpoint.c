/*
 * The copying of the log back into the database, so that no commit waits long for it.
 *
 * Pages are copied in steps of a few ms between commits. Then a process of the store's own, the
 * flusher, syncs the database's file on another thread of the pool while commits go on. What these
 * wrote meanwhile is little, and is copied, too; then the checkpoint proper finds next to nothing
 * to write and to sync, and makes room in the log.
 *
 * Messages: STORE_FLUSH from store to flusher, a call, answered by STORE_FLUSHED. The flusher is
 * linked to the store, begins with its first sync, and ends with it.
 */
#include <stdio.h>
#include <string.h>

#include "broker/core/stats.h"
#include "broker/runtime/runtime.h"
#include "persistence/store_internal.h"

#define STEP_US         5000
#define STEP_MIN_BYTES  (4 << 20)
#define STEP_MAX_BYTES  (16 << 20)
#define FLUSH_US        15000
#define FIRST_BYTES     (4 << 20)   /* copied until it is known how long a sync takes; the least */
#define REST_BYTES      (512 << 10) /* so little is left to the checkpoint proper */
#define WAL_LIMIT_SHARE 2 /* the log may be so many times its share before all waits for it */

struct msg_store_flush {
    struct msg hdr;
    struct db_flush flush;
};

struct msg_store_flushed {
    struct msg hdr;
    int r;
};

struct flusher {
    uint64_t n_flushes;
};

static void on_flusher_handle(void *state, struct msg *m)
{
    struct flusher *f = state;
    struct msg_store_flushed *reply;

    CHECK(m->type == STORE_FLUSH);
    reply = MSG_NEW(STORE_FLUSHED, struct msg_store_flushed);
    reply->r = db_flush_run(&MSG_OF(struct msg_store_flush, m)->flush);
    f->n_flushes++;
    proc_reply(m, &reply->hdr);
}

static size_t on_flusher_inspect(const void *state, char *out, size_t size)
{
    const struct flusher *f = state;
    int n = snprintf(out, size, "{\"flushes\": %llu}", (unsigned long long)f->n_flushes);

    return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

static const struct proc_ops flusher_ops = {
    .kind = "store_flusher",
    .state_size = sizeof(struct flusher),
    .flags = PROC_OPS_BLOCKING,
    .handle = on_flusher_handle,
    .inspect = on_flusher_inspect,
};

static void drop_flush(struct msg *m)
{
    db_flush_fini(&MSG_OF(struct msg_store_flush, m)->flush);
    msg_free(m);
}

void store_checkpoint_init(struct store *st)
{
    st->checkpoint_bytes = FIRST_BYTES;
    st->copy_bytes = STEP_MIN_BYTES;
}

static void start_flush(struct store *st)
{
    struct msg *m = msg_new(STORE_FLUSH, sizeof(struct msg_store_flush), drop_flush);
    struct db_flush *flush = &MSG_OF(struct msg_store_flush, m)->flush;
    int r;

    flush->file = NULL;
    r = db_flush_begin(st->db, flush);
    if (r < 0) {
        msg_drop(m);
        store_fail(st, r, "checkpoint");
    }
    if (!st->flusher) {
        char name[300];

        snprintf(name, sizeof(name), "flusher of %s", proc_name());
        st->flusher =
            proc_spawn(&(struct spawn){.ops = &flusher_ops, .name = name, .flags = PROC_LINK});
    }
    st->flush_round = flush->round;
    st->flush_since_us = store_now_us();
    (void)proc_call(st->flusher, m, PROC_NO_TIMEOUT); /* its answer is known by its type */
    st->checkpoint = CHECKPOINT_FLUSHES;
}

static void copy_step(struct store *st)
{
    uint64_t before = store_now_us(), bytes = db_checkpoint_bytes(st->db), took;
    int r = db_checkpoint_step(st->db, st->copy_bytes);

    if (r < 0)
        store_fail(st, r, "checkpoint");
    bytes -= db_checkpoint_bytes(st->db);
    st->copied_bytes += bytes;
    took = store_now_us() - before;
    store_upkeep_took(st, STORE_STEP_COPY, took);
    if (took > STEP_US && st->copy_bytes > STEP_MIN_BYTES)
        st->copy_bytes /= 2;
    else if (r > 0 && took < STEP_US / 2 && st->copy_bytes < STEP_MAX_BYTES)
        st->copy_bytes *= 2;
    if (r == 0)
        start_flush(st);
}

/* What is left of it: room in the log. */
static void finish(struct store *st)
{
    uint64_t before = store_now_us();
    int r = db_checkpoint(st->db);

    if (r < 0)
        store_fail(st, r, "checkpoint");
    st->checkpoint_us = store_now_us() - before;
    store_upkeep_took(st, STORE_STEP_CHECKPOINT, st->checkpoint_us);
    if (st->checkpoint != CHECKPOINT_FLUSHES)
        st->checkpoint = CHECKPOINT_NONE;
}

/*
 * How much is copied the next time, by what this sync took: down at once, up by a quarter. A small
 * one that was quick enough tells nothing.
 */
static uint64_t next_bytes(const struct store *st, uint64_t took_us)
{
    uint64_t most = st->checkpoint_bytes / 4 * 5, fit;

    if (took_us <= FLUSH_US && st->copied_bytes < st->checkpoint_bytes)
        return st->checkpoint_bytes;
    fit = took_us > 0 ? st->copied_bytes * FLUSH_US / took_us : most;
    if (fit > most)
        fit = most;
    if (fit < FIRST_BYTES)
        fit = FIRST_BYTES;
    return fit < st->wal_share ? fit : st->wal_share;
}

void store_on_flushed(struct store *st, const struct msg *m)
{
    const struct db_flush flush = {.round = st->flush_round};
    uint64_t took = store_now_us() - st->flush_since_us, copied = st->copied_bytes;
    int r = MSG_OF(const struct msg_store_flushed, m)->r;

    if (r < 0)
        proc_exit(EXIT_CRASH, r, "checkpoint: the database was not synced: %s", strerror(-r));
    store_stats_step(STORE_STEP_FLUSH, took);
    db_flush_end(st->db, &flush);
    if (!st->is_again)
        st->checkpoint_bytes = next_bytes(st, took);
    st->copied_bytes = 0;
    st->is_again = db_checkpoint_bytes(st->db) > REST_BYTES &&
                   (copied == 0 || db_checkpoint_bytes(st->db) < copied / 2);
    st->checkpoint = st->is_again ? CHECKPOINT_COPIES : CHECKPOINT_ENDS;
}

void store_checkpoint_begin(struct store *st)
{
    if (st->checkpoint != CHECKPOINT_NONE || db_wal_bytes(st->db) == 0)
        return;
    store_take_share(st);
    st->checkpoint = CHECKPOINT_COPIES;
    st->copied_bytes = 0;
    st->is_again = false;
}

bool store_checkpoint_is_at_work(const struct store *st)
{
    return st->checkpoint == CHECKPOINT_COPIES || st->checkpoint == CHECKPOINT_ENDS;
}

/*
 * It is time if there is enough to copy for one sync. Where messages come and go they use the same
 * pages again and again, and the log may grow to its share.
 */
bool store_checkpoint_go_on(struct store *st)
{
    if (db_wal_bytes(st->db) >= WAL_LIMIT_SHARE * st->wal_share) {
        finish(st);
        return true;
    }
    if (db_checkpoint_bytes(st->db) >= st->checkpoint_bytes ||
        db_wal_bytes(st->db) >= st->wal_share)
        store_checkpoint_begin(st);
    if (st->checkpoint == CHECKPOINT_COPIES)
        copy_step(st);
    else if (st->checkpoint == CHECKPOINT_ENDS)
        finish(st);
    else
        return false;
    return true;
}
