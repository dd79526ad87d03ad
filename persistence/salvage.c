/*
 * A new store from what can be read of a damaged one.
 *
 * Nothing read here is believed: lists of entries, bitmaps and records have checksums, definitions
 * are what they are. Where a row can't be read the search goes on behind it, id by id, because the
 * next one may lie in another page.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/runtime/alloc.h"
#include "persistence/ackmap.h"
#include "persistence/crc32c.h"
#include "persistence/db_internal.h"
#include "persistence/schema.h"

#define COMMIT_AT_BYTES  (4 << 20)
#define COMMIT_AT_ADDS   4096
#define COPY_WAL_AT      (64 << 20)
#define IDS_BEYOND_KNOWN (1 << 20) /* where the counter of ids is lost */

struct settled { /* messages that are, wherever they lie */
    uint64_t queue, first, last;
};

struct salvage {
    struct sql *from;
    struct db *to;
    struct db_salvaged found;
    struct u64map queues; /* those that have a definition */
    struct settled *settled;
    uint32_t n_settled;
    uint64_t max_id; /* of what has one */
};

static void release(void *ctx, void *token)
{
    (void)ctx;
    rt_free(token);
}

static int keep_def(void *ctx, const struct db_def *def)
{
    struct salvage *s = ctx;

    if (def->id > s->max_id)
        s->max_id = def->id;
    if (def->kind == DB_QUEUE && def->id > 0)
        u64map_put(&s->queues, def->id, 1);
    return db_put(s->to, def);
}

/* From both ends, so that one damaged page costs its rows alone. Only `to` can fail. */
static int copy_defs(struct salvage *s)
{
    static const enum db_def_kind kinds[] = {DB_SETTING, DB_EXCHANGE, DB_QUEUE, DB_BINDING};

    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (defs_each(s->from, kinds[i], false, keep_def, s) == 0)
            continue;
        if (s->to->is_failed)
            return -EIO;
        s->found.definitions_lost = true;
        (void)defs_each(s->from, kinds[i], true, keep_def, s); /* it meets the same damage */
        if (s->to->is_failed)
            return -EIO;
    }
    return 0;
}

/* No id that the damaged store gave is given again. */
static int copy_ids(struct salvage *s)
{
    int64_t next = 0;
    uint64_t first;
    int r = 0;

    if (sql_number(s->from, "SELECT value FROM meta WHERE name = 'next_id'", &next) < 0 ||
        next <= (int64_t)s->max_id)
        next = (int64_t)s->max_id + IDS_BEYOND_KNOWN;
    for (uint64_t left = (uint64_t)next; r == 0 && left > 0;) {
        uint32_t n = left > UINT32_MAX ? UINT32_MAX : (uint32_t)left;

        r = db_reserve_ids(s->to, n, &first);
        left -= n;
    }
    return r == 0 ? db_commit(s->to) : r;
}

static int commit_if_much(struct salvage *s)
{
    struct db_pending p = db_pending(s->to);
    int r = 0;

    if (p.bytes >= COMMIT_AT_BYTES || p.adds >= COMMIT_AT_ADDS)
        r = db_commit(s->to);
    if (r == 0 && db_wal_bytes(s->to) >= COPY_WAL_AT && db_pending(s->to).adds == 0)
        r = db_checkpoint(s->to);
    return r;
}

/* What is settled as a range. Where that can't be read its messages come again. */
static void load_settled(struct salvage *s)
{
    int64_t version;
    int r;

    if (sql_number(s->from, "PRAGMA user_version", &version) == 0 && version < 3)
        return; /* there was no such table */
    while ((r = sql_next(s->from, SQL_SETTLED)) == 1) {
        if (sql_column_int(s->from, SQL_SETTLED, 3))
            continue; /* what is fleeting is not kept */
        s->settled = rt_realloc(s->settled, (s->n_settled + 1) * sizeof(*s->settled));
        s->settled[s->n_settled++] =
            (struct settled){.queue = sql_column_int(s->from, SQL_SETTLED, 0),
                             .first = sql_column_int(s->from, SQL_SETTLED, 1),
                             .last = sql_column_int(s->from, SQL_SETTLED, 2)};
    }
    s->found.acks_lost += r < 0;
}

static bool is_settled(const struct salvage *s, const struct seg_entry *e)
{
    for (uint32_t i = 0; i < s->n_settled; i++) {
        if (s->settled[i].queue == e->queue && s->settled[i].first <= e->seq &&
            s->settled[i].last >= e->seq)
            return true;
    }
    return false;
}

/* Whether nothing in it was to outlive the program; of a segment without a header nobody knows. */
static bool is_fleeting(struct salvage *s, uint64_t segment)
{
    struct seg_head h = {.flags = 0};
    const void *p;
    size_t len;
    int r = sql_bind_int(s->from, SQL_HEADER_OF, 1, segment);

    if (r == 0)
        r = sql_next(s->from, SQL_HEADER_OF);
    if (r != 1)
        return false;
    p = sql_column_bytes(s->from, SQL_HEADER_OF, 0, &len);
    (void)seg_head_decode(p, len, &h, NULL, 0); /* a damaged one says nothing */
    sql_reset(s->from, SQL_HEADER_OF);
    return h.flags & SEG_FLEETING;
}

/* A record of a fan-out is written once: within a segment its place is its name. */
static int keep_message(struct salvage *s, uint64_t segment, const struct seg_entry *e)
{
    struct db_add add = {.queue = e->queue, .seq = e->seq, .attr = e->attr};
    uint8_t *bytes;
    int r;

    if (!u64map_get(&s->queues, e->queue)) {
        s->found.orphans++;
        return 0;
    }
    bytes = rt_alloc((size_t)e->len + 1);
    r = e->len > 0 ? sql_read(s->from, segment, e->off, bytes, e->len) : 0;
    if (r < 0 || crc32c(0, bytes, e->len) != e->crc) {
        rt_free(bytes);
        s->found.lost++;
        return 0;
    }
    add.iov[0] = (struct iovec){bytes, e->len};
    if (e->len > 0) /* an empty one is where the next one is */
        add.key = (const void *)(uintptr_t)(segment << 33 | ((uint64_t)e->off + 1) << 1);
    add.token = bytes;
    r = db_add(s->to, &add, 0);
    if (r == 0)
        s->found.messages++;
    return r < 0 ? r : 0;
}

/* The bits of what was settled; NULL: nothing was, or nobody knows. The caller's. */
static uint8_t *read_acks(struct salvage *s, uint64_t segment, uint32_t n)
{
    uint8_t *bits = NULL;
    const void *p;
    size_t len;
    int r = sql_bind_int(s->from, SQL_ACKS_OF, 1, segment);

    if (r == 0)
        r = sql_next(s->from, SQL_ACKS_OF);
    if (r == 1) {
        p = sql_column_bytes(s->from, SQL_ACKS_OF, 0, &len);
        bits = rt_alloc(ackmap_bytes(n) + 1);
        r = ackmap_decode(p, len, n, bits);
        sql_reset(s->from, SQL_ACKS_OF);
    }
    if (r >= 0)
        return bits;
    rt_free(bits);
    s->found.acks_lost++;
    return NULL;
}

static int copy_segment(struct salvage *s, uint64_t segment, const uint8_t *list, size_t len)
{
    struct seg_reader reader;
    struct seg_entry e;
    uint32_t slot = 0;
    uint8_t *acks;
    int r, end;

    if (is_fleeting(s, segment))
        return 0;
    if (seg_open(&reader, list, len) < 0) {
        s->found.lists_lost++;
        return 0;
    }
    acks = read_acks(s, segment, reader.left);
    r = 0;
    while (r == 0 && (end = seg_next(&reader, &e)) == 1) {
        if ((!acks || !ackmap_has(acks, slot)) && !is_settled(s, &e))
            r = keep_message(s, segment, &e);
        slot++;
    }
    rt_free(acks);
    return r < 0 ? r : commit_if_much(s);
}

/* The next list of entries: 1 and a copy of it; 0 behind the last; -errno where it can't be read.
 */
static int next_list(struct salvage *s, uint64_t from, uint64_t *ret_id, struct buffer *list,
                     size_t *ret_len)
{
    const void *p;
    int r = sql_bind_int(s->from, SQL_ENTRIES_FROM, 1, from);

    if (r == 0)
        r = sql_next(s->from, SQL_ENTRIES_FROM);
    if (r != 1)
        return r;
    *ret_id = sql_column_int(s->from, SQL_ENTRIES_FROM, 0);
    p = sql_column_bytes(s->from, SQL_ENTRIES_FROM, 1, ret_len);
    db_reserve(s->to, list, *ret_len + 1);
    memcpy(list->p, p, *ret_len);
    sql_reset(s->from, SQL_ENTRIES_FROM);
    return 1;
}

/* The largest id of a segment that anything readable names; 0: nothing does. */
static uint64_t largest_segment(struct sql *sql)
{
    static const char *const text[] = {"SELECT max(id) FROM entries", "SELECT max(id) FROM header",
                                       "SELECT max(id) FROM segment"};
    int64_t id, most = 0;

    for (unsigned i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
        if (sql_number(sql, text[i], &id) == 0 && id > most)
            most = id;
    }
    return (uint64_t)most;
}

static int copy_messages(struct salvage *s)
{
    uint64_t most = largest_segment(s->from), at = 1, id = 0;
    struct buffer list = {0};
    size_t len = 0;
    int r = 0, got;

    while (r == 0 && (got = next_list(s, at, &id, &list, &len)) != 0) {
        if (got == 1 && id >= at) {
            r = copy_segment(s, id, list.p, len);
            at = id + 1;
            continue;
        }
        s->found.lists_lost++;
        if (at++ >= most)
            break;
    }
    db_free(s->to, list.p);
    return r == 0 ? db_commit(s->to) : r;
}

static int count_def(void *ctx, const struct db_def *def)
{
    (void)def;
    ++*(uint64_t *)ctx;
    return 0;
}

static int copy_all(struct salvage *s)
{
    int r = copy_defs(s);

    if (r == 0)
        r = copy_ids(s);
    load_settled(s);
    if (r == 0)
        r = copy_messages(s);
    return r == 0 ? db_each_def(s->to, count_def, &s->found.definitions) : r;
}

/* Opens the damaged store and locks it. Its WAL is read along, but not copied. */
static int open_damaged(const char *dir, const char *vfs, struct sql **ret, char *why, size_t size)
{
    struct sql *sql = NULL;
    char path[4096];
    int version = 0, r;

    snprintf(path, sizeof(path), "%s/%s", dir, DB_FILE_NAME);
    r = sql_open(path, vfs, &sql, why, size);
    if (r < 0)
        return r;
    r = sql_exec(sql,
                 "PRAGMA locking_mode = EXCLUSIVE; PRAGMA secure_delete = OFF; BEGIN IMMEDIATE");
    if (r == 0)
        r = schema_version(sql, dir, &version, why, size);
    if (r == 0 && version < SCHEMA_SALVAGE_FROM)
        snprintf(why, size, "%s is of version %d, and nothing before %d can be salvaged", dir,
                 version, SCHEMA_SALVAGE_FROM);
    if (r == 0 && version >= SCHEMA_SALVAGE_FROM) {
        *ret = sql;
        return 0;
    }
    if (r == -EBUSY)
        snprintf(why, size, "%s is in use by a broker", dir);
    else if (!why[0])
        snprintf(why, size, "nothing of %s can be read: %s", dir, sql_error(sql));
    sql_close(sql);
    return r == -EBUSY ? r : -ENODATA;
}

int db_salvage(const char *from, const char *to, const char *vfs, struct db_salvaged *ret,
               char *why, size_t why_size)
{
    const struct db_config config = {.dir = to, .vfs = vfs, .release = release};
    struct salvage s = {0};
    int r;

    why[0] = '\0';
    r = open_damaged(from, vfs, &s.from, why, why_size);
    if (r < 0)
        return r;
    u64map_init(&s.queues, rt_realloc, rt_free);
    r = db_open(&config, &s.to, why, why_size);
    if (r == 0) {
        r = copy_all(&s);
        if (r < 0) {
            snprintf(why, why_size, "%s: %s", to, db_error(s.to));
            db_abandon(s.to);
        } else {
            r = db_close(s.to);
        }
    }
    u64map_fini(&s.queues);
    rt_free(s.settled);
    sql_close(s.from);
    if (r == 0)
        *ret = s.found;
    return r;
}
