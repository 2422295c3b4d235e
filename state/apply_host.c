/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes of hosts: registration and fencing. */
#include "base/bytes.h"
#include "base/check.h"
#include "state/internal.h"

#include <string.h>

void resources_add(struct resources *sum, const struct resources *part,
                   int sign)
{
    if (sign > 0) {
        sum->cpu_milli += part->cpu_milli;
        sum->memory_mib += part->memory_mib;
        sum->disk_gib += part->disk_gib;
        return;
    }
    CHECK(sum->cpu_milli >= part->cpu_milli &&
          sum->memory_mib >= part->memory_mib &&
          sum->disk_gib >= part->disk_gib);
    sum->cpu_milli -= part->cpu_milli;
    sum->memory_mib -= part->memory_mib;
    sum->disk_gib -= part->disk_gib;
}

void resource_sum_add(struct resource_sum *sum, const struct resources *part,
                      int sign)
{
    if (sign > 0) {
        sum->cpu_milli += part->cpu_milli;
        sum->memory_mib += part->memory_mib;
        sum->disk_gib += part->disk_gib;
        return;
    }
    CHECK(sum->cpu_milli >= part->cpu_milli &&
          sum->memory_mib >= part->memory_mib &&
          sum->disk_gib >= part->disk_gib);
    sum->cpu_milli -= part->cpu_milli;
    sum->memory_mib -= part->memory_mib;
    sum->disk_gib -= part->disk_gib;
}

static bool part_fits(uint32_t capacity, uint32_t used, uint32_t wanted)
{
    return used <= capacity && wanted <= capacity - used;
}

bool host_fits(const struct host *host, const struct resources *wanted)
{
    return part_fits(host->capacity.cpu_milli, host->used.cpu_milli,
                     wanted->cpu_milli) &&
           part_fits(host->capacity.memory_mib, host->used.memory_mib,
                     wanted->memory_mib) &&
           part_fits(host->capacity.disk_gib, host->used.disk_gib,
                     wanted->disk_gib);
}

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
            struct vm *vm = record_edit(state, TABLE_VM, slot);

            vm_set_state(state, vm,
                         vm->deleting || vm->moving ||
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

static void host_register(struct state *state,
                          const struct change_host_register *change,
                          struct event_sink *sink)
{
    uint32_t slot = record_named(state, TABLE_HOST, change->name);
    uint32_t zone = slot_of_zone(state, change->zone);
    uint32_t identity = intern_identity(state, change);
    uint32_t labels = blobs_intern(&state->blobs, change->labels);
    uint64_t pool_mask = 0;
    bool created = slot == SLOT_NONE;
    struct host *host;

    for (uint32_t i = 0; i < change->pool_count; i++) {
        pool_mask |= UINT64_C(1) << pool_slot(state, change->pools[i]);
    }
    if (created) {
        slot = host_create(state, change);
        zone_count_hosts(state, zone, 1);
    }
    host = record_edit(state, TABLE_HOST, slot);
    if (host->state == HOST_UP) {
        zone_count_up(state, host, -1);
    }
    if (host->zone != zone) {
        CHECK(host->vm_count == 0);
        zone_count_hosts(state, host->zone, -1);
        zone_count_hosts(state, zone, 1);
        host->zone = zone;
    }
    blobs_release(&state->blobs, host->identity_blob);
    blobs_release(&state->blobs, host->labels_blob);
    host->identity_blob = identity;
    host->labels_blob = labels;
    host->capacity = change->capacity;
    host->pool_mask = pool_mask;
    host->driver_mask = (uint8_t)change->driver_mask;
    host->generation++;
    host->state = HOST_UP;
    host->fence_proof = 0;
    host->state_time_ms = state->head.time_ms;
    host->revision = next_revision(state);
    record_edited(state, TABLE_HOST, slot);
    zone_count_up(state, host, 1);
    emit(state, sink, TABLE_HOST, slot, false);
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

        if (proves_gone(vm, proof)) {
            struct change_vm_release release = {
                .vm = {vm->uid},
                .epoch = vm->epoch,
                .reason = {"fenced", 6},
            };

            vm_release(state, slot, &release, sink);
        } else if (vm->state != VM_LOST) {
            struct vm *lost = record_edit(state, TABLE_VM, slot);

            vm_set_state(state, lost, VM_LOST);
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
    fence_vms(state, slot, change->proof, sink);
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
    slot = slot_of_host(state, change->host_cordon.host);
    host = record_edit(state, TABLE_HOST, slot);
    host->cordoned = change->host_cordon.cordoned;
    host->revision = next_revision(state);
    record_edited(state, TABLE_HOST, slot);
    emit(state, sink, TABLE_HOST, slot, false);
}
