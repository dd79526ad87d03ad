/*
 * channel_link.c - a channel's ties to queues: coming up, attaching again, ending.
 *
 * A queue's process may die and come back with a new epoch. What was under way to the dead one is
 * nacked (acked, if the queue was deleted); what is gathered waits, within the window that a new
 * incarnation implies; what the client holds of messages that last is attached again.
 */
#include <stdio.h>
#include <string.h>

#include "amqp/channel_internal.h"

enum {
    RETRY_US = 20 * 1000,    /* the registry is gone; its next one is asked */
    PARKED_US = 1000 * 1000, /* somebody waits for a parked queue */
};

static void unref_cell(void *cell)
{
    cell_unref(cell);
}

void link_touch(struct channel *ch, struct link *l)
{
    if (l->is_dirty)
        return;
    l->is_dirty = true;
    l->next_dirty = ch->dirty;
    ch->dirty = l;
}

struct link *link_find(struct channel *ch, uint64_t queue_id)
{
    uint64_t *found;

    if (ch->last_link && ch->last_link->cell->id == queue_id)
        return ch->last_link;
    found = u64map_get(&ch->link_of, queue_id);
    if (!found)
        return NULL;
    ch->last_link = (struct link *)(uintptr_t)*found;
    return ch->last_link;
}

static void watch(struct channel *ch, struct link *l)
{
    char name[270];

    snprintf(name, sizeof(name), "registry:%s", ch->vhost);
    l->state = LINK_WAITING;
    l->wait_is_timer = false;
    l->wait =
        proc_call(proc_whereis(name), &registry_watch_new(l->cell, l->pid)->hdr, PROC_NO_TIMEOUT);
}

static void wait_some(struct link *l, uint64_t us)
{
    l->state = LINK_WAITING;
    l->wait_is_timer = true;
    l->wait = proc_timer(us);
}

/* Somebody needs the queue: its coming up is waited for. */
static bool is_needed(const struct channel *ch, const struct link *l)
{
    return l->gather || l->tx_first || l->tx_ref || l->n_active > 0 || l->n_held > 0 ||
           l->n_late > 0 || (l->has_acked && ch->is_closing && ch->by_client);
}

static struct msg_queue_attach *attach_new(struct channel *ch, struct link *l, uint64_t old_epoch,
                                           uint32_t n_held)
{
    struct msg_queue_attach *a = queue_attach_new(old_epoch, l->epoch, l->n_active, n_held);
    struct channel_consumer *cc;
    uint64_t cid, value;
    uint32_t at = 0, n = 0;

    while (u64map_next(&ch->consumers, &at, &cid, &value)) {
        cc = (struct channel_consumer *)(uintptr_t)value;
        if (cc->link != l || !cc->is_active)
            continue;
        a->consumers[n] = consumer_describe(ch, cc);
        (void)blob_ref(a->consumers[n].tag);
        (void)blob_ref(a->consumers[n].args);
        n++;
    }
    n = 0;
    for (struct tag_entry *e = tags_first(&ch->tags); e; e = tags_next(&ch->tags, e))
        if (e->link == l && e->lasts)
            a->held[n++] = (struct held){e->seq, e->cid};
    for (uint32_t i = 0; i < l->n_late; i++)
        a->held[n++] = (struct held){l->late[i].seq, l->late[i].cid};
    return a;
}

static uint32_t count_held(struct channel *ch, const struct link *l)
{
    uint32_t n = l->n_late;

    for (struct tag_entry *e = tags_first(&ch->tags); e; e = tags_next(&ch->tags, e))
        n += e->link == l && e->lasts;
    return n;
}

/* Tells the new incarnation whom it had, what they hold, and what they have settled meanwhile. */
static void attach(struct channel *ch, struct link *l, uint64_t old_epoch)
{
    uint32_t n_held = count_held(ch, l);

    if (old_epoch == 0 || l->n_active + n_held == 0)
        return;
    l->attach = proc_call(l->pid, &attach_new(ch, l, old_epoch, n_held)->hdr, PROC_NO_TIMEOUT);
    for (uint32_t i = 0; i < l->n_late; i++) {
        struct msg_queue_settle *s = queue_settle_new(l->epoch, l->late[i].how, 1);

        s->seq[0] = l->late[i].seq;
        s->n = 1;
        PROC_SEND(l->pid, s);
        settle_sent(l, l->late[i], true);
    }
    l->has_acked |= l->n_late > 0;
    l->n_late = 0;
}

static void set_window(struct link *l)
{
    l->granted_messages = CREDIT_INITIAL_MESSAGES;
    l->granted_bytes = CREDIT_INITIAL_BYTES;
    if (l->state != LINK_UP || l->credit_epoch != l->epoch)
        return;
    if (l->credit_messages > l->granted_messages)
        l->granted_messages = l->credit_messages;
    if (l->credit_bytes > l->granted_bytes)
        l->granted_bytes = l->credit_bytes;
}

static void come_up(struct channel *ch, struct link *l, const struct cell_at *at)
{
    uint64_t old_epoch = l->epoch;

    l->state = LINK_UP;
    l->pid = at->pid;
    l->epoch = at->epoch;
    l->monitor = proc_monitor(at->pid);
    set_window(l);
    attach(ch, l, old_epoch);
    if (l->gather) {
        l->gather->epoch = l->epoch;
        ch->n_holding--;
        link_touch(ch, l);
    }
}

/* Counts for what is in `gather` and was not sent. */
static void refuse_gathered(struct channel *ch, struct link *l, bool nack)
{
    uint64_t tag;

    while ((tag = inflight_take(&l->inflight, 0, UINT64_MAX >> 1)) != 0)
        confirms_part(&ch->confirms, tag, nack);
    if (!l->gather)
        return;
    if (l->state != LINK_UP)
        ch->n_holding--;
    msg_drop(&l->gather->hdr);
    l->gather = NULL;
    l->sent_messages = l->sent_bytes = 0;
}

static struct channel_consumer *active_of(struct channel *ch, const struct link *l)
{
    struct channel_consumer *cc;
    uint64_t cid, value;
    uint32_t at = 0;

    while (u64map_next(&ch->consumers, &at, &cid, &value)) {
        cc = (struct channel_consumer *)(uintptr_t)value;
        if (cc->link == l && cc->is_active)
            return cc;
    }
    return NULL;
}

/* The queue was deleted: what waited for it is settled, its consumers are gone. */
static void become_gone(struct channel *ch, struct link *l)
{
    struct channel_consumer *cc;

    refuse_gathered(ch, l, false);
    l->state = LINK_GONE;
    l->n_late = l->n_sent = 0;
    while ((cc = active_of(ch, l)))
        consumer_gone(ch, cc);
}

void link_refresh(struct channel *ch, struct link *l)
{
    const struct cell_at *at = cell_at(l->cell);

    if (l->state == LINK_UP || l->state == LINK_GONE)
        return;
    if (at->state == CELL_UP && at->epoch != l->epoch) {
        if (l->state == LINK_WAITING)
            proc_cancel(l->wait);
        l->wait = 0;
        come_up(ch, l, at);
        return;
    }
    if (at->state == CELL_DELETED) {
        become_gone(ch, l);
        return;
    }
    if (at->state == CELL_PARKED)
        refuse_gathered(ch, l, true);
    if (l->state == LINK_WAITING || !is_needed(ch, l))
        return;
    if (at->state == CELL_PARKED)
        wait_some(l, PARKED_US);
    else
        watch(ch, l);
}

struct link *link_to(struct channel *ch, struct cell *cell)
{
    struct link *l = link_find(ch, cell->id);

    if (!l) {
        l = proc_zalloc(sizeof(*l));
        l->cell = cell_ref(cell);
        l->queue_type = (uint8_t)cell_queue_type(cell);
        proc_at_exit(unref_cell, cell);
        set_window(l);
        l->next = ch->links;
        ch->links = l;
        u64map_put(&ch->link_of, cell->id, (uintptr_t)l);
        ch->last_link = l;
    }
    if (l->state != LINK_UP)
        link_refresh(ch, l);
    return l;
}

void link_flush(struct channel *ch, struct link *l)
{
    (void)ch;
    if (l->state != LINK_UP)
        return;
    if (l->settle)
        PROC_SEND(l->pid, l->settle);
    if (l->gather)
        PROC_SEND(l->pid, l->gather);
}

/* The queue's process has died: what was under way to it is nacked, or acked if it was deleted. */
static void settle_inflight(struct channel *ch, struct link *l, bool deleted)
{
    uint64_t last = UINT64_MAX >> 1, tag;

    if (l->gather && l->gather->n > 0 && l->gather->item[0].tag > 0)
        last = l->gather->item[0].tag - 1; /* from there on nothing was sent */
    while ((tag = inflight_take(&l->inflight, 0, last)) != 0)
        confirms_part(&ch->confirms, tag, !deleted);
}

/* What the client holds and does not last has gone with its queue's process: its acks are void. */
static void void_held(struct channel *ch, struct link *l)
{
    for (struct tag_entry *e = tags_first(&ch->tags); e; e = tags_next(&ch->tags, e))
        if (e->link == l && !e->lasts)
            e->seq = 0;
}

static void reset_consumers(struct channel *ch, struct link *l)
{
    uint64_t cid, value;
    uint32_t at = 0;

    while (u64map_next(&ch->consumers, &at, &cid, &value)) {
        struct channel_consumer *cc = (struct channel_consumer *)(uintptr_t)value;

        if (cc->link != l)
            continue;
        cc->sent_messages = cc->sent_bytes = cc->renewed_messages = cc->renewed_bytes = 0;
        cc->mark.messages = cc->mark.bytes = 0;
    }
}

/* What was gathered under the window that has gone, as far as the one of a new epoch admits it. */
static void cut_gathered(struct channel *ch, struct link *l)
{
    struct msg_queue_publish *p = l->gather;
    uint32_t n = 0;
    uint64_t tag;

    for (; n < p->n && link_fits(l, record_window_bytes(p->item[n].record)); n++) {
        l->sent_messages++;
        l->sent_bytes += record_window_bytes(p->item[n].record);
    }
    if (n == p->n)
        return;
    while (p->item[n].tag > 0 &&
           (tag = inflight_take(&l->inflight, p->item[n].tag, UINT64_MAX >> 1)) != 0)
        confirms_part(&ch->confirms, tag, true);
    while (p->n > n)
        record_unref(p->item[--p->n].record);
}

static void on_down(struct channel *ch, struct link *l, const struct msg_exit *m)
{
    bool deleted = m->why.kind == EXIT_NORMAL || cell_at(l->cell)->state == CELL_DELETED;

    settle_inflight(ch, l, deleted);
    void_held(ch, l);
    share_forget(&ch->share, &l->share);
    reset_consumers(ch, l);
    l->monitor = 0;
    l->state = LINK_DOWN;
    l->sent_messages = l->sent_bytes = 0;
    set_window(l);
    if (l->settle) {
        msg_drop(&l->settle->hdr);
        l->settle = NULL;
    }
    settle_forgotten(l);
    if (l->sync != 0)
        proc_cancel(l->sync);
    l->sync = 0;
    if (l->gather) {
        ch->n_holding++;
        if (!deleted)
            cut_gathered(ch, l);
    }
    if (deleted)
        become_gone(ch, l);
    else
        link_refresh(ch, l);
    link_drop_if_unused(ch, l);
    channel_run(ch);
}

static struct link *link_by_ref(struct channel *ch, proc_ref ref)
{
    struct link *l = ch->links;

    while (l && l->monitor != ref && l->wait != ref && l->attach != ref)
        l = l->next;
    return l;
}

bool link_take(struct channel *ch, struct msg *m)
{
    struct link *l = m->ref ? link_by_ref(ch, m->ref) : NULL;

    if (!l)
        return false;
    if (m->ref == l->monitor) {
        on_down(ch, l, MSG_OF(struct msg_exit, m));
    } else if (m->ref == l->attach) {
        l->attach = 0; /* a refused consumer is told of by CONSUMER_GONE, an end by DOWN */
    } else {
        l->wait = 0;
        l->state = LINK_DOWN;
        if (m->type == MSG_DOWN)
            wait_some(l, RETRY_US);
        link_refresh(ch, l);
        link_drop_if_unused(ch, l);
        channel_run(ch);
    }
    return true;
}

void link_drop_if_unused(struct channel *ch, struct link *l)
{
    struct link **at = &ch->links;

    if (l->state == LINK_UP || l->state == LINK_WAITING || l->is_dirty || is_needed(ch, l) ||
        l->n_consumers > 0)
        return;
    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    if (ch->last_link == l)
        ch->last_link = NULL;
    (void)u64map_del(&ch->link_of, l->cell->id, NULL); /* every link is in it */
    proc_at_exit_cancel(unref_cell, l->cell);
    cell_unref(l->cell);
    proc_free(l->inflight.tag);
    proc_free(l->late);
    proc_free(l->sent);
    proc_free(l);
}

void links_detach(struct channel *ch)
{
    for (struct link *l = ch->links; l; l = l->next) {
        struct msg_queue_ask *m;

        if (l->state != LINK_UP)
            continue;
        m = queue_ask_new(QUEUE_DETACH, l->epoch);
        PROC_SEND(l->pid, m);
    }
}
