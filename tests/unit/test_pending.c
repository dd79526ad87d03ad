/* Publishes under way to the store, against a list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "queues/pending.h"

enum { MAX = 20000 };

static uint64_t rng;

static uint32_t below(uint32_t n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (uint32_t)((rng >> 11) % n);
}

struct naive {
    uint32_t index[MAX];
    bool waits[MAX];
    uint64_t n;
};

static void pop(struct pending *p, struct naive *m, uint64_t from, uint64_t up_to)
{
    for (uint64_t s = from; s <= up_to; s++) {
        struct pending_item *item;

        if (!m->waits[s])
            continue;
        item = pending_pop(p, up_to);
        assert_non_null(item);
        assert_int_equal(item->seq, s);
        assert_int_equal(item->tag, s * 7);
        m->waits[s] = false;
        m->n--;
    }
    assert_null(pending_pop(p, up_to));
}

static void test_random(void **state)
{
    const char *given = getenv("WARREN_SEED");
    static struct naive m;
    struct pending p;
    uint64_t first = 1, next = 1;

    (void)state;
    rng = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761u + 1;
    print_message("WARREN_SEED=%llu\n", (unsigned long long)rng);
    pending_init(&p, realloc, free);
    while (next < MAX) {
        uint64_t s = first + below((uint32_t)(next - first + 1));

        switch (below(8)) {
        case 0:
            if (s < next && m.waits[s]) {
                assert_int_equal(pending_settle(&p, m.index[s])->seq, s);
                m.waits[s] = false;
                m.n--;
            }
            break;
        case 1:
            if (below(20) == 0 && s < next) {
                pop(&p, &m, first, s);
                first = s + 1;
            }
            break;
        default:
            m.index[next] = pending_push(&p, next, next * 7, &p, 2);
            m.waits[next++] = true;
            m.n++;
        }
        assert_int_equal(p.n, m.n);
        assert_int_equal(p.bytes, 2 * m.n);
    }
    for (uint64_t at = 0, s = first; s < next; s++) {
        if (m.waits[s])
            assert_int_equal(pending_next(&p, &at)->seq, s);
        if (s + 1 == next)
            assert_null(pending_next(&p, &at));
    }
    pop(&p, &m, first, next - 1);
    assert_int_equal(p.n, 0);
    pending_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
