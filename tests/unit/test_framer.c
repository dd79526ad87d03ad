/*
 * test_framer.c - a stream of frames cut anywhere gives the same frames, and nothing stays behind.
 */
#include "amqp/framer.h"

#include "tests/unit/front_end_kit.h"

enum { STREAM_MAX = 1 << 20, FRAMES_MAX = 200, SCRATCH = 16384 };

struct seen {
    uint8_t type;
    uint16_t channel;
    uint32_t len;
    const uint8_t *payload; /* in the stream that was sent */
};

struct test {
    uint8_t *stream;
    size_t len;
    struct seen sent[FRAMES_MAX];
    int n_sent, n_got;
    uint8_t *body; /* of the body frame under way */
    uint32_t body_len;
    bool skips; /* bodies are not wanted */
    struct framer *framer;
    int hold_at;
};

static int on_frame(void *ctx, const struct amqp_frame *f)
{
    struct test *t = ctx;
    const struct seen *s = &t->sent[t->n_got++];

    assert_int_equal(f->type, s->type);
    assert_int_equal(f->channel, s->channel);
    assert_int_equal(f->payload.len, s->len);
    if (s->len)
        assert_memory_equal(f->payload.p, s->payload, s->len);
    return 0;
}

static int on_body(void *ctx, uint16_t channel, uint32_t size, uint8_t **ret_at)
{
    struct test *t = ctx;
    const struct seen *s = &t->sent[t->n_got];

    assert_int_equal(s->type, AMQP_FRAME_BODY);
    assert_int_equal(channel, s->channel);
    assert_int_equal(size, s->len);
    t->body_len = size;
    t->body = t->skips ? NULL : malloc(size + 1);
    *ret_at = t->body;
    return 0;
}

static int on_body_end(void *ctx, uint16_t channel)
{
    struct test *t = ctx;
    const struct seen *s = &t->sent[t->n_got++];

    assert_int_equal(channel, s->channel);
    if (!t->skips)
        assert_memory_equal(t->body, s->payload, s->len);
    free(t->body);
    t->body = NULL;
    return 0;
}

static const struct framer_ops ops = {on_frame, on_body, on_body_end};

static void add_frame(struct test *t, uint8_t type, uint16_t channel, uint32_t len, uint64_t *seed)
{
    uint8_t *p = frame_put_head(t->stream + t->len, type, channel, len);

    t->sent[t->n_sent++] = (struct seen){type, channel, len, p};
    for (uint32_t i = 0; i < len; i++)
        *p++ = (uint8_t)next_random(seed);
    t->len = (size_t)(frame_put_end(p) - t->stream);
}

static void make_stream(struct test *t, uint64_t *seed)
{
    static const uint8_t types[] = {AMQP_FRAME_METHOD, AMQP_FRAME_HEADER, AMQP_FRAME_BODY,
                                    AMQP_FRAME_HEARTBEAT};

    t->stream = malloc(STREAM_MAX);
    while (t->n_sent < FRAMES_MAX && t->len < STREAM_MAX / 2) {
        uint8_t type = types[below(seed, 4)];
        uint32_t len = below(seed, 8) ? below(seed, 60) : below(seed, 60000);

        if (type == AMQP_FRAME_HEARTBEAT)
            add_frame(t, type, 0, 0, seed);
        else
            add_frame(t, type, (uint16_t)(1 + below(seed, 5)), len, seed);
    }
}

/* One read of at most `max` bytes, as readv would do it; how many there were. */
static size_t read_some(struct framer *f, const uint8_t *from, size_t left, uint8_t *scratch,
                        size_t max)
{
    struct iovec places[2];
    int n = framer_places(f, scratch, SCRATCH, places);
    size_t done = 0;

    if (max > left)
        max = left;
    for (int i = 0; i < n && done < max; i++) {
        size_t take = places[i].iov_len < max - done ? places[i].iov_len : max - done;

        memcpy(places[i].iov_base, from + done, take);
        done += take;
    }
    return done;
}

static void run(struct test *t, uint64_t *seed, uint32_t max)
{
    uint8_t *scratch = malloc(SCRATCH);
    struct framer f;
    size_t at = 0;

    t->n_got = 0;
    framer_init(&f, 65536, count_realloc, count_free);
    while (at < t->len) {
        size_t n = read_some(&f, t->stream + at, t->len - at, scratch, 1 + below(seed, max));

        assert_int_equal(framer_feed(&f, &ops, t, scratch, n), 0);
        memset(scratch, 0xAA, SCRATCH);
        framer_release(&f);
        at += n;
    }
    assert_int_equal(t->n_got, t->n_sent);
    assert_true(framer_is_idle(&f));
    assert_int_equal(n_blocks, 0);
    framer_fini(&f);
    free(scratch);
}

static void test_cut_anywhere(void **state)
{
    uint64_t seed = seed_new();

    (void)state;
    for (int i = 0; i < 20; i++) {
        struct test t = {.skips = below(&seed, 4) == 0};

        make_stream(&t, &seed);
        run(&t, &seed, 1);
        run(&t, &seed, 20);
        run(&t, &seed, 3000);
        run(&t, &seed, SCRATCH * 2);
        free(t.stream);
    }
}

static int take_body(void *ctx, uint16_t channel, uint32_t size, uint8_t **ret_at)
{
    static uint8_t body[60000];

    (void)ctx;
    (void)channel;
    assert_true(size <= sizeof(body));
    *ret_at = body;
    return 0;
}

/* Small bodies do not make small reads; beside a large one, down to its end, little is read. */
static void test_places(void **state)
{
    static const struct framer_ops taking = {on_frame, take_body, on_body_end};
    static uint8_t scratch[65536];
    struct iovec places[2];

    (void)state;
    for (uint32_t len = 100; len <= 60000; len += 59900) {
        uint8_t head[] = {AMQP_FRAME_BODY, 0, 1, 0, 0, (uint8_t)(len >> 8), (uint8_t)len};
        struct framer f;

        framer_init(&f, 65536, count_realloc, count_free);
        assert_int_equal(framer_feed(&f, &taking, NULL, head, sizeof(head)), 0);
        assert_int_equal(framer_places(&f, scratch, sizeof(scratch), places), 2);
        assert_int_equal(places[0].iov_len, len);
        assert_int_equal(places[1].iov_len, len == 100 ? sizeof(scratch) : 4096);
        assert_int_equal(framer_feed(&f, &taking, NULL, scratch, len - 50), 0);
        assert_int_equal(framer_places(&f, scratch, sizeof(scratch), places), 2);
        assert_int_equal(places[0].iov_len, 50);
        assert_int_equal(places[1].iov_len, len == 100 ? sizeof(scratch) : 4096);
        framer_fini(&f);
    }
}

/* What follows a hold is handled when it is ended, wherever the hold began. */
static int hold_frame(void *ctx, const struct amqp_frame *f)
{
    struct test *t = ctx;

    t->framer->hold = t->n_got == t->hold_at;
    return on_frame(ctx, f);
}

static void test_hold(void **state)
{
    static const struct framer_ops holding = {hold_frame, on_body, on_body_end};
    uint64_t seed = seed_new();
    uint8_t *scratch = malloc(STREAM_MAX);
    struct test t = {0};

    (void)state;
    make_stream(&t, &seed);
    for (t.hold_at = 0; t.hold_at < t.n_sent; t.hold_at++) {
        struct framer f;

        t.framer = &f;
        t.n_got = 0;
        framer_init(&f, 65536, count_realloc, count_free);
        memcpy(scratch, t.stream, t.len);
        assert_int_equal(framer_feed(&f, &holding, &t, scratch, t.len), 0);
        framer_release(&f);
        memset(scratch, 0xAA, t.len);
        if (f.hold)
            assert_int_equal(t.n_got, t.hold_at + 1);
        assert_int_equal(framer_resume(&f, &ops, &t), 0);
        framer_release(&f);
        assert_int_equal(t.n_got, t.n_sent);
        assert_int_equal(n_blocks, 0);
    }
    free(scratch);
    free(t.stream);
}

static int feed(const uint8_t *bytes, size_t n, size_t step)
{
    struct test t = {.sent = {{AMQP_FRAME_METHOD, 1, 1, bytes + 7}}, .skips = true};
    struct framer f;
    int r = 0;

    framer_init(&f, 4096, count_realloc, count_free);
    for (size_t at = 0; at < n && r == 0;) {
        uint8_t scratch[SCRATCH];
        size_t got = read_some(&f, bytes + at, n - at, scratch, step);

        r = framer_feed(&f, &ops, &t, scratch, got);
        at += got;
    }
    framer_fini(&f);
    assert_int_equal(n_blocks, 0);
    return r;
}

static void test_refused(void **state)
{
    static const struct {
        uint8_t bytes[12];
        size_t n;
        int error;
    } bad[] = {
        {{1, 0, 1, 0, 0, 0, 1, 9, 0xCE}, 9, 0},
        {{1, 0, 1, 0, 0, 0, 1, 9, 0xCD}, 9, AMQP_ERR_FRAME_END},
        {{9, 0, 1, 0, 0, 0, 1}, 7, AMQP_ERR_FRAME_TYPE},
        {{1, 0, 1, 0, 1, 0, 0}, 7, AMQP_ERR_FRAME_TOO_LARGE},
        {{3, 0, 1, 0, 1, 0, 0}, 7, AMQP_ERR_FRAME_TOO_LARGE},
        {{8, 0, 1, 0, 0, 0, 0}, 7, AMQP_ERR_HEARTBEAT_CHANNEL},
        {{8, 0, 0, 0, 0, 0, 1}, 7, AMQP_ERR_HEARTBEAT_PAYLOAD},
        {{8, 0, 0, 0, 0, 0, 0, 1}, 8, AMQP_ERR_FRAME_END},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        for (size_t step = 1; step <= 9; step++)
            assert_int_equal(feed(bad[i].bytes, bad[i].n, step), bad[i].error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_hold),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
