/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/driver_exec.h"

#include "agent/cgroup.h"
#include "agent/process.h"
#include "agent/vm.h"
#include "base/check.h"
#include "base/container.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define CAPABILITIES (VM_CAN_STOP_POLITELY | VM_HAS_CONSOLE | VM_SURVIVES_AGENT)

struct exec_vm {
    struct vm vm;
    bool asked;
};

static struct exec_vm *exec_vm(struct vm *vm)
{
    return container_of(vm, struct exec_vm, vm);
}

static struct driver_exec *driver_exec(struct vm_driver *driver)
{
    return container_of(driver, struct driver_exec, driver);
}

static void up(struct vm *vm)
{
    vm_emit(vm, VM_EVENT_RUNNING, "", false);
}

/* Once: a second SIGTERM means "now" to many programs. */
static void ask(struct vm *vm)
{
    struct exec_vm *exec = exec_vm(vm);

    if (!exec->asked) {
        exec->asked = true;
        process_signal(vm->vm_fd, SIGTERM);
    }
}

static void insist(struct vm *vm)
{
    process_signal(vm->vm_fd, SIGTERM);
}

static void down(struct vm *vm)
{
    (void)vm;
}

static struct vm *create(struct vm_driver *driver)
{
    struct exec_vm *exec = memory_alloc(sizeof(*exec));

    (void)driver;
    return &exec->vm;
}

static void free_vm(struct vm *vm)
{
    free(exec_vm(vm));
}

static int command(struct vm *vm, struct vm_strings *argv,
                   struct vm_strings *env)
{
    static const char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
    bool has_path = false;

    if (driver_exec(vm->driver)->isolation == EXEC_PID_NAMESPACE) {
        CHECK(vm_strings_add(argv, "--pid-namespace") == 0);
    }
    CHECK(vm_strings_add(argv, "--") == 0);
    for (size_t i = 0; i < vm->spec.argv.count; i++) {
        CHECK(vm_strings_add(argv, vm->spec.argv.items[i]) == 0);
    }
    for (size_t i = 0; i < vm->spec.env.count; i++) {
        has_path = has_path || strncmp(vm->spec.env.items[i], "PATH=", 5) == 0;
        CHECK(vm_strings_add(env, vm->spec.env.items[i]) == 0);
    }
    return has_path ? 0 : vm_strings_add(env, path);
}

static void on_process_closed(uv_handle_t *handle)
{
    struct driver_exec *exec = container_of((uv_process_t *)(void *)handle,
                                            struct driver_exec, process);
    const struct vm_host *host = exec->driver.host;
    struct vm_probe *probe = exec->probe;
    const char *reason = "PID namespaces";

    exec->probe = NULL;
    exec->driver.capabilities = CAPABILITIES | VM_CAN_FENCE;
    if (exec->isolation == EXEC_NONE && host->cgroup != NULL &&
        cgroup_prepare(host->cgroup) == 0) {
        exec->isolation = EXEC_CGROUP;
        reason = "a delegated cgroup";
    } else if (exec->isolation == EXEC_NONE) {
        exec->driver.capabilities = CAPABILITIES;
        reason = "only on_partition: keep; there are neither PID namespaces "
                 "nor a delegated cgroup here";
    }
    log_info("exec.probed", "isolation=\"%s\"", reason);
    probe->cb(probe, 0, reason);
}

static void on_process_exit(uv_process_t *process, int64_t status,
                            int signal_number)
{
    struct driver_exec *exec =
        container_of(process, struct driver_exec, process);

    exec->isolation =
        status == 0 && signal_number == 0 ? EXEC_PID_NAMESPACE : EXEC_NONE;
    uv_close((uv_handle_t *)process, on_process_closed);
}

/* The shim itself tries it, the way it will do it. */
static int probe_driver(struct vm_driver *driver, struct vm_probe *probe,
                        vm_probe_cb cb)
{
    struct driver_exec *exec = driver_exec(driver);
    struct vm_strings argv = {0};
    uv_process_options_t options;
    int result;

    if (exec->probe != NULL) {
        return HF_ERROR_BUSY;
    }
    probe->driver = driver;
    probe->cb = cb;
    exec->probe = probe;
    exec->isolation = EXEC_NONE;
    CHECK(vm_strings_add(&argv, driver->host->shim_path) == 0);
    CHECK(vm_strings_add(&argv, "--probe") == 0);
    memset(&options, 0, sizeof(options));
    options.file = argv.items[0];
    options.args = argv.items;
    options.exit_cb = on_process_exit;
    result = uv_spawn(driver->host->loop, &exec->process, &options);
    if (result < 0) {
        log_error("exec.probe_failed", "program=\"%s\" error=\"%s\"",
                  argv.items[0], uv_strerror(result));
        uv_close((uv_handle_t *)&exec->process, on_process_closed);
    }
    vm_strings_close(&argv);
    return 0;
}

static const struct vm_driver_table table = {
    .name = "exec",
    .kind = VM_DRIVER_EXEC,
    .probe = probe_driver,
    .create = create,
    .free = free_vm,
    .command = command,
    .up = up,
    .ask = ask,
    .insist = insist,
    .down = down,
};

void driver_exec_init(struct driver_exec *exec, const struct vm_host *host)
{
    memset(exec, 0, sizeof(*exec));
    exec->driver.table = &table;
    exec->driver.host = host;
}
