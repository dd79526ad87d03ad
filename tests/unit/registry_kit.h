/*
 * A vhost around a real registry: a store and queues that are played, under the names that the real
 * ones have.
 */
#ifndef TESTS_UNIT_REGISTRY_KIT_H
#define TESTS_UNIT_REGISTRY_KIT_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "broker/runtime/blob.h"
#include "persistence/store.h"
#include "queues/queue.h"
#include "queues/registry.h"

enum { N_ROWS = 512 };

/*
 * The store that is played: rows in memory, which outlive it as a file would.
 */
static struct row {
    bool used;
    struct store_row row;
} disk[N_ROWS];
static uint64_t disk_next_id;
static unsigned n_commits;

static bool same_blob(const struct blob *a, const struct blob *b)
{
    size_t na = a ? blob_size(a) : 0, nb = b ? blob_size(b) : 0;

    return na == nb && (na == 0 || !memcmp(blob_bytes(a), blob_bytes(b), na));
}

static bool same_row(const struct store_row *a, const struct store_row *b)
{
    if (a->kind != b->kind || a->id != b->id)
        return false;
    return a->kind != STORE_ROW_BINDING ||
           (a->dest_id == b->dest_id && same_blob(a->name, b->name) && same_blob(a->args, b->args));
}

static void disk_free(struct row *at)
{
    blob_unref(at->row.name);
    blob_unref(at->row.type);
    blob_unref(at->row.args);
    at->used = false;
}

static void disk_remove(const struct store_row *row)
{
    for (int i = 0; i < N_ROWS; i++) {
        const struct store_row *r = &disk[i].row;
        bool goes_with = r->kind == STORE_ROW_BINDING && row->kind != STORE_ROW_BINDING &&
                         (row->kind == STORE_ROW_QUEUE ? r->dest_id : r->id) == row->id;

        if (disk[i].used && (same_row(r, row) || goes_with))
            disk_free(&disk[i]);
    }
}

static void disk_put(const struct store_row *row)
{
    disk_remove(&(struct store_row){.kind = STORE_ROW_BINDING, .id = UINT64_MAX});
    for (int i = 0; i < N_ROWS; i++) {
        if (disk[i].used && same_row(&disk[i].row, row))
            return;
    }
    for (int i = 0; i < N_ROWS; i++) {
        if (disk[i].used)
            continue;
        disk[i].used = true;
        disk[i].row = *row;
        (void)blob_ref(row->name), (void)blob_ref(row->type), (void)blob_ref(row->args);
        return;
    }
    abort();
}

struct fake_store {
    struct msg *waiting[64];
    unsigned n;
    proc_ref timer;
};

static void store_init(void *state, const void *arg)
{
    (void)state, (void)arg;
    CHECK(proc_register("store:/") == 0);
}

static void store_load(struct msg *m)
{
    struct msg_store_rows *rows = store_rows_new(STORE_ROWS, N_ROWS);

    for (int i = 0; i < N_ROWS; i++) {
        if (!disk[i].used)
            continue;
        rows->row[rows->n] = disk[i].row;
        (void)blob_ref(disk[i].row.name), (void)blob_ref(disk[i].row.type);
        (void)blob_ref(disk[i].row.args);
        rows->n++;
    }
    proc_reply(m, &rows->hdr);
}

/* A commit: all rows that came since the last, at once. */
static void store_commit(struct fake_store *s)
{
    for (unsigned i = 0; i < s->n; i++) {
        struct msg_store_rows *rows = MSG_OF(struct msg_store_rows, s->waiting[i]);

        for (uint32_t k = 0; k < rows->n; k++) {
            if (rows->row[k].remove)
                disk_remove(&rows->row[k]);
            else
                disk_put(&rows->row[k]);
        }
        proc_reply(s->waiting[i], MSG_NEW(STORE_WRITTEN, struct msg));
        msg_drop(s->waiting[i]);
    }
    s->n = 0;
    s->timer = 0;
    n_commits++;
}

static void store_handle(void *state, struct msg *m)
{
    struct fake_store *s = state;
    struct msg_store_reserve *reply;

    switch (m->type) {
    case STORE_LOAD:
        store_load(m);
        return;
    case STORE_RESERVE:
        reply = MSG_NEW(STORE_RESERVED, struct msg_store_reserve);
        reply->first = disk_next_id;
        reply->n = MSG_OF(struct msg_store_reserve, m)->n;
        disk_next_id += reply->n;
        proc_reply(m, &reply->hdr);
        return;
    case STORE_WRITE:
        CHECK(s->n < 64);
        proc_keep(m);
        s->waiting[s->n++] = m;
        if (!s->timer)
            s->timer = proc_timer(1000);
        return;
    case MSG_TIMEOUT:
        store_commit(s);
        return;
    default:
        proc_exit(EXIT_CRASH, 0, "message 0x%x", m->type);
    }
}

const struct proc_ops store_ops = {
    .kind = "store",
    .state_size = sizeof(struct fake_store),
    .init = store_init,
    .handle = store_handle,
};

/*
 * A queue that is played: it is up, and goes when it is told to.
 */
static void unref_cell(void *c)
{
    cell_unref(c);
}

static void queue_init(void *state, const void *arg)
{
    struct cell *c = cell_ref(((const struct queue_arg *)arg)->cell);

    *(struct cell **)state = c;
    proc_at_exit(unref_cell, c);
    registry_cell_up(c, epoch_next());
}

static void queue_handle(void *state, struct msg *m)
{
    (void)state;
    CHECK(m->type == QUEUE_DELETE);
    proc_reply(m, &MSG_NEW(QUEUE_REPLY, struct msg_queue_reply)->hdr);
    proc_exit(EXIT_NORMAL, 0, "deleted");
}

const struct proc_ops queue_ops = {
    .kind = "queue",
    .state_size = sizeof(struct cell *),
    .init = queue_init,
    .handle = queue_handle,
};

#endif
