/* SPDX-License-Identifier: Apache-2.0
 *
 * Real QEMU, our own guest: from start to every way of ending. */
#include "host_fixture.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct host_vm *start_guest(struct host *host, uint64_t uid,
                                   uint64_t epoch)
{
    struct vm_spec spec;

    host_guest_spec(host, uid, epoch, &spec);
    return host_start(host, &spec);
}

static bool console_has(const struct host_vm *vm, const char *text)
{
    static char console[65536];
    size_t len = vm_console_read(vm->vm, console, sizeof(console));

    return memmem(console, len, text, strlen(text)) != NULL;
}

static void a_guest_starts_beats_and_powers_off(void **state)
{
    struct host *host = *state;
    struct host_vm *vm = start_guest(host, 7, 1);

    assert_true(host_await(host, vm, VM_EVENT_STARTED));
    assert_true(host_await(host, vm, VM_EVENT_RUNNING));
    host_until(host, host_beats(host, 7) >= 3);
    assert_true(console_has(vm, "holdfast-guest boot=1 beat=1\r\n"));
    vm_stop(vm->vm, 20000);
    assert_true(host_await(host, vm, VM_EVENT_GONE));
    assert_string_equal(host_reason(vm, VM_EVENT_GONE), "exited status=0");
    assert_false(vm->events[vm->event_count - 1].failed);
    assert_true(host_lock_is_free(host, 7));
}

static bool file_has(const struct host *host, uint64_t uid, const char *name,
                     const char *text)
{
    char path[128];
    char log[4096] = {0};
    FILE *file;
    size_t len;

    snprintf(path, sizeof(path), "%s/vms/%d/%s", host->run.path, (int)uid,
             name);
    file = fopen(path, "re");
    assert_non_null(file);
    len = fread(log, 1, sizeof(log) - 1, file);
    fclose(file);
    return memmem(log, len, text, strlen(text)) != NULL;
}

/* The button is pressed before the guest has enabled it (trap 4). Only the
 * guest's own word shows that a repeated press reached it. */
static void an_early_power_button_is_repeated(void **state)
{
    struct host *host = *state;
    struct host_vm *vm = start_guest(host, 1, 1);

    assert_true(host_await(host, vm, VM_EVENT_STARTED));
    vm_stop(vm->vm, 25000);
    assert_true(host_await(host, vm, VM_EVENT_GONE));
    assert_string_equal(host_reason(vm, VM_EVENT_GONE), "exited status=0");
    assert_true(file_has(host, 1, "serial", "holdfast-guest off\r\n"));
}

/* No beat twice, none left out, over kills and power-offs. */
static void the_counter_goes_on_with_the_next_number(void **state)
{
    struct host *host = *state;
    uint64_t last = 0;

    for (uint64_t epoch = 1; epoch <= 4; epoch++) {
        struct host_vm *vm = start_guest(host, 1, epoch);
        char line[64];

        host_until(host, host_beats(host, 1) >= last + 2);
        snprintf(line, sizeof(line), "boot=%d beat=%d\r\n", (int)epoch,
                 (int)last + 1);
        host_until(host, console_has(vm, line));
        snprintf(line, sizeof(line), "beat=%d\r\n", (int)last);
        assert_false(console_has(vm, line));
        if (epoch % 2 == 0) {
            vm_kill(vm->vm);
        } else {
            vm_stop(vm->vm, 20000);
        }
        assert_true(host_await(host, vm, VM_EVENT_GONE));
        assert_int_equal(host_boots(host, 1), epoch);
        assert_true(host_beats(host, 1) >= last + 2);
        last = host_beats(host, 1);
    }
}

/* A guest that ignores the button: no system on its disk. */
static struct host_vm *start_deaf(struct host *host)
{
    struct vm_spec spec;
    struct host_vm *vm;

    host_guest_spec(host, 1, 1, &spec);
    free(spec.boot_image);
    spec.boot_image = NULL;
    vm = host_start(host, &spec);
    assert_true(host_await(host, vm, VM_EVENT_RUNNING));
    return vm;
}

static void a_deaf_guest_is_quit_before_the_grace_ends(void **state)
{
    struct host *host = *state;
    struct host_vm *vm = start_deaf(host);

    vm_stop(vm->vm, 1500);
    assert_true(host_await(host, vm, VM_EVENT_GONE));
    assert_string_equal(host_reason(vm, VM_EVENT_GONE), "exited status=0");
}

static void a_stopped_qemu_is_killed_after_the_grace(void **state)
{
    struct host *host = *state;
    struct host_vm *vm = start_guest(host, 1, 1);
    struct pid_file file;

    assert_true(host_await(host, vm, VM_EVENT_RUNNING));
    assert_true(host_pid_file(host, 1, &file));
    host_signal(&file.vm, SIGSTOP);
    vm_stop(vm->vm, 1200);
    assert_true(host_await(host, vm, VM_EVENT_GONE));
    assert_string_equal(host_reason(vm, VM_EVENT_GONE), "signaled signal=9");
    assert_false(vm->events[vm->event_count - 1].failed);
}

/* The kill of a VM whose shim is stopped: the shim goes too, a second later. */
static void a_kill_gets_by_a_stopped_shim(void **state)
{
    struct host *host = *state;
    struct host_vm *vm = start_guest(host, 1, 1);
    struct pid_file file;

    assert_true(host_await(host, vm, VM_EVENT_RUNNING));
    assert_true(host_pid_file(host, 1, &file));
    host_signal(&file.shim, SIGSTOP);
    vm_kill(vm->vm);
    assert_true(host_await(host, vm, VM_EVENT_GONE));
    assert_string_equal(host_reason(vm, VM_EVENT_GONE), "shim_died");
    assert_false(vm->events[vm->event_count - 1].failed);
}

/* The last line of defence (trap 7), also while the holder is stopped. */
static void a_second_qemu_on_the_same_disk_is_refused(void **state)
{
    struct host *host = *state;
    struct host_vm *first = start_guest(host, 1, 1);
    struct host_vm *second;
    struct vm_spec spec;
    struct pid_file file;

    host_until(host, host_beats(host, 1) >= 1);
    assert_true(host_pid_file(host, 1, &file));
    for (uint64_t round = 1; round <= 2; round++) {
        uint64_t beats;

        if (round == 2) {
            host_signal(&file.vm, SIGSTOP);
        }
        beats = host_beats(host, 1);
        host_guest_spec(host, 1, 1, &spec);
        spec.uid = 2;
        spec.epoch = round;
        second = host_start(host, &spec);
        assert_true(host_await(host, second, VM_EVENT_GONE));
        assert_false(host_saw(second, VM_EVENT_RUNNING));
        assert_string_equal(host_reason(second, VM_EVENT_GONE),
                            "exited status=1");
        assert_true(file_has(host, 2, "log", "lock"));
        assert_int_equal(host_boots(host, 1), 1);
        assert_true(host_beats(host, 1) >= beats);
    }
    host_signal(&file.vm, SIGCONT);
    vm_kill(first->vm);
    assert_true(host_await(host, first, VM_EVENT_GONE));
}

static void write_file(const char *path, const void *data, size_t len,
                       off_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), (ssize_t)len);
    assert_int_equal(ftruncate(fd, size), 0);
    close(fd);
}

/* A boot sector that says "panicked" to the pvpanic device and halts. */
static void a_panic_is_a_failure(void **state)
{
    static const uint8_t code[] = {0xba, 0x05, 0x05,  /* mov $0x505, %dx */
                                   0xb0, 0x01,        /* mov $1, %al */
                                   0xee,              /* out %al, %dx */
                                   0xf4, 0xeb, 0xfd}; /* hlt; jmp */
    struct host *host = *state;
    struct host_vm *vm;
    struct vm_spec spec;
    struct pid_file file;
    uint8_t sector[512] = {0};
    char path[96];

    memcpy(sector, code, sizeof(code));
    sector[510] = 0x55;
    sector[511] = 0xaa;
    host_guest_spec(host, 1, 1, &spec);
    free(spec.boot_image);
    spec.boot_image = NULL;
    host_disk_path(host, 1, path);
    write_file(path, sector, sizeof(sector), 1024 * 1024);
    vm = host_start(host, &spec);
    assert_true(host_await(host, vm, VM_EVENT_FAILED));
    assert_string_equal(host_reason(vm, VM_EVENT_FAILED), "guest-panicked");
    assert_true(host_pid_file(host, 1, &file));
    assert_true(host_is_alive(&file.vm)); /* The process lives: trap 2. */
    vm_kill(vm->vm);
    assert_true(host_await(host, vm, VM_EVENT_GONE));
}

/* A disk on a file system without a free block. Mounting one takes rights that
 * not every machine gives. */
static bool mount_full(struct host *host, const char *path)
{
    char file[128];
    char block[4096] = {1};
    int fd;

    if (mkdir(path, 0700) < 0 || unshare(CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("full", path, "tmpfs", 0, "size=16k") < 0) {
        return false;
    }
    host->mounted = true;
    snprintf(file, sizeof(file), "%s/disk", path);
    write_file(file, "", 0, 1024 * 1024);
    snprintf(file, sizeof(file), "%s/ballast", path);
    fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    while (write(fd, block, sizeof(block)) > 0) {
    }
    close(fd);
    return true;
}

static void an_io_error_is_a_failure(void **state)
{
    struct host *host = *state;
    struct host_vm *vm;
    struct vm_spec spec;
    struct pid_file file;
    char path[96];

    snprintf(path, sizeof(path), "%s/full", host->dir);
    if (!mount_full(host, path)) {
        print_message("no mount of our own here\n");
        skip();
    }
    host_guest_spec(host, 1, 1, &spec);
    free(spec.disks[0].path);
    spec.disks[0].path = memory_alloc(128);
    snprintf(spec.disks[0].path, 128, "%s/disk", path);
    vm = host_start(host, &spec);
    assert_true(host_await(host, vm, VM_EVENT_FAILED));
    /* Which disk is known only if we were there when it happened. */
    print_message("reason: %s\n", host_reason(vm, VM_EVENT_FAILED));
    assert_int_equal(strncmp(host_reason(vm, VM_EVENT_FAILED), "io-error", 8),
                     0);
    assert_true(host_pid_file(host, 1, &file));
    assert_true(host_is_alive(&file.vm));
    vm_kill(vm->vm);
    assert_true(host_await(host, vm, VM_EVENT_GONE));
}

/* An ephemeral disk is the image again at each start, and goes with the VM. */
static void an_ephemeral_disk_is_made_at_each_start(void **state)
{
    struct host *host = *state;
    struct vm_disk disk = {.kind = VM_DISK_EPHEMERAL};
    struct vm_spec spec;
    struct vm_spec copy;
    struct stat info;
    char path[96];
    char image[96];

    snprintf(image, sizeof(image), "%s", host_guest_image());
    host_disk_path(host, 1, path);
    disk.path = path;
    disk.image = image;
    for (uint64_t epoch = 1; epoch <= 2; epoch++) {
        struct host_vm *vm;

        host_guest_spec(host, 2, epoch, &spec);
        vm_spec_close(&spec);
        host_shell_spec(host, 1, epoch, "", &spec);
        vm_strings_close(&spec.argv);
        vm_strings_close(&spec.env);
        spec.driver = VM_DRIVER_QEMU;
        assert_int_equal(vm_spec_add_disk(&spec, &disk), 0);
        vm_spec_copy(&copy, &spec);
        vm = host_start(host, &spec);
        host_until(host, host_beats(host, 1) >= 2);
        assert_int_equal(host_boots(host, 1), 1);
        vm_kill(vm->vm);
        assert_true(host_await(host, vm, VM_EVENT_GONE));
        if (epoch == 1) {
            vm_spec_close(&copy);
        }
    }
    assert_int_equal(vm_forget(&host->run, &copy), 0);
    assert_int_equal(stat(path, &info), -1);
    vm_spec_close(&copy);
}

static void a_kill_while_the_disk_is_made_starts_nothing(void **state)
{
    struct host *host = *state;
    struct vm_disk disk = {.kind = VM_DISK_EPHEMERAL};
    struct vm_spec spec;
    struct host_vm *vm;
    char path[96];
    char image[96];

    snprintf(image, sizeof(image), "%s", host_guest_image());
    snprintf(path, sizeof(path), "%s/made", host->dir);
    disk.path = path;
    disk.image = image;
    host_guest_spec(host, 1, 1, &spec);
    assert_int_equal(vm_spec_add_disk(&spec, &disk), 0);
    vm = host_start(host, &spec);
    vm_kill(vm->vm);
    assert_true(host_await(host, vm, VM_EVENT_GONE));
    assert_string_equal(host_reason(vm, VM_EVENT_GONE), "killed before_start");
    assert_int_equal(vm->event_count, 1);
    assert_int_equal(host_boots(host, 1), 0);
}

static void a_disk_that_cannot_be_made_is_said_so(void **state)
{
    struct host *host = *state;
    char path[] = "/nonexistent/disk";
    char image[] = "/nonexistent/image";
    struct vm_disk disk = {
        .kind = VM_DISK_EPHEMERAL, .path = path, .image = image};
    struct vm_spec spec;
    struct host_vm *vm;

    host_guest_spec(host, 1, 1, &spec);
    assert_int_equal(vm_spec_add_disk(&spec, &disk), 0);
    vm = host_start(host, &spec);
    assert_true(host_await(host, vm, VM_EVENT_GONE));
    assert_string_equal(host_reason(vm, VM_EVENT_GONE),
                        "not_started step=disk");
    assert_true(vm->events[0].failed);
}

#define CASE(name) \
    cmocka_unit_test_setup_teardown(name, host_setup, host_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_guest_starts_beats_and_powers_off),
        CASE(an_early_power_button_is_repeated),
        CASE(the_counter_goes_on_with_the_next_number),
        CASE(a_deaf_guest_is_quit_before_the_grace_ends),
        CASE(a_stopped_qemu_is_killed_after_the_grace),
        CASE(a_kill_gets_by_a_stopped_shim),
        CASE(a_second_qemu_on_the_same_disk_is_refused),
        CASE(a_panic_is_a_failure),
        CASE(an_ephemeral_disk_is_made_at_each_start),
        CASE(a_kill_while_the_disk_is_made_starts_nothing),
        CASE(a_disk_that_cannot_be_made_is_said_so),
        CASE(an_io_error_is_a_failure), /* Last: it changes our mounts. */
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
