/*
 * What warrenctl says of itself: help, completion for shells, its man page. All of it is made from
 * the table of commands.
 */
#include <ctype.h>
#include <string.h>

#include "mgmt/ctl/ctl.h"
#include "mgmt/node_json.h"

static void put_option(FILE *out, int i)
{
    const struct ctl_option *o = &ctl_options[i];
    char left[64];
    int n = o->letter ? snprintf(left, sizeof(left), "-%c, --%s", o->letter, o->name)
                      : snprintf(left, sizeof(left), "    --%s", o->name);

    if (o->argument)
        snprintf(left + n, sizeof(left) - (size_t)n, " %s", o->argument);
    fprintf(out, "  %-32s %s\n", left, o->meaning);
}

static void put_command(FILE *out, const struct command *k)
{
    fprintf(out, "  %s%s%s\n      %s\n", k->name, *k->args ? " " : "", k->args, k->summary);
}

void help_print(FILE *out)
{
    fputs("usage: warrenctl [OPTION...] COMMAND [ARGUMENT...]\n", out);
    for (int group = 0; group < N_GROUPS; group++) {
        fprintf(out, "\n%s:\n", ctl_group_names[group]);
        for (size_t i = 0; i < ctl_n_commands; i++) {
            if ((int)ctl_commands[i].group == group)
                put_command(out, &ctl_commands[i]);
        }
    }
    fputs("\nOptions:\n", out);
    for (int i = 0; i < OPT_OF_COMMANDS; i++)
        put_option(out, i);
    fputs("\nwarrenctl help COMMAND says what else a command takes.\n", out);
}

void help_print_command(FILE *out, const struct command *k)
{
    const char *before = "\nColumns:";

    fprintf(out, "usage: warrenctl [OPTION...] %s%s%s\n\n%s\n", k->name, *k->args ? " " : "",
            k->args, k->summary);
    if (k->options)
        fputs("\nOptions of this command:\n", out);
    for (int i = OPT_OF_COMMANDS; i < N_OPTIONS; i++) {
        if (k->options & OPTION_BIT(i))
            put_option(out, i);
    }
    for (const struct column *l = k->listing ? k->listing->columns : NULL; l && l->name; l++) {
        fprintf(out, "%s %s", before, l->name);
        before = ",";
    }
    if (k->listing)
        fprintf(out, "\nShown unless others are asked for: %s\n", k->listing->initial);
}

void cmd_help(struct ctl *c)
{
    const char *name = ctl_arg(c, 0);
    const struct command *k = name ? ctl_find_command(name) : NULL;

    if (name && !k)
        ctl_fail(c, EX_USAGE, "there is no command '%s'", name);
    if (k)
        help_print_command(stdout, k);
    else
        help_print(stdout);
}

void cmd_version(struct ctl *c)
{
    /* Scripts that call rabbitmqctl choose by its version what they ask it for. */
    puts(strncmp(c->program, "rabbitmq", 8) ? WARREN_VERSION : RABBITMQ_VERSION);
}

void cmd_list_commands(struct ctl *c)
{
    (void)c;
    for (size_t i = 0; i < ctl_n_commands; i++)
        puts(ctl_commands[i].name);
}

/* A text for a shell, between single quotes. */
static void put_quoted(const char *text)
{
    putchar('\'');
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", stdout);
        else
            putchar(*text);
    }
    putchar('\'');
}

static void put_names(void)
{
    for (size_t i = 0; i < ctl_n_commands; i++)
        printf("%s%s", i ? " " : "", ctl_commands[i].name);
}

static void put_columns(const struct command *k)
{
    for (const struct column *l = k->listing->columns; l->name; l++)
        printf("%s%s", l == k->listing->columns ? "" : " ", l->name);
}

static void put_bash(void)
{
    puts("# bash completion for warrenctl; made by `warrenctl completion bash`\n"
         "_warrenctl() {\n"
         "    local word=${COMP_WORDS[COMP_CWORD]} command= i commands options\n"
         "    COMPREPLY=()");
    fputs("    commands='", stdout);
    put_names();
    fputs("'\n    options='", stdout);
    for (int i = 0; i < N_OPTIONS; i++)
        printf("%s--%s", i ? " " : "", ctl_options[i].name);
    puts("'\n"
         "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
         "        case \" $commands \" in *\" ${COMP_WORDS[i]} \"*) command=${COMP_WORDS[i]} ;; "
         "esac\n"
         "    done\n"
         "    if [[ ${COMP_WORDS[COMP_CWORD - 1]} == --formatter ]]; then\n"
         "        COMPREPLY=($(compgen -W 'table pretty_table json csv' -- \"$word\"))\n"
         "        return\n"
         "    fi\n"
         "    if [[ $word == -* ]]; then\n"
         "        COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n"
         "        return\n"
         "    fi\n"
         "    case $command in\n"
         "    '') COMPREPLY=($(compgen -W \"$commands\" -- \"$word\")) ;;\n"
         "    help) COMPREPLY=($(compgen -W \"$commands\" -- \"$word\")) ;;\n"
         "    completion) COMPREPLY=($(compgen -W 'bash zsh fish' -- \"$word\")) ;;");
    for (size_t i = 0; i < ctl_n_commands; i++) {
        if (!ctl_commands[i].listing)
            continue;
        printf("    %s) COMPREPLY=($(compgen -W '", ctl_commands[i].name);
        put_columns(&ctl_commands[i]);
        puts("' -- \"$word\")) ;;");
    }
    puts("    *) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n"
         "    esac\n"
         "}\n"
         "complete -F _warrenctl warrenctl");
}

static void put_zsh(void)
{
    puts("#compdef warrenctl\n"
         "# zsh completion for warrenctl; made by `warrenctl completion zsh`\n"
         "_warrenctl() {\n"
         "    local -a commands options\n"
         "    local i command\n"
         "    commands=(");
    for (size_t i = 0; i < ctl_n_commands; i++) {
        char text[256];

        snprintf(text, sizeof(text), "%s:%s", ctl_commands[i].name, ctl_commands[i].summary);
        fputs("        ", stdout);
        put_quoted(text);
        putchar('\n');
    }
    fputs("    )\n    options=(", stdout);
    for (int i = 0; i < N_OPTIONS; i++)
        printf("%s--%s", i ? " " : "", ctl_options[i].name);
    puts(")\n"
         "    for ((i = 2; i < CURRENT; i++)); do\n"
         "        (( ${commands[(I)${(b)words[i]}:*]} )) && command=${words[i]}\n"
         "    done\n"
         "    if [[ ${words[CURRENT - 1]} == --formatter ]]; then\n"
         "        compadd -- table pretty_table json csv\n"
         "        return\n"
         "    fi\n"
         "    if [[ $PREFIX == -* ]]; then\n"
         "        compadd -- $options\n"
         "        return\n"
         "    fi\n"
         "    case $command in\n"
         "    '') _describe command commands ;;\n"
         "    help) compadd -- ${commands%%:*} ;;\n"
         "    completion) compadd -- bash zsh fish ;;");
    for (size_t i = 0; i < ctl_n_commands; i++) {
        if (!ctl_commands[i].listing)
            continue;
        printf("    %s) compadd -- ", ctl_commands[i].name);
        put_columns(&ctl_commands[i]);
        puts(" ;;");
    }
    puts("    *) _files ;;\n"
         "    esac\n"
         "}\n"
         "_warrenctl \"$@\"");
}

/* Those who know option i, for fish's own test; nothing of an option that all know. */
static void put_fish_condition(int i)
{
    if (i < OPT_OF_COMMANDS)
        return;
    fputs(" -n '__fish_seen_subcommand_from", stdout);
    for (size_t k = 0; k < ctl_n_commands; k++) {
        if (ctl_commands[k].options & OPTION_BIT(i))
            printf(" %s", ctl_commands[k].name);
    }
    putchar('\'');
}

static void put_fish_option(int i)
{
    const struct ctl_option *o = &ctl_options[i];

    printf("complete -c warrenctl -l %s", o->name);
    if (o->letter)
        printf(" -s %c", o->letter);
    if (i == OPT_FORMATTER)
        fputs(" -xa 'table pretty_table json csv'", stdout);
    else if (o->argument && !strcmp(o->argument, "FILE"))
        fputs(" -rF", stdout);
    else if (o->argument)
        fputs(" -x", stdout);
    put_fish_condition(i);
    fputs(" -d ", stdout);
    put_quoted(o->meaning);
    putchar('\n');
}

static void put_fish(void)
{
    puts("# fish completion for warrenctl; made by `warrenctl completion fish`\n"
         "complete -c warrenctl -f\n"
         "complete -c warrenctl -n '__fish_seen_subcommand_from import_definitions "
         "export_definitions backup' -F\n"
         "complete -c warrenctl -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'\n"
         "complete -c warrenctl -n '__fish_seen_subcommand_from help' -a '(warrenctl "
         "list_commands)'");
    for (int i = 0; i < N_OPTIONS; i++)
        put_fish_option(i);
    for (size_t i = 0; i < ctl_n_commands; i++) {
        printf("complete -c warrenctl -n __fish_use_subcommand -a %s -d ", ctl_commands[i].name);
        put_quoted(ctl_commands[i].summary);
        putchar('\n');
        if (!ctl_commands[i].listing)
            continue;
        printf("complete -c warrenctl -n '__fish_seen_subcommand_from %s' -a '",
               ctl_commands[i].name);
        put_columns(&ctl_commands[i]);
        puts("'");
    }
}

void cmd_completion(struct ctl *c)
{
    const char *shell = ctl_arg(c, 0);

    if (!strcmp(shell, "bash"))
        put_bash();
    else if (!strcmp(shell, "zsh"))
        put_zsh();
    else if (!strcmp(shell, "fish"))
        put_fish();
    else
        ctl_fail(c, EX_USAGE, "there is completion for bash, zsh and fish, not for '%s'", shell);
}

/* Text for troff: a minus is one, and no line begins with a control character. */
static void put_troff(const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '\\')
            fputs("\\e", stdout);
        else if (*p == '-')
            fputs("\\-", stdout);
        else if (p == text && (*p == '.' || *p == '\''))
            printf("\\&%c", *p);
        else
            putchar(*p);
    }
}

static void put_troff_item(const char *name, const char *args, const char *meaning)
{
    fputs(".TP\n\\fB", stdout);
    put_troff(name);
    fputs("\\fR", stdout);
    if (args && *args) {
        fputs(" \\fI", stdout);
        put_troff(args);
        fputs("\\fR", stdout);
    }
    putchar('\n');
    put_troff(meaning);
    putchar('\n');
}

static void put_troff_options(int from, int to)
{
    char name[64];

    for (int i = from; i < to; i++) {
        const struct ctl_option *o = &ctl_options[i];

        if (o->letter)
            snprintf(name, sizeof(name), "-%c, --%s", o->letter, o->name);
        else
            snprintf(name, sizeof(name), "--%s", o->name);
        put_troff_item(name, o->argument, o->meaning);
    }
}

void cmd_man(struct ctl *c)
{
    (void)c;
    puts(".TH WARRENCTL 1 \"\" \"Warren " WARREN_VERSION "\" \"Warren\"\n"
         ".SH NAME\nwarrenctl \\- operate a Warren message broker\n"
         ".SH SYNOPSIS\n.B warrenctl\n[\\fIOPTION\\fR...] \\fICOMMAND\\fR [\\fIARGUMENT\\fR...]\n"
         ".SH DESCRIPTION\nSpeaks to the management API of a broker. Commands have the names that\n"
         "rabbitmqctl and rabbitmq\\-diagnostics give them, and print the same columns.");
    for (int group = 0; group < N_GROUPS; group++) {
        printf(".SH %s\n", ctl_group_names[group]);
        for (size_t i = 0; i < ctl_n_commands; i++) {
            if ((int)ctl_commands[i].group == group)
                put_troff_item(ctl_commands[i].name, ctl_commands[i].args, ctl_commands[i].summary);
        }
    }
    puts(".SH OPTIONS");
    put_troff_options(0, OPT_OF_COMMANDS);
    puts(".SH OPTIONS OF SOME COMMANDS");
    put_troff_options(OPT_OF_COMMANDS, N_OPTIONS);
    puts(".SH FILES AND ENVIRONMENT\n"
         "What the command line leaves open is taken from WARRENCTL_HOST, WARRENCTL_PORT,\n"
         "WARRENCTL_USERNAME, WARRENCTL_PASSWORD, WARRENCTL_VHOST, WARRENCTL_TLS,\n"
         "WARRENCTL_CA_CERT_FILE and WARRENCTL_FORMATTER, then from the file that \\-\\-config or\n"
         "WARRENCTL_CONFIG names, or from ~/.warrenctl.conf. It has sections, of which\n"
         "\\fB[default]\\fR is taken, or the one that \\-\\-node names, with lines such as\n"
         "\\fBhost = broker.example\\fR.\n"
         ".SH EXIT STATUS\n"
         ".TP\n0\nDone, or all is well.\n"
         ".TP\n64\nA wrong command line; of delete_queue: the queue is not there, or in use.\n"
         ".TP\n65\nThere is no such virtual host; a wrong file, limit or password.\n"
         ".TP\n67\nThere is no such user.\n"
         ".TP\n69\nThe broker cannot be reached, refuses a value, or has no such thing; a check\n"
         "failed.\n"
         ".TP\n70\nThe broker failed; the user to be made is there already.\n"
         ".TP\n75\nNo answer in time.\n"
         ".TP\n77\nThe login was refused, or the user may not do this.\n"
         ".SH SEE ALSO\n.BR warren (8),\n.BR warren.conf (5)");
}
