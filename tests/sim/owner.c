/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/owner.h"

#include "tests/sim/client_parts.h"
#include "tests/sim/node.h"
#include "tests/sim/wish.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <holdfast/v1/vm_service.pb-c.h>

static void vm_name(const struct sim_client *client, uint32_t vm, char name[24])
{
    (void)snprintf(name, 24, "c%u-%u-%u", client->index % 10, vm % 1000,
                   client->vms[vm].generation % 100000);
}

/* --- What it asks ------------------------------------------------------- */

static void ask_create(struct sim_client *client, uint32_t vm)
{
    struct sim_world *world = client->world;
    Holdfast__V1__CreateVmRequest request =
        HOLDFAST__V1__CREATE_VM_REQUEST__INIT;
    Holdfast__V1__Vm wish = HOLDFAST__V1__VM__INIT;
    struct sim_wish parts;
    char group[SIM_GROUP_NAME];
    char zone[8] = "";
    char name[24];
    char id[40];

    vm_name(client, vm, name);
    sim_client_request_id(client, id);
    sim_wish_init(&parts, world);
    sim_wish_of_vm(&parts, &wish);
    wish.name = name;
    if (sim_chance(world, 100)) {
        (void)snprintf(zone, sizeof(zone), "z%" PRIu64,
                       1 + sim_below(world, world->zone_count));
        wish.zone = zone;
    }
    if (world->rich && sim_chance(world, 200) &&
        sim_groups_some(client, group)) {
        wish.group = group;
    }
    request.vm = &wish;
    request.request_id = id;
    sim_client_begin(client, OP_CREATE, vm, "CreateVm", &request.base);
}

static void ask_get(struct sim_client *client, uint32_t vm)
{
    Holdfast__V1__GetVmRequest request = HOLDFAST__V1__GET_VM_REQUEST__INIT;
    char name[24];

    vm_name(client, vm, name);
    request.name = name;
    sim_client_begin(client, OP_GET, vm, "GetVm", &request.base);
}

/* These four have the fields `name` and `request_id` alone. */
static void ask_simple(struct sim_client *client, enum sim_op_kind kind,
                       uint32_t vm)
{
    Holdfast__V1__StopVmRequest stop = HOLDFAST__V1__STOP_VM_REQUEST__INIT;
    Holdfast__V1__StartVmRequest start = HOLDFAST__V1__START_VM_REQUEST__INIT;
    Holdfast__V1__MoveVmRequest move = HOLDFAST__V1__MOVE_VM_REQUEST__INIT;
    Holdfast__V1__DeleteVmRequest gone = HOLDFAST__V1__DELETE_VM_REQUEST__INIT;
    char zone[8] = "";
    char name[24];
    char id[40];

    vm_name(client, vm, name);
    sim_client_request_id(client, id);
    stop.name = start.name = move.name = gone.name = name;
    stop.request_id = start.request_id = id;
    move.request_id = gone.request_id = id;
    switch (kind) {
    case OP_STOP:
        sim_client_begin(client, kind, vm, "StopVm", &stop.base);
        break;
    case OP_START:
        sim_client_begin(client, kind, vm, "StartVm", &start.base);
        break;
    case OP_MOVE:
        if (sim_chance(client->world, 500)) {
            (void)snprintf(
                zone, sizeof(zone), "z%" PRIu64,
                1 + sim_below(client->world, client->world->zone_count));
            move.zone = zone;
        }
        sim_client_begin(client, kind, vm, "MoveVm", &move.base);
        break;
    default:
        sim_client_begin(client, kind, vm, "DeleteVm", &gone.base);
        break;
    }
}

static void ask_update(struct sim_client *client, uint32_t vm)
{
    Holdfast__V1__UpdateVmRequest request =
        HOLDFAST__V1__UPDATE_VM_REQUEST__INIT;
    Holdfast__V1__Vm wish = HOLDFAST__V1__VM__INIT;
    char priority[] = "priority";
    char *mask[] = {priority};
    char name[24];
    char id[40];

    vm_name(client, vm, name);
    sim_client_request_id(client, id);
    wish.name = name;
    wish.priority = (uint32_t)sim_below(client->world, 1001);
    request.vm = &wish;
    request.update_mask = mask;
    request.n_update_mask = 1;
    request.request_id = id;
    sim_client_begin(client, OP_UPDATE, vm, "UpdateVm", &request.base);
}

void sim_owner_acts(struct sim_client *client)
{
    struct sim_world *world = client->world;
    uint32_t own = world->options.vms / world->options.clients;
    uint32_t vm = (uint32_t)sim_below(world, own);
    uint64_t dice = sim_below(world, 100);

    if (client->vms[vm].belief != SIM_PRESENT) {
        if (dice < 80) {
            ask_create(client, vm);
        } else {
            ask_get(client, vm);
        }
    } else if (dice < 40) {
        ask_get(client, vm);
    } else if (dice < 55) {
        ask_simple(client, OP_MOVE, vm);
    } else if (dice < 65) {
        ask_simple(client, OP_STOP, vm);
    } else if (dice < 80) {
        ask_simple(client, OP_START, vm);
    } else if (dice < 92) {
        ask_update(client, vm);
    } else {
        ask_simple(client, OP_DELETE, vm);
    }
}

/* --- What it hears ------------------------------------------------------ */

void sim_owner_hears(struct sim_client *client, bool ok, const char *reason,
                     uint64_t uid)
{
    struct sim_operation *op = &client->op;
    struct sim_belief_of *vm = &client->vms[op->vm];

    if (op->kind == OP_CREATE && ok) {
        vm->belief = SIM_PRESENT;
        vm->uid = uid;
    } else if (op->kind == OP_DELETE && ok) {
        vm->belief = SIM_DELETED;
    } else if (op->kind == OP_CREATE && vm->belief == SIM_ABSENT &&
               (!client->world->rich || strcmp(reason, "NAME_TAKEN") == 0)) {
        sim_violation(client->world, "once",
                      "create of a VM that was never there: %s", reason);
    } else if ((op->kind == OP_GET || op->kind == OP_DELETE) &&
               vm->belief == SIM_PRESENT && (!ok || uid != vm->uid)) {
        sim_violation(client->world, "nothing-lost",
                      "vm %" PRIx64 " was acknowledged, is now %s", vm->uid,
                      ok ? "another" : reason);
    } else if (op->kind == OP_GET && vm->belief == SIM_ABSENT && ok) {
        sim_violation(client->world, "linearizable",
                      "a VM that was never created is there");
    }
}

/* It may take effect at any time from now on; so the name is not used any
 * more. */
void sim_owner_gives_up(struct sim_client *client)
{
    const struct sim_operation *op = &client->op;

    if (op->kind == OP_CREATE || op->kind == OP_DELETE) {
        client->vms[op->vm] = (struct sim_belief_of){
            .generation = client->vms[op->vm].generation + 1};
    }
}

void sim_owner_checks(const struct sim_client *client)
{
    struct sim_world *world = client->world;
    const struct state *state = sim_world_leader(world)->engine.state;
    char name[24];

    for (uint32_t i = 0; i < SIM_VMS_MAX; i++) {
        const struct sim_belief_of *vm = &client->vms[i];
        const struct vm *there;

        vm_name(client, i, name);
        there =
            state_vm_named(state, (struct text){name, (uint32_t)strlen(name)});
        if (vm->belief == SIM_PRESENT &&
            (there == NULL || there->uid != vm->uid)) {
            sim_violation(world, "nothing-lost",
                          "the acknowledged VM %s is not there", name);
        } else if ((vm->belief == SIM_ABSENT || vm->belief == SIM_DELETED) &&
                   there != NULL) {
            sim_violation(world, "once",
                          "VM %s (%" PRIx64 ", state %d, deleting %d, host %d) "
                          "is there, which was deleted or never made",
                          name, there->uid, there->state, there->deleting,
                          (int)there->host);
        }
    }
}
