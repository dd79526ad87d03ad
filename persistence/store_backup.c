/*
 * The store's part in a backup: a copy of its database, in steps between its other work.
 */
#include <errno.h>
#include <stdio.h>

#include "broker/runtime/world.h"
#include "persistence/store_internal.h"

#define STEP_US     5000
#define FIRST_PAGES 16
#define MAX_PAGES   4096
#define TELL_US     200000

static void end(struct store *st, int error, const char *why)
{
    struct msg_store_backed_up *m = MSG_NEW(STORE_BACKED_UP, struct msg_store_backed_up);

    m->error = error;
    m->group = db_group(st->db);
    snprintf(m->why, sizeof(m->why), "%s", why);
    proc_reply(st->backup, &m->hdr);
    msg_drop(st->backup);
    st->backup = NULL;
}

static void tell(struct store *st, uint64_t now)
{
    struct msg_store_backup_progress *m;

    if (now < st->backup_told_us + TELL_US)
        return;
    st->backup_told_us = now;
    m = MSG_NEW(STORE_BACKUP_PROGRESS, struct msg_store_backup_progress);
    db_copy_progress(st->db, &m->done, &m->all);
    PROC_SEND(st->backup->from, m);
}

void store_on_backup(struct store *st, struct msg *m)
{
    int r;

    if (st->backup) {
        db_copy_end(st->db);
        end(st, -ECANCELED, "another backup was begun");
    }
    proc_keep(m);
    st->backup = m;
    store_commit(st); /* a copy begins where nothing waits */
    r = db_copy_begin(st->db, MSG_OF(struct msg_store_backup, m)->path);
    if (r < 0) {
        end(st, r, db_error(st->db));
        return;
    }
    st->backup_pages = FIRST_PAGES;
    st->backup_due_us = proc_now_us();
}

/* By what this step took, at most half or double. */
static uint32_t next_pages(uint32_t pages, uint64_t took_us)
{
    if (took_us > STEP_US && pages > 1)
        return pages / 2;
    return took_us < STEP_US / 2 && pages < MAX_PAGES ? 2 * pages : pages;
}

void store_backup_go_on(struct store *st)
{
    uint64_t before = world()->now_ns() / 1000, took;
    int r;

    if (!st->backup || before < st->backup_due_us)
        return;
    r = db_copy_step(st->db, st->backup_pages);
    if (r == -EBUSY)
        return; /* after the commit, then */
    if (r <= 0) {
        end(st, r, r < 0 ? db_error(st->db) : "");
        return;
    }
    took = world()->now_ns() / 1000 - before;
    store_upkeep_took(st, STORE_STEP_BACKUP, took);
    st->backup_pages = next_pages(st->backup_pages, took);
    /* As long a rest, so that what came meanwhile has its turn, and the disk. */
    st->backup_due_us = before + 2 * took;
    tell(st, before + took);
}
