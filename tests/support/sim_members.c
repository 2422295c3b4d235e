/* SPDX-License-Identifier: Apache-2.0
 *
 * Members that come and go. */
#include "tests/support/sim_internal.h"

#include "base/check.h"
#include "base/container.h"
#include "base/error.h"

#include "raft/recover.h"

#include <stdio.h>

void sim_cluster_join(struct sim_cluster *cluster, uint64_t id)
{
    struct sim_node *node = sim_node(cluster, id);
    CHECK(node->joins);
    node->absent = false;
    sim_cluster_start(cluster, id);
}

void sim_cluster_leave(struct sim_cluster *cluster, uint64_t id)
{
    sim_cluster_stop(cluster, id, false);
    sim_node(cluster, id)->absent = true;
}

void sim_cluster_members(const struct sim_cluster *cluster,
                         struct members *members)
{
    uint64_t leader = sim_cluster_leader(cluster);
    members_init(members);
    if (leader != 0) {
        replica_members(cluster->nodes[leader - 1].replica, members);
    }
}

void sim_members_add(struct members *members, uint64_t id)
{
    CHECK(members->count < RAFT_MEMBERS_MAX);
    struct member *member = &members->items[members->count++];
    *member = (struct member){.id = id, .role = REPLICA_STANDBY};
    snprintf(member->name, sizeof member->name, "n%u", (unsigned)id);
    snprintf(member->address, sizeof member->address, "10.0.0.%u:7100",
             (unsigned)id);
    members->id_max = id > members->id_max ? id : members->id_max;
}

void sim_members_promote(struct members *members, uint64_t id)
{
    struct member *member = members_find(members, id);
    CHECK(member != NULL);
    member->role = REPLICA_VOTER;
}

void sim_members_remove(struct members *members, uint64_t id)
{
    size_t kept = 0;
    for (size_t i = 0; i < members->count; i++) {
        if (members->items[i].id != id) {
            members->items[kept++] = members->items[i];
        }
    }
    members->count = kept;
}

static void reconfigured(struct replica_reconfigure *request,
                         enum replica_outcome outcome, uint64_t index)
{
    struct sim_client *client =
        container_of(request, struct sim_client, reconfigure);
    (void)index;
    CHECK(client->reconfiguring);
    client->reconfiguring = false;
    client->reconfigure_status =
        outcome == REPLICA_COMMITTED ? 0 : HF_ERROR_NOT_LEADER;
}

static int ask(struct sim_node *node, const struct members *members)
{
    int rv = replica_reconfigure(node->replica, members,
                                 &node->client.reconfigure, reconfigured);
    node->client.reconfiguring |= rv == 0;
    return rv;
}

int sim_cluster_reconfigure(struct sim_cluster *cluster,
                            const struct members *members, uint64_t us)
{
    uint64_t end_us = cluster->now_us + us;
    uint64_t leader = sim_cluster_leader(cluster);
    if (leader == 0) {
        return HF_ERROR_NOT_LEADER;
    }
    struct sim_node *node = sim_node(cluster, leader);
    uint64_t life = node->life;
    int rv = ask(node, members);
    if (rv != 0) {
        return rv;
    }
    while (cluster->now_us < end_us && node->life == life &&
           node->client.reconfiguring &&
           sim_cluster_violation(cluster) == NULL) {
        sim_cluster_run(cluster, 500);
    }
    return node->life != life || node->client.reconfiguring
               ? HF_ERROR_NOT_LEADER
               : node->client.reconfigure_status;
}

bool sim_cluster_recover(struct sim_cluster *cluster, uint64_t id)
{
    struct sim_node *node = sim_node(cluster, id);
    const struct recover_options options = {.files = sim_disk_files(node->disk),
                                            .region = SIM_REGION,
                                            .directory = SIM_DIRECTORY,
                                            .id = id,
                                            .segment_bytes =
                                                cluster->options.segment_bytes};
    struct recover_position position;
    struct failure failure;
    CHECK(node->replica == NULL);
    sim_disk_revive(node->disk);
    bool good = recover_inspect(&options, &position, &failure) == 0 &&
                recover_write(&options, &position.members, &failure) == 0;
    sim_disk_kill(node->disk);
    return good;
}

void sim_cluster_sweep(struct sim_cluster *cluster)
{
    struct members members;
    sim_cluster_members(cluster, &members);
    for (uint64_t id = 1; members.count > 0 && id <= cluster->node_count;
         id++) {
        if (members_get(&members, id) == NULL) {
            sim_cluster_leave(cluster, id);
        }
    }
}

/* Not before it has the entry with which it was added: until then it does not
 * know that it is a member, and votes for nobody. */
static bool has_caught_up(const struct sim_node *leader, uint64_t id)
{
    struct replica_status status;
    replica_status(leader->replica, &status);
    for (size_t i = 0; i < status.peer_count; i++) {
        if (status.peers[i].id == id) {
            return status.peers[i].lag_entries < 50;
        }
    }
    return false;
}

void sim_members_trouble(struct sim_cluster *cluster)
{
    uint64_t leader = sim_cluster_leader(cluster);
    uint64_t id = 1 + random_below(&cluster->random, cluster->node_count);
    struct members members;
    sim_cluster_members(cluster, &members);
    if (leader == 0 || sim_node(cluster, leader)->client.reconfiguring) {
        return;
    }
    const struct member *member = members_get(&members, id);
    if (member == NULL && id > members.id_max) {
        id = members.id_max + 1;
        sim_cluster_join(cluster, id);
        sim_members_add(&members, id);
    } else if (member != NULL && member->role == REPLICA_STANDBY) {
        if (!has_caught_up(sim_node(cluster, leader), id)) {
            return;
        }
        sim_members_promote(&members, id);
    } else if (member != NULL && id != leader && members_voters(&members) > 2) {
        sim_members_remove(&members, id);
    } else {
        return;
    }
    (void)ask(sim_node(cluster, leader), &members);
}
