/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as the content of a snapshot, in two pieces. What is accepted has
 * the hash it says, and can be written and read again. */
#include "base/check.h"
#include "base/error.h"
#include "state/snapshot.h"

#define BUDGET 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct state *restore(const uint8_t *data, size_t len, size_t cut)
{
    struct snapshot_reader *reader = snapshot_reader_create();
    int first = snapshot_reader_feed(reader, data, cut);
    int second = snapshot_reader_feed(reader, data + cut, len - cut);
    struct state *state;

    CHECK(first == 0 || first == HF_ERROR_CORRUPT ||
          first == HF_ERROR_UNSUPPORTED);
    CHECK(first == 0 || second == first); /* A refusal is for good. */
    if (second != 0) {
        CHECK(second == HF_ERROR_CORRUPT || second == HF_ERROR_UNSUPPORTED);
        snapshot_reader_abandon(reader);
        return NULL;
    }
    state = snapshot_reader_finish(reader);
    CHECK(state == NULL || state_hash(state) == state_hash_recomputed(state));
    return state;
}

static void check_again(const struct state *state)
{
    struct snapshot_writer writer;
    struct state *again;
    struct bytes content;

    bytes_init(&content);
    snapshot_writer_init(&writer, state);
    while (snapshot_writer_next(&writer, &content, BUDGET)) {
    }
    again = restore(content.data, content.len, content.len / 3);
    CHECK(again != NULL && state_hash(again) == state_hash(state));
    state_destroy(again);
    bytes_close(&content);
}

/* Else a reader that refuses everything would pass. */
static void check_sound(void)
{
    struct change zone = {.kind = CHANGE_ZONE_CREATE,
                          .zone_create.name = {"z1", 2}};
    struct change region = {.kind = CHANGE_REGION, .region.id = {1, 2}};
    struct change drain = {.kind = CHANGE_ZONE_DRAIN,
                           .zone_drain = {.zone = {UINT64_C(1) << 32},
                                          .draining = true,
                                          .deadline_ms = 9}};
    struct change policy = {.kind = CHANGE_POLICY};
    struct change apply = {.kind = CHANGE_APPLY_ADD,
                           .apply_add = {.kind = APPLY_PLAN,
                                         .words = {"p", 2},
                                         .parts = {"\1\0\1\0", 4},
                                         .part_count = 1}};
    struct state *state = state_create();

    state_begin(state, 1);
    state_apply(state, &zone, NULL);
    check_again(state); /* As before there were region ids. */
    state_apply(state, &region, NULL);
    check_again(state);
    state_apply(state, &drain, NULL); /* A record that grew: format 2. */
    check_again(state);
    policy_init(&policy.policy.policy);
    state_apply(state, &policy, NULL); /* A table that was added. */
    check_again(state);
    state_apply(state, &apply, NULL); /* Format 4. */
    check_again(state);
    state_destroy(state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool checked;
    struct state *state;

    if (!checked) {
        check_sound();
        checked = true;
    }
    state = restore(data, size, size / 2);
    if (state != NULL) {
        check_again(state);
        state_destroy(state);
    }
    return 0;
}
