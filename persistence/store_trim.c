/*
 * What was settled all together leaves the disk in steps, each a commit of its own, sized by what
 * the last one took, while nothing waits for a commit.
 */
#include "persistence/store_internal.h"

#define STEP_US      10000
#define PAUSE_US     10000
#define FIRST_PIECES 8
#define MAX_PIECES   1024

void store_trim_init(struct store *st)
{
    st->trim_pieces = FIRST_PIECES;
    st->trim_due_us = UINT64_MAX;
    store_trim_later(st);
}

void store_trim_later(struct store *st)
{
    if (st->trim_due_us == UINT64_MAX && db_is_trimming(st->db))
        st->trim_due_us = proc_now_us() + PAUSE_US;
}

void store_trim_go_on(struct store *st, uint64_t now)
{
    uint64_t took;
    int r = db_trim_step(st->db, st->trim_pieces);

    if (r < 0)
        store_fail(st, r, "clearing of what is settled");
    took = store_now_us() - now;
    store_upkeep_took(st, STORE_STEP_TRIM, took);
    st->trim_due_us = r > 0 ? now + took + PAUSE_US : UINT64_MAX;
    if (took > STEP_US && st->trim_pieces > 1)
        st->trim_pieces /= 2;
    else if (took < STEP_US / 2 && st->trim_pieces < MAX_PIECES)
        st->trim_pieces *= 2;
    store_upkeep_committed(st);
}
