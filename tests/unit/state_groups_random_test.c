/* SPDX-License-Identifier: Apache-2.0
 *
 * Random valid histories of all changes, those of format 2 first: groups,
 * reservations, grants, drains, classes that change or go by themselves,
 * claims, moves and preemptions, with fences and releases between them, and a
 * policy that comes late. After every change replicas agree; every few, all
 * that is derived equals what is computed from scratch, clones have not moved,
 * and a snapshot carries the state over. */
#include "base/random.h"
#include "state/internal.h"
#include "tests/support/state_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEEDS_DEFAULT 10
#define STEPS         1200
#define CHECK_EVERY   60
#define VMS           120

struct world {
    struct mirror mirror;
    struct state *state; /* Of the mirror. */
    struct random random;
    uint32_t names;
    uint32_t done[CHANGE_GRANT_DELETE + 1]; /* By kind: none is left out. */
};

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static uint32_t pick(struct world *world, uint32_t bound)
{
    return (uint32_t)random_below(&world->random, bound);
}

static void apply(struct world *world, const struct change *change)
{
    world->done[change->kind]++;
    mirror_apply(&world->mirror, change);
}

static const char *new_name(struct world *world, const char *letter,
                            char name[NAME_BYTES])
{
    snprintf(name, NAME_BYTES, "%s%u", letter, world->names++);
    return name;
}

static const struct vm *pick_vm(struct world *world)
{
    uint32_t slots = state_vm_slots(world->state);

    return slots == 0 ? NULL : state_vm_at(world->state, pick(world, slots));
}

static const struct host *pick_host(struct world *world)
{
    return state_host_at(world->state,
                         pick(world, state_host_slots(world->state)));
}

static const struct zone *pick_zone(struct world *world)
{
    return state_zone_at(world->state,
                         pick(world, state_zone_slots(world->state)));
}

static const struct class *pick_class(struct world *world)
{
    return state_class_at(world->state,
                          pick(world, state_class_slots(world->state)));
}

static const struct group *pick_group(struct world *world)
{
    uint32_t slots = state_group_slots(world->state);

    return slots == 0 ? NULL : state_group_at(world->state, pick(world, slots));
}

static const struct class *class_of(const struct world *world,
                                    const struct vm *vm)
{
    return state_class_at(world->state, vm->class_slot);
}

static struct resources some_resources(struct world *world)
{
    return (struct resources){1000 * (1 + pick(world, 4)),
                              512 * (1 + pick(world, 4)), pick(world, 3),
                              pick(world, 2)};
}

static void new_zone(struct world *world)
{
    char name[NAME_BYTES];
    struct change change = {.kind = CHANGE_ZONE_CREATE};

    change.zone_create.name = text_of(new_name(world, "z", name));
    apply(world, &change);
}

static struct class_id new_class(struct world *world, bool custom)
{
    char name[NAME_BYTES];
    struct named_amount named[2] = {{{"licence", 7}, pick(world, 2)},
                                    {{"port", 4}, pick(world, 3)}};
    struct change change = {.kind = CHANGE_CLASS_CREATE};

    change.class_create = (struct change_class_create){
        .name = text_of(new_name(world, custom ? "{}" : "c", name)),
        .resources = some_resources(world),
        .named = named,
        .named_count = pick(world, 3),
        .custom = custom,
    };
    apply(world, &change);
    return (struct class_id){
        state_class_named(world->state, change.class_create.name)->uid};
}

static bool holds_room(const struct world *world, uint32_t class_slot)
{
    for (uint32_t i = 0; i < state_vm_slots(world->state); i++) {
        const struct vm *vm = state_vm_at(world->state, i);

        if (vm != NULL && vm->class_slot == class_slot &&
            (vm->host != SLOT_NONE || vm_holds_claim(vm))) {
            return true;
        }
    }
    return false;
}

static void change_class(struct world *world)
{
    const struct class *class = pick_class(world);
    struct named_amount named = {{"port", 4}, pick(world, 3)};
    struct change change = {.kind = CHANGE_CLASS_UPDATE};

    if (class == NULL || state_counts(world->state)->classes < 6) {
        new_class(world, false);
    } else if (class->vm_count + class->use_count == 0 && pick(world, 2)) {
        change.kind = CHANGE_CLASS_DELETE;
        change.class_delete.class.uid = class->uid;
        apply(world, &change);
    } else {
        change.class_update = (struct change_class_update){
            .class = {class->uid},
            .mask = CLASS_UPDATE_ZONES,
            .zone_mask = pick(world, 4),
            .resources = some_resources(world),
            .named = &named,
            .named_count = 1,
        };
        if (!holds_room(world, uid_slot(class->uid))) {
            change.class_update.mask |= CLASS_UPDATE_RESOURCES;
        }
        apply(world, &change);
    }
}

static void register_host(struct world *world, const struct host *old)
{
    char name[NAME_BYTES];
    struct named_amount named[2] = {{{"port", 4}, 20}, {{"licence", 7}, 9}};
    struct change change = {.kind = CHANGE_HOST_REGISTER};
    const struct zone *zone = old != NULL && old->vm_count > 0
                                  ? state_zone_at(world->state, old->zone)
                                  : pick_zone(world);

    if (old == NULL) {
        new_name(world, "h", name);
    } else {
        memcpy(name, old->name, NAME_BYTES);
    }
    change.host_register = (struct change_host_register){
        .name = text_of(name),
        .zone = {zone->uid},
        .fault_domain = text_of(pick(world, 2) ? "r1" : "r2"),
        .host_id = text_of("0123456789abcdef"),
        .boot_id = text_of("b"),
        .capacity = {16000, 16384, 20, 4},
        .driver_mask = 6,
        .labels = {"\1k\1v", 4},
        .agent_version = text_of("2"),
        .named = named,
        .named_count = 2,
    };
    apply(world, &change);
}

static void host_or_zone(struct world *world)
{
    const struct host *host = pick_host(world);
    struct change change = {.kind = CHANGE_HOST_FENCE};

    switch (pick(world, 6)) {
    case 0:
        change.host_fence = (struct change_host_fence){
            {host->uid}, FENCE_LEASE_ENDED + pick(world, 3)};
        break;
    case 1:
        change.kind = CHANGE_HOST_DRAIN;
        change.host_drain = (struct change_host_drain){
            {host->uid}, pick(world, 2), pick(world, 100),
            0,           DRAIN_END_NONE, pick(world, 2)};
        break;
    case 2:
        change.kind = CHANGE_ZONE_DRAIN;
        change.zone_drain = (struct change_zone_drain){
            {pick_zone(world)->uid}, pick(world, 2), pick(world, 100), 0,
            DRAIN_END_NONE,          pick(world, 2)};
        break;
    case 3:
        change.kind = CHANGE_HOST_CORDON;
        change.host_cordon =
            (struct change_host_cordon){{host->uid}, pick(world, 2)};
        break;
    default:
        register_host(world, pick(world, 8) ? host : NULL);
        return;
    }
    apply(world, &change);
}

static struct group_fields some_fields(struct world *world)
{
    static const struct text pools[] = {{"fast", 4}, {"slow", 4}};
    const struct class *class = pick_class(world);

    return (struct group_fields){
        .count = pick(world, 9),
        .class = {class != NULL && pick(world, 2) ? class->uid : 0},
        .template = text_of(pick(world, 2) ? "template one" : "template two"),
        .labels = {"\1a\1b", pick(world, 2) ? 4 : 0},
        .selector = {"\1s\1t", pick(world, 2) ? 4 : 0},
        .pools = pools,
        .pool_count = pick(world, 3),
        .disk_zone_mask = pick(world, 8),
        .local_disk = pick(world, 2),
        .priority = pick(world, 1001),
        .on_partition = ON_PARTITION_MOVE,
        .driver = DRIVER_EXEC,
        .preemptible = pick(world, 2),
        .zone_rule = ZONE_RULE_SPREAD + pick(world, 4),
        .max_skew = 1 + pick(world, 3),
        .zone_mode = RULE_MODE_BEST_EFFORT + pick(world, 2),
        .zone_mask = pick(world, 8),
        .domain_mode = pick(world, 3),
        .domain_max = pick(world, 3),
        .host_mode = pick(world, 3),
        .host_max = pick(world, 3),
        .unprotected = pick(world, 2),
        .max_unavailable = pick(world, 3),
        .generation = pick(world, 5),
        .next_member = pick(world, 50),
    };
}

static void group_step(struct world *world)
{
    const struct group *group = pick_group(world);
    char name[NAME_BYTES];
    struct change change = {.kind = CHANGE_GROUP_CREATE};

    if (group == NULL || state_counts(world->state)->groups < 9) {
        change.group_create = (struct change_group_create){
            text_of(new_name(world, "g", name)), some_fields(world)};
        if (pick(world, 3) == 0) {
            change.group_create.fields.class = new_class(world, true);
        }
    } else if (group->vm_count == 0 && pick(world, 2)) {
        change.kind = CHANGE_GROUP_DELETE;
        change.group_delete.group.uid = group->uid;
    } else {
        change.kind = CHANGE_GROUP_UPDATE;
        change.group_update = (struct change_group_update){
            {group->uid},
            some_fields(world),
            group->deleting || pick(world, 6) == 0};
    }
    apply(world, &change);
}

static void reservation_step(struct world *world)
{
    uint32_t slots = state_reservation_slots(world->state);
    const struct reservation *old =
        slots == 0 ? NULL
                   : state_reservation_at(world->state, pick(world, slots));
    const struct class *class = pick_class(world);
    char name[NAME_BYTES];
    struct change change = {.kind = CHANGE_RESERVATION_SET};

    if (old != NULL && pick(world, 2)) {
        change.kind = CHANGE_RESERVATION_DELETE;
        change.reservation_delete.name = text_of(old->name);
    } else if (old != NULL) {
        change.reservation_set = (struct change_reservation_set){
            text_of(old->name),
            {state_zone_at(world->state, old->zone)->uid},
            {state_class_at(world->state, old->class_slot)->uid},
            1 + pick(world, 9)};
    } else if (class != NULL) {
        change.reservation_set =
            (struct change_reservation_set){text_of(new_name(world, "r", name)),
                                            {pick_zone(world)->uid},
                                            {class->uid},
                                            1 + pick(world, 9)};
    } else {
        return;
    }
    apply(world, &change);
}

static void policy_step(struct world *world)
{
    struct change change = {.kind = CHANGE_POLICY};

    policy_init(&change.policy.policy);
    change.policy.policy.preempt_max = pick(world, 65);
    change.policy.policy.uid = pick(world, 9); /* Ignored, as the next. */
    change.policy.policy.revision = pick(world, 9);
    apply(world, &change);
}

static void new_vm(struct world *world)
{
    char name[NAME_BYTES];
    const struct class *class = pick_class(world);
    const struct group *group = pick_group(world);
    struct change change = {.kind = CHANGE_VM_CREATE};

    if (class == NULL || state_counts(world->state)->vms >= VMS) {
        return;
    }
    change.vm_create = (struct change_vm_create){
        .class = {class->uid},
        .priority = pick(world, 1001),
        .on_partition = pick(world, 3) ? ON_PARTITION_MOVE : ON_PARTITION_KEEP,
        .desired = pick(world, 8) ? DESIRED_RUNNING : DESIRED_STOPPED,
        .driver = DRIVER_EXEC,
        .template = text_of(pick(world, 2) ? "template one" : "template three"),
        .labels = {"\1a\1b", pick(world, 2) ? 4 : 0},
        .preemptible = pick(world, 2),
        .local_disk = pick(world, 3) == 0,
        .disk_zone_mask = pick(world, 3),
        .selector = {"\1s\1u", pick(world, 2) ? 4 : 0},
        .template_generation = pick(world, 4),
    };
    if (group != NULL && !group->deleting && pick(world, 3) == 0) {
        change.vm_create.group.uid = group->uid;
    }
    if (pick(world, 5) == 0) {
        change.vm_create.class = new_class(world, true);
    }
    change.vm_create.name = text_of(new_name(world, "v", name));
    apply(world, &change);
}

/* Whether CHANGE_VM_MOVE or CHANGE_VM_CLAIM may name the host. */
static bool may_claim(const struct world *world, const struct vm *vm,
                      const struct host *host, bool pending)
{
    return host->state == HOST_UP && uid_slot(host->uid) != vm->host &&
           (pending ? host_fits_claims(host, class_of(world, vm))
                    : state_claim_fits(host, class_of(world, vm)));
}

static void claim_step(struct world *world, const struct vm *vm)
{
    const struct host *host = pick_host(world);
    struct change change = {.kind = CHANGE_VM_CLAIM};

    if (!state_has_policy(world->state) || vm->state < VM_PENDING ||
        vm->state > VM_RUNNING || vm->moving == MOVE_UNDER_WAY) {
        return;
    }
    change.vm_claim = (struct change_vm_claim){
        {vm->uid}, {0}, MOVE_CAUSE_REQUEST + pick(world, 6), pick(world, 100)};
    if (vm->moving == MOVE_CLAIMED && pick(world, 4) == 0) {
        apply(world, &change);
    } else if (may_claim(world, vm, host, vm->state == VM_PENDING)) {
        change.vm_claim.host.uid = host->uid;
        apply(world, &change);
    }
}

static void move_step(struct world *world, const struct vm *vm)
{
    const struct host *host = pick_host(world);
    struct change change = {.kind = CHANGE_VM_MOVE};

    change.vm_move = (struct change_vm_move){
        .vm = {vm->uid}, .cause = MOVE_CAUSE_REQUEST + pick(world, 5)};
    if (vm->moving == MOVE_CLAIMED && pick(world, 2)) {
        host = state_host_at(world->state, vm->move_host);
        change.vm_move.host.uid = host->uid;
    } else if (pick(world, 3) == 0) {
        change.vm_move.zone.uid = pick_zone(world)->uid;
    } else if (!state_has_policy(world->state) ||
               may_claim(world, vm, host, false)) {
        /* Format 1 asked nothing of the host. */
        change.vm_move.host.uid = host->uid;
    }
    apply(world, &change);
}

/* The VM is PENDING with a claim: others leave that host for it. */
static void preempt_step(struct world *world, const struct vm *vm)
{
    const struct host *host = state_host_at(world->state, vm->move_host);
    struct change change = {.kind = CHANGE_VM_PREEMPT};

    for (uint32_t at = host->vm_first; at != SLOT_NONE;
         at = state_vm_at(world->state, at)->host_next) {
        const struct vm *victim = state_vm_at(world->state, at);

        if (victim->preemptible && victim->state >= VM_ASSIGNED &&
            victim->state <= VM_RUNNING) {
            change.vm_preempt =
                (struct change_vm_preempt){{victim->uid}, {vm->uid}};
            apply(world, &change);
            return;
        }
    }
}

static void pending_vm(struct world *world, const struct vm *vm)
{
    const struct host *host = vm->moving && vm->move_host != SLOT_NONE
                                  ? state_host_at(world->state, vm->move_host)
                                  : pick_host(world);
    struct change change = {.kind = CHANGE_VM_ASSIGN};

    if (vm->moving == MOVE_CLAIMED && pick(world, 3) == 0) {
        preempt_step(world, vm);
    } else if (vm->moving && pick(world, 4) == 0) {
        change.kind = CHANGE_VM_MOVE;
        change.vm_move =
            (struct change_vm_move){.vm = {vm->uid}, .cancel = true};
        apply(world, &change);
    } else if (pick(world, 6) == 0) {
        change.kind = CHANGE_VM_PENDING;
        change.vm_pending = (struct change_vm_pending){
            {vm->uid}, PENDING_QUEUED + pick(world, PENDING_REASON_COUNT - 1)};
        apply(world, &change);
    } else if (host->state == HOST_UP && host_fits(host, class_of(world, vm))) {
        change.vm_assign =
            (struct change_vm_assign){{vm->uid}, {host->uid}, vm->epoch + 1};
        apply(world, &change);
    }
}

static void vm_on_host(struct world *world, const struct vm *vm)
{
    struct change change = {.kind = CHANGE_VM_RELEASE};

    if (pick(world, 3) == 0) {
        move_step(world, vm);
        return;
    }
    if (vm->state != VM_LOST && pick(world, 2)) {
        change.kind = CHANGE_VM_REPORT;
        change.vm_report = (struct change_vm_report){
            {vm->uid}, vm->epoch, VM_STARTING + pick(world, 3)};
    } else {
        change.vm_release = (struct change_vm_release){
            .vm = {vm->uid},
            .epoch = vm->epoch,
            .reason = text_of("exited status=1"),
            .failed = pick(world, 2),
        };
    }
    apply(world, &change);
}

static void wish(struct world *world, const struct vm *vm)
{
    struct change change = {.kind = CHANGE_VM_DESIRE};

    if (pick(world, 3) == 0) {
        change.kind = CHANGE_VM_UPDATE;
        change.vm_update = (struct change_vm_update){
            .vm = {vm->uid},
            .mask = pick(world, 16),
            .priority = pick(world, 1001),
            .on_partition = ON_PARTITION_MOVE + pick(world, 2),
            .labels = {"\1x\1y", 4},
            .preemptible = pick(world, 2),
        };
    } else if (vm->host == SLOT_NONE && pick(world, 3) == 0) {
        change.kind = CHANGE_VM_DELETE;
        change.vm_delete.vm.uid = vm->uid;
    } else {
        change.vm_desire = (struct change_vm_desire){
            {vm->uid},
            pick(world, 3) ? DESIRED_RUNNING : DESIRED_STOPPED,
            vm->deleting || (vm->host != SLOT_NONE && pick(world, 6) == 0)};
    }
    apply(world, &change);
}

static void vm_step(struct world *world)
{
    const struct vm *vm = pick_vm(world);

    if (vm == NULL || pick(world, 3) == 0) {
        new_vm(world);
    } else if (pick(world, 4) == 0) {
        wish(world, vm);
    } else if (pick(world, 2)) {
        claim_step(world, vm);
    } else if (vm->state == VM_PENDING) {
        pending_vm(world, vm);
    } else if (vm->host != SLOT_NONE) {
        vm_on_host(world, vm);
    }
}

static void new_grant(struct world *world, bool first)
{
    static const char *const clients[] = {"anna", "ben", "carol", "dora"};
    char name[NAME_BYTES] = "";
    uint8_t secret_hash[SECRET_HASH_BYTES] = {0};
    struct change change = {.kind = CHANGE_GRANT_SET};
    const struct grant *found[CLIENT_GRANTS_MAX];

    new_name(world, "grant", name);
    memcpy(secret_hash, name, SECRET_HASH_BYTES);
    change.grant_set = (struct change_grant_set){
        .name = text_of(name),
        .kind = SUBJECT_CLIENT,
        .subject = text_of(clients[pick(world, 4)]),
        .role = first ? ACCESS_ROLE_ADMIN : ACCESS_ROLE_VIEWER + pick(world, 4),
        .zone_mask = pick(world, 4),
        .selector = {"\1k\1v", pick(world, 2) * 4},
        .expire_ms = first ? 0 : pick(world, 2) * UINT64_C(4000000000000),
    };
    if (pick(world, 3) == 0) {
        change.grant_set.kind = SUBJECT_TOKEN;
        change.grant_set.subject.len = 0;
        change.grant_set.secret_hash =
            (struct text){(const char *)secret_hash, SECRET_HASH_BYTES};
    } else if (state_grants_of_client(world->state, change.grant_set.subject,
                                      found) == CLIENT_GRANTS_MAX) {
        return;
    }
    apply(world, &change);
}

static void grant_step(struct world *world)
{
    uint32_t slots = state_grant_slots(world->state);
    const struct grant *grant =
        slots == 0 ? NULL : state_grant_at(world->state, pick(world, slots));
    struct change change = {.kind = CHANGE_GRANT_SET};
    bool last = grant != NULL && grant->role == ACCESS_ROLE_ADMIN &&
                grant->expire_ms == 0 &&
                state_counts(world->state)->grants_of_admins == 1;

    if (grant == NULL || last) {
        new_grant(world, slots == 0);
    } else if (pick(world, 2)) {
        change.kind = CHANGE_GRANT_DELETE;
        change.grant_delete.name = text_of(grant->name);
        apply(world, &change);
    } else {
        change.grant_set = (struct change_grant_set){
            .name = text_of(grant->name),
            .kind = (enum subject_kind)grant->kind,
            .subject = text_of(grant->subject),
            .role = ACCESS_ROLE_ADMIN,
            .zone_mask = pick(world, 4),
            .expire_ms = pick(world, 2),
        };
        if (grant->kind == SUBJECT_TOKEN) {
            change.grant_set.secret_hash = (struct text){
                (const char *)grant->secret_hash, SECRET_HASH_BYTES};
        }
        apply(world, &change);
    }
}

static void step(struct world *world)
{
    switch (pick(world, 20)) {
    case 4:
        grant_step(world);
        break;
    case 0:
        change_class(world);
        break;
    case 1:
        host_or_zone(world);
        break;
    case 2:
        group_step(world);
        break;
    case 3:
        reservation_step(world);
        break;
    default:
        vm_step(world);
        break;
    }
}

static void world_init(struct world *world, uint64_t seed)
{
    *world = (struct world){0};
    mirror_init(&world->mirror);
    world->state = world->mirror.state;
    random_init(&world->random, seed);
    for (int i = 0; i < 3; i++) {
        new_zone(world);
        new_class(world, false);
        register_host(world, NULL);
        register_host(world, NULL);
    }
}

static void run_seed(uint64_t seed, uint32_t *done)
{
    struct world world;
    struct state *old = NULL;
    uint64_t old_hash = 0;
    uint32_t policy_at;

    world_init(&world, seed);
    policy_at = pick(&world, STEPS / 4);
    for (uint32_t i = 0; i < STEPS; i++) {
        if (i == policy_at || (i > policy_at && pick(&world, 200) == 0)) {
            policy_step(&world);
            check_derived(world.state);
        }
        if (i % CHECK_EVERY == 0) {
            assert_true(old == NULL || state_hash_recomputed(old) == old_hash);
            state_destroy(old);
            old = state_clone(world.state);
            old_hash = state_hash(old);
            check_derived(world.state);
            check_restore(world.state, &world.random);
        }
        step(&world);
    }
    for (int kind = 0; kind <= CHANGE_GRANT_DELETE; kind++) {
        done[kind] += world.done[kind];
    }
    state_destroy(old);
    mirror_close(&world.mirror);
}

static void random_histories_keep_every_derived_fact(void **unused)
{
    const char *wanted = getenv("STATE_SEEDS"); /* For long runs by hand. */
    uint64_t seeds =
        wanted == NULL ? SEEDS_DEFAULT : strtoull(wanted, NULL, 10);
    uint32_t done[CHANGE_GRANT_DELETE + 1] = {0};

    (void)unused;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        print_message("seed %llu\n", (unsigned long long)seed);
        run_seed(seed, done);
    }
    for (int kind = CHANGE_CLASS_UPDATE; kind <= CHANGE_GRANT_DELETE; kind++) {
        print_message("kind %d: %u times\n", kind, done[kind]);
        assert_true(done[kind] >= seeds);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_histories_keep_every_derived_fact),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
