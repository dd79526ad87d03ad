/*
 * The tables of a database, their version, and the way from each earlier version to this one.
 *
 * A change of the schema or of what a column's bytes mean takes four things: the tables of a new
 * database (schema.c), one step more, SCHEMA_VERSION, and a database of the version before for
 * tests/faults/test_migrate.c. A step is one transaction with the new version in it, so a program
 * that dies on the way goes on where it was.
 */
#ifndef PERSISTENCE_SCHEMA_H
#define PERSISTENCE_SCHEMA_H

#include <stddef.h>

struct sql;

/* What this program writes, and the newest that it reads. */
#define SCHEMA_VERSION 3

/*
 * The oldest version whose definitions, entries, acks and records have the form that this one
 * reads: what salvage needs, which cannot migrate a damaged database first.
 */
#define SCHEMA_SALVAGE_FROM 1

/*
 * The version of the database; 0: it is empty. -EINVAL: not one of ours; -ENOTSUP: a newer one;
 * then `why` says so, with the name of the directory.
 */
int schema_version(struct sql *sql, const char *dir, int *ret, char *why, size_t why_size);

/* Makes the tables in an empty database, as one transaction. */
int schema_make(struct sql *sql);

/* From version i + 1 to i + 2, i its place in the list: statements, then a function; or NULL. */
struct schema_step {
    const char *text;
    int (*fn)(struct sql *sql); /* inside the step's transaction; 0 or -errno */
};

/* From version 1 to 2, 2 to 3, ...: SCHEMA_VERSION - 1 of them. */
extern const struct schema_step schema_steps[];

/*
 * Takes a database of version `from` through the steps that are missing, to version n + 1. After an
 * error it is of the version before the step that failed.
 */
int schema_migrate(struct sql *sql, int from, const struct schema_step *steps, int n);

#endif
