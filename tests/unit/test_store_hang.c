/*
 * Stores whose disk does not answer: those of other vhosts commit all the same.
 *
 * The stores run on the pool's threads over a file system whose syncs wait, for files below a
 * folder named "hung", as long as the test wants.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "broker/runtime/blob.h"
#include "broker/runtime/runtime.h"
#include "broker/runtime/world.h"
#include "persistence/store.h"

enum { HUNG = 8, TURNS = 50 };

static char dir[] = "/tmp/test-hang-XXXXXX";
static _Atomic bool hangs;
static _Atomic unsigned n_hung;

static const sqlite3_io_methods *real_methods;
static sqlite3_io_methods slow_methods;
static sqlite3_vfs *real_vfs, slow_vfs;

static int slow_sync(sqlite3_file *f, int flags)
{
    const struct timespec nap = {.tv_nsec = 1000000};

    if (atomic_load(&hangs))
        atomic_fetch_add(&n_hung, 1);
    while (atomic_load(&hangs))
        nanosleep(&nap, NULL);
    return real_methods->xSync(f, flags);
}

/* SQLite's own file, with another sync. */
static int slow_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *f, int flags,
                     int *ret_flags)
{
    int rc = real_vfs->xOpen(vfs, name, f, flags, ret_flags);

    if (rc == SQLITE_OK && name && strstr(name, "hung") && flags & SQLITE_OPEN_WAL)
        f->pMethods = &slow_methods;
    return rc;
}

/* A file's methods are known once one is open; a temporary one's are a log's. */
static void make_slow_vfs(void)
{
    sqlite3_file *f;
    int flags = SQLITE_OPEN_CREATE | SQLITE_OPEN_READWRITE | SQLITE_OPEN_EXCLUSIVE |
                SQLITE_OPEN_DELETEONCLOSE | SQLITE_OPEN_TEMP_DB;

    real_vfs = sqlite3_vfs_find(NULL);
    f = calloc(1, (size_t)real_vfs->szOsFile);
    assert_int_equal(real_vfs->xOpen(real_vfs, NULL, f, flags, NULL), SQLITE_OK);
    real_methods = f->pMethods;
    slow_methods = *real_methods;
    slow_methods.xSync = slow_sync;
    assert_int_equal(f->pMethods->xClose(f), SQLITE_OK);
    free(f);
    slow_vfs = *real_vfs;
    slow_vfs.zName = "slow";
    slow_vfs.pNext = NULL;
    slow_vfs.xOpen = slow_open;
    assert_int_equal(sqlite3_vfs_register(&slow_vfs, 0), SQLITE_OK);
}

struct root {
    proc_id hung[HUNG], well;
    unsigned n_named, n_answered, n_turns, n_down;
};

static proc_id start_store(const char *name)
{
    struct store_arg arg = {0};
    struct spawn spec = {.ops = &store_ops, .flags = PROC_MONITOR};

    snprintf(arg.vhost, sizeof(arg.vhost), "%s", name);
    snprintf(arg.dir, sizeof(arg.dir), "%s/%s", dir, name);
    snprintf(arg.name, sizeof(arg.name), "store:%s", name);
    spec.arg = blob_copy(&arg, sizeof(arg));
    CHECK(mkdir(arg.dir, 0700) == 0); /* with a VFS named, the store makes none */
    (void)proc_await(arg.name);       /* the answers are counted */
    return proc_spawn(&spec);
}

/* A call that is answered when a commit is on disk. */
static void commit_at(proc_id store)
{
    struct msg_store_reserve *m = MSG_NEW(STORE_RESERVE, struct msg_store_reserve);

    m->n = 1;
    (void)proc_call(store, &m->hdr, PROC_NO_TIMEOUT); /* answers are told apart by their sender */
}

static void root_init(void *state, const void *arg)
{
    struct root *r = state;
    char name[20];

    (void)arg;
    for (unsigned i = 0; i < HUNG; i++) {
        snprintf(name, sizeof(name), "hung%u", i);
        r->hung[i] = start_store(name);
    }
    r->well = start_store("well");
}

static void hang(struct root *r)
{
    atomic_store(&hangs, true);
    for (unsigned i = 0; i < HUNG; i++)
        commit_at(r->hung[i]);
    commit_at(r->well);
}

static void on_committed(struct root *r, proc_id store)
{
    if (store != r->well) {
        CHECK(!atomic_load(&hangs));
        if (++r->n_answered == HUNG) {
            for (unsigned i = 0; i < HUNG; i++)
                proc_signal(r->hung[i], EXIT_SHUTDOWN, 0, "stop");
            proc_signal(r->well, EXIT_SHUTDOWN, 0, "stop");
        }
        return;
    }
    r->n_turns++;
    /* All of them hang, and then TURNS more. */
    if (r->n_turns < TURNS || atomic_load(&n_hung) < HUNG)
        commit_at(r->well);
    else
        atomic_store(&hangs, false);
}

static void root_handle(void *state, struct msg *m)
{
    struct root *r = state;

    switch (m->type) {
    case MSG_NAMED:
        if (++r->n_named == HUNG + 1)
            hang(r);
        break;
    case STORE_RESERVED:
        on_committed(r, m->from);
        break;
    case MSG_DOWN:
        CHECK(exit_is_normal(&MSG_OF(struct msg_exit, m)->why));
        if (++r->n_down == HUNG + 1)
            proc_exit(EXIT_NORMAL, 0, "all stopped");
        break;
    default:
        proc_exit(EXIT_CRASH, 0, "message %#x", m->type);
    }
}

static const struct proc_ops root_ops = {
    .kind = "root",
    .state_size = sizeof(struct root),
    .init = root_init,
    .handle = root_handle,
};

static void a_disk_that_hangs_holds_up_its_own_store_alone(void **state)
{
    struct world world = world_real;
    const struct rt_config config = {.schedulers = 1, .world = &world};
    const struct spawn spec = {.ops = &root_ops};
    struct exit_reason why;
    char command[100];

    (void)state;
    assert_non_null(mkdtemp(dir));
    make_slow_vfs();
    world.vfs = "slow";
    assert_int_equal(rt_start(&config), 0);
    (void)rt_spawn_root(&spec); /* rt_wait tells of its end */
    rt_wait(&why);
    if (why.kind != EXIT_NORMAL)
        fail_msg("%s", why.text);
    assert_int_equal(sqlite3_vfs_unregister(&slow_vfs), SQLITE_OK);
    snprintf(command, sizeof(command), "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_disk_that_hangs_holds_up_its_own_store_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
