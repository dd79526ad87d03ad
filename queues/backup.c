/*
 * The process that makes backups.
 *
 * Duties: asks one store after the other for a copy of itself, makes each durable, and writes the
 * manifest when all are there. A vhost that is down is left out, and named; a store that is only
 * being restarted is waited for.
 * Messages in: BACKUP_START; STORE_BACKUP_PROGRESS, STORE_BACKED_UP or DOWN from the store asked.
 * Out: STORE_BACKUP, BACKUP_STARTED. Monitors nobody but by its calls.
 *
 * Invariants
 * 1. At most one backup is under way, and of it one store's copy.
 * 2. The manifest is written when all files are durable. A backup that fails has none.
 * 3. What the table says outlives this process; a new incarnation calls what it finds under way
 *    failed.
 */
#include "queues/backup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/core/access.h"
#include "broker/core/log.h"
#include "broker/runtime/alloc.h"
#include "broker/runtime/region.h"
#include "broker/runtime/table.h"
#include "persistence/store.h"
#include "queues/manifest.h"
#include "queues/node.h"
#include "queues/vhost.h"
#include "queues/vhost_state.h"

/* What a store wrote is synced so often, so that the disk has no mountain to write at the end. */
#define SYNC_BYTES (64 << 20)

enum { AGAIN_US = 200 * 1000, TRIES = 150 }; /* while a store is being restarted */

struct backup {
    struct backup_status now;
    struct manifest_store *v; /* process memory */
    size_t n, room;
    uint64_t synced; /* of the present file */
    proc_ref call;   /* 0: none is under way */
    proc_ref again;  /* the timer to the next try of the present store */
    uint32_t tries;  /* of it */
};

static struct table *facts(void)
{
    return table_open("node/backup", rt_free);
}

const struct backup_status *backup_status(void)
{
    static const struct backup_status none;
    const struct backup_status *s = table_get(facts(), "", 0);

    return s ? s : &none;
}

static void publish(const struct backup *b)
{
    struct backup_status *s = rt_alloc(sizeof(*s));

    *s = b->now;
    table_put(facts(), "", 0, s);
}

static void present_path(const struct backup *b, char *out, size_t size)
{
    manifest_path(out, size, b->now.dir, b->v[b->now.n_done].name);
}

static void fail(struct backup *b, const char *what, const char *why)
{
    b->call = b->again = 0;
    b->now.state = BACKUP_FAILED;
    b->now.ended_ms = proc_wall_ms();
    snprintf(b->now.why, sizeof(b->now.why), "%.120s: %.160s", what, why);
    log_error("backup into %s failed: %s", b->now.dir, b->now.why);
    publish(b);
}

/* The name under which an operator knows the store that is copied. */
static const char *present_name(const struct backup *b)
{
    const char *vhost = b->v[b->now.n_done].vhost;

    return *vhost ? vhost : "the node's own store";
}

static void ask(struct backup *b)
{
    struct msg_store_backup *m = MSG_NEW(STORE_BACKUP, struct msg_store_backup);
    const struct manifest_store *s = &b->v[b->now.n_done];
    char name[300], dir[600];
    int r;

    snprintf(dir, sizeof(dir), "%s/%s", b->now.dir, s->name);
    r = mkdir(dir, 0700) < 0 && (b->tries == 0 || errno != EEXIST) ? -errno : 0;
    if (r < 0) {
        msg_drop(&m->hdr);
        fail(b, dir, strerror(-r));
        return;
    }
    present_path(b, m->path, sizeof(m->path));
    b->synced = 0;
    snprintf(name, sizeof(name), "store:%s", s->vhost);
    b->call = proc_call(proc_whereis(*s->vhost ? name : NODE_STORE), &m->hdr, PROC_NO_TIMEOUT);
}

static void add(void *ctx, const char *vhost)
{
    struct backup *b = ctx;
    struct manifest_store *s;

    if (b->n == b->room) {
        b->room = b->room ? 2 * b->room : 16;
        b->v = proc_realloc(b->v, b->room * sizeof(*b->v));
    }
    s = &b->v[b->n++];
    *s = (struct manifest_store){0};
    snprintf(s->vhost, sizeof(s->vhost), "%s", vhost);
    if (*vhost)
        vhost_dir_name(vhost, s->name, sizeof(s->name));
    else
        snprintf(s->name, sizeof(s->name), "%s", NODE_DIR);
}

static int begin(struct backup *b, const char *dir, char *why, size_t why_size)
{
    int r;

    if (b->now.state == BACKUP_RUNNING) {
        snprintf(why, why_size, "a backup into %.200s is under way", b->now.dir);
        return -EBUSY;
    }
    if (*dir != '/' || strlen(dir) > 400) {
        snprintf(why, why_size, "the directory must be given by its absolute path");
        return -EINVAL;
    }
    r = manifest_make_dir(dir);
    if (r < 0)
        snprintf(why, why_size, "%.200s: %s", dir, strerror(-r));
    return r;
}

static void on_start(struct backup *b, struct msg *m)
{
    const char *dir = MSG_OF(struct msg_backup_start, m)->dir;
    struct msg_backup_started *reply = MSG_NEW(BACKUP_STARTED, struct msg_backup_started);

    reply->why[0] = '\0';
    reply->error = begin(b, dir, reply->why, sizeof(reply->why));
    if (reply->error == 0) {
        b->n = b->tries = 0;
        add(b, "");
        access_each_vhost(add, b);
        b->now = (struct backup_status){
            .state = BACKUP_RUNNING, .n_stores = (uint32_t)b->n, .started_ms = proc_wall_ms()};
        snprintf(b->now.dir, sizeof(b->now.dir), "%s", dir);
        log_info("backup of %u stores into %s", b->now.n_stores, dir);
        ask(b);
        publish(b);
    }
    proc_reply(m, &reply->hdr);
}

static uint64_t bytes_before(const struct backup *b)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < b->now.n_done; i++)
        sum += b->v[i].bytes;
    return sum;
}

static void on_progress(struct backup *b, const struct msg_store_backup_progress *m)
{
    char path[600];

    if (!b->call)
        return; /* of one that failed */
    b->now.bytes_done = bytes_before(b) + m->done;
    b->now.bytes = bytes_before(b) + m->all;
    publish(b);
    if (m->done < b->synced + SYNC_BYTES)
        return;
    b->synced = m->done;
    present_path(b, path, sizeof(path));
    (void)manifest_sync(path); /* only eases the sync at the end, which tells of errors */
}

static void finish(struct backup *b)
{
    struct manifest m = {.made_ms = proc_wall_ms(), .v = b->v, .n = b->n};
    int r;

    snprintf(m.version, sizeof(m.version), "%s", WARREN_VERSION);
    r = manifest_write(b->now.dir, &m);
    if (r < 0) {
        fail(b, "manifest", strerror(-r));
        return;
    }
    b->now.state = BACKUP_DONE;
    b->now.ended_ms = proc_wall_ms();
    log_info("backup into %s is done, %llu bytes", b->now.dir, (unsigned long long)b->now.bytes);
    publish(b);
}

/* The store that is the present one now, if there is one. */
static void next(struct backup *b)
{
    b->tries = 0;
    if (b->now.n_done < b->n)
        ask(b);
    else
        finish(b);
    publish(b);
}

static void go_on(struct backup *b)
{
    b->now.n_done++;
    b->now.bytes = b->now.bytes_done = bytes_before(b);
    next(b);
}

/* Makes the file durable, and its name. */
static int keep(struct backup *b, struct manifest_store *s)
{
    char path[600];
    int r;

    present_path(b, path, sizeof(path));
    r = manifest_sync(path);
    if (r == 0)
        r = manifest_measure(path, &s->bytes, &s->crc);
    *strrchr(path, '/') = '\0';
    return r < 0 ? r : manifest_sync(path);
}

static void on_backed_up(struct backup *b, const struct msg_store_backed_up *m)
{
    struct manifest_store *s = &b->v[b->now.n_done];
    int r;

    b->call = 0;
    if (m->error < 0) {
        fail(b, present_name(b), m->why);
        return;
    }
    s->group = m->group;
    r = keep(b, s);
    if (r < 0) {
        fail(b, present_name(b), strerror(-r));
        return;
    }
    go_on(b);
}

/* What a store that has died wrote of its copy. */
static void remove_half(const struct backup *b)
{
    char path[600];

    present_path(b, path, sizeof(path));
    (void)unlink(path); /* it may not have begun */
}

static void leave_out(struct backup *b, const char *why)
{
    struct manifest_store *s = &b->v[b->now.n_done];
    char dir[600];

    remove_half(b);
    snprintf(dir, sizeof(dir), "%s/%s", b->now.dir, s->name);
    (void)rmdir(dir); /* an empty one does no harm */
    snprintf(s->missing, sizeof(s->missing), "%s", why);
    b->now.n_missing++;
    snprintf(b->now.missing, sizeof(b->now.missing), "%.120s: %.160s", s->vhost, why);
    log_error("backup into %s is without vhost '%s', which is down: %s", b->now.dir, s->vhost, why);
    go_on(b);
}

/* A vhost that was deleted meanwhile is in no backup. */
static void forget(struct backup *b)
{
    struct manifest_store *s = &b->v[b->now.n_done];

    remove_half(b);
    memmove(s, s + 1, (b->n - b->now.n_done - 1) * sizeof(*s));
    b->now.n_stores = (uint32_t)--b->n;
    next(b);
}

static void on_store_down(struct backup *b)
{
    const struct manifest_store *s = &b->v[b->now.n_done];
    const char *why = vhost_down_reason(s->vhost);

    b->call = 0;
    if (!*s->vhost && b->tries == TRIES)
        fail(b, present_name(b), "its store is down");
    else if (*s->vhost && !access_has_vhost(s->vhost, strlen(s->vhost)))
        forget(b);
    else if (*s->vhost && (why || b->tries == TRIES))
        leave_out(b, why ? why : "its store does not come back");
    else
        b->again = proc_timer(AGAIN_US);
}

static void on_again(struct backup *b)
{
    b->again = 0;
    b->tries++;
    remove_half(b);
    ask(b);
}

static void backup_init(void *state, const void *arg)
{
    struct backup *b = state;

    (void)arg;
    b->now = *backup_status();
    if (b->now.state == BACKUP_RUNNING)
        fail(b, "backup", "the process that made it ended");
    CHECK(proc_register("backup") == 0);
}

static void backup_handle(void *state, struct msg *m)
{
    struct backup *b = state;

    switch (m->type) {
    case BACKUP_START:
        on_start(b, m);
        break;
    case STORE_BACKUP_PROGRESS:
        on_progress(b, MSG_OF(struct msg_store_backup_progress, m));
        break;
    case STORE_BACKED_UP:
        if (m->ref == b->call)
            on_backed_up(b, MSG_OF(struct msg_store_backed_up, m));
        break;
    case MSG_DOWN:
        if (m->ref == b->call)
            on_store_down(b);
        break;
    case MSG_TIMEOUT:
        if (m->ref == b->again)
            on_again(b);
        break;
    default:
        proc_exit(EXIT_CRASH, 0, "unknown message 0x%x", m->type);
    }
}

const struct proc_ops backup_ops = {
    .kind = "backup",
    .state_size = sizeof(struct backup),
    .flags = PROC_OPS_BLOCKING,
    .init = backup_init,
    .handle = backup_handle,
};
