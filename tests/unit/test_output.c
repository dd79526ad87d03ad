/*
 * test_output.c - what is appended comes out in order, however it is written, and owners of what
 * was referred to are released once, when it is out.
 */
#include "amqp/output.h"

#include "tests/unit/front_end_kit.h"

enum { TOTAL = 2 << 20, OWNERS = 4096 };

static uint8_t released[OWNERS];
static uint8_t owners[OWNERS]; /* their addresses stand for them */

static void release(void *owner)
{
    released[(uint8_t *)owner - owners]++;
}

struct test {
    struct output o;
    const uint8_t *source;
    size_t appended, written;
    int n_owners;
    size_t ends[OWNERS]; /* where each owner's bytes end */
};

static void append(struct test *t, uint64_t *seed)
{
    size_t n = below(seed, 10) ? 1 + below(seed, 200) : 1 + below(seed, 50000);

    if (n > TOTAL - t->appended)
        n = TOTAL - t->appended;
    switch (below(seed, 3)) {
    case 0:
        output_put(&t->o, t->source + t->appended, n);
        break;
    case 1:
        memcpy(output_reserve(&t->o, n + 10), t->source + t->appended, n);
        output_commit(&t->o, n);
        break;
    default:
        if (t->n_owners == OWNERS || n < 100) {
            output_put(&t->o, t->source + t->appended, n);
            break;
        }
        output_refer(&t->o, t->source + t->appended, n, &owners[t->n_owners]);
        t->ends[t->n_owners++] = t->appended + n;
    }
    t->appended += n;
}

static void write_some(struct test *t, uint64_t *seed)
{
    struct iovec places[8];
    int n = output_places(&t->o, places, 8);
    size_t most = 0, at = t->written, take;

    for (int i = 0; i < n; i++) {
        assert_memory_equal(places[i].iov_base, t->source + at, places[i].iov_len);
        at += places[i].iov_len;
        most += places[i].iov_len;
    }
    take = below(seed, 2) ? most : below(seed, (uint32_t)most + 1);
    output_written(&t->o, take);
    t->written += take;
    assert_int_equal(output_position(&t->o), t->written);
    for (int i = 0; i < t->n_owners; i++)
        assert_int_equal(released[i], t->ends[i] <= t->written);
}

static void test_random(void **state)
{
    uint64_t seed = seed_new();
    uint8_t *source = malloc(TOTAL);
    struct test *t = calloc(1, sizeof(*t));

    (void)state;
    for (size_t i = 0; i < TOTAL; i++)
        source[i] = (uint8_t)(i * 31 + i / 255);
    t->source = source;
    output_init(&t->o, count_realloc, count_free, release);
    while (t->written < TOTAL) {
        if (t->appended < TOTAL && below(&seed, 3))
            append(t, &seed);
        else
            write_some(t, &seed);
    }
    assert_int_equal(t->o.pending, 0);
    assert_int_equal(n_blocks, 0);
    free(t);
    free(source);
}

static size_t allocated;

static void *sum_realloc(void *p, size_t size)
{
    allocated += size;
    return count_realloc(p, size);
}

/* Between large bodies there are some bytes of ours, which do not cost a large block each. */
static void test_little_between_large(void **state)
{
    enum { N = 100, LARGE = 5000 };
    static uint8_t body[LARGE];
    struct output o;

    (void)state;
    allocated = 0;
    output_init(&o, sum_realloc, count_free, release);
    for (int i = 0; i < N; i++) {
        memcpy(output_reserve(&o, 1200), body, 60);
        output_commit(&o, 60);
        output_refer(&o, body, LARGE, NULL);
        output_put(&o, body, 1);
    }
    assert_true(allocated < N * LARGE);
    output_written(&o, o.pending);
    assert_int_equal(n_blocks, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_little_between_large),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
