/* SPDX-License-Identifier: Apache-2.0 */
#include "node/orders.h"

#include "base/check.h"
#include "base/memory.h"
#include "node/limits.h"

#include <stdlib.h>

/* One VM as this session knows it. */
struct order_entry {
    uint64_t uid;
    uint64_t epoch;          /* That the agent reported. */
    enum report_state state; /* Likewise; 0: it does not have it. */
    uint64_t ordered_epoch;  /* Of the last order. */
    uint64_t ordered_at_ms;
    enum order_action action; /* Of the last order; 0: none yet. */
    bool listed;              /* In the list being taken. */
};

#define UNKNOWN_MAX 1024

void order_book_init(struct order_book *book)
{
    *book = (struct order_book){0};
    map_init(&book->vms);
}

void order_book_close(struct order_book *book)
{
    size_t cursor = 0;
    struct order_entry *entry;

    while ((entry = map_next(&book->vms, &cursor)) != NULL) {
        free(entry);
    }
    map_close(&book->vms);
    free(book->unknown);
}

static struct order_entry *entry_of(struct order_book *book, uint64_t uid)
{
    struct order_entry *entry = map_get(&book->vms, uid);

    if (entry == NULL) {
        entry = memory_alloc(sizeof(*entry));
        entry->uid = uid;
        map_put(&book->vms, uid, entry);
    }
    return entry;
}

static void forget_unlisted(struct order_book *book)
{
    size_t cursor = 0;
    struct order_entry *entry;

    while ((entry = map_next(&book->vms, &cursor)) != NULL) {
        if (!entry->listed) {
            entry->state = 0;
            entry->epoch = 0;
        }
        entry->listed = false;
    }
}

void order_book_reports(struct order_book *book,
                        const struct vm_report *reports, size_t count,
                        bool whole)
{
    for (size_t i = 0; i < count; i++) {
        struct order_entry *entry = entry_of(book, reports[i].vm.uid);

        entry->listed = whole;
        entry->epoch = reports[i].epoch;
        entry->state = reports[i].state == REPORT_GONE ? 0 : reports[i].state;
    }
    if (whole) {
        forget_unlisted(book);
    }
}

static bool has(const struct order_entry *entry, uint64_t epoch)
{
    return entry->state != 0 && entry->epoch == epoch;
}

static bool was_ordered(const struct order_entry *entry,
                        enum order_action action, uint64_t epoch,
                        uint64_t now_ms)
{
    return entry->action == action && entry->ordered_epoch == epoch &&
           now_ms - entry->ordered_at_ms < ORDER_REPEAT_MS;
}

static void give(struct order_entry *entry, enum order_action action,
                 uint64_t epoch, uint64_t now_ms, struct order_sink *sink)
{
    struct order order = {action, {entry->uid}, epoch};

    if (was_ordered(entry, action, epoch, now_ms)) {
        return;
    }
    entry->action = action;
    entry->ordered_epoch = epoch;
    entry->ordered_at_ms = now_ms;
    sink->order(sink, &order);
}

/* A start that is wanted. */
struct start {
    const struct vm *vm;
    struct order_entry *entry;
};

static int compare_starts(const void *a, const void *b)
{
    const struct vm *left = ((const struct start *)a)->vm;
    const struct vm *right = ((const struct start *)b)->vm;

    if (left->priority != right->priority) {
        return left->priority > right->priority ? -1 : 1;
    }
    return left->uid < right->uid ? -1 : left->uid > right->uid;
}

/* Stops at once, collects the starts, and counts those that are under way. */
static size_t look_at_vms(struct order_book *book, const struct state *state,
                          const struct host *host, uint64_t now_ms,
                          struct order_sink *sink, struct start *starts)
{
    size_t count = 0;

    for (uint32_t slot = host->vm_first; slot != SLOT_NONE;
         slot = state_vm_at(state, slot)->host_next) {
        const struct vm *vm = state_vm_at(state, slot);
        struct order_entry *entry = entry_of(book, vm->uid);

        if (vm->state == VM_STOPPING) {
            give(entry, ORDER_STOP, vm->epoch, now_ms, sink);
        } else if (vm->state == VM_ASSIGNED || vm->state == VM_STARTING) {
            starts[count++] = (struct start){vm, entry};
        }
    }
    return count;
}

static void give_starts(const struct state *state, struct start *starts,
                        size_t count, uint64_t now_ms, struct order_sink *sink)
{
    uint32_t room = state_settings(state)->start_parallel;

    qsort(starts, count, sizeof(*starts), compare_starts);
    for (size_t i = 0; i < count; i++) {
        const struct start *start = &starts[i];

        if (has(start->entry, start->vm->epoch) ||
            was_ordered(start->entry, ORDER_START, start->vm->epoch, now_ms)) {
            room -= room > 0;
        }
    }
    for (size_t i = 0; i < count && room > 0; i++) {
        const struct start *start = &starts[i];

        if (!has(start->entry, start->vm->epoch) &&
            !was_ordered(start->entry, ORDER_START, start->vm->epoch, now_ms)) {
            give(start->entry, ORDER_START, start->vm->epoch, now_ms, sink);
            room--;
        }
    }
}

/* What the agent has and should not: an older epoch, or a VM that is now
 * elsewhere, is killed; one that nobody knows is left alone and shown
 * (rule 8). */
static void look_at_strays(struct order_book *book, const struct state *state,
                           const struct host *host, uint64_t now_ms,
                           struct order_sink *sink)
{
    uint32_t host_slot = uid_slot(host->uid);
    size_t cursor = 0;
    struct order_entry *entry;

    book->unknown_count = 0;
    while ((entry = map_next(&book->vms, &cursor)) != NULL) {
        const struct vm *vm = state_vm(state, (struct vm_id){entry->uid});

        if (entry->state == 0) {
            continue;
        }
        if (vm == NULL) {
            if (book->unknown_count < UNKNOWN_MAX) {
                book->unknown[book->unknown_count++] = entry->uid;
            }
        } else if (entry->epoch < vm->epoch ||
                   (entry->epoch == vm->epoch && vm->host != host_slot)) {
            give(entry, ORDER_KILL, entry->epoch, now_ms, sink);
        }
    }
}

/* Entries of VMs that are neither here nor reported any more. */
static void drop_old(struct order_book *book, const struct state *state,
                     uint32_t host_slot)
{
    size_t cursor = 0;
    size_t count = 0;
    struct order_entry *entry;
    uint64_t *old;

    old = memory_alloc_array(book->vms.count, sizeof(*old));
    while ((entry = map_next(&book->vms, &cursor)) != NULL) {
        const struct vm *vm = state_vm(state, (struct vm_id){entry->uid});

        if (entry->state == 0 && (vm == NULL || vm->host != host_slot)) {
            old[count++] = entry->uid;
        }
    }
    for (size_t i = 0; i < count; i++) {
        free(map_remove(&book->vms, old[i]));
    }
    free(old);
}

void order_book_run(struct order_book *book, const struct state *state,
                    const struct host *host, uint64_t now_ms,
                    struct order_sink *sink)
{
    struct start *starts = memory_alloc_array(host->vm_count, sizeof(*starts));
    size_t count;

    if (book->unknown == NULL) {
        book->unknown = memory_alloc_array(UNKNOWN_MAX, sizeof(uint64_t));
    }
    look_at_strays(book, state, host, now_ms, sink);
    count = look_at_vms(book, state, host, now_ms, sink, starts);
    give_starts(state, starts, count, now_ms, sink);
    drop_old(book, state, uid_slot(host->uid));
    free(starts);
}
