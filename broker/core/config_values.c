/*
 * Values of the configuration, by type: from text and to text.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "broker/core/config_impl.h"

static void *field(struct config *c, const struct config_key *k)
{
    return (char *)c + k->offset;
}

static const void *field_of(const struct config *c, const struct config_key *k)
{
    return (const char *)c + k->offset;
}

static uint64_t number_of(const struct config *c, const struct config_key *k)
{
    uint64_t v;

    memcpy(&v, field_of(c, k), sizeof(v));
    return v;
}

static int parse_uint(struct config *c, const struct config_key *k, const char *value, char *text,
                      size_t size)
{
    char *end;
    unsigned long long v;

    if (k->min == 0 && !strcmp(value, "infinity")) /* as RabbitMQ says that there is no limit */
        value = "0";
    errno = 0;
    v = strtoull(value, &end, 10);
    if (!isdigit((unsigned char)*value) || *end || errno || v < k->min || v > k->max) {
        snprintf(text, size, "%s: '%s' is not a whole number from %llu to %llu", k->name, value,
                 (unsigned long long)k->min, (unsigned long long)k->max);
        return -EINVAL;
    }
    memcpy(field(c, k), &(uint64_t){v}, sizeof(uint64_t));
    return 0;
}

static int parse_bool(struct config *c, const struct config_key *k, const char *value, char *text,
                      size_t size)
{
    bool v = !strcmp(value, "true") || !strcmp(value, "on");

    if (!v && strcmp(value, "false") && strcmp(value, "off")) {
        snprintf(text, size, "%s: '%s' is neither true nor false", k->name, value);
        return -EINVAL;
    }
    memcpy(field(c, k), &v, sizeof(v));
    return 0;
}

static int parse_text(struct config *c, const struct config_key *k, const char *value, char *text,
                      size_t size)
{
    if (strlen(value) >= k->max) {
        snprintf(text, size, "%s: longer than %llu bytes", k->name, (unsigned long long)k->max - 1);
        return -EINVAL;
    }
    memset(field(c, k), 0, k->max); /* so that equal values are equal bytes */
    strcpy(field(c, k), value);
    return 0;
}

static int parse_choice(struct config *c, const struct config_key *k, const char *value, char *text,
                        size_t size)
{
    size_t n;

    for (const struct key_choice *o = k->choices; o->name; o++) {
        if (!strcmp(value, o->name)) {
            memcpy(field(c, k), &o->value, sizeof(o->value));
            return 0;
        }
    }
    n = (size_t)snprintf(text, size, "%s: '%s' is none of ", k->name, value);
    for (const struct key_choice *o = k->choices; o->name && n < size; o++)
        n += (size_t)snprintf(text + n, size - n, "%s%s", o == k->choices ? "" : ", ", o->name);
    return -EINVAL;
}

struct unit {
    const char *name;
    uint64_t worth;
};

/* The worth of a unit by its name; 0: there is none. */
static uint64_t unit_of(const struct unit *units, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (!strcasecmp(units[i].name, name))
            return units[i].worth;
    }
    return 0;
}

/* "12unit" in units' worth. */
static int parse_units(const struct unit *units, size_t n, const char *value, uint64_t *ret)
{
    char *end;
    unsigned long long v;
    uint64_t worth;

    errno = 0;
    v = strtoull(value, &end, 10);
    worth = unit_of(units, n, end);
    if (!isdigit((unsigned char)*value) || errno || !worth ||
        __builtin_mul_overflow((uint64_t)v, worth, ret))
        return -EINVAL;
    return 0;
}

/* As RabbitMQ has it: kB, MB, GB are powers of 1000; k, M, G and kiB, MiB, GiB of 1024. */
static int parse_size(struct config *c, const struct config_key *k, const char *value, char *text,
                      size_t size)
{
    static const struct unit units[] = {
        {"", 1},
        {"b", 1},
        {"kb", 1000},
        {"mb", 1000000},
        {"gb", 1000000000},
        {"tb", 1000000000000},
        {"k", 1ULL << 10},
        {"m", 1ULL << 20},
        {"g", 1ULL << 30},
        {"t", 1ULL << 40},
        {"kib", 1ULL << 10},
        {"mib", 1ULL << 20},
        {"gib", 1ULL << 30},
        {"tib", 1ULL << 40},
    };
    uint64_t v;

    if (parse_units(units, sizeof(units) / sizeof(*units), value, &v) < 0) {
        snprintf(text, size, "%s: '%s' is not a size such as 50MB or 2GiB", k->name, value);
        return -EINVAL;
    }
    memcpy(field(c, k), &v, sizeof(v));
    return 0;
}

static int parse_time(struct config *c, const struct config_key *k, const char *value, char *text,
                      size_t size)
{
    const struct unit units[] = {
        {"", k->unit_ms}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"min", 60000}, {"h", 3600000},
    };
    uint64_t ms;

    if (parse_units(units, sizeof(units) / sizeof(*units), value, &ms) < 0 || ms < k->min ||
        ms > k->max || ms % k->unit_ms) {
        snprintf(text, size, "%s: '%s' is not a time from %llu to %llu %s", k->name, value,
                 (unsigned long long)(k->min / k->unit_ms),
                 (unsigned long long)(k->max / k->unit_ms), k->unit_ms == 1 ? "ms" : "s");
        return -EINVAL;
    }
    ms /= k->unit_ms;
    memcpy(field(c, k), &ms, sizeof(ms));
    return 0;
}

static int parse_ratio(struct config *c, const struct config_key *k, const char *value, char *text,
                       size_t size)
{
    char *end;
    double v = strtod(value, &end);

    if (end == value || *end || !(v >= (double)k->min && v <= (double)k->max)) {
        snprintf(text, size, "%s: '%s' is not a number from %llu to %llu", k->name, value,
                 (unsigned long long)k->min, (unsigned long long)k->max);
        return -EINVAL;
    }
    memcpy(field(c, k), &v, sizeof(v));
    return 0;
}

static bool is_address(const char *text)
{
    uint8_t bytes[16];

    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1 ||
           !strcmp(text, "localhost");
}

/* "5672", "127.0.0.1:5672", "[::1]:5672" or, as RabbitMQ takes it, "::1:5672". */
static int parse_listener(const char *value, struct config_listener *ret)
{
    const char *colon = strrchr(value, ':'), *digits = colon ? colon + 1 : value, *from = value;
    size_t len = colon ? (size_t)(colon - value) : 0;
    char *end;
    unsigned long port;

    if (len >= 2 && *from == '[' && from[len - 1] == ']') {
        from++;
        len -= 2;
    }
    errno = 0;
    port = strtoul(digits, &end, 10);
    if (!isdigit((unsigned char)*digits) || *end || errno || port > 65535 ||
        len >= sizeof(ret->address) || (colon && len == 0))
        return -EINVAL;
    memset(ret->address, 0, sizeof(ret->address));
    memcpy(ret->address, from, len);
    ret->port = (uint16_t)port;
    return len == 0 || is_address(ret->address) ? 0 : -EINVAL;
}

static struct config_listener *listener_named(struct config_listeners *l, const char *name)
{
    for (uint32_t i = 0; i < l->n; i++) {
        if (!strcmp(l->at[i].name, name))
            return &l->at[i];
    }
    return l->n < CONFIG_LISTENERS_MAX ? &l->at[l->n] : NULL;
}

static int parse_listeners(struct config *c, const struct config_key *k, const char *rest,
                           const char *value, char *text, size_t size)
{
    struct config_listeners *l = field(c, k);
    struct config_listener one = {0}, *at;
    bool is_none = !*rest && !strcmp(value, "none");

    if (!is_none &&
        (!*rest || strlen(rest) >= sizeof(one.name) || parse_listener(value, &one) < 0)) {
        snprintf(text, size, "%s: '%s' is neither a port nor address:port", k->name, value);
        return -EINVAL;
    }
    if (is_none || l->is_initial)
        memset(l, 0, sizeof(*l));
    if (is_none)
        return 0;
    at = listener_named(l, rest);
    if (!at) {
        snprintf(text, size, "%s: more than %d of them", k->name, CONFIG_LISTENERS_MAX);
        return -EINVAL;
    }
    strcpy(one.name, rest);
    *at = one;
    l->n += at == &l->at[l->n];
    return 0;
}

static uint32_t find_name(const struct config_names *names, const char *name)
{
    uint32_t i = 0;

    while (i < names->n && strcmp(names->at[i], name))
        i++;
    return i;
}

static void drop_name(struct config_names *names, uint32_t at)
{
    names->n--;
    memmove(names->at[at], names->at[at + 1], (names->n - at) * sizeof(names->at[0]));
    memset(names->at[names->n], 0, sizeof(names->at[0]));
}

static int parse_names(struct config *c, const struct config_key *k, const char *rest,
                       const char *value, char *text, size_t size)
{
    struct config_names *names = field(c, k);
    uint32_t at = find_name(names, rest);
    bool is_true = !strcmp(value, "true"), is_none = !*rest && !strcmp(value, "none");

    if (is_none) {
        memset(names, 0, sizeof(*names));
        names->is_set = true;
        return 0;
    }
    if (!*rest || (!is_true && strcmp(value, "false"))) {
        snprintf(text, size, "%s: '%s' is neither true nor false", k->name, value);
        return -EINVAL;
    }
    names->is_set = true;
    if (!is_true && at < names->n)
        drop_name(names, at);
    if (!is_true || at < names->n)
        return 0;
    if (names->n == CONFIG_NAMES_MAX || strlen(rest) >= sizeof(names->at[0])) {
        snprintf(text, size, "%s: too many, or too long a name", k->name);
        return -EINVAL;
    }
    strcpy(names->at[names->n++], rest);
    return 0;
}

bool config_pair_next(const char **at, struct config_pair *ret)
{
    const char *name = *at, *equals = strchr(name, '='), *end = strchr(name, '\n');

    if (!equals || !end)
        return false;
    *ret = (struct config_pair){.name = name,
                                .value = equals + 1,
                                .name_len = (int)(equals - name),
                                .value_len = (int)(end - equals - 1)};
    *at = end + 1;
    return true;
}

static void drop_pair(char *pairs, const char *name)
{
    const char *at = pairs;
    struct config_pair p;

    while (config_pair_next(&at, &p)) {
        if ((size_t)p.name_len != strlen(name) || memcmp(p.name, name, (size_t)p.name_len))
            continue;
        memmove(pairs + (p.name - pairs), at, strlen(at) + 1);
        return;
    }
}

static int parse_pairs(struct config *c, const struct config_key *k, const char *rest,
                       const char *value, char *text, size_t size)
{
    char *pairs = field(c, k);
    size_t len;

    if (!*rest && !strcmp(value, "none")) {
        *pairs = '\0';
        return 0;
    }
    if (!*rest || !*value || strchr(value, '\n')) {
        snprintf(text, size, "%s: wants a name in place of the star, and a value", k->name);
        return -EINVAL;
    }
    drop_pair(pairs, rest);
    len = strlen(pairs);
    if (len + strlen(rest) + strlen(value) + 3 > k->max) {
        snprintf(text, size, "%s: too many, or too long ones", k->name);
        return -EINVAL;
    }
    snprintf(pairs + len, k->max - len, "%s=%s\n", rest, value);
    return 0;
}

int config_parse(struct config *c, const struct config_key *k, const char *rest, const char *value,
                 char *ret_text, size_t size)
{
    switch (k->type) {
    case KEY_UINT:
        return parse_uint(c, k, value, ret_text, size);
    case KEY_BOOL:
        return parse_bool(c, k, value, ret_text, size);
    case KEY_SIZE:
        return parse_size(c, k, value, ret_text, size);
    case KEY_RATIO:
        return parse_ratio(c, k, value, ret_text, size);
    case KEY_CHOICE:
        return parse_choice(c, k, value, ret_text, size);
    case KEY_TIME:
        return parse_time(c, k, value, ret_text, size);
    case KEY_LISTENERS:
        return parse_listeners(c, k, rest, value, ret_text, size);
    case KEY_NAMES:
        return parse_names(c, k, rest, value, ret_text, size);
    case KEY_PAIRS:
        return parse_pairs(c, k, rest, value, ret_text, size);
    case KEY_TEXT:
    case KEY_SECTION:
        break;
    }
    return parse_text(c, k, value, ret_text, size);
}

static void show_listener(const struct config_key *k, const struct config_listener *l, char *out,
                          size_t size)
{
    int len = (int)strlen(k->name) - 1; /* with its dot, without its star */
    bool is_v6 = strchr(l->address, ':');

    snprintf(out, size, "%.*s%s = %s%s%s%s%u", len, k->name, l->name, is_v6 ? "[" : "", l->address,
             is_v6 ? "]" : "", *l->address ? ":" : "", (unsigned)l->port);
}

static bool show_list(const struct config *c, const struct config_key *k, unsigned i, char *out,
                      size_t size)
{
    const struct config_listeners *l = field_of(c, k);
    const struct config_names *names = field_of(c, k);
    int len = (int)strlen(k->name) - 1;
    uint32_t n = k->type == KEY_LISTENERS ? l->n : names->n;

    if (k->type == KEY_NAMES && !names->is_set)
        return false;
    if (n == 0 && i == 0)
        snprintf(out, size, "%.*s = none", len - 1, k->name);
    else if (i >= n)
        return false;
    else if (k->type == KEY_LISTENERS)
        show_listener(k, &l->at[i], out, size);
    else
        snprintf(out, size, "%.*s%s = true", len, k->name, names->at[i]);
    return true;
}

static bool show_pair(const struct config *c, const struct config_key *k, unsigned i, char *out,
                      size_t size)
{
    const char *at = field_of(c, k);
    int len = (int)strlen(k->name) - 1;
    struct config_pair p;

    if (!*at && i == 0) {
        snprintf(out, size, "%.*s = none", len - 1, k->name);
        return true;
    }
    do {
        if (!config_pair_next(&at, &p))
            return false;
    } while (i-- > 0);
    snprintf(out, size, "%.*s%.*s = '%.*s'", len, k->name, p.name_len, p.name, p.value_len,
             p.value);
    return true;
}

static const char *show_choice(const struct config *c, const struct config_key *k)
{
    const struct key_choice *o = k->choices;

    while (o->value != number_of(c, k))
        o++;
    return o->name;
}

bool config_show(const struct config *c, const struct config_key *k, unsigned i, char *out,
                 size_t size)
{
    double ratio;

    if (k->type == KEY_LISTENERS || k->type == KEY_NAMES)
        return show_list(c, k, i, out, size);
    if (k->type == KEY_PAIRS)
        return show_pair(c, k, i, out, size);
    if (i > 0)
        return false;
    if (k->type == KEY_TEXT) {
        snprintf(out, size, "%s = '%s'", k->name, (const char *)field_of(c, k));
    } else if (k->type == KEY_BOOL) {
        snprintf(out, size, "%s = %s", k->name, *(const bool *)field_of(c, k) ? "true" : "false");
    } else if (k->type == KEY_CHOICE) {
        snprintf(out, size, "%s = %s", k->name, show_choice(c, k));
    } else if (k->type == KEY_RATIO) {
        memcpy(&ratio, field_of(c, k), sizeof(ratio));
        snprintf(out, size, "%s = %g", k->name, ratio);
    } else {
        snprintf(out, size, "%s = %llu", k->name, (unsigned long long)number_of(c, k));
    }
    return true;
}

bool config_is_same(const struct config *a, const struct config *b, const struct config_key *k)
{
    char one[CONFIG_TEXT_MAX + 128], other[CONFIG_TEXT_MAX + 128];

    for (unsigned i = 0;; i++) {
        bool has_one = config_show(a, k, i, one, sizeof(one));

        if (has_one != config_show(b, k, i, other, sizeof(other)) ||
            (has_one && strcmp(one, other)))
            return false;
        if (!has_one)
            return true;
    }
}

const char *config_type_name(const struct config_key *k, char *out, size_t size)
{
    static const char *const names[] = {
        [KEY_SECTION] = "",
        [KEY_UINT] = "number",
        [KEY_BOOL] = "true or false",
        [KEY_TEXT] = "text",
        [KEY_CHOICE] = "",
        [KEY_SIZE] = "size",
        [KEY_RATIO] = "ratio",
        [KEY_TIME] = "",
        [KEY_LISTENERS] = "port",
        [KEY_NAMES] = "true or false",
        [KEY_PAIRS] = "text",
    };
    size_t n = 0;

    if (k->type == KEY_TIME)
        return k->unit_ms == 1 ? "time, ms" : "time, s";
    if (k->type != KEY_CHOICE)
        return names[k->type];
    for (const struct key_choice *o = k->choices; o->name && n < size; o++)
        n += (size_t)snprintf(out + n, size - n, "%s%s", o == k->choices ? "" : ", ", o->name);
    return out;
}

static size_t size_of(const struct config_key *k)
{
    switch (k->type) {
    case KEY_BOOL:
        return sizeof(bool);
    case KEY_TEXT:
    case KEY_PAIRS:
        return k->max;
    case KEY_LISTENERS:
        return sizeof(struct config_listeners);
    case KEY_NAMES:
        return sizeof(struct config_names);
    case KEY_RATIO:
        return sizeof(double);
    default:
        return sizeof(uint64_t);
    }
}

void config_copy_key(struct config_whole *to, const struct config_whole *from,
                     const struct config_key *k)
{
    size_t i = (size_t)(k - config_keys);

    memcpy(field(&to->values, k), field_of(&from->values, k), size_of(k));
    memcpy(to->origin[i], from->origin[i], sizeof(to->origin[i]));
}
