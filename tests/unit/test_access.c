/*
 * Passwords, expressions, rights against facts, and the pace of logins.
 */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/core/access.h"
#include "broker/core/access_cache.h"
#include "broker/core/access_pattern.h"
#include "broker/core/config.h"
#include "broker/runtime/alloc.h"
#include "tests/unit/test_world.h"

/*
 * Passwords
 */

static void test_password(void **state)
{
    /* Of RabbitMQ's documentation: "test12" with the salt 908DC60A. */
    static const char documented[] = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR";
    char text[PASSWORD_TEXT_MAX];
    struct password p, q;

    (void)state;
    assert_int_equal(password_parse(NULL, documented, &p), 0);
    assert_true(password_is(&p, "test12", 6));
    assert_false(password_is(&p, "test1", 5));
    assert_false(password_is(&p, "test12\0", 7));
    assert_string_equal(password_format(&p, text), "rabbit_password_hashing_sha256");
    assert_string_equal(text, documented);
    assert_int_equal(password_parse("rabbit_password_hashing_sha512", documented, &p), -EINVAL);
    assert_int_equal(password_parse("rabbit_password_hashing_md5", documented, &p), -EINVAL);
    assert_int_equal(password_parse("rabbit_password_hashing_md4", documented, &p), -ENOTSUP);
    /* As RabbitMQ 3.10 exports it: "test12" with the same salt. */
    assert_int_equal(
        password_parse("rabbit_password_hashing_md5", "kI3GChNpte2FApYFXScl+0dIluk=", &p), 0);
    assert_true(password_is(&p, "test12", 6));
    assert_false(password_is(&p, "test13", 6));
    assert_string_equal(password_format(&p, text), "rabbit_password_hashing_md5");
    assert_string_equal(text, "kI3GChNpte2FApYFXScl+0dIluk=");
    assert_int_equal(password_parse(NULL, "AAAA", &p), -EINVAL);
    assert_int_equal(password_parse(NULL, "=AAA", &p), -EINVAL);
    assert_int_equal(password_parse(NULL, "", &p), 0);
    assert_false(password_is(&p, "", 0));
    password_make_quick("secret", 6, 77, &p);
    (void)password_format(&p, text);
    assert_int_equal(password_parse(NULL, text, &q), 0);
    assert_true(password_is(&q, "secret", 6));
}

static void test_slow_password(void **state)
{
    char text[PASSWORD_TEXT_MAX], nul[] = "a\0b";
    struct password p, q;

    (void)state;
    assert_int_equal(password_make("geheim", 6, &p), 0);
    assert_int_equal(p.kind, PASSWORD_CRYPT);
    assert_int_equal(password_parse(password_format(&p, text), text, &q), 0);
    assert_true(password_is(&q, "geheim", 6));
    assert_false(password_is(&q, "geheiM", 6));
    assert_false(password_is(&q, "geheim\0", 7));
    assert_int_equal(password_make(nul, 3, &p), -EINVAL);
    assert_int_equal(password_parse("crypt", "no hash at all", &p), -EINVAL);
    password_dummy(&p);
    assert_false(password_is(&p, "", 0));
    assert_false(password_is(&p, "geheim", 6));
}

/*
 * Expressions
 */

static bool matches(const char *text, const char *name)
{
    struct pattern *p;
    char why[256];
    bool r;

    assert_int_equal(pattern_new(text, &p, why, sizeof(why)), 0);
    r = pattern_matches(p, name, strlen(name));
    pattern_free(p);
    return r;
}

static void test_pattern(void **state)
{
    struct pattern *p;
    char why[256], long_text[9000], many_a[64];

    (void)state;
    assert_true(matches(".*", ""));
    assert_true(matches(".*", "anything"));
    assert_false(matches("", ""));
    assert_false(matches("", "q"));
    assert_true(matches("^$", ""));
    assert_false(matches("^$", "q"));
    assert_true(matches("q", "my_queue")); /* not anchored */
    assert_false(matches("^q", "my_queue"));
    assert_true(matches("^(amq\\.gen.*|amq\\.default)$", "amq.gen-x"));
    assert_true(matches("^(?!secret).*", "open"));
    assert_false(matches("^(?!secret).*", "secret-q"));
    assert_int_equal(pattern_new("(", &p, why, sizeof(why)), -EINVAL);
    assert_non_null(strstr(why, "character 2"));
    memset(long_text, 'a', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    assert_int_equal(pattern_new(long_text, &p, why, sizeof(why)), -EINVAL);
    /* What would take for ever without its bound: it does not match, and soon. */
    memset(many_a, 'a', sizeof(many_a));
    memcpy(many_a + 60, "b", 2);
    assert_false(matches("^(a+)+$", many_a));
}

/*
 * Facts, checks and logins, with the access processes in a small world
 */

static struct {
    proc_id asker;
    proc_ref ref[320];
    int answer[320]; /* 1: right, 0: refused, -1: none yet */
    struct access_fact fact;
    const char *user, *password;
    uint64_t origin;
    bool remote;
    bool allowed[8];
    struct access_cache cache;
    int n;
} t;

static const struct proc_ops *to_start;

static void start_one(void *arg)
{
    (void)arg;
    (void)proc_spawn(&(struct spawn){.ops = to_start});
}

static void send_fact(void *arg)
{
    struct msg_access_set *m = access_set_new();

    (void)arg;
    m->fact = t.fact;
    for (int i = 0; i < ACCESS_RIGHTS; i++) {
        m->fact.pattern[i] = NULL;
        if (!t.fact.pattern[i])
            continue;
        m->fact.pattern[i] = rt_alloc(strlen(t.fact.pattern[i]) + 1);
        strcpy(m->fact.pattern[i], t.fact.pattern[i]);
    }
    PROC_SEND(proc_whereis("access"), m);
}

static void set(struct access_fact f)
{
    t.fact = f;
    tw_do(send_fact, NULL);
}

static void send_sweep(void *arg)
{
    (void)arg;
    (void)proc_call(proc_whereis("access"), msg_new(ACCESS_SWEEP, sizeof(struct msg), NULL),
                    PROC_NO_TIMEOUT);
}

static void send_begin(void *arg)
{
    (void)arg;
    proc_send(proc_whereis("access"), msg_new(ACCESS_BEGIN, sizeof(struct msg), NULL));
}

static void put_user(const char *name, const char *password, bool slow)
{
    struct access_fact f = {.kind = ACCESS_FACT_USER, .tags = ACCESS_MONITORING};

    snprintf(f.user, sizeof(f.user), "%s", name);
    if (slow)
        assert_int_equal(password_make(password, strlen(password), &f.password), 0);
    else
        password_make_quick(password, strlen(password), 5, &f.password);
    set(f);
}

static struct access_fact permission(char *configure, char *write, char *read)
{
    return (struct access_fact){.kind = ACCESS_FACT_PERMISSION,
                                .user = "u",
                                .vhost = "/",
                                .pattern = {configure, write, read}};
}

static void signal_one(void *name)
{
    proc_signal(proc_whereis(name), EXIT_SHUTDOWN, 0, "stop");
}

static void stop_access(void)
{
    if (t.asker)
        rt_signal(t.asker, EXIT_SHUTDOWN, "stop");
    tw_do(signal_one, "access");
    tw_do(signal_one, "access_hash");
    tw_stop();
}

static void start_access(void)
{
    memset(&t, 0, sizeof(t));
    config_reset();
    tw_start(7);
    to_start = &access_hash_ops;
    tw_do(start_one, NULL);
    to_start = &access_ops;
    tw_do(start_one, NULL);
}

static void look(void *arg)
{
    (void)arg;
    t.allowed[0] = access_check("u", "/", ACCESS_QUEUE, "cq", 2, ACCESS_CONFIGURE);
    t.allowed[1] = access_check("u", "/", ACCESS_QUEUE, "cq", 2, ACCESS_WRITE);
    t.allowed[2] = access_check("u", "/", ACCESS_EXCHANGE, "", 0, ACCESS_WRITE);
    t.allowed[3] = access_check("u", "v", ACCESS_QUEUE, "cq", 2, ACCESS_CONFIGURE);
    t.allowed[4] = access_may_open("u", "/");
    t.allowed[5] = access_cache_check(&t.cache, "u", "/", ACCESS_QUEUE, "cq", 2, ACCESS_CONFIGURE);
    t.allowed[6] = access_check_topic("u", "/", "t", 1, ACCESS_WRITE, "u.x", 3);
    t.allowed[7] = access_check_topic("u", "/", "t", 1, ACCESS_WRITE, "uxx", 3);
}

static unsigned looked(void)
{
    unsigned bits = 0;

    tw_do(look, NULL);
    for (unsigned i = 0; i < 8; i++)
        bits |= t.allowed[i] ? 1U << i : 0;
    return bits;
}

static void test_checks(void **state)
{
    char c[] = "^c", none[] = "^$", def[] = "amq.default", topic[] = "^{username}\\.", bad[] = "(";
    struct access_fact f;
    uint64_t version;

    (void)state;
    start_access();
    assert_int_equal(looked(), 0xc0); /* topics that nothing was said of are free */
    set(permission(c, def, none));
    assert_int_equal(looked(), 0xf5);
    assert_int_equal(looked(), 0xf5); /* out of the cache */
    version = access_version();
    set(permission(none, def, none));
    assert_true(access_version() > version);
    assert_int_equal(looked(), 0xd4);
    set(permission(bad, c, c)); /* changes nothing */
    assert_int_equal(looked(), 0xd4);
    f = permission(NULL, topic, NULL);
    f.kind = ACCESS_FACT_TOPIC_PERMISSION;
    strcpy(f.exchange, "t");
    set(f);
    assert_int_equal(looked(), 0x54);
    f.remove = true;
    set(f);
    assert_int_equal(looked(), 0xd4);
    /* What was not set since the last BEGIN goes, also if it came behind the last sweep. */
    tw_do(send_sweep, NULL);
    assert_int_equal(looked(), 0xd4);
    tw_do(send_begin, NULL);
    assert_int_equal(looked(), 0xd4);
    tw_do(send_sweep, NULL);
    assert_int_equal(looked(), 0xc0);
    stop_access();
}

static void log_in(void *arg)
{
    const struct access_login l = {.user = t.user,
                                   .user_len = strlen(t.user),
                                   .password = t.password,
                                   .password_len = strlen(t.password),
                                   .origin = t.origin,
                                   .is_loopback = !t.remote};

    (void)arg;
    t.answer[t.n] = -1;
    t.ref[t.n++] = access_ask_login(&l);
}

/* Who asks to log in, because what the root gets is not looked into. */
static void asker_init(void *state, const void *arg)
{
    (void)state, (void)arg;
    t.asker = proc_self();
}

static void asker_handle(void *state, struct msg *m)
{
    (void)state;
    if (m->type == TW_RUN)
        MSG_OF(struct tw_run, m)->fn(MSG_OF(struct tw_run, m)->arg);
    for (int i = 0; m->type == ACCESS_LOGGED && i < t.n; i++)
        if (t.ref[i] == m->ref)
            t.answer[i] = MSG_OF(struct msg_access_logged, m)->is_right;
}

static const struct proc_ops asker_ops = {
    .kind = "asker",
    .state_size = 1,
    .init = asker_init,
    .handle = asker_handle,
};

static int logged(int n)
{
    return t.answer[n];
}

static int ask(const char *user, const char *password)
{
    struct tw_run *m = MSG_NEW(TW_RUN, struct tw_run);

    t.user = user;
    t.password = password;
    m->fn = log_in;
    rt_send(t.asker, &m->hdr);
    tw_run_us(0);
    return t.n - 1;
}

static void start_untold(void)
{
    start_access();
    to_start = &asker_ops;
    tw_do(start_one, NULL);
}

static void start_with_asker(void)
{
    start_untold();
    tw_do(send_sweep, NULL);
}

/* Who comes before it is known who there is waits for that, and is not refused. */
static void test_login_at_start(void **state)
{
    enum { MANY = 300 }; /* more than may wait later on */
    int right[MANY], wrong;

    (void)state;
    start_untold();
    for (int i = 0; i < MANY; i++) {
        t.origin = 1 + (unsigned)i % 2;
        right[i] = ask("u", "geheim");
    }
    wrong = ask("u", "falsch");
    put_user("u", "geheim", false);
    tw_run_us(1000000);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(logged(right[i]), -1);
    tw_do(send_sweep, NULL);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(logged(right[i]), 1);
    tw_run_us(250000);
    assert_int_equal(logged(wrong), 0);
    stop_access();
}

/* Where nobody ever tells, they hear of it. */
static void test_login_never_told(void **state)
{
    int n;

    (void)state;
    start_untold();
    t.origin = 1;
    n = ask("u", "geheim");
    tw_run_us(7000000);
    assert_int_equal(logged(n), -1);
    tw_run_us(2000000);
    assert_int_equal(logged(n), 0);
    stop_access();
}

static void test_login(void **state)
{
    int n;

    (void)state;
    start_with_asker();
    t.origin = 1;
    put_user("u", "right", false);
    put_user("slow", "very right", true);
    put_user("guest", "guest", false);
    assert_int_equal(logged(ask("u", "right")), 1);
    assert_int_equal(logged(ask("slow", "very right")), 1);
    assert_int_equal(logged(ask("guest", "guest")), 1);
    t.remote = true;
    n = ask("guest", "guest");
    assert_int_equal(logged(n), -1);
    tw_run_us(300000);
    assert_int_equal(logged(n), 0);
    t.remote = false;
    /* All refusals come at the same time, whatever was wrong. */
    n = ask("u", "wrong");
    (void)ask("slow", "wrong");
    (void)ask("nobody", "wrong");
    (void)ask("u", "");
    for (int i = 0; i < 4; i++)
        assert_int_equal(logged(n + i), -1);
    tw_run_us(249000);
    for (int i = 0; i < 4; i++)
        assert_int_equal(logged(n + i), -1);
    tw_run_us(2000);
    for (int i = 0; i < 4; i++)
        assert_int_equal(logged(n + i), 0);
    /* A changed password is not known any more. */
    put_user("u", "new", false);
    n = ask("u", "right");
    tw_run_us(300000);
    assert_int_equal(logged(n), 0);
    assert_int_equal(logged(ask("u", "new")), 1);
    stop_access();
}

/* Who guesses holds up his own address; who was right before does not wait even there. */
static void test_login_pace(void **state)
{
    int known, other, late;

    (void)state;
    start_with_asker();
    put_user("u", "right", false);
    put_user("v", "right", false);
    t.origin = 1;
    assert_int_equal(logged(ask("u", "right")), 1);
    for (int i = 0; i < 16; i++)
        (void)ask("u", "wrong");
    late = ask("v", "right");
    known = ask("u", "right");
    t.origin = 2;
    other = ask("v", "right");
    assert_int_equal(logged(known), 1);
    assert_int_equal(logged(other), 1);
    assert_int_equal(logged(late), -1);
    tw_run_us(260000); /* the first eight are refused, the next eight have begun */
    assert_int_equal(logged(1), 0);
    assert_int_equal(logged(8), 0);
    assert_int_equal(logged(9), -1);
    assert_int_equal(logged(late), -1);
    tw_run_us(260000);
    assert_int_equal(logged(16), 0);
    assert_int_equal(logged(late), 1);
    stop_access();
}

static void test_origin(void **state)
{
    struct sockaddr_storage a = {.ss_family = AF_INET}, b = {.ss_family = AF_INET6};
    struct sockaddr_in *four = (void *)&a;
    struct sockaddr_in6 *six = (void *)&b;
    uint64_t one;

    (void)state;
    four->sin_addr.s_addr = htonl(0x0a000001);
    one = access_origin(&a);
    six->sin6_addr.s6_addr[10] = six->sin6_addr.s6_addr[11] = 0xff;
    memcpy(six->sin6_addr.s6_addr + 12, &four->sin_addr, 4);
    assert_true(access_origin(&b) == one); /* the same address, mapped */
    memset(&six->sin6_addr, 0, sizeof(six->sin6_addr));
    assert_true(access_origin(&b) != 0);
    six->sin6_addr.s6_addr[0] = 0x20;
    one = access_origin(&b);
    six->sin6_addr.s6_addr[15] = 9;
    assert_true(access_origin(&b) == one); /* a neighbour in the same net */
    six->sin6_addr.s6_addr[7] = 9;
    assert_true(access_origin(&b) != one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_password),
        cmocka_unit_test(test_slow_password),
        cmocka_unit_test(test_pattern),
        cmocka_unit_test(test_checks),
        cmocka_unit_test(test_login),
        cmocka_unit_test(test_login_pace),
        cmocka_unit_test(test_origin),
        cmocka_unit_test(test_login_at_start),
        cmocka_unit_test(test_login_never_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
