/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/founder.h"

#include "base/check.h"
#include "tests/sim/fleet.h"
#include "tests/sim/node.h"
#include "tests/sim/operator.h"
#include "tests/sim/terrain.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <holdfast/v1/class_service.pb-c.h>
#include <holdfast/v1/cluster_service.pb-c.h>
#include <holdfast/v1/host_service.pb-c.h>
#include <holdfast/v1/reservation_service.pb-c.h>
#include <holdfast/v1/vm_service.pb-c.h>
#include <holdfast/v1/zone_service.pb-c.h>

#define SETTINGS_MAX 32

void sim_template_init(struct sim_template *template)
{
    holdfast__v1__vm_template__init(&template->message);
    (void)snprintf(template->program, sizeof(template->program), "/bin/true");
    template->command[0] = template->program;
    template->message.driver = HOLDFAST__V1__DRIVER__DRIVER_EXEC;
    template->message.command = template->command;
    template->message.n_command = 1;
}

static void create_zone(struct sim_client *client, const char *name)
{
    Holdfast__V1__CreateZoneRequest request =
        HOLDFAST__V1__CREATE_ZONE_REQUEST__INIT;
    char id[40];

    sim_client_request_id(client, id);
    request.name = (char *)(uintptr_t)name;
    request.request_id = id;
    sim_client_ask_setup(client, "CreateZone", &request.base);
}

static void create_class(struct sim_client *client, Holdfast__V1__Class *class)
{
    Holdfast__V1__CreateClassRequest request =
        HOLDFAST__V1__CREATE_CLASS_REQUEST__INIT;
    Holdfast__V1__Class wish = HOLDFAST__V1__CLASS__INIT;
    char id[40];

    sim_client_request_id(client, id);
    wish.name = class->name;
    wish.resources = class->resources;
    wish.zones = class->zones;
    wish.n_zones = class->n_zones;
    request.vm_class = &wish;
    request.request_id = id;
    sim_client_ask_setup(client, "CreateClass", &request.base);
}

/* Plain regions have the first one alone. */
static void create_sim_class(struct sim_client *client, uint32_t at)
{
    const struct sim_class *from = &sim_classes[at];
    Holdfast__V1__Class class = HOLDFAST__V1__CLASS__INIT;
    Holdfast__V1__Resources resources = HOLDFAST__V1__RESOURCES__INIT;
    Holdfast__V1__Resources__NamedEntry entry =
        HOLDFAST__V1__RESOURCES__NAMED_ENTRY__INIT;
    Holdfast__V1__Resources__NamedEntry *entries[] = {&entry};
    char name[16];
    char named[] = SIM_NAMED;

    (void)snprintf(name, sizeof(name), "%s", from->name);
    resources.cpu_milli = from->cpu_milli;
    resources.memory_mib = from->memory_mib;
    resources.disk_gib = from->disk_gib;
    resources.gpu_count = from->gpu_count;
    entry.key = named;
    entry.value = from->named;
    resources.named = entries;
    resources.n_named = from->named > 0;
    class.name = name;
    class.resources = &resources;
    create_class(client, &class);
}

/* --- A fleet, in the order in which its parts need one another -------------
 */

enum part {
    PART_ZONES,
    PART_SETTINGS,
    PART_CLASSES,
    PART_RESERVATIONS,
    PART_ZONE_CORDONS,
    PART_HOST_CORDONS,
    PART_VMS,
    PART_COUNT
};

static uint32_t part_size(const Holdfast__V1__Manifest *manifest,
                          enum part part)
{
    switch (part) {
    case PART_ZONES:
    case PART_ZONE_CORDONS:
        return (uint32_t)manifest->n_zones;
    case PART_SETTINGS:
        return manifest->settings != NULL;
    case PART_CLASSES:
        return (uint32_t)manifest->n_classes;
    case PART_RESERVATIONS:
        return (uint32_t)manifest->n_reservations;
    case PART_HOST_CORDONS:
        return (uint32_t)manifest->n_hosts;
    default:
        return (uint32_t)manifest->n_vms;
    }
}

/* What the manifest does not give has its default; so has what is 0. */
static void set_settings(struct sim_client *client,
                         Holdfast__V1__Settings *settings)
{
    const ProtobufCMessageDescriptor *fields = settings->base.descriptor;
    Holdfast__V1__UpdateSettingsRequest request =
        HOLDFAST__V1__UPDATE_SETTINGS_REQUEST__INIT;
    char *mask[SETTINGS_MAX];
    char id[40];

    for (unsigned i = 0; i < fields->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &fields->fields[i];
        const void *value = (const char *)settings + field->offset;

        if (field->type == PROTOBUF_C_TYPE_UINT32 &&
            *(const uint32_t *)value != 0) {
            CHECK(request.n_update_mask < SETTINGS_MAX);
            mask[request.n_update_mask++] = (char *)(uintptr_t)field->name;
        }
    }
    sim_client_request_id(client, id);
    request.settings = settings;
    request.update_mask = mask;
    request.request_id = id;
    if (request.n_update_mask == 0) {
        Holdfast__V1__GetSettingsRequest nothing =
            HOLDFAST__V1__GET_SETTINGS_REQUEST__INIT;

        sim_client_ask_setup(client, "GetSettings", &nothing.base);
        return;
    }
    sim_client_ask_setup(client, "UpdateSettings", &request.base);
}

static void reserve(struct sim_client *client,
                    const Holdfast__V1__Reservation *from)
{
    Holdfast__V1__CreateReservationRequest request =
        HOLDFAST__V1__CREATE_RESERVATION_REQUEST__INIT;
    Holdfast__V1__Reservation wish = HOLDFAST__V1__RESERVATION__INIT;
    char id[40];

    sim_client_request_id(client, id);
    wish.name = from->name;
    wish.zone = from->zone;
    wish.class_name = from->class_name;
    wish.count = from->count;
    request.reservation = &wish;
    request.request_id = id;
    sim_client_ask_setup(client, "CreateReservation", &request.base);
}

static void create_vm(struct sim_client *client, const Holdfast__V1__Vm *vm)
{
    Holdfast__V1__CreateVmRequest request =
        HOLDFAST__V1__CREATE_VM_REQUEST__INIT;
    Holdfast__V1__Vm wish = HOLDFAST__V1__VM__INIT;
    struct sim_template template;
    char id[40];

    sim_template_init(&template);
    sim_client_request_id(client, id);
    wish.name = vm->name;
    wish.class_name = vm->class_name;
    wish.zone = vm->zone;
    wish.priority = vm->priority;
    wish.on_partition = vm->on_partition;
    wish.desired = vm->desired;
    wish.template_ = vm->template_ == NULL ? &template.message : vm->template_;
    wish.labels = vm->labels;
    wish.n_labels = vm->n_labels;
    wish.preemptible = vm->preemptible;
    wish.host_selector = vm->host_selector;
    wish.n_host_selector = vm->n_host_selector;
    request.vm = &wish;
    request.request_id = id;
    sim_client_ask_setup(client, "CreateVm", &request.base);
}

static void cordon_zone(struct sim_client *client, const Holdfast__V1__Zone *at)
{
    Holdfast__V1__CordonZoneRequest cordon =
        HOLDFAST__V1__CORDON_ZONE_REQUEST__INIT;
    Holdfast__V1__UncordonZoneRequest uncordon =
        HOLDFAST__V1__UNCORDON_ZONE_REQUEST__INIT;
    char id[40];

    sim_client_request_id(client, id);
    cordon.name = uncordon.name = at->name;
    cordon.request_id = uncordon.request_id = id;
    if (at->cordoned) {
        sim_client_ask_setup(client, "CordonZone", &cordon.base);
    } else {
        sim_client_ask_setup(client, "UncordonZone", &uncordon.base);
    }
}

static void cordon_host(struct sim_client *client, const Holdfast__V1__Host *at)
{
    Holdfast__V1__CordonHostRequest cordon =
        HOLDFAST__V1__CORDON_HOST_REQUEST__INIT;
    Holdfast__V1__UncordonHostRequest uncordon =
        HOLDFAST__V1__UNCORDON_HOST_REQUEST__INIT;
    char id[40];

    sim_client_request_id(client, id);
    cordon.name = uncordon.name = at->name;
    cordon.request_id = uncordon.request_id = id;
    if (at->cordoned) {
        sim_client_ask_setup(client, "CordonHost", &cordon.base);
    } else {
        sim_client_ask_setup(client, "UncordonHost", &uncordon.base);
    }
}

/* Hosts register themselves. */
static bool all_hosts_are_there(const struct sim_world *world)
{
    const struct sim_node *leader = sim_world_leader(world);

    return leader != NULL &&
           state_counts(leader->engine.state)->hosts == world->host_count;
}

static bool ask_part(struct sim_client *client,
                     const Holdfast__V1__Manifest *manifest, enum part part,
                     uint32_t at)
{
    switch (part) {
    case PART_ZONES:
        create_zone(client, manifest->zones[at]->name);
        return true;
    case PART_SETTINGS:
        set_settings(client, manifest->settings);
        return true;
    case PART_CLASSES:
        create_class(client, manifest->classes[at]);
        return true;
    case PART_RESERVATIONS:
        reserve(client, manifest->reservations[at]);
        return true;
    case PART_ZONE_CORDONS:
        cordon_zone(client, manifest->zones[at]);
        return true;
    case PART_HOST_CORDONS:
        if (!all_hosts_are_there(sim_client_world(client))) {
            return false;
        }
        cordon_host(client, manifest->hosts[at]);
        return true;
    default:
        create_vm(client, manifest->vms[at]);
        return true;
    }
}

uint32_t sim_founder_steps(const struct sim_world *world)
{
    const struct sim_fleet *fleet = world->options.fleet;
    uint32_t steps = 0;

    if (fleet == NULL) {
        return world->zone_count + (world->rich ? SIM_CLASSES : 1);
    }
    for (int i = 0; i < PART_COUNT; i++) {
        steps += part_size(fleet->manifest, (enum part)i);
    }
    return steps;
}

bool sim_founder_asks(struct sim_client *client, uint32_t step)
{
    struct sim_world *world = sim_client_world(client);
    const struct sim_fleet *fleet = world->options.fleet;
    int part = PART_ZONES;

    if (fleet == NULL) {
        if (step < world->zone_count) {
            create_zone(client, sim_zone_name(world, step));
        } else {
            create_sim_class(client, step - world->zone_count);
        }
        return true;
    }
    while (step >= part_size(fleet->manifest, (enum part)part)) {
        step -= part_size(fleet->manifest, (enum part)part++);
        CHECK(part < PART_COUNT);
    }
    return ask_part(client, fleet->manifest, (enum part)part, step);
}
