/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/accel_probe.h"

#include "agent/scan.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_MS        1000000ull
#define PROBE_MEMORY_MIB 16
#define LOOK_MS          20
#define CONSOLE_BYTES    4096

/* A uid of its own for each probe: what an agent that crashed in the middle of
 * one left behind is not in the way, and its shim ends it. Booted from a copy
 * of the guest, for it writes its counter. */
static void describe(struct vm_spec *spec, const struct run_dir *run,
                     const char *image)
{
    char path[RUN_DIR_PATH_MAX + 16];
    struct vm_disk disk = {.kind = VM_DISK_EPHEMERAL, .path = path};

    vm_spec_init(spec);
    spec->uid = clock_boot_ns();
    spec->epoch = 1;
    memcpy(spec->name, "probe", sizeof("probe"));
    spec->driver = VM_DRIVER_QEMU;
    spec->cpu_milli = 1000;
    spec->memory_mib = PROBE_MEMORY_MIB;
    snprintf(path, sizeof(path), "%s/disk", run->path);
    disk.image = memory_copy_string(image);
    CHECK(vm_spec_add_disk(spec, &disk) == 0);
    free(disk.image);
}

static void forget_ended(const struct run_dir *run)
{
    struct scan scan;

    if (scan_run(&scan, run) != 0) {
        return;
    }
    for (size_t i = 0; i < scan.count; i++) {
        if (scan.entries[i].state == SCAN_ENDED) {
            vm_forget(run, &scan.entries[i].spec);
        }
    }
    scan_close(&scan);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct accel_probe *probe =
        container_of((uv_timer_t *)(void *)handle, struct accel_probe, timer);

    lease_page_close(&probe->lease);
    run_dir_close(&probe->run);
    probe->cb(probe, probe->works);
}

static void on_event(struct vm_listener *listener, struct vm *vm,
                     const struct vm_event *event)
{
    struct accel_probe *probe =
        container_of(listener, struct accel_probe, listener);

    if (event->kind == VM_EVENT_FAILED) {
        vm_kill(vm);
    }
    if (event->kind != VM_EVENT_GONE) {
        return;
    }
    log_info("accel.probed", "accel=%s works=%d reason=\"%s\"",
             accel_name(probe->qemu.accel), probe->works, event->reason);
    vm_forget(&probe->run, vm_spec(vm));
    vm_destroy(vm);
    uv_close((uv_handle_t *)&probe->timer, on_timer_closed);
}

static void on_timer(uv_timer_t *timer)
{
    struct accel_probe *probe = container_of(timer, struct accel_probe, timer);
    char text[CONSOLE_BYTES];
    size_t len = vm_console_read(probe->vm, text, sizeof(text) - 1);

    text[len] = '\0';
    /* The second beat needs a timer interrupt as well as a processor. */
    if (strstr(text, " beat=2\r\n") != NULL) {
        probe->works = true;
    }
    if (probe->works || clock_boot_ms() >= probe->end_ms) {
        vm_kill(probe->vm);
        uv_timer_stop(timer);
    }
}

static int open_all(struct accel_probe *probe, const struct vm_host *host)
{
    char path[RUN_DIR_PATH_MAX + 16];
    int error;

    snprintf(path, sizeof(path), "%s/probe", host->run->path);
    error = run_dir_create(&probe->run, path);
    if (error != 0) {
        return error;
    }
    forget_ended(&probe->run);
    error = lease_page_create(&probe->lease, probe->run.fd);
    if (error != 0) {
        run_dir_close(&probe->run);
    }
    return error;
}

int accel_probe_start(struct accel_probe *probe, struct driver_qemu *parent,
                      enum accel accel, accel_probe_cb cb)
{
    const struct vm_host *host = parent->driver.host;
    struct vm_spec spec;
    uint64_t now_ns = clock_boot_ns();
    int error;

    memset(probe, 0, sizeof(*probe));
    probe->parent = parent;
    error = open_all(probe, host);
    if (error != 0) {
        return error;
    }
    lease_page_extend(&probe->lease, now_ns + ACCEL_PROBE_MS * NS_PER_MS,
                      now_ns);
    probe->host = *host;
    probe->host.run = &probe->run;
    probe->host.lease = &probe->lease;
    probe->host.guard = NULL;
    probe->host.cgroup = NULL;
    driver_qemu_init(&probe->qemu, &probe->host, &parent->options);
    driver_qemu_use(&probe->qemu, accel);
    probe->listener.event = on_event;
    probe->end_ms = clock_boot_ms() + ACCEL_PROBE_MS;
    probe->cb = cb;
    describe(&spec, &probe->run, parent->options.probe_image);
    error = vm_start(&probe->qemu.driver, &spec, &probe->listener, &probe->vm);
    vm_spec_close(&spec);
    if (error != 0) {
        lease_page_close(&probe->lease);
        run_dir_close(&probe->run);
        return error;
    }
    CHECK(uv_timer_init(host->loop, &probe->timer) == 0);
    CHECK(uv_timer_start(&probe->timer, on_timer, LOOK_MS, LOOK_MS) == 0);
    return 0;
}
