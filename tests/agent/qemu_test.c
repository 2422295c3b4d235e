/* SPDX-License-Identifier: Apache-2.0
 *
 * Real QEMU, our own guest: from start to every way of ending. */
#include "host_fixture.h"

#include "base/clock.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void a_guest_starts_beats_and_powers_off(void **state)
{
    struct host *host = *state;
    struct host_vm vm;
    struct vm_spec spec;
    char console[4096];
    size_t len;

    host_guest_spec(host, 7, 1, &spec);
    host_start(host, &vm, &spec);
    assert_true(host_await(host, &vm, VM_EVENT_STARTED));
    assert_true(host_await(host, &vm, VM_EVENT_RUNNING));
    host_until(host, host_beats(host, 7) >= 3);
    len = vm_console_read(vm.vm, console, sizeof(console) - 1);
    console[len] = '\0';
    assert_non_null(strstr(console, "holdfast-guest boot=1 beat=1\r\n"));
    vm_stop(vm.vm, 20000);
    assert_true(host_await(host, &vm, VM_EVENT_GONE));
    assert_string_equal(host_reason(&vm, VM_EVENT_GONE), "exited status=0");
    assert_false(vm.events[vm.event_count - 1].failed);
    assert_true(host_lock_is_free(host, 7));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_guest_starts_beats_and_powers_off,
                                        host_setup, host_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
