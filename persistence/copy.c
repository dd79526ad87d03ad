/*
 * Copies of a database, and the proof that one is whole.
 */
#include <errno.h>
#include <stdio.h>

#include "broker/runtime/alloc.h"
#include "persistence/db_internal.h"

int db_copy_begin(struct db *db, const char *path)
{
    int r;

    if (sql_in_transaction(db->sql))
        return -EBUSY;
    db_copy_end(db);
    r = sql_copy_begin(db->sql, path, db->config.vfs);
    if (r < 0)
        snprintf(db->why, sizeof(db->why), "%s: %s", path, sql_error(db->sql));
    return r;
}

int db_copy_step(struct db *db, uint32_t pages)
{
    int r;

    if (sql_in_transaction(db->sql))
        return -EBUSY;
    r = sql_copy_step(db->sql, pages);
    if (r < 0)
        snprintf(db->why, sizeof(db->why), "%s", sql_error(db->sql));
    if (r == 0)
        sql_copy_end(db->sql);
    return r;
}

void db_copy_progress(const struct db *db, uint64_t *ret_done, uint64_t *ret_all)
{
    sql_copy_progress(db->sql, ret_done, ret_all);
}

void db_copy_end(struct db *db)
{
    sql_copy_end(db->sql);
}

struct verify {
    struct db *db;
    struct db_found found;
    struct buffer record;
    uint64_t bad_queue, bad_seq; /* a record that can't be read */
    int r;
};

static int read_one(struct verify *v, uint64_t queue, const struct db_entry *e)
{
    int64_t n;

    db_reserve(v->db, &v->record, e->len + 1);
    n = db_read(v->db, queue, e->seq, v->record.p);
    if (n < 0) {
        v->bad_queue = queue;
        v->bad_seq = e->seq;
        return (int)n;
    }
    v->found.messages++;
    v->found.bytes += (uint64_t)n;
    return 0;
}

static void read_queue(void *ctx, uint64_t queue)
{
    struct verify *v = ctx;
    struct db_entry e[64];
    uint64_t from = 0;
    int n = 1;

    v->found.queues++;
    while (v->r == 0 && n > 0) {
        n = db_entries(v->db, queue, &from, e, 64);
        v->r = n < 0 ? n : 0;
        for (int i = 0; v->r == 0 && i < n; i++)
            v->r = read_one(v, queue, &e[i]);
    }
}

static int count_def(void *ctx, const struct db_def *def)
{
    (void)def;
    ((struct verify *)ctx)->found.definitions++;
    return 0;
}

static int read_all(struct verify *v, const char *dir, char *why, size_t why_size)
{
    int r;

    db_each_queue(v->db, read_queue, v);
    r = v->r;
    if (r == 0)
        r = db_each_def(v->db, count_def, v);
    if (r < 0 && v->bad_queue)
        snprintf(why, why_size, "%s: message %llu of queue %llu is damaged", dir,
                 (unsigned long long)v->bad_seq, (unsigned long long)v->bad_queue);
    else if (r < 0)
        snprintf(why, why_size, "%s: %s", dir, db_error(v->db));
    v->found.group = db_group(v->db);
    db_free(v->db, v->record.p);
    return r;
}

int db_verify(const char *dir, const char *vfs, struct db_found *ret, char *why, size_t why_size)
{
    const struct db_config config = {.dir = dir, .vfs = vfs, .with_check = true};
    struct verify v = {.db = NULL};
    int r = db_open(&config, &v.db, why, why_size);

    if (r < 0)
        return r;
    r = read_all(&v, dir, why, why_size);
    if (r < 0) {
        db_abandon(v.db);
        return r;
    }
    r = db_close(v.db);
    if (r < 0)
        snprintf(why, why_size, "%s could not be closed", dir);
    else
        *ret = v.found;
    return r;
}
