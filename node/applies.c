/* SPDX-License-Identifier: Apache-2.0 */
#include "node/applies.h"

#include "base/check.h"
#include "node/access.h"
#include "node/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- What a record says --------------------------------------------------- */

/* The text behind the one at `*at`; "" where there is none. */
static const char *next_word(struct text words, uint32_t *at)
{
    const char *word = words.data + *at;
    size_t len = *at < words.len ? strnlen(word, words.len - *at) : 0;

    if (*at + len >= words.len) {
        *at = words.len;
        return "";
    }
    *at += (uint32_t)len + 1;
    return word;
}

struct apply_words applies_words(const struct state *state,
                                 const struct apply_record *record)
{
    struct text text = state_blob(state, record->words_blob);
    struct apply_words words;
    uint32_t at = 0;

    words.object = next_word(text, &at);
    words.caller = next_word(text, &at);
    words.request_id = next_word(text, &at);
    return words;
}

struct operation_ref operation_of_apply(const struct state *state,
                                        const struct apply_record *record)
{
    struct operation_ref ref = {
        .kind = record->kind == APPLY_PLAN ? OPERATION_APPLY_PLAN
                                           : OPERATION_APPLY_MANIFEST,
        .uid = record->uid,
        .mark = record->number,
    };

    (void)snprintf(ref.object, sizeof(ref.object), "%s",
                   applies_words(state, record).object);
    return ref;
}

const struct apply_record *applies_with_part(const struct state *state,
                                             const struct operation_ref *part,
                                             uint32_t bytes_max)
{
    const struct apply_record *found = NULL;

    for (uint32_t slot = 0; slot < state_apply_slots(state); slot++) {
        const struct apply_record *record = state_apply_at(state, slot);
        struct apply_cursor cursor = {0, 0};
        struct operation_ref one;
        struct text parts;

        if (record == NULL ||
            (found != NULL && found->number > record->number)) {
            continue;
        }
        parts = state_blob(state, record->parts_blob);
        if (parts.len > bytes_max) {
            continue;
        }
        bytes_max -= parts.len;
        while (apply_parts_next(parts, &cursor, &one)) {
            if (one.kind == part->kind && one.uid == part->uid &&
                one.mark == part->mark) {
                found = record;
                break;
            }
        }
    }
    return found;
}

/* --- Making one ----------------------------------------------------------- */

static int compare_touched(const void *a, const void *b)
{
    const uint64_t *left = a;
    const uint64_t *right = b;

    return *left < *right ? -1 : *left > *right;
}

static struct operation_ref motion_of(const struct state *state,
                                      enum event_kind kind, uint32_t slot)
{
    struct operation_ref none = {.kind = OPERATION_NONE};

    if (kind == EVENT_ZONE && state_zone_at(state, slot) != NULL) {
        return operation_of_zone(state_zone_at(state, slot));
    }
    if (kind == EVENT_HOST && state_host_at(state, slot) != NULL) {
        return operation_of_host(state_host_at(state, slot));
    }
    if (kind == EVENT_GROUP && state_group_at(state, slot) != NULL) {
        return operation_of_group(state, state_group_at(state, slot));
    }
    if (kind == EVENT_VM && state_vm_at(state, slot) != NULL) {
        return operation_of_vm(state_vm_at(state, slot));
    }
    return none;
}

/* A VM that waited already, and gets a host by this. */
static bool is_placed(const struct state *before, const struct state *after,
                      uint32_t slot)
{
    const struct vm *was = state_vm_at(before, slot);
    const struct vm *now = state_vm_at(after, slot);

    return was != NULL && now != NULL &&
           (was->host != now->host || was->move_host != now->move_host);
}

/* What differs from what was under way before. */
static bool is_part(const struct state *before, const struct state *after,
                    enum event_kind kind, uint32_t slot,
                    struct operation_ref *part)
{
    struct operation_ref was = motion_of(before, kind, slot);

    *part = motion_of(after, kind, slot);
    return part->kind != OPERATION_NONE &&
           (part->kind != was.kind || part->uid != was.uid ||
            part->mark != was.mark ||
            (kind == EVENT_VM && is_placed(before, after, slot)));
}

struct collected {
    struct bytes bytes;
    uint32_t count;
    uint32_t left_out;
};

/* In the order of kinds and slots, each once. */
static void collect(const struct turn_plan *plan, struct collected *parts)
{
    struct turn_trial *trial = plan->trial;
    struct apply_cursor cursor = {0, 0};
    uint64_t before = 0;

    if (trial->touched_count > 0) { /* Grants alone touch nothing. */
        qsort(trial->touched, trial->touched_count, sizeof(*trial->touched),
              compare_touched);
    }
    for (size_t i = 0; i < trial->touched_count; i++) {
        uint64_t touched = trial->touched[i];
        struct operation_ref part;

        if (touched == before) {
            continue;
        }
        before = touched;
        if (!is_part(trial->real->scratch, plan->scratch,
                     (enum event_kind)(touched >> 32), uid_slot(touched),
                     &part)) {
            continue;
        }
        if (parts->bytes.len + APPLY_PART_BYTES_MAX > APPLY_PARTS_BYTES_MAX) {
            parts->left_out++;
            continue;
        }
        apply_parts_put(&parts->bytes, &cursor, &part);
        parts->count++;
    }
}

static uint64_t parts_bytes(const struct state *state)
{
    uint64_t sum = 0;

    for (uint32_t slot = 0; slot < state_apply_slots(state); slot++) {
        const struct apply_record *record = state_apply_at(state, slot);

        sum += record == NULL ? 0 : state_blob(state, record->parts_blob).len;
    }
    return sum;
}

/* The oldest above a number; NULL: there is none. */
static const struct apply_record *oldest(const struct state *state,
                                         uint64_t above)
{
    const struct apply_record *found = NULL;

    for (uint32_t slot = 0; slot < state_apply_slots(state); slot++) {
        const struct apply_record *record = state_apply_at(state, slot);

        if (record != NULL && record->number > above &&
            (found == NULL || record->number < found->number)) {
            found = record;
        }
    }
    return found;
}

/* The oldest that is over, or the oldest. For bytes: that has parts. */
static uint64_t choose_victim(const struct state *state, bool for_bytes)
{
    uint32_t looks = APPLY_LOOKS_MAX;
    uint64_t victim = 0;
    const struct apply_record *record = oldest(state, 0);

    for (int i = 0; record != NULL && i < APPLY_LOOKS_OLD; i++) {
        struct applies_look look = {{0, 0}};
        bool useful = !for_bytes || record->parts_blob != 0;

        victim = victim == 0 && useful ? record->number : victim;
        if (useful && applies_are_over(state, record, &look, &looks)) {
            return record->number;
        }
        record = oldest(state, record->number);
    }
    return victim == 0 ? oldest(state, 0)->number : victim;
}

static void make_room(struct turn_plan *plan, size_t len)
{
    struct change change = {.kind = CHANGE_APPLY_DROP};

    while (state_counts(plan->scratch)->applies >= APPLIES_MAX) {
        change.apply_drop.number = choose_victim(plan->scratch, false);
        turn_change(plan, &change);
    }
    while (parts_bytes(plan->scratch) + len > APPLIES_BYTES_MAX) {
        change.apply_drop.number = choose_victim(plan->scratch, true);
        turn_change(plan, &change);
    }
}

static void put_word(struct bytes *words, const char *word)
{
    bytes_append(words, word, strlen(word) + 1);
}

static void put_words(struct bytes *words, const struct state *state,
                      const struct apply_request *request,
                      const struct api_reply *reply)
{
    char caller[ACCESS_SUBJECT_TEXT_BYTES];

    api_caller_text(state, reply, caller);
    put_word(words, request->object);
    put_word(words, caller);
    put_word(words, request->request_id);
}

void applies_record(struct turn_plan *trial,
                    const struct apply_request *request,
                    const struct api_reply *reply,
                    char name[OPERATION_NAME_BYTES])
{
    struct change change = {.kind = CHANGE_APPLY_ADD};
    struct collected parts = {.count = 0};
    struct operation_ref ref;
    struct bytes words;

    CHECK(trial->trial != NULL);
    name[0] = '\0';
    if (trial->change_count == trial->trial->real->change_count) {
        return;
    }
    bytes_init(&parts.bytes);
    bytes_init(&words);
    collect(trial, &parts);
    put_words(&words, trial->scratch, request, reply);
    make_room(trial, parts.bytes.len);
    change.apply_add = (struct change_apply_add){
        request->kind,
        {(const char *)words.data, (uint32_t)words.len},
        {(const char *)parts.bytes.data, (uint32_t)parts.bytes.len},
        parts.count,
        parts.left_out,
    };
    turn_change(trial, &change);
    ref =
        operation_of_apply(trial->scratch, state_apply_newest(trial->scratch));
    operation_name(&ref, name);
    bytes_close(&words);
    bytes_close(&parts.bytes);
}
