/* SPDX-License-Identifier: Apache-2.0
 *
 * What a watch chooses: a copy of the chosen objects, kept up with the events
 * that it gets, is at each revision what a list would give. */
#include "node/watch_filter.h"

#include "node/limits.h"
#include "support/office.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct watch_ring ring;

static void on_event(struct office *office, const struct event *event)
{
    watch_ring_add(&ring, office->state, event);
}

static struct office *opened(void)
{
    struct office *office = office_create();

    watch_ring_init(&ring, 1000, state_revision(office->state));
    office->on_event = on_event;
    office_hosts(office, 3, 3, 10);
    office_class(office, "c", 1);
    return office;
}

static void closed(struct office *office)
{
    watch_ring_close(&ring);
    office_destroy(office);
}

/* The choice for the newest event. */
static enum watch_choice choose(const struct office *office,
                                const Holdfast__V1__WatchRequest *request)
{
    struct watch_filter filter;
    struct api_reply reply;
    enum watch_choice choice;

    api_reply_init(&reply);
    assert_true(watch_filter_read(&reply, office->state, request, &filter));
    choice = watch_filter_choose(&filter, watch_ring_at(&ring, ring.next - 1));
    api_reply_close(&reply);
    return choice;
}

static void label(struct office *office, struct vm_id id, const char *key,
                  const char *value)
{
    struct change change = {.kind = CHANGE_VM_UPDATE};
    struct label one = {{key, (uint32_t)strlen(key)},
                        {value, (uint32_t)strlen(value)}};
    struct bytes labels;

    bytes_init(&labels);
    assert_int_equal(labels_encode(&one, 1, &labels), 0);
    change.vm_update = (struct change_vm_update){
        .vm = id,
        .mask = VM_UPDATE_LABELS,
        .labels = {(const char *)labels.data, (uint32_t)labels.len}};
    office_apply(office, &change);
    bytes_close(&labels);
}

static void a_vm_that_loses_its_label_has_left(void **unused)
{
    struct office *office = opened();
    struct vm_id id = office_vm(office, "c", "web", 0, false);
    Holdfast__V1__WatchRequest request = HOLDFAST__V1__WATCH_REQUEST__INIT;
    char filter[] = "app=web,!old,tier!=db";

    (void)unused;
    request.filter = filter;
    assert_int_equal(choose(office, &request), WATCH_SKIPS);
    label(office, id, "app", "web");
    assert_int_equal(choose(office, &request), WATCH_TAKES);
    office_assign(office, id, "h-0");
    assert_int_equal(choose(office, &request), WATCH_TAKES);
    label(office, id, "app", "mail");
    assert_int_equal(choose(office, &request), WATCH_LEFT);
    label(office, id, "app", "ftp");
    assert_int_equal(choose(office, &request), WATCH_SKIPS);
    closed(office);
}

static void a_vm_that_loses_its_host_has_left_the_zone(void **unused)
{
    struct office *office = opened();
    struct vm_id id = office_vm(office, "c", "web", 0, false);
    Holdfast__V1__WatchRequest request = HOLDFAST__V1__WATCH_REQUEST__INIT;
    char zone[] = "z0";
    char *zones[] = {zone};

    (void)unused;
    request.zones = zones;
    request.n_zones = 1;
    assert_int_equal(choose(office, &request), WATCH_SKIPS);
    office_assign(office, id, "h-0");
    assert_int_equal(choose(office, &request), WATCH_TAKES);
    office_fence(office, uid_slot(office_host_named(office, "h-0")->uid));
    assert_int_equal(choose(office, &request), WATCH_LEFT);
    office_assign(office, id, "h-1");
    assert_int_equal(choose(office, &request), WATCH_SKIPS);
    office_zone(office, "z9");
    assert_int_equal(choose(office, &request), WATCH_SKIPS);
    closed(office);
}

static void states_are_of_their_kind_alone(void **unused)
{
    struct office *office = opened();
    Holdfast__V1__WatchRequest request = HOLDFAST__V1__WATCH_REQUEST__INIT;
    Holdfast__V1__VmState pending = HOLDFAST__V1__VM_STATE__VM_STATE_PENDING;
    Holdfast__V1__HostState lost = HOLDFAST__V1__HOST_STATE__HOST_STATE_LOST;
    struct vm_id id = office_vm(office, "c", "web", 0, false);

    (void)unused;
    request.vm_states = &pending;
    request.n_vm_states = 1;
    request.host_states = &lost;
    request.n_host_states = 1;
    assert_int_equal(choose(office, &request), WATCH_TAKES);
    office_assign(office, id, "h-0");
    assert_int_equal(choose(office, &request), WATCH_LEFT);
    office_hosts_obey(office);
    assert_int_equal(choose(office, &request), WATCH_SKIPS);
    office_zone(office, "z9");
    assert_int_equal(choose(office, &request), WATCH_TAKES);
    office_host(office, "z9", "h9", 1);
    assert_int_equal(choose(office, &request), WATCH_SKIPS);
    office_fence(office, uid_slot(office_host_named(office, "h9")->uid));
    assert_int_equal(choose(office, &request), WATCH_TAKES);
    closed(office);
}

static void names_and_beginnings_of_names_are_either_or(void **unused)
{
    struct office *office = opened();
    Holdfast__V1__WatchRequest request = HOLDFAST__V1__WATCH_REQUEST__INIT;
    char name[] = "db";
    char prefix[] = "web-";
    char *names[] = {name};
    char *prefixes[] = {prefix};

    (void)unused;
    request.names = names;
    request.n_names = 1;
    request.name_prefixes = prefixes;
    request.n_name_prefixes = 1;
    office_vm(office, "c", "db", 0, false);
    assert_int_equal(choose(office, &request), WATCH_TAKES);
    office_vm(office, "c", "db-1", 0, false);
    assert_int_equal(choose(office, &request), WATCH_SKIPS);
    office_vm(office, "c", "web-1", 0, false);
    assert_int_equal(choose(office, &request), WATCH_TAKES);
    office_vm(office, "c", "web", 0, false);
    assert_int_equal(choose(office, &request), WATCH_SKIPS);
    closed(office);
}

static void a_deleted_object_is_taken_as_it_was(void **unused)
{
    struct office *office = opened();
    Holdfast__V1__WatchRequest request = HOLDFAST__V1__WATCH_REQUEST__INIT;
    struct vm_id id = office_vm(office, "c", "web", 0, false);
    struct change change = {.kind = CHANGE_VM_DELETE};
    char filter[] = "app=web";

    (void)unused;
    request.filter = filter;
    label(office, id, "app", "web");
    change.vm_delete.vm = id;
    office_apply(office, &change);
    assert_int_equal(choose(office, &request), WATCH_TAKES);
    closed(office);
}

static void refused(const struct office *office,
                    const Holdfast__V1__WatchRequest *request,
                    const char *words)
{
    struct watch_filter filter;
    struct api_reply reply;

    api_reply_init(&reply);
    assert_false(watch_filter_read(&reply, office->state, request, &filter));
    assert_non_null(strstr(reply.message, words));
    api_reply_close(&reply);
}

static void bad_filters_name_their_field(void **unused)
{
    struct office *office = opened();
    Holdfast__V1__WatchRequest request = HOLDFAST__V1__WATCH_REQUEST__INIT;
    Holdfast__V1__VmState state = (Holdfast__V1__VmState)9;
    static char *names[WATCH_NAMES_MAX + 1];
    char none[] = "";
    char wrong[] = "a=b,!";
    char *zones[] = {none};

    (void)unused;
    request.filter = wrong;
    refused(office, &request, "filter: ");
    request.filter = none;
    request.vm_states = &state;
    request.n_vm_states = 1;
    refused(office, &request, "vm_states");
    request.n_vm_states = 0;
    for (size_t i = 0; i <= WATCH_NAMES_MAX; i++) {
        names[i] = none;
    }
    request.names = names;
    request.n_names = WATCH_NAMES_MAX + 1;
    refused(office, &request, "names: ");
    request.n_names = 0;
    request.name_prefixes = names;
    request.n_name_prefixes = 1;
    refused(office, &request, "name_prefixes");
    request.n_name_prefixes = 0;
    request.zones = zones;
    request.n_zones = 1;
    refused(office, &request, "zones");
    closed(office);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_vm_that_loses_its_label_has_left),
        cmocka_unit_test(a_vm_that_loses_its_host_has_left_the_zone),
        cmocka_unit_test(states_are_of_their_kind_alone),
        cmocka_unit_test(names_and_beginnings_of_names_are_either_or),
        cmocka_unit_test(a_deleted_object_is_taken_as_it_was),
        cmocka_unit_test(bad_filters_name_their_field),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
