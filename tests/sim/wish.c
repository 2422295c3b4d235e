/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/wish.h"

#include "tests/sim/terrain.h"

#include <stdio.h>

static void choose_size(struct sim_wish *wish, struct sim_world *world)
{
    if (sim_chance(world, 200)) {
        wish->class_name[0] = '\0';
        wish->resources.cpu_milli = 500 * (uint32_t)sim_between(world, 1, 3);
        wish->resources.memory_mib = 768;
        wish->resources.disk_gib = (uint32_t)sim_below(world, 2);
    } else if (sim_chance(world, 450)) {
        (void)snprintf(wish->class_name, sizeof(wish->class_name), "%s",
                       sim_classes[sim_below(world, SIM_CLASSES)].name);
    }
}

/* All zones but one keep a copy. */
static void replicate(struct sim_wish *wish, struct sim_world *world)
{
    uint32_t without = (uint32_t)sim_below(world, world->zone_count);

    for (uint32_t i = 0; i < world->zone_count; i++) {
        if (i != without || world->zone_count < 3) {
            char *name = wish->zone_names[wish->disk.n_zones];

            (void)snprintf(name, sizeof(wish->zone_names[0]), "%s",
                           sim_zone_name(world, i));
            wish->zones[wish->disk.n_zones++] = name;
        }
    }
    wish->disk.zones = wish->zones;
}

static void choose_disk(struct sim_wish *wish, struct sim_world *world)
{
    uint64_t dice = sim_below(world, 100);
    const char *pool = SIM_POOL_SHARED;

    if (dice >= 30) {
        return;
    }
    wish->disk.kind = HOLDFAST__V1__DISK_KIND__DISK_KIND_SHARED;
    if (dice < 8) {
        pool = SIM_POOL_LOCAL;
        wish->disk.kind = HOLDFAST__V1__DISK_KIND__DISK_KIND_LOCAL;
    } else if (dice < 18) {
        pool = SIM_POOL_REPLICATED;
        wish->disk.kind = HOLDFAST__V1__DISK_KIND__DISK_KIND_REPLICATED;
        replicate(wish, world);
    }
    (void)snprintf(wish->pool, sizeof(wish->pool), "%s", pool);
    (void)snprintf(wish->path, sizeof(wish->path), "{uid}");
    wish->disk.pool = wish->pool;
    wish->disk.path = wish->path;
    wish->disks[0] = &wish->disk;
    wish->template.message.disks = wish->disks;
    wish->template.message.n_disks = 1;
}

void sim_wish_init(struct sim_wish *wish, struct sim_world *world)
{
    *wish = (struct sim_wish){.class_name = "small", .label = SIM_LABEL};
    sim_template_init(&wish->template);
    holdfast__v1__resources__init(&wish->resources);
    holdfast__v1__disk__init(&wish->disk);
    wish->priority = (uint32_t)sim_below(world, 1001);
    wish->keep = sim_chance(world, 200);
    if (!world->rich) {
        return;
    }
    choose_size(wish, world);
    choose_disk(wish, world);
    wish->preemptible = sim_chance(world, 350);
    if (wish->preemptible) {
        wish->priority /= 2;
    }
    if (sim_chance(world, 200)) {
        (void)snprintf(wish->selected, sizeof(wish->selected), "%s",
                       sim_tiers[sim_below(world, 2)]);
    }
}

void sim_wish_of_vm(struct sim_wish *wish, Holdfast__V1__Vm *vm)
{
    vm->class_name = wish->class_name;
    vm->template_ = &wish->template.message;
    vm->priority = wish->priority;
    vm->preemptible = wish->preemptible;
    if (wish->keep) {
        vm->on_partition = HOLDFAST__V1__ON_PARTITION__ON_PARTITION_KEEP;
    }
    if (wish->class_name[0] == '\0') {
        vm->resources = &wish->resources;
    }
    if (wish->selected[0] != '\0') {
        holdfast__v1__vm__host_selector_entry__init(&wish->vm_entry);
        wish->vm_entry.key = wish->label;
        wish->vm_entry.value = wish->selected;
        wish->vm_entries[0] = &wish->vm_entry;
        vm->host_selector = wish->vm_entries;
        vm->n_host_selector = 1;
    }
}

void sim_wish_of_group(struct sim_wish *wish,
                       Holdfast__V1__GroupTemplate *template)
{
    template->class_name = wish->class_name;
    template->template_ = &wish->template.message;
    template->priority = wish->priority;
    template->preemptible = wish->preemptible;
    if (wish->keep) {
        template->on_partition = HOLDFAST__V1__ON_PARTITION__ON_PARTITION_KEEP;
    }
    if (wish->class_name[0] == '\0') {
        template->resources = &wish->resources;
    }
    if (wish->selected[0] != '\0') {
        holdfast__v1__group_template__host_selector_entry__init(
            &wish->group_entry);
        wish->group_entry.key = wish->label;
        wish->group_entry.value = wish->selected;
        wish->group_entries[0] = &wish->group_entry;
        template->host_selector = wish->group_entries;
        template->n_host_selector = 1;
    }
}
