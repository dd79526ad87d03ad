/* The backlog against an array of states: the same heads, holders and sums after every step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "queues/backlog.h"

enum { SEQS = 3000, HOLDERS = 4 };

struct naive {
    uint8_t state[SEQS];
    uint8_t holder[SEQS];
    bool is_cold[SEQS]; /* READY, and without an entry */
    bool is_here[SEQS]; /* its record is */
};

/* Stands for any record: the backlog only looks whether there is one. */
static struct record *const some_record = (struct record *)0x10;

static uint32_t body_of(uint64_t s)
{
    return (uint32_t)(s * 7 % 100);
}

static bool is_lasting(uint64_t s)
{
    return s % 3 > 0;
}

static uint64_t rng;

static uint32_t below(uint32_t n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (uint32_t)((rng >> 11) % n);
}

static uint64_t seed(void)
{
    const char *given = getenv("WARREN_SEED");
    uint64_t s = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761u;

    rng = s ? s : 1;
    print_message("WARREN_SEED=%llu\n", (unsigned long long)rng);
    return rng;
}

static uint64_t naive_head(const struct naive *m)
{
    for (uint64_t s = 0; s < SEQS; s++) {
        if (m->state[s] == ENTRY_READY)
            return s;
    }
    return 0;
}

static void same_mass(const struct backlog_mass *mass, const struct naive *m, uint8_t state)
{
    struct backlog_mass sum = {0};

    for (uint64_t s = 0; s < SEQS; s++) {
        if (m->state[s] != state)
            continue;
        sum.body += body_of(s);
        sum.lasting += is_lasting(s);
        sum.lasting_body += is_lasting(s) ? body_of(s) : 0;
        sum.here += m->is_here[s];
        sum.here_body += m->is_here[s] ? body_of(s) : 0;
    }
    assert_memory_equal(mass, &sum, sizeof(sum));
}

static void same(struct backlog *b, const struct naive *m, const struct holder *h)
{
    uint64_t ready = 0, unacked = 0, cold = 0, held[HOLDERS] = {0}, first;
    struct entry *head;

    for (uint64_t s = 0; s < SEQS; s++) {
        struct entry *e = backlog_find(b, s);

        assert_int_equal(e ? e->state : m->is_cold[s] ? ENTRY_READY : ENTRY_GONE, m->state[s]);
        assert_true(!m->is_cold[s] || (!e && backlog_is_in_cold(b, s)));
        cold += m->is_cold[s];
        ready += m->state[s] == ENTRY_READY;
        unacked += m->state[s] == ENTRY_UNACKED;
        if (m->state[s] == ENTRY_UNACKED)
            held[m->holder[s]]++;
    }
    assert_int_equal(b->n_ready, ready);
    assert_int_equal(b->n_unacked, unacked);
    for (int i = 0; i < HOLDERS; i++)
        assert_int_equal(h[i].n, held[i]);
    assert_true(backlog_is_sound(b));
    same_mass(&b->ready_mass, m, ENTRY_READY);
    same_mass(&b->unacked_mass, m, ENTRY_UNACKED);
    assert_int_equal(b->cold_n, cold);
    head = backlog_head(b);
    first = naive_head(m);
    /* From the first that may be cold on, the store is asked. */
    assert_true(!m->is_cold[first] || first >= b->cold_first);
    if (b->cold_n > 0 && first >= b->cold_first)
        first = 0;
    assert_int_equal(head ? entry_seq(head) : 0, first);
}

/* What nobody has had may become cold. */
static void cool(struct backlog *b, struct naive *m, uint64_t s)
{
    struct entry *e = backlog_find(b, s);

    if (e && backlog_cool(b, e)) {
        m->is_cold[s] = true;
        m->is_here[s] = false;
    }
}

static void warm_one(struct backlog *b, uint64_t s)
{
    struct entry *e;

    backlog_uncount(b, body_of(s), is_lasting(s));
    e = backlog_warm(b, s, NULL, 3);
    e->flags |= ENTRY_STORED;
    backlog_weigh(b, e, body_of(s), is_lasting(s));
}

static void add(struct backlog *b, struct naive *m, uint64_t s)
{
    struct entry *e = backlog_add(b, s, some_record, 3);

    e->flags |= ENTRY_STORED;
    backlog_weigh(b, e, 1, !is_lasting(s)); /* and once more */
    backlog_weigh(b, e, body_of(s), is_lasting(s));
    m->state[s] = ENTRY_READY;
    m->is_here[s] = true;
}

static void change_record(struct backlog *b, struct naive *m, struct entry *e)
{
    bool is_here = below(2);

    backlog_set_record(b, e, is_here ? some_record : NULL);
    m->is_here[entry_seq(e)] = is_here;
}

/* The first few cold ones come back in a run, or one of them by itself. */
static void warm(struct backlog *b, struct naive *m, bool is_run)
{
    uint64_t s = b->cold_first, n = is_run ? 1 + below(100) : 1;

    if (b->cold_n == 0)
        return;
    if (!is_run)
        s += below((uint32_t)(b->cold_last - b->cold_first + 1));
    for (; n > 0 && s < SEQS; s++, n--) {
        if (m->is_cold[s])
            warm_one(b, s);
        m->is_cold[s] = false;
    }
    if (is_run)
        backlog_cold_from(b, s);
}

/* All that is cold goes; what has an entry stays. */
static void drop_cold(struct backlog *b, struct naive *m)
{
    backlog_drop_cold(b);
    for (uint64_t s = 0; s < SEQS; s++) {
        if (m->is_cold[s])
            m->state[s] = ENTRY_GONE;
        m->is_cold[s] = false;
    }
}

/* One random operation on both. */
static void step(struct backlog *b, struct naive *m, struct holder *h, uint64_t *next, bool cools)
{
    uint64_t s = 1 + below(SEQS - 1);
    struct entry *e = backlog_find(b, s);
    uint32_t who = below(HOLDERS);

    switch (below(cools ? 11 : 8)) {
    case 8:
    case 9:
        cool(b, m, below(2) && *next < SEQS ? *next : s);
        return;
    case 10:
        if (below(200) == 0)
            drop_cold(b, m);
        else
            warm(b, m, below(3) > 0);
        return;
    case 0:
    case 1:
        *next += below(10) == 0 ? 1 + below(150) : 1;
        if (*next >= SEQS)
            return;
        assert_ptr_equal(backlog_find(b, *next), NULL);
        add(b, m, *next);
        return;
    case 2:
    case 3:
        e = backlog_head(b);
        if (!e)
            return;
        s = entry_seq(e);
        break;
    case 6:
        if (e)
            change_record(b, m, e);
        return;
    case 4: /* a delivery out of turn, as re-attaching makes it */
        break;
    default:
        if (!e)
            return;
        backlog_remove(b, e);
        m->state[s] = ENTRY_GONE;
        return;
    }
    if (e && e->state == ENTRY_READY) {
        backlog_take(b, e, &h[who]);
        m->state[s] = ENTRY_UNACKED;
        m->holder[s] = (uint8_t)who;
    } else if (e) {
        backlog_return(b, e);
        m->state[s] = ENTRY_READY;
    }
}

static void test_random(void **state)
{
    uint64_t first = seed();

    (void)state;
    for (uint64_t round = 0; round < 20; round++) {
        struct backlog b;
        struct naive m = {0};
        struct holder h[HOLDERS] = {0};
        uint64_t next = below(300);

        rng = first + round * 77 + 1;
        backlog_init(&b, realloc, free);
        for (int i = 0; i < 4000; i++) {
            step(&b, &m, h, &next, round % 2);
            if (i % 16 == 0)
                same(&b, &m, h);
        }
        same(&b, &m, h);
        backlog_fini(&b);
    }
}

static void test_requeue_comes_back_in_place(void **state)
{
    struct backlog b;
    struct holder h = {0};
    struct entry *e[6];
    static const int back[] = {3, 1, 2};

    (void)state;
    backlog_init(&b, realloc, free);
    for (uint64_t s = 1; s <= 5; s++)
        e[s] = backlog_add(&b, s, NULL, 1);
    for (int i = 1; i <= 3; i++) {
        assert_ptr_equal(backlog_head(&b), e[i]);
        backlog_take(&b, e[i], &h);
    }
    for (int i = 0; i < 3; i++)
        backlog_return(&b, e[back[i]]);
    for (int i = 1; i <= 5; i++) {
        assert_ptr_equal(backlog_head(&b), e[i]);
        backlog_take(&b, e[i], &h);
    }
    assert_null(backlog_head(&b));
    assert_int_equal(h.n, 5);
    assert_int_equal(b.n_unacked, 5);
    backlog_fini(&b);
}

/* One message held for ever costs its chunk, not all that came after it. */
static void test_long_held_costs_little(void **state)
{
    struct backlog b;
    struct holder h = {0};
    uint32_t chunks;

    (void)state;
    backlog_init(&b, realloc, free);
    backlog_take(&b, backlog_add(&b, 1, NULL, 1), &h);
    for (uint64_t s = 2; s < 200000; s++) {
        struct entry *e = backlog_add(&b, s, NULL, 1);

        assert_ptr_equal(backlog_head(&b), e);
        backlog_take(&b, e, &h);
        backlog_remove(&b, e);
    }
    chunks = b.chunks.n;
    assert_in_range(chunks, 1, 2);
    assert_int_equal(h.n, 1);
    backlog_fini(&b);
}

/* What an earlier incarnation left is counted with all its bytes until each has come back. */
static void test_what_is_cold_from_the_start_is_about_right(void **state)
{
    struct backlog b;
    struct holder h = {0};

    (void)state;
    backlog_init(&b, realloc, free);
    backlog_set_cold(&b, 0, 9, 3, 30);
    assert_int_equal(b.ready_mass.body, 30);
    assert_int_equal(b.ready_mass.lasting, 3);
    for (uint64_t s = 7; s <= 9; s++) {
        struct entry *e;

        backlog_uncount(&b, 12, true); /* more than there is in the end */
        e = backlog_warm(&b, s, some_record, 10);
        backlog_weigh(&b, e, 4, s != 8);
        assert_true(backlog_is_sound(&b));
    }
    assert_int_equal(b.ready_mass.body, 12);
    assert_int_equal(b.ready_mass.lasting, 2);
    assert_int_equal(b.ready_mass.lasting_body, 8);
    backlog_take(&b, backlog_find(&b, 8), &h);
    backlog_set_record(&b, backlog_find(&b, 8), NULL);
    assert_int_equal(b.unacked_mass.body, 4);
    assert_int_equal(b.unacked_mass.here, 0);
    assert_int_equal(b.ready_mass.here, 2);
    backlog_remove(&b, backlog_find(&b, 8));
    assert_int_equal(b.unacked_mass.body, 0);
    backlog_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requeue_comes_back_in_place),
        cmocka_unit_test(test_long_held_costs_little),
        cmocka_unit_test(test_what_is_cold_from_the_start_is_about_right),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
