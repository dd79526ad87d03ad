/*
 * The steps that take more than statements.
 *
 * Version 2: the header of a segment says the last seq of each queue, too. It is read from the
 * entries, a segment at a time.
 */
#include "persistence/migrate.h"

#include <errno.h>
#include <string.h>

#include "broker/runtime/alloc.h"
#include "broker/runtime/u64map.h"
#include "persistence/segment.h"
#include "persistence/sql.h"

struct head_draft {   /* a header under construction */
    struct u64map at; /* queue -> its place in the list, and one */
    struct seg_queue *queue;
    uint8_t *bytes;
    uint32_t n;
};

/* A queue is where its first entry puts it, as when the segment was written. */
static void count_entry(struct head_draft *d, const struct seg_entry *e)
{
    uint64_t *at = u64map_get(&d->at, e->queue);
    struct seg_queue *q;

    if (!at) {
        d->queue = rt_realloc(d->queue, (d->n + 1) * sizeof(*d->queue));
        d->queue[d->n] =
            (struct seg_queue){.queue = e->queue, .first_seq = e->seq, .last_seq = e->seq};
        u64map_put(&d->at, e->queue, ++d->n);
        at = u64map_get(&d->at, e->queue);
    }
    q = &d->queue[*at - 1];
    if (e->seq < q->first_seq)
        q->first_seq = e->seq;
    if (e->seq > q->last_seq)
        q->last_seq = e->seq;
    q->bytes += e->len;
    q->count++;
}

static int count_entries(struct head_draft *d, const void *p, size_t len, uint32_t n_entries)
{
    struct seg_reader reader;
    struct seg_entry e;
    int r;

    if (seg_open(&reader, p, len) < 0 || reader.left != n_entries)
        return -EUCLEAN;
    while ((r = seg_next(&reader, &e)) == 1)
        count_entry(d, &e);
    return r < 0 ? -EUCLEAN : 0;
}

/* The row that the cursor stands on: a segment's id, header and entries. */
static int rewrite_header(struct sql *sql, struct head_draft *d, uint64_t *ret_id)
{
    struct seg_head h;
    size_t len;
    uint64_t id = sql_column_int(sql, SQL_HEADERS_OLD, 0);
    const void *p = sql_column_bytes(sql, SQL_HEADERS_OLD, 1, &len);
    int r = seg_head_decode(p, len, &h, NULL, 0);

    if (r < 0)
        return -EUCLEAN;
    p = sql_column_bytes(sql, SQL_HEADERS_OLD, 2, &len);
    r = count_entries(d, p, len, h.n_entries);
    sql_reset(sql, SQL_HEADERS_OLD);
    if (r < 0)
        return r;
    h.n_queues = d->n;
    d->bytes = rt_realloc(d->bytes, SEG_HEAD_MAX(d->n));
    *ret_id = id;
    return sql_run_id_blob(sql, SQL_HEADER_PUT, id, d->bytes,
                           seg_head_encode(&h, d->queue, d->bytes));
}

static int next_header(struct sql *sql, uint64_t *id)
{
    struct head_draft d = {.n = 0};
    int r = sql_bind_int(sql, SQL_HEADERS_OLD, 1, *id);

    if (r == 0)
        r = sql_next(sql, SQL_HEADERS_OLD);
    if (r < 1)
        return r;
    u64map_init(&d.at, rt_realloc, rt_free);
    r = rewrite_header(sql, &d, id);
    sql_reset(sql, SQL_HEADERS_OLD);
    u64map_fini(&d.at);
    rt_free(d.queue);
    rt_free(d.bytes);
    return r < 0 ? r : 1;
}

/* The last group's marker has no entries, and needs its version only. */
static int rewrite_marker(struct sql *sql)
{
    uint8_t bytes[SEG_HEAD_MAX(0)];
    struct seg_head h;
    uint64_t id;
    size_t len;
    const void *p;
    int r = sql_next(sql, SQL_MARKER);

    if (r < 1)
        return r;
    id = sql_column_int(sql, SQL_MARKER, 0);
    p = sql_column_bytes(sql, SQL_MARKER, 1, &len);
    r = seg_head_decode(p, len, &h, NULL, 0) < 0 || h.n_entries > 0 ? -EUCLEAN : 0;
    sql_reset(sql, SQL_MARKER);
    if (r < 0)
        return r;
    return sql_run_id_blob(sql, SQL_HEADER_PUT, id, bytes, seg_head_encode(&h, NULL, bytes));
}

int migrate_headers(struct sql *sql)
{
    uint64_t id = 0;
    int r;

    do
        r = next_header(sql, &id);
    while (r == 1);
    return r < 0 ? r : rewrite_marker(sql);
}
