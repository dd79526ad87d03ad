/*
 * Views for who runs the broker: its configuration, and stopping it.
 *
 *   api/warren/config         GET: each key with its value; PUT {"key", "value"}: until a reload
 *   api/warren/config/reload  POST: as SIGHUP
 *   api/warren/stop           POST: as SIGTERM
 */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "broker/core/config.h"
#include "broker/core/config_server.h"
#include "broker/core/log.h"
#include "broker/runtime/region.h"
#include "mgmt/json.h"
#include "mgmt/views.h"

enum { ASK_US = 30 * 1000 * 1000 };

static void add_key(void *ctx, const struct config_shown *shown)
{
    json_t *one = json_object();

    json_add_text(one, "key", shown->name);
    json_add_text(one, "type", shown->type);
    json_add_text(one, "default", shown->initial);
    json_add_text(one, "meaning", shown->meaning);
    json_add_text(one, "value", shown->value);
    json_add_text(one, "origin", shown->origin);
    json_add_bool(one, "reloadable", shown->is_reloadable);
    (void)json_array_append_new(ctx, one); /* fails only without memory: not shown */
}

static json_t *keys_json(void)
{
    RUNTIME_REGION();
    json_t *ret = json_array();

    config_each(add_key, ret);
    return ret;
}

static void start_config(struct request *r)
{
    request_finish_json(r, keys_json());
}

static void say_who(const struct request *r, const char *what)
{
    char who[REQUEST_WHO_SIZE];

    log_of(LOG_ACCESS, LOG_LEVEL_INFO, "audit: %s %s", request_who(r, who), what);
}

static void start_change(struct request *r)
{
    const char *key = request_body_text(r, "key"), *value = request_body_text(r, "value");
    struct msg_config_change *m;

    if (!key || !value || strlen(key) >= sizeof(m->key) || strlen(value) >= sizeof(m->value))
        request_fail(r, 400, "the body is {\"key\": text, \"value\": text}");
    m = MSG_NEW(CONFIG_CHANGE, struct msg_config_change);
    strcpy(m->key, key);
    strcpy(m->value, value);
    say_who(r, "changes the configuration");
    r->asked = proc_call(proc_whereis("config"), &m->hdr, ASK_US);
}

static void start_reload(struct request *r)
{
    say_who(r, "has the configuration read again");
    r->asked =
        proc_call(proc_whereis("config"), msg_new(CONFIG_RELOAD, sizeof(struct msg), NULL), ASK_US);
}

static void on_done(struct request *r, struct msg *m)
{
    const struct msg_config_done *done = MSG_OF(struct msg_config_done, m);

    CHECK(m->ref == r->asked);
    if (m->type == MSG_DOWN) /* the same twice is the same once */
        again_by_name(r, "config");
    if (m->type != CONFIG_DONE)
        request_fail(r, 503, "the process that has the configuration did not answer");
    if (done->error < 0)
        request_fail(r, 400, done->text);
    request_finish_empty(r);
}

/* The signal's way is the one way to an ordered stop. */
static void start_stop(struct request *r)
{
    say_who(r, "stops the broker");
    {
        RUNTIME_REGION();
        (void)kill(getpid(), SIGTERM); /* to itself: it cannot fail */
    }
    request_finish_empty(r);
}

const struct view views_admin[] = {
    {"api/warren/config", HTTP_GET, VIEW_ADMINISTRATOR, 0, start_config, NULL},
    {"api/warren/config", HTTP_PUT, VIEW_ADMINISTRATOR, 0, start_change, on_done},
    {"api/warren/config/reload", HTTP_POST, VIEW_ADMINISTRATOR, 0, start_reload, on_done},
    {"api/warren/stop", HTTP_POST, VIEW_ADMINISTRATOR, 0, start_stop, NULL},
    {0},
};
