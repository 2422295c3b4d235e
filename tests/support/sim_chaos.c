/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/sim_internal.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t some_node(struct sim_cluster *cluster)
{
    return 1 + random_below(&cluster->random, cluster->node_count);
}

static void ignore_transfer(struct replica_transfer *transfer, int status)
{
    (void)transfer;
    (void)status;
}

static void stop_or_start(struct sim_cluster *cluster)
{
    struct sim_node *node = sim_node(cluster, some_node(cluster));
    if (node->replica == NULL) {
        sim_node_start(node);
    } else {
        sim_node_stop(node, random_below(&cluster->random, 2) == 0);
    }
}

/* A stop that a file operation in the near future will bring. */
static void stop_in_the_middle(struct sim_cluster *cluster)
{
    struct sim_node *node = sim_node(cluster, some_node(cluster));
    sim_disk_die_at(node->disk, 1 + random_below(&cluster->random, 60),
                    random_below(&cluster->random, 2) == 0);
}

static void stop_all(struct sim_cluster *cluster)
{
    for (uint64_t id = 1; id <= cluster->node_count; id++) {
        sim_cluster_stop(cluster, id, random_below(&cluster->random, 2) == 0);
    }
    for (uint64_t id = 1; id <= cluster->node_count; id++) {
        sim_cluster_start(cluster, id);
    }
}

static void change_links(struct sim_cluster *cluster)
{
    uint64_t left = some_node(cluster);
    uint64_t right = some_node(cluster);
    switch (random_below(&cluster->random, 5)) {
    case 0:
        sim_cluster_isolate(cluster, left, true);
        break;
    case 1: /* One way only. */
        cluster->cut[left][right] = true;
        break;
    case 2:
        cluster->cut[left][right] = true;
        cluster->cut[right][left] = true;
        break;
    default:
        sim_cluster_heal(cluster);
        break;
    }
}

static void change_network(struct sim_cluster *cluster)
{
    switch (random_below(&cluster->random, 4)) {
    case 0: /* Late, lost and twice. */
        sim_cluster_network(cluster,
                            (unsigned)random_below(&cluster->random, 300),
                            (unsigned)random_below(&cluster->random, 500), 500,
                            500 + random_below(&cluster->random, 200000));
        break;
    case 1: /* Very late. */
        sim_cluster_network(cluster, 0, 100, 500, 3000000);
        break;
    default:
        sim_cluster_network(cluster, 5, 5, 200, 2000);
        break;
    }
}

static void change_disk(struct sim_cluster *cluster)
{
    uint64_t id = some_node(cluster);
    if (random_below(&cluster->random, 3) == 0) {
        sim_cluster_disk(cluster, id, 10000,
                         random_below(&cluster->random, 800000) + 10000);
    } else {
        sim_cluster_disk(cluster, id, 100, 3000);
    }
}

static void hand_over(struct sim_cluster *cluster)
{
    struct sim_node *node = sim_node(cluster, some_node(cluster));
    if (node->replica != NULL && !node->client.transferring) {
        replica_transfer(node->replica, some_node(cluster),
                         &node->client.transfer, ignore_transfer);
    }
}

static void trouble(struct sim_cluster *cluster)
{
    switch (random_below(&cluster->random, 18)) {
    case 0:
    case 1:
    case 2:
        stop_or_start(cluster);
        break;
    case 3:
    case 4:
        stop_in_the_middle(cluster);
        break;
    case 5:
        stop_all(cluster);
        break;
    case 6:
    case 7:
    case 8:
        change_links(cluster);
        break;
    case 9:
    case 10:
        change_network(cluster);
        break;
    case 11:
        change_disk(cluster);
        break;
    case 12:
        hand_over(cluster);
        break;
    case 13:
    case 14:
        sim_cluster_pause(
            cluster, random_below(&cluster->random, cluster->node_count + 1),
            random_below(&cluster->random, 3000000));
        break;
    default: /* Those that are down come back. */
        for (uint64_t id = 1; id <= cluster->node_count; id++) {
            sim_cluster_start(cluster, id);
        }
        break;
    }
}

void sim_cluster_chaos(struct sim_cluster *cluster, uint64_t us)
{
    uint64_t end_us = cluster->now_us + us;
    while (cluster->now_us < end_us && sim_cluster_violation(cluster) == NULL) {
        sim_cluster_run(cluster, 1000 + random_below(&cluster->random, 400000));
        trouble(cluster);
        if (cluster->options.joiners > 0 &&
            random_below(&cluster->random, 2) == 0) {
            sim_members_trouble(cluster);
        }
    }
    sim_cluster_heal(cluster);
    sim_cluster_network(cluster, 0, 0, 200, 1000);
    for (uint64_t id = 1; id <= cluster->node_count; id++) {
        sim_cluster_disk(cluster, id, 100, 400);
        sim_disk_die_at(sim_cluster_disk_of(cluster, id), 0, false);
        if (sim_cluster_violation(cluster) == NULL) {
            sim_cluster_start(cluster, id);
        }
    }
}

int sim_cluster_seeds(int argc, char **argv,
                      bool (*run)(uint64_t seed, bool print))
{
    uint64_t count;
    uint64_t first;
    uint64_t bad = 0;

    if (argc < 3 || strcmp(argv[1], "--seeds") != 0) {
        return -1;
    }
    count = strtoull(argv[2], NULL, 10);
    first = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
    log_set_level(count == 1 ? LOG_DEBUG : LOG_ERROR);
    for (uint64_t seed = first; seed < first + count; seed++) {
        bad += run(seed, count <= 10) ? 0 : 1;
    }
    printf("%" PRIu64 " of %" PRIu64 " seeds failed\n", bad, count);
    return bad == 0 ? 0 : 1;
}
