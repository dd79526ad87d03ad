/*
 * Changes at the node, with a store of rows in memory: what is written, shown and answered, also
 * when the store, access or the node itself dies over one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/core/access.h"
#include "broker/core/config.h"
#include "broker/core/log.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/supervisor.h"
#include "persistence/store.h"
#include "queues/definitions.h"
#include "queues/node.h"
#include "queues/settings.h"
#include "tests/unit/test_world.h"

enum { MAX_ROWS = 32 };

static struct {
    struct store_row row[MAX_ROWS];
    uint32_t n;
    int dies_in; /* this many writes; 0: no */
    proc_id asker;
    int n_answers;
    enum node_result result;
    char text[512];
    const char *section, *a, *b; /* what is looked for */
    char text_found[1024];
    uint32_t credential;
} t;

/*
 * The store
 */

static bool is_blob(const struct blob *x, const struct blob *y)
{
    return blob_size(x) == blob_size(y) && !memcmp(blob_bytes(x), blob_bytes(y), blob_size(x));
}

static struct store_row *find_row(const struct store_row *r)
{
    for (uint32_t i = 0; i < t.n; i++)
        if (is_blob(t.row[i].name, r->name) && is_blob(t.row[i].type, r->type))
            return &t.row[i];
    return NULL;
}

static void drop_row(struct store_row *r)
{
    blob_unref(r->name);
    blob_unref(r->type);
    blob_unref(r->args);
}

static void write_row(const struct store_row *r)
{
    struct store_row *at = find_row(r);

    if (at)
        drop_row(at);
    if (r->remove) {
        if (at)
            *at = t.row[--t.n];
        return;
    }
    if (!at)
        at = &t.row[t.n++];
    *at = *r;
    blob_ref(r->name);
    blob_ref(r->type);
    blob_ref(r->args);
}

static void store_init_(void *state, const void *arg)
{
    (void)state, (void)arg;
    CHECK(proc_register(NODE_STORE) == 0);
}

static void on_load(struct msg *m)
{
    struct msg_store_rows *rows = store_rows_new(STORE_ROWS, MAX_ROWS);

    for (; rows->n < t.n; rows->n++) {
        rows->row[rows->n] = t.row[rows->n];
        blob_ref(t.row[rows->n].name);
        blob_ref(t.row[rows->n].type);
        blob_ref(t.row[rows->n].args);
    }
    proc_reply(m, &rows->hdr);
}

/* One that dies over a write may have done it. */
static void store_handle(void *state, struct msg *m)
{
    const struct msg_store_rows *in = MSG_OF(struct msg_store_rows, m);
    bool dies = m->type == STORE_WRITE && t.dies_in > 0 && --t.dies_in == 0;

    (void)state;
    if (m->type == STORE_LOAD) {
        on_load(m);
        return;
    }
    for (uint32_t i = 0; i < in->n && !(dies && proc_random() % 2); i++)
        write_row(&in->row[i]);
    if (dies)
        proc_exit(EXIT_CRASH, 0, "as told");
    proc_reply(m, msg_new(STORE_WRITTEN, sizeof(struct msg), NULL));
}

static const struct proc_ops fake_store_ops = {
    .kind = "fake_store", .state_size = 1, .init = store_init_, .handle = store_handle};

/* Whoever else is asked something says yes: the supervisor of vhosts, a registry. */
static void yes_init(void *state, const void *arg)
{
    (void)state;
    CHECK(proc_register(arg) == 0);
}

static void yes_handle(void *state, struct msg *m)
{
    (void)state;
    if (m->flags & MSG_F_ASKS)
        proc_reply(m, msg_new(MSG_SUP_REPLY, sizeof(struct msg_sup_reply), NULL));
}

static const struct proc_ops yes_ops = {
    .kind = "yes", .state_size = 1, .init = yes_init, .handle = yes_handle};

/*
 * Who asks
 */

static void asker_init(void *state, const void *arg)
{
    (void)state, (void)arg;
    t.asker = proc_self();
    CHECK(proc_register("asker") == 0);
}

static void asker_handle(void *state, struct msg *m)
{
    (void)state;
    if (m->type == TW_RUN) {
        MSG_OF(struct tw_run, m)->fn(MSG_OF(struct tw_run, m)->arg);
        return;
    }
    if (m->type != NODE_CHANGED)
        return;
    t.n_answers++;
    t.result = MSG_OF(struct msg_node_changed, m)->result;
    strcpy(t.text, MSG_OF(struct msg_node_changed, m)->text);
}

static const struct proc_ops asker_ops = {
    .kind = "asker", .state_size = 1, .init = asker_init, .handle = asker_handle};

struct order {
    enum node_verb verb;
    const char *section, *text;
};

static void send_order(void *arg)
{
    const struct order *o = arg;
    struct msg_node_change *m = node_change_new(o->verb, o->text, strlen(o->text));

    snprintf(m->section, sizeof(m->section), "%s", o->section);
    snprintf(m->who, sizeof(m->who), "a test");
    (void)proc_call(proc_whereis("node"), &m->hdr, PROC_NO_TIMEOUT);
}

static void as_asker(void (*fn)(void *), void *arg)
{
    struct tw_run *m = MSG_NEW(TW_RUN, struct tw_run);

    m->fn = fn;
    m->arg = arg;
    rt_send(t.asker, &m->hdr);
    tw_run_us(0);
}

/* The result, or -1 while there is none. */
static int ask(enum node_verb verb, const char *section, const char *text)
{
    struct order o = {verb, section, text};
    int before = t.n_answers;

    as_asker(send_order, &o);
    return t.n_answers > before ? (int)t.result : -1;
}

static int put(const char *section, const char *text)
{
    return ask(NODE_PUT, section, text);
}

static int take_out(const char *section, const char *a, const char *b)
{
    char *key = definitions_key(a, b, NULL);
    int r = ask(NODE_REMOVE, section, key);

    free(key);
    return r;
}

static void look(void *arg)
{
    const struct setting *s = settings_get(t.section, t.a, t.b, NULL);

    (void)arg;
    snprintf(t.text_found, sizeof(t.text_found), "%s", s ? s->text : "");
    t.credential = access_credential(t.a, strlen(t.a));
}

/* The text that is shown; "": none. */
static const char *shown(const char *section, const char *a, const char *b)
{
    t.section = section;
    t.a = a;
    t.b = b;
    tw_do(look, NULL);
    return t.text_found;
}

/*
 * The world
 */

static void start(void *ops)
{
    (void)proc_spawn(&(struct spawn){.ops = ops});
}

static void *ops_arg(const struct proc_ops *ops)
{
    return (void *)(uintptr_t)ops;
}

static void start_yes(void *name)
{
    (void)proc_spawn(&(struct spawn){.ops = &yes_ops, .arg = blob_copy(name, strlen(name) + 1)});
}

static void stop(void *name)
{
    proc_signal(proc_whereis(name), EXIT_KILL, 0, "stop");
}

static void begin(void)
{
    memset(&t, 0, sizeof(t));
    config_reset();
    log_mute();
    tw_start(tw_seed());
    tw_do(start, ops_arg(&asker_ops));
    tw_do(start, ops_arg(&fake_store_ops));
    tw_do(start, ops_arg(&access_ops));
    tw_do(start_yes, "vhosts");
    tw_do(start_yes, "registry:/");
    tw_do(start_yes, "registry:v");
    tw_do(start, ops_arg(&node_ops));
}

static void end(void)
{
    static char *names[] = {"node",   "vhosts",   "registry:/", "registry:v",
                            "access", NODE_STORE, "asker"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        tw_do(stop, names[i]);
    for (uint32_t i = 0; i < t.n; i++)
        drop_row(&t.row[i]);
    tw_stop();
}

static const char user[] = "{\"name\":\"u\",\"password_hash\":\"\",\"tags\":[\"monitoring\"]}";
static const char right[] =
    "{\"user\":\"u\",\"vhost\":\"/\",\"configure\":\"\",\"write\":\"\",\"read\":\".*\"}";

static void test_put_and_remove(void **state)
{
    uint32_t rows;

    (void)state;
    begin();
    rows = t.n;
    assert_int_equal(put("users", user), NODE_CREATED);
    assert_int_equal(put("users", user), NODE_UPDATED);
    assert_int_equal(put("permissions", right), NODE_CREATED);
    assert_string_not_equal(shown("users", "u", NULL), "");
    assert_int_not_equal(t.credential, 0);
    assert_int_equal(t.n, rows + 2);
    assert_int_equal(take_out("users", "u", NULL), NODE_REMOVED);
    assert_int_equal(t.n, rows); /* the permission goes with it */
    assert_string_equal(shown("permissions", "u", "/"), "");
    assert_string_equal(shown("users", "u", NULL), "");
    assert_int_equal(t.credential, 0);
    assert_int_equal(take_out("users", "u", NULL), NODE_NOT_FOUND);
    end();
}

/* What is not said of a user or of limits stays; a limit of null goes. */
static void test_merge(void **state)
{
    (void)state;
    begin();
    assert_int_equal(put("users", "{\"name\":\"u\",\"password\":\"p\",\"tags\":\"management\"}"),
                     NODE_CREATED);
    (void)shown("users", "u", NULL);
    uint32_t credential = t.credential;

    assert_int_equal(put("users", "{\"name\":\"u\",\"limits\":{\"max-channels\":3}}"),
                     NODE_UPDATED);
    assert_int_equal(put("users", "{\"name\":\"u\",\"limits\":{\"max-connections\":4}}"),
                     NODE_UPDATED);
    assert_non_null(strstr(shown("users", "u", NULL), "\"max-channels\":3"));
    assert_non_null(strstr(t.text_found, "\"max-connections\":4"));
    assert_non_null(strstr(t.text_found, "management"));
    assert_int_equal(put("users", "{\"name\":\"u\",\"limits\":{\"max-channels\":null}}"),
                     NODE_UPDATED);
    assert_null(strstr(shown("users", "u", NULL), "max-channels"));
    assert_int_equal(put("users", "{\"name\":\"u\",\"password\":\"p\"}"), NODE_UPDATED);
    (void)shown("users", "u", NULL);
    assert_int_equal(t.credential, credential); /* the same password */
    assert_null(strstr(t.text_found, "\"p\""));
    assert_int_equal(put("users", "{\"name\":\"u\",\"password\":\"q\"}"), NODE_UPDATED);
    (void)shown("users", "u", NULL);
    assert_int_not_equal(t.credential, credential);
    end();
}

static void test_refused(void **state)
{
    static const struct order bad[] = {
        {NODE_PUT, "users", "{"},
        {NODE_PUT, "users", "{\"name\":\"\"}"},
        {NODE_PUT, "nothing", "{}"},
        {NODE_PUT, "permissions",
         "{\"user\":\"nobody\",\"vhost\":\"/\",\"configure\":\"\","
         "\"write\":\"\",\"read\":\"\"}"},
        {NODE_PUT, "policies",
         "{\"vhost\":\"/\",\"name\":\"p\",\"pattern\":\"\","
         "\"definition\":{\"x\":1}}"},
        {NODE_PUT, "policies",
         "{\"vhost\":\"nowhere\",\"name\":\"p\",\"pattern\":\"\","
         "\"definition\":{\"max-length\":1}}"},
        {NODE_IMPORT, "", "[]"},
        {NODE_IMPORT, "", "{\"users\":[{\"name\":\"good\"},{}]}"},
    };
    uint32_t rows;

    (void)state;
    begin();
    rows = t.n;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (ask(bad[i].verb, bad[i].section, bad[i].text) != NODE_REFUSED || !t.text[0])
            fail_msg("taken: %s", bad[i].text);
    }
    assert_int_equal(t.n, rows);
    end();
}

/* Whatever of a write the store did before it died, the change is made once it is back. */
static void test_store_dies(void **state)
{
    (void)state;
    begin();
    assert_int_equal(put("users", user), NODE_CREATED);
    t.dies_in = 1;
    assert_int_equal(put("permissions", right), -1);
    assert_string_equal(shown("permissions", "u", "/"), ""); /* it may not be durable */
    tw_do(start, ops_arg(&fake_store_ops));
    assert_int_equal(t.n_answers, 2);
    assert_true(t.result == NODE_CREATED || t.result == NODE_UPDATED);
    assert_string_not_equal(shown("permissions", "u", "/"), "");
    t.dies_in = 1;
    assert_int_equal(take_out("users", "u", NULL), -1);
    tw_do(start, ops_arg(&fake_store_ops));
    assert_int_equal(t.n_answers, 3);
    assert_string_equal(shown("users", "u", NULL), "");
    assert_string_equal(shown("permissions", "u", "/"), "");
    end();
}

static void test_access_dies(void **state)
{
    (void)state;
    begin();
    tw_do(stop, "access");
    assert_int_equal(put("users", user), -1);
    tw_do(start, ops_arg(&access_ops));
    assert_int_equal(t.n_answers, 1);
    assert_int_equal(t.result, NODE_CREATED);
    (void)shown("users", "u", NULL);
    assert_int_not_equal(t.credential, 0);
    end();
}

static void see_vhost(void *arg)
{
    *(bool *)arg = access_has_vhost("v", 1);
}

static bool has_vhost(void)
{
    bool has = false;

    tw_do(see_vhost, &has);
    return has;
}

/* A deletion that was begun is carried out, whoever dies over it. */
static void test_vhost_goes(void **state)
{
    uint32_t rows;

    (void)state;
    begin();
    rows = t.n;
    for (int dies_in = 0; dies_in <= 2; dies_in++) {
        assert_int_equal(put("vhosts", "{\"name\":\"v\"}"), NODE_CREATED);
        assert_true(has_vhost());
        assert_int_equal(put("policies", "{\"vhost\":\"v\",\"name\":\"p\",\"pattern\":\"\","
                                         "\"definition\":{\"max-length\":1}}"),
                         NODE_CREATED);
        t.dies_in = dies_in;
        assert_int_equal(take_out("vhosts", "v", NULL), dies_in ? -1 : NODE_REMOVED);
        if (dies_in == 2) {
            assert_false(has_vhost()); /* decided, but for its data */
            tw_do(stop, "node");
            tw_do(start, ops_arg(&node_ops));
        }
        if (dies_in)
            tw_do(start, ops_arg(&fake_store_ops));
        tw_run_us(1000000);
        assert_false(has_vhost());
        assert_int_equal(t.n, rows);
        assert_string_equal(shown("vhosts", "v", NULL), "");
        assert_string_equal(shown("policies", "p", "v"), "");
    }
    end();
}

static void test_protected(void **state)
{
    (void)state;
    begin();
    assert_int_equal(put("vhosts", "{\"name\":\"v\",\"protected_from_deletion\":true}"),
                     NODE_CREATED);
    assert_int_equal(take_out("vhosts", "v", NULL), NODE_PROTECTED);
    assert_int_equal(put("vhosts", "{\"name\":\"v\",\"protected_from_deletion\":false}"),
                     NODE_UPDATED);
    assert_int_equal(take_out("vhosts", "v", NULL), NODE_REMOVED);
    end();
}

static void upgrade(void *arg)
{
    struct msg_access_upgrade *m = msg_new(ACCESS_UPGRADE, sizeof(*m) + 6, NULL);

    (void)arg;
    memset(m->user, 0, sizeof(m->user));
    strcpy(m->user, "u");
    m->len = 6;
    memcpy(m->password, "secret", 6);
    PROC_SEND(proc_whereis("node"), m);
}

/* The hash becomes a slow one; the password, and what it came as, are the same to everybody. */
static void test_upgrade(void **state)
{
    static const char file[] =
        "{\"users\":[{\"name\":\"u\",\"tags\":[],\"hashing_algorithm\":"
        "\"rabbit_password_hashing_sha256\","
        "\"password_hash\":\"AQIDBDB9kM21iEUzN1lZ+6VReCsdNqS0sERdAQTcY6Xs3PMz\"}]}";
    uint32_t credential;

    (void)state;
    begin();
    assert_int_equal(ask(NODE_IMPORT, "", file), NODE_CREATED);
    (void)shown("users", "u", NULL);
    credential = t.credential;
    tw_do(upgrade, NULL);
    assert_non_null(strstr(shown("users", "u", NULL), "\"crypt\""));
    assert_int_equal(t.credential, credential);
    assert_int_equal(ask(NODE_IMPORT, "", file), NODE_UPDATED);
    assert_non_null(strstr(shown("users", "u", NULL), "\"crypt\""));
    tw_do(stop, "node");
    tw_do(start, ops_arg(&node_ops));
    assert_non_null(strstr(shown("users", "u", NULL), "\"crypt\""));
    assert_int_equal(t.credential, credential);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_and_remove), cmocka_unit_test(test_merge),
        cmocka_unit_test(test_refused),        cmocka_unit_test(test_store_dies),
        cmocka_unit_test(test_access_dies),    cmocka_unit_test(test_vhost_goes),
        cmocka_unit_test(test_protected),      cmocka_unit_test(test_upgrade),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
