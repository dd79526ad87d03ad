/*
 * The part of the backlog that only the store knows: it is read in runs, ahead of its delivery, as
 * long as somebody takes messages.
 *
 * What is cold lies between two seqs. A channel that attaches again may hold some of it: those get
 * entries out of turn and are *holes* from then on, because a run that was read before their end
 * still has them.
 */
#include <string.h>

#include "broker/runtime/blob.h"
#include "queues/queue_impl.h"

static void ask_run(struct queue *q)
{
    struct msg_store_read_on *m = MSG_NEW(STORE_READ_ON, struct msg_store_read_on);

    m->queue_id = q->cell->id;
    m->first_seq = q->backlog.cold_first;
    m->last_seq = q->backlog.cold_last;
    m->max = queue_limits.run_messages;
    m->max_bytes = queue_limits.run_bytes;
    q->run_ref = proc_call(q->store, &m->hdr, PROC_NO_TIMEOUT);
}

void cold_read_ahead(struct queue *q)
{
    const struct queue_limits *limits = &queue_limits;

    if (q->backlog.cold_n == 0 || q->wants_run || q->ahead_messages > 2 * limits->run_messages ||
        q->ahead_bytes > 2 * limits->run_bytes)
        return;
    q->wants_run = true;
    if (q->store_ready)
        ask_run(q);
}

static void ask_found(struct queue *q)
{
    const struct msg_queue_attach *in = MSG_OF(struct msg_queue_attach, q->finding);
    struct msg_store_find *m = store_find_new(q->cell->id, in->n_held);

    m->n = 0;
    for (uint32_t i = 0; i < in->n_held; i++) {
        if (backlog_is_in_cold(&q->backlog, in->held[i].seq) &&
            !backlog_find(&q->backlog, in->held[i].seq))
            m->seq[m->n++] = in->held[i].seq;
    }
    q->find_ref = proc_call(q->store, &m->hdr, PROC_NO_TIMEOUT);
}

void cold_ask_again(struct queue *q)
{
    if (q->wants_run)
        ask_run(q);
    if (q->finding)
        ask_found(q);
    take_ask_store(q);
}

/* The place of the first hole that is not below seq. */
static uint32_t hole_at(const struct queue *q, uint64_t seq)
{
    uint32_t low = 0, high = q->n_holes;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (q->holes[mid] < seq)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void add_hole(struct queue *q, uint64_t seq)
{
    uint32_t at = hole_at(q, seq);

    if ((q->n_holes & (q->n_holes - 1)) == 0)
        q->holes = proc_realloc(q->holes, (q->n_holes ? 2 * q->n_holes : 1) * sizeof(*q->holes));
    memmove(&q->holes[at + 1], &q->holes[at], (q->n_holes - at) * sizeof(*q->holes));
    q->holes[at] = seq;
    q->n_holes++;
}

/* Holes below what is still cold are none any more. */
static void forget_holes(struct queue *q)
{
    uint32_t n = q->backlog.cold_n > 0 ? hole_at(q, q->backlog.cold_first) : q->n_holes;

    if (n == 0)
        return;
    memmove(q->holes, q->holes + n, (q->n_holes - n) * sizeof(*q->holes));
    q->n_holes -= n;
    if (q->n_holes > 0)
        return;
    proc_free(q->holes);
    q->holes = NULL;
}

static bool is_hole(const struct queue *q, uint64_t seq)
{
    uint32_t at = hole_at(q, seq);

    return at < q->n_holes && q->holes[at] == seq;
}

static struct entry *warm(struct queue *q, uint64_t seq, struct record *record, uint32_t size)
{
    bool is_old = seq < q->recovered_to; /* and was counted with all its bytes: set_cold */
    bool is_lasting = q->is_durable && (!record || record_is_persistent(record));
    uint32_t body = record ? record_body_len(record) : size;
    struct entry *e;

    backlog_uncount(&q->backlog, is_old ? size : body, is_old || is_lasting);
    e = backlog_warm(&q->backlog, seq, record, size);
    backlog_weigh(&q->backlog, e, body, is_lasting);
    e->flags |= ENTRY_STORED | ENTRY_DURABLE;
    /* Nobody knows any more whether it was delivered, and an unset flag promises that it was not.
     */
    if (seq < q->recovered_to)
        e->flags |= ENTRY_REDELIVERED;
    if (record)
        q->resident_bytes += size;
    return e;
}

static void take_item(struct queue *q, const struct msg_store_run *run, const struct store_item *in)
{
    struct record *record = NULL;

    /* What was purged meanwhile is not in there any more. */
    if (!backlog_is_in_cold(&q->backlog, in->seq) || backlog_find(&q->backlog, in->seq) ||
        is_hole(q, in->seq))
        return;
    if (!in->is_damaged)
        record = record_load((const uint8_t *)blob_bytes(run->bytes) + in->offset, in->len);
    if (!record || record_stored_size(record) != in->len) {
        record_unref(record);
        proc_exit(EXIT_CRASH, 0, "message %llu is damaged on disk", (unsigned long long)in->seq);
    }
    warm(q, in->seq, record, in->len)->flags |= ENTRY_AHEAD;
    q->ahead_messages++;
    q->ahead_bytes += in->len;
}

void on_store_run(struct queue *q, struct msg *m)
{
    const struct msg_store_run *in = MSG_OF(struct msg_store_run, m);

    if (m->ref != q->run_ref)
        return; /* it was purged before this came, and something else is asked since */
    q->run_ref = 0;
    if (in->is_gone)
        return; /* deleted by the registry, which is about to end this run of it, too */
    q->wants_run = false;
    for (uint32_t i = 0; i < in->n; i++)
        take_item(q, in, &in->item[i]);
    /* What became cold since the question was asked is in there, too: the store said that it has it
     * before it sent this. */
    backlog_cold_from(&q->backlog, in->next_seq);
    /* It knows as many as were counted. */
    CHECK(q->backlog.cold_n == 0 || q->backlog.cold_first <= q->backlog.cold_last);
    forget_holes(q);
}

bool cold_find(struct queue *q, struct msg *m)
{
    const struct msg_queue_attach *in = MSG_OF(struct msg_queue_attach, m);
    bool is_any = false;

    for (uint32_t i = 0; i < in->n_held && !is_any; i++)
        is_any = backlog_is_in_cold(&q->backlog, in->held[i].seq) &&
                 !backlog_find(&q->backlog, in->held[i].seq);
    if (!is_any)
        return false;
    proc_keep(m);
    q->finding = m;
    if (q->store_ready)
        ask_found(q);
    return true;
}

bool cold_may_have(const struct queue *q, uint64_t seq)
{
    return backlog_is_in_cold(&q->backlog, seq) && !is_hole(q, seq);
}

proc_ref cold_ask(const struct queue *q, uint64_t seq)
{
    struct msg_store_find *m = store_find_new(q->cell->id, 1);

    m->seq[0] = seq;
    m->n = 1;
    return proc_call(q->store, &m->hdr, PROC_NO_TIMEOUT);
}

struct entry *cold_take_out(struct queue *q, const struct store_entry *found)
{
    struct entry *e;

    if (!cold_may_have(q, found->seq) || backlog_find(&q->backlog, found->seq))
        return backlog_find(&q->backlog, found->seq);
    e = warm(q, found->seq, NULL, found->place.len);
    add_hole(q, found->seq);
    return e;
}

void on_store_found(struct queue *q, struct msg *m)
{
    const struct msg_store_entries *in = MSG_OF(struct msg_store_entries, m);
    struct msg *attach = q->finding;

    if (m->ref != q->find_ref) {
        take_found(q, m);
        return;
    }
    q->find_ref = 0;
    for (uint32_t i = 0; i < in->n; i++)
        (void)cold_take_out(q, &in->entry[i]);
    q->finding = NULL;
    attach_now(q, attach);
    msg_drop(attach);
    queue_resume(q);
}

void cold_purge(struct queue *q)
{
    struct backlog *b = &q->backlog;
    uint64_t first = b->cold_first, last = b->cold_last;
    struct entry *e;

    if (b->cold_n == 0)
        return;
    /* What has an entry is settled for itself. */
    for (e = backlog_from(b, first); e && entry_seq(e) <= last; e = backlog_after(e)) {
        if (entry_seq(e) > first)
            store_ack_range(q, first, entry_seq(e) - 1);
        first = entry_seq(e) + 1;
    }
    if (first <= last)
        store_ack_range(q, first, last);
    backlog_drop_cold(b);
    forget_holes(q);
    q->wants_run = false;
    q->run_ref = 0;
}

void cold_ack_again(struct queue *q)
{
    for (uint32_t i = 0; i < q->n_holes; i++) {
        if (!backlog_find(&q->backlog, q->holes[i]))
            store_ack(q, q->holes[i]);
    }
}
