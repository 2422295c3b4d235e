/* SPDX-License-Identifier: Apache-2.0
 *
 * Every file operation of a short run fails once, or is the last one before
 * the process or the machine dies; every part of every file is damaged once.
 *
 *   raft_faults_test            every 71st operation, some 100 places a file
 *   raft_faults_test --all      every operation, every byte */
#include "base/log.h"
#include "base/memory.h"
#include "tests/support/sim_cluster.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND 1000000ULL

static bool all;

enum fault { FAULT_EIO, FAULT_ENOSPC, FAULT_KILL, FAULT_POWER_CUT };

static struct sim_options short_run(uint64_t seed)
{
    struct sim_options options = sim_options_default(seed);
    options.segment_bytes = 8192;
    options.snapshot_entries = 25;
    options.trailing_entries = 5;
    options.state_bytes = 2000;
    return options;
}

/* Member 1 is away for a while in the middle, so that it is sent a snapshot,
 * too. False: the run had fewer than `at` operations. */
static bool run_with_fault(enum fault fault, uint64_t at)
{
    struct sim_options options = short_run(7);
    options.fail_at = fault <= FAULT_ENOSPC ? at : 0;
    options.fail_error = fault == FAULT_EIO ? -EIO : -ENOSPC;
    options.die_at = fault >= FAULT_KILL ? at : 0;
    options.die_by_power_cut = fault == FAULT_POWER_CUT;
    struct sim_cluster *cluster = sim_cluster_create(&options);
    sim_cluster_load(cluster, 2000);
    sim_cluster_run(cluster, SECOND);
    sim_cluster_isolate(cluster, 1, true);
    sim_cluster_run(cluster, SECOND);
    sim_cluster_heal(cluster);
    sim_cluster_run(cluster, SECOND / 2);
    struct sim_disk *disk = sim_cluster_disk_of(cluster, 1);
    bool hit =
        !sim_cluster_running(cluster, 1) || sim_disk_operations(disk) >= at;
    sim_disk_fail_at(disk, 0, 0);
    sim_disk_die_at(disk, 0, false);
    const char *reason = "";
    if (!sim_cluster_start(cluster, 1)) {
        sim_cluster_refusal(cluster, 1, &reason);
        fail_msg("fault %d at operation %" PRIu64 ": refuses to start: %s",
                 (int)fault, at, reason);
    }
    bool live = sim_cluster_settle(cluster, 5, 20 * SECOND);
    const char *violation = sim_cluster_violation(cluster);
    if (violation != NULL || !live) {
        fail_msg("fault %d at operation %" PRIu64 ": %s", (int)fault, at,
                 violation == NULL ? "no progress" : violation);
    }
    sim_cluster_destroy(cluster);
    return hit;
}

static void sweep(enum fault fault)
{
    uint64_t step = all ? 1 : 71;
    /* The four kinds between them hit other operations. */
    uint64_t at = 1 + 17 * (uint64_t)fault;
    uint64_t count = 0;
    while (run_with_fault(fault, at)) {
        at += step;
        count++;
    }
    assert_true(count * step > 100);
    if (all) {
        printf("fault %d: %" PRIu64 " operations, all clean\n", (int)fault,
               count);
    }
}

static void a_failed_operation_ends_the_node_and_loses_nothing(void **state)
{
    (void)state;
    sweep(FAULT_EIO);
}

static void a_full_disk_ends_the_node_and_loses_nothing(void **state)
{
    (void)state;
    sweep(FAULT_ENOSPC);
}

static void a_kill_after_any_operation_loses_nothing(void **state)
{
    (void)state;
    sweep(FAULT_KILL);
}

static void a_power_cut_after_any_operation_loses_nothing(void **state)
{
    (void)state;
    sweep(FAULT_POWER_CUT);
}

struct found {
    uint64_t last_index;
    uint64_t term;
};

/* Starts member 1, cut off, from a copy of `disk` with one bit flipped. */
static bool start_damaged(struct sim_cluster *cluster,
                          const struct sim_disk *disk, const char *path,
                          uint64_t byte, struct found *found)
{
    struct sim_disk *copy = sim_disk_clone(disk);
    struct replica_status status;
    assert_true(sim_disk_flip(copy, path, byte, (unsigned)(byte % 8)));
    sim_cluster_replace_disk(cluster, 1, copy);
    if (!sim_cluster_start(cluster, 1)) {
        return false;
    }
    replica_status(sim_cluster_replica(cluster, 1), &status);
    found->last_index = status.last_index;
    found->term = status.leadership.term;
    sim_cluster_stop(cluster, 1, false);
    return true;
}

static void damage_file(struct sim_cluster *cluster, struct sim_disk *disk,
                        const char *path, const struct found *before)
{
    uint64_t size = sim_disk_size(disk, path);
    uint64_t stride = all || size < 100 ? 1 : size / 100;
    uint64_t refused = 0;
    uint64_t harmless = 0;
    for (uint64_t byte = 0; byte < size; byte += stride) {
        struct found found;
        if (!start_damaged(cluster, disk, path, byte, &found)) {
            enum replica_failure code = sim_cluster_refusal(cluster, 1, NULL);
            assert_true(code == REPLICA_FAILED_CORRUPT ||
                        code == REPLICA_FAILED_CONFIG);
            refused++;
            continue;
        }
        harmless++;
        if (found.last_index < before->last_index ||
            found.term < before->term) {
            fail_msg("%s, bit of byte %" PRIu64 ": started with entry %" PRIu64
                     " in term %" PRIu64 " instead of %" PRIu64 " and %" PRIu64,
                     path, byte, found.last_index, found.term,
                     before->last_index, before->term);
        }
    }
    if (all) {
        printf("%s: %" PRIu64 " refused, %" PRIu64 " harmless\n", path, refused,
               harmless);
    }
}

static void a_flipped_bit_is_refused_or_harmless(void **state)
{
    (void)state;
    struct sim_options options = short_run(9);
    struct sim_cluster *cluster = sim_cluster_create(&options);
    struct replica_status status;
    sim_cluster_load(cluster, 2000);
    sim_cluster_run(cluster, 2 * SECOND);
    assert_true(sim_cluster_settle(cluster, 1, 5 * SECOND));
    sim_cluster_load(cluster, 0);
    sim_cluster_run(cluster, SECOND);
    replica_status(sim_cluster_replica(cluster, 1), &status);
    assert_true(status.snapshot_index > 50);
    struct found before = {.last_index = status.last_index,
                           .term = status.leadership.term};
    sim_cluster_stop(cluster, 1, true);
    assert_null(sim_cluster_violation(cluster));
    sim_cluster_isolate(cluster, 1, true);
    sim_cluster_tolerate_failures(cluster);
    struct sim_disk *disk = sim_disk_clone(sim_cluster_disk_of(cluster, 1));
    size_t files = 0;
    const char *path;
    while ((path = sim_disk_path(disk, files)) != NULL) {
        char *name = memory_copy_string(path);
        damage_file(cluster, disk, name, &before);
        free(name);
        files++;
    }
    /* identity, term, reserve, lock, two snapshots of two files, some log. */
    assert_true(files >= 9);
    assert_null(sim_cluster_violation(cluster));
    sim_disk_destroy(disk);
    sim_cluster_destroy(cluster);
}

static void a_full_disk_leaves_room_to_start_again(void **state)
{
    (void)state;
    struct sim_options options = short_run(11);
    options.snapshot_entries = 100000;
    struct sim_cluster *cluster = sim_cluster_create(&options);
    struct sim_disk *disk = sim_cluster_disk_of(cluster, 1);
    assert_true(sim_cluster_elect(cluster, 5 * SECOND) != 0);
    sim_cluster_tolerate_failures(cluster);
    sim_disk_set_room(disk, 1000);
    sim_cluster_load(cluster, 1000);
    sim_cluster_run(cluster, 2 * SECOND);
    assert_false(sim_cluster_running(cluster, 1));
    assert_int_equal(sim_cluster_refusal(cluster, 1, NULL),
                     REPLICA_FAILED_SPACE);
    sim_cluster_load(cluster, 0);
    /* The reserve gives room for one more file. */
    assert_true(sim_cluster_start(cluster, 1));
    sim_cluster_run(cluster, SECOND / 10);
    sim_cluster_stop(cluster, 1, false);
    sim_disk_set_room(disk, UINT64_MAX);
    assert_true(sim_cluster_start(cluster, 1));
    assert_true(sim_cluster_settle(cluster, 5, 10 * SECOND));
    assert_null(sim_cluster_violation(cluster));
    sim_cluster_destroy(cluster);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_operation_ends_the_node_and_loses_nothing),
        cmocka_unit_test(a_full_disk_ends_the_node_and_loses_nothing),
        cmocka_unit_test(a_kill_after_any_operation_loses_nothing),
        cmocka_unit_test(a_power_cut_after_any_operation_loses_nothing),
        cmocka_unit_test(a_flipped_bit_is_refused_or_harmless),
        cmocka_unit_test(a_full_disk_leaves_room_to_start_again),
    };
    all = argc > 1 && strcmp(argv[1], "--all") == 0;
    /* Failures are the point here. */
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
