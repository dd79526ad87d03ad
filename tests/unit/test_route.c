/*
 * Routing as a whole: random exchanges of all types bound to each other and to queues, in rings and
 * with alternates, against a naive model; and sets that are large.
 */
#include "queues/route.h"

#include "tests/unit/route_kit.h"

#include "amqp/codec/props.h"
#include "amqp/codec/record.h"
#include "queues/strip.h"

enum { N_EXCHANGES = 8, N_QUEUES = 8, N_KEYS = 4, N_BOUND = 40, N_CELLS = N_EXCHANGES + N_QUEUES };

static const char *const keys[N_KEYS] = {"a", "b", "a.b", ""};
static const char *const patterns[N_KEYS] = {"a", "#", "*.b", "a.#"};

struct bound {
    unsigned from, to, key; /* places among the cells: exchanges first */
};

static struct model {
    struct bound bound[N_BOUND];
    unsigned n;
    int alternate[N_EXCHANGES]; /* -1: none, N_EXCHANGES: the default one, N_EXCHANGES + 1: no such
                                 */
    bool seen[N_EXCHANGES + 1], want[KIT_CELLS];
} model;

static bool pattern_matches(unsigned pattern, unsigned key)
{
    static const bool table[N_KEYS][N_KEYS] = {
        /* [pattern][key] */
        {true, false, false, false},
        {true, true, true, true},
        {false, false, true, false},
        {true, false, true, false},
    };

    return table[pattern][key];
}

static bool takes(const struct bound *b, const bool *has_key)
{
    enum exchange_type type = kit.cell[b->from]->type;

    for (unsigned k = 0; k < N_KEYS; k++) {
        if (has_key[k] && type == EXCHANGE_TOPIC && pattern_matches(b->key, k))
            return true;
        if (has_key[k] && type == EXCHANGE_DIRECT && b->key == k)
            return true;
    }
    return type == EXCHANGE_FANOUT || type == EXCHANGE_HEADERS; /* without arguments: everything */
}

static void follow(unsigned x, const bool *has_key)
{
    bool has_hit = false;
    int alternate;

    if (model.seen[x])
        return;
    model.seen[x] = true;
    if (x == N_EXCHANGES) /* the default exchange: queues have the first keys' names */
        for (unsigned k = 0; k < N_KEYS - 1; k++)
            model.want[N_EXCHANGES + k] |= has_key[k];
    if (x == N_EXCHANGES)
        return;
    for (unsigned i = 0; i < model.n; i++) {
        const struct bound *b = &model.bound[i];

        if (b->from != x || !takes(b, has_key))
            continue;
        has_hit = true;
        if (b->to < N_EXCHANGES)
            follow(b->to, has_key);
        else
            model.want[b->to] = true;
    }
    alternate = model.alternate[x];
    if (!has_hit && alternate >= 0 && alternate <= N_EXCHANGES)
        follow((unsigned)alternate, has_key);
}

static void exchange_name(char out[16], int x)
{
    snprintf(out, 16, "x%d", x);
    if (x == N_EXCHANGES)
        out[0] = 0;
}

static void make_cells(void)
{
    char name[16], other[16];

    for (int i = 0; i < N_EXCHANGES; i++) {
        struct ftable_builder b;
        struct blob *args;
        uint8_t buf[64];

        exchange_name(name, i);
        model.alternate[i] = (int)(tw_random() % (N_EXCHANGES + 6)) - 4;
        if (model.alternate[i] < 0)
            model.alternate[i] = -1;
        exchange_name(other, model.alternate[i]);
        ftable_build(&b, buf, sizeof(buf));
        ftable_put_string(&b, "alternate-exchange", other);
        args = model.alternate[i] < 0 ? NULL : blob_copy(buf, b.len);
        (void)kit_exchange((enum exchange_type)(i % 4), name, args);
        blob_unref(args);
    }
    for (int i = 0; i < N_QUEUES; i++) {
        snprintf(name, sizeof(name), "q%d", i);
        (void)kit_queue(i < N_KEYS - 1 ? keys[i] : name);
    }
}

static void change(void)
{
    struct bound b = {.from = (unsigned)(tw_random() % N_EXCHANGES),
                      .to = (unsigned)(tw_random() % N_CELLS),
                      .key = (unsigned)(tw_random() % N_KEYS)};
    struct cell *x = kit.cell[b.from];
    const char *key = x->type == EXCHANGE_TOPIC ? patterns[b.key] : keys[b.key];

    for (unsigned i = 0; i < model.n; i++) {
        if (memcmp(&model.bound[i], &b, sizeof(b)))
            continue;
        CHECK(!kit_bind(x, kit.cell[b.to], key));
        CHECK(kit_unbind(x, kit.cell[b.to], key));
        model.bound[i] = model.bound[--model.n];
        return;
    }
    if (model.n == N_BOUND) {
        b = model.bound[tw_random() % N_BOUND];
        key = kit.cell[b.from]->type == EXCHANGE_TOPIC ? patterns[b.key] : keys[b.key];
        CHECK(kit_unbind(kit.cell[b.from], kit.cell[b.to], key));
        for (unsigned i = 0; i < model.n; i++) {
            if (!memcmp(&model.bound[i], &b, sizeof(b)))
                model.bound[i] = model.bound[--model.n];
        }
        return;
    }
    CHECK(kit_bind(x, kit.cell[b.to], key));
    model.bound[model.n++] = b;
}

/* One message with a key, perhaps with more in CC and BCC. */
static void look(void)
{
    unsigned x = (unsigned)(tw_random() % (N_EXCHANGES + 1)),
             key = (unsigned)(tw_random() % N_KEYS);
    struct route_query q = {.exchange = x == N_EXCHANGES ? NULL : kit.cell[x],
                            .key = amqp_str(keys[key])};
    bool has_key[N_KEYS] = {0}, has_bcc;
    static const char *const names[] = {"CC", "BCC"};
    struct ftable_builder b;
    uint8_t buf[128];

    ftable_build(&b, buf, sizeof(buf));
    has_key[key] = true;
    for (int i = 0; i < 2; i++) {
        unsigned more = (unsigned)(tw_random() % (2 * N_KEYS));

        if (more >= N_KEYS)
            continue;
        has_key[more] = true;
        ftable_open_array(&b, names[i]);
        ftable_put_int(&b, NULL, 7); /* no key */
        ftable_put_string(&b, NULL, keys[more]);
        ftable_end(&b);
    }
    CHECK(!route_more_keys(amqp_bytes(buf, b.len), q.more_keys, &has_bcc));
    CHECK(has_bcc == (q.more_keys[1].len > 0));
    memset(model.seen, 0, sizeof(model.seen));
    memset(model.want, 0, sizeof(model.want));
    follow(x, has_key);
    CHECK(kit_goes_to(&q, model.want));
}

static void random_graph(void *arg)
{
    (void)arg;
    memset(&model, 0, sizeof(model));
    make_cells();
    for (int i = 0; i < 12000; i++) {
        change();
        for (int k = 0; k < 4; k++)
            look();
    }
    while (model.n > 0) {
        const struct bound *b = &model.bound[--model.n];
        bool is_topic = kit.cell[b->from]->type == EXCHANGE_TOPIC;

        CHECK(kit_unbind(kit.cell[b->from], kit.cell[b->to],
                         is_topic ? patterns[b->key] : keys[b->key]));
    }
    for (int i = 0; i < N_EXCHANGES; i++)
        CHECK(table_count(kit.cell[i]->routes) == 0);
}

static void test_random_graph(void **state)
{
    (void)state;
    kit_run(random_graph, NULL);
}

/* An alternate exchange that comes later gets what found nothing before, with nothing bound. */
static void late_alternate(void *arg)
{
    struct ftable_builder b;
    struct blob *args;
    struct cell *x, *late;
    uint8_t buf[64];

    (void)arg;
    ftable_build(&b, buf, sizeof(buf));
    ftable_put_string(&b, "alternate-exchange", "late");
    args = blob_copy(buf, b.len);
    x = kit_exchange(EXCHANGE_TOPIC, "x", args);
    blob_unref(args);
    CHECK(kit_count(x, "a") == 0);
    CHECK(kit_count(x, "a") == 0);
    late = kit_exchange(EXCHANGE_FANOUT, "late", NULL);
    CHECK(kit_bind(late, kit_queue("q"), ""));
    CHECK(kit_count(x, "a") == 1);
    CHECK(kit_unbind(late, kit.cell[2], ""));
    CHECK(kit_count(x, "a") == 0);
}

static void test_late_alternate(void **state)
{
    (void)state;
    kit_run(late_alternate, NULL);
}

/*
 * Large sets: many queues under one key, each by several bindings, put and taken in random order.
 */
enum { MANY = 400, EACH = 5 };

static void count_binding(void *ctx, const struct binding *b)
{
    (void)b;
    ++*(unsigned *)ctx;
}

static void check_order(const struct cell *x, unsigned n)
{
    const struct route_set *set = table_get(x->routes, "", 0);
    uint64_t before = 0;
    unsigned counted = 0, walked = 0;

    CHECK((set != NULL) == (n > 0));
    for (uint32_t c = 0; set && c < set->n_chunks; c++) {
        CHECK(set->chunk[c]->n > 0 && set->chunk[c]->n <= ROUTE_CHUNK_MAX);
        for (uint32_t i = 0; i < set->chunk[c]->n; i++) {
            CHECK(set->chunk[c]->binding[i].dest->id >= before);
            before = set->chunk[c]->binding[i].dest->id;
            counted++;
        }
    }
    CHECK(counted == n && (!set || set->n == n));
    routes_each(x, count_binding, &walked);
    CHECK(walked == n);
}

static void large_set(void *arg)
{
    static bool bound[MANY][EACH];
    struct cell *x = kit_exchange(EXCHANGE_FANOUT, "x", NULL);
    bool want[KIT_CELLS] = {0};
    unsigned n = 0;
    char text[16];

    (void)arg;
    memset(bound, 0, sizeof(bound));
    for (int i = 0; i < MANY; i++) {
        snprintf(text, sizeof(text), "q%d", i);
        (void)kit_queue(text);
    }
    for (int i = 0; i < 20000; i++) {
        unsigned q = (unsigned)(tw_random() % MANY), k = (unsigned)(tw_random() % EACH);
        bool is_emptying = i > 16000 && tw_random() % 8;

        if (is_emptying && !bound[q][k])
            continue;
        snprintf(text, sizeof(text), "%u", k);
        CHECK(kit_change(x, kit.cell[q + 1], amqp_str(text), amqp_bytes(NULL, 0), bound[q][k]));
        bound[q][k] = !bound[q][k];
        n = bound[q][k] ? n + 1 : n - 1;
        if (i % 100)
            continue;
        check_order(x, n);
        for (q = 0; q < MANY; q++) {
            want[q + 1] = false;
            for (k = 0; k < EACH; k++)
                want[q + 1] |= bound[q][k];
        }
        CHECK(kit_goes_to(&(struct route_query){.exchange = x}, want));
    }
    routes_clear(x);
    check_order(x, 0);
}

static void test_large_set(void **state)
{
    (void)state;
    kit_run(large_set, NULL);
}

/*
 * CC and BCC
 */
static void test_more_keys(void **state)
{
    struct ftable_builder b;
    struct amqp_bytes more[2];
    uint8_t buf[64];
    bool has_bcc;

    (void)state;
    assert_null(route_more_keys(amqp_bytes(NULL, 0), more, &has_bcc));
    assert_false(has_bcc);
    ftable_build(&b, buf, sizeof(buf));
    ftable_put_string(&b, "BCC", "a");
    assert_string_equal(route_more_keys(amqp_bytes(buf, b.len), more, &has_bcc), "BCC");
    ftable_build(&b, buf, sizeof(buf));
    ftable_put_int(&b, "CC", 1);
    assert_string_equal(route_more_keys(amqp_bytes(buf, b.len), more, &has_bcc), "CC");
    ftable_build(&b, buf, sizeof(buf));
    ftable_open_array(&b, "BCC");
    ftable_end(&b);
    assert_null(route_more_keys(amqp_bytes(buf, b.len), more, &has_bcc));
    assert_true(has_bcc);
}

static void test_strip(void **state)
{
    uint8_t table[128], props[192], *body;
    struct amqp_props p = {.flags = prop_flag(PROP_HEADERS) | prop_flag(PROP_CONTENT_TYPE) |
                                    prop_flag(PROP_TIMESTAMP),
                           .content_type = amqp_str("text/plain"),
                           .timestamp = 12};
    struct record_parts parts = {.exchange = amqp_str("x"), .key = amqp_str("k")};
    struct ftable_builder b;
    struct record *r, *stripped;
    struct ftable_value v;
    struct amqp_props got;
    ssize_t n;

    (void)state;
    ftable_build(&b, table, sizeof(table));
    ftable_put_string(&b, "a", "1");
    ftable_open_array(&b, "BCC");
    ftable_put_string(&b, NULL, "secret");
    ftable_end(&b);
    ftable_put_int(&b, "z", 2);
    p.headers = amqp_bytes(table, b.len);
    n = props_encode(&p, props, sizeof(props));
    assert_true(n > 0);
    parts.props = amqp_bytes(props, (size_t)n);
    r = record_new(&parts, 5, &body);
    memcpy(body, "hello", 5);
    stripped = record_strip(r, "BCC");
    assert_non_null(stripped);
    assert_int_equal(props_decode(record_props(stripped), &got), 0);
    assert_int_equal(got.flags, p.flags);
    assert_int_equal(got.timestamp, 12);
    assert_true(amqp_bytes_equal(got.content_type, p.content_type));
    assert_int_equal(ftable_lookup(got.headers, "BCC", &v), 0);
    assert_int_equal(ftable_lookup(got.headers, "a", &v), 1);
    assert_int_equal(ftable_lookup(got.headers, "z", &v), 1);
    assert_int_equal(v.i, 2);
    assert_true(amqp_bytes_equal(record_key(stripped), record_key(r)));
    assert_true(amqp_bytes_equal(record_body(stripped), record_body(r)));
    record_unref(stripped);
    record_unref(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_graph), cmocka_unit_test(test_late_alternate),
        cmocka_unit_test(test_large_set),    cmocka_unit_test(test_more_keys),
        cmocka_unit_test(test_strip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
