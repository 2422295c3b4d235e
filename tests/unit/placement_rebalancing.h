/* SPDX-License-Identifier: Apache-2.0
 *
 * A region to be rebalanced, for placement_rebalance*_test: three zones of two
 * hosts, 16 CPUs and 32 GiB each, so one CPU is about 3 % of a zone. */
#ifndef TESTS_PLACEMENT_REBALANCING_H
#define TESTS_PLACEMENT_REBALANCING_H

#include "base/container.h"
#include "placement/balance.h"
#include "placement/rebalance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HOUR_MS   3600000
#define MOVES_MAX 64

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static void apply(struct state *state, struct change change)
{
    state_apply(state, &change, NULL);
}

static void set_policy(struct state *state)
{
    struct change change = {.kind = CHANGE_POLICY};

    policy_init(&change.policy.policy);
    apply(state, change);
}

static void add_host(struct state *state, const char *name, uint32_t zone)
{
    struct change change = {.kind = CHANGE_HOST_REGISTER};

    change.host_register = (struct change_host_register){
        .name = text_of(name),
        .zone = {state_zone_at(state, zone)->uid},
        .host_id = text_of("id"),
        .boot_id = text_of("boot"),
        .capacity = {16000, 32768, 1000, 0},
        .driver_mask = 1 << DRIVER_QEMU,
    };
    apply(state, change);
}

static void add_class(struct state *state, const char *name, uint32_t cpus)
{
    apply(state,
          (struct change){.kind = CHANGE_CLASS_CREATE,
                          .class_create = {
                              .name = text_of(name),
                              .resources = {cpus * 1000, cpus * 2048, 10, 0}}});
}

/* Zones za, zb, zc with hosts a0, a1, b0, ...; classes of 1, 2 and 4 CPUs. */
static struct state *region(void)
{
    static const char *const zones[] = {"za", "zb", "zc"};
    struct state *state = state_create();
    char name[8];

    state_begin(state, HOUR_MS);
    set_policy(state);
    for (uint32_t i = 0; i < 3; i++) {
        apply(state, (struct change){.kind = CHANGE_ZONE_CREATE,
                                     .zone_create = {text_of(zones[i])}});
        for (int host = 0; host < 2; host++) {
            snprintf(name, sizeof(name), "%c%d", zones[i][1], host);
            add_host(state, name, i);
        }
    }
    add_class(state, "one", 1);
    add_class(state, "two", 2);
    add_class(state, "four", 4);
    return state;
}

static const struct vm *vm(const struct state *state, const char *name)
{
    return state_vm_named(state, text_of(name));
}

static const struct host *host(const struct state *state, const char *name)
{
    return state_host_named(state, text_of(name));
}

static void assign(struct state *state, const char *name, const char *where)
{
    apply(state, (struct change){.kind = CHANGE_VM_ASSIGN,
                                 .vm_assign = {{vm(state, name)->uid},
                                               {host(state, where)->uid},
                                               vm(state, name)->epoch + 1}});
}

/* A VM to be made; what is not set is usual. */
struct wish {
    const char *class;
    const char *zone;
    const char *group;
    uint32_t priority;
    bool local_disk;
};

static void add_wished(struct state *state, const char *name, const char *where,
                       struct wish wish)
{
    struct change change = {.kind = CHANGE_VM_CREATE};
    struct text class = text_of(wish.class == NULL ? "one" : wish.class);

    change.vm_create = (struct change_vm_create){
        .name = text_of(name),
        .class = {state_class_named(state, class)->uid},
        .priority = wish.priority,
        .on_partition = ON_PARTITION_MOVE,
        .desired = DESIRED_RUNNING,
        .driver = DRIVER_QEMU,
        .local_disk = wish.local_disk,
    };
    if (wish.zone != NULL) {
        change.vm_create.zone.uid =
            state_zone_named(state, text_of(wish.zone))->uid;
    }
    if (wish.group != NULL) {
        change.vm_create.group.uid =
            state_group_named(state, text_of(wish.group))->uid;
    }
    apply(state, change);
    assign(state, name, where);
}

/* name0, name1, ... */
static void add_many(struct state *state, const char *name, const char *where,
                     uint32_t count, struct wish wish)
{
    char numbered[32];

    for (uint32_t i = 0; i < count; i++) {
        snprintf(numbered, sizeof(numbered), "%s%u", name, i);
        add_wished(state, numbered, where, wish);
    }
}

static void add_group(struct state *state, const char *name,
                      enum zone_rule rule, uint32_t skew)
{
    struct change change = {.kind = CHANGE_GROUP_CREATE};

    change.group_create.name = text_of(name);
    change.group_create.fields = (struct group_fields){
        .on_partition = ON_PARTITION_MOVE,
        .driver = DRIVER_QEMU,
        .zone_rule = rule,
        .zone_mode = RULE_MODE_STRICT,
        .max_skew = skew,
    };
    apply(state, change);
}

struct result {
    struct rebalance_move moves[MOVES_MAX];
    uint32_t count;
    uint32_t stuck;
};

/* The same in slices, which must make no difference. */
static void assert_same_in_slices(struct placer *placer, struct state *state,
                                  uint64_t time_ms, uint32_t max,
                                  const struct result *expected)
{
    struct rebalance *rebalance = rebalance_create(state, time_ms, max);
    struct result sliced = {.count = 0};
    uint32_t slices = 1;

    while (!rebalance_work(rebalance, 3)) {
        slices++;
    }
    assert_true(slices >= state_vm_slots(state) / 3);
    sliced.count =
        rebalance_decide(rebalance, placer, state, sliced.moves, max);
    assert_memory_equal(&sliced, expected, sizeof(sliced));
    rebalance_destroy(rebalance);
}

/* At a time when every cool-down is over. */
static struct result zones_at(struct state *state, uint32_t max,
                              uint64_t time_ms)
{
    struct placer *placer = placer_create();
    struct result result = {.count = 0};

    placer_rebuild(placer, state);
    result.count = rebalance_zones(placer, state, time_ms, result.moves, max);
    assert_same_in_slices(placer, state, time_ms, max, &result);
    placer_destroy(placer);
    return result;
}

static struct result zones(struct state *state, uint32_t max)
{
    return zones_at(state, max, 10 * (uint64_t)HOUR_MS);
}

static const char *moved(const struct state *state, const struct result *result,
                         uint32_t i)
{
    return state_vm_at(state, result->moves[i].vm)->name;
}

static const char *target(const struct state *state,
                          const struct result *result, uint32_t i)
{
    return state_host_at(state, result->moves[i].host)->name;
}

#endif
