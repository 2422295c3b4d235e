/* SPDX-License-Identifier: Apache-2.0
 *
 * The leader's controllers over a log that commits at once: what they decide
 * turn by turn, in virtual time. Hosts do as they are told when asked to;
 * everything else is applied by the test. */
#ifndef SUPPORT_OFFICE_H
#define SUPPORT_OFFICE_H

#include "node/failover.h"
#include "node/group_control.h"
#include "node/move_control.h"
#include "node/turn.h"

struct office {
    struct turn_log log;
    struct event_sink sink;
    struct state *state;
    const struct state *applied;
    struct leases leases;
    struct judge judge;
    struct failover failover;
    struct move_control moves;
    struct group_control groups;
    struct turn_controller *controllers[3];
    struct turn turn;
    struct bytes entry;
    uint64_t now_ms; /* Of both clocks. */
    uint32_t entries;
    /* Told of each applied event; may be NULL. */
    void (*on_event)(struct office *office, const struct event *event);
};

/* Leads an empty region with the default policy. */
struct office *office_create(void);
void office_destroy(struct office *office);

/* Another leader begins with the same state. */
void office_lead(struct office *office);

/* Applies a change of somebody else's. */
void office_apply(struct office *office, const struct change *change);

/* Works out what is to be worked out between turns, then runs one turn if any
 * is due and commits it. Time goes on by 10 ms. Whether there was one. */
bool office_turn(struct office *office);

/* Until no turn is due, at most `max` turns. */
void office_run(struct office *office, uint32_t max);

/* What is assigned runs, what is to stop has stopped. */
void office_hosts_obey(struct office *office);

/* Things, by name; resources are CPU in whole cores and as many GiB. */
void office_zone(struct office *office, const char *name);
void office_host(struct office *office, const char *zone, const char *name,
                 uint32_t cores);
/* "h-0"... in zones "z0"... in turn. */
void office_hosts(struct office *office, uint32_t zones, uint32_t count,
                  uint32_t cores);
void office_class(struct office *office, const char *name, uint32_t cores);
struct vm_id office_vm(struct office *office, const char *class,
                       const char *name, uint32_t priority, bool preemptible);
void office_assign(struct office *office, struct vm_id vm, const char *host);
void office_fence(struct office *office, uint32_t host_slot);
void office_policy(struct office *office, void (*edit)(struct policy *policy));

/* A group with a template of that class. */
struct group_id office_group(struct office *office, const char *class,
                             const char *name, uint32_t count);
/* Changes some of its fields. */
void office_group_update(struct office *office, struct group_id id,
                         void (*edit)(struct group_fields *fields),
                         bool deleting);

const struct vm *office_vm_named(const struct office *office, const char *name);
const struct host *office_host_named(const struct office *office,
                                     const char *name);
uint32_t office_count(const struct office *office, enum vm_state state);

#endif
