/* SPDX-License-Identifier: Apache-2.0
 *
 * One member: its owner, its disk, its storage lanes, its clients. */
#include "tests/support/sim_internal.h"

#include "base/check.h"
#include "base/container.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "raft/snapshot.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct sim_node *node_of(struct replica_owner *owner)
{
    return container_of(owner, struct sim_node, owner);
}

static void owner_apply(struct replica_owner *owner, uint64_t index,
                        uint64_t term, const uint8_t *data, size_t len)
{
    struct sim_node *node = node_of(owner);
    struct sim_state *state = &node->state;
    CHECK(len >= 16);
    uint64_t operation = bytes_get_u64(data);
    if (index <= state->index) {
        sim_violation(node->cluster,
                      "node %" PRIu64 " applies %" PRIu64 " after %" PRIu64,
                      node->id, index, state->index);
    }
    if (bytes_get_u64(data + 8) != hash_u64(operation)) {
        sim_violation(node->cluster, "entry %" PRIu64 " was changed", index);
    }
    state->index = index;
    state->count++;
    state->hash = hash_bytes(data, len, state->hash ^ hash_u64(index ^ term));
    sim_oracle_applied(node->cluster, node, operation);
}

static void owner_leadership(struct replica_owner *owner,
                             const struct replica_leadership *leadership)
{
    struct sim_node *node = node_of(owner);
    if (leadership->state == REPLICA_LEADER) {
        sim_oracle_leads(node->cluster, node, leadership->term);
    }
}

static void owner_proved(struct replica_owner *owner, uint64_t term,
                         uint64_t index)
{
    struct sim_node *node = node_of(owner);
    sim_oracle_proved(node->cluster, node, term, index);
}

/* The snapshot: the state, then padding that does not compress and can be
 * checked. */
struct sim_content {
    struct snapshot_content content;
    struct sim_state state;
    size_t padding;
    size_t at;
};

static uint64_t padding_word(const struct sim_state *state, size_t i)
{
    return hash_u64(state->hash ^ i);
}

static bool content_next(struct snapshot_content *content, struct bytes *out,
                         size_t budget)
{
    struct sim_content *sim =
        container_of(content, struct sim_content, content);
    if (sim->at == 0) {
        bytes_append_u64(out, sim->state.index);
        bytes_append_u64(out, sim->state.count);
        bytes_append_u64(out, sim->state.hash);
        bytes_append_u64(out, sim->padding);
    }
    /* In small pieces, so that there are several slices. */
    size_t end = sim->at + (budget < 65536 ? budget : 65536) / 8;
    while (sim->at < sim->padding && sim->at < end) {
        bytes_append_u64(out, padding_word(&sim->state, sim->at));
        sim->at++;
    }
    return sim->at < sim->padding;
}

static void content_destroy(struct snapshot_content *content)
{
    free(container_of(content, struct sim_content, content));
}

static struct snapshot_content *owner_snapshot_take(struct replica_owner *owner)
{
    struct sim_node *node = node_of(owner);
    struct sim_content *sim = memory_alloc(sizeof *sim);
    sim->content.next = content_next;
    sim->content.destroy = content_destroy;
    sim->state = node->state;
    sim->padding = node->cluster->options.state_bytes / 8;
    return &sim->content;
}

static int owner_snapshot_restore(struct replica_owner *owner,
                                  struct snapshot_source *source)
{
    struct sim_node *node = node_of(owner);
    struct bytes all;
    const uint8_t *data;
    size_t len;
    int rv;
    bytes_init(&all);
    while ((rv = snapshot_source_next(source, &data, &len)) == 0 && len > 0) {
        bytes_append(&all, data, len);
    }
    struct bytes_reader reader;
    bytes_reader_init(&reader, all.data, all.len);
    struct sim_state state;
    state.index = bytes_read_u64(&reader);
    state.count = bytes_read_u64(&reader);
    state.hash = bytes_read_u64(&reader);
    size_t padding = (size_t)bytes_read_u64(&reader);
    for (size_t i = 0; i < padding && !reader.failed; i++) {
        if (bytes_read_u64(&reader) != padding_word(&state, i)) {
            sim_violation(node->cluster, "a snapshot was changed");
        }
    }
    if (rv == 0 && (reader.failed || reader.len > 0)) {
        rv = HF_ERROR_CORRUPT;
    }
    bytes_close(&all);
    if (rv == 0) {
        const struct sim_oracle *oracle = &node->cluster->oracle;
        if (state.index < oracle->count &&
            oracle->states[state.index].count > 0 &&
            oracle->states[state.index].hash != state.hash) {
            sim_violation(node->cluster,
                          "node %" PRIu64 " restored another history at "
                          "%" PRIu64,
                          node->id, state.index);
        }
        node->state = state;
    }
    return rv;
}

static void owner_failed(struct replica_owner *owner,
                         enum replica_failure failure, const char *reason)
{
    struct sim_node *node = node_of(owner);
    node->failing = true;
    node->refusal = failure;
    snprintf(node->reason, sizeof node->reason, "%s", reason);
    /* A dead disk is the crash itself, not a refusal. */
    if (!node->cluster->failures_tolerated && !sim_disk_dead(node->disk)) {
        sim_violation(node->cluster, "node %" PRIu64 " failed: %s", node->id,
                      reason);
    }
}

static void owner_wake(struct replica_owner *owner)
{
    struct sim_node *node = node_of(owner);
    struct event event = {.at_us = node->cluster->now_us + 20,
                          .kind = EVENT_WAKE,
                          .node = node->id,
                          .life = node->life};
    if (!node->woken) {
        node->woken = true;
        sim_push(node->cluster, &event);
    }
}

static void transport_send(struct replica_transport *transport, uint64_t to,
                           const uint8_t *data, size_t len)
{
    struct sim_node *node = container_of(transport, struct sim_node, transport);
    struct sim_cluster *cluster = node->cluster;
    const struct sim_options *options = &cluster->options;
    CHECK(to != node->id && to >= 1 && to <= cluster->node_count);
    sim_oracle_said(cluster, node, to, data, len);
    if (cluster->cut[node->id][to] ||
        random_below(&cluster->random, 1000) < options->loss_permille) {
        return;
    }
    unsigned copies =
        random_below(&cluster->random, 1000) < options->duplicate_permille ? 2
                                                                           : 1;
    for (unsigned i = 0; i < copies; i++) {
        uint64_t spread = options->delay_max_us - options->delay_min_us + 1;
        struct event event = {.at_us = cluster->now_us + options->delay_min_us +
                                       random_below(&cluster->random, spread),
                              .kind = EVENT_MESSAGE,
                              .node = to,
                              .from = node->id,
                              .data = memory_copy(data, len),
                              .len = len};
        sim_push(cluster, &event);
    }
}

static size_t transport_unsent(struct replica_transport *transport, uint64_t to)
{
    (void)transport;
    (void)to;
    return 0;
}

static void lane_begin(struct sim_node *node, enum storage_lane lane)
{
    uint64_t spread = node->disk_max_us - node->disk_min_us + 1;
    struct event event = {
        .at_us = node->cluster->now_us + node->disk_min_us / 2 +
                 random_below(&node->cluster->random, spread / 2 + 1),
        .kind = EVENT_JOB_RUNS,
        .node = node->id,
        .life = node->life,
        .lane = lane};
    node->lanes[lane].busy = true;
    sim_push(node->cluster, &event);
}

static void storage_submit(struct storage *storage, struct storage_job *job)
{
    struct sim_node *node = container_of(storage, struct sim_node, storage);
    list_append(&node->lanes[job->lane].queue, &job->link);
    if (!node->lanes[job->lane].busy) {
        lane_begin(node, job->lane);
    }
}

void sim_node_job_runs(struct sim_node *node, enum storage_lane lane)
{
    struct list *link = list_first(&node->lanes[lane].queue);
    CHECK(link != NULL);
    struct storage_job *job = list_entry(link, struct storage_job, link);
    uint64_t spread = node->disk_max_us - node->disk_min_us + 1;
    struct event event = {
        .at_us = node->cluster->now_us + node->disk_min_us / 2 +
                 random_below(&node->cluster->random, spread / 2 + 1),
        .kind = EVENT_JOB_DONE,
        .node = node->id,
        .life = node->life,
        .lane = lane};
    job->run(job);
    sim_push(node->cluster, &event);
}

void sim_node_job_done(struct sim_node *node, enum storage_lane lane)
{
    struct list *link = list_first(&node->lanes[lane].queue);
    CHECK(link != NULL);
    struct storage_job *job = list_entry(link, struct storage_job, link);
    list_remove(link);
    node->lanes[lane].busy = false;
    if (!list_empty(&node->lanes[lane].queue)) {
        lane_begin(node, lane);
    }
    job->done(job);
}

void sim_node_init(struct sim_cluster *cluster, uint64_t id)
{
    struct sim_node *node = sim_node(cluster, id);
    node->cluster = cluster;
    node->id = id;
    node->disk = sim_disk_create(cluster->options.seed * 31 + id);
    CHECK(files_make_directory(sim_disk_files(node->disk), "/data") == 0);
    CHECK(files_sync_directory(sim_disk_files(node->disk), "/") == 0);
    node->owner = (struct replica_owner){
        .apply = owner_apply,
        .leadership = owner_leadership,
        .proved = owner_proved,
        .snapshot_take = owner_snapshot_take,
        .snapshot_restore = owner_snapshot_restore,
        .failed = owner_failed,
        .wake = owner_wake,
    };
    node->transport = (struct replica_transport){.send = transport_send,
                                                 .unsent = transport_unsent};
    node->storage = (struct storage){.submit = storage_submit};
    node->disk_min_us = cluster->options.disk_min_us;
    node->disk_max_us = cluster->options.disk_max_us;
    node->joins = id > cluster->options.voters + cluster->options.standbys;
    node->absent = node->joins;
}

void sim_node_close(struct sim_node *node)
{
    if (node->replica != NULL) {
        sim_node_stop(node, false);
    }
    sim_disk_destroy(node->disk);
}

void sim_node_start(struct sim_node *node)
{
    struct sim_cluster *cluster = node->cluster;
    const struct sim_options *options = &cluster->options;
    struct replica_member members[SIM_NODES_MAX];
    char addresses[SIM_NODES_MAX][32];
    size_t count = options->voters + options->standbys;
    CHECK(node->replica == NULL);
    if (node->absent) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        snprintf(addresses[i], sizeof addresses[i], "node-%zu:7000", i + 1);
        members[i] = (struct replica_member){
            .id = i + 1,
            .address = addresses[i],
            .role = i < options->voters ? REPLICA_VOTER : REPLICA_STANDBY};
    }
    struct replica_config config = {
        .region = SIM_REGION,
        .id = node->id,
        .directory = SIM_DIRECTORY,
        .bootstrap = !node->begun,
        .join = node->joins,
        .members = members,
        .member_count = count,
        .election_timeout_ms = options->election_timeout_ms,
        .segment_bytes = options->segment_bytes,
        .snapshot_entries = options->snapshot_entries,
        .trailing_entries = options->trailing_entries,
        .slow_disk_ms = options->slow_disk_ms,
        .seed = random_u64(&cluster->random)};
    struct replica_environment environment = {.files =
                                                  sim_disk_files(node->disk),
                                              .storage = &node->storage,
                                              .transport = &node->transport};
    node->life++;
    node->failing = false;
    node->woken = false;
    node->refusal = (enum replica_failure)0;
    node->reason[0] = '\0';
    memset(&node->state, 0, sizeof node->state);
    memset(&node->client, 0, sizeof node->client);
    for (int i = 0; i < STORAGE_LANES; i++) {
        list_init(&node->lanes[i].queue);
        node->lanes[i].busy = false;
    }
    sim_disk_revive(node->disk);
    node->replica = replica_create(&config, &environment, &node->owner);
    int rv = replica_start(node->replica, cluster->now_us / 1000);
    if (rv != 0) {
        CHECK(node->failing);
        sim_node_stop(node, false);
        return;
    }
    node->begun = true;
}

void sim_node_stop(struct sim_node *node, bool power_cut)
{
    CHECK(node->replica != NULL);
    if (power_cut) {
        sim_disk_power_cut(node->disk);
    } else {
        sim_disk_kill(node->disk);
    }
    replica_stop(node->replica);
    replica_destroy(node->replica);
    node->replica = NULL;
    node->life++; /* Events of the old one are void. */
}

static void submitted(struct replica_submit *submit,
                      enum replica_outcome outcome, uint64_t index)
{
    struct sim_client *client = container_of(submit, struct sim_client, submit);
    struct sim_node *node = container_of(client, struct sim_node, client);
    CHECK(client->submitting);
    client->submitting = false;
    if (outcome == REPLICA_COMMITTED) {
        struct replica_status status;
        replica_status(node->replica, &status);
        sim_oracle_acknowledged(node->cluster, client->operation,
                                status.leadership.term, index);
        if (node->state.index != index) {
            sim_violation(node->cluster,
                          "acknowledged %" PRIu64 " before it was applied",
                          index);
        }
    }
}

static void barrier_done(struct replica_barrier *barrier,
                         enum replica_outcome outcome, uint64_t index)
{
    struct sim_client *client =
        container_of(barrier, struct sim_client, barrier);
    struct sim_node *node = container_of(client, struct sim_node, client);
    CHECK(client->waiting);
    client->waiting = false;
    if (outcome == REPLICA_COMMITTED) {
        sim_oracle_barrier(node->cluster, node, index);
    }
}

bool sim_node_submit(struct sim_node *node)
{
    struct sim_cluster *cluster = node->cluster;
    struct sim_client *client = &node->client;
    if (node->replica == NULL || node->failing || client->submitting) {
        return false;
    }
    size_t room = cluster->options.entry_bytes_max - 15;
    size_t len = 16 + (size_t)random_below(&cluster->random, room);
    uint8_t *data = memory_alloc(len);
    uint64_t operation = ++cluster->operations;
    bytes_put_u64(data, operation);
    bytes_put_u64(data + 8, hash_u64(operation));
    for (size_t i = 16; i < len; i++) {
        data[i] = (uint8_t)(operation + i);
    }
    int rv =
        replica_submit(node->replica, data, len, &client->submit, submitted);
    free(data);
    client->submitting = rv == 0;
    client->operation = operation;
    return rv == 0;
}

void sim_node_client(struct sim_node *node)
{
    struct sim_client *client = &node->client;
    if (node->replica == NULL || node->failing) {
        return;
    }
    sim_node_submit(node);
    if (!client->waiting && random_below(&node->cluster->random, 4) == 0) {
        client->acked_before = node->cluster->oracle.acked_index;
        client->waiting =
            replica_barrier(node->replica, &client->barrier, barrier_done) == 0;
    }
}
