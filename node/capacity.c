/* SPDX-License-Identifier: Apache-2.0 */
#include "node/capacity.h"

#include "base/check.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

#define NO_ZONE UINT32_MAX

void capacity_begin(struct capacity *capacity,
                    const struct planner_start *start,
                    const struct class_id *classes, uint32_t count)
{
    *capacity = (struct capacity){
        .start = *start,
        .state = state_clone(start->state),
        .placer = placer_create(),
        .classes = memory_alloc_array(count, sizeof(*capacity->classes)),
        .zone = NO_ZONE,
        .counting = true,
    };
    capacity->start.state = capacity->state;
    capacity->start.placer = NULL;
    if (start->placer != NULL) {
        placer_share(capacity->placer, start->placer);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (state_class(capacity->state, classes[i]) != NULL) {
            capacity->classes[capacity->class_count++].slot =
                uid_slot(classes[i].uid);
        }
    }
    placer_rebuild_begin(capacity->placer, capacity->state);
    api_reply_init(&capacity->reply);
}

static void end_planner(struct capacity *capacity)
{
    if (capacity->planning) {
        planner_close(&capacity->planner);
        capacity->planning = false;
    }
}

void capacity_close(struct capacity *capacity)
{
    end_planner(capacity);
    placer_destroy(capacity->placer);
    state_destroy(capacity->state);
    free(capacity->classes);
    api_reply_close(&capacity->reply);
}

/* --- Counting ------------------------------------------------------------ */

static uint64_t fits(uint32_t capacity, uint32_t used, uint32_t claimed,
                     uint32_t wanted, uint64_t most)
{
    uint64_t taken = (uint64_t)used + claimed;
    uint64_t count = capacity > taken ? capacity - taken : 0;

    if (wanted == 0) {
        return most;
    }
    count /= wanted;
    return count < most ? count : most;
}

static uint64_t count_host(const struct host *host, const struct class *class)
{
    uint64_t vms = (uint64_t)host->vm_count + host->claim_count;
    uint64_t most =
        vms < PLACEMENT_HOST_VMS_MAX ? PLACEMENT_HOST_VMS_MAX - vms : 0;

    most = fits(host->capacity.cpu_milli, host->used.cpu_milli,
                host->claimed.cpu_milli, class->resources.cpu_milli, most);
    most = fits(host->capacity.memory_mib, host->used.memory_mib,
                host->claimed.memory_mib, class->resources.memory_mib, most);
    most = fits(host->capacity.disk_gib, host->used.disk_gib,
                host->claimed.disk_gib, class->resources.disk_gib, most);
    most = fits(host->capacity.gpu_count, host->used.gpu_count,
                host->claimed.gpu_count, class->resources.gpu_count, most);
    for (uint32_t i = 0; i < NAMED_MAX; i++) {
        most = fits(host->named_capacity.of[i], host->named_used.of[i],
                    host->named_claimed.of[i], class->named.of[i], most);
    }
    return most;
}

static bool offers(const struct state *state, uint32_t zone_slot,
                   const struct class *class)
{
    const struct zone *zone = state_zone_at(state, zone_slot);

    return zone->state == ZONE_UP && !zone->cordoned && !zone->draining &&
           (class->zone_mask == 0 || class->zone_mask >> zone_slot & 1);
}

static uint64_t parts(uint32_t whole, uint32_t part)
{
    return part == 0 ? 0 : ((uint64_t)whole + part - 1) / part;
}

/* VMs of the class whose room one slot of the reserved class may take. */
static uint64_t slots_of(const struct class *reserved,
                         const struct class *class)
{
    uint64_t cpu =
        parts(reserved->resources.cpu_milli, class->resources.cpu_milli);
    uint64_t memory =
        parts(reserved->resources.memory_mib, class->resources.memory_mib);

    return cpu > memory ? cpu : memory;
}

static void take_reserved(const struct state *state,
                          const struct placer *placer,
                          const struct class *class, uint64_t *zones)
{
    for (uint32_t slot = 0; slot < state_reservation_slots(state); slot++) {
        const struct reservation *reservation =
            state_reservation_at(state, slot);
        struct placement_reserved reserved;
        uint64_t taken;

        if (reservation == NULL) {
            continue;
        }
        placer_reserved(placer, state, slot, &reserved);
        taken = reserved.free_count *
                slots_of(state_class_at(state, reservation->class_slot), class);
        zones[reservation->zone] = zones[reservation->zone] > taken
                                       ? zones[reservation->zone] - taken
                                       : 0;
    }
}

static void count_class(const struct state *state, const struct placer *placer,
                        uint32_t class_slot, uint64_t zones[ZONES_MAX])
{
    const struct class *class = state_class_at(state, class_slot);

    for (uint32_t i = 0; i < ZONES_MAX; i++) {
        zones[i] = 0;
    }
    for (uint32_t slot = 0; slot < state_host_slots(state); slot++) {
        const struct host *host = state_host_at(state, slot);

        if (host != NULL && host->state == HOST_UP && !host->cordoned &&
            !host->draining && offers(state, host->zone, class)) {
            zones[host->zone] += count_host(host, class);
        }
    }
    take_reserved(state, placer, class, zones);
}

static uint64_t sum(const uint64_t zones[ZONES_MAX])
{
    uint64_t total = 0;

    for (uint32_t i = 0; i < ZONES_MAX; i++) {
        total += zones[i];
    }
    return total;
}

/* --- Zone by zone -------------------------------------------------------- */

static void count_next(struct capacity *capacity)
{
    struct capacity_class *class = &capacity->classes[capacity->next_class++];
    uint64_t zones[ZONES_MAX];

    if (capacity->zone == NO_ZONE) {
        count_class(capacity->state, capacity->placer, class->slot,
                    class->free);
        return;
    }
    count_class(capacity->planner.plan.scratch, capacity->planner.plan.placer,
                class->slot, zones);
    class->without[capacity->zone] = sum(zones);
}

/* The next zone whose loss is a question: lost ones are lost already. */
static bool next_zone(struct capacity *capacity)
{
    end_planner(capacity);
    capacity->counting = false;
    capacity->next_class = 0;
    for (capacity->zone = capacity->zone == NO_ZONE ? 0 : capacity->zone + 1;
         capacity->zone < state_zone_slots(capacity->state); capacity->zone++) {
        const struct zone *zone =
            state_zone_at(capacity->state, capacity->zone);

        if (zone != NULL && zone->state != ZONE_LOST) {
            return true;
        }
    }
    return false;
}

static void begin_loss(struct capacity *capacity)
{
    snprintf(capacity->name, sizeof(capacity->name), "%s",
             state_zone_at(capacity->state, capacity->zone)->name);
    capacity->names[0] = capacity->name;
    holdfast__v1__plan_zone_loss__init(&capacity->loss);
    capacity->loss.zones = capacity->names;
    capacity->loss.n_zones = 1;
    holdfast__v1__plan_action__init(&capacity->action);
    capacity->action.action_case = HOLDFAST__V1__PLAN_ACTION__ACTION_ZONE_LOSS;
    capacity->action.zone_loss = &capacity->loss;
    planner_begin(&capacity->planner, &capacity->start, &capacity->action, true,
                  &capacity->reply);
    placer_share(capacity->planner.plan.placer, capacity->placer);
    capacity->planning = true;
}

/* VMs that lost their host in this plan and lack nothing but room. */
static void see_unplaced(struct capacity *capacity)
{
    const struct state *state = capacity->planner.plan.scratch;

    for (uint32_t slot = state_pending_first(state); slot != SLOT_NONE;) {
        const struct vm *vm = state_vm_at(state, slot);
        const struct vm *before = state_vm_at(capacity->state, slot);

        capacity->unsafe |= vm->pending_reason == PENDING_NO_CAPACITY &&
                            before != NULL && before->host != SLOT_NONE;
        slot = vm->host_next;
    }
}

bool capacity_work(struct capacity *capacity)
{
    if (!placer_work(capacity->placer, capacity->state, PLACER_SLICE_HOSTS)) {
        return false;
    }
    if (capacity->counting) {
        if (capacity->next_class < capacity->class_count) {
            count_next(capacity);
            return false;
        }
        if (!next_zone(capacity)) {
            return true;
        }
        begin_loss(capacity);
        return false;
    }
    if (!capacity->planning) {
        return true;
    }
    if (planner_work(&capacity->planner)) {
        CHECK(capacity->planner.phase == PLANNER_DONE);
        see_unplaced(capacity);
        capacity->counting = true;
    }
    return false;
}

uint64_t capacity_free(const struct capacity *capacity,
                       const struct capacity_class *class)
{
    (void)capacity;
    return sum(class->free);
}

/* With n more of them running: when a zone is lost, all n have to be where that
 * zone is not, and fit there beside what was evacuated to it. So many may be
 * added whatever zones they are in. */
uint64_t capacity_safe(const struct capacity *capacity,
                       const struct capacity_class *class)
{
    uint64_t safe = sum(class->free);

    if (capacity->unsafe) {
        return 0;
    }
    for (uint32_t slot = 0; slot < state_zone_slots(capacity->state); slot++) {
        const struct zone *zone = state_zone_at(capacity->state, slot);

        if (zone != NULL && zone->state != ZONE_LOST &&
            class->without[slot] < safe) {
            safe = class->without[slot];
        }
    }
    return safe;
}
