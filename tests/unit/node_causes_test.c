/* SPDX-License-Identifier: Apache-2.0
 *
 * Each event says why it happened and which one it follows from; so what
 * becomes of a lost zone, a drain or a group reads as one tree. The decisions
 * are those of the real controllers. */
#include "state/snapshot.h"
#include "support/office.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define EVENTS_MAX 4096

/* What was told. */
static struct told {
    uint64_t revision;
    uint64_t cause_revision;
    enum event_cause cause;
    enum event_kind kind;
    char name[NAME_BYTES];
    uint8_t state;
} events[EVENTS_MAX];
static size_t event_count;

static const char *name_of(const struct event *event)
{
    switch (event->kind) {
    case EVENT_ZONE:
        return event->zone->name;
    case EVENT_CLASS:
        return event->class->name;
    case EVENT_HOST:
        return event->host->name;
    case EVENT_VM:
        return event->vm->name;
    case EVENT_GROUP:
        return event->group->name;
    case EVENT_RESERVATION:
        return event->reservation->name;
    default:
        return "";
    }
}

static void on_event(struct office *office, const struct event *event)
{
    struct told *told = &events[event_count++];

    (void)office;
    assert_true(event_count < EVENTS_MAX);
    assert_true(event->cause_revision < event->revision);
    assert_int_not_equal(event->cause, 0);
    *told = (struct told){event->revision, event->cause_revision, event->cause,
                          event->kind, .state = event->now.state};
    snprintf(told->name, sizeof(told->name), "%s", name_of(event));
}

static struct office *opened(uint32_t zones, uint32_t hosts, uint32_t cores)
{
    struct office *office = office_create();

    event_count = 0;
    office->on_event = on_event;
    office_hosts(office, zones, hosts, cores);
    office_class(office, "c", 1);
    return office;
}

static void settle(struct office *office)
{
    for (int i = 0; i < 20; i++) {
        office_run(office, 50);
        office_hosts_obey(office);
    }
}

static const struct told *event_at(uint64_t revision)
{
    for (size_t i = 0; i < event_count; i++) {
        if (events[i].revision == revision) {
            return &events[i];
        }
    }
    fail_msg("no event %llu", (unsigned long long)revision);
    abort();
}

/* The newest of the object. */
static const struct told *last(const char *name)
{
    for (size_t i = event_count; i > 0; i--) {
        if (strcmp(events[i - 1].name, name) == 0) {
            return &events[i - 1];
        }
    }
    fail_msg("nothing of %s", name);
    abort();
}

/* The event has that cause and follows from another one, which is returned. */
static const struct told *follows(const struct told *event,
                                  enum event_cause cause)
{
    assert_int_equal(event->cause, cause);
    return event_at(event->cause_revision);
}

static void is_root(const struct told *event, enum event_cause cause)
{
    assert_int_equal(event->cause, cause);
    assert_int_equal(event->cause_revision, 0);
}

static void zone_state(struct office *office, const char *name,
                       enum zone_state state)
{
    struct change change = {.kind = CHANGE_ZONE_STATE};

    change.zone_state = (struct change_zone_state){
        {state_zone_named(office->state,
                          (struct text){name, (uint32_t)strlen(name)})
             ->uid},
        state};
    office_apply(office, &change);
}

/* Zone z0 is lost with its host and the VM on it. */
static void lose_zone(struct office *office)
{
    zone_state(office, "z0", ZONE_LOST);
    office_fence(office, uid_slot(office_host_named(office, "h-0")->uid));
}

/* zone lost -> host lost -> VM waits -> VM assigned -> VM runs. */
static void a_lost_zone_is_one_tree(void **unused)
{
    struct office *office = opened(3, 3, 10);
    struct vm_id id = office_vm(office, "c", "web", 0, false);
    const struct told *event;

    (void)unused;
    is_root(last("web"), CAUSE_REQUEST);
    office_assign(office, id, "h-0");
    event = follows(last("web"), CAUSE_PLACEMENT);
    assert_int_equal(event->state, VM_PENDING);
    office_hosts_obey(office);
    event_count = 0;
    lose_zone(office);
    settle(office);
    event = last("web");
    assert_int_equal(event->state, VM_RUNNING);
    while (event->state != VM_ASSIGNED) {
        event = follows(event, CAUSE_AGENT);
    }
    event = follows(event, CAUSE_FAILOVER);
    assert_int_equal(event->state, VM_PENDING);
    event = follows(event, CAUSE_HOST_LOST);
    assert_string_equal(event->name, "h-0");
    event = follows(event, CAUSE_ZONE_LOST);
    assert_string_equal(event->name, "z0");
    is_root(event, CAUSE_LEASE_ENDED);
    zone_state(office, "z0", ZONE_HELD);
    assert_int_equal(follows(last("z0"), CAUSE_ZONE_RETURNED)->state,
                     ZONE_LOST);
    office_destroy(office);
}

/* A replica that began from a snapshot in between tells the same. */
static void a_replica_from_a_snapshot_tells_the_same(void **unused)
{
    struct office *office = opened(3, 3, 10);
    struct event_sink *sink = &office->sink;
    struct state *other;
    struct vm_id id = office_vm(office, "c", "web", 0, false);
    struct change change = {.kind = CHANGE_VM_ASSIGN};
    struct snapshot_writer writer;
    struct snapshot_reader *reader = snapshot_reader_create();
    struct bytes bytes;
    uint64_t cause;

    (void)unused;
    office_assign(office, id, "h-0");
    office_hosts_obey(office);
    lose_zone(office);
    bytes_init(&bytes);
    snapshot_writer_init(&writer, office->state);
    while (snapshot_writer_next(&writer, &bytes, 1000)) {
    }
    assert_int_equal(snapshot_reader_feed(reader, bytes.data, bytes.len), 0);
    other = snapshot_reader_finish(reader);
    assert_non_null(other);
    bytes_close(&bytes);
    change.vm_assign =
        (struct change_vm_assign){id,
                                  {office_host_named(office, "h-1")->uid},
                                  state_vm(other, id)->epoch + 1};
    state_begin(other, office->now_ms);
    state_apply(other, &change, sink);
    cause = last("web")->cause_revision;
    assert_int_equal(last("web")->cause, CAUSE_FAILOVER);
    office_apply(office, &change);
    assert_int_equal(last("web")->cause, CAUSE_FAILOVER);
    assert_int_equal(last("web")->cause_revision, cause);
    assert_true(state_hash(other) == state_hash(office->state));
    state_destroy(other);
    office_destroy(office);
}

static void a_host_that_is_lost_alone_is_the_root(void **unused)
{
    struct office *office = opened(3, 3, 10);
    struct vm_id id = office_vm(office, "c", "web", 0, false);

    (void)unused;
    office_assign(office, id, "h-0");
    office_fence(office, uid_slot(office_host_named(office, "h-0")->uid));
    is_root(last("h-0"), CAUSE_LEASE_ENDED);
    assert_string_equal(follows(last("web"), CAUSE_HOST_LOST)->name, "h-0");
    office_destroy(office);
}

static void a_vm_that_ends_by_itself_is_the_root(void **unused)
{
    struct office *office = opened(3, 3, 10);
    struct vm_id id = office_vm(office, "c", "web", 0, false);
    struct change change = {.kind = CHANGE_VM_RELEASE};

    (void)unused;
    office_assign(office, id, "h-0");
    office_hosts_obey(office);
    change.vm_release =
        (struct change_vm_release){.vm = id,
                                   .epoch = state_vm(office->state, id)->epoch,
                                   .reason = {"exit 1", 6},
                                   .failed = true,
                                   .not_before_ms = 1};
    office_apply(office, &change);
    is_root(last("web"), CAUSE_AGENT);
    office_destroy(office);
}

/* The host is drained -> the VM goes -> it has gone -> it is placed. */
static void a_drain_leads_to_the_moves(void **unused)
{
    struct office *office = opened(3, 3, 10);
    struct vm_id id = office_vm(office, "c", "web", 0, false);
    uint64_t deadline_ms = office->now_ms + 60000;
    struct change change = {.kind = CHANGE_HOST_DRAIN};
    const struct told *event;

    (void)unused;
    office_assign(office, id, "h-0");
    settle(office);
    change.host_drain = (struct change_host_drain){
        .host = {office_host_named(office, "h-0")->uid},
        .draining = true,
        .deadline_ms = deadline_ms,
    };
    office_apply(office, &change);
    is_root(last("h-0"), CAUSE_REQUEST);
    settle(office);
    event = last("web");
    assert_int_equal(event->state, VM_RUNNING);
    while (event->state != VM_ASSIGNED) {
        event = follows(event, CAUSE_AGENT);
    }
    event = follows(event, CAUSE_HOST_DRAIN);
    assert_int_equal(event->state, VM_PENDING);
    event = follows(event, CAUSE_AGENT);
    while (strcmp(event->name, "h-0") != 0) {
        event = follows(event, CAUSE_HOST_DRAIN);
    }
    is_root(event, CAUSE_REQUEST);
    /* The deadline ends it, and leaves a cordon. */
    office->now_ms = deadline_ms + 1;
    settle(office);
    event = last("h-0");
    assert_true(office_host_named(office, "h-0")->cordoned);
    event = follows(event, CAUSE_HOST_DRAIN);
    event = follows(event, CAUSE_HOST_DRAIN);
    is_root(event, CAUSE_REQUEST);
    office_destroy(office);
}

static uint32_t scale_to;

static void scale(struct group_fields *fields)
{
    fields->count = scale_to;
}

static void members_follow_from_their_group(void **unused)
{
    struct office *office = opened(3, 3, 10);
    struct group_id id = office_group(office, "c", "web", 2);
    struct change change = {.kind = CHANGE_VM_DESIRE};
    uint64_t scaled;

    (void)unused;
    is_root(last("web"), CAUSE_REQUEST);
    office_turn(office);
    assert_string_equal(follows(last("web"), CAUSE_GROUP)->name, "web");
    settle(office);
    assert_int_equal(office_count(office, VM_RUNNING), 2);
    scale_to = 1;
    office_group_update(office, id, scale, false);
    is_root(last("web"), CAUSE_REQUEST);
    scaled = last("web")->revision;
    office_turn(office);
    assert_int_equal(events[event_count - 1].cause, CAUSE_GROUP);
    assert_int_equal(events[event_count - 1].cause_revision, scaled);
    settle(office);
    /* Somebody takes the one that is left: not the group's doing. */
    change.vm_desire = (struct change_vm_desire){
        {state_vm_at(office->state,
                     state_group(office->state, id)->vm_first_plus1 - 1)
             ->uid},
        DESIRED_STOPPED,
        true};
    office_apply(office, &change);
    is_root(&events[event_count - 1], CAUSE_REQUEST);
    office_destroy(office);
}

static void a_victim_follows_from_the_one_that_needs_its_room(void **unused)
{
    struct office *office = opened(1, 1, 1);
    const struct told *event;

    (void)unused;
    office_vm(office, "c", "low", 0, true);
    settle(office);
    office_vm(office, "c", "high", 9, false);
    office_turn(office);
    event = last("low");
    assert_int_equal(event->state, VM_STOPPING);
    assert_string_equal(follows(event, CAUSE_PREEMPTION)->name, "high");
    office_destroy(office);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lost_zone_is_one_tree),
        cmocka_unit_test(a_replica_from_a_snapshot_tells_the_same),
        cmocka_unit_test(a_host_that_is_lost_alone_is_the_root),
        cmocka_unit_test(a_vm_that_ends_by_itself_is_the_root),
        cmocka_unit_test(a_drain_leads_to_the_moves),
        cmocka_unit_test(members_follow_from_their_group),
        cmocka_unit_test(a_victim_follows_from_the_one_that_needs_its_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
