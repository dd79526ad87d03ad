/*
 * What must hold of a configuration beyond the types of its keys. A reload that fails here changes
 * nothing; at a start the program ends with the reason.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "broker/core/cidr.h"
#include "broker/core/config_impl.h"
#include "broker/core/log_output.h"

/* A file that the log could not open would be found out when nobody can be told any more. */
static int check_log_file(const struct config *c, char *text, size_t size)
{
    char path[LOG_PATH_MAX];
    int fd;

    if (!log_output_path(c, path))
        return 0;
    fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0640);
    if (fd < 0) {
        snprintf(text, size, "log.file: cannot open %.300s: %s", path, strerror(errno));
        return -EINVAL;
    }
    close(fd);
    return 0;
}

struct place {
    const struct config_listener *at;
    const char *kind;
};

static unsigned take_places(struct place *to, const struct config_listeners *l, const char *kind)
{
    for (uint32_t i = 0; i < l->n; i++)
        to[i] = (struct place){&l->at[i], kind};
    return l->n;
}

static int check_listeners(const struct config *c, char *text, size_t size)
{
    struct place place[2 * CONFIG_LISTENERS_MAX];
    unsigned n = take_places(place, &c->tcp, "tcp");

    n += take_places(place + n, &c->ssl, "ssl");
    for (unsigned i = 0; i < n; i++) {
        for (unsigned j = 0; j < i; j++) {
            const struct place *a = &place[i], *b = &place[j];

            if (!a->at->port || a->at->port != b->at->port ||
                strcmp(a->at->address, b->at->address))
                continue;
            snprintf(text, size, "listeners.%s.%s: the same as listeners.%s.%s", a->kind,
                     a->at->name, b->kind, b->at->name);
            return -EINVAL;
        }
    }
    return 0;
}

static int check_trusted(const struct config *c, char *text, size_t size)
{
    const char *at = c->proxy_trusted;
    struct config_pair p;
    struct cidr net;

    while (config_pair_next(&at, &p)) {
        if (cidr_parse(p.value, (size_t)p.value_len, &net) == 0)
            continue;
        snprintf(text, size,
                 "proxy_protocol.trusted.%.*s: '%.*s' is neither an address nor address/bits",
                 p.name_len, p.name, p.value_len, p.value);
        return -EINVAL;
    }
    return 0;
}

static bool is_mechanism(const struct config_pair *p)
{
    static const char *const names[] = {"PLAIN", "AMQPLAIN", "EXTERNAL"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if ((size_t)p->value_len == strlen(names[i]) &&
            !memcmp(p->value, names[i], strlen(names[i])))
            return true;
    return false;
}

static int check_mechanisms(const struct config *c, char *text, size_t size)
{
    const char *at = c->auth_mechanisms;
    struct config_pair p;

    while (config_pair_next(&at, &p)) {
        if (is_mechanism(&p))
            continue;
        snprintf(text, size, "auth_mechanisms.%.*s: '%.*s' is none of PLAIN, AMQPLAIN, EXTERNAL",
                 p.name_len, p.name, p.value_len, p.value);
        return -EINVAL;
    }
    return 0;
}

static int (*const checks[])(const struct config *c, char *text, size_t size) = {
    check_listeners,
    check_log_file,
    check_mechanisms,
    check_trusted,
};

int config_check_whole(const struct config_whole *w, char *ret_text, size_t size)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < sizeof(checks) / sizeof(*checks); i++)
        r = checks[i](&w->values, ret_text, size);
    return r;
}

int config_check(char *ret_text, size_t size)
{
    return config_check_whole(config_whole(), ret_text, size);
}
