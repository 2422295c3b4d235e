/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/sim_internal.h"

#include "base/check.h"
#include "base/container.h"
#include "base/error.h"
#include "base/memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct sim_options sim_options_default(uint64_t seed)
{
    return (struct sim_options){
        .seed = seed,
        .voters = 3,
        .segment_bytes = 65536,
        .snapshot_entries = 100000,
        .trailing_entries = 32,
        .entry_bytes_max = 256,
        .delay_min_us = 200,
        .delay_max_us = 1000,
        .disk_min_us = 100,
        .disk_max_us = 400,
    };
}

struct sim_node *sim_node(struct sim_cluster *cluster, uint64_t id)
{
    CHECK(id >= 1 && id <= cluster->node_count);
    return &cluster->nodes[id - 1];
}

static bool sooner(const struct event *left, const struct event *right)
{
    return left->at_us != right->at_us ? left->at_us < right->at_us
                                       : left->number < right->number;
}

void sim_push(struct sim_cluster *cluster, const struct event *event)
{
    if (cluster->heap_count == cluster->heap_capacity) {
        cluster->heap_capacity =
            cluster->heap_capacity == 0 ? 256 : cluster->heap_capacity * 2;
        cluster->heap = memory_realloc_array(
            cluster->heap, cluster->heap_capacity, sizeof *cluster->heap);
    }
    size_t at = cluster->heap_count++;
    struct event *heap = cluster->heap;
    heap[at] = *event;
    heap[at].number = ++cluster->numbers;
    while (at > 0 && sooner(&heap[at], &heap[(at - 1) / 2])) {
        struct event swap = heap[at];
        heap[at] = heap[(at - 1) / 2];
        heap[(at - 1) / 2] = swap;
        at = (at - 1) / 2;
    }
}

static struct event pop(struct sim_cluster *cluster)
{
    struct event *heap = cluster->heap;
    struct event first = heap[0];
    heap[0] = heap[--cluster->heap_count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= cluster->heap_count) {
            return first;
        }
        if (child + 1 < cluster->heap_count &&
            sooner(&heap[child + 1], &heap[child])) {
            child++;
        }
        if (!sooner(&heap[child], &heap[at])) {
            return first;
        }
        struct event swap = heap[at];
        heap[at] = heap[child];
        heap[child] = swap;
        at = child;
    }
}

struct sim_cluster *sim_cluster_create(const struct sim_options *options)
{
    struct sim_cluster *cluster = memory_alloc(sizeof *cluster);
    cluster->options = *options;
    cluster->node_count =
        options->voters + options->standbys + options->joiners;
    CHECK(cluster->node_count <= SIM_NODES_MAX);
    CHECK(options->entry_bytes_max >= 16);
    random_init(&cluster->random, options->seed);
    cluster->now_us = 1000000;
    sim_oracle_init(&cluster->oracle);
    for (uint64_t id = 1; id <= cluster->node_count; id++) {
        sim_node_init(cluster, id);
    }
    struct sim_disk *first = sim_node(cluster, 1)->disk;
    sim_disk_fail_at(first, options->fail_at, options->fail_error);
    sim_disk_die_at(first, options->die_at, options->die_by_power_cut);
    cluster->failures_tolerated = options->fail_at > 0;
    for (uint64_t id = 1; id <= cluster->node_count; id++) {
        sim_node_start(sim_node(cluster, id));
    }
    return cluster;
}

void sim_cluster_destroy(struct sim_cluster *cluster)
{
    for (uint64_t id = 1; id <= cluster->node_count; id++) {
        sim_node_close(sim_node(cluster, id));
    }
    for (size_t i = 0; i < cluster->heap_count; i++) {
        free(cluster->heap[i].data);
    }
    free(cluster->heap);
    sim_oracle_close(&cluster->oracle);
    free(cluster);
}

const char *sim_cluster_violation(const struct sim_cluster *cluster)
{
    return cluster->oracle.violation[0] == '\0' ? NULL
                                                : cluster->oracle.violation;
}

uint64_t sim_cluster_now_us(const struct sim_cluster *cluster)
{
    return cluster->now_us;
}

/* A member whose replica gave up, or whose disk died under it, is gone. */
static void reap(struct sim_node *node)
{
    if (node->replica != NULL && (node->failing || sim_disk_dead(node->disk))) {
        bool died = sim_disk_dead(node->disk);
        sim_node_stop(node, false);
        if (died) {
            node->refusal = (enum replica_failure)0;
        }
    }
}

/* What comes for a paused member waits for it. */
static bool put_off(struct sim_cluster *cluster, struct event *event)
{
    const struct sim_node *node = sim_node(cluster, event->node);
    if (event->kind == EVENT_CLIENT ||
        node->paused_until_us <= cluster->now_us) {
        return false;
    }
    event->at_us = node->paused_until_us;
    sim_push(cluster, event);
    return true;
}

static void happen(struct sim_cluster *cluster, const struct event *event)
{
    uint64_t now_ms = cluster->now_us / 1000;
    struct sim_node *node = sim_node(cluster, event->node);
    if (event->kind == EVENT_CLIENT) {
        for (uint64_t id = 1; id <= cluster->node_count; id++) {
            sim_node_client(sim_node(cluster, id));
        }
        if (cluster->load_us > 0) {
            struct event next = *event;
            next.at_us = cluster->now_us + cluster->load_us;
            sim_push(cluster, &next);
        }
        return;
    }
    if (node->replica == NULL ||
        (event->life != 0 && event->life != node->life)) {
        return;
    }
    switch (event->kind) {
    case EVENT_MESSAGE:
        if (!cluster->cut[event->from][node->id]) {
            replica_receive(node->replica, event->from, event->data, event->len,
                            now_ms);
        }
        break;
    case EVENT_WAKE:
        node->woken = false;
        replica_tick(node->replica, now_ms);
        break;
    case EVENT_JOB_RUNS:
        sim_node_job_runs(node, event->lane);
        break;
    case EVENT_JOB_DONE:
        sim_node_job_done(node, event->lane);
        break;
    case EVENT_CLIENT:
        break;
    }
    reap(node);
}

/* The member whose deadline comes first, if before `until_us`. */
static struct sim_node *next_timer(struct sim_cluster *cluster,
                                   uint64_t *until_us)
{
    struct sim_node *first = NULL;
    for (uint64_t id = 1; id <= cluster->node_count; id++) {
        struct sim_node *node = sim_node(cluster, id);
        if (node->replica == NULL) {
            continue;
        }
        uint64_t deadline = replica_deadline(node->replica);
        if (deadline == UINT64_MAX) {
            continue;
        }
        uint64_t at_us = deadline * 1000;
        if (at_us < node->paused_until_us) {
            at_us = node->paused_until_us;
        }
        if (at_us < *until_us) {
            *until_us = at_us;
            first = node;
        }
    }
    return first;
}

static void step(struct sim_cluster *cluster, uint64_t end_us)
{
    uint64_t at_us = end_us;
    if (cluster->heap_count > 0 && cluster->heap[0].at_us < at_us) {
        at_us = cluster->heap[0].at_us;
    }
    struct sim_node *node = next_timer(cluster, &at_us);
    if (at_us > cluster->now_us) {
        cluster->now_us = at_us;
    }
    if (node != NULL) {
        replica_tick(node->replica, cluster->now_us / 1000);
        reap(node);
    } else if (cluster->heap_count > 0 &&
               cluster->heap[0].at_us <= cluster->now_us) {
        struct event event = pop(cluster);
        if (!put_off(cluster, &event)) {
            happen(cluster, &event);
            free(event.data);
        }
    }
}

void sim_cluster_run(struct sim_cluster *cluster, uint64_t us)
{
    uint64_t end_us = cluster->now_us + us;
    while (cluster->now_us < end_us && cluster->oracle.violation[0] == '\0') {
        step(cluster, end_us);
    }
}

uint64_t sim_cluster_leader(const struct sim_cluster *cluster)
{
    uint64_t leader = 0;
    uint64_t term = 0;
    for (size_t i = 0; i < cluster->node_count; i++) {
        struct replica_status status;
        if (cluster->nodes[i].replica == NULL) {
            continue;
        }
        replica_status(cluster->nodes[i].replica, &status);
        if (status.proved && status.leadership.term > term) {
            term = status.leadership.term;
            leader = cluster->nodes[i].id;
        }
    }
    return leader;
}

uint64_t sim_cluster_elect(struct sim_cluster *cluster, uint64_t us)
{
    uint64_t end_us = cluster->now_us + us;
    while (cluster->now_us < end_us && sim_cluster_leader(cluster) == 0 &&
           sim_cluster_violation(cluster) == NULL) {
        sim_cluster_run(cluster, 1000);
    }
    return sim_cluster_leader(cluster);
}

static bool settled(const struct sim_cluster *cluster)
{
    uint64_t applied = 0;
    for (size_t i = 0; i < cluster->node_count; i++) {
        const struct sim_node *node = &cluster->nodes[i];
        struct replica_status status;
        if (node->replica == NULL) {
            continue;
        }
        replica_status(node->replica, &status);
        if (applied == 0) {
            applied = status.applied_index;
        }
        if (status.applied_index != applied || status.last_index != applied ||
            applied == 0 || applied < cluster->oracle.acked_index) {
            return false;
        }
    }
    return sim_cluster_leader(cluster) != 0;
}

bool sim_cluster_settle(struct sim_cluster *cluster, uint64_t entries,
                        uint64_t us)
{
    uint64_t end_us = cluster->now_us + us;
    uint64_t wanted = cluster->oracle.acked + entries;
    uint64_t load_us = cluster->load_us;
    if (entries > 0) {
        sim_cluster_load(cluster, 2000);
    }
    while (cluster->oracle.acked < wanted && cluster->now_us < end_us &&
           sim_cluster_violation(cluster) == NULL) {
        sim_cluster_run(cluster, 1000);
    }
    sim_cluster_load(cluster, 0);
    while (!settled(cluster) && cluster->now_us < end_us &&
           sim_cluster_violation(cluster) == NULL) {
        sim_cluster_run(cluster, 1000);
    }
    bool good = cluster->oracle.acked >= wanted && settled(cluster);
    sim_cluster_load(cluster, load_us);
    return good;
}

void sim_cluster_load(struct sim_cluster *cluster, uint64_t every_us)
{
    bool quiet = cluster->load_us == 0;
    cluster->load_us = every_us;
    for (size_t i = 0; i < cluster->heap_count; i++) {
        if (cluster->heap[i].kind == EVENT_CLIENT) {
            quiet = false; /* The last one still comes. */
        }
    }
    if (quiet && every_us > 0) {
        struct event event = {.at_us = cluster->now_us + every_us,
                              .kind = EVENT_CLIENT,
                              .node = 1};
        sim_push(cluster, &event);
    }
}

uint64_t sim_cluster_acknowledged(const struct sim_cluster *cluster)
{
    return cluster->oracle.acked;
}

uint64_t sim_cluster_barriers(const struct sim_cluster *cluster)
{
    return cluster->oracle.barriers;
}

void sim_cluster_stop(struct sim_cluster *cluster, uint64_t id, bool power_cut)
{
    if (sim_node(cluster, id)->replica != NULL) {
        sim_node_stop(sim_node(cluster, id), power_cut);
    }
}

bool sim_cluster_start(struct sim_cluster *cluster, uint64_t id)
{
    struct sim_node *node = sim_node(cluster, id);
    if (node->replica == NULL) {
        sim_node_start(node);
    }
    return node->replica != NULL;
}

bool sim_cluster_running(const struct sim_cluster *cluster, uint64_t id)
{
    return cluster->nodes[id - 1].replica != NULL;
}

enum replica_failure sim_cluster_refusal(const struct sim_cluster *cluster,
                                         uint64_t id, const char **reason)
{
    if (reason != NULL) {
        *reason = cluster->nodes[id - 1].reason;
    }
    return cluster->nodes[id - 1].refusal;
}

void sim_cluster_tolerate_failures(struct sim_cluster *cluster)
{
    cluster->failures_tolerated = true;
}

void sim_cluster_pause(struct sim_cluster *cluster, uint64_t id, uint64_t us)
{
    for (size_t i = 0; i < cluster->node_count; i++) {
        if (id == 0 || cluster->nodes[i].id == id) {
            cluster->nodes[i].paused_until_us = cluster->now_us + us;
        }
    }
}

void sim_cluster_cut(struct sim_cluster *cluster, uint64_t from, uint64_t to,
                     bool cut)
{
    cluster->cut[from][to] = cut;
}

void sim_cluster_isolate(struct sim_cluster *cluster, uint64_t id, bool cut)
{
    for (uint64_t other = 1; other <= cluster->node_count; other++) {
        cluster->cut[id][other] = cut;
        cluster->cut[other][id] = cut;
    }
}

void sim_cluster_heal(struct sim_cluster *cluster)
{
    memset(cluster->cut, 0, sizeof cluster->cut);
}

void sim_cluster_network(struct sim_cluster *cluster, unsigned loss_permille,
                         unsigned duplicate_permille, uint64_t delay_min_us,
                         uint64_t delay_max_us)
{
    cluster->options.loss_permille = loss_permille;
    cluster->options.duplicate_permille = duplicate_permille;
    cluster->options.delay_min_us = delay_min_us;
    cluster->options.delay_max_us = delay_max_us;
}

void sim_cluster_disk(struct sim_cluster *cluster, uint64_t id, uint64_t min_us,
                      uint64_t max_us)
{
    sim_node(cluster, id)->disk_min_us = min_us;
    sim_node(cluster, id)->disk_max_us = max_us;
}

struct sim_disk *sim_cluster_disk_of(struct sim_cluster *cluster, uint64_t id)
{
    return sim_node(cluster, id)->disk;
}

struct replica *sim_cluster_replica(struct sim_cluster *cluster, uint64_t id)
{
    return sim_node(cluster, id)->replica;
}

uint64_t sim_cluster_applied(const struct sim_cluster *cluster, uint64_t id)
{
    return cluster->nodes[id - 1].state.index;
}

uint64_t sim_cluster_said_term(const struct sim_cluster *cluster, uint64_t id)
{
    return cluster->nodes[id - 1].said_term;
}

void sim_cluster_replace_disk(struct sim_cluster *cluster, uint64_t id,
                              struct sim_disk *disk)
{
    struct sim_node *node = sim_node(cluster, id);
    CHECK(node->replica == NULL);
    sim_disk_destroy(node->disk);
    node->disk = disk;
}

bool sim_cluster_write(struct sim_cluster *cluster, uint64_t us)
{
    uint64_t end_us = cluster->now_us + us;
    uint64_t wanted = cluster->oracle.acked + 1;
    uint64_t asked = 0;
    while (cluster->now_us < end_us && cluster->oracle.acked < wanted &&
           sim_cluster_violation(cluster) == NULL) {
        uint64_t leader = sim_cluster_leader(cluster);
        if (leader != 0 && (asked != leader ||
                            !sim_node(cluster, leader)->client.submitting)) {
            asked = sim_node_submit(sim_node(cluster, leader)) ? leader : 0;
        }
        sim_cluster_run(cluster, 500);
    }
    return cluster->oracle.acked >= wanted;
}

static void transferred(struct replica_transfer *transfer, int status)
{
    struct sim_client *client =
        container_of(transfer, struct sim_client, transfer);
    client->transferring = false;
    client->transfer_status = status;
}

int sim_cluster_transfer(struct sim_cluster *cluster, uint64_t to, uint64_t us)
{
    uint64_t end_us = cluster->now_us + us;
    uint64_t leader = sim_cluster_leader(cluster);
    if (leader == 0) {
        return HF_ERROR_NOT_LEADER;
    }
    struct sim_node *node = sim_node(cluster, leader);
    uint64_t life = node->life;
    int rv = replica_transfer(node->replica, to, &node->client.transfer,
                              transferred);
    if (rv != 0) {
        return rv;
    }
    node->client.transferring = true;
    while (cluster->now_us < end_us && node->life == life &&
           node->client.transferring &&
           sim_cluster_violation(cluster) == NULL) {
        sim_cluster_run(cluster, 500);
    }
    return node->client.transferring ? HF_ERROR_CLOSED
                                     : node->client.transfer_status;
}
