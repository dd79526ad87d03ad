/*
 * Definitions taken apart; and the node between a store, access and their restarts.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "amqp/codec/table.h"
#include "broker/core/access.h"
#include "broker/core/config.h"
#include "broker/core/log.h"
#include "broker/runtime/blob.h"
#include "persistence/store.h"
#include "queues/definitions.h"
#include "queues/node.h"
#include "tests/unit/test_world.h"

/*
 * Definitions
 */

static char why[512];

static int read_text(const char *text, struct definitions *ret)
{
    char path[] = "/tmp/warren-definitions-XXXXXX";
    int fd = mkstemp(path), r;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    memset(ret, 0, sizeof(*ret));
    r = definitions_read(path, NULL, ret, why, sizeof(why));
    unlink(path);
    return r;
}

static void test_read(void **state)
{
    struct definitions d;
    const struct definition *q;
    struct amqp_bytes args, inner;
    int64_t n;
    bool b;

    (void)state;
    assert_int_equal(read_text("{\"queues\":[{\"name\":\"q\",\"vhost\":\"v\",\"durable\":true,"
                               "\"arguments\":{\"n\":7,\"b\":true,\"s\":\"x\",\"z\":null,"
                               "\"l\":[1,\"a\",{\"k\":2.5}],\"t\":{\"n\":8}}}],"
                               "\"bindings\":[{\"source\":\"x\",\"vhost\":\"v\",\"destination\":"
                               "\"y\",\"destination_type\":\"exchange\",\"routing_key\":\"\"}],"
                               "\"vhosts\":[{\"name\":\"v\",\"limits\":[]}],"
                               "\"policies\":[{\"vhost\":\"v\",\"name\":\"p\",\"pattern\":\"\","
                               "\"definition\":{\"elsewhere\":1}}]}",
                               &d),
                     0);
    assert_int_equal(d.n, 4); /* in the order in which they are made */
    assert_int_equal(d.v[0].fact.kind, ACCESS_FACT_VHOST);
    assert_string_equal(d.v[0].key, "[\"v\"]");
    assert_non_null(strstr(d.v[0].text, "limits")); /* nothing of an object is lost */
    assert_int_equal(d.v[1].kind, DEFINITION_OTHER);
    q = &d.v[2];
    assert_int_equal(q->kind, DEFINITION_QUEUE);
    assert_true(q->durable && !q->auto_delete);
    args = amqp_bytes(q->args, q->args_len);
    assert_int_equal(ftable_validate(args), 0);
    assert_int_equal(ftable_get_int(args, "n", &n), 1);
    assert_int_equal(n, 7);
    assert_int_equal(ftable_get_bool(args, "b", &b), 1);
    assert_int_equal(ftable_get_array(args, "l", &inner), 1);
    assert_int_equal(ftable_get_table(args, "t", &inner), 1);
    assert_int_equal(ftable_get_int(inner, "n", &n), 1);
    assert_int_equal(d.v[3].kind, DEFINITION_BINDING);
    assert_true(d.v[3].to_exchange);
    definitions_fini(&d);
}

/* A password is stored as its hash, and what is stored means the same when it is read again. */
static void test_password_is_hashed(void **state)
{
    struct definitions d, again = {0};

    (void)state;
    assert_int_equal(read_text("{\"users\":[{\"name\":\"u\",\"password\":\"plain text\","
                               "\"tags\":\"administrator,impersonator,other\"}]}",
                               &d),
                     0);
    assert_null(strstr(d.v[0].text, "plain text"));
    assert_int_equal(d.v[0].fact.tags, ACCESS_ADMINISTRATOR | ACCESS_IMPERSONATOR);
    assert_int_equal(
        definitions_add(&again, "users", d.v[0].text, strlen(d.v[0].text), why, sizeof(why)), 0);
    assert_true(password_is(&again.v[0].fact.password, "plain text", 10));
    assert_int_equal(definitions_add(&again, "queues", "{}", 2, why, sizeof(why)), -ENOENT);
    definitions_fini(&d);
    definitions_fini(&again);
}

static void test_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "[]",
        "7",
        "{\"users\":7}",
        "{\"users\":[7]}",
        "{\"users\":[{}]}",
        "{\"users\":[{\"name\":\"u\",\"password\":\"\"}]}",
        "{\"users\":[{\"name\":\"u\",\"tags\":7}]}",
        "{\"vhosts\":[{\"name\":\"a\\u0000b\"}]}",
        "{\"vhosts\":[{\"name\":\"good\"},{\"name\":\"\"}]}",
        ("{\"permissions\":[{\"user\":\"u\",\"vhost\":\"v\",\"configure\":\"(\",\"write\":\"\","
         "\"read\":\"\"}]}"),
        "{\"exchanges\":[{\"name\":\"x\",\"vhost\":\"v\"}]}",
        "{\"bindings\":[{\"vhost\":\"v\",\"source\":\"\"}]}",
    };
    struct definitions d;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        *why = '\0';
        if (read_text(bad[i], &d) != -EINVAL || d.n != 0 || !*why)
            fail_msg("taken: %s", bad[i]);
    }
    assert_int_equal(definitions_read("/no/such/file", NULL, &d, why, sizeof(why)), -ENOENT);
}

/*
 * The node. The store is a list of rows; vhosts have no supervisor here, so none is started.
 */

enum { MAX_ROWS = 16 };

static struct {
    struct store_row row[MAX_ROWS];
    uint32_t n, n_writes, n_loads;
    bool dies; /* over the next write */
    bool may_open;
    unsigned tags;
} t;

static void copy_row(struct store_row *to, const struct store_row *from)
{
    *to = *from;
    blob_ref(to->name);
    blob_ref(to->type);
    blob_ref(to->args);
}

static void on_write(struct msg *m)
{
    const struct msg_store_rows *in = MSG_OF(struct msg_store_rows, m);

    t.n_writes++;
    if (t.dies)
        proc_exit(EXIT_CRASH, 0, "as told");
    for (uint32_t i = 0; i < in->n; i++)
        copy_row(&t.row[t.n++], &in->row[i]);
    proc_reply(m, msg_new(STORE_WRITTEN, sizeof(struct msg), NULL));
}

static void on_load(struct msg *m)
{
    struct msg_store_rows *rows = store_rows_new(STORE_ROWS, MAX_ROWS);

    t.n_loads++;
    for (; rows->n < t.n; rows->n++)
        copy_row(&rows->row[rows->n], &t.row[rows->n]);
    proc_reply(m, &rows->hdr);
}

static void fake_init(void *state, const void *arg)
{
    (void)state, (void)arg;
    CHECK(proc_register("node_store") == 0);
}

static void fake_handle(void *state, struct msg *m)
{
    (void)state;
    if (m->type == STORE_WRITE)
        on_write(m);
    else if (m->type == STORE_LOAD)
        on_load(m);
}

static const struct proc_ops fake_store_ops = {
    .kind = "fake_store",
    .state_size = 1,
    .init = fake_init,
    .handle = fake_handle,
};

static void start(void *ops)
{
    (void)proc_spawn(&(struct spawn){.ops = ops});
}

static void stop(void *name)
{
    proc_signal(proc_whereis(name), EXIT_SHUTDOWN, 0, "stop");
}

static void look(void *arg)
{
    (void)arg;
    t.may_open = access_may_open("guest", "/") && access_has_vhost("/", 1);
    t.tags = access_tags("guest", 5);
}

static bool knows_guest(void)
{
    tw_do(look, NULL);
    return t.may_open && t.tags == ACCESS_ADMINISTRATOR;
}

static void *ops_arg(const struct proc_ops *ops)
{
    return (void *)(uintptr_t)ops;
}

static void begin(void)
{
    memset(&t, 0, sizeof(t));
    config_reset();
    log_mute();
    tw_start(3);
}

static void end(void)
{
    tw_do(stop, "node");
    tw_do(stop, "node_store");
    tw_do(stop, "access");
    for (uint32_t i = 0; i < t.n; i++) {
        blob_unref(t.row[i].name);
        blob_unref(t.row[i].type);
        blob_unref(t.row[i].args);
    }
    tw_stop();
}

static void test_first_start(void **state)
{
    (void)state;
    begin();
    tw_do(start, ops_arg(&access_ops));
    tw_do(start, ops_arg(&node_ops));
    assert_false(knows_guest());
    tw_do(start, ops_arg(&fake_store_ops));
    assert_true(knows_guest());
    assert_int_equal(t.n, 4); /* a name for the cluster, a vhost, a user, a permission */
    /* The next node finds them and writes nothing. */
    tw_do(stop, "node");
    tw_do(start, ops_arg(&node_ops));
    assert_int_equal(t.n_writes, 1);
    assert_true(knows_guest());
    end();
}

/* What was not durable is told to nobody, and is written again. */
static void test_store_dies(void **state)
{
    (void)state;
    begin();
    t.dies = true;
    tw_do(start, ops_arg(&access_ops));
    tw_do(start, ops_arg(&fake_store_ops));
    tw_do(start, ops_arg(&node_ops));
    assert_int_equal(t.n_writes, 1);
    assert_false(knows_guest());
    t.dies = false;
    tw_do(start, ops_arg(&fake_store_ops));
    assert_int_equal(t.n_writes, 2);
    assert_int_equal(t.n, 4);
    assert_true(knows_guest());
    end();
}

static void forget_guest(void *arg)
{
    struct msg_access_set *m = access_set_new();

    (void)arg;
    m->fact = (struct access_fact){.kind = ACCESS_FACT_USER, .remove = true, .user = "guest"};
    PROC_SEND(proc_whereis("access"), m);
}

/* Each access is told all, and so has what a dead one may have lost. */
static void test_access_restarts(void **state)
{
    (void)state;
    begin();
    tw_do(start, ops_arg(&fake_store_ops));
    tw_do(start, ops_arg(&node_ops));
    tw_do(start, ops_arg(&access_ops));
    assert_true(knows_guest());
    tw_do(forget_guest, NULL);
    assert_false(knows_guest());
    tw_do(stop, "access");
    tw_do(start, ops_arg(&access_ops));
    assert_true(knows_guest());
    end();
}

static void call_await(void *arg)
{
    (void)arg;
    (void)proc_call(proc_whereis("node"), msg_new(NODE_AWAIT, sizeof(struct msg), NULL),
                    PROC_NO_TIMEOUT);
}

/* A start does not wait for ever for a store that does not come. */
static void test_no_store(void **state)
{
    (void)state;
    begin();
    tw_do(start, ops_arg(&node_ops));
    tw_do(call_await, NULL);
    tw_run_us(9000000);
    assert_null(tw_find(NODE_READY, 0));
    tw_run_us(2000000);
    assert_non_null(tw_find(NODE_READY, 0));
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),       cmocka_unit_test(test_password_is_hashed),
        cmocka_unit_test(test_refused),    cmocka_unit_test(test_first_start),
        cmocka_unit_test(test_store_dies), cmocka_unit_test(test_access_restarts),
        cmocka_unit_test(test_no_store),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
