/* SPDX-License-Identifier: Apache-2.0
 *
 * Orders after events: a book that looks only at the VMs that something
 * happened to must give what a book gives that looks at all of them. */
#include "node/orders.h"

#include "base/check.h"
#include "base/container.h"
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HOSTS      3
#define VMS        24
#define STEPS      400
#define ORDERS_MAX 256

/* The orders of one book, in the order of their VMs. */
struct given {
    struct order_sink sink;
    struct order orders[ORDERS_MAX];
    size_t count;
};

struct bench {
    struct event_sink sink;
    struct state *state;
    struct random random;
    struct order_book books[HOSTS];  /* Looked at after events. */
    struct order_book wholes[HOSTS]; /* Looked at whole. */
    uint64_t now_ms;
};

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static void take(struct order_sink *sink, const struct order *order)
{
    struct given *given = container_of(sink, struct given, sink);

    CHECK(given->count < ORDERS_MAX);
    given->orders[given->count++] = *order;
}

static void on_event(struct event_sink *sink, const struct event *event)
{
    struct bench *bench = container_of(sink, struct bench, sink);

    if (event->kind == EVENT_VM && event->vm->host != SLOT_NONE) {
        order_book_note(&bench->books[event->vm->host], event->vm->uid);
    }
    if (event->kind == EVENT_VM && event->vm->last_host != SLOT_NONE) {
        order_book_note(&bench->books[event->vm->last_host], event->vm->uid);
    }
}

static void change(struct bench *bench, const struct change *change)
{
    state_apply(bench->state, change, &bench->sink);
}

static void set_up(struct bench *bench, uint64_t seed)
{
    struct change one = {.kind = CHANGE_ZONE_CREATE};
    char name[8];

    *bench = (struct bench){.sink = {on_event}, .state = state_create()};
    random_init(&bench->random, seed);
    for (uint32_t i = 0; i < HOSTS; i++) {
        order_book_init(&bench->books[i]);
        order_book_init(&bench->wholes[i]);
    }
    one.zone_create.name = text_of("z");
    change(bench, &one);
    one.kind = CHANGE_CLASS_CREATE;
    one.class_create = (struct change_class_create){.name = text_of("c"),
                                                    .resources = {1, 1, 0, 0}};
    change(bench, &one);
    for (uint32_t i = 0; i < HOSTS; i++) {
        snprintf(name, sizeof(name), "h%u", i);
        one.kind = CHANGE_HOST_REGISTER;
        one.host_register = (struct change_host_register){
            .name = text_of(name),
            .zone = {state_zone_at(bench->state, 0)->uid},
            .fault_domain = text_of(""),
            .host_id = text_of(name),
            .boot_id = text_of("b"),
            .capacity = {1000, 1000, 0, 0},
            .driver_mask = 1 << DRIVER_EXEC,
            .labels = text_of(""),
            .agent_version = text_of(""),
        };
        change(bench, &one);
    }
}

static void create_vm(struct bench *bench, uint32_t number)
{
    struct change one = {.kind = CHANGE_VM_CREATE};
    char name[16];

    snprintf(name, sizeof(name), "v%u", number);
    one.vm_create = (struct change_vm_create){
        .name = text_of(name),
        .class = {state_class_at(bench->state, 0)->uid},
        .priority = (uint32_t)random_below(&bench->random, 3),
        .on_partition = ON_PARTITION_MOVE,
        .desired = DESIRED_RUNNING,
        .driver = DRIVER_EXEC,
        .template = text_of(""),
        .labels = text_of(""),
    };
    change(bench, &one);
}

/* A VM takes a step of its life, whichever it can. */
static void step_vm(struct bench *bench, const struct vm *vm)
{
    struct change one = {0};

    if (vm->state == VM_PENDING) {
        uint32_t host = (uint32_t)random_below(&bench->random, HOSTS);

        one.kind = CHANGE_VM_ASSIGN;
        one.vm_assign = (struct change_vm_assign){
            {vm->uid}, {state_host_at(bench->state, host)->uid}, vm->epoch + 1};
    } else if (vm->host == SLOT_NONE) {
        one.kind = CHANGE_VM_DELETE;
        one.vm_delete = (struct change_vm_delete){{vm->uid}};
    } else if (vm->state == VM_ASSIGNED) {
        one.kind = CHANGE_VM_REPORT;
        one.vm_report =
            (struct change_vm_report){{vm->uid}, vm->epoch, VM_RUNNING};
    } else if (vm->state == VM_RUNNING) {
        one.kind = CHANGE_VM_DESIRE;
        one.vm_desire = (struct change_vm_desire){
            {vm->uid}, DESIRED_STOPPED, random_below(&bench->random, 2) == 0};
    } else {
        one.kind = CHANGE_VM_RELEASE;
        one.vm_release = (struct change_vm_release){
            .vm = {vm->uid}, .epoch = vm->epoch, .reason = text_of("")};
    }
    change(bench, &one);
}

/* An agent says something about a VM, right or wrong. */
static void report(struct bench *bench, uint32_t host)
{
    uint32_t slots = state_vm_slots(bench->state);
    const struct vm *vm =
        slots == 0 ? NULL
                   : state_vm_at(bench->state,
                                 (uint32_t)random_below(&bench->random, slots));
    struct vm_report one = {
        .vm = {vm == NULL ? 77 : vm->uid},
        .epoch = vm == NULL ? 1 : vm->epoch - random_below(&bench->random, 2),
        .state = (enum report_state)(REPORT_STARTING +
                                     random_below(&bench->random, REPORT_GONE)),
        .reason = text_of(""),
    };
    bool whole = random_below(&bench->random, 8) == 0;

    order_book_reports(&bench->books[host], &one, 1, whole);
    order_book_reports(&bench->wholes[host], &one, 1, whole);
}

static int compare_orders(const void *a, const void *b)
{
    const struct order *left = a;
    const struct order *right = b;

    if (left->vm.uid != right->vm.uid) {
        return left->vm.uid < right->vm.uid ? -1 : 1;
    }
    return (int)left->action - (int)right->action;
}

static size_t run(struct bench *bench, uint32_t slot)
{
    const struct host *host = state_host_at(bench->state, slot);
    struct given given = {.sink = {take}};
    struct given expected = {.sink = {take}};

    order_book_note_all(&bench->wholes[slot]);
    order_book_run(&bench->wholes[slot], bench->state, host, bench->now_ms,
                   &expected.sink);
    order_book_run(&bench->books[slot], bench->state, host, bench->now_ms,
                   &given.sink);
    qsort(given.orders, given.count, sizeof(struct order), compare_orders);
    qsort(expected.orders, expected.count, sizeof(struct order),
          compare_orders);
    assert_int_equal(given.count, expected.count);
    for (size_t i = 0; i < given.count; i++) {
        assert_int_equal(given.orders[i].vm.uid, expected.orders[i].vm.uid);
        assert_int_equal(given.orders[i].epoch, expected.orders[i].epoch);
        assert_int_equal(given.orders[i].action, expected.orders[i].action);
    }
    assert_int_equal(bench->books[slot].unknown_count,
                     bench->wholes[slot].unknown_count);
    return given.count;
}

static size_t story(uint64_t seed)
{
    struct bench bench;
    size_t orders = 0;

    set_up(&bench, seed);
    for (uint32_t step = 0; step < STEPS; step++) {
        uint32_t slots = state_vm_slots(bench.state);
        const struct vm *vm =
            slots == 0
                ? NULL
                : state_vm_at(bench.state,
                              (uint32_t)random_below(&bench.random, slots));

        bench.now_ms += random_below(&bench.random, 900);
        if (vm == NULL || (slots < VMS && step % 4 == 0)) {
            create_vm(&bench, step);
        } else if (random_below(&bench.random, 3) > 0) {
            step_vm(&bench, vm);
        } else {
            report(&bench, (uint32_t)random_below(&bench.random, HOSTS));
        }
        for (uint32_t slot = 0; slot < HOSTS; slot++) {
            orders += run(&bench, slot);
        }
    }
    for (uint32_t i = 0; i < HOSTS; i++) {
        order_book_close(&bench.books[i]);
        order_book_close(&bench.wholes[i]);
    }
    state_destroy(bench.state);
    return orders;
}

static void looking_at_what_changed_gives_all_orders(void **unused)
{
    size_t orders = 0;

    (void)unused;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        orders += story(seed);
    }
    /* Both books silent would be equal too. */
    assert_true(orders > 50 * 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(looking_at_what_changed_gives_all_orders),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
