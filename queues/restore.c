#include "queues/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/runtime/alloc.h"
#include "persistence/crc32c.h"
#include "persistence/db.h"
#include "queues/manifest.h"

#define MARK "RESTORE-IS-NOT-DONE"

static void mark_path(char *out, size_t size, const char *dir)
{
    snprintf(out, size, "%s/%s", dir, MARK);
}

bool restore_is_half(const char *data_dir)
{
    char path[600];

    mark_path(path, sizeof(path), data_dir);
    return access(path, F_OK) == 0;
}

static int set_mark(const char *dir)
{
    char path[600];
    int fd;

    mark_path(path, sizeof(path), dir);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    (void)close(fd); /* nothing was written */
    return manifest_sync(dir);
}

static int remove_mark(const char *dir)
{
    char path[600];

    mark_path(path, sizeof(path), dir);
    if (unlink(path) < 0)
        return -errno;
    return manifest_sync(dir);
}

static int write_all(int fd, const uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t w = write(fd, p, n);

        if (w < 0 && errno != EINTR)
            return -errno;
        if (w > 0) {
            p += w;
            n -= (size_t)w;
        }
    }
    return 0;
}

/* Copies and sums; -EUCLEAN where it is not what the manifest says. */
static int copy_open(int in, int out, const struct manifest_store *s)
{
    enum { PIECE = 1 << 20 };
    uint8_t *buf = rt_alloc(PIECE);
    uint64_t bytes = 0;
    uint32_t crc = 0;
    ssize_t n;
    int r = 0;

    while (r == 0 && (n = read(in, buf, PIECE)) != 0) {
        r = n < 0 ? -errno : write_all(out, buf, (size_t)n);
        if (r == 0)
            crc = crc32c(crc, buf, (size_t)n);
        bytes += n > 0 ? (uint64_t)n : 0;
    }
    rt_free(buf);
    if (r == 0 && (bytes != s->bytes || crc != s->crc))
        r = -EUCLEAN;
    return r == 0 && fsync(out) < 0 ? -errno : r;
}

static int copy_file(const char *from, const char *to, const struct manifest_store *s)
{
    int in = open(from, O_RDONLY | O_CLOEXEC), out, r;

    if (in < 0)
        return -errno;
    out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    r = out < 0 ? -errno : copy_open(in, out, s);
    (void)close(in); /* it was only read */
    if (out >= 0 && close(out) < 0 && r == 0)
        r = -errno;
    return r;
}

static int restore_store(const char *from, const char *to, const struct manifest_store *s,
                         FILE *out, char *why, size_t why_size)
{
    char source[600], target[600], dir[600];
    struct db_found found;
    int r;

    manifest_path(source, sizeof(source), from, s->name);
    manifest_path(target, sizeof(target), to, s->name);
    snprintf(dir, sizeof(dir), "%s/%s", to, s->name);
    r = mkdir(dir, 0700) < 0 ? -errno : copy_file(source, target, s);
    if (r == 0)
        r = manifest_sync(dir);
    if (r < 0) {
        snprintf(why, why_size, "%.200s: %s", source,
                 r == -EUCLEAN ? "is not what the manifest says" : strerror(-r));
        return r;
    }
    r = db_verify(dir, NULL, &found, why, why_size);
    if (r == 0)
        fprintf(out, "%s %s: %llu definitions, %llu messages in %llu queues, %llu bytes\n",
                *s->vhost ? "vhost" : "node", s->vhost, (unsigned long long)found.definitions,
                (unsigned long long)found.messages, (unsigned long long)found.queues,
                (unsigned long long)found.bytes);
    return r;
}

static int restore_all(const char *from, const char *to, const struct manifest *m, FILE *out,
                       char *why, size_t why_size)
{
    int r = set_mark(to);

    why[0] = '\0';
    for (size_t i = 0; r == 0 && i < m->n; i++) {
        if (*m->v[i].missing)
            fprintf(out, "vhost %s: not in this backup, and empty: it was down: %s\n",
                    m->v[i].vhost, m->v[i].missing);
        else
            r = restore_store(from, to, &m->v[i], out, why, why_size);
    }
    if (r == 0)
        r = remove_mark(to);
    if (r < 0 && !why[0])
        snprintf(why, why_size, "%.200s: %s", to, strerror(-r));
    return r;
}

int restore(const char *from, const char *to, FILE *out, char *why, size_t why_size)
{
    struct manifest m = {0};
    int r = manifest_read(from, &m, why, why_size);

    if (r < 0)
        return r;
    r = manifest_make_dir(to);
    if (r < 0)
        snprintf(why, why_size, "cannot restore into %.200s: %s", to, strerror(-r));
    else
        r = restore_all(from, to, &m, out, why, why_size);
    manifest_fini(&m);
    return r;
}
