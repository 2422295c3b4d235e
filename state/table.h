/* SPDX-License-Identifier: Apache-2.0
 *
 * Fixed-size records by slot, in reference-counted pages below
 * reference-counted branches. A clone shares all branches, so it costs one
 * count per 256 pages; the first write to a page copies branch and page. */
#ifndef STATE_TABLE_H
#define STATE_TABLE_H

#include "base/check.h"

#include <stddef.h>
#include <stdint.h>

#define TABLE_PAGE_BYTES   4096 /* At most; a page holds a power of two. */
#define TABLE_BRANCH_PAGES 256

struct table_page {
    uint32_t shares;
    uint32_t padding;
    uint8_t records[];
};

struct table_branch {
    uint32_t shares;
    struct table_page *pages[TABLE_BRANCH_PAGES];
};

/* What else a record owns; NULL members for plain records. */
struct table_ops {
    void (*share)(const void *record); /* Its page was copied. */
    void (*drop)(const void *record);  /* Its page was freed. */
};

struct table {
    const struct table_ops *ops; /* NULL for plain records. */
    struct table_branch **branches;
    uint32_t branch_count;
    uint32_t record_bytes;
    uint32_t page_shift; /* Records a page: 1 << page_shift. */
    uint32_t slots;      /* Slots in use: 0 to slots - 1. */
};

void table_init(struct table *table, uint32_t record_bytes,
                const struct table_ops *ops);
void table_close(struct table *table);

/* Makes `table` a clone; it is not initialised yet. */
void table_clone(struct table *table, const struct table *original);

/* A record; the slot is in use. Valid until the next edit of this table. Here,
 * for it is called at every step. */
static inline const void *table_get(const struct table *table, uint32_t slot)
{
    uint32_t page = slot >> table->page_shift;
    uint32_t at = slot & ((1u << table->page_shift) - 1);

    CHECK(slot < table->slots);
    return table->branches[page / TABLE_BRANCH_PAGES]
               ->pages[page % TABLE_BRANCH_PAGES]
               ->records +
           (size_t)at * table->record_bytes;
}

/* The same for writing: no clone sees the change. */
void *table_edit(struct table *table, uint32_t slot);

/* Takes the slots up to `slots` into use, zeroed. */
void table_grow(struct table *table, uint32_t slots);

/* Bytes of the pages and branches, shared or not. */
uint64_t table_memory(const struct table *table);

#endif
