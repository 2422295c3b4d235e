/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/fleet.h"

#include "node/api_check.h"
#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NONE UINT32_MAX

static bool __attribute__((format(printf, 2, 3)))
refuse(struct sim_fleet *fleet, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(fleet->error, sizeof(fleet->error), format, arguments);
    va_end(arguments);
    return false;
}

static uint32_t find_zone(const Holdfast__V1__Manifest *manifest,
                          const char *name)
{
    for (uint32_t i = 0; i < manifest->n_zones; i++) {
        if (strcmp(manifest->zones[i]->name, name) == 0) {
            return i;
        }
    }
    return NONE;
}

static const Holdfast__V1__Class *find_class(
    const Holdfast__V1__Manifest *manifest, const char *name)
{
    for (size_t i = 0; i < manifest->n_classes; i++) {
        if (strcmp(manifest->classes[i]->name, name) == 0) {
            return manifest->classes[i];
        }
    }
    return NULL;
}

static bool is_empty(const Holdfast__V1__Resources *resources)
{
    return resources == NULL || resources->cpu_milli == 0 ||
           resources->memory_mib == 0;
}

static bool check_counts(struct sim_fleet *fleet)
{
    const Holdfast__V1__Manifest *manifest = fleet->manifest;

    if (manifest->n_zones == 0 || manifest->n_zones > SIM_ZONES_MAX) {
        return refuse(fleet,
                      "zones: %zu; there must be 1 to %d, with one "
                      "control-plane node each",
                      manifest->n_zones, SIM_ZONES_MAX);
    }
    if (manifest->n_hosts == 0 || manifest->n_hosts > FLEET_HOSTS_MAX) {
        return refuse(fleet,
                      "hosts: %zu; there must be 1 to %d, for hosts do not "
                      "register themselves here",
                      manifest->n_hosts, FLEET_HOSTS_MAX);
    }
    if (manifest->n_classes == 0) {
        return refuse(fleet, "classes: none; VMs need the sizes they are of");
    }
    if (manifest->n_vms > FLEET_VMS_MAX) {
        return refuse(fleet, "vms: %zu; at most %d can be simulated",
                      manifest->n_vms, FLEET_VMS_MAX);
    }
    return true;
}

static bool check_parts(struct api_reply *reply, const char *field,
                        const Holdfast__V1__Host *host)
{
    char part[64];
    struct bytes labels;
    bool good;

    bytes_init(&labels);
    (void)snprintf(part, sizeof(part), "%s.labels", field);
    good = api_check_labels(reply, part, host->labels, host->n_labels, &labels);
    bytes_close(&labels);
    (void)snprintf(part, sizeof(part), "%s.pools", field);
    for (size_t i = 0; good && i < host->n_pools; i++) {
        good = api_check_name(reply, part, host->pools[i]);
    }
    (void)snprintf(part, sizeof(part), "%s.capacity", field);
    good = good && api_check_resources(reply, part, host->capacity);
    (void)snprintf(part, sizeof(part), "%s.name", field);
    return good && api_check_name(reply, part, host->name);
}

/* As a node would that the host registers with; all else is created by calls,
 * which tell by themselves. */
static bool check_host(struct sim_fleet *fleet, size_t at)
{
    struct api_reply reply;
    char field[40];
    bool good;

    (void)snprintf(field, sizeof(field), "hosts[%zu]", at);
    api_reply_init(&reply);
    good = check_parts(&reply, field, fleet->manifest->hosts[at]);
    if (!good) {
        (void)refuse(fleet, "%s", reply.message);
    }
    api_reply_close(&reply);
    return good;
}

static bool check_hosts(struct sim_fleet *fleet)
{
    const Holdfast__V1__Manifest *manifest = fleet->manifest;

    fleet->host_zones = arena_alloc(
        &fleet->arena, manifest->n_hosts * sizeof(*fleet->host_zones));
    if (fleet->host_zones == NULL) {
        return refuse(fleet, "hosts: the manifest is too large");
    }
    for (size_t i = 0; i < manifest->n_hosts; i++) {
        const Holdfast__V1__Host *host = manifest->hosts[i];

        fleet->host_zones[i] = find_zone(manifest, host->zone);
        if (fleet->host_zones[i] == NONE) {
            return refuse(fleet,
                          "hosts[%zu].zone: '%.80s' of host '%.80s' is none of "
                          "`zones`",
                          i, host->zone, host->name);
        }
        if (is_empty(host->capacity)) {
            return refuse(fleet,
                          "hosts[%zu].capacity: cpu_milli and memory_mib of "
                          "host '%.80s' must be given",
                          i, host->name);
        }
        if (!check_host(fleet, i)) {
            return false;
        }
    }
    return true;
}

static bool check_vms(struct sim_fleet *fleet)
{
    const Holdfast__V1__Manifest *manifest = fleet->manifest;

    for (size_t i = 0; i < manifest->n_vms; i++) {
        const Holdfast__V1__Vm *vm = manifest->vms[i];

        if (find_class(manifest, vm->class_name) == NULL) {
            return refuse(fleet,
                          "vms[%zu].class_name: '%.80s' of VM '%.80s' is none "
                          "of `classes`",
                          i, vm->class_name, vm->name);
        }
        if (vm->zone[0] != '\0' && find_zone(manifest, vm->zone) == NONE) {
            return refuse(fleet,
                          "vms[%zu].zone: '%.80s' of VM '%.80s' is none of "
                          "`zones`",
                          i, vm->zone, vm->name);
        }
    }
    return true;
}

/* How many VMs of the smallest class the largest host can hold. */
static bool count_guests(struct sim_fleet *fleet)
{
    const Holdfast__V1__Manifest *manifest = fleet->manifest;
    uint32_t smallest = UINT32_MAX;
    uint32_t largest = 0;

    for (size_t i = 0; i < manifest->n_classes; i++) {
        const Holdfast__V1__Class *class = manifest->classes[i];

        if (is_empty(class->resources)) {
            return refuse(fleet,
                          "classes[%zu].resources: cpu_milli and memory_mib of "
                          "class '%.80s' must be given",
                          i, class->name);
        }
        if (class->resources->cpu_milli < smallest) {
            smallest = class->resources->cpu_milli;
        }
    }
    for (size_t i = 0; i < manifest->n_hosts; i++) {
        if (manifest->hosts[i]->capacity->cpu_milli > largest) {
            largest = manifest->hosts[i]->capacity->cpu_milli;
        }
    }
    fleet->guests_in_host = largest / smallest;
    if (fleet->guests_in_host > manifest->n_vms) {
        fleet->guests_in_host = (uint32_t)manifest->n_vms;
    }
    return true;
}

bool sim_fleet_read(struct sim_fleet *fleet, const char *path)
{
    struct text_error error;

    *fleet = (struct sim_fleet){0};
    arena_init(&fleet->arena, MANIFEST_ARENA_BYTES);
    if (manifest_read_file(path, &fleet->arena, &fleet->manifest, &error) !=
        0) {
        return refuse(fleet, "%s", error.text);
    }
    if (!sim_fleet_expand(fleet)) {
        return refuse(fleet, "groups: the manifest is too large");
    }
    return check_counts(fleet) && check_hosts(fleet) && check_vms(fleet) &&
           count_guests(fleet);
}

void sim_fleet_close(struct sim_fleet *fleet)
{
    arena_close(&fleet->arena);
}
