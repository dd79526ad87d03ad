/*
 * Opening and closing a database, and what is done with it as a whole: checkpoint, vacuum.
 */
#include "persistence/db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/runtime/alloc.h"
#include "persistence/db_internal.h"
#include "persistence/schema.h"

#define BLOCK_BYTES  (4 << 20)
#define CHECK_PAGES  ((128 << 20) / DB_PAGE_BYTES)
#define WIDE_EXTENTS 32
#define PAGE_TEXT    TEXT_OF(DB_PAGE_BYTES)
#define TEXT_OF(x)   AS_TEXT(x)
#define AS_TEXT(x)   #x

/*
 * What must be set before the first page is written. The locking mode is first, because others of
 * them read the database, and a WAL that was opened in normal mode keeps its shared memory.
 */
static const char pragmas[] = "PRAGMA locking_mode = EXCLUSIVE;"
                              "PRAGMA page_size = " PAGE_TEXT ";"
                              "PRAGMA auto_vacuum = INCREMENTAL;"
                              "PRAGMA secure_delete = OFF;"
                              "PRAGMA synchronous = EXTRA;"
                              "PRAGMA temp_store = MEMORY;"
                              "PRAGMA trusted_schema = OFF;";

void *db_realloc(struct db *db, void *p, size_t size)
{
    return db->config.realloc(p, size);
}

void db_free(struct db *db, void *p)
{
    db->config.free(p);
}

void db_reserve(struct db *db, struct buffer *b, size_t size)
{
    size_t room = b->room ? b->room : 4096;

    if (size <= b->room)
        return;
    while (room < size)
        room *= 2;
    b->p = db_realloc(db, b->p, room);
    b->room = room;
}

int db_fail(struct db *db, int r)
{
    db->is_failed = true;
    snprintf(db->why, sizeof(db->why), "%s", sql_error(db->sql));
    return r;
}

const char *db_error(const struct db *db)
{
    return db->why[0] ? db->why : sql_error(db->sql);
}

static int meta_get(struct db *db, const char *name, uint64_t *ret)
{
    int r = sql_bind_text(db->sql, SQL_META_GET, 1, name, strlen(name));

    if (r == 0)
        r = sql_next(db->sql, SQL_META_GET);
    if (r == 0)
        return -EUCLEAN;
    if (r == 1) {
        *ret = sql_column_int(db->sql, SQL_META_GET, 0);
        sql_reset(db->sql, SQL_META_GET);
        r = 0;
    }
    return r;
}

static int meta_put(struct db *db, const char *name, uint64_t value)
{
    int r = sql_bind_text(db->sql, SQL_META_PUT, 1, name, strlen(name));

    if (r == 0)
        r = sql_bind_int(db->sql, SQL_META_PUT, 2, value);
    return r < 0 ? r : sql_run(db->sql, SQL_META_PUT);
}

int db_sync_parent(const char *dir)
{
    char parent[4096];
    char *slash;
    int fd, r = 0;

    snprintf(parent, sizeof(parent), "%s", dir);
    slash = strrchr(parent, '/');
    if (slash)
        *slash = '\0';
    fd = open(!slash ? "." : parent[0] ? parent : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fsync(fd) < 0)
        r = -errno;
    (void)close(fd); /* nothing was written through it */
    return r;
}

static int make_dir(const char *dir)
{
    if (mkdir(dir, 0700) < 0)
        return errno == EEXIST ? 0 : -errno;
    return db_sync_parent(dir);
}

static int check_with(struct db *db, const char *pragma, char *why, size_t why_size)
{
    char answer[160], *line;
    int r = sql_text(db->sql, pragma, answer, sizeof(answer));

    if (r < 0 || strcmp(answer, "ok") == 0)
        return r;
    /* The first line only names the database; an operator gets all in one. */
    while ((line = strchr(answer, '\n')))
        *line = ' ';
    snprintf(why, why_size, "%s is damaged: %s", db->config.dir, answer);
    return -EUCLEAN;
}

/*
 * Records and lists of entries have checksums of their own, and a check of their pages reads them
 * all: that is done only as long as it takes no time that anybody would mind.
 */
static int check_pages(struct db *db, char *why, size_t why_size)
{
    static const char *const tables[] = {"header",  "acks",    "queue",   "exchange",
                                         "binding", "setting", "settled", "meta"};
    int64_t n_pages = 0;
    int r = sql_number(db->sql, "PRAGMA page_count", &n_pages);

    if (r == 0 && n_pages <= CHECK_PAGES)
        return check_with(db, "PRAGMA quick_check(1)", why, why_size);
    for (unsigned i = 0; r == 0 && i < sizeof(tables) / sizeof(tables[0]); i++) {
        char pragma[64];

        snprintf(pragma, sizeof(pragma), "PRAGMA quick_check(%s)", tables[i]);
        r = check_with(db, pragma, why, why_size);
    }
    return r;
}

/* What fleeting segments an earlier program wrote have ids below fleeting_from. */
static int begin_run(struct db *db)
{
    uint64_t run;
    int64_t last;
    int r = meta_get(db, "run", &run);

    if (r < 0 || db->config.run == 0 || db->config.run == run)
        return r;
    r = sql_number(db->sql, "SELECT coalesce(max(id), 0) FROM header", &last);
    if (r == 0)
        r = meta_put(db, "run", db->config.run);
    if (r == 0)
        r = meta_put(db, "fleeting_from", (uint64_t)last + 1);
    return r;
}

/* Makes the new epoch durable, and that a stop from now on is not a clean one. */
static int begin_epoch(struct db *db)
{
    int r = meta_get(db, "epoch", &db->epoch);

    if (r == 0)
        r = meta_get(db, "next_id", &db->next_id);
    if (r == 0)
        r = sql_run(db->sql, SQL_BEGIN);
    if (r == 0)
        r = begin_run(db);
    if (r == 0)
        r = meta_get(db, "fleeting_from", &db->fleeting_from);
    if (r == 0)
        r = meta_put(db, "epoch", ++db->epoch);
    if (r == 0)
        r = meta_put(db, "clean", 0);
    return r < 0 ? r : sql_run(db->sql, SQL_COMMIT);
}

/*
 * The first statement that reads takes the lock, and keeps it. A new file is turned to WAL by a
 * transaction with a rollback journal; EXTRA makes that journal's removal durable, or it could come
 * back after a power cut and take all later commits with it. The answer alone is not believed: it
 * says "wal" also where an I/O error left the file as it was.
 */
static int enter_wal(struct db *db)
{
    char mode[16];
    int r = sql_exec(db->sql, "PRAGMA journal_mode = WAL");

    if (r == 0)
        r = sql_text(db->sql, "PRAGMA journal_mode", mode, sizeof(mode));
    if (r == 0 && strcmp(mode, "wal") != 0)
        r = -EIO;
    if (r == 0)
        r = sql_exec(db->sql, "PRAGMA synchronous = FULL");
    return r;
}

static int load(struct db *db, char *why, size_t why_size)
{
    uint64_t is_clean = 0;
    int version = 0;
    int r = enter_wal(db);

    if (r == 0)
        r = schema_version(db->sql, db->config.dir, &version, why, why_size);
    if (r == 0 && version == 0)
        r = schema_make(db->sql);
    /*
     * After a failed commit the page cache may show what the disk lacks. Only what has been copied
     * and synced may be confirmed, so nothing goes on before that.
     */
    if (r == 0)
        r = sql_checkpoint(db->sql, true);
    if (r == 0)
        r = meta_get(db, "clean", &is_clean);
    if (r == 0 && (!is_clean || db->config.with_check))
        r = check_pages(db, why, why_size);
    if (r == 0 && version > 0)
        r = schema_migrate(db->sql, version, schema_steps, SCHEMA_VERSION - 1);
    if (r == 0)
        r = begin_epoch(db);
    if (r == 0 && sql_wal_bytes(db->sql) == 0)
        r = -EIO; /* that commit did not go through a WAL */
    if (r == 0)
        r = recover(db);
    return r;
}

static struct db *db_new(const struct db_config *config)
{
    void *(*realloc_fn)(void *, size_t) = config->realloc ? config->realloc : rt_realloc;
    struct db *db = realloc_fn(NULL, sizeof(*db));

    memset(db, 0, sizeof(*db));
    db->config = *config;
    db->config.realloc = realloc_fn;
    db->config.free = config->free ? config->free : rt_free;
    if (db->config.block_bytes == 0)
        db->config.block_bytes = BLOCK_BYTES;
    if (db->config.wide_extents == 0)
        db->config.wide_extents = WIDE_EXTENTS;
    db->segments.next = db->segments.prev = &db->segments;
    db->next_segment = 1;
    u64map_init(&db->queues, db->config.realloc, db->config.free);
    block_init(db);
    group_init(db);
    return db;
}

/* The error's one line, where nothing better was said; text is what SQLite says, or NULL. */
static void say_why(const char *dir, int r, const char *text, char *why, size_t why_size)
{
    if (why[0])
        return;
    if (r == -EBUSY)
        snprintf(why, why_size, "%s is in use by another broker", dir);
    else
        snprintf(why, why_size, "%s: %s", dir, text && text[0] ? text : strerror(-r));
}

static int make_path(const char *dir, char *path, size_t size)
{
    int n = snprintf(path, size, "%s/%s", dir, DB_FILE_NAME);

    return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

int db_probe(const char *dir, const char *vfs, char *why, size_t why_size)
{
    struct sql *sql = NULL;
    char path[4096];
    int version;
    int r = make_path(dir, path, sizeof(path));

    why[0] = '\0';
    if (r == 0 && !vfs && access(path, F_OK) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (r == 0)
        r = sql_open(path, vfs, &sql, why, why_size);
    if (r == 0)
        r = sql_exec(sql, "PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE");
    if (r == 0)
        r = schema_version(sql, dir, &version, why, why_size);
    if (r < 0)
        say_why(dir, r, sql ? sql_error(sql) : NULL, why, why_size);
    sql_close(sql);
    return r;
}

int db_set_limits(struct db *db, const struct db_limits *limits)
{
    char text[128];

    db->config.block_bytes = limits->block_bytes;
    snprintf(text, sizeof(text), "PRAGMA cache_size = -%llu; PRAGMA journal_size_limit = %llu",
             (unsigned long long)limits->cache_bytes / 1024, (unsigned long long)limits->wal_bytes);
    return sql_exec(db->sql, text);
}

void db_release_memory(struct db *db)
{
    sql_release_memory(db->sql);
}

static int set_pragmas(struct db *db)
{
    const struct db_limits limits = {.cache_bytes =
                                         db->config.cache_bytes ? db->config.cache_bytes : 2 << 20,
                                     .block_bytes = db->config.block_bytes,
                                     .wal_bytes = 64 << 20};
    int r = sql_exec(db->sql, pragmas);

    return r < 0 ? r : db_set_limits(db, &limits);
}

int db_open(const struct db_config *config, struct db **ret, char *why, size_t why_size)
{
    struct db *db = db_new(config);
    char path[4096];
    int r = make_path(config->dir, path, sizeof(path));

    why[0] = '\0';
    if (r == 0 && !config->vfs)
        r = make_dir(config->dir);
    if (r == 0)
        r = sql_open(path, config->vfs, &db->sql, why, why_size);
    if (r == 0)
        r = set_pragmas(db);
    if (r == 0)
        r = load(db, why, why_size);
    if (r < 0) {
        say_why(config->dir, r, db->sql ? db_error(db) : NULL, why, why_size);
        db_abandon(db);
        return r;
    }
    *ret = db;
    return 0;
}

void db_abandon(struct db *db)
{
    if (!db)
        return;
    sql_close(db->sql);
    group_fini(db);
    index_fini(db);
    trim_fini(db);
    db_free(db, db->data.p);
    db_free(db, db->entries.p);
    db_free(db, db->head.p);
    db_free(db, db->queue_list.p);
    db_free(db, db->loaded.p);
    db_free(db, db->sorted.p);
    db_free(db, db);
}

int db_close(struct db *db)
{
    int r;

    if (!db)
        return 0;
    r = db->is_failed ? -EIO : 0;
    if (r == 0 && sql_in_transaction(db->sql))
        r = sql_exec(db->sql, "ROLLBACK");
    if (r == 0)
        r = sql_run(db->sql, SQL_BEGIN);
    if (r == 0)
        r = meta_put(db, "clean", 1);
    if (r == 0)
        r = sql_run(db->sql, SQL_COMMIT);
    if (r == 0)
        r = sql_checkpoint(db->sql, true);
    db_abandon(db);
    return r;
}

struct sql *db_handle(struct db *db)
{
    return db->sql;
}

void db_handle_close(void *handle)
{
    sql_close(handle);
}

uint64_t db_epoch(const struct db *db)
{
    return db->epoch;
}

uint64_t db_group(const struct db *db)
{
    return db->group;
}

int db_reserve_ids(struct db *db, uint32_t n, uint64_t *ret)
{
    int r = group_begin(db);

    if (r == 0)
        r = meta_put(db, "next_id", db->next_id + n);
    if (r < 0)
        return db_fail(db, r);
    *ret = db->next_id;
    db->next_id += n;
    db->has_rows = true;
    commit_policy_add_urgent(&db->policy);
    return 0;
}

int db_wal_grow(struct db *db, uint64_t size)
{
    int r;

    if (sql_in_transaction(db->sql))
        return -EBUSY;
    r = sql_wal_grow(db->sql, size);
    return r < 0 && r != -ENOSPC ? db_fail(db, r) : r;
}

uint64_t db_wal_size(const struct db *db)
{
    return sql_wal_size(db->sql);
}

uint64_t db_wal_bytes(const struct db *db)
{
    return sql_wal_bytes(db->sql);
}

uint64_t db_checkpoint_bytes(const struct db *db)
{
    return sql_checkpoint_bytes(db->sql);
}

void db_wal_written(const struct db *db, uint64_t *ret_bytes, uint64_t *ret_syncs)
{
    sql_wal_written(db->sql, ret_bytes, ret_syncs);
}

int db_checkpoint(struct db *db)
{
    int r;

    if (sql_in_transaction(db->sql))
        return -EBUSY;
    r = sql_checkpoint(db->sql, false);
    return r < 0 ? db_fail(db, r) : 0;
}

int db_pages(struct db *db, int64_t *ret_all, int64_t *ret_free)
{
    int r = sql_number(db->sql, "PRAGMA page_count", ret_all);

    if (r == 0)
        r = sql_number(db->sql, "PRAGMA freelist_count", ret_free);
    return r < 0 ? db_fail(db, r) : 0;
}

int64_t db_vacuum_step(struct db *db, uint32_t pages, uint32_t keep, bool (*is_over)(void *ctx),
                       void *ctx)
{
    int64_t n_all, n_free, n;
    int r;

    if (sql_in_transaction(db->sql))
        return -EBUSY;
    sql_read_end(db->sql);
    r = db_pages(db, &n_all, &n_free);
    if (r < 0 || n_free <= keep)
        return r;
    if (n_free - keep < pages)
        pages = (uint32_t)(n_free - keep);
    n = sql_vacuum(db->sql, pages, is_over, ctx);
    return n < 0 ? db_fail(db, (int)n) : n;
}
