/* SPDX-License-Identifier: Apache-2.0 */
#include "node/class_zones.h"

#include <stdio.h>

static void say(const struct state *state, const struct class *class,
                const uint32_t counts[ZONES_MAX], uint32_t total, char *text,
                size_t size)
{
    char zones[256] = "";
    size_t used = 0;

    for (uint32_t slot = 0; slot < ZONES_MAX && used < sizeof(zones); slot++) {
        if (counts[slot] > 0) {
            used += (size_t)snprintf(zones + used, sizeof(zones) - used,
                                     "%s%u in zone '%s'", used == 0 ? "" : ", ",
                                     counts[slot],
                                     state_zone_at(state, slot)->name);
        }
    }
    snprintf(text, size,
             "%u VM%s of class '%s' run%s where it is not offered (%s) and "
             "stay%s until moved: drain the hosts, or `vm move` each",
             total, total == 1 ? "" : "s", class->name, total == 1 ? "s" : "",
             zones, total == 1 ? "s" : "");
}

uint32_t class_zones_outside(const struct state *state,
                             const struct class *class, char *text, size_t size)
{
    uint32_t counts[ZONES_MAX] = {0};
    uint32_t total = 0;

    if (size > 0) {
        text[0] = '\0';
    }
    if (class->zone_mask == 0 || class->vm_count == 0) {
        return 0;
    }
    for (uint32_t slot = 0; slot < state_vm_slots(state); slot++) {
        const struct vm *vm = state_vm_at(state, slot);
        uint32_t zone;

        if (vm == NULL || vm->class_slot != uid_slot(class->uid) ||
            vm->host == SLOT_NONE) {
            continue;
        }
        zone = state_host_at(state, vm->host)->zone;
        if ((class->zone_mask >> zone & 1) == 0) {
            counts[zone]++;
            total++;
        }
    }
    if (total > 0) {
        say(state, class, counts, total, text, size);
    }
    return total;
}
