#include "broker/core/alarms_measure.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { FILE_MAX = 4096 };

/* A short file as text; 0: it cannot be read. */
static size_t read_text(const char *path, char out[FILE_MAX])
{
    FILE *f = fopen(path, "re");
    size_t n;

    if (!f)
        return 0;
    n = fread(out, 1, FILE_MAX - 1, f);
    fclose(f);
    out[n] = '\0';
    return n;
}

/* "max" and what is no number are no limit. */
static uint64_t read_limit(const char *path)
{
    char text[FILE_MAX], *end;
    unsigned long long v;

    if (read_text(path, text) == 0)
        return UINT64_MAX;
    v = strtoull(text, &end, 10);
    return end == text || v == 0 ? UINT64_MAX : v;
}

/* Version 2 of cgroups has one line, "0::/a/b"; version 1 one for each controller. */
static uint64_t limit_of(const char *root, const char *group, size_t len, const char *file)
{
    uint64_t least = UINT64_MAX;
    char path[1024];

    for (;;) {
        uint64_t v;

        if (snprintf(path, sizeof(path), "%s%.*s/%s", root, (int)len, group, file) >=
            (int)sizeof(path))
            return least;
        v = read_limit(path);
        least = v < least ? v : least;
        if (len == 0)
            return least;
        while (len > 0 && group[len - 1] != '/')
            len--;
        len -= len > 0;
    }
}

uint64_t measure_cgroup_limit(const char *text, const char *root)
{
    uint64_t least = UINT64_MAX;
    char memory_root[512];

    snprintf(memory_root, sizeof(memory_root), "%s/memory", root);
    while (*text) {
        size_t len = strcspn(text, "\n");
        const char *group = memchr(text, '/', len);
        size_t group_len = group ? len - (size_t)(group - text) : 0;
        uint64_t v = UINT64_MAX;

        if (group_len == 1)
            group_len = 0; /* the root itself */
        if (strncmp(text, "0::", 3) == 0)
            v = limit_of(root, group, group_len, "memory.max");
        else if (group && memmem(text, (size_t)(group - text), ":memory:", 8))
            v = limit_of(memory_root, group, group_len, "memory.limit_in_bytes");
        least = v < least ? v : least;
        text += len + (text[len] == '\n');
    }
    return least;
}

uint64_t measure_memory_total(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    uint64_t total = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : UINT64_MAX;
    char text[FILE_MAX];
    uint64_t limit = UINT64_MAX;

    if (read_text("/proc/self/cgroup", text) > 0)
        limit = measure_cgroup_limit(text, "/sys/fs/cgroup");
    if (limit < total)
        total = limit;
    return total == UINT64_MAX ? 0 : total;
}

uint64_t measure_resident(void)
{
    char text[FILE_MAX];
    unsigned long long all, resident = 0;

    if (read_text("/proc/self/statm", text) == 0 || sscanf(text, "%llu %llu", &all, &resident) != 2)
        return 0;
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t measure_disk_free(const char *dir)
{
    struct statvfs s;

    if (statvfs(dir, &s) < 0)
        return UINT64_MAX;
    return (uint64_t)s.f_bavail * s.f_frsize;
}

uint64_t measure_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    uint64_t n = 0;

    if (!dir)
        return 0;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n > 3 ? n - 3 : 0; /* itself, and the two dots */
}
