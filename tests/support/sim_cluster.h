/* SPDX-License-Identifier: Apache-2.0
 *
 * A whole region in one process: real replicas over simulated disks, network
 * and time, all driven by one seed. What must never happen is checked at every
 * step: two leaders in a term, two members applying different entries at an
 * index, an acknowledged entry lost or done twice, a barrier that answers
 * before what was acknowledged earlier. The first violation is kept as text.
 *
 * Members have the ids 1 to n: voters, standbys, joiners. Time is virtual, in
 * microseconds. */
#ifndef TESTS_SUPPORT_SIM_CLUSTER_H
#define TESTS_SUPPORT_SIM_CLUSTER_H

#include "raft/replica.h"
#include "tests/support/sim_files.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_NODES_MAX 7

struct sim_options {
    uint64_t seed;
    size_t voters;
    size_t standbys;
    size_t joiners;               /* Members that may be added later. */
    uint32_t election_timeout_ms; /* 0: the default. */
    uint64_t segment_bytes;
    uint64_t snapshot_entries;
    uint64_t trailing_entries;
    uint32_t slow_disk_ms;  /* 0: the default. */
    size_t entry_bytes_max; /* Of a client's entry; at least 16. */
    size_t state_bytes;     /* A snapshot's padding. */
    unsigned loss_permille;
    unsigned duplicate_permille;
    uint64_t delay_min_us; /* Of a message; reordered within the range. */
    uint64_t delay_max_us;
    uint64_t disk_min_us; /* Of a storage job. */
    uint64_t disk_max_us;

    /* Member 1's disk, from its very first operation on; at 0: nothing. */
    uint64_t fail_at;
    int fail_error;
    uint64_t die_at;
    bool die_by_power_cut;
};

/* Sensible values: three voters, 1 ms of network, a fast disk. */
struct sim_options sim_options_default(uint64_t seed);

struct sim_cluster;

struct sim_cluster *sim_cluster_create(const struct sim_options *options);
void sim_cluster_destroy(struct sim_cluster *cluster);

/* NULL, or the first thing that must not happen. */
const char *sim_cluster_violation(const struct sim_cluster *cluster);

uint64_t sim_cluster_now_us(const struct sim_cluster *cluster);

/* Lets virtual time pass. */
void sim_cluster_run(struct sim_cluster *cluster, uint64_t us);

/* Runs until a proved leader is there; 0 when there is none after `us`. */
uint64_t sim_cluster_elect(struct sim_cluster *cluster, uint64_t us);

/* The proved leader of the highest term among those that run; 0: none. */
uint64_t sim_cluster_leader(const struct sim_cluster *cluster);

/* Runs until every running member has applied the same, with `entries` more
 * acknowledged than now; false after `us`. */
bool sim_cluster_settle(struct sim_cluster *cluster, uint64_t entries,
                        uint64_t us);

/* Clients submit to whoever takes it, this often; 0: not at all. */
void sim_cluster_load(struct sim_cluster *cluster, uint64_t every_us);

uint64_t sim_cluster_acknowledged(const struct sim_cluster *cluster);
uint64_t sim_cluster_barriers(const struct sim_cluster *cluster);

/* A member ends; `power_cut` loses what was not synced. */
void sim_cluster_stop(struct sim_cluster *cluster, uint64_t id, bool power_cut);

/* Starts it again; false when it refused, see sim_cluster_refusal(). */
bool sim_cluster_start(struct sim_cluster *cluster, uint64_t id);
bool sim_cluster_running(const struct sim_cluster *cluster, uint64_t id);

/* Why a member stopped or refused to start; 0 and "" when it did not. */
enum replica_failure sim_cluster_refusal(const struct sim_cluster *cluster,
                                         uint64_t id, const char **reason);

/* Failures of members with these codes are expected from now on. */
void sim_cluster_tolerate_failures(struct sim_cluster *cluster);

void sim_cluster_cut(struct sim_cluster *cluster, uint64_t from, uint64_t to,
                     bool cut);
void sim_cluster_isolate(struct sim_cluster *cluster, uint64_t id, bool cut);
void sim_cluster_heal(struct sim_cluster *cluster);

/* Every message, loss and delay from now on. */
void sim_cluster_network(struct sim_cluster *cluster, unsigned loss_permille,
                         unsigned duplicate_permille, uint64_t delay_min_us,
                         uint64_t delay_max_us);

/* A member's storage jobs take this long from now on. */
void sim_cluster_disk(struct sim_cluster *cluster, uint64_t id, uint64_t min_us,
                      uint64_t max_us);

/* A member's process does not run for so long; id 0: none of them does. What
 * was sent to it waits. */
void sim_cluster_pause(struct sim_cluster *cluster, uint64_t id, uint64_t us);

struct sim_disk *sim_cluster_disk_of(struct sim_cluster *cluster, uint64_t id);
struct replica *sim_cluster_replica(struct sim_cluster *cluster, uint64_t id);
uint64_t sim_cluster_applied(const struct sim_cluster *cluster, uint64_t id);

/* What a member told others at most. */
uint64_t sim_cluster_said_term(const struct sim_cluster *cluster, uint64_t id);

/* Puts another disk in; the member must be stopped. Takes `disk`. */
void sim_cluster_replace_disk(struct sim_cluster *cluster, uint64_t id,
                              struct sim_disk *disk);

/* Submits one entry to the leader and runs until it is acknowledged. */
bool sim_cluster_write(struct sim_cluster *cluster, uint64_t us);

/* Asks the leader to hand over; runs until it is decided. 0 or an error. */
int sim_cluster_transfer(struct sim_cluster *cluster, uint64_t to, uint64_t us);

/* Lets a joiner run for the first time. */
void sim_cluster_join(struct sim_cluster *cluster, uint64_t id);

/* A member is gone for good: it does not run again. */
void sim_cluster_leave(struct sim_cluster *cluster, uint64_t id);

/* The members as the leader has them; without one nobody. */
void sim_cluster_members(const struct sim_cluster *cluster,
                         struct members *members);

/* The next members: with a standby, a voter more, or one less. */
void sim_members_add(struct members *members, uint64_t id);
void sim_members_promote(struct members *members, uint64_t id);
void sim_members_remove(struct members *members, uint64_t id);

/* Asks the leader for these members; runs until it is decided. 0, an error of
 * replica_reconfigure(), or HF_ERROR_NOT_LEADER when leadership was lost on the
 * way or nothing was decided in time. */
int sim_cluster_reconfigure(struct sim_cluster *cluster,
                            const struct members *members, uint64_t us);

/* A member that does not run becomes the only one, see raft/recover.h. */
bool sim_cluster_recover(struct sim_cluster *cluster, uint64_t id);

/* Whoever is no member by the leader's members leaves. */
void sim_cluster_sweep(struct sim_cluster *cluster);

/* Random trouble for so long: stops of both kinds, cuts, loss, slow disks,
 * handing over; with joiners also changes of members, one after the other.
 * Ends healed, with all members running. */
void sim_cluster_chaos(struct sim_cluster *cluster, uint64_t us);

/* Of a test's command line: --seeds COUNT [FIRST] runs so many, and of few
 * tells how each went. `run` says whether it was well. -1: nobody asked; else
 * the test's exit code. */
int sim_cluster_seeds(int argc, char **argv,
                      bool (*run)(uint64_t seed, bool print));

#endif
