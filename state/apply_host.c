/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes of hosts: registration, fencing, cordons and drains. */
#include "base/bytes.h"
#include "base/check.h"
#include "state/internal.h"

#include <string.h>

/* Adds the host to, or takes it from, what its zone shows of hosts that are
 * up. */
static void zone_count_up(struct state *state, const struct host *host,
                          int sign)
{
    struct zone *zone = record_edit(state, TABLE_ZONE, host->zone);

    zone->host_up_count += (uint32_t)sign;
    resource_sum_add(&zone->capacity, &host->capacity, sign);
    resource_sum_add(&zone->used, &host->used, sign);
    record_edited(state, TABLE_ZONE, host->zone);
    state->counts.hosts_up += (uint32_t)sign;
}

static void append_part(struct bytes *out, struct text part)
{
    CHECK(part.len <= 255);
    bytes_append_u8(out, (uint8_t)part.len);
    bytes_append(out, part.data, part.len);
}

static uint32_t intern_identity(struct state *state,
                                const struct change_host_register *change)
{
    struct bytes packed;
    uint32_t blob;

    bytes_init(&packed);
    append_part(&packed, change->fault_domain);
    append_part(&packed, change->host_id);
    append_part(&packed, change->boot_id);
    append_part(&packed, change->agent_version);
    blob = blobs_intern(&state->blobs, (struct text){(const char *)packed.data,
                                                     (uint32_t)packed.len});
    bytes_close(&packed);
    return blob;
}

static struct text take_part(struct bytes_reader *reader)
{
    uint32_t len = bytes_read_u8(reader);

    return (struct text){(const char *)bytes_read(reader, len), len};
}

void state_host_identity(const struct state *state, const struct host *host,
                         struct host_identity *identity)
{
    struct text packed = state_blob(state, host->identity_blob);
    struct bytes_reader reader;

    bytes_reader_init(&reader, packed.data, packed.len);
    identity->fault_domain = take_part(&reader);
    identity->host_id = take_part(&reader);
    identity->boot_id = take_part(&reader);
    identity->agent_version = take_part(&reader);
    CHECK(!reader.failed && reader.len == 0);
}

struct text state_host_fault_domain(const struct state *state,
                                    const struct host *host)
{
    struct text packed = state_blob(state, host->identity_blob);
    struct bytes_reader reader;

    bytes_reader_init(&reader, packed.data, packed.len);
    return take_part(&reader); /* The first one. */
}

static uint32_t host_create(struct state *state,
                            const struct change_host_register *change)
{
    uint32_t slot = record_create(state, TABLE_HOST, change->name);
    struct host *host = record_edit(state, TABLE_HOST, slot);

    host->state = HOST_LOST;
    host->zone = slot_of_zone(state, change->zone);
    host->vm_first = SLOT_NONE;
    record_edited(state, TABLE_HOST, slot);
    state->counts.hosts++;
    return slot;
}

static void zone_count_hosts(struct state *state, uint32_t zone_slot, int sign)
{
    struct zone *zone = record_edit(state, TABLE_ZONE, zone_slot);

    zone->host_count += (uint32_t)sign;
    record_edited(state, TABLE_ZONE, zone_slot);
}

/* A `keep` VM that was LOST with its host is assigned to it again: it may run
 * there, and the agent's reports will tell. */
static void revive_vms(struct state *state, uint32_t host_slot,
                       struct event_sink *sink)
{
    const struct host *host = table_get(&state->tables[TABLE_HOST], host_slot);
    uint32_t slot = host->vm_first;

    while (slot != SLOT_NONE) {
        const struct vm *seen = table_get(&state->tables[TABLE_VM], slot);

        if (seen->state == VM_LOST) {
            struct vm *vm;

            telling_about(state, TABLE_VM, slot);
            vm = record_edit(state, TABLE_VM, slot);
            vm_set_state(state, vm,
                         vm->deleting || vm->moving == MOVE_UNDER_WAY ||
                                 vm->desired == DESIRED_STOPPED
                             ? VM_STOPPING
                             : VM_ASSIGNED);
            vm->revision = next_revision(state);
            record_edited(state, TABLE_VM, slot);
            emit(state, sink, TABLE_VM, slot, false);
        }
        seen = table_get(&state->tables[TABLE_VM], slot);
        slot = seen->host_next;
    }
}

/* The slot of the host, new if need be, in the zone that is told now. What is
 * on its way to it was chosen for the zone where it was. */
static uint32_t host_in_zone(struct state *state,
                             const struct change_host_register *change,
                             struct event_sink *sink)
{
    uint32_t slot = record_named(state, TABLE_HOST, change->name);
    uint32_t zone = slot_of_zone(state, change->zone);
    struct host *host;

    if (slot == SLOT_NONE) {
        slot = host_create(state, change);
        zone_count_hosts(state, zone, 1);
        return slot;
    }
    if (((const struct host *)table_get(&state->tables[TABLE_HOST], slot))
            ->zone == zone) {
        return slot;
    }
    claims_give_up(state, slot, sink);
    host = record_edit(state, TABLE_HOST, slot);
    CHECK(host->vm_count == 0);
    if (host->state == HOST_UP) {
        zone_count_up(state, host, -1);
        host->state = HOST_LOST; /* Until it is counted in the other zone. */
    }
    zone_count_hosts(state, host->zone, -1);
    zone_count_hosts(state, zone, 1);
    host->zone = zone;
    record_edited(state, TABLE_HOST, slot);
    return slot;
}

static void set_what_agent_says(struct state *state, struct host *host,
                                const struct change_host_register *change)
{
    uint32_t identity = intern_identity(state, change);
    uint32_t labels = blobs_intern(&state->blobs, change->labels);

    blobs_release(&state->blobs, host->identity_blob);
    blobs_release(&state->blobs, host->labels_blob);
    host->identity_blob = identity;
    host->labels_blob = labels;
    host->capacity = change->capacity;
    host->pool_mask = pool_bits(state, change->pools, change->pool_count);
    amounts_of(state, change->named, change->named_count,
               &host->named_capacity);
    host->driver_mask = (uint8_t)change->driver_mask;
}

static void host_register(struct state *state,
                          const struct change_host_register *change,
                          struct event_sink *sink)
{
    uint32_t slot = host_in_zone(state, change, sink);
    struct host *host = record_edit(state, TABLE_HOST, slot);

    if (host->state == HOST_UP) {
        zone_count_up(state, host, -1);
    }
    set_what_agent_says(state, host, change);
    host->generation++;
    host->state = HOST_UP;
    host->fence_proof = 0;
    host->state_time_ms = state->head.time_ms;
    host->revision = next_revision(state);
    record_edited(state, TABLE_HOST, slot);
    zone_count_up(state, host, 1);
    emit(state, sink, TABLE_HOST, slot, false);
    telling_follow(state, CAUSE_HOST_RETURNED);
    revive_vms(state, slot, sink);
}

/* Rule 1: a `keep` VM runs on when its host is cut off, so the end of the
 * lease proves nothing about it. */
static bool proves_gone(const struct vm *vm, enum fence_proof proof)
{
    return proof != FENCE_LEASE_ENDED ||
           vm->on_partition_active == ON_PARTITION_MOVE;
}

static void fence_vms(struct state *state, uint32_t host_slot,
                      enum fence_proof proof, struct event_sink *sink)
{
    const struct host *host = table_get(&state->tables[TABLE_HOST], host_slot);
    uint32_t slot = host->vm_first;

    while (slot != SLOT_NONE) {
        const struct vm *vm = table_get(&state->tables[TABLE_VM], slot);
        uint32_t next = vm->host_next;

        telling_about(state, TABLE_VM, slot);
        if (proves_gone(vm, proof)) {
            struct change_vm_release release = {
                .vm = {vm->uid},
                .epoch = vm->epoch,
                .reason = {"fenced", 6},
            };

            vm_release(state, slot, &release, true, sink);
        } else if (vm->state != VM_LOST) {
            struct vm *lost = record_edit(state, TABLE_VM, slot);

            vm_set_state(state, lost, VM_LOST);
            if (lost->moving == MOVE_CLAIMED) {
                vm_end_move(state, lost, slot); /* Its turn cannot come. */
            }
            lost->revision = next_revision(state);
            record_edited(state, TABLE_VM, slot);
            emit(state, sink, TABLE_VM, slot, false);
        }
        slot = next;
    }
}

static void host_fence(struct state *state,
                       const struct change_host_fence *change,
                       struct event_sink *sink)
{
    uint32_t slot = slot_of_host(state, change->host);
    struct host *host = record_edit(state, TABLE_HOST, slot);

    CHECK(change->proof >= FENCE_LEASE_ENDED &&
          change->proof <= FENCE_DECLARED);
    if (host->state == HOST_UP) {
        zone_count_up(state, host, -1);
        host->state_time_ms = state->head.time_ms;
    }
    host->state = HOST_LOST;
    host->fence_proof = (uint8_t)change->proof;
    host->revision = next_revision(state);
    record_edited(state, TABLE_HOST, slot);
    emit(state, sink, TABLE_HOST, slot, false);
    telling_follow(state, CAUSE_HOST_LOST);
    claims_give_up(state, slot, sink);
    fence_vms(state, slot, change->proof, sink);
}

static void set_draining(struct state *state, struct host *host,
                         const struct change_host_drain *change)
{
    state->counts.hosts_draining -= host->draining != DRAIN_NO;
    host->draining = drain_mode_of(change->draining, change->at_risk);
    host->drain_deadline_ms = change->draining ? change->deadline_ms : 0;
    state->counts.hosts_draining += host->draining != DRAIN_NO;
    if (change->number != 0) {
        host->drain_number = change->number;
        host->drain_end = change->draining ? 0 : (uint8_t)change->end;
    }
}

void apply_host(struct state *state, const struct change *change,
                struct event_sink *sink)
{
    uint32_t slot;
    struct host *host;

    if (change->kind == CHANGE_HOST_REGISTER) {
        host_register(state, &change->host_register, sink);
        return;
    }
    if (change->kind == CHANGE_HOST_FENCE) {
        host_fence(state, &change->host_fence, sink);
        return;
    }
    slot = slot_of_host(state, change->kind == CHANGE_HOST_DRAIN
                                   ? change->host_drain.host
                                   : change->host_cordon.host);
    host = record_edit(state, TABLE_HOST, slot);
    if (change->kind == CHANGE_HOST_DRAIN) {
        set_draining(state, host, &change->host_drain);
    } else {
        host->cordoned = change->host_cordon.cordoned;
    }
    host->revision = next_revision(state);
    record_edited(state, TABLE_HOST, slot);
    emit(state, sink, TABLE_HOST, slot, false);
}
