/* SPDX-License-Identifier: Apache-2.0
 *
 * What an agent says, as far as one call shows it. Sessions and their order are
 * in node_failover_test. */
#include "node/reports.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static struct hello hello_of(const char *host)
{
    return (struct hello){
        .host = text_of(host),
        .zone = text_of("z"),
        .host_id = text_of("0123456789abcdef"),
        .boot_id = text_of("0123456789abcdef"),
        .capacity = {1000, 1000, 0, 0},
        .driver_mask = 1 << DRIVER_EXEC,
    };
}

static void register_host(struct state *state, const char *name)
{
    struct change change = {.kind = CHANGE_HOST_REGISTER};
    struct hello hello = hello_of(name);

    change.host_register = (struct change_host_register){
        .name = hello.host,
        .zone = {state_zone_at(state, 0)->uid},
        .host_id = hello.host_id,
        .boot_id = hello.boot_id,
        .capacity = hello.capacity,
        .driver_mask = hello.driver_mask,
    };
    state_apply(state, &change, NULL);
}

static void one_name_too_many_is_refused(void **unused)
{
    struct state *state = state_create();
    struct change change = {.kind = CHANGE_ZONE_CREATE};
    struct turn_plan plan = {.scratch = state};
    struct hello hello = hello_of("new");
    struct host_id host;
    bool rebooted;
    char name[16];

    (void)unused;
    change.zone_create.name = text_of("z");
    state_apply(state, &change, NULL);
    for (uint32_t i = 0; i < HOSTS_MAX; i++) {
        snprintf(name, sizeof(name), "h%u", i);
        register_host(state, name);
    }
    assert_int_equal(plan_hello(&plan, &hello, &host, &rebooted),
                     HELLO_TOO_MANY_HOSTS);
    /* Those that are known may come back. */
    hello = hello_of("h7");
    hello.fault_domain = text_of("");
    assert_int_not_equal(plan_hello(&plan, &hello, &host, &rebooted),
                         HELLO_TOO_MANY_HOSTS);
    bytes_close(&plan.entry);
    state_destroy(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_name_too_many_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
