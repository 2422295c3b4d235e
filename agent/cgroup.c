/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cgroup.h"

#include "agent/files.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static int open_group(int base_fd, const char *name, bool create)
{
    int fd;

    if (create && mkdirat(base_fd, name, 0755) < 0 && errno != EEXIST) {
        return HF_ERROR_IO;
    }
    fd = openat(base_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? HF_ERROR_NOT_FOUND : HF_ERROR_IO;
    }
    return fd;
}

static int open_base(const char *base)
{
    struct statfs fs;
    int fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0) {
        return HF_ERROR_UNSUPPORTED;
    }
    if (fstatfs(fd, &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC) {
        close(fd);
        return HF_ERROR_UNSUPPORTED;
    }
    return fd;
}

int cgroup_prepare(const char *base)
{
    int base_fd = open_base(base);
    int move_fd;
    int keep_fd;
    int error = 0;

    if (base_fd < 0) {
        return base_fd;
    }
    move_fd = open_group(base_fd, "move", true);
    keep_fd = open_group(base_fd, "keep", true);
    if (move_fd < 0 || keep_fd < 0 ||
        faccessat(move_fd, "cgroup.kill", W_OK, 0) < 0 ||
        faccessat(keep_fd, "cgroup.kill", W_OK, 0) < 0) {
        error = HF_ERROR_UNSUPPORTED;
    }
    if (move_fd >= 0) {
        close(move_fd);
    }
    if (keep_fd >= 0) {
        close(keep_fd);
    }
    close(base_fd);
    return error;
}

static void print_vm(char name[48], bool keep, uint64_t uid)
{
    snprintf(name, 48, "%s/%" PRIu64, keep ? "keep" : "move", uid);
}

int cgroup_open_vm(const char *base, bool keep, uint64_t uid)
{
    char name[48];
    int base_fd = open_base(base);
    int fd;

    if (base_fd < 0) {
        return base_fd;
    }
    print_vm(name, keep, uid);
    fd = open_group(base_fd, name, true);
    close(base_fd);
    return fd;
}

void cgroup_remove_vm(const char *base, bool keep, uint64_t uid)
{
    char name[48];
    int base_fd = open_base(base);

    if (base_fd < 0) {
        return;
    }
    print_vm(name, keep, uid);
    unlinkat(base_fd, name, AT_REMOVEDIR);
    close(base_fd);
}

int cgroup_open_move(const char *base)
{
    int base_fd = open_base(base);
    int fd;

    if (base_fd < 0) {
        return base_fd;
    }
    fd = open_group(base_fd, "move", false);
    close(base_fd);
    return fd;
}

static int write_word(int group_fd, const char *file, const char *word,
                      size_t len)
{
    int fd = openat(group_fd, file, O_WRONLY | O_CLOEXEC);
    ssize_t written;

    if (fd < 0) {
        return HF_ERROR_IO;
    }
    written = write(fd, word, len);
    close(fd);
    return written == (ssize_t)len ? 0 : HF_ERROR_IO;
}

int cgroup_enter(int group_fd)
{
    return write_word(group_fd, "cgroup.procs", "0", 1);
}

int cgroup_kill(int group_fd)
{
    return write_word(group_fd, "cgroup.kill", "1", 1);
}

bool cgroup_populated(int group_fd)
{
    char text[256];
    size_t len;

    return files_read(group_fd, "cgroup.events", text, sizeof(text), &len) !=
               0 ||
           strstr(text, "populated 0") == NULL;
}
