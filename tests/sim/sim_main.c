/*
 * sim_main.c - warren-sim: runs seeds, replays them, and shows that planted bugs are found.
 *
 * Each run is a forked child, so that it starts from the same memory whether its seed runs alone or
 * among thousands, and so that a fault that ends the program is one seed's failure. Exit status: 0
 * all as it should be, 1 an invariant failed (or a planted bug was not found), 2 wrong usage.
 */
#include "tests/sim/sim_main.h"

#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sim/sim.h"
#include "tests/sim/sim_world.h"

/* A run computes and never waits: its limit is CPU time, and a long alarm is for one that waits. */
enum { RUN_LIMIT_CPU_S = 120, RUN_LIMIT_S = 3600, PLANT_SEEDS = 400 };

static struct {
    uint64_t first, last;
    uint32_t steps;
    const char *scenario, *plant;
    bool verbose, plants, no_fork, twice;
} opt = {.first = 1, .last = 1};

static struct sim_outcome *outcome; /* shared with the child */
static FILE *report;

FILE *sim_main_report(void)
{
    return report;
}

/* The run as it stands, for the runner. */
static void outcome_write(const char *invariant)
{
    snprintf(outcome->invariant, sizeof(outcome->invariant), "%s", invariant);
    outcome->hash = sim.hash;
    outcome->n_notes = sim.n_notes;
    outcome->virtual_us = sim_now_us();
    outcome->steps = sim.step;
}

void sim_main_failed(const char *invariant)
{
    outcome_write(invariant);
    fflush(stdout);
    fflush(report);
    _exit(1);
}

static void run_here(const struct sim_scenario *s, uint64_t seed, const char *plant)
{
    sim = (struct sim_run){
        .seed = seed,
        .steps = opt.steps ? opt.steps : s->steps,
        .scenario = s->name,
        .plant = plant,
        .verbose = opt.verbose,
        .hash = seed ^ 0x6a09e667f3bcc908u,
    };
    sim_world_init(seed);
    s->run();
    outcome_write("");
    sim_world_fini();
    fflush(stdout);
}

/* A child that ended without a word: what its status tells. */
static void judge_status(const struct sim_scenario *s, uint64_t seed, int status)
{
    if (WIFEXITED(status) && (WEXITSTATUS(status) == 0 || outcome->invariant[0]))
        return;
    if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGPROF || WTERMSIG(status) == SIGALRM))
        snprintf(outcome->invariant, sizeof(outcome->invariant), "ends in %d s of CPU time",
                 RUN_LIMIT_CPU_S);
    else
        snprintf(outcome->invariant, sizeof(outcome->invariant), "the program lives (%s %d)",
                 WIFSIGNALED(status) ? "signal" : "status",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    fprintf(report,
            "seed %llu, scenario %s: invariant \"%s\" does not hold\n"
            "Replay: warren-sim --seed %llu --scenario %s%s%s\n",
            (unsigned long long)seed, s->name, outcome->invariant, (unsigned long long)seed,
            s->name, opt.plant ? " --plant " : "", opt.plant ? opt.plant : "");
}

static void limit_run(void)
{
    struct itimerval cpu = {.it_value.tv_sec = RUN_LIMIT_CPU_S};

    (void)setitimer(ITIMER_PROF, &cpu, NULL);
    alarm(RUN_LIMIT_S);
}

/* Whether all held; what happened is in *outcome. */
static bool run_forked(const struct sim_scenario *s, uint64_t seed, const char *plant)
{
    int status = 0;
    pid_t pid;

    memset(outcome, 0, sizeof(*outcome));
    if (opt.no_fork) {
        run_here(s, seed, plant);
        return true;
    }
    fflush(NULL);
    pid = fork();
    if (pid < 0) {
        perror("fork");
        exit(2);
    }
    if (pid == 0) {
        limit_run();
        run_here(s, seed, plant);
        exit(0); /* not _exit: the leak check of a sanitizer runs at exit */
    }
    if (waitpid(pid, &status, 0) < 0) {
        perror("waitpid");
        exit(2);
    }
    judge_status(s, seed, status);
    return outcome->invariant[0] == '\0';
}

static void print_run(const struct sim_scenario *s, uint64_t seed)
{
    printf("seed %llu %s: %u steps, %llu events, %.3f s virtual, hash %016llx\n",
           (unsigned long long)seed, s->name, outcome->steps, (unsigned long long)outcome->n_notes,
           (double)outcome->virtual_us / 1e6, (unsigned long long)outcome->hash);
}

static bool run_seed(const struct sim_scenario *s, uint64_t seed, uint64_t *hash)
{
    bool held = run_forked(s, seed, opt.plant);
    uint64_t before = outcome->hash;

    if (opt.first == opt.last)
        print_run(s, seed);
    *hash = (*hash ^ before) * 0x9fb21c651e98df25u;
    if (!held || !opt.twice)
        return held;
    held = run_forked(s, seed, opt.plant);
    if (held && outcome->hash == before)
        return true;
    fprintf(stderr, "seed %llu %s: a second run gives hash %016llx, the first gave %016llx\n",
            (unsigned long long)seed, s->name, (unsigned long long)outcome->hash,
            (unsigned long long)before);
    return false;
}

/* A scenario that takes long has its share of the seeds, unless it was asked for by name. */
static bool is_left_out(const struct sim_scenario *s, uint64_t seed)
{
    return s->every > 1 && !opt.scenario && opt.first != opt.last && seed % s->every != 0;
}

static int run_seeds(void)
{
    unsigned n = 0, n_failed = 0;

    for (const struct sim_scenario *s = sim_scenarios; s->name; s++) {
        uint64_t hash = 0;
        unsigned failed = 0;

        if (opt.scenario && strcmp(opt.scenario, s->name) != 0)
            continue;
        for (uint64_t seed = opt.first; seed <= opt.last; seed++, n++)
            if (!is_left_out(s, seed))
                failed += !run_seed(s, seed, &hash);
        if (opt.first != opt.last)
            printf("%s: seeds %llu..%llu, %u failed, hash of all %016llx\n", s->name,
                   (unsigned long long)opt.first, (unsigned long long)opt.last, failed,
                   (unsigned long long)hash);
        n_failed += failed;
    }
    return n_failed > 0 || n == 0;
}

static const struct sim_scenario *scenario_of(const char *name)
{
    for (const struct sim_scenario *s = sim_scenarios; s->name; s++)
        if (strcmp(s->name, name) == 0)
            return s;
    return NULL;
}

/* The one bug that no single run can show. */
static bool replay_is_broken(const struct sim_scenario *s, const struct sim_plant *p)
{
    bool held = run_forked(s, opt.first, p->name);
    uint64_t hash = outcome->hash;

    held = held && run_forked(s, opt.first, p->name);
    printf("%-24s %s\n", p->name,
           held && outcome->hash != hash ? "found by \"replay\"" : "NOT FOUND");
    return held && outcome->hash != hash;
}

/* Seeds until the bug shows; it has to show as the invariant that the table names. */
static bool plant_is_found(const struct sim_plant *p)
{
    const struct sim_scenario *s = scenario_of(p->scenario);

    if (strcmp(p->invariant, "replay") == 0)
        return replay_is_broken(s, p);
    for (uint64_t seed = opt.first; s && seed < opt.first + PLANT_SEEDS; seed++) {
        if (run_forked(s, seed, p->name))
            continue;
        if (strncmp(outcome->invariant, p->invariant, strlen(p->invariant)) == 0) {
            printf("%-24s found by \"%s\", seed %llu, step %u\n", p->name, outcome->invariant,
                   (unsigned long long)seed, outcome->steps);
            return true;
        }
        printf("%-24s seed %llu: \"%s\" failed and not \"%s\"\n", p->name, (unsigned long long)seed,
               outcome->invariant, p->invariant);
        return false;
    }
    printf("%-24s NOT FOUND in %d seeds (expected \"%s\")\n", p->name, PLANT_SEEDS, p->invariant);
    return false;
}

static int run_plants(void)
{
    unsigned n = 0, missed = 0;

    report = opt.verbose ? stderr : fopen("/dev/null", "w");
    if (!report)
        return 2;
    opt.verbose = false;
    for (const struct sim_plant *p = sim_plants; p->name; p++) {
        if (opt.scenario && strcmp(opt.scenario, p->scenario) != 0)
            continue;
        n++;
        missed += !plant_is_found(p);
    }
    printf("%u planted bugs, %u not found\n", n, missed);
    return missed > 0;
}

static int list(void)
{
    for (const struct sim_scenario *s = sim_scenarios; s->name; s++)
        printf("scenario %-8s %s\n", s->name, s->what);
    for (const struct sim_plant *p = sim_plants; p->name; p++)
        printf("plant    %-24s in %s, breaks \"%s\"\n", p->name, p->scenario, p->invariant);
    return 0;
}

static int usage(void)
{
    fputs("warren-sim [--seed N | --seeds A..B] [--scenario NAME] [--steps M] [--plant NAME]\n"
          "           [--twice] [--verbose] [--no-fork]   run; the same seed is the same run\n"
          "warren-sim --plants [--seed N] [--scenario NAME]  each planted bug has to be found\n"
          "warren-sim --list                              scenarios and planted bugs\n"
          "--twice runs each seed twice and compares the traces; --no-fork is for a debugger.\n",
          stderr);
    return 2;
}

static bool parse_range(const char *text)
{
    char *end;

    opt.first = opt.last = strtoull(text, &end, 0);
    if (end != text && end[0] == '.' && end[1] == '.')
        opt.last = strtoull(end + 2, &end, 0);
    return end != text && *end == '\0' && opt.first <= opt.last;
}

static bool plant_is_known(const char *name)
{
    for (const struct sim_plant *p = sim_plants; p->name; p++) {
        if (strcmp(p->name, name) != 0)
            continue;
        if (!opt.scenario)
            opt.scenario = p->scenario;
        return true;
    }
    return false;
}

static bool parse(int argc, char **argv, bool *ret_list)
{
    enum { SEED = 's', STEPS = 'n', SCENARIO = 'c', PLANT = 'p' };
    static const struct option longs[] = {
        {"seed", required_argument, NULL, SEED},
        {"seeds", required_argument, NULL, SEED},
        {"steps", required_argument, NULL, STEPS},
        {"scenario", required_argument, NULL, SCENARIO},
        {"plant", required_argument, NULL, PLANT},
        {"plants", no_argument, NULL, 'P'},
        {"verbose", no_argument, NULL, 'v'},
        {"no-fork", no_argument, NULL, 'f'},
        {"twice", no_argument, NULL, 't'},
        {"list", no_argument, NULL, 'l'},
        {0},
    };
    int c;

    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (c) {
        case SEED:
            if (!parse_range(optarg))
                return false;
            break;
        case STEPS:
            opt.steps = (uint32_t)strtoul(optarg, NULL, 0);
            break;
        case SCENARIO:
            opt.scenario = optarg;
            break;
        case PLANT:
            opt.plant = optarg;
            break;
        case 'P':
            opt.plants = true;
            break;
        case 'v':
            opt.verbose = true;
            break;
        case 'f':
            opt.no_fork = true;
            break;
        case 't':
            opt.twice = true;
            break;
        case 'l':
            *ret_list = true;
            break;
        default:
            return false;
        }
    }
    return optind == argc && (!opt.scenario || scenario_of(opt.scenario)) &&
           (!opt.plant || plant_is_known(opt.plant)) &&
           (!opt.no_fork || (opt.first == opt.last && opt.scenario && !opt.plants && !opt.twice));
}

int main(int argc, char **argv)
{
    bool wants_list = false;

    report = stderr;
    if (!parse(argc, argv, &wants_list))
        return usage();
    if (wants_list)
        return list();
    outcome =
        mmap(NULL, sizeof(*outcome), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (outcome == MAP_FAILED) {
        perror("mmap");
        return 2;
    }
    return opt.plants ? run_plants() : run_seeds();
}
