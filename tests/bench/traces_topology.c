/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests with topology wishes on the free amounts of a real fleet. How the
 * wishes become rules:
 *
 * - Racks are dealt out over three zones, so that a zone is a set of racks.
 * - fault_domain, group g, domain d: VMs of other domains of the group may not
 *   share a rack. They are pinned to zone (g + d) mod 3: one zone a domain.
 * - affinity, group g: a group with zone rule TOGETHER, strict. (Most groups
 *   are larger than a host.)
 * - anti-affinity, group g: a group with at most one member a host, strict.
 *
 * Hosts have two NUMA nodes in the data; their amounts are added, for no policy
 * here knows NUMA. All policies get the same rules and must keep them: what
 * differs is which host they choose. */
#include "base/memory.h"
#include "traces.h"

#include <stdlib.h>
#include <string.h>

#define HOSTS_MOST     100000
#define REQUESTS_MOST  1000000
#define GROUPS_MOST    100000
#define SEQUENCES_MOST 16
#define ZONES          3
#define LINE_BYTES     256
#define NOWHERE        UINT32_MAX

enum strategy { FREE, FAULT_DOMAIN, AFFINITY, ANTI_AFFINITY };

struct request {
    struct trace_vm vm;
    uint32_t domain;
    uint32_t host; /* Where it was placed. */
    enum strategy strategy;
};

struct sequence {
    const char *path;
    struct request *requests;
    uint32_t count;
};

struct topology {
    struct trace_host *hosts;
    uint32_t host_count;
    uint32_t *racks; /* By host of the file of racks. */
    uint32_t rack_count;
    struct sequence sequences[SEQUENCES_MOST];
    uint32_t sequence_count;
};

/* --- Reading ------------------------------------------------------------- */

static bool add_host(struct topology *topology, const char *line)
{
    unsigned cpus[2];
    unsigned gib[2];

    if (topology->host_count == HOSTS_MOST ||
        sscanf(line, "%*[^,],%u,%u,%u,%u", &cpus[0], &gib[0], &cpus[1],
               &gib[1]) != 4 ||
        cpus[0] > 4096 || cpus[1] > 4096 || gib[0] > 65536 || gib[1] > 65536) {
        return false;
    }
    topology->hosts = memory_realloc_array(
        topology->hosts, topology->host_count + 1, sizeof(*topology->hosts));
    topology->hosts[topology->host_count++] = (struct trace_host){
        (cpus[0] + cpus[1]) * 1000, (gib[0] + gib[1]) * 1024, 0, 0};
    return true;
}

static bool add_rack(struct topology *topology, const char *line)
{
    unsigned rack;

    if (topology->rack_count == HOSTS_MOST ||
        sscanf(line, "%*[^,],%u", &rack) != 1) {
        return false;
    }
    topology->racks = memory_realloc_array(
        topology->racks, topology->rack_count + 1, sizeof(*topology->racks));
    topology->racks[topology->rack_count++] = rack;
    return true;
}

static enum strategy strategy_of(const char *name)
{
    if (strcmp(name, "fault_domain") == 0) {
        return FAULT_DOMAIN;
    }
    if (strcmp(name, "affinity") == 0) {
        return AFFINITY;
    }
    return strcmp(name, "anti-affinity") == 0 ? ANTI_AFFINITY : FREE;
}

/* The next field of the line; the rest is where `*at` points then. */
static const char *field(char **at)
{
    char *begin = *at;
    size_t len = strcspn(begin, ",\r\n");

    *at = begin + len + (begin[len] != '\0' ? 1 : 0);
    begin[len] = '\0';
    return begin;
}

static bool add_request(struct topology *topology, char *line)
{
    struct sequence *sequence =
        &topology->sequences[topology->sequence_count - 1];
    struct request request = {.host = NOWHERE};
    unsigned long numbers[5];
    char *at = line;

    if (sequence->count == REQUESTS_MOST) {
        return false;
    }
    field(&at);
    for (int i = 0; i < 3; i++) {
        numbers[i] = strtoul(field(&at), NULL, 10);
    }
    request.strategy = strategy_of(field(&at));
    numbers[3] = strtoul(field(&at), NULL, 10);
    numbers[4] = strtoul(field(&at), NULL, 10);
    if (numbers[0] == 0 || numbers[0] > 4096 || numbers[1] == 0 ||
        numbers[1] > 65536 || numbers[3] >= GROUPS_MOST / 4) {
        return false;
    }
    request.vm =
        (struct trace_vm){(uint32_t)numbers[0] * 1000,
                          (uint32_t)numbers[1] * 1024, NOWHERE, NOWHERE};
    request.domain = (uint32_t)numbers[4];
    if (request.strategy == FAULT_DOMAIN) {
        request.vm.zone = (uint32_t)(numbers[3] + numbers[4]) % ZONES;
    }
    if (request.strategy != FREE) {
        /* Groups are numbered anew by each strategy. */
        request.vm.group =
            (uint32_t)numbers[3] * 4 + (uint32_t)request.strategy;
    }
    sequence->requests = memory_realloc_array(
        sequence->requests, sequence->count + 1, sizeof(request));
    sequence->requests[sequence->count++] = request;
    return true;
}

enum kind { KIND_HOSTS, KIND_RACKS, KIND_SEQUENCE, KIND_OTHER };

static enum kind kind_of(const char *line)
{
    if (strncmp(line, "host_id,numa0_vcpu,", 19) == 0) {
        return KIND_HOSTS;
    }
    if (strncmp(line, "host_id,rack_id", 15) == 0) {
        return KIND_RACKS;
    }
    return strncmp(line, "vm_id,vcpu,mem_gib,numa_nodes,strategy,", 39) == 0
               ? KIND_SEQUENCE
               : KIND_OTHER;
}

static bool add_line(struct topology *topology, enum kind kind, char *line)
{
    switch (kind) {
    case KIND_HOSTS:
        return add_host(topology, line);
    case KIND_RACKS:
        return add_rack(topology, line);
    default:
        return add_request(topology, line);
    }
}

static bool read_file(struct topology *topology, const char *path)
{
    FILE *file = trace_open(path);
    char line[LINE_BYTES];
    enum kind kind = KIND_OTHER;
    uint32_t number = 1;
    bool ok = file != NULL;

    if (!ok) {
        return false;
    }
    if (fgets(line, sizeof(line), file) != NULL) {
        kind = kind_of(line);
    }
    if (kind == KIND_SEQUENCE && topology->sequence_count < SEQUENCES_MOST) {
        topology->sequences[topology->sequence_count++].path = path;
    } else if (kind == KIND_OTHER || kind == KIND_SEQUENCE) {
        ok = false;
    }
    while (ok && fgets(line, sizeof(line), file) != NULL) {
        number++;
        ok = add_line(topology, kind, line);
    }
    if (!ok) {
        fprintf(stderr, "%s: line %u: not understood\n", path, number);
    }
    return trace_close(file, path) && ok;
}

/* Hosts of the first file are in the racks of the first hosts of the second. */
static bool join(struct topology *topology)
{
    if (topology->host_count == 0 || topology->sequence_count == 0) {
        fputs("--topology: hosts and a sequence are needed\n", stderr);
        return false;
    }
    for (uint32_t i = 0; i < topology->host_count; i++) {
        uint32_t rack = i < topology->rack_count ? topology->racks[i] : i / 16;

        topology->hosts[i].rack = rack;
        topology->hosts[i].zone = rack % ZONES;
    }
    return true;
}

/* --- Policies ------------------------------------------------------------ */

struct simple {
    enum policy_kind policy;
    const struct topology *topology;
    uint32_t *cpu;
    uint32_t *memory;
    const struct request *placed; /* Earlier ones of all, for rules. */
    uint32_t placed_count;
};

/* Zone where an affinity group is; NOWHERE: nowhere yet. */
static uint32_t zone_of_group(const struct simple *simple, uint32_t group)
{
    for (uint32_t i = 0; i < simple->placed_count; i++) {
        if (simple->placed[i].vm.group == group &&
            simple->placed[i].host != NOWHERE) {
            return simple->topology->hosts[simple->placed[i].host].zone;
        }
    }
    return NOWHERE;
}

static bool is_used_by_group(const struct simple *simple, uint32_t group,
                             uint32_t host)
{
    for (uint32_t i = 0; i < simple->placed_count; i++) {
        if (simple->placed[i].vm.group == group &&
            simple->placed[i].host == host) {
            return true;
        }
    }
    return false;
}

static uint64_t left_on(const struct simple *simple, uint32_t host,
                        const struct trace_vm *vm)
{
    const struct trace_host *whole = &simple->topology->hosts[host];

    return (uint64_t)(simple->cpu[host] - vm->cpu_milli) * 1000000 /
               (whole->cpu_milli + 1) +
           (uint64_t)(simple->memory[host] - vm->memory_mib) * 1000000 /
               (whole->memory_mib + 1);
}

static uint32_t simple_choose(const struct simple *simple,
                              const struct request *request)
{
    const struct trace_vm *vm = &request->vm;
    uint32_t zone = vm->zone;
    uint32_t best = NOWHERE;
    uint64_t best_left = 0;

    if (request->strategy == AFFINITY) {
        zone = zone_of_group(simple, vm->group);
    }
    for (uint32_t i = 0; i < simple->topology->host_count; i++) {
        uint64_t left;

        if (simple->cpu[i] < vm->cpu_milli ||
            simple->memory[i] < vm->memory_mib ||
            (zone != NOWHERE && simple->topology->hosts[i].zone != zone) ||
            (request->strategy == ANTI_AFFINITY &&
             is_used_by_group(simple, vm->group, i))) {
            continue;
        }
        if (simple->policy == POLICY_FIRST_FIT) {
            return i;
        }
        left = left_on(simple, i, vm);
        if (best == NOWHERE ||
            (simple->policy == POLICY_BEST_FIT ? left < best_left
                                               : left > best_left)) {
            best = i;
            best_left = left;
        }
    }
    return best;
}

static void run_simple(const struct topology *topology, enum policy_kind policy,
                       struct request *requests, uint32_t count)
{
    struct simple simple = {policy, topology, NULL, NULL, requests, 0};

    simple.cpu = memory_alloc_array(topology->host_count, sizeof(uint32_t));
    simple.memory = memory_alloc_array(topology->host_count, sizeof(uint32_t));
    for (uint32_t i = 0; i < topology->host_count; i++) {
        simple.cpu[i] = topology->hosts[i].cpu_milli;
        simple.memory[i] = topology->hosts[i].memory_mib;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct request *request = &requests[i];

        simple.placed_count = i;
        request->host = simple_choose(&simple, request);
        if (request->host != NOWHERE) {
            simple.cpu[request->host] -= request->vm.cpu_milli;
            simple.memory[request->host] -= request->vm.memory_mib;
        }
    }
    free(simple.cpu);
    free(simple.memory);
}

static void run_engine(const struct topology *topology,
                       struct request *requests, uint32_t count)
{
    struct engine *engine =
        engine_create(topology->hosts, topology->host_count, ZONES, count);

    for (uint32_t i = 0; i < count; i++) {
        struct trace_vm vm = requests[i].vm;

        if (requests[i].strategy == AFFINITY ||
            requests[i].strategy == ANTI_AFFINITY) {
            engine_add_group(engine, vm.group,
                             requests[i].strategy == AFFINITY ? TRACE_TOGETHER
                                                              : TRACE_APART);
        } else {
            vm.group = NOWHERE;
        }
        requests[i].host = engine_place(engine, i, &vm);
    }
    engine_destroy(engine);
}

/* --- The checker --------------------------------------------------------- */

static bool conflict(const struct topology *topology, const struct request *a,
                     const struct request *b)
{
    const struct trace_host *first = &topology->hosts[a->host];
    const struct trace_host *second = &topology->hosts[b->host];

    if (a->strategy == FREE || a->vm.group != b->vm.group) {
        return false;
    }
    switch (a->strategy) {
    case FAULT_DOMAIN:
        return a->domain != b->domain && first->rack == second->rack;
    case AFFINITY:
        return first->zone != second->zone;
    default:
        return a->host == b->host;
    }
}

static int by_group(const void *left, const void *right)
{
    const struct request *a = left;
    const struct request *b = right;

    return a->vm.group < b->vm.group ? -1 : a->vm.group > b->vm.group;
}

/* Pairs of members that break their group's rule, and overfull hosts. Sorts
 * the requests. */
static uint32_t count_broken(const struct topology *topology,
                             struct request *requests, uint32_t count)
{
    uint64_t *used =
        memory_alloc_array((size_t)topology->host_count * 2, sizeof(*used));
    uint32_t broken = 0;

    qsort(requests, count, sizeof(*requests), by_group);
    for (uint32_t i = 0; i < count; i++) {
        if (requests[i].host == NOWHERE) {
            continue;
        }
        used[requests[i].host * 2] += requests[i].vm.cpu_milli;
        used[requests[i].host * 2 + 1] += requests[i].vm.memory_mib;
        for (uint32_t j = i; requests[i].strategy != FREE && j-- > 0 &&
                             requests[j].vm.group == requests[i].vm.group;) {
            broken += requests[j].host != NOWHERE &&
                      conflict(topology, &requests[i], &requests[j]);
        }
    }
    for (uint32_t i = 0; i < topology->host_count; i++) {
        broken += used[i * 2] > topology->hosts[i].cpu_milli;
        broken += used[i * 2 + 1] > topology->hosts[i].memory_mib;
    }
    free(used);
    return broken;
}

/* --- The report ---------------------------------------------------------- */

struct served {
    uint32_t count;
    uint32_t broken;
    uint64_t cpus;
};

static struct served serve(const struct topology *topology,
                           enum policy_kind policy, const struct request *all,
                           uint32_t count)
{
    struct request *requests = memory_copy(all, count * sizeof(*all));
    struct served served = {0};

    if (policy == POLICY_HOLDFAST) {
        run_engine(topology, requests, count);
    } else {
        run_simple(topology, policy, requests, count);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (requests[i].host != NOWHERE) {
            served.count++;
            served.cpus += requests[i].vm.cpu_milli / 1000;
        }
    }
    served.broken = count_broken(topology, requests, count);
    free(requests);
    return served;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

static bool report(const struct topology *topology, const char *name,
                   const struct request *requests, uint32_t count, bool by_cpus,
                   FILE *json)
{
    struct served ours = {0};
    uint64_t best = 0;
    uint64_t mine;
    bool met;

    printf("%-24s %8u", name, count);
    if (json != NULL) {
        fprintf(json, "{\"sequence\":\"%s\",\"requests\":%u", name, count);
    }
    for (int policy = 0; policy < POLICY_COUNT; policy++) {
        struct served served =
            serve(topology, (enum policy_kind)policy, requests, count);

        if (policy == POLICY_HOLDFAST) {
            ours = served;
        } else {
            uint64_t theirs = by_cpus ? served.cpus : served.count;

            best = theirs > best ? theirs : best;
        }
        printf(" %6u %7llu %2u", served.count, (unsigned long long)served.cpus,
               served.broken);
        if (json != NULL) {
            fprintf(json, ",\"%s\":{\"served\":%u,\"cpus\":%llu,\"broken\":%u}",
                    policy_names[policy], served.count,
                    (unsigned long long)served.cpus, served.broken);
        }
    }
    if (json != NULL) {
        fputs("}", json);
    }
    mine = by_cpus ? ours.cpus : ours.count;
    met = ours.broken == 0 && mine >= best;
    printf("  %s\n", met ? "met" : "MISSED");
    fflush(stdout);
    return met;
}

/* All sequences one after the other, more than the fleet holds. Who refuses the
 * large ones serves more requests then: CPUs are what is compared. */
static bool report_together(const struct topology *topology, FILE *json)
{
    struct request *all = NULL;
    uint32_t count = 0;
    bool met;

    for (uint32_t i = 0; i < topology->sequence_count; i++) {
        const struct sequence *sequence = &topology->sequences[i];

        all = memory_realloc_array(all, count + sequence->count + 1,
                                   sizeof(*all));
        for (uint32_t k = 0; k < sequence->count; k++) {
            struct request request = sequence->requests[k];

            if (request.vm.group != NOWHERE) {
                request.vm.group += i * GROUPS_MOST;
            }
            all[count++] = request;
        }
    }
    met = report(topology, "one after the other", all, count, true, json);
    free(all);
    return met;
}

static bool report_all(const struct topology *topology, FILE *json)
{
    bool met = true;

    printf("\n%u hosts; requests served, their CPUs, rules broken\n%-24s %8s",
           topology->host_count, "sequence", "requests");
    for (int policy = 0; policy < POLICY_COUNT; policy++) {
        printf(" %17s", policy_names[policy]);
    }
    putchar('\n');
    if (json != NULL) {
        fputs("\"topology\":[", json);
    }
    for (uint32_t i = 0; i < topology->sequence_count; i++) {
        const struct sequence *sequence = &topology->sequences[i];

        if (json != NULL && i > 0) {
            fputs(",", json);
        }
        met = report(topology, base_name(sequence->path), sequence->requests,
                     sequence->count, false, json) &&
              met;
    }
    if (topology->sequence_count > 1) {
        if (json != NULL) {
            fputs(",", json);
        }
        met = report_together(topology, json) && met;
    }
    if (json != NULL) {
        fputs("]", json);
    }
    return met;
}

int topology_replay(const char *const *paths, uint32_t count, FILE *json)
{
    struct topology topology = {0};
    bool met = false;
    bool ok = true;

    for (uint32_t i = 0; ok && i < count; i++) {
        ok = read_file(&topology, paths[i]);
    }
    ok = ok && join(&topology);
    if (ok) {
        met = report_all(&topology, json);
    }
    for (uint32_t i = 0; i < topology.sequence_count; i++) {
        free(topology.sequences[i].requests);
    }
    free(topology.hosts);
    free(topology.racks);
    if (!ok) {
        return 1;
    }
    return met ? 0 : 3;
}
