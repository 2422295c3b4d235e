/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/fleet_run.h"

#include "tests/sim/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of a user who did not say: losses of each zone, or regions with faults. */
#define LOSSES_DEFAULT  5
#define REGIONS_DEFAULT 10

static void tell_again(const struct sim_fleet_run *run,
                       const struct sim_world *world)
{
    const struct sim_options *options = &run->options;

    (void)fprintf(stderr, "again: %s -f %s --first %" PRIu64 " --seeds 1",
                  run->program, run->path, world->options.seed);
    if (!options->only_zone_loss) {
        (void)fprintf(stderr, " --faults ");
        for (int i = 0, said = 0; i < SIM_FAULT_COUNT; i++) {
            if ((options->faults >> i & 1) != 0) {
                (void)fprintf(stderr, "%s%s", said++ == 0 ? "" : ",",
                              sim_fault_names[i]);
            }
        }
        if (options->faults == 0) {
            (void)fprintf(stderr, "all");
        }
    }
    (void)fprintf(stderr, " --verbose\n");
}

static void progress(const struct sim_fleet_run *run, uint64_t done,
                     uint64_t seeds)
{
    if (!run->options.verbose && isatty(STDERR_FILENO)) {
        (void)fprintf(
            stderr, done < seeds ? "\r%" PRIu64 " of %" PRIu64 " " : "\r\033[K",
            done, seeds);
    }
}

enum life {
    LIFE_GOOD,
    LIFE_BROKEN, /* A rule: nothing else counts. */
    LIFE_REFUSED /* The fleet, by the region that was to be built. */
};

static enum life judge(const struct sim_fleet_run *run,
                       const struct sim_world *world)
{
    static const char refused[] = SIM_SET_UP ": ";

    if (world->violation[0] == '\0') {
        return LIFE_GOOD;
    }
    progress(run, 1, 1);
    if (strncmp(world->violation, refused, sizeof(refused) - 1) == 0) {
        (void)fprintf(stderr,
                      "holdfast simulate: the region refuses the fleet: %s\n",
                      world->violation + sizeof(refused) - 1);
        return LIFE_REFUSED;
    }
    tell_again(run, world);
    return LIFE_BROKEN;
}

static enum life live(const struct sim_fleet_run *run, uint64_t seed,
                      struct sim_report *report)
{
    struct sim_options options = run->options;
    struct sim_world *world;
    enum life life;

    options.seed = seed;
    options.fleet = report->fleet;
    options.lost_zone = (uint32_t)(seed % report->fleet->manifest->n_zones);
    world = sim_world_create(&options);
    sim_world_run(world);
    sim_report_add(report, world);
    life = judge(run, world);
    sim_world_destroy(world);
    return life;
}

static void tell(const struct sim_fleet_run *run, struct sim_report *report)
{
    struct bytes out;

    bytes_init(&out);
    if (run->json) {
        sim_report_json(report, &out);
    } else {
        bool colours = isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL;

        sim_report_table(report, colours, &out);
    }
    (void)fwrite(out.data, 1, out.len, stdout);
    bytes_close(&out);
}

static int exit_code_of(enum life life, const struct sim_report *report)
{
    if (life == LIFE_BROKEN) {
        return FLEET_EXIT_BROKEN;
    }
    return sim_report_unplaced(report) != 0 ? FLEET_EXIT_UNPLACED : 0;
}

static int live_all(const struct sim_fleet_run *run,
                    const struct sim_fleet *fleet)
{
    uint64_t seeds = run->seeds;
    struct sim_report report;
    enum life life = LIFE_GOOD;
    int code = FLEET_EXIT_USAGE;

    sim_report_init(&report, fleet, run->title);
    report.first = run->first;
    report.zone_loss = run->options.only_zone_loss;
    if (seeds == 0) {
        seeds = report.zone_loss ? LOSSES_DEFAULT * fleet->manifest->n_zones
                                 : REGIONS_DEFAULT;
    }
    for (uint64_t i = 0; i < seeds && life == LIFE_GOOD; i++) {
        progress(run, i, seeds);
        life = live(run, run->first + i, &report);
    }
    progress(run, seeds, seeds);
    if (life != LIFE_REFUSED) {
        tell(run, &report);
        code = exit_code_of(life, &report);
    }
    sim_report_close(&report);
    return code;
}

int sim_fleet_run(const struct sim_fleet_run *run)
{
    struct sim_fleet fleet;
    int code = FLEET_EXIT_USAGE;

    if (sim_fleet_read(&fleet, run->path)) {
        if (fleet.manifest->n_groups > 0) {
            (void)fprintf(stderr,
                          "holdfast simulate: the rules of groups are not "
                          "simulated: members run wherever there is room\n");
        }
        code = live_all(run, &fleet);
    } else {
        (void)fprintf(stderr, "holdfast simulate: %s\n", fleet.error);
    }
    sim_fleet_close(&fleet);
    return code;
}
