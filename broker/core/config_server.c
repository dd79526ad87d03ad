/*
 * config_server.c - changes the configuration while the broker runs.
 *
 * Duties: reads files again, checks the whole, puts it in force, says what changed and what needs a
 * restart, tells who keeps something made of it. Blocking, because files may be slow.
 * In:  CONFIG_RELOAD (main on SIGHUP, requests), CONFIG_CHANGE (requests).
 * Out: CONFIG_DONE to who asked, CONFIG_CHANGED to who keeps something, TLS_RELOAD.
 * Links and monitors: none.
 * Invariants:
 *   1. What is in force passed all checks.
 *   2. A key that is not reloadable has the value of the start.
 */
#include "broker/core/config_server.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/core/activation.h"
#include "broker/core/config_impl.h"
#include "broker/core/log.h"
#include "broker/core/tls.h"
#include "broker/runtime/region.h"
#include "broker/runtime/world.h"

struct config_server {
    struct config_whole *draft; /* process memory: too much for a stack */
};

/* Registered names; one that is not there will look when it starts. */
static const char *const keepers[] = {"log_console", "log_file", "log_journal"};

static void init(void *state, const void *arg)
{
    struct config_server *s = state;

    (void)arg;
    s->draft = proc_alloc(sizeof(*s->draft));
    CHECK(proc_register("config") == 0);
}

static void say_change(const struct config_key *k, const struct config_whole *w)
{
    char line[CONFIG_TEXT_MAX + 128], quoted[CONFIG_TEXT_MAX + 128];

    for (unsigned i = 0; config_show(&w->values, k, i, line, sizeof(line)); i++)
        log_info("configuration: %s", log_quote(quoted, sizeof(quoted), line, strlen(line)));
}

/* Says what differs; what may not change while running stays. */
static void settle_differences(struct config_whole *draft)
{
    const struct config_whole *old = config_whole();

    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *k = &config_keys[i];

        if (k->type == KEY_SECTION || (k->flags & KEY_HIDDEN) ||
            config_is_same(&old->values, &draft->values, k))
            continue;
        if (k->flags & KEY_RELOADABLE) {
            say_change(k, draft);
            continue;
        }
        log_warn("configuration: %s takes effect at the next start", k->name);
        config_copy_key(draft, old, k);
    }
}

static void tell_keepers(void)
{
    for (size_t i = 0; i < sizeof(keepers) / sizeof(*keepers); i++)
        proc_send(proc_whereis(keepers[i]), msg_new(CONFIG_CHANGED, sizeof(struct msg), NULL));
}

static int check(const struct config_whole *draft, char *text, size_t size)
{
    RUNTIME_REGION();

    return config_check_whole(draft, text, size);
}

static void put_in_force(const struct config_whole *draft)
{
    RUNTIME_REGION();

    config_put_in_force(draft);
}

static int take(struct config_whole *draft, char *text, size_t size)
{
    int r = check(draft, text, size);

    if (r < 0)
        return r;
    settle_differences(draft);
    put_in_force(draft);
    log_set_thresholds();
    tell_keepers();
    return 0;
}

static int read_again(struct config_whole *draft, char *text, size_t size)
{
    RUNTIME_REGION();

    return config_read_again(draft, text, size);
}

static int reload(struct config_whole *draft, char *text, size_t size)
{
    int r = read_again(draft, text, size);

    text[strcspn(text, "\n")] = 0; /* the first error is enough for a line of the log */
    if (r < 0)
        return r;
    for (uint32_t i = 0; i < draft->n_warnings; i++)
        log_warn("configuration: %s", draft->warning[i]);
    return take(draft, text, size);
}

static int change(struct config_whole *draft, const struct msg_config_change *m, char *text,
                  size_t size)
{
    const char *rest;
    const struct config_key *k = config_find_key(m->key, &rest);
    int r;

    if (!k || !(k->flags & KEY_RELOADABLE)) {
        snprintf(text, size, "%s '%s'", k ? "a restart is needed to change" : "unknown key",
                 m->key);
        return -EINVAL;
    }
    *draft = *config_whole();
    r = config_put(draft, m->key, m->value, "a request", text, size);
    return r < 0 ? r : take(draft, text, size);
}

static void answer(struct msg *m, const char *what, int r, const char *text)
{
    char quoted[512];
    struct msg_config_done *done;

    if (r < 0)
        log_error("configuration: %s failed, nothing was changed: %s", what,
                  log_quote(quoted, sizeof(quoted), text, strlen(text)));
    if (!(m->flags & MSG_F_ASKS))
        return;
    done = MSG_NEW(CONFIG_DONE, struct msg_config_done);
    done->error = r;
    snprintf(done->text, sizeof(done->text), "%s", text);
    proc_reply(m, &done->hdr);
}

/* sd_notify(3): what was reloaded when, for who waits until it is done. */
static void notify(bool begins)
{
    RUNTIME_REGION();

    if (begins)
        activation_notify("RELOADING=1\nMONOTONIC_USEC=%llu",
                          (unsigned long long)(world()->now_ns() / 1000));
    else
        activation_notify("READY=1");
}

static void handle(void *state, struct msg *m)
{
    struct config_server *s = state;
    char text[512] = "";
    int r;

    switch (m->type) {
    case CONFIG_RELOAD:
        log_info("configuration: reading it again");
        notify(true);
        r = reload(s->draft, text, sizeof(text));
        answer(m, "reading it again", r, text);
        tls_reload(); /* certificates of the same names may be others */
        notify(false);
        break;
    case CONFIG_CHANGE:
        r = change(s->draft, MSG_OF(struct msg_config_change, m), text, sizeof(text));
        answer(m, "a change", r, text);
        break;
    default:
        proc_exit(EXIT_CRASH, 0, "unknown message 0x%x", m->type);
    }
}

const struct proc_ops config_ops = {
    .kind = "config",
    .state_size = sizeof(struct config_server),
    .flags = PROC_OPS_BLOCKING,
    .init = init,
    .handle = handle,
};
