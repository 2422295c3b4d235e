/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guard.h"

#include "agent/cgroup.h"
#include "agent/pid_file.h"
#include "base/error.h"
#include "base/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#define NS_PER_MS 1000000ull

static void kill_process(const struct process_id *id)
{
    int fd = process_open(id);

    if (fd >= 0) {
        process_signal(fd, SIGKILL);
        close(fd);
    }
}

/* Returns whether a `move` VM lives here. */
static bool sweep_vm(int dir_fd, bool kill, bool kill_shims)
{
    struct pid_file file;
    int error = pid_file_read(&file, dir_fd);

    if (error != 0 || file.keep) {
        return error == HF_ERROR_IO; /* Unknown counts as left. */
    }
    if (file.vm.pid == 0) {
        if (kill) {
            kill_process(&file.shim);
        }
        return false;
    }
    if (!process_exists(&file.vm)) {
        return false;
    }
    if (kill) {
        kill_process(&file.vm);
    }
    if (kill_shims) {
        kill_process(&file.shim);
    }
    return true;
}

static size_t sweep_dirs(const struct guard *guard, bool kill, bool kill_shims)
{
    int fd = openat(guard->run.vms_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    size_t count = 0;

    if (dir == NULL) {
        log_error("guard.scan_failed", "run_dir=\"%s\"", guard->run.path);
        if (fd >= 0) {
            close(fd);
        }
        return 1; /* Unknown is not safe: the watchdog goes hungry. */
    }
    while ((entry = readdir(dir)) != NULL) {
        uint64_t uid;
        int vm_fd;

        if (run_dir_parse_uid(entry->d_name, &uid) != 0) {
            continue;
        }
        vm_fd = openat(guard->run.vms_fd, entry->d_name,
                       O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (vm_fd >= 0) {
            count += sweep_vm(vm_fd, kill, kill_shims);
            close(vm_fd);
        }
    }
    closedir(dir);
    return count;
}

size_t guard_sweep(const struct guard *guard, bool kill, bool kill_shims)
{
    bool populated = false;
    size_t count;

    if (guard->cgroup != NULL) {
        int group_fd = cgroup_open_move(guard->cgroup);

        if (group_fd >= 0) {
            populated = cgroup_populated(group_fd);
            if (kill && populated) {
                cgroup_kill(group_fd);
            }
            close(group_fd);
        }
    }
    count = sweep_dirs(guard, kill, kill_shims);
    return count == 0 && populated ? 1 : count;
}

static uint32_t sweep_now(struct guard *guard, uint64_t now_ns)
{
    bool first = guard->swept_ns == 0;
    bool kill_shims =
        !first && now_ns - guard->swept_ns >= GUARD_SHIM_DELAY_MS * NS_PER_MS;

    guard->left_count = guard_sweep(guard, true, kill_shims);
    if (first) {
        guard->swept_ns = now_ns;
        guard->killed_count = guard->left_count;
        if (guard->left_count > 0) {
            log_warn("guard.fenced", "vms=%zu late_us=%llu", guard->left_count,
                     (unsigned long long)(now_ns - guard->over_ns) / 1000);
        }
    } else if (guard->left_count == 0 && guard->killed_count > 0) {
        log_warn("guard.all_gone", "vms=%zu after_us=%llu", guard->killed_count,
                 (unsigned long long)(now_ns - guard->over_ns) / 1000);
        guard->killed_count = 0;
    }
    return guard->left_count > 0 ? GUARD_SWEEP_MS : GUARD_POLL_MS;
}

uint32_t guard_tick(struct guard *guard, uint64_t now_ns)
{
    uint64_t deadline_ns = lease_page_deadline(&guard->lease);
    uint64_t due_ns;

    if (lease_page_live(&guard->lease, now_ns)) {
        uint64_t left_ms = (deadline_ns - now_ns) / NS_PER_MS + GUARD_DELAY_MS;

        guard->over_ns = 0;
        guard->swept_ns = 0;
        guard->killed_count = 0;
        return left_ms < GUARD_POLL_MS ? (uint32_t)left_ms + 1 : GUARD_POLL_MS;
    }
    if (guard->over_ns == 0) {
        /* Given up rather than run out: counted from when it is seen. */
        bool ended = deadline_ns != 0 && deadline_ns <= now_ns;

        guard->over_ns = ended ? deadline_ns : now_ns;
    }
    due_ns = guard->over_ns + GUARD_DELAY_MS * NS_PER_MS;
    if (now_ns < due_ns) {
        uint64_t left_ms = (due_ns - now_ns) / NS_PER_MS + 1;

        return left_ms < GUARD_POLL_MS ? (uint32_t)left_ms : GUARD_POLL_MS;
    }
    return sweep_now(guard, now_ns);
}

bool guard_is_safe(const struct guard *guard)
{
    return guard->over_ns == 0 || guard_sweep(guard, false, false) == 0;
}
