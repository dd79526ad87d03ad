/*
 * warrenctl: reads its command line and runs one command.
 */
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/ctl/ctl.h"

struct kept {
    struct kept *next;
    void *p;
    void (*fn)(void *);
};

const struct ctl_option ctl_options[N_OPTIONS] = {
    [OPT_HOST] = {"host", 'H', "HOST", "where the broker runs (localhost)"},
    [OPT_PORT] = {"port", 'P', "PORT", "of the management API (15672; with --tls 15671)"},
    [OPT_USERNAME] = {"username", 'u', "USER", "who asks (guest)"},
    [OPT_PASSWORD] = {"password", 0, "PASSWORD", "his password"},
    [OPT_TLS] = {"tls", 0, NULL, "https"},
    [OPT_CA] = {"tls-ca-cert-file", 0, "FILE", "certificates that are trusted"},
    [OPT_CERT] = {"tls-cert-file", 0, "FILE", "a certificate for this client"},
    [OPT_KEY] = {"tls-key-file", 0, "FILE", "its key"},
    [OPT_INSECURE] = {"tls-insecure", 'k', NULL, "do not check the broker's certificate"},
    [OPT_CONFIG] = {"config", 'c', "FILE", "read defaults from FILE (~/.warrenctl.conf)"},
    [OPT_NODE] = {"node", 'n', "NAME", "take the file's section of that name, if it has one"},
    [OPT_TIMEOUT] = {"timeout", 't', "SECONDS", "how long to wait for an answer (60); 0: for ever"},
    [OPT_FORMATTER] = {"formatter", 0, "NAME", "table, pretty_table, json or csv"},
    [OPT_NO_HEADERS] = {"no-table-headers", 0, NULL, "tables without their headline"},
    [OPT_QUIET] = {"quiet", 'q', NULL, "only the answer, no sentence before it"},
    [OPT_SILENT] = {"silent", 's', NULL, "like --quiet, and tables without their headline"},
    [OPT_LONGNAMES] = {"longnames", 'l', NULL, "nothing; rabbitmqctl has it"},
    [OPT_HELP] = {"help", 0, NULL, "what a command does and takes"},
    [OPT_VERSION] = {"version", 0, NULL, "print the version"},
    [OPT_VHOST] = {"vhost", 'p', "VHOST", "the virtual host (/)"},
    [OPT_APPLY_TO] = {"apply-to", 0, "WHAT", "all, queues, exchanges, classic_queues..."},
    [OPT_PRIORITY] = {"priority", 0, "N", "the highest of those that match wins (0)"},
    [OPT_IF_EMPTY] = {"if-empty", 'e', NULL, "only when it is empty"},
    [OPT_IF_UNUSED] = {"if-unused", 0, NULL, "only when nobody consumes"},
    [OPT_DESCRIPTION] = {"description", 0, "TEXT", "what it is for"},
    [OPT_TAGS] = {"tags", 0, "TAG,...", "its tags"},
    [OPT_QUEUE_TYPE] = {"default-queue-type", 0, "TYPE", "of queues declared without one"},
    [OPT_USER] = {"user", 0, "USER", "only those of this user"},
    [OPT_GLOBAL] = {"global", 0, NULL, "in all virtual hosts"},
    [OPT_LIMIT] = {"limit", 0, "N", "at most that many"},
    [OPT_ONLINE] = {"online", 0, NULL, "only those that are up"},
    [OPT_OFFLINE] = {"offline", 0, NULL, "only those that are down"},
    [OPT_LOCAL] = {"local", 0, NULL, "those of this node, which are all"},
    [OPT_BY_SOURCE] = {"by-source", 0, NULL, "by user and address"},
    [OPT_PID] = {"pid", 0, "PID", "of the broker, which is not needed"},
    [OPT_LINES] = {"number", 'N', "N", "how many lines (50)"},
    [OPT_UNIT] = {"unit", 0, "UNIT", "days, weeks, months or years (weeks)"},
    [OPT_WITHIN] = {"within", 0, "N", "how many of them (4)"},
    [OPT_WAIT] = {"wait", 'w', NULL, "until it has come to its end"},
    [OPT_SKIP_UNSUPPORTED] = {"skip-unsupported", 0, NULL,
                              "leave out queues and exchanges of types that are not here"},
};

void *ctl_keep(struct ctl *c, void *p, void (*fn)(void *))
{
    struct kept *k = p ? malloc(sizeof(*k)) : NULL;

    if (!k) {
        fputs("Error: out of memory\n", stderr);
        exit(EX_OSERR);
    }
    *k = (struct kept){c->kept, p, fn};
    c->kept = k;
    return p;
}

char *ctl_text(struct ctl *c, const char *fmt, ...)
{
    char *text = NULL;
    va_list args;

    va_start(args, fmt);
    if (vasprintf(&text, fmt, args) < 0)
        text = NULL;
    va_end(args);
    return ctl_keep(c, text, free);
}

static void free_json(void *value)
{
    json_decref(value);
}

json_t *ctl_json(struct ctl *c, json_t *value)
{
    return ctl_keep(c, value, free_json);
}

void ctl_end(struct ctl *c, int code)
{
    while (c->kept) {
        struct kept *k = c->kept;

        c->kept = k->next;
        k->fn(k->p);
        free(k);
    }
    if (fflush(stdout) != 0 && code == 0)
        code = EX_IOERR;
    exit(code);
}

void ctl_fail(struct ctl *c, int code, const char *fmt, ...)
{
    va_list args;

    fflush(stdout);
    fputs("Error: ", stderr);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    ctl_end(c, code);
}

const char *ctl_vhost(const struct ctl *c)
{
    return c->option[OPT_VHOST] ? c->option[OPT_VHOST] : "/";
}

bool ctl_has_headers(const struct ctl *c)
{
    return !ctl_has(c, OPT_SILENT) && !ctl_has(c, OPT_NO_HEADERS);
}

bool ctl_is_chatty(const struct ctl *c)
{
    return !ctl_has(c, OPT_SILENT) && !ctl_has(c, OPT_QUIET) &&
           (c->format == FORMAT_TABLE || c->format == FORMAT_PRETTY_TABLE);
}

json_t *ctl_json_arg(struct ctl *c, const char *text)
{
    json_error_t e;
    json_t *value = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &e);

    if (!value)
        ctl_fail(c, EX_UNAVAILABLE, "JSON decoding error. '%s': %s", text, e.text);
    return ctl_json(c, value);
}

long ctl_number(struct ctl *c, enum option_id id, long without, long most)
{
    const char *text = c->option[id];
    char *end;
    long n = text ? strtol(text, &end, 10) : without;

    if (text && (!*text || *end || n < 0 || n > most))
        ctl_fail(c, EX_USAGE, "--%s wants a number, not '%s'", ctl_options[id].name, text);
    return n;
}

/* Bit by bit: what may stand in a segment of a path stays. */
static void put_escaped(FILE *out, const char *text)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";

    for (; *text; text++) {
        if (strchr(plain, *text))
            fputc(*text, out);
        else
            fprintf(out, "%%%02X", (unsigned char)*text);
    }
}

const char *ctl_escape(struct ctl *c, const char *text)
{
    char *escaped = NULL;
    size_t len;
    FILE *out = open_memstream(&escaped, &len);

    if (!out)
        ctl_fail(c, EX_OSERR, "out of memory");
    put_escaped(out, text);
    fclose(out);
    return ctl_keep(c, escaped, free);
}

static const char *words_behind_first(struct ctl *c)
{
    const char *text = "";

    for (int i = 1; i < c->argc; i++)
        text = ctl_text(c, "%s%s%s", text, i > 1 ? ", " : "", c->argv[i]);
    return text;
}

static const char letters[] = "123456789tvPT";

static const char *value_of(struct ctl *c, char letter)
{
    const char *arg;

    switch (letter) {
    case 't':
        return words_behind_first(c);
    case 'v':
        return ctl_vhost(c);
    case 'P':
        return ctl_has(c, OPT_PRIORITY) ? c->option[OPT_PRIORITY] : "0";
    case 'T':
        return ctl_text(c, "%ld.0", http_timeout_s(c));
    default:
        arg = ctl_arg(c, letter - '1');
        return arg ? arg : "";
    }
}

char *ctl_expand(struct ctl *c, const char *template, bool is_path)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    if (!out)
        ctl_fail(c, EX_OSERR, "out of memory");
    for (const char *p = template; *p; p++) {
        if (*p != '%' || !p[1] || !strchr(letters, p[1]))
            fputc(*p, out);
        else if (is_path)
            put_escaped(out, value_of(c, *++p));
        else
            fputs(value_of(c, *++p), out);
    }
    fclose(out);
    return ctl_keep(c, text, free);
}

void ctl_say(struct ctl *c, const char *fmt, ...)
{
    va_list args;

    if (!ctl_is_chatty(c))
        return;
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    putchar('\n');
}

void ctl_say_banner(struct ctl *c)
{
    if (c->command->banner)
        ctl_say(c, "%s", ctl_expand(c, c->command->banner, false));
}

/* getopt's tables, from ours. */
static void make_options(struct option longs[N_OPTIONS + 1], char shorts[2 * N_OPTIONS + 1])
{
    memset(longs, 0, (N_OPTIONS + 1) * sizeof(*longs));
    for (int i = 0; i < N_OPTIONS; i++) {
        const struct ctl_option *o = &ctl_options[i];

        longs[i] =
            (struct option){o->name, o->argument ? required_argument : no_argument, NULL, 256 + i};
        if (o->letter)
            *shorts++ = o->letter;
        if (o->letter && o->argument)
            *shorts++ = ':';
    }
    *shorts = 0;
}

static int option_by_letter(int letter)
{
    for (int i = 0; i < N_OPTIONS; i++) {
        if (letter && ctl_options[i].letter == letter)
            return i;
    }
    return -1;
}

__attribute__((noreturn)) static void no_command(struct ctl *c, const char *name)
{
    const char *why = ctl_why_absent(name), *similar = ctl_similar(name);

    if (why)
        ctl_fail(c, EX_USAGE, "%s is not here: %s", name, why);
    if (similar)
        ctl_fail(c, EX_USAGE, "there is no command '%s'. Did you mean '%s'?", name, similar);
    ctl_fail(c, EX_USAGE, "there is no command '%s'; warrenctl help lists them", name);
}

static void read_options(struct ctl *c, int argc, char **argv)
{
    struct option longs[N_OPTIONS + 1];
    char shorts[2 * N_OPTIONS + 1];
    int got, id;

    make_options(longs, shorts);
    while ((got = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        id = got >= 256 ? got - 256 : option_by_letter(got);
        if (id < 0)
            ctl_end(c, EX_USAGE);
        c->option[id] = optarg ? optarg : "";
    }
    if (ctl_has(c, OPT_VERSION)) {
        puts("warrenctl " WARREN_VERSION);
        ctl_end(c, 0);
    }
    if (optind < argc)
        c->command = ctl_find_command(argv[optind]);
    if (optind < argc && !c->command)
        no_command(c, argv[optind]);
    c->argc = argc - optind - 1;
    c->argv = argv + optind + 1;
}

static void read_format(struct ctl *c)
{
    static const char *const names[] = {[FORMAT_TABLE] = "table",
                                        [FORMAT_PRETTY_TABLE] = "pretty_table",
                                        [FORMAT_JSON] = "json",
                                        [FORMAT_CSV] = "csv"};
    const char *name = c->option[OPT_FORMATTER];

    for (unsigned i = 0; name && i < sizeof(names) / sizeof(*names); i++) {
        if (!strcmp(name, names[i])) {
            c->format = (enum ctl_format)i;
            return;
        }
    }
    if (name)
        ctl_fail(c, EX_USAGE, "--formatter is table, pretty_table, json or csv, not '%s'", name);
}

static void check_use(struct ctl *c)
{
    const struct command *k = c->command;

    for (int i = OPT_OF_COMMANDS; i < N_OPTIONS; i++) {
        if (c->option[i] && !(k->options & OPTION_BIT(i)))
            ctl_fail(c, EX_USAGE, "%s knows no option --%s", k->name, ctl_options[i].name);
    }
    if (c->argc >= k->min && (k->max < 0 || c->argc <= k->max))
        return;
    fprintf(stderr, "Error: %s arguments\n", c->argc < k->min ? "too few" : "too many");
    help_print_command(stderr, k);
    ctl_end(c, EX_USAGE);
}

static void run(struct ctl *c)
{
    const struct command *k = c->command;
    json_t *body;

    if (k->listing && !k->run) {
        run_listing(c);
        return;
    }
    body = k->body ? k->body(c) : NULL;
    if (!k->listing)
        ctl_say_banner(c);
    if (k->run)
        k->run(c);
    else
        http_do(c, k->method, k->path, body);
}

int main(int argc, char **argv)
{
    struct ctl c = {.program = basename(argv[0]), .refused = EX_UNAVAILABLE};

    read_options(&c, argc, argv);
    if (!c.command) {
        help_print(ctl_has(&c, OPT_HELP) ? stdout : stderr);
        ctl_end(&c, ctl_has(&c, OPT_HELP) ? 0 : EX_USAGE);
    }
    if (ctl_has(&c, OPT_HELP)) {
        help_print_command(stdout, c.command);
        ctl_end(&c, 0);
    }
    config_load(&c);
    read_format(&c);
    (void)http_timeout_s(&c); /* a wrong one is said before anything is done */
    check_use(&c);
    run(&c);
    ctl_end(&c, 0);
}
