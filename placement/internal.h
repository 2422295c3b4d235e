/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files of this folder: what the placer keeps, and how a choice
 * goes. The order in which hosts are preferred is in compare.c, the rules are
 * in filter.c. */
#ifndef PLACEMENT_INTERNAL_H
#define PLACEMENT_INTERNAL_H

#include "base/map.h"
#include "placement/fleet.h"
#include "placement/placement.h"
#include "placement/ranks.h"

/* What a VM may use of a host's free room. */
enum placer_view {
    VIEW_ORDINARY,    /* All but what is reserved and what headroom holds. */
    VIEW_PREEMPTIBLE, /* All but what headroom holds. */
    VIEW_AT_RISK,     /* All but what is reserved. */
    VIEW_RECOVERING,  /* All. */
    VIEW_COUNT
};

static inline bool view_has_reserved(enum placer_view view)
{
    return view == VIEW_PREEMPTIBLE || view == VIEW_RECOVERING;
}

static inline bool view_has_held(enum placer_view view)
{
    return view == VIEW_AT_RISK || view == VIEW_RECOVERING;
}

/* Amounts of all kinds on a host. */
struct placer_room {
    struct resources resources;
    struct amounts named;
};

/* Hosts alike in what VMs ask for beside room are one kind; each zone has a
 * part of the index for each. The last kind is for all others when there are
 * too many: there, each host is looked at. */
#define KINDS_MAX 16

struct placer_kind {
    uint64_t pool_mask;
    uint8_t driver_mask;
    uint8_t named_mask; /* Bit i: has some of the named resource i. */
    bool gpu;
};

/* --- known.c: where each VM was when the placer was told of it last. --- */

struct known_vm {
    uint32_t host_plus1;  /* Slot, 0: none; likewise all. */
    uint32_t claim_plus1; /* Where it holds room. */
    uint32_t group_plus1;
    uint8_t preemptible; /* 0 or 1 */
    uint8_t taken;       /* 0: the clone's record counts. */
    /* With a claim: the zone of it, and the zone of the host that the VM will
     * leave for it. The claim of a trial (placement/trial.c) is on what the VM
     * left already: with that none is left. */
    uint8_t claim_zone_plus1;
    uint8_t leaves_zone_plus1;
};

/* A new placer knows the state as a clone; the VMs' entries are taken out of
 * that step by step, so that a new leader does not read a million records at
 * once. */
struct known {
    struct state *clone;     /* NULL: all are taken. */
    struct known_vm **pages; /* NULL: none of its entries is taken. */
    uint32_t page_count;
    uint32_t next; /* All slots below are taken. */
};

void known_reset(struct known *known, const struct state *state);
void known_close(struct known *known);

/* Takes up to `budget` more entries. */
void known_work(struct known *known, uint32_t budget);

struct known_vm known_get(const struct known *known, uint32_t slot);
/* The VM is so now; how it was. */
struct known_vm known_exchange(struct known *known, uint32_t slot,
                               struct known_vm vm);

/* `vm`: of the state; NULL: a hole. */
struct known_vm known_of(const struct state *state, const struct vm *vm);

struct placer;

/* --- counts.c: members of groups by fault domain and host. --- */

/* Counted for groups whose rules asked for it, from then on. Members count
 * where they are assigned and where they hold room.
 *
 * By zone the state counts members where they are assigned; what claims add to
 * that is counted here, for every group and always, for claims are few. */
struct counts {
    struct map map;         /* By a key of group and domain or host. */
    struct map claims;      /* By a key of group and zone. */
    uint64_t *opened;       /* By slot of the group: its uid; 0: not. */
    uint32_t opened_size;   /* Slots. */
    uint32_t opened_groups; /* How many. */
};

/* Domains and hosts are counted anew when they are asked for. */
void counts_reset(struct counts *counts);
void counts_close(struct counts *counts);
/* Of a state that the placer knows from now on. */
void counts_load(struct placer *placer, const struct state *state);

/* Whether members of the group hold room at all. */
bool counts_claims(const struct placer *placer, uint32_t group_slot);
/* Members that hold room in the zone. */
uint32_t counts_claimed(const struct placer *placer, uint32_t group_slot,
                        uint32_t zone);
/* How many members more the zone will have once those that hold room are
 * there; negative: less. */
int32_t counts_coming(const struct placer *placer, uint32_t group_slot,
                      uint32_t zone);
/* The group with its members by zone as these will be: itself, or `copy`.
 * Without a placer (NULL): as these are. */
const struct group *counts_bound(const struct placer *placer,
                                 const struct group *group, struct group *copy);

void counts_open(struct placer *placer, const struct state *state,
                 uint32_t group_slot);
/* The VM's entry has become another one. */
void counts_change(struct placer *placer, const struct known_vm *from,
                   const struct known_vm *to);
uint32_t counts_of_domain(const struct placer *placer, uint32_t group_slot,
                          uint32_t domain);
uint32_t counts_of_host(const struct placer *placer, uint32_t group_slot,
                        uint32_t host);
/* No domain of the zone has fewer members. */
uint32_t counts_least(const struct placer *placer, uint32_t group_slot,
                      uint32_t zone);

/* --- reserve.c: slots of reservations. --- */

/* Slots of one reservation on one host. */
struct reserved_slots {
    uint32_t reservation;
    uint32_t host;
    uint32_t count;
    uint32_t used;       /* Of these, how many have no room now. */
    uint32_t host_next1; /* Others of the host, of the reservation; plus 1. */
    uint32_t own_next1;
};

struct placer_reservation;

struct reserve {
    struct reserved_slots *slots;
    uint32_t slots_used;
    uint32_t slots_size;
    uint32_t slots_free1;
    struct placer_reservation *entries; /* By slot of the reservation. */
    uint32_t entry_count;
    uint32_t *host_first1; /* By host slot. */
    uint32_t host_count;
    struct placer_room *rooms; /* By host slot: of slots that have room. */
    uint32_t zone_missing[ZONES_MAX]; /* Slots; while nothing is `todo`. */
    uint32_t active;                  /* Reservations. */
    bool todo;                        /* Slots are to be looked for. */
};

struct placer_reservation {
    uint64_t uid;            /* 0: none. */
    struct placer_room room; /* Of one slot. */
    uint32_t zone;
    uint32_t count;
    uint32_t found;
    uint32_t used;
    uint32_t first1;
};

void reserve_close(struct reserve *reserve);
void reserve_reset(struct placer *placer, const struct state *state);
void reserve_changed(struct placer *placer, const struct state *state,
                     uint32_t slot);
/* The classes' sizes may be others. */
void reserve_classes_changed(struct placer *placer, const struct state *state);
/* Looks for what is to be looked for; needs the index. */
void reserve_find(struct placer *placer, const struct state *state);
/* Likewise, slot by slot as far as the budget goes; true when nothing is left
 * to look for. */
bool reserve_work(struct placer *placer, const struct state *state,
                  uint32_t *budget);

/* A host's free room, or whether it is open, has changed. */
void reserve_host_changed(struct placer *placer, uint32_t host);

/* All slots of the host, with room or not. */
void reserve_of_host(const struct placer *placer, uint32_t host,
                     struct placer_room *room);

/* --- index.c --- */

struct placer_index {
    struct placer_kind kinds[KINDS_MAX];
    uint32_t kind_count;
    uint8_t *kind_of; /* By host slot. */
    uint32_t host_size;
    /* Hosts by the log2 of what they have, for the scale. */
    uint32_t cpu_log2[33];
    uint32_t memory_log2[33];
    uint64_t cpu_milli; /* What all have together, likewise. */
    uint64_t memory_mib;
    struct ranks_size sizes[RANKS_SIZES_MAX]; /* As the table was made. */
    uint32_t size_count;
    struct ranks_scale scale;
    bool table_checked; /* Nothing has changed that would ask for another. */
    struct ranks_table *table;
    bool is_loaded;   /* index_work() has put all hosts in; else those of */
    uint32_t load_at; /* the slots below. */
    /* NULL: not made. */
    struct ranks *views[VIEW_COUNT];
    uint32_t idle[VIEW_COUNT]; /* Updates since it was asked for. */
    uint32_t zone_count;       /* Of the views. */
    uint32_t zone_stride;      /* Parts a zone: kinds, or more. */
};

struct placer;

/* All views are to be made anew. */
void index_forget(struct placer_index *index);

/* Takes over what another one has compiled, in case it suits. */
void index_share(struct placer_index *index, const struct placer_index *from);

/* Knows no host: is told of all anew. */
void index_begin(struct placer *placer);

/* Once all are told: works on the table, and on the index of what is free to
 * ordinary VMs, for as many hosts as `budget` says; true when a choice finds
 * both complete. What is changed meanwhile is told as always. */
bool index_work(struct placer *placer, const struct state *state,
                uint32_t *budget);
bool index_is_ready(const struct placer_index *index);

void index_host_changed(struct placer *placer, uint32_t slot,
                        const struct fleet_host *former);
void index_zones_changed(struct placer *placer, const struct state *state);
void index_class_changed(struct placer *placer, const struct state *state,
                         uint32_t slot);

/* What is free on a host for some view has changed. */
void index_update(struct placer *placer, uint32_t host);

/* Whether that view is of all that is free: nothing is reserved or held. */
bool index_view_is_all(const struct placer *placer, enum placer_view view);

/* The index for a view, made if need be. Part: zone * zone_stride + kind. */
struct ranks *index_view(struct placer *placer, const struct state *state,
                         enum placer_view view);

/* --- placer.c --- */

/* A choice that found nothing, until something changes. */
struct placer_refusal {
    uint64_t version;
    struct vm kind; /* What choices look at; the rest is zero. */
    struct placement_choice choice;
    bool counted; /* `refused` is set. */
};
#define REFUSALS_MAX 16

/* How far placer_work() is; what was done before is kept current by what is
 * told. */
enum placer_step {
    PLACER_STEP_HOSTS,    /* Hosts in slots from step_at on are unknown. */
    PLACER_STEP_INDEX,    /* index_work() */
    PLACER_STEP_RESERVED, /* reserve_work() */
    PLACER_STEP_READY
};

struct placer {
    uint64_t choices; /* Made so far; for metrics. */
    uint64_t looks;   /* See placer_looks(). */
    /* Rises with each change that may let in what was refused. */
    uint64_t version;
    enum placer_step step;
    uint32_t step_at;
    bool has_policy; /* The state has one of its own. */
    struct fleet *fleet;
    struct placer_index index;
    struct known known;
    struct counts counts;
    struct reserve reserve;
    struct headroom *headroom;
    struct placer_room *held; /* By host slot; see placer_hold(). */
    uint32_t held_size;
    uint32_t *preemptible; /* VMs that may be stopped, by host slot. */
    uint32_t host_size;
    uint32_t preemptible_total; /* On all hosts. */
    bool preemptible_known;
    struct placer_refusal refusals[REFUSALS_MAX];
    uint32_t refusal_next;
    uint32_t reason_host; /* Which host told the last reason: the next VM's
                           * may be the same. */
};

/* Of headroom_book.h. */
struct headroom *placer_headroom(const struct placer *placer);

/* From now on `preemptible` is right. */
void placer_know_preemptible(struct placer *placer, const struct state *state);

/* What a host has free, with what is reserved there and what headroom holds, or
 * less these. */
void placer_free(const struct placer *placer, uint32_t host, bool reserved,
                 bool held, struct placer_room *room);

/* Whether that is less than what the host has free, for any host and VM. */
static inline bool placer_takes_off(const struct placer *placer)
{
    return placer->reserve.active > 0 || placer->held_size > 0;
}

/* Sets what VMs that are not recovering leave free on a host, for headroom. */
void placer_hold(struct placer *placer, uint32_t host,
                 const struct placer_room *room);

static inline bool room_covers(const struct placer_room *room,
                               const struct resources *wanted,
                               const struct amounts *named)
{
    bool covers = room->resources.cpu_milli >= wanted->cpu_milli &&
                  room->resources.memory_mib >= wanted->memory_mib &&
                  room->resources.disk_gib >= wanted->disk_gib &&
                  room->resources.gpu_count >= wanted->gpu_count;

    for (uint32_t i = 0; i < NAMED_MAX && covers; i++) {
        covers = room->named.of[i] >= named->of[i];
    }
    return covers;
}

/* Takes as far as there is. */
void room_take(struct placer_room *room, const struct placer_room *part);

/* Adds, up to UINT32_MAX. */
void room_add(struct placer_room *room, const struct resources *part,
              const struct amounts *named);

/* --- A choice --- */

/* What it looks at again and again. */
struct placement_query {
    struct placer *placer;
    const struct state *state;
    const struct vm *vm;
    const struct class *class;
    const struct group *group; /* NULL: none. */
    const uint64_t *selected;  /* Bits of hosts; NULL: all. */
    struct known_vm self;      /* Where it counts as a member itself. */
    enum placer_view view;
    uint32_t prefer_zone;
    uint32_t group_slot; /* SLOT_NONE: none. */
    uint32_t domain_max; /* 0: no limit, */
    uint32_t host_max;   /* likewise. */
    bool domain_soft;    /* Fewest members are preferred, */
    bool host_soft;      /* likewise. */
    bool more_amounts;   /* It asks for more than CPU and memory. */
    uint8_t named_mask;  /* Bit i: for the named resource i. */
    uint32_t least;      /* Members in the zones that count: fewest; */
    uint32_t most;       /* in any zone: most. */
    /* Members of its group, without itself; not set without a group. Once
     * all moves are made; */
    uint32_t counts[ZONES_MAX];
    /* and all that are there or hold room there. */
    uint32_t taken[ZONES_MAX];
};

void query_init(struct placement_query *query, struct placer *placer,
                const struct state *state, const struct vm *vm,
                uint32_t prefer_zone);

/* What the VM may use by itself. */
enum placer_view query_view(const struct vm *vm);

/* Members of the VM's group, without itself. */
uint32_t query_domain_count(const struct placement_query *query,
                            uint32_t domain);
uint32_t query_host_count(const struct placement_query *query, uint32_t host);

/* --- filter.c --- */

/* The first rule that refuses the host (a slot that is no hole), or
 * PLACEMENT_REFUSAL_COUNT. */
enum placement_refusal filter_host(const struct placement_query *query,
                                   uint32_t slot);

/* Zones of which no rule refuses all hosts: one bit each, as far as the VM's
 * and its class's own wishes go; then whether a zone of these is one. */
uint64_t filter_zones(const struct placement_query *query);
bool filter_zone(const struct placement_query *query, uint32_t zone,
                 const struct zone *record);

/* Whether hosts of the kind may do. */
bool filter_kind(const struct placement_query *query,
                 const struct placer_kind *kind);

/* Whether a host passes the rules that filter_zone() and the index do not
 * decide; it is open. Nor is it where the VM just failed: that comes last. */
bool filter_found(const struct placement_query *query, uint32_t host);

/* Whether it passes all rules but those for room. */
bool filter_but_room(const struct placement_query *query, uint32_t slot);

/* --- compare.c --- */

/* A host that passed every rule. */
struct placement_candidate {
    uint32_t host; /* Slot; SLOT_NONE: none. */
    uint32_t zone;
    uint32_t domain_members; /* 0 without a soft rule. */
    uint32_t host_members;
    struct ranks_order order;
};

/* A share of a whole, part / whole; compared without dividing. */
struct placement_share {
    uint64_t part;
    uint64_t whole;
};

/* How full a zone is, by the fullest of CPU and memory: what runs out first. */
struct placement_share placement_zone_load(const struct zone *zone);

/* compare_zones() of zones whose loads are known. */
int compare_loaded_zones(const struct placement_query *query, uint32_t a,
                         const struct placement_share *load_a, uint32_t b,
                         const struct placement_share *load_b);

/* Negative when `a` is the better zone for the VM, positive when `b` is; never
 * 0. `rule_only`: by the group's rule alone, may be 0. */
int compare_zones(const struct placement_query *query, uint32_t a, uint32_t b,
                  bool rule_only);

/* By the wishes of the group for domains and hosts. */
int compare_members(const struct placement_candidate *a,
                    const struct placement_candidate *b);

/* Of two hosts in one zone. */
int compare_in_zone(const struct placement_candidate *a,
                    const struct placement_candidate *b);

/* Of any two; never 0 for different hosts. */
int compare_candidates(const struct placement_query *query,
                       const struct placement_candidate *a,
                       const struct placement_candidate *b);

/* It failed there last, so any other is better. */
bool compare_failed_on(const struct vm *vm, uint32_t host);

/* --- choose.c --- */

/* The best host of all zones but some, or SLOT_NONE. */
uint32_t choose_host(const struct placement_query *query, uint64_t not_zones);

/* The only host that its move, its claim or its disks leave; SLOT_NONE. */
uint32_t choose_only_host(const struct vm *vm);

/* --- refusal.c --- */

/* Why no host takes the VM, where headroom has not been asked. `kept`: some
 * would if nothing were reserved or held. */
enum pending_reason refusal_reason(const struct placement_query *query,
                                   bool kept);

/* Counts who was refused for what. `not_zones`: where headroom said no. */
void refusal_count(const struct placement_query *query, uint64_t not_zones,
                   uint32_t *refused);

/* --- explain.c --- */

/* What a person should be told: the rule that came closest to letting the VM
 * in, for a cure there helps. */
enum pending_reason reason_of(const uint32_t *refused);

#endif
