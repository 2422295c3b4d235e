/* SPDX-License-Identifier: Apache-2.0 */
#include "node/orders.h"

#include "base/check.h"
#include "base/memory.h"
#include "base/planted.h"
#include "node/limits.h"

#include <stdlib.h>

/* One VM as this session knows it. */
struct order_entry {
    struct list link; /* See struct order_book. */
    uint64_t uid;
    uint64_t epoch;          /* That the agent reported. */
    enum report_state state; /* Likewise; 0: it does not have it. */
    uint64_t ordered_epoch;  /* Of the last order. */
    uint64_t ordered_at_ms;
    enum order_action action; /* Of the last order; 0: none yet. */
    uint16_t priority;        /* Of the VM, while its start waits. */
    bool listed;              /* In the list being taken. */
};

#define UNKNOWN_MAX 1024

void order_book_init(struct order_book *book)
{
    *book = (struct order_book){.all = true};
    map_init(&book->vms);
    list_init(&book->open);
    list_init(&book->lasting);
    list_init(&book->starting);
    list_init(&book->waiting);
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
    list_remove(&entry->link);
    list_append(&book->open, &entry->link);
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

/* Higher priority first, then the older VM. */
static bool goes_before(const struct order_entry *entry,
                        const struct order_entry *other)
{
    if (entry->priority != other->priority) {
        return entry->priority > other->priority;
    }
    return entry->uid < other->uid;
}

/* From the end: VMs are assigned in the order in which they shall start. */
static void let_wait(struct order_book *book, struct order_entry *entry)
{
    struct list *at = book->waiting.prev;

    while (at != &book->waiting &&
           goes_before(entry, list_entry(at, struct order_entry, link))) {
        at = at->prev;
    }
    list_prepend(at, &entry->link);
}

/* A start that is under way, or shall be. */
static void take_start(struct order_book *book, struct order_entry *entry,
                       const struct vm *vm, uint64_t now_ms)
{
    if (has(entry, vm->epoch) ||
        was_ordered(entry, ORDER_START, vm->epoch, now_ms)) {
        list_append(&book->starting, &entry->link);
    } else {
        entry->priority = vm->priority;
        let_wait(book, entry);
    }
}

static void give_starts(struct order_book *book, const struct state *state,
                        uint64_t now_ms, struct order_sink *sink)
{
    uint32_t room = state_settings(state)->start_parallel;
    const struct list *at;

    list_foreach (at, &book->starting) {
        room -= room > 0;
    }
    for (; room > 0 && !list_empty(&book->waiting); room--) {
        struct order_entry *entry =
            list_entry(list_first(&book->waiting), struct order_entry, link);
        const struct vm *vm = state_vm(state, (struct vm_id){entry->uid});

        CHECK(vm != NULL);
        list_remove(&entry->link);
        list_append(&book->starting, &entry->link);
        give(entry, ORDER_START, vm->epoch, now_ms, sink);
    }
}

/* Every VM of the agent and every VM of the host. Those that wait go first
 * and so keep their order at no cost. */
static void open_all(struct order_book *book, const struct state *state,
                     const struct host *host)
{
    size_t cursor = 0;
    struct order_entry *entry;

    list_splice(&book->open, &book->waiting);
    for (uint32_t slot = host->vm_first; slot != SLOT_NONE;
         slot = state_vm_at(state, slot)->host_next) {
        entry_of(book, state_vm_at(state, slot)->uid);
    }
    while ((entry = map_next(&book->vms, &cursor)) != NULL) {
        if (list_empty(&entry->link)) {
            list_append(&book->open, &entry->link);
        }
    }
    book->all = false;
}

/* What becomes of an entry that was looked at. */
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
        return PLANTED(UNKNOWN_KILLED);
    }
    return entry->epoch < vm->epoch ||
           (entry->epoch == vm->epoch && vm->host != host_slot);
}

static enum verdict look(struct order_book *book, struct order_entry *entry,
                         const struct vm *vm, uint32_t host_slot,
                         uint64_t now_ms, struct order_sink *sink)
{
    bool here = vm != NULL && vm->host == host_slot;

    if (look_at_stray(book, entry, vm, host_slot)) {
        /* Nothing else is ordered until the agent no longer has it. */
        give(entry, ORDER_KILL, entry->epoch, now_ms, sink);
        return VERDICT_OPEN;
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
    return here ? VERDICT_SETTLED : VERDICT_OPEN;
}

static void look_at_open(struct order_book *book, const struct state *state,
                         uint32_t host_slot, uint64_t now_ms,
                         struct order_sink *sink)
{
    struct list work;

    list_init(&work);
    list_splice(&work, &book->open);
    list_splice(&work, &book->lasting);
    list_splice(&work, &book->starting);
    while (!list_empty(&work)) {
        struct order_entry *entry =
            list_entry(list_first(&work), struct order_entry, link);
        const struct vm *vm = state_vm(state, (struct vm_id){entry->uid});

        list_remove(&entry->link);
        switch (look(book, entry, vm, host_slot, now_ms, sink)) {
        case VERDICT_START:
            take_start(book, entry, vm, now_ms);
            break;
        case VERDICT_OPEN:
            list_append(&book->lasting, &entry->link);
            break;
        case VERDICT_SETTLED:
            break;
        case VERDICT_DROP:
            free(map_remove(&book->vms, entry->uid));
            break;
        }
    }
}

void order_book_run(struct order_book *book, const struct state *state,
                    const struct host *host, uint64_t now_ms,
                    struct order_sink *sink)
{
    if (book->all) {
        open_all(book, state, host);
    }
    if (book->unknown == NULL) {
        book->unknown = memory_alloc_array(UNKNOWN_MAX, sizeof(uint64_t));
    }
    book->unknown_count = 0;
    look_at_open(book, state, uid_slot(host->uid), now_ms, sink);
    give_starts(book, state, now_ms, sink);
}
