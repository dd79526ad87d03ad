/*
 * Answers for people and for scripts: tables, JSON, CSV.
 */
#include <stdlib.h>
#include <string.h>

#include "mgmt/ctl/ctl.h"

enum { COLUMNS_MAX = 64 };

json_t *json_at(const json_t *value, const char *path)
{
    char key[128];

    while (value && *path) {
        size_t len = strcspn(path, ".");

        if (len >= sizeof(key))
            return NULL;
        memcpy(key, path, len);
        key[len] = 0;
        value = json_object_get(value, key);
        path += len + (path[len] == '.');
    }
    return (json_t *)value; /* jansson's own getters take a const value and give one that is not */
}

double json_number_at(const json_t *value, const char *path)
{
    return json_number_value(json_at(value, path));
}

const char *json_text_at(const json_t *value, const char *path)
{
    const char *text = json_string_value(json_at(value, path));

    return text ? text : "";
}

/* An array of texts as rabbitmqctl has it: [a, b]. */
static bool is_array_of_texts(const json_t *value)
{
    size_t i;
    json_t *one;

    if (!json_is_array(value))
        return false;
    json_array_foreach(value, i, one) {
        if (!json_is_string(one))
            return false;
    }
    return true;
}

static const char *texts(struct ctl *c, const json_t *value)
{
    const char *out = "[";
    size_t i;
    json_t *one;

    json_array_foreach(value, i, one) {
        out = ctl_text(c, "%s%s%s", out, i ? ", " : "", json_string_value(one));
    }
    return ctl_text(c, "%s]", out);
}

const char *json_as_text(struct ctl *c, const json_t *value)
{
    if (!value || json_is_null(value))
        return "";
    if (json_is_string(value))
        return json_string_value(value);
    if (json_is_real(value))
        return ctl_text(c, "%.10g", json_real_value(value));
    if (is_array_of_texts(value))
        return texts(c, value);
    if (json_is_object(value) && json_object_size(value) == 0)
        return "[]";
    return ctl_keep(c, json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY), free);
}

static json_t *cell(const json_t *row, const struct column *columns, const char *name)
{
    for (const struct column *k = columns; k && k->name; k++) {
        if (!strcmp(k->name, name))
            return json_at(row, k->path ? k->path : k->name);
    }
    return json_at(row, name);
}

/* One line each: what would break a line or a terminal is written as \xNN. */
static void put_plain(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            printf("\\x%02x", (unsigned char)*text);
        else
            putchar(*text);
    }
}

static void put_csv(const char *text)
{
    if (!text[strcspn(text, ",\"\r\n")]) {
        fputs(text, stdout);
        return;
    }
    putchar('"');
    for (; *text; text++) {
        if (*text == '"')
            putchar('"');
        putchar(*text);
    }
    putchar('"');
}

static void put_row(struct ctl *c, const json_t *row, const struct column *columns,
                    const char *const *chosen)
{
    bool is_csv = c->format == FORMAT_CSV;

    for (size_t i = 0; chosen[i]; i++) {
        const char *text = row ? json_as_text(c, cell(row, columns, chosen[i])) : chosen[i];

        if (i)
            putchar(is_csv ? ',' : '\t');
        (is_csv ? put_csv : put_plain)(text);
    }
    putchar('\n');
}

static void put_json(struct ctl *c, const json_t *rows, const struct column *columns,
                     const char *const *chosen)
{
    size_t i;
    json_t *row;

    putchar('[');
    json_array_foreach(rows, i, row) {
        json_t *one = ctl_json(c, json_object());

        for (size_t k = 0; chosen[k]; k++) {
            json_t *value = cell(row, columns, chosen[k]);

            (void)json_object_set_new(one, chosen[k], value ? json_incref(value) : json_null());
        }
        fputs(i ? ",\n" : "\n", stdout);
        (void)json_dumpf(one, stdout, JSON_COMPACT);
    }
    puts("\n]");
}

/* How many characters: what continues one in UTF-8 does not count. */
static size_t width_of(const char *text)
{
    size_t n = 0;

    for (; *text; text++) {
        bool is_escaped = (unsigned char)*text < 0x20 || *text == 0x7f;

        n += is_escaped ? 4 : ((unsigned char)*text & 0xc0) != 0x80;
    }
    return n;
}

static void put_border(const size_t *width, size_t n, const char *const ends[3])
{
    for (size_t i = 0; i < n; i++) {
        fputs(ends[i == 0 ? 0 : 1], stdout);
        for (size_t k = 0; k < width[i] + 2; k++)
            fputs("\u2500", stdout);
    }
    puts(ends[2]);
}

static void put_pretty_row(struct ctl *c, const json_t *row, const struct column *columns,
                           const char *const *chosen, const size_t *width)
{
    for (size_t i = 0; chosen[i]; i++) {
        const char *text = row ? json_as_text(c, cell(row, columns, chosen[i])) : chosen[i];

        fputs("\u2502 ", stdout);
        put_plain(text);
        printf("%*s", (int)(width[i] - width_of(text)) + 1, "");
    }
    puts("\u2502");
}

static void put_pretty(struct ctl *c, const json_t *rows, const struct column *columns,
                       const char *const *chosen)
{
    static const char *const top[] = {"\u250c", "\u252c", "\u2510"};
    static const char *const middle[] = {"\u251c", "\u253c", "\u2524"};
    static const char *const bottom[] = {"\u2514", "\u2534", "\u2518"};
    size_t width[COLUMNS_MAX] = {0}, n = 0, i;
    json_t *row;

    for (; chosen[n]; n++) {
        width[n] = width_of(chosen[n]);
        json_array_foreach(rows, i, row) {
            size_t w = width_of(json_as_text(c, cell(row, columns, chosen[n])));

            width[n] = w > width[n] ? w : width[n];
        }
    }
    put_border(width, n, top);
    put_pretty_row(c, NULL, columns, chosen, width);
    json_array_foreach(rows, i, row) {
        put_border(width, n, middle);
        put_pretty_row(c, row, columns, chosen, width);
    }
    put_border(width, n, bottom);
}

void render_rows(struct ctl *c, const json_t *rows, const struct column *columns,
                 const char *const *chosen)
{
    size_t i;
    json_t *row;

    if (c->format == FORMAT_JSON) {
        put_json(c, rows, columns, chosen);
        return;
    }
    if (c->format == FORMAT_PRETTY_TABLE) {
        put_pretty(c, rows, columns, chosen);
        return;
    }
    if (ctl_has_headers(c) && (json_array_size(rows) > 0 || c->format == FORMAT_CSV))
        put_row(c, NULL, columns, chosen);
    json_array_foreach(rows, i, row) {
        put_row(c, row, columns, chosen);
    }
}

void render_result(struct ctl *c, const char *text)
{
    if (c->format == FORMAT_JSON) {
        (void)json_dumpf(ctl_json(c, json_pack("{ss}", "result", text)), stdout, JSON_COMPACT);
        putchar('\n');
    } else if (!ctl_has(c, OPT_SILENT) && !ctl_has(c, OPT_QUIET)) {
        puts(text);
    }
}

/* Appends the words of a text to the n that are there; how many there are then. */
static size_t split(struct ctl *c, const char *text, const char *ret[COLUMNS_MAX], size_t n)
{
    char *rest = ctl_text(c, "%s", text);

    for (char *word = strsep(&rest, " ,"); word; word = strsep(&rest, " ,")) {
        if (*word && n + 1 < COLUMNS_MAX)
            ret[n++] = word;
    }
    return n;
}

static void check_column(struct ctl *c, const struct column *columns, const char *name)
{
    for (const struct column *k = columns; k->name; k++) {
        if (!strcmp(k->name, name))
            return;
    }
    ctl_fail(c, EX_USAGE, "%s has no column '%s'; warrenctl help %s lists them", c->command->name,
             name, c->command->name);
}

/* Columns are arguments, each one or several with commas between. */
static void choose(struct ctl *c, const struct listing *l, const char *ret[COLUMNS_MAX])
{
    size_t n = 0;

    for (int i = c->command->min; i < c->argc; i++)
        n = split(c, c->argv[i], ret, n);
    if (n == 0)
        n = split(c, l->initial, ret, 0);
    ret[n] = NULL;
    for (size_t i = 0; i < n; i++)
        check_column(c, l->columns, ret[i]);
}

/* What the API leaves out because it is always the same. */
static void add_constants(json_t *rows, const struct column *columns)
{
    size_t i;
    json_t *row;

    json_array_foreach(rows, i, row) {
        for (const struct column *k = columns; k->name; k++) {
            if (k->path && *k->path == '=')
                (void)json_object_set_new(row, k->path, json_string(k->path + 1));
        }
    }
}

void run_listing(struct ctl *c)
{
    const struct listing *l = c->command->listing;
    const char *chosen[COLUMNS_MAX];
    json_t *rows;

    choose(c, l, chosen);
    rows = http_get(c, l->path);
    add_constants(rows, l->columns);
    render_rows(c, rows, l->columns, chosen);
}
