/* SPDX-License-Identifier: Apache-2.0
 *
 * Members of groups and sizes of VMs' own become plain VMs and classes, which
 * the simulator knows. */
#include "tests/sim/fleet.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Of what a manifest has and what is added: arrays that grow by doubling. */
struct growth {
    struct sim_fleet *fleet;
    size_t vm_capacity;
    size_t class_capacity;
    bool full;
};

static void *grow(struct growth *growth, const void *items, size_t count,
                  size_t *capacity)
{
    size_t wanted = count < 16 ? 16 : count * 2;
    void *grown;

    if (count < *capacity) {
        return NULL;
    }
    grown = arena_alloc(&growth->fleet->arena, wanted * sizeof(void *));
    if (grown == NULL) {
        growth->full = true;
        return NULL;
    }
    if (count > 0) {
        memcpy(grown, items, count * sizeof(void *));
    }
    *capacity = wanted;
    return grown;
}

static void *make(struct growth *growth, size_t size)
{
    void *made = arena_alloc(&growth->fleet->arena, size);

    growth->full = growth->full || made == NULL;
    return made;
}

static char *name_of(struct growth *growth, const char *text)
{
    char *name = make(growth, strlen(text) + 1);

    if (name != NULL) {
        memcpy(name, text, strlen(text) + 1);
    }
    return name;
}

static bool same(const Holdfast__V1__Resources *a,
                 const Holdfast__V1__Resources *b)
{
    return a->cpu_milli == b->cpu_milli && a->memory_mib == b->memory_mib &&
           a->disk_gib == b->disk_gib && a->gpu_count == b->gpu_count &&
           a->n_named == 0 && b->n_named == 0;
}

/* The name of the class that stands for a size; NULL: no memory. */
static char *class_of_size(struct growth *growth, size_t first,
                           Holdfast__V1__Resources *size)
{
    Holdfast__V1__Manifest *manifest = growth->fleet->manifest;
    Holdfast__V1__Class *class;
    char name[40];
    void *grown;

    for (size_t i = first; i < manifest->n_classes; i++) {
        if (same(manifest->classes[i]->resources, size)) {
            return manifest->classes[i]->name;
        }
    }
    (void)snprintf(name, sizeof(name), "own-size-%zu",
                   manifest->n_classes - first + 1);
    grown = grow(growth, manifest->classes, manifest->n_classes,
                 &growth->class_capacity);
    class = make(growth, sizeof(*class));
    if (growth->full) {
        return NULL;
    }
    manifest->classes = grown == NULL ? manifest->classes : grown;
    holdfast__v1__class__init(class);
    class->name = name_of(growth, name);
    class->resources = size;
    manifest->classes[manifest->n_classes++] = class;
    return class->name;
}

/* The same labels, as a VM has them. */
static void select_hosts(struct growth *growth, Holdfast__V1__Vm *vm,
                         const Holdfast__V1__GroupTemplate *template)
{
    size_t count = template->n_host_selector;

    vm->host_selector = make(growth, (count + 1) * sizeof(*vm->host_selector));
    for (size_t i = 0; i < count && !growth->full; i++) {
        Holdfast__V1__Vm__HostSelectorEntry *entry =
            make(growth, sizeof(*entry));

        if (entry == NULL) {
            return;
        }
        holdfast__v1__vm__host_selector_entry__init(entry);
        entry->key = template->host_selector[i]->key;
        entry->value = template->host_selector[i]->value;
        vm->host_selector[vm->n_host_selector++] = entry;
    }
}

/* Names of groups are longer than what may stand before a number. */
static void add_member(struct growth *growth, size_t at, uint32_t number)
{
    const Holdfast__V1__Group *group = growth->fleet->manifest->groups[at];
    const Holdfast__V1__GroupTemplate *template = group->template_;
    Holdfast__V1__Manifest *manifest = growth->fleet->manifest;
    Holdfast__V1__Vm *vm = make(growth, sizeof(*vm));
    void *grown =
        grow(growth, manifest->vms, manifest->n_vms, &growth->vm_capacity);
    char name[128];

    if (growth->full) {
        return;
    }
    manifest->vms = grown == NULL ? manifest->vms : grown;
    holdfast__v1__vm__init(vm);
    (void)snprintf(name, sizeof(name), "%.32s-g%zu-m%" PRIu32, group->name,
                   at + 1, number);
    vm->name = name_of(growth, name);
    vm->class_name = template->class_name;
    vm->resources = template->resources;
    vm->priority = template->priority;
    vm->on_partition = template->on_partition;
    vm->template_ = template->template_;
    vm->preemptible = template->preemptible;
    select_hosts(growth, vm, template);
    manifest->vms[manifest->n_vms++] = vm;
}

bool sim_fleet_expand(struct sim_fleet *fleet)
{
    Holdfast__V1__Manifest *manifest = fleet->manifest;
    struct growth growth = {.fleet = fleet};
    size_t first = manifest->n_classes;

    for (size_t i = 0; i < manifest->n_groups; i++) {
        const Holdfast__V1__Group *group = manifest->groups[i];
        uint32_t count = group->template_ == NULL ? 0 : group->count;

        for (uint32_t k = 1; k <= count && manifest->n_vms <= FLEET_VMS_MAX;
             k++) {
            add_member(&growth, i, k);
            if (growth.full) {
                return false;
            }
        }
    }
    for (size_t i = 0; i < manifest->n_vms; i++) {
        Holdfast__V1__Vm *vm = manifest->vms[i];

        if (vm->class_name[0] == '\0' && vm->resources != NULL) {
            vm->class_name = class_of_size(&growth, first, vm->resources);
            if (growth.full) {
                return false;
            }
        }
    }
    return true;
}
