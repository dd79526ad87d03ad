/*
 * A naive model of a database of messages, and a script of random operations that is played to
 * both.
 *
 * The model knows for each (queue, seq) which record is live, now and as of the last commit. A
 * database opened after a crash must be the one or the other, as a whole, but for what is fleeting
 * where another program opens it. For tests that include it.
 */
#ifndef TESTS_FAULTS_DB_MODEL_H
#define TESTS_FAULTS_DB_MODEL_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "persistence/db.h"

#define MODEL_QUEUES 4
#define MODEL_SEQS   600
#define MODEL_ROWS   8
#define MODEL_BYTES  700000 /* the longest record is beyond a segment's size */

/* One state of the world; record 0: not live. */
struct model_state {
    uint32_t record[MODEL_QUEUES][MODEL_SEQS];
    uint32_t row[MODEL_ROWS]; /* flags of queue rows; 0: no row */
    uint64_t next_id;
};

struct model {
    struct model_state now;
    struct model_state durable;
    uint64_t next_seq[MODEL_QUEUES];
    bool is_used[MODEL_QUEUES][MODEL_SEQS];
    uint32_t next_record;
    uint64_t seed;
    int64_t tokens;       /* held by the db */
    bool is_committing;   /* a commit was begun whose outcome is not known */
    uint32_t fleeting_in; /* one of so many messages is fleeting; 0: none */
    uint64_t run;
    uint32_t n_opened;
    uint8_t *buf, *want;
    char why[200]; /* of the last opening that failed */
};

static uint64_t model_roll(struct model *m)
{
    uint64_t z = (m->seed += 0x9e3779b97f4a7c15U);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

static inline struct model *model_new(uint64_t seed)
{
    struct model *m = calloc(1, sizeof(*m));

    assert_non_null(m);
    m->seed = seed;
    m->next_record = m->run = 1;
    m->fleeting_in = 3;
    m->now.next_id = m->durable.next_id = 1;
    m->buf = malloc(MODEL_BYTES);
    m->want = malloc(MODEL_BYTES);
    return m;
}

static inline void model_free(struct model *m)
{
    free(m->buf);
    free(m->want);
    free(m);
}

/* Mostly short, some long, few longer than a segment, now and then empty. */
static uint32_t record_len(uint32_t record)
{
    uint32_t h = record * 2654435761U;

    if (h % 61 == 0)
        return 0;
    if (h % 97 == 1)
        return 280000 + h % 400000;
    return h % 11 == 2 ? 20000 + h % 60000 : h % 900;
}

static void record_bytes(uint32_t record, uint8_t *out)
{
    uint32_t len = record_len(record);

    for (uint32_t i = 0; i < len; i++)
        out[i] = (uint8_t)((record * 31 + i) ^ (i >> 8));
}

static void model_release(void *ctx, void *token)
{
    struct model *m = ctx;

    m->tokens--;
    free(token);
}

static bool model_is_fleeting(const struct model *m, int q, uint32_t record)
{
    return m->fleeting_in > 0 && (record + (uint32_t)q) % m->fleeting_in == 0;
}

/* Another program opens the database from now on. */
static void model_next_run(struct model *m)
{
    m->run++;
    for (int q = 0; q < MODEL_QUEUES; q++) {
        for (int seq = 0; seq < MODEL_SEQS; seq++) {
            if (model_is_fleeting(m, q, m->now.record[q][seq]))
                m->now.record[q][seq] = 0;
            if (model_is_fleeting(m, q, m->durable.record[q][seq]))
                m->durable.record[q][seq] = 0;
        }
    }
}

/* Every third time by another program. */
static inline int model_open(struct model *m, const char *vfs, struct db **ret)
{
    /* Sometimes room for all entries, sometimes for those of one segment. */
    const struct db_config config = {.dir = "d",
                                     .vfs = vfs,
                                     .block_bytes = m->seed % 2 ? 0 : 1,
                                     .wide_extents = 1 + (uint32_t)(m->seed % 7),
                                     .run = m->run + (m->n_opened % 3 == 2),
                                     .release = model_release,
                                     .ctx = m};
    char why[200];
    int r = db_open(&config, ret, why, sizeof(why));

    if (m->n_opened++ % 3 == 2)
        model_next_run(m);
    if (r < 0) {
        assert_true(why[0] != '\0');
        snprintf(m->why, sizeof(m->why), "%s", why);
    }
    return r;
}

/* A seq of that queue: mostly the next, now and then after a gap, or a late one in such a gap. */
static uint64_t model_seq(struct model *m, int q)
{
    uint64_t late = model_roll(m) % MODEL_SEQS;

    if (model_roll(m) % 8 == 0 && late < m->next_seq[q] && !m->is_used[q][late])
        return late;
    m->next_seq[q] += model_roll(m) % 4 == 0;
    return m->next_seq[q] < MODEL_SEQS ? m->next_seq[q]++ : MODEL_SEQS;
}

/* Publishes one record to some queues: copied, or lent and shared by its key. */
static int model_publish(struct model *m, struct db *db)
{
    uint32_t record = m->next_record++;
    uint32_t len = record_len(record);
    bool is_lent = model_roll(m) % 2;
    uint64_t queues = 1 + model_roll(m) % ((1 << MODEL_QUEUES) - 1);
    /* Not an address: the bytes of one add may be freed and used again while another one waits. */
    const void *key = (const void *)((uintptr_t)record << 4);

    for (int q = 0; q < MODEL_QUEUES; q++) {
        struct db_add add = {.queue = (uint64_t)q + 1, .hold_us = 1000};
        uint8_t *bytes = m->want;

        if (!(queues >> q & 1) || (add.seq = model_seq(m, q)) == MODEL_SEQS)
            continue;
        m->is_used[q][add.seq] = true;
        if (is_lent) {
            bytes = malloc(len + 1);
            add.token = bytes;
            add.key = key;
            m->tokens++;
        }
        record_bytes(record, bytes);
        add.iov[0] = (struct iovec){bytes, len / 3};
        add.iov[1] = (struct iovec){bytes + len / 3, len - len / 3};
        add.is_fleeting = model_is_fleeting(m, q, record);
        if (model_roll(m) % 3 == 0)
            add.attr = (struct seg_attr){.flags = record, .expiry_ms = record};
        assert_int_equal(db_add(db, &add, 0), 0);
        m->now.record[q][add.seq] = record;
    }
    return 0;
}

static int model_ack(struct model *m, struct db *db)
{
    int q = (int)(model_roll(m) % MODEL_QUEUES);
    uint64_t from = model_roll(m) % MODEL_SEQS;

    for (uint64_t i = 0; i < MODEL_SEQS; i++) {
        uint64_t seq = (from + i) % MODEL_SEQS;

        if (!m->now.record[q][seq])
            continue;
        assert_int_equal(db_ack(db, (uint64_t)q + 1, seq, 0),
                         m->durable.record[q][seq] ? DB_SETTLED : DB_WITHDRAWN);
        m->now.record[q][seq] = 0;
        return 0;
    }
    assert_int_equal(db_ack(db, (uint64_t)q + 1, from, 0), DB_UNKNOWN);
    return 0;
}

static int model_purge(struct model *m, struct db *db)
{
    int q = (int)(model_roll(m) % MODEL_QUEUES);
    uint64_t last = model_roll(m) % MODEL_SEQS, first = model_roll(m) % 30, n = 0;

    for (uint64_t seq = first; seq <= last; seq++) {
        n += m->now.record[q][seq] != 0;
        m->now.record[q][seq] = 0;
    }
    assert_int_equal(db_ack_range(db, (uint64_t)q + 1, first, last, 0), n);
    return 0;
}

static int model_row(struct model *m, struct db *db)
{
    uint64_t at = model_roll(m) % MODEL_ROWS;
    struct db_def def = {.kind = DB_QUEUE, .id = at + 1, .name = {"q", 1}, .args = {"a\0b", 3}};
    int r;

    if (m->now.row[at]) {
        m->now.row[at] = 0;
        return db_del(db, &def);
    }
    def.flags = 1 + (uint32_t)(model_roll(m) % 100);
    r = db_put(db, &def);
    if (r == 0)
        m->now.row[at] = def.flags;
    return r;
}

static int model_commit(struct model *m, struct db *db)
{
    int r;

    m->is_committing = true;
    r = db_commit(db);
    if (r < 0)
        return r;
    m->is_committing = false;
    m->durable = m->now;
    assert_int_equal(m->tokens, 0);
    assert_true(db_pending(db).due_us == UINT64_MAX);
    return 0;
}

/* One random step; 0, or the error of a call that writes, after which the db is only abandoned. */
static inline int model_step(struct model *m, struct db *db)
{
    uint64_t choice = model_roll(m) % 100, id;
    int r;

    if (choice < 40)
        return model_publish(m, db);
    if (choice < 75)
        return model_ack(m, db);
    if (choice < 77)
        return model_purge(m, db);
    if (choice < 79) {
        r = db_trim_step(db, 1 + (uint32_t)(model_roll(m) % 5));
        return r == -EBUSY || r > 0 ? 0 : r;
    }
    if (choice < 83)
        return model_row(m, db);
    if (choice < 84) {
        r = db_reserve_ids(db, 1024, &id);
        if (r == 0) {
            assert_true(id >= m->durable.next_id);
            m->now.next_id = id + 1024;
        }
        return r;
    }
    if (choice < 95)
        return model_commit(m, db);
    if (choice < 96) {
        r = db_wal_grow(db, db_wal_size(db) + 1 + model_roll(m) % 100000);
        return r == -EBUSY ? 0 : r;
    }
    if (choice < 97) {
        r = db_checkpoint(db);
    } else if (choice < 98) {
        r = (int)db_vacuum_step(db, 3, 0, NULL, NULL);
    } else {
        const struct db_compact how = {.below = m->seed % 2 ? UINT64_MAX : 30,
                                       .min_extents = 1 + (uint32_t)(m->seed % 3),
                                       .max_scan = 1 + (uint32_t)(m->seed % 100),
                                       .max_moves = (uint32_t)(m->seed % 5)};

        r = db_compact_step(db, &how, &id);
    }
    return r == -EBUSY || r > 0 ? 0 : r;
}

static int model_see_row(void *ctx, const struct db_def *def)
{
    struct model_state *seen = ctx;

    assert_true(def->kind == DB_QUEUE && def->id >= 1 && def->id <= MODEL_ROWS);
    assert_true(def->name.len == 1 && def->args.len == 3 && memcmp(def->args.p, "a\0b", 3) == 0);
    seen->row[def->id - 1] = def->flags;
    return 0;
}

/* Whether the record of a live entry is that one, by length and bytes. */
static bool model_is_record(struct model *m, struct db *db, uint64_t queue, uint64_t seq,
                            uint32_t record)
{
    uint32_t len = record_len(record);

    if (db_record_len(db, queue, seq) != (int64_t)len)
        return false;
    assert_int_equal(db_read(db, queue, seq, m->buf), len);
    record_bytes(record, m->want);
    return memcmp(m->buf, m->want, len) == 0;
}

static bool model_queue_is(struct model *m, struct db *db, int q, const uint32_t *record)
{
    uint64_t from = 0, seq = 0, n_live = 0, bytes = 0;
    struct db_queue_info info = db_queue_info(db, (uint64_t)q + 1);
    struct db_entry e[7];
    int n;

    while ((n = db_entries(db, (uint64_t)q + 1, &from, e, 7)) > 0) {
        for (int i = 0; i < n; i++, seq++) {
            while (seq < e[i].seq) {
                if (record[seq++])
                    return false;
            }
            if (!record[seq] || !model_is_record(m, db, (uint64_t)q + 1, seq, record[seq]))
                return false;
            assert_true(e[i].attr.expiry_ms == 0 || e[i].attr.expiry_ms == record[seq]);
            assert_true(e[i].attr.flags == e[i].attr.expiry_ms);
            n_live++;
            bytes += e[i].len;
        }
    }
    assert_int_equal(n, 0);
    for (; seq < MODEL_SEQS; seq++) {
        if (record[seq])
            return false;
    }
    assert_true(info.n_live == n_live && info.bytes == bytes);
    return true;
}

static inline bool model_is(struct model *m, struct db *db, const struct model_state *want)
{
    struct model_state seen = {.next_id = 0};

    for (int q = 0; q < MODEL_QUEUES; q++) {
        if (!model_queue_is(m, db, q, want->record[q]))
            return false;
    }
    assert_int_equal(db_each_def(db, model_see_row, &seen), 0);
    return memcmp(seen.row, want->row, sizeof(seen.row)) == 0;
}

/* After a new opening: the db must be as of the last commit, or as of the one whose outcome was
 * open. */
static inline void model_check_recovered(struct model *m, struct db *db)
{
    bool is_durable = model_is(m, db, &m->durable);

    if (!is_durable)
        assert_true(m->is_committing && model_is(m, db, &m->now));
    if (is_durable)
        m->now = m->durable;
    else
        m->durable = m->now;
    m->is_committing = false;
}

#endif
