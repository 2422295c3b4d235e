/* SPDX-License-Identifier: Apache-2.0 */
#include "node/page_book.h"

#include "base/check.h"

void page_book_init(struct page_book *book)
{
    *book = (struct page_book){.count = 0};
}

static void drop(struct page_book *book, uint32_t index)
{
    CHECK(index < book->count);
    state_destroy(book->pins[index].state);
    book->pins[index] = book->pins[--book->count];
}

void page_book_close(struct page_book *book)
{
    while (book->count > 0) {
        drop(book, 0);
    }
}

struct page_version page_version_of(const struct state *state)
{
    return (struct page_version){state_revision(state),
                                 state_grant_changes(state)};
}

static bool is_same(struct page_version a, struct page_version b)
{
    return a.revision == b.revision && a.grant_changes == b.grant_changes;
}

void page_book_tick(struct page_book *book, uint64_t now_ms)
{
    for (uint32_t i = book->count; i > 0; i--) {
        const struct page_pin *pin = &book->pins[i - 1];

        if (now_ms - pin->used_ms > PAGE_PIN_IDLE_MS ||
            now_ms - pin->made_ms > PAGE_PIN_AGE_MS_MAX) {
            drop(book, i - 1);
        }
    }
}

const struct state *page_book_find(struct page_book *book,
                                   struct page_version version, uint64_t now_ms)
{
    page_book_tick(book, now_ms);
    for (uint32_t i = 0; i < book->count; i++) {
        if (is_same(book->pins[i].version, version)) {
            book->pins[i].used_ms = now_ms;
            return book->pins[i].state;
        }
    }
    return NULL;
}

/* At worst every pin is a copy of the whole state. */
static uint32_t pins_max(const struct state *state)
{
    struct state_memory memory;
    uint64_t bytes;
    uint64_t fit;

    state_memory(state, &memory);
    bytes = memory.vm_records + memory.vm_index + memory.blobs + memory.other;
    fit = PAGE_PINS_BYTES_MAX / (bytes + 1);
    if (fit < PAGE_PINS_MIN) {
        return PAGE_PINS_MIN;
    }
    return fit > PAGE_PINS_MAX ? PAGE_PINS_MAX : (uint32_t)fit;
}

static void drop_idlest(struct page_book *book)
{
    uint32_t idlest = 0;

    for (uint32_t i = 1; i < book->count; i++) {
        if (book->pins[i].used_ms < book->pins[idlest].used_ms) {
            idlest = i;
        }
    }
    drop(book, idlest);
}

void page_book_keep(struct page_book *book, const struct state *state,
                    uint64_t now_ms)
{
    struct page_version version = page_version_of(state);
    uint32_t max = pins_max(state);

    if (page_book_find(book, version, now_ms) != NULL) {
        return;
    }
    while (book->count >= max) {
        drop_idlest(book);
    }
    book->pins[book->count++] = (struct page_pin){
        .version = version,
        .state = state_clone(state),
        .made_ms = now_ms,
        .used_ms = now_ms,
    };
}
