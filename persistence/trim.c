/*
 * What is settled at once and leaves the disk bit by bit: wide ranges of a queue (a purge, a
 * deletion), and what an earlier program left that need not outlive it.
 *
 * A wide range is a row of its own, so that settling it costs one row however much is in it. In RAM
 * the messages are gone at once: their extents have left the index. What is left to do is a list of
 * segments: some go as a whole, in the others the queue's entries are to be marked. When a range
 * has none left its row goes, too.
 *
 * Invariants
 *  1. A segment in the list is either settled as a whole (n_live is 0, and nobody else knows it),
 *     or counts what the range has in it among its n_live until that is marked.
 *  2. No message with a seq in a range of its queue is added; whoever would is preceded by the end
 *     of the range (trim_make_room).
 */
#include <errno.h>
#include <string.h>

#include "persistence/db_internal.h"

struct dead {
    struct segment *segment;
    struct range *range; /* NULL: of an earlier program, as a whole */
    bool is_whole;
};

/* The last seq of a row: its column has a sign. */
static uint64_t row_last(uint64_t last)
{
    return last < INT64_MAX ? last : INT64_MAX;
}

static struct range *range_new(struct db *db, const struct range *in)
{
    struct range *range = db_realloc(db, NULL, sizeof(*range));

    *range = *in;
    range->next = db->ranges;
    range->n_left = 0;
    db->ranges = range;
    return range;
}

bool trim_is_wide(const struct db *db, uint32_t n_extents)
{
    return n_extents > db->config.wide_extents;
}

int trim_begin(struct db *db, const struct range *in, struct range **ret)
{
    int r = group_begin(db);

    if (r == 0)
        r = sql_bind_int(db->sql, SQL_SETTLED_PUT, 1, in->queue);
    if (r == 0)
        r = sql_bind_int(db->sql, SQL_SETTLED_PUT, 2, in->first);
    if (r == 0)
        r = sql_bind_int(db->sql, SQL_SETTLED_PUT, 3, row_last(in->last));
    if (r == 0)
        r = sql_bind_int(db->sql, SQL_SETTLED_PUT, 4, in->is_fleeting);
    if (r == 0)
        r = sql_run(db->sql, SQL_SETTLED_PUT);
    if (r < 0)
        return r;
    db->has_rows = true;
    *ret = range_new(db, in);
    return 0;
}

void trim_add(struct db *db, struct segment *s, struct range *range, bool is_whole)
{
    if (db->dead_tail == db->dead_room && db->dead_head > db->dead_room / 2) {
        memmove(db->dead, db->dead + db->dead_head,
                (db->dead_tail - db->dead_head) * sizeof(*db->dead));
        db->dead_tail -= db->dead_head;
        db->dead_head = 0;
    }
    if (db->dead_tail == db->dead_room) {
        db->dead_room = db->dead_room ? 2 * db->dead_room : 64;
        db->dead = db_realloc(db, db->dead, db->dead_room * sizeof(*db->dead));
    }
    if (is_whole)
        s->n_live = 0;
    if (range)
        range->n_left++;
    db->dead[db->dead_tail++] = (struct dead){.segment = s, .range = range, .is_whole = is_whole};
}

static int take_one(struct db *db, const struct dead *d)
{
    if (d->is_whole)
        return segment_delete(db, d->segment);
    return segment_leave(db, d->segment, d->range->queue, d->range->first, d->range->last);
}

/* The rows of ranges of which nothing is left. */
static int end_ranges(struct db *db)
{
    struct range **at = &db->ranges;
    int r = 0;

    while (r == 0 && *at) {
        struct range *range = *at;

        if (range->n_left > 0) {
            at = &range->next;
            continue;
        }
        r = sql_bind_int(db->sql, SQL_SETTLED_DEL, 1, range->queue);
        if (r == 0)
            r = sql_bind_int(db->sql, SQL_SETTLED_DEL, 2, range->first);
        if (r == 0)
            r = sql_bind_int(db->sql, SQL_SETTLED_DEL, 3, range->is_fleeting);
        if (r == 0)
            r = sql_run(db->sql, SQL_SETTLED_DEL);
        *at = range->next;
        db_free(db, range);
    }
    return r;
}

bool db_is_trimming(const struct db *db)
{
    return db->dead_head < db->dead_tail || db->ranges;
}

int trim_some(struct db *db, uint32_t n)
{
    int r = db_is_trimming(db) ? group_begin(db) : 0;

    if (r < 0 || !db_is_trimming(db))
        return r;
    db->has_rows = true;
    for (; r == 0 && n > 0 && db->dead_head < db->dead_tail; n--) {
        const struct dead *d = &db->dead[db->dead_head++];

        if (d->range)
            d->range->n_left--;
        r = take_one(db, d);
    }
    if (db->dead_head == db->dead_tail)
        db->dead_head = db->dead_tail = 0;
    return r < 0 ? r : end_ranges(db);
}

int trim_make_room(struct db *db, uint64_t queue, uint64_t seq)
{
    for (const struct range *range = db->ranges; range; range = range->next) {
        if (range->queue == queue && seq >= range->first && seq <= range->last)
            return trim_some(db, UINT32_MAX);
    }
    return 0;
}

int db_trim_step(struct db *db, uint32_t n)
{
    int r;

    if (sql_in_transaction(db->sql) || db->policy.n_items > 0 || db->dirty)
        return -EBUSY;
    if (!db_is_trimming(db))
        return 0;
    r = trim_some(db, n);
    if (r < 0)
        return db_fail(db, r);
    r = db_commit(db);
    return r < 0 ? r : db_is_trimming(db);
}

/* Reads the rows before anything is done with them, because that reads other rows. */
static int load_ranges(struct db *db)
{
    int r;

    while ((r = sql_next(db->sql, SQL_SETTLED)) == 1) {
        const struct range in = {.queue = sql_column_int(db->sql, SQL_SETTLED, 0),
                                 .first = sql_column_int(db->sql, SQL_SETTLED, 1),
                                 .last = sql_column_int(db->sql, SQL_SETTLED, 2),
                                 .is_fleeting = sql_column_int(db->sql, SQL_SETTLED, 3)};

        (void)range_new(db, &in);
    }
    return r;
}

int trim_recover(struct db *db)
{
    int r = load_ranges(db);

    for (struct range *range = db->ranges; r == 0 && range; range = range->next) {
        struct queue_index *q = index_queue(db, range->queue);

        if (q)
            r = index_settle_known(db, q, range, range);
    }
    return r;
}

void trim_fini(struct db *db)
{
    while (db->ranges) {
        struct range *range = db->ranges;

        db->ranges = range->next;
        db_free(db, range);
    }
    db_free(db, db->dead);
}
