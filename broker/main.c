/*
 * warren: options and signals. What runs is assembled in tree.c.
 */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/core/activation.h"
#include "broker/core/config.h"
#include "broker/core/config_server.h"
#include "broker/core/listeners.h"
#include "broker/core/log.h"
#include "broker/core/tls.h"
#include "broker/runtime/runtime.h"
#include "broker/runtime/world.h"
#include "broker/tree.h"
#include "persistence/store.h"
#include "queues/definitions.h"
#include "queues/restore.h"
#include "queues/salvage.h"

enum { SHUTDOWN_DEADLINE_S = 10 };

static proc_id root; /* written before the signal thread starts */

static void usage(FILE *out)
{
    fputs(
        "usage: warren [options]\n"
        "\n"
        "An AMQP 0-9-1 message broker.\n"
        "\n"
        "  --config FILE      read 'key = value' lines from FILE, or from all *.conf of a folder\n"
        "  --data-dir DIR     keep data in DIR (default: warren-data)\n"
        "  --amqp-port N      listen for AMQP on port N, 0: any free port (default: 5672)\n"
        "  --mgmt-port N      listen for management on port N, 0: any (default: 15672)\n"
        "  --bind ADDR        listen on this address (default: all, IPv4 and IPv6)\n"
        "  --schedulers N     scheduler threads (default: one for each core)\n"
        "  --log-level L      debug, info, warning or error (default: info)\n"
        "  --set key=value    set any configuration key\n"
        "  --restore DIR      make the data directory, which must be empty, from the backup in\n"
        "                     DIR, and end\n"
        "  --salvage VHOST    replace the damaged store of that vhost ('': the node's own) by\n"
        "                     what can be read of it, and end\n"
        "  --check-config     say whether the configuration is right, and end\n"
        "  --print-config     print each key with its meaning, its value and where that is from,\n"
        "                     and end\n"
        "  --config-reference print each key as a table in Markdown, and end\n"
        "  --config-man-page  the same as a man page\n"
        "  --version          print the version\n"
        "  --help             print this text\n"
        "\n"
        "Later options win over earlier ones and over --config. Keys:\n",
        out);
    config_print_keys(out);
}

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    fputs("warren: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static void set_or_die(const char *key, const char *value)
{
    char text[512];

    if (config_set(key, value, text, sizeof(text)) < 0)
        die("%s", text);
}

/* --amqp-port is the only port then, whatever the file says. */
static void set_only_listener(const char *value)
{
    set_or_die("listeners.tcp", "none");
    set_or_die("listeners.tcp.default", value);
}

static void set_pair(char *pair)
{
    char *eq = strchr(pair, '=');

    if (!eq)
        die("--set wants key=value, not '%s'", pair);
    *eq = 0;
    set_or_die(pair, eq + 1);
}

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"data-dir", required_argument, NULL, 'd'},
    {"amqp-port", required_argument, NULL, 'p'},
    {"mgmt-port", required_argument, NULL, 'm'},
    {"bind", required_argument, NULL, 'b'},
    {"schedulers", required_argument, NULL, 's'},
    {"log-level", required_argument, NULL, 'l'},
    {"set", required_argument, NULL, 'S'},
    {"restore", required_argument, NULL, 'r'},
    {"salvage", required_argument, NULL, 'V'},
    {"check-config", no_argument, NULL, 'K'},
    {"print-config", no_argument, NULL, 'P'},
    {"config-reference", no_argument, NULL, 'R'},
    {"config-man-page", no_argument, NULL, 'M'},
    {"version", no_argument, NULL, 'v'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

/* The configuration key of an option that is a short form of one; NULL for the others. */
static const char *key_of(int option)
{
    switch (option) {
    case 'd':
        return "data_dir";
    case 'm':
        return "management.tcp.port";
    case 'b':
        return "bind";
    case 's':
        return "schedulers";
    case 'l':
        return "log.level";
    default:
        return NULL;
    }
}

static void print_warning(void *ctx, const char *text)
{
    (void)ctx;
    fprintf(stderr, "warren: warning: %s\n", text);
}

/* All that is wrong at once, and what has no meaning. */
__attribute__((noreturn)) static void die_of_config(char *text)
{
    char *line;

    config_each_warning(print_warning, NULL);
    while ((line = strsep(&text, "\n")))
        fprintf(stderr, "warren: %s\n", line);
    exit(1);
}

/* The file is read first, wherever --config stands, so that options win over it. */
static void read_config_option(int argc, char **argv)
{
    char text[8192];
    int o;

    opterr = 0;
    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (o == 'c' && config_read_file(optarg, text, sizeof(text)) < 0)
            die_of_config(text);
    }
    opterr = 1;
    optind = 0; /* glibc: scan anew */
}

/* Options that are done instead of running, once all are read. */
static const char *restore_from, *salvage_vhost;
static int print_what; /* the option that asks for it; 0: none */

static void read_options(int argc, char **argv)
{
    int o;

    read_config_option(argc, argv);
    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (key_of(o)) {
            set_or_die(key_of(o), optarg);
        } else if (o == 'p') {
            set_only_listener(optarg);
        } else if (o == 'S') {
            set_pair(optarg);
        } else if (o == 'K' || o == 'P' || o == 'R' || o == 'M') {
            print_what = o;
        } else if (o == 'r') {
            restore_from = optarg;
        } else if (o == 'V') {
            salvage_vhost = optarg;
        } else if (o == 'v') {
            puts("warren " WARREN_VERSION);
            exit(0);
        } else if (o == 'h') {
            usage(stdout);
            exit(0);
        } else if (o != 'c') {
            fputs("warren --help lists the options\n", stderr);
            exit(2);
        }
    }
    if (optind < argc)
        die("unexpected argument '%s'", argv[optind]);
}

static int probe_address(const char *address, uint64_t port)
{
    uint16_t bound;
    int fd = world_real.net->listen(address, (uint16_t)port, &bound);

    if (fd >= 0)
        world_real.net->close(fd);
    return fd;
}

static void probe_port(const struct listener_plan *plan)
{
    const char *what = plan->is_amqp ? "AMQP" : "management";
    const char *address = *plan->address ? plan->address : "0.0.0.0";
    int r = probe_address(address, plan->port);

    if (r >= 0 && !*plan->address) {
        r = probe_address("::", plan->port);
        if (r == -EAFNOSUPPORT)
            r = 0; /* a machine without IPv6 */
    }
    if (r < 0)
        die("cannot listen on %s for %s, port %u: %s", address, what, plan->port, strerror(-r));
}

static void probe_path(const struct listener_plan *plan)
{
    int fd = world_real.net->listen_unix(plan->address, (unsigned)config()->unix_mode);

    if (fd < 0)
        die("cannot listen at %s: %s", plan->address, strerror(-fd));
    world_real.net->close(fd);
    (void)unlink(plan->address);
}

/* Found out now, a failure is one line and an exit code; later it would be a parked process. */
static bool probe_listener(void *ctx, const struct listener_plan *plan)
{
    uint16_t port;
    int fd, n = activation_sockets(plan->id, &fd, 1, &port);

    (void)ctx;
    if (n < 0)
        die("the socket that was passed on as %s is none that listens: %s", plan->id, strerror(-n));
    if (n > 0)
        world_real.net->close(fd);
    else if (plan->is_unix)
        probe_path(plan);
    else if (!plan->is_metrics) /* the broker serves without them */
        probe_port(plan);
    return true;
}

static void probe_certificates(void)
{
    char text[1024];

    if (tls_probe(text, sizeof(text)) < 0)
        die("%s", text);
}

static void probe_data_dir(void)
{
    const char *dir = config()->data_dir;
    char text[512];

    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        die("cannot make data directory %s: %s", dir, strerror(errno));
    if (restore_is_half(dir))
        die("a restore into %s did not come to its end: empty it and restore again", dir);
    if (store_probe(dir, NULL, text, sizeof(text)) < 0)
        die("%s", text);
}

/* What is printed instead of running, once the configuration has been read without an error. */
static void print_config(void)
{
    if (!print_what)
        return;
    if (print_what == 'R')
        config_print_markdown(stdout);
    else if (print_what == 'M')
        config_print_man(stdout);
    else if (print_what == 'P')
        config_print(stdout);
    else
        puts("The configuration is right.");
    exit(0);
}

/* What is done instead of running. */
static void run_tool(void)
{
    const char *dir = config()->data_dir;
    char why[512] = "";
    int r;

    if (!restore_from && !salvage_vhost)
        return;
    if (restore_from)
        r = restore(restore_from, dir, stdout, why, sizeof(why));
    else
        r = salvage(dir, salvage_vhost, stdout, why, sizeof(why));
    if (r < 0)
        die("%s", why);
    exit(0);
}

/* All of the file is looked at, because later there is nobody to tell of a mistake but the log. */
static void probe_definitions(void)
{
    const char *path = config()->load_definitions;
    struct definitions d = {0};
    char text[4096];

    if (*path && definitions_read(path, NULL, &d, text, sizeof(text)) < 0)
        die("definitions file %s: %s", path, text);
    definitions_fini(&d);
}

static void raise_open_files(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* as many as there may be; fewer is not an error */
}

static void reload(void)
{
    proc_id config_server = proc_whereis("config");

    if (config_server)
        rt_send(config_server, msg_new(CONFIG_RELOAD, sizeof(struct msg), NULL));
    else
        log_outside("the configuration is not read again: the process that does so is down");
}

/* Waits for signals as a thread of its own, because the main one waits for the root. */
static void *signal_thread(void *arg)
{
    const sigset_t *set = arg;
    bool is_stopping = false;
    int sig;

    for (;;) {
        if (sigwait(set, &sig) != 0)
            continue;
        if (sig == SIGHUP) {
            reload();
            continue;
        }
        if (sig == SIGALRM || is_stopping)
            _exit(sig == SIGALRM ? 1 : 0);
        is_stopping = true;
        log_outside(sig == SIGTERM ? "stopping: SIGTERM" : "stopping: SIGINT");
        activation_notify("STOPPING=1\nSTATUS=Stopping");
        alarm(SHUTDOWN_DEADLINE_S);
        rt_signal(root, EXIT_SHUTDOWN, "signal");
    }
    return NULL;
}

static void block_signals(sigset_t *ret)
{
    sigemptyset(ret);
    sigaddset(ret, SIGTERM);
    sigaddset(ret, SIGINT);
    sigaddset(ret, SIGHUP);
    sigaddset(ret, SIGALRM);
    pthread_sigmask(SIG_BLOCK, ret, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* Those besides the two that are always told. */
static bool print_port(void *ctx, const struct listener_plan *plan)
{
    (void)ctx;
    if (!plan->is_unix && !plan->is_metrics && strcmp(plan->id, "amqp") && strcmp(plan->id, "http"))
        printf(" %s=%u", plan->id, listeners_port(plan->id));
    return true;
}

static void on_ready(uint16_t amqp_port, uint16_t mgmt_port)
{
    printf("warren ready amqp=%u mgmt=%u", amqp_port, mgmt_port);
    listeners_each_plan(print_port, NULL);
    putchar('\n');
    fflush(stdout);
    activation_notify("READY=1\nSTATUS=Serving AMQP on port %u", amqp_port);
}

static void start(void)
{
    struct rt_config rt = {
        .schedulers = (unsigned)config()->schedulers,
        .pool_threads = (unsigned)config()->pool_threads,
        .world = &world_real,
        .on_crash = log_crash,
    };
    struct tree_options tree = {.with_mgmt = true,
                                .with_alarms = true,
                                .watchdog_us = activation_watchdog_us(),
                                .on_ready = on_ready};
    int r = rt_start(&rt);

    if (r < 0)
        die("cannot start: %s", strerror(-r));
    if (*config()->debug_crash_in_init)
        rt_inject_init(config()->debug_crash_in_init);
    root = tree_start(&tree);
}

int main(int argc, char **argv)
{
    static sigset_t set; /* the signal thread reads it until the program has ended */
    struct exit_reason why;
    pthread_t thread;
    char text[512];
    int r;

    read_options(argc, argv);
    config_each_warning(print_warning, NULL);
    if (config_check(text, sizeof(text)) < 0)
        die("%s", text);
    probe_definitions();
    if (!print_what || print_what == 'K')
        probe_certificates();
    print_config();
    run_tool();
    log_set_thresholds();
    raise_open_files();
    block_signals(&set);
    probe_data_dir();
    r = activation_take();
    if (r < 0)
        die("cannot take over the sockets that were passed on: %s", strerror(-r));
    listeners_each_plan(probe_listener, NULL);
    start();
    if (pthread_create(&thread, NULL, signal_thread, &set) != 0)
        die("cannot start the signal thread");
    rt_wait(&why);
    if (exit_is_normal(&why) && why.code == 0 && !strcmp(why.text, "signal")) {
        log_after_all("stopped in order");
        return 0;
    }
    die("stopped: %s", why.text);
}
