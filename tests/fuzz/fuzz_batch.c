/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a log entry. What is accepted must come out the same when it is
 * written and read again: replicas that differ in it would diverge. */
#include "base/check.h"
#include "base/error.h"
#include "state/batch.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode(const struct batch *batch, struct bytes *out)
{
    batch_begin(out, &batch->head);
    for (size_t i = 0; i < batch->count; i++) {
        batch_add(out, &batch->changes[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct batch batch;
    int result;

    arena_init(&arena, BATCH_ARENA_BYTES);
    result = batch_decode(data, size, &arena, &batch);
    CHECK(result == 0 || result == HF_ERROR_CORRUPT ||
          result == HF_ERROR_UNSUPPORTED || result == HF_ERROR_TOO_LARGE);
    if (result == 0) {
        struct arena second;
        struct bytes once;
        struct bytes twice;

        arena_init(&second, BATCH_ARENA_BYTES);
        bytes_init(&once);
        bytes_init(&twice);
        encode(&batch, &once);
        CHECK(batch_decode(once.data, once.len, &second, &batch) == 0);
        encode(&batch, &twice);
        CHECK(once.len == twice.len &&
              memcmp(once.data, twice.data, once.len) == 0);
        bytes_close(&twice);
        bytes_close(&once);
        arena_close(&second);
    }
    arena_close(&arena);
    return 0;
}
