/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine remembers between equal requests; a plain pass over all hosts, by
 * the same rules, is what it must agree with after any change. */
#include "base/container.h"
#include "base/random.h"
#include "placement/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ZONES   3
#define CLASSES 3
#define HOSTS   24
#define VMS_MIN 20
#define STEPS   1500

struct bench {
    struct event_sink sink;
    struct state *state;
    struct placer *placer;
    struct random random;
    uint32_t vms;     /* Created so far. */
    uint32_t refused; /* Choices without a host. */
    uint32_t chosen;
};

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static uint32_t draw(struct bench *bench, uint32_t bound)
{
    return (uint32_t)random_below(&bench->random, bound);
}

/* As node/turn.c tells the placer. */
static void on_event(struct event_sink *sink, const struct event *event)
{
    struct bench *bench = container_of(sink, struct bench, sink);

    if (event->kind == EVENT_ZONE || event->kind == EVENT_CLASS) {
        placer_rebuild(bench->placer, bench->state);
    } else if (event->kind == EVENT_HOST) {
        placer_host_changed(bench->placer, bench->state,
                            uid_slot(event->host->uid));
    } else if (event->kind == EVENT_VM && event->vm->host != SLOT_NONE) {
        placer_host_changed(bench->placer, bench->state, event->vm->host);
    } else if (event->kind == EVENT_VM && event->vm->last_host != SLOT_NONE) {
        placer_host_changed(bench->placer, bench->state, event->vm->last_host);
    }
}

static void change(struct bench *bench, const struct change *change)
{
    state_apply(bench->state, change, &bench->sink);
}

static void register_host(struct bench *bench, uint32_t number)
{
    static const struct text pools[] = {{"ssd", 3}};
    struct change one = {.kind = CHANGE_HOST_REGISTER};
    char name[16];

    snprintf(name, sizeof(name), "h%u", number);
    one.host_register = (struct change_host_register){
        .name = text_of(name),
        .zone = {state_zone_at(bench->state, number % ZONES)->uid},
        .fault_domain = text_of(""),
        .host_id = text_of(name),
        .boot_id = text_of("b"),
        .capacity = {4000 + draw(bench, 3) * 2000, 8192 + draw(bench, 3) * 1024,
                     100, 0},
        .pools = pools,
        .pool_count = draw(bench, 2),
        .driver_mask = 1u << DRIVER_QEMU | draw(bench, 2) << DRIVER_EXEC,
        .labels = text_of(""),
        .agent_version = text_of(""),
    };
    change(bench, &one);
}

static void set_up(struct bench *bench, uint64_t seed)
{
    struct change one = {.kind = CHANGE_ZONE_CREATE};
    char name[16];

    *bench = (struct bench){
        .sink = {on_event}, .state = state_create(), .placer = placer_create()};
    random_init(&bench->random, seed);
    for (uint32_t i = 0; i < ZONES; i++) {
        snprintf(name, sizeof(name), "z%u", i);
        one.zone_create.name = text_of(name);
        change(bench, &one);
    }
    one.kind = CHANGE_CLASS_CREATE;
    for (uint32_t i = 0; i < CLASSES; i++) {
        snprintf(name, sizeof(name), "c%u", i);
        one.class_create = (struct change_class_create){
            .name = text_of(name),
            .resources = {500u << i, 512u << i, 1, 0},
            .zone_mask = i == 2 ? 3 : 0,
        };
        change(bench, &one);
    }
    for (uint32_t i = 0; i < HOSTS; i++) {
        register_host(bench, i);
    }
}

static void create_vm(struct bench *bench)
{
    static const struct text pools[] = {{"ssd", 3}};
    struct change one = {.kind = CHANGE_VM_CREATE};
    char name[16];

    snprintf(name, sizeof(name), "v%u", bench->vms++);
    one.vm_create = (struct change_vm_create){
        .name = text_of(name),
        .class = {state_class_at(bench->state, draw(bench, CLASSES))->uid},
        .on_partition = ON_PARTITION_MOVE,
        .desired = DESIRED_RUNNING,
        .driver = draw(bench, 4) == 0 ? DRIVER_EXEC : DRIVER_QEMU,
        .pools = pools,
        .pool_count = draw(bench, 4) == 0,
        .template = text_of(""),
        .labels = text_of(""),
    };
    if (draw(bench, 4) == 0) {
        one.vm_create.zone.uid =
            state_zone_at(bench->state, draw(bench, ZONES))->uid;
    }
    change(bench, &one);
}

static uint32_t plain_pass(const struct state *state,
                           const struct placement_request *request)
{
    struct placement_query query = {
        .state = state,
        .vm = request->vm,
        .class = state_class_at(state, request->vm->class_slot),
        .prefer_zone = request->prefer_zone,
    };
    struct placement_candidate best = {NULL, NULL};

    for (uint32_t slot = 0; slot < state_host_slots(state); slot++) {
        struct placement_candidate candidate = {state_host_at(state, slot),
                                                NULL};

        if (filter_host(&query, candidate.host) != PLACEMENT_REFUSAL_COUNT) {
            continue;
        }
        candidate.zone = state_zone_at(state, candidate.host->zone);
        if (best.host == NULL ||
            compare_candidates(&query, &candidate, &best) < 0) {
            best = candidate;
        }
    }
    return best.host == NULL ? SLOT_NONE : uid_slot(best.host->uid);
}

/* Chooses for a pending VM, compares, and assigns it. */
static void place(struct bench *bench, const struct vm *vm)
{
    struct placement_request request = {
        vm, draw(bench, 3) == 0 ? draw(bench, ZONES) : SLOT_NONE};
    uint32_t expected = plain_pass(bench->state, &request);
    struct placement_choice choice;
    struct change one = {.kind = CHANGE_VM_ASSIGN};

    placer_choose(bench->placer, bench->state, &request, &choice);
    assert_int_equal(choice.host, expected);
    if (choice.host == SLOT_NONE) {
        bench->refused++;
        return;
    }
    bench->chosen++;
    one.vm_assign = (struct change_vm_assign){
        {vm->uid},
        {state_host_at(bench->state, choice.host)->uid},
        vm->epoch + 1};
    change(bench, &one);
}

static void release(struct bench *bench, const struct vm *vm)
{
    struct change one = {.kind = CHANGE_VM_RELEASE};
    bool failed = draw(bench, 8) == 0;

    one.vm_release = (struct change_vm_release){.vm = {vm->uid},
                                                .epoch = vm->epoch,
                                                .reason = text_of(""),
                                                .failed = failed,
                                                .not_before_ms = failed};
    change(bench, &one);
}

static void change_host(struct bench *bench)
{
    uint32_t slot = draw(bench, HOSTS);
    const struct host *host = state_host_at(bench->state, slot);
    struct change one = {.kind = CHANGE_HOST_CORDON};

    if (draw(bench, 2) == 0) {
        one.host_cordon =
            (struct change_host_cordon){{host->uid}, !host->cordoned};
        change(bench, &one);
    } else if (host->state == HOST_UP && draw(bench, 2) == 0) {
        one.kind = CHANGE_HOST_FENCE;
        one.host_fence =
            (struct change_host_fence){{host->uid}, FENCE_LEASE_ENDED};
        change(bench, &one);
    } else if (host->vm_count == 0) {
        register_host(bench, slot);
    }
}

static void change_zone(struct bench *bench)
{
    const struct zone *zone = state_zone_at(bench->state, draw(bench, ZONES));
    struct change one = {.kind = CHANGE_ZONE_CORDON};

    one.zone_cordon = (struct change_zone_cordon){{zone->uid}, !zone->cordoned};
    change(bench, &one);
}

static void step(struct bench *bench)
{
    const struct vm *vm =
        state_vm_at(bench->state, draw(bench, state_vm_slots(bench->state)));

    switch (draw(bench, 16)) {
    case 0:
        change_host(bench);
        break;
    case 1:
        if (draw(bench, 4) == 0) {
            change_zone(bench);
        }
        break;
    case 2:
    case 3:
    case 4:
        if (vm->host != SLOT_NONE) {
            release(bench, vm);
        }
        break;
    case 5:
    case 6:
        create_vm(bench);
        break;
    default:
        if (vm->state == VM_PENDING) {
            place(bench, vm);
        }
        break;
    }
}

static void what_is_remembered_gives_what_a_pass_gives(void **unused)
{
    uint32_t refused = 0;
    uint32_t chosen = 0;

    (void)unused;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct bench bench;

        set_up(&bench, seed);
        for (uint32_t i = 0; i < VMS_MIN; i++) {
            create_vm(&bench);
        }
        for (uint32_t i = 0; i < STEPS; i++) {
            step(&bench);
        }
        refused += bench.refused;
        chosen += bench.chosen;
        placer_destroy(bench.placer);
        state_destroy(bench.state);
    }
    assert_true(chosen > 20 * 100);
    assert_true(refused > 20 * 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_remembered_gives_what_a_pass_gives),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
