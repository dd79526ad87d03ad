/*
 * What queues ask the store for: messages by their seqs, and what follows from a seq on.
 */
#include <errno.h>
#include <string.h>

#include "broker/core/stats.h"
#include "broker/runtime/blob.h"
#include "persistence/store_internal.h"

void store_tell_entry(const struct db_entry *e, struct store_entry *ret)
{
    *ret = (struct store_entry){
        .seq = e->seq,
        .flags = e->attr.flags,
        .place = {.segment = e->segment, .offset = e->off, .len = e->len, .crc = e->crc}};
}

/* NULL in *ret where the record is gone or damaged; an error where the disk can't be read. */
static int read_body(struct store *st, uint64_t queue, uint64_t seq, struct blob **ret)
{
    int64_t len = db_record_len(st->db, queue, seq);
    struct blob *b;
    uint8_t *bytes;
    int64_t r;

    *ret = NULL;
    if (len < 0)
        return len == -ENOENT ? 0 : (int)len;
    b = blob_new((size_t)len, &bytes);
    r = db_read(st->db, queue, seq, bytes);
    if (r >= 0) {
        *ret = b;
        return 0;
    }
    blob_unref(b);
    return r == -EUCLEAN ? 0 : (int)r;
}

static void drop_bodies(struct msg *m)
{
    struct msg_store_bodies *in = MSG_OF(struct msg_store_bodies, m);

    for (uint32_t i = 0; i < in->n; i++)
        blob_unref(in->body[i].bytes);
    msg_free(m);
}

/* Goes by seq alone: the index knows each live entry, also one that was moved or is not yet
 * written. */
void store_on_read(struct store *st, struct msg *m)
{
    const struct msg_store_read *in = MSG_OF(struct msg_store_read, m);
    uint64_t began_us = store_now_us(), n = 0, bytes = 0;
    struct msg_store_bodies *reply;

    reply = msg_new(STORE_BODIES, sizeof(*reply) + in->n * sizeof(reply->body[0]), drop_bodies);
    reply->queue_id = in->queue_id;
    for (uint32_t i = 0; i < in->n; i++) {
        uint64_t seq = in->want[i].seq;
        int r = read_body(st, in->queue_id, seq, &reply->body[i].bytes);

        if (r < 0) {
            msg_drop(&reply->hdr);
            store_fail(st, r, "read");
        }
        reply->body[i].seq = seq;
        reply->n = i + 1;
        n += reply->body[i].bytes != NULL;
        bytes += reply->body[i].bytes ? blob_size(reply->body[i].bytes) : 0;
    }
    store_stats_read(n, bytes, store_now_us() - began_us);
    proc_reply(m, &reply->hdr);
}

static void drop_run(struct msg *m)
{
    blob_unref(MSG_OF(struct msg_store_run, m)->bytes);
    msg_free(m);
}

/* How many of the entries are asked for and fit; the first one does. */
static uint32_t cut_run(const struct msg_store_read_on *in, const struct db_entry *e, uint32_t n,
                        uint64_t *ret_bytes)
{
    uint64_t bytes = 0;
    uint32_t i = 0;

    for (; i < n && e[i].seq <= in->last_seq; i++) {
        if (i > 0 && bytes + e[i].len > in->max_bytes)
            break;
        bytes += e[i].len;
    }
    *ret_bytes = bytes;
    return i;
}

/* The entries as items, with their bytes. */
static struct msg_store_run *make_run(struct store *st, uint64_t queue, const struct db_entry *e,
                                      uint32_t n, uint64_t bytes)
{
    struct msg_store_run *run =
        msg_new(STORE_RUN, sizeof(*run) + n * sizeof(run->item[0]), drop_run);
    uint8_t *to = NULL;
    uint32_t at = 0;
    int r = 0;

    run->queue_id = queue;
    run->bytes = n > 0 ? blob_new(bytes, &to) : NULL;
    run->n = n;
    for (uint32_t i = 0; i < n && r >= 0; i++) {
        r = db_read_entry(st->db, queue, &e[i], to + at);
        run->item[i] = (struct store_item){.seq = e[i].seq,
                                           .flags = e[i].attr.flags,
                                           .offset = at,
                                           .len = e[i].len,
                                           .is_damaged = r == -EUCLEAN};
        at += e[i].len;
        if (r == -EUCLEAN)
            r = 0;
    }
    if (r < 0) {
        msg_drop(&run->hdr);
        store_fail(st, r, "read");
    }
    return run;
}

void store_on_read_on(struct store *st, struct msg *m)
{
    const struct msg_store_read_on *in = MSG_OF(struct msg_store_read_on, m);
    struct db_entry *e = proc_alloc(in->max * sizeof(*e));
    uint64_t from = in->first_seq, bytes;
    uint64_t began_us = store_now_us();
    int got = db_entries(st->db, in->queue_id, &from, e, (int)in->max);
    struct msg_store_run *run;
    uint32_t n;

    if (got < 0)
        store_fail(st, got, "list of entries");
    n = cut_run(in, e, (uint32_t)got, &bytes);
    run = make_run(st, in->queue_id, e, n, bytes);
    store_stats_read(n, bytes, store_now_us() - began_us);
    if (n < (uint32_t)got) /* what it stopped at is told next, or is behind what is wanted */
        from = e[n].seq;
    else if (n < in->max)
        from = in->last_seq + 1; /* there are no more */
    run->next_seq = from;
    run->is_gone = !store_find_queue(st, in->queue_id);
    proc_free(e);
    proc_reply(m, &run->hdr);
}

struct msg_store_entries *store_find(struct store *st, uint32_t type, uint64_t queue,
                                     const uint64_t *seq, uint32_t n)
{
    struct msg_store_entries *m = msg_new(type, sizeof(*m) + n * sizeof(m->entry[0]), NULL);

    m->queue_id = queue;
    m->n = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t from = seq[i];
        struct db_entry e;
        int r = db_entries(st->db, queue, &from, &e, 1);

        if (r < 0)
            store_fail(st, r, "list of entries");
        if (r == 1 && e.seq == seq[i])
            store_tell_entry(&e, &m->entry[m->n++]);
    }
    return m;
}

void store_on_find(struct store *st, struct msg *m)
{
    const struct msg_store_find *in = MSG_OF(struct msg_store_find, m);

    proc_reply(m, &store_find(st, STORE_FOUND, in->queue_id, in->seq, in->n)->hdr);
}
