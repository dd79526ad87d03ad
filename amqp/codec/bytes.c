#include "amqp/codec/bytes.h"

static const struct {
    int error;
    const char *text;
} texts[] = {
    {0, "no error"},
    {AMQP_ERR_TRUNCATED, "ends too early"},
    {AMQP_ERR_TRAILING, "has bytes after its end"},
    {AMQP_ERR_UNKNOWN_CLASS, "unknown class"},
    {AMQP_ERR_UNKNOWN_METHOD, "unknown method"},
    {AMQP_ERR_SHORTSTR, "malformed short string"},
    {AMQP_ERR_FRAME_TYPE, "unknown frame type"},
    {AMQP_ERR_FRAME_TOO_LARGE, "frame too large"},
    {AMQP_ERR_FRAME_END, "invalid frame end marker"},
    {AMQP_ERR_HEARTBEAT_PAYLOAD, "heartbeat with a payload"},
    {AMQP_ERR_HEARTBEAT_CHANNEL, "heartbeat on a channel"},
    {AMQP_ERR_HEADER_WEIGHT, "content header with a weight"},
    {AMQP_ERR_TABLE_TYPE, "unknown field type"},
    {AMQP_ERR_TABLE_DEPTH, "tables nested too deeply"},
    {AMQP_ERR_TABLE_SIZE, "table too large"},
    {AMQP_ERR_WRONG_TYPE, "value of another type"},
    {AMQP_ERR_NO_ROOM, "buffer too small"},
};

const char *amqp_error_text(int error)
{
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (texts[i].error == error)
            return texts[i].text;
    return "unknown error";
}

/* Skips what is plain ASCII, eight bytes at a time as long as there are eight. */
static const uint8_t *skip_ascii(const uint8_t *p, const uint8_t *end)
{
    uint64_t word;

    while (end - p >= (ptrdiff_t)sizeof(word)) {
        memcpy(&word, p, sizeof(word));
        if (word & UINT64_C(0x8080808080808080))
            break;
        p += sizeof(word);
    }
    while (p < end && *p < 0x80)
        p++;
    return p;
}

/* Length of the sequence that begins with a byte >= 0x80 at p, or 0 when it is malformed. */
static size_t sequence_len(const uint8_t *p, size_t left)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000}; /* below it: an overlong form */
    size_t len = *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : 2;
    uint32_t code;

    if (*p < 0xc0 || *p > 0xf4 || left < len)
        return 0;
    code = *p & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (p[i] & 0x3f);
    }
    if (code < least[len] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return 0;
    return len;
}

bool amqp_is_utf8(struct amqp_bytes b)
{
    const uint8_t *p = b.p;
    const uint8_t *end = b.len ? b.p + b.len : b.p;

    for (p = skip_ascii(p, end); p < end; p = skip_ascii(p, end)) {
        size_t len = sequence_len(p, (size_t)(end - p));

        if (!len)
            return false;
        p += len;
    }
    return true;
}
