/* SPDX-License-Identifier: Apache-2.0
 *
 * Which region this is: set once, part of the hash, carried by log and
 * snapshot. What was written before there were ids still loads and hashes as
 * it did then. */
#include "base/error.h"
#include "state/snapshot.h"
#include "state/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define HIGH UINT64_C(0x0123456789abcdef)
#define LOW  UINT64_C(0xfedcba9876543210)

/* What the version before wrote: hashes, and the end of a snapshot. */
#define EMPTY_HASH UINT64_C(0x17044cd1807cf474)
#define ZONE_HASH  UINT64_C(0xbcc820de2306d5e4)

static void name_region(struct state *state, uint64_t high, uint64_t low)
{
    struct change change = {.kind = CHANGE_REGION};

    change.region.id = (struct region_id){high, low};
    state_apply(state, &change, NULL);
}

static void create_zone(struct state *state)
{
    struct change change = {.kind = CHANGE_ZONE_CREATE,
                            .zone_create.name = {"z1", 2}};

    state_begin(state, 1);
    state_apply(state, &change, NULL);
}

static void assert_region(const struct state *state, uint64_t high,
                          uint64_t low)
{
    assert_true(state_region(state).high == high);
    assert_true(state_region(state).low == low);
}

static void a_region_gets_its_id_once(void **unused)
{
    struct state *state = state_create();
    uint64_t hash;

    (void)unused;
    assert_false(region_id_is_set(state_region(state)));
    name_region(state, HIGH, LOW);
    assert_region(state, HIGH, LOW);
    hash = state_hash(state);
    name_region(state, LOW, HIGH);
    assert_region(state, HIGH, LOW);
    assert_true(state_hash(state) == hash);
    state_destroy(state);
}

/* Half of it may be zero; either half tells regions apart. */
static void the_hash_counts_every_bit(void **unused)
{
    static const struct region_id ids[] = {
        {0, 0}, {HIGH, LOW}, {HIGH, 0}, {0, LOW}, {HIGH, LOW + 1}, {LOW, HIGH}};
    uint64_t hashes[sizeof(ids) / sizeof(ids[0])];

    (void)unused;
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        struct state *state = state_create();
        struct state *clone;

        if (i > 0) {
            name_region(state, ids[i].high, ids[i].low);
        }
        hashes[i] = state_hash(state);
        assert_true(hashes[i] == state_hash_recomputed(state));
        for (size_t j = 0; j < i; j++) {
            assert_true(hashes[i] != hashes[j]);
        }
        clone = state_clone(state);
        assert_region(clone, ids[i].high, ids[i].low);
        assert_true(state_hash(clone) == hashes[i]);
        state_destroy(clone);
        state_destroy(state);
    }
}

/* It is nobody's object: watches and revisions do not see it. */
static void an_id_raises_no_revision(void **unused)
{
    struct state *state = state_create();

    (void)unused;
    name_region(state, HIGH, LOW);
    assert_int_equal(state_revision(state), 0);
    state_destroy(state);
}

static void write_snapshot(const struct state *state, struct bytes *stream)
{
    struct snapshot_writer writer;

    bytes_init(stream);
    snapshot_writer_init(&writer, state);
    while (snapshot_writer_next(&writer, stream, 1000)) {
    }
}

static struct state *read_snapshot(const struct bytes *stream)
{
    struct snapshot_reader *reader = snapshot_reader_create();

    snapshot_reader_feed(reader, stream->data, stream->len);
    return snapshot_reader_finish(reader);
}

static void a_snapshot_carries_it(void **unused)
{
    struct state *state = state_create();
    struct state *restored;
    struct bytes stream;

    (void)unused;
    name_region(state, HIGH, LOW);
    create_zone(state);
    write_snapshot(state, &stream);
    restored = read_snapshot(&stream);
    assert_non_null(restored);
    assert_region(restored, HIGH, LOW);
    assert_true(state_hash(restored) == state_hash(state));
    state_destroy(restored);
    bytes_close(&stream);
    state_destroy(state);
}

/* The id's record: after the head, which every snapshot begins with. */
static size_t region_at(const struct bytes *stream)
{
    return 4 + bytes_get_u32(stream->data);
}

static void a_snapshot_with_two_ids_or_an_empty_one_is_refused(void **unused)
{
    static const uint8_t no_id[] = {2, 0, 0, 0, 0x2a, 0};
    struct state *state = state_create();
    struct snapshot_reader *reader;
    struct bytes stream;
    size_t at;
    size_t len;

    (void)unused;
    name_region(state, HIGH, LOW);
    write_snapshot(state, &stream);
    at = region_at(&stream);
    len = 4 + bytes_get_u32(stream.data + at);
    assert_int_equal(stream.data[at + 4], 0x2a); /* Field 5, a message. */
    reader = snapshot_reader_create();
    assert_int_equal(snapshot_reader_feed(reader, stream.data, at + len), 0);
    assert_int_equal(snapshot_reader_feed(reader, stream.data + at, len),
                     HF_ERROR_CORRUPT);
    snapshot_reader_abandon(reader);
    reader = snapshot_reader_create();
    assert_int_equal(snapshot_reader_feed(reader, stream.data, at), 0);
    assert_int_equal(snapshot_reader_feed(reader, no_id, sizeof(no_id)),
                     HF_ERROR_CORRUPT);
    snapshot_reader_abandon(reader);
    /* Without it the hash is that of another state. */
    memmove(stream.data + at, stream.data + at + len, stream.len - at - len);
    stream.len -= len;
    assert_null(read_snapshot(&stream));
    bytes_close(&stream);
    state_destroy(state);
}

static void what_older_versions_wrote_still_counts(void **unused)
{
    struct state *state = state_create();
    struct state *restored;
    struct bytes stream;
    struct batch batch = {.head = {1, ZONE_HASH, 5}};
    struct change change = {.kind = CHANGE_REGION, .region.id = {HIGH, LOW}};

    (void)unused;
    assert_true(state_hash(state) == EMPTY_HASH);
    create_zone(state);
    assert_true(state_hash(state) == ZONE_HASH);
    write_snapshot(state, &stream);
    assert_int_equal(stream.len, 336); /* Not one byte more. */
    restored = read_snapshot(&stream);
    assert_non_null(restored);
    assert_false(region_id_is_set(state_region(restored)));
    assert_true(state_hash(restored) == ZONE_HASH);
    /* And gets its id by the next entry. */
    batch.changes = &change;
    batch.count = 1;
    assert_int_equal(state_apply_batch(restored, &batch, NULL), 0);
    assert_region(restored, HIGH, LOW);
    state_destroy(restored);
    bytes_close(&stream);
    state_destroy(state);
}

static void an_entry_carries_it(void **unused)
{
    static const struct batch_head head = {0, 7, 9};
    struct change change = {.kind = CHANGE_REGION, .region.id = {HIGH, 0}};
    struct batch batch;
    struct arena arena;
    struct bytes entry;

    (void)unused;
    bytes_init(&entry);
    arena_init(&arena, BATCH_ARENA_BYTES);
    batch_begin(&entry, &head);
    batch_add(&entry, &change);
    assert_int_equal(batch_decode(entry.data, entry.len, &arena, &batch), 0);
    assert_int_equal(batch.count, 1);
    assert_int_equal(batch.changes[0].kind, CHANGE_REGION);
    assert_true(batch.changes[0].region.id.high == HIGH);
    assert_true(batch.changes[0].region.id.low == 0);
    /* No id at all was never written. */
    change.region.id.high = 0;
    bytes_clear(&entry);
    batch_begin(&entry, &head);
    batch_add(&entry, &change);
    assert_int_equal(batch_decode(entry.data, entry.len, &arena, &batch),
                     HF_ERROR_CORRUPT);
    arena_close(&arena);
    bytes_close(&entry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_region_gets_its_id_once),
        cmocka_unit_test(the_hash_counts_every_bit),
        cmocka_unit_test(an_id_raises_no_revision),
        cmocka_unit_test(a_snapshot_carries_it),
        cmocka_unit_test(a_snapshot_with_two_ids_or_an_empty_one_is_refused),
        cmocka_unit_test(what_older_versions_wrote_still_counts),
        cmocka_unit_test(an_entry_carries_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
