/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/process.h"

#include "agent/files.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STAT_BYTES_MAX   1024
#define START_TIME_FIELD 22
#define FIFO_PRIORITY    10

/* Field 2 is the program's name in parentheses and may hold anything, also
 * blanks and parentheses: fields are counted from the last ')'. */
static int parse_start_time(const char *stat, size_t len, uint64_t *ticks)
{
    const char *at = memrchr(stat, ')', len);
    const char *end;
    int field = 2;

    if (at == NULL) {
        return HF_ERROR_INVALID;
    }
    while (field < START_TIME_FIELD) {
        at = strchr(at + 1, ' ');
        if (at == NULL) {
            return HF_ERROR_INVALID;
        }
        field++;
    }
    at++;
    end = strchr(at, ' ');
    if (end == NULL) {
        return HF_ERROR_INVALID;
    }
    return files_parse_u64(at, (size_t)(end - at), UINT64_MAX, ticks);
}

int process_identify(pid_t pid, struct process_id *id)
{
    char path[48];
    char stat[STAT_BYTES_MAX];
    size_t len;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    switch (files_read(AT_FDCWD, path, stat, sizeof(stat), &len)) {
    case 0:
        break;
    case HF_ERROR_NOT_FOUND:
        return HF_ERROR_NOT_FOUND;
    default:
        /* It can be reaped between the open and the read. */
        return errno == ESRCH ? HF_ERROR_NOT_FOUND : HF_ERROR_IO;
    }
    id->pid = pid;
    return parse_start_time(stat, len, &id->start_ticks);
}

static int pidfd_open_raw(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

bool process_exists(const struct process_id *id)
{
    struct process_id found;
    int error = process_identify(id->pid, &found);

    /* Not to be able to tell is no proof of death. */
    return error != HF_ERROR_NOT_FOUND &&
           (error != 0 || found.start_ticks == id->start_ticks);
}

int process_open(const struct process_id *id)
{
    struct process_id found;
    int fd = pidfd_open_raw(id->pid);

    if (fd < 0) {
        return errno == ESRCH || errno == EINVAL ? HF_ERROR_NOT_FOUND
                                                 : HF_ERROR_IO;
    }
    /* Opened first and compared then: if the pid names the process we mean
     * now, it named it when the descriptor was opened as well. */
    if (process_identify(id->pid, &found) != 0 ||
        found.start_ticks != id->start_ticks) {
        close(fd);
        return HF_ERROR_NOT_FOUND;
    }
    return fd;
}

int process_open_child(pid_t pid)
{
    int fd = pidfd_open_raw(pid);

    return fd < 0 ? HF_ERROR_IO : fd;
}

int process_signal(int pid_fd, int signal)
{
    if (syscall(SYS_pidfd_send_signal, pid_fd, signal, NULL, 0) < 0) {
        return errno == ESRCH ? HF_ERROR_NOT_FOUND : HF_ERROR_IO;
    }
    return 0;
}

struct process_priority process_raise(void)
{
    struct process_priority got = {0};
    struct sched_param param = {.sched_priority = FIFO_PRIORITY};

    got.fifo =
        sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &param) == 0;
    got.locked = mlockall(MCL_CURRENT | MCL_FUTURE) == 0;
    return got;
}
