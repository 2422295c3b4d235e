/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/state_check.h"

#include "base/container.h"
#include "base/memory.h"
#include "state/snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct counting_sink {
    struct event_sink sink;
    uint64_t last_revision;
    uint64_t count;
};

static void count_event(struct event_sink *sink, const struct event *event)
{
    struct counting_sink *counting =
        container_of(sink, struct counting_sink, sink);

    /* Rule 7 begins here: no revision is skipped or repeated. */
    assert_int_equal(event->revision, counting->last_revision + 1);
    counting->last_revision = event->revision;
    counting->count++;
}

void mirror_init(struct mirror *mirror)
{
    *mirror = (struct mirror){state_create(), state_create(), 1000};
}

void mirror_close(struct mirror *mirror)
{
    state_destroy(mirror->state);
    state_destroy(mirror->replica);
}

void mirror_apply(struct mirror *mirror, const struct change *change)
{
    struct counting_sink direct = {.sink = {count_event}};
    struct counting_sink decoded = {.sink = {count_event}};
    struct batch_head head = {state_revision(mirror->state),
                              state_hash(mirror->state), ++mirror->now_ms};
    struct batch batch;
    struct bytes entry;
    struct arena arena;

    direct.last_revision = decoded.last_revision = head.base_revision;
    bytes_init(&entry);
    batch_begin(&entry, &head);
    batch_add(&entry, change);
    state_begin(mirror->state, mirror->now_ms);
    state_apply(mirror->state, change, &direct.sink);
    assert_int_equal(direct.last_revision, state_revision(mirror->state));

    arena_init(&arena, BATCH_ARENA_BYTES);
    assert_int_equal(batch_decode(entry.data, entry.len, &arena, &batch), 0);
    assert_int_equal(batch.count, 1);
    assert_int_equal(state_apply_batch(mirror->replica, &batch, &decoded.sink),
                     0);
    assert_int_equal(direct.count, decoded.count);
    assert_true(state_hash(mirror->state) == state_hash(mirror->replica));
    arena_close(&arena);
    bytes_close(&entry);
}

static const struct class *class_of(const struct state *state,
                                    const struct vm *vm)
{
    return state_class_at(state, vm->class_slot);
}

static void check_host_list(const struct state *state, uint32_t slot)
{
    const struct host *host = state_host_at(state, slot);
    struct resources used = {0};
    struct amounts named = {{0}};
    uint32_t count = 0;

    for (uint32_t at = host->vm_first; at != SLOT_NONE;
         at = state_vm_at(state, at)->host_next) {
        const struct vm *vm = state_vm_at(state, at);

        assert_int_equal(vm->host, slot);
        resources_add(&used, &class_of(state, vm)->resources, 1);
        amounts_add(&named, &class_of(state, vm)->named, 1);
        count++;
    }
    assert_int_equal(count, host->vm_count);
    assert_memory_equal(&used, &host->used, sizeof(used));
    assert_memory_equal(&named, &host->named_used, sizeof(named));
    assert_true(used.cpu_milli <= host->capacity.cpu_milli);
    assert_true(used.memory_mib <= host->capacity.memory_mib);
    assert_true(used.disk_gib <= host->capacity.disk_gib);
    assert_true(used.gpu_count <= host->capacity.gpu_count);
    for (int i = 0; i < NAMED_MAX; i++) {
        assert_true(named.of[i] <= host->named_capacity.of[i]);
    }
}

static void check_claims(const struct state *state, uint32_t slot)
{
    const struct host *host = state_host_at(state, slot);
    struct resources claimed = {0};
    struct amounts named = {{0}};
    uint32_t count = 0;

    for (uint32_t at = 0; at < state_vm_slots(state); at++) {
        const struct vm *vm = state_vm_at(state, at);

        if (vm == NULL || !vm_holds_claim(vm) || vm->move_host != slot ||
            !state_has_policy(state)) {
            continue;
        }
        resources_add(&claimed, &class_of(state, vm)->resources, 1);
        amounts_add(&named, &class_of(state, vm)->named, 1);
        count++;
    }
    assert_int_equal(count, host->claim_count);
    assert_true(count == 0 || host->state == HOST_UP);
    assert_memory_equal(&claimed, &host->claimed, sizeof(claimed));
    assert_memory_equal(&named, &host->named_claimed, sizeof(named));
}

static void check_zone(const struct state *state, uint32_t slot)
{
    const struct zone *zone = state_zone_at(state, slot);
    struct zone sums = {0};

    for (uint32_t i = 0; i < state_host_slots(state); i++) {
        const struct host *host = state_host_at(state, i);

        if (host->zone != slot) {
            continue;
        }
        sums.host_count++;
        sums.vm_count += host->vm_count;
        if (host->state == HOST_UP) {
            sums.host_up_count++;
            resource_sum_add(&sums.capacity, &host->capacity, 1);
            resource_sum_add(&sums.used, &host->used, 1);
        }
    }
    assert_int_equal(sums.host_count, zone->host_count);
    assert_int_equal(sums.host_up_count, zone->host_up_count);
    assert_int_equal(sums.vm_count, zone->vm_count);
    assert_memory_equal(&sums.capacity, &zone->capacity, sizeof(sums.capacity));
    assert_memory_equal(&sums.used, &zone->used, sizeof(sums.used));
}

static void check_class(const struct state *state, uint32_t slot)
{
    const struct class *class = state_class_at(state, slot);
    uint32_t vms = 0;
    uint32_t uses = 0;

    if (class == NULL) {
        return;
    }
    for (uint32_t i = 0; i < state_vm_slots(state); i++) {
        const struct vm *vm = state_vm_at(state, i);

        vms += vm != NULL && vm->class_slot == slot;
    }
    for (uint32_t i = 0; i < state_group_slots(state); i++) {
        const struct group *group = state_group_at(state, i);

        uses += group != NULL && group->class_slot == slot;
    }
    for (uint32_t i = 0; i < state_reservation_slots(state); i++) {
        const struct reservation *at = state_reservation_at(state, i);

        uses += at != NULL && at->class_slot == slot;
    }
    assert_int_equal(vms, class->vm_count);
    assert_int_equal(uses, class->use_count);
    assert_true(!class->custom || vms + uses > 0);
}

/* How many members it has. */
static uint32_t check_group(const struct state *state, uint32_t slot)
{
    const struct group *group = state_group_at(state, slot);
    uint32_t zone_counts[ZONES_MAX] = {0};
    uint32_t count = 0;
    uint32_t last = 0;
    uint64_t newer_ms = UINT64_MAX;

    if (group == NULL) {
        return 0;
    }
    for (uint32_t at = group->vm_first_plus1; at != 0;
         at = state_vm_at(state, at - 1)->group_next_plus1) {
        const struct vm *vm = state_vm_at(state, at - 1);

        assert_int_equal(vm->group_plus1, slot + 1);
        assert_int_equal(vm->group_prev_plus1, last);
        assert_true(vm->create_time_ms <= newer_ms);
        newer_ms = vm->create_time_ms;
        last = at;
        count++;
        if (vm->host != SLOT_NONE) {
            zone_counts[state_host_at(state, vm->host)->zone]++;
        }
    }
    assert_int_equal(count, group->vm_count);
    assert_memory_equal(zone_counts, group->zone_counts, sizeof(zone_counts));
    return count;
}

static void check_pending(const struct state *state)
{
    uint32_t listed = 0;
    uint32_t last = SLOT_NONE;

    for (uint32_t at = state_pending_first(state); at != SLOT_NONE;
         at = state_vm_at(state, at)->host_next) {
        assert_int_equal(state_vm_at(state, at)->state, VM_PENDING);
        assert_int_equal(state_vm_at(state, at)->host_prev, last);
        last = at;
        listed++;
    }
    assert_int_equal(listed, state_counts(state)->vms_by_state[VM_PENDING]);
}

/* A mark says what the record says, or that it must be read; each ask has as
 * many users as marks name it. */
static void check_mark(const struct state *state, uint32_t slot, uint32_t *uses)
{
    const struct vm *vm = state_vm_at(state, slot);
    uint32_t mark = *(const uint32_t *)table_get(&state->asks.marks, slot);
    bool pending = vm != NULL && vm->state == VM_PENDING;
    const struct ask *ask;

    assert_true(pending == (mark != MARK_NONE));
    if (!pending) {
        return;
    }
    if (vm->moving || vm->home_host_plus1 != 0 || vm->not_before_ms != 0) {
        assert_int_equal(mark, MARK_READ);
        return;
    }
    assert_true(mark_ask(mark) >= ASK_FIRST); /* So few never run out. */
    ask = state_ask_at(state, mark_ask(mark));
    assert_true(ask->pool_mask == vm->pool_mask &&
                ask->disk_zone_mask == vm->disk_zone_mask);
    assert_int_equal(ask->class_slot, vm->class_slot);
    assert_int_equal(ask->zone, vm->zone);
    assert_int_equal(ask->selector_blob, vm->selector_blob);
    assert_int_equal(ask->group_plus1, vm->group_plus1);
    assert_int_equal(ask->priority, vm->priority);
    assert_int_equal(ask->driver, vm->driver);
    assert_int_equal(ask->preemptible, vm->preemptible);
    assert_int_equal(mark_recovering(mark), vm->recovering);
    assert_int_equal(mark_last_host(mark), vm->recovering ? vm->last_host : 0);
    uses[mark_ask(mark)]++;
}

static void check_marks(const struct state *state)
{
    const struct asks *asks = &state->asks;
    uint32_t *uses = memory_alloc_array(ASKS_END, sizeof(*uses));
    uint32_t used = 0;
    uint32_t unused = 0;

    assert_int_equal(asks->marks.slots, state_vm_slots(state));
    for (uint32_t i = 0; i < state_vm_slots(state); i++) {
        check_mark(state, i, uses);
    }
    for (uint32_t i = ASK_FIRST; i < state_ask_slots(state); i++) {
        const struct ask_entry *entry = table_get(&asks->entries, i);

        assert_int_equal(entry->uses, uses[i]);
        used += uses[i] > 0;
    }
    for (uint32_t i = asks->free_first; i != 0;) {
        const struct ask_entry *entry = table_get(&asks->entries, i);

        assert_int_equal(entry->uses, 0);
        unused++;
        i = entry->next;
    }
    assert_int_equal(asks->numbers.count, used);
    if (state_ask_slots(state) > 0) {
        assert_int_equal(used + unused, state_ask_slots(state) - ASK_FIRST);
    }
    free(uses);
}

static void check_vm(const struct state *state, const struct vm *vm)
{
    bool placed = vm->state >= VM_ASSIGNED && vm->state <= VM_STOPPING;

    assert_true((vm->host != SLOT_NONE) == (placed || vm->state == VM_LOST));
    if (vm->moving == MOVE_CLAIMED) {
        assert_true(state_has_policy(state) && vm->move_host != SLOT_NONE);
        assert_true(vm->state == VM_PENDING || placed);
        assert_true(vm->desired == DESIRED_RUNNING && !vm->deleting);
    }
    if (vm->recovering) {
        assert_true(state_has_policy(state) && vm->state == VM_PENDING);
    }
    if (vm->moving == MOVE_NONE) {
        assert_int_equal(vm->move_order, 0);
        assert_int_equal(vm->move_host, SLOT_NONE);
        assert_int_equal(vm->move_zone, SLOT_NONE);
    }
    assert_true(vm->home_host_plus1 == 0 || vm->local_disk);
}

/* It is found by its subject, once. */
static void check_grant(const struct state *state, const struct grant *grant)
{
    const struct grant *found[CLIENT_GRANTS_MAX];
    struct text subject = {grant->subject, (uint32_t)strlen(grant->subject)};
    uint32_t count;
    uint32_t times = 0;

    if (grant->kind == SUBJECT_TOKEN) {
        assert_ptr_equal(state_grant_of_token(state, grant->secret_hash),
                         grant);
        return;
    }
    count = state_grants_of_client(state, subject, found);
    for (uint32_t i = 0; i < count; i++) {
        times += found[i] == grant;
    }
    assert_int_equal(times, 1);
}

static void check_counts(const struct state *state)
{
    struct state_counts counts = {0};

    for (uint32_t i = 0; i < state_zone_slots(state); i++) {
        counts.zones++;
        counts.zones_draining += state_zone_at(state, i)->draining != DRAIN_NO;
    }
    for (uint32_t i = 0; i < state_class_slots(state); i++) {
        counts.classes += state_class_at(state, i) != NULL;
    }
    for (uint32_t i = 0; i < state_host_slots(state); i++) {
        counts.hosts++;
        counts.hosts_up += state_host_at(state, i)->state == HOST_UP;
        counts.hosts_draining += state_host_at(state, i)->draining != DRAIN_NO;
    }
    for (uint32_t i = 0; i < state_vm_slots(state); i++) {
        const struct vm *vm = state_vm_at(state, i);

        if (vm != NULL) {
            check_vm(state, vm);
            counts.vms++;
            counts.vms_by_state[vm->state]++;
            counts.vms_claiming += vm->moving == MOVE_CLAIMED;
        }
    }
    for (uint32_t i = 0; i < state_group_slots(state); i++) {
        counts.groups += state_group_at(state, i) != NULL;
    }
    for (uint32_t i = 0; i < state_reservation_slots(state); i++) {
        counts.reservations += state_reservation_at(state, i) != NULL;
    }
    for (uint32_t i = 0; i < state_grant_slots(state); i++) {
        const struct grant *grant = state_grant_at(state, i);

        if (grant != NULL) {
            check_grant(state, grant);
            counts.grants++;
            counts.grants_that_end += grant->expire_ms != 0;
            counts.grants_of_admins +=
                grant->role == ACCESS_ROLE_ADMIN && grant->expire_ms == 0;
        }
    }
    assert_int_equal(state->subjects.count, counts.grants);
    for (uint32_t i = 0; i < state_join_token_slots(state); i++) {
        const struct join_token *token = state_join_token_at(state, i);

        if (token != NULL) {
            assert_ptr_equal(state_join_token_of(state, token->secret_hash),
                             token);
            counts.join_tokens++;
        }
    }
    for (uint32_t i = 0; i < state_apply_slots(state); i++) {
        const struct apply_record *record = state_apply_at(state, i);

        counts.applies += record != NULL;
        counts.applies_open += record != NULL && record->end == APPLY_END_NONE;
    }
    assert_memory_equal(&counts, state_counts(state), sizeof(counts));
}

/* Each blob has as many references as records point to it; none is lost. */
static void check_blobs(const struct state *state)
{
    const struct table *table = &state->blobs.table;
    uint32_t *refs = memory_alloc_array(table->slots, sizeof(*refs));

    for (uint32_t i = 0; i < state_vm_slots(state); i++) {
        const struct vm *vm = state_vm_at(state, i);

        if (vm != NULL) {
            refs[vm->template_blob]++;
            refs[vm->labels_blob]++;
            refs[vm->end_blob]++;
            refs[vm->selector_blob]++;
        }
    }
    for (uint32_t i = 0; i < state_host_slots(state); i++) {
        refs[state_host_at(state, i)->identity_blob]++;
        refs[state_host_at(state, i)->labels_blob]++;
    }
    for (uint32_t i = 0; i < state_group_slots(state); i++) {
        const struct group *group = state_group_at(state, i);

        if (group != NULL) {
            refs[group->template_blob]++;
            refs[group->labels_blob]++;
            refs[group->selector_blob]++;
        }
    }
    for (uint32_t i = 0; i < state_grant_slots(state); i++) {
        const struct grant *grant = state_grant_at(state, i);

        if (grant != NULL) {
            refs[grant->selector_blob]++;
        }
    }
    for (uint32_t i = 0; i < state_apply_slots(state); i++) {
        const struct apply_record *record = state_apply_at(state, i);

        if (record != NULL) {
            refs[record->parts_blob]++;
            refs[record->words_blob]++;
        }
    }
    for (uint64_t n = state_audit_first(state); n <= state_audit_last(state);
         n++) {
        refs[state_audit(state, n)->blob]++;
    }
    for (uint32_t i = 0; i < state->tables[TABLE_REPLY].slots; i++) {
        const struct reply *reply = table_get(&state->tables[TABLE_REPLY], i);

        refs[reply->blob]++;
    }
    for (uint32_t i = 1; i < table->slots; i++) {
        assert_int_equal(refs[i],
                         ((const struct blob *)table_get(table, i))->refs);
    }
    free(refs);
}

void check_derived(const struct state *state)
{
    uint32_t members = 0;

    for (uint32_t i = 0; i < state_host_slots(state); i++) {
        check_host_list(state, i);
        check_claims(state, i);
    }
    for (uint32_t i = 0; i < state_zone_slots(state); i++) {
        check_zone(state, i);
    }
    for (uint32_t i = 0; i < state_class_slots(state); i++) {
        check_class(state, i);
    }
    for (uint32_t i = 0; i < state_group_slots(state); i++) {
        members += check_group(state, i);
    }
    for (uint32_t i = 0; i < state_vm_slots(state); i++) {
        const struct vm *vm = state_vm_at(state, i);

        members -= vm != NULL && vm->group_plus1 != 0;
    }
    assert_int_equal(members, 0);
    check_pending(state);
    check_marks(state);
    check_counts(state);
    check_blobs(state);
    assert_true(state_hash_recomputed(state) == state_hash(state));
}

static void write_snapshot(const struct state *state, struct bytes *stream)
{
    struct snapshot_writer writer;

    bytes_init(stream);
    snapshot_writer_init(&writer, state);
    while (snapshot_writer_next(&writer, stream, 1000)) {
    }
}

void check_restore(const struct state *state, struct random *random)
{
    struct snapshot_reader *reader = snapshot_reader_create();
    struct state *restored;
    struct bytes stream;
    size_t at = 0;

    write_snapshot(state, &stream);
    while (at < stream.len) {
        size_t len = 1 + random_below(random, 5000);

        len = len < stream.len - at ? len : stream.len - at;
        assert_int_equal(snapshot_reader_feed(reader, stream.data + at, len),
                         0);
        at += len;
    }
    restored = snapshot_reader_finish(reader);
    assert_non_null(restored);
    assert_true(state_hash(restored) == state_hash(state));
    assert_int_equal(restored->grown, state->grown);
    assert_int_equal(restored->claims.count, state->claims.count);
    check_derived(restored);
    state_destroy(restored);
    bytes_close(&stream);
}

void check_changed_bytes(const struct state *state)
{
    struct bytes stream;

    write_snapshot(state, &stream);
    for (size_t i = 0; i < stream.len; i++) {
        struct snapshot_reader *reader = snapshot_reader_create();
        struct state *restored;

        stream.data[i] ^= 1;
        (void)snapshot_reader_feed(reader, stream.data, stream.len);
        restored = snapshot_reader_finish(reader);
        assert_true(restored == NULL ||
                    state_hash(restored) == state_hash(state));
        state_destroy(restored);
        stream.data[i] ^= 1;
    }
    bytes_close(&stream);
}
