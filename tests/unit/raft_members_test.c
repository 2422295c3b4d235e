/* SPDX-License-Identifier: Apache-2.0
 *
 * Members that come, vote and go, on simulated disks, network and time.
 *
 *   raft_members_test                    the cases, and some seeds of chaos
 *   raft_members_test --seeds N [FIRST]  N seeds of chaos from FIRST on */
#include "base/bytes.h"
#include "base/error.h"
#include "base/log.h"
#include "raft/message.h"
#include "tests/support/sim_cluster.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND 1000000ULL

static void good(const struct sim_cluster *cluster)
{
    const char *violation = sim_cluster_violation(cluster);
    if (violation != NULL) {
        fail_msg("%s", violation);
    }
}

static struct sim_cluster *region(uint64_t seed, size_t joiners)
{
    struct sim_options options = sim_options_default(seed);
    options.joiners = joiners;
    options.snapshot_entries = 200;
    options.trailing_entries = 8;
    struct sim_cluster *cluster = sim_cluster_create(&options);
    assert_true(sim_cluster_elect(cluster, 5 * SECOND) != 0);
    return cluster;
}

static int add(struct sim_cluster *cluster, uint64_t id)
{
    struct members members;
    sim_cluster_members(cluster, &members);
    sim_members_add(&members, id);
    return sim_cluster_reconfigure(cluster, &members, 5 * SECOND);
}

static int promote(struct sim_cluster *cluster, uint64_t id)
{
    struct members members;
    sim_cluster_members(cluster, &members);
    sim_members_promote(&members, id);
    return sim_cluster_reconfigure(cluster, &members, 5 * SECOND);
}

static int take_out(struct sim_cluster *cluster, uint64_t id)
{
    struct members members;
    sim_cluster_members(cluster, &members);
    sim_members_remove(&members, id);
    return sim_cluster_reconfigure(cluster, &members, 5 * SECOND);
}

/* Someone that runs, and does not lead. */
static uint64_t a_follower(struct sim_cluster *cluster)
{
    uint64_t leader = sim_cluster_leader(cluster);
    return leader % 3 + 1;
}

/* --- What an entry holds ------------------------------------------------- */

static void the_first_entry_is_ids_and_roles_alone(void **state)
{
    static const uint8_t expected[] = {
        1,                                  /* format */
        2,   0,   0,   0,   0,   0,   0, 0, /* count */
        1,   0,   0,   0,   0,   0,   0, 0, /* id */
        'n', 'o', 'd', 'e', '/', '1', 0, 1, /* voter */
        9,   0,   0,   0,   0,   0,   0, 0, /* id */
        'n', 'o', 'd', 'e', '/', '9', 0, 0, /* standby */
        0,   0,   0,   0,   0,   0,   0,    /* to a multiple of 8 */
    };
    struct members members;
    struct bytes out;
    (void)state;
    members_init(&members);
    members.count = 2;
    members.items[0] = (struct member){.id = 1, .role = REPLICA_VOTER};
    members.items[1] = (struct member){.id = 9, .role = REPLICA_STANDBY};
    members.id_max = 9;
    bytes_init(&out);
    members_encode(&members, &out);
    assert_int_equal(out.len, sizeof expected);
    assert_memory_equal(out.data, expected, sizeof expected);
    bytes_close(&out);
}

static void assert_same(const struct members *left, const struct members *right)
{
    assert_int_equal(left->generation, right->generation);
    assert_int_equal(left->id_max, right->id_max);
    assert_int_equal(left->count, right->count);
    for (size_t i = 0; i < left->count; i++) {
        assert_int_equal(left->items[i].id, right->items[i].id);
        assert_int_equal(left->items[i].role, right->items[i].role);
        assert_string_equal(left->items[i].name, right->items[i].name);
        assert_string_equal(left->items[i].zone, right->items[i].zone);
        assert_string_equal(left->items[i].address, right->items[i].address);
    }
}

static void what_is_written_of_members_is_read_again(void **state)
{
    struct members members;
    struct members again;
    struct bytes out;
    (void)state;
    members_init(&members);
    for (size_t i = 0; i < RAFT_MEMBERS_MAX; i++) {
        struct member *member = &members.items[members.count++];
        member->id = RAFT_NUMBER_MAX * 2 - 100 + i;
        member->role = i % 2 == 0 ? REPLICA_VOTER : REPLICA_STANDBY;
        memset(member->name, 'a' + (int)(i % 26), RAFT_REGION_BYTES_MAX);
        memset(member->zone, 'z', i % 3 == 0 ? 0 : RAFT_REGION_BYTES_MAX);
        snprintf(member->address, sizeof member->address,
                 "[fd00:1111:2222:3333:4444:5555:6666:%04x]:65535",
                 (unsigned)i);
    }
    members.generation = UINT32_MAX;
    members.id_max = RAFT_NUMBER_MAX * 2 - 1;
    bytes_init(&out);
    members_encode(&members, &out);
    members_decode(&again, out.data, out.len);
    assert_same(&members, &again);
    bytes_close(&out);
}

static void members_change_one_at_a_time(void **state)
{
    struct members now;
    struct members next;
    (void)state;
    members_init(&now);
    now.count = 3;
    now.id_max = 5;
    for (size_t i = 0; i < 3; i++) {
        now.items[i] = (struct member){.id = i + 1, .role = REPLICA_VOTER};
    }
    next = now;
    assert_true(members_may_follow(&now, &next));
    sim_members_remove(&next, 2);
    assert_true(members_may_follow(&now, &next));
    sim_members_remove(&next, 3);
    assert_false(members_may_follow(&now, &next));
    next = now;
    sim_members_add(&next, 6);
    assert_true(members_may_follow(&now, &next));
    sim_members_add(&next, 7);
    assert_false(members_may_follow(&now, &next));
    next = now;
    sim_members_add(&next, 6);
    sim_members_promote(&next, 6);
    assert_false(members_may_follow(&now, &next)); /* Not caught up. */
    next = now;
    sim_members_remove(&next, 3);
    sim_members_add(&next, 6);
    assert_false(members_may_follow(&now, &next));
    next = now;
    sim_members_add(&next, 4); /* Used and removed before. */
    assert_false(members_may_follow(&now, &next));
    next = now;
    next.items[0].role = REPLICA_STANDBY;
    assert_true(members_may_follow(&now, &next));
    next.items[1].role = REPLICA_STANDBY;
    assert_false(members_may_follow(&now, &next));
    next = now;
    next.items[0] = now.items[1];
    next.items[1] = now.items[0];
    assert_false(members_may_follow(&now, &next)); /* Not in their places. */
    next = now;
    next.generation = 2;
    assert_false(members_may_follow(&now, &next));
}

/* --- Changes ------------------------------------------------------------- */

/* Its log is far behind the leader's: it gets a snapshot. */
static void a_member_joins_catches_up_and_votes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct sim_cluster *cluster = region(seed, 1);
        struct members members;
        assert_true(
            sim_cluster_settle(cluster, seed % 2 == 0 ? 600 : 5, 10 * SECOND));
        assert_int_equal(add(cluster, 4), 0);
        sim_cluster_join(cluster, 4);
        assert_true(sim_cluster_settle(cluster, 20, 20 * SECOND));
        assert_true(sim_cluster_applied(cluster, 4) > 0);
        assert_int_equal(promote(cluster, 4), 0);
        assert_true(sim_cluster_settle(cluster, 20, 10 * SECOND));
        replica_members(sim_cluster_replica(cluster, 4), &members);
        assert_int_equal(members_voters(&members), 4);
        assert_string_equal(members_get(&members, 4)->name, "n4");
        assert_int_equal(sim_cluster_transfer(cluster, 4, 5 * SECOND), 0);
        assert_int_equal(sim_cluster_elect(cluster, 5 * SECOND), 4);
        assert_true(sim_cluster_settle(cluster, 20, 10 * SECOND));
        good(cluster);
        sim_cluster_destroy(cluster);
    }
}

static void a_member_that_joins_may_restart_at_any_time(void **state)
{
    (void)state;
    struct sim_cluster *cluster = region(3, 1);
    sim_cluster_join(cluster, 4);
    sim_cluster_run(cluster, SECOND);
    assert_int_equal(sim_cluster_applied(cluster, 4), 0);
    sim_cluster_stop(cluster, 4, true);
    assert_true(sim_cluster_start(cluster, 4)); /* Nothing has come yet. */
    assert_int_equal(add(cluster, 4), 0);
    for (unsigned i = 0; i < 20; i++) {
        sim_cluster_load(cluster, 2000);
        sim_cluster_run(cluster, 37000);
        sim_cluster_stop(cluster, 4, i % 2 == 0);
        assert_true(sim_cluster_start(cluster, 4));
    }
    assert_true(sim_cluster_settle(cluster, 20, 20 * SECOND));
    good(cluster);
    sim_cluster_destroy(cluster);
}

/* The dead one counts until it is removed, and never again. */
static void a_dead_member_is_replaced(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct sim_cluster *cluster = region(seed, 1);
        uint64_t dead = a_follower(cluster);
        sim_cluster_load(cluster, 3000);
        sim_cluster_stop(cluster, dead, true);
        sim_cluster_join(cluster, 4);
        assert_int_equal(add(cluster, 4), 0);
        assert_true(sim_cluster_settle(cluster, 20, 20 * SECOND));
        assert_int_equal(promote(cluster, 4), 0);
        assert_true(sim_cluster_settle(cluster, 20, 20 * SECOND));
        assert_int_equal(take_out(cluster, dead), 0);
        /* Three voters again: one more may fail. */
        sim_cluster_stop(cluster, sim_cluster_leader(cluster), true);
        assert_true(sim_cluster_settle(cluster, 50, 20 * SECOND));
        good(cluster);
        sim_cluster_destroy(cluster);
    }
}

/* It was not told, comes back with its old log, and calls elections. */
static void a_removed_member_does_not_disturb(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct sim_cluster *cluster = region(seed, 1);
        struct replica_status before;
        struct replica_status after;
        uint64_t removed = a_follower(cluster);
        sim_cluster_join(cluster, 4);
        assert_int_equal(add(cluster, 4), 0);
        assert_true(sim_cluster_settle(cluster, 20, 20 * SECOND));
        assert_int_equal(promote(cluster, 4), 0);
        sim_cluster_stop(cluster, removed, seed % 2 == 0);
        assert_int_equal(take_out(cluster, removed), 0);
        uint64_t leader = sim_cluster_leader(cluster);
        replica_status(sim_cluster_replica(cluster, leader), &before);
        assert_true(sim_cluster_start(cluster, removed));
        sim_cluster_load(cluster, 5000);
        sim_cluster_run(cluster, 20 * SECOND);
        assert_int_equal(sim_cluster_leader(cluster), leader);
        replica_status(sim_cluster_replica(cluster, leader), &after);
        assert_int_equal(before.leadership.term, after.leadership.term);
        assert_true(after.messages_bad > before.messages_bad);
        good(cluster);
        sim_cluster_destroy(cluster);
    }
}

/* All that it knew are gone when it comes back. */
static void a_member_follows_a_leader_that_it_never_heard_of(void **state)
{
    (void)state;
    struct sim_cluster *cluster = region(5, 3);
    uint64_t away = a_follower(cluster);
    sim_cluster_stop(cluster, away, false);
    for (uint64_t id = 4; id <= 6; id++) {
        sim_cluster_join(cluster, id);
        assert_int_equal(add(cluster, id), 0);
        assert_true(sim_cluster_settle(cluster, 20, 20 * SECOND));
        assert_int_equal(promote(cluster, id), 0);
    }
    assert_int_equal(sim_cluster_transfer(cluster, 5, 5 * SECOND), 0);
    assert_int_equal(sim_cluster_elect(cluster, 5 * SECOND), 5);
    for (uint64_t id = 1; id <= 3; id++) {
        if (id != away) {
            assert_int_equal(take_out(cluster, id), 0);
            sim_cluster_leave(cluster, id);
        }
    }
    assert_true(sim_cluster_start(cluster, away));
    assert_true(sim_cluster_settle(cluster, 20, 20 * SECOND));
    good(cluster);
    sim_cluster_destroy(cluster);
}

static void what_could_break_a_majority_is_refused(void **state)
{
    (void)state;
    struct sim_cluster *cluster = region(7, 2);
    struct members members;
    uint64_t leader = sim_cluster_leader(cluster);
    assert_int_equal(take_out(cluster, leader), HF_ERROR_INVALID);
    sim_cluster_members(cluster, &members);
    sim_members_add(&members, 4);
    sim_members_add(&members, 5);
    assert_int_equal(sim_cluster_reconfigure(cluster, &members, SECOND),
                     HF_ERROR_INVALID);
    /* Nothing commits: the next one waits for it. */
    for (uint64_t id = 1; id <= 3; id++) {
        sim_cluster_cut(cluster, id, leader, true);
    }
    sim_cluster_members(cluster, &members);
    sim_members_add(&members, 4);
    assert_int_equal(sim_cluster_reconfigure(cluster, &members, 20000),
                     HF_ERROR_NOT_LEADER);
    assert_false(
        replica_members_committed(sim_cluster_replica(cluster, leader)));
    sim_cluster_members(cluster, &members);
    sim_members_remove(&members, a_follower(cluster));
    assert_int_equal(sim_cluster_reconfigure(cluster, &members, SECOND),
                     HF_ERROR_BUSY);
    sim_cluster_heal(cluster);
    assert_true(sim_cluster_settle(cluster, 20, 20 * SECOND));
    good(cluster);
    sim_cluster_destroy(cluster);
}

/* The leader is cut off with a change that only it has; another leader's
 * entries replace it. */
static void a_change_that_was_not_committed_is_rolled_back(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct sim_cluster *cluster = region(seed, 1);
        struct members members;
        uint64_t leader = sim_cluster_leader(cluster);
        sim_cluster_isolate(cluster, leader, true);
        sim_cluster_members(cluster, &members);
        sim_members_remove(&members, a_follower(cluster));
        assert_int_equal(sim_cluster_reconfigure(cluster, &members, 20000),
                         HF_ERROR_NOT_LEADER);
        replica_members(sim_cluster_replica(cluster, leader), &members);
        assert_int_equal(members.count, 2);
        sim_cluster_run(cluster, 5 * SECOND);
        assert_true(sim_cluster_write(cluster, 5 * SECOND));
        sim_cluster_heal(cluster);
        assert_true(sim_cluster_settle(cluster, 20, 20 * SECOND));
        replica_members(sim_cluster_replica(cluster, leader), &members);
        assert_int_equal(members.count, 3);
        assert_true(
            replica_members_committed(sim_cluster_replica(cluster, leader)));
        good(cluster);
        sim_cluster_destroy(cluster);
    }
}

static void a_region_of_one_grows_to_three(void **state)
{
    (void)state;
    struct sim_options options = sim_options_default(2);
    options.voters = 1;
    options.joiners = 2;
    struct sim_cluster *cluster = sim_cluster_create(&options);
    assert_int_equal(sim_cluster_elect(cluster, 5 * SECOND), 1);
    for (uint64_t id = 2; id <= 3; id++) {
        sim_cluster_join(cluster, id);
        assert_int_equal(add(cluster, id), 0);
        assert_true(sim_cluster_settle(cluster, 20, 20 * SECOND));
        assert_int_equal(promote(cluster, id), 0);
    }
    assert_true(sim_cluster_settle(cluster, 20, 20 * SECOND));
    sim_cluster_stop(cluster, 1, true);
    assert_true(sim_cluster_settle(cluster, 20, 20 * SECOND));
    good(cluster);
    sim_cluster_destroy(cluster);
}

/* The dead stay dead here: that they are refused is the transport's part. */
static void one_survivor_goes_on_alone_and_grows_again(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct sim_cluster *cluster = region(seed, 2);
        struct members members;
        assert_true(
            sim_cluster_settle(cluster, seed % 2 == 0 ? 500 : 20, 10 * SECOND));
        uint64_t survivor = 1 + seed % 3;
        for (uint64_t id = 1; id <= 3; id++) {
            sim_cluster_stop(cluster, id, true);
            if (id != survivor) {
                sim_cluster_leave(cluster, id);
            }
        }
        /* A cut in the middle, and again. */
        sim_disk_die_at(sim_cluster_disk_of(cluster, survivor), 2 * seed, true);
        bool whole = sim_cluster_recover(cluster, survivor);
        sim_disk_die_at(sim_cluster_disk_of(cluster, survivor), 0, false);
        assert_true(whole || sim_cluster_recover(cluster, survivor));
        assert_true(sim_cluster_start(cluster, survivor));
        assert_int_equal(sim_cluster_elect(cluster, 5 * SECOND), survivor);
        sim_cluster_members(cluster, &members);
        assert_int_equal(members.generation, 2);
        assert_int_equal(members.count, 1);
        assert_int_equal(members.id_max, 3);
        for (uint64_t id = 4; id <= 5; id++) {
            sim_cluster_join(cluster, id);
            assert_int_equal(add(cluster, id), 0);
            assert_true(sim_cluster_settle(cluster, 20, 20 * SECOND));
            assert_int_equal(promote(cluster, id), 0);
        }
        assert_true(sim_cluster_settle(cluster, 20, 20 * SECOND));
        replica_members(sim_cluster_replica(cluster, 5), &members);
        assert_int_equal(members.generation, 2);
        assert_true(replica_has_removed(sim_cluster_replica(cluster, 5),
                                        survivor % 3 + 1));
        sim_cluster_stop(cluster, survivor, true);
        assert_true(sim_cluster_settle(cluster, 20, 20 * SECOND));
        good(cluster);
        sim_cluster_destroy(cluster);
    }
}

static bool chaos(uint64_t seed, bool print)
{
    struct sim_options options = sim_options_default(seed);
    options.joiners = 4;
    options.snapshot_entries = seed % 3 == 0 ? 50 : seed % 3 == 1 ? 400 : 5000;
    options.trailing_entries = seed % 2 == 0 ? 8 : 64;
    options.segment_bytes = seed % 7 < 3 ? 8192 : 65536;
    struct sim_cluster *cluster = sim_cluster_create(&options);
    sim_cluster_load(cluster, 3000);
    sim_cluster_chaos(cluster, 20 * SECOND);
    /* A change that waits goes before the second write at the latest. */
    sim_cluster_elect(cluster, 30 * SECOND);
    sim_cluster_write(cluster, 10 * SECOND);
    sim_cluster_write(cluster, 10 * SECOND);
    sim_cluster_run(cluster, SECOND);
    sim_cluster_elect(cluster, 10 * SECOND);
    sim_cluster_sweep(cluster);
    bool live = sim_cluster_violation(cluster) != NULL ||
                sim_cluster_settle(cluster, 5, 30 * SECOND);
    const char *violation = sim_cluster_violation(cluster);
    struct members members;
    sim_cluster_members(cluster, &members);
    if (violation != NULL || !live) {
        printf("%s\nreplay: raft_members_test --seeds 1 %" PRIu64 "\n",
               violation != NULL ? violation
                                 : "no progress after the last fault",
               seed);
    } else if (print) {
        printf("seed %" PRIu64 ": %" PRIu64 " acknowledged, %zu members up to "
               "%" PRIu64 "\n",
               seed, sim_cluster_acknowledged(cluster), members.count,
               members.id_max);
    }
    sim_cluster_destroy(cluster);
    return violation == NULL && live;
}

static void nothing_is_lost_when_members_change_in_chaos(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        assert_true(chaos(seed, false));
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_entry_is_ids_and_roles_alone),
        cmocka_unit_test(what_is_written_of_members_is_read_again),
        cmocka_unit_test(members_change_one_at_a_time),
        cmocka_unit_test(a_member_joins_catches_up_and_votes),
        cmocka_unit_test(a_member_that_joins_may_restart_at_any_time),
        cmocka_unit_test(a_dead_member_is_replaced),
        cmocka_unit_test(a_removed_member_does_not_disturb),
        cmocka_unit_test(a_member_follows_a_leader_that_it_never_heard_of),
        cmocka_unit_test(what_could_break_a_majority_is_refused),
        cmocka_unit_test(a_change_that_was_not_committed_is_rolled_back),
        cmocka_unit_test(a_region_of_one_grows_to_three),
        cmocka_unit_test(one_survivor_goes_on_alone_and_grows_again),
        cmocka_unit_test(nothing_is_lost_when_members_change_in_chaos),
    };
    int code;

    log_set_level(LOG_ERROR);
    code = sim_cluster_seeds(argc, argv, chaos);
    return code >= 0 ? code : cmocka_run_group_tests(tests, NULL, NULL);
}
