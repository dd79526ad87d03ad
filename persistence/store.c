/*
 * The store process of one vhost: groups, commits, and what is told when.
 *
 * Duties: it alone opens the vhost's database. It gathers operations of queues and rows of the
 * registry into a group, decides when to commit it, commits, and tells who waits. What it does to
 * its database beside that is store_upkeep.c's.
 *
 * Messages in: STORE_OPEN_QUEUE, _OPS, _SYNC, _READ, _READ_ON, _FIND, _TX, _TX_END from queues;
 * STORE_WRITE, _LOAD, _RESERVE from the registry; STORE_BACKUP from backup; CONTINUE (recovery, the
 * first one) and TIMEOUT from itself.
 *
 * Messages out: STORE_ENTRIES, _DURABLE to queues, STORE_BACKUP_PROGRESS, and the replies.
 *
 * Links: its supervisor's. Monitors: queues that are fleeting. What a dead queue sent is kept until
 * the next opening of that queue fences it.
 *
 * Invariants
 * 1. It has its name only when it has recovered, so whoever finds it finds all that is durable.
 * 2. No reply or STORE_DURABLE leaves for an operation whose commit has not returned 0.
 * 3. After any error of a writing call nothing more is done with the database: the process ends,
 *    and its handle is closed by proc_at_exit, which touches no memory of the process.
 * 4. A batch of operations is kept until none of its publishes needs its bytes. While it is here,
 *    its `cap` counts those publishes (and one for the handler that is at work on it).
 */
#include "persistence/store.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/core/stats.h"
#include "broker/runtime/runtime.h"
#include "broker/runtime/world.h"
#include "persistence/commit_policy.h"
#include "persistence/store_internal.h"

/* A commit of many publishes: what it is to take, and what bytes it has at least and at most. */
#define COMMIT_US    10000
#define COMMIT_LEAST (2 << 20)
#define COMMIT_MOST  (64 << 20)

void store_fail(struct store *st, int r, const char *doing)
{
    proc_exit(EXIT_CRASH, r, "%s: %s", doing, db_error(st->db));
}

void store_wait(struct store *st, struct msg *request)
{
    if (st->n_waiting == st->room_waiting) {
        st->room_waiting = st->room_waiting ? 2 * st->room_waiting : 16;
        st->waiting = proc_realloc(st->waiting, st->room_waiting * sizeof(struct msg *));
    }
    proc_keep(request);
    st->waiting[st->n_waiting++] = request;
    st->is_due = true;
}

/* Tells the queue how far it is durable; whether that is all that it has sent. */
static bool tell_queue(struct store *st, struct store_queue *q)
{
    uint64_t next = db_first_pending(st->db, q->id);
    uint64_t up_to = next <= q->up_to ? next - 1 : q->up_to;
    struct msg_store_durable *m;

    if (up_to > q->told) {
        m = MSG_NEW(STORE_DURABLE, struct msg_store_durable);
        m->queue_id = q->id;
        m->epoch = q->epoch;
        m->up_to_seq = q->told = up_to;
        m->group = db_group(st->db);
        PROC_SEND(q->pid, m);
    }
    return up_to == q->up_to;
}

static void tell_queues(struct store *st)
{
    struct store_queue *q = st->touched, *next;

    st->touched = NULL;
    for (; q; q = next) {
        next = q->next_touched;
        if (q->is_gone) {
            proc_free(q);
        } else if (tell_queue(st, q)) {
            q->is_touched = false;
        } else {
            q->next_touched = st->touched;
            st->touched = q;
        }
    }
    st->touched_due_us = proc_now_us() + COMMIT_ACK_HOLD_US; /* of those that are left */
}

static void answer(struct msg *request)
{
    struct msg_store_reserve *ids;

    switch (request->type) {
    case STORE_SYNC:
        proc_reply(request, msg_new(STORE_SYNCED, sizeof(struct msg), NULL));
        break;
    case STORE_WRITE:
        proc_reply(request, msg_new(STORE_WRITTEN, sizeof(struct msg), NULL));
        break;
    case STORE_RESERVE:
        ids = MSG_NEW(STORE_RESERVED, struct msg_store_reserve);
        ids->first = MSG_OF(struct msg_store_reserve, request)->first;
        ids->n = MSG_OF(struct msg_store_reserve, request)->n;
        proc_reply(request, &ids->hdr);
        break;
    case STORE_TX:
        store_tx_answer(request, true);
        break;
    default:
        proc_exit(EXIT_CRASH, 0, "request %u waited for a commit", request->type);
    }
    msg_drop(request);
}

static void count_group(struct store *st, uint64_t operations)
{
    uint64_t written, syncs;

    db_wal_written(st->db, &written, &syncs);
    store_stats_group(operations, written - st->counted_bytes, syncs - st->counted_syncs,
                      st->commit_us);
    st->counted_bytes = written;
    st->counted_syncs = syncs;
}

/* How much takes about 10 ms: down at once, up by a quarter. */
static void size_commits(struct store *st, uint64_t bytes)
{
    uint64_t fit = st->commit_us > COMMIT_US ? bytes * COMMIT_US / st->commit_us : UINT64_MAX;

    if (fit < st->commit_bytes)
        st->commit_bytes = fit > COMMIT_LEAST ? fit : COMMIT_LEAST;
    else if (bytes >= st->commit_bytes && st->commit_bytes < COMMIT_MOST)
        st->commit_bytes += st->commit_bytes / 4;
}

/*
 * Commits acks and rows, and of the publishes about max_bytes. Acks are all in every commit, while
 * publishes may fill many: what an ack waits for is the commit that is going on when it comes.
 */
static void commit(struct store *st, uint64_t max_bytes)
{
    uint64_t before = store_now_us(), group = db_group(st->db);
    struct db_pending pending = db_pending(st->db);
    int r = db_commit_some(st->db, max_bytes);

    if (r < 0)
        store_fail(st, r, "commit");
    if (db_group(st->db) != group) {
        struct db_pending left = db_pending(st->db);

        st->n_groups++;
        store_compact_later(st);
        store_trim_later(st);
        st->commit_us = store_now_us() - before;
        size_commits(st, pending.bytes - left.bytes);
        count_group(st, (uint64_t)pending.adds - left.adds + pending.acks);
    }
    st->is_due = false;
    tell_queues(st);
    for (uint32_t i = 0; i < st->n_waiting; i++)
        answer(st->waiting[i]);
    st->n_waiting = 0;
    store_upkeep_committed(st);
}

void store_commit(struct store *st)
{
    commit(st, UINT64_MAX);
}

/* How much of the publishes goes into the commit that is due: all, if somebody waits for that. */
static uint64_t commit_size(const struct store *st)
{
    for (uint32_t i = 0; i < st->n_waiting; i++) {
        uint32_t type = st->waiting[i]->type;

        if (type == STORE_SYNC || type == STORE_TX)
            return UINT64_MAX;
    }
    return st->wants_checkpoint ? 0 : st->commit_bytes;
}

/* When something is to be written or told: 0 is at once. */
static uint64_t group_due(const struct store *st)
{
    uint64_t due = st->is_due || st->wants_checkpoint ? 0 : db_pending(st->db).due_us;

    return st->touched && st->touched_due_us < due ? st->touched_due_us : due;
}

static void set_timer(struct store *st, uint64_t due_us, uint64_t at_us)
{
    if (due_us == UINT64_MAX || (st->timer && st->timer_due_us <= due_us))
        return;
    if (st->timer)
        proc_cancel(st->timer);
    st->timer = proc_timer(due_us > at_us ? due_us - at_us : 0);
    st->timer_due_us = due_us;
}

static void on_flush(void *state)
{
    struct store *st = state;
    uint64_t now, due;

    if (!st->db)
        return;
    now = store_now_us();
    if (group_due(st) <= now) {
        /* What has come by now goes along: its acks may settle what need not be written then. */
        if (!st->is_closing_group)
            proc_continue();
        st->is_closing_group = true;
        return;
    }
    due = group_due(st);
    /* Upkeep comes only when nothing waits. */
    if (due == UINT64_MAX && !st->backup)
        store_upkeep_go_on(st);
    store_backup_go_on(st);
    if (st->backup && st->backup_due_us < due)
        due = st->backup_due_us;
    set_timer(st, due == UINT64_MAX ? store_upkeep_due(st) : due, now);
}

/* Opens the database; long, so it comes after init. */
static void on_start(struct store *st)
{
    const struct db_config config = {.dir = st->arg.dir,
                                     .vfs = world()->vfs,
                                     .run = rt_run(),
                                     .realloc = proc_realloc,
                                     .free = proc_free,
                                     .release = store_release,
                                     .ctx = st};
    char why[200], name[300];
    int r;

    CHECK(!st->db);
    r = db_open(&config, &st->db, why, sizeof(why));
    if (r < 0)
        proc_exit(EXIT_CRASH, r, "%s", why);
    proc_at_exit(db_handle_close, db_handle(st->db));
    store_upkeep_init(st);
    st->commit_bytes = COMMIT_LEAST;
    if (*st->arg.name)
        snprintf(name, sizeof(name), "%s", st->arg.name);
    else
        snprintf(name, sizeof(name), "store:%s", st->arg.vhost);
    r = proc_register(name);
    if (r < 0)
        proc_exit(EXIT_CRASH, r, "the name %s is taken", name);
}

static void on_init(void *state, const void *arg)
{
    struct store *st = state;

    memcpy(&st->arg, arg, sizeof(st->arg));
    if (st->arg.wal_budget == 0)
        st->arg.wal_budget = 1 << 30;
    if (st->arg.cache_budget == 0)
        st->arg.cache_budget = 256 << 20;
    u64map_init(&st->queues, proc_realloc, proc_free);
    u64map_init(&st->txs, proc_realloc, proc_free);
    proc_continue();
}

static void on_continue(struct store *st)
{
    if (!st->db) {
        on_start(st);
        return;
    }
    st->is_closing_group = false;
    commit(st, commit_size(st));
    store_backup_go_on(st);
}

static void on_handle(void *state, struct msg *m)
{
    struct store *st = state;

    CHECK(st->db || m->type == MSG_CONTINUE); /* invariant 1: nobody knows this process yet */
    switch (m->type) {
    case MSG_CONTINUE:
        on_continue(st);
        break;
    case MSG_DOWN:
        store_on_down(st, m);
        break;
    case MSG_TIMEOUT:
        if (m->ref == st->timer)
            st->timer = 0; /* what is due is done when the turn ends */
        break;
    case STORE_OPEN_QUEUE:
        store_on_open(st, m);
        break;
    case STORE_OPS:
        store_on_ops(st, m);
        break;
    case STORE_SYNC:
        store_wait(st, m);
        break;
    case STORE_READ:
        store_on_read(st, m);
        break;
    case STORE_READ_ON:
        store_on_read_on(st, m);
        break;
    case STORE_FIND:
        store_on_find(st, m);
        break;
    case STORE_WRITE:
        store_on_write(st, m);
        break;
    case STORE_LOAD:
        store_on_load(st, m);
        break;
    case STORE_RESERVE:
        store_on_reserve(st, m);
        break;
    case STORE_BACKUP:
        store_on_backup(st, m);
        break;
    case STORE_TX:
        store_on_tx(st, m);
        break;
    case STORE_TX_END:
        store_on_tx_end(st, m);
        break;
    case STORE_TX_GONE:
        store_on_tx_gone(st, m);
        break;
    default:
        proc_exit(EXIT_CRASH, 0, "message %u is none of the store's", m->type);
    }
}

/* An ordered stop: what came is committed, and the stop is marked as clean. */
static void on_terminate(void *state, const struct exit_reason *why)
{
    struct store *st = state;

    (void)why;
    if (!st->db)
        return;
    store_commit(st);
    proc_at_exit_cancel(db_handle_close, db_handle(st->db));
    (void)db_close(st->db); /* a stop that is not clean is put right by the next opening */
    st->db = NULL;
}

static size_t on_inspect(const void *state, char *out, size_t size)
{
    const struct store *st = state;
    struct db_pending p;
    uint64_t written, syncs;
    int n;

    if (!st->db)
        return (size_t)snprintf(out, size, "{\"state\": \"recovering\"}");
    p = db_pending(st->db);
    db_wal_written(st->db, &written, &syncs);
    n = snprintf(out, size,
                 "{\"state\": \"up\", \"epoch\": %llu, \"group\": %llu, \"groups\": %llu, "
                 "\"adds\": %llu, \"withdrawn\": %llu, \"acks\": %llu, \"stale\": %llu, "
                 "\"pending_adds\": %u, \"pending_acks\": %u, \"pending_bytes\": %llu, "
                 "\"wal_bytes\": %llu, \"wal_share\": %llu, "
                 "\"wal_written\": %llu, \"wal_syncs\": %llu, \"commit_us\": %llu, "
                 "\"checkpoint_us\": %llu, \"worst_step_us\": %llu, \"compacted\": %llu, "
                 "\"transactions\": %u}",
                 (unsigned long long)db_epoch(st->db), (unsigned long long)db_group(st->db),
                 (unsigned long long)st->n_groups, (unsigned long long)st->n_adds,
                 (unsigned long long)st->n_withdrawn, (unsigned long long)st->n_acks,
                 (unsigned long long)st->n_stale, p.adds, p.acks, (unsigned long long)p.bytes,
                 (unsigned long long)db_wal_bytes(st->db), (unsigned long long)st->wal_share,
                 (unsigned long long)written, (unsigned long long)syncs,
                 (unsigned long long)st->commit_us, (unsigned long long)st->checkpoint_us,
                 (unsigned long long)st->worst_us, (unsigned long long)st->n_compacted, st->txs.n);
    return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

#define STORE_OPS(KIND)                                                                     \
    {                                                                                       \
        .kind = KIND, .state_size = sizeof(struct store), .flags = PROC_OPS_BLOCKING,       \
        .init = on_init, .handle = on_handle, .flush = on_flush, .terminate = on_terminate, \
        .inspect = on_inspect,                                                              \
    }

const struct proc_ops store_ops = STORE_OPS("store");
const struct proc_ops node_store_ops = STORE_OPS("node_store");
