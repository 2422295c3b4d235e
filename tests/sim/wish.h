/* SPDX-License-Identifier: Apache-2.0
 *
 * What a VM, or the members of a group, are to be like: one size and nothing
 * else in a plain region, anything at random in a rich one. */
#ifndef TESTS_SIM_WISH_H
#define TESTS_SIM_WISH_H

#include "tests/sim/founder.h"
#include "tests/sim/world.h"

struct sim_wish {
    struct sim_template template;
    char class_name[12]; /* Empty: `resources`. */
    Holdfast__V1__Resources resources;
    bool preemptible;
    bool keep;
    uint32_t priority;
    char selected[8]; /* The tier of its hosts; empty: any. */

    /* Parts of the template. */
    Holdfast__V1__Disk disk;
    Holdfast__V1__Disk *disks[1];
    char pool[12];
    char path[8];
    char zone_names[SIM_ZONES_MAX][8];
    char *zones[SIM_ZONES_MAX];

    /* What it lends to a message. */
    char label[8];
    Holdfast__V1__Vm__HostSelectorEntry vm_entry;
    Holdfast__V1__Vm__HostSelectorEntry *vm_entries[1];
    Holdfast__V1__GroupTemplate__HostSelectorEntry group_entry;
    Holdfast__V1__GroupTemplate__HostSelectorEntry *group_entries[1];
};

void sim_wish_init(struct sim_wish *wish, struct sim_world *world);

/* The wish is lent to the message. */
void sim_wish_of_vm(struct sim_wish *wish, Holdfast__V1__Vm *vm);
void sim_wish_of_group(struct sim_wish *wish,
                       Holdfast__V1__GroupTemplate *template);

#endif
