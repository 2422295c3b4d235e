/* SPDX-License-Identifier: Apache-2.0
 *
 * What the changes of format 2 do, one story each. Sums and lists are compared
 * with the records after every story. */
#include "base/error.h"
#include "state/internal.h"
#include "state/snapshot.h"
#include "tests/support/state_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Hosts a and b in zone z1, c in z2, each with room for two VMs of the class
 * "small", which takes a GPU and a port. */
struct region {
    struct mirror mirror;
    struct state *state;
    struct class_id small;
};

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static void apply(struct region *region, struct change change)
{
    mirror_apply(&region->mirror, &change);
}

static const struct host *host(const struct region *region, const char *name)
{
    return state_host_named(region->state, text_of(name));
}

static const struct vm *vm(const struct region *region, const char *name)
{
    return state_vm_named(region->state, text_of(name));
}

static const struct group *group(const struct region *region, const char *name)
{
    return state_group_named(region->state, text_of(name));
}

static struct zone_id zone(const struct region *region, const char *name)
{
    return (struct zone_id){
        state_zone_named(region->state, text_of(name))->uid};
}

static void register_host(struct region *region, const char *name,
                          const char *zone_name)
{
    struct named_amount ports = {{"port", 4}, 2};

    apply(region,
          (struct change){.kind = CHANGE_HOST_REGISTER,
                          .host_register = {.name = text_of(name),
                                            .zone = zone(region, zone_name),
                                            .fault_domain = text_of("r1"),
                                            .host_id = text_of("id"),
                                            .boot_id = text_of("boot"),
                                            .capacity = {2000, 2048, 20, 2},
                                            .driver_mask = 1 << DRIVER_EXEC,
                                            .agent_version = text_of("2"),
                                            .named = &ports,
                                            .named_count = 1}});
}

static struct class_id add_class(struct region *region, const char *name,
                                 bool custom)
{
    struct named_amount port = {{"port", 4}, 1};

    apply(region,
          (struct change){.kind = CHANGE_CLASS_CREATE,
                          .class_create = {.name = text_of(name),
                                           .resources = {1000, 1024, 10, 1},
                                           .named = &port,
                                           .named_count = 1,
                                           .custom = custom}});
    return (struct class_id){
        state_class_named(region->state, text_of(name))->uid};
}

static void set_policy(struct region *region)
{
    struct change change = {.kind = CHANGE_POLICY};

    policy_init(&change.policy.policy);
    apply(region, change);
}

static void region_init(struct region *region, bool policy)
{
    mirror_init(&region->mirror);
    region->state = region->mirror.state;
    if (policy) {
        set_policy(region);
    }
    apply(region, (struct change){.kind = CHANGE_ZONE_CREATE,
                                  .zone_create.name = text_of("z1")});
    apply(region, (struct change){.kind = CHANGE_ZONE_CREATE,
                                  .zone_create.name = text_of("z2")});
    register_host(region, "a", "z1");
    register_host(region, "b", "z1");
    register_host(region, "c", "z2");
    region->small = add_class(region, "small", false);
}

static void region_close(struct region *region)
{
    struct random random;

    random_init(&random, 1);
    check_derived(region->state);
    check_restore(region->state, &random);
    mirror_close(&region->mirror);
}

static struct change_vm_create vm_fields(const struct region *region,
                                         const char *name)
{
    return (struct change_vm_create){.name = text_of(name),
                                     .class = region->small,
                                     .on_partition = ON_PARTITION_MOVE,
                                     .desired = DESIRED_RUNNING,
                                     .driver = DRIVER_EXEC,
                                     .template = text_of("template"),
                                     .preemptible = name[0] == 'p',
                                     .selector = {"\1s\1t", 4}};
}

static void add_vm(struct region *region, const char *name)
{
    apply(region, (struct change){.kind = CHANGE_VM_CREATE,
                                  .vm_create = vm_fields(region, name)});
}

static void assign(struct region *region, const char *name,
                   const char *host_name)
{
    apply(region, (struct change){.kind = CHANGE_VM_ASSIGN,
                                  .vm_assign = {{vm(region, name)->uid},
                                                {host(region, host_name)->uid},
                                                vm(region, name)->epoch + 1}});
}

static void run(struct region *region, const char *name, const char *host_name)
{
    add_vm(region, name);
    assign(region, name, host_name);
}

static void release(struct region *region, const char *name)
{
    apply(region,
          (struct change){.kind = CHANGE_VM_RELEASE,
                          .vm_release = {.vm = {vm(region, name)->uid},
                                         .epoch = vm(region, name)->epoch,
                                         .reason = text_of("exited")}});
}

static void claim(struct region *region, const char *name,
                  const char *host_name)
{
    uint64_t uid = host_name == NULL ? 0 : host(region, host_name)->uid;

    apply(region, (struct change){
                      .kind = CHANGE_VM_CLAIM,
                      .vm_claim = {
                          {vm(region, name)->uid}, {uid}, MOVE_CAUSE_PLAN, 7}});
}

static void move(struct region *region, const char *name, const char *host_name)
{
    apply(region,
          (struct change){.kind = CHANGE_VM_MOVE,
                          .vm_move = {.vm = {vm(region, name)->uid},
                                      .host = {host(region, host_name)->uid},
                                      .cause = MOVE_CAUSE_HOST_DRAIN}});
}

static void fence(struct region *region, const char *name)
{
    apply(region, (struct change){.kind = CHANGE_HOST_FENCE,
                                  .host_fence = {{host(region, name)->uid},
                                                 FENCE_LEASE_ENDED}});
}

static void stop(struct region *region, const char *name)
{
    apply(region,
          (struct change){
              .kind = CHANGE_VM_DESIRE,
              .vm_desire = {{vm(region, name)->uid}, DESIRED_STOPPED, false}});
}

static void assert_claims(const struct region *region, const char *name,
                          uint32_t count)
{
    const struct host *at = host(region, name);

    assert_int_equal(at->claim_count, count);
    assert_int_equal(at->claimed.cpu_milli, 1000 * count);
    assert_int_equal(at->claimed.gpu_count, count);
    assert_int_equal(at->named_claimed.of[0], count);
}

static void a_group_lists_its_members_newest_first_by_zone(void **unused)
{
    struct group_fields fields = {.count = 3,
                                  .template = text_of("template"),
                                  .zone_rule = ZONE_RULE_SPREAD,
                                  .zone_mode = RULE_MODE_STRICT};
    struct region region;
    const char *names[] = {"one", "two", "three"};

    (void)unused;
    region_init(&region, true);
    fields.class = region.small;
    apply(&region, (struct change){.kind = CHANGE_GROUP_CREATE,
                                   .group_create = {text_of("web"), fields}});
    for (int i = 0; i < 3; i++) {
        struct change change = {.kind = CHANGE_VM_CREATE,
                                .vm_create = vm_fields(&region, names[i])};

        change.vm_create.group.uid = group(&region, "web")->uid;
        apply(&region, change);
        assign(&region, names[i], i == 0 ? "c" : "a");
    }
    assert_int_equal(group(&region, "web")->vm_first_plus1 - 1,
                     uid_slot(vm(&region, "three")->uid));
    assert_int_equal(group(&region, "web")->zone_counts[0], 2);
    assert_int_equal(group(&region, "web")->zone_counts[1], 1);
    release(&region, "two"); /* Still a member, of no zone. */
    assert_int_equal(group(&region, "web")->zone_counts[0], 1);
    assert_int_equal(group(&region, "web")->vm_count, 3);
    apply(&region,
          (struct change){.kind = CHANGE_VM_DELETE,
                          .vm_delete.vm.uid = vm(&region, "two")->uid});
    assert_int_equal(group(&region, "web")->vm_count, 2);
    fields.count = 1;
    fields.template = text_of("another");
    apply(&region,
          (struct change){
              .kind = CHANGE_GROUP_UPDATE,
              .group_update = {{group(&region, "web")->uid}, fields, true}});
    assert_true(group(&region, "web")->deleting);
    assert_int_equal(state_counts(region.state)->groups, 1);
    region_close(&region);
}

static void a_deleted_group_gives_back_its_class(void **unused)
{
    struct group_fields fields = {.zone_rule = ZONE_RULE_ANY,
                                  .zone_mode = RULE_MODE_BEST_EFFORT};
    struct region region;

    (void)unused;
    region_init(&region, true);
    fields.class = region.small;
    apply(&region, (struct change){.kind = CHANGE_GROUP_CREATE,
                                   .group_create = {text_of("web"), fields}});
    assert_int_equal(state_class(region.state, region.small)->use_count, 1);
    apply(&region, (struct change){.kind = CHANGE_GROUP_DELETE,
                                   .group_delete.group.uid =
                                       group(&region, "web")->uid});
    assert_null(group(&region, "web"));
    apply(&region, (struct change){.kind = CHANGE_CLASS_DELETE,
                                   .class_delete.class = region.small});
    region_close(&region);
}

static void a_custom_class_goes_with_its_last_user(void **unused)
{
    struct region region;
    struct class_id own;

    (void)unused;
    region_init(&region, true);
    own = add_class(&region, "{1000}", true);
    for (int i = 0; i < 2; i++) {
        struct change change = {.kind = CHANGE_VM_CREATE,
                                .vm_create = vm_fields(&region, i ? "w" : "v")};

        change.vm_create.class = own;
        apply(&region, change);
    }
    apply(&region, (struct change){.kind = CHANGE_VM_DELETE,
                                   .vm_delete.vm.uid = vm(&region, "v")->uid});
    assert_non_null(state_class(region.state, own));
    apply(&region, (struct change){.kind = CHANGE_VM_DELETE,
                                   .vm_delete.vm.uid = vm(&region, "w")->uid});
    assert_null(state_class(region.state, own));
    assert_int_equal(state_counts(region.state)->classes, 1);
    region_close(&region);
}

static void a_class_gets_zones_any_time_and_another_size_unused(void **unused)
{
    struct change change = {.kind = CHANGE_CLASS_UPDATE};
    struct region region;

    (void)unused;
    region_init(&region, true);
    run(&region, "v", "a");
    change.class_update.class = region.small;
    change.class_update.mask = CLASS_UPDATE_ZONES;
    change.class_update.zone_mask = 1;
    apply(&region, change);
    assert_int_equal(state_class(region.state, region.small)->zone_mask, 1);
    release(&region, "v");
    change.class_update.mask = CLASS_UPDATE_RESOURCES;
    change.class_update.resources = (struct resources){2000, 2048, 20, 0};
    apply(&region, change);
    assert_int_equal(
        state_class(region.state, region.small)->resources.cpu_milli, 2000);
    assert_int_equal(state_class(region.state, region.small)->named.of[0], 0);
    assign(&region, "v", "a");
    assert_int_equal(host(&region, "a")->used.cpu_milli, 2000);
    region_close(&region);
}

static void drains_are_counted_until_they_end(void **unused)
{
    struct region region;
    struct change drain = {.kind = CHANGE_HOST_DRAIN};
    struct change zone_drain = {.kind = CHANGE_ZONE_DRAIN};

    (void)unused;
    region_init(&region, true);
    drain.host_drain.host.uid = host(&region, "a")->uid;
    drain.host_drain.draining = true;
    drain.host_drain.deadline_ms = 5000;
    apply(&region, drain);
    zone_drain.zone_drain.zone = zone(&region, "z2");
    zone_drain.zone_drain.draining = true;
    apply(&region, zone_drain);
    assert_int_equal(host(&region, "a")->drain_deadline_ms, 5000);
    assert_int_equal(state_counts(region.state)->hosts_draining, 1);
    assert_int_equal(state_counts(region.state)->zones_draining, 1);
    assert_int_equal(host(&region, "a")->draining, DRAIN_YES);
    drain.host_drain.at_risk = zone_drain.zone_drain.at_risk = true;
    apply(&region, drain);
    apply(&region, zone_drain);
    assert_int_equal(host(&region, "a")->draining, DRAIN_AT_RISK);
    assert_int_equal(state_zone(region.state, zone(&region, "z2"))->draining,
                     DRAIN_AT_RISK);
    assert_int_equal(state_counts(region.state)->hosts_draining, 1);
    assert_int_equal(state_counts(region.state)->zones_draining, 1);
    drain.host_drain.draining = zone_drain.zone_drain.draining = false;
    apply(&region, drain);
    apply(&region, zone_drain);
    assert_int_equal(host(&region, "a")->draining, DRAIN_NO);
    assert_int_equal(host(&region, "a")->drain_deadline_ms, 0);
    assert_int_equal(state_counts(region.state)->hosts_draining, 0);
    assert_int_equal(state_counts(region.state)->zones_draining, 0);
    region_close(&region);
}

static void a_claim_is_kept_while_the_vm_runs_on(void **unused)
{
    struct region region;

    (void)unused;
    region_init(&region, true);
    run(&region, "v", "a");
    claim(&region, "v", "c");
    assert_int_equal(vm(&region, "v")->state, VM_ASSIGNED);
    assert_int_equal(vm(&region, "v")->move_order, 7);
    assert_int_equal(vm(&region, "v")->move_cause, MOVE_CAUSE_PLAN);
    assert_claims(&region, "c", 1);
    assert_int_equal(state_counts(region.state)->vms_claiming, 1);
    claim(&region, "v", "b"); /* Another one instead. */
    assert_claims(&region, "c", 0);
    assert_claims(&region, "b", 1);
    move(&region, "v", "b"); /* Its turn: the claim becomes the move's. */
    assert_int_equal(vm(&region, "v")->state, VM_STOPPING);
    assert_int_equal(vm(&region, "v")->move_cause, MOVE_CAUSE_HOST_DRAIN);
    assert_int_equal(state_counts(region.state)->vms_claiming, 0);
    assert_claims(&region, "b", 1);
    release(&region, "v"); /* And is held while the VM is on its way. */
    assert_claims(&region, "b", 1);
    assign(&region, "v", "b");
    assert_claims(&region, "b", 0);
    assert_int_equal(host(&region, "b")->used.gpu_count, 1);
    region_close(&region);
}

/* Its own claim lets a move begin where there is no room beside it. */
static void a_move_may_use_the_room_it_holds(void **unused)
{
    struct region region;

    (void)unused;
    region_init(&region, true);
    run(&region, "v", "a");
    run(&region, "w", "c");
    claim(&region, "v", "c");
    assert_false(state_claim_fits(host(&region, "c"),
                                  state_class(region.state, region.small)));
    move(&region, "v", "c");
    assert_claims(&region, "c", 1);
    region_close(&region);
}

static void add_sized(struct region *region, const char *name,
                      struct resources size)
{
    struct change_class_create class = {.name = text_of(name),
                                        .resources = size};
    struct change_vm_create vm = vm_fields(region, name);

    apply(region,
          (struct change){.kind = CHANGE_CLASS_CREATE, .class_create = class});
    vm.class.uid = state_class_named(region->state, class.name)->uid;
    apply(region, (struct change){.kind = CHANGE_VM_CREATE, .vm_create = vm});
}

/* Found by the simulator (rich seed 6): more GPUs are held than there are, for
 * a VM that waits for another to leave. */
static void a_claim_needs_nothing_of_what_it_does_not_ask_for(void **unused)
{
    struct region region;

    (void)unused;
    region_init(&region, true);
    add_sized(&region, "holds", (struct resources){100, 100, 0, 2});
    assign(&region, "holds", "c");
    add_sized(&region, "waits", (struct resources){100, 100, 0, 2});
    claim(&region, "waits", "c");
    add_sized(&region, "plain", (struct resources){100, 100, 0, 0});
    assign(&region, "plain", "a");
    assert_false(state_claim_fits(host(&region, "c"),
                                  state_class(region.state, region.small)));
    claim(&region, "plain", "c");
    assert_int_equal(host(&region, "c")->claim_count, 2);
    region_close(&region);
}

static void a_claim_ends_with_a_stop_a_release_or_a_word(void **unused)
{
    struct region region;

    (void)unused;
    region_init(&region, true);
    run(&region, "v", "a");
    claim(&region, "v", "c");
    claim(&region, "v", NULL);
    assert_claims(&region, "c", 0);
    assert_int_equal(vm(&region, "v")->moving, MOVE_NONE);
    claim(&region, "v", "c");
    release(&region, "v"); /* It ended by itself; any host will do. */
    assert_claims(&region, "c", 0);
    assert_int_equal(vm(&region, "v")->moving, MOVE_NONE);
    claim(&region, "v", "c");
    stop(&region, "v");
    assert_claims(&region, "c", 0);
    run(&region, "w", "a");
    claim(&region, "w", "c");
    stop(&region, "w");
    assert_claims(&region, "c", 0);
    assert_int_equal(vm(&region, "w")->state, VM_STOPPING);
    region_close(&region);
}

static void fences_end_claims_on_both_sides(void **unused)
{
    struct region region;

    (void)unused;
    region_init(&region, true);
    run(&region, "v", "a");
    run(&region, "w", "a");
    claim(&region, "v", "c");
    move(&region, "w", "c");
    add_vm(&region, "x");
    claim(&region, "x", "b"); /* PENDING. */
    fence(&region, "c");
    assert_claims(&region, "c", 0);
    assert_int_equal(vm(&region, "v")->moving, MOVE_NONE);
    assert_int_equal(vm(&region, "w")->moving, MOVE_UNDER_WAY);
    assert_int_equal(vm(&region, "w")->move_host, SLOT_NONE);
    claim(&region, "v", "b");
    fence(&region, "a");
    assert_claims(&region, "b", 1);
    assert_int_equal(vm(&region, "v")->moving, MOVE_NONE);
    apply(&region, (struct change){.kind = CHANGE_VM_PENDING,
                                   .vm_pending = {{vm(&region, "x")->uid},
                                                  PENDING_PREEMPTING}});
    fence(&region, "b");
    assert_int_equal(vm(&region, "x")->moving, MOVE_NONE);
    assert_int_equal(vm(&region, "x")->pending_reason, PENDING_QUEUED);
    region_close(&region);
}

static void a_keep_vm_that_is_lost_gives_up_its_claim(void **unused)
{
    struct region region;
    struct change change = {.kind = CHANGE_VM_CREATE};

    (void)unused;
    region_init(&region, true);
    change.vm_create = vm_fields(&region, "v");
    change.vm_create.on_partition = ON_PARTITION_KEEP;
    apply(&region, change);
    assign(&region, "v", "a");
    claim(&region, "v", "c");
    fence(&region, "a");
    assert_int_equal(vm(&region, "v")->state, VM_LOST);
    assert_claims(&region, "c", 0);
    register_host(&region, "a", "z1");
    assert_int_equal(vm(&region, "v")->state, VM_ASSIGNED);
    region_close(&region);
}

static void a_host_in_another_zone_has_no_claims(void **unused)
{
    struct region region;

    (void)unused;
    region_init(&region, true);
    run(&region, "v", "a");
    run(&region, "w", "a");
    claim(&region, "v", "c");
    move(&region, "w", "c");
    register_host(&region, "c", "z2"); /* An agent that restarted. */
    assert_claims(&region, "c", 2);
    register_host(&region, "c", "z1");
    assert_claims(&region, "c", 0);
    assert_int_equal(vm(&region, "v")->moving, MOVE_NONE);
    assert_int_equal(vm(&region, "w")->moving, MOVE_UNDER_WAY);
    region_close(&region);
}

static void a_preempted_vm_leaves_for_the_one_that_claims(void **unused)
{
    struct region region;

    (void)unused;
    region_init(&region, true);
    run(&region, "preemptible", "c");
    run(&region, "other", "c");
    add_vm(&region, "v");
    claim(&region, "v", "c"); /* Full, but others are about to leave. */
    assert_claims(&region, "c", 1);
    apply(&region,
          (struct change){.kind = CHANGE_VM_PREEMPT,
                          .vm_preempt = {{vm(&region, "preemptible")->uid},
                                         {vm(&region, "v")->uid}}});
    assert_int_equal(vm(&region, "preemptible")->state, VM_STOPPING);
    assert_int_equal(vm(&region, "preemptible")->move_cause,
                     MOVE_CAUSE_PREEMPTION);
    assert_int_equal(vm(&region, "preemptible")->host,
                     uid_slot(host(&region, "c")->uid)); /* Rule 1. */
    release(&region, "preemptible");
    assign(&region, "v", "c");
    assert_claims(&region, "c", 0);
    region_close(&region);
}

static void fenced_vms_are_recovering_until_they_have_a_host(void **unused)
{
    struct region region;

    (void)unused;
    region_init(&region, true);
    run(&region, "v", "a");
    run(&region, "w", "a");
    assert_int_equal(vm(&region, "v")->assign_time_ms,
                     state_time_ms(region.state) - 2);
    release(&region, "w"); /* Not by a fence. */
    fence(&region, "a");
    assert_true(vm(&region, "v")->recovering);
    assert_false(vm(&region, "w")->recovering);
    assign(&region, "v", "b");
    assert_false(vm(&region, "v")->recovering);
    fence(&region, "b");
    assert_true(vm(&region, "v")->recovering);
    stop(&region, "v");
    assert_false(vm(&region, "v")->recovering);
    region_close(&region);
}

static void local_disks_are_at_home_on_the_first_host(void **unused)
{
    struct region region;
    struct change change = {.kind = CHANGE_VM_CREATE};

    (void)unused;
    region_init(&region, true);
    change.vm_create = vm_fields(&region, "v");
    change.vm_create.local_disk = true;
    apply(&region, change);
    assign(&region, "v", "b");
    release(&region, "v");
    assign(&region, "v", "a");
    assert_int_equal(vm(&region, "v")->home_host_plus1 - 1,
                     uid_slot(host(&region, "b")->uid));
    region_close(&region);
}

static void reservations_are_set_counted_and_deleted(void **unused)
{
    struct region region;
    struct change set = {.kind = CHANGE_RESERVATION_SET};

    (void)unused;
    region_init(&region, true);
    set.reservation_set = (struct change_reservation_set){
        text_of("spare"), zone(&region, "z2"), region.small, 4};
    apply(&region, set);
    set.reservation_set.count = 9;
    apply(&region, set);
    assert_int_equal(
        state_reservation_named(region.state, text_of("spare"))->count, 9);
    assert_int_equal(state_class(region.state, region.small)->use_count, 1);
    assert_int_equal(state_counts(region.state)->reservations, 1);
    apply(&region,
          (struct change){.kind = CHANGE_RESERVATION_DELETE,
                          .reservation_delete.name = text_of("spare")});
    assert_null(state_reservation_named(region.state, text_of("spare")));
    assert_int_equal(state_class(region.state, region.small)->use_count, 0);
    region_close(&region);
}

/* Else a log from before would give other hashes than it did. */
static void without_a_policy_changes_do_what_they_did(void **unused)
{
    struct region region;

    (void)unused;
    region_init(&region, false);
    assert_int_equal(state_policy(region.state)->uid, 0);
    assert_int_equal(state_policy(region.state)->preempt_max, 4);
    run(&region, "v", "a");
    assert_int_equal(vm(&region, "v")->assign_time_ms, 0);
    move(&region, "v", "c");
    assert_claims(&region, "c", 0);
    fence(&region, "a");
    assert_false(vm(&region, "v")->recovering);
    fence(&region, "c");
    assert_int_equal(vm(&region, "v")->move_host,
                     uid_slot(host(&region, "c")->uid));
    region_close(&region);
}

static void the_first_policy_gives_moves_their_room(void **unused)
{
    static const char *const names[] = {"v", "w", "x", "y"};
    struct region region;

    (void)unused;
    region_init(&region, false);
    for (int i = 0; i < 4; i++) {
        run(&region, names[i], i < 2 ? "a" : "b");
        move(&region, names[i], i == 3 ? "a" : "c");
    }
    fence(&region, "a");
    assert_claims(&region, "c", 0);
    set_policy(&region);
    assert_claims(&region, "c", 2);
    assert_int_equal(vm(&region, "w")->move_host,
                     uid_slot(host(&region, "c")->uid));
    /* No room for the third, and no host for the fourth: any will do. */
    assert_int_equal(vm(&region, "x")->move_host, SLOT_NONE);
    assert_int_equal(vm(&region, "y")->move_host, SLOT_NONE);
    assert_int_equal(vm(&region, "y")->moving, MOVE_UNDER_WAY);
    set_policy(&region);
    assert_claims(&region, "c", 2);
    assert_int_equal(state_policy(region.state)->uid, 1);
    assert_int_equal(state_policy(region.state)->revision,
                     state_revision(region.state));
    region_close(&region);
}

static void names_of_resources_keep_their_slots(void **unused)
{
    struct region region;

    (void)unused;
    region_init(&region, true);
    assert_int_equal(state_named_slot(region.state, text_of("port")), 0);
    assert_int_equal(state_named_slot(region.state, text_of("licence")),
                     SLOT_NONE);
    assert_int_equal(state_named_name(region.state, 0).len, 4);
    assert_int_equal(state_named_name(region.state, 1).len, 0);
    run(&region, "v", "a");
    assert_int_equal(host(&region, "a")->named_used.of[0], 1);
    assert_int_equal(host(&region, "a")->named_capacity.of[0], 2);
    region_close(&region);
}

static void policies_out_of_range_are_refused_by_name(void **unused)
{
    struct policy row;

    (void)unused;
#define REFUSED(field, value)        \
    policy_init(&row);               \
    assert_null(policy_check(&row)); \
    row.field = (value);             \
    assert_non_null(strstr(policy_check(&row), #field))
    REFUSED(headroom, 0);
    REFUSED(headroom, HEADROOM_ENFORCE + 1);
    REFUSED(preempt_max, PREEMPT_MAX + 1);
    REFUSED(rebalance, 4);
    REFUSED(rebalance_start_permille, 1001);
    REFUSED(rebalance_stop_permille, 0);
    REFUSED(rebalance_stop_permille, 50); /* As the start. */
    REFUSED(zone_moves, 0);
    REFUSED(host_moves, 10001);
    REFUSED(vm_cool_down_ms, 604800001);
    REFUSED(rebalance_window_start_minute, 1440);
    REFUSED(rebalance_window_end_minute, 1440);
    policy_init(&row);
    row.rebalance = REBALANCE_WINDOW; /* From 0 to 0. */
    assert_non_null(strstr(policy_check(&row), "rebalance_window_end_minute"));
}

/* A field of a newer version inside of a message inside of a change. */
static void unknown_fields_inside_a_change_are_refused(void **unused)
{
    static const uint8_t group_field[] = {
        0x08, 0x01, 0x2a, 0x08, /* Batch, change */
        0xc2, 0x01, 0x05, 0x12, 0x03, 0xc8, 0x06, 0x01};
    static const uint8_t no_fields[] = {0x08, 0x01, 0x2a, 0x03,
                                        0xc2, 0x01, 0x00};
    static const uint8_t named_field[] = {0x08, 0x01, 0x2a, 0x07, 0x22, 0x05,
                                          0x3a, 0x03, 0xc8, 0x06, 0x01};
    struct batch batch;
    struct arena arena;

    (void)unused;
    arena_init(&arena, BATCH_ARENA_BYTES);
    assert_int_equal(
        batch_decode(group_field, sizeof(group_field), &arena, &batch),
        HF_ERROR_UNSUPPORTED);
    assert_int_equal(
        batch_decode(named_field, sizeof(named_field), &arena, &batch),
        HF_ERROR_UNSUPPORTED);
    assert_int_equal(batch_decode(no_fields, sizeof(no_fields), &arena, &batch),
                     HF_ERROR_CORRUPT);
    arena_close(&arena);
}

static void write_snapshot(const struct state *state, struct bytes *stream)
{
    struct snapshot_writer writer;

    bytes_init(stream);
    snapshot_writer_init(&writer, state);
    while (snapshot_writer_next(&writer, stream, 1000)) {
    }
}

static struct state *read_snapshot(const struct bytes *stream)
{
    struct snapshot_reader *reader = snapshot_reader_create();

    snapshot_reader_feed(reader, stream->data, stream->len);
    return snapshot_reader_finish(reader);
}

/* With any bit changed it is refused, or the same state. */
static void a_changed_snapshot_of_format_2_is_refused(void **unused)
{
    struct group_fields fields = {.zone_rule = ZONE_RULE_ANY,
                                  .zone_mode = RULE_MODE_BEST_EFFORT};
    struct region region;
    struct bytes stream;

    (void)unused;
    region_init(&region, true);
    run(&region, "v", "a");
    claim(&region, "v", "c");
    apply(&region, (struct change){.kind = CHANGE_GROUP_CREATE,
                                   .group_create = {text_of("web"), fields}});
    write_snapshot(region.state, &stream);
    for (size_t i = 0; i < stream.len; i++) {
        uint8_t flip = (uint8_t)(1u << (i % 8));
        struct state *restored;

        stream.data[i] ^= flip;
        restored = read_snapshot(&stream);
        assert_true(restored == NULL ||
                    state_hash(restored) == state_hash(region.state));
        state_destroy(restored);
        stream.data[i] ^= flip;
    }
    bytes_close(&stream);
    region_close(&region);
}

/* Format 1 as long as it can tell everything, and again when it can. */
static void a_snapshot_has_the_oldest_format_that_will_do(void **unused)
{
    struct change drain = {.kind = CHANGE_ZONE_DRAIN};
    struct state *state = state_create();
    struct change zone_create = {.kind = CHANGE_ZONE_CREATE,
                                 .zone_create.name = {"z", 1}};
    struct bytes stream;
    struct bytes again;

    (void)unused;
    state_apply(state, &zone_create, NULL);
    assert_false(state_needs_format_2(state));
    drain.zone_drain.zone.uid = state_zone_at(state, 0)->uid;
    drain.zone_drain.draining = true;
    state_apply(state, &drain, NULL);
    assert_true(state_needs_format_2(state));
    write_snapshot(state, &stream);
    drain.zone_drain.draining = false;
    state_apply(state, &drain, NULL);
    assert_false(state_needs_format_2(state));
    write_snapshot(state, &again);
    assert_true(again.len < stream.len);
    bytes_close(&again);
    bytes_close(&stream);
    state_destroy(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_lists_its_members_newest_first_by_zone),
        cmocka_unit_test(a_deleted_group_gives_back_its_class),
        cmocka_unit_test(a_custom_class_goes_with_its_last_user),
        cmocka_unit_test(a_class_gets_zones_any_time_and_another_size_unused),
        cmocka_unit_test(drains_are_counted_until_they_end),
        cmocka_unit_test(a_claim_is_kept_while_the_vm_runs_on),
        cmocka_unit_test(a_move_may_use_the_room_it_holds),
        cmocka_unit_test(a_claim_needs_nothing_of_what_it_does_not_ask_for),
        cmocka_unit_test(a_claim_ends_with_a_stop_a_release_or_a_word),
        cmocka_unit_test(fences_end_claims_on_both_sides),
        cmocka_unit_test(a_keep_vm_that_is_lost_gives_up_its_claim),
        cmocka_unit_test(a_host_in_another_zone_has_no_claims),
        cmocka_unit_test(a_preempted_vm_leaves_for_the_one_that_claims),
        cmocka_unit_test(fenced_vms_are_recovering_until_they_have_a_host),
        cmocka_unit_test(local_disks_are_at_home_on_the_first_host),
        cmocka_unit_test(reservations_are_set_counted_and_deleted),
        cmocka_unit_test(without_a_policy_changes_do_what_they_did),
        cmocka_unit_test(the_first_policy_gives_moves_their_room),
        cmocka_unit_test(names_of_resources_keep_their_slots),
        cmocka_unit_test(policies_out_of_range_are_refused_by_name),
        cmocka_unit_test(unknown_fields_inside_a_change_are_refused),
        cmocka_unit_test(a_changed_snapshot_of_format_2_is_refused),
        cmocka_unit_test(a_snapshot_has_the_oldest_format_that_will_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
