/* SPDX-License-Identifier: Apache-2.0
 *
 * The building blocks: each case is one promise of a header. */
#include "base/arena.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/map.h"
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct item {
    int number;
    struct list link;
};

static void list_keeps_order_through_splice_and_removal(void **unused)
{
    struct list first;
    struct list second;
    struct list *at;
    struct item items[4];
    int seen = 0;

    (void)unused;
    list_init(&first);
    list_init(&second);
    for (int i = 0; i < 4; i++) {
        items[i].number = i;
        list_init(&items[i].link);
        list_append(i < 2 ? &first : &second, &items[i].link);
    }
    list_splice(&first, &second);
    assert_true(list_empty(&second));
    list_remove(&items[1].link);
    list_foreach (at, &first) {
        seen = seen * 10 + list_entry(at, struct item, link)->number;
    }
    assert_int_equal(seen, 23); /* 0, 2, 3 */
}

/* The same operations on the map and on a plain array must agree, through
 * growth and through the backward shifts of removal. */
static void map_agrees_with_an_array_over_random_operations(void **unused)
{
    enum { KEYS = 512, STEPS = 200000 };
    static int values[KEYS];
    void *model[KEYS] = {0};
    struct map map;
    struct random random;
    size_t count = 0;

    (void)unused;
    map_init(&map);
    random_init(&random, 42);
    for (int step = 0; step < STEPS; step++) {
        uint64_t key = random_below(&random, KEYS);

        if (random_below(&random, 2) == 0) {
            count += model[key] == NULL;
            model[key] = &values[random_below(&random, KEYS)];
            map_put(&map, key, model[key]);
        } else {
            count -= model[key] != NULL;
            assert_ptr_equal(map_remove(&map, key), model[key]);
            model[key] = NULL;
        }
        key = random_below(&random, KEYS);
        assert_ptr_equal(map_get(&map, key), model[key]);
        assert_int_equal(map.count, count);
    }
    map_close(&map);
}

static void bytes_read_back_what_was_written_and_fail_past_the_end(
    void **unused)
{
    struct bytes bytes;
    struct bytes_reader reader;

    (void)unused;
    bytes_init(&bytes);
    bytes_append_u8(&bytes, 1);
    bytes_append_u16(&bytes, 0x0203);
    bytes_append_u32(&bytes, 0x04050607);
    bytes_append_u64(&bytes, 0x08090a0b0c0d0e0f);
    bytes_append(&bytes, "abc", 3);
    bytes_reader_init(&reader, bytes.data, bytes.len);
    assert_int_equal(bytes_read_u8(&reader), 1);
    assert_int_equal(bytes_read_u16(&reader), 0x0203);
    assert_int_equal(bytes_read_u32(&reader), 0x04050607);
    assert_int_equal(bytes_read_u64(&reader), 0x08090a0b0c0d0e0f);
    assert_memory_equal(bytes_read(&reader, 3), "abc", 3);
    assert_false(reader.failed);
    assert_int_equal(bytes_read_u8(&reader), 0);
    assert_true(reader.failed);
    bytes_close(&bytes);
}

static void arena_refuses_what_passes_its_ceiling(void **unused)
{
    struct arena arena;

    (void)unused;
    arena_init(&arena, 64 * 1024);
    assert_non_null(arena_alloc(&arena, 40 * 1024));
    assert_null(arena_alloc(&arena, 40 * 1024));
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_non_null(arena_alloc(&arena, 100));
    arena_clear(&arena);
    assert_non_null(arena_alloc(&arena, 40 * 1024));
    arena_close(&arena);
}

/* Vectors of RFC 3720, appendix B.4, and the usual check word. */
static void crc32c_matches_the_published_vectors(void **unused)
{
    uint8_t block[32] = {0};

    (void)unused;
    assert_int_equal(crc32c(0, block, sizeof(block)), 0x8a9136aa);
    memset(block, 0xff, sizeof(block));
    assert_int_equal(crc32c(0, block, sizeof(block)), 0x62a8ab43);
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
}

/* These stand in files: a library that changed them would orphan our data. */
static void hashes_are_the_frozen_ones(void **unused)
{
    (void)unused;
    assert_true(hash_bytes("", 0, 0) == 0x2d06800538d394c2);
    assert_true(hash_u64(0) == 0xe220a8397b1dcdaf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(list_keeps_order_through_splice_and_removal),
        cmocka_unit_test(map_agrees_with_an_array_over_random_operations),
        cmocka_unit_test(
            bytes_read_back_what_was_written_and_fail_past_the_end),
        cmocka_unit_test(arena_refuses_what_passes_its_ceiling),
        cmocka_unit_test(crc32c_matches_the_published_vectors),
        cmocka_unit_test(hashes_are_the_frozen_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
