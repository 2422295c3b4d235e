/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/term_store.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "base/memory.h"
#include "raft/paths.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS      2
#define SLOT_BYTES 4096 /* A block each: a torn write hits one slot. */
#define SLOT_USED  40
#define SLOT_MAGIC 0x314d524554464855ULL /* "UHFTERM1" in file order */

struct slot {
    uint64_t number; /* Rises with every change; the higher one counts. */
    uint64_t term;
    uint64_t vote;
};

struct term_store {
    struct file *file;
    struct path path;
    struct slot slot;
};

static void slot_encode(const struct slot *slot, uint8_t *block)
{
    memset(block, 0, SLOT_BYTES);
    bytes_put_u64(block, SLOT_MAGIC);
    bytes_put_u64(block + 16, slot->number);
    bytes_put_u64(block + 24, slot->term);
    bytes_put_u64(block + 32, slot->vote);
    bytes_put_u32(block + 8, crc32c(0, block + 12, SLOT_USED - 12));
}

static bool slot_decode(struct slot *slot, const uint8_t *block)
{
    slot->number = bytes_get_u64(block + 16);
    slot->term = bytes_get_u64(block + 24);
    slot->vote = bytes_get_u64(block + 32);
    return bytes_get_u64(block) == SLOT_MAGIC &&
           bytes_get_u32(block + 8) == crc32c(0, block + 12, SLOT_USED - 12);
}

static int write_slot(struct term_store *store, uint64_t i,
                      struct failure *failure)
{
    uint8_t block[SLOT_BYTES];
    slot_encode(&store->slot, block);
    int rv = file_write(store->file, block, sizeof block, i * SLOT_BYTES);
    if (rv != 0) {
        return failure_io(failure, rv, "write", store->path.text);
    }
    rv = file_sync(store->file);
    return rv == 0 ? 0 : failure_io(failure, rv, "sync", store->path.text);
}

/* Both slots, one after the other. */
static int write_slots(struct term_store *store, struct failure *failure)
{
    int rv = write_slot(store, 0, failure);
    return rv != 0 ? rv : write_slot(store, 1, failure);
}

int term_store_create(struct files *files, const char *directory, uint64_t term,
                      struct failure *failure)
{
    struct term_store store = {.slot = {.number = 1, .term = term}};
    path_set(&store.path, directory, "term");
    int rv = file_open(files, store.path.text, FILE_CREATE, &store.file);
    if (rv != 0) {
        return failure_io(failure, rv, "create", store.path.text);
    }
    rv = file_allocate(store.file, SLOTS * SLOT_BYTES);
    if (rv != 0) {
        rv = failure_io(failure, rv, "allocate", store.path.text);
    } else {
        rv = write_slots(&store, failure);
    }
    file_close(store.file);
    return rv;
}

static int load(struct term_store *store, struct failure *failure)
{
    uint8_t blocks[SLOTS][SLOT_BYTES] = {0};
    struct slot slots[SLOTS];
    bool sound[SLOTS];
    size_t got;
    int rv = file_read(store->file, blocks, sizeof blocks, 0, &got);
    if (rv != 0) {
        return failure_io(failure, rv, "read", store->path.text);
    }
    for (int i = 0; i < SLOTS; i++) {
        sound[i] = slot_decode(&slots[i], blocks[i]);
    }
    if (!sound[0] && !sound[1]) {
        return failure_set(failure, REPLICA_FAILED_CORRUPT,
                           "%s at 0: both copies of term and vote are "
                           "damaged" FAILURE_CURE_REJOIN,
                           store->path.text);
    }
    bool second = !sound[0] || (sound[1] && slots[1].number > slots[0].number);
    store->slot = slots[second ? 1 : 0];
    if (sound[0] && sound[1] && slots[0].number == slots[1].number) {
        return 0;
    }
    /* Only the other one: the one that counts must stay whole. */
    return write_slot(store, second ? 0 : 1, failure);
}

struct term_store *term_store_open(struct files *files, const char *directory,
                                   uint64_t *term, uint64_t *vote,
                                   struct failure *failure)
{
    struct term_store *store = memory_alloc(sizeof *store);
    path_set(&store->path, directory, "term");
    int rv = file_open(files, store->path.text, FILE_WRITE, &store->file);
    if (rv != 0) {
        failure_io(failure, rv, "open", store->path.text);
    } else {
        rv = load(store, failure);
    }
    if (rv != 0) {
        term_store_close(store);
        return NULL;
    }
    *term = store->slot.term;
    *vote = store->slot.vote;
    return store;
}

void term_store_close(struct term_store *store)
{
    if (store != NULL) {
        file_close(store->file);
        free(store);
    }
}

int term_store_set(struct term_store *store, uint64_t term, uint64_t vote,
                   struct failure *failure)
{
    CHECK(term >= store->slot.term);
    store->slot.number++;
    store->slot.term = term;
    store->slot.vote = vote;
    return write_slots(store, failure);
}
