/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sharer.h"

#include "tests/sim/fleet.h"
#include "tests/sim/founder.h"
#include "tests/sim/operator.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <holdfast/v1/vm_service.pb-c.h>

#define NAMES 2
/* Other names after a while: an unknown outcome stays open for ever, and what
 * is open makes the checker's work. */
#define NAME_US   (20 * SIM_SECOND)
#define NAME_ROOM 24

/* As told last, to anybody; stale now and then. */
static uint64_t revision_to_expect(struct sim_world *world, const char *name)
{
    for (size_t i = world->history.count; i > 0; i--) {
        const Holdfast__History__V1__Operation *one =
            world->history.operations[i - 1];

        if (one->revision != 0 && strcmp(one->vm, name) == 0 &&
            !sim_chance(world, 200)) {
            return one->revision;
        }
    }
    return 0;
}

static void create(struct sim_client *client, char *name, char *id)
{
    struct sim_world *world = sim_client_world(client);
    Holdfast__V1__CreateVmRequest request =
        HOLDFAST__V1__CREATE_VM_REQUEST__INIT;
    Holdfast__V1__Vm wish = HOLDFAST__V1__VM__INIT;
    const struct sim_fleet *fleet = world->options.fleet;
    struct sim_template template;
    char class[] = "small";

    sim_template_init(&template);
    wish.name = name;
    wish.class_name = fleet == NULL ? class : fleet->manifest->classes[0]->name;
    wish.template_ = &template.message;
    wish.priority = (uint32_t)sim_below(world, 1001);
    /* A user's hosts are for the user's VMs. */
    wish.desired = fleet != NULL || sim_chance(world, 700)
                       ? HOLDFAST__V1__DESIRED_STATE__DESIRED_STATE_STOPPED
                       : HOLDFAST__V1__DESIRED_STATE__DESIRED_STATE_RUNNING;
    request.vm = &wish;
    request.request_id = id;
    sim_client_ask(client, "CreateVm", &request.base);
}

static void get(struct sim_client *client, char *name)
{
    Holdfast__V1__GetVmRequest request = HOLDFAST__V1__GET_VM_REQUEST__INIT;

    request.name = name;
    sim_client_ask(client, "GetVm", &request.base);
}

static void update(struct sim_client *client, char *name, char *id)
{
    struct sim_world *world = sim_client_world(client);
    Holdfast__V1__UpdateVmRequest request =
        HOLDFAST__V1__UPDATE_VM_REQUEST__INIT;
    Holdfast__V1__Vm wish = HOLDFAST__V1__VM__INIT;
    char priority[] = "priority";
    char *mask[] = {priority};

    wish.name = name;
    wish.priority = (uint32_t)sim_below(world, 1001);
    request.vm = &wish;
    request.update_mask = mask;
    request.n_update_mask = 1;
    request.request_id = id;
    if (sim_chance(world, 600)) {
        request.expect_revision = revision_to_expect(world, name);
    }
    sim_client_ask(client, "UpdateVm", &request.base);
}

static void start_or_stop(struct sim_client *client, char *name, char *id)
{
    Holdfast__V1__StopVmRequest stop = HOLDFAST__V1__STOP_VM_REQUEST__INIT;
    Holdfast__V1__StartVmRequest start = HOLDFAST__V1__START_VM_REQUEST__INIT;

    stop.name = start.name = name;
    stop.request_id = start.request_id = id;
    if (sim_chance(sim_client_world(client), 800)) {
        sim_client_ask(client, "StopVm", &stop.base);
    } else {
        sim_client_ask(client, "StartVm", &start.base);
    }
}

static void delete (struct sim_client *client, char *name, char *id)
{
    struct sim_world *world = sim_client_world(client);
    Holdfast__V1__DeleteVmRequest request =
        HOLDFAST__V1__DELETE_VM_REQUEST__INIT;

    request.name = name;
    request.request_id = id;
    if (sim_chance(world, 300)) {
        request.expect_revision = revision_to_expect(world, name);
    }
    sim_client_ask(client, "DeleteVm", &request.base);
}

void sim_sharer_acts(struct sim_client *client)
{
    struct sim_world *world = sim_client_world(client);
    uint64_t dice = sim_below(world, 100);
    char name[NAME_ROOM];
    char id[40];

    (void)snprintf(name, sizeof(name), "%s%" PRIu64 "-%" PRIu64,
                   world->options.fleet == NULL ? "s" : "simulated-",
                   sim_below(world, NAMES) % 10,
                   world->now_us / NAME_US % 100000);
    sim_client_request_id(client, id);
    if (dice < 35) {
        get(client, name);
    } else if (dice < 55) {
        create(client, name, id);
    } else if (dice < 80) {
        update(client, name, id);
    } else if (dice < 88 && world->options.fleet == NULL) {
        start_or_stop(client, name, id);
    } else {
        delete (client, name, id);
    }
}
