/* SPDX-License-Identifier: Apache-2.0
 *
 * The members of a group, by zone. */
#include "base/check.h"
#include "ctl/group.h"
#include "ctl/list.h"
#include "ctl/output.h"
#include "ctl/request.h"
#include "ctl/view.h"
#include "holdfast/v1/vm_service.pb-c.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What fits into a line of 80 beside the counts. */
#define NAMES_WIDTH 44

struct members {
    Holdfast__V1__Vm **vms; /* In order of names. */
    size_t count;
};

static const char *zone_of(const Holdfast__V1__Vm *vm)
{
    return vm->status == NULL ? "" : vm->status->zone;
}

static bool runs(const Holdfast__V1__Vm *vm)
{
    return vm->status != NULL &&
           vm->status->state == HOLDFAST__V1__VM_STATE__VM_STATE_RUNNING;
}

static void add_row(struct grid *grid, const struct members *members,
                    const char *zone, bool usable)
{
    uint32_t running = 0;
    uint32_t here = 0;
    uint32_t shown = 0;
    char names[512] = "";
    size_t used = 0;

    for (size_t i = 0; i < members->count; i++) {
        const Holdfast__V1__Vm *vm = members->vms[i];

        if (strcmp(zone_of(vm), zone) != 0) {
            continue;
        }
        here++;
        running += runs(vm);
        if (shown == here - 1 && used + strlen(vm->name) < NAMES_WIDTH) {
            used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s",
                                     used > 0 ? " " : "", vm->name);
            shown++;
        }
    }
    if (shown < here) {
        (void)snprintf(names + used, sizeof(names) - used, "%s%" PRIu32 " more",
                       used > 0 ? " and " : "", here - shown);
    }
    if (here == 0 && zone[0] == '\0') {
        return;
    }
    grid_cell_colour(grid, usable ? COLOUR_NONE : COLOUR_DIM,
                     zone[0] == '\0' ? "(none)" : zone);
    grid_cell_format(grid, "%" PRIu32, here);
    grid_cell_format(grid, "%" PRIu32, running);
    grid_cell(grid, names);
}

static void show(struct invocation *invocation,
                 const Holdfast__V1__Group *group,
                 const struct members *members)
{
    static const char hint[] = "`holdfast vm list --group %s` shows them all";
    struct grid grid;

    grid_init(&grid);
    grid_column(&grid, "ZONE");
    grid_column_right(&grid, "MEMBERS");
    grid_column_right(&grid, "RUNNING");
    grid_column(&grid, "VMS");
    for (size_t i = 0; group->status != NULL && i < group->status->n_zones;
         i++) {
        const Holdfast__V1__GroupZone *zone = group->status->zones[i];

        add_row(&grid, members, zone->zone, zone->usable);
    }
    add_row(&grid, members, "", true);
    bytes_append_u8(&invocation->out, '\n');
    output_table(invocation, &grid, true);
    grid_close(&grid);
    if (members->count > 0) {
        output_line(invocation, hint, group->name);
    }
}

enum exit_code group_show_members(struct invocation *invocation,
                                  const Holdfast__V1__Group *group)
{
    Holdfast__V1__ListVmsRequest *request =
        (void *)request_for(invocation, "VmService/ListVms");
    Holdfast__V1__ListVmsResponse *list;
    struct members members = {.count = 0};
    ProtobufCMessage *all;
    enum exit_code code;

    if (request == NULL) {
        return EXIT_USAGE;
    }
    request->group = group->name;
    code = list_fetch(invocation, "VmService/ListVms", &request->base, &all);
    if (code != EXIT_OK) {
        return code;
    }
    list = (void *)all;
    members.vms =
        request_alloc(invocation, (list->n_vms + 1) * sizeof(*members.vms));
    for (size_t i = 0; i < list->n_vms; i++) {
        if (strcmp(list->vms[i]->group, group->name) == 0) {
            members.vms[members.count++] = list->vms[i];
        }
    }
    show(invocation, group, &members);
    hf_message_free(all);
    return EXIT_OK;
}
