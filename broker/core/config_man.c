/*
 * The man page of the configuration, as troff.
 */
#include "broker/core/config_impl.h"

/* A minus is one, and no line begins with a control character. */
static void put(FILE *out, const char *text)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", out);
    for (; *text; text++) {
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else
            fputc(*text, out);
    }
}

static void put_key(FILE *out, const struct config_key *k)
{
    char type[256];

    fputs(".TP\n\\fB", out);
    put(out, k->name);
    fputs("\\fR (", out);
    put(out, config_type_name(k, type, sizeof(type)));
    fputs(")\n", out);
    put(out, k->meaning);
    fputs(".\n", out);
    if (*k->initial) {
        fputs("Default: ", out);
        put(out, k->initial);
        fputs(".\n", out);
    }
    if (k->flags & KEY_RELOADABLE)
        fputs("A reload takes it.\n", out);
}

void config_print_man(FILE *out)
{
    fputs(
        ".TH WARREN.CONF 5 \"\" \"Warren " WARREN_VERSION "\" \"Warren\"\n"
        ".SH NAME\nwarren.conf \\- configuration of the Warren message broker\n"
        ".SH DESCRIPTION\n"
        "Lines are \\fIkey\\fR = \\fIvalue\\fR. What follows # is a comment; a value in single\n"
        "quotes may hold one. \\fBinclude\\fR \\fIPATTERN\\fR reads other files, relative to this\n"
        "one. A later line for the same key wins. An unknown key, or a value of another type, is\n"
        "an error.\n"
        ".PP\n"
        "In names * stands for any name: of \\fBlisteners.tcp.*\\fR there may be several.\n"
        "Sizes take units: kB, MB, GB are powers of 1000, kiB, MiB, GiB of 1024. Times take ms,\n"
        "s, m and h.\n",
        out);
    for (size_t i = 0; i < config_n_keys; i++) {
        if (config_keys[i].flags & KEY_HIDDEN)
            continue;
        if (config_keys[i].type == KEY_SECTION)
            fprintf(out, ".SH %s\n", config_keys[i].name);
        else
            put_key(out, &config_keys[i]);
    }
    fputs(".SH SEE ALSO\n.BR warren (8)\n", out);
}
