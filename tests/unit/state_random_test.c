/* SPDX-License-Identifier: Apache-2.0
 *
 * Random valid histories of the changes that format 1 had; those of format 2
 * are in state_groups_random_test.c. After every change what is derived must
 * equal what is computed from scratch, a clone must not move, log entries and
 * snapshots must carry the state over without loss, and hashes and snapshots
 * are those of the version that knew no other format. */
#include "base/error.h"
#include "base/hash.h"
#include "state/internal.h"
#include "state/labels.h"
#include "state/snapshot.h"
#include "tests/support/state_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SEEDS 12
#define STEPS 1500

/* What the version before format 2 had in the end, and wrote. */
static const struct {
    uint64_t hash;
    uint64_t snapshot;
} format_1[SEEDS] = {
    {UINT64_C(0x763a13ae357f5bc6), UINT64_C(0x137d74ee9c5b6624)},
    {UINT64_C(0x11d3479ed41ff3a4), UINT64_C(0xb546cfd26a417c68)},
    {UINT64_C(0xab31232f37c0954e), UINT64_C(0x632825723b87a93a)},
    {UINT64_C(0x38177dce9ff5960f), UINT64_C(0xb9ed5375e7744db4)},
    {UINT64_C(0x9daa242ef04f2b5d), UINT64_C(0xf0393d8723dbae8f)},
    {UINT64_C(0xe04c99cf92d52258), UINT64_C(0x71cb71db02aef44b)},
    {UINT64_C(0xa4b994a7e6066ad2), UINT64_C(0x6cb337bdb0e9f423)},
    {UINT64_C(0xfb4a1f85431a1673), UINT64_C(0x32313edbf4bc5f71)},
    {UINT64_C(0xc246d68447932f76), UINT64_C(0x6667314a269ab33c)},
    {UINT64_C(0x4d8648d168c15f9c), UINT64_C(0x6ee4e4c7d8706c65)},
    {UINT64_C(0x55cb28836b1a4aa7), UINT64_C(0x5777f8c6ac82f6ca)},
    {UINT64_C(0x4ba5c68879067da6), UINT64_C(0xb342117d862f2c71)},
};

struct world {
    struct mirror mirror;
    struct state *state; /* Of the mirror. */
    struct random random;
    uint32_t names;
};

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

static void new_zone(struct world *world)
{
    char name[NAME_BYTES];
    struct change change = {.kind = CHANGE_ZONE_CREATE};

    snprintf(name, sizeof(name), "z%u", world->names++);
    change.zone_create.name = text_of(name);
    mirror_apply(&world->mirror, &change);
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
    mirror_apply(&world->mirror, &change);
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
    mirror_apply(&world->mirror, &change);
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
    mirror_apply(&world->mirror, &change);
}

static void assign_vm(struct world *world, const struct vm *vm)
{
    const struct host *host = pick_host(world);
    struct change change = {.kind = CHANGE_VM_ASSIGN};

    if (vm->state == VM_PENDING && vm->moving && pick(world, 3) == 0) {
        change.kind = CHANGE_VM_MOVE;
        change.vm_move =
            (struct change_vm_move){.vm = {vm->uid}, .cancel = true};
        mirror_apply(&world->mirror, &change);
        return;
    }
    if (vm->state != VM_PENDING || host == NULL || host->state != HOST_UP ||
        !host_fits(host, state_class_at(world->state, vm->class_slot))) {
        return;
    }
    change.vm_assign =
        (struct change_vm_assign){{vm->uid}, {host->uid}, vm->epoch + 1};
    mirror_apply(&world->mirror, &change);
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
            .not_before_ms = pick(world, 2) ? world->mirror.now_ms + 1000 : 0,
            .forget = pick(world, 2),
        };
        break;
    }
    mirror_apply(&world->mirror, &change);
}

static void wish_vm(struct world *world, const struct vm *vm)
{
    struct change change = {.kind = CHANGE_VM_DESIRE};

    if (pick(world, 3) == 0) {
        change.kind = CHANGE_VM_UPDATE;
        change.vm_update = (struct change_vm_update){
            .vm = {vm->uid},
            .mask = pick(world, 8), /* Those that format 1 had. */
            .priority = pick(world, 1001),
            .on_partition = ON_PARTITION_KEEP,
            .labels = {"\1x\1y", 4},
        };
    } else if (vm->host == SLOT_NONE && pick(world, 2)) {
        change.kind = CHANGE_VM_DELETE;
        change.vm_delete.vm.uid = vm->uid;
    } else {
        change.vm_desire = (struct change_vm_desire){
            {vm->uid},
            pick(world, 2) ? DESIRED_RUNNING : DESIRED_STOPPED,
            vm->deleting || (vm->host != SLOT_NONE && pick(world, 4) == 0)};
    }
    mirror_apply(&world->mirror, &change);
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
    mirror_apply(&world->mirror, &change);
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

static void write_snapshot(const struct state *state, struct bytes *stream)
{
    struct snapshot_writer writer;

    bytes_init(stream);
    snapshot_writer_init(&writer, state);
    while (snapshot_writer_next(&writer, stream, 1000)) {
    }
}

/* Nothing that these histories do needs format 2. */
static void check_format_1(const struct state *state, uint64_t seed)
{
    struct bytes stream;

    write_snapshot(state, &stream);
    assert_true(state_hash(state) == format_1[seed - 1].hash);
    assert_true(hash_bytes(stream.data, stream.len, 0) ==
                format_1[seed - 1].snapshot);
    bytes_close(&stream);
}

static void run_seed(uint64_t seed)
{
    struct world world = {0};
    struct state *old = NULL;
    uint64_t old_hash = 0;

    random_init(&world.random, seed);
    mirror_init(&world.mirror);
    world.state = world.mirror.state;
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
            check_derived(world.state);
            check_restore(world.state, &world.random);
        }
        step(&world);
    }
    check_format_1(world.state, seed);
    state_destroy(old);
    mirror_close(&world.mirror);
}

static void random_histories_of_format_1_keep_every_fact_and_hash(void **unused)
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
    struct world world = {0};
    struct state *state;
    struct bytes stream;

    (void)unused;
    mirror_init(&world.mirror);
    world.state = state = world.mirror.state;
    random_init(&world.random, 7);
    new_zone(&world);
    new_class(&world);
    register_host(&world, NULL);
    for (int i = 0; i < 10; i++) {
        new_vm(&world);
    }
    write_snapshot(state, &stream);
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
    mirror_close(&world.mirror);
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
        cmocka_unit_test(random_histories_of_format_1_keep_every_fact_and_hash),
        cmocka_unit_test(changed_snapshots_are_refused),
        cmocka_unit_test(an_entry_for_another_state_is_refused),
        cmocka_unit_test(unknown_changes_and_formats_are_refused),
        cmocka_unit_test(unsafe_settings_are_refused_by_name),
        cmocka_unit_test(labels_are_sorted_and_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
