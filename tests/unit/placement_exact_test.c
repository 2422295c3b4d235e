/* SPDX-License-Identifier: Apache-2.0
 *
 * The placer against plain code (placement_pass.h), in small random regions
 * that random changes walk through. */
#include "base/container.h"
#include "base/random.h"
#include "state/labels.h"
#include "tests/unit/placement_pass.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ZONES   3
#define HOSTS   14
#define CLASSES 4
#define GROUPS  5
#define STEPS   180
#define SEEDS   60

/* Which rules a run has: one bit each. */
enum mix {
    MIX_GROUPS = 1,
    MIX_RESERVATIONS = 2,
    MIX_HELD = 4,
    MIX_WISHES = 8, /* Selectors, pools, drivers, disks, GPUs, named. */
    MIX_ALL = 15
};

struct bench {
    struct event_sink sink;
    struct state *state;
    struct placer *placer;
    struct random random;
    enum mix mix;
    bool rebuilding; /* The placer is in the middle of that. */
    uint32_t rebuilt;
    uint32_t names;
    uint32_t refused;
    uint32_t compared;
};

static uint32_t draw(struct bench *bench, uint32_t bound)
{
    return (uint32_t)random_below(&bench->random, bound);
}

static bool one_in(struct bench *bench, uint32_t bound)
{
    return draw(bench, bound) == 0;
}

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static void on_event(struct event_sink *sink, const struct event *event)
{
    struct bench *bench = container_of(sink, struct bench, sink);
    struct placer *placer = bench->placer;

    switch (event->kind) {
    case EVENT_ZONE:
        placer_zone_changed(placer, bench->state, uid_slot(event->zone->uid));
        break;
    case EVENT_CLASS:
        placer_class_changed(placer, bench->state, uid_slot(event->class->uid));
        break;
    case EVENT_HOST:
        placer_host_changed(placer, bench->state, uid_slot(event->host->uid));
        break;
    case EVENT_VM:
        placer_vm_changed(placer, bench->state, uid_slot(event->vm->uid));
        break;
    case EVENT_GROUP:
        placer_group_changed(placer, bench->state, uid_slot(event->group->uid));
        break;
    case EVENT_RESERVATION:
        placer_reservation_changed(placer, bench->state,
                                   uid_slot(event->reservation->uid));
        break;
    default:
        placer_settings_changed(placer, bench->state);
    }
}

static void apply(struct bench *bench, const struct change *change)
{
    state_apply(bench->state, change, &bench->sink);
}

/* --- Regions and their changes --- */

static void encode_label(struct bench *bench, struct bytes *out)
{
    static const char *const values[] = {"a", "b"};
    struct label labels[2] = {{{"disk", 4}, text_of(values[draw(bench, 2)])},
                              {{"rack", 4}, text_of(values[draw(bench, 2)])}};

    bytes_init(out);
    assert_int_equal(labels_encode(labels, 1 + draw(bench, 2), out), 0);
}

static struct text text_of_bytes(const struct bytes *bytes)
{
    return (struct text){(const char *)bytes->data, (uint32_t)bytes->len};
}

static void register_host(struct bench *bench, uint32_t number, uint32_t zone)
{
    static const struct text pools[] = {{"ssd", 3}, {"tape", 4}};
    static const char *const domains[] = {"", "r1", "r2"};
    struct change change = {.kind = CHANGE_HOST_REGISTER};
    bool wishes = (bench->mix & MIX_WISHES) != 0;
    struct named_amount licences = {{"lic", 3}, 4 * draw(bench, 2)};
    struct bytes labels;
    char name[16];

    snprintf(name, sizeof(name), "h%u", number);
    encode_label(bench, &labels);
    change.host_register = (struct change_host_register){
        .name = text_of(name),
        .zone = {state_zone_at(bench->state, zone)->uid},
        .fault_domain = text_of(domains[draw(bench, 3)]),
        .host_id = text_of(name),
        .capacity = {4000 + 1500 * draw(bench, 4), 8000 + 777 * draw(bench, 4),
                     100, wishes ? draw(bench, 3) : 0},
        .pools = pools,
        .pool_count = wishes ? draw(bench, 3) : 2,
        .driver_mask = 1u << DRIVER_QEMU | (wishes ? draw(bench, 2) : 1)
                                               << DRIVER_EXEC,
        .labels = text_of_bytes(&labels),
        .named = &licences,
        .named_count = 1,
    };
    apply(bench, &change);
    bytes_close(&labels);
}

static void create_class(struct bench *bench, bool custom)
{
    struct change change = {.kind = CHANGE_CLASS_CREATE};
    struct named_amount licences = {{"lic", 3}, 1};
    bool wishes = (bench->mix & MIX_WISHES) != 0;
    char name[16];

    snprintf(name, sizeof(name), "%c%u", custom ? 'x' : 'c', bench->names++);
    change.class_create = (struct change_class_create){
        .name = text_of(name),
        .resources = {custom ? 100 + draw(bench, 3000)
                             : 500 * (1 + draw(bench, 6)),
                      custom ? 100 + draw(bench, 3000)
                             : 512 * (1 + draw(bench, 6)),
                      draw(bench, 20), wishes && one_in(bench, 4)},
        .zone_mask = one_in(bench, 6) ? 1 + draw(bench, 7) : 0,
        .named = &licences,
        .named_count = wishes && one_in(bench, 4),
        .custom = custom,
    };
    apply(bench, &change);
}

static struct group_fields group_fields(struct bench *bench)
{
    static const enum rule_mode modes[] = {0, RULE_MODE_BEST_EFFORT,
                                           RULE_MODE_STRICT};

    return (struct group_fields){
        .zone_rule = (enum zone_rule)(1 + draw(bench, 4)),
        .max_skew = 1 + draw(bench, 2),
        .zone_mode = (enum rule_mode)(1 + draw(bench, 2)),
        .zone_mask = one_in(bench, 4) ? 1 + draw(bench, 7) : 0,
        .domain_mode = modes[draw(bench, 3)],
        .domain_max = draw(bench, 4),
        .host_mode = modes[draw(bench, 3)],
        .host_max = draw(bench, 3),
    };
}

static void create_group(struct bench *bench)
{
    struct change change = {.kind = CHANGE_GROUP_CREATE};
    char name[16];

    snprintf(name, sizeof(name), "g%u", bench->names++);
    change.group_create.name = text_of(name);
    change.group_create.fields = group_fields(bench);
    apply(bench, &change);
}

static void update_group(struct bench *bench)
{
    struct change change = {.kind = CHANGE_GROUP_UPDATE};

    change.group_update.group.uid =
        state_group_at(bench->state, draw(bench, GROUPS))->uid;
    change.group_update.fields = group_fields(bench);
    apply(bench, &change);
}

static const struct class *draw_class(struct bench *bench)
{
    const struct class *class;

    do {
        class = state_class_at(bench->state,
                               draw(bench, state_class_slots(bench->state)));
    } while (class == NULL);
    return class;
}

static void create_vm(struct bench *bench)
{
    static const struct text pools[] = {{"ssd", 3}, {"tape", 4}};
    struct change change = {.kind = CHANGE_VM_CREATE};
    bool wishes = (bench->mix & MIX_WISHES) != 0;
    struct bytes selector;
    char name[16];

    if (one_in(bench, 8)) {
        create_class(bench, true);
    }
    encode_label(bench, &selector);
    snprintf(name, sizeof(name), "v%u", bench->names++);
    change.vm_create = (struct change_vm_create){
        .name = text_of(name),
        .class = {draw_class(bench)->uid},
        .on_partition = ON_PARTITION_MOVE,
        .desired = DESIRED_RUNNING,
        .driver = wishes && one_in(bench, 4) ? DRIVER_EXEC : DRIVER_QEMU,
        .pools = pools,
        .pool_count = wishes && one_in(bench, 3) ? 1 + draw(bench, 2) : 0,
        .preemptible = one_in(bench, 4),
        .priority = draw(bench, 3),
    };
    if (wishes) {
        change.vm_create.local_disk = one_in(bench, 8);
        change.vm_create.disk_zone_mask =
            one_in(bench, 6) ? 1 + draw(bench, 7) : 0;
        if (one_in(bench, 4)) {
            change.vm_create.selector = text_of_bytes(&selector);
        }
    }
    if (one_in(bench, 5)) {
        change.vm_create.zone.uid =
            state_zone_at(bench->state, draw(bench, ZONES))->uid;
    }
    if ((bench->mix & MIX_GROUPS) != 0 && !one_in(bench, 3)) {
        change.vm_create.group.uid =
            state_group_at(bench->state, draw(bench, GROUPS))->uid;
    }
    apply(bench, &change);
    bytes_close(&selector);
}

static void set_reservation(struct bench *bench)
{
    struct change change = {.kind = CHANGE_RESERVATION_SET};
    const struct reservation *known;
    char name[16];

    if ((bench->mix & MIX_RESERVATIONS) == 0) {
        return;
    }
    snprintf(name, sizeof(name), "r%u", draw(bench, 3));
    known = state_reservation_named(bench->state, text_of(name));
    if (known != NULL && one_in(bench, 2)) {
        change.kind = CHANGE_RESERVATION_DELETE;
        change.reservation_delete.name = text_of(name);
    } else {
        const struct class *class = draw_class(bench);

        change.reservation_set = (struct change_reservation_set){
            text_of(name),
            {state_zone_at(bench->state, draw(bench, ZONES))->uid},
            {class->uid},
            1 + draw(bench, 4)};
        if (known != NULL) {
            change.reservation_set.zone.uid =
                state_zone_at(bench->state, known->zone)->uid;
            change.reservation_set.class.uid =
                state_class_at(bench->state, known->class_slot)->uid;
        }
    }
    apply(bench, &change);
}

static void hold(struct bench *bench)
{
    struct placer_room room = {
        {500 * draw(bench, 4), 512 * draw(bench, 4), 0, 0}, {{0}}};

    if ((bench->mix & MIX_HELD) != 0 && !bench->rebuilding) {
        placer_hold(bench->placer, draw(bench, HOSTS), &room);
    }
}

static void set_up(struct bench *bench, uint64_t seed, enum mix mix)
{
    struct change change = {.kind = CHANGE_POLICY};
    char name[16];

    *bench = (struct bench){.sink = {on_event},
                            .state = state_create(),
                            .placer = placer_create(),
                            .mix = mix};
    random_init(&bench->random, seed);
    placer_rebuild(bench->placer, bench->state);
    policy_init(&change.policy.policy);
    change.policy.policy.headroom = HEADROOM_OFF;
    if (!one_in(bench, 6) || mix != 0) {
        apply(bench, &change);
    }
    for (uint32_t i = 0; i < ZONES; i++) {
        snprintf(name, sizeof(name), "z%u", i);
        change = (struct change){.kind = CHANGE_ZONE_CREATE,
                                 .zone_create = {text_of(name)}};
        apply(bench, &change);
    }
    for (uint32_t i = 0; i < HOSTS; i++) {
        register_host(bench, i, i % ZONES);
    }
    for (uint32_t i = 0; i < CLASSES; i++) {
        create_class(bench, false);
    }
    for (uint32_t i = 0; i < GROUPS && (mix & MIX_GROUPS) != 0; i++) {
        create_group(bench);
    }
}

static void tear_down(struct bench *bench)
{
    placer_destroy(bench->placer);
    state_destroy(bench->state);
}

static void assign(struct bench *bench, const struct vm *vm, uint32_t host)
{
    struct change change = {.kind = CHANGE_VM_ASSIGN};

    change.vm_assign = (struct change_vm_assign){
        {vm->uid}, {state_host_at(bench->state, host)->uid}, vm->epoch + 1};
    apply(bench, &change);
}

/* A placer that was made just now says the same, unless it would have chosen
 * other hosts for slots of reservations, or nothing was told of what is held.
 */
static void compare_with_new(struct bench *bench,
                             const struct placement_request *request,
                             const struct placement_choice *choice)
{
    struct placement_choice other;
    struct placer *placer;

    if ((bench->mix & (MIX_RESERVATIONS | MIX_HELD)) != 0 ||
        !one_in(bench, 6)) {
        return;
    }
    placer = placer_create();
    if (bench->compared % 2 == 0) {
        placer_share(placer, bench->placer);
    }
    placer_rebuild(placer, bench->state);
    placer_choose(placer, bench->state, request, &other);
    if (other.host == SLOT_NONE) {
        placer_count_refused(placer, bench->state, request, &other);
    }
    assert_memory_equal(&other, choice, sizeof(other));
    placer_destroy(placer);
}

static uint32_t total(const uint32_t *refused)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < PLACEMENT_REFUSAL_COUNT; i++) {
        sum += refused[i];
    }
    return sum;
}

/* A new leader's placer, in slices: the region goes on meanwhile. */
static void rebuild(struct bench *bench)
{
    if (!bench->rebuilding) {
        placer_rebuild_begin(bench->placer, bench->state);
    }
    bench->rebuilding =
        !placer_work(bench->placer, bench->state, 1 + draw(bench, 50));
    assert_int_equal(placer_is_ready(bench->placer), !bench->rebuilding);
    bench->rebuilt += !bench->rebuilding;
}

static uint32_t choose_meanwhile(const struct bench *bench,
                                 const struct placement_request *request)
{
    struct placer *placer = placer_create();
    struct placement_choice choice;

    placer_rebuild(placer, bench->state);
    placer_choose(placer, bench->state, request, &choice);
    placer_destroy(placer);
    return choice.host;
}

static uint32_t choose(struct bench *bench, const struct vm *vm)
{
    struct placement_request request = {
        vm, one_in(bench, 3) ? draw(bench, ZONES) : SLOT_NONE};
    struct placement_choice choice;

    if (bench->rebuilding) {
        return choose_meanwhile(bench, &request);
    }
    placer_choose(bench->placer, bench->state, &request, &choice);
    assert_int_equal(choice.host, best_by_pass(bench->placer, bench->state, vm,
                                               request.prefer_zone));
    bench->compared++;
    if (choice.host == SLOT_NONE) {
        placer_count_refused(bench->placer, bench->state, &request, &choice);
        assert_int_equal(choice.reason, reason_of(choice.refused));
        assert_int_equal(total(choice.refused),
                         state_counts(bench->state)->hosts);
        bench->refused++;
    } else {
        assert_int_equal(
            placer_refusal(bench->placer, bench->state, vm, choice.host),
            PLACEMENT_REFUSAL_COUNT);
    }
    compare_with_new(bench, &request, &choice);
    return choice.host;
}

static void release(struct bench *bench, const struct vm *vm)
{
    struct change change = {.kind = CHANGE_VM_RELEASE};
    bool failed = one_in(bench, 6);

    change.vm_release = (struct change_vm_release){.vm = {vm->uid},
                                                   .epoch = vm->epoch,
                                                   .reason = text_of("x"),
                                                   .failed = failed,
                                                   .not_before_ms = failed};
    apply(bench, &change);
}

/* Desires, moves, claims and deletes. */
static void push_vm(struct bench *bench, const struct vm *vm)
{
    struct change change = {.kind = CHANGE_VM_MOVE};
    uint32_t host;

    if (vm->host == SLOT_NONE) {
        if (vm->state == VM_PENDING && vm->moving == MOVE_NONE) {
            change.kind = CHANGE_VM_DELETE;
            change.vm_delete.vm.uid = vm->uid;
            apply(bench, &change);
        }
        return;
    }
    if (vm->moving == MOVE_UNDER_WAY || vm->state == VM_LOST ||
        vm->state == VM_STOPPING) {
        return;
    }
    change.vm_move.vm.uid = vm->uid;
    change.vm_move.cause = MOVE_CAUSE_REQUEST;
    if (one_in(bench, 3)) {
        apply(bench, &change);
    } else if (one_in(bench, 3)) {
        change.vm_move.zone.uid =
            state_zone_at(bench->state, draw(bench, ZONES))->uid;
        apply(bench, &change);
    } else if (vm->moving == MOVE_NONE &&
               state_policy(bench->state)->uid != 0) {
        host = choose(bench, vm);
        if (host != SLOT_NONE) {
            change.kind = CHANGE_VM_CLAIM;
            change.vm_claim = (struct change_vm_claim){
                {vm->uid},
                {state_host_at(bench->state, host)->uid},
                MOVE_CAUSE_REBALANCE,
                1};
            apply(bench, &change);
        }
    } else if (one_in(bench, 2)) {
        change.kind = CHANGE_VM_DESIRE;
        change.vm_desire =
            (struct change_vm_desire){{vm->uid}, DESIRED_RUNNING, true};
        apply(bench, &change);
    }
}

static void change_host(struct bench *bench)
{
    uint32_t slot = draw(bench, HOSTS);
    const struct host *host = state_host_at(bench->state, slot);
    struct change change = {.kind = CHANGE_HOST_CORDON};

    switch (draw(bench, 5)) {
    case 0:
        change.host_cordon =
            (struct change_host_cordon){{host->uid}, !host->cordoned};
        apply(bench, &change);
        break;
    case 1:
        change.kind = CHANGE_HOST_DRAIN;
        change.host_drain = (struct change_host_drain){
            {host->uid}, !host->draining, 0, 0, DRAIN_END_NONE, false};
        apply(bench, &change);
        break;
    case 2:
        change.kind = CHANGE_HOST_FENCE;
        change.host_fence =
            (struct change_host_fence){{host->uid}, FENCE_LEASE_ENDED};
        apply(bench, &change);
        break;
    default:
        if (host->vm_count == 0 && host->claim_count == 0) {
            register_host(bench, slot, draw(bench, ZONES));
        }
    }
}

static void change_zone(struct bench *bench)
{
    const struct zone *zone = state_zone_at(bench->state, draw(bench, ZONES));
    struct change change = {.kind = CHANGE_ZONE_CORDON};

    if (one_in(bench, 2)) {
        change.zone_cordon =
            (struct change_zone_cordon){{zone->uid}, !zone->cordoned};
    } else if (one_in(bench, 2)) {
        change.kind = CHANGE_ZONE_DRAIN;
        change.zone_drain = (struct change_zone_drain){
            {zone->uid}, !zone->draining, 0, 0, DRAIN_END_NONE, false};
    } else {
        change.kind = CHANGE_ZONE_STATE;
        change.zone_state = (struct change_zone_state){
            {zone->uid}, zone->state == ZONE_UP ? ZONE_HELD : ZONE_UP};
    }
    apply(bench, &change);
}

/* One that is not there yet. */
static void choose_for_new(struct bench *bench)
{
    struct vm vm = {
        .class_slot = uid_slot(draw_class(bench)->uid),
        .zone = SLOT_NONE,
        .host = SLOT_NONE,
        .last_host = SLOT_NONE,
        .move_zone = SLOT_NONE,
        .move_host = SLOT_NONE,
        .driver = DRIVER_QEMU,
    };

    if ((bench->mix & MIX_GROUPS) != 0) {
        vm.group_plus1 = draw(bench, GROUPS + 1);
    }
    choose(bench, &vm);
}

static void step(struct bench *bench)
{
    uint32_t slots = state_vm_slots(bench->state);
    const struct vm *vm =
        slots == 0 ? NULL : state_vm_at(bench->state, draw(bench, slots));
    uint32_t host;

    if (bench->rebuilding || one_in(bench, 60)) {
        rebuild(bench);
    }
    switch (draw(bench, 16)) {
    case 0:
        change_host(bench);
        break;
    case 1:
        if (one_in(bench, 4)) {
            change_zone(bench);
        }
        break;
    case 2:
        if ((bench->mix & MIX_GROUPS) != 0 && one_in(bench, 3)) {
            update_group(bench);
        }
        set_reservation(bench);
        hold(bench);
        break;
    case 3:
        if (vm != NULL && vm->host != SLOT_NONE) {
            release(bench, vm);
        }
        break;
    case 4:
        if (vm != NULL) {
            push_vm(bench, vm);
        }
        break;
    case 5:
    case 6:
    case 7:
    case 8:
        create_vm(bench);
        break;
    case 9:
        choose_for_new(bench);
        break;
    default:
        if (vm != NULL && vm->state == VM_PENDING) {
            host = choose(bench, vm);
            if (host != SLOT_NONE) {
                assign(bench, vm, host);
            }
        }
        break;
    }
}

static void run(enum mix mix, uint64_t seeds, uint32_t at_least)
{
    uint32_t compared = 0;
    uint32_t refused = 0;
    uint32_t rebuilt = 0;

    for (uint64_t seed = 1; seed <= seeds; seed++) {
        struct bench bench;

        set_up(&bench, seed * 16 + (uint64_t)mix, mix);
        for (uint32_t i = 0; i < STEPS; i++) {
            step(&bench);
        }
        compared += bench.compared;
        refused += bench.refused;
        rebuilt += bench.rebuilt;
        tear_down(&bench);
    }
    assert_true(compared >= at_least);
    assert_true(refused > compared / 50);
    assert_true(rebuilt > seeds);
}

static void the_choice_is_the_best_of_all_hosts(void **unused)
{
    (void)unused;
    run(0, SEEDS, 2000);
}

static void groups_choose_the_best_of_all_hosts(void **unused)
{
    (void)unused;
    run(MIX_GROUPS, SEEDS, 2000);
}

static void wishes_of_all_kinds_choose_the_best_of_all_hosts(void **unused)
{
    (void)unused;
    run(MIX_WISHES, SEEDS, 2000);
}

static void with_every_rule_it_is_the_best_of_all_hosts(void **unused)
{
    (void)unused;
    run(MIX_ALL, 2 * SEEDS, 4000);
}

static void ranks_stay_compiled_when_zones_come_and_go(void **unused)
{
    const struct ranks_table *table;
    struct bench bench;

    (void)unused;
    set_up(&bench, 1, 0);
    choose_for_new(&bench);
    table = bench.placer->index.table;
    assert_non_null(table);
    for (int i = 0; i < 100; i++) {
        change_zone(&bench);
        choose_for_new(&bench);
        assert_ptr_equal(bench.placer->index.table, table);
    }
    placer_rebuild(bench.placer, bench.state);
    choose_for_new(&bench);
    assert_ptr_equal(bench.placer->index.table, table);
    tear_down(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_choice_is_the_best_of_all_hosts),
        cmocka_unit_test(groups_choose_the_best_of_all_hosts),
        cmocka_unit_test(wishes_of_all_kinds_choose_the_best_of_all_hosts),
        cmocka_unit_test(with_every_rule_it_is_the_best_of_all_hosts),
        cmocka_unit_test(ranks_stay_compiled_when_zones_come_and_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
