/* SPDX-License-Identifier: Apache-2.0
 *
 * What takes time, read from the state: an operation is no record but a way to
 * look at the object that it is about, so each node says the same and a new
 * leader goes on with it. Its name says what is meant: kind, object, the
 * object's uid and a mark that tells it from others of its kind: which drain,
 * when the zone was lost, the wished count, the template's generation, the
 * VM's epoch before it. Applies alone, which are about many objects, have a
 * record (node/applies.h). Pure. */
#ifndef NODE_OPERATION_H
#define NODE_OPERATION_H

#include "state/state.h"

/* The numbers are those of operation_service.proto. */
enum operation_kind {
    OPERATION_NONE = 0,
    OPERATION_DRAIN_HOST = 1,
    OPERATION_DRAIN_ZONE = 2,
    OPERATION_RECOVER_ZONE = 3,
    OPERATION_SCALE_GROUP = 4,
    OPERATION_UPDATE_GROUP = 5,
    OPERATION_DELETE_GROUP = 6,
    OPERATION_START_VM = 7,
    OPERATION_STOP_VM = 8,
    OPERATION_MOVE_VM = 9,
    OPERATION_DELETE_VM = 10,
    OPERATION_RECOVER_HOST = 11,
    OPERATION_APPLY_PLAN = 12,
    OPERATION_APPLY_MANIFEST = 13
};
#define OPERATION_KIND_COUNT 14

static inline bool operation_is_apply(uint64_t kind)
{
    return kind == OPERATION_APPLY_PLAN || kind == OPERATION_APPLY_MANIFEST;
}

enum operation_state {
    OPERATION_RUNNING = 1,
    OPERATION_DONE = 2,
    OPERATION_FAILED = 3,
    OPERATION_CANCELLED = 4
};

/* What VMs wait for: reasons of pending VMs by their numbers, then these. */
enum operation_reason {
    OPERATION_WAITS_BUDGET = PENDING_REASON_COUNT,
    OPERATION_WAITS_LOCAL_DISK,
    OPERATION_WAITS_ZONAL,
    OPERATION_WAITS_MOVING,
    OPERATION_WAITS_STARTING,
    OPERATION_WAITS_STOPPING,
    OPERATION_WAITS_NOT_MADE,
    OPERATION_WAITS_OUTDATED,
    OPERATION_REASON_COUNT
};

/* "no_capacity", "budget". */
const char *operation_reason_name(uint32_t reason);

/* What a name says. A part of an apply has no object's name: the uid says all.
 */
struct operation_ref {
    enum operation_kind kind;
    char object[NAME_BYTES];
    uint64_t uid;
    uint64_t mark;
};

#define OPERATION_NAME_BYTES 128

void operation_name(const struct operation_ref *ref,
                    char name[OPERATION_NAME_BYTES]);

/* False when it is no operation's name. */
bool operation_parse(const char *name, struct operation_ref *ref);

/* How much is wanted, for some of it takes walks. */
enum operation_depth {
    /* Only whether it is over: the first VM that is left decides. Of an apply,
     * whether it is noted to be; applies_are_over() looks at its parts. */
    OPERATION_ENDED,
    /* Without what a drain waits for, which is a walk over its VMs. */
    OPERATION_BRIEF,
    OPERATION_WHOLE
};

struct operation {
    struct operation_ref ref;
    enum operation_depth depth; /* To which the rest was judged. */
    enum operation_state state;
    uint32_t done;
    uint32_t total; /* 0: not known. */
    uint32_t left;
    uint32_t failed;    /* Parts of an apply. */
    uint32_t cancelled; /* Likewise. */
    bool ending;        /* An apply that somebody cancelled. */
    uint32_t waits[OPERATION_REASON_COUNT];
    char message[256];
    enum move_cause cause;
    uint64_t begin_ms; /* 0: not kept. */
    uint64_t end_ms;   /* Of an apply: when it was noted that it is over. */
    uint64_t revision; /* The object's; 0: it is gone. */
    bool cancellable;
};

/* How it stands. False when the state does not tell of it (any more). */
bool operation_judge(const struct state *state, const struct operation_ref *ref,
                     enum operation_depth depth, struct operation *operation);

/* The operations that an object's record tells of now; kind OPERATION_NONE:
 * none. */
struct operation_ref operation_of_host(const struct host *host);
struct operation_ref operation_of_zone(const struct zone *zone);
struct operation_ref operation_of_loss(const struct zone *zone);
/* Unless its zone is lost as well. */
struct operation_ref operation_of_host_loss(const struct state *state,
                                            const struct host *host);
struct operation_ref operation_of_group(const struct state *state,
                                        const struct group *group);
struct operation_ref operation_of_vm(const struct vm *vm);

/* One that was just asked for, of that kind. */
struct operation_ref operation_on_group(const struct group *group,
                                        enum operation_kind kind);
struct operation_ref operation_on_vm(const struct vm *vm,
                                     enum operation_kind kind);

/* The changes that begin a drain, which gets a number, or end it: as EMPTY when
 * nothing is left, else as `end` says. None is at risk. */
struct change operation_drain_host(const struct host *host, bool draining,
                                   uint64_t deadline_ms, enum drain_end end);
struct change operation_drain_zone(const struct zone *zone, bool draining,
                                   uint64_t deadline_ms, enum drain_end end);

/* What the group's members are, for counting. */
struct operation_members {
    uint32_t count;    /* Made from the template and not on their way out. */
    uint32_t leaving;  /* Being deleted. */
    uint32_t young;    /* Of `count`: have never run. */
    uint32_t outdated; /* Of `count`: of an older template. */
    uint32_t waits[OPERATION_REASON_COUNT];
};

void operation_count_members(const struct state *state,
                             const struct group *group,
                             struct operation_members *members);

#endif
