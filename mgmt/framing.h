/*
 * framing.h - where requests begin and end in what a client of HTTP/1.1 sends.
 *
 * The server behind it is lenient in what it takes for a head, a length or a chunk. What a proxy in
 * front may have understood otherwise is refused here, octet by octet, before the server sees it;
 * and so is what the server would answer with a page of its own.
 *
 * Pure: the same octets have the same verdicts, however they are cut.
 */
#ifndef MGMT_FRAMING_H
#define MGMT_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum framing_verdict {
    FRAMING_TAKE,  /* as they are */
    FRAMING_DROP,  /* they mean nothing: blank lines ahead of a request, extensions, trailers */
    FRAMING_REFUSE /* this request and all behind it, with framing.status and framing.reason */
};

enum { FRAMING_WORD = 128 };

struct framing {    /* by framing_init */
    uint64_t taken; /* octets so far of the request that is under way */
    int status;     /* of HTTP; 0: nothing was refused */
    const char *reason;
    /* The rest is framing.c's own. */
    size_t max_head, max_body, n_head;
    uint64_t left, body; /* of what is counted; of the body so far, or in all */
    uint8_t state, n_word, n_line, watched;
    bool is_1_1, is_trace, is_trailer;
    bool has_length, has_coding, has_host, has_login;
    char word[FRAMING_WORD]; /* a method, host, version, name or value; cut where it is longer */
};

/* Bounds, in octets: of a head with its request line, of a body without its chunks' sizes. */
void framing_init(struct framing *f, size_t max_head, size_t max_body);

/*
 * How many of the next n octets, at least one, have the verdict that it sets. To be called again
 * with the others; not after a refusal.
 */
size_t framing_look(struct framing *f, const char *octets, size_t n, enum framing_verdict *ret);

#endif
