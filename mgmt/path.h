/*
 * path.h - the path of a request, cut at its slashes and decoded.
 */
#ifndef MGMT_PATH_H
#define MGMT_PATH_H

#include <stdbool.h>
#include <stddef.h>

enum { PATH_SEGMENTS = 8, PATH_SIZE = 4096 };

struct path_segment { /* decoded, so it may hold any byte; a NUL follows it */
    const char *p;
    size_t len;
};

struct path {
    unsigned n;
    struct path_segment segment[PATH_SEGMENTS];
    char text[PATH_SIZE];
};

/*
 * Cuts first and decodes then, so that %2F stands in a name and not between two. One slash at the
 * end means nothing. False when it does not begin with a slash, is too long, or has too many
 * segments. *ret must stay where it is.
 */
bool path_split(const char *raw, struct path *ret);

/* Whether it has the segments of a pattern such as "api/queues/x/x", where x is any one. */
bool path_matches(const struct path *path, const char *pattern);

/*
 * The value of the first parameter of this name in a query (NULL: none) as it came, lent;
 * *ret_len: its length. NULL: no such parameter.
 */
const char *query_find(const char *query, const char *name, size_t *ret_len);
/* Decodes a value into `out`, which has room for len + 1 bytes; the length, a NUL follows. */
size_t query_decode(const char *raw, size_t len, char *out);

#endif
