#include "queues/salvage.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "persistence/db.h"
#include "queues/manifest.h"
#include "queues/node.h"
#include "queues/vhost.h"

/* A name that is free: the new store is made there, and the damaged one lies there in the end. */
static int free_name(const char *dir, char *out, size_t size)
{
    for (int n = 1; n < 10000; n++) {
        snprintf(out, size, "%s.damaged-%d", dir, n);
        if (access(out, F_OK) < 0 && errno == ENOENT)
            return 0;
    }
    return -EEXIST;
}

static int swap(const char *data_dir, const char *dir, const char *other, char *why, size_t size)
{
    int r = 0;

    if (renameat2(AT_FDCWD, dir, AT_FDCWD, other, RENAME_EXCHANGE) < 0)
        r = -errno;
    if (r == 0)
        return manifest_sync(data_dir);
    snprintf(why, size, "%s was made, but cannot take the place of %s by itself: %s", other, dir,
             strerror(-r));
    return r;
}

static void report(FILE *out, const struct db_salvaged *f, const char *dir, const char *other)
{
    fprintf(out, "kept: %llu definitions, %llu messages\n", (unsigned long long)f->definitions,
            (unsigned long long)f->messages);
    if (f->definitions_lost)
        fprintf(out, "lost: definitions, nobody knows how many\n");
    if (f->lost > 0)
        fprintf(out, "lost: %llu messages that are damaged\n", (unsigned long long)f->lost);
    if (f->orphans > 0)
        fprintf(out, "lost: %llu messages of queues that are lost\n",
                (unsigned long long)f->orphans);
    if (f->lists_lost > 0)
        fprintf(out, "lost: what %llu lists of messages named\n",
                (unsigned long long)f->lists_lost);
    if (f->acks_lost > 0)
        fprintf(out, "lost: acks in %llu segments, whose messages come again\n",
                (unsigned long long)f->acks_lost);
    fprintf(out, "%s is new; the damaged store lies in %s\n", dir, other);
}

int salvage(const char *data_dir, const char *vhost, FILE *out, char *why, size_t why_size)
{
    char name[64], dir[500], other[600];
    struct db_salvaged found;
    int r;

    if (*vhost)
        vhost_dir_name(vhost, name, sizeof(name));
    else
        snprintf(name, sizeof(name), "%s", NODE_DIR);
    snprintf(dir, sizeof(dir), "%.400s/%s", data_dir, name);
    if (access(dir, F_OK) < 0) {
        r = -errno;
        snprintf(why, why_size, "vhost '%.100s' has no store: %.200s: %s", vhost, dir,
                 strerror(-r));
        return r;
    }
    r = free_name(dir, other, sizeof(other));
    if (r < 0)
        snprintf(why, why_size, "%.200s: %s", dir, strerror(-r));
    if (r == 0)
        r = db_salvage(dir, other, NULL, &found, why, why_size);
    if (r == 0)
        r = swap(data_dir, dir, other, why, why_size);
    if (r == 0)
        report(out, &found, dir, other);
    return r;
}
