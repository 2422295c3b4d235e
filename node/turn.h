/* SPDX-License-Identifier: Apache-2.0
 *
 * The turn: all requests that wait are decided against one scratch clone of
 * the applied state and become one log entry; when it is applied, all are
 * answered. One turn is in flight at a time. Every turn proves leadership
 * (Raft 6.4): a committed entry shows that no newer leader had been elected
 * when it was proposed; a turn with nothing to write is a barrier, for which a
 * majority says so. Pure: the log is a table of two calls, the time an
 * argument. */
#ifndef NODE_TURN_H
#define NODE_TURN_H

#include "base/bytes.h"
#include "base/list.h"
#include "placement/placement.h"
#include "state/state.h"

struct leases;
struct plan_book;
struct turn_trial;

enum turn_lane { LANE_FAILOVER, LANE_MUTATION, LANE_READ, LANE_COUNT };

/* The region's voters, as they answer now. */
struct turn_voters {
    uint32_t count;                  /* 0: not known; no zone is needed then. */
    uint32_t answering;              /* Of all. */
    uint8_t in_zone[ZONES_MAX];      /* By slot of the zone; */
    uint8_t answering_in[ZONES_MAX]; /* of these. */
};

/* Whether without the voters of these zones (bit i: slot i) those that answer
 * are no majority: nobody could decide anything. `voters` NULL: not known. */
bool turn_needs_zones(const struct turn_voters *voters, uint64_t zones);

/* What a request or controller decides with. */
struct turn_plan {
    struct state *scratch; /* Applied state plus this turn's decisions. */
    struct placer *placer; /* Of the scratch. */
    uint64_t time_ms;      /* Leader's stamp of this turn, wall clock. */
    uint64_t now_ms;       /* Leader's boot clock. */
    uint64_t
        settings_since_ms; /* See struct turn; now, once it changes them. */
    struct leases *leases; /* Of the owner; NULL in tests. */
    const struct turn_voters *voters; /* Of the owner; NULL: not known. */
    bool dry_run;                     /* Only the scratch may change. */
    struct bytes entry;               /* What is decided so far. */
    size_t change_count;
    struct event_sink sink;   /* Keeps the placer current. */
    struct turn_trial *trial; /* It is the plan of this; or NULL. */
    struct plan_book *plans;  /* Of the owner; NULL in tests. */
    uint64_t decisions;       /* Events so far that are turn_is_decision(). */
    uint64_t looks;           /* Of controllers, see turn_work_left(). */
    uint64_t work_end;        /* Likewise; 0: no bound. */
};

/* From here on so much may be done, in looks at a host (placer_looks()): what
 * the placer does, the changes, each of which costs TURN_CHANGE_LOOKS, and what
 * controllers add to `looks`. Who decides many things stops when nothing is
 * left, and goes on in the next turn: the same everywhere, whatever the machine
 * and its clock. */
void turn_work_begin(struct turn_plan *plan, uint64_t max);
uint64_t turn_work_left(const struct turn_plan *plan);

/* Decides one change: applied to the scratch and written into the entry. */
void turn_change(struct turn_plan *plan, const struct change *change);

/* What would follow if...: decisions on a clone of the scratch that go nowhere.
 * The placer follows them as it does a turn's; at the end it is told again of
 * what they touched, so that it is as it was. Dry runs, and questions of
 * methods ("does the target take the VM once it has left?"). Embed it; one at a
 * time for a plan, which rests meanwhile. */
struct turn_trial {
    struct turn_plan plan;
    const struct turn_plan *real;
    uint64_t *touched; /* Kind of event, slot. */
    size_t touched_count;
    size_t touched_capacity;
};

void turn_trial_begin(struct turn_trial *trial, const struct turn_plan *real);
void turn_trial_end(struct turn_trial *trial);

/* Whether the event tells of what plans rest on: where VMs are and shall be,
 * what hosts, zones, classes, groups and settings are. What hosts report, and
 * reasons, are none of these. */
bool turn_is_decision(const struct event *event);

/* The sink of every turn_plan: tells the placer of each record that a decision
 * changed. */
void turn_plan_event(struct event_sink *sink, const struct event *event);

/* One thing to decide; embed it. `plan` runs once, in a turn; `done` once,
 * later: 0 when that turn is applied here, HF_ERROR_NOT_LEADER when it is not
 * known whether it ever will be (or it was never planned). `plan` is NULL for
 * reads, which only wait. */
struct turn_request {
    struct list link;
    void (*plan)(struct turn_request *request, struct turn_plan *plan);
    void (*done)(struct turn_request *request, int status);
};

/* Decides on its own account at the start of each turn. */
struct turn_controller {
    void (*plan)(struct turn_controller *controller, struct turn_plan *plan);
};

/* Where entries go; embed it. `ready` says whether an entry would be taken
 * now: until it is, mutations wait and reads go on. The others return 0, or
 * HF_ERROR_NOT_LEADER and then turn_finished is not called. */
struct turn_log {
    bool (*ready)(struct turn_log *log);
    int (*submit)(struct turn_log *log, const void *data, size_t len);
    int (*barrier)(struct turn_log *log);
};

struct turn {
    struct turn_log *log;
    const struct state **applied; /* The applied state, wherever it moves. */
    struct turn_controller **controllers;
    size_t controller_count;
    struct leases *leases;     /* Of the owner; may be NULL in tests. */
    struct plan_book *plans;   /* Likewise. */
    struct turn_voters voters; /* Set by the owner. */
    /* Lives over turns: it follows each decision of a turn, and when that is
     * applied the applied state is what the scratch was. Else it is made anew,
     * in slices; until it is complete nothing is decided. */
    struct placer *placer;
    uint64_t placer_revision; /* Of the state it knows; UINT64_MAX: of none. */
    struct list lanes[LANE_COUNT];
    uint32_t queued[LANE_COUNT];
    struct list in_flight;
    /* Boot clock: since then the present settings have been in force and this
     * node has led, whichever came last. Set by the owner. */
    uint64_t settings_since_ms;
    bool leading; /* The leader, and proved to be. */
    bool flying;  /* A turn is in flight. */
    bool wanted;  /* A controller asked for a turn. */
    /* Since the start of the process. */
    uint64_t turns;
    uint64_t failures; /* Turns of which it is not known whether they count. */
    uint64_t entries;
    uint64_t entry_bytes;
    uint64_t planned[LANE_COUNT]; /* Requests. */
};

void turn_init(struct turn *turn, struct turn_log *log,
               const struct state **applied,
               struct turn_controller **controllers, size_t controller_count);

/* All requests must have been answered. */
void turn_close(struct turn *turn);

/* Queues a request. HF_ERROR_NOT_LEADER while not leading, HF_ERROR_BUSY when
 * the lane is full; then `done` is not called. */
int turn_submit(struct turn *turn, enum turn_lane lane,
                struct turn_request *request);

/* Takes a read that waits back out, when its caller went away; mutations stay,
 * for they may be in the log. */
void turn_cancel(struct turn *turn, struct turn_request *request);

/* Asks for a turn although nothing is queued. */
void turn_want(struct turn *turn);

/* Begins a turn if one is due and none in flight; before the first, and after
 * one whose fate is unknown, call it until turn_is_prepared(). */
void turn_run(struct turn *turn, uint64_t time_ms, uint64_t now_ms);

/* The turn in flight is applied (0), or its fate unknown. */
void turn_finished(struct turn *turn, int status);

/* One slice of what the placer needs before anything is decided: a new leader's
 * beginning, mostly. True when nothing of that is left; turn_run() does one as
 * well. */
bool turn_prepare(struct turn *turn);
bool turn_is_prepared(const struct turn *turn);

/* The placer, when it knows the applied state; NULL while it is prepared, while
 * a turn is in flight and while this node does not lead. For what is worked out
 * between turns. */
struct placer *turn_placer(struct turn *turn);

/* Leadership was proved, or lost: then everything queued is answered
 * HF_ERROR_NOT_LEADER. */
void turn_lead(struct turn *turn, bool leading);

#endif
