/* SPDX-License-Identifier: Apache-2.0
 *
 * Real traces: how many hosts an arrival trace needs, and how many requests
 * with topology wishes a real fleet takes, by our placer and by simple
 * policies. */
#include "traces.h"
#include "base/container.h"
#include "options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PATHS_MAX     32
#define COMMAND_BYTES 4352

static const char help[] =
    "traces - real traces through the placer, beside simple policies\n"
    "\n"
    "usage: traces [--azure FILE] [--topology FILE]... [--host-cpus N]\n"
    "              [--host-gib N] [--json FILE] [--smoke]\n"
    "\n"
    "  --azure FILE     arrivals: vm_id, batch_id, arrival_s, vcpu, mem_mib,\n"
    "                   life_lo_s, life_hi_s, censored\n"
    "  --topology FILE  one of: hosts (host_id, numa0_vcpu, numa0_mem_gib,\n"
    "                   numa1_vcpu, numa1_mem_gib), racks (host_id, rack_id),\n"
    "                   a sequence of requests (vm_id, vcpu, mem_gib,\n"
    "                   numa_nodes, strategy, group, domain)\n"
    "  --host-cpus N    of the arrivals' equal hosts, default 64\n"
    "  --host-gib N     default 192\n"
    "  --json FILE      the figures for programs\n"
    "  --smoke          the samples in tests/bench/data, no goals\n"
    "\n"
    "Files are CSV with these first lines, plain or .xz (read through the xz\n"
    "program, Debian: xz-utils). Arrivals: a VM lives to the middle of its\n"
    "bin, or on; the fewest hosts with which a policy refuses none, against\n"
    "the peak of CPU or memory. Topology: traces_topology.c says how wishes\n"
    "become rules; each sequence on an empty copy of the hosts (requests\n"
    "served count), then all one after the other, more than fit (served CPUs\n"
    "count: who refuses large VMs serves more requests).\n"
    "\n"
    "Exit: 0 goals met, 1 could not read, 2 usage, 3 a goal was missed.\n";

const char *const policy_names[POLICY_COUNT] = {"holdfast", "first-fit",
                                                "best-fit", "least-allocated"};

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text);

    return len >= strlen(end) && strcmp(text + len - strlen(end), end) == 0;
}

FILE *trace_open(const char *path)
{
    char command[COMMAND_BYTES];
    FILE *file = NULL;

    if (!ends_with(path, ".xz")) {
        file = fopen(path, "re");
    } else if (strchr(path, '\'') != NULL || strlen(path) > 4096) {
        errno = EINVAL; /* It would have to be quoted for the shell. */
    } else {
        snprintf(command, sizeof(command), "exec xz -dc -- '%s'", path);
        file = popen(command, "re");
    }
    if (file == NULL) {
        perror(path);
    }
    return file;
}

bool trace_close(FILE *file, const char *path)
{
    bool ok = !ferror(file);

    if (ends_with(path, ".xz")) {
        /* A reader that stops early ends xz by SIGPIPE. */
        ok = (pclose(file) == 0) && ok;
    } else {
        fclose(file);
    }
    if (!ok) {
        fprintf(stderr, "%s: could not be read\n", path);
    }
    return ok;
}

struct options {
    struct azure_options azure;
    const char *paths[PATHS_MAX];
    uint32_t path_count;
    const char *json;
    bool smoke;
};

static int parse(struct options *options, int argc, char **argv)
{
    const struct bench_option known[] = {
        {.name = "azure", .text = &options->azure.path},
        {.name = "topology",
         .text = options->paths,
         .count = &options->path_count,
         .most = PATHS_MAX},
        {.name = "host-cpus",
         .number = &options->azure.host_cpus,
         .most = 4096},
        {.name = "host-gib", .number = &options->azure.host_gib, .most = 65536},
        {.name = "json", .text = &options->json},
        {.name = "smoke", .flag = &options->smoke}};
    int code = bench_options(known, ARRAY_LEN(known), help, argc, argv);

    if (code < 0 && !options->smoke && options->azure.path == NULL &&
        options->path_count == 0) {
        fputs("neither --azure nor --topology; --help says more\n", stderr);
        return 2;
    }
    return code;
}

static void take_samples(struct options *options)
{
    options->azure =
        (struct azure_options){TRACES_DATA "/azure_sample.csv", 48, 128};
    options->paths[0] = TRACES_DATA "/topology_hosts.csv";
    options->paths[1] = TRACES_DATA "/topology_racks.csv";
    options->paths[2] = TRACES_DATA "/topology_sample.csv";
    options->path_count = 3;
}

int main(int argc, char **argv)
{
    struct options options = {.azure = {NULL, 64, 192}};
    int code = parse(&options, argc, argv);
    FILE *json = NULL;
    int azure = 0;
    int topology = 0;

    if (code >= 0) {
        return code;
    }
    if (options.smoke) {
        take_samples(&options);
    }
    if (options.json != NULL && (json = fopen(options.json, "we")) == NULL) {
        perror(options.json);
        return 1;
    }
    if (json != NULL) {
        fputs("{\"bench\":\"traces\"", json);
    }
    if (options.azure.path != NULL) {
        if (json != NULL) {
            fputs(",", json);
        }
        azure = azure_replay(&options.azure, json);
    }
    if (options.path_count > 0 && azure != 1) {
        if (json != NULL) {
            fputs(",", json);
        }
        topology = topology_replay(options.paths, options.path_count, json);
    }
    if (json != NULL) {
        fprintf(json, ",\"goals_met\":%s}\n",
                azure == 0 && topology == 0 ? "true" : "false");
        fclose(json);
    }
    if (azure == 1 || topology == 1) {
        return 1;
    }
    return (azure == 0 && topology == 0) || options.smoke ? 0 : 3;
}
