/*
 * Definitions: rows of queues, exchanges, bindings and settings.
 *
 * They are written when they come, into the transaction that the group's commit ends.
 */
#include <errno.h>

#include "persistence/db_internal.h"

static int bind_text(struct db *db, enum sql_stmt st, int at, const struct db_bytes *b)
{
    return sql_bind_text(db->sql, st, at, b->p, b->len);
}

static int bind_blob(struct db *db, enum sql_stmt st, int at, const struct db_bytes *b)
{
    return sql_bind_blob(db->sql, st, at, b->p, b->len);
}

static int bind_queue(struct db *db, const struct db_def *def)
{
    int r = sql_bind_int(db->sql, SQL_QUEUE_PUT, 1, def->id);

    if (r == 0)
        r = bind_text(db, SQL_QUEUE_PUT, 2, &def->name);
    if (r == 0)
        r = sql_bind_int(db->sql, SQL_QUEUE_PUT, 3, def->flags);
    if (r == 0)
        r = bind_blob(db, SQL_QUEUE_PUT, 4, &def->args);
    return r;
}

static int bind_exchange(struct db *db, const struct db_def *def)
{
    int r = sql_bind_int(db->sql, SQL_EXCHANGE_PUT, 1, def->id);

    if (r == 0)
        r = bind_text(db, SQL_EXCHANGE_PUT, 2, &def->name);
    if (r == 0)
        r = bind_text(db, SQL_EXCHANGE_PUT, 3, &def->type);
    if (r == 0)
        r = sql_bind_int(db->sql, SQL_EXCHANGE_PUT, 4, def->flags);
    if (r == 0)
        r = bind_blob(db, SQL_EXCHANGE_PUT, 5, &def->args);
    return r;
}

/* Both statements about one binding take the same five values. */
static int bind_binding(struct db *db, enum sql_stmt st, const struct db_def *def)
{
    int r = sql_bind_int(db->sql, st, 1, def->source);

    if (r == 0)
        r = sql_bind_int(db->sql, st, 2, def->dest);
    if (r == 0)
        r = sql_bind_int(db->sql, st, 3, def->dest_type);
    if (r == 0)
        r = bind_blob(db, st, 4, &def->key);
    if (r == 0)
        r = bind_blob(db, st, 5, &def->args);
    return r;
}

static int bind_setting(struct db *db, enum sql_stmt st, const struct db_def *def)
{
    int r = bind_text(db, st, 1, &def->type);

    if (r == 0)
        r = bind_text(db, st, 2, &def->name);
    if (r == 0 && st == SQL_SETTING_PUT)
        r = bind_blob(db, st, 3, &def->args);
    return r;
}

static int put_row(struct db *db, const struct db_def *def)
{
    enum sql_stmt st = SQL_N_STMTS;
    int r = -EINVAL;

    switch (def->kind) {
    case DB_QUEUE:
        st = SQL_QUEUE_PUT;
        r = bind_queue(db, def);
        break;
    case DB_EXCHANGE:
        st = SQL_EXCHANGE_PUT;
        r = bind_exchange(db, def);
        break;
    case DB_BINDING:
        st = SQL_BINDING_PUT;
        r = bind_binding(db, st, def);
        break;
    case DB_SETTING:
        st = SQL_SETTING_PUT;
        r = bind_setting(db, st, def);
        break;
    }
    return r < 0 ? r : sql_run(db->sql, st);
}

static int del_row(struct db *db, const struct db_def *def)
{
    int r = -EINVAL;

    switch (def->kind) {
    case DB_QUEUE:
    case DB_EXCHANGE:
        r = sql_run_id(db->sql, SQL_BINDINGS_DEL, def->id);
        if (def->kind == DB_QUEUE)
            index_forget(db, def->id);
        if (r == 0)
            r = sql_run_id(db->sql, def->kind == DB_QUEUE ? SQL_QUEUE_DEL : SQL_EXCHANGE_DEL,
                           def->id);
        break;
    case DB_BINDING:
        r = bind_binding(db, SQL_BINDING_DEL, def);
        if (r == 0)
            r = sql_run(db->sql, SQL_BINDING_DEL);
        break;
    case DB_SETTING:
        r = bind_setting(db, SQL_SETTING_DEL, def);
        if (r == 0)
            r = sql_run(db->sql, SQL_SETTING_DEL);
        break;
    }
    return r;
}

static int change(struct db *db, const struct db_def *def,
                  int (*row)(struct db *, const struct db_def *))
{
    int r = group_begin(db);

    if (r == 0)
        r = row(db, def);
    if (r < 0)
        return db_fail(db, r);
    db->has_rows = true;
    commit_policy_add_urgent(&db->policy);
    return 0;
}

int db_put(struct db *db, const struct db_def *def)
{
    return change(db, def, put_row);
}

int db_del(struct db *db, const struct db_def *def)
{
    return change(db, def, del_row);
}

static struct db_bytes bytes_at(struct sql *sql, enum sql_stmt st, int at)
{
    struct db_bytes b;

    b.p = sql_column_bytes(sql, st, at, &b.len);
    return b;
}

static void read_def(struct sql *sql, enum sql_stmt st, struct db_def *def)
{
    int at = 0;

    switch (def->kind) {
    case DB_SETTING:
        def->type = bytes_at(sql, st, at++);
        def->name = bytes_at(sql, st, at++);
        break;
    case DB_EXCHANGE:
    case DB_QUEUE:
        def->id = sql_column_int(sql, st, at++);
        def->name = bytes_at(sql, st, at++);
        if (def->kind == DB_EXCHANGE)
            def->type = bytes_at(sql, st, at++);
        def->flags = (uint32_t)sql_column_int(sql, st, at++);
        break;
    case DB_BINDING:
        def->source = sql_column_int(sql, st, at++);
        def->dest = sql_column_int(sql, st, at++);
        def->dest_type = (uint32_t)sql_column_int(sql, st, at++);
        def->key = bytes_at(sql, st, at++);
        break;
    }
    def->args = bytes_at(sql, st, at);
}

int defs_each(struct sql *sql, enum db_def_kind kind, bool backwards,
              int (*fn)(void *ctx, const struct db_def *def), void *ctx)
{
    static const enum sql_stmt stmts[][2] = {
        [DB_QUEUE] = {SQL_QUEUES, SQL_QUEUES_BACK},
        [DB_EXCHANGE] = {SQL_EXCHANGES, SQL_EXCHANGES_BACK},
        [DB_BINDING] = {SQL_BINDINGS, SQL_BINDINGS_BACK},
        [DB_SETTING] = {SQL_SETTINGS, SQL_SETTINGS_BACK},
    };
    enum sql_stmt st = stmts[kind][backwards];
    int r;

    while ((r = sql_next(sql, st)) == 1) {
        struct db_def def = {.kind = kind};

        read_def(sql, st, &def);
        r = fn(ctx, &def);
        if (r != 0) {
            sql_reset(sql, st);
            return r;
        }
    }
    return r;
}

int db_each_def(struct db *db, int (*fn)(void *ctx, const struct db_def *def), void *ctx)
{
    static const enum db_def_kind kinds[] = {DB_SETTING, DB_EXCHANGE, DB_QUEUE, DB_BINDING};
    int r = 0;

    for (unsigned i = 0; r == 0 && i < sizeof(kinds) / sizeof(kinds[0]); i++)
        r = defs_each(db->sql, kinds[i], false, fn, ctx);
    return r;
}
