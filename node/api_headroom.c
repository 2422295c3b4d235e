/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api_headroom.h"

#include "base/check.h"
#include "base/planted.h"
#include "node/group_fields.h"
#include "node/limits.h"
#include "node/view.h"
#include "placement/headroom.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool api_headroom_is_enforced(const struct state *state)
{
    return state_policy(state)->headroom == HEADROOM_ENFORCE &&
           !PLANTED(HEADROOM_FREE);
}

static void fail_unknown(struct api_reply *reply)
{
    api_fail(reply, API_HEADROOM_UNKNOWN,
             "headroom: whether the loss of each zone is survived is still "
             "being worked out; retry");
}

struct sentence {
    char text[400];
    size_t used;
};

static void __attribute__((format(printf, 2, 3)))
say(struct sentence *sentence, const char *format, ...)
{
    va_list args;
    int len;

    if (sentence->used >= sizeof(sentence->text)) {
        return;
    }
    va_start(args, format);
    len = vsnprintf(sentence->text + sentence->used,
                    sizeof(sentence->text) - sentence->used, format, args);
    va_end(args);
    sentence->used += len > 0 ? (size_t)len : 0;
}

/* "12 VMs of class 'small'". */
static void say_count(struct sentence *sentence, const struct state *state,
                      const struct placement_headroom *missing)
{
    const struct class *class =
        missing->class_slot == SLOT_NONE
            ? NULL
            : state_class_at(state, missing->class_slot);
    char words[256] = "";

    if (class != NULL) {
        view_class_words(state, class, words, sizeof(words));
    }
    say(sentence, "%u VM%s%s%s", missing->count, missing->count == 1 ? "" : "s",
        class == NULL ? "" : " of ", words);
}

/* All that is missing, by zone: "if zone 'z1' were then lost, 12 VMs of class
 * 'small', 1 VM of class 'large' would find no room in the other zones; if zone
 * 'z2', ...". */
static void fail_missing(struct api_reply *reply, const struct state *state,
                         const struct placement_headroom *missing,
                         uint32_t count)
{
    static const char lacking[] = " would find no room in the other zones";
    struct sentence sentence = {.used = 0};
    bool told = false;

    for (uint32_t i = 0; i < count; i++) {
        bool another = i == 0 || missing[i].zone != missing[i - 1].zone;

        if (another && i > 0) {
            say(&sentence, "%s; ", told ? "" : lacking);
            told = true;
        }
        if (another && missing[i].zone != SLOT_NONE) {
            say(&sentence, "if zone '%s'%s, ",
                state_zone_at(state, missing[i].zone)->name,
                told ? "" : " were then lost");
        } else {
            say(&sentence, "%s", another ? "if a zone were then lost, " : ", ");
        }
        say_count(&sentence, state, &missing[i]);
    }
    api_fail(reply, API_HEADROOM,
             "headroom: %s%s; add hosts there, or stop others", sentence.text,
             told ? "" : lacking);
}

static void fail_headroom(struct api_reply *reply, const struct state *state,
                          const struct placement_headroom *missing)
{
    fail_missing(reply, state, missing, 1);
}

bool api_check_choice(struct api_reply *reply, const struct state *state,
                      const struct placement_choice *choice)
{
    if (choice->host != SLOT_NONE) {
        return true;
    }
    if (choice->retry) {
        fail_unknown(reply);
    } else if (choice->reason == PENDING_HEADROOM) {
        fail_headroom(reply, state, &choice->headroom);
    }
    return reply->code == RPC_OK;
}

static bool check_place(struct api_reply *reply, struct turn_plan *plan,
                        const struct vm *vm)
{
    struct placement_request request = {vm, SLOT_NONE};
    struct placement_choice choice;

    placer_choose(plan->placer, plan->scratch, &request, &choice);
    return api_check_choice(reply, plan->scratch, &choice);
}

/* As the VM would be in the state. What is interned there has no place in it
 * yet, so this is for VMs without a selector. */
static void candidate(const struct state *state,
                      const struct change_vm_create *create, struct vm *vm)
{
    *vm = (struct vm){
        .class_slot = uid_slot(create->class.uid),
        .zone = create->zone.uid == 0 ? SLOT_NONE : uid_slot(create->zone.uid),
        .host = SLOT_NONE,
        .host_next = SLOT_NONE,
        .host_prev = SLOT_NONE,
        .last_host = SLOT_NONE,
        .move_zone = SLOT_NONE,
        .move_host = SLOT_NONE,
        .priority = (uint16_t)create->priority,
        .state = VM_PENDING,
        .pending_reason = PENDING_QUEUED,
        .desired = DESIRED_RUNNING,
        .on_partition = (uint8_t)create->on_partition,
        .driver = (uint8_t)create->driver,
        .disk_zone_mask = create->disk_zone_mask,
        .group_plus1 =
            create->group.uid == 0 ? 0 : uid_slot(create->group.uid) + 1,
        .preemptible = create->preemptible,
        .local_disk = create->local_disk,
    };
    for (uint32_t i = 0; i < create->pool_count; i++) {
        vm->pool_mask |= state_pool_bit(state, create->pools[i]);
    }
}

bool api_check_create_headroom(struct api_reply *reply, struct turn_plan *plan,
                               const struct api_size *size,
                               const struct change *create)
{
    struct change change = *create;
    struct turn_trial trial;
    const struct vm *made;
    struct vm vm;
    bool good;

    if (!api_headroom_is_enforced(plan->scratch) ||
        create->vm_create.desired != DESIRED_RUNNING) {
        return true;
    }
    if (size->class != NULL && create->vm_create.selector.len == 0) {
        candidate(plan->scratch, &create->vm_create, &vm);
        return check_place(reply, plan, &vm);
    }
    turn_trial_begin(&trial, plan);
    change.vm_create.class = api_size_class(size, &trial.plan);
    turn_change(&trial.plan, &change);
    made = state_vm_named(trial.plan.scratch, create->vm_create.name);
    good = check_place(reply, &trial.plan, made);
    turn_trial_end(&trial);
    return good;
}

bool api_check_start_headroom(struct api_reply *reply, struct turn_plan *plan,
                              const struct vm *vm)
{
    struct vm started = *vm;

    if (!api_headroom_is_enforced(plan->scratch)) {
        return true;
    }
    started.uid = 0;
    started.state = VM_PENDING;
    started.pending_reason = PENDING_QUEUED;
    started.desired = DESIRED_RUNNING;
    return check_place(reply, plan, &started);
}

static void apply_member(struct turn_plan *plan, const struct change *create)
{
    /* Not by turn_change(): what it would write is needed nowhere. */
    state_apply(plan->scratch, create, &plan->sink);
}

static void assign_member(struct turn_plan *plan, const struct vm *vm,
                          uint32_t host)
{
    struct change assign = {.kind = CHANGE_VM_ASSIGN};

    assign.vm_assign = (struct change_vm_assign){
        {vm->uid}, {state_host_at(plan->scratch, host)->uid}, vm->epoch + 1};
    state_apply(plan->scratch, &assign, &plan->sink);
}

/* Whether the member found room, or waits for another reason than headroom:
 * one that waits endangers nobody. */
static bool try_member(struct api_reply *reply, struct turn_plan *plan,
                       const struct change *create)
{
    struct placement_request request = {NULL, SLOT_NONE};
    struct placement_choice choice;

    apply_member(plan, create);
    request.vm = state_vm_named(plan->scratch, create->vm_create.name);
    placer_choose(plan->placer, plan->scratch, &request, &choice);
    if (choice.host == SLOT_NONE) {
        return api_check_choice(reply, plan->scratch, &choice);
    }
    assign_member(plan, request.vm, choice.host);
    return true;
}

/* The check ended at the first member that breaks the proof. What is missing
 * for all of them shows when all are there. */
#define MISSING_TOLD_MAX 8

static void place_at_risk(struct turn_plan *plan, const struct vm *vm)
{
    struct placement_request request = {vm, SLOT_NONE};
    struct placement_choice choice;

    placer_choose_at_risk(plan->placer, plan->scratch, &request, &choice);
    if (choice.host != SLOT_NONE) {
        assign_member(plan, vm, choice.host);
    }
}

static void tell_all_missing(struct api_reply *reply, struct turn_plan *plan)
{
    struct placement_headroom missing[MISSING_TOLD_MAX];
    uint32_t count = 0;
    uint32_t slices = 0;

    while (!headroom_work(plan->placer, plan->scratch, HEADROOM_SLICE_VMS) &&
           slices++ < API_TRIED_SLICES_MAX) {
    }
    for (uint32_t zone = 0; zone < state_zone_slots(plan->scratch); zone++) {
        if (state_zone_at(plan->scratch, zone) != NULL) {
            count += headroom_missing(plan->placer, zone, missing + count,
                                      MISSING_TOLD_MAX - count);
        }
    }
    if (count > 0) {
        reply->code = RPC_OK; /* It says more than what was said. */
        fail_missing(reply, plan->scratch, missing, count);
    }
}

static bool check_members_count(struct api_reply *reply,
                                const struct turn_plan *plan, uint32_t count)
{
    if (count > API_TRIED_MEMBERS_MAX) {
        api_fail(reply, API_INVALID_FIELD,
                 "count: %u members more; with `headroom: enforce` at most %d "
                 "at a time",
                 count, API_TRIED_MEMBERS_MAX);
        return false;
    }
    if (state_counts(plan->scratch)->vms + count > VMS_MAX) {
        api_fail(reply, API_TABLE_FULL, "the region holds %u VMs at most",
                 VMS_MAX);
        return false;
    }
    return true;
}

bool api_check_members_headroom(struct api_reply *reply, struct turn_plan *plan,
                                struct group_id group, uint32_t count)
{
    struct text pools[CHANGE_POOLS_MAX];
    bool refused = false;
    char name[16];

    CHECK(plan->trial != NULL);
    if (!check_members_count(reply, plan, count)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct change create;

        snprintf(name, sizeof(name), "=%u", i);
        create = group_fields_member(
            plan->scratch, state_group(plan->scratch, group), name, pools);
        if (refused) {
            apply_member(plan, &create);
        } else if (!try_member(reply, plan, &create)) {
            if (reply->reason != api_error_entry(API_HEADROOM)->reason) {
                return false;
            }
            refused = true;
        }
        if (refused) {
            place_at_risk(plan,
                          state_vm_named(plan->scratch, create.vm_create.name));
        }
    }
    if (refused) {
        tell_all_missing(reply, plan);
    }
    return !refused;
}

static bool check_answer(struct api_reply *reply, const struct state *state,
                         enum headroom_answer answer,
                         const struct placement_headroom *missing)
{
    if (answer == HEADROOM_ASK_AGAIN) {
        fail_unknown(reply);
    } else if (answer == HEADROOM_NO) {
        fail_headroom(reply, state, missing);
    }
    return answer == HEADROOM_YES;
}

bool api_check_drain_headroom(struct api_reply *reply,
                              const struct turn_plan *plan, uint32_t host_slot,
                              uint32_t zone_slot)
{
    struct placement_headroom missing;

    return !api_headroom_is_enforced(plan->scratch) ||
           check_answer(reply, plan->scratch,
                        headroom_allows_drain(plan->placer, plan->scratch,
                                              host_slot, zone_slot, &missing),
                        &missing);
}

/* Only zones that are taken away can do harm. */
bool api_check_class_headroom(struct api_reply *reply,
                              const struct turn_plan *plan,
                              const struct class *class, uint64_t zone_mask)
{
    uint64_t before = class->zone_mask == 0 ? UINT64_MAX : class->zone_mask;
    uint64_t after = zone_mask == 0 ? UINT64_MAX : zone_mask;
    struct placement_headroom missing;

    return !api_headroom_is_enforced(plan->scratch) || (before & ~after) == 0 ||
           class->vm_count == 0 ||
           check_answer(reply, plan->scratch,
                        headroom_allows_class(plan->placer, plan->scratch,
                                              uid_slot(class->uid), zone_mask,
                                              &missing),
                        &missing);
}
