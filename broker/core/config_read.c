/*
 * Files of the configuration: `key = value` lines, comments, includes.
 */
#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "broker/core/config_impl.h"

enum { INCLUDES_MAX = 8, PATH_ROOM = 4096 }; /* files that include files */

struct place {
    struct config_whole *whole;
    const char *path;
    unsigned line, depth;
    char *why; /* of errors, a line each, with file and line */
    size_t size;
};

static int read_any(struct config_whole *w, const char *path, unsigned depth, char *why,
                    size_t size);

/* Cuts white space off both ends, in place. */
static char *trim(char *s)
{
    char *end;

    while (isspace((unsigned char)*s))
        s++;
    end = s + strlen(s);
    while (end > s && isspace((unsigned char)end[-1]))
        end--;
    *end = 0;
    return s;
}

/* `end` if it is a quote behind the first that ends the value; NULL: it does not. */
static char *closing(const char *s, char *end)
{
    const char *rest = end ? end + 1 : NULL;

    if (!end || end == s)
        return NULL;
    rest += strspn(rest, " \t\r\n");
    return !*rest || *rest == '#' ? end : NULL;
}

/* A value in single quotes is as it stands there; any other one ends before a '#'. */
static char *cut_value(char *s)
{
    char *end;

    s = trim(s);
    if (*s == '\'' &&
        ((end = closing(s, strchr(s + 1, '\''))) || (end = closing(s, strrchr(s, '\''))))) {
        *end = 0;
        return s + 1;
    }
    s[strcspn(s, "#")] = 0;
    return trim(s);
}

/* Behind those that were found before, as far as there is room for a whole line. */
static int fail(const struct place *at, const char *text)
{
    size_t used = strlen(at->why);
    char line[16] = "";
    int n;

    if (at->line > 0)
        snprintf(line, sizeof(line), ":%u", at->line);
    n = snprintf(at->why + used, at->size - used, "%s%s%s: %s", used ? "\n" : "", at->path, line,
                 text);
    if (used && (size_t)n >= at->size - used)
        at->why[used] = 0;
    return -EINVAL;
}

/* `include PATTERN`, relative to the file that says so. What matches nothing is no error. */
static int include(const struct place *at, const char *pattern)
{
    char path[PATH_ROOM];
    const char *slash = strrchr(at->path, '/');
    int dir = *pattern == '/' || !slash ? 0 : (int)(slash - at->path) + 1, r = 0;
    glob_t found;

    if (at->depth >= INCLUDES_MAX)
        return fail(at, "too many files that include files");
    snprintf(path, sizeof(path), "%.*s%s", dir, at->path, pattern);
    if (glob(path, 0, NULL, &found) != 0)
        return 0;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        int one = read_any(at->whole, found.gl_pathv[i], at->depth + 1, at->why, at->size);

        r = r < 0 ? r : one;
    }
    globfree(&found);
    return r;
}

static int read_line(const struct place *at, char *line)
{
    char *s = trim(line), *eq, text[400], origin[CONFIG_ORIGIN_MAX];

    if (!*s || *s == '#')
        return 0;
    if (!strncmp(s, "include", 7) && isspace((unsigned char)s[7]))
        return include(at, cut_value(s + 7));
    eq = strchr(s, '=');
    if (!eq && *s == '[' && at->line == 1)
        return fail(at, "expected 'key = value'; files like advanced.config are not read");
    if (!eq)
        return fail(at, "expected 'key = value'");
    *eq = 0;
    snprintf(origin, sizeof(origin), "%.100s:%u", at->path, at->line);
    if (config_put(at->whole, trim(s), cut_value(eq + 1), origin, text, sizeof(text)) < 0)
        return fail(at, text);
    return 0;
}

static int read_stream(struct place *at, FILE *f)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    int r = 0;

    while ((len = getline(&line, &room, f)) >= 0) {
        int one;

        at->line++;
        one = strlen(line) == (size_t)len ? read_line(at, line) : fail(at, "there is a zero byte");
        r = r < 0 ? r : one;
    }
    free(line);
    return r;
}

static int read_directory(struct config_whole *w, const char *path, unsigned depth, char *why,
                          size_t size)
{
    char inside[PATH_ROOM];
    struct place at = {w, inside, 0, depth, why, size};

    snprintf(inside, sizeof(inside), "%s/", path);
    return include(&at, "*.conf");
}

static int read_any(struct config_whole *w, const char *path, unsigned depth, char *why,
                    size_t size)
{
    struct place at = {w, path, 0, depth, why, size};
    struct stat st;
    FILE *f;
    int r;

    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return read_directory(w, path, depth, why, size);
    f = fopen(path, "re");
    if (!f) {
        r = -errno;
        (void)fail(&at, strerror(errno));
        return r;
    }
    r = read_stream(&at, f);
    if (r == 0 && ferror(f)) {
        (void)fail(&at, "cannot be read");
        r = -EIO;
    }
    fclose(f);
    return r;
}

int config_read_into(struct config_whole *w, const char *path, char *ret_text, size_t size)
{
    *ret_text = 0;
    return read_any(w, path, 0, ret_text, size);
}
