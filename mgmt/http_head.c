/*
 * Whether a request's head means the same to whoever reads it.
 *
 * The server below is lenient: it takes a name as it stands before the colon, and a length as far
 * as it looks like a number. What a proxy would read otherwise is refused.
 */
#include "mgmt/http_head.h"

#include <event2/keyvalq_struct.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

struct seen {
    unsigned lengths, hosts, logins;
    bool is_odd;
};

/* RFC 9110, section 5.6.2. */
static bool is_token(const char *s)
{
    static const char signs[] = "!#$%&'*+-.^_`|~0123456789"
                                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

    return *s && !s[strspn(s, signs)];
}

/* RFC 9110, section 8.6: no sign, no blank, no list. */
static bool is_number(const char *s)
{
    return *s && !s[strspn(s, "0123456789")];
}

static void look_at(const struct evkeyval *h, struct seen *s)
{
    if (!is_token(h->key))
        s->is_odd = true;
    if (strcasecmp(h->key, "Content-Length") == 0) {
        s->lengths++;
        s->is_odd |= !is_number(h->value);
    }
    if (strcasecmp(h->key, "Transfer-Encoding") == 0) {
        s->lengths++;
        s->is_odd |= strcasecmp(h->value, "chunked") != 0;
    }
    s->hosts += strcasecmp(h->key, "Host") == 0;
    s->logins += strcasecmp(h->key, "Authorization") == 0;
}

/* RFC 9112, sections 3.2 (Host) and 6.3 (where a body ends). */
bool http_head_is_clear(const struct evkeyvalq *headers, bool needs_host)
{
    const struct evkeyval *h;
    struct seen s = {0};

    TAILQ_FOREACH(h, headers, next)
        look_at(h, &s);
    return !s.is_odd && s.lengths <= 1 && s.logins <= 1 && s.hosts <= 1 && s.hosts >= needs_host;
}
