/*
 * Headers exchanges: known cases, and random bindings and messages against a naive matcher.
 */
#include "queues/headers.h"

#include "tests/unit/route_kit.h"

enum { N_QUEUES = 40, N_NAMES = 5 };

struct entry {
    const char *name;
    struct ftable_value value;
};

struct args { /* a table, as what it is and as bytes */
    struct entry entry[64];
    unsigned n;
    uint8_t buf[2048];
    struct amqp_bytes bytes;
};

static struct ftable_value text(const char *s)
{
    return (struct ftable_value){.type = 'S', .bytes = amqp_str(s)};
}

static struct ftable_value whole(char type, int64_t i)
{
    return (struct ftable_value){.type = type, .i = i};
}

static void add(struct args *a, const char *name, struct ftable_value v)
{
    a->entry[a->n].name = name;
    a->entry[a->n++].value = v;
}

static void build(struct args *a)
{
    struct ftable_builder b;

    ftable_build(&b, a->buf, sizeof(a->buf));
    for (unsigned i = 0; i < a->n; i++)
        ftable_put(&b, a->entry[i].name, &a->entry[i].value);
    CHECK(b.error == 0 && b.len <= sizeof(a->buf));
    a->bytes = amqp_bytes(a->buf, b.len);
}

/* The naive matcher. */
static const struct entry *find(const struct args *a, const char *name)
{
    for (unsigned i = 0; i < a->n; i++) {
        if (!strcmp(a->entry[i].name, name))
            return &a->entry[i];
    }
    return NULL;
}

static bool is_met(const struct entry *want, const struct args *message)
{
    const struct entry *got = find(message, want->name);

    return got && (want->value.type == 'V' || ftable_value_equal(&want->value, &got->value));
}

static bool matches(const struct args *binding, const struct args *message)
{
    const struct entry *e = find(binding, "x-match");
    struct amqp_bytes mode = e ? e->value.bytes : amqp_str("all");
    bool is_any = amqp_bytes_is(mode, "any") || amqp_bytes_is(mode, "any-with-x");
    bool with_x = mode.len > 3;

    for (unsigned i = 0; i < binding->n; i++) {
        const struct entry *want = &binding->entry[i];

        if (with_x ? !strcmp(want->name, "x-match") : !strncmp(want->name, "x-", 2))
            continue;
        if (is_met(want, message) == is_any)
            return is_any;
    }
    return !is_any;
}

static struct ftable_value some_value(void)
{
    uint64_t r = tw_random();

    switch (r % 9) {
    case 0:
        return whole('l', (int64_t)(r >> 8) % 3);
    case 1:
        return whole('b', (int64_t)(r >> 8) % 3);
    case 2:
        return text((r >> 8) % 2 ? "one" : "two");
    case 3:
        return (struct ftable_value){.type = 'D', .scale = 1, .i = (int64_t)(r >> 8) % 3 * 10};
    case 4:
        return (struct ftable_value){.type = (r >> 8) % 2 ? 'd' : 'f', .d = 1};
    case 5:
        return (struct ftable_value){.type = 't', .b = (r >> 8) % 2};
    case 6:
        return (struct ftable_value){.type = 'V'};
    case 7:
        return (struct ftable_value){.type = 'A', .bytes = amqp_bytes("t\1t\0", (r >> 8) % 2 * 4)};
    default:
        return (struct ftable_value){.type = 'T', .seconds = (r >> 8) % 2};
    }
}

static void some_table(struct args *a, bool is_binding)
{
    static const char *const names[] = {"a", "b", "c", "x-d", "x"};
    static const char *const modes[] = {"all", "any", "all-with-x", "any-with-x"};
    unsigned n = (unsigned)(tw_random() % (is_binding ? 4 : N_NAMES + 1));

    a->n = 0;
    if (is_binding && tw_random() % 5)
        add(a, "x-match", text(modes[tw_random() % 4]));
    for (unsigned i = 0; i < n; i++) {
        const char *name = names[tw_random() % N_NAMES];

        if (!find(a, name))
            add(a, name, some_value());
    }
    build(a);
}

static void random_tables(void *arg)
{
    static struct args binding[N_QUEUES];
    struct cell *x = kit_exchange(EXCHANGE_HEADERS, "x", NULL);
    bool bound[N_QUEUES] = {0};

    (void)arg;
    for (int i = 0; i < N_QUEUES; i++) {
        char name[16];

        snprintf(name, sizeof(name), "q%d", i);
        (void)kit_queue(name);
        some_table(&binding[i], true);
    }
    for (int i = 0; i < 5000; i++) {
        unsigned at = (unsigned)(tw_random() % N_QUEUES);
        bool want[KIT_CELLS] = {0};
        struct args message;

        CHECK(kit_change(x, kit.cell[at + 1], amqp_str("k"), binding[at].bytes, bound[at]));
        bound[at] = !bound[at];
        if (!bound[at])
            some_table(&binding[at], true);
        some_table(&message, false);
        for (unsigned k = 0; k < N_QUEUES; k++)
            want[k + 1] = bound[k] && matches(&binding[k], &message);
        CHECK(kit_goes_to(&(struct route_query){.exchange = x, .headers = message.bytes}, want));
    }
    for (unsigned k = 0; k < N_QUEUES; k++)
        CHECK(kit_change(x, kit.cell[k + 1], amqp_str("k"), binding[k].bytes, true) == bound[k]);
    CHECK(table_count(x->routes) == 0);
}

static void test_random_tables(void **state)
{
    (void)state;
    kit_run(random_tables, NULL);
}

static bool reaches(const struct cell *x, const struct args *binding, const struct args *message)
{
    struct cell *q = kit.cell[1];
    bool want[KIT_CELLS] = {false, true}, is_there;

    CHECK(kit_change(x, q, amqp_str(""), binding->bytes, false));
    is_there = kit_goes_to(&(struct route_query){.exchange = x, .headers = message->bytes}, want);
    CHECK(kit_change(x, q, amqp_str(""), binding->bytes, true));
    CHECK(is_there == matches(binding, message));
    return is_there;
}

static void known_cases(void *arg)
{
    struct cell *x = kit_exchange(EXCHANGE_HEADERS, "x", NULL);
    struct args none = {.n = 0}, one = {.n = 0}, any_none = {.n = 0}, any_x = {.n = 0};
    struct args short_1 = {.n = 0}, text_1 = {.n = 0}, presence = {.n = 0};

    (void)arg;
    (void)kit_queue("q");
    build(&none);
    add(&one, "a", whole('l', 1));
    add(&one, "x-b", whole('l', 1));
    build(&one);
    add(&any_none, "x-match", text("any"));
    build(&any_none);
    add(&any_x, "x-match", text("any-with-x"));
    add(&any_x, "x-b", whole('s', 1));
    build(&any_x);
    add(&short_1, "a", whole('s', 1));
    build(&short_1);
    add(&text_1, "a", text("1"));
    build(&text_1);
    add(&presence, "a", (struct ftable_value){.type = 'V'});
    build(&presence);
    CHECK(reaches(x, &none, &none) && reaches(x, &none, &one));
    CHECK(!reaches(x, &any_none, &none) && !reaches(x, &any_none, &one));
    CHECK(reaches(x, &any_x, &one) && !reaches(x, &any_x, &short_1));
    CHECK(reaches(x, &one, &short_1)); /* x-b does not count */
    CHECK(!reaches(x, &text_1, &one) && !reaches(x, &one, &text_1));
    CHECK(reaches(x, &presence, &text_1) && !reaches(x, &presence, &none));
}

static void test_known_cases(void **state)
{
    (void)state;
    kit_run(known_cases, NULL);
}

static void test_modes(void **state)
{
    struct args a = {.n = 0};
    enum headers_mode mode;

    (void)state;
    build(&a);
    assert_int_equal(headers_mode_of(a.bytes, &mode), 1);
    assert_int_equal(mode, HEADERS_ALL);
    add(&a, "x-match", text("any-with-x"));
    build(&a);
    assert_int_equal(headers_mode_of(a.bytes, &mode), 1);
    assert_int_equal(mode, HEADERS_ANY_WITH_X);
    a.entry[0].value = text("some");
    build(&a);
    assert_int_equal(headers_mode_of(a.bytes, &mode), 0);
    a.entry[0].value = whole('l', 1);
    build(&a);
    assert_int_equal(headers_mode_of(a.bytes, &mode), 0);
}

/* More headers and more arguments than are searched one by one; of repeated names the first. */
static void large(void *arg)
{
    static char names[40][16];
    struct cell *x = kit_exchange(EXCHANGE_HEADERS, "x", NULL);
    static struct args message, all, any, second;

    (void)arg;
    (void)kit_queue("q");
    add(&any, "x-match", text("any"));
    for (int i = 0; i < 40; i++) {
        snprintf(names[i], sizeof(names[i]), "h%d", i);
        add(&message, names[i], whole('l', i));
        add(&all, names[39 - i], whole('I', 39 - i));
        add(&any, names[i], whole('l', i == 39 ? i : -1));
    }
    add(&message, "h7", whole('l', 99));
    add(&second, "h7", whole('l', 99));
    build(&message);
    build(&all);
    build(&any);
    build(&second);
    CHECK(reaches(x, &all, &message) && reaches(x, &any, &message));
    CHECK(!reaches(x, &second, &message));
    CHECK(!reaches(x, &message, &all)); /* 99 is not there */
}

static void test_large(void **state)
{
    (void)state;
    kit_run(large, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_cases),
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_random_tables),
        cmocka_unit_test(test_large),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
