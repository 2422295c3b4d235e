/* SPDX-License-Identifier: Apache-2.0
 *
 * One row a refusal: its words, the reason that is given for it, and what
 * would help. */
#include "base/container.h"
#include "placement/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void apply(struct state *state, struct change change)
{
    state_apply(state, &change, NULL);
}

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static struct state *region(uint32_t hosts)
{
    struct state *state = state_create();
    struct change change = {.kind = CHANGE_HOST_REGISTER};
    char name[16];

    apply(state, (struct change){.kind = CHANGE_ZONE_CREATE,
                                 .zone_create = {text_of("za")}});
    apply(state,
          (struct change){.kind = CHANGE_CLASS_CREATE,
                          .class_create = {.name = text_of("small"),
                                           .resources = {1000, 1024, 0, 0}}});
    for (uint32_t i = 0; i < hosts; i++) {
        snprintf(name, sizeof(name), "h%u", i);
        change.host_register = (struct change_host_register){
            .name = text_of(name),
            .zone = {state_zone_at(state, 0)->uid},
            .host_id = text_of("id"),
            .boot_id = text_of("boot"),
            .capacity = {4000, 4096, 100, 0},
            .driver_mask = 1 << DRIVER_EXEC,
        };
        apply(state, change);
    }
    return state;
}

static const struct {
    enum placement_refusal refusal;
    enum pending_reason reason;
    const char *words;
    const char *cure;
} rows[] = {
    {REFUSED_ZONE_RULE, PENDING_NO_CAPACITY, "in another zone than the VM's",
     "add hosts, or stop or shrink VMs"},
    {REFUSED_MOVE, PENDING_NO_CAPACITY, "not the target of the move",
     "add hosts, or stop or shrink VMs"},
    {REFUSED_CLASS, PENDING_CLASS_NOT_OFFERED, "class not offered in the zone",
     "offer the class in more zones"},
    {REFUSED_ZONE_STATE, PENDING_ZONE_UNAVAILABLE,
     "zone lost, held, cordoned or draining",
     "bring hosts back, or uncordon host or zone"},
    {REFUSED_HOST_STATE, PENDING_ZONE_UNAVAILABLE, "lost",
     "bring hosts back, or uncordon host or zone"},
    {REFUSED_CORDONED, PENDING_ZONE_UNAVAILABLE, "cordoned or draining",
     "bring hosts back, or uncordon host or zone"},
    {REFUSED_DRIVER, PENDING_DRIVER_NOT_OFFERED, "driver not offered",
     "add hosts with the driver"},
    {REFUSED_SELECTOR, PENDING_NO_MATCHING_HOST,
     "labels missing that it asks for",
     "label more hosts, or ask for fewer labels"},
    {REFUSED_DISK, PENDING_DISK_NOT_REACHABLE, "a disk not reachable",
     "mount the pool on more hosts"},
    {REFUSED_GROUP_ZONE, PENDING_GROUP_RULE,
     "in a zone that its group's rules exclude",
     "add zones, racks or hosts, or make the group's rule best effort"},
    {REFUSED_GROUP_DOMAIN, PENDING_GROUP_RULE,
     "in a fault domain with as many members of its group as allowed",
     "add zones, racks or hosts, or make the group's rule best effort"},
    {REFUSED_GROUP_HOST, PENDING_GROUP_RULE,
     "as many members of its group as a host may have",
     "add zones, racks or hosts, or make the group's rule best effort"},
    {REFUSED_CPU, PENDING_NO_CAPACITY, "too little free CPU",
     "add hosts, or stop or shrink VMs"},
    {REFUSED_MEMORY, PENDING_NO_CAPACITY, "too little free memory",
     "add hosts, or stop or shrink VMs"},
    {REFUSED_LOCAL_DISK, PENDING_NO_CAPACITY, "too little free disk",
     "add hosts, or stop or shrink VMs"},
    {REFUSED_GPU, PENDING_NO_CAPACITY, "too few free GPUs",
     "add hosts, or stop or shrink VMs"},
    {REFUSED_NAMED, PENDING_NO_CAPACITY, "too little of a named resource",
     "add hosts, or stop or shrink VMs"},
    {REFUSED_VM_COUNT, PENDING_NO_CAPACITY, "as many VMs as a host may have",
     "add hosts, or stop or shrink VMs"},
    {REFUSED_CLAIMED, PENDING_NO_CAPACITY,
     "room only until VMs arrive that are on their way",
     "add hosts, or stop or shrink VMs"},
    {REFUSED_RESERVED, PENDING_RESERVED, "room only in reservations",
     "add hosts, or make the reservations smaller"},
    {REFUSED_HEADROOM, PENDING_HEADROOM,
     "room only for what a zone's loss would bring",
     "add hosts in other zones, or set headroom to warn"},
};

static void each_refusal_has_words_a_reason_and_a_cure(void **unused)
{
    struct state *state = region(3);
    char words[512];
    char wanted[512];

    (void)unused;
    assert_int_equal(ARRAY_LEN(rows), PLACEMENT_REFUSAL_COUNT);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct placement_choice choice = {
            .host = SLOT_NONE, .headroom = {SLOT_NONE, SLOT_NONE, 0}};

        choice.refused[rows[i].refusal] = 3;
        choice.reason = reason_of(choice.refused);
        assert_int_equal(choice.reason, rows[i].reason);
        placement_explain(state, &choice, words, sizeof(words));
        snprintf(wanted, sizeof(wanted),
                 "none of 3 hosts can take it: 3 %s; %s", rows[i].words,
                 rows[i].cure);
        assert_string_equal(words, wanted);
    }
    state_destroy(state);
}

/* A host that got further needs less: its reason is the one to cure. */
static void the_rule_that_came_closest_gives_the_reason(void **unused)
{
    static const enum placement_refusal order[] = {
        REFUSED_CLASS,    REFUSED_ZONE_STATE, REFUSED_DRIVER,
        REFUSED_SELECTOR, REFUSED_DISK,       REFUSED_GROUP_ZONE,
        REFUSED_CPU,      REFUSED_RESERVED,   REFUSED_HEADROOM};
    uint32_t refused[PLACEMENT_REFUSAL_COUNT] = {0};

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        enum pending_reason reason;

        refused[order[i]] = 1;
        reason = reason_of(refused);
        for (size_t row = 0; row < ARRAY_LEN(rows); row++) {
            if (rows[row].refusal == order[i]) {
                assert_int_equal(reason, rows[row].reason);
            }
        }
    }
}

static void several_refusals_are_told_from_the_closest_on(void **unused)
{
    struct state *state = region(6);
    struct placement_choice choice = {.host = SLOT_NONE,
                                      .reason = PENDING_NO_CAPACITY};
    char words[512];

    (void)unused;
    choice.refused[REFUSED_ZONE_RULE] = 3;
    choice.refused[REFUSED_CPU] = 1;
    choice.refused[REFUSED_CORDONED] = 2;
    placement_explain(state, &choice, words, sizeof(words));
    assert_string_equal(words,
                        "none of 6 hosts can take it: 1 too little free CPU, 2 "
                        "cordoned or draining, 3 in another zone than the "
                        "VM's; add hosts, or stop or shrink VMs");
    state_destroy(state);
}

static void headroom_names_zone_class_and_count(void **unused)
{
    struct state *state = region(1);
    struct placement_choice choice = {
        .host = SLOT_NONE, .reason = PENDING_HEADROOM, .headroom = {0, 0, 1}};
    char words[512];

    (void)unused;
    choice.refused[REFUSED_HEADROOM] = 1;
    placement_explain(state, &choice, words, sizeof(words));
    assert_string_equal(
        words, "none of 1 host can take it: 1 room only for what a zone's loss "
               "would bring; if zone za were lost, 1 VM of class small would "
               "find no room; add hosts in other zones, or set headroom to "
               "warn");
    choice.headroom.count = 2;
    placement_explain(state, &choice, words, sizeof(words));
    assert_non_null(strstr(words, "2 VMs of class small"));
    choice.headroom.zone = 7;
    placement_explain(state, &choice, words, sizeof(words));
    assert_null(strstr(words, "were lost"));
    state_destroy(state);
}

static void without_hosts_it_says_so_and_words_are_cut_to_fit(void **unused)
{
    struct state *state = region(0);
    struct placement_choice choice = {.host = SLOT_NONE};
    char words[16] = "untouched";

    (void)unused;
    placement_explain(state, &choice, words, 0);
    assert_string_equal(words, "untouched");
    placement_explain(state, &choice, words, sizeof(words));
    assert_string_equal(words, "no host has reg");
    placement_explain(state, &choice, words, 1);
    assert_string_equal(words, "");
    state_destroy(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_refusal_has_words_a_reason_and_a_cure),
        cmocka_unit_test(the_rule_that_came_closest_gives_the_reason),
        cmocka_unit_test(several_refusals_are_told_from_the_closest_on),
        cmocka_unit_test(headroom_names_zone_class_and_count),
        cmocka_unit_test(without_hosts_it_says_so_and_words_are_cut_to_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
