/*
 * Topic exchanges: known cases, random patterns against a naive matcher, and patterns made to be
 * slow, whose cost is counted in steps.
 */
#include "queues/topic.h"

#include "tests/unit/route_kit.h"

/* The naive matcher: tries everything. */
static bool matches(const char *pattern, const char *key)
{
    size_t np = strcspn(pattern, "."), nk = key ? strcspn(key, ".") : 0;
    const char *rest = pattern[np] ? pattern + np + 1 : NULL;
    const char *next = key && key[nk] ? key + nk + 1 : NULL;

    if (np == 1 && *pattern == '#') {
        if (rest ? matches(rest, key) : !key)
            return true;
        return key && matches(pattern, next);
    }
    if (!key || (!(np == 1 && *pattern == '*') && (np != nk || memcmp(pattern, key, np))))
        return false;
    return rest ? matches(rest, next) : !next;
}

/* A key without any words is NULL to the matcher; a pattern without any matches only that. */
static bool topic_matches(const char *pattern, const char *key)
{
    if (!*pattern)
        return !*key;
    return matches(pattern, *key ? key : NULL);
}

static void known_cases(void *arg)
{
    static const struct {
        const char *pattern, *key;
        bool want;
    } cases[] = {
        {"a.b", "a.b", true},
        {"a.b", "a.B", false},
        {"a.b", "a.b.c", false},
        {"a.*", "a.b", true},
        {"a.*", "a.", true},
        {"a.*", "a", false},
        {"a.*", "a.b.c", false},
        {"*", "", false},
        {"#", "", true},
        {"", "", true},
        {"", "a", false},
        {"#", "a.b.c", true},
        {"a.#", "a", true},
        {"a.#", "a.", true},
        {"a.#", "b", false},
        {"a.#.b", "a.b", true},
        {"a.#.b", "a.x.y.b", true},
        {"a.#.b", "a.x.y", false},
        {"#.b", "b", true},
        {"#.b", "a.b", true},
        {"#.*", "", false},
        {"#.*", "a", true},
        {"*.#.*", "a", false},
        {"*.#.*", "a.b", true},
        {"#.#", "", true},
        {"#.a.#", "x.a.y", true},
        {"#.a.#.a.#", "a", false},
        {"#.a.#.a.#", "a.a", true},
        {"*.*", ".", true},
        {"a*.b", "a*.b", true},
        {"a*.b", "ab.b", false},
        {"a.b", "a.*", false},
        {"*.b", "#.b", true},
        {"..", "..", true},
        {"..", ".", false},
        {".#", ".a", true},
    };
    struct cell *x = kit_exchange(EXCHANGE_TOPIC, "x", NULL), *q = kit_queue("q");

    (void)arg;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CHECK(topic_matches(cases[i].pattern, cases[i].key) == cases[i].want);
        CHECK(kit_bind(x, q, cases[i].pattern));
        CHECK(!kit_bind(x, q, cases[i].pattern));
        CHECK(kit_count(x, cases[i].key) == cases[i].want);
        CHECK(kit_unbind(x, q, cases[i].pattern));
        CHECK(!kit_unbind(x, q, cases[i].pattern));
        CHECK(table_count(x->routes) == 0);
    }
}

static void test_known_cases(void **state)
{
    (void)state;
    kit_run(known_cases, NULL);
}

/*
 * Random bindings of few queues by patterns of few words, and random keys.
 */
enum { N_QUEUES = 12, N_PATTERNS = 60 };

static void make_words(char out[64], const char *const *words, unsigned n_words)
{
    unsigned n = (unsigned)(tw_random() % 7);

    out[0] = 0;
    for (unsigned i = 0; i < n; i++) {
        if (i > 0)
            strcat(out, ".");
        strcat(out, words[tw_random() % n_words]);
    }
}

static void random_round(struct cell *x, struct cell *const *q)
{
    static const char *const words[] = {"a", "b", "", "*", "#", "#", "*"};
    static char pattern[N_PATTERNS][64];
    static bool bound[N_PATTERNS][N_QUEUES];

    memset(bound, 0, sizeof(bound));
    for (int i = 0; i < N_PATTERNS; i++)
        make_words(pattern[i], words, 7);
    for (int i = 0; i < N_PATTERNS; i++) { /* the same pattern twice would be two in the model */
        for (int k = 0; k < i; k++) {
            if (!strcmp(pattern[i], pattern[k]))
                snprintf(pattern[i], sizeof(pattern[i]), "only.%d", i);
        }
    }
    for (int i = 0; i < 600; i++) {
        unsigned p = (unsigned)(tw_random() % N_PATTERNS), to = (unsigned)(tw_random() % N_QUEUES);
        bool want[KIT_CELLS] = {0};
        char key[64];

        CHECK(kit_change(x, q[to], amqp_str(pattern[p]), amqp_bytes(NULL, 0), bound[p][to]));
        bound[p][to] = !bound[p][to];
        make_words(key, words, 5); /* a key may hold what would be a wildcard in a pattern */
        for (p = 0; p < N_PATTERNS; p++) {
            for (to = 0; to < N_QUEUES; to++)
                want[q[to]->id - 1] |= bound[p][to] && topic_matches(pattern[p], key);
        }
        CHECK(kit_goes_to(&(struct route_query){.exchange = x, .key = amqp_str(key)}, want));
    }
    for (int p = 0; p < N_PATTERNS; p++) {
        for (int to = 0; to < N_QUEUES; to++)
            CHECK(kit_unbind(x, q[to], pattern[p]) == bound[p][to]);
    }
    CHECK(table_count(x->routes) == 0);
}

static void random_patterns(void *arg)
{
    struct cell *x = kit_exchange(EXCHANGE_TOPIC, "x", NULL), *q[N_QUEUES];
    char name[16];

    (void)arg;
    for (int i = 0; i < N_QUEUES; i++) {
        snprintf(name, sizeof(name), "q%d", i);
        q[i] = kit_queue(name);
    }
    for (int i = 0; i < 20; i++)
        random_round(x, q);
}

static void test_random_patterns(void **state)
{
    (void)state;
    kit_run(random_patterns, NULL);
}

/*
 * Patterns made to be slow. A matcher that tries everything would not end in this world.
 */
static void count_hit(void *ctx, const struct route_set *set)
{
    (void)set;
    ++*(unsigned *)ctx;
}

static size_t steps_of(const struct cell *x, const char *key, unsigned *ret_hits)
{
    struct topic_query q = {.table = x->routes,
                            .key = key,
                            .len = strlen(key),
                            .realloc = proc_realloc,
                            .free = proc_free,
                            .hit = count_hit,
                            .ctx = ret_hits};

    *ret_hits = 0;
    return topic_match(&q);
}

static void repeat(char out[256], const char *word, unsigned n)
{
    out[0] = 0;
    for (unsigned i = 0; i < n && strlen(out) + strlen(word) + 1 < 256; i++) {
        if (i > 0)
            strcat(out, ".");
        strcat(out, word);
    }
}

static void bombs(void *arg)
{
    struct cell *x = kit_exchange(EXCHANGE_TOPIC, "x", NULL), *q = kit_queue("q");
    char pattern[256], key[256];
    unsigned n_words = 128, hits;

    (void)arg;
    repeat(key, "a", n_words);
    repeat(pattern, "#", n_words);
    CHECK(kit_bind(x, q, pattern));
    CHECK(table_count(x->routes) == 2); /* as one `#` */
    CHECK(steps_of(x, key, &hits) <= 3);
    CHECK(hits == 1);
    repeat(pattern, "#.*", 60);
    CHECK(kit_bind(x, q, pattern));
    for (unsigned n = 1; n <= 63; n++) { /* each the beginning of the next */
        repeat(pattern, "#.a", n);
        CHECK(kit_bind(x, q, pattern));
        strcat(pattern, ".b");
        CHECK(kit_bind(x, q, pattern));
    }
    CHECK(steps_of(x, key, &hits) <= (size_t)n_words * 2 * table_count(x->routes));
    CHECK(hits == 65);
    repeat(key, "*", n_words);
    CHECK(steps_of(x, key, &hits) <= (size_t)n_words * 2 * table_count(x->routes));
    CHECK(hits == 2);
}

static void test_bombs(void **state)
{
    (void)state;
    kit_run(bombs, NULL);
}

/* What is not there costs nothing: the steps do not grow with the bindings. */
static void many(void *arg)
{
    struct cell *x = kit_exchange(EXCHANGE_TOPIC, "x", NULL), *q = kit_queue("q");
    char pattern[64];
    unsigned hits;

    (void)arg;
    for (int i = 0; i < 20000; i++) {
        snprintf(pattern, sizeof(pattern), i % 2 ? "k%d.*.c" : "*.k%d.#", i);
        CHECK(kit_bind(x, q, pattern));
    }
    CHECK(steps_of(x, "k777.b.c", &hits) <= 12);
    CHECK(hits == 1);
    CHECK(steps_of(x, "z.k778.c.d", &hits) <= 12);
    CHECK(hits == 1);
    CHECK(steps_of(x, "z.k777.c.d", &hits) <= 12);
    CHECK(hits == 0);
}

static void test_many(void **state)
{
    (void)state;
    kit_run(many, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_cases),
        cmocka_unit_test(test_random_patterns),
        cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
