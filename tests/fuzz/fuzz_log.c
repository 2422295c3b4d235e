/* SPDX-License-Identifier: Apache-2.0
 *
 * A sound log on a disk in memory, damaged as the input says, then opened. If
 * the first byte is even, the rest are edits of four bytes each, and what is
 * still found must be the front of what was written; one changed byte alone
 * must be refused or lose nothing. Else the rest stands in place of the
 * records of the last file. */
#include "base/check.h"
#include "base/container.h"
#include "base/log.h"
#include "raft/log_store.h"
#include "raft/paths.h"
#include "tests/support/sim_files.h"

#include <stdio.h>
#include <string.h>

#define ENTRIES       40
#define SEGMENT_BYTES 8192
#define PAYLOAD_BYTES 200
#define DIRECTORY     "/node"
#define EDIT_BYTES    4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct walk {
    struct log_visitor visitor;
    uint64_t last_index;
    uint64_t last_term;
    uint64_t last_chain;
    bool genuine; /* Only what was written may be found. */
};

static struct log_store_options options_of(struct sim_disk *disk)
{
    return (struct log_store_options){.files = sim_disk_files(disk),
                                      .directory = DIRECTORY,
                                      .segment_bytes = SEGMENT_BYTES,
                                      .region_hash = 5,
                                      .node_id = 3};
}

static void fill(uint64_t index, uint8_t *payload)
{
    for (size_t i = 0; i < PAYLOAD_BYTES; i++) {
        payload[i] = (uint8_t)(index * 7 + i);
    }
}

static void walk_begin(struct log_visitor *visitor, uint64_t first_index,
                       uint64_t chain)
{
    struct walk *walk = container_of(visitor, struct walk, visitor);

    walk->last_index = first_index - 1;
    walk->last_chain = chain;
}

static void walk_visit(struct log_visitor *visitor, const struct record *record)
{
    struct walk *walk = container_of(visitor, struct walk, visitor);
    uint8_t payload[PAYLOAD_BYTES];

    CHECK(record->index == walk->last_index + 1);
    CHECK(record->term >= walk->last_term);
    if (walk->genuine) {
        fill(record->index, payload);
        CHECK(record->index <= ENTRIES && record->len == PAYLOAD_BYTES &&
              memcmp(record->data, payload, PAYLOAD_BYTES) == 0);
    }
    walk->last_index = record->index;
    walk->last_term = record->term;
    walk->last_chain = record->chain;
}

static void append(struct log_store *store, struct walk *walk,
                   enum record_type type, uint64_t synced)
{
    uint8_t payload[PAYLOAD_BYTES];
    struct failure failure;
    struct bytes encoded;
    struct entry entry = {.term = 1, .type = ENTRY_COMMAND};
    struct record record = {.type = type,
                            .index = walk->last_index,
                            .term = 1,
                            .synced = synced,
                            .chain = walk->last_chain};
    struct log_append out = {.chain_previous = walk->last_chain};

    if (walk->last_term > 1) {
        record.term = entry.term = walk->last_term;
    }
    if (type != RECORD_SYNCED) {
        record.index++;
        fill(record.index, payload);
        record.data = entry.data = payload;
        record.len = entry.len = PAYLOAD_BYTES;
        record.chain = entry_chain(walk->last_chain, record.index, &entry);
    }
    bytes_init(&encoded);
    record_append(&encoded, &record);
    out.data = encoded.data;
    out.len = encoded.len;
    out.index = record.index;
    CHECK(log_store_append(store, &out, &failure) == 0);
    CHECK(log_store_sync(store, &failure) == 0);
    bytes_close(&encoded);
    walk->last_index = record.index;
    walk->last_chain = record.chain;
}

static struct log_store *open_log(struct sim_disk *disk, struct walk *walk,
                                  bool genuine, struct failure *failure)
{
    struct log_store_options options = options_of(disk);

    *walk =
        (struct walk){.visitor = {walk_begin, walk_visit}, .genuine = genuine};
    *failure = (struct failure){0};
    return log_store_open(&options, &walk->visitor, failure);
}

/* All entries on disk, and a last record that says so. */
static struct sim_disk *make_sound(void)
{
    struct sim_disk *disk = sim_disk_create(1);
    struct log_store_options options = options_of(disk);
    struct log_store *store;
    struct failure failure;
    struct walk walk;

    CHECK(files_make_directory(options.files, DIRECTORY) == 0);
    CHECK(files_make_directory(options.files, DIRECTORY "/log") == 0);
    CHECK(log_store_create(&options, 1, 0, &failure) == 0);
    store = open_log(disk, &walk, true, &failure);
    CHECK(store != NULL);
    for (uint64_t i = 0; i < ENTRIES; i++) {
        append(store, &walk, RECORD_COMMAND, i);
    }
    append(store, &walk, RECORD_SYNCED, ENTRIES);
    log_store_close(store);
    return disk;
}

static size_t file_count(struct sim_disk *disk)
{
    size_t count = 0;

    while (sim_disk_path(disk, count) != NULL) {
        count++;
    }
    CHECK(count > 0);
    return count;
}

static void edit(struct sim_disk *disk, const uint8_t *how)
{
    const char *path = sim_disk_path(disk, (how[0] >> 2) % file_count(disk));
    uint64_t size = sim_disk_size(disk, path);
    uint64_t at = ((uint64_t)how[1] << 8 | how[2]) % (size + 1);
    uint8_t block[8 * 255] = {0};
    struct file *file;
    size_t got;

    CHECK(file_open(sim_disk_files(disk), path, FILE_WRITE, &file) == 0);
    switch (how[0] & 3) {
    case 0: /* Changes a byte. */
        CHECK(file_read(file, block, 1, at, &got) == 0);
        block[0] ^= how[3];
        CHECK(got == 0 || file_write(file, block, 1, at) == 0);
        break;
    case 1: /* Clears a piece. */
        CHECK(file_write(file, block, (size_t)how[3] * 8, at) == 0);
        break;
    case 2: /* Repeats a piece behind itself. */
        CHECK(file_read(file, block, (size_t)how[3] * 8, at, &got) == 0);
        CHECK(file_write(file, block, got, at + got) == 0);
        break;
    default: /* Cuts the end off. */
        CHECK(file_truncate(file, at) == 0);
        break;
    }
    file_close(file);
}

/* Whether the edits change one byte or none. */
static bool one_byte(const uint8_t *edits, size_t size)
{
    return size < EDIT_BYTES ||
           (size < (size_t)2 * EDIT_BYTES && (edits[0] & 3) == 0);
}

static void replace_records(struct sim_disk *disk, const uint8_t *data,
                            size_t size)
{
    const char *path = sim_disk_path(disk, file_count(disk) - 1);
    struct file *file;

    CHECK(file_open(sim_disk_files(disk), path, FILE_WRITE, &file) == 0);
    CHECK(file_truncate(file, SEGMENT_HEAD_BYTES) == 0);
    CHECK(file_write(file, data, size, SEGMENT_HEAD_BYTES) == 0);
    file_close(file);
}

/* What was opened must take one more entry and show it next time. */
static void check_goes_on(struct sim_disk *disk, struct log_store *store,
                          struct walk *walk, bool genuine)
{
    struct failure failure;
    struct walk again;
    uint64_t last;

    CHECK(log_store_last(store) == walk->last_index);
    append(store, walk, RECORD_COMMAND, walk->last_index);
    last = walk->last_index;
    log_store_close(store);
    store = open_log(disk, &again, genuine && last <= ENTRIES, &failure);
    CHECK(store != NULL && again.last_index == last);
    log_store_close(store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sim_disk *sound;
    struct sim_disk *disk;
    struct log_store *store;
    struct failure failure;
    struct walk walk;
    bool edits;

    if (sound == NULL) {
        log_set_level(LOG_ERROR);
        sound = make_sound();
    }
    if (size == 0) {
        return 0;
    }
    disk = sim_disk_clone(sound);
    edits = data[0] % 2 == 0;
    for (size_t at = 1; edits && at + EDIT_BYTES <= size; at += EDIT_BYTES) {
        edit(disk, data + at);
    }
    if (!edits) {
        replace_records(disk, data + 1, size - 1);
    }
    store = open_log(disk, &walk, edits, &failure);
    if (store == NULL) {
        CHECK(failure.reason[0] != '\0');
    } else {
        CHECK(!edits || !one_byte(data + 1, size - 1) ||
              walk.last_index == ENTRIES);
        check_goes_on(disk, store, &walk, edits);
    }
    sim_disk_destroy(disk);
    return 0;
}
