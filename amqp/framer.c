/*
 * framer.c - cutting a stream into frames.
 *
 * Invariants:
 *   1. part and in_body exclude each other.
 *   2. part holds `have` < `need` bytes; need is AMQP_FRAME_HEAD_LEN or the whole frame's length.
 */
#include "amqp/framer.h"

/*
 * Next to a large body's own place little is read elsewhere, so that not much of the next one has
 * to be copied. Small bodies are many to a read: another copy costs them less than another read.
 */
enum { LARGE_BODY = 16384, BESIDE_LARGE = 4096 };

void framer_init(struct framer *f, uint32_t max_frame, void *(*realloc_fn)(void *, size_t),
                 void (*free_fn)(void *))
{
    *f = (struct framer){.max_frame = max_frame, .realloc = realloc_fn, .free = free_fn};
}

void framer_release(struct framer *f)
{
    if (f->spent)
        f->free(f->spent);
    f->spent = NULL;
}

void framer_fini(struct framer *f)
{
    if (f->part)
        f->free(f->part);
    if (f->held)
        f->free(f->held);
    f->part = f->held = NULL;
    framer_release(f);
}

int framer_places(const struct framer *f, uint8_t *scratch, size_t size, struct iovec ret[2])
{
    int n = 0;

    if (f->in_body && f->body && f->body_left > 0) {
        ret[n++] = (struct iovec){f->body, f->body_left};
        if (f->is_large && size > BESIDE_LARGE)
            size = BESIDE_LARGE;
    } else if (f->part) {
        ret[n++] = (struct iovec){f->part + f->have, f->need - f->have};
    }
    ret[n++] = (struct iovec){scratch, size};
    return n;
}

/* A body frame's head was read. */
static int begin_body(struct framer *f, const struct framer_ops *ops, void *ctx,
                      const struct amqp_frame_head *head)
{
    f->body = NULL;
    f->body_left = head->size;
    f->is_large = head->size >= LARGE_BODY;
    f->channel = head->channel;
    f->in_body = true;
    return ops->body(ctx, head->channel, head->size, &f->body);
}

/* As much of a body frame as there is: how many bytes were taken, or what ended it. */
static ssize_t feed_body(struct framer *f, const struct framer_ops *ops, void *ctx,
                         const uint8_t *p, size_t n)
{
    size_t take = n < f->body_left ? n : f->body_left;
    int r;

    if (f->body && take > 0) {
        memcpy(f->body, p, take);
        f->body += take;
    }
    f->body_left -= (uint32_t)take;
    if (f->body_left > 0 || take == n)
        return (ssize_t)take;
    if (p[take] != AMQP_FRAME_END)
        return AMQP_ERR_FRAME_END;
    f->in_body = false;
    r = ops->body_end(ctx, f->channel);
    return r != 0 ? r : (ssize_t)take + 1;
}

/* Keeps the beginning of a frame of `need` bytes. */
static void keep_part(struct framer *f, const uint8_t *p, size_t n, uint32_t need)
{
    f->part = f->realloc(f->part, need);
    if (n > 0)
        memcpy(f->part, p, n);
    f->have = (uint32_t)n;
    f->need = need;
}

/* One step over n > 0 bytes at p, in no part: bytes taken, or what ended it. */
static ssize_t step(struct framer *f, const struct framer_ops *ops, void *ctx, const uint8_t *p,
                    size_t n)
{
    struct amqp_frame_head head;
    struct amqp_frame frame;
    size_t whole;
    int r;

    if (f->in_body)
        return feed_body(f, ops, ctx, p, n);
    r = frame_parse_head(p, n, f->max_frame, &head);
    if (r < 0)
        return r;
    if (r == 0) {
        keep_part(f, p, n, AMQP_FRAME_HEAD_LEN);
        return (ssize_t)n;
    }
    if (head.type == AMQP_FRAME_BODY) {
        r = begin_body(f, ops, ctx, &head);
        return r != 0 ? r : AMQP_FRAME_HEAD_LEN;
    }
    whole = (size_t)head.size + AMQP_FRAME_OVERHEAD;
    if (n < whole) {
        keep_part(f, p, n, (uint32_t)whole);
        return (ssize_t)n;
    }
    if (p[whole - 1] != AMQP_FRAME_END)
        return AMQP_ERR_FRAME_END;
    frame = (struct amqp_frame){head.type, head.channel,
                                amqp_bytes(p + AMQP_FRAME_HEAD_LEN, head.size)};
    r = ops->frame(ctx, &frame);
    return r != 0 ? r : (ssize_t)whole;
}

static int feed_all(struct framer *f, const struct framer_ops *ops, void *ctx, const uint8_t *p,
                    size_t n)
{
    while (n > 0) {
        ssize_t took;

        if (f->hold) {
            f->held = f->realloc(NULL, n);
            f->n_held = (uint32_t)n;
            memcpy(f->held, p, n);
            return 0;
        }
        took = step(f, ops, ctx, p, n);
        if (took < 0)
            return (int)took;
        p += took;
        n -= (size_t)took;
    }
    return 0;
}

int framer_resume(struct framer *f, const struct framer_ops *ops, void *ctx)
{
    uint8_t *held = f->held;

    f->hold = false;
    f->held = NULL;
    if (!held)
        return 0;
    f->spent = held;
    return feed_all(f, ops, ctx, held, f->n_held);
}

/* The part has all it asked for: it is parsed, and either done with or asks for more. */
static int feed_part(struct framer *f, const struct framer_ops *ops, void *ctx)
{
    uint8_t *part = f->part;
    uint32_t have = f->have;
    struct amqp_frame_head head;
    int r;

    r = frame_parse_head(part, have, f->max_frame, &head);
    if (r < 0)
        return r;
    if (head.type != AMQP_FRAME_BODY && have == AMQP_FRAME_HEAD_LEN) {
        f->need = head.size + AMQP_FRAME_OVERHEAD;
        f->part = f->realloc(part, f->need);
        return 0;
    }
    f->part = NULL;
    f->spent = part; /* its payload is lent until framer_release */
    return feed_all(f, ops, ctx, part, have);
}

int framer_feed(struct framer *f, const struct framer_ops *ops, void *ctx, const uint8_t *scratch,
                size_t n)
{
    size_t own = 0;
    int r;

    if (f->in_body && f->body) { /* read in place */
        own = n < f->body_left ? n : f->body_left;
        f->body += own;
        f->body_left -= (uint32_t)own;
    } else if (f->part) {
        own = n < f->need - f->have ? n : f->need - f->have;
        f->have += (uint32_t)own;
    }
    n -= own;
    while (f->part && f->have == f->need) {
        size_t take;

        r = feed_part(f, ops, ctx);
        if (r < 0)
            return r;
        if (!f->part)
            break;
        take = n < f->need - f->have ? n : f->need - f->have;
        memcpy(f->part + f->have, scratch, take);
        f->have += (uint32_t)take;
        scratch += take;
        n -= take;
    }
    if (f->part)
        return 0;
    return feed_all(f, ops, ctx, scratch, n);
}
