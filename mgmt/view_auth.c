/*
 * Views of logging in: how it is done here, how often it was tried, a password's hash, a try.
 */
#include <string.h>

#include "broker/core/access.h"
#include "broker/runtime/blob.h"
#include "broker/runtime/region.h"
#include "mgmt/json.h"
#include "mgmt/views.h"

static json_t *auth_json(void)
{
    RUNTIME_REGION();
    json_t *ret = json_object();

    json_add_bool(ret, "oauth_enabled", false);
    json_add_bool(ret, "enable_uaa", false);
    json_add_text(ret, "uaa_client_id", "");
    json_add_text(ret, "uaa_location", "");
    return ret;
}

static void start_auth(struct request *r)
{
    request_finish_json(r, auth_json());
}

static void check_node(struct request *r)
{
    if (strcmp(request_segment(r, 3), r->node) != 0)
        request_fail_not_found(r);
}

static json_t *attempts_json(void)
{
    RUNTIME_REGION();
    static const char *const names[ACCESS_PROTOCOLS] = {"amqp091", "http"};
    json_t *ret = json_array();

    for (int i = 0; i < ACCESS_PROTOCOLS; i++) {
        struct access_attempts a = access_attempts((enum access_protocol)i);
        json_t *one = json_object();

        if (a.right + a.wrong == 0) {
            json_decref(one);
            continue;
        }
        json_add_text(one, "protocol", names[i]);
        json_add_count(one, "auth_attempts", a.right + a.wrong);
        json_add_count(one, "auth_attempts_failed", a.wrong);
        json_add_count(one, "auth_attempts_succeeded", a.right);
        json_array_append_new(ret, one);
    }
    return ret;
}

static void start_attempts(struct request *r)
{
    check_node(r);
    request_finish_json(r, attempts_json());
}

/* Sources are not counted each. */
static json_t *no_sources(void)
{
    RUNTIME_REGION();

    return json_array();
}

static void start_sources(struct request *r)
{
    check_node(r);
    request_finish_json(r, no_sources());
}

static void start_forget(struct request *r)
{
    check_node(r);
    access_attempts_reset();
    request_finish_status(r, 204);
}

static json_t *hash_json(const char *password, uint32_t salt)
{
    RUNTIME_REGION();
    char hash[PASSWORD_TEXT_MAX];
    struct password p;
    json_t *ret = json_object();

    password_make_quick(password, strlen(password), salt, &p);
    (void)password_format(&p, hash); /* that of RabbitMQ */
    json_add_text(ret, "ok", hash);
    return ret;
}

static void start_hash(struct request *r)
{
    request_finish_json(r, hash_json(request_segment(r, 3), (uint32_t)proc_random()));
}

/*
 * A form's user and password; the answer says whether they are right. Nothing is kept of it: each
 * request has its own login.
 */
static size_t form_value(struct request *r, const char *form, const char *name, char **ret)
{
    size_t len;
    const char *raw = query_find(form, name, &len);

    if (!raw)
        request_fail(r, 400, "the form has no 'username' and 'password'");
    *ret = proc_alloc(len + 1);
    return query_decode(raw, len, *ret);
}

static void start_login(struct request *r)
{
    const struct blob *body = r->m->body;
    struct access_login login = {
        .origin = 2, .is_loopback = r->m->is_loopback, .protocol = ACCESS_HTTP};
    char *form = proc_alloc(body ? blob_size(body) + 1 : 1), *user, *password;

    if (body)
        memcpy(form, blob_bytes(body), blob_size(body));
    form[body ? blob_size(body) : 0] = '\0';
    login.user_len = form_value(r, form, "username", &user);
    login.password_len = form_value(r, form, "password", &password);
    login.user = user;
    login.password = password;
    r->asked = access_ask_login(&login);
}

static json_t *ok_json(void)
{
    RUNTIME_REGION();

    return json_string("ok");
}

static void handle_login(struct request *r, struct msg *m)
{
    CHECK(m->ref == r->asked);
    if (m->type != ACCESS_LOGGED || !MSG_OF(struct msg_access_logged, m)->is_right)
        request_fail(r, 401, "Login failed");
    request_finish_json(r, ok_json());
}

enum { ADMIN = VIEW_ADMINISTRATOR, SEE = VIEW_MANAGEMENT };

const struct view views_auth[] = {
    {"api/auth", HTTP_GET, 0, VIEW_OPEN, start_auth, NULL},
    {"api/auth/attempts/x", HTTP_GET, VIEW_MONITORING, 0, start_attempts, NULL},
    {"api/auth/attempts/x", HTTP_DELETE, ADMIN, 0, start_forget, NULL},
    {"api/auth/attempts/x/source", HTTP_GET, VIEW_MONITORING, 0, start_sources, NULL},
    {"api/auth/attempts/x/source", HTTP_DELETE, ADMIN, 0, start_forget, NULL},
    {"api/auth/hash_password/x", HTTP_GET, SEE, 0, start_hash, NULL},
    {"api/login", HTTP_POST, 0, VIEW_OPEN, start_login, handle_login},
    {0},
};
