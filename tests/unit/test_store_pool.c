/*
 * The store process as it runs in the broker: on the pool's threads, over a real directory, with
 * the queues on their schedulers. Several queues send to it at once; all that was told durable and
 * not acked is there for the next store.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/runtime/blob.h"
#include "broker/runtime/runtime.h"
#include "broker/runtime/world.h"
#include "persistence/store.h"

#define QUEUES  4
#define BATCHES 100
#define BATCH   20

enum { GO = 0xF001, NEXT };

static char dir[] = "/tmp/test-store-XXXXXX";
static _Atomic uint64_t recovered[QUEUES]; /* entries found at the last opening */
static _Atomic uint64_t expected[QUEUES];
static _Atomic bool is_first_run;

struct queue {
    proc_id store;
    proc_ref await;
    uint64_t id, sent, durable, acked;
};

static void send_batch(struct queue *q)
{
    struct msg_store_ops *m = store_ops_new(q->id, 1, 2 * BATCH, (void (*)(void *))blob_unref);

    m->ack_time_us = q->id % 2 ? 200 : 0;
    for (int i = 0; i < BATCH; i++) {
        uint64_t seq = ++q->sent;
        struct blob *b = blob_copy("0123456789", 10);

        m->op[m->n++] = (struct store_op){.kind = STORE_OP_PUBLISH,
                                          .seq = seq,
                                          .owner = b,
                                          .part = {blob_bytes(b), blob_bytes(b) + 4},
                                          .part_len = {4, 6}};
        if (seq % 3 != 0)
            continue;
        m->op[m->n++] = (struct store_op){.kind = STORE_OP_ACK, .seq = seq - (seq % 2)};
        q->acked++;
    }
    PROC_SEND(q->store, m);
}

static void end_queue(struct queue *q)
{
    atomic_store(&expected[q->id - 1], q->sent - q->acked);
    proc_exit(EXIT_NORMAL, 0, "done");
}

static void on_named(struct queue *q, struct msg *m)
{
    struct msg_store_open *open = store_open_new(q->id, 1, 0);

    q->store = m->from;
    open->known_first = 1; /* all is told */
    open->known_last = 0;
    (void)proc_call(q->store, &open->hdr, PROC_NO_TIMEOUT); /* its answer is known by its type */
}

static void on_opened(struct queue *q, struct msg_store_opened *m)
{
    atomic_store(&recovered[q->id - 1], m->n_entries);
    if (!atomic_load(&is_first_run))
        proc_exit(EXIT_NORMAL, 0, "seen");
    send_batch(q);
}

static void queue_handle(void *state, struct msg *m)
{
    struct queue *q = state;

    switch (m->type) {
    case MSG_NAMED:
        on_named(q, m);
        break;
    case STORE_OPENED:
        on_opened(q, MSG_OF(struct msg_store_opened, m));
        break;
    case STORE_DURABLE:
        CHECK(MSG_OF(struct msg_store_durable, m)->up_to_seq >= q->durable);
        q->durable = MSG_OF(struct msg_store_durable, m)->up_to_seq;
        if (q->durable == q->sent && q->sent < BATCHES * BATCH)
            send_batch(q);
        else if (q->sent == BATCHES * BATCH)
            (void)proc_call(q->store, msg_new(STORE_SYNC, sizeof(struct msg), NULL),
                            PROC_NO_TIMEOUT); /* its answer ends this process */
        break;
    case STORE_SYNCED:
        end_queue(q);
        break;
    default:
        CHECK(m->type == STORE_ENTRIES);
    }
}

static void queue_init(void *state, const void *arg)
{
    struct queue *q = state;

    memcpy(&q->id, arg, sizeof(q->id));
    q->await = proc_await("store:/");
}

static const struct proc_ops queue_ops = {
    .kind = "queue",
    .state_size = sizeof(struct queue),
    .init = queue_init,
    .handle = queue_handle,
};

struct root {
    proc_id store;
    int n_alive;
    bool has_failed;
};

static void root_init(void *state, const void *arg)
{
    struct root *r = state;
    struct store_arg store = {.vhost = "/"};
    struct spawn spec = {.ops = &store_ops, .flags = PROC_MONITOR};

    (void)arg;
    snprintf(store.dir, sizeof(store.dir), "%s/v", dir);
    spec.arg = blob_copy(&store, sizeof(store));
    r->store = proc_spawn(&spec);
    for (uint64_t id = 1; id <= QUEUES; id++) {
        spec = (struct spawn){.ops = &queue_ops, .flags = PROC_MONITOR, .scheduler = SCHED_ANY};
        spec.arg = blob_copy(&id, sizeof(id));
        (void)proc_spawn(&spec); /* its DOWN is counted */
        r->n_alive++;
    }
}

static void root_handle(void *state, struct msg *m)
{
    struct root *r = state;

    CHECK(m->type == MSG_DOWN);
    if (!exit_is_normal(&MSG_OF(struct msg_exit, m)->why))
        r->has_failed = true;
    if (m->from == r->store)
        proc_exit(r->has_failed ? EXIT_CRASH : EXIT_NORMAL, 0, "the store is down");
    if (--r->n_alive == 0)
        proc_signal(r->store, EXIT_SHUTDOWN, 0, "stop");
}

static const struct proc_ops root_ops = {
    .kind = "root",
    .state_size = sizeof(struct root),
    .init = root_init,
    .handle = root_handle,
};

static void run(bool is_first)
{
    const struct rt_config config = {.schedulers = 2, .pool_threads = 2, .world = &world_real};
    const struct spawn spec = {.ops = &root_ops};
    struct exit_reason why;

    atomic_store(&is_first_run, is_first);
    assert_int_equal(rt_start(&config), 0);
    (void)rt_spawn_root(&spec); /* rt_wait tells of its end */
    rt_wait(&why);
    assert_int_equal(why.kind, EXIT_NORMAL);
    assert_int_equal(rt_live_msgs(), 0);
}

static void what_was_told_durable_is_there(void **state)
{
    char command[100];

    (void)state;
    assert_non_null(mkdtemp(dir));
    run(true);
    for (int i = 0; i < QUEUES; i++)
        assert_int_equal(recovered[i], 0);
    run(false);
    for (int i = 0; i < QUEUES; i++) {
        assert_true(expected[i] > 0);
        assert_int_equal(recovered[i], expected[i]);
    }
    snprintf(command, sizeof(command), "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_told_durable_is_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
