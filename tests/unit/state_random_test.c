/* SPDX-License-Identifier: Apache-2.0
 *
 * Random valid histories. After every change what is derived must equal what
 * is computed from scratch, a clone must not move, and log entries and
 * snapshots must carry the state over without loss. */
#include "base/container.h"
#include "base/error.h"
#include "base/random.h"
#include "state/internal.h"
#include "state/labels.h"
#include "state/snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SEEDS 12
#define STEPS 1500

struct world {
    struct state *state;
    struct state *replica; /* Fed through encoded entries only. */
    struct random random;
    uint32_t names;
    uint64_t now_ms;
};

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

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static uint32_t pick(struct world *world, uint32_t bound)
{
    return (uint32_t)random_below(&world->random, bound);
}

static const struct vm *pick_vm(struct world *world)
{
    uint32_t slots = state_vm_slots(world->state);

    return slots == 0 ? NULL : state_vm_at(world->state, pick(world, slots));
}

static const struct host *pick_host(struct world *world)
{
    uint32_t slots = state_host_slots(world->state);

    return slots == 0 ? NULL : state_host_at(world->state, pick(world, slots));
}

/* Applies through an entry to the replica and directly to the state. */
static void apply(struct world *world, const struct change *change)
{
    struct counting_sink direct = {.sink = {count_event}};
    struct counting_sink decoded = {.sink = {count_event}};
    struct batch_head head = {state_revision(world->state),
                              state_hash(world->state), ++world->now_ms};
    struct batch batch;
    struct bytes entry;
    struct arena arena;

    direct.last_revision = decoded.last_revision = head.base_revision;
    bytes_init(&entry);
    batch_begin(&entry, &head);
    batch_add(&entry, change);
    state_begin(world->state, world->now_ms);
    state_apply(world->state, change, &direct.sink);
    assert_int_equal(direct.last_revision, state_revision(world->state));

    arena_init(&arena, BATCH_ARENA_BYTES);
    assert_int_equal(batch_decode(entry.data, entry.len, &arena, &batch), 0);
    assert_int_equal(batch.count, 1);
    assert_int_equal(state_apply_batch(world->replica, &batch, &decoded.sink),
                     0);
    assert_int_equal(direct.count, decoded.count);
    assert_true(state_hash(world->state) == state_hash(world->replica));
    arena_close(&arena);
    bytes_close(&entry);
}

static void new_zone(struct world *world)
{
    char name[NAME_BYTES];
    struct change change = {.kind = CHANGE_ZONE_CREATE};

    snprintf(name, sizeof(name), "z%u", world->names++);
    change.zone_create.name = text_of(name);
    apply(world, &change);
}

static void new_class(struct world *world)
{
    char name[NAME_BYTES];
    struct change change = {.kind = CHANGE_CLASS_CREATE};

    snprintf(name, sizeof(name), "c%u", world->names++);
    change.class_create.name = text_of(name);
    change.class_create.resources =
        (struct resources){1000 * (1 + pick(world, 4)),
                           512 * (1 + pick(world, 4)), pick(world, 3), 0};
    change.class_create.zone_mask = pick(world, 2) ? 0 : 1 + pick(world, 7);
    apply(world, &change);
}

static void register_host(struct world *world, const struct host *old)
{
    char name[NAME_BYTES];
    struct text pools[2] = {text_of("fast"), text_of("slow")};
    struct change change = {.kind = CHANGE_HOST_REGISTER};
    uint32_t zone = old != NULL && old->vm_count > 0
                        ? old->zone
                        : pick(world, state_zone_slots(world->state));

    snprintf(name, sizeof(name), "h%u", world->names);
    if (old == NULL) {
        world->names++;
    } else {
        memcpy(name, old->name, NAME_BYTES);
    }
    change.host_register = (struct change_host_register){
        .name = text_of(name),
        .zone = {state_zone_at(world->state, zone)->uid},
        .fault_domain = text_of(pick(world, 2) ? "r1" : ""),
        .host_id = text_of("0123456789abcdef"),
        .boot_id = text_of(pick(world, 2) ? "b1" : "b2"),
        .capacity = {16000, 16384, 20, 0},
        .pools = pools,
        .pool_count = pick(world, 3),
        .driver_mask = 6,
        .labels = {"\1k\1v", 4},
        .agent_version = text_of("1"),
    };
    apply(world, &change);
}

static void new_vm(struct world *world)
{
    char name[NAME_BYTES];
    struct text pools[2] = {text_of("fast"), text_of("other")};
    const struct class *class = state_class_at(
        world->state, pick(world, state_class_slots(world->state)));
    struct change change = {.kind = CHANGE_VM_CREATE};

    if (class == NULL) {
        return;
    }
    snprintf(name, sizeof(name), "v%u", world->names++);
    change.vm_create = (struct change_vm_create){
        .name = text_of(name),
        .class = {class->uid},
        .priority = pick(world, 1001),
        .on_partition = pick(world, 2) ? ON_PARTITION_MOVE : ON_PARTITION_KEEP,
        .desired = pick(world, 5) ? DESIRED_RUNNING : DESIRED_STOPPED,
        .driver = DRIVER_EXEC,
        .pools = pools,
        .pool_count = pick(world, 3),
        .template = text_of(pick(world, 2) ? "template one" : "template two"),
        .labels = {"\1a\1b", pick(world, 2) ? 4 : 0},
    };
    if (pick(world, 2)) {
        change.vm_create.zone.uid = state_zone_at(world->state, 0)->uid;
    }
    apply(world, &change);
}

static void assign_vm(struct world *world, const struct vm *vm)
{
    const struct host *host = pick_host(world);
    struct change change = {.kind = CHANGE_VM_ASSIGN};

    if (vm->state == VM_PENDING && vm->moving && pick(world, 3) == 0) {
        change.kind = CHANGE_VM_MOVE;
        change.vm_move =
            (struct change_vm_move){.vm = {vm->uid}, .cancel = true};
        apply(world, &change);
        return;
    }
    if (vm->state != VM_PENDING || host == NULL || host->state != HOST_UP ||
        !host_fits(host, state_class_at(world->state, vm->class_slot))) {
        return;
    }
    change.vm_assign =
        (struct change_vm_assign){{vm->uid}, {host->uid}, vm->epoch + 1};
    apply(world, &change);
}

static void on_host_vm(struct world *world, const struct vm *vm)
{
    struct change change = {.kind = CHANGE_VM_RELEASE};

    switch (pick(world, 4)) {
    case 0:
        change.kind = CHANGE_VM_MOVE;
        change.vm_move = (struct change_vm_move){.vm = {vm->uid}};
        break;
    case 1:
        if (vm->state == VM_LOST) {
            return;
        }
        change.kind = CHANGE_VM_REPORT;
        change.vm_report = (struct change_vm_report){
            {vm->uid}, vm->epoch, VM_STARTING + pick(world, 3)};
        break;
    default:
        change.vm_release = (struct change_vm_release){
            .vm = {vm->uid},
            .epoch = vm->epoch,
            .reason = text_of("exited status=1"),
            .failed = pick(world, 2),
            .not_before_ms = pick(world, 2) ? world->now_ms + 1000 : 0,
            .forget = pick(world, 2),
        };
        break;
    }
    apply(world, &change);
}

static void wish_vm(struct world *world, const struct vm *vm)
{
    struct change change = {.kind = CHANGE_VM_DESIRE};

    if (pick(world, 3) == 0) {
        change.kind = CHANGE_VM_UPDATE;
        change.vm_update = (struct change_vm_update){
            {vm->uid},         pick(world, 16), pick(world, 1001),
            ON_PARTITION_KEEP, {"\1x\1y", 4},   pick(world, 2)};
    } else if (vm->host == SLOT_NONE && pick(world, 2)) {
        change.kind = CHANGE_VM_DELETE;
        change.vm_delete.vm.uid = vm->uid;
    } else {
        change.vm_desire = (struct change_vm_desire){
            {vm->uid},
            pick(world, 2) ? DESIRED_RUNNING : DESIRED_STOPPED,
            vm->deleting || (vm->host != SLOT_NONE && pick(world, 4) == 0)};
    }
    apply(world, &change);
}

static void other_change(struct world *world)
{
    const struct host *host = pick_host(world);
    struct change change = {.kind = CHANGE_REPLY};
    char id[32];

    switch (pick(world, 5)) {
    case 0:
        if (host == NULL) {
            return;
        }
        change.kind = CHANGE_HOST_FENCE;
        change.host_fence = (struct change_host_fence){
            {host->uid}, FENCE_LEASE_ENDED + pick(world, 3)};
        break;
    case 1:
        change.kind = CHANGE_ZONE_STATE;
        change.zone_state = (struct change_zone_state){
            {state_zone_at(world->state, 0)->uid}, ZONE_UP + pick(world, 3)};
        break;
    case 2:
        change.kind = CHANGE_SETTINGS;
        settings_init(&change.settings.settings);
        change.settings.settings.start_parallel = 1 + pick(world, 9);
        break;
    case 3:
        change.kind = CHANGE_REGION;
        change.region.id =
            (struct region_id){pick(world, 3), 1 + pick(world, 3)};
        break;
    default:
        snprintf(id, sizeof(id), "request-%u", world->names++);
        change.reply = (struct change_reply){
            text_of(id), random_u64(&world->random), text_of("answer")};
        break;
    }
    apply(world, &change);
}

static void step(struct world *world)
{
    const struct vm *vm = pick_vm(world);

    switch (pick(world, 10)) {
    case 0:
        register_host(world, pick(world, 2) ? pick_host(world) : NULL);
        break;
    case 1:
    case 2:
        new_vm(world);
        break;
    case 3:
        other_change(world);
        break;
    case 4:
        if (state_counts(world->state)->classes < 20) {
            new_class(world);
        }
        break;
    case 5:
        if (vm != NULL) {
            wish_vm(world, vm);
        }
        break;
    default:
        if (vm != NULL && vm->host == SLOT_NONE) {
            assign_vm(world, vm);
        } else if (vm != NULL) {
            on_host_vm(world, vm);
        }
        break;
    }
}

static void check_hosts(const struct state *state)
{
    for (uint32_t i = 0; i < state_host_slots(state); i++) {
        const struct host *host = state_host_at(state, i);
        struct resources used = {0};
        uint32_t count = 0;

        for (uint32_t at = host->vm_first; at != SLOT_NONE;
             at = state_vm_at(state, at)->host_next) {
            const struct vm *vm = state_vm_at(state, at);

            assert_int_equal(vm->host, i);
            resources_add(&used,
                          &state_class_at(state, vm->class_slot)->resources, 1);
            count++;
        }
        assert_int_equal(count, host->vm_count);
        assert_memory_equal(&used, &host->used, sizeof(used));
        assert_true(used.cpu_milli <= host->capacity.cpu_milli);
        assert_true(used.memory_mib <= host->capacity.memory_mib);
    }
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

static void check_restore(const struct state *state, struct random *random)
{
    struct snapshot_writer writer;
    struct snapshot_reader *reader = snapshot_reader_create();
    struct state *restored;
    struct bytes stream;
    size_t at = 0;

    bytes_init(&stream);
    snapshot_writer_init(&writer, state);
    while (snapshot_writer_next(&writer, &stream, 1000)) {
    }
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
    assert_true(state_hash_recomputed(restored) == state_hash(state));
    assert_memory_equal(state_counts(restored), state_counts(state),
                        sizeof(struct state_counts));
    check_hosts(restored);
    check_pending(restored);
    state_destroy(restored);
    bytes_close(&stream);
}

static void run_seed(uint64_t seed)
{
    struct world world = {.now_ms = 1000};
    struct state *old = NULL;
    uint64_t old_hash = 0;

    random_init(&world.random, seed);
    world.state = state_create();
    world.replica = state_create();
    for (int i = 0; i < 3; i++) {
        new_zone(&world);
        new_class(&world);
        register_host(&world, NULL);
    }
    for (int i = 0; i < STEPS; i++) {
        if (i % 100 == 0) {
            assert_true(old == NULL || state_hash_recomputed(old) == old_hash);
            state_destroy(old);
            old = state_clone(world.state);
            old_hash = state_hash(old);
            check_hosts(world.state);
            check_pending(world.state);
            check_restore(world.state, &world.random);
            assert_true(state_hash_recomputed(world.state) ==
                        state_hash(world.state));
        }
        step(&world);
    }
    state_destroy(old);
    state_destroy(world.state);
    state_destroy(world.replica);
}

static void random_histories_keep_every_derived_fact(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        print_message("seed %llu\n", (unsigned long long)seed);
        run_seed(seed);
    }
}

/* A snapshot with any byte changed is refused, never half-believed. */
static void changed_snapshots_are_refused(void **unused)
{
    struct state *state = state_create();
    struct world world = {.state = state, .replica = state_create()};
    struct snapshot_writer writer;
    struct bytes stream;

    (void)unused;
    random_init(&world.random, 7);
    new_zone(&world);
    new_class(&world);
    register_host(&world, NULL);
    for (int i = 0; i < 10; i++) {
        new_vm(&world);
    }
    bytes_init(&stream);
    snapshot_writer_init(&writer, state);
    while (snapshot_writer_next(&writer, &stream, 1 << 20)) {
    }
    for (size_t i = 0; i < stream.len; i++) {
        struct snapshot_reader *reader = snapshot_reader_create();
        uint8_t flip = (uint8_t)(1u << (i % 8));
        struct state *restored;

        stream.data[i] ^= flip;
        snapshot_reader_feed(reader, stream.data, stream.len);
        restored = snapshot_reader_finish(reader);
        /* A flip in padding that no reader looks at may pass, but then the
         * state must be the same one. */
        assert_true(restored == NULL ||
                    state_hash(restored) == state_hash(state));
        state_destroy(restored);
        stream.data[i] ^= flip;
    }
    bytes_close(&stream);
    state_destroy(world.replica);
    state_destroy(state);
}

static void an_entry_for_another_state_is_refused(void **unused)
{
    struct state *state = state_create();
    struct batch batch = {.head = {1, state_hash(state), 5}};
    uint64_t before = state_hash(state);

    (void)unused;
    assert_int_equal(state_apply_batch(state, &batch, NULL), HF_ERROR_CORRUPT);
    batch.head = (struct batch_head){0, before + 1, 5};
    assert_int_equal(state_apply_batch(state, &batch, NULL), HF_ERROR_CORRUPT);
    assert_true(state_hash(state) == before);
    state_destroy(state);
}

/* A log written by a newer version stops this one instead of being guessed. */
static void unknown_changes_and_formats_are_refused(void **unused)
{
    static const uint8_t newer_format[] = {0x08, 0x02};
    static const uint8_t unknown_kind[] = {0x08, 0x01, 0x2a, 0x04,
                                           0xfa, 0x06, 0x01, 0x00};
    static const uint8_t garbage[] = {0xff, 0xff, 0xff};
    struct batch batch;
    struct arena arena;

    (void)unused;
    arena_init(&arena, BATCH_ARENA_BYTES);
    assert_int_equal(
        batch_decode(newer_format, sizeof(newer_format), &arena, &batch),
        HF_ERROR_UNSUPPORTED);
    assert_int_equal(
        batch_decode(unknown_kind, sizeof(unknown_kind), &arena, &batch),
        HF_ERROR_UNSUPPORTED);
    assert_int_equal(batch_decode(garbage, sizeof(garbage), &arena, &batch),
                     HF_ERROR_CORRUPT);
    arena_close(&arena);
}

static void unsafe_settings_are_refused_by_name(void **unused)
{
    struct settings row;

    (void)unused;
    settings_init(&row);
    assert_null(settings_check(&row));
    row.lease_run_ms = 4413; /* 4413 * 1.02 + 500 = 5001.3 */
    assert_non_null(strstr(settings_check(&row), "two copies"));
    row.lease_run_ms = 4411; /* 4499.2, rounded up, + 500 = 5000 */
    assert_null(settings_check(&row));
    settings_init(&row);
    row.renew_ms = 1467;
    assert_non_null(strstr(settings_check(&row), "renew_ms"));
    settings_init(&row);
    row.margin_ms = 100;
    assert_non_null(strstr(settings_check(&row), "margin_ms"));
    settings_init(&row);
    row.clock_error_permille = 0;
    assert_non_null(strstr(settings_check(&row), "clock_error_permille"));
    settings_init(&row);
    row.start_parallel = 0;
    assert_non_null(strstr(settings_check(&row), "start_parallel"));
}

static void labels_are_sorted_and_bounded(void **unused)
{
    struct label labels[] = {{{"zeta", 4}, {"1", 1}}, {{"alpha", 5}, {"", 0}}};
    struct label doubled[] = {{{"a", 1}, {"1", 1}}, {{"a", 1}, {"2", 1}}};
    struct bytes out;
    struct text encoded;
    struct text value;

    (void)unused;
    bytes_init(&out);
    assert_int_equal(labels_encode(labels, 2, &out), 0);
    encoded = (struct text){(const char *)out.data, (uint32_t)out.len};
    assert_true(labels_valid(encoded));
    assert_true(labels_get(encoded, (struct text){"zeta", 4}, &value));
    assert_int_equal(value.len, 1);
    assert_false(labels_get(encoded, (struct text){"beta", 4}, &value));
    assert_int_equal(labels_encode(doubled, 2, &out), HF_ERROR_INVALID);
    assert_false(labels_valid((struct text){"\5ab", 3}));
    bytes_close(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_histories_keep_every_derived_fact),
        cmocka_unit_test(changed_snapshots_are_refused),
        cmocka_unit_test(an_entry_for_another_state_is_refused),
        cmocka_unit_test(unknown_changes_and_formats_are_refused),
        cmocka_unit_test(unsafe_settings_are_refused_by_name),
        cmocka_unit_test(labels_are_sorted_and_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
