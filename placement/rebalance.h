/* SPDX-License-Identifier: Apache-2.0
 *
 * Moves that are worth it: out of what is drained, and from full zones to empty
 * ones, as few as possible. Each with its reason. Pure. */
#ifndef PLACEMENT_REBALANCE_H
#define PLACEMENT_REBALANCE_H

#include "placement/placement.h"

struct rebalance_move {
    uint32_t vm;   /* Slot. */
    uint32_t host; /* Slot of its target. */
    enum move_cause cause;
};

/* What one call of rebalance_drains() looks at of a large drain: hosts and
 * their VMs in the order of their slots, until there are so many VMs that might
 * leave, or so many were looked at; about a millisecond. */
#define REBALANCE_WINDOW_VMS   8192
#define REBALANCE_WINDOW_LOOKS 32768

/* {0}: the first window. */
struct rebalance_window {
    uint64_t looks_max; /* Of the placer, see placer_looks(); 0: no bound. */
    uint32_t first;     /* Host. */
    uint32_t skip;      /* Of its VMs in their order: they were tried. */
    uint32_t next;      /* Set by a call: where to go on. */
    uint32_t next_skip;
};

/* Turns to what the last call came to; true when it came to the end: the window
 * is the first one again. */
bool rebalance_window_next(struct rebalance_window *window);

/* VMs that are on draining hosts or in draining zones and can leave, with
 * targets; at most `max`, low priority first, then little memory. Those that
 * cannot leave (local disks, zonal, no room, or, unless the drain is AT_RISK,
 * headroom that is enforced) are not among them; `stuck` counts
 * those that were found to be so: of VMs without room, those that were tried
 * before `max` was reached. All targets hold at once: each is chosen with the
 * former ones claimed. Moves that are under way or claimed already are left
 * out. Looks at the VMs of the window alone, which is as it was afterwards:
 * what still has moves is asked for again, then the next. `window` NULL: at all
 * VMs of what is drained, 0.1 to 0.2 us each. */
uint32_t rebalance_drains(struct placer *placer, const struct state *state,
                          struct rebalance_window *window,
                          struct rebalance_move *moves, uint32_t max,
                          uint32_t *stuck);

/* Whether the drain that the host is under, its own or its zone's, may make
 * headroom worse. */
bool rebalance_drain_at_risk(const struct state *state,
                             const struct host *host);

/* Where a VM on a drained host could go by itself, as rebalance_drains()
 * chooses; without one, why not. */
void rebalance_drain_choose(struct placer *placer, const struct state *state,
                            const struct vm *vm,
                            struct placement_choice *choice);

/* Whether zones differ so much that rebalancing should begin
 * (rebalance_start_permille), or, once it is `running`, go on
 * (rebalance_stop_permille). Costs a look at each zone, and knows nothing of
 * groups: a run ends when rebalance_zones() gives no move. Stays true when
 * nothing may move (zonal VMs, cool-downs): wait a while before the next run.
 */
bool rebalance_is_due(const struct state *state, bool running);

/* VMs that a call of rebalance_zones() looks at, at least; a few milliseconds.
 */
#define REBALANCE_LOOK_MIN 131072

/* And for each move that is asked for. */
#define REBALANCE_LOOK_PER_MOVE 64

/* Moves that even out the zones until below rebalance_stop_permille: VMs that
 * the group rules want elsewhere first, then lowest priority, then those that
 * take most of what is too much with them, then least memory (stopping and
 * starting a VM costs about the same whatever its size: few moves are cheaper
 * than small ones). None that was assigned within vm_cool_down_ms of
 * `time_ms`, none twice, none that makes a group's spread or headroom worse, or
 * that breaks a rule. At most `max`. VMs that are on their way count where they
 * go.
 *
 * Of more than REBALANCE_LOOK_MIN VMs one call looks at a part that follows
 * from the revision, larger when `max` is larger; the next call, at another
 * revision, at another one. With `max` 65,536 it looks at all there can be. */
uint32_t rebalance_zones(struct placer *placer, const struct state *state,
                         uint64_t time_ms, struct rebalance_move *moves,
                         uint32_t max);

/* The same in slices, for a loop that must not stand still: create with the
 * state as it is, then work for about `budget` VMs at a time, 0.2 us each,
 * until it is true; then decide, once, in a turn, for the placer's state. That
 * may have changed: VMs that are no longer as they were found are left out, and
 * the zones are taken to be as full as they were. Of a state that has not
 * changed the moves are those that rebalance_zones() gives. */
struct rebalance;
struct rebalance *rebalance_create(const struct state *state, uint64_t time_ms,
                                   uint32_t max);
bool rebalance_work(struct rebalance *rebalance, uint32_t budget);
uint32_t rebalance_decide(struct rebalance *rebalance, struct placer *placer,
                          const struct state *state,
                          struct rebalance_move *moves, uint32_t max);
void rebalance_destroy(struct rebalance *rebalance);

/* VMs that stay where too much is only because they were assigned within
 * vm_cool_down_ms of `time_ms`: why zones differ and rebalance_zones() gives no
 * move. Looks at REBALANCE_LOOK_MIN VMs at most: there may be more. */
uint32_t rebalance_resting(const struct state *state, uint64_t time_ms);

/* Members of the group that break its rules as these are now (of zones, and the
 * strict ones of fault domains and hosts), with targets where they keep them;
 * at most `max`, low priority first, then little memory, whenever they were
 * assigned. Those that cannot leave are not among them; `stuck` counts them.
 * Members that hold room elsewhere already count there. */
uint32_t rebalance_group(struct placer *placer, const struct state *state,
                         uint32_t group_slot, struct rebalance_move *moves,
                         uint32_t max, uint32_t *stuck);

/* The fewest moves that could do it by the same order: what the group rules
 * want, then in each full zone what is too much over the largest VMs that may
 * leave, those of higher priority only when the lower ones do not suffice. What
 * rebalance_zones() is measured by; looks at all VMs and sorts them.
 * `any_priority`: as if all priorities were equal. */
uint32_t rebalance_lower_bound(const struct state *state, uint64_t time_ms,
                               bool any_priority);

#endif
