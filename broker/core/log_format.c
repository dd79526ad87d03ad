/*
 * Formats of a line: text, a JSON object, a datagram for systemd's journal.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "broker/core/log_output.h"

enum { HEAD_ROOM = 256, GROWTH = 6 }; /* a byte becomes \u00XX at most */

size_t log_format_room(const struct log_event *e)
{
    return HEAD_ROOM + (size_t)e->len * GROWTH;
}

static size_t put_time(char *out, size_t size, int64_t wall_ms, const char *format)
{
    time_t s = (time_t)(wall_ms / 1000);
    struct tm tm;
    size_t n;

    gmtime_r(&s, &tm);
    n = strftime(out, size, format, &tm);
    return n + (size_t)snprintf(out + n, size - n, ".%03d", (int)(wall_ms % 1000));
}

size_t log_format_head(char *out, size_t size, int64_t wall_ms, enum log_level level)
{
    size_t n = put_time(out, size, wall_ms, "%Y-%m-%d %H:%M:%S");

    return n + (size_t)snprintf(out + n, size - n, " [%s] ", log_level_name(level));
}

size_t log_format_text(char *out, const struct log_event *e)
{
    size_t n = log_format_head(out, HEAD_ROOM, e->wall_ms, e->level);

    memcpy(out + n, e->text, e->len);
    out[n + e->len] = '\n';
    return n + e->len + 1;
}

/* The length of the UTF-8 sequence at p; 0: there is none. */
static size_t utf8_length(const unsigned char *p, size_t left)
{
    static const unsigned lowest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = *p < 0x80 ? 1 : *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : *p >= 0xc2 ? 2 : 0;
    unsigned code;

    if (n <= 1 || n > left)
        return n == 1;
    code = *p & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (p[i] & 0x3f);
    }
    return code < lowest[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0 : n;
}

static size_t put_escaped(char *out, const unsigned char *p, size_t len)
{
    size_t n = 0;

    for (size_t i = 0, step; i < len; i += step) {
        step = utf8_length(p + i, len - i);
        if (step == 0) {
            n += (size_t)sprintf(out + n, "\\ufffd");
            step = 1;
        } else if (p[i] == '\n') {
            n += (size_t)sprintf(out + n, "\\n");
        } else if (p[i] < 0x20 || p[i] == '"' || p[i] == '\\') {
            n += (size_t)sprintf(out + n, "\\u%04x", p[i]);
        } else {
            memcpy(out + n, p + i, step);
            n += step;
        }
    }
    return n;
}

size_t log_format_json(char *out, const struct log_event *e)
{
    char time[64];
    size_t n;

    (void)put_time(time, sizeof(time), e->wall_ms, "%Y-%m-%dT%H:%M:%S");
    n = (size_t)snprintf(out, HEAD_ROOM,
                         "{\"time\":\"%sZ\",\"level\":\"%s\",\"category\":\"%s\",\"msg\":\"", time,
                         log_level_name(e->level), log_category_name(e->category));
    n += put_escaped(out + n, (const unsigned char *)e->text, e->len);
    memcpy(out + n, "\"}\n", 3);
    return n + 3;
}

/* systemd.io/JOURNAL_NATIVE_PROTOCOL: a field with its length, because there may be newlines. */
size_t log_format_journal(char *out, const struct log_event *e)
{
    static const char priority[] = {'7', '6', '4', '3'};
    uint64_t len = e->len;
    size_t n = (size_t)snprintf(
        out, HEAD_ROOM, "PRIORITY=%c\nSYSLOG_IDENTIFIER=warren\nWARREN_CATEGORY=%s\nMESSAGE\n",
        priority[e->level], log_category_name(e->category));

    for (unsigned i = 0; i < 8; i++)
        out[n++] = (char)(len >> 8 * i);
    memcpy(out + n, e->text, e->len);
    out[n + e->len] = '\n';
    return n + e->len + 1;
}
