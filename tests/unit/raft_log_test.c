/* SPDX-License-Identifier: Apache-2.0
 *
 * Log files whose content is zeros in large parts: of a file's end nobody may
 * take more for unwritten than is. */
#include "base/container.h"
#include "raft/limits.h"
#include "raft/log_store.h"
#include "tests/support/sim_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DIRECTORY     "/node"
#define SEGMENT_BYTES (16u << 20)

struct reader {
    struct log_visitor visitor;
    uint64_t count;
    uint64_t zeros; /* Bytes of the payloads, all of them zero. */
};

static void begin(struct log_visitor *visitor, uint64_t first_index,
                  uint64_t chain)
{
    (void)visitor;
    assert_int_equal(first_index, 1);
    assert_int_equal(chain, 0);
}

static void visit(struct log_visitor *visitor, const struct record *record)
{
    struct reader *reader = container_of(visitor, struct reader, visitor);

    reader->count++;
    for (uint32_t i = 0; i < record->len; i++) {
        assert_int_equal(record->data[i], 0);
    }
    reader->zeros += record->len;
}

static struct log_store *open_store(const struct log_store_options *options,
                                    struct reader *reader)
{
    struct failure failure;
    struct log_store *store;

    *reader = (struct reader){.visitor = {begin, visit}};
    store = log_store_open(options, &reader->visitor, &failure);
    assert_non_null(store);
    return store;
}

/* An entry of so many zeros, on disk. */
static void append(struct log_store *store, uint64_t index, uint64_t *chain,
                   uint32_t len)
{
    uint8_t *payload = calloc(1, (size_t)len + 1);
    struct entry entry = {
        .term = 1, .type = ENTRY_COMMAND, .len = len, .data = payload};
    struct record record = {.type = RECORD_COMMAND,
                            .index = index,
                            .term = 1,
                            .chain = entry_chain(*chain, index, &entry),
                            .data = payload,
                            .len = len};
    struct log_append out = {.index = index, .chain_previous = *chain};
    struct failure failure;
    struct bytes encoded;

    bytes_init(&encoded);
    record_append(&encoded, &record);
    out.data = encoded.data;
    out.len = encoded.len;
    assert_int_equal(log_store_append(store, &out, &failure), 0);
    assert_int_equal(log_store_sync(store, &failure), 0);
    bytes_close(&encoded);
    free(payload);
    *chain = record.chain;
}

/* Entries of these sizes are all found again, and so is what comes then. */
static void check(const uint32_t *sizes, size_t count)
{
    struct sim_disk *disk = sim_disk_create(1);
    struct log_store_options options = {.files = sim_disk_files(disk),
                                        .directory = DIRECTORY,
                                        .segment_bytes = SEGMENT_BYTES,
                                        .region_hash = 5,
                                        .node_id = 3};
    struct failure failure;
    struct log_store *store;
    struct reader reader;
    uint64_t chain = 0;
    uint64_t bytes = 0;

    assert_int_equal(files_make_directory(options.files, DIRECTORY), 0);
    assert_int_equal(files_make_directory(options.files, DIRECTORY "/log"), 0);
    assert_int_equal(log_store_create(&options, 1, 0, &failure), 0);
    for (size_t i = 0; i < count; i++) {
        store = open_store(&options, &reader);
        assert_int_equal(reader.count, i);
        assert_int_equal(reader.zeros, bytes);
        assert_int_equal(log_store_last(store), i);
        append(store, i + 1, &chain, sizes[i]);
        bytes += sizes[i];
        log_store_close(store);
    }
    store = open_store(&options, &reader);
    assert_int_equal(reader.count, count);
    assert_int_equal(reader.zeros, bytes);
    log_store_close(store);
    sim_disk_destroy(disk);
}

static void an_entry_of_zeros_at_the_end_is_whole(void **unused)
{
    (void)unused;
    check((const uint32_t[]){RAFT_ENTRY_BYTES_MAX}, 1);
    check((const uint32_t[]){100, 1 << 20, 2000}, 3);
}

static void zeros_between_entries_are_kept(void **unused)
{
    static const uint32_t sizes[] = {
        RAFT_ENTRY_BYTES_MAX, RAFT_ENTRY_BYTES_MAX - 4096, 0, 3 << 19, 7};

    (void)unused;
    check(sizes, ARRAY_LEN(sizes));
}

static void a_new_file_is_empty(void **unused)
{
    (void)unused;
    check(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_of_zeros_at_the_end_is_whole),
        cmocka_unit_test(zeros_between_entries_are_kept),
        cmocka_unit_test(a_new_file_is_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
