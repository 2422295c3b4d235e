/* SPDX-License-Identifier: Apache-2.0
 *
 * Groups as scale sets: makes the members that are missing, deletes those that
 * are too many, replaces those of an older template, and lets a group that is
 * being deleted go with its last member. A controller of each turn; looks only
 * at groups of which something changed. Pure. */
#ifndef NODE_GROUP_CONTROL_H
#define NODE_GROUP_CONTROL_H

#include "node/turn.h"

struct group_control {
    struct turn_controller controller;
    uint8_t *marks; /* By the group's slot: look at it; it waits for room. */
    uint32_t capacity;
    uint32_t marked; /* Groups to look at. */
    uint32_t waiting;
    uint32_t next;          /* Slot where the next turn goes on. */
    bool room;              /* There may be room for those that wait. */
    uint64_t next_retry_ms; /* Boot clock. */
};

void group_control_init(struct group_control *control);
void group_control_close(struct group_control *control);

/* Leadership was proved with this state, or a turn may not have come about:
 * looks at all groups. */
void group_control_lead(struct group_control *control,
                        const struct state *state);

/* Tells of an applied event. */
void group_control_note(struct group_control *control,
                        const struct event *event);

bool group_control_is_due(const struct group_control *control, uint64_t now_ms);

/* Decides for one group, at most `max` members made or deleted; returns how
 * many. For plans; turns use the controller. */
uint32_t group_control_decide(struct turn_plan *plan, struct group_id id,
                              uint32_t max, bool *wants_room);

/* One member by name, PENDING; one that goes; and the number from which the
 * next names begin. For a plan that is applied. */
void group_control_make(struct turn_plan *plan, struct group_id id,
                        const char *name);
void group_control_delete(struct turn_plan *plan, uint32_t vm_slot);
void group_control_count(struct turn_plan *plan, struct group_id id,
                         uint32_t number);

#endif
