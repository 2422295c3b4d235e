/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs worlds, one seed after the other; the first broken rule ends it with the
 * last events as a story and the command that tells it again. */
#include "base/log.h"
#include "base/memory.h"
#include "tests/sim/fleet_run.h"
#include "tests/sim/shrink.h"
#include "tests/sim/world.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct run {
    struct sim_options options;
    uint64_t first;
    uint64_t seeds;
    bool replay; /* Each seed twice: it must be the same story. */
    bool shrink; /* Look for a shorter story of what breaks. */
    bool *keep;  /* See sim_options. */
    size_t keep_count;
    const char *program;
    const char *commit; /* For the story. */
    const char *fleet;  /* A manifest's path, or NULL. */
    const char *title;  /* What the report calls it; NULL: its path. */
    bool faults_chosen;
    bool json;
    FILE *history; /* Of what clients were told, if wanted. */
};

struct totals {
    struct sim_figures figures;
    uint64_t *orders_us;  /* Of each zone loss: the last start order; */
    uint64_t *running_us; /* and when all ran. */
    size_t losses;
    uint64_t virtual_us;
    uint64_t hash;
};

static void usage(FILE *out)
{
    (void)fprintf(
        out,
        "usage: holdfast-simulate -f FLEET [--seeds N] [--first S] "
        "[--faults all|NAME,...] [--delay-ms D]\n"
        "                         [-o table|json] [--verbose]\n\n"
        "Lives through your fleet in virtual time, on the real control plane's "
        "and agent's decisions, and says\nhow fast and how completely it "
        "comes back. FLEET is a manifest as `holdfast export` writes it; - is\n"
        "standard input. Without --faults each zone in turn loses its power "
        "while all is well; with it faults\nhappen at random for two minutes, "
        "then all is healed. Every rule of safety is checked at every step.\n\n"
        "  -f, --file FLEET   the manifest\n"
        "      --seeds N      regions to live through; default 5 losses of "
        "each zone, or 10 with --faults\n"
        "      --first S      seed of the first; a seed always tells the same "
        "story. Default 1\n"
        "      --faults F     all, or names that `--faults help` tells\n"
        "      --delay-ms D   longest way between zones, one direction. "
        "Default 2\n"
        "  -o table|json      form of the report. Default table\n"
        "      --title TEXT   what the report calls the fleet. Default: FLEET\n"
        "      --verbose      the whole story, event by event, on standard "
        "error\n\n"
        "Exits with 0: no rule was broken and every VM found a host, 1: a rule "
        "was broken, 2: the command or the\nfleet is wrong, 6: VMs would find "
        "no host.\n\n"
        "Without -f, for those who work on Holdfast, a small region:\n"
        "  [--zones N] [--hosts N] [--vms N] [--variety plain|rich] "
        "[--replay] [--zone-loss "
        "leader|other] [--shrink] [--keep N,N,...]\n"
        "  [--history FILE] [--commit NAME]\n"
        "With --replay each seed is lived through twice and must give the "
        "same trace; with --zone-loss one zone\nloses power while all is "
        "well; with --shrink a run that breaks a rule is repeated with ever "
        "fewer\nfaults that still break it; --keep lets only those happen; "
        "--history writes what one region's clients\nwere told, as JSON "
        "lines.\n");
}

static uint64_t number(const char *text)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);

    if (*text == '\0' || *end != '\0') {
        (void)fprintf(stderr, "'%s' is not a number\n", text);
        exit(2);
    }
    return value;
}

static void keep_faults(struct run *run, char *list)
{
    char *rest = list;
    const char *word;

    while ((word = strsep(&rest, ",")) != NULL) {
        size_t fault = number(word);
        size_t count = fault < run->keep_count ? run->keep_count : fault + 1;

        run->keep = memory_realloc_array(run->keep, count, sizeof(*run->keep));
        memset(run->keep + run->keep_count, 0, count - run->keep_count);
        run->keep_count = count;
        run->keep[fault] = true;
    }
    run->options.keep = run->keep;
    run->options.keep_count = run->keep_count;
}

static void list_faults(void)
{
    for (int i = 0; i < SIM_FAULT_COUNT; i++) {
        printf("%-14s %s\n", sim_fault_names[i], sim_fault_words[i]);
    }
}

static void choose_faults(struct run *run, char *list)
{
    char *rest = list;
    const char *word;

    run->faults_chosen = true;
    while ((word = strsep(&rest, ",")) != NULL) {
        int fault = 0;

        if (strcmp(word, "help") == 0) {
            list_faults();
            exit(0);
        }
        while (fault < SIM_FAULT_COUNT &&
               strcmp(word, sim_fault_names[fault]) != 0) {
            fault++;
        }
        if (fault < SIM_FAULT_COUNT) {
            run->options.faults |= 1u << fault;
        } else if (strcmp(word, "all") == 0) {
            run->options.faults |= (1u << SIM_FAULT_COUNT) - 1;
        } else {
            (void)fprintf(stderr,
                          "--faults: there is no fault '%s'; --help "
                          "tells them\n",
                          word);
            exit(2);
        }
    }
}

static void choose_output(struct run *run, const char *form)
{
    run->json = strcmp(form, "json") == 0;
    if (!run->json && strcmp(form, "table") != 0) {
        (void)fprintf(stderr, "-o: '%s' is neither table nor json\n", form);
        exit(2);
    }
}

static void open_history(struct run *run, const char *path)
{
    run->history = fopen(path, "we");
    if (run->history == NULL) {
        (void)fprintf(stderr, "%s: cannot be written: %m\n", path);
        exit(2);
    }
}

static const struct option long_options[] = {
    {"seeds", required_argument, NULL, 'n'},
    {"first", required_argument, NULL, 's'},
    {"zones", required_argument, NULL, 'z'},
    {"hosts", required_argument, NULL, 'h'},
    {"vms", required_argument, NULL, 'v'},
    {"variety", required_argument, NULL, 'y'},
    {"zone-loss", required_argument, NULL, 'l'},
    {"replay", no_argument, NULL, 'r'},
    {"commit", required_argument, NULL, 'c'},
    {"shrink", no_argument, NULL, 'k'},
    {"keep", required_argument, NULL, 'K'},
    {"faults", required_argument, NULL, 'F'},
    {"file", required_argument, NULL, 'f'},
    {"title", required_argument, NULL, 't'},
    {"output", required_argument, NULL, 'o'},
    {"delay-ms", required_argument, NULL, 'd'},
    {"help", no_argument, NULL, 'u'},
    {"history", required_argument, NULL, 'H'},
    {"verbose", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

static void choose_variety(struct run *run, const char *name)
{
    run->options.variety = strcmp(name, "plain") == 0  ? SIM_PLAIN
                           : strcmp(name, "rich") == 0 ? SIM_RICH
                                                       : SIM_BY_SEED;
    if (run->options.variety == SIM_BY_SEED && strcmp(name, "by-seed") != 0) {
        (void)fprintf(
            stderr, "--variety: '%s' is none of plain, rich, by-seed\n", name);
        exit(2);
    }
}

/* False: it is one of the others. */
static bool take_small_region(struct run *run, int option)
{
    switch (option) {
    case 'z':
        run->options.zones = (uint32_t)number(optarg);
        break;
    case 'h':
        run->options.hosts_in_zone = (uint32_t)number(optarg);
        break;
    case 'v':
        run->options.vms = (uint32_t)number(optarg);
        break;
    case 'y':
        choose_variety(run, optarg);
        break;
    case 'l':
        run->options.only_zone_loss = true;
        run->options.leaders_zone = strcmp(optarg, "leader") == 0;
        break;
    case 'r':
        run->replay = true;
        break;
    case 'c':
        run->commit = optarg;
        break;
    case 'k':
        run->shrink = true;
        break;
    case 'K':
        keep_faults(run, optarg);
        break;
    case 'H':
        open_history(run, optarg);
        break;
    default:
        return false;
    }
    return true;
}

static void take(struct run *run, int option)
{
    switch (option) {
    case 'n':
        run->seeds = number(optarg);
        break;
    case 's':
        run->first = number(optarg);
        break;
    case 'F':
        choose_faults(run, optarg);
        break;
    case 'f':
        run->fleet = optarg;
        break;
    case 't':
        run->title = optarg;
        break;
    case 'o':
        choose_output(run, optarg);
        break;
    case 'd':
        run->options.delay_us = number(optarg) * SIM_MS;
        break;
    case 'V':
        run->options.verbose = true;
        break;
    case 'u':
        usage(stdout);
        exit(0);
    default:
        usage(stderr);
        exit(2);
    }
}

static void parse(struct run *run, int argc, char **argv)
{
    int option;

    while ((option = getopt_long(argc, argv, "f:o:", long_options, NULL)) !=
           -1) {
        if (!take_small_region(run, option)) {
            take(run, option);
        }
    }
}

static void add(struct totals *totals, const struct sim_world *world)
{
    totals->virtual_us += world->now_us;
    totals->hash ^= world->trace_hash;
    totals->figures.events += world->figures.events;
    totals->figures.operations += world->figures.operations;
    totals->figures.unknown += world->figures.unknown;
    totals->figures.starts += world->figures.starts;
    totals->figures.kills += world->figures.kills;
    totals->figures.foreseen += world->figures.foreseen;
    totals->figures.plans += world->figures.plans;
    totals->figures.plans_applied += world->figures.plans_applied;
    totals->figures.rebuilt += world->figures.rebuilt;
    totals->figures.recorded += world->figures.recorded;
    totals->figures.undecided += world->figures.undecided;
    for (int i = 0; i < SIM_FAULT_COUNT; i++) {
        totals->figures.faults[i] += world->figures.faults[i];
    }
}

/* Losses of a zone in which nothing ran say nothing. */
static void add_loss(struct totals *totals, const struct sim_world *world)
{
    size_t count = totals->losses + 1;

    if (world->figures.start_order_us == 0) {
        return;
    }
    totals->orders_us =
        memory_realloc_array(totals->orders_us, count, sizeof(uint64_t));
    totals->running_us =
        memory_realloc_array(totals->running_us, count, sizeof(uint64_t));
    totals->orders_us[totals->losses] = world->figures.start_order_us;
    totals->running_us[totals->losses] = world->figures.running_us;
    totals->losses = count;
}

static int compare_times(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;

    return left < right ? -1 : left > right;
}

static double seconds_at(const uint64_t *times_us, size_t at)
{
    return (double)times_us[at] / 1e6;
}

static void tell_times(const char *what, uint64_t *times_us, size_t count)
{
    size_t middle = count / 2;
    size_t late = count * 99 / 100;

    qsort(times_us, count, sizeof(*times_us), compare_times);
    printf("%-18s min %.2f s, median %.2f s, p99 %.2f s, max %.2f s\n", what,
           seconds_at(times_us, 0), seconds_at(times_us, middle),
           seconds_at(times_us, late), seconds_at(times_us, count - 1));
}

static void tell_again(const struct run *run, const struct sim_options *options)
{
    printf("again: %s --first %" PRIu64 " --seeds 1 --zones %" PRIu32
           " --hosts %" PRIu32 " --vms %" PRIu32 "%s",
           run->program, options->seed, options->zones, options->hosts_in_zone,
           options->vms,
           options->variety == SIM_RICH    ? " --variety rich"
           : options->variety == SIM_PLAIN ? " --variety plain"
                                           : "");
    for (size_t i = 0, said = 0; i < options->keep_count; i++) {
        if (options->keep[i]) {
            printf("%s%zu", said == 0 ? " --keep " : ",", i);
            said++;
        }
    }
    printf(" --verbose\n");
}

static void tell(const struct run *run, const struct sim_world *world)
{
    uint64_t first = world->trace_count > SIM_TRACE_LINES
                         ? world->trace_count - SIM_TRACE_LINES
                         : 0;

    for (uint64_t i = first; i < world->trace_count; i++) {
        printf("%s\n", world->trace[i % SIM_TRACE_LINES]);
    }
    printf("\nseed %" PRIu64 " at %s breaks the rule %s\n", world->options.seed,
           run->commit, world->violation);
    tell_again(run, &world->options);
}

static void shrink(const struct run *run, const struct sim_world *world)
{
    struct sim_options options = world->options;
    bool *keep = memory_alloc_array(world->fault_count + 1, sizeof(*keep));
    size_t left =
        sim_shrink(&options, world->violation, keep, world->fault_count);

    printf("\n%zu of %zu faults are enough:\n", left, world->fault_count);
    options.keep = keep;
    options.keep_count = world->fault_count;
    tell_again(run, &options);
    free(keep);
}

static void summary(const struct run *run, const struct totals *totals,
                    double seconds)
{
    uint64_t faults = 0;

    for (int i = 0; i < SIM_FAULT_COUNT; i++) {
        faults += totals->figures.faults[i];
        printf("%s%s %" PRIu64, i == 0 ? "" : ", ", sim_fault_names[i],
               totals->figures.faults[i]);
    }
    printf("\n%" PRIu64 " seeds, %.2f virtual hours, %.0f virtual s/s, %" PRIu64
           " faults, %" PRIu64 " operations, %" PRIu64 " unknown, %" PRIu64
           " in histories (%" PRIu64 " VMs undecided), %" PRIu64
           " starts, %" PRIu64 " kills by lease, %" PRIu64 " plans (%" PRIu64
           " applied), %" PRIu64
           " changes of nodes, 0 violations, trace %016" PRIx64 "\n",
           run->seeds, (double)totals->virtual_us / 3.6e9,
           (double)totals->virtual_us / 1e6 / seconds, faults,
           totals->figures.operations, totals->figures.unknown,
           totals->figures.recorded, totals->figures.undecided,
           totals->figures.starts, totals->figures.kills, totals->figures.plans,
           totals->figures.plans_applied, totals->figures.rebuilt,
           totals->hash);
}

static double now_s(void)
{
    struct timespec time;

    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static uint64_t trace_of(const struct sim_options *options)
{
    struct sim_world *world = sim_world_create(options);
    uint64_t hash;

    sim_world_run(world);
    hash = world->trace_hash;
    sim_world_destroy(world);
    return hash;
}

static void write_history(const struct run *run, const struct sim_world *world)
{
    struct bytes text;

    bytes_init(&text);
    for (size_t i = 0; i < world->history.count; i++) {
        history_write(world->history.operations[i], &text);
    }
    if (text.len > 0 &&
        fwrite(text.data, 1, text.len, run->history) != text.len) {
        (void)fprintf(stderr, "the history cannot be written: %m\n");
        exit(2);
    }
    bytes_close(&text);
}

/* False when a rule was broken, or it was another story the second time. */
static bool live(struct run *run, uint64_t seed, struct totals *totals)
{
    struct sim_world *world;
    bool good;

    run->options.seed = seed;
    world = sim_world_create(&run->options);
    sim_world_run(world);
    add(totals, world);
    add_loss(totals, world);
    if (run->history != NULL) {
        write_history(run, world);
    }
    good = world->violation[0] == '\0';
    if (!good) {
        tell(run, world);
        if (run->shrink) {
            shrink(run, world);
        }
    } else if (run->replay && trace_of(&run->options) != world->trace_hash) {
        printf("seed %" PRIu64 " gives another trace the second time\n", seed);
        good = false;
    }
    sim_world_destroy(world);
    return good;
}

static void check(const struct run *run, int argc, char **argv)
{
    if (optind < argc) {
        (void)fprintf(stderr, "'%s' is not understood; --help tells more\n",
                      argv[optind]);
        exit(2);
    }
    if (run->history != NULL && run->seeds > 1) {
        (void)fprintf(stderr, "--history: of one region, so --seeds 1\n");
        exit(2);
    }
    if (run->options.delay_us < 4 || run->options.delay_us > 10 * SIM_SECOND) {
        (void)fprintf(stderr, "--delay-ms: must be 1 to 10000\n");
        exit(2);
    }
}

static const char *title_of(const struct run *run)
{
    if (run->title != NULL) {
        return run->title;
    }
    return strcmp(run->fleet, "-") == 0 ? "standard input" : run->fleet;
}

static int run_fleet(const struct run *run)
{
    struct sim_fleet_run fleet = {
        .path = run->fleet,
        .title = title_of(run),
        .program = "holdfast simulate",
        .options = run->options,
        .first = run->first,
        .seeds = run->seeds,
        .json = run->json,
    };

    fleet.options.only_zone_loss = !run->faults_chosen;
    return sim_fleet_run(&fleet);
}

int main(int argc, char **argv)
{
    struct run run = {.options = sim_options_default(1),
                      .first = 1,
                      .program = argv[0],
                      .commit = "the present commit"};
    struct totals totals = {0};
    double begin_s = now_s();

    parse(&run, argc, argv);
    check(&run, argc, argv);
    log_set_level(LOG_OFF);
    if (run.fleet != NULL) {
        return run_fleet(&run);
    }
    run.seeds = run.seeds == 0 ? 1 : run.seeds;
    for (uint64_t seed = run.first; seed < run.first + run.seeds; seed++) {
        if (!live(&run, seed, &totals)) {
            return 1;
        }
    }
    if (totals.losses > 0) {
        printf("%zu losses of a zone with VMs in it, %" PRIu64
               " of them as planned before\n",
               totals.losses, totals.figures.foreseen);
        tell_times("last start order", totals.orders_us, totals.losses);
        tell_times("all run", totals.running_us, totals.losses);
    }
    if (run.history != NULL && fclose(run.history) != 0) {
        (void)fprintf(stderr, "the history cannot be written: %m\n");
        return 2;
    }
    free(run.keep);
    free(totals.orders_us);
    free(totals.running_us);
    summary(&run, &totals, now_s() - begin_s);
    return 0;
}
