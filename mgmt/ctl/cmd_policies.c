/*
 * Commands about policies, parameters and limits.
 */
#include <stdlib.h>
#include <string.h>

#include "mgmt/ctl/ctl.h"

json_t *body_policy(struct ctl *c)
{
    const char *priority = c->option[OPT_PRIORITY], *apply = c->option[OPT_APPLY_TO];
    char *end;
    long n = priority ? strtol(priority, &end, 10) : 0;

    if (priority && (!*priority || *end))
        ctl_fail(c, EX_USAGE, "--priority wants a number, not '%s'", priority);
    return ctl_json(c, json_pack("{sssOsissss}", "pattern", ctl_arg(c, 1), "definition",
                                 ctl_json_arg(c, ctl_arg(c, 2)), "priority", (int)n, "apply-to",
                                 apply ? apply : "all", "name", ctl_arg(c, 0)));
}

json_t *body_parameter(struct ctl *c)
{
    return ctl_json(c, json_pack("{sssssssO}", "component", ctl_arg(c, 0), "name", ctl_arg(c, 1),
                                 "vhost", ctl_vhost(c), "value", ctl_json_arg(c, ctl_arg(c, 2))));
}

json_t *body_global_parameter(struct ctl *c)
{
    return ctl_json(
        c, json_pack("{sssO}", "name", ctl_arg(c, 0), "value", ctl_json_arg(c, ctl_arg(c, 1))));
}

/* Each member of a JSON object by a request of its own. */
static void set_limits(struct ctl *c, const char *path, const char *definition)
{
    json_t *limits = ctl_json_arg(c, definition), *value;
    const char *name;

    if (!json_is_object(limits))
        ctl_fail(c, EX_DATAERR, "limits are a JSON object");
    json_object_foreach(limits, name, value) {
        http_do(c, "PUT", ctl_text(c, "%s/%s", path, name),
                ctl_json(c, json_pack("{sO}", "value", value)));
    }
}

void cmd_set_vhost_limits(struct ctl *c)
{
    set_limits(c, "vhost-limits/%v", ctl_arg(c, 0));
}

void cmd_set_user_limits(struct ctl *c)
{
    set_limits(c, "user-limits/%1", ctl_arg(c, 1));
}

/* One that is not set is no error. */
static void clear_limit(struct ctl *c, const char *path, const char *name)
{
    struct answer a =
        http_ask(c, "DELETE", ctl_expand(c, ctl_text(c, "%s/%s", path, name), true), NULL);

    if ((a.status < 200 || a.status > 299) && a.status != 404)
        http_fail(c, &a);
}

void cmd_clear_vhost_limits(struct ctl *c)
{
    (void)http_get(c, "vhosts/%v"); /* whether there is one */
    clear_limit(c, "vhost-limits/%v", "max-connections");
    clear_limit(c, "vhost-limits/%v", "max-queues");
}

void cmd_clear_user_limits(struct ctl *c)
{
    const char *name = ctl_arg(c, 1);

    (void)http_get(c, "users/%1");
    if (strcmp(name, "all")) {
        clear_limit(c, "user-limits/%1", "%2");
        return;
    }
    clear_limit(c, "user-limits/%1", "max-connections");
    clear_limit(c, "user-limits/%1", "max-channels");
}

/* user-limits or vhost-limits: of one, or of all with who has them. */
void cmd_list_limits(struct ctl *c)
{
    static const char *const of_vhosts[] = {"vhost", "limits", NULL};
    static const char *const of_users[] = {"user", "limits", NULL};
    bool is_user = !strcmp(c->command->path, "user-limits");
    const char *one = is_user ? c->option[OPT_USER] : c->option[OPT_VHOST];
    json_t *all = http_get(c, c->command->path), *rows = ctl_json(c, json_array()), *row;
    size_t i;

    json_array_foreach(all, i, row) {
        const char *name = json_text_at(row, is_user ? "user" : "vhost");

        if (!one || ctl_has(c, OPT_GLOBAL) || !strcmp(one, name))
            (void)json_array_append_new(rows, json_pack("{sssO}", is_user ? "user" : "vhost", name,
                                                        "limits", json_at(row, "value")));
    }
    render_rows(c, rows, NULL, is_user ? of_users : of_vhosts);
}
