/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/history/search.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef Holdfast__History__V1__Operation operation_t;

#define STORY_STATES 4

/* One way in which it can have happened so far. Compared as bytes. */
struct way {
    uint64_t done; /* Open operations that have taken effect. */
    struct model model;
};

/* A set; in the order in which they were added. */
struct ways {
    struct way *items;
    size_t count;
    size_t capacity;
    uint32_t *slots; /* Index + 1 of an item, 0: free. */
    size_t slot_count;
};

struct event {
    uint64_t time_us;
    uint32_t operation;
    bool end; /* After the beginnings of the same moment: those overlap. */
};

struct search {
    operation_t *const *operations;
    enum model_life life;
    uint64_t open; /* Slots in use. */
    uint32_t slots[SEARCH_OPEN_MAX];
    struct ways now;
    struct ways next;
};

static void ways_clear(struct ways *ways)
{
    ways->count = 0;
    if (ways->slot_count > 0) {
        memset(ways->slots, 0, ways->slot_count * sizeof(*ways->slots));
    }
}

static void ways_close(struct ways *ways)
{
    free(ways->items);
    free(ways->slots);
}

static uint32_t *ways_slot(const struct ways *ways, const struct way *way)
{
    size_t mask = ways->slot_count - 1;
    size_t at = (size_t)hash_bytes(way, sizeof(*way), 0) & mask;

    while (ways->slots[at] != 0 &&
           memcmp(&ways->items[ways->slots[at] - 1], way, sizeof(*way)) != 0) {
        at = (at + 1) & mask;
    }
    return &ways->slots[at];
}

static void ways_grow(struct ways *ways)
{
    ways->capacity = ways->capacity == 0 ? 16 : 2 * ways->capacity;
    ways->slot_count = 2 * ways->capacity;
    ways->items =
        memory_realloc_array(ways->items, ways->capacity, sizeof(*ways->items));
    free(ways->slots);
    ways->slots = memory_alloc_array(ways->slot_count, sizeof(*ways->slots));
    for (size_t i = 0; i < ways->count; i++) {
        *ways_slot(ways, &ways->items[i]) = (uint32_t)i + 1;
    }
}

static void ways_add(struct ways *ways, const struct way *way)
{
    uint32_t *slot;

    if (ways->count == ways->capacity) {
        ways_grow(ways);
    }
    slot = ways_slot(ways, way);
    if (*slot == 0) {
        ways->items[ways->count++] = *way;
        *slot = (uint32_t)ways->count;
    }
}

static int compare_events(const void *a, const void *b)
{
    const struct event *left = a;
    const struct event *right = b;

    if (left->time_us != right->time_us) {
        return left->time_us < right->time_us ? -1 : 1;
    }
    if (left->end != right->end) {
        return left->end ? 1 : -1;
    }
    return left->operation < right->operation   ? -1
           : left->operation > right->operation ? 1
                                                : 0;
}

/* A VM that is never to run is changed by its clients alone. */
static enum model_life life_of(operation_t *const *operations, size_t count)
{
    bool created = false;

    for (size_t i = 0; i < count; i++) {
        const operation_t *one = operations[i];

        switch ((int)one->kind) {
        case HOLDFAST__HISTORY__V1__OPERATION_KIND__OPERATION_KIND_CREATE:
            created = true;
            if (strcmp(one->desired, "stopped") != 0) {
                return MODEL_LIVELY;
            }
            break;
        case HOLDFAST__HISTORY__V1__OPERATION_KIND__OPERATION_KIND_START:
        case HOLDFAST__HISTORY__V1__OPERATION_KIND__OPERATION_KIND_MOVE:
            return MODEL_LIVELY;
        default:
            break;
        }
    }
    return created ? MODEL_STILL : MODEL_LIVELY;
}

/* All ways in which the operation in the slot has taken effect by now. False:
 * there are too many. */
static bool end(struct search *search, uint32_t slot)
{
    uint64_t bit = UINT64_C(1) << slot;
    const operation_t *ends = search->operations[search->slots[slot]];

    ways_clear(&search->next);
    /* What is found on the way is added behind, and looked at in its turn. */
    for (size_t i = 0; i < search->now.count; i++) {
        struct way way = search->now.items[i];

        if ((way.done & bit) != 0) {
            way.done &= ~bit;
            ways_add(&search->next, &way);
            continue;
        }
        for (uint64_t left = search->open & ~way.done; left != 0;
             left &= left - 1) {
            uint32_t at = (uint32_t)__builtin_ctzll(left);
            const operation_t *one = search->operations[search->slots[at]];
            struct way after = way;

            /* Nothing that was read later can have come before. */
            if (one->at != 0 && ends->at != 0 && one->at > ends->at) {
                continue;
            }
            if (model_apply(&after.model, search->life, one)) {
                after.done |= UINT64_C(1) << at;
                ways_add(&search->now, &after);
            }
        }
        if (search->now.count > SEARCH_WAYS_MAX) {
            return false;
        }
    }
    search->open &= ~bit;
    return true;
}

__attribute__((format(printf, 2, 3))) static void tell(struct bytes *story,
                                                       const char *format, ...)
{
    char line[1024];
    va_list arguments;
    int len;

    va_start(arguments, format);
    len = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    bytes_append(story, line,
                 len < (int)sizeof(line) ? (size_t)len : sizeof(line) - 1);
}

void search_tell(const operation_t *operation, struct bytes *story)
{
    history_write(operation, story);
}

static void tell_model(const struct model *model, struct bytes *story)
{
    static const char *const names[] = {"absent", "present",
                                        "deleting or gone"};

    tell(story,
         "  the VM may have been %s, uid %" PRIu64 ", revision %s%" PRIu64
         ", region at %" PRIu64 "\n",
         names[model->presence], model->uid,
         model->exact ? "" : ">= ", model->revision, model->at);
}

/* `count` of the ways were there before the operation ended. */
static void tell_wrong(const struct search *search, size_t count,
                       const operation_t *operation, struct bytes *story)
{
    tell(story,
         "VM %.200s: no order of its operations agrees with this answer:\n",
         operation->vm);
    search_tell(operation, story);
    for (size_t i = 0; i < count && i < STORY_STATES; i++) {
        tell_model(&search->now.items[i].model, story);
    }
    tell(story, "  also open then, or of unknown outcome:\n");
    for (uint64_t left = search->open; left != 0; left &= left - 1) {
        search_tell(search->operations[search->slots[__builtin_ctzll(left)]],
                    story);
    }
}

static enum history_verdict undecided(const operation_t *operation,
                                      struct bytes *story)
{
    tell(story,
         "VM %.200s: undecided, too many operations are open or of unknown "
         "outcome at %" PRIu64 " us\n",
         operation->vm, operation->end_us);
    return HISTORY_UNDECIDED;
}

static enum history_verdict take_end(struct search *search, uint32_t index,
                                     struct bytes *story)
{
    const operation_t *operation = search->operations[index];
    size_t before = search->now.count;
    struct ways ways;
    uint32_t slot = 0;

    while ((search->open >> slot & 1) == 0 || search->slots[slot] != index) {
        slot++;
    }
    if (!end(search, slot)) {
        return undecided(operation, story);
    }
    if (search->next.count == 0) {
        tell_wrong(search, before, operation, story);
        return HISTORY_WRONG;
    }
    ways = search->now;
    search->now = search->next;
    search->next = ways;
    return HISTORY_GOOD;
}

static enum history_verdict walk(struct search *search,
                                 const struct event *events, size_t count,
                                 struct bytes *story)
{
    enum history_verdict verdict = HISTORY_GOOD;

    for (size_t i = 0; i < count && verdict == HISTORY_GOOD; i++) {
        uint32_t slot;

        if (events[i].end) {
            verdict = take_end(search, events[i].operation, story);
            continue;
        }
        if (~search->open == 0) {
            return undecided(search->operations[events[i].operation], story);
        }
        slot = (uint32_t)__builtin_ctzll(~search->open);
        search->open |= UINT64_C(1) << slot;
        search->slots[slot] = events[i].operation;
    }
    return verdict;
}

enum history_verdict search_vm(operation_t *const *operations, size_t count,
                               struct bytes *story)
{
    struct event *events = memory_alloc_array(2 * count, sizeof(*events));
    struct search *search = memory_alloc(sizeof(*search));
    struct way start = {0};
    enum history_verdict verdict;
    size_t event_count = 0;

    CHECK(count < UINT32_MAX);
    search->operations = operations;
    search->life = life_of(operations, count);
    for (size_t i = 0; i < count; i++) {
        const operation_t *one = operations[i];

        if (!model_concerns(one)) {
            continue;
        }
        events[event_count++] =
            (struct event){one->begin_us, (uint32_t)i, false};
        if (one->outcome != HOLDFAST__HISTORY__V1__OUTCOME__OUTCOME_UNKNOWN) {
            events[event_count++] =
                (struct event){one->end_us, (uint32_t)i, true};
        }
    }
    qsort(events, event_count, sizeof(*events), compare_events);
    ways_add(&search->now, &start);
    verdict = walk(search, events, event_count, story);
    ways_close(&search->now);
    ways_close(&search->next);
    free(search);
    free(events);
    return verdict;
}
