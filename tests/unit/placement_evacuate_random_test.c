/* SPDX-License-Identifier: Apache-2.0
 *
 * Plans for random fleets with random rules, carried out step by step: each
 * step passes apply's own checks and the rules of the placer, no host is ever
 * overfull, and the same state gives the same plan. */
#include "base/container.h"
#include "base/random.h"
#include "placement/evacuate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ZONES   4
#define CLASSES 5
#define GROUPS  4
#define HOSTS   30
#define VMS     160
#define SEEDS   25

struct trial {
    struct random random;
    struct state *state;
    struct placer *placer;
    uint32_t placed;
    uint32_t unplaced;
    uint32_t helped; /* Moves and preemptions. */
};

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static uint32_t draw(struct trial *trial, uint32_t bound)
{
    return (uint32_t)random_below(&trial->random, bound);
}

static void apply(struct trial *trial, struct change change)
{
    state_apply(trial->state, &change, NULL);
}

/* --- The fleet ------------------------------------------------------------ */

static void add_zones_and_classes(struct trial *trial)
{
    char name[16];

    for (uint32_t i = 0; i < ZONES; i++) {
        snprintf(name, sizeof(name), "z%u", i);
        apply(trial, (struct change){.kind = CHANGE_ZONE_CREATE,
                                     .zone_create = {text_of(name)}});
    }
    for (uint32_t i = 0; i < CLASSES; i++) {
        struct named_amount ports = {text_of("ports"), draw(trial, 2)};

        snprintf(name, sizeof(name), "c%u", i);
        apply(trial,
              (struct change){
                  .kind = CHANGE_CLASS_CREATE,
                  .class_create = {
                      .name = text_of(name),
                      .resources = {500u << i, 700 * (1 + draw(trial, 6)),
                                    draw(trial, 3) * 10, draw(trial, 8) == 0},
                      .zone_mask = draw(trial, 4) == 0 ? 7 : 0,
                      .named = &ports,
                      .named_count = ports.amount,
                  }});
    }
}

static void add_hosts(struct trial *trial)
{
    static const struct text pools[] = {{"ssd", 3}};
    char name[16];
    char domain[16];

    for (uint32_t i = 0; i < HOSTS; i++) {
        struct named_amount ports = {text_of("ports"), 3 + draw(trial, 5)};
        struct change change = {.kind = CHANGE_HOST_REGISTER};

        snprintf(name, sizeof(name), "h%u", i);
        snprintf(domain, sizeof(domain), "d%u", draw(trial, 3));
        change.host_register = (struct change_host_register){
            .name = text_of(name),
            .zone = {state_zone_at(trial->state, i % ZONES)->uid},
            .fault_domain = draw(trial, 4) == 0 ? text_of("") : text_of(domain),
            .host_id = text_of(name),
            .boot_id = text_of("b"),
            .capacity = {8000 + draw(trial, 3) * 4000,
                         9000 + draw(trial, 4) * 3000, 60 + draw(trial, 100),
                         draw(trial, 3)},
            .pools = pools,
            .pool_count = draw(trial, 4) != 0,
            .driver_mask = 1u << DRIVER_QEMU |
                           (draw(trial, 3) != 0 ? 1u << DRIVER_EXEC : 0),
            .labels = text_of(""),
            .agent_version = text_of(""),
            .named = &ports,
            .named_count = 1,
        };
        apply(trial, change);
    }
}

static void add_groups(struct trial *trial)
{
    char name[16];

    for (uint32_t i = 0; i < GROUPS; i++) {
        struct change change = {.kind = CHANGE_GROUP_CREATE};

        snprintf(name, sizeof(name), "g%u", i);
        change.group_create.name = text_of(name);
        change.group_create.fields = (struct group_fields){
            .template = text_of(""),
            .labels = text_of(""),
            .selector = text_of(""),
            .zone_rule = (enum zone_rule)(1 + draw(trial, 4)),
            .zone_mode = (enum rule_mode)(1 + draw(trial, 2)),
            .max_skew = 1 + draw(trial, 2),
            .zone_mask = draw(trial, 4) == 0 ? 14 : 0,
            .domain_mode = draw(trial, 3),
            .domain_max = 1 + draw(trial, 3),
            .host_mode = draw(trial, 3),
            .host_max = 1 + draw(trial, 2),
        };
        apply(trial, change);
    }
}

static const struct vm *add_vm(struct trial *trial, uint32_t number)
{
    static const struct text pools[] = {{"ssd", 3}};
    struct change change = {.kind = CHANGE_VM_CREATE};
    char name[16];

    snprintf(name, sizeof(name), "v%u", number);
    change.vm_create = (struct change_vm_create){
        .name = text_of(name),
        .class = {state_class_at(trial->state, draw(trial, CLASSES))->uid},
        .zone = {draw(trial, 10) == 0
                     ? state_zone_at(trial->state, draw(trial, ZONES))->uid
                     : 0},
        .priority = draw(trial, 4),
        .on_partition = ON_PARTITION_MOVE,
        .desired = DESIRED_RUNNING,
        .driver = draw(trial, 5) == 0 ? DRIVER_EXEC : DRIVER_QEMU,
        .pools = pools,
        .pool_count = draw(trial, 5) == 0,
        .template = text_of(""),
        .labels = text_of(""),
        .selector = text_of(""),
        .preemptible = draw(trial, 4) == 0,
        .local_disk = draw(trial, 15) == 0,
    };
    if (draw(trial, 3) == 0) {
        change.vm_create.group.uid =
            state_group_at(trial->state, draw(trial, GROUPS))->uid;
    }
    apply(trial, change);
    return state_vm_named(trial->state, text_of(name));
}

static void assign(struct trial *trial, const struct vm *vm, uint32_t host)
{
    struct change change = {.kind = CHANGE_VM_ASSIGN};
    uint32_t slot = uid_slot(vm->uid);

    change.vm_assign = (struct change_vm_assign){
        {vm->uid}, {state_host_at(trial->state, host)->uid}, vm->epoch + 1};
    apply(trial, change);
    placer_vm_changed(trial->placer, trial->state, slot);
}

static void fill(struct trial *trial)
{
    for (uint32_t i = 0; i < VMS; i++) {
        const struct vm *vm = add_vm(trial, i);
        uint32_t first = draw(trial, HOSTS);

        placer_rebuild(trial->placer, trial->state);
        for (uint32_t k = 0; k < HOSTS; k++) {
            uint32_t host = (first + k) % HOSTS;

            if (placer_refusal(trial->placer, trial->state, vm, host) ==
                PLACEMENT_REFUSAL_COUNT) {
                struct vm_id id = {vm->uid};

                assign(trial, vm, host);
                apply(trial, (struct change){.kind = CHANGE_VM_REPORT,
                                             .vm_report = {id, 1, VM_RUNNING}});
                break;
            }
        }
    }
}

static void lose(struct trial *trial)
{
    uint32_t lost = draw(trial, ZONES);

    apply(trial, (struct change){
                     .kind = CHANGE_ZONE_STATE,
                     .zone_state = {{state_zone_at(trial->state, lost)->uid},
                                    ZONE_LOST}});
    for (uint32_t i = 0; i < HOSTS; i++) {
        const struct host *host = state_host_at(trial->state, i);

        if (host->zone == lost || draw(trial, 12) == 0) {
            apply(trial, (struct change){
                             .kind = CHANGE_HOST_FENCE,
                             .host_fence = {{host->uid}, FENCE_LEASE_ENDED}});
        } else if (draw(trial, 12) == 0) {
            apply(trial, (struct change){.kind = CHANGE_HOST_CORDON,
                                         .host_cordon = {{host->uid}, true}});
        }
    }
}

static void set_up(struct trial *trial, uint64_t seed)
{
    struct change policy = {.kind = CHANGE_POLICY};

    *trial = (struct trial){.state = state_create(), .placer = placer_create()};
    random_init(&trial->random, seed);
    policy_init(&policy.policy.policy);
    policy.policy.policy.preempt_max = draw(trial, 4);
    apply(trial, policy);
    add_zones_and_classes(trial);
    add_hosts(trial);
    add_groups(trial);
    fill(trial);
    lose(trial);
    for (uint32_t i = 0; i < 10; i++) {
        add_vm(trial, VMS + i);
    }
    placer_rebuild(trial->placer, trial->state);
}

/* --- Carrying it out ------------------------------------------------------ */

static void release(struct trial *trial, uint32_t slot)
{
    const struct vm *vm = state_vm_at(trial->state, slot);

    apply(trial, (struct change){.kind = CHANGE_VM_RELEASE,
                                 .vm_release = {.vm = {vm->uid},
                                                .epoch = vm->epoch,
                                                .reason = text_of("moved")}});
    placer_rebuild(trial->placer, trial->state);
}

static void carry_out(struct trial *trial, const struct evacuation_step *step)
{
    const struct vm *vm = state_vm_at(trial->state, step->vm);
    struct vm_id id = {vm->uid};
    struct change change = {.kind = CHANGE_VM_MOVE};

    switch (step->kind) {
    case EVACUATION_PLACE:
        if (step->host == SLOT_NONE) {
            trial->unplaced++;
            return;
        }
        assert_int_equal(
            placer_refusal(trial->placer, trial->state, vm, step->host),
            PLACEMENT_REFUSAL_COUNT);
        assign(trial, vm, step->host);
        trial->placed++;
        break;
    case EVACUATION_MOVE:
        change.vm_move = (struct change_vm_move){
            .vm = id, .host = {state_host_at(trial->state, step->host)->uid}};
        apply(trial, change);
        release(trial, step->vm);
        vm = state_vm(trial->state, id);
        assert_int_equal(
            placer_refusal(trial->placer, trial->state, vm, step->host),
            PLACEMENT_REFUSAL_COUNT);
        assign(trial, vm, step->host);
        trial->helped++;
        break;
    default:
        assert_true(vm->preemptible && vm->host != SLOT_NONE);
        change.vm_move = (struct change_vm_move){.vm = id};
        apply(trial, change);
        release(trial, step->vm);
        trial->helped++;
        break;
    }
}

static void check_capacity(const struct trial *trial)
{
    for (uint32_t i = 0; i < HOSTS; i++) {
        const struct host *host = state_host_at(trial->state, i);

        assert_true(host->used.cpu_milli <= host->capacity.cpu_milli);
        assert_true(host->used.memory_mib <= host->capacity.memory_mib);
        assert_true(host->used.disk_gib <= host->capacity.disk_gib);
        assert_true(host->used.gpu_count <= host->capacity.gpu_count);
        for (uint32_t k = 0; k < NAMED_MAX; k++) {
            assert_true(host->named_used.of[k] <= host->named_capacity.of[k]);
        }
    }
}

static void check_same(const struct state *state,
                       const struct evacuation_step *steps, uint32_t count)
{
    struct evacuation *again = evacuation_create(state);
    const struct evacuation_step *others;
    uint32_t other_count;

    while (!evacuation_work(again, 13)) {
    }
    others = evacuation_steps(again, &other_count);
    assert_int_equal(count, other_count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(steps[i].vm, others[i].vm);
        assert_int_equal(steps[i].host, others[i].host);
        assert_int_equal(steps[i].kind, others[i].kind);
    }
    evacuation_destroy(again);
}

static void every_step_of_a_plan_keeps_every_rule(void **unused)
{
    uint32_t placed = 0;
    uint32_t unplaced = 0;
    uint32_t helped = 0;

    (void)unused;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct trial trial;
        struct evacuation *evacuation;
        const struct evacuation_step *steps;
        struct state *clone;
        uint32_t count;

        set_up(&trial, seed);
        clone = state_clone(trial.state);
        evacuation = evacuation_create(clone);
        while (!evacuation_work(evacuation, 1000)) {
        }
        steps = evacuation_steps(evacuation, &count);
        check_same(clone, steps, count);
        for (uint32_t i = 0; i < count; i++) {
            carry_out(&trial, &steps[i]);
        }
        check_capacity(&trial);
        assert_int_equal(trial.unplaced, evacuation_unplaced(evacuation));
        placed += trial.placed;
        unplaced += trial.unplaced;
        helped += trial.helped;
        evacuation_destroy(evacuation);
        state_destroy(clone);
        placer_destroy(trial.placer);
        state_destroy(trial.state);
    }
    assert_true(placed > SEEDS * 5);
    assert_true(unplaced > SEEDS);
    assert_true(helped > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_step_of_a_plan_keeps_every_rule),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
