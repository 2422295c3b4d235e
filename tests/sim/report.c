/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/report.h"

#include "base/memory.h"
#include "ctl/grid.h"
#include "proto/text_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- Samples ---------------------------------------------------------------
 */

static void sample_add(struct sim_sample *sample, uint64_t value)
{
    sample->values = memory_realloc_array(sample->values, sample->count + 1,
                                          sizeof(*sample->values));
    sample->values[sample->count++] = value;
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;

    return left < right ? -1 : left > right;
}

static uint64_t sample_median(struct sim_sample *sample)
{
    if (sample->count == 0) {
        return 0;
    }
    qsort(sample->values, sample->count, sizeof(*sample->values), compare);
    return sample->values[sample->count / 2];
}

static uint64_t sample_worst(const struct sim_sample *sample)
{
    uint64_t worst = 0;

    for (size_t i = 0; i < sample->count; i++) {
        if (sample->values[i] > worst) {
            worst = sample->values[i];
        }
    }
    return worst;
}

/* --- Gathering -------------------------------------------------------------
 */

void sim_report_init(struct sim_report *report, const struct sim_fleet *fleet,
                     const char *path)
{
    *report = (struct sim_report){.fleet = fleet, .path = path};
}

void sim_report_close(struct sim_report *report)
{
    for (int i = 0; i < SIM_ZONES_MAX; i++) {
        struct sim_report_zone *zone = &report->zones[i];

        free(zone->start_order_us.values);
        free(zone->running_us.values);
        free(zone->unplaced.values);
        free(zone->waiting_zone.values);
        free(zone->waiting_host.values);
    }
}

static void add_loss(struct sim_report *report, const struct sim_world *world)
{
    struct sim_report_zone *zone = &report->zones[world->options.lost_zone];
    const struct sim_figures *figures = &world->figures;

    zone->losses++;
    zone->leader_there += figures->leader_lost;
    if (figures->start_order_us != 0) {
        sample_add(&zone->start_order_us, figures->start_order_us);
        sample_add(&zone->running_us, figures->running_us);
    }
    sample_add(&zone->unplaced, figures->after.unplaced);
    sample_add(&zone->waiting_zone, figures->after.waiting_zone);
    sample_add(&zone->waiting_host, figures->after.waiting_host);
}

void sim_report_add(struct sim_report *report, const struct sim_world *world)
{
    const struct sim_figures *figures = &world->figures;

    report->runs++;
    report->virtual_us += world->now_us;
    report->figures.operations += figures->operations;
    report->figures.unknown += figures->unknown;
    report->figures.starts += figures->starts;
    for (int i = 0; i < SIM_FAULT_COUNT; i++) {
        report->figures.faults[i] += figures->faults[i];
    }
    if (figures->before.unplaced >= report->before.unplaced) {
        report->before = figures->before;
    }
    if (world->violation[0] != '\0') {
        (void)snprintf(report->violation, sizeof(report->violation), "%s",
                       world->violation);
        report->violation_seed = world->options.seed;
    } else if (report->zone_loss) {
        add_loss(report, world);
    } else if (figures->after.unplaced > report->figures.after.unplaced) {
        report->figures.after = figures->after;
    }
}

uint64_t sim_report_unplaced(const struct sim_report *report)
{
    uint64_t worst = report->before.unplaced;

    for (int i = 0; i < SIM_ZONES_MAX; i++) {
        uint64_t here = sample_worst(&report->zones[i].unplaced);

        worst = here > worst ? here : worst;
    }
    return worst;
}

/* --- For people ------------------------------------------------------------
 */

static void seconds_cell(struct grid *grid, uint64_t us)
{
    if (us == 0) {
        grid_cell(grid, "");
    } else {
        grid_cell_format(grid, "%.2f s", (double)us / 1e6);
    }
}

static void count_cell(struct grid *grid, uint64_t count, enum colour colour)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%" PRIu64, count);
    grid_cell_colour(grid, count == 0 ? COLOUR_NONE : colour, text);
}

static void zone_row(struct sim_report *report, uint32_t at, struct grid *grid)
{
    struct sim_report_zone *zone = &report->zones[at];

    grid_cell(grid, report->fleet->manifest->zones[at]->name);
    count_cell(grid, zone->losses, COLOUR_NONE);
    count_cell(grid, zone->leader_there, COLOUR_NONE);
    seconds_cell(grid, sample_median(&zone->start_order_us));
    seconds_cell(grid, sample_worst(&zone->start_order_us));
    seconds_cell(grid, sample_median(&zone->running_us));
    seconds_cell(grid, sample_worst(&zone->running_us));
    count_cell(grid, sample_worst(&zone->unplaced), COLOUR_BAD);
    count_cell(grid, sample_worst(&zone->waiting_zone), COLOUR_WAIT);
    count_cell(grid, sample_worst(&zone->waiting_host), COLOUR_WAIT);
}

static void zones_table(struct sim_report *report, bool colours,
                        struct bytes *out)
{
    static const char *const headers[] = {
        "losses", "leader there", "ordered",    "worst",     "running",
        "worst",  "unplaced",     "zone-bound", "host-bound"};
    struct grid grid;

    grid_init(&grid);
    grid_column(&grid, "zone lost");
    for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++) {
        grid_column_right(&grid, headers[i]);
    }
    for (uint32_t i = 0; i < report->fleet->manifest->n_zones; i++) {
        zone_row(report, i, &grid);
    }
    grid_write(&grid, true, colours, out);
    grid_close(&grid);
    bytes_append_format(
        out,
        "\nordered: from the loss to the last order to start a VM elsewhere, "
        "median and worst;\nrunning: until all that found a host run. "
        "unplaced: VMs that found no host, at worst;\nzone-bound and "
        "host-bound wait for their zone, or for their host: it has their local "
        "disks, or\non_partition is keep.\n");
}

static void faults_table(const struct sim_report *report, bool colours,
                         struct bytes *out)
{
    struct grid grid;

    grid_init(&grid);
    grid_column(&grid, "fault");
    grid_column_right(&grid, "times");
    for (int i = 0; i < SIM_FAULT_COUNT; i++) {
        if (report->figures.faults[i] != 0) {
            grid_cell(&grid, sim_fault_names[i]);
            count_cell(&grid, report->figures.faults[i], COLOUR_NONE);
        }
    }
    grid_write(&grid, true, colours, out);
    grid_close(&grid);
}

static void verdict(const struct sim_report *report, struct bytes *out)
{
    uint64_t unplaced = sim_report_unplaced(report);

    if (report->violation[0] != '\0') {
        bytes_append_format(out,
                            "A RULE WAS BROKEN with seed %" PRIu64 ": %s\n",
                            report->violation_seed, report->violation);
    } else {
        bytes_append_format(out, "No rule was broken.\n");
    }
    if (report->before.unplaced != 0) {
        bytes_append_format(
            out,
            "%" PRIu32 " VMs find no host even when all is well: the fleet "
            "does not fit.\n",
            report->before.unplaced);
    } else if (report->zone_loss && unplaced != 0) {
        bytes_append_format(out,
                            "NOT every zone can be lost: up to %" PRIu64
                            " VMs would find no host.\n",
                            unplaced);
    } else if (report->zone_loss && report->violation[0] == '\0') {
        bytes_append_format(
            out, "Every zone can be lost: each VM that is not bound to it "
                 "runs again.\n");
    }
}

void sim_report_table(struct sim_report *report, bool colours,
                      struct bytes *out)
{
    const Holdfast__V1__Manifest *manifest = report->fleet->manifest;

    bytes_append_format(out,
                        "%zu zones, %zu hosts, %zu VMs of %s; %" PRIu64
                        " regions simulated, %.1f virtual hours\n\n",
                        manifest->n_zones, manifest->n_hosts, manifest->n_vms,
                        report->path, report->runs,
                        (double)report->virtual_us / 3.6e9);
    if (report->zone_loss) {
        zones_table(report, colours, out);
    } else {
        faults_table(report, colours, out);
        bytes_append_format(out,
                            "\n%" PRIu64 " calls of clients, %" PRIu64
                            " of unknown outcome; %" PRIu64 " starts of VMs\n",
                            report->figures.operations, report->figures.unknown,
                            report->figures.starts);
    }
    bytes_append_format(out, "\n");
    verdict(report, out);
}

/* --- For programs ----------------------------------------------------------
 */

static void json_string(struct bytes *out, const char *key, const char *value)
{
    bytes_append_format(out, "\"%s\": ", key);
    text_json_write_string(value, strlen(value), out);
}

static void json_sample(struct bytes *out, const char *key,
                        struct sim_sample *sample, uint64_t divisor)
{
    bytes_append_format(
        out, "\"%s\": {\"median\": %" PRIu64 ", \"worst\": %" PRIu64 "}", key,
        sample_median(sample) / divisor, sample_worst(sample) / divisor);
}

static void json_zone(struct sim_report *report, uint32_t at, struct bytes *out)
{
    struct sim_report_zone *zone = &report->zones[at];

    bytes_append_format(out, "%s\n    {", at == 0 ? "" : ",");
    json_string(out, "zone", report->fleet->manifest->zones[at]->name);
    bytes_append_format(
        out, ", \"losses\": %" PRIu32 ", \"leader_there\": %" PRIu32 ",\n     ",
        zone->losses, zone->leader_there);
    json_sample(out, "start_order_ms", &zone->start_order_us, 1000);
    bytes_append_format(out, ", ");
    json_sample(out, "all_running_ms", &zone->running_us, 1000);
    bytes_append_format(out, ",\n     ");
    json_sample(out, "unplaced", &zone->unplaced, 1);
    bytes_append_format(out, ", ");
    json_sample(out, "waiting_for_zone", &zone->waiting_zone, 1);
    bytes_append_format(out, ", ");
    json_sample(out, "waiting_for_host", &zone->waiting_host, 1);
    bytes_append_format(out, "}");
}

void sim_report_json(struct sim_report *report, struct bytes *out)
{
    const Holdfast__V1__Manifest *manifest = report->fleet->manifest;
    bool comma = false;

    bytes_append_format(out, "{\n  ");
    json_string(out, "file", report->path);
    bytes_append_format(
        out,
        ",\n  \"fleet\": {\"zones\": %zu, \"hosts\": %zu, \"vms\": %zu, "
        "\"unplaced_when_well\": %" PRIu32 "},\n"
        "  \"first_seed\": %" PRIu64 ", \"seeds\": %" PRIu64
        ", \"virtual_s\": %" PRIu64 ",\n  \"zone_losses\": [",
        manifest->n_zones, manifest->n_hosts, manifest->n_vms,
        report->before.unplaced, report->first, report->runs,
        report->virtual_us / SIM_SECOND);
    for (uint32_t i = 0; report->zone_loss && i < manifest->n_zones; i++) {
        json_zone(report, i, out);
    }
    bytes_append_format(out, "],\n  \"faults\": {");
    for (int i = 0; i < SIM_FAULT_COUNT; i++) {
        if (report->figures.faults[i] != 0) {
            bytes_append_format(out, "%s\"%s\": %" PRIu64, comma ? ", " : "",
                                sim_fault_names[i], report->figures.faults[i]);
            comma = true;
        }
    }
    bytes_append_format(out,
                        "},\n  \"calls\": %" PRIu64
                        ", \"unknown_outcomes\": %" PRIu64
                        ", \"starts\": %" PRIu64 ",\n  \"rules_broken\": %d, ",
                        report->figures.operations, report->figures.unknown,
                        report->figures.starts, report->violation[0] != '\0');
    json_string(out, "broken", report->violation);
    bytes_append_format(out, "\n}\n");
}
