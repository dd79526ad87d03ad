/* The bytes of entry blocks and headers. See segment.h for their form. */
#include "persistence/segment.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "persistence/crc32c.h"
#include "persistence/varint.h"

#define ENTRIES_VERSION 1

/* Bits of an entry's mask. */
#define SAME_RECORD    0x01
#define HAS_FLAGS      0x02
#define HAS_PRIORITY   0x04
#define HAS_EXPIRY     0x08
#define HAS_NOT_BEFORE 0x10
#define HAS_ATTEMPTS   0x20
#define KNOWN_BITS     0x3f

void seg_begin(struct seg_writer *w, uint8_t *out, uint32_t n)
{
    memset(w, 0, sizeof(*w));
    w->start = out;
    w->left = n;
    *out = ENTRIES_VERSION;
    w->p = put_varint(out + 1, n);
}

static bool is_same_record(const struct seg_entry *a, const struct seg_entry *b)
{
    return a->off == b->off && a->len == b->len && a->crc == b->crc;
}

static uint8_t entry_mask(const struct seg_entry *e, bool is_first, const struct seg_entry *last)
{
    uint8_t mask = 0;

    if (!is_first && is_same_record(e, last))
        mask |= SAME_RECORD;
    if (e->attr.flags)
        mask |= HAS_FLAGS;
    if (e->attr.priority)
        mask |= HAS_PRIORITY;
    if (e->attr.expiry_ms)
        mask |= HAS_EXPIRY;
    if (e->attr.not_before_ms)
        mask |= HAS_NOT_BEFORE;
    if (e->attr.attempts)
        mask |= HAS_ATTEMPTS;
    return mask;
}

void seg_put(struct seg_writer *w, const struct seg_entry *e)
{
    /* A queue id is never 0, so that tells that there was no entry before. */
    uint8_t mask = entry_mask(e, w->last.queue == 0, &w->last);
    uint8_t *p = w->p;

    *p++ = mask;
    p = put_varint(p, e->queue);
    p = put_varint(p, e->seq);
    if (!(mask & SAME_RECORD)) {
        p = put_varint(p, e->off);
        p = put_varint(p, e->len);
        put_u32(p, e->crc);
        p += 4;
    }
    if (mask & HAS_FLAGS)
        p = put_varint(p, e->attr.flags);
    if (mask & HAS_PRIORITY)
        *p++ = e->attr.priority;
    if (mask & HAS_EXPIRY)
        p = put_varint(p, (uint64_t)e->attr.expiry_ms);
    if (mask & HAS_NOT_BEFORE)
        p = put_varint(p, (uint64_t)e->attr.not_before_ms);
    if (mask & HAS_ATTEMPTS)
        p = put_varint(p, e->attr.attempts);
    w->p = p;
    w->last = *e;
    w->left--;
}

size_t seg_end(struct seg_writer *w)
{
    size_t len = (size_t)(w->p - w->start);

    put_u32(w->p, crc32c(0, w->start, len));
    return len + 4;
}

/* Checks version and checksum of a block and sets *p and *end to what lies between them. */
static int open_block(const uint8_t *in, size_t len, uint8_t max_version, const uint8_t **p,
                      const uint8_t **end)
{
    if (len < 5 || in[0] < 1 || in[0] > max_version ||
        get_u32(in + len - 4) != crc32c(0, in, len - 4))
        return -EBADMSG;
    *p = in + 1;
    *end = in + len - 4;
    return 0;
}

static int get_u32_varint(const uint8_t **p, const uint8_t *end, uint32_t *ret)
{
    uint64_t v;
    int r = get_varint(p, end, &v);

    if (r < 0 || v > UINT32_MAX)
        return -EBADMSG;
    *ret = (uint32_t)v;
    return 0;
}

static int get_byte(const uint8_t **p, const uint8_t *end, uint8_t *ret)
{
    if (*p == end)
        return -EBADMSG;
    *ret = *(*p)++;
    return 0;
}

int seg_open(struct seg_reader *r, const uint8_t *in, size_t len)
{
    memset(r, 0, sizeof(*r));
    if (open_block(in, len, ENTRIES_VERSION, &r->p, &r->end) < 0 ||
        get_u32_varint(&r->p, r->end, &r->left) < 0)
        return -EBADMSG;
    /* An entry takes three bytes at least; a count beyond that is no count. */
    return r->left > (size_t)(r->end - r->p) / 3 ? -EBADMSG : 0;
}

static int get_time(const uint8_t **p, const uint8_t *end, int64_t *ret)
{
    uint64_t v;

    if (get_varint(p, end, &v) < 0 || v > INT64_MAX)
        return -EBADMSG;
    *ret = (int64_t)v;
    return 0;
}

static int get_attr(struct seg_reader *r, uint8_t mask, struct seg_attr *attr)
{
    if (mask & HAS_FLAGS && get_u32_varint(&r->p, r->end, &attr->flags) < 0)
        return -EBADMSG;
    if (mask & HAS_PRIORITY && get_byte(&r->p, r->end, &attr->priority) < 0)
        return -EBADMSG;
    if (mask & HAS_EXPIRY && get_time(&r->p, r->end, &attr->expiry_ms) < 0)
        return -EBADMSG;
    if (mask & HAS_NOT_BEFORE && get_time(&r->p, r->end, &attr->not_before_ms) < 0)
        return -EBADMSG;
    if (mask & HAS_ATTEMPTS && get_u32_varint(&r->p, r->end, &attr->attempts) < 0)
        return -EBADMSG;
    return 0;
}

static int get_record(struct seg_reader *r, struct seg_entry *e)
{
    if (get_u32_varint(&r->p, r->end, &e->off) < 0 || get_u32_varint(&r->p, r->end, &e->len) < 0 ||
        r->end - r->p < 4 || e->off > UINT32_MAX - e->len)
        return -EBADMSG;
    e->crc = get_u32(r->p);
    r->p += 4;
    return 0;
}

int seg_next(struct seg_reader *r, struct seg_entry *ret)
{
    struct seg_entry e = r->last;
    uint8_t mask;

    if (r->left == 0)
        return r->p == r->end ? 0 : -EBADMSG;
    memset(&e.attr, 0, sizeof(e.attr));
    if (get_byte(&r->p, r->end, &mask) < 0 || mask & ~KNOWN_BITS)
        return -EBADMSG;
    if (get_varint(&r->p, r->end, &e.queue) < 0 || get_varint(&r->p, r->end, &e.seq) < 0 ||
        e.queue == 0)
        return -EBADMSG;
    if (mask & SAME_RECORD ? r->last.queue == 0 : get_record(r, &e) < 0)
        return -EBADMSG;
    if (get_attr(r, mask, &e.attr) < 0)
        return -EBADMSG;
    r->left--;
    r->last = e;
    *ret = e;
    return 1;
}

size_t seg_head_encode(const struct seg_head *h, const struct seg_queue *queues, uint8_t *out)
{
    uint8_t *p = out;
    size_t len;

    *p++ = SEG_HEAD_VERSION;
    p = put_varint(p, h->group);
    p = put_varint(p, h->epoch);
    p = put_varint(p, h->n_entries);
    p = put_varint(p, h->data_bytes);
    p = put_varint(p, h->flags);
    p = put_varint(p, h->n_queues);
    for (uint32_t i = 0; i < h->n_queues; i++) {
        p = put_varint(p, queues[i].queue);
        p = put_varint(p, queues[i].first_seq);
        p = put_varint(p, queues[i].last_seq - queues[i].first_seq);
        p = put_varint(p, queues[i].count);
        p = put_varint(p, queues[i].bytes);
    }
    len = (size_t)(p - out);
    put_u32(p, crc32c(0, out, len));
    return len + 4;
}

static int get_head(const uint8_t **p, const uint8_t *end, uint8_t version, struct seg_head *h)
{
    h->flags = 0;
    if (get_varint(p, end, &h->group) < 0 || get_varint(p, end, &h->epoch) < 0 ||
        get_u32_varint(p, end, &h->n_entries) < 0 || get_varint(p, end, &h->data_bytes) < 0 ||
        (version > 2 && get_u32_varint(p, end, &h->flags) < 0) ||
        get_u32_varint(p, end, &h->n_queues) < 0)
        return -EBADMSG;
    return h->flags & ~(uint32_t)SEG_FLEETING ? -EBADMSG : 0;
}

static int get_queue(const uint8_t **p, const uint8_t *end, uint8_t version, struct seg_queue *q)
{
    uint64_t span = 0;

    if (get_varint(p, end, &q->queue) < 0 || get_varint(p, end, &q->first_seq) < 0 ||
        (version > 1 && get_varint(p, end, &span) < 0) || span > UINT64_MAX - q->first_seq ||
        get_u32_varint(p, end, &q->count) < 0 || get_varint(p, end, &q->bytes) < 0)
        return -EBADMSG;
    q->last_seq = q->first_seq + span;
    return 0;
}

int seg_head_decode(const uint8_t *in, size_t len, struct seg_head *ret, struct seg_queue *queues,
                    uint32_t max)
{
    const uint8_t *p, *end;
    struct seg_head h;
    uint64_t n_entries = 0;

    if (open_block(in, len, SEG_HEAD_VERSION, &p, &end) < 0 || get_head(&p, end, in[0], &h) < 0)
        return -EBADMSG;
    for (uint32_t i = 0; i < h.n_queues; i++) {
        struct seg_queue q;

        if (get_queue(&p, end, in[0], &q) < 0)
            return -EBADMSG;
        n_entries += q.count;
        if (i < max)
            queues[i] = q;
    }
    if (p != end || n_entries != h.n_entries)
        return -EBADMSG;
    *ret = h;
    return in[0];
}
