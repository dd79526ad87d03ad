/*
 * The making of messages to the store, on the sender's side; and the probe before the start.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/runtime/blob.h"
#include "persistence/db.h"
#include "persistence/store.h"

/* How deep below a directory its stores may lie: DIR/node, DIR/vhosts/NAME. */
#define PROBE_DEPTH 2

static void drop_ops(struct msg *m)
{
    struct msg_store_ops *in = MSG_OF(struct msg_store_ops, m);

    for (uint32_t i = 0; i < in->n; i++) {
        if (in->op[i].owner)
            in->unref(in->op[i].owner);
    }
    msg_free(m);
}

struct msg_store_ops *store_ops_new(uint64_t queue_id, uint64_t epoch, uint32_t cap,
                                    void (*unref)(void *owner))
{
    struct msg_store_ops *m;

    m = msg_new(STORE_OPS, sizeof(*m) + cap * sizeof(m->op[0]), drop_ops);
    m->queue_id = queue_id;
    m->epoch = epoch;
    m->unref = unref;
    m->cap = cap;
    return m;
}

static void drop_rows(struct msg *m)
{
    struct msg_store_rows *in = MSG_OF(struct msg_store_rows, m);

    for (uint32_t i = 0; i < in->n; i++) {
        blob_unref(in->row[i].name);
        blob_unref(in->row[i].type);
        blob_unref(in->row[i].args);
    }
    msg_free(m);
}

struct msg_store_rows *store_rows_new(uint32_t type, uint32_t cap)
{
    struct msg_store_rows *m;

    m = msg_new(type, sizeof(*m) + cap * sizeof(m->row[0]), drop_rows);
    m->cap = cap;
    return m;
}

struct msg_store_read *store_read_new(uint64_t queue_id, uint32_t n)
{
    struct msg_store_read *m;

    m = msg_new(STORE_READ, sizeof(*m) + n * sizeof(m->want[0]), NULL);
    m->queue_id = queue_id;
    m->n = n;
    return m;
}

struct msg_store_open *store_open_new(uint64_t queue_id, uint64_t epoch, uint32_t n_ask)
{
    struct msg_store_open *m;

    m = msg_new(STORE_OPEN_QUEUE, sizeof(*m) + n_ask * sizeof(m->ask[0]), NULL);
    m->queue_id = queue_id;
    m->epoch = epoch;
    m->n_ask = n_ask;
    return m;
}

struct msg_store_find *store_find_new(uint64_t queue_id, uint32_t n)
{
    struct msg_store_find *m;

    m = msg_new(STORE_FIND, sizeof(*m) + n * sizeof(m->seq[0]), NULL);
    m->queue_id = queue_id;
    m->n = n;
    return m;
}

static int probe_dir(const char *dir, const char *vfs, int depth, char *ret_text, size_t size);

static int probe_below(const char *dir, const char *vfs, int depth, char *ret_text, size_t size)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    int r = 0;

    if (!d)
        return errno == ENOENT ? 0 : -errno;
    while (r == 0 && (e = readdir(d))) {
        char path[4096];

        if (e->d_name[0] == '.' || (e->d_type != DT_DIR && e->d_type != DT_UNKNOWN))
            continue;
        if (snprintf(path, sizeof(path), "%s/%s", dir, e->d_name) < (int)sizeof(path))
            r = probe_dir(path, vfs, depth - 1, ret_text, size);
    }
    (void)closedir(d); /* only read */
    return r;
}

static int probe_dir(const char *dir, const char *vfs, int depth, char *ret_text, size_t size)
{
    int r = 0;

    if (!vfs && access(dir, R_OK | W_OK | X_OK) < 0 && errno != ENOENT) {
        r = -errno;
        if (r == -ENOTDIR)
            return 0; /* a plain file beside the stores */
        snprintf(ret_text, size, "cannot write to directory %s: %s", dir, strerror(-r));
        return r;
    }
    r = db_probe(dir, vfs, ret_text, size);
    if (depth < PROBE_DEPTH && (r == -EINVAL || r == -EUCLEAN || r == -EIO))
        return 0; /* damaged: the one store will say so, and the others serve */
    if (r < 0 || vfs || depth == 0)
        return r == -ENOTDIR ? 0 : r;
    return probe_below(dir, vfs, depth, ret_text, size);
}

int store_probe(const char *dir, const char *vfs, char *ret_text, size_t size)
{
    ret_text[0] = '\0';
    return probe_dir(dir, vfs, PROBE_DEPTH, ret_text, size);
}
