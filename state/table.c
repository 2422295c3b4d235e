/* SPDX-License-Identifier: Apache-2.0 */
#include "state/table.h"

#include "base/check.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static size_t page_bytes(const struct table *table)
{
    return (size_t)table->record_bytes << table->page_shift;
}

static uint32_t page_count(const struct table *table)
{
    return (table->slots + (1u << table->page_shift) - 1) >> table->page_shift;
}

void table_init(struct table *table, uint32_t record_bytes,
                const struct table_ops *ops)
{
    *table = (struct table){.record_bytes = record_bytes, .ops = ops};
    while ((size_t)record_bytes << (table->page_shift + 1) <=
           TABLE_PAGE_BYTES) {
        table->page_shift++;
    }
}

static void for_each_record(const struct table *table,
                            const struct table_page *page,
                            void (*visit)(const void *record))
{
    for (uint32_t i = 0; i < 1u << table->page_shift; i++) {
        visit(page->records + (size_t)i * table->record_bytes);
    }
}

static void release_page(struct table *table, struct table_page *page)
{
    if (page == NULL || --page->shares > 0) {
        return;
    }
    if (table->ops != NULL) {
        for_each_record(table, page, table->ops->drop);
    }
    free(page);
}

static void release_branch(struct table *table, struct table_branch *branch)
{
    if (--branch->shares > 0) {
        return;
    }
    for (uint32_t i = 0; i < TABLE_BRANCH_PAGES; i++) {
        release_page(table, branch->pages[i]);
    }
    free(branch);
}

void table_close(struct table *table)
{
    for (uint32_t i = 0; i < table->branch_count; i++) {
        release_branch(table, table->branches[i]);
    }
    free(table->branches);
    *table = (struct table){0};
}

void table_clone(struct table *table, const struct table *original)
{
    *table = *original;
    if (original->branch_count == 0) {
        table->branches = NULL;
        return;
    }
    table->branches =
        memory_copy(original->branches,
                    original->branch_count * sizeof(*original->branches));
    for (uint32_t i = 0; i < table->branch_count; i++) {
        table->branches[i]->shares++;
    }
}

static struct table_branch *own_branch(struct table *table, uint32_t number)
{
    struct table_branch *branch = table->branches[number];
    struct table_branch *copy;

    if (branch->shares == 1) {
        return branch;
    }
    copy = memory_copy(branch, sizeof(*branch));
    copy->shares = 1;
    for (uint32_t i = 0; i < TABLE_BRANCH_PAGES; i++) {
        if (copy->pages[i] != NULL) {
            copy->pages[i]->shares++;
        }
    }
    branch->shares--;
    table->branches[number] = copy;
    return copy;
}

static struct table_page *own_page(struct table *table,
                                   struct table_branch *branch, uint32_t number)
{
    struct table_page *page = branch->pages[number];
    struct table_page *copy;

    if (page->shares == 1) {
        return page;
    }
    copy = memory_copy(page, sizeof(*page) + page_bytes(table));
    copy->shares = 1;
    if (table->ops != NULL) {
        for_each_record(table, copy, table->ops->share);
    }
    page->shares--;
    branch->pages[number] = copy;
    return copy;
}

void *table_edit(struct table *table, uint32_t slot)
{
    uint32_t number = slot >> table->page_shift;
    uint32_t at = slot & ((1u << table->page_shift) - 1);
    struct table_branch *branch;
    struct table_page *page;

    CHECK(slot < table->slots);
    branch = own_branch(table, number / TABLE_BRANCH_PAGES);
    page = own_page(table, branch, number % TABLE_BRANCH_PAGES);
    return page->records + (size_t)at * table->record_bytes;
}

static void add_page(struct table *table, uint32_t number)
{
    uint32_t branch = number / TABLE_BRANCH_PAGES;
    struct table_page *page = memory_alloc(sizeof(*page) + page_bytes(table));

    page->shares = 1;
    if (branch == table->branch_count) {
        table->branches = memory_realloc_array(table->branches, branch + 1,
                                               sizeof(struct table_branch *));
        table->branches[branch] = memory_alloc(sizeof(struct table_branch));
        table->branches[branch]->shares = 1;
        table->branch_count++;
    }
    own_branch(table, branch)->pages[number % TABLE_BRANCH_PAGES] = page;
}

void table_grow(struct table *table, uint32_t slots)
{
    uint32_t pages = page_count(table);

    CHECK(slots >= table->slots);
    table->slots = slots;
    for (uint32_t wanted = page_count(table); pages < wanted; pages++) {
        add_page(table, pages);
    }
}

uint64_t table_memory(const struct table *table)
{
    return (uint64_t)page_count(table) *
               (sizeof(struct table_page) + page_bytes(table)) +
           (uint64_t)table->branch_count * sizeof(struct table_branch);
}
