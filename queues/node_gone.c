/*
 * node_gone.c - the end of a vhost.
 *
 * Its row says that it goes, and nobody is told of it any more: that is the moment at which it is
 * decided. Then its processes are stopped, its cells and its data removed, and the row goes last.
 * A start that finds such a row goes on there.
 *
 * Where a supervisor has died meanwhile, what it left behind may still be about to end: the data is
 * not touched before its store has let go of it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/core/config.h"
#include "broker/core/log.h"
#include "broker/runtime/supervisor.h"
#include "broker/runtime/world.h"
#include "queues/node_impl.h"
#include "queues/vhost.h"
#include "queues/vhost_state.h"

void gone_stop(struct node *n)
{
    struct node_change *c = &n->change;
    char id[300];

    snprintf(id, sizeof(id), "vhost:%s", c->vhost);
    c->step = CHANGE_STOPPING;
    vhost_count_deletion(c->vhost);
    c->call = sup_stop_child(proc_whereis("vhosts"), id, PROC_NO_TIMEOUT);
}

enum { TRY_US = 50 * 1000, TRIES = 200 };

void gone_stopped(struct node *n)
{
    struct node_change *c = &n->change;
    char *key = definitions_key(c->vhost, NULL, NULL), dir[400], name[32];
    const struct definition *d = definitions_find(n->stored, "vhosts", key);
    struct msg_store_rows *rows;
    int r;

    free(key);
    CHECK(d && d->kind == DEFINITION_GONE);
    if (c->n_tries == 0)
        vhost_forget(c->vhost);
    vhost_dir_name(c->vhost, name, sizeof(name));
    snprintf(dir, sizeof(dir), "%.300s/%s", config()->data_dir, name);
    r = store_remove(dir, world()->vfs);
    if (r == -EBUSY && c->n_tries++ < TRIES) {
        c->call = proc_timer(TRY_US);
        return;
    }
    if (r < 0) {
        log_error("the data of vhost '%s' in %s could not be removed: %s; the next start tries it "
                  "again",
                  c->vhost, dir, strerror(-r));
        change_finish(n, NODE_FAILED, "its data could not be removed");
        return;
    }
    rows = store_rows_new(STORE_WRITE, 1);
    node_add_row(rows, d);
    rows->row[0].remove = true;
    change_write(n, CHANGE_FORGETTING, rows);
}

void gone_forgotten(struct node *n)
{
    char *key = definitions_key(n->change.vhost, NULL, NULL);

    (void)definitions_remove(n->stored, "vhosts", key); /* it is there */
    free(key);
    change_finish(n, NODE_REMOVED, "");
}

void gone_resume(struct node *n)
{
    for (size_t i = 0; i < n->stored->n; i++) {
        const struct definition *d = &n->stored->v[i];
        struct msg_node_change *m;

        if (d->kind != DEFINITION_GONE)
            continue;
        m = node_change_new(NODE_REMOVE, d->key, strlen(d->key));
        snprintf(m->section, sizeof(m->section), "vhosts");
        snprintf(m->who, sizeof(m->who), "this node, which was stopped over it");
        change_add(n, &m->hdr);
    }
}
