/* SPDX-License-Identifier: Apache-2.0 */
#include "node/view.h"

#include "base/check.h"
#include "node/api_check.h"
#include "node/orders.h"
#include "placement/headroom.h"
#include "state/labels.h"

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

char *view_string(struct arena *arena, const char *string)
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

Holdfast__V1__Resources *view_resources(struct arena *arena,
                                        const struct state *state,
                                        const struct resources *resources,
                                        const struct amounts *named)
{
    Holdfast__V1__Resources *view = view_alloc(arena, sizeof(*view));

    holdfast__v1__resources__init(view);
    view->cpu_milli = resources->cpu_milli;
    view->memory_mib = resources->memory_mib;
    view->disk_gib = resources->disk_gib;
    view->gpu_count = resources->gpu_count;
    view->named = view_alloc(arena, NAMED_MAX * sizeof(*view->named));
    for (uint32_t slot = 0; slot < NAMED_MAX; slot++) {
        Holdfast__V1__Resources__NamedEntry *entry;

        if (named->of[slot] == 0) {
            continue;
        }
        entry = view_alloc(arena, sizeof(*entry));
        holdfast__v1__resources__named_entry__init(entry);
        entry->key = view_text(arena, state_named_name(state, slot));
        entry->value = named->of[slot];
        view->named[view->n_named++] = entry;
    }
    return view;
}

static Holdfast__V1__ZoneHeadroom *view_headroom(
    struct arena *arena, const struct state *state,
    const struct headroom_zone *zone)
{
    Holdfast__V1__ZoneHeadroom *view = view_alloc(arena, sizeof(*view));
    const struct class *class =
        zone->missing_class == SLOT_NONE
            ? NULL
            : state_class_at(state, zone->missing_class);
    char words[192];
    char message[384];

    holdfast__v1__zone_headroom__init(view);
    view->protected_count = zone->protected_count;
    view->unprotected_count = zone->unprotected_count;
    view->unplaceable_count = zone->unplaceable_count;
    view->revision = zone->revision;
    if (zone->unplaceable_count > 0 && class != NULL) {
        view_class_words(state, class, words, sizeof(words));
        snprintf(message, sizeof(message),
                 "%u VM%s would find no room, most of them of %s (%u); add "
                 "hosts in the other zones, or stop others",
                 zone->unplaceable_count,
                 zone->unplaceable_count == 1 ? "" : "s", words,
                 zone->missing_count);
        view->message = view_string(arena, message);
    }
    return view;
}

Holdfast__V1__Zone *view_zone(struct arena *arena, const struct state *state,
                              const struct zone *zone,
                              const struct placer *placer)
{
    Holdfast__V1__Zone *view = view_alloc(arena, sizeof(*view));
    struct headroom_zone headroom;

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
    view->draining = zone->draining != DRAIN_NO;
    view->drain_at_risk = zone->draining == DRAIN_AT_RISK;
    view->drain_deadline_ms = zone->drain_deadline_ms;
    if (placer != NULL &&
        headroom_zone(placer, state, uid_slot(zone->uid), &headroom)) {
        view->headroom = view_headroom(arena, state, &headroom);
    }
    return view;
}

Holdfast__V1__Class *view_class(struct arena *arena, const struct state *state,
                                const struct class *class)
{
    Holdfast__V1__Class *view = view_alloc(arena, sizeof(*view));

    holdfast__v1__class__init(view);
    view->name = view_string(arena, class->name);
    view->uid = class->uid;
    view->resources =
        view_resources(arena, state, &class->resources, &class->named);
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
    if (lease->book != NULL) {
        view->certificate_end_time_ms = lease->book->certificate_end_s * 1000;
    }
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

/* All entries of a map<string, string> are of one form. */
typedef Holdfast__V1__Vm__LabelsEntry map_entry;

void *view_map(struct arena *arena, struct text encoded, const void *prototype,
               size_t *count)
{
    map_entry **entries = view_alloc(arena, LABELS_MAX * sizeof(*entries));
    struct label label;

    *count = 0;
    while (labels_next(&encoded, &label)) {
        map_entry *entry = view_alloc(arena, sizeof(*entry));

        memcpy(entry, prototype, sizeof(*entry));
        entry->key = view_text(arena, label.key);
        entry->value = view_text(arena, label.value);
        entries[(*count)++] = entry;
    }
    return entries;
}

Holdfast__V1__Host *view_host(struct arena *arena, const struct state *state,
                              const struct host *host,
                              const struct leases *leases, uint64_t now_ms)
{
    static const Holdfast__V1__Host__LabelsEntry label =
        HOLDFAST__V1__HOST__LABELS_ENTRY__INIT;
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
    view->capacity =
        view_resources(arena, state, &host->capacity, &host->named_capacity);
    view->used = view_resources(arena, state, &host->used, &host->named_used);
    view->draining = host->draining != DRAIN_NO;
    view->drain_at_risk = host->draining == DRAIN_AT_RISK;
    view->drain_deadline_ms = host->drain_deadline_ms;
    if (host->claim_count > 0) {
        view->claimed =
            view_resources(arena, state, &host->claimed, &host->named_claimed);
    }
    view->vm_count = host->vm_count;
    view_pools(arena, state, host->pool_mask, view);
    view_drivers(arena, host->driver_mask, view);
    view->labels = view_map(arena, state_blob(state, host->labels_blob), &label,
                            &view->n_labels);
    view->generation = host->generation;
    view->revision = host->revision;
    view->create_time_ms = host->create_time_ms;
    if (leases != NULL && slot < leases->count &&
        leases->slots[slot].host_uid == host->uid) {
        view->lease = view_lease(arena, &leases->slots[slot], now_ms);
    }
    return view;
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

Holdfast__V1__VmTemplate *view_template(struct arena *arena,
                                        struct text encoded)
{
    ProtobufCAllocator allocator = {allocate, release, arena};

    return holdfast__v1__vm_template__unpack(&allocator, encoded.len,
                                             (const uint8_t *)encoded.data);
}

Holdfast__V1__Settings *view_both_settings(struct arena *arena,
                                           const struct settings *settings,
                                           const struct policy *policy)
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
    view->headroom = (Holdfast__V1__HeadroomMode)policy->headroom;
    view->_preempt_max_case = HOLDFAST__V1__SETTINGS___PREEMPT_MAX_PREEMPT_MAX;
    view->preempt_max = policy->preempt_max;
    view->rebalance = (Holdfast__V1__RebalanceMode)policy->rebalance;
    view->rebalance_start_permille = policy->rebalance_start_permille;
    view->rebalance_stop_permille = policy->rebalance_stop_permille;
    view->zone_moves = policy->zone_moves;
    view->host_moves = policy->host_moves;
    view->_vm_cool_down_ms_case =
        HOLDFAST__V1__SETTINGS___VM_COOL_DOWN_MS_VM_COOL_DOWN_MS;
    view->vm_cool_down_ms = policy->vm_cool_down_ms;
    view->rebalance_window_start_minute = policy->rebalance_window_start_minute;
    view->rebalance_window_end_minute = policy->rebalance_window_end_minute;
    view->audit_records_max = AUDIT_RECORDS_DEFAULT;
    return view;
}

Holdfast__V1__Settings *view_settings(struct arena *arena,
                                      const struct state *state)
{
    Holdfast__V1__Settings *view =
        view_both_settings(arena, state_settings(state), state_policy(state));

    view->revision = view_settings_revision(state);
    view->audit_records_max = state_audit_records_max(state);
    return view;
}

uint64_t view_settings_revision(const struct state *state)
{
    uint64_t settings = state_settings(state)->revision;
    uint64_t policy = state_policy(state)->revision;

    return settings > policy ? settings : policy;
}

Holdfast__V1__Reservation *view_reservation(
    struct arena *arena, const struct state *state,
    const struct reservation *reservation, const struct placer *placer)
{
    Holdfast__V1__Reservation *view = view_alloc(arena, sizeof(*view));
    struct placement_reserved reserved;

    holdfast__v1__reservation__init(view);
    view->name = view_string(arena, reservation->name);
    view->uid = reservation->uid;
    view->zone =
        view_string(arena, state_zone_at(state, reservation->zone)->name);
    view->class_name = view_string(
        arena, state_class_at(state, reservation->class_slot)->name);
    view->count = reservation->count;
    view->revision = reservation->revision;
    view->create_time_ms = reservation->create_time_ms;
    if (placer != NULL) {
        placer_reserved(placer, state, uid_slot(reservation->uid), &reserved);
        view->free_count = reserved.free_count;
        view->used_count = reserved.used_count;
        view->missing_count = reserved.missing_count;
    }
    return view;
}

void view_class_words(const struct state *state, const struct class *class,
                      char *words, size_t size)
{
    const struct resources *r = &class->resources;
    int len;

    if (!class->custom) {
        snprintf(words, size, "class '%s'", class->name);
        return;
    }
    len = snprintf(words, size,
                   "size cpu_milli %u, memory_mib %u, disk_gib %u, gpu_count "
                   "%u",
                   r->cpu_milli, r->memory_mib, r->disk_gib, r->gpu_count);
    for (uint32_t slot = 0; slot < NAMED_MAX; slot++) {
        struct text name = state_named_name(state, slot);

        if (class->named.of[slot] > 0 && len > 0 && (size_t)len < size) {
            len += snprintf(words + len, size - (size_t)len, ", %.*s %u",
                            (int)name.len, name.data, class->named.of[slot]);
        }
    }
}
