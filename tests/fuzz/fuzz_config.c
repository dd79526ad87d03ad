/*
 * The input is a key, '=' and a value of the configuration: what is taken can be shown, and what is
 * shown is taken again and means the same.
 */
#include <string.h>

#include "broker/core/config_impl.h"
#include "tests/fuzz/fuzz.h"

static void put_line(struct config_whole *w, char *line)
{
    char *eq = strstr(line, " = "), *value = eq + 3, text[256];
    size_t len = strlen(value);

    MUST(eq);
    *eq = 0;
    if (len >= 2 && *value == '\'') {
        value[len - 1] = 0;
        value++;
    }
    MUST(config_put(w, line, value, "shown", text, sizeof(text)) == 0);
}

static void check_key(const struct config_whole *w, const struct config_key *k)
{
    static struct config_whole again;
    char line[CONFIG_TEXT_MAX + 256];

    config_defaults(&again);
    for (unsigned i = 0; config_show(&w->values, k, i, line, sizeof(line)); i++)
        put_line(&again, line);
    /* Names that are taken away leave no line behind. */
    MUST(k->type == KEY_NAMES || config_is_same(&w->values, &again.values, k));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config_whole w;
    char input[1024], text[256], *value;
    const struct config_key *k;
    const char *rest;

    if (size >= sizeof(input) || memchr(data, 0, size))
        return 0;
    memcpy(input, data, size);
    input[size] = 0;
    value = strchr(input, '=');
    if (!value)
        return 0;
    *value++ = 0;
    config_defaults(&w);
    *text = 0;
    if (config_put(&w, input, value, "fuzz", text, sizeof(text)) < 0) {
        MUST(*text);
        return 0;
    }
    k = config_find_key(input, &rest);
    if (k)
        check_key(&w, k);
    return 0;
}
