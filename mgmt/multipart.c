#include "mgmt/multipart.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { BOUNDARY_MAX = 70 }; /* RFC 2046 §5.1.1 */

bool multipart_is(const char *content_type)
{
    return content_type && strncasecmp(content_type, "multipart/form-data", 19) == 0;
}

/* "\r\n--" and the boundary; false: there is none. */
static bool delimiter_of(const char *content_type, char out[BOUNDARY_MAX + 5])
{
    const char *at = strcasestr(content_type, "boundary=");
    size_t n;

    if (!at)
        return false;
    at += strlen("boundary=");
    at += *at == '"';
    n = strcspn(at, "\"; \t");
    if (n == 0 || n > BOUNDARY_MAX)
        return false;
    memcpy(out, "\r\n--", 4);
    memcpy(out + 4, at, n);
    out[4 + n] = '\0';
    return true;
}

/* Whether the head of a part has this name, which must be a plain one. */
static bool has_name(const uint8_t *head, size_t len, const char *name)
{
    char quoted[80], plain[80];
    int n = snprintf(quoted, sizeof(quoted), " name=\"%s\"", name);

    snprintf(plain, sizeof(plain), " name=%s\r", name);
    return memmem(head, len, quoted, (size_t)n) || memmem(head, len, plain, strlen(plain));
}

bool multipart_find(const char *content_type, struct amqp_bytes body, const char *name,
                    struct amqp_bytes *ret)
{
    char delimiter[BOUNDARY_MAX + 5];
    const uint8_t *at = body.p, *end = body.p + body.len, *head_end, *next;
    size_t len;

    if (!delimiter_of(content_type, delimiter) || !body.p)
        return false;
    len = strlen(delimiter);
    /* The first one may stand at the very beginning, without its line break. */
    if (body.len >= len - 2 && memcmp(at, delimiter + 2, len - 2) == 0)
        at += len - 2;
    else if ((at = memmem(at, body.len, delimiter, len)) != NULL)
        at += len;
    while (at && at < end) {
        head_end = memmem(at, (size_t)(end - at), "\r\n\r\n", 4);
        next = memmem(at, (size_t)(end - at), delimiter, len);
        if (!head_end || !next || head_end > next)
            return false;
        if (has_name(at, (size_t)(head_end + 1 - at), name)) {
            head_end += 4;
            *ret = amqp_bytes(head_end, next > head_end ? (size_t)(next - head_end) : 0);
            return true;
        }
        at = next + len;
    }
    return false;
}
