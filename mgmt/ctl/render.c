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

static void put_term(FILE *out, const json_t *value);

static void put_members(FILE *out, const json_t *object)
{
    const char *name, *before = "";
    json_t *value;

    json_object_foreach((json_t *)object, name, value) { /* the macro only reads */
        fprintf(out, "%s{\"%s\",", before, name);
        put_term(out, value);
        fputc('}', out);
        before = ",";
    }
}

static void put_elements(FILE *out, const json_t *array)
{
    json_t *value;
    size_t i;

    json_array_foreach(array, i, value) {
        if (i)
            fputc(',', out);
        put_term(out, value);
    }
}

/* Tables of arguments as rabbitmqctl prints them: [{"name",value},...]. */
static void put_term(FILE *out, const json_t *value)
{
    if (!json_is_object(value) && !json_is_array(value)) {
        (void)json_dumpf(value, out, JSON_ENCODE_ANY);
        return;
    }
    fputc('[', out);
    if (json_is_object(value))
        put_members(out, value);
    else
        put_elements(out, value);
    fputc(']', out);
}

static const char *term(struct ctl *c, const json_t *value)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    if (!out)
        ctl_fail(c, EX_OSERR, "out of memory");
    put_term(out, value);
    fclose(out);
    return ctl_keep(c, text, free);
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
    return term(c, value);
}

static json_t *without_spaces(struct ctl *c, const json_t *value)
{
    char *text = ctl_text(c, "%s", json_is_string(value) ? json_string_value(value) : ""), *to;

    to = text;
    for (const char *from = text; *from; from++) {
        if (*from != ' ')
            *to++ = *from;
    }
    *to = 0;
    return ctl_json(c, json_string(text));
}

static json_t *as_json_text(struct ctl *c, const json_t *value)
{
    if (!value)
        return NULL;
    return ctl_json(
        c, json_string(ctl_keep(c, json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY), free)));
}

static json_t *cell(struct ctl *c, const json_t *row, const struct column *columns,
                    const char *name)
{
    const struct column *k = columns;
    const char *path;

    while (k && k->name && strcmp(k->name, name))
        k++;
    path = k && k->name && k->path ? k->path : name;
    switch (*path) {
    case '=':
        return ctl_json(c, json_string(path + 1));
    case '#':
        return as_json_text(c, json_at(row, path + 1));
    case '~':
        return without_spaces(c, json_at(row, path + 1));
    default:
        return json_at(row, path);
    }
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
        const char *text = row ? json_as_text(c, cell(c, row, columns, chosen[i])) : chosen[i];

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
            json_t *value = cell(c, row, columns, chosen[k]);

            (void)json_object_set_new(one, chosen[k],
                                      value && !json_is_null(value) ? json_incref(value)
                                                                    : json_string(""));
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
        const char *text = row ? json_as_text(c, cell(c, row, columns, chosen[i])) : chosen[i];

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
            size_t w = width_of(json_as_text(c, cell(c, row, columns, chosen[n])));

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
        if (json_array_size(rows) > 0)
            put_pretty(c, rows, columns, chosen);
        return;
    }
    if (ctl_has_headers(c) && json_array_size(rows) > 0)
        put_row(c, NULL, columns, chosen);
    json_array_foreach(rows, i, row) {
        put_row(c, row, columns, chosen);
    }
}

void render_json(const json_t *value)
{
    (void)json_dumpf(value, stdout, JSON_COMPACT);
    putchar('\n');
}

void render_as(struct ctl *c, const char *member, const char *text)
{
    if (c->format == FORMAT_JSON)
        render_json(ctl_json(c, json_pack("{ss}", member, text)));
    else
        puts(text);
}

void render_result(struct ctl *c, const char *text)
{
    render_as(c, "message", text);
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

void render_listing(struct ctl *c, const struct listing *l, const json_t *rows, const char *names)
{
    const char *chosen[COLUMNS_MAX];

    chosen[split(c, names, chosen, 0)] = NULL;
    render_rows(c, rows, l->columns, chosen);
}

void run_listing_of(struct ctl *c, bool (*wanted)(const struct ctl *c, const json_t *row))
{
    const struct listing *l = c->command->listing;
    const char *chosen[COLUMNS_MAX];
    json_t *rows, *some = ctl_json(c, json_array()), *row;
    size_t i;

    choose(c, l, chosen);
    ctl_say_banner(c);
    rows = http_get(c, l->path);
    json_array_foreach(rows, i, row) {
        if (!wanted || wanted(c, row))
            (void)json_array_append(some, row);
    }
    render_rows(c, some, l->columns, chosen);
}

void run_listing(struct ctl *c)
{
    run_listing_of(c, NULL);
}
