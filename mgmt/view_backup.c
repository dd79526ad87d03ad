/*
 * Views of the backup: how far it is, and beginning one.
 */
#include <string.h>

#include "broker/runtime/blob.h"
#include "broker/runtime/region.h"
#include "mgmt/json.h"
#include "mgmt/views.h"
#include "queues/backup.h"

static json_t *status_json(const struct backup_status *s)
{
    RUNTIME_REGION();
    static const char *const names[] = {[BACKUP_NONE] = "none",
                                        [BACKUP_RUNNING] = "running",
                                        [BACKUP_DONE] = "done",
                                        [BACKUP_FAILED] = "failed"};
    json_t *ret = json_object();

    json_add_text(ret, "state", names[s->state]);
    if (s->state == BACKUP_NONE)
        return ret;
    json_add_text(ret, "directory", s->dir);
    json_add_count(ret, "stores", s->n_stores);
    json_add_count(ret, "stores_done", s->n_done);
    json_add_count(ret, "bytes", s->bytes);
    json_add_count(ret, "bytes_done", s->bytes_done);
    json_add_count(ret, "started_at", (uint64_t)s->started_ms);
    if (s->state != BACKUP_RUNNING)
        json_add_count(ret, "ended_at", (uint64_t)s->ended_ms);
    json_add_count(ret, "vhosts_missing", s->n_missing);
    if (s->n_missing > 0)
        json_add_text(ret, "missing", s->missing);
    if (s->state == BACKUP_FAILED)
        json_add_text(ret, "reason", s->why);
    return ret;
}

static void start_show(struct request *r)
{
    text_add_json(&r->foreign->out, status_json(backup_status()));
    request_finish(r);
}

/* Whether the body names a directory. */
static bool read_order(const struct blob *body, char *ret, size_t size)
{
    RUNTIME_REGION();
    json_t *json =
        body ? json_loadb((const char *)blob_bytes(body), blob_size(body), 0, NULL) : NULL;
    const char *dir = json_string_value(json_object_get(json, "directory"));
    bool is_right = dir && strlen(dir) < size;

    if (is_right)
        strcpy(ret, dir);
    json_decref(json);
    return is_right;
}

static void start_begin(struct request *r)
{
    struct msg_backup_start *m = MSG_NEW(BACKUP_START, struct msg_backup_start);

    if (!read_order(r->m->body, m->dir, sizeof(m->dir))) {
        msg_drop(&m->hdr);
        request_fail(r, 400, "the body is {\"directory\": absolute path}");
    }
    r->asked = proc_call(proc_whereis("backup"), &m->hdr, PROC_NO_TIMEOUT);
}

static void handle_begin(struct request *r, struct msg *m)
{
    const struct msg_backup_started *started = MSG_OF(struct msg_backup_started, m);

    CHECK(m->ref == r->asked);
    if (m->type == MSG_DOWN) {
        again_note(r, m);
        if (!r->m->again.may_have_acted)
            again_by_name(r, "backup");
        request_fail(r, 503, "the process that makes backups is down");
    }
    if (started->error < 0)
        request_fail(r, 400, started->why);
    request_finish_empty(r);
}

const struct view views_backup[] = {
    {"api/warren/backup", HTTP_GET, VIEW_MONITORING, 0, start_show, NULL},
    {"api/warren/backup", HTTP_POST, VIEW_ADMINISTRATOR, 0, start_begin, handle_begin},
    {0},
};
