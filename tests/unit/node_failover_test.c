/* SPDX-License-Identifier: Apache-2.0
 *
 * What becomes of VMs when hosts, zones and leaders are lost, in a region in a
 * box. */
#include "support/failover_region.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void vms_are_spread_over_zones_and_run(void **unused)
{
    struct region *region = region_create(1);

    (void)unused;
    region_run_until(region, 4000);
    assert_int_equal(region_running(region), VMS);
    for (uint32_t i = 0; i < ZONES; i++) {
        assert_int_equal(state_zone_at(region->state, i)->vm_count,
                         VMS / ZONES);
    }
    assert_int_equal(region->most_copies, 1);
    region_destroy(region);
}

static void a_lost_zone_is_one_event_and_restarts_within_the_bound(
    void **unused)
{
    struct region *region = region_create(2);

    (void)unused;
    region_run_until(region, 6000);
    region_zone_power(region, 0, false);
    region->first_start_ms = 0;
    region_run_until(region, 6000 + 8000);
    assert_int_equal(state_zone_at(region->state, 0)->state, ZONE_LOST);
    assert_int_equal(region_running(region), VMS);
    assert_in_range(region->first_start_ms, 6000 + 3500, 6000 + 6000);
    assert_int_equal(state_zone_at(region->state, 0)->vm_count, 0);
    assert_int_equal(region->most_copies, 1);
    region_destroy(region);
}

static void losing_the_leader_with_its_zone_keeps_the_bound(void **unused)
{
    struct region *region = region_create(3);

    (void)unused;
    region_run_until(region, 6000);
    region_zone_power(region, 1, false);
    region_lose_leader(region);
    /* judge_reset() forgets; the new leader sees it at once. */
    region_lead(region);
    region_lose_leader(region);
    region->first_start_ms = 0;
    region_run_until(region, region->now_ms + ELECTION_MS + STEP_MS);
    region->judge.zones_reachable &= ~(UINT64_C(1) << 1);
    region_run_until(region, 6000 + 8000);
    assert_int_equal(region_running(region), VMS);
    assert_in_range(region->first_start_ms, 6000 + 5000, 6000 + 8000);
    assert_int_equal(region->most_copies, 1);
    region_destroy(region);
}

static void a_lost_host_is_replaced_inside_its_zone(void **unused)
{
    struct region *region = region_create(4);

    (void)unused;
    region_run_until(region, 6000);
    region->agents[0].powered = false;
    region_run_until(region, 14000);
    assert_int_equal(region_host(region, "h0")->state, HOST_LOST);
    assert_int_equal(state_zone_at(region->state, 0)->state, ZONE_UP);
    assert_int_equal(state_zone_at(region->state, 0)->vm_count, VMS / ZONES);
    assert_int_equal(region_running(region), VMS);
    assert_int_equal(region->most_copies, 1);
    region_destroy(region);
}

static void a_cut_host_stops_before_its_vms_start_elsewhere(void **unused)
{
    struct region *region = region_create(5);

    (void)unused;
    region_run_until(region, 6000);
    region->agents[4].cut = true;
    region_run_until(region, 14000);
    assert_int_equal(region->agents[4].vm_count, 0);
    assert_int_equal(region_running(region), VMS);
    region->agents[4].cut = false;
    region_run_until(region, 18000);
    assert_int_equal(region_host(region, "h4")->state, HOST_UP);
    assert_int_equal(region_running(region), VMS);
    assert_int_equal(region->most_copies, 1);
    region_destroy(region);
}

/* Cut both of two zones off: that is us, not them. */
static void a_storm_pauses_and_ends_without_a_move(void **unused)
{
    struct region *region = region_create(6);
    uint64_t revision;

    (void)unused;
    region_run_until(region, 6000);
    for (uint32_t i = 0; i < 2 * HOSTS_IN_ZONE; i++) {
        region->agents[i].cut = true;
    }
    region_run_until(region, 12500);
    assert_true(region->judge.storm);
    revision = state_revision(region->state);
    region_run_until(region, 20000);
    assert_int_equal(state_revision(region->state), revision);
    assert_int_equal(state_counts(region->state)->hosts_up, HOSTS);
    for (uint32_t i = 0; i < 2 * HOSTS_IN_ZONE; i++) {
        region->agents[i].cut = false;
    }
    region_run_until(region, 26000);
    assert_false(region->judge.storm);
    assert_int_equal(region_running(region), VMS);
    assert_int_equal(region->most_copies, 1);
    region_destroy(region);
}

static void a_returning_zone_is_held_before_it_is_used(void **unused)
{
    struct region *region = region_create(7);

    (void)unused;
    region_run_until(region, 6000);
    region_zone_power(region, 2, false);
    region_run_until(region, 14000);
    region_zone_power(region, 2, true);
    region_run_until(region, 20000);
    assert_int_equal(state_zone_at(region->state, 2)->state, ZONE_HELD);
    assert_int_equal(state_zone_at(region->state, 2)->vm_count, 0);
    region_run_until(region, 14000 + 65000);
    assert_int_equal(state_zone_at(region->state, 2)->state, ZONE_UP);
    assert_int_equal(region_running(region), VMS);
    assert_int_equal(region->most_copies, 1);
    region_destroy(region);
}

/* Only its node stays away. */
static void a_zone_whose_hosts_are_back_is_used_again(void **unused)
{
    struct region *region = region_create(7);

    (void)unused;
    region_run_until(region, 6000);
    region_zone_power(region, 2, false);
    region_run_until(region, 14000);
    assert_int_equal(state_zone_at(region->state, 2)->state, ZONE_LOST);
    region_zone_power(region, 2, true);
    region->judge.zones_reachable &= ~(UINT64_C(1) << 2);
    region_run_until(region, 20000);
    assert_int_equal(state_zone_at(region->state, 2)->state, ZONE_HELD);
    region_run_until(region, 14000 + 65000);
    assert_int_equal(state_zone_at(region->state, 2)->state, ZONE_UP);
    assert_int_equal(region->most_copies, 1);
    region_destroy(region);
}

static void an_idle_region_writes_nothing(void **unused)
{
    struct region *region = region_create(8);
    uint64_t entries;

    (void)unused;
    region_run_until(region, 8000);
    entries = region->turn.entries;
    region_run_until(region, 20000);
    assert_int_equal(region->turn.entries, entries);
    region_destroy(region);
}

static struct agent *busy_agent(struct region *region)
{
    struct agent *agent = region->agents;

    while (agent->vm_count == 0) {
        agent++;
        assert_true(agent < region->agents + HOSTS);
    }
    return agent;
}

static void a_hello_that_was_held_up_proves_nothing(void **unused)
{
    struct region *region = region_create(9);
    struct agent *agent;

    (void)unused;
    region_run_until(region, 4000);
    agent = busy_agent(region);
    agent_hello_without_vms(agent);
    region_run_until(region, 6000);
    snprintf(agent->boot_id, sizeof(agent->boot_id), "boot-0");
    assert_int_equal(region->refused_hellos, 0);
    agent_hello_without_vms(agent); /* Even from a former boot. */
    region_run_until(region, region->now_ms + STEP_MS);
    snprintf(agent->boot_id, sizeof(agent->boot_id), "boot-1");
    region_run_until(region, 12000);
    assert_int_equal(region_running(region), VMS);
    for (uint32_t slot = 0; slot < VMS; slot++) {
        assert_int_equal(state_vm_at(region->state, slot)->epoch, 1);
    }
    assert_int_equal(region->most_copies, 1);
    region_destroy(region);
}

static void what_a_renewed_session_does_not_list_is_gone(void **unused)
{
    struct region *region = region_create(10);
    struct agent *agent;

    (void)unused;
    region_run_until(region, 4000);
    agent = busy_agent(region);
    agent_kill_all(agent);
    agent->session = false; /* Its agent was started anew. */
    region_run_until(region, 8000);
    assert_int_equal(region_running(region), VMS);
    assert_int_equal(region->most_copies, 1);
    region_destroy(region);
}

/* The second host becomes a clone of the first, but with its own boots. */
static void make_clone(struct region *region)
{
    region->agents[1].name[1] = '0';
    agent_boot(&region->agents[1]);
}

static void a_clone_leaves_its_host_alone(void **unused)
{
    struct region *region = region_create(11);
    struct agent *first;
    struct agent *second;
    uint64_t revision;

    (void)unused;
    make_clone(region);
    region_run_until(region, 6000);
    first = &region->agents[region->agents[1].session];
    second = &region->agents[!region->agents[1].session];
    assert_true(first->session && first->vm_count > 0);
    revision = state_revision(region->state);
    region->refused_hellos = 0;
    region_run_until(region, 20000);
    assert_true(region->refused_hellos >= 10);
    assert_int_equal(state_revision(region->state), revision);
    assert_false(second->session);
    first->session = false; /* A moment without a connection is no boot. */
    region_run_until(region, 24000);
    assert_true(first->session && first->vm_count > 0);
    assert_int_equal(state_revision(region->state), revision);
    /* Its lease is over: whoever comes first is the host. */
    first->cut = true;
    region_run_until(region, 32000);
    assert_int_equal(first->vm_count, 0);
    assert_true(second->session);
    first->cut = false;
    region_run_until(region, 44000);
    assert_true(second->session);
    assert_int_equal(region_running(region), VMS);
    assert_int_equal(region->most_copies, 1);
    region_destroy(region);
}

/* Random power cuts, cuts of the network and changes of the leader, sometimes
 * with a cloned host. */
static void chaos(uint64_t seed)
{
    struct region *region = region_create(seed);

    if (seed % 2 == 0) {
        make_clone(region);
    }
    region_run_until(region, 4000);
    for (int i = 0; i < 40; i++) {
        struct agent *agent =
            &region->agents[random_below(&region->random, HOSTS)];

        switch (random_below(&region->random, 4)) {
        case 0:
            agent->cut = !agent->cut;
            break;
        case 1:
            agent->powered = !agent->powered;
            agent_boot(agent);
            break;
        case 2:
            if (region->lead_at_ms == 0) {
                region_lose_leader(region);
            }
            break;
        default:
            agent->session = false;
            break;
        }
        region_run_until(region,
                         region->now_ms +
                             random_below(&region->random, 400) * STEP_MS);
        assert_true(region->most_copies <= 1);
    }
    for (uint32_t i = 0; i < HOSTS; i++) {
        region->agents[i].cut = false;
        region->agents[i].powered = true;
    }
    region_run_until(region, region->now_ms + 100000);
    if (region_running(region) != VMS) {
        print_message("seed %llu: %u of %d run\n", (unsigned long long)seed,
                      region_running(region), VMS);
    }
    assert_int_equal(region_running(region), VMS);
    assert_int_equal(region->most_copies, 1);
    region_destroy(region);
}

static void one_copy_holds_over_random_histories(void **unused)
{
    (void)unused;
    for (uint64_t seed = 100; seed < 130; seed++) {
        chaos(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vms_are_spread_over_zones_and_run),
        cmocka_unit_test(
            a_lost_zone_is_one_event_and_restarts_within_the_bound),
        cmocka_unit_test(losing_the_leader_with_its_zone_keeps_the_bound),
        cmocka_unit_test(a_lost_host_is_replaced_inside_its_zone),
        cmocka_unit_test(a_cut_host_stops_before_its_vms_start_elsewhere),
        cmocka_unit_test(a_storm_pauses_and_ends_without_a_move),
        cmocka_unit_test(a_returning_zone_is_held_before_it_is_used),
        cmocka_unit_test(a_zone_whose_hosts_are_back_is_used_again),
        cmocka_unit_test(an_idle_region_writes_nothing),
        cmocka_unit_test(a_hello_that_was_held_up_proves_nothing),
        cmocka_unit_test(what_a_renewed_session_does_not_list_is_gone),
        cmocka_unit_test(a_clone_leaves_its_host_alone),
        cmocka_unit_test(one_copy_holds_over_random_histories),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
