/*
 * Metrics as text.
 */
#include "mgmt/exposition.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "amqp/codec/bytes.h"

static void add_line(struct exposition *e, const char *what, const char *text)
{
    text_add_str(e->out, what);
    text_add_str(e->out, e->prefix);
    text_add_str(e->out, e->name);
    text_add_str(e->out, " ");
    text_add_str(e->out, text);
    text_add_str(e->out, "\n");
}

void metric_begin(struct exposition *e, const char *prefix, const char *name, const char *type,
                  const char *help)
{
    e->prefix = prefix;
    e->name = name;
    add_line(e, "# TYPE ", type);
    add_line(e, "# HELP ", help);
}

void sample_begin(struct exposition *e, const char *suffix)
{
    text_add_str(e->out, e->prefix);
    text_add_str(e->out, e->name);
    text_add_str(e->out, suffix);
    e->n_labels = 0;
}

/* The length of the UTF-8 character that `p` begins with; 0: none is there. NUL is none. */
static size_t char_len(const uint8_t *p, size_t left)
{
    for (size_t n = 1; n <= 4 && n <= left && *p; n++) {
        if (amqp_is_utf8(amqp_bytes(p, n)))
            return n;
    }
    return 0;
}

/* How many bytes there are before one that may not stand as it is. */
static size_t plain_len(const uint8_t *p, size_t len)
{
    size_t n = 0;

    while (n < len && p[n] >= ' ' && p[n] < 0x7f && p[n] != '\\' && p[n] != '"')
        n++;
    return n;
}

static void add_escaped(struct text *out, const uint8_t *p, size_t len)
{
    size_t plain = plain_len(p, len);

    text_add(out, (const char *)p, plain);
    for (p += plain, len -= plain; len > 0;) {
        size_t n = char_len(p, len);

        if (*p == '\\' || *p == '"')
            text_add(out, "\\", 1);
        if (*p == '\n')
            text_add_str(out, "\\n");
        else if (n)
            text_add(out, (const char *)p, n);
        else
            text_add_str(out, "\xef\xbf\xbd");
        p += n ? n : 1;
        len -= n ? n : 1;
    }
}

void sample_label(struct exposition *e, const char *name, const void *value, size_t len)
{
    text_add_str(e->out, e->n_labels++ ? "," : "{");
    text_add_str(e->out, name);
    text_add_str(e->out, "=\"");
    add_escaped(e->out, value, len);
    text_add_str(e->out, "\"");
}

void sample_label_str(struct exposition *e, const char *name, const char *value)
{
    sample_label(e, name, value, strlen(value));
}

static void end(struct exposition *e, const char *value)
{
    text_add_str(e->out, e->n_labels ? "} " : " ");
    text_add_str(e->out, value);
    text_add_str(e->out, "\n");
}

void sample_end(struct exposition *e, uint64_t value)
{
    char text[24], *at = text + sizeof(text) - 1;

    *at = '\0';
    do { /* there may be millions of samples, and printf takes longer than all else */
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    end(e, at);
}

void sample_end_real(struct exposition *e, double value)
{
    char text[32];

    if (isnan(value))
        strcpy(text, "NaN");
    else if (isinf(value))
        strcpy(text, value > 0 ? "+Inf" : "-Inf");
    else
        snprintf(text, sizeof(text), "%.15g", value);
    end(e, text);
}

void metric_value(struct exposition *e, uint64_t value)
{
    sample_begin(e, "");
    sample_end(e, value);
}
