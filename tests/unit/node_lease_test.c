/* SPDX-License-Identifier: Apache-2.0
 *
 * The leader's side of leases: that an ended one is noticed, although not all
 * are looked at each time. */
#include "node/lease.h"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HOSTS 20
#define STEPS 3000

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static void register_host(struct state *state, uint32_t number)
{
    struct change change = {.kind = CHANGE_HOST_REGISTER};
    char name[16];

    snprintf(name, sizeof(name), "h%u", number);
    change.host_register = (struct change_host_register){
        .name = text_of(name),
        .zone = {state_zone_at(state, 0)->uid},
        .fault_domain = text_of(""),
        .host_id = text_of(name),
        .boot_id = text_of("b"),
        .capacity = {1000, 1000, 0, 0},
        .driver_mask = 1 << DRIVER_EXEC,
        .labels = text_of(""),
        .agent_version = text_of(""),
    };
    state_apply(state, &change, NULL);
}

static void fence_host(struct state *state, const struct host *host)
{
    struct change change = {.kind = CHANGE_HOST_FENCE};

    change.host_fence =
        (struct change_host_fence){{host->uid}, FENCE_LEASE_ENDED};
    state_apply(state, &change, NULL);
}

static bool any_has_ended(struct leases *leases, const struct state *state,
                          uint64_t now_ms)
{
    for (uint32_t slot = 0; slot < state_host_slots(state); slot++) {
        const struct lease *lease = leases_get(leases, slot);

        if (lease != NULL && state_host_at(state, slot)->state == HOST_UP &&
            lease_ended(lease, now_ms)) {
            return true;
        }
    }
    return false;
}

/* One host renews, is fenced, or comes back; with waits of any length, as
 * settings change. */
static void step(struct leases *leases, struct state *state,
                 struct random *random, uint64_t now_ms)
{
    uint32_t slot = (uint32_t)random_below(random, HOSTS);
    const struct host *host = state_host_at(state, slot);
    uint32_t wait_ms = 1500 + (uint32_t)random_below(random, 6000);

    if (host->state == HOST_LOST) {
        register_host(state, slot);
        leases_registered(leases, state_host_at(state, slot), now_ms,
                          wait_ms - 1450);
    } else if (lease_ended(leases_get(leases, slot), now_ms)) {
        fence_host(state, host);
    } else {
        leases_renewed(leases, host, host->generation, now_ms, wait_ms);
    }
}

static void an_ended_lease_is_noticed_at_once(void **unused)
{
    struct state *state = state_create();
    struct change change = {.kind = CHANGE_ZONE_CREATE};
    struct random random;
    struct leases leases;
    uint64_t now_ms = 1000;
    uint32_t ended = 0;

    (void)unused;
    random_init(&random, 1);
    leases_init(&leases);
    change.zone_create.name = text_of("z");
    state_apply(state, &change, NULL);
    for (uint32_t i = 0; i < HOSTS; i++) {
        register_host(state, i);
    }
    leases_reset(&leases, state, now_ms);
    for (uint32_t i = 0; i < STEPS; i++) {
        bool has_ended = any_has_ended(&leases, state, now_ms);

        assert_int_equal(leases_have_ended(&leases, state, now_ms), has_ended);
        ended += has_ended;
        step(&leases, state, &random, now_ms);
        now_ms += random_below(&random, 100);
    }
    /* Both ways, and often. */
    assert_true(ended > STEPS / 10 && ended < STEPS * 9 / 10);
    leases_close(&leases);
    state_destroy(state);
}

/* Declaring a host dead asks this: it must not look silent because the wait
 * became longer. */
static void a_host_is_late_by_its_renewals_alone(void **unused)
{
    struct state *state = state_create();
    struct change change = {.kind = CHANGE_ZONE_CREATE};
    struct settings settings = *state_settings(state);
    const struct host *host;
    struct leases leases;

    (void)unused;
    leases_init(&leases);
    change.zone_create.name = text_of("z");
    state_apply(state, &change, NULL);
    register_host(state, 0);
    host = state_host_at(state, 0);
    leases_registered(&leases, host, 1000, 5000);
    leases_renewed(&leases, host, host->generation, 2000, 5000);
    settings.lease_wait_ms = 60000;
    assert_false(lease_is_late(leases_get(&leases, 0), &settings, 2500));
    settings.lease_wait_ms = 3000;
    assert_true(lease_is_late(leases_get(&leases, 0), &settings, 4600));
    /* Renewals heard out of order do not make it younger. */
    leases_renewed(&leases, host, host->generation, 5000, 3000);
    leases_renewed(&leases, host, host->generation, 4000, 3000);
    assert_false(lease_is_late(leases_get(&leases, 0), &settings, 7400));
    assert_true(lease_is_late(leases_get(&leases, 0), &settings, 7600));
    leases_close(&leases);
    state_destroy(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ended_lease_is_noticed_at_once),
        cmocka_unit_test(a_host_is_late_by_its_renewals_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
