/*
 * What every file of the codec stands on: lent views of bytes, the codec's errors, and reading and
 * writing of network-order numbers. Pure: nothing here allocates, blocks or logs.
 */
#ifndef AMQP_CODEC_BYTES_H
#define AMQP_CODEC_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * A lent view: whoever made it says how long p stays valid. In what the codec decodes it points
 * into the input. p may be NULL only when len is 0.
 */
struct amqp_bytes {
    const uint8_t *p;
    uint32_t len;
};

/*
 * Why bytes from outside were refused. All are negative, none is an errno value's negation, 0 is
 * success. The reply code that each deserves is the front end's choice; the usual one is in
 * brackets.
 */
enum amqp_error {
    AMQP_ERR_TRUNCATED = -2001,      /* ends before its last field (501) */
    AMQP_ERR_TRAILING = -2002,       /* goes on after its last field (501) */
    AMQP_ERR_UNKNOWN_CLASS = -2003,  /* no such class (503) */
    AMQP_ERR_UNKNOWN_METHOD = -2004, /* the class has no such method (503) */
    AMQP_ERR_SHORTSTR = -2005,       /* not UTF-8 (501); when encoding: over 255 bytes */
    AMQP_ERR_FRAME_TYPE = -2006, /* type octet is none of method, header, body, heartbeat (501) */
    AMQP_ERR_FRAME_TOO_LARGE = -2007,   /* its head announces more than was negotiated (501) */
    AMQP_ERR_FRAME_END = -2008,         /* last octet is not 0xCE (501) */
    AMQP_ERR_HEARTBEAT_PAYLOAD = -2009, /* a heartbeat with a payload (501) */
    AMQP_ERR_HEARTBEAT_CHANNEL = -2010, /* a heartbeat on a channel other than 0 (505) */
    AMQP_ERR_HEADER_WEIGHT = -2011,     /* a content header whose weight is not 0 (505) */
    AMQP_ERR_TABLE_TYPE = -2012,        /* a type octet that the dialect does not have (501) */
    AMQP_ERR_TABLE_DEPTH = -2013,       /* tables and arrays nested too deeply (502) */
    AMQP_ERR_TABLE_SIZE = -2014,        /* a table larger than the limit (502) */
    AMQP_ERR_WRONG_TYPE = -2015,        /* the value is there and of another type (406) */
    AMQP_ERR_NO_ROOM = -2016,           /* the caller's buffer is too small */
};

/* A phrase for logs and reply texts; never NULL, static. 0 gives "no error". */
const char *amqp_error_text(int error);

/* Whether b is well-formed UTF-8 (no overlong forms, no surrogates, at most U+10FFFF). */
bool amqp_is_utf8(struct amqp_bytes b);

/* A view of len bytes at p. */
static inline struct amqp_bytes amqp_bytes(const void *p, size_t len)
{
    return (struct amqp_bytes){.p = p, .len = (uint32_t)len};
}

/* A view of a C string without its NUL; valid as long as the string. */
static inline struct amqp_bytes amqp_str(const char *s)
{
    return amqp_bytes(s, strlen(s));
}

static inline bool amqp_bytes_equal(struct amqp_bytes a, struct amqp_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

/* Whether b holds exactly the characters of the C string s. */
static inline bool amqp_bytes_is(struct amqp_bytes b, const char *s)
{
    return amqp_bytes_equal(b, amqp_str(s));
}

/* Network order, at any alignment. The caller has checked the bounds. */
static inline uint16_t get_u16(const uint8_t *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof(v));
    return __builtin_bswap16(v);
}

static inline uint32_t get_u32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return __builtin_bswap32(v);
}

static inline uint64_t get_u64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return __builtin_bswap64(v);
}

/* The writers return the place after what they wrote. */
static inline uint8_t *put_u8(uint8_t *p, uint8_t v)
{
    *p = v;
    return p + 1;
}

static inline uint8_t *put_u16(uint8_t *p, uint16_t v)
{
    v = __builtin_bswap16(v);
    memcpy(p, &v, sizeof(v));
    return p + sizeof(v);
}

static inline uint8_t *put_u32(uint8_t *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, sizeof(v));
    return p + sizeof(v);
}

static inline uint8_t *put_u64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, sizeof(v));
    return p + sizeof(v);
}

/* The bytes alone, without a length. */
static inline uint8_t *put_bytes(uint8_t *p, struct amqp_bytes b)
{
    if (b.len)
        memcpy(p, b.p, b.len);
    return p + b.len;
}

/* Length octet and bytes; the caller has checked that there are at most 255. */
static inline uint8_t *put_shortstr(uint8_t *p, struct amqp_bytes b)
{
    return put_bytes(put_u8(p, (uint8_t)b.len), b);
}

/* Four octets of length and the bytes: longstr, table, array, byte array. */
static inline uint8_t *put_longstr(uint8_t *p, struct amqp_bytes b)
{
    return put_bytes(put_u32(p, b.len), b);
}

/* A reader over lent bytes. Each in_* is false, and moves nothing, when too few are left. */
struct amqp_in {
    const uint8_t *p;
    const uint8_t *end;
};

static inline struct amqp_in in_over(struct amqp_bytes b)
{
    return (struct amqp_in){.p = b.p, .end = b.len ? b.p + b.len : b.p};
}

static inline size_t in_left(const struct amqp_in *in)
{
    return (size_t)(in->end - in->p);
}

static inline bool in_u8(struct amqp_in *in, uint8_t *ret)
{
    if (in_left(in) < 1)
        return false;
    *ret = *in->p++;
    return true;
}

static inline bool in_u16(struct amqp_in *in, uint16_t *ret)
{
    if (in_left(in) < sizeof(*ret))
        return false;
    *ret = get_u16(in->p);
    in->p += sizeof(*ret);
    return true;
}

static inline bool in_u32(struct amqp_in *in, uint32_t *ret)
{
    if (in_left(in) < sizeof(*ret))
        return false;
    *ret = get_u32(in->p);
    in->p += sizeof(*ret);
    return true;
}

static inline bool in_u64(struct amqp_in *in, uint64_t *ret)
{
    if (in_left(in) < sizeof(*ret))
        return false;
    *ret = get_u64(in->p);
    in->p += sizeof(*ret);
    return true;
}

static inline bool in_bytes(struct amqp_in *in, size_t len, struct amqp_bytes *ret)
{
    if (in_left(in) < len)
        return false;
    *ret = amqp_bytes(in->p, len);
    in->p += len;
    return true;
}

static inline bool in_shortstr(struct amqp_in *in, struct amqp_bytes *ret)
{
    if (in_left(in) < 1 || in_left(in) - 1 < in->p[0])
        return false;
    *ret = amqp_bytes(in->p + 1, in->p[0]);
    in->p += 1 + ret->len;
    return true;
}

static inline bool in_longstr(struct amqp_in *in, struct amqp_bytes *ret)
{
    uint32_t len;

    if (in_left(in) < 4)
        return false;
    len = get_u32(in->p);
    if (in_left(in) - 4 < len)
        return false;
    *ret = amqp_bytes(in->p + 4, len);
    in->p += 4 + (size_t)len;
    return true;
}

#endif
