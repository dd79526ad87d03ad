#include "persistence/schema.h"

#include <errno.h>
#include <stdio.h>

#include "persistence/migrate.h"
#include "persistence/sql.h"

#define APPLICATION_ID 0x5761726e /* "Warn" */

/*
 * The four tables of messages go by a segment's id:
 * - segment: the bytes of records, one behind the other. One row for each commit, more where it is
 *   large.
 * - header: what each queue has in the segment, and the group that wrote it. A group that wrote no
 *   segment has a row of its own here until the next one, so that the newest row always tells the
 *   last group.
 * - entries: where each record lies and whose it is.
 * - acks: which entries are settled; no row where none is.
 *
 * A row of `settled` settles a queue's messages from one seq to another, wherever they lie, or
 * those of them that are fleeting. It stays until they have gone.
 *
 * In meta, epoch is the number of openings, clean is 1 after an ordered stop, next_id is the first
 * id that is not reserved; run is the program that was the last to open it, and of fleeting
 * segments those with an id from fleeting_from on are its.
 */
#define SETTLED                                                            \
    "CREATE TABLE settled(queue INTEGER NOT NULL, first INTEGER NOT NULL," \
    " fleeting INTEGER NOT NULL, last INTEGER NOT NULL,"                   \
    " PRIMARY KEY(queue, first, fleeting)) STRICT, WITHOUT ROWID;"         \
    "INSERT INTO meta(name, value) VALUES ('run', 0), ('fleeting_from', 1);"

static const char schema[] =
    "CREATE TABLE segment(id INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT;"
    "CREATE TABLE header(id INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT;"
    "CREATE TABLE entries(id INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT;"
    "CREATE TABLE acks(id INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT;"
    "CREATE TABLE queue(id INTEGER PRIMARY KEY, name TEXT NOT NULL, flags INTEGER NOT NULL,"
    " args BLOB NOT NULL) STRICT;"
    "CREATE TABLE exchange(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL,"
    " flags INTEGER NOT NULL, args BLOB NOT NULL) STRICT;"
    "CREATE TABLE binding(source INTEGER NOT NULL, dest INTEGER NOT NULL,"
    " dest_type INTEGER NOT NULL, key BLOB NOT NULL, args BLOB NOT NULL,"
    " PRIMARY KEY(source, dest, dest_type, key, args)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX binding_dest ON binding(dest);"
    "CREATE TABLE setting(kind TEXT NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL,"
    " PRIMARY KEY(kind, name)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "INSERT INTO meta(name, value) VALUES ('epoch', 0), ('clean', 1), ('next_id', 1);" SETTLED;

const struct schema_step schema_steps[] = {
    {.fn = migrate_headers}, {.text = SETTLED}, {0}, /* the end */
};

_Static_assert(sizeof(schema_steps) / sizeof(schema_steps[0]) == SCHEMA_VERSION,
               "one step from each earlier version, and the end");

int schema_version(struct sql *sql, const char *dir, int *ret, char *why, size_t why_size)
{
    int64_t id, version, n_tables;
    int r = sql_number(sql, "PRAGMA application_id", &id);

    if (r == 0)
        r = sql_number(sql, "PRAGMA user_version", &version);
    if (r == 0)
        r = sql_number(sql, "SELECT count(*) FROM sqlite_schema", &n_tables);
    if (r < 0)
        return r;
    if (id == 0 && version == 0 && n_tables == 0) {
        *ret = 0;
        return 0;
    }
    if (id != APPLICATION_ID || version < 1) {
        snprintf(why, why_size, "%s has a database that is not a message store", dir);
        return -EINVAL;
    }
    if (version > SCHEMA_VERSION) {
        snprintf(why, why_size, "%s is of a newer version (%d, this program knows %d)", dir,
                 (int)version, SCHEMA_VERSION);
        return -ENOTSUP;
    }
    *ret = (int)version;
    return 0;
}

static int set_version(struct sql *sql, int version)
{
    char text[64];

    snprintf(text, sizeof(text), "PRAGMA user_version = %d", version);
    return sql_exec(sql, text);
}

int schema_make(struct sql *sql)
{
    char text[64];
    int r = sql_run(sql, SQL_BEGIN);

    if (r == 0)
        r = sql_exec(sql, schema);
    snprintf(text, sizeof(text), "PRAGMA application_id = %d", APPLICATION_ID);
    if (r == 0)
        r = sql_exec(sql, text);
    if (r == 0)
        r = set_version(sql, SCHEMA_VERSION);
    return r < 0 ? r : sql_run(sql, SQL_COMMIT);
}

static int migrate_once(struct sql *sql, const struct schema_step *step, int to)
{
    int r = sql_run(sql, SQL_BEGIN);

    if (r == 0 && step->text)
        r = sql_exec(sql, step->text);
    if (r == 0 && step->fn)
        r = step->fn(sql);
    if (r == 0)
        r = set_version(sql, to);
    return r < 0 ? r : sql_run(sql, SQL_COMMIT);
}

int schema_migrate(struct sql *sql, int from, const struct schema_step *steps, int n)
{
    int r = 0;

    for (int version = from; r == 0 && version <= n; version++)
        r = migrate_once(sql, &steps[version - 1], version + 1);
    return r;
}
