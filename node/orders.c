/* SPDX-License-Identifier: Apache-2.0 */
#include "node/orders.h"

#include "base/check.h"
#include "base/memory.h"
#include "node/limits.h"

#include <stdlib.h>

/* One VM as this session knows it. */
struct order_entry {
    struct list link; /* In the book's `open`, or in no list. */
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
    *book = (struct order_book){.all = true};
    map_init(&book->vms);
    list_init(&book->open);
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
        list_init(&entry->link);
        map_put(&book->vms, uid, entry);
    }
    return entry;
}

static void open_entry(struct order_book *book, struct order_entry *entry)
{
    if (list_empty(&entry->link)) {
        list_append(&book->open, &entry->link);
    }
}

void order_book_note(struct order_book *book, uint64_t uid)
{
    open_entry(book, entry_of(book, uid));
}

void order_book_note_all(struct order_book *book)
{
    book->all = true;
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
        open_entry(book, entry);
    }
    if (whole) {
        forget_unlisted(book);
        book->all = true;
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

/* Higher priority first, then the older VM. */
static bool goes_first(const struct vm *vm, const struct vm *other)
{
    if (vm->priority != other->priority) {
        return vm->priority > other->priority;
    }
    return vm->uid < other->uid;
}

static bool is_under_way(const struct start *start, uint64_t now_ms)
{
    return has(start->entry, start->vm->epoch) ||
           was_ordered(start->entry, ORDER_START, start->vm->epoch, now_ms);
}

/* Many may wait for a few places: those are picked, nothing is sorted. */
static void give_starts(const struct state *state, struct start *starts,
                        size_t count, uint64_t now_ms, struct order_sink *sink)
{
    uint32_t room = state_settings(state)->start_parallel;
    size_t waiting = 0;

    for (size_t i = 0; i < count && room > 0; i++) {
        if (is_under_way(&starts[i], now_ms)) {
            room--;
        } else {
            starts[waiting++] = starts[i];
        }
    }
    for (; room > 0 && waiting > 0; room--) {
        size_t first = 0;

        for (size_t i = 1; i < waiting; i++) {
            if (goes_first(starts[i].vm, starts[first].vm)) {
                first = i;
            }
        }
        give(starts[first].entry, ORDER_START, starts[first].vm->epoch, now_ms,
             sink);
        starts[first] = starts[--waiting];
    }
}

/* Every VM of the agent and every VM of the host. */
static void open_all(struct order_book *book, const struct state *state,
                     const struct host *host)
{
    size_t cursor = 0;
    struct order_entry *entry;

    while ((entry = map_next(&book->vms, &cursor)) != NULL) {
        open_entry(book, entry);
    }
    for (uint32_t slot = host->vm_first; slot != SLOT_NONE;
         slot = state_vm_at(state, slot)->host_next) {
        order_book_note(book, state_vm_at(state, slot)->uid);
    }
    book->all = false;
}

/* What is to be done about one VM, beside a start. */
enum verdict {
    VERDICT_SETTLED, /* Nothing, until something happens to it. */
    VERDICT_OPEN,    /* Looked at again in every run. */
    VERDICT_START,   /* A start is wanted or under way. */
    VERDICT_DROP     /* Neither here nor reported any more. */
};

/* What the agent has and should not: an older epoch, or a VM that is now
 * elsewhere, is killed; one that nobody knows is left alone and shown
 * (rule 8). */
static bool look_at_stray(struct order_book *book, struct order_entry *entry,
                          const struct vm *vm, uint32_t host_slot)
{
    if (entry->state == 0) {
        return false;
    }
    if (vm == NULL) {
        if (book->unknown_count < UNKNOWN_MAX) {
            book->unknown[book->unknown_count++] = entry->uid;
        }
        return false;
    }
    return entry->epoch < vm->epoch ||
           (entry->epoch == vm->epoch && vm->host != host_slot);
}

static enum verdict look(struct order_book *book, struct order_entry *entry,
                         const struct vm *vm, uint32_t host_slot,
                         uint64_t now_ms, struct order_sink *sink)
{
    bool here = vm != NULL && vm->host == host_slot;
    bool stray = look_at_stray(book, entry, vm, host_slot);

    if (stray) {
        give(entry, ORDER_KILL, entry->epoch, now_ms, sink);
    }
    if (here && vm->state == VM_STOPPING) {
        give(entry, ORDER_STOP, vm->epoch, now_ms, sink);
        return VERDICT_OPEN;
    }
    if (here && (vm->state == VM_ASSIGNED || vm->state == VM_STARTING)) {
        return VERDICT_START;
    }
    if (entry->state == 0 && !here) {
        return VERDICT_DROP;
    }
    /* Events of VMs that are elsewhere do not come to this book. */
    return here && !stray ? VERDICT_SETTLED : VERDICT_OPEN;
}

static size_t count_open(const struct order_book *book)
{
    const struct list *at;
    size_t count = 0;

    list_foreach (at, &book->open) {
        count++;
    }
    return count;
}

void order_book_run(struct order_book *book, const struct state *state,
                    const struct host *host, uint64_t now_ms,
                    struct order_sink *sink)
{
    struct start *starts;
    size_t count = 0;
    struct list *at;
    struct list *next;

    if (book->all) {
        open_all(book, state, host);
    }
    if (book->unknown == NULL) {
        book->unknown = memory_alloc_array(UNKNOWN_MAX, sizeof(uint64_t));
    }
    book->unknown_count = 0;
    starts = memory_alloc_array(count_open(book), sizeof(*starts));
    list_foreach_safe (at, next, &book->open) {
        struct order_entry *entry = list_entry(at, struct order_entry, link);
        const struct vm *vm = state_vm(state, (struct vm_id){entry->uid});

        switch (look(book, entry, vm, uid_slot(host->uid), now_ms, sink)) {
        case VERDICT_START:
            starts[count++] = (struct start){vm, entry};
            break;
        case VERDICT_OPEN:
            break;
        case VERDICT_SETTLED:
            list_remove(&entry->link);
            break;
        case VERDICT_DROP:
            list_remove(&entry->link);
            free(map_remove(&book->vms, entry->uid));
            break;
        }
    }
    give_starts(state, starts, count, now_ms, sink);
    free(starts);
}
