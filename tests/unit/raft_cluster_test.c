/* SPDX-License-Identifier: Apache-2.0
 *
 * Three replicas and more on simulated disks, network and time.
 *
 *   raft_cluster_test                    the cases, and a dozen seeds of chaos
 *   raft_cluster_test --seeds N [FIRST]  N seeds of chaos from FIRST on */
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

static void three_members_elect_a_leader_and_commit(void **state)
{
    (void)state;
    struct sim_options options = sim_options_default(1);
    struct sim_cluster *cluster = sim_cluster_create(&options);
    assert_true(sim_cluster_elect(cluster, 5 * SECOND) != 0);
    sim_cluster_load(cluster, 1000);
    sim_cluster_run(cluster, 2 * SECOND);
    assert_true(sim_cluster_settle(cluster, 10, 5 * SECOND));
    assert_true(sim_cluster_acknowledged(cluster) > 500);
    good(cluster);
    sim_cluster_destroy(cluster);
}

static uint64_t term_of(struct sim_cluster *cluster, uint64_t id)
{
    struct replica_status status;
    replica_status(sim_cluster_replica(cluster, id), &status);
    return status.leadership.term;
}

/* Nobody ran, so nobody was silent: the leader stays. */
static void a_pause_of_all_changes_no_leader(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct sim_options options = sim_options_default(seed);
        struct sim_cluster *cluster = sim_cluster_create(&options);
        uint64_t leader = sim_cluster_elect(cluster, 5 * SECOND);
        uint64_t term = term_of(cluster, leader);
        sim_cluster_load(cluster, 20000);
        for (unsigned i = 0; i < 10; i++) {
            sim_cluster_run(cluster, 700000 + 17000 * i + 1000 * seed);
            sim_cluster_pause(cluster, 0, (100 + 430 * i) * 1000);
        }
        sim_cluster_run(cluster, 5 * SECOND);
        assert_int_equal(sim_cluster_leader(cluster), leader);
        assert_int_equal(term_of(cluster, leader), term);
        good(cluster);
        sim_cluster_destroy(cluster);
    }
}

/* The others ran, and did not wait for it. */
static void a_paused_leader_is_replaced_and_follows(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct sim_options options = sim_options_default(seed);
        struct sim_cluster *cluster = sim_cluster_create(&options);
        uint64_t old = sim_cluster_elect(cluster, 5 * SECOND);
        uint64_t term = term_of(cluster, old);
        sim_cluster_load(cluster, 20000);
        sim_cluster_pause(cluster, old, 4 * SECOND);
        sim_cluster_run(cluster, 2 * SECOND);
        uint64_t leader = sim_cluster_leader(cluster);
        assert_true(leader != 0 && leader != old);
        assert_true(term_of(cluster, leader) > term);
        assert_true(sim_cluster_settle(cluster, 10, 10 * SECOND));
        assert_int_equal(sim_cluster_leader(cluster), leader);
        assert_int_equal(term_of(cluster, old), term_of(cluster, leader));
        good(cluster);
        sim_cluster_destroy(cluster);
    }
}

/* A follower that was held up reads what waits before it doubts. */
/* Leadership is lost on the way, for want of a majority: there is no new
 * leader to wait for, so whoever asked is told. */
static void a_transfer_that_nobody_takes_up_is_answered(void **state)
{
    int refused = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct sim_options options = sim_options_default(seed);
        struct sim_cluster *cluster = sim_cluster_create(&options);
        uint64_t leader = sim_cluster_elect(cluster, 5 * SECOND);
        for (uint64_t id = 1; id <= 3; id++) {
            if (id != leader) {
                sim_cluster_stop(cluster, id, false);
            }
        }
        sim_cluster_run(cluster, seed * 20000);
        int rv = sim_cluster_transfer(cluster, leader % 3 + 1, 10 * SECOND);
        assert_true(rv == HF_ERROR_BUSY || rv == HF_ERROR_NOT_LEADER);
        refused += rv == HF_ERROR_BUSY;
        good(cluster);
        sim_cluster_destroy(cluster);
    }
    assert_true(refused >= 5); /* The others had stepped down before. */
}

static void a_paused_follower_does_not_disturb(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct sim_options options = sim_options_default(seed);
        struct sim_cluster *cluster = sim_cluster_create(&options);
        uint64_t leader = sim_cluster_elect(cluster, 5 * SECOND);
        uint64_t term = term_of(cluster, leader);
        for (unsigned i = 0; i < 5; i++) {
            sim_cluster_pause(cluster, leader % 3 + 1, (200 + 300 * i) * 1000);
            sim_cluster_run(cluster, 2 * SECOND);
        }
        assert_int_equal(sim_cluster_leader(cluster), leader);
        assert_int_equal(term_of(cluster, leader), term);
        good(cluster);
        sim_cluster_destroy(cluster);
    }
}

/* It was replaced while it slept, and wakes up cut off: for a while nobody
 * tells it. Whoever asks it meanwhile must not be answered with what it
 * knows; the oracle watches every barrier's index. */
static void a_leader_that_was_replaced_answers_no_barrier(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct sim_options options = sim_options_default(seed);
        struct sim_cluster *cluster = sim_cluster_create(&options);
        uint64_t old = sim_cluster_elect(cluster, 5 * SECOND);
        sim_cluster_load(cluster, 2000);
        sim_cluster_run(cluster, SECOND);
        assert_true(sim_cluster_barriers(cluster) > 0);
        if (seed % 2 == 0) {
            sim_cluster_isolate(cluster, old, true);
        } else {
            /* It speaks, and does not hear. */
            sim_cluster_cut(cluster, old % 3 + 1, old, true);
            sim_cluster_cut(cluster, (old + 1) % 3 + 1, old, true);
        }
        sim_cluster_pause(cluster, old, 4 * SECOND);
        sim_cluster_run(cluster, 4 * SECOND + seed * 20000);
        assert_int_not_equal(sim_cluster_leader(cluster), old);
        good(cluster);
        sim_cluster_heal(cluster);
        assert_true(sim_cluster_settle(cluster, 10, 10 * SECOND));
        good(cluster);
        sim_cluster_destroy(cluster);
    }
}

/* A barrier writes nothing. */
static void a_barrier_takes_no_entry(void **state)
{
    (void)state;
    struct sim_options options = sim_options_default(7);
    struct sim_cluster *cluster = sim_cluster_create(&options);
    uint64_t leader = sim_cluster_elect(cluster, 5 * SECOND);
    assert_true(sim_cluster_write(cluster, SECOND));
    sim_cluster_load(cluster, 2000);
    sim_cluster_run(cluster, 2 * SECOND);
    sim_cluster_load(cluster, 0);
    sim_cluster_run(cluster, SECOND);
    assert_true(sim_cluster_barriers(cluster) > 100);
    /* Members, the entry of the own term, and what was written. */
    assert_true(sim_cluster_applied(cluster, leader) <=
                sim_cluster_acknowledged(cluster) + 3);
    good(cluster);
    sim_cluster_destroy(cluster);
}

static bool chaos(uint64_t seed, bool print)
{
    struct sim_options options = sim_options_default(seed);
    options.voters = seed % 4 == 3 ? 5 : 3;
    options.standbys = seed % 5 == 4 ? 1 : 0;
    options.snapshot_entries = seed % 3 == 0 ? 50 : seed % 3 == 1 ? 400 : 5000;
    options.trailing_entries = seed % 2 == 0 ? 8 : 64;
    options.segment_bytes = seed % 7 < 3 ? 8192 : 65536;
    options.entry_bytes_max = seed % 6 == 5 ? 20000 : 300;
    options.state_bytes = seed % 4 == 1 ? 1200000 : 3000;
    struct sim_cluster *cluster = sim_cluster_create(&options);
    sim_cluster_load(cluster, 3000);
    sim_cluster_chaos(cluster, 20 * SECOND);
    bool live = sim_cluster_violation(cluster) != NULL ||
                sim_cluster_settle(cluster, 5, 30 * SECOND);
    const char *violation = sim_cluster_violation(cluster);
    if (violation != NULL || !live) {
        printf("%s\nreplay: raft_cluster_test --seeds 1 %" PRIu64 "\n",
               violation != NULL ? violation
                                 : "no progress after the last "
                                   "fault",
               seed);
    } else if (print) {
        printf("seed %" PRIu64 ": %" PRIu64 " acknowledged, %" PRIu64
               " barriers\n",
               seed, sim_cluster_acknowledged(cluster),
               sim_cluster_barriers(cluster));
    }
    sim_cluster_destroy(cluster);
    return violation == NULL && live;
}

static void say_result(struct sim_cluster *cluster, uint64_t leader,
                       uint64_t from, uint64_t rejected, uint64_t last)
{
    struct message message = {
        .type = MESSAGE_APPEND_RESULT,
        .term = term_of(cluster, leader),
        .append_result = {.request_term = term_of(cluster, leader),
                          .rejected_index = rejected,
                          .last_index = last}};
    struct bytes out;
    bytes_init(&out);
    message_encode(&message, &out);
    replica_receive(sim_cluster_replica(cluster, leader), from, out.data,
                    out.len, sim_cluster_now_us(cluster) / 1000);
    bytes_close(&out);
}

/* Found by the simulator (seed 7123). libraft, while it probes, steps back for
 * a refusal that is older than what matched since, below the match: and then
 * never forward again, for no answer is news. */
static void a_late_refusal_does_not_stop_a_follower_for_ever(void **state)
{
    (void)state;
    struct sim_options options = sim_options_default(3);
    struct sim_cluster *cluster = sim_cluster_create(&options);
    uint64_t leader = sim_cluster_elect(cluster, 5 * SECOND);
    uint64_t follower = leader % 3 + 1;
    assert_true(sim_cluster_settle(cluster, 20, 5 * SECOND));
    uint64_t last = sim_cluster_applied(cluster, follower);
    sim_cluster_cut(cluster, leader, follower, true);
    sim_cluster_cut(cluster, follower, leader, true);
    assert_true(sim_cluster_write(cluster, 5 * SECOND));
    say_result(cluster, leader, follower, last + 1, last);
    say_result(cluster, leader, follower, last, last - 10);
    sim_cluster_heal(cluster);
    assert_true(sim_cluster_settle(cluster, 1, 20 * SECOND));
    assert_int_equal(sim_cluster_leader(cluster), leader);
    good(cluster);
    sim_cluster_destroy(cluster);
}

/* Every member's storage takes its time, the leader's perhaps more. */
static struct sim_cluster *with_slow_disks(uint64_t seed, uint64_t all_us,
                                           uint64_t leaders_us,
                                           uint64_t *leader)
{
    struct sim_options options = sim_options_default(seed);
    struct sim_cluster *cluster = sim_cluster_create(&options);
    *leader = sim_cluster_elect(cluster, 5 * SECOND);
    assert_true(*leader != 0);
    for (uint64_t id = 1; id <= 3; id++) {
        uint64_t us = id == *leader ? leaders_us : all_us;
        sim_cluster_disk(cluster, id, us - us / 8, us + us / 8);
    }
    sim_cluster_load(cluster, 20000);
    return cluster;
}

static void a_leader_with_a_slow_disk_hands_over(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        uint64_t leader;
        struct sim_cluster *cluster =
            with_slow_disks(seed, 400, 400000, &leader);
        sim_cluster_run(cluster, 15 * SECOND);
        assert_true(sim_cluster_leader(cluster) != 0);
        assert_true(sim_cluster_leader(cluster) != leader);
        good(cluster);
        sim_cluster_destroy(cluster);
    }
}

/* And would find no other: an election waits for votes on slow disks, longer
 * than its timeout. */
static void a_leader_keeps_what_no_other_disk_does_better(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        uint64_t leader;
        struct sim_cluster *cluster =
            with_slow_disks(seed, 800000, 800000, &leader);
        uint64_t term = term_of(cluster, leader);
        sim_cluster_run(cluster, 120 * SECOND);
        assert_int_equal(sim_cluster_leader(cluster), leader);
        assert_int_equal(term_of(cluster, leader), term);
        assert_true(sim_cluster_acknowledged(cluster) > 60);
        good(cluster);
        sim_cluster_destroy(cluster);
    }
}

static void nothing_is_lost_in_chaos(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        assert_true(chaos(seed, false));
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_members_elect_a_leader_and_commit),
        cmocka_unit_test(a_pause_of_all_changes_no_leader),
        cmocka_unit_test(a_paused_leader_is_replaced_and_follows),
        cmocka_unit_test(a_paused_follower_does_not_disturb),
        cmocka_unit_test(a_transfer_that_nobody_takes_up_is_answered),
        cmocka_unit_test(a_leader_that_was_replaced_answers_no_barrier),
        cmocka_unit_test(a_barrier_takes_no_entry),
        cmocka_unit_test(a_late_refusal_does_not_stop_a_follower_for_ever),
        cmocka_unit_test(a_leader_with_a_slow_disk_hands_over),
        cmocka_unit_test(a_leader_keeps_what_no_other_disk_does_better),
        cmocka_unit_test(nothing_is_lost_in_chaos),
    };
    int code;

    log_set_level(LOG_ERROR);
    code = sim_cluster_seeds(argc, argv, chaos);
    return code >= 0 ? code : cmocka_run_group_tests(tests, NULL, NULL);
}
