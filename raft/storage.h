/* SPDX-License-Identifier: Apache-2.0
 *
 * Where file work is done. The replica hands over jobs; in production each
 * lane is a thread (raft/storage_uv.h), in tests and in the simulator they run
 * in the same thread, in virtual time. Jobs of one lane run one after the
 * other in the order of submission. */
#ifndef RAFT_STORAGE_H
#define RAFT_STORAGE_H

#include "base/list.h"

enum storage_lane {
    STORAGE_LOG,      /* Log, term and vote: short, and someone waits. */
    STORAGE_SNAPSHOT, /* Snapshots: long, in slices. */
    STORAGE_LANES
};

struct storage_job {
    struct list link; /* Of whoever holds the job now. */
    enum storage_lane lane;

    /* Does the work, on the lane's thread; touches only what belongs to the
     * job and to its lane. */
    void (*run)(struct storage_job *job);

    /* Called once on the loop's thread, from a later turn, after run(). */
    void (*done)(struct storage_job *job);
};

struct storage {
    /* Takes the job until its done() is called. */
    void (*submit)(struct storage *storage, struct storage_job *job);
};

#endif
