/*
 * node_change.c - one change after the other: taken apart, written, told to access and shown, and
 * answered when all that it brings is there.
 *
 * A store that dies over a write leaves open whether it was written: what it has is loaded, and the
 * change begins anew, which is the same again. An access that dies is told all; then the change
 * goes on.
 */
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/core/log.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/region.h"
#include "queues/node_impl.h"
#include "queues/settings.h"
#include "queues/vhost_state.h"

void change_init(struct node_change *c)
{
    u64map_init(&c->applying, proc_realloc, proc_free);
}

static void drop_change(struct msg *m)
{
    struct msg_node_change *c = MSG_OF(struct msg_node_change, m);

    if (c->text) /* nobody else has it */
        OPENSSL_cleanse((void *)(uintptr_t)blob_bytes(c->text), blob_size(c->text));
    blob_unref(c->text);
    msg_free(m);
}

struct msg_node_change *node_change_new(enum node_verb verb, const char *text, size_t len)
{
    struct msg_node_change *m = msg_new(NODE_CHANGE, sizeof(*m), drop_change);

    m->verb = verb;
    m->text = blob_copy(text, len);
    return m;
}

static void forget(struct node_change *c)
{
    definitions_give(c->made);
    proc_free(c->vhosts);
    proc_free(c->policed);
    u64map_fini(&c->applying);
    *c = (struct node_change){.step = CHANGE_NONE};
    change_init(c);
}

static bool is_name(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* The text of a change, NUL-terminated, of proc_alloc. */
static char *text_of(const struct msg_node_change *m)
{
    char *text = proc_alloc(blob_size(m->text) + 1);

    memcpy(text, blob_bytes(m->text), blob_size(m->text));
    text[blob_size(m->text)] = '\0';
    return text;
}

/*
 * What goes
 */

/* Whether this goes when `main`, a user or vhost, does. */
static bool hangs_on(const struct definition *d, const struct definition *main)
{
    bool is_user = main->fact.kind == ACCESS_FACT_USER;
    bool is_right = d->kind == DEFINITION_FACT && (d->fact.kind == ACCESS_FACT_PERMISSION ||
                                                   d->fact.kind == ACCESS_FACT_TOPIC_PERMISSION);

    if (main->kind == DEFINITION_OTHER || (main->fact.kind != ACCESS_FACT_VHOST && !is_user))
        return false;
    if (is_user)
        return is_right && is_name(d->fact.user, main->fact.user);
    if (is_right || (d->kind == DEFINITION_FACT && d->fact.kind == ACCESS_FACT_VHOST_LIMITS))
        return is_name(d->fact.vhost, main->fact.vhost);
    return d->kind == DEFINITION_OTHER && is_name(d->vhost, main->fact.vhost);
}

static void add_removal(struct msg_store_rows *rows, const struct definition *d)
{
    node_add_row(rows, d);
    rows->row[rows->n - 1].remove = true;
}

/* A vhost's row stays, and says that it goes, until its data has gone. */
static void add_gone(struct msg_store_rows *rows, const struct definition *d)
{
    static const char mark[] = "{\"" DEFINITION_GONE_MARK "\":true,";
    size_t len = strlen(d->text) - 1;
    char *text = proc_alloc(sizeof(mark) + len);
    struct store_row *row;

    memcpy(text, mark, sizeof(mark) - 1);
    memcpy(text + sizeof(mark) - 1, d->text + 1, len);
    node_add_row(rows, d);
    row = &rows->row[rows->n - 1];
    blob_unref(row->args);
    row->args = blob_copy(text, sizeof(mark) - 1 + len);
    proc_free(text);
}

static struct msg_store_rows *removal_rows(struct node *n, const struct definition *main)
{
    struct msg_store_rows *rows = store_rows_new(STORE_WRITE, (uint32_t)n->stored->n);

    for (size_t i = 0; i < n->stored->n; i++)
        if (hangs_on(&n->stored->v[i], main))
            add_removal(rows, &n->stored->v[i]);
    if (main->kind == DEFINITION_FACT && main->fact.kind == ACCESS_FACT_VHOST)
        add_gone(rows, main);
    else
        add_removal(rows, main);
    return rows;
}

static void hide(proc_id access, const struct definition *d)
{
    settings_del(d->section, d->key);
    node_tell_fact(access, d, true);
}

static void remove_all(struct node *n, proc_id access, const struct definition *main)
{
    for (size_t i = n->stored->n; i-- > 0;) {
        struct definition *d = &n->stored->v[i];

        if (d == main || !hangs_on(d, main))
            continue;
        hide(access, d);
        (void)definitions_remove(n->stored, d->section, d->key); /* it is there */
        main -= main > d;
    }
    hide(access, main);
    node_note_policy(&n->change, main);
    if (n->change.vhost[0])
        n->stored->v[main - n->stored->v].kind = DEFINITION_GONE;
    else
        (void)definitions_remove(n->stored, main->section, main->key); /* as above */
}

/*
 * Beginning
 */

void change_write(struct node *n, enum change_step step, struct msg_store_rows *rows)
{
    n->change.step = step;
    n->change.call = proc_call(proc_whereis(NODE_STORE), &rows->hdr, PROC_NO_TIMEOUT);
}

static const struct definition *find(struct node *n, const struct msg_node_change *m)
{
    char *key = text_of(m);
    const struct definition *d = definitions_find(n->stored, m->section, key);

    proc_free(key);
    return d;
}

static void begin_remove(struct node *n)
{
    struct node_change *c = &n->change;
    const struct definition *d = find(n, c->m);

    if (!d) {
        change_finish(n, NODE_NOT_FOUND, "");
        return;
    }
    snprintf(c->key, sizeof(c->key), "%s", d->key);
    c->changes_rights = d->fact.kind != ACCESS_FACT_VHOST_LIMITS && d->kind != DEFINITION_OTHER;
    c->user_hash = d->fact.user[0] ? access_user_hash(d->fact.user) : 0;
    if (is_name(d->section, "vhosts"))
        snprintf(c->vhost, sizeof(c->vhost), "%s", d->fact.vhost);
    if (d->kind == DEFINITION_GONE)
        gone_stop(n);
    else if (d->is_protected)
        change_finish(n, NODE_PROTECTED, "");
    else
        change_write(n, CHANGE_WRITING, removal_rows(n, d));
}

/* Whether users and vhosts that are named are there, or come with it. */
static bool has_both(struct node *n, const struct definition *d, char *why, size_t size)
{
    char *user = definitions_key(d->fact.user, NULL, NULL);
    char *vhost = definitions_key(d->fact.vhost[0] ? d->fact.vhost : d->vhost, NULL, NULL);
    const struct definition *v = definitions_find(n->stored, "vhosts", vhost);
    bool has_vhost =
        (v && v->kind == DEFINITION_FACT) || definitions_find(n->change.made, "vhosts", vhost);
    bool has_user = definitions_find(n->stored, "users", user) ||
                    definitions_find(n->change.made, "users", user);
    bool needs_vhost = d->kind == DEFINITION_OTHER ? d->vhost[0] != '\0' : d->fact.vhost[0] != '\0';

    free(user);
    free(vhost);
    if (needs_vhost && !has_vhost)
        snprintf(why, size, "vhost '%s' does not exist",
                 d->fact.vhost[0] ? d->fact.vhost : d->vhost);
    else if (d->fact.user[0] && !has_user)
        snprintf(why, size, "user '%s' does not exist", d->fact.user);
    else
        return true;
    return false;
}

static bool check(struct node *n, char *why, size_t size)
{
    for (size_t i = 0; i < n->change.made->n; i++) {
        const struct definition *d = &n->change.made->v[i];

        if ((d->kind == DEFINITION_FACT || d->kind == DEFINITION_OTHER) &&
            !has_both(n, d, why, size))
            return false;
    }
    return definitions_check_topology(n->change.made, why, size);
}

static void note_rights(struct node_change *c, const struct definition *d)
{
    bool is_first = !c->changes_rights;

    if (d->kind != DEFINITION_FACT || d->fact.kind == ACCESS_FACT_VHOST_LIMITS ||
        d->fact.kind == ACCESS_FACT_VHOST)
        return;
    c->changes_rights = true;
    c->user_hash = is_first ? access_user_hash(d->fact.user) : 0;
}

static void begin_put(struct node *n)
{
    struct node_change *c = &n->change;
    const struct definitions_text in = {.text = (const char *)blob_bytes(c->m->text),
                                        .len = blob_size(c->m->text),
                                        .vhost = c->m->vhost[0] ? c->m->vhost : NULL,
                                        .skips = c->m->skips};
    struct msg_store_rows *rows;
    char why[NODE_TEXT_MAX];
    int r;

    c->made = definitions_take();
    if (c->m->verb == NODE_PUT)
        r = definitions_parse_one(c->m->section, &in, n->stored, c->made, why, sizeof(why));
    else
        r = definitions_parse(&in, n->stored, c->made, why, sizeof(why));
    if (r < 0 || !check(n, why, sizeof(why))) {
        change_finish(n, NODE_REFUSED, why);
        return;
    }
    rows = store_rows_new(STORE_WRITE, (uint32_t)c->made->n + 1);
    for (size_t i = 0; i < c->made->n; i++) {
        const struct definition *d = &c->made->v[i];

        if (!d->text)
            continue;
        node_add_row(rows, d);
        note_rights(c, d);
        snprintf(c->key, sizeof(c->key), "%s", d->key);
        c->is_new = !definitions_find(n->stored, d->section, d->key);
    }
    change_write(n, CHANGE_WRITING, rows);
}

static void begin(struct node *n)
{
    struct node_change *c = &n->change;
    struct msg_node_change *m = c->m;

    forget(c);
    c->m = m;
    if (m->verb == NODE_REMOVE)
        begin_remove(n);
    else
        begin_put(n);
}

/*
 * A password's hash that becomes a slow one: a put of the user, as it is but for the hash.
 */

static void begin_upgrade(struct node *n, const struct msg_access_upgrade *m)
{
    char *key = definitions_key(m->user, NULL, NULL), why[64];
    const struct definition *d = definitions_find(n->stored, "users", key);
    char *text = d ? definition_upgraded(d, m->password, m->len) : NULL;
    struct msg_store_rows *rows;

    free(key);
    if (!text)
        return; /* changed meanwhile, or done */
    n->change.made = definitions_take();
    (void)definitions_add(n->change.made, "users", text, strlen(text), why, sizeof(why));
    free(text);
    rows = store_rows_new(STORE_WRITE, 1);
    node_add_row(rows, &n->change.made->v[0]);
    change_write(n, CHANGE_WRITING, rows);
}

void change_add(struct node *n, struct msg *m)
{
    struct node_waiting *w = proc_alloc(sizeof(*w));

    proc_keep(m);
    w->m = m;
    STAILQ_INSERT_TAIL(&n->changes, w, link);
    change_next(n);
}

void change_next(struct node *n)
{
    struct node_waiting *w;

    while (n->is_ready && n->change.step == CHANGE_NONE &&
           (w = STAILQ_FIRST(&n->changes)) != NULL) {
        struct msg *m = w->m;

        STAILQ_REMOVE_HEAD(&n->changes, link);
        proc_free(w);
        if (m->type == NODE_CHANGE) {
            n->change.m = MSG_OF(struct msg_node_change, m);
            begin(n);
            continue;
        }
        begin_upgrade(n, MSG_OF(struct msg_access_upgrade, m));
        msg_drop(m);
    }
}

/*
 * Going on
 */

static void note_vhost(struct node_change *c, const struct definition *d)
{
    if (d->kind != DEFINITION_FACT || d->fact.kind != ACCESS_FACT_VHOST)
        return;
    c->vhosts = proc_realloc(c->vhosts, (c->n_vhosts + 1) * sizeof(c->vhosts[0]));
    snprintf(c->vhosts[c->n_vhosts++].text, sizeof(c->vhosts[0].text), "%s", d->fact.vhost);
}

/* What is stored has its place from now on; topology stays for the import. */
static void put_all(struct node *n, proc_id access)
{
    struct definitions *made = n->change.made;

    for (size_t i = 0; i < made->n; i++) {
        struct definition *d = &made->v[i];

        if (!d->text)
            continue;
        settings_put(d->section, d->key, d->text);
        node_tell_fact(access, d, false);
        note_vhost(&n->change, d);
        node_note_policy(&n->change, d);
        definitions_move(n->stored, d);
    }
}

static void written(struct node *n)
{
    struct node_change *c = &n->change;
    proc_id access = proc_whereis("access");

    if (c->made)
        put_all(n, access);
    else
        remove_all(n, access, find(n, c->m));
    c->step = CHANGE_TELLING;
    c->call = proc_call(access, msg_new(ACCESS_SYNC, sizeof(struct msg), NULL), PROC_NO_TIMEOUT);
}

/* What the change brings is durable and known; what hangs on it follows. */
static void go_on(struct node *n)
{
    struct node_change *c = &n->change;

    if (c->vhost[0]) {
        vhost_recheck(c->vhost, 0);
        gone_stop(n);
    } else if (c->made) {
        c->step = CHANGE_SETTLING;
        import_begin(n, c->made);
        settle_begin(n, c->vhosts, c->n_vhosts);
    } else {
        change_finish(n, NODE_REMOVED, "");
    }
}

static void told(struct node *n)
{
    struct node_change *c = &n->change;

    if (c->changes_rights)
        vhosts_recheck(c->user_hash);
    c->step = CHANGE_APPLYING;
    if (!node_apply_policies(n))
        go_on(n);
}

void change_settled(struct node *n)
{
    struct node_change *c = &n->change;
    const char *down = NULL;

    for (size_t i = 0; i < c->n_vhosts && !down; i++)
        down = vhost_down_reason(c->vhosts[i].text);
    if (down)
        change_finish(n, NODE_FAILED, down);
    else if (n->import.failure[0])
        change_finish(n, NODE_FAILED, n->import.failure);
    else
        change_finish(n, c->is_new ? NODE_CREATED : NODE_UPDATED, "");
}

void change_swept(struct node *n)
{
    struct node_change *c = &n->change;

    if (c->call)
        return;
    if (c->step == CHANGE_TELLING)
        told(n); /* access has heard of it with all the rest */
    else if (c->step == CHANGE_WRITING && c->m)
        begin(n);
    else if (c->step == CHANGE_WRITING)
        change_finish(n, NODE_UPDATED, ""); /* a hash: the next login tries it again */
    else if (c->step == CHANGE_FORGETTING)
        gone_stop(n);
}

/* Who, what, and never a secret. */
static void audit(const struct node *n, enum node_result result)
{
    static const char *const done[] = {[NODE_CREATED] = "created",
                                       [NODE_UPDATED] = "changed",
                                       [NODE_REMOVED] = "deleted",
                                       [NODE_FAILED] = "changed, with failures,"};
    const struct node_change *c = &n->change;
    char what[700], who[500];

    if (result > NODE_FAILED || !done[result])
        return;
    if (c->m->verb == NODE_IMPORT)
        snprintf(what, sizeof(what), "definitions, %zu objects", c->made->n);
    else
        snprintf(what, sizeof(what), "%s %s", c->m->section, c->key);
    log_info("audit: %s %s by %s", what, done[result],
             log_quote(who, sizeof(who), c->m->who, strlen(c->m->who)));
}

void change_finish(struct node *n, enum node_result result, const char *text)
{
    struct node_change *c = &n->change;
    struct msg_node_changed *reply;

    if (c->m) {
        audit(n, result);
        reply = MSG_NEW(NODE_CHANGED, struct msg_node_changed);
        reply->result = result;
        snprintf(reply->text, sizeof(reply->text), "%s", text);
        if (c->m->hdr.flags & MSG_F_ASKS)
            proc_reply(&c->m->hdr, &reply->hdr);
        else
            msg_drop(&reply->hdr);
        msg_drop(&c->m->hdr);
    }
    forget(c);
    change_next(n);
}

static void on_down(struct node *n, enum change_step step)
{
    switch (step) {
    case CHANGE_WRITING:
    case CHANGE_FORGETTING:
        node_load_again(n); /* then change_swept */
        break;
    case CHANGE_STOPPING:
        n->change.name = proc_await("vhosts");
        break;
    default:
        break; /* access: its next run is told all, then change_swept */
    }
}

bool change_take(struct node *n, struct msg *m)
{
    struct node_change *c = &n->change;
    enum change_step step = c->step;

    if (m->ref &&
        u64map_del(&c->applying, m->ref, NULL)) { /* a registry that died looks when it is back */
        if (c->applying.n == 0)
            go_on(n);
        return true;
    }
    if (m->ref == 0 || (m->ref != c->call && m->ref != c->name))
        return false;
    if (m->ref == c->name) {
        c->name = 0;
        gone_stop(n);
        return true;
    }
    c->call = 0;
    if (m->type == MSG_DOWN)
        on_down(n, step);
    else if (step == CHANGE_WRITING)
        written(n);
    else if (step == CHANGE_TELLING)
        told(n);
    else if (step == CHANGE_STOPPING)
        gone_stopped(n);
    else if (step == CHANGE_FORGETTING)
        gone_forgotten(n);
    return true;
}
