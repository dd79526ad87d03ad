/*
 * Where lines go: standard error, a file with its rotation, systemd's journal.
 */
#include "broker/core/log_output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "broker/core/config.h"
#include "broker/runtime/alloc.h"

enum { PATIENCE_MS = 500, CHUNK = 4096 }; /* a pipe that is ready takes so many bytes at once */

static const struct config_log_output *setting(enum log_sink sink)
{
    const struct config *c = config();

    return sink == LOG_TO_CONSOLE ? &c->log_console
           : sink == LOG_TO_FILE  ? &c->log_file
                                  : &c->log_journal;
}

bool log_output_path(const struct config *c, char ret[LOG_PATH_MAX])
{
    if (!*c->log_path || !strcmp(c->log_path, "false"))
        return false;
    if (*c->log_path == '/')
        snprintf(ret, LOG_PATH_MAX, "%s", c->log_path);
    else
        snprintf(ret, LOG_PATH_MAX, "%s/%s", c->log_dir, c->log_path);
    return true;
}

unsigned log_output_level(enum log_sink sink)
{
    const struct config_log_output *s = setting(sink);
    char path[LOG_PATH_MAX];
    bool is_on = sink == LOG_TO_FILE ? log_output_path(config(), path) : s->is_on;

    if (!is_on)
        return LOG_LEVEL_NONE;
    return (unsigned)(s->level == LOG_LEVEL_OF_ALL ? config()->log_level : s->level);
}

void log_output_init(struct log_output *o, enum log_sink sink)
{
    *o = (struct log_output){.sink = sink, .fd = -1};
}

static void close_fd(struct log_output *o)
{
    if (o->fd >= 0 && o->sink != LOG_TO_CONSOLE)
        close(o->fd);
    o->fd = -1;
}

void log_output_fini(struct log_output *o)
{
    close_fd(o);
    rt_free(o->buffer);
}

static int open_file(struct log_output *o)
{
    char path[LOG_PATH_MAX];
    struct stat st;

    if (!log_output_path(config(), path))
        return -ENOENT;
    o->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0640);
    if (o->fd < 0)
        return -errno;
    o->size_bytes = fstat(o->fd, &st) == 0 ? (uint64_t)st.st_size : 0;
    return 0;
}

static int open_journal(struct log_output *o)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};

    _Static_assert(sizeof(to.sun_path) > sizeof(((struct config *)0)->log_journal_socket),
                   "a path that the configuration takes fits");
    strcpy(to.sun_path, config()->log_journal_socket);
    o->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (o->fd < 0 || connect(o->fd, (struct sockaddr *)&to, sizeof(to)) < 0)
        return -errno;
    return 0;
}

int log_output_open(struct log_output *o)
{
    close_fd(o);
    if (o->sink == LOG_TO_FILE)
        return open_file(o);
    if (o->sink == LOG_TO_JOURNAL)
        return open_journal(o);
    o->fd = STDERR_FILENO;
    return 0;
}

/* FILE.1 becomes FILE.2 and so on, FILE becomes FILE.0; the last one goes. */
static void rotate(struct log_output *o)
{
    char path[LOG_PATH_MAX], from[LOG_PATH_MAX + 16], to[LOG_PATH_MAX + 16];

    if (!log_output_path(config(), path))
        return;
    for (unsigned i = (unsigned)config()->log_rotate_count - 1; i > 0; i--) {
        snprintf(from, sizeof(from), "%s.%u", path, i - 1);
        snprintf(to, sizeof(to), "%s.%u", path, i);
        (void)rename(from, to); /* one that is not there yet */
    }
    snprintf(to, sizeof(to), "%s.0", path);
    if (rename(path, to) == 0)
        (void)log_output_open(o); /* -1 stays then, and the lines are counted as lost */
}

/* 0 or -errno. What takes nothing for a while is not waited for again until it does. */
static int write_all(struct log_output *o, size_t len)
{
    struct pollfd p = {.fd = o->fd, .events = POLLOUT};

    for (size_t at = 0; at < len;) {
        size_t n = len - at < CHUNK ? len - at : CHUNK;
        int ready = poll(&p, 1, o->is_stuck ? 0 : PATIENCE_MS);
        ssize_t r;

        if (ready < 0 && errno == EINTR)
            continue;
        o->is_stuck = ready == 0;
        if (ready <= 0)
            return ready < 0 ? -errno : -EAGAIN;
        r = write(o->fd, o->buffer + at, n);
        if (r < 0 && errno != EINTR)
            return -errno;
        at += r < 0 ? 0 : (size_t)r;
    }
    return 0;
}

static int put(struct log_output *o, size_t len)
{
    if (o->fd < 0 && log_output_open(o) < 0)
        return -EBADF;
    if (o->sink != LOG_TO_JOURNAL)
        return write_all(o, len);
    if (send(o->fd, o->buffer, len, MSG_NOSIGNAL) >= 0)
        return 0;
    if (log_output_open(o) < 0) /* the journal was started again */
        return -errno;
    return send(o->fd, o->buffer, len, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static size_t format(struct log_output *o, const struct log_event *e)
{
    if (log_format_room(e) > o->room) {
        o->room = log_format_room(e);
        o->buffer = rt_realloc(o->buffer, o->room);
    }
    if (o->sink == LOG_TO_JOURNAL)
        return log_format_journal(o->buffer, e);
    return setting(o->sink)->format == CONFIG_LOG_JSON ? log_format_json(o->buffer, e)
                                                       : log_format_text(o->buffer, e);
}

static int write_event(struct log_output *o, const struct log_event *e)
{
    size_t len = format(o, e);
    uint64_t most = config()->log_rotate_bytes;
    int r;

    if (o->sink == LOG_TO_FILE && most > 0 && o->size_bytes > 0 && o->size_bytes + len > most)
        rotate(o);
    r = put(o, len);
    if (r == 0)
        o->size_bytes += len;
    return r;
}

void log_output_skipped(struct log_output *o, uint64_t n, int64_t wall_ms)
{
    enum { ROOM = 160 };
    _Alignas(struct log_event) char bytes[sizeof(struct log_event) + ROOM] = {0};
    struct log_event *note = (struct log_event *)(void *)bytes;

    note->wall_ms = wall_ms;
    note->level = LOG_LEVEL_WARNING;
    note->len =
        (uint32_t)snprintf(note->text, ROOM, "%llu lines were lost here%s%s", (unsigned long long)n,
                           o->error ? ": " : "", o->error ? strerror(-o->error) : "");
    (void)write_event(o, note); /* the next line finds it out */
}

void log_output_write(struct log_output *o, const struct log_event *e)
{
    int r = write_event(o, e);

    if (r < 0) {
        o->lost++;
        o->error = r;
        return;
    }
    if (o->lost > 0)
        log_output_skipped(o, o->lost, e->wall_ms);
    o->lost = 0;
    o->error = 0;
}
