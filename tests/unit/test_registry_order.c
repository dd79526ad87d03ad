/*
 * The registry asked for many things at once: what one caller asks in order is decided in order,
 * shares commits, and ends at the first refusal; a long line for one name does no harm.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/runtime/blob.h"
#include "persistence/store.h"
#include "queues/queue.h"
#include "queues/registry.h"
#include "queues/route.h"
#include "queues/vhost.h"

#include "tests/unit/registry_kit.h"
#include "tests/unit/test_world.h"

enum { N_LINE = 20000 };

static struct {
    unsigned n_asked, n, n_refused;
} heard; /* by the client below */

static struct msg *declare(const char *name, bool passive)
{
    struct msg_registry_declare *m =
        registry_declare_new(REGISTRY_QUEUE_DECLARE, name, strlen(name));

    m->in_order = true;
    m->passive = passive;
    m->flags = CELL_DURABLE;
    return &m->hdr;
}

static struct msg *bind_key(unsigned key)
{
    struct msg_registry_bind *m = registry_bind_new(REGISTRY_BIND);
    char text[16];

    snprintf(text, sizeof(text), "k%u", key);
    m->in_order = true;
    m->source = blob_copy("amq.direct", 10);
    m->dest = blob_copy("q", 1);
    m->key = blob_copy(text, strlen(text));
    return &m->hdr;
}

static void ask(struct msg *m)
{
    heard.n_asked++;
    (void)proc_call(proc_whereis("registry:/"), m, PROC_NO_TIMEOUT);
}

/* A queue, its bindings, something that is not there, and what comes behind that. */
static void ask_with_mistake(void)
{
    ask(declare("q", false));
    for (unsigned i = 0; i < 30; i++)
        ask(bind_key(i));
    ask(declare("missing", true));
    ask(bind_key(30));
    ask(declare("behind", false));
}

static void ask_for_one(void)
{
    for (unsigned i = 0; i < N_LINE; i++) {
        struct msg *m = declare("q", false);

        MSG_OF(struct msg_registry_any, m)->in_order = false;
        ask(m);
    }
}

static void client_init(void *state, const void *arg)
{
    (void)state;
    memset(&heard, 0, sizeof(heard));
    (*(void (*const *)(void))arg)();
}

static void client_handle(void *state, struct msg *m)
{
    const struct msg_registry_reply *reply = MSG_OF(struct msg_registry_reply, m);

    (void)state;
    CHECK(m->type == REGISTRY_REPLY);
    heard.n++;
    heard.n_refused += reply->code != 0;
    if (heard.n == heard.n_asked)
        proc_exit(EXIT_NORMAL, 0, "all is answered");
}

static const struct proc_ops client_ops = {
    .kind = "client",
    .state_size = 1,
    .init = client_init,
    .handle = client_handle,
};

static void start_vhost(void *arg)
{
    struct child_spec spec;
    struct spawn spawn = {.ops = &supervisor_ops,
                          .name = "vhost",
                          .flags = PROC_LINK | PROC_SUPERVISOR | PROC_TRAP_EXIT};

    vhost_child_spec("/", "/nowhere", &spec);
    spawn.arg = spec.arg;
    *(proc_id *)arg = proc_spawn(&spawn);
}

static void start_client(void *arg)
{
    struct spawn spawn = {.ops = &client_ops, .arg = blob_copy(arg, sizeof(void (*)(void)))};

    proc_spawn(&spawn);
}

static void stop_vhost(void *arg)
{
    proc_unlink(*(proc_id *)arg);
    proc_signal(*(proc_id *)arg, EXIT_KILL, 0, "over");
}

static bool is_there(const char *name)
{
    struct vhost_tables t;

    vhost_tables_open("/", &t);
    return vhost_find_queue(&t, name, strlen(name)) != NULL;
}

/* A vhost and a client that asks so; until all is answered. */
static proc_id begin(void (*ask_all)(void))
{
    proc_id vhost;

    disk_next_id = 1;
    tw_start(tw_seed());
    tw.is_fifo = true;
    tw_do(start_vhost, &vhost);
    tw_run_us(1000000);
    n_commits = 0;
    tw_do(start_client, &ask_all);
    tw_run_us(1000000);
    assert_string_equal(tw.last_crash.why.text, "");
    return vhost;
}

static void end(proc_id vhost)
{
    tw_do(stop_vhost, &vhost);
    tw_stop();
    for (int i = 0; i < N_ROWS; i++) {
        if (disk[i].used)
            disk_free(&disk[i]);
    }
}

static void test_ends_at_refusal(void **state)
{
    proc_id vhost = begin(ask_with_mistake);

    (void)state;
    assert_int_equal(heard.n, 34);
    assert_int_equal(heard.n_refused, 3);
    assert_true(is_there("q"));
    assert_false(is_there("behind"));
    for (int i = 0; i < N_ROWS; i++) /* the 30 bindings before the refusal are, no other is */
        if (disk[i].used && disk[i].row.kind == STORE_ROW_BINDING)
            assert_memory_not_equal(blob_bytes(disk[i].row.name), "k30", 3);
    end(vhost);
}

/* The queue is one commit, and its bindings are another. */
static void test_shares_commits(void **state)
{
    proc_id vhost = begin(ask_with_mistake);
    unsigned n_bindings = 0;

    (void)state;
    for (int i = 0; i < N_ROWS; i++)
        n_bindings += disk[i].used && disk[i].row.kind == STORE_ROW_BINDING;
    assert_int_equal(n_bindings, 30);
    assert_true(n_commits <= 3);
    end(vhost);
}

static void test_long_line(void **state)
{
    proc_id vhost = begin(ask_for_one);

    (void)state;
    assert_int_equal(heard.n, N_LINE);
    assert_int_equal(heard.n_refused, 0);
    end(vhost);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ends_at_refusal),
        cmocka_unit_test(test_shares_commits),
        cmocka_unit_test(test_long_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
