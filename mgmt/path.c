/*
 * Cutting and matching of paths.
 */
#include "mgmt/path.h"

#include <event2/http.h>
#include <stdlib.h>
#include <string.h>

#include "broker/runtime/region.h"

/* Puts the decoded form of raw[0..len) at `at`, which has room for it and a NUL; its length. */
static size_t decode(const char *raw, size_t len, bool plus_is_blank, char *at)
{
    RUNTIME_REGION();
    char *decoded;
    size_t size;

    memcpy(at, raw, len);
    at[len] = '\0';
    decoded = evhttp_uridecode(at, plus_is_blank, &size);
    if (!decoded)
        return len; /* no memory: it stays as it is */
    memcpy(at, decoded, size);
    at[size] = '\0';
    free(decoded);
    return size;
}

bool path_split(const char *raw, struct path *ret)
{
    size_t left = strlen(raw);
    char *at = ret->text;

    ret->n = 0;
    if (*raw != '/' || left + PATH_SEGMENTS >= PATH_SIZE)
        return false;
    while (*raw == '/' && raw[1]) {
        size_t len = strcspn(++raw, "/");

        if (ret->n == PATH_SEGMENTS)
            return false;
        ret->segment[ret->n] = (struct path_segment){at, decode(raw, len, false, at)};
        at += ret->segment[ret->n++].len + 1;
        raw += len;
    }
    return true;
}

static bool is_any(const char *pattern, size_t len)
{
    return len == 1 && *pattern == 'x';
}

bool path_matches(const struct path *path, const char *pattern)
{
    unsigned i = 0;

    for (; i < path->n && *pattern; i++) {
        size_t len = strcspn(pattern, "/");
        const struct path_segment *s = &path->segment[i];

        if (!is_any(pattern, len) && (s->len != len || memcmp(s->p, pattern, len)))
            return false;
        pattern += len + (pattern[len] == '/');
    }
    return i == path->n && !*pattern;
}

const char *query_find(const char *query, const char *name, size_t *ret_len)
{
    size_t name_len = strlen(name);

    while (query && *query) {
        size_t n = strcspn(query, "&");

        if (n > name_len && query[name_len] == '=' && !memcmp(query, name, name_len)) {
            *ret_len = n - name_len - 1;
            return query + name_len + 1;
        }
        query += n + (query[n] == '&');
    }
    return NULL;
}

size_t query_decode(const char *raw, size_t len, char *out)
{
    return decode(raw, len, true, out);
}
