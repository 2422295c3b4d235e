/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/boot_check.h"

#include "agent/files.h"
#include "agent/guard_beat.h"
#include "base/check.h"
#include "base/error.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static enum boot_traces say(char found[BOOT_FOUND_BYTES],
                            enum boot_traces traces, const char *what,
                            const char *detail)
{
    snprintf(found, BOOT_FOUND_BYTES, "%s%s%s", what,
             detail[0] == '\0' ? "" : " ", detail);
    return traces;
}

/* Makes nothing: a lock that is not there proves nothing. */
static enum boot_traces look_at_lock(int dir_fd)
{
    int fd = openat(dir_fd, RUN_FILE_LOCK,
                    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    enum boot_traces traces = BOOT_NOTHING_LIVES;

    if (fd < 0) {
        return BOOT_UNPROVEN;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        traces = errno == EWOULDBLOCK ? BOOT_SOMETHING_LIVES : BOOT_UNPROVEN;
    }
    close(fd);
    return traces;
}

static enum boot_traces look_at_vm(int vms_fd, const char *name,
                                   char found[BOOT_FOUND_BYTES])
{
    enum boot_traces traces;
    uint64_t uid;
    int fd;

    if (run_dir_parse_uid(name, &uid) != 0) {
        return BOOT_NOTHING_LIVES; /* No shim has a directory of that name. */
    }
    fd = openat(vms_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return say(found, BOOT_UNPROVEN, "cannot be looked into at VM", name);
    }
    traces = look_at_lock(fd);
    close(fd);
    switch (traces) {
    case BOOT_SOMETHING_LIVES:
        return say(found, traces, "is used by the running VM with uid", name);
    case BOOT_UNPROVEN:
        return say(found, traces, "has lost the lock of the VM with uid", name);
    case BOOT_NOTHING_LIVES:
        break;
    }
    return traces;
}

static enum boot_traces look_at_vms(int vms_fd, char found[BOOT_FOUND_BYTES])
{
    int fd = openat(vms_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    enum boot_traces traces = BOOT_NOTHING_LIVES;
    struct dirent *item = NULL;

    if (dir == NULL) {
        if (fd >= 0) {
            close(fd);
        }
        return say(found, BOOT_UNPROVEN, "cannot be read", "");
    }
    while (traces == BOOT_NOTHING_LIVES &&
           (errno = 0, item = readdir(dir)) != NULL) {
        traces = look_at_vm(vms_fd, item->d_name, found);
    }
    if (item == NULL && errno != 0) {
        traces = say(found, BOOT_UNPROVEN, "cannot be read", "");
    }
    closedir(dir);
    return traces;
}

/* A shim whose files were taken away holds locks that nobody finds. */
static enum boot_traces look_at_processes(const struct boot_record *record,
                                          char found[BOOT_FOUND_BYTES])
{
    const struct shim_place place = {record->run_dir, record->run_device,
                                     record->run_inode};
    struct shim_found shim;
    char number[24];
    int count = machine_find_shims(&place, &shim, 1);

    if (count == 0) {
        return BOOT_NOTHING_LIVES;
    }
    if (count < 0) {
        return say(found, BOOT_UNPROVEN, "cannot be looked for in /proc", "");
    }
    snprintf(number, sizeof(number), "%d", (int)shim.pid);
    return say(found, BOOT_SOMETHING_LIVES, "is used by the shim with pid",
               number);
}

/* The guard alone runs no VM. But it serves one run directory, and holds the
 * watchdog device. */
static enum boot_traces look_at_guard(int guard_fd,
                                      char found[BOOT_FOUND_BYTES])
{
    struct process_id id;
    uint64_t beat_ns;
    char advice[80] = "(no VM is left: SIGTERM ends it)";

    if (look_at_lock(guard_fd) != BOOT_SOMETHING_LIVES) {
        return BOOT_NOTHING_LIVES;
    }
    if (guard_beat_read(guard_fd, &beat_ns, &id) == 0) {
        snprintf(advice, sizeof(advice),
                 "with pid %d (no VM is left: SIGTERM ends it)", (int)id.pid);
    }
    return say(found, BOOT_SOMETHING_LIVES, "is used by holdfast-guard",
               advice);
}

static enum boot_traces look_inside(const struct boot_record *record, int fd,
                                    char found[BOOT_FOUND_BYTES])
{
    int vms_fd = openat(fd, "vms", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int guard_fd = openat(fd, "guard", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum boot_traces traces;

    if (vms_fd < 0 || guard_fd < 0) {
        traces = say(found, BOOT_UNPROVEN, "was emptied", "");
    } else {
        traces = look_at_vms(vms_fd, found);
    }
    if (traces == BOOT_NOTHING_LIVES) {
        traces = look_at_processes(record, found);
    }
    if (traces == BOOT_NOTHING_LIVES) {
        traces = look_at_guard(guard_fd, found);
    }
    if (vms_fd >= 0) {
        close(vms_fd);
    }
    if (guard_fd >= 0) {
        close(guard_fd);
    }
    return traces;
}

enum boot_traces boot_look(const struct boot_record *record,
                           char found[BOOT_FOUND_BYTES])
{
    int fd =
        open(record->run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    char boot_id[MACHINE_BOOT_BYTES];
    enum boot_traces traces;
    struct stat stat;

    found[0] = '\0';
    if (fd < 0) {
        return say(found, BOOT_UNPROVEN, "cannot be opened:", strerror(errno));
    }
    if (fstat(fd, &stat) != 0 || stat.st_dev != record->run_device ||
        stat.st_ino != record->run_inode) {
        traces =
            say(found, BOOT_UNPROVEN, "was replaced by another directory", "");
    } else if (machine_boot_id_read(fd, boot_id) != 0 ||
               strcmp(boot_id, record->boot_id) != 0) {
        traces = say(found, BOOT_UNPROVEN, "was emptied", "");
    } else {
        traces = look_inside(record, fd, found);
    }
    close(fd);
    return traces;
}

static int read_record(const struct boot_check *check,
                       struct boot_record *record)
{
    char text[BOOT_RECORD_BYTES_MAX];
    size_t len;
    int result = files_read(check->state_dir_fd, BOOT_RECORD_FILE, text,
                            sizeof(text), &len);

    return result == 0 ? boot_record_decode(record, text, len) : result;
}

/* All but the boot id. */
static int describe(const struct boot_check *check, struct boot_record *record)
{
    struct stat stat;

    memset(record, 0, sizeof(*record));
    if (boot_id_read(record->kernel_boot) != 0 ||
        fstat(check->run->fd, &stat) != 0 ||
        realpath(check->run->path, record->run_dir) == NULL) {
        return HF_ERROR_IO;
    }
    record->run_device = stat.st_dev;
    record->run_inode = stat.st_ino;
    return 0;
}

static void refuse(struct boot_check *check, const struct boot_record *former,
                   const char *found)
{
    const char *undo = strcmp(former->run_dir, check->run->path) == 0
                           ? "Put the directory back as it was"
                           : "Set run_dir back";

    if (check->verdict == BOOT_UNREADABLE) {
        snprintf(check->reason, sizeof(check->reason),
                 "%s/%s cannot be read or is damaged. It says where VMs of "
                 "this host may still run; without it the region could start "
                 "them a second time. Reboot this machine, so that none runs, "
                 "then remove that file.",
                 check->state_dir, BOOT_RECORD_FILE);
        return;
    }
    snprintf(check->reason, sizeof(check->reason),
             "This machine has not booted since the agent ran with run_dir %s, "
             "and that directory %s. VMs that run there would be unknown to "
             "an agent with run_dir %s, so the region would take them for gone "
             "and start them a second time. %s, or stop what runs there "
             "(SIGKILL to a holdfast-shim ends its VM as well), or reboot this "
             "machine.%s%s%s%s",
             former->run_dir, found, check->run->path, undo,
             check->verdict == BOOT_UNKNOWN
                 ? " If you stop them by hand the agent cannot see it: make "
                   "sure that no holdfast-shim runs, then remove "
                 : "",
             check->verdict == BOOT_UNKNOWN ? check->state_dir : "",
             check->verdict == BOOT_UNKNOWN ? "/" BOOT_RECORD_FILE : "",
             check->verdict == BOOT_UNKNOWN ? "." : "");
}

static int save(const struct boot_check *check,
                const struct boot_record *former, struct boot_record *now)
{
    char text[BOOT_RECORD_BYTES_MAX];
    int len;

    memcpy(now->boot_id, check->boot_id, sizeof(now->boot_id));
    if (check->verdict == BOOT_CARRY_ON &&
        strcmp(former->run_dir, now->run_dir) == 0) {
        return 0;
    }
    len = boot_record_encode(now, text);
    if (len < 0) {
        return len;
    }
    log_info("agent.boot", "verdict=%s boot_id=%s run_dir=\"%s\"",
             check->verdict == BOOT_NEW    ? "booted"
             : check->verdict == BOOT_MOVE ? "moved"
                                           : "first",
             now->boot_id, now->run_dir);
    return files_replace_synced(check->state_dir_fd, BOOT_RECORD_FILE, text,
                                (size_t)len);
}

int boot_check(struct boot_check *check)
{
    static struct boot_record former;
    static struct boot_record now;
    static char found[BOOT_FOUND_BYTES];
    int read = read_record(check, &former);
    struct boot_facts facts = {.recorded = read == 0,
                               .readable =
                                   read == 0 || read == HF_ERROR_NOT_FOUND};
    int result = describe(check, &now);

    if (result != 0) {
        return result;
    }
    check->reason[0] = '\0';
    if (facts.recorded) {
        facts.same_kernel_boot =
            strcmp(former.kernel_boot, now.kernel_boot) == 0;
        facts.same_run_dir =
            former.run_device == now.run_device &&
            former.run_inode == now.run_inode &&
            machine_boot_id_read(check->run->fd, check->boot_id) == 0 &&
            strcmp(check->boot_id, former.boot_id) == 0;
    }
    if (facts.same_kernel_boot && !facts.same_run_dir) {
        facts.traces = boot_look(&former, found);
    }
    check->verdict = boot_judge(&facts);
    if (check->verdict >= BOOT_UNREADABLE) {
        refuse(check, &former, found);
        return HF_ERROR_BUSY;
    }
    result = machine_boot_id(check->run, check->boot_id);
    if (result == HF_ERROR_BUSY) {
        snprintf(check->reason, sizeof(check->reason),
                 "VMs run whose files in run_dir %s are gone. Stop them "
                 "(SIGKILL to a holdfast-shim ends its VM as well), or reboot "
                 "this machine.",
                 check->run->path);
    }
    return result == 0 ? save(check, &former, &now) : result;
}
