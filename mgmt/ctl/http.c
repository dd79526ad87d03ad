/*
 * Requests to the management API, by libcurl.
 */
#include <curl/curl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/ctl/ctl.h"

struct taken { /* what came so far */
    char *p;
    size_t len;
};

const char *http_host(const struct ctl *c)
{
    return c->option[OPT_HOST] ? c->option[OPT_HOST] : "localhost";
}

int http_port(struct ctl *c)
{
    return (int)ctl_number(c, OPT_PORT, ctl_has(c, OPT_TLS) ? 15671 : 15672, UINT16_MAX);
}

static const char *root_url(struct ctl *c)
{
    const char *host = http_host(c);
    bool is_v6 = strchr(host, ':') && *host != '[';

    return ctl_text(c, "%s://%s%s%s:%d", ctl_has(c, OPT_TLS) ? "https" : "http", is_v6 ? "[" : "",
                    host, is_v6 ? "]" : "", http_port(c));
}

static void clean_up(void *curl)
{
    curl_easy_cleanup(curl);
    curl_global_cleanup();
}

static CURL *curl_of(struct ctl *c)
{
    const char *user = c->option[OPT_USERNAME], *password = c->option[OPT_PASSWORD];
    CURL *curl = c->curl;

    if (curl)
        return curl;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0 || !(curl = curl_easy_init()))
        ctl_fail(c, EX_OSERR, "libcurl cannot be started");
    c->curl = ctl_keep(c, curl, clean_up);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "warrenctl/" WARREN_VERSION);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    if (ctl_has(c, OPT_INSECURE)) {
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    curl_easy_setopt(curl, CURLOPT_CAINFO, c->option[OPT_CA]);
    curl_easy_setopt(curl, CURLOPT_SSLCERT, c->option[OPT_CERT]);
    curl_easy_setopt(curl, CURLOPT_SSLKEY, c->option[OPT_KEY]);
    http_login_as(c, user ? user : "guest", password ? password : "guest");
    return curl;
}

void http_login_as(struct ctl *c, const char *user, const char *password)
{
    CURL *curl = curl_of(c);

    curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
    curl_easy_setopt(curl, CURLOPT_USERNAME, user);
    curl_easy_setopt(curl, CURLOPT_PASSWORD, password);
}

static size_t on_bytes(char *bytes, size_t one, size_t n, void *ctx)
{
    struct taken *t = ctx;
    size_t len = one * n;
    char *p;

    p = realloc(t->p, t->len + len + 1);
    if (!p)
        return 0;
    memcpy(p + t->len, bytes, len);
    t->p = p;
    t->len += len;
    p[t->len] = 0;
    return len;
}

long http_timeout_s(struct ctl *c)
{
    return ctl_number(c, OPT_TIMEOUT, 60, INT32_MAX / 1000);
}

static struct curl_slist *headers_of(struct ctl *c)
{
    struct curl_slist *list = curl_slist_append(NULL, "Content-Type: application/json");

    if (c->reason)
        list = curl_slist_append(list, ctl_text(c, "X-Reason: %s", c->reason));
    return list;
}

/* Ends the program unless there is an answer. */
static void check_outcome(struct ctl *c, CURLcode code)
{
    if (code == CURLE_OK)
        return;
    if (code == CURLE_OPERATION_TIMEDOUT)
        ctl_fail(c, EX_TEMPFAIL, "%s did not answer within %ld s", root_url(c), http_timeout_s(c));
    ctl_fail(c, EX_UNAVAILABLE, "unable to reach %s: %s", root_url(c), curl_easy_strerror(code));
}

static long perform(struct ctl *c, const char *method, const char *path, const char *body,
                    struct taken *t)
{
    CURL *curl = curl_of(c);
    struct curl_slist *headers = headers_of(c);
    long status = 0;
    CURLcode code;

    curl_easy_setopt(curl, CURLOPT_URL, ctl_text(c, "%s/api/%s", root_url(c), path));
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, http_timeout_s(c));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_POST, body ? 1L : 0L);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
    code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    if (t->p)
        ctl_keep(c, t->p, free);
    check_outcome(c, code);
    return status;
}

struct answer http_ask(struct ctl *c, const char *method, const char *path, const json_t *body)
{
    struct taken t = {0};
    struct answer a = {.text = ""};
    char *text = NULL;

    if (body) {
        text = json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY);
        if (!text)
            ctl_fail(c, EX_DATAERR, "what is to be sent is not UTF-8");
        ctl_keep(c, text, free);
    } else if (strcmp(method, "GET")) {
        text = ctl_text(c, "%s", ""); /* Content-Length: 0 */
    }
    a.status = perform(c, method, path, text, &t);
    if (!t.p)
        return a;
    a.text = t.p;
    a.len = t.len;
    a.json = json_loadb(t.p, t.len, JSON_DECODE_ANY, NULL);
    if (a.json)
        ctl_json(c, a.json);
    return a;
}

static int exit_code_of(const struct ctl *c, long status)
{
    if (status == 401 || status == 403)
        return EX_NOPERM;
    if (status == 503)
        return EX_UNAVAILABLE;
    return status >= 500 ? EX_SOFTWARE : c->refused;
}

static bool is_missing(struct ctl *c, const char *path)
{
    return http_ask(c, "GET", ctl_expand(c, path, true), NULL).status == 404;
}

/* The API may say no more than 404. Ends the program when the user or the virtual host that the
 * command speaks of is what is missing. */
static void blame_missing(struct ctl *c)
{
    const struct command *k = c->command;
    bool is_of_vhost = !strncmp(k->args, "VHOST", 5);

    if (!strncmp(k->args, "USER", 4) && is_missing(c, "users/%1"))
        ctl_fail(c, EX_NOUSER, "User \"%s\" does not exist", ctl_arg(c, 0));
    if (is_of_vhost ? is_missing(c, "vhosts/%1")
                    : (k->options & OPTION_BIT(OPT_VHOST)) && is_missing(c, "vhosts/%v"))
        ctl_fail(c, EX_DATAERR, "Virtual host '%s' does not exist",
                 is_of_vhost ? ctl_arg(c, 0) : ctl_vhost(c));
}

/* A reason is one paragraph or several, and may end with empty lines. */
static int length_of(const char *reason)
{
    size_t len = strlen(reason);

    while (len > 0 && (reason[len - 1] == '\n' || reason[len - 1] == ' '))
        len--;
    return (int)len;
}

void http_fail(struct ctl *c, const struct answer *a)
{
    const char *reason = json_text_at(a->json, "reason");

    if (a->status == 401 && (!strcmp(reason, "Login failed") || !strcmp(reason, "")))
        ctl_fail(c, EX_NOPERM, "the login was refused");
    if (!*reason)
        reason = json_text_at(a->json, "error");
    if (a->status == 404 || a->status == 400)
        blame_missing(c);
    if (a->status == 404 && !strcmp(reason, "Not Found"))
        ctl_fail(c, exit_code_of(c, a->status), "there is no such thing (%ld)", a->status);
    ctl_fail(c, exit_code_of(c, a->status), "%.*s (%ld)", length_of(reason), reason, a->status);
}

json_t *http_need(struct ctl *c, const char *method, const char *path, const json_t *body)
{
    struct answer a = http_ask(c, method, path, body);

    if (a.status < 200 || a.status > 299)
        http_fail(c, &a);
    if (!a.json && !strcmp(method, "GET"))
        ctl_fail(c, EX_PROTOCOL, "the answer is not JSON");
    return a.json;
}

json_t *http_get(struct ctl *c, const char *path)
{
    return http_need(c, "GET", ctl_expand(c, path, true), NULL);
}

void http_do(struct ctl *c, const char *method, const char *path, const json_t *body)
{
    (void)http_need(c, method, ctl_expand(c, path, true), body);
}

bool http_is_open(struct ctl *c, int port)
{
    CURL *curl = curl_easy_init();
    bool is_open;

    if (!curl)
        ctl_fail(c, EX_OSERR, "libcurl cannot be started");
    curl_easy_setopt(curl, CURLOPT_URL, ctl_text(c, "http://%s:%d", http_host(c), port));
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, http_timeout_s(c));
    is_open = curl_easy_perform(curl) == CURLE_OK;
    curl_easy_cleanup(curl);
    return is_open;
}
