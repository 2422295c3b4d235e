/* SPDX-License-Identifier: Apache-2.0
 *
 * Which change of the members is refused, and in what words. */
#include "node/api_errors.h"
#include "node/membership.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct members members;
static struct membership now;
static struct membership_change change;
static struct api_reply reply;

/* n1 to nN are voters that answer; n1 leads. */
static int region(size_t voters)
{
    members_init(&members);
    memset(&now, 0, sizeof(now));
    for (size_t i = 0; i < voters; i++) {
        struct member *member = &members.items[members.count++];

        *member = (struct member){.id = i + 1, .role = REPLICA_VOTER};
        (void)snprintf(member->name, sizeof(member->name), "n%zu", i + 1);
        (void)snprintf(member->address, sizeof(member->address),
                       "10.0.0.%zu:7100", i + 1);
        now.seen[i].answers = true;
    }
    members.id_max = voters;
    now.members = &members;
    now.self = 1;
    return 0;
}

/* A standby that answers and has all. */
static void standby(uint64_t id)
{
    struct member *member = &members.items[members.count];

    *member = (struct member){.id = id, .role = REPLICA_STANDBY};
    (void)snprintf(member->name, sizeof(member->name), "n%u", (unsigned)id);
    now.seen[members.count++].answers = true;
    members.id_max = id;
}

static void silent(size_t number)
{
    now.seen[number - 1].answers = false;
}

static void refused(enum membership_verdict verdict, enum api_error error,
                    const char *words)
{
    assert_int_equal(verdict, MEMBERSHIP_REFUSED);
    assert_int_equal(reply.code, api_error_entry(error)->code);
    assert_string_equal(reply.reason, api_error_entry(error)->reason);
    if (strstr(reply.message, words) == NULL) {
        fail_msg("'%s' is not in: %s", words, reply.message);
    }
    api_reply_close(&reply);
    api_reply_init(&reply);
}

static enum membership_verdict add(const char *name, uint64_t id,
                                   const char *address)
{
    struct member wanted = {.id = id};

    (void)snprintf(wanted.name, sizeof(wanted.name), "%s", name);
    (void)snprintf(wanted.address, sizeof(wanted.address), "%s", address);
    return membership_add(&now, &wanted, &change, &reply);
}

static enum membership_verdict promote(const char *name)
{
    return membership_promote(&now, name, &change, &reply);
}

static enum membership_verdict take_out(const char *name, bool fewer)
{
    return membership_remove(&now, name, fewer, &change, &reply);
}

static int setup(void **state)
{
    (void)state;
    api_reply_init(&reply);
    return region(3);
}

static int teardown(void **state)
{
    (void)state;
    api_reply_close(&reply);
    return 0;
}

static void what_is_new_becomes_a_standby(void **state)
{
    (void)state;
    assert_int_equal(add("n4", 4, "10.0.0.4:7100"), MEMBERSHIP_CHANGES);
    assert_true(members_may_follow(&members, &change.next));
    assert_int_equal(members_get(&change.next, 4)->role, REPLICA_STANDBY);
    assert_int_equal(change.next.id_max, 4);
    members = change.next;
    assert_int_equal(add("n4", 4, "10.0.0.4:7100"), MEMBERSHIP_ALREADY);
    refused(add("n4", 5, "10.0.0.5:7100"), API_NAME_TAKEN, "n4");
    refused(add("n5", 5, "10.0.0.4:7100"), API_INVALID_FIELD, "address");
    refused(add("n5", 3, "10.0.0.5:7100"), API_NODE_ID_USED, "free one is 5");
}

static void an_id_is_used_once(void **state)
{
    (void)state;
    members.id_max = 9; /* Of one that went. */
    refused(add("n5", 9, "10.0.0.5:7100"), API_NODE_ID_USED, "free one is 10");
    assert_int_equal(add("n5", 10, "10.0.0.5:7100"), MEMBERSHIP_CHANGES);
}

static void a_region_takes_so_many(void **state)
{
    (void)state;
    while (members.count < RAFT_MEMBERS_MAX) {
        standby(members.id_max + 1);
    }
    refused(add("more", 99, "10.0.1.1:7100"), API_TABLE_FULL, "32");
}

static void a_standby_votes_when_it_has_caught_up(void **state)
{
    (void)state;
    standby(4);
    now.seen[3].lag_entries = MEMBERSHIP_LAG_MAX + 1;
    refused(promote("n4"), API_NODE_BEHIND, "101 entries behind");
    now.seen[3].lag_entries = MEMBERSHIP_LAG_MAX;
    now.seen[3].snapshot = true;
    refused(promote("n4"), API_NODE_BEHIND, "snapshot");
    now.seen[3].snapshot = false;
    silent(4);
    refused(promote("n4"), API_NODE_SILENT, "n4");
    now.seen[3].answers = true;
    assert_int_equal(promote("n4"), MEMBERSHIP_CHANGES);
    assert_true(members_may_follow(&members, &change.next));
    assert_int_equal(members_voters(&change.next), 4);
    assert_int_equal(promote("n2"), MEMBERSHIP_ALREADY);
    refused(promote("n9"), API_NODE_NOT_FOUND, "n9");
    refused(promote("N 9"), API_INVALID_FIELD, "name");
}

static void voters_that_answer_stay_a_majority(void **state)
{
    (void)state;
    standby(4);
    silent(3);
    assert_int_equal(promote("n4"), MEMBERSHIP_CHANGES); /* 3 of 4. */
    refused(take_out("n2", true), API_QUORUM_AT_RISK, "'n3'");
    silent(2);
    refused(promote("n4"), API_QUORUM_AT_RISK, "2 of 4");
}

static void five_with_two_lost_lose_no_third(void **state)
{
    (void)state;
    region(5);
    silent(4);
    silent(5);
    refused(take_out("n2", true), API_QUORUM_AT_RISK, "'n4'");
    assert_int_equal(take_out("n5", false), MEMBERSHIP_CHANGES);
    assert_true(members_may_follow(&members, &change.next));
    assert_int_equal(members_voters(&change.next), 4);
}

static void three_are_the_fewest_unless_meant(void **state)
{
    (void)state;
    silent(3);
    refused(take_out("n3", false), API_TOO_FEW_VOTERS, "n3 NEW --id 4");
    assert_int_equal(take_out("n3", true), MEMBERSHIP_CHANGES);
    assert_true(members_may_follow(&members, &change.next));
    assert_int_equal(change.next.id_max, 3);
}

static void the_leader_hands_over_before_it_goes(void **state)
{
    (void)state;
    refused(take_out("n1", true), API_NODE_LEADS, "transfer");
}

static void a_standby_goes_at_any_time(void **state)
{
    (void)state;
    standby(4);
    silent(2);
    silent(3);
    silent(4);
    assert_int_equal(take_out("n4", false), MEMBERSHIP_CHANGES);
    assert_int_equal(change.next.id_max, 4);
    assert_null(members_get(&change.next, 4));
}

/* Zones z1, z2 and z3 with a voter each, as the state has them. */
static struct state *zones(void)
{
    static const char *const names[] = {"z1", "z2", "z3"};
    struct state *state = state_create();

    state_begin(state, 1);
    for (size_t i = 0; i < 3; i++) {
        struct change creation = {.kind = CHANGE_ZONE_CREATE};

        creation.zone_create.name = (struct text){names[i], 2};
        state_apply(state, &creation, NULL);
        (void)snprintf(members.items[i].zone, sizeof(members.items[i].zone),
                       "%s", names[i]);
    }
    return state;
}

/* Bit i: nobody could decide without the voters of the zone in slot i. */
static uint64_t zones_needed(const struct state *state)
{
    struct turn_voters voters;
    uint64_t needed = 0;

    membership_count_voters(&now, state, &voters);
    for (uint32_t slot = 0; slot < 3; slot++) {
        uint64_t zone = UINT64_C(1) << slot;

        needed |= turn_needs_zones(&voters, zone) ? zone : 0;
    }
    return needed;
}

static void zones_answer_through_their_voters(void **unused)
{
    struct state *state;

    (void)unused;
    region(3);
    state = zones();
    assert_int_equal(membership_zones_reachable(&now, state) & 7, 7);
    assert_int_equal(zones_needed(state), 0);
    /* Without z2 either of the others is needed, and z2 itself, which does not
     * answer, is not. */
    silent(2);
    assert_int_equal(membership_zones_reachable(&now, state) & 7, 5);
    assert_int_equal(zones_needed(state), 5);
    /* A standby there answers, and counts for nothing. */
    standby(4);
    (void)snprintf(members.items[3].zone, sizeof(members.items[3].zone), "z2");
    assert_int_equal(membership_zones_reachable(&now, state) & 7, 5);
    assert_int_equal(zones_needed(state), 5);
    /* As a voter it does: three of four answer, two without any zone. */
    members.items[3].role = REPLICA_VOTER;
    assert_int_equal(membership_zones_reachable(&now, state) & 7, 7);
    assert_int_equal(zones_needed(state), 7);
    /* A zone without voters is never the reason. */
    members.count = 1;
    assert_int_equal(membership_zones_reachable(&now, state) & 7, 7);
    assert_int_equal(zones_needed(state), 1);
    state_destroy(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_new_becomes_a_standby, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_id_is_used_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_region_takes_so_many, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_standby_votes_when_it_has_caught_up,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(voters_that_answer_stay_a_majority,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(five_with_two_lost_lose_no_third, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(three_are_the_fewest_unless_meant,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(the_leader_hands_over_before_it_goes,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(zones_answer_through_their_voters,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_standby_goes_at_any_time, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
