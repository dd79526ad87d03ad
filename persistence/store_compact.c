/*
 * Compaction by the store: in steps, each a commit of its own, with pauses between them, and only
 * while nothing waits for a commit.
 *
 * A round goes through all queues, and takes segments that are older than cold_us. Rounds follow
 * each other by that time, until one finds nothing to do and nothing new to wait for.
 */
#include "persistence/store_internal.h"

#define MAX_SCAN     4096
#define MAX_MOVES    8
#define STEP_US      10000
#define PAUSE_FACTOR 4 /* a pause lasts so many times the step before it */
#define PAUSE_MIN_US 10000
#define BYTES_A_US   32 /* at most so many are written anew, wherever the disk is quick */

struct store_tuning store_tuning = {
    .cold_us = 10 * 1000 * 1000, .still_us = 10 * 1000 * 1000, .min_extents = 8};

static void begin_round(struct store *st)
{
    st->compact_below = st->compact_mark;
    st->compact_mark = db_next_segment(st->db);
    st->compact_wrote = false;
    st->is_compacting = true;
}

static void end_round(struct store *st, uint64_t now)
{
    bool is_done = !st->compact_wrote && st->compact_below == st->compact_mark &&
                   st->compact_mark == db_next_segment(st->db);

    st->is_compacting = false;
    st->compact_due_us = is_done ? UINT64_MAX : now + store_tuning.cold_us;
}

void store_compact_later(struct store *st)
{
    if (st->compact_due_us == UINT64_MAX)
        st->compact_due_us = proc_now_us() + store_tuning.cold_us;
}

/* As many in one step as take about 10 ms. */
static uint32_t next_moves(uint32_t moves, uint64_t took_us)
{
    if (took_us > STEP_US && moves > 1)
        return moves / 2;
    return took_us < STEP_US / 2 && moves < MAX_MOVES ? moves + 1 : moves;
}

void store_compact_go_on(struct store *st)
{
    const struct db_compact how = {.below = st->compact_below,
                                   .min_extents = store_tuning.min_extents,
                                   .max_scan = MAX_SCAN,
                                   .max_moves = st->compact_moves};
    uint64_t before = store_now_us(), now, bytes, pause;
    int r;

    if (!st->is_compacting) {
        begin_round(st);
        st->compact_due_us = before;
        return;
    }
    r = db_compact_step(st->db, &how, &bytes);
    if (r < 0)
        store_fail(st, r, "compaction");
    now = store_now_us();
    store_upkeep_took(st, STORE_STEP_COMPACTION, now - before);
    st->compact_wrote = st->compact_wrote || bytes > 0;
    st->n_compacted += bytes;
    st->compact_moves = next_moves(st->compact_moves, now - before);
    pause = (now - before) * PAUSE_FACTOR;
    if (pause < bytes / BYTES_A_US)
        pause = bytes / BYTES_A_US;
    st->compact_due_us = now + (pause > PAUSE_MIN_US ? pause : PAUSE_MIN_US);
    if (r == 0)
        end_round(st, now);
    if (bytes > 0)
        store_upkeep_committed(st);
}
