/* SPDX-License-Identifier: Apache-2.0
 *
 * The rank index against a plain pass over all hosts, by the order as ranks.h
 * tells it, worked out here by division. */
#include "base/container.h"
#include "base/random.h"
#include "placement/ranks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HOSTS_MAX 1500
#define PARTS     3

struct bench {
    struct random random;
    struct ranks_size sizes[RANKS_SIZES_MAX];
    uint32_t size_count;
    struct ranks_scale scale;
    struct ranks_table *table;
    struct ranks *ranks;
    struct ranks_host hosts[HOSTS_MAX]; /* What is in the index: part; */
    bool there[HOSTS_MAX];              /* and whether. */
    uint32_t host_count;
};

static uint32_t draw(struct bench *bench, uint32_t bound)
{
    return (uint32_t)random_below(&bench->random, bound);
}

static void draw_sizes(struct bench *bench)
{
    static const uint32_t units[] = {1000, 500, 250, 37};
    uint32_t cpu_unit = units[draw(bench, ARRAY_LEN(units))];
    uint32_t memory_unit = units[draw(bench, ARRAY_LEN(units))];

    bench->size_count = draw(bench, 8) == 0 ? 0 : 1 + draw(bench, 14);
    for (uint32_t i = 0; i < bench->size_count; i++) {
        bench->sizes[i] = (struct ranks_size){
            .cpu_milli = cpu_unit * (1 + draw(bench, 16)),
            .memory_mib = memory_unit * (1 + draw(bench, 24)),
            .popularity = 1 + draw(bench, 1000),
        };
    }
    bench->scale = (struct ranks_scale){
        .cpu_milli = 1 + draw(bench, 1000000000),
        .memory_mib = 1 + draw(bench, 1000000000),
        .cpu_max_milli = cpu_unit * 40,
        .memory_max_mib = memory_unit * 60,
        .cells_max = draw(bench, 2) == 0 ? 0 : 4225,
    };
}

static struct ranks_host draw_host(struct bench *bench, uint32_t number)
{
    struct ranks_host host = {
        .host = number,
        .part = draw(bench, PARTS),
        .cpu_milli = draw(bench, bench->scale.cpu_max_milli * 9 / 8),
        .memory_mib = draw(bench, bench->scale.memory_max_mib * 9 / 8),
    };

    /* Many that are alike, as fleets have them. */
    if (draw(bench, 2) == 0) {
        host.part = 0;
        host.cpu_milli = bench->scale.cpu_max_milli / (1 + draw(bench, 2));
        host.memory_mib = bench->scale.memory_max_mib;
    }
    return host;
}

static void set_up(struct bench *bench, uint64_t seed, uint32_t hosts)
{
    struct ranks_host loaded[HOSTS_MAX];
    uint32_t count = 0;

    memset(bench, 0, sizeof(*bench));
    random_init(&bench->random, seed);
    draw_sizes(bench);
    bench->table =
        ranks_table_create(bench->sizes, bench->size_count, &bench->scale);
    bench->ranks = ranks_create(bench->table, PARTS, HOSTS_MAX);
    bench->host_count = hosts;
    for (uint32_t i = 0; i < hosts; i++) {
        bench->hosts[i] = draw_host(bench, i);
        bench->there[i] = draw(bench, 8) != 0;
        if (bench->there[i]) {
            loaded[count++] = bench->hosts[i];
        }
    }
    ranks_load(bench->ranks, loaded, count);
}

static void close(struct bench *bench)
{
    ranks_destroy(bench->ranks);
    ranks_table_destroy(bench->table);
}

static struct ranks_want draw_want(struct bench *bench)
{
    if (bench->size_count > 0 && draw(bench, 3) != 0) {
        uint32_t size = draw(bench, bench->size_count);

        return ranks_want(bench->table, bench->sizes[size].cpu_milli,
                          bench->sizes[size].memory_mib);
    }
    return ranks_want(bench->table, 1 + draw(bench, bench->scale.cpu_max_milli),
                      1 + draw(bench, bench->scale.memory_max_mib));
}

/* Whether `a` is better than `b`; the last rule is the number. */
static bool is_better(const struct bench *bench, const struct ranks_want *want,
                      uint32_t a, uint32_t b)
{
    struct ranks_order left;
    struct ranks_order right;
    int order;

    assert_true(ranks_order(bench->table, want, bench->hosts[a].cpu_milli,
                            bench->hosts[a].memory_mib, &left));
    assert_true(ranks_order(bench->table, want, bench->hosts[b].cpu_milli,
                            bench->hosts[b].memory_mib, &right));
    order = ranks_compare(&left, &right);
    return order != 0 ? order < 0 : a < b;
}

/* By a pass over all: the best host after `last` in the order, or of all. */
static uint32_t next_by_pass(const struct bench *bench, uint32_t part,
                             const struct ranks_want *want, uint32_t last)
{
    uint32_t best = RANKS_NONE;

    for (uint32_t i = 0; i < bench->host_count; i++) {
        if (!bench->there[i] || bench->hosts[i].part != part ||
            bench->hosts[i].cpu_milli < want->cpu_milli ||
            bench->hosts[i].memory_mib < want->memory_mib ||
            (last != RANKS_NONE && !is_better(bench, want, last, i))) {
            continue;
        }
        if (best == RANKS_NONE || is_better(bench, want, i, best)) {
            best = i;
        }
    }
    return best;
}

static void check_best(struct bench *bench)
{
    struct ranks_want want = draw_want(bench);
    uint32_t part = draw(bench, PARTS);

    assert_int_equal(ranks_best(bench->ranks, part, &want),
                     next_by_pass(bench, part, &want, RANKS_NONE));
}

static void check_walk(struct bench *bench)
{
    struct ranks_want want = draw_want(bench);
    uint32_t part = draw(bench, PARTS);
    uint32_t last = RANKS_NONE;
    struct ranks_walk walk;

    ranks_walk_begin(&walk, bench->ranks, part, &want);
    do {
        last = next_by_pass(bench, part, &want, last);
        assert_int_equal(ranks_walk_next(&walk), last);
    } while (last != RANKS_NONE);
}

static void change(struct bench *bench)
{
    uint32_t number = draw(bench, bench->host_count);

    if (draw(bench, 6) == 0) {
        ranks_remove(bench->ranks, number);
        bench->there[number] = false;
        return;
    }
    bench->hosts[number] = draw_host(bench, number);
    bench->there[number] = true;
    ranks_set(bench->ranks, number, bench->hosts[number].part,
              bench->hosts[number].cpu_milli, bench->hosts[number].memory_mib);
}

static void the_best_host_is_that_of_a_pass_after_any_change(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        struct bench bench;

        set_up(&bench, seed, 60);
        for (uint32_t i = 0; i < 120; i++) {
            change(&bench);
            check_best(&bench);
        }
        close(&bench);
    }
}

static void a_walk_gives_all_hosts_that_fit_in_order(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct bench bench;

        set_up(&bench, seed, 40);
        for (uint32_t i = 0; i < 20; i++) {
            change(&bench);
        }
        check_walk(&bench);
        check_walk(&bench);
        close(&bench);
    }
}

/* Cells turn from one host to arrays and bitmaps and back. */
static void thousands_of_hosts_alike_stay_in_order(void **unused)
{
    struct bench bench;

    (void)unused;
    set_up(&bench, 7, HOSTS_MAX);
    for (uint32_t i = 0; i < 20000; i++) {
        change(&bench);
        if (i % 500 == 0) {
            check_best(&bench);
        }
    }
    for (uint32_t i = 0; i < HOSTS_MAX - 5; i++) {
        ranks_remove(bench.ranks, i);
        bench.there[i] = false;
        if (i % 300 == 0) {
            check_best(&bench);
        }
    }
    check_walk(&bench);
    close(&bench);
}

static void a_clone_and_a_copy_change_on_their_own(void **unused)
{
    struct bench bench;
    struct ranks *original;

    (void)unused;
    set_up(&bench, 3, 800);
    original = bench.ranks;
    bench.ranks = ranks_clone(original);
    for (uint32_t i = 0; i < 500; i++) {
        change(&bench);
    }
    check_walk(&bench);
    ranks_copy(original, bench.ranks);
    for (uint32_t i = 0; i < 200; i++) {
        ranks_set(bench.ranks, i, 0, 0, 0);
    }
    ranks_destroy(bench.ranks);
    bench.ranks = original;
    for (uint32_t i = 0; i < 20; i++) {
        check_best(&bench);
    }
    close(&bench);
}

/* Sum over sizes of weight x slots lost, by hand: one size of 2 CPUs and 2 GiB
 * weighs as much as its share, another of 1 and 4. */
static void the_score_is_the_slots_that_are_lost(void **unused)
{
    static const struct ranks_size sizes[] = {{2000, 2048, 1}, {1000, 4096, 1}};
    static const struct ranks_scale scale = {4000, 8192, 16000, 32768, 0};
    struct ranks_table *table = ranks_table_create(sizes, 2, &scale);
    struct ranks_want want = ranks_want(table, 2000, 2048);
    struct ranks_order tight;
    struct ranks_order wide;
    struct ranks_order odd;

    (void)unused;
    /* 4 CPUs, 4 GiB: two of the first or one of the second; with it one of the
     * first and none of the second. */
    assert_true(ranks_order(table, &want, 4000, 4096, &tight));
    /* 4 CPUs, 8 GiB: two of the first, two of the second; then one and one. */
    assert_true(ranks_order(table, &want, 4000, 8192, &wide));
    assert_int_equal(tight.score, wide.score);
    assert_true(ranks_compare(&tight, &wide) < 0);
    /* 3 CPUs, 2 GiB: one of the first alone is lost. */
    assert_true(ranks_order(table, &want, 3000, 2048, &odd));
    assert_true(ranks_compare(&odd, &tight) < 0);
    assert_false(ranks_order(table, &want, 1999, 4096, &odd));
    ranks_table_destroy(table);
}

static void many_sizes_and_large_hosts_keep_to_the_number_of_cells(
    void **unused)
{
    struct ranks_size sizes[RANKS_SIZES_MAX];
    struct ranks_scale scale = {1024000, 67108864, 1024000, 67108864, 0};
    struct ranks_figures figures;
    struct ranks_table *table;
    struct ranks *ranks;
    struct ranks_want want;

    (void)unused;
    for (uint32_t i = 0; i < RANKS_SIZES_MAX; i++) {
        sizes[i] = (struct ranks_size){1 + i * 1301, 7 + i * 100003, 1};
    }
    table = ranks_table_create(sizes, RANKS_SIZES_MAX, &scale);
    ranks = ranks_create(table, 1, 10);
    ranks_figures(ranks, &figures);
    assert_true(figures.cells <= RANKS_CELLS_MAX);
    assert_int_equal(figures.sizes, RANKS_SIZES_MAX);
    want = ranks_want(table, sizes[63].cpu_milli, sizes[63].memory_mib);
    ranks_set(ranks, 4, 0, sizes[63].cpu_milli - 1, sizes[63].memory_mib);
    assert_int_equal(ranks_best(ranks, 0, &want), RANKS_NONE);
    ranks_set(ranks, 5, 0, sizes[63].cpu_milli, sizes[63].memory_mib);
    assert_int_equal(ranks_best(ranks, 0, &want), 5);
    ranks_destroy(ranks);
    ranks_table_destroy(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_host_is_that_of_a_pass_after_any_change),
        cmocka_unit_test(a_walk_gives_all_hosts_that_fit_in_order),
        cmocka_unit_test(thousands_of_hosts_alike_stay_in_order),
        cmocka_unit_test(a_clone_and_a_copy_change_on_their_own),
        cmocka_unit_test(the_score_is_the_slots_that_are_lost),
        cmocka_unit_test(
            many_sizes_and_large_hosts_keep_to_the_number_of_cells),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
