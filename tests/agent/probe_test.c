/* SPDX-License-Identifier: Apache-2.0
 *
 * What the drivers find out about a machine (trap 1: KVM can look usable and
 * not be). */
#include "host_fixture.h"

#include "agent/accel_probe.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/error.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct answer {
    struct vm_probe probe;
    bool answered;
    int status;
};

static void on_probed(struct vm_probe *probe, int status, const char *reason)
{
    struct answer *answer = container_of(probe, struct answer, probe);

    assert_false(answer->answered);
    answer->answered = true;
    answer->status = status;
    print_message("answer: %s\n", reason);
}

static bool cpu_has_virtualisation(void)
{
    static char text[4 * 1024 * 1024];
    int fd = open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    ssize_t n;

    while ((n = read(fd, text + len, sizeof(text) - len)) > 0) {
        len += (size_t)n;
    }
    close(fd);
    return accel_cpuinfo_has_virtualisation(text, len);
}

static void without_processor_support_it_is_tcg(void **state)
{
    struct host *host = *state;
    struct answer answer = {.answered = false};

    if (cpu_has_virtualisation()) {
        skip();
    }
    host->qemu.driver.capabilities = 0;
    assert_int_equal(
        vm_driver_probe(&host->qemu.driver, &answer.probe, on_probed), 0);
    assert_false(answer.answered); /* Never from inside the call. */
    host_until(host, answer.answered);
    assert_int_equal(answer.status, 0);
    assert_int_equal(host->qemu.accel, ACCEL_TCG);
    assert_int_not_equal(host->qemu.driver.capabilities & VM_CAN_FENCE, 0);
}

static void without_qemu_there_is_no_driver(void **state)
{
    struct host *host = *state;
    struct answer answer = {.answered = false};
    struct vm_spec spec;

    host->qemu.driver.capabilities = 0;
    host->qemu.options.program = "/nonexistent/qemu";
    assert_int_equal(
        vm_driver_probe(&host->qemu.driver, &answer.probe, on_probed), 0);
    host_until(host, answer.answered);
    assert_int_equal(answer.status, HF_ERROR_UNSUPPORTED);
    host_guest_spec(host, 1, 1, &spec);
    assert_int_equal(host_refusal(host, &spec), HF_ERROR_UNSUPPORTED);
    vm_spec_close(&spec);
}

static int boot_result;

static void on_booted(struct accel_probe *probe, bool works)
{
    (void)probe;
    boot_result = works ? 1 : 0;
}

/* The machinery of the probe boot, with the accelerator that works anywhere. */
static int probe_boot(struct host *host)
{
    struct accel_probe *probe = calloc(1, sizeof(*probe));
    struct scan scan;
    struct run_dir run;
    char path[RUN_DIR_PATH_MAX + 16];

    boot_result = -1;
    assert_int_equal(
        accel_probe_start(probe, &host->qemu, ACCEL_TCG, on_booted), 0);
    assert_int_equal(boot_result, -1);
    host_until(host, boot_result >= 0);
    host_turn(host, 100);
    free(probe);
    /* Nothing is left behind. */
    snprintf(path, sizeof(path), "%s/probe", host->run.path);
    assert_int_equal(run_dir_open(&run, path), 0);
    assert_int_equal(scan_run(&scan, &run), 0);
    assert_int_equal(scan.count, 0);
    scan_close(&scan);
    run_dir_close(&run);
    return boot_result;
}

static void a_probe_boot_that_beats_counts(void **state)
{
    struct host *host = *state;

    /* Two seconds may be short on a busy machine: several tries, and one that
     * works shows that it can. */
    for (int i = 0; i < 10; i++) {
        if (probe_boot(host) == 1) {
            return;
        }
    }
    fail_msg("no probe boot came up");
}

static void use_script(struct host *host, const char *script, char path[96])
{
    FILE *file;

    snprintf(path, 96, "%s/fake", host->dir);
    file = fopen(path, "we");
    assert_non_null(file);
    fputs(script, file);
    fclose(file);
    assert_int_equal(chmod(path, 0700), 0);
    host->qemu.options.program = path;
}

static void a_probe_boot_that_hangs_or_dies_does_not_count(void **state)
{
    static const char *const scripts[] = {
        "#!/bin/sh\nexec sleep 1000\n",
        "#!/bin/sh\necho 'kvm: error: failed to set MSR 0x10a' >&2\nexit 1\n",
        "#!/bin/sh\necho 'holdfast-guest boot=1 beat=1'\nexec sleep 1000\n",
    };
    struct host *host = *state;
    char path[96];

    for (size_t i = 0; i < 3; i++) {
        use_script(host, scripts[i], path);
        assert_int_equal(probe_boot(host), 0);
    }
}

static void the_flag_must_be_a_word_of_a_flags_line(void **state)
{
    static const struct {
        const char *text;
        bool found;
    } rows[] = {
        {"flags\t\t: fpu vmx sse\n", true},
        {"flags\t\t: fpu svm\n", true},
        {"flags : vmx", true},
        {"model name : vmx\nflags : fpu\n", false},
        {"flags : fpu vmxnet avmx svm_lock\n", false},
        {"vmx flags : ept\n", false},
        {"flags", false},
        {"", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(accel_cpuinfo_has_virtualisation(rows[i].text,
                                                          strlen(rows[i].text)),
                         rows[i].found);
    }
}

#define CASE(name) \
    cmocka_unit_test_setup_teardown(name, host_setup, host_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(without_processor_support_it_is_tcg),
        CASE(without_qemu_there_is_no_driver),
        CASE(a_probe_boot_that_beats_counts),
        CASE(a_probe_boot_that_hangs_or_dies_does_not_count),
        cmocka_unit_test(the_flag_must_be_a_word_of_a_flags_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
