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

/* Whether one of the &-separated parts of a query (NULL: none) is exactly this. */
bool query_has(const char *query, const char *part);

#endif
