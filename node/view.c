/* SPDX-License-Identifier: Apache-2.0 */
#include "node/view.h"

#include "base/check.h"
#include "node/api_check.h"
#include "node/orders.h"
#include "placement/placement.h"
#include "state/labels.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The ceiling of these arenas is far above what a page of a list takes, so
 * running into it is a bug. */
void *view_alloc(struct arena *arena, size_t size)
{
    void *memory = arena_alloc(arena, size);

    CHECK(memory != NULL);
    return memory;
}

char *view_text(struct arena *arena, struct text text)
{
    char *copy = view_alloc(arena, (size_t)text.len + 1);

    if (text.len > 0) {
        memcpy(copy, text.data, text.len);
    }
    copy[text.len] = '\0';
    return copy;
}

static char *view_string(struct arena *arena, const char *string)
{
    return view_text(arena, text_of(string));
}

static uint32_t clamp32(uint64_t value)
{
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static Holdfast__V1__Resources *view_sum(struct arena *arena,
                                         const struct resource_sum *sum)
{
    Holdfast__V1__Resources *view = view_alloc(arena, sizeof(*view));

    holdfast__v1__resources__init(view);
    view->cpu_milli = clamp32(sum->cpu_milli);
    view->memory_mib = clamp32(sum->memory_mib);
    view->disk_gib = clamp32(sum->disk_gib);
    return view;
}

static Holdfast__V1__Resources *view_resources(
    struct arena *arena, const struct resources *resources)
{
    struct resource_sum sum = {resources->cpu_milli, resources->memory_mib,
                               resources->disk_gib};

    return view_sum(arena, &sum);
}

Holdfast__V1__Zone *view_zone(struct arena *arena, const struct state *state,
                              const struct zone *zone)
{
    Holdfast__V1__Zone *view = view_alloc(arena, sizeof(*view));

    (void)state;
    holdfast__v1__zone__init(view);
    view->name = view_string(arena, zone->name);
    view->uid = zone->uid;
    view->state = (Holdfast__V1__ZoneState)zone->state;
    view->cordoned = zone->cordoned;
    view->host_count = zone->host_count;
    view->host_up_count = zone->host_up_count;
    view->vm_count = zone->vm_count;
    view->capacity = view_sum(arena, &zone->capacity);
    view->used = view_sum(arena, &zone->used);
    view->revision = zone->revision;
    view->create_time_ms = zone->create_time_ms;
    return view;
}

Holdfast__V1__Class *view_class(struct arena *arena, const struct state *state,
                                const struct class *class)
{
    Holdfast__V1__Class *view = view_alloc(arena, sizeof(*view));

    holdfast__v1__class__init(view);
    view->name = view_string(arena, class->name);
    view->uid = class->uid;
    view->resources = view_resources(arena, &class->resources);
    view->zones = view_alloc(arena, ZONES_MAX * sizeof(char *));
    for (uint32_t slot = 0; slot < state_zone_slots(state); slot++) {
        if (class->zone_mask >> slot & 1) {
            view->zones[view->n_zones++] =
                view_string(arena, state_zone_at(state, slot)->name);
        }
    }
    view->vm_count = class->vm_count;
    view->revision = class->revision;
    view->create_time_ms = class->create_time_ms;
    return view;
}

static Holdfast__V1__HostLease *view_lease(struct arena *arena,
                                           const struct lease *lease,
                                           uint64_t now_ms)
{
    Holdfast__V1__HostLease *view = view_alloc(arena, sizeof(*view));

    holdfast__v1__host_lease__init(view);
    view->connected = lease->book != NULL;
    if (lease->book != NULL && lease->book->unknown_count > 0) {
        view->n_unknown_vm_uids = lease->book->unknown_count;
        view->unknown_vm_uids = view_alloc(
            arena, view->n_unknown_vm_uids * sizeof(*view->unknown_vm_uids));
        memcpy(view->unknown_vm_uids, lease->book->unknown,
               view->n_unknown_vm_uids * sizeof(*view->unknown_vm_uids));
    }
    view->remaining_ms =
        lease->expires_ms > now_ms ? clamp32(lease->expires_ms - now_ms) : 0;
    return view;
}

static void view_pools(struct arena *arena, const struct state *state,
                       uint64_t mask, Holdfast__V1__Host *view)
{
    view->pools = view_alloc(arena, POOLS_MAX * sizeof(char *));
    for (uint32_t slot = 0; slot < POOLS_MAX; slot++) {
        if (mask >> slot & 1) {
            view->pools[view->n_pools++] =
                view_text(arena, state_pool_name(state, slot));
        }
    }
}

static void view_drivers(struct arena *arena, uint32_t mask,
                         Holdfast__V1__Host *view)
{
    view->drivers = view_alloc(arena, 8 * sizeof(*view->drivers));
    for (int driver = DRIVER_QEMU; driver <= DRIVER_EXEC; driver++) {
        if (mask >> driver & 1) {
            view->drivers[view->n_drivers++] = (Holdfast__V1__Driver)driver;
        }
    }
}

static void view_host_labels(struct arena *arena, struct text encoded,
                             Holdfast__V1__Host *view)
{
    struct label label;

    view->labels = view_alloc(arena, LABELS_MAX * sizeof(*view->labels));
    while (labels_next(&encoded, &label)) {
        Holdfast__V1__Host__LabelsEntry *entry =
            view_alloc(arena, sizeof(*entry));

        holdfast__v1__host__labels_entry__init(entry);
        entry->key = view_text(arena, label.key);
        entry->value = view_text(arena, label.value);
        view->labels[view->n_labels++] = entry;
    }
}

Holdfast__V1__Host *view_host(struct arena *arena, const struct state *state,
                              const struct host *host,
                              const struct leases *leases, uint64_t now_ms)
{
    Holdfast__V1__Host *view = view_alloc(arena, sizeof(*view));
    struct host_identity identity;
    uint32_t slot = uid_slot(host->uid);

    holdfast__v1__host__init(view);
    state_host_identity(state, host, &identity);
    view->name = view_string(arena, host->name);
    view->uid = host->uid;
    view->zone = view_string(arena, state_zone_at(state, host->zone)->name);
    view->fault_domain = view_text(arena, identity.fault_domain);
    view->agent_version = view_text(arena, identity.agent_version);
    view->state = (Holdfast__V1__HostState)host->state;
    view->cordoned = host->cordoned;
    view->capacity = view_resources(arena, &host->capacity);
    view->used = view_resources(arena, &host->used);
    view->vm_count = host->vm_count;
    view_pools(arena, state, host->pool_mask, view);
    view_drivers(arena, host->driver_mask, view);
    view_host_labels(arena, state_blob(state, host->labels_blob), view);
    view->generation = host->generation;
    view->revision = host->revision;
    view->create_time_ms = host->create_time_ms;
    if (leases != NULL && slot < leases->count &&
        leases->slots[slot].host_uid == host->uid) {
        view->lease = view_lease(arena, &leases->slots[slot], now_ms);
    }
    return view;
}

static void view_vm_labels(struct arena *arena, struct text encoded,
                           Holdfast__V1__Vm *view)
{
    struct label label;

    view->labels = view_alloc(arena, LABELS_MAX * sizeof(*view->labels));
    while (labels_next(&encoded, &label)) {
        Holdfast__V1__Vm__LabelsEntry *entry =
            view_alloc(arena, sizeof(*entry));

        holdfast__v1__vm__labels_entry__init(entry);
        entry->key = view_text(arena, label.key);
        entry->value = view_text(arena, label.value);
        view->labels[view->n_labels++] = entry;
    }
}

static void *allocate(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void release(void *arena, void *memory)
{
    (void)arena;
    (void)memory;
}

static Holdfast__V1__VmTemplate *view_template(struct arena *arena,
                                               struct text encoded)
{
    ProtobufCAllocator allocator = {allocate, release, arena};

    return holdfast__v1__vm_template__unpack(&allocator, encoded.len,
                                             (const uint8_t *)encoded.data);
}

static char *pending_message(struct arena *arena, const struct state *state,
                             const struct vm *vm)
{
    struct placement_request request = {vm, SLOT_NONE};
    struct placement_choice choice;
    struct placer *placer;
    char words[512];

    if (vm->pending_reason == PENDING_HELD_BY_POLICY) {
        uint64_t now_ms = state_time_ms(state);
        uint64_t left_ms =
            vm->not_before_ms > now_ms ? vm->not_before_ms - now_ms : 0;

        snprintf(words, sizeof(words),
                 "it ended by itself, so far %u times; it is started again "
                 "%" PRIu64 " s from now at the latest",
                 vm->restart_count, (left_ms + 999) / 1000);
        return view_string(arena, words);
    }
    placer = placer_create();
    placer_rebuild(placer, state);
    placer_choose(placer, state, &request, &choice);
    placer_destroy(placer);
    if (choice.host != SLOT_NONE) {
        return view_string(arena, "placed in the next turn");
    }
    placement_explain(state, &choice, words, sizeof(words));
    return view_string(arena, words);
}

static char *zone_name(struct arena *arena, const struct state *state,
                       uint32_t slot)
{
    return slot == SLOT_NONE
               ? view_string(arena, "")
               : view_string(arena, state_zone_at(state, slot)->name);
}

static char *host_name(struct arena *arena, const struct state *state,
                       uint32_t slot)
{
    return slot == SLOT_NONE
               ? view_string(arena, "")
               : view_string(arena, state_host_at(state, slot)->name);
}

static Holdfast__V1__VmStatus *view_status(struct arena *arena,
                                           const struct state *state,
                                           const struct vm *vm, bool explain)
{
    Holdfast__V1__VmStatus *view = view_alloc(arena, sizeof(*view));

    holdfast__v1__vm_status__init(view);
    view->state = (Holdfast__V1__VmState)vm->state;
    view->host = host_name(arena, state, vm->host);
    view->zone =
        zone_name(arena, state,
                  vm->host == SLOT_NONE ? SLOT_NONE
                                        : state_host_at(state, vm->host)->zone);
    view->epoch = vm->epoch;
    view->pending_reason = (Holdfast__V1__PendingReason)vm->pending_reason;
    if (explain && vm->state == VM_PENDING) {
        view->message = pending_message(arena, state, vm);
    }
    view->restart_count = vm->restart_count;
    view->state_time_ms = vm->state_time_ms;
    view->deleting = vm->deleting;
    view->move_zone = zone_name(arena, state, vm->move_zone);
    view->move_host = host_name(arena, state, vm->move_host);
    view->last_end = view_text(arena, state_blob(state, vm->end_blob));
    if (vm->host != SLOT_NONE) {
        view->on_partition_active =
            (Holdfast__V1__OnPartition)vm->on_partition_active;
    }
    return view;
}

Holdfast__V1__Vm *view_vm(struct arena *arena, const struct state *state,
                          const struct vm *vm, bool explain)
{
    Holdfast__V1__Vm *view = view_alloc(arena, sizeof(*view));

    holdfast__v1__vm__init(view);
    view->name = view_string(arena, vm->name);
    view->uid = vm->uid;
    view->class_name =
        view_string(arena, state_class_at(state, vm->class_slot)->name);
    view->zone = zone_name(arena, state, vm->zone);
    view->priority = vm->priority;
    view->on_partition = (Holdfast__V1__OnPartition)vm->on_partition;
    view->desired = (Holdfast__V1__DesiredState)vm->desired;
    view->template_ =
        view_template(arena, state_blob(state, vm->template_blob));
    view_vm_labels(arena, state_blob(state, vm->labels_blob), view);
    view->revision = vm->revision;
    view->create_time_ms = vm->create_time_ms;
    view->status = view_status(arena, state, vm, explain);
    return view;
}

Holdfast__V1__Settings *view_settings(struct arena *arena,
                                      const struct settings *settings)
{
    Holdfast__V1__Settings *view = view_alloc(arena, sizeof(*view));

    holdfast__v1__settings__init(view);
    view->lease_wait_ms = settings->lease_wait_ms;
    view->lease_run_ms = settings->lease_run_ms;
    view->renew_ms = settings->renew_ms;
    view->kill_budget_ms = settings->kill_budget_ms;
    view->margin_ms = settings->margin_ms;
    view->clock_error_permille = settings->clock_error_permille;
    view->zone_loss_permille = settings->zone_loss_permille;
    view->storm_permille = settings->storm_permille;
    view->zone_hold_ms = settings->zone_hold_ms;
    view->start_parallel = settings->start_parallel;
    view->revision = settings->revision;
    return view;
}
