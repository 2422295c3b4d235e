/* SPDX-License-Identifier: Apache-2.0
 *
 * What the placer keeps for headroom: the witness (placement/witness.h), which
 * VMs are in it and why others are not, and what is still to be worked out.
 *
 * A VM's way: TODO when it gets a host and its rules let it count on another
 * zone, BACKED when a slot was found for it, else STUCK until something gets
 * room. When its host is fenced it is KEPT: its slot stays until it runs again.
 *
 * Between the files headroom*.c and the placer. */
#ifndef PLACEMENT_HEADROOM_BOOK_H
#define PLACEMENT_HEADROOM_BOOK_H

#include "base/map.h"
#include "placement/fleet.h"
#include "placement/headroom.h"
#include "placement/witness.h"

/* Kinds of demands on hosts that are remembered; beyond, all are forgotten. */
#define HEADROOM_KINDS_MAX 1024

/* Items that an admission settles by itself; with more to do it says "ask
 * again" and headroom_work() does it. */
#define HEADROOM_SETTLE_MAX 256

/* VMs of a zone that are planned anew at once, within a few milliseconds;
 * larger zones are done by headroom_work(). */
#define HEADROOM_REPLAN_AT_ONCE 20000

/* What a VM asks of hosts beside room, and a host in each zone that has it. */
struct headroom_kind {
    uint64_t pool_mask;
    uint32_t selector_blob;
    uint8_t driver;     /* 0: any. */
    uint64_t zone_mask; /* Zones with such a host that is open. */
    uint32_t examples[ZONES_MAX];
};

/* What kinds look at. */
struct headroom_traits {
    uint64_t pool_mask;
    uint32_t labels_blob;
    uint32_t zone; /* SLOT_NONE: no host. */
    uint8_t driver_mask;
    bool open;
    uint8_t padding[6];
};

enum headroom_phase {
    HEADROOM_IDLE, /* Mode OFF. */
    HEADROOM_LOAD_HOSTS,
    HEADROOM_LOAD_VMS,
    HEADROOM_READY
};

/* Counts by number, forgotten all at once. */
struct headroom_tally {
    struct {
        uint32_t stamp;
        uint32_t count;
    } * counts;
    uint32_t size;
    uint32_t stamp;
};

/* A member of a strict group, as if it were on a host already. */
struct headroom_phantom {
    uint32_t group_plus1; /* 0: none. */
    uint32_t host;
};

/* How a group's members and their slots lie if a zone fails. */
struct headroom_group_view {
    const struct group *group;
    uint32_t failing;
    uint32_t counts[ZONES_MAX]; /* Members with those that would come. */
    uint64_t allowed;           /* Zones that count for its rule. */
};

/* A plan of one failing zone's slots from scratch; headroom_replan.c. */
struct headroom_job_item {
    uint32_t item;
    uint32_t host; /* Of its slot before or in the best attempt; SLOT_NONE. */
    uint32_t generation;
    uint16_t size;
};

struct headroom_job {
    bool active;
    bool turned;   /* The other order of cells is being tried. */
    bool thorough; /* Time does not matter: it works in slices. */
    bool better;   /* This attempt is the best one so far. */
    uint8_t attempt;
    uint8_t step;
    uint32_t zone;
    uint32_t at;
    uint32_t count;
    uint32_t capacity;
    uint32_t stuck_before;
    uint32_t stuck_least; /* Of all attempts and before. */
    uint32_t looks;       /* Left for repairs. */
    uint64_t relief_before;
    uint64_t changes_before;
    struct headroom_job_item *items;
};

struct headroom_zone_book {
    uint64_t tried_relief;    /* At the last look at what is stuck. */
    uint64_t planned_changes; /* Since when plans from scratch were made */
    uint64_t planned_sizes;   /* for these: bits of size % 64. */
    uint32_t kept;
    uint32_t in_job;
    uint32_t unprotected;
    uint32_t *missing; /* By size: without a slot. */
    uint32_t missing_size;
};

/* The slot that an admission has found, for when the VM is assigned. */
struct headroom_hint {
    uint64_t vm_uid; /* 0: none. */
    uint32_t zone;
    uint32_t host;
};

/* Groups whose members' slots are to be looked at. */
struct headroom_dirty {
    uint32_t *slots;
    uint32_t count;
    uint32_t capacity;
    uint8_t *marked; /* By slot. */
    uint32_t marked_size;
};

struct headroom {
    struct witness witness;
    struct placer *placer;     /* Of which this is a part; */
    struct fleet *fleet;       /* and its fleet. */
    const struct state *state; /* Of the call that is under way. */
    enum headroom_mode mode;
    enum headroom_phase phase;
    uint32_t scan_at;       /* LOAD_*. */
    uint32_t host_sweep_at; /* Hosts from here on are looked at again, */
    uint32_t sweep_at;      /* VMs likewise; SLOT_NONE: none. */
    bool memory_first;      /* Memory is scarcer than CPU. */
    uint64_t target_mask;
    uint64_t failing_mask;
    struct headroom_traits *traits;
    uint32_t traits_count;
    uint32_t open_count;
    uint32_t driver_counts[8]; /* Open hosts that have it. */
    struct map kinds;
    struct headroom_kind *last_kind;
    struct headroom_tally host_tally;
    struct headroom_tally domain_tally;
    struct headroom_phantom phantom;
    struct headroom_zone_book zones[ZONES_MAX];
    struct headroom_dirty dirty;
    struct headroom_job job;
    struct headroom_hint hint;
    struct headroom_what_if *what_if; /* NULL: nobody has asked. */
};

/* For a placer, whose fleet knows the hosts of the state of each call. */
struct headroom *headroom_create(struct placer *placer);
void headroom_destroy(struct headroom *headroom);

/* Everything is worked out anew, by headroom_run(). */
void headroom_reset(struct headroom *headroom, const struct state *state);

/* Whether the policy asks for another mode than it works in. */
bool headroom_mode_changed(const struct headroom *headroom,
                           const struct state *state);

/* The records changed, came or went. */
void headroom_host_changed(struct headroom *headroom, const struct state *state,
                           uint32_t slot);
void headroom_vm_changed(struct headroom *headroom, const struct state *state,
                         uint32_t slot);
void headroom_group_changed(struct headroom *headroom,
                            const struct state *state, uint32_t slot);
void headroom_zone_changed(struct headroom *headroom, const struct state *state,
                           uint32_t slot);
void headroom_class_changed(struct headroom *headroom,
                            const struct state *state, uint32_t slot);

/* headroom_work() without the placer. */
bool headroom_run(struct headroom *headroom, const struct state *state,
                  uint32_t budget);

/* Whether the VM may have this host (a slot) in mode ENFORCE: with it every
 * zone's loss can still be survived. Moves other VMs' slots for it. NO: says
 * what is missing. */
enum headroom_answer headroom_admits(struct headroom *headroom,
                                     const struct state *state,
                                     const struct vm *vm, uint32_t host,
                                     struct placement_headroom *missing);

/* Makes the host free for the VM of slots that others hold there, if these find
 * others. Whether it did. */
bool headroom_makes_way(struct headroom *headroom, const struct state *state,
                        const struct vm *vm, uint32_t host);

/* The zone whose slots are in the VM's way on the host. */
void headroom_in_the_way(struct headroom *headroom, const struct state *state,
                         const struct vm *vm, uint32_t host,
                         struct placement_headroom *missing);

/* --- headroom_choose.c -----------------------------------------------------
 */

struct placement_query;

/* Whether headroom has a say in where the VM goes. */
bool headroom_guards(const struct placer *placer, const struct vm *vm);

/* The best host that headroom admits, or choice->retry. False: there is none.
 * `not_zones`: where it said no. */
bool headroom_choose(struct placement_query *query,
                     struct placement_choice *choice, uint64_t *not_zones);

/* Likewise, after moving slots off hosts that would do but for these. */
bool headroom_choose_hard(struct placement_query *query,
                          struct placement_choice *choice, uint64_t not_zones);

/* --- headroom_rules.c ----------------------------------------------------- */

/* Why the VM would be without protection on a host of the zone, or PROTECTED
 * and the zones that its class, disks and selector allow. */
enum unprotected_reason headroom_reason(struct headroom *headroom,
                                        const struct vm *vm, uint32_t zone,
                                        uint64_t *zone_mask);

/* The host's traits are looked at again; true when some kind of VM has more
 * zones now. */
bool headroom_traits_changed(struct headroom *headroom, uint32_t slot);

/* Of a group that its members' slots have to heed: NULL without. */
const struct group *headroom_strict_group(const struct state *state,
                                          uint32_t group_plus1);

/* A host for the VM's slot when `failing` fails, or SLOT_NONE. */
uint32_t headroom_search(struct headroom *headroom, const struct vm *vm,
                         const struct witness_want *want);

/* Whether a member's slot breaks its group's rules as the members are now; the
 * view was made for its failing zone. */
void headroom_view(struct headroom *headroom, const struct group *group,
                   uint32_t failing, struct headroom_group_view *view);
bool headroom_view_breaks(struct headroom *headroom,
                          const struct headroom_group_view *view,
                          uint32_t host);
/* A slot is taken out of the view. */
void headroom_view_drop(struct headroom *headroom,
                        struct headroom_group_view *view, uint32_t host);
void headroom_rules_close(struct headroom *headroom);

/* --- headroom_book.c ------------------------------------------------------ */

/* An item (its zone and size are set, it is in no list) gets a slot, becomes
 * STUCK or, if its rules have changed, UNPROTECTED. */
void headroom_settle(struct headroom *headroom, uint32_t item);

/* Out of what it is in: slots, lists, counts. Becomes NONE. */
void headroom_drop(struct headroom *headroom, uint32_t item);

/* From NONE to TODO or STUCK. */
void headroom_queue(struct headroom *headroom, uint32_t item,
                    enum witness_status status);

/* What the record in the slot says now. */
void headroom_update_vm(struct headroom *headroom, uint32_t slot);
void headroom_update_host(struct headroom *headroom, uint32_t slot);

/* Whether a slot is still right after rules have changed; else the item is
 * TODO. */
void headroom_verify(struct headroom *headroom, uint32_t item);

/* --- headroom_work.c ------------------------------------------------------ */

/* Items TODO and groups that changed, as far as the budget goes; true when
 * nothing is left. */
bool headroom_settle_all(struct headroom *headroom, uint32_t *budget);

/* --- headroom_book.c ------------------------------------------------------ */

/* A group's members' slots are looked at; those that break its rules become
 * TODO. */
void headroom_recheck_group(struct headroom *headroom, uint32_t group);

/* --- headroom_what_if.c --- */

/* Works on the question that was asked; true when it is answered. */
bool headroom_what_if_step(struct headroom *headroom, uint32_t budget);
void headroom_what_if_close(struct headroom *headroom);

/* --- headroom_replan.c -----------------------------------------------------
 */

/* Whether a plan from scratch is worth it for a size that finds no slot: once
 * for each size (64 in all) until a 64th of the zone's slots has changed. Says
 * so once. */
bool headroom_replan_is_due(struct headroom *headroom, uint32_t zone,
                            uint32_t size);

/* The slots of a zone are given anew, larger VMs first. What finds none then is
 * at most as much as before. Begin, then step until true. */
void headroom_replan_begin(struct headroom *headroom, uint32_t zone,
                           bool thorough);
bool headroom_replan_step(struct headroom *headroom, uint32_t *budget);
void headroom_replan_close(struct headroom *headroom);

/* What an item of each size counts for beside others: the share of the fleet
 * that it takes, of the resource of which that is most. The caller frees it. */
uint64_t *headroom_size_weights(const struct witness *witness);

/* --- headroom_repair.c ----------------------------------------------------
 */

/* A slot for an item (NONE, as for headroom_settle()) that finds none: others'
 * slots are moved for it, in chains. False: none was found, and all is as it
 * was. Takes the hosts that it looks at from `looks`, and ends when these do;
 * a few milliseconds at most. */
bool headroom_repair(struct headroom *headroom, uint32_t item, uint32_t *looks);

#endif
