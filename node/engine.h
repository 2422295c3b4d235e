/* SPDX-License-Identifier: Apache-2.0
 *
 * What a node does, without its wire: the applied state on top of the replica,
 * the leader's turn, leases, judgement, failover and sessions with the agents.
 * Time, messages and disks come in from outside (node/node.c in holdfastd), so
 * the same code runs in the simulator. */
#ifndef NODE_ENGINE_H
#define NODE_ENGINE_H

#include "base/list.h"
#include "node/activity.h"
#include "node/apply_control.h"
#include "node/failover.h"
#include "node/group_control.h"
#include "node/judge.h"
#include "node/leader_time.h"
#include "node/lease.h"
#include "node/move_control.h"
#include "node/page_book.h"
#include "node/plan_book.h"
#include "node/region.h"
#include "node/sessions.h"
#include "node/turn.h"
#include "node/watch_ring.h"
#include "raft/replica.h"

struct engine;

/* What the engine asks of whoever drives it. */
struct engine_ops {
    /* The replica, or the state on it, cannot go on: say why and end the
     * process with `failure` as its exit code. Nothing more comes. */
    void (*failed)(struct engine *engine, enum replica_failure failure,
                   const char *reason);

    /* engine->leadership has changed. */
    void (*leadership)(struct engine *engine);

    /* The region's members changed, see replica_owner. NULL: nobody asks. */
    void (*members)(struct engine *engine);

    /* Something was queued: call engine_pump() soon, from a later turn. */
    void (*wake)(struct engine *engine);

    /* Bit i: the voter of the zone in slot i answers, or it has none. Asked
     * of the leader only. */
    uint64_t (*zones_reachable)(struct engine *engine);

    /* Likewise. `voters` is all zero. */
    void (*voters)(struct engine *engine, struct turn_voters *voters);

    /* Microseconds of a clock that measures how long work takes, for display
     * alone; NULL: none. */
    uint64_t (*clock_us)(void);
};

/* Two readings that belong together. */
struct engine_time {
    uint64_t boot_ms; /* Never runs backwards, counts while suspended. */
    uint64_t wall_ms; /* Since 1970; may be wrong and may jump. */
};

struct engine {
    const struct engine_ops *ops;
    struct engine_time now; /* As of the last call that told it. */

    struct replica *replica;
    struct replica_owner owner;
    struct replica_submit submit;
    struct replica_barrier barrier;
    struct replica_leadership leadership;
    bool wake_asked;

    /* The applied state. */
    struct state *state;
    const struct state *applied; /* Always `state`; for the turn. */
    struct arena arena;          /* For decoding entries. */
    struct event_sink sink;
    struct watch_ring ring;
    struct page_book pages;
    struct activity activity;

    /* The leader's part. */
    struct turn_log log;
    struct turn turn;
    uint64_t turns_failed; /* Of turn.failures, as last seen. */
    struct leases leases;
    struct region_birth birth;
    struct judge judge;
    struct failover failover;
    struct move_control moves;
    struct group_control groups;
    struct plan_book plans;
    struct apply_control applies;
    struct turn_controller *controllers[6]; /* In this order. */
    struct sessions sessions;
    struct leader_time time;
    uint64_t judge_next_ms;
};

struct engine_config {
    const char *region;     /* Its name; lent. */
    struct region_id drawn; /* See region_birth_init(). */
    uint32_t watch_events;  /* As in the node's configuration. */
};

void engine_init(struct engine *engine, const struct engine_ops *ops,
                 const struct engine_config *config);

/* Opens the replica; see replica_start(). */
int engine_start(struct engine *engine, const struct replica_config *config,
                 const struct replica_environment *environment,
                 const struct engine_time *now);

/* One message of the member `from`; see replica_receive(). */
void engine_receive(struct engine *engine, uint64_t from, const uint8_t *data,
                    size_t len, const struct engine_time *now);

/* Does what is due. */
void engine_pump(struct engine *engine, const struct engine_time *now);

/* When it is to be called again, boot clock, if nothing comes before. */
uint64_t engine_deadline(const struct engine *engine);

/* Takes nothing in any more; every request and session that waits is told.
 * The storage may then finish its jobs or throw them away. */
void engine_stop(struct engine *engine);
void engine_close(struct engine *engine);

/* Leads, and it is proved. */
static inline bool engine_leads(const struct engine *engine)
{
    return engine->turn.leading;
}

#endif
