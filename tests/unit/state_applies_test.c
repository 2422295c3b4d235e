/* SPDX-License-Identifier: Apache-2.0
 *
 * Records of applies in the state: few, told apart for ever, gone by the
 * leader's word, and no part of what a region without any hashes. */
#include "state/snapshot.h"
#include "tests/support/state_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const char words[] = "manifest\0client:anna\0why";

static void add(struct mirror *mirror, const char *parts)
{
    struct change change = {.kind = CHANGE_APPLY_ADD};

    change.apply_add = (struct change_apply_add){
        .kind = APPLY_MANIFEST,
        .words = {words, sizeof(words)},
        .parts = {parts, (uint32_t)strlen(parts)},
        .part_count = 3,
    };
    mirror_apply(mirror, &change);
}

static void end(struct mirror *mirror, uint64_t number)
{
    struct change change = {.kind = CHANGE_APPLY_END};

    change.apply_end =
        (struct change_apply_end){number, APPLY_END_FAILED, 1, 2};
    mirror_apply(mirror, &change);
}

static void drop(struct mirror *mirror, uint64_t number)
{
    struct change change = {.kind = CHANGE_APPLY_DROP};

    change.apply_drop.number = number;
    mirror_apply(mirror, &change);
}

static void check_all(struct mirror *mirror)
{
    struct random random;

    random_init(&random, 7);
    check_derived(mirror->state);
    check_restore(mirror->state, &random);
}

static void a_region_without_applies_hashes_as_before(void **unused)
{
    struct change keep = {.kind = CHANGE_AUDIT_KEEP,
                          .audit_keep.records_max = 100};
    struct mirror mirror;
    uint64_t hash;

    (void)unused;
    mirror_init(&mirror);
    assert_false(state_needs_format_4(mirror.state));
    mirror_apply(&mirror, &keep);
    hash = state_hash(mirror.state);
    /* Of a build that has no records of applies. */
    assert_true(hash == UINT64_C(0xfd3bba501cdaa02f));
    check_all(&mirror);
    add(&mirror, "abc");
    assert_true(state_hash(mirror.state) != hash);
    check_all(&mirror);
    mirror_close(&mirror);
}

static void an_apply_that_is_over_forgets_its_parts(void **unused)
{
    struct change cancel = {.kind = CHANGE_APPLY_CANCEL};
    const struct apply_record *record;
    struct mirror mirror;
    uint64_t revision;

    (void)unused;
    mirror_init(&mirror);
    revision = state_revision(mirror.state);
    assert_null(state_apply_newest(mirror.state));
    add(&mirror, "abc");
    add(&mirror, "");
    record = state_apply_newest(mirror.state);
    assert_int_equal(record->number, 2);
    assert_int_equal(record->parts_blob, 0);
    assert_int_equal(state_counts(mirror.state)->applies_open, 2);
    check_all(&mirror);
    cancel.apply_cancel.number = 1;
    mirror_apply(&mirror, &cancel);
    record = state_apply_at(mirror.state, 0);
    assert_int_equal(record->cancelled, 1);
    assert_int_equal(state_blob(mirror.state, record->parts_blob).len, 3);
    end(&mirror, 1);
    record = state_apply_at(mirror.state, 0);
    assert_int_equal(record->end, APPLY_END_FAILED);
    assert_int_equal(record->end_time_ms, state_time_ms(mirror.state));
    assert_int_equal(record->parts_blob, 0);
    assert_int_equal(state_blob(mirror.state, record->words_blob).len,
                     sizeof(words));
    assert_int_equal(state_counts(mirror.state)->applies_open, 1);
    assert_int_equal(state_counts(mirror.state)->applies, 2);
    check_all(&mirror);
    /* Watches are told nothing of it. */
    assert_int_equal(state_revision(mirror.state), revision);
    mirror_close(&mirror);
}

static void a_number_is_never_used_again(void **unused)
{
    struct mirror mirror;
    uint64_t uid;

    (void)unused;
    mirror_init(&mirror);
    for (int i = 0; i < APPLIES_MAX; i++) {
        add(&mirror, "ab");
    }
    uid = state_apply_newest(mirror.state)->uid;
    drop(&mirror, APPLIES_MAX);
    assert_null(state_apply_record(mirror.state, uid));
    assert_null(state_apply_newest(mirror.state));
    assert_int_equal(mirror.state->head_apply.free_first, APPLIES_MAX - 1);
    add(&mirror, "ab");
    assert_int_equal(state_apply_newest(mirror.state)->number, APPLIES_MAX + 1);
    assert_true(state_apply_newest(mirror.state)->uid != uid);
    assert_int_equal(state_apply_slots(mirror.state), APPLIES_MAX);
    check_all(&mirror);
    drop(&mirror, 1);
    assert_int_equal(state_counts(mirror.state)->applies, APPLIES_MAX - 1);
    check_all(&mirror);
    mirror_close(&mirror);
}

static struct state *read_snapshot(const struct bytes *stream)
{
    struct snapshot_reader *reader = snapshot_reader_create();

    snapshot_reader_feed(reader, stream->data, stream->len);
    return snapshot_reader_finish(reader);
}

/* With any bit changed it is refused, or the same state. */
static void a_changed_snapshot_is_refused(void **unused)
{
    struct snapshot_writer writer;
    struct mirror mirror;
    struct bytes stream;

    (void)unused;
    mirror_init(&mirror);
    add(&mirror, "abc");
    add(&mirror, "defgh");
    add(&mirror, "");
    end(&mirror, 1);
    drop(&mirror, 3);
    bytes_init(&stream);
    snapshot_writer_init(&writer, mirror.state);
    while (snapshot_writer_next(&writer, &stream, 1000)) {
    }
    for (size_t i = 0; i < stream.len; i++) {
        uint8_t flip = (uint8_t)(1u << (i % 8));
        struct state *restored;

        stream.data[i] ^= flip;
        restored = read_snapshot(&stream);
        assert_true(restored == NULL ||
                    state_hash(restored) == state_hash(mirror.state));
        state_destroy(restored);
        stream.data[i] ^= flip;
    }
    bytes_close(&stream);
    mirror_close(&mirror);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_region_without_applies_hashes_as_before),
        cmocka_unit_test(an_apply_that_is_over_forgets_its_parts),
        cmocka_unit_test(a_number_is_never_used_again),
        cmocka_unit_test(a_changed_snapshot_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
