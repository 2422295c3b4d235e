/* SPDX-License-Identifier: Apache-2.0
 *
 * Audit records in the state: their ring, their order, how they are kept. */
#include "base/error.h"
#include "state/snapshot.h"
#include "tests/support/state_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* The n-th record; its digest begins with its number. */
static void record(struct mirror *mirror, uint64_t number)
{
    struct change change = {.kind = CHANGE_AUDIT};
    uint8_t digest[AUDIT_DIGEST_BYTES] = {(uint8_t)number,
                                          (uint8_t)(number >> 8), 7};
    char content[32];
    int len = snprintf(content, sizeof(content), "record %u", (unsigned)number);

    change.audit = (struct change_audit){
        {content, (uint32_t)len}, {(const char *)digest, sizeof(digest)}};
    mirror_apply(mirror, &change);
}

static void records(struct mirror *mirror, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        record(mirror, state_audit_last(mirror->state) + 1);
    }
}

static void keep(struct mirror *mirror, uint32_t records_max)
{
    struct change change = {.kind = CHANGE_AUDIT_KEEP};

    change.audit_keep.records_max = records_max;
    mirror_apply(mirror, &change);
}

/* Those from `first` to `last` are there, each as it was written, and each
 * digest is known to the next. */
static void check_kept(const struct mirror *mirror, uint64_t first,
                       uint64_t last)
{
    const struct state *state = mirror->state;
    struct random random;

    assert_int_equal(state_audit_first(state), first);
    assert_int_equal(state_audit_last(state), last);
    for (uint64_t number = first; number <= last; number++) {
        const struct audit *audit = state_audit(state, number);
        struct text content = state_blob(state, audit->blob);
        const uint8_t *previous = state_audit_previous(state, number);
        char wanted[32];
        int len =
            snprintf(wanted, sizeof(wanted), "record %u", (unsigned)number);

        assert_int_equal(audit->number, number);
        assert_int_equal(content.len, len);
        assert_memory_equal(content.data, wanted, content.len);
        assert_int_equal(audit->digest[0], number & 0xff);
        assert_int_equal(previous[0], (number - 1) & 0xff);
        assert_int_equal(previous[1], (number - 1) >> 8);
    }
    random_init(&random, first);
    check_derived(state);
    check_restore(state, &random);
}

static void records_have_numbers_times_and_revisions(void **unused)
{
    struct change zone = {.kind = CHANGE_ZONE_CREATE};
    struct mirror mirror;

    (void)unused;
    mirror_init(&mirror);
    assert_true(state_audit_first(mirror.state) >
                state_audit_last(mirror.state));
    record(&mirror, 1);
    zone.zone_create.name = (struct text){"z1", 2};
    mirror_apply(&mirror, &zone);
    record(&mirror, 2);
    check_kept(&mirror, 1, 2);
    assert_int_equal(state_audit(mirror.state, 1)->revision, 0);
    assert_int_equal(state_audit(mirror.state, 2)->revision, 1);
    assert_true(state_audit(mirror.state, 1)->time_ms <
                state_audit(mirror.state, 2)->time_ms);
    assert_int_equal(state_audit(mirror.state, 2)->time_ms,
                     state_time_ms(mirror.state));
    mirror_close(&mirror);
}

static void a_full_ring_drops_the_oldest_and_keeps_its_digest(void **unused)
{
    struct mirror mirror;

    (void)unused;
    mirror_init(&mirror);
    keep(&mirror, AUDIT_RECORDS_MIN);
    records(&mirror, AUDIT_RECORDS_MIN);
    check_kept(&mirror, 1, AUDIT_RECORDS_MIN);
    records(&mirror, 1);
    check_kept(&mirror, 2, AUDIT_RECORDS_MIN + 1);
    records(&mirror, 2 * AUDIT_RECORDS_MIN);
    check_kept(&mirror, 2 * AUDIT_RECORDS_MIN + 2, 3 * AUDIT_RECORDS_MIN + 1);
    mirror_close(&mirror);
}

static void keeping_less_or_more_loses_none_that_has_room(void **unused)
{
    struct mirror mirror;

    (void)unused;
    mirror_init(&mirror);
    records(&mirror, 350);
    keep(&mirror, 130);
    check_kept(&mirror, 221, 350);
    records(&mirror, 57);
    check_kept(&mirror, 278, 407);
    keep(&mirror, 300);
    check_kept(&mirror, 278, 407);
    records(&mirror, 200);
    check_kept(&mirror, 308, 607);
    keep(&mirror, 300);
    check_kept(&mirror, 308, 607);
    keep(&mirror, AUDIT_RECORDS_MIN);
    check_kept(&mirror, 508, 607);
    mirror_close(&mirror);
}

/* So that data of a region that has none is read by who knows of none. */
static void a_snapshot_without_records_has_no_format_4(void **unused)
{
    struct mirror mirror;
    struct state *clone;
    uint64_t hash;

    (void)unused;
    mirror_init(&mirror);
    hash = state_hash(mirror.state);
    assert_false(state_needs_format_4(mirror.state));
    clone = state_clone(mirror.state);
    record(&mirror, 1);
    assert_true(state_needs_format_4(mirror.state));
    assert_false(state_needs_format_4(clone));
    assert_true(state_hash(mirror.state) != hash);
    assert_true(state_hash(clone) == hash);
    state_destroy(clone);
    mirror_close(&mirror);
}

static void any_changed_byte_of_a_snapshot_with_records_is_refused(
    void **unused)
{
    struct mirror mirror;

    (void)unused;
    mirror_init(&mirror);
    records(&mirror, 3);
    check_changed_bytes(mirror.state);
    mirror_close(&mirror);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_have_numbers_times_and_revisions),
        cmocka_unit_test(a_full_ring_drops_the_oldest_and_keeps_its_digest),
        cmocka_unit_test(keeping_less_or_more_loses_none_that_has_room),
        cmocka_unit_test(a_snapshot_without_records_has_no_format_4),
        cmocka_unit_test(
            any_changed_byte_of_a_snapshot_with_records_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
