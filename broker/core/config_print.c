/*
 * The configuration for people: --help, --print-config and the reference.
 */
#include <string.h>

#include "broker/core/config_impl.h"

static const char *initial_of(const struct config_key *k)
{
    return *k->initial ? k->initial : "none";
}

void config_print_keys(FILE *out)
{
    char type[256];

    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *k = &config_keys[i];

        if (k->type != KEY_SECTION && !(k->flags & KEY_HIDDEN))
            fprintf(out, "  %-37s %s (%s; default: %s)\n", k->name, k->meaning,
                    config_type_name(k, type, sizeof(type)), initial_of(k));
    }
}

static void print_values(FILE *out, const struct config_whole *w, const struct config_key *k)
{
    char line[CONFIG_TEXT_MAX + 128];

    for (unsigned i = 0; config_show(&w->values, k, i, line, sizeof(line)); i++) {
        if (k->flags & KEY_SECRET)
            fprintf(out, "# %s = (not shown)\n", k->name);
        else
            fprintf(out, "%s\n", line);
    }
}

static void show_each(const struct config_whole *w, const struct config_key *k,
                      void (*fn)(void *ctx, const struct config_shown *shown), void *ctx)
{
    char line[CONFIG_TEXT_MAX + 128], type[256], *value;
    const char *origin = w->origin[k - config_keys];
    struct config_shown s = {.name = line,
                             .type = config_type_name(k, type, sizeof(type)),
                             .initial = k->initial,
                             .meaning = k->meaning,
                             .origin = *origin ? origin : "the default",
                             .is_reloadable = k->flags & KEY_RELOADABLE};

    for (unsigned i = 0; config_show(&w->values, k, i, line, sizeof(line)); i++) {
        value = strstr(line, " = ");
        *value = 0;
        s.value = k->flags & KEY_SECRET ? "(not shown)" : value + 3;
        fn(ctx, &s);
    }
}

void config_each(void (*fn)(void *ctx, const struct config_shown *shown), void *ctx)
{
    const struct config_whole *w = config_whole();

    for (size_t i = 0; i < config_n_keys; i++) {
        if (config_keys[i].type != KEY_SECTION && !(config_keys[i].flags & KEY_HIDDEN))
            show_each(w, &config_keys[i], fn, ctx);
    }
}

void config_print(FILE *out)
{
    const struct config_whole *w = config_whole();
    char type[256];

    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *k = &config_keys[i];

        if (k->flags & KEY_HIDDEN)
            continue;
        if (k->type == KEY_SECTION) {
            fprintf(out, "%s## %s\n", i ? "\n" : "", k->name);
            continue;
        }
        fprintf(out, "\n# %s\n# %s; default: %s; takes effect %s; here from: %s\n", k->meaning,
                config_type_name(k, type, sizeof(type)), initial_of(k),
                k->flags & KEY_RELOADABLE ? "on reload" : "at a start",
                *w->origin[i] ? w->origin[i] : "the default");
        print_values(out, w, k);
    }
}

/* A cell of a table, in which '|' would end it. */
static void put_cell(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            fputc('\\', out);
        fputc(*text, out);
    }
    fputs(" |", out);
}

void config_print_markdown(FILE *out)
{
    char type[256], name[160];

    fputs("# Configuration reference\n\n"
          "This page is what `warren --config-reference` prints: all keys, in the order in which\n"
          "`warren --print-config` shows them with their values. How files are read is said in\n"
          "[operations.md](operations.md), what is not RabbitMQ's in "
          "[differences.md](differences.md).\n\n"
          "In names `*` stands for any name: there may be several of these. Sizes take units "
          "(`50MB`,\n"
          "`2GiB`; k, M and G alone are powers of 1024), times too (`500ms`, `10s`, `5m`, `1h`). "
          "Where\n"
          "`reload` says yes, SIGHUP takes a change in; else it takes effect at the next start.\n",
          out);
    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *k = &config_keys[i];

        if (k->flags & KEY_HIDDEN)
            continue;
        if (k->type == KEY_SECTION) {
            fprintf(out,
                    "\n## %s\n\n| key | type | default | reload | meaning |\n"
                    "| --- | --- | --- | --- | --- |\n",
                    k->name);
            continue;
        }
        snprintf(name, sizeof(name), "| `%s` | ", k->name);
        fputs(name, out);
        put_cell(out, config_type_name(k, type, sizeof(type)));
        fprintf(out, " %s | %s | ", initial_of(k), k->flags & KEY_RELOADABLE ? "yes" : "no");
        put_cell(out, k->meaning);
        fputc('\n', out);
    }
}
