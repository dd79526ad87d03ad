/*
 * Paging: what need not last goes to the store all the same when memory runs low, a batch at a
 * time, and is read back like what is cold.
 *
 * What is next to be handed out stays. A sweep goes from there to the end; what its consumers hold
 * for long is found by another sweep over all, which begins when the first did not free enough. A
 * batch stays in memory until the store has said that it is on its disk, so a store that dies loses
 * nothing. Queues that are not durable open the store when they first need it, and what they have
 * there ends with them.
 */
#include "broker/core/alarms.h"
#include "broker/runtime/blob.h"
#include "queues/queue_impl.h"

enum {
    PAGE_MESSAGES = 1024, /* of a batch */
    PAGE_BYTES = 1024 * 1024,
    TICK_US = 1000 * 1000, /* after which a queue to which nothing comes looks at the memory */
};

/* Whether messages take so much memory that queues page. */
static bool is_pressed(void)
{
    uint64_t above = queue_limits.page_above;

    if (above == 0)
        return alarms_must_page(blob_total_bytes());
    return blob_total_bytes() > above;
}

static uint64_t keep_bytes(void)
{
    return alarms_is_memory_tight() ? queue_limits.page_keep / 16 : queue_limits.page_keep;
}

void page_fleeting(struct queue *q, struct entry *e)
{
    e->flags |= ENTRY_FLEETING;
    q->fleeting_bytes += e->size;
}

uint64_t page_waiting(const struct queue *q)
{
    uint64_t keep = keep_bytes();

    return q->fleeting_bytes > keep && is_pressed() ? q->fleeting_bytes - keep : 0;
}

/* The seq behind what is handed out next and so stays. What follows something cold does not. */
static uint64_t behind_head(struct queue *q)
{
    uint64_t bytes = 0, keep = keep_bytes();
    struct entry *e = backlog_head(&q->backlog);

    if (!e && q->backlog.cold_n > 0)
        return q->backlog.cold_first;
    for (uint32_t n = 0; e && n < STEP && bytes + e->size <= keep; n++) {
        bytes += e->state == ENTRY_READY ? e->size : 0;
        e = backlog_after(e);
    }
    return e ? entry_seq(e) : q->next_seq;
}

static bool may_page(const struct entry *e, uint64_t behind)
{
    if (!(e->flags & ENTRY_FLEETING) || e->flags & ENTRY_STORED)
        return false;
    return e->state == ENTRY_UNACKED ? !tx_has(e) : entry_seq(e) >= behind;
}

/* Gives the store the next batch. */
static void fill_batch(struct queue *q)
{
    struct pager *p = &q->pager;
    uint64_t behind = behind_head(q), bytes = 0;
    struct entry *e;

    if (!p->sweeps_all && p->from < behind)
        p->from = behind;
    e = backlog_from(&q->backlog, p->from);
    for (uint32_t n = 0; e && n < 4 * STEP; n++, e = backlog_after(e)) {
        p->from = entry_seq(e) + 1;
        if (!may_page(e, behind))
            continue;
        p->seq[p->n++] = entry_seq(e);
        bytes += e->size;
        store_page(q, e);
        if (p->n == PAGE_MESSAGES || bytes >= PAGE_BYTES)
            break;
    }
    p->is_through = !e;
    if (p->is_through)
        p->sweeps_all = false;
}

void page_done(struct queue *q, struct entry *e)
{
    e->flags &= (uint8_t)~ENTRY_FLEETING;
    q->fleeting_bytes -= e->size;
    e->flags |= ENTRY_DURABLE;
    q->resident_bytes += e->size;
    store_make_cold(q, e);
}

/* The entry of a batch under way, if it is still there. */
static struct entry *under_way(struct queue *q, uint64_t seq)
{
    struct entry *e = backlog_find(&q->backlog, seq);

    return e && e->flags & ENTRY_FLEETING && e->flags & ENTRY_STORED ? e : NULL;
}

/* The store has the batch. */
static void end_batch(struct queue *q)
{
    for (uint32_t i = 0; i < q->pager.n; i++) {
        struct entry *e = under_way(q, q->pager.seq[i]);

        if (e)
            page_done(q, e);
    }
}

static void ask_batch(struct queue *q)
{
    store_send(q);
    if (queue_plant == PLANT_PAGE_UNASKED)
        end_batch(q);
    q->pager.ref = proc_call(q->store, MSG_NEW(STORE_SYNC, struct msg), PROC_NO_TIMEOUT);
}

/* Whether there is more to hand over than what stays. */
static bool has_work(const struct queue *q)
{
    return q->fleeting_bytes > keep_bytes() && !q->purge.is_on &&
           (q->phase == PHASE_SERVING || q->phase == PHASE_ATTACHING);
}

void page_out(struct queue *q)
{
    struct pager *p = &q->pager;

    if (p->n > 0 || !has_work(q))
        return;
    if (p->timer == 0)
        p->timer = proc_timer(TICK_US);
    if ((p->is_through && p->from == q->next_seq) || !is_pressed() || alarms_now() & ALARM_DISK)
        return;
    if (!q->store_ready) {
        if (!q->store && q->await_ref == 0)
            store_start(q);
        return;
    }
    if (!p->seq)
        p->seq = proc_alloc(PAGE_MESSAGES * sizeof(*p->seq));
    fill_batch(q);
    if (p->n > 0)
        ask_batch(q);
    else if (!p->is_through)
        proc_continue();
}

bool on_page_timer(struct queue *q, proc_ref ref)
{
    struct pager *p = &q->pager;

    if (ref != p->timer)
        return false;
    p->timer = 0;
    /* What is left lies before the sweep: with those who hold it, or given back by them. */
    if (p->is_through && p->n == 0 && q->fleeting_bytes > 2 * keep_bytes()) {
        p->is_through = false;
        p->sweeps_all = true;
        p->from = 0;
    }
    intake_raise_all(q); /* memory may have become free elsewhere */
    return true;
}

bool on_page_synced(struct queue *q, proc_ref ref)
{
    struct pager *p = &q->pager;

    if (p->ref == 0 || ref != p->ref)
        return false;
    p->ref = 0;
    end_batch(q);
    p->n = 0;
    intake_raise_all(q);
    return true;
}

void page_store_opened(struct queue *q)
{
    struct pager *p = &q->pager;

    for (uint32_t i = 0; i < p->n; i++) {
        struct entry *e = under_way(q, p->seq[i]);

        if (e)
            e->flags &= (uint8_t)~ENTRY_STORED;
    }
    if (p->n > 0) {
        p->from = p->seq[0];
        p->is_through = false;
    }
    p->n = 0;
    p->ref = 0;
}
