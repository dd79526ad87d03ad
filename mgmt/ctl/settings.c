/*
 * Where warrenctl's options come from besides the command line: the environment, then a file of
 * sections as rabbitmqadmin has them. What was given before is not replaced.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/ctl/ctl.h"

static const struct {
    const char *key, *other; /* names in the file; other is rabbitmqadmin's */
    const char *variable;
    enum option_id id;
    bool is_switch; /* true or false */
} settings[] = {
    {"host", "hostname", "WARRENCTL_HOST", OPT_HOST, false},
    {"port", "port", "WARRENCTL_PORT", OPT_PORT, false},
    {"username", "username", "WARRENCTL_USERNAME", OPT_USERNAME, false},
    {"password", "password", "WARRENCTL_PASSWORD", OPT_PASSWORD, false},
    {"vhost", "declare_vhost", "WARRENCTL_VHOST", OPT_VHOST, false},
    {"tls", "ssl", "WARRENCTL_TLS", OPT_TLS, true},
    {"tls_ca_cert_file", "ssl_ca_cert_file", "WARRENCTL_CA_CERT_FILE", OPT_CA, false},
    {"tls_cert_file", "ssl_cert_file", "WARRENCTL_CERT_FILE", OPT_CERT, false},
    {"tls_key_file", "ssl_key_file", "WARRENCTL_KEY_FILE", OPT_KEY, false},
    {"tls_insecure", "ssl_insecure", "WARRENCTL_TLS_INSECURE", OPT_INSECURE, true},
    {"formatter", "format", "WARRENCTL_FORMATTER", OPT_FORMATTER, false},
};

enum { N_SETTINGS = sizeof(settings) / sizeof(*settings) };

static void offer(struct ctl *c, size_t i, const char *value)
{
    enum option_id id = settings[i].id;
    bool is_of_command = id >= OPT_OF_COMMANDS;

    if (c->option[id] || (is_of_command && !(c->command->options & OPTION_BIT(id))))
        return;
    if (!settings[i].is_switch)
        c->option[id] = ctl_text(c, "%s", value);
    else if (!strcasecmp(value, "true") || !strcmp(value, "1"))
        c->option[id] = "";
}

static char *trim(char *s)
{
    char *end;

    while (isspace((unsigned char)*s))
        s++;
    end = s + strlen(s);
    while (end > s && isspace((unsigned char)end[-1]))
        end--;
    *end = 0;
    return s;
}

static void take_pair(struct ctl *c, const char *key, const char *value)
{
    for (size_t i = 0; i < N_SETTINGS; i++) {
        if (!strcmp(settings[i].key, key) || !strcmp(settings[i].other, key))
            offer(c, i, value);
    }
}

static bool take_line(struct ctl *c, char *line, const char *section, bool is_in)
{
    char *s = trim(line), *eq = strchr(s, '='), *end;

    if (*s == '[') {
        end = strchr(s, ']');
        if (end)
            *end = 0;
        return !strcmp(s + 1, section);
    }
    if (!is_in || *s == '#' || *s == ';' || !eq)
        return is_in;
    *eq = 0;
    take_pair(c, trim(s), trim(eq + 1));
    return true;
}

static void read_file(struct ctl *c, const char *path, bool must_exist)
{
    const char *section = c->option[OPT_NODE] ? c->option[OPT_NODE] : "default";
    FILE *f = fopen(path, "re");
    char line[4096];
    bool is_in = false;

    if (!f && must_exist)
        ctl_fail(c, EX_CONFIG, "%s: %s", path, strerror(errno));
    while (f && fgets(line, sizeof(line), f))
        is_in = take_line(c, line, section, is_in);
    if (f)
        fclose(f);
}

void config_load(struct ctl *c)
{
    const char *path = c->option[OPT_CONFIG], *home = getenv("HOME"), *value;

    if (!path)
        path = getenv("WARRENCTL_CONFIG");
    for (size_t i = 0; i < N_SETTINGS; i++) {
        value = getenv(settings[i].variable);
        if (value)
            offer(c, i, value);
    }
    if (path)
        read_file(c, path, true);
    else if (home)
        read_file(c, ctl_text(c, "%s/.warrenctl.conf", home), false);
}
