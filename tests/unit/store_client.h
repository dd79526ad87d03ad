/*
 * A world for tests of the store process: one thread, a virtual clock, a file system in memory, and
 * a client process that does what the test says and notes what it is answered.
 *
 *     act(fn)      runs fn as process code of the client, and all that follows of it
 *     run_us(n)    lets time pass
 *     t            what came of it
 *
 * start and stop are a test's setup and teardown. Include it once.
 */
#ifndef TESTS_UNIT_STORE_CLIENT_H
#define TESTS_UNIT_STORE_CLIENT_H

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/runtime/blob.h"
#include "broker/runtime/runtime.h"
#include "broker/runtime/world.h"
#include "persistence/store.h"
#include "tests/faults/crash_vfs.h"

/* A test uses what it needs of it. */
#pragma GCC diagnostic ignored "-Wunused-function"

#define VFS "test-store"

enum { DO = 0xF001 };

struct msg_do {
    struct msg hdr;
    void (*fn)(void);
};

/* What the client process saw; written by it, read by the test between steps. */
static struct {
    uint64_t now_ns, limit_ns;
    bool is_stalled;
    struct crash_fs *fs;
    proc_id root, store;
    bool is_down;
    struct exit_reason why;
    unsigned n_durable, n_synced, n_written, n_opened, n_refused;
    uint64_t up_to, group, next_seq, n_entries, durable_at_us;
    uint64_t seq[32];
    uint32_t flags[32];
    unsigned n_seq;
    char body[4][64];                 /* "-": NULL */
    unsigned n_rows, written_at_rows; /* how many STORE_WRITTEN came before */
    struct store_row row[8];          /* without their blobs */
    char row_name[8][16];
    uint64_t first_id;
    unsigned n_backed_up;
    int backup_error;
    uint64_t backup_group;
    int owners;                       /* alive */
    unsigned n_committed, n_given_up; /* answers to STORE_TX */
    /* Arguments for what the client is to do. */
    uint64_t queue, tx;
    uint32_t n_parts;
    uint64_t epoch, ack_time_us, known_first, known_last;
    const char *text;
    uint64_t do_seq, do_last, wal_budget;
    bool ack_too;
} t;

static uint64_t now_ns(void)
{
    return t.now_ns;
}

static int64_t wall_ms(void)
{
    return (int64_t)(t.now_ns / 1000000);
}

static uint64_t any_number(void)
{
    return 7;
}

static uint32_t pick(uint32_t n)
{
    return n - 1;
}

static void note_entries(const struct msg_store_entries *m)
{
    for (uint32_t i = 0; i < m->n && t.n_seq < 32; i++) {
        t.seq[t.n_seq] = m->entry[i].seq;
        t.flags[t.n_seq++] = m->entry[i].flags;
    }
}

static void note_bodies(const struct msg_store_bodies *m)
{
    for (uint32_t i = 0; i < m->n && i < 4; i++) {
        const struct blob *b = m->body[i].bytes;

        snprintf(t.body[i], sizeof(t.body[i]), "%.*s", b ? (int)blob_size(b) : 1,
                 b ? (const char *)blob_bytes(b) : "-");
    }
}

static void note_rows(const struct msg_store_rows *m)
{
    t.n_rows = m->n;
    t.written_at_rows = t.n_written;
    for (uint32_t i = 0; i < m->n && i < 8; i++) {
        t.row[i] = m->row[i];
        snprintf(t.row_name[i], sizeof(t.row_name[i]), "%.*s", (int)blob_size(m->row[i].name),
                 (const char *)blob_bytes(m->row[i].name));
    }
}

static void note_durable(const struct msg_store_durable *m)
{
    t.n_durable++;
    t.up_to = m->up_to_seq;
    t.group = m->group;
    t.durable_at_us = t.now_ns / 1000;
}

static void note_down(const struct msg_exit *m)
{
    t.n_refused += m->why.kind == EXIT_NOREPLY;
    if (m->why.kind == EXIT_NOREPLY || m->hdr.from != t.store)
        return;
    t.is_down = true;
    t.why = m->why;
}

static void client_handle(void *state, struct msg *m)
{
    (void)state; /* all it knows is in t */
    switch (m->type) {
    case DO:
        MSG_OF(struct msg_do, m)->fn();
        break;
    case MSG_EXIT:
        proc_exit(EXIT_SHUTDOWN, 0, "the test is over");
    case STORE_TX_DONE:
        t.n_committed += MSG_OF(struct msg_store_tx_done, m)->committed;
        t.n_given_up += !MSG_OF(struct msg_store_tx_done, m)->committed;
        break;
    case MSG_DOWN:
        note_down(MSG_OF(struct msg_exit, m));
        break;
    case STORE_ENTRIES:
        note_entries(MSG_OF(struct msg_store_entries, m));
        break;
    case STORE_OPENED:
        t.n_opened++;
        t.next_seq = MSG_OF(struct msg_store_opened, m)->next_seq;
        t.n_entries = MSG_OF(struct msg_store_opened, m)->n_entries;
        break;
    case STORE_DURABLE:
        note_durable(MSG_OF(struct msg_store_durable, m));
        break;
    case STORE_BODIES:
        note_bodies(MSG_OF(struct msg_store_bodies, m));
        break;
    case STORE_ROWS:
        note_rows(MSG_OF(struct msg_store_rows, m));
        break;
    case STORE_BACKED_UP:
        t.n_backed_up++;
        t.backup_error = MSG_OF(struct msg_store_backed_up, m)->error;
        t.backup_group = MSG_OF(struct msg_store_backed_up, m)->group;
        break;
    case STORE_RESERVED:
        t.first_id = MSG_OF(struct msg_store_reserve, m)->first;
        break;
    default:
        t.n_synced += m->type == STORE_SYNCED;
        t.n_written += m->type == STORE_WRITTEN;
    }
}

static void client_init(void *state, const void *arg)
{
    (void)state;
    (void)arg;
    proc_trap_exit(true);
}

static const struct proc_ops client_ops = {
    .kind = "client",
    .state_size = 1,
    .init = client_init,
    .handle = client_handle,
};

static void advance(uint64_t to_ns)
{
    if (to_ns > t.limit_ns)
        t.is_stalled = true;
    else if (to_ns > t.now_ns)
        t.now_ns = to_ns;
}

static void run_us(uint64_t us)
{
    t.limit_ns = t.now_ns + us * 1000;
    t.is_stalled = false;
    for (unsigned n = 0; !t.is_stalled && rt_step(advance); n++)
        assert_true(n < 1000000); /* else it goes round in a circle */
    t.now_ns = t.limit_ns;
}

/* fn as process code of the client, and all that follows of it without time passing. */
static void act(void (*fn)(void))
{
    struct msg_do *m = MSG_NEW(DO, struct msg_do);

    m->fn = fn;
    rt_send(t.root, &m->hdr);
    run_us(0);
}

static void spawn_store(void)
{
    struct store_arg arg = {.vhost = "/", .dir = "v", .wal_budget = t.wal_budget};
    const struct spawn spec = {
        .ops = &store_ops, .arg = blob_copy(&arg, sizeof(arg)), .flags = PROC_MONITOR};

    t.is_down = false;
    t.store = proc_spawn(&spec);
}

static void stop_store(void)
{
    proc_signal(t.store, EXIT_SHUTDOWN, 0, "stop");
}

static void kill_store(void)
{
    proc_signal(t.store, EXIT_KILL, 0, "kill");
}

static void open_queue(void)
{
    struct msg_store_open *m = store_open_new(t.queue, t.epoch, 0);

    t.n_seq = 0;
    m->known_first = t.known_first;
    m->known_last = t.known_last;
    (void)proc_call(t.store, &m->hdr, PROC_NO_TIMEOUT); /* answers are known by their type */
}

struct owner {
    char text[64];
};

static void owner_unref(void *owner)
{
    t.owners--;
    free(owner);
}

/* Publishes t.text as t.do_seq, in two pieces that have an owner; with t.ack_too, acks it as well.
 */
static void publish(void)
{
    struct msg_store_ops *m = store_ops_new(t.queue, t.epoch, 2, owner_unref);
    struct owner *o = malloc(sizeof(*o));

    snprintf(o->text, sizeof(o->text), "%s", t.text);
    t.owners++;
    m->tx = t.tx;
    m->ack_time_us = t.ack_time_us;
    m->op[m->n++] = (struct store_op){.kind = STORE_OP_PUBLISH,
                                      .flags = 9,
                                      .seq = t.do_seq,
                                      .owner = o,
                                      .part = {o->text, o->text + 1},
                                      .part_len = {1, (uint32_t)strlen(o->text) - 1}};
    if (t.ack_too)
        m->op[m->n++] = (struct store_op){.kind = STORE_OP_ACK, .seq = t.do_seq};
    PROC_SEND(t.store, m);
}

static void ack(void)
{
    struct msg_store_ops *m = store_ops_new(t.queue, t.epoch, 1, owner_unref);

    m->tx = t.tx;
    m->op[m->n++] = (struct store_op){.kind = t.do_last ? STORE_OP_ACK_RANGE : STORE_OP_ACK,
                                      .seq = t.do_seq,
                                      .last_seq = t.do_last};
    PROC_SEND(t.store, m);
}

static void sync_store(void)
{
    (void)proc_call(t.store, msg_new(STORE_SYNC, sizeof(struct msg), NULL), PROC_NO_TIMEOUT);
}

static void read_two(void)
{
    struct msg_store_read *m = store_read_new(5, 2);

    m->want[0].seq = t.do_seq;
    m->want[1].seq = t.do_seq + 1;
    (void)proc_call(t.store, &m->hdr, PROC_NO_TIMEOUT);
}

static void load_rows(void)
{
    (void)proc_call(t.store, msg_new(STORE_LOAD, sizeof(struct msg), NULL), PROC_NO_TIMEOUT);
}

static void write_rows(void)
{
    struct msg_store_rows *m = store_rows_new(STORE_WRITE, 3);

    m->n = 3;
    m->row[0] = (struct store_row){.kind = STORE_ROW_EXCHANGE,
                                   .id = 4,
                                   .flags = 2,
                                   .name = blob_copy("logs", 4),
                                   .type = blob_copy("direct", 6)};
    m->row[1] = (struct store_row){
        .kind = STORE_ROW_QUEUE, .id = 5, .name = blob_copy("q", 1), .args = blob_copy("args", 4)};
    m->row[2] = (struct store_row){.kind = STORE_ROW_BINDING,
                                   .id = 4,
                                   .dest_id = 5,
                                   .dest_kind = STORE_ROW_QUEUE,
                                   .name = blob_copy("key", 3)};
    (void)proc_call(t.store, &m->hdr, PROC_NO_TIMEOUT);
}

static void remove_queue(void)
{
    struct msg_store_rows *m = store_rows_new(STORE_WRITE, 1);

    m->n = 1;
    m->row[0] = (struct store_row){.kind = STORE_ROW_QUEUE, .remove = true, .id = 5};
    (void)proc_call(t.store, &m->hdr, PROC_NO_TIMEOUT);
}

/* Into the file t.text. */
static void backup(void)
{
    struct msg_store_backup *m = MSG_NEW(STORE_BACKUP, struct msg_store_backup);

    snprintf(m->path, sizeof(m->path), "%s", t.text);
    (void)proc_call(t.store, &m->hdr, PROC_NO_TIMEOUT);
}

static void reserve(void)
{
    struct msg_store_reserve *m = MSG_NEW(STORE_RESERVE, struct msg_store_reserve);

    m->n = 1024;
    (void)proc_call(t.store, &m->hdr, PROC_NO_TIMEOUT);
}

static void on_crash(const struct crash_report *report)
{
    (void)report; /* what the tests ask for comes with DOWN */
}

static int start(void **state)
{
    static const struct world_net no_net;
    static const struct world world = {
        .now_ns = now_ns,
        .wall_ms = wall_ms,
        .random = any_number,
        .net = &no_net,
        .vfs = VFS,
        .pick = pick,
    };
    const struct rt_config config = {.schedulers = 1, .world = &world, .on_crash = on_crash};
    const struct spawn spec = {.ops = &client_ops, .name = "client"};

    (void)state;
    memset(&t, 0, sizeof(t));
    t.now_ns = 1000000000;
    t.epoch = 1;
    t.queue = 5;
    t.known_first = 1; /* all is told */
    t.fs = crash_fs_new(VFS);
    if (rt_start(&config) < 0)
        return -1;
    t.root = rt_spawn_root(&spec);
    act(spawn_store);
    act(open_queue);
    return t.n_opened == 1 ? 0 : -1;
}

static int stop(void **state)
{
    struct exit_reason why;

    (void)state;
    act(stop_store);
    rt_signal(t.root, EXIT_SHUTDOWN, "the test is over");
    run_us(1000000);
    assert_int_equal(rt_live_procs(), 0);
    assert_int_equal(rt_live_msgs(), 0);
    assert_int_equal(t.owners, 0);
    rt_wait(&why);
    crash_fs_free(t.fs);
    return 0;
}

static void put(uint64_t seq, const char *text)
{
    t.do_seq = seq;
    t.text = text;
    act(publish);
}

static void take(uint64_t seq, uint64_t last)
{
    t.do_seq = seq;
    t.do_last = last;
    act(ack);
}

/* Ends the store in this way, starts another and opens the queue. */
static void restart(void (*end)(void))
{
    act(end);
    assert_true(t.is_down);
    act(spawn_store);
    act(open_queue);
}

#endif
