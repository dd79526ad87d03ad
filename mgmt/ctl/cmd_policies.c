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
        ctl_fail(c, c->refused, "limits are a JSON object");
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

    if (strcmp(name, "all"))
        ctl_say(c, "Clearing \"%s\" limit for user \"%s\" ...", name, ctl_arg(c, 0));
    else
        ctl_say(c, "Clearing all limits for user \"%s\" ...", ctl_arg(c, 0));
    (void)http_get(c, "users/%1");
    if (strcmp(name, "all")) {
        clear_limit(c, "user-limits/%1", "%2");
        return;
    }
    clear_limit(c, "user-limits/%1", "max-connections");
    clear_limit(c, "user-limits/%1", "max-channels");
}

/* The limits of all who have some. */
static json_t *limits_of_all(struct ctl *c, const char *path, const char *who)
{
    json_t *all = http_get(c, path), *rows = ctl_json(c, json_array()), *row;
    size_t i;

    json_array_foreach(all, i, row) {
        (void)json_array_append_new(
            rows, json_pack("{sOsO}", who, json_at(row, who), "limits", json_at(row, "value")));
    }
    return rows;
}

static void list_all(struct ctl *c, const char *path, const char *who)
{
    static const struct column columns[] = {{"limits", "#limits"}, {NULL, NULL}};
    const char *const chosen[] = {who, "limits", NULL};

    ctl_say(c, "Listing limits for all %ss ...", who);
    render_rows(c, limits_of_all(c, path, who), columns, chosen);
}

/* Of one; `none` when it has no limits. */
static const char *limits_of(struct ctl *c, const char *path, const char *who, const char *name,
                             const char *none)
{
    json_t *all = limits_of_all(c, path, who), *row;
    size_t i;

    json_array_foreach(all, i, row) {
        json_t *limits = json_at(row, "limits");

        if (!strcmp(json_text_at(row, who), name) && json_object_size(limits) > 0)
            return ctl_keep(c, json_dumps(limits, JSON_COMPACT), free);
    }
    return none;
}

void cmd_list_vhost_limits(struct ctl *c)
{
    if (ctl_has(c, OPT_GLOBAL)) {
        list_all(c, "vhost-limits", "vhost");
        return;
    }
    ctl_say(c, "Listing limits for vhost \"%s\" ...", ctl_vhost(c));
    (void)http_get(c, "vhosts/%v");
    render_as(c, "value", limits_of(c, "vhost-limits", "vhost", ctl_vhost(c), ""));
}

void cmd_list_user_limits(struct ctl *c)
{
    const char *user = ctl_has(c, OPT_USER) ? c->option[OPT_USER] : "guest";
    struct answer a;

    if (ctl_has(c, OPT_GLOBAL)) {
        list_all(c, "user-limits", "user");
        return;
    }
    ctl_say(c, "Listing limits for user \"%s\" ...", user);
    a = http_ask(c, "GET", ctl_text(c, "users/%s", ctl_escape(c, user)), NULL);
    if (a.status == 404)
        ctl_fail(c, EX_NOUSER, "User \"%s\" does not exist", user);
    if (a.status != 200)
        http_fail(c, &a);
    render_result(c, limits_of(c, "user-limits", "user", user, "{}"));
}

static bool is_of_vhost(const struct ctl *c, const json_t *row)
{
    return !strcmp(json_text_at(row, "vhost"), ctl_vhost(c));
}

void cmd_list_parameters(struct ctl *c)
{
    (void)http_get(c, "vhosts/%v");
    run_listing_of(c, is_of_vhost);
}
