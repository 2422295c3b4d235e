/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/driver_qemu.h"

#include "agent/accel_probe.h"
#include "agent/files.h"
#include "agent/qemu_command.h"
#include "agent/qmp.h"
#include "agent/vm.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CAPABILITIES \
    (VM_CAN_STOP_POLITELY | VM_HAS_CONSOLE | VM_SURVIVES_AGENT | VM_CAN_FENCE)

/* A process that lives is not a VM that lives: the monitor is asked every
 * WATCH_MS, and one that says nothing for SILENT_MS is a failure. Long, for a
 * host under load must not lose its VMs to impatience. */
#define WATCH_MS  2000
#define SILENT_MS 30000

#define REASON_BYTES      128
#define CPUINFO_BYTES_MAX (4u * 1024u * 1024u)

struct qemu_vm {
    struct vm vm;
    struct qmp qmp;
    struct qmp_listener listener;
    uv_timer_t watch;
    enum vm_event_kind told; /* RUNNING, PAUSED or FAILED; 0: nothing yet. */
    uint64_t heard_ms;
    char io_error[REASON_BYTES]; /* The newest, for the reason. */
};

static struct qemu_vm *qemu_vm(struct vm *vm)
{
    return container_of(vm, struct qemu_vm, vm);
}

static struct driver_qemu *driver_qemu(struct vm_driver *driver)
{
    return container_of(driver, struct driver_qemu, driver);
}

static void tell(struct qemu_vm *qemu, enum vm_event_kind kind,
                 const char *reason)
{
    if (qemu->told == kind || qemu->vm.down_told) {
        return;
    }
    qemu->told = kind;
    log_info("qemu.state", "uid=%" PRIu64 " state=%s reason=\"%s\"",
             qemu->vm.spec.uid,
             kind == VM_EVENT_RUNNING  ? "running"
             : kind == VM_EVENT_PAUSED ? "paused"
                                       : "failed",
             reason);
    vm_emit(&qemu->vm, kind, reason, kind == VM_EVENT_FAILED);
}

/* QEMU's run states (qapi/run-state.json). Whoever stopped the guest, it does
 * not run, and nobody but us is to speak to this monitor. */
static void handle_status(struct qemu_vm *qemu, const char *status)
{
    static const char *const harmless[] = {"prelaunch", "inmigrate",
                                           "suspended", "shutdown"};
    char reason[REASON_BYTES];

    if (strcmp(status, "running") == 0) {
        qemu->io_error[0] = '\0';
        tell(qemu, VM_EVENT_RUNNING, "");
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(harmless); i++) {
        if (strcmp(status, harmless[i]) == 0) {
            tell(qemu, VM_EVENT_PAUSED, harmless[i]);
            return;
        }
    }
    snprintf(reason, sizeof(reason), "%.40s%s%.80s", status,
             qemu->io_error[0] == '\0' ? "" : " ", qemu->io_error);
    tell(qemu, VM_EVENT_FAILED, reason);
}

static void ask_status(struct qemu_vm *qemu)
{
    /* Not ready: it is asked when it becomes ready. */
    (void)qmp_send(&qemu->qmp, "query-status");
}

static void on_ready(struct qmp_listener *listener)
{
    struct qemu_vm *qemu = container_of(listener, struct qemu_vm, listener);

    qemu->heard_ms = clock_boot_ms();
    ask_status(qemu);
}

static void on_reply(struct qmp_listener *listener, const char *command,
                     const struct json *json, const struct json_value *result)
{
    struct qemu_vm *qemu = container_of(listener, struct qemu_vm, listener);
    const char *status;

    qemu->heard_ms = clock_boot_ms();
    if (strcmp(command, "query-status") != 0) {
        return;
    }
    status = json_string(json_get(json, result, "status"));
    if (status != NULL) {
        handle_status(qemu, status);
    }
}

static void note_io_error(struct qemu_vm *qemu, const struct json *json,
                          const struct json_value *data)
{
    const char *node = json_string(json_get(json, data, "node-name"));
    const char *operation = json_string(json_get(json, data, "operation"));

    snprintf(qemu->io_error, sizeof(qemu->io_error), "%.32s of %.32s",
             operation == NULL ? "?" : operation, node == NULL ? "?" : node);
}

static void on_event(struct qmp_listener *listener, const char *name,
                     const struct json *json, const struct json_value *data)
{
    struct qemu_vm *qemu = container_of(listener, struct qemu_vm, listener);

    qemu->heard_ms = clock_boot_ms();
    if (strcmp(name, "BLOCK_IO_ERROR") == 0) {
        note_io_error(qemu, json, data);
    }
    if (strcmp(name, "GUEST_PANICKED") == 0) {
        tell(qemu, VM_EVENT_FAILED, "guest-panicked");
    }
    /* An event says that something changed, the status says what it is. */
    ask_status(qemu);
}

static void on_watch(uv_timer_t *timer)
{
    struct qemu_vm *qemu = container_of(timer, struct qemu_vm, watch);

    if (clock_boot_ms() - qemu->heard_ms >= SILENT_MS) {
        tell(qemu, VM_EVENT_FAILED, "monitor silent");
    }
    if (qemu->qmp.pending_count == 0) {
        ask_status(qemu);
    }
}

static void up(struct vm *vm)
{
    struct qemu_vm *qemu = qemu_vm(vm);
    uv_loop_t *loop = vm->driver->host->loop;

    qemu->listener.ready = on_ready;
    qemu->listener.reply = on_reply;
    qemu->listener.event = on_event;
    qemu->heard_ms = clock_boot_ms();
    qmp_init(&qemu->qmp, loop, vm->dir_fd, VM_FILE_QMP, &qemu->listener);
    CHECK(uv_timer_init(loop, &qemu->watch) == 0);
    CHECK(uv_timer_start(&qemu->watch, on_watch, WATCH_MS, WATCH_MS) == 0);
    vm_hold(vm);
    vm_hold(vm);
}

static void on_qmp_closed(struct qmp *qmp)
{
    vm_release(&container_of(qmp, struct qemu_vm, qmp)->vm);
}

static void on_watch_closed(uv_handle_t *handle)
{
    vm_release(
        &container_of((uv_timer_t *)(void *)handle, struct qemu_vm, watch)->vm);
}

static void down(struct vm *vm)
{
    struct qemu_vm *qemu = qemu_vm(vm);

    if (qemu->listener.ready != NULL) {
        qmp_close(&qemu->qmp, on_qmp_closed);
        uv_close((uv_handle_t *)&qemu->watch, on_watch_closed);
    }
}

static void ask(struct vm *vm)
{
    (void)qmp_send(&qemu_vm(vm)->qmp, "system_powerdown");
}

static void insist(struct vm *vm)
{
    (void)qmp_send(&qemu_vm(vm)->qmp, "quit");
}

static struct vm *create(struct vm_driver *driver)
{
    struct qemu_vm *qemu = memory_alloc(sizeof(*qemu));

    (void)driver;
    return &qemu->vm;
}

static void free_vm(struct vm *vm)
{
    free(qemu_vm(vm));
}

static int command(struct vm *vm, struct vm_strings *argv,
                   struct vm_strings *env)
{
    struct driver_qemu *driver = driver_qemu(vm->driver);
    struct qemu_disk_file files[VM_SPEC_DISKS_MAX];

    for (size_t i = 0; i < vm->spec.disk_count; i++) {
        files[i] = qemu_disk_probe(vm->spec.disks[i].path);
        if (vm->spec.disks[i].kind == VM_DISK_SHARED && !files[i].direct) {
            log_warn("qemu.not_direct", "uid=%" PRIu64 " disk=%zu",
                     vm->spec.uid, i);
        }
    }
    CHECK(vm_strings_add(argv, "--in-vm-dir") == 0);
    CHECK(vm_strings_add(argv, "--") == 0);
    CHECK(vm_strings_add(env, "PATH=/usr/sbin:/usr/bin:/sbin:/bin") == 0);
    return qemu_command(&vm->spec, driver->options.program, driver->accel,
                        files, argv);
}

static void answer(struct driver_qemu *qemu, enum accel accel)
{
    struct vm_probe *probe = qemu->probe;

    qemu->probe = NULL;
    driver_qemu_use(qemu, accel);
    probe->cb(probe, 0, accel_name(accel));
}

static void on_probed(struct accel_probe *probe, bool works)
{
    struct driver_qemu *qemu = driver_qemu(&probe->parent->driver);

    answer(qemu, works ? ACCEL_KVM : ACCEL_TCG);
}

static void on_later_closed(uv_handle_t *handle)
{
    struct driver_qemu *qemu =
        container_of((uv_timer_t *)(void *)handle, struct driver_qemu, later);
    struct vm_probe *probe = qemu->probe;

    if (access(qemu->options.program, X_OK) == 0) {
        answer(qemu, ACCEL_TCG);
        return;
    }
    qemu->probe = NULL;
    probe->cb(probe, HF_ERROR_UNSUPPORTED, "QEMU is not installed");
}

static void on_later(uv_timer_t *timer)
{
    uv_close((uv_handle_t *)timer, on_later_closed);
}

static bool may_have_kvm(void)
{
    char *text = memory_alloc(CPUINFO_BYTES_MAX);
    size_t len;
    bool flag = files_read(AT_FDCWD, "/proc/cpuinfo", text, CPUINFO_BYTES_MAX,
                           &len) == 0 &&
                accel_cpuinfo_has_virtualisation(text, len);

    free(text);
    return flag && access("/dev/kvm", R_OK | W_OK) == 0;
}

static int probe_driver(struct vm_driver *driver, struct vm_probe *probe,
                        vm_probe_cb cb)
{
    struct driver_qemu *qemu = driver_qemu(driver);

    if (qemu->probe != NULL) {
        return HF_ERROR_BUSY;
    }
    probe->driver = driver;
    probe->cb = cb;
    qemu->probe = probe;
    if (access(qemu->options.program, X_OK) == 0 && may_have_kvm()) {
        if (qemu->accel_probe == NULL) {
            qemu->accel_probe = memory_alloc(sizeof(*qemu->accel_probe));
        }
        if (accel_probe_start(qemu->accel_probe, qemu, ACCEL_KVM, on_probed) ==
            0) {
            return 0;
        }
    }
    CHECK(uv_timer_init(driver->host->loop, &qemu->later) == 0);
    CHECK(uv_timer_start(&qemu->later, on_later, 0, 0) == 0);
    return 0;
}

static const struct vm_driver_table table = {
    .name = "qemu",
    .kind = VM_DRIVER_QEMU,
    .probe = probe_driver,
    .create = create,
    .free = free_vm,
    .command = command,
    .up = up,
    .ask = ask,
    .insist = insist,
    .down = down,
};

void driver_qemu_init(struct driver_qemu *qemu, const struct vm_host *host,
                      const struct qemu_options *options)
{
    memset(qemu, 0, sizeof(*qemu));
    qemu->driver.table = &table;
    qemu->driver.host = host;
    qemu->options = *options;
    qemu->accel = ACCEL_TCG;
}

void driver_qemu_use(struct driver_qemu *qemu, enum accel accel)
{
    qemu->accel = accel;
    qemu->driver.capabilities = CAPABILITIES;
}

void driver_qemu_close(struct driver_qemu *qemu)
{
    free(qemu->accel_probe);
    qemu->accel_probe = NULL;
}
