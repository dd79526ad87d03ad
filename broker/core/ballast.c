#include "broker/core/ballast.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static void make_path(char *out, size_t size, const char *data_dir)
{
    snprintf(out, size, "%s/ballast", data_dir);
}

enum ballast_step ballast_decide(bool is_there, uint64_t free_bytes, uint64_t size, uint64_t limit)
{
    if (is_there)
        return size == 0 || free_bytes < size / 2 ? BALLAST_GIVE_UP : BALLAST_LEAVE;
    /* UINT64_MAX: nobody knows. */
    if (size == 0 || free_bytes == UINT64_MAX || free_bytes / 2 < size)
        return BALLAST_LEAVE;
    return free_bytes - 2 * size >= limit ? BALLAST_MAKE : BALLAST_LEAVE;
}

bool ballast_is_there(const char *data_dir)
{
    char path[600];

    make_path(path, sizeof(path), data_dir);
    return access(path, F_OK) == 0;
}

static int make(const char *path, uint64_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    int r;

    if (fd < 0)
        return -errno;
    r = -posix_fallocate(fd, 0, (off_t)size);
    (void)close(fd); /* nothing was written */
    if (r < 0)
        (void)unlink(path); /* what is left is made anew or given up another time */
    return r;
}

int ballast_do(enum ballast_step step, const char *data_dir, uint64_t size)
{
    char path[600];

    make_path(path, sizeof(path), data_dir);
    if (step == BALLAST_MAKE)
        return make(path, size);
    return step == BALLAST_GIVE_UP && unlink(path) < 0 ? -errno : 0;
}
