/* SPDX-License-Identifier: Apache-2.0
 *
 * What a turn may not do: decide while its log takes nothing, grow beyond an
 * entry, leave a VM without a host because its move's target went away. */
#include "node/turn.h"

#include "base/error.h"
#include "base/memory.h"
#include "node/failover.h"
#include "node/limits.h"
#include "node/reports.h"
#include "raft/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A turn over a log that commits when told to. */
struct desk {
    struct turn_log log;
    struct turn turn;
    struct turn_controller controller;
    struct turn_controller *controllers[1];
    struct state *state;
    const struct state *applied;
    struct bytes entry;
    bool ready;
    uint32_t submits;
    uint32_t barriers;
    uint32_t looks; /* Of the controller. */
};

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static bool log_ready(struct turn_log *log)
{
    return container_of(log, struct desk, log)->ready;
}

static int log_submit(struct turn_log *log, const void *data, size_t len)
{
    struct desk *desk = container_of(log, struct desk, log);

    if (!desk->ready) {
        return HF_ERROR_BUSY;
    }
    bytes_clear(&desk->entry);
    bytes_append(&desk->entry, data, len);
    desk->submits++;
    return 0;
}

static int log_barrier(struct turn_log *log)
{
    struct desk *desk = container_of(log, struct desk, log);

    bytes_clear(&desk->entry);
    desk->barriers++;
    return 0;
}

static void look(struct turn_controller *controller, struct turn_plan *plan)
{
    struct desk *desk = container_of(controller, struct desk, controller);

    (void)plan;
    desk->looks++;
}

static void apply(struct state *state, struct change change)
{
    state_apply(state, &change, NULL);
}

static void register_host(struct state *state, uint32_t zone, const char *name)
{
    apply(state, (struct change){.kind = CHANGE_HOST_REGISTER,
                                 .host_register = {
                                     .name = text_of(name),
                                     .zone = {state_zone_at(state, zone)->uid},
                                     .host_id = text_of("0123456789abcdef"),
                                     .boot_id = text_of("b"),
                                     .capacity = {1000000, 1000000, 0, 0},
                                     .driver_mask = 1 << DRIVER_EXEC,
                                 }});
}

/* Zones a and b with one host each, "ha" and "hb", and a class. */
static void fill(struct state *state)
{
    static const char *const names[][2] = {{"a", "ha"}, {"b", "hb"}};

    for (uint32_t i = 0; i < 2; i++) {
        apply(state,
              (struct change){.kind = CHANGE_ZONE_CREATE,
                              .zone_create = {.name = text_of(names[i][0])}});
        register_host(state, i, names[i][1]);
    }
    apply(state, (struct change){.kind = CHANGE_CLASS_CREATE,
                                 .class_create = {.name = text_of("c"),
                                                  .resources = {1, 1, 0, 0}}});
}

static void create_vm(struct state *state, const char *name)
{
    struct change change = {.kind = CHANGE_VM_CREATE};

    change.vm_create = (struct change_vm_create){
        .name = text_of(name),
        .class = {state_class_at(state, 0)->uid},
        .on_partition = ON_PARTITION_MOVE,
        .desired = DESIRED_RUNNING,
        .driver = DRIVER_EXEC,
        .template = {"", 0},
        .labels = {"", 0},
    };
    apply(state, change);
}

static uint64_t host_uid(const struct state *state, const char *name)
{
    return state_host_named(state, text_of(name))->uid;
}

static void assign(struct state *state, const char *vm, const char *host)
{
    const struct vm *record = state_vm_named(state, text_of(vm));

    apply(state, (struct change){.kind = CHANGE_VM_ASSIGN,
                                 .vm_assign = {{record->uid},
                                               {host_uid(state, host)},
                                               record->epoch + 1}});
}

static struct desk *desk_create(void)
{
    struct desk *desk = memory_alloc(sizeof(*desk));

    desk->log = (struct turn_log){log_ready, log_submit, log_barrier};
    desk->controller.plan = look;
    desk->controllers[0] = &desk->controller;
    desk->state = state_create();
    desk->applied = desk->state;
    desk->ready = true;
    bytes_init(&desk->entry);
    fill(desk->state);
    turn_init(&desk->turn, &desk->log, &desk->applied, desk->controllers, 1);
    turn_lead(&desk->turn, true);
    return desk;
}

static void commit(struct desk *desk)
{
    struct batch batch;
    struct arena arena;

    if (desk->entry.len > 0) {
        arena_init(&arena, BATCH_ARENA_BYTES);
        assert_int_equal(
            batch_decode(desk->entry.data, desk->entry.len, &arena, &batch), 0);
        assert_int_equal(state_apply_batch(desk->state, &batch, NULL), 0);
        arena_close(&arena);
    }
    turn_finished(&desk->turn, 0);
}

/* Once round the loop. */
static void step(struct desk *desk)
{
    turn_run(&desk->turn, 1000, 1000);
}

static void run(struct desk *desk)
{
    while (!turn_prepare(&desk->turn)) {
    }
    step(desk);
}

static void desk_destroy(struct desk *desk)
{
    turn_lead(&desk->turn, false);
    turn_close(&desk->turn);
    bytes_close(&desk->entry);
    state_destroy(desk->state);
    free(desk);
}

/* Lets all VMs of a host end, and tells how that went. */
struct ending {
    struct turn_request request;
    struct host_id host;
    uint64_t generation;
    struct vm_report *reports;
    size_t count;
    uint32_t planned;
    uint32_t done;
    int status;
};

static void ending_plan(struct turn_request *request, struct turn_plan *plan)
{
    struct ending *ending = container_of(request, struct ending, request);

    ending->planned++;
    for (size_t i = 0; i < ending->count; i++) {
        plan_report(plan, ending->host, ending->generation,
                    &ending->reports[i]);
    }
}

static void ending_done(struct turn_request *request, int status)
{
    struct ending *ending = container_of(request, struct ending, request);

    ending->done++;
    ending->status = status;
}

static void ending_init(struct ending *ending, const struct state *state,
                        const char *host_name, const char *reason)
{
    const struct host *host = state_host_named(state, text_of(host_name));
    uint32_t slot = host->vm_first;

    *ending = (struct ending){
        .request = {.plan = ending_plan, .done = ending_done},
        .host = {host->uid},
        .generation = host->generation,
        .reports =
            memory_alloc_array(3 * host->vm_count, sizeof(struct vm_report)),
    };
    while (slot != SLOT_NONE) {
        const struct vm *vm = state_vm_at(state, slot);
        static const enum report_state states[] = {REPORT_STARTING,
                                                   REPORT_RUNNING, REPORT_GONE};

        for (size_t i = 0; i < ARRAY_LEN(states); i++) {
            ending->reports[ending->count++] =
                (struct vm_report){.vm = {vm->uid},
                                   .epoch = vm->epoch,
                                   .state = states[i],
                                   .reason = text_of(reason),
                                   .failed = true};
        }
        slot = vm->host_next;
    }
}

static void mutations_wait_while_the_log_takes_none(void **unused)
{
    struct desk *desk = desk_create();
    struct turn_request read = {.done = ending_done};
    struct ending ending;
    struct ending reader = {.request = read};

    (void)unused;
    create_vm(desk->state, "v");
    assign(desk->state, "v", "ha");
    ending_init(&ending, desk->state, "ha", "");
    desk->ready = false;
    assert_int_equal(turn_submit(&desk->turn, LANE_FAILOVER, &ending.request),
                     0);
    run(desk);
    assert_false(desk->turn.flying);
    /* Reads go on. */
    assert_int_equal(turn_submit(&desk->turn, LANE_READ, &reader.request), 0);
    run(desk);
    assert_int_equal(desk->barriers, 1);
    commit(desk);
    assert_int_equal(reader.done, 1);
    assert_int_equal(reader.status, 0);
    assert_int_equal(ending.planned + ending.done + desk->looks, 0);
    /* Then all is done that waited, the controllers' part too. */
    desk->ready = true;
    run(desk);
    assert_int_equal(desk->submits, 1);
    commit(desk);
    assert_int_equal(ending.planned, 1);
    assert_int_equal(ending.done, 1);
    assert_int_equal(ending.status, 0);
    assert_int_equal(desk->looks, 1);
    assert_int_equal(state_vm_at(desk->state, 0)->state, VM_PENDING);
    free(ending.reports);
    desk_destroy(desk);
}

static void mutations_wait_for_the_placer_of_a_new_leader(void **unused)
{
    struct desk *desk = desk_create();
    struct turn_request read = {.done = ending_done};
    struct ending ending;
    struct ending reader = {.request = read};
    uint32_t slices = 0;
    char name[16];

    (void)unused;
    for (uint32_t i = 0; i < 2 * PLACER_SLICE_HOSTS; i++) {
        snprintf(name, sizeof(name), "h%u", i);
        register_host(desk->state, i % 2, name);
    }
    create_vm(desk->state, "v");
    assign(desk->state, "v", "ha");
    ending_init(&ending, desk->state, "ha", "");
    assert_int_equal(turn_submit(&desk->turn, LANE_FAILOVER, &ending.request),
                     0);
    step(desk);
    assert_false(desk->turn.flying);
    assert_null(turn_placer(&desk->turn));
    /* Reads go on, and so does the work while they are in flight. */
    assert_int_equal(turn_submit(&desk->turn, LANE_READ, &reader.request), 0);
    step(desk);
    assert_int_equal(desk->barriers, 1);
    while (!turn_prepare(&desk->turn)) {
        slices++;
    }
    assert_in_range(slices, 2, 100);
    assert_int_equal(ending.planned + desk->looks, 0);
    commit(desk);
    assert_int_equal(reader.done, 1);
    /* An entry from elsewhere: all is looked at again. */
    create_vm(desk->state, "other");
    assert_null(turn_placer(&desk->turn));
    step(desk);
    assert_false(desk->turn.flying);
    run(desk);
    assert_int_equal(desk->submits, 1);
    commit(desk);
    assert_int_equal(ending.done, 1);
    assert_int_equal(ending.status, 0);
    assert_non_null(turn_placer(&desk->turn));
    free(ending.reports);
    desk_destroy(desk);
}

static void what_waits_is_refused_when_leadership_ends(void **unused)
{
    struct desk *desk = desk_create();
    struct ending ending = {
        .request = {.plan = ending_plan, .done = ending_done}};

    (void)unused;
    desk->ready = false;
    assert_int_equal(turn_submit(&desk->turn, LANE_MUTATION, &ending.request),
                     0);
    run(desk);
    turn_lead(&desk->turn, false);
    assert_int_equal(ending.done, 1);
    assert_int_equal(ending.status, HF_ERROR_NOT_LEADER);
    assert_int_equal(ending.planned, 0);
    desk_destroy(desk);
}

/* Two hosts as full as hosts get, whose VMs all end at once with the longest
 * reasons. */
static void the_largest_requests_fit_an_entry(void **unused)
{
    struct desk *desk = desk_create();
    struct ending endings[2];
    char reason[256];
    char name[16];
    size_t largest = 0;

    (void)unused;
    memset(reason, 'x', sizeof(reason) - 1);
    reason[sizeof(reason) - 1] = '\0';
    for (uint32_t i = 0; i < 2 * PLACEMENT_HOST_VMS_MAX; i++) {
        snprintf(name, sizeof(name), "v%u", i);
        create_vm(desk->state, name);
        assign(desk->state, name, i % 2 == 0 ? "ha" : "hb");
    }
    for (uint32_t i = 0; i < 2; i++) {
        ending_init(&endings[i], desk->state, i == 0 ? "ha" : "hb", reason);
        assert_int_equal(
            turn_submit(&desk->turn, LANE_FAILOVER, &endings[i].request), 0);
    }
    while (endings[1].done == 0) {
        run(desk);
        assert_true(desk->turn.flying);
        largest = desk->entry.len > largest ? desk->entry.len : largest;
        commit(desk);
    }
    assert_in_range(largest, TURN_BYTES_SOFT_MAX, TURN_REQUEST_BYTES_MAX);
    assert_int_equal(state_counts(desk->state)->vms_by_state[VM_PENDING],
                     2 * PLACEMENT_HOST_VMS_MAX);
    for (uint32_t i = 0; i < 2; i++) {
        free(endings[i].reports);
    }
    desk_destroy(desk);
}

/* "v" ran on "ha", was told to go to "hb", has stopped, and "hb" is cordoned
 * in the meantime. */
static struct desk *desk_of_a_move_to_nowhere(void)
{
    struct desk *desk = desk_create();
    struct state *state = desk->state;
    uint64_t uid;

    create_vm(state, "v");
    assign(state, "v", "ha");
    uid = state_vm_at(state, 0)->uid;
    apply(state, (struct change){.kind = CHANGE_VM_MOVE,
                                 .vm_move = {.vm = {uid},
                                             .host = {host_uid(state, "hb")}}});
    apply(state,
          (struct change){.kind = CHANGE_HOST_CORDON,
                          .host_cordon = {{host_uid(state, "hb")}, true}});
    apply(state, (struct change){.kind = CHANGE_VM_RELEASE,
                                 .vm_release = {.vm = {uid},
                                                .epoch = 1,
                                                .reason = text_of("moved")}});
    assert_int_equal(state_vm_at(state, 0)->state, VM_PENDING);
    return desk;
}

static void place_plan(struct turn_request *request, struct turn_plan *plan)
{
    (void)request;
    failover_place(plan, state_vm_at(plan->scratch, 0));
}

static void a_move_whose_target_went_away_goes_elsewhere(void **unused)
{
    struct desk *desk = desk_of_a_move_to_nowhere();
    struct ending placing = {
        .request = {.plan = place_plan, .done = ending_done}};
    const struct vm *vm;

    (void)unused;
    assert_int_equal(turn_submit(&desk->turn, LANE_MUTATION, &placing.request),
                     0);
    run(desk);
    commit(desk);
    vm = state_vm_at(desk->state, 0);
    assert_int_equal(vm->state, VM_ASSIGNED);
    assert_string_equal(state_host_at(desk->state, vm->host)->name, "ha");
    assert_int_equal(vm->epoch, 2);
    assert_false(vm->moving);
    desk_destroy(desk);
}

static void a_stop_ends_a_move(void **unused)
{
    struct desk *desk = desk_of_a_move_to_nowhere();
    uint64_t uid = state_vm_at(desk->state, 0)->uid;

    (void)unused;
    for (int wish = DESIRED_STOPPED; wish >= DESIRED_RUNNING; wish--) {
        apply(desk->state,
              (struct change){
                  .kind = CHANGE_VM_DESIRE,
                  .vm_desire = {{uid}, (enum desired_state)wish, false}});
        assert_false(state_vm_at(desk->state, 0)->moving);
        assert_int_equal(state_vm_at(desk->state, 0)->move_host, SLOT_NONE);
    }
    assert_int_equal(state_vm_at(desk->state, 0)->state, VM_PENDING);
    desk_destroy(desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mutations_wait_while_the_log_takes_none),
        cmocka_unit_test(mutations_wait_for_the_placer_of_a_new_leader),
        cmocka_unit_test(what_waits_is_refused_when_leadership_ends),
        cmocka_unit_test(the_largest_requests_fit_an_entry),
        cmocka_unit_test(a_move_whose_target_went_away_goes_elsewhere),
        cmocka_unit_test(a_stop_ends_a_move),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
