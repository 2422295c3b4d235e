/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of commands is whole, and what is done with a status. */
#include "ctl/command.h"
#include "ctl/failure.h"
#include "ctl/help.h"
#include "ctl/wait.h"
#include "holdfast/v1/resources.pb-c.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* As docs/operations.md says: it is asked about, and written in full. */
static bool deletes(const struct command *command)
{
    const char *verb = command->verb == NULL ? "" : command->verb;
    size_t len = strlen(verb);

    return len >= 6 && strcmp(verb + len - 6, "delete") == 0;
}

/* No line is wider than a terminal. */
static void assert_narrow(const struct bytes *text)
{
    size_t width = 0;

    for (size_t i = 0; i < text->len; i++) {
        width = text->data[i] == '\n' ? 0 : width + 1;
        if (width > 80) {
            fail_msg("too wide: %.*s", 100,
                     (const char *)text->data + i - width + 1);
        }
    }
}

static void every_command_can_be_found_run_and_explained(void **unused)
{
    struct bytes help;

    (void)unused;
    bytes_init(&help);
    for (size_t i = 0; command_at(i) != NULL; i++) {
        const struct command *command = command_at(i);

        assert_non_null(command->run);
        assert_non_null(noun_summary(command->noun));
        assert_true(command->name_min <= command->name_max);
        assert_int_equal(command->names[0] == '\0', command->name_max == 0);
        assert_true(islower((unsigned char)command->summary[0]));
        assert_int_equal(command->options & OPTIONS_GLOBAL, 0);
        assert_true(command->destroys || !deletes(command));
        assert_int_equal(command->destroys,
                         (command->options & OPTION(YES)) != 0 &&
                             strcmp(command->noun, "apply") != 0);
        if (command->method != NULL) {
            assert_non_null(hf_method_find(command->method));
        }
        bytes_clear(&help);
        help_write_command(command, &help);
        assert_true(help.len > 100);
        assert_narrow(&help);
        for (unsigned option = 0; option < OPTION_MAX; option++) {
            assert_non_null(option_rule((enum option)option)->name);
        }
    }
    bytes_close(&help);
}

static void assert_differ(const struct option_rule *one,
                          const struct option_rule *two)
{
    assert_string_not_equal(one->name, two->name);
    assert_true(one->letter == 0 || one->letter != two->letter);
}

static void an_option_has_one_meaning_within_a_command(void **unused)
{
    (void)unused;
    for (size_t i = 0; command_at(i) != NULL; i++) {
        option_set options = command_at(i)->options | OPTIONS_GLOBAL;

        for (unsigned pair = 0; pair < OPTION_MAX * OPTION_MAX; pair++) {
            unsigned a = pair / OPTION_MAX;
            unsigned b = pair % OPTION_MAX;

            if (a < b && (options >> a & 1) != 0 && (options >> b & 1) != 0) {
                assert_differ(option_rule((enum option)a),
                              option_rule((enum option)b));
            }
        }
    }
}

static void exit_codes_are_those_of_the_design(void **unused)
{
    (void)unused;
    assert_int_equal(failure_exit_code(HF_STATUS_OK), 0);
    assert_int_equal(failure_exit_code(HF_STATUS_INTERNAL), 1);
    assert_int_equal(failure_exit_code(HF_STATUS_RESOURCE_EXHAUSTED), 1);
    assert_int_equal(failure_exit_code(HF_STATUS_INVALID_ARGUMENT), 2);
    assert_int_equal(failure_exit_code(HF_STATUS_NOT_FOUND), 3);
    assert_int_equal(failure_exit_code(HF_STATUS_ALREADY_EXISTS), 4);
    assert_int_equal(failure_exit_code(HF_STATUS_ABORTED), 4);
    assert_int_equal(failure_exit_code(HF_STATUS_UNAVAILABLE), 5);
    assert_int_equal(failure_exit_code(HF_STATUS_FAILED_PRECONDITION), 6);
    assert_int_equal(failure_exit_code(HF_STATUS_DEADLINE_EXCEEDED), 7);
}

static void a_failure_says_what_why_and_what_next(void **unused)
{
    const char *const words[] = {"vm", "stop"};
    struct hf_status status = {.code = HF_STATUS_UNAVAILABLE,
                               .was_sent = true,
                               .request_id = "r1",
                               .message = "no leader"};
    struct failure failure = {
        .command = command_find(words, 2), .name = "web-1", .status = &status};
    struct bytes out;

    (void)unused;
    bytes_init(&out);
    failure_write(&failure, &out);
    bytes_append_u8(&out, '\0');
    assert_string_equal(
        (const char *)out.data,
        "holdfast: vm stop web-1: no leader [UNAVAILABLE]\n"
        "  It may have taken effect all the same. Repeat it with\n"
        "  --request-id r1: then it takes effect once.\n"
        "  `holdfast cluster status --endpoint HOST:PORT` asks one node, also "
        "without a quorum.\n");
    bytes_close(&out);
}

static void a_wait_ends_when_the_vm_is_there(void **unused)
{
    static const struct {
        enum wait_goal goal;
        Holdfast__V1__VmState state;
        uint64_t epoch; /* Was 3 before. */
        bool moving;
        bool deleted;
        bool reached;
    } rows[] = {
        {WAIT_RUNNING, HOLDFAST__V1__VM_STATE__VM_STATE_STARTING, 3, false,
         false, false},
        {WAIT_RUNNING, HOLDFAST__V1__VM_STATE__VM_STATE_RUNNING, 3, false,
         false, true},
        {WAIT_RUNNING, HOLDFAST__V1__VM_STATE__VM_STATE_RUNNING, 3, false, true,
         false},
        {WAIT_STOPPED, HOLDFAST__V1__VM_STATE__VM_STATE_STOPPING, 3, false,
         false, false},
        {WAIT_STOPPED, HOLDFAST__V1__VM_STATE__VM_STATE_STOPPED, 3, false,
         false, true},
        /* Still where it was: the move has not begun. */
        {WAIT_MOVED, HOLDFAST__V1__VM_STATE__VM_STATE_RUNNING, 3, false, false,
         false},
        {WAIT_MOVED, HOLDFAST__V1__VM_STATE__VM_STATE_RUNNING, 4, true, false,
         false},
        {WAIT_MOVED, HOLDFAST__V1__VM_STATE__VM_STATE_STARTING, 4, false, false,
         false},
        {WAIT_MOVED, HOLDFAST__V1__VM_STATE__VM_STATE_RUNNING, 4, false, false,
         true},
        {WAIT_DELETED, HOLDFAST__V1__VM_STATE__VM_STATE_STOPPED, 3, false,
         false, false},
        {WAIT_DELETED, HOLDFAST__V1__VM_STATE__VM_STATE_STOPPED, 3, false, true,
         true},
    };
    char zone[] = "z2";

    (void)unused;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        Holdfast__V1__VmStatus status;
        Holdfast__V1__Vm vm;

        holdfast__v1__vm__init(&vm);
        holdfast__v1__vm_status__init(&status);
        vm.status = &status;
        status.state = rows[i].state;
        status.epoch = rows[i].epoch;
        if (rows[i].moving) {
            status.move_zone = zone;
        }
        assert_int_equal(
            wait_is_reached(rows[i].goal, 3, &vm.base, rows[i].deleted),
            rows[i].reached);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command_can_be_found_run_and_explained),
        cmocka_unit_test(an_option_has_one_meaning_within_a_command),
        cmocka_unit_test(exit_codes_are_those_of_the_design),
        cmocka_unit_test(a_failure_says_what_why_and_what_next),
        cmocka_unit_test(a_wait_ends_when_the_vm_is_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
