/*
 * framer.h - a stream of bytes cut into frames, as it comes. Pure.
 *
 * Bytes are read into a buffer that is lent for one read only. What does not make a whole frame is
 * kept in a buffer of exactly that frame's size, and the payload of a body frame goes straight to
 * where its message lies, so that a framer between frames owns nothing.
 */
#ifndef AMQP_FRAMER_H
#define AMQP_FRAMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "amqp/codec/frame.h"

struct framer {
    uint8_t *part;       /* a frame that is not whole yet; NULL: none */
    uint8_t *spent;      /* the part that was handled in this feed; NULL: none */
    uint32_t have, need; /* bytes of it; while its size is not known, need is that of its head */
    uint8_t *body;       /* where the rest of a body frame's payload goes; NULL: nowhere */
    uint32_t body_left;  /* of that payload */
    uint16_t channel;    /* of that frame */
    bool in_body;        /* its end octet has not come */
    bool is_large;       /* it is a large one, and the next ones are likely to be */
    bool hold;           /* set by a callback: what follows is kept and not looked at */
    uint8_t *held;       /* that */
    uint32_t n_held;
    uint32_t max_frame; /* largest payload */
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
};

/* What is done with frames. Each returns 0, or something negative that ends framer_feed. */
struct framer_ops {
    /* A whole frame that is no body frame; its payload is lent until framer_release. */
    int (*frame)(void *ctx, const struct amqp_frame *f);
    /*
     * A body frame begins, its payload is `size` bytes. *ret_at: where they go (NULL: they are
     * skipped); must stay valid until body_end.
     */
    int (*body)(void *ctx, uint16_t channel, uint32_t size, uint8_t **ret_at);
    /* Its end octet was right. */
    int (*body_end)(void *ctx, uint16_t channel);
};

void framer_init(struct framer *f, uint32_t max_frame, void *(*realloc_fn)(void *, size_t),
                 void (*free_fn)(void *));
void framer_fini(struct framer *f);

/* Where the next read goes: one or two places, the last being (some of) the scratch. */
int framer_places(const struct framer *f, uint8_t *scratch, size_t size, struct iovec ret[2]);

/*
 * Takes n bytes that were read to those places. 0, a negative enum amqp_error for bytes that are
 * no frames, or what a callback returned. After anything but 0 the framer must not be fed again.
 */
int framer_feed(struct framer *f, const struct framer_ops *ops, void *ctx, const uint8_t *scratch,
                size_t n);

/* Ends a hold; returns as framer_feed. Nothing may be fed meanwhile. */
int framer_resume(struct framer *f, const struct framer_ops *ops, void *ctx);

/* After each feed, when nothing that was lent in it is needed any more. */
void framer_release(struct framer *f);

/* Whether it stands between two frames. */
static inline bool framer_is_idle(const struct framer *f)
{
    return !f->part && !f->in_body;
}

#endif
