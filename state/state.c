/* SPDX-License-Identifier: Apache-2.0 */
#include "state/state.h"

#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/planted.h"
#include "state/internal.h"

#include <stdlib.h>
#include <string.h>

#define HASH_SEED 1 /* For ever. */

struct state *state_create(void)
{
    struct state *state = memory_alloc(sizeof(*state));

    for (int i = 0; i < TABLE_ALL; i++) {
        table_init(&state->tables[i], table_record_bytes[i], NULL);
        index_init(&state->names[i]);
    }
    for (int i = 0; i < TABLE_COUNT; i++) {
        state->head.free_first[i] = SLOT_NONE;
    }
    for (int i = 0; i < TABLES_ADDED; i++) {
        state->head_added.free_first[i] = SLOT_NONE;
    }
    state->head_access.free_first = SLOT_NONE;
    state->head_audit.first = 1;
    state->head_join.free_first = SLOT_NONE;
    state->head_apply.free_first = SLOT_NONE;
    index_init(&state->reply_ids);
    index_init(&state->claims);
    index_init(&state->subjects);
    asks_init(&state->asks);
    blobs_init(&state->blobs);
    state->head.pending_first = SLOT_NONE;
    state->head.pending_last = SLOT_NONE;
    settings_init(&state->head.settings);
    return state;
}

void state_destroy(struct state *state)
{
    if (state == NULL) {
        return;
    }
    for (int i = 0; i < TABLE_ALL; i++) {
        table_close(&state->tables[i]);
        index_close(&state->names[i]);
    }
    index_close(&state->reply_ids);
    index_close(&state->claims);
    index_close(&state->subjects);
    asks_close(&state->asks);
    blobs_close(&state->blobs);
    free(state);
}

struct state *state_clone(const struct state *state)
{
    struct state *clone = memory_copy(state, sizeof(*state));

    for (int i = 0; i < TABLE_ALL; i++) {
        table_clone(&clone->tables[i], &state->tables[i]);
        index_clone(&clone->names[i], &state->names[i]);
    }
    index_clone(&clone->reply_ids, &state->reply_ids);
    index_clone(&clone->claims, &state->claims);
    index_clone(&clone->subjects, &state->subjects);
    asks_clone(&clone->asks, &state->asks);
    blobs_clone(&clone->blobs, &state->blobs);
    return clone;
}

uint64_t state_revision(const struct state *state)
{
    return state->head.revision;
}

struct region_id state_region(const struct state *state)
{
    return state->region;
}

uint64_t state_time_ms(const struct state *state)
{
    return state->head.time_ms;
}

static bool uses_added_tables(const struct state *state)
{
    for (int kind = TABLE_COUNT; kind < TABLE_FORMAT_3; kind++) {
        if (state->tables[kind].slots > 0) {
            return true;
        }
    }
    return false;
}

bool state_needs_format_2(const struct state *state)
{
    return state->grown > 0 || uses_added_tables(state);
}

static uint64_t hash_of_head_added(const struct state *state)
{
    struct state_head_added head = state->head_added;

    for (int i = 0; i < TABLES_ADDED; i++) {
        head.slots[i] = state->tables[TABLE_COUNT + i].slots;
    }
    return hash_bytes(&head, sizeof(head), 2);
}

struct state_head_access state_head_access(const struct state *state)
{
    struct state_head_access head = state->head_access;

    head.slots = state->tables[TABLE_GRANT].slots;
    return head;
}

static uint64_t hash_of_head_access(const struct state *state)
{
    struct state_head_access head = state_head_access(state);

    return hash_bytes(&head, sizeof(head), 3);
}

struct state_head_audit state_head_audit(const struct state *state)
{
    struct state_head_audit head = state->head_audit;

    head.slots = state->tables[TABLE_AUDIT].slots;
    return head;
}

static uint64_t hash_of_head_audit(const struct state *state)
{
    struct state_head_audit head = state_head_audit(state);

    return hash_bytes(&head, sizeof(head), 4);
}

struct state_head_join state_head_join(const struct state *state)
{
    struct state_head_join head = state->head_join;

    head.slots = state->tables[TABLE_JOIN].slots;
    return head;
}

static uint64_t hash_of_head_join(const struct state *state)
{
    struct state_head_join head = state_head_join(state);

    return hash_bytes(&head, sizeof(head), 5);
}

struct state_head_apply state_head_apply(const struct state *state)
{
    struct state_head_apply head = state->head_apply;

    head.slots = state->tables[TABLE_APPLY].slots;
    return head;
}

static uint64_t hash_of_head_apply(const struct state *state)
{
    struct state_head_apply head = state_head_apply(state);

    return hash_bytes(&head, sizeof(head), 6);
}

static uint64_t mix(const struct state *state, uint64_t records_hash,
                    uint64_t blobs_hash)
{
    struct state_head head;
    uint64_t parts[10];
    size_t count = 3;

    /* Copied whole, padding too: it was zeroed with the state. */
    memcpy(&head, &state->head, sizeof(head));
    for (int i = 0; i < TABLE_COUNT; i++) {
        head.slots[i] = state->tables[i].slots;
    }
    head.blob_free_first = state->blobs.free_first;
    parts[0] = hash_bytes(&head, sizeof(head), HASH_SEED);
    parts[1] = records_hash;
    parts[2] = blobs_hash;
    /* Data from before there were region ids hashes as it did then. */
    if (region_id_is_set(state->region)) {
        parts[count++] = state->region.high;
        parts[count++] = state->region.low;
    }
    if (uses_added_tables(state)) {
        parts[count++] = hash_of_head_added(state);
    }
    if (state_needs_format_3(state)) {
        parts[count++] = hash_of_head_access(state);
    }
    if (state_needs_format_4(state)) {
        parts[count++] = hash_of_head_audit(state);
        parts[count++] = hash_of_head_join(state);
    }
    if (state_has_applies(state)) {
        parts[count++] = hash_of_head_apply(state);
    }
    return hash_bytes(parts, count * sizeof(parts[0]), 0);
}

uint64_t state_hash(const struct state *state)
{
    return mix(state, state->records_hash, state->blobs.hash);
}

uint32_t state_format(const struct state *state)
{
    if (state_needs_format_4(state)) {
        return 4;
    }
    if (state_needs_format_3(state)) {
        return 3;
    }
    return state_needs_format_2(state) ? 2 : 1;
}

uint64_t state_hash_recomputed(const struct state *state)
{
    uint64_t sum = 0;

    for (int kind = 0; kind < TABLE_ALL; kind++) {
        const struct table *table = &state->tables[kind];

        for (uint32_t slot = 0; slot < table->slots; slot++) {
            sum += record_hash((enum table_kind)kind, slot,
                               table_get(table, slot));
        }
    }
    return mix(state, sum, blobs_hash_recomputed(&state->blobs));
}

uint64_t next_revision(struct state *state)
{
    return ++state->head.revision;
}

static void apply_settings(struct state *state,
                           const struct change_settings *change,
                           struct event_sink *sink)
{
    CHECK(settings_check(&change->settings) == NULL);
    state->head.settings = change->settings;
    state->head.settings.revision = next_revision(state);
    emit_settings(state, sink);
}

/* Never another one: agents know their VMs' region by it. */
static void apply_region(struct state *state,
                         const struct change_region *change)
{
    CHECK(region_id_is_set(change->id));
    if (!region_id_is_set(state->region)) {
        state->region = change->id;
    }
}

void state_begin(struct state *state, uint64_t time_ms)
{
    if (time_ms > state->head.time_ms || PLANTED(TIME_FALLS)) {
        state->head.time_ms = time_ms;
    }
    state->telling = (struct telling){.slot = SLOT_NONE};
}

static void apply(struct state *state, const struct change *change,
                  struct event_sink *sink)
{
    switch (change->kind) {
    case CHANGE_ZONE_CREATE:
    case CHANGE_ZONE_CORDON:
    case CHANGE_ZONE_STATE:
    case CHANGE_ZONE_DRAIN:
        apply_zone(state, change, sink);
        break;
    case CHANGE_CLASS_CREATE:
    case CHANGE_CLASS_UPDATE:
    case CHANGE_CLASS_DELETE:
        apply_class(state, change, sink);
        break;
    case CHANGE_HOST_REGISTER:
    case CHANGE_HOST_CORDON:
    case CHANGE_HOST_FENCE:
    case CHANGE_HOST_DRAIN:
        apply_host(state, change, sink);
        break;
    case CHANGE_GROUP_CREATE:
    case CHANGE_GROUP_UPDATE:
    case CHANGE_GROUP_DELETE:
        apply_group(state, change, sink);
        break;
    case CHANGE_RESERVATION_SET:
    case CHANGE_RESERVATION_DELETE:
        apply_reservation(state, change, sink);
        break;
    case CHANGE_POLICY:
        apply_policy(state, &change->policy, sink);
        break;
    case CHANGE_GRANT_SET:
    case CHANGE_GRANT_DELETE:
        apply_grant(state, change);
        break;
    case CHANGE_AUDIT:
    case CHANGE_AUDIT_KEEP:
        apply_audit(state, change);
        break;
    case CHANGE_JOIN_SET:
    case CHANGE_JOIN_DELETE:
        apply_join(state, change);
        break;
    case CHANGE_APPLY_ADD:
    case CHANGE_APPLY_CANCEL:
    case CHANGE_APPLY_END:
    case CHANGE_APPLY_DROP:
        apply_apply(state, change);
        break;
    case CHANGE_SETTINGS:
        apply_settings(state, &change->settings, sink);
        break;
    case CHANGE_REPLY:
        apply_reply(state, &change->reply);
        break;
    case CHANGE_REGION:
        apply_region(state, &change->region);
        break;
    default:
        apply_vm(state, change, sink);
        break;
    }
}

void state_apply(struct state *state, const struct change *change,
                 struct event_sink *sink)
{
    telling_begin(state, change);
    apply(state, change, sink);
    telling_end(state);
}

int state_apply_batch(struct state *state, const struct batch *batch,
                      struct event_sink *sink)
{
    if (batch->head.base_revision != state_revision(state) ||
        batch->head.base_hash != state_hash(state)) {
        return HF_ERROR_CORRUPT;
    }
    state_begin(state, batch->head.time_ms);
    for (size_t i = 0; i < batch->count; i++) {
        state_apply(state, &batch->changes[i], sink);
    }
    return 0;
}

uint32_t state_pending_first(const struct state *state)
{
    return state->head.pending_first;
}

const struct state_counts *state_counts(const struct state *state)
{
    return &state->counts;
}

const struct settings *state_settings(const struct state *state)
{
    return &state->head.settings;
}

void blob_replace(struct state *state, uint32_t *blob, struct text content)
{
    uint32_t next = blobs_intern(&state->blobs, content);

    blobs_release(&state->blobs, *blob);
    *blob = next;
}

struct text state_blob(const struct state *state, uint32_t blob)
{
    return blobs_get(&state->blobs, blob);
}

void state_memory(const struct state *state, struct state_memory *memory)
{
    *memory = (struct state_memory){
        .vm_records = table_memory(&state->tables[TABLE_VM]),
        .vm_index = table_memory(&state->names[TABLE_VM].entries) +
                    asks_memory(&state->asks),
        .blobs = table_memory(&state->blobs.table) + state->blobs.bytes,
    };
    for (int i = 0; i < TABLE_ALL; i++) {
        if (i != TABLE_VM) {
            memory->other += table_memory(&state->tables[i]) +
                             table_memory(&state->names[i].entries);
        }
    }
    memory->other += table_memory(&state->reply_ids.entries) +
                     table_memory(&state->claims.entries) +
                     table_memory(&state->subjects.entries);
}
