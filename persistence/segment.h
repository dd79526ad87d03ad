/*
 * What stands beside a segment's bytes: its block of index entries and its header.
 *
 * Pure. Both are read at recovery, so reading checks everything and never trusts a length.
 *
 *   entries: version 1, varint count, entries, CRC32C of all before
 *   entry:   mask (1), varint queue, varint seq, then, unless SAME_RECORD (the bytes are those of
 *            the entry before: a fan-out), varint offset, varint length, CRC32C of the record;
 *            then the optional fields that the mask names
 *   header:  version 3, varints group, epoch, entries, data bytes, flags, queues; for each queue
 *            varints id, first seq, last seq less the first, count, bytes; CRC32C of all before.
 *            Version 1 had no last seq, versions 1 and 2 no flags
 */
#ifndef PERSISTENCE_SEGMENT_H
#define PERSISTENCE_SEGMENT_H

#include <stddef.h>
#include <stdint.h>

/* What a queue wants back with an entry after a restart; all 0 costs nothing on disk. */
struct seg_attr {
    int64_t expiry_ms;     /* wall clock, 0: none */
    int64_t not_before_ms; /* wall clock, 0: none */
    uint32_t attempts;     /* deliveries that came back */
    uint32_t flags;        /* the queue's own bits */
    uint8_t priority;
};

struct seg_entry {
    uint64_t queue;
    uint64_t seq;
    uint32_t off; /* of the record in the segment's data */
    uint32_t len; /* of the record */
    uint32_t crc; /* CRC32C of the record */
    struct seg_attr attr;
};

/* What one queue has in a segment. */
struct seg_queue {
    uint64_t queue;
    uint64_t first_seq;
    uint64_t last_seq;
    uint64_t bytes;
    uint32_t count;
};

struct seg_head {
    uint64_t group; /* the commit that wrote it */
    uint64_t epoch; /* of the opening in which it was written */
    uint64_t data_bytes;
    uint32_t n_entries;
    uint32_t n_queues;
    uint32_t flags; /* enum seg_flags */
};

enum seg_flags {
    SEG_FLEETING = 1, /* nothing in it outlives the program that wrote it */
};

/* That of headers. */
#define SEG_HEAD_VERSION 3

/* Bounds of the encoded forms, for the caller who makes room. */
#define SEG_ENTRY_MAX          80 /* one entry */
#define SEG_ENTRIES_MAX(n)     (16 + (size_t)(n)*SEG_ENTRY_MAX)
#define SEG_HEAD_MAX(n_queues) (64 + (size_t)(n_queues)*48)

/*
 * Writes a block entry by entry, into room of SEG_ENTRIES_MAX(n) bytes that is the caller's:
 * seg_begin, seg_put n times, seg_end, which returns the block's length.
 */
struct seg_writer {
    uint8_t *start;
    uint8_t *p;
    struct seg_entry last;
    uint32_t left;
};

void seg_begin(struct seg_writer *w, uint8_t *out, uint32_t n);
void seg_put(struct seg_writer *w, const struct seg_entry *e);
size_t seg_end(struct seg_writer *w);

/* Reads a block, whose bytes are lent until the last seg_next. */
struct seg_reader {
    const uint8_t *p;
    const uint8_t *end;
    struct seg_entry last;
    uint32_t left; /* entries not yet read */
};

/* Returns 0, or -EBADMSG where version, checksum or count can't be right. */
int seg_open(struct seg_reader *r, const uint8_t *in, size_t len);

/* Returns 1 and the next entry; 0 behind the last, if nothing follows it; -EBADMSG else. */
int seg_next(struct seg_reader *r, struct seg_entry *ret);

/* Writes a header into room of SEG_HEAD_MAX(h->n_queues); returns its length. */
size_t seg_head_encode(const struct seg_head *h, const struct seg_queue *queues, uint8_t *out);

/*
 * Reads a header. queues has room for max of them; what is beyond is checked and left out.
 * Returns its version (1: the queues' last seqs are only their first), or -EBADMSG and writes
 * nothing to *ret.
 */
int seg_head_decode(const uint8_t *in, size_t len, struct seg_head *ret, struct seg_queue *queues,
                    uint32_t max);

#endif
