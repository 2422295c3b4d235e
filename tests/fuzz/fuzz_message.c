/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a raft message from a peer, and as what such a message may
 * carry. What is accepted must come out the same when it is written and read
 * again. */
#include "base/check.h"
#include "base/error.h"
#include "raft/limits.h"
#include "raft/members.h"
#include "raft/message.h"
#include "raft/snapshot_manifest.h"

#include <string.h>

/* What is read of a configuration is written so that it is read the same. */
static void check_members(const uint8_t *data, size_t size)
{
    struct members members;
    struct members again;
    struct bytes out;

    if (!members_check(data, size)) {
        return;
    }
    members_decode(&members, data, size);
    bytes_init(&out);
    members_encode(&members, &out);
    members_decode(&again, out.data, out.len);
    CHECK(again.count == members.count && again.id_max == members.id_max &&
          again.generation == members.generation);
    for (size_t i = 0; i < members.count; i++) {
        CHECK(again.items[i].id == members.items[i].id &&
              again.items[i].role == members.items[i].role &&
              strcmp(again.items[i].name, members.items[i].name) == 0 &&
              strcmp(again.items[i].zone, members.items[i].zone) == 0 &&
              strcmp(again.items[i].address, members.items[i].address) == 0);
    }
    bytes_close(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_message(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct message message;
    struct bytes once;
    struct bytes twice;
    int result;

    arena_init(&arena, RAFT_MESSAGE_ARENA_BYTES);
    bytes_init(&once);
    bytes_init(&twice);
    result = message_decode(&message, &arena, data, size);
    CHECK(result == 0 || result == HF_ERROR_INVALID ||
          result == HF_ERROR_TOO_LARGE);
    if (result == 0) {
        message_encode(&message, &once);
        arena_clear(&arena);
        CHECK(message_decode(&message, &arena, once.data, once.len) == 0);
        message_encode(&message, &twice);
        CHECK(once.len == twice.len &&
              memcmp(once.data, twice.data, once.len) == 0);
    }
    bytes_close(&twice);
    bytes_close(&once);
    arena_close(&arena);
}

static void check_manifest(const uint8_t *data, size_t size)
{
    struct snapshot_manifest manifest;
    struct bytes again;
    int result = manifest_decode(&manifest, data, size);

    CHECK(result == 0 || result == HF_ERROR_CORRUPT ||
          result == HF_ERROR_UNSUPPORTED);
    if (result == 0) {
        bytes_init(&again);
        manifest_encode(&manifest, &again);
        CHECK(again.len == size && memcmp(again.data, data, size) == 0);
        bytes_close(&again);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_message(data, size);
    check_manifest(data, size);
    check_members(data, size);
    return 0;
}
