/*
 * Where requests begin and end, by RFC 9112.
 *
 * Stricter than it where that leaves a choice to who reads: lines end with CR LF, there is one
 * length or one coding, a header has no blank before its colon and goes on in no next line.
 */
#include "mgmt/framing.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum state {
    START, /* between two requests */
    START_LF,
    METHOD,
    TARGET_FIRST,
    SCHEME,
    SCHEME_END, /* its two slashes */
    AUTHORITY,
    PATH_FIRST, /* behind the slash */
    STAR,
    TARGET,
    VERSION,
    LINE_LF,
    NAME_FIRST,
    NAME,
    VALUE_FIRST, /* blanks before it */
    VALUE,
    END_LF, /* of a head, or of trailers */
    BODY,
    SIZE,
    EXTENSION,
    SIZE_LF,
    CHUNK,
    CHUNK_CR,
    CHUNK_LF,
};

enum header { OTHER, CONTENT_LENGTH, TRANSFER_ENCODING, HOST, AUTHORIZATION, EXPECT };

#define HOST_CHARACTERS "-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"

enum { MAX_DIGITS = 16, MAX_EXTENSION = 255 };

static enum framing_verdict refuse(struct framing *f, int status, const char *reason)
{
    f->status = status;
    f->reason = reason;
    return FRAMING_REFUSE;
}

static enum framing_verdict bad(struct framing *f, const char *reason)
{
    return refuse(f, 400, reason);
}

/* RFC 9110, section 5.6.2. */
static bool is_token(char c)
{
    return c && (isalnum((unsigned char)c) || strchr("!#$%&'*+-.^_`|~", c)) && !(c & 0x80);
}

/* Of a target or a value: no control character; RFC 9110, section 5.5. */
static bool is_text(char c)
{
    return (unsigned char)c >= 0x20 && c != 0x7F;
}

static void put(struct framing *f, char c)
{
    if (f->n_word < FRAMING_WORD - 1)
        f->word[f->n_word++] = c;
    else
        f->n_word = FRAMING_WORD; /* too long for all that is looked for */
}

/* Ends the word; false: it was cut. */
static bool close_word(struct framing *f)
{
    bool is_whole = f->n_word < FRAMING_WORD;

    f->word[is_whole ? f->n_word : 0] = 0;
    f->n_word = 0;
    return is_whole;
}

static enum framing_verdict go(struct framing *f, enum state state)
{
    f->state = state;
    return FRAMING_TAKE;
}

static enum framing_verdict between(struct framing *f)
{
    framing_init(f, f->max_head, f->max_body);
    return FRAMING_TAKE;
}

static enum framing_verdict end_method(struct framing *f)
{
    static const char *const known[] = {"GET",     "HEAD",    "POST",  "PUT",  "DELETE",
                                        "OPTIONS", "CONNECT", "TRACE", "PATCH"};
    const size_t n = sizeof(known) / sizeof(*known);
    size_t i = 0;

    if (!close_word(f) || !*f->word)
        return bad(f, "no request line");
    while (i < n && strcmp(f->word, known[i]) != 0)
        i++;
    if (i == n)
        return refuse(f, 501, "unknown method");
    if (strcmp(f->word, "CONNECT") == 0)
        return refuse(f, 405, "method not allowed");
    f->is_trace = strcmp(f->word, "TRACE") == 0;
    return go(f, TARGET_FIRST);
}

static enum framing_verdict at_target(struct framing *f, char c)
{
    if (c == '/')
        return go(f, PATH_FIRST);
    if (c == '*')
        return go(f, STAR);
    if (c != 'h' && c != 'H')
        return bad(f, "no target");
    put(f, c);
    return go(f, SCHEME);
}

static enum framing_verdict in_scheme(struct framing *f, char c)
{
    if (c != ':') {
        put(f, c);
        return isalpha((unsigned char)c) ? FRAMING_TAKE : bad(f, "no target");
    }
    if (!close_word(f) || (strcasecmp(f->word, "http") != 0 && strcasecmp(f->word, "https") != 0))
        return bad(f, "a target that is not of HTTP");
    f->n_line = 0;
    return go(f, SCHEME_END);
}

static enum framing_verdict behind_scheme(struct framing *f, char c)
{
    if (c != '/')
        return bad(f, "a target without a host");
    return f->n_line++ ? go(f, AUTHORITY) : FRAMING_TAKE;
}

/* RFC 3986, section 3.2.3: behind the host, or nothing. */
static bool is_port(const char *s)
{
    size_t n = strlen(s);

    return n == 0 || (*s == ':' && n <= 6 && strspn(s + 1, "0123456789") == n - 1 &&
                      strtoul(s + 1, NULL, 10) <= UINT16_MAX);
}

/* RFC 9112, section 3.2.2, without a user's name: RFC 9110, section 4.2.4. */
static bool is_authority(char *s)
{
    char *end = *s == '[' ? strchr(s, ']') : s + strcspn(s, ":");
    struct in6_addr address;
    bool is_host;

    if (!end)
        return false;
    if (*s != '[')
        return end > s && strspn(s, HOST_CHARACTERS) == (size_t)(end - s) && is_port(end);
    *end = 0;
    is_host = inet_pton(AF_INET6, s + 1, &address) == 1;
    return is_host && is_port(end + 1);
}

static enum framing_verdict in_target(struct framing *f, char c)
{
    if (c == ' ')
        return go(f, VERSION);
    return is_text(c) ? go(f, TARGET) : bad(f, "a target with a character that it cannot have");
}

static enum framing_verdict in_authority(struct framing *f, char c)
{
    if (!strchr("/?# ", c)) {
        put(f, c);
        return FRAMING_TAKE;
    }
    if (!close_word(f) || !is_authority(f->word))
        return bad(f, "a target without a host");
    return in_target(f, c);
}

/* RFC 9112, section 2.3. */
static enum framing_verdict end_version(struct framing *f)
{
    bool is_whole = close_word(f);
    const char *v = f->word;

    if (!is_whole || strlen(v) != 8 || strncmp(v, "HTTP/", 5) != 0 ||
        !isdigit((unsigned char)v[5]) || v[6] != '.' || !isdigit((unsigned char)v[7]))
        return bad(f, "no version of HTTP at the end of the request line");
    if (v[5] != '1' || v[7] > '1')
        return refuse(f, 505, "HTTP/1.0 and HTTP/1.1 are understood");
    f->is_1_1 = v[7] == '1';
    return go(f, LINE_LF);
}

static enum framing_verdict in_version(struct framing *f, char c)
{
    if (c == '\r')
        return end_version(f);
    if (!is_text(c))
        return bad(f, "a request line that does not end with CR LF");
    put(f, c);
    return FRAMING_TAKE;
}

static enum header header_of(const char *name)
{
    static const char *const names[] = {
        [CONTENT_LENGTH] = "Content-Length",
        [TRANSFER_ENCODING] = "Transfer-Encoding",
        [HOST] = "Host",
        [AUTHORIZATION] = "Authorization",
        [EXPECT] = "Expect",
    };

    for (enum header h = CONTENT_LENGTH; h <= EXPECT; h++) {
        if (strcasecmp(name, names[h]) == 0)
            return h;
    }
    return OTHER;
}

static enum framing_verdict in_name(struct framing *f, char c)
{
    if (c == ':') {
        f->watched = close_word(f) && !f->is_trailer ? header_of(f->word) : OTHER;
        return go(f, VALUE_FIRST);
    }
    if (!is_token(c))
        return bad(f, "a header's name with a character that it cannot have");
    put(f, c);
    return go(f, NAME);
}

/* RFC 9110, section 8.6: no sign, no blank, no list. */
static enum framing_verdict take_length(struct framing *f)
{
    if (!*f->word || f->word[strspn(f->word, "0123456789")])
        return bad(f, "a Content-Length that is no number");
    for (const char *at = f->word; *at; at++) {
        f->body = f->body * 10 + (uint64_t)(*at - '0');
        if (f->body > f->max_body)
            return refuse(f, 413, "the body is too long");
    }
    return FRAMING_TAKE;
}

static void trim(char *s)
{
    size_t n = strlen(s);

    while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\t'))
        s[--n] = 0;
}

/* RFC 9112, section 3.2, RFC 9110, section 5.3: whoever reads would take one or the other. */
static bool is_first(struct framing *f)
{
    bool *const had[] = {[CONTENT_LENGTH] = &f->has_length,
                         [TRANSFER_ENCODING] = &f->has_coding,
                         [HOST] = &f->has_host,
                         [AUTHORIZATION] = &f->has_login};
    bool before;

    if (f->watched == OTHER || f->watched == EXPECT)
        return true;
    before = *had[f->watched];
    *had[f->watched] = true;
    return !before;
}

static enum framing_verdict take_value(struct framing *f)
{
    bool is_whole = close_word(f);

    trim(f->word);
    if (!is_first(f))
        return bad(f, "a header twice that there may be once");
    if (f->watched == CONTENT_LENGTH)
        return is_whole ? take_length(f) : bad(f, "a Content-Length that is too long");
    if (f->watched == TRANSFER_ENCODING && strcasecmp(f->word, "chunked") != 0)
        return bad(f, "a Transfer-Encoding but chunked");
    if (f->watched == EXPECT && strcasecmp(f->word, "100-continue") != 0)
        return refuse(f, 417, "an expectation but 100-continue");
    return FRAMING_TAKE;
}

static enum framing_verdict in_value(struct framing *f, char c)
{
    enum framing_verdict v;

    if (f->state == VALUE_FIRST && (c == ' ' || c == '\t'))
        return FRAMING_TAKE;
    if (c == '\r') {
        v = take_value(f);
        f->state = LINE_LF;
        return v;
    }
    if (!is_text(c) && c != '\t')
        return bad(f, "a header with a character that it cannot have, or a line without CR LF");
    put(f, c);
    return go(f, VALUE);
}

static enum framing_verdict at_line(struct framing *f, char c)
{
    if (c == '\r')
        return go(f, END_LF);
    if (c == ' ' || c == '\t')
        return bad(f, "a header that goes on in the next line");
    return c == ':' ? bad(f, "a header without a name") : in_name(f, c);
}

static enum framing_verdict begin_size(struct framing *f)
{
    f->left = 0;
    f->n_line = 0;
    return go(f, SIZE);
}

/* RFC 9112, sections 3.2 (Host) and 6.3 (where a body ends). */
static enum framing_verdict end_head(struct framing *f)
{
    if (f->is_trailer)
        return between(f);
    if (f->is_1_1 && !f->has_host)
        return bad(f, "no Host");
    if (f->has_length && f->has_coding)
        return bad(f, "a Content-Length beside a Transfer-Encoding");
    if (f->has_coding && !f->is_1_1)
        return bad(f, "a Transfer-Encoding, which HTTP/1.0 has not");
    if (f->is_trace && (f->has_length || f->has_coding))
        return bad(f, "TRACE with a body");
    if (f->has_coding)
        return begin_size(f);
    f->left = f->body;
    return f->left ? go(f, BODY) : between(f);
}

/* RFC 9112, section 7.1. */
static enum framing_verdict in_size(struct framing *f, char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *digit = c ? strchr(digits, tolower((unsigned char)c)) : NULL;

    if (digit) {
        if (f->n_line++ == MAX_DIGITS)
            return bad(f, "a chunk's size that is too long");
        f->left = f->left * 16 + (uint64_t)(digit - digits);
        return f->body + f->left > f->max_body ? refuse(f, 413, "the body is too long")
                                               : FRAMING_TAKE;
    }
    if (!f->n_line || (c != '\r' && c != ';'))
        return bad(f, "a chunk's size that is no hexadecimal number");
    if (c == '\r')
        return go(f, SIZE_LF);
    f->n_line = 0;
    f->state = EXTENSION;
    return FRAMING_DROP;
}

static enum framing_verdict in_extension(struct framing *f, char c)
{
    if (c == '\r')
        return go(f, SIZE_LF);
    if (!is_text(c) && c != '\t')
        return bad(f, "a chunk's extension with a character that it cannot have");
    if (f->n_line++ == MAX_EXTENSION)
        return bad(f, "a chunk's extension that is too long");
    return FRAMING_DROP;
}

static enum framing_verdict end_size(struct framing *f)
{
    f->body += f->left;
    if (f->left)
        return go(f, CHUNK);
    f->is_trailer = true;
    f->n_head = 0;
    return go(f, NAME_FIRST);
}

static enum framing_verdict at_start(struct framing *f, char c)
{
    if (c == '\r') {
        f->state = START_LF;
        return FRAMING_DROP;
    }
    if (!is_token(c))
        return bad(f, "no request line");
    put(f, c);
    return go(f, METHOD);
}

static enum framing_verdict in_method(struct framing *f, char c)
{
    if (c == ' ')
        return end_method(f);
    if (!is_token(c))
        return bad(f, "no request line");
    put(f, c);
    return FRAMING_TAKE;
}

static enum framing_verdict expect(struct framing *f, char c, char wanted, enum state next)
{
    return c == wanted ? go(f, next) : bad(f, "a line that does not end with CR LF");
}

static enum framing_verdict one(struct framing *f, char c)
{
    switch ((enum state)f->state) {
    case START:
        return at_start(f, c);
    case START_LF:
        return expect(f, c, '\n', START) == FRAMING_TAKE ? FRAMING_DROP : FRAMING_REFUSE;
    case METHOD:
        return in_method(f, c);
    case TARGET_FIRST:
        return at_target(f, c);
    case SCHEME:
        return in_scheme(f, c);
    case SCHEME_END:
        return behind_scheme(f, c);
    case AUTHORITY:
        return in_authority(f, c);
    case PATH_FIRST:
        return c == '/' ? go(f, AUTHORITY) : in_target(f, c); /* so the server reads it */
    case STAR:
        return expect(f, c, ' ', VERSION);
    case TARGET:
        return in_target(f, c);
    case VERSION:
        return in_version(f, c);
    case LINE_LF:
        return expect(f, c, '\n', NAME_FIRST);
    case NAME_FIRST:
        return at_line(f, c);
    case NAME:
        return in_name(f, c);
    case VALUE_FIRST:
    case VALUE:
        return in_value(f, c);
    case END_LF:
        return expect(f, c, '\n', END_LF) == FRAMING_TAKE ? end_head(f) : FRAMING_REFUSE;
    case SIZE:
        return in_size(f, c);
    case EXTENSION:
        return in_extension(f, c);
    case SIZE_LF:
        return expect(f, c, '\n', SIZE_LF) == FRAMING_TAKE ? end_size(f) : FRAMING_REFUSE;
    case CHUNK_CR:
        return expect(f, c, '\r', CHUNK_LF);
    case CHUNK_LF:
        return expect(f, c, '\n', SIZE) == FRAMING_TAKE ? begin_size(f) : FRAMING_REFUSE;
    case BODY:
    case CHUNK:
        break;
    }
    return FRAMING_REFUSE; /* they are counted, not looked at: in_bulk */
}

/* The lines before the first chunk, and the trailers behind the last. */
static bool is_head(const struct framing *f)
{
    return f->state <= END_LF;
}

/* The part of a body that is here. */
static size_t in_bulk(struct framing *f, size_t n)
{
    size_t part = n < f->left ? n : (size_t)f->left;

    f->left -= part;
    f->taken += part;
    if (f->left)
        return part;
    if (f->state == BODY)
        (void)between(f);
    else
        f->state = CHUNK_CR;
    return part;
}

static enum framing_verdict too_long(struct framing *f)
{
    return f->state <= VERSION ? refuse(f, 414, "the request line is too long")
                               : refuse(f, 431, "the head is too long");
}

/* Looks at one octet, or at a part of a body; how many it was. */
static size_t step(struct framing *f, const char *octets, size_t n, enum framing_verdict *ret)
{
    bool was_trailer = f->is_trailer && f->state != END_LF;

    *ret = FRAMING_TAKE;
    if (f->state == BODY || f->state == CHUNK)
        return in_bulk(f, n);
    if (is_head(f) && f->n_head++ == f->max_head) {
        *ret = too_long(f);
        return 1;
    }
    *ret = one(f, *octets);
    if (was_trailer && *ret == FRAMING_TAKE && f->state != END_LF)
        *ret = FRAMING_DROP;
    if (*ret == FRAMING_TAKE && f->state != START)
        f->taken++;
    return 1;
}

void framing_init(struct framing *f, size_t max_head, size_t max_body)
{
    *f = (struct framing){.max_head = max_head, .max_body = max_body};
}

size_t framing_look(struct framing *f, const char *octets, size_t n, enum framing_verdict *ret)
{
    size_t seen = 0;

    while (seen < n) {
        struct framing before = *f;
        enum framing_verdict v;
        size_t used = step(f, octets + seen, n - seen, &v);

        if (seen && v != *ret) { /* it begins the next run */
            *f = before;
            break;
        }
        *ret = v;
        seen += used;
        if (v == FRAMING_REFUSE)
            break;
    }
    return seen;
}
