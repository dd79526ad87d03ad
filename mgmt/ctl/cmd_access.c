/*
 * Commands about users, their rights, and vhosts.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mgmt/ctl/ctl.h"

/* The second argument, or a line of standard input, which nobody else can read in a list. */
static const char *password_arg(struct ctl *c)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t len;

    if (ctl_arg(c, 1))
        return ctl_arg(c, 1);
    if (isatty(STDIN_FILENO))
        fputs("Password: ", stderr);
    len = getline(&line, &room, stdin);
    ctl_keep(c, line ? line : strdup(""), free);
    if (len <= 0)
        ctl_fail(c, EX_SOFTWARE, "no password was given as an argument or on standard input");
    line[strcspn(line, "\r\n")] = 0;
    return line;
}

void cmd_add_user(struct ctl *c)
{
    const char *password = password_arg(c);
    struct answer a = http_ask(c, "GET", ctl_expand(c, "users/%1", true), NULL);
    json_t *body = ctl_json(c, json_pack("{ssss}", "password", password, "tags", ""));

    if (a.status == 200)
        ctl_fail(c, EX_SOFTWARE, "User \"%s\" already exists", ctl_arg(c, 0));
    if (a.status != 404)
        http_fail(c, &a);
    http_do(c, "PUT", "users/%1", body);
    ctl_say(c, "Done. Don't forget to grant the user permissions to some virtual hosts! See "
               "'warrenctl help set_permissions' to learn more.");
}

/* Tags as the API takes them: a text with commas. */
static const char *tags_text(struct ctl *c, const json_t *tags)
{
    const char *out = json_is_string(tags) ? json_string_value(tags) : "";
    size_t i;
    json_t *one;

    json_array_foreach(tags, i, one) {
        out = ctl_text(c, "%s%s%s", out, i ? "," : "", json_string_value(one));
    }
    return out;
}

void cmd_change_password(struct ctl *c)
{
    const char *password = password_arg(c);
    const json_t *user = http_get(c, "users/%1");

    http_do(c, "PUT", "users/%1",
            ctl_json(c, json_pack("{ssss}", "password", password, "tags",
                                  tags_text(c, json_at(user, "tags")))));
}

void cmd_clear_password(struct ctl *c)
{
    const json_t *user = http_get(c, "users/%1");

    http_do(c, "PUT", "users/%1",
            ctl_json(c, json_pack("{ssss}", "password_hash", "", "tags",
                                  tags_text(c, json_at(user, "tags")))));
}

void cmd_authenticate_user(struct ctl *c)
{
    const char *password = password_arg(c);
    struct answer a;

    http_login_as(c, ctl_arg(c, 0), password);
    a = http_ask(c, "GET", "whoami", NULL);
    if (a.status == 401 && strcmp(json_text_at(a.json, "reason"), "Login failed"))
        a.status = 200; /* who has no tag for the API is told so, behind the login */
    if (a.status == 401)
        ctl_fail(c, EX_DATAERR, "failed to authenticate user \"%s\"", ctl_arg(c, 0));
    if (a.status != 200)
        http_fail(c, &a);
    render_result(c, "Success");
}

/* Those behind the first argument. */
static const char *tags_arg(struct ctl *c)
{
    const char *tags = "";

    for (int i = 1; i < c->argc; i++)
        tags = ctl_text(c, "%s%s%s", tags, i > 1 ? "," : "", c->argv[i]);
    return tags;
}

void cmd_set_user_tags(struct ctl *c)
{
    json_t *user = http_get(c, "users/%1"), *body = ctl_json(c, json_object());

    (void)json_object_set_new(body, "tags", json_string(tags_arg(c)));
    (void)json_object_set(body, "password_hash", json_at(user, "password_hash"));
    if (json_at(user, "hashing_algorithm"))
        (void)json_object_set(body, "hashing_algorithm", json_at(user, "hashing_algorithm"));
    http_do(c, "PUT", "users/%1", body);
}

void cmd_add_vhost(struct ctl *c)
{
    json_t *body = ctl_json(c, json_object());

    if (ctl_has(c, OPT_DESCRIPTION))
        (void)json_object_set_new(body, "description", json_string(c->option[OPT_DESCRIPTION]));
    if (ctl_has(c, OPT_TAGS))
        (void)json_object_set_new(body, "tags", json_string(c->option[OPT_TAGS]));
    if (ctl_has(c, OPT_QUEUE_TYPE))
        (void)json_object_set_new(body, "default_queue_type",
                                  json_string(c->option[OPT_QUEUE_TYPE]));
    http_do(c, "PUT", "vhosts/%1", body);
}

void cmd_set_vhost_tags(struct ctl *c)
{
    json_t *vhost = http_get(c, "vhosts/%1"), *body = ctl_json(c, json_object());
    static const char *const kept[] = {"description", "default_queue_type"};

    for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++) {
        if (json_is_string(json_at(vhost, kept[i])))
            (void)json_object_set(body, kept[i], json_at(vhost, kept[i]));
    }
    (void)json_object_set_new(body, "tags", json_string(tags_arg(c)));
    http_do(c, "PUT", "vhosts/%1", body);
}

void cmd_auth_attempts(struct ctl *c)
{
    static const char *const all[] = {"protocol", "auth_attempts", "auth_attempts_failed",
                                      "auth_attempts_succeeded", NULL};
    static const char *const by_source[] = {
        "remote_address",          "username", "protocol", "auth_attempts", "auth_attempts_failed",
        "auth_attempts_succeeded", NULL};
    const char *node = json_text_at(http_get(c, "overview"), "node");
    bool is_by_source = ctl_has(c, OPT_BY_SOURCE);
    const char *path =
        ctl_text(c, "auth/attempts/%s%s", ctl_escape(c, node), is_by_source ? "/source" : "");

    ctl_say(c, "Listing authentication attempts for node \"%s\" ...", node);
    render_rows(c, http_need(c, "GET", path, NULL), NULL, is_by_source ? by_source : all);
}

void cmd_clear_topic_permissions(struct ctl *c)
{
    http_do(c, "DELETE", ctl_arg(c, 1) ? "topic-permissions/%v/%1/%2" : "topic-permissions/%v/%1",
            NULL);
}

json_t *body_permissions(struct ctl *c)
{
    return ctl_json(c, json_pack("{ssssss}", "configure", ctl_arg(c, 1), "write", ctl_arg(c, 2),
                                 "read", ctl_arg(c, 3)));
}

json_t *body_topic_permissions(struct ctl *c)
{
    return ctl_json(c, json_pack("{ssssss}", "exchange", ctl_arg(c, 1), "write", ctl_arg(c, 2),
                                 "read", ctl_arg(c, 3)));
}
